//! Settling reads only the identity facts near its dates: no row may show it.

use super::settle::{FAR, simulated};
use super::world::*;
use bricktrail::identity::IdentitySettings;
use bricktrail::lake::Lake;
use bricktrail::lake::databricks::{import_databricks, read_databricks};
use bricktrail::lake::databricks_window::{Reach, read_databricks_within};
use bricktrail::lake::delta::CommitOutcome;
use bricktrail::lake::facts::read_identity_of;
use bricktrail::lake::store::LakeBatch;
use bricktrail::model::databricks::{
    DatabricksFacts, JobRun, Lineage, ShareQuery, Statement, TaskRun, TaskRunSource, Vend,
};
use bricktrail::model::{Ec2Instance, Principal, StsSession, UtcMicros};
use bricktrail::pipeline::settle::{SettleJob, settle};
use bricktrail::policy::{Policy, PolicySettings};
use std::sync::Arc;

/// Longer than the reach before and after one date.
const DAYS: &str = "14";

fn now() -> UtcMicros {
    UtcMicros::parse_iso(FAR).unwrap()
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_settled_as_if_all_facts_had_been_read() {
    let seed = super::kill::seed() % 100_000;
    let arguments = [
        "--events",
        "9000",
        "--days",
        DAYS,
        "--seed",
        &seed.to_string(),
    ];
    let world = simulated(&arguments, &[]);
    world.scan_with(&["--databricks", "sim/databricks", "sim/trail"]);
    copy_folder(&world.path("lake"), &world.path("whole"));
    for (name, whole_index) in [("lake", false), ("whole", true)] {
        let place = world.path(name);
        let mut lake = Lake::open(place.to_str().unwrap()).await.unwrap();
        let policy = Policy::starter(&PolicySettings::default()).unwrap();
        let job = SettleJob {
            as_of: Some(now()),
            whole_index,
            ..SettleJob::new(Arc::new(policy), IdentitySettings::default(), now)
        };
        let report = settle(&mut lake, job, Arc::new(())).await.unwrap();
        assert!(report.dates >= 10 && report.settled > 3000, "{report:?}");
    }
    let rows = "SELECT * FROM s3_access ORDER BY event_id, aws_account_id";
    let (found, expected) = (
        world.query(
            "SELECT count(*) AS n FROM s3_access WHERE job_run_id \
        IS NOT NULL",
        ),
        world.query_in("lake", rows),
    );
    assert!(found[0]["n"].as_i64() > Some(300), "{found:?}");
    let found = world.query_in("whole", rows);
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    // And much was left unread.
    let lake = Lake::open(world.path("lake").to_str().unwrap())
        .await
        .unwrap();
    let whole = read_databricks(lake.url()).await.unwrap();
    let first = whole
        .task_runs
        .iter()
        .map(|run| run.start.date())
        .min()
        .unwrap();
    let part = read_databricks_within(lake.url(), Reach::of(first..=first))
        .await
        .unwrap();
    let sizes = |facts: &DatabricksFacts| {
        [
            facts.task_runs.len(),
            facts.vends.len(),
            facts.lineage.len(),
        ]
    };
    for (part, whole) in sizes(&part).into_iter().zip(sizes(&whole)) {
        assert!(part * 3 < whole * 2 && part > 0, "{part} of {whole}");
    }
}

fn at(day: i64) -> UtcMicros {
    UtcMicros::of_date(20_000).plus_seconds(day * 24 * 3600 + 100)
}

fn task(id: &str, days: (i64, Option<i64>), source: TaskRunSource) -> TaskRun {
    TaskRun {
        workspace_id: "1".to_owned(),
        job_id: "7".to_owned(),
        task_run_id: id.to_owned(),
        start: at(days.0),
        end: days.1.map(at),
        source,
        ..TaskRun::default()
    }
}

fn statement(id: &str, days: (i64, Option<i64>)) -> Statement {
    Statement {
        statement_id: id.to_owned(),
        start: at(days.0),
        end: days.1.map(at),
        ..Statement::default()
    }
}

fn vend(id: &str, day: i64, table: &str) -> Vend {
    Vend {
        source_id: id.to_owned(),
        at: at(day),
        table_id: Some(table.to_owned()),
        ..Vend::default()
    }
}

fn share(id: &str, day: i64) -> ShareQuery {
    ShareQuery {
        source_id: id.to_owned(),
        at: at(day),
        path: Some("s3://b/shared".to_owned()),
        ..ShareQuery::default()
    }
}

#[tokio::test]
async fn what_holds_at_all_times_of_sessions_and_instances_is_read_from_afar() {
    let folder = tempfile::tempdir().unwrap();
    let mut lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
    let session = |id: &str, day: i64, caller: &str, prefixes: &[&str]| StsSession {
        event_id: id.to_owned(),
        event_name: "AssumeRole".to_owned(),
        issued_at: at(day),
        aws_account_id: Some("111122223333".to_owned()),
        caller: Principal {
            identity_type: Some(caller.to_owned()),
            ..Principal::default()
        },
        policy_prefixes: prefixes.iter().map(ToString::to_string).collect(),
        ..StsSession::default()
    };
    let batch = LakeBatch {
        sts_sessions: vec![
            session("old", -40, "AWSAccount", &[]),
            session("own account's", -40, "AssumedRole", &["s3://b/a"]),
            session("shows a policy", -40, "AWSAccount", &["s3://b/a"]),
            session("near", 0, "AWSAccount", &[]),
        ],
        ec2_instances: vec![Ec2Instance {
            instance_id: "i-1".to_owned(),
            event_time: at(30),
            private_ip: Some("10.0.0.1".to_owned()),
            ..Ec2Instance::default()
        }],
        ..LakeBatch::default()
    };
    let outcome = lake.commit(batch, now()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
    let (sessions, instances) = read_identity_of(&lake, 20_000..=20_000).await.unwrap();
    let mut ids: Vec<_> = sessions.iter().map(|s| s.event_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["near", "shows a policy"]);
    assert_eq!(instances.len(), 1);
}

#[tokio::test]
async fn of_one_thing_all_rows_are_read_or_none_and_lessons_stay() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
    let of_run = |run: TaskRun, job_run: &str| TaskRun {
        job_run_id: Some(job_run.to_owned()),
        ..run
    };
    let (timeline, audit) = (TaskRunSource::Timeline, TaskRunSource::Audit);
    let imports = [
        DatabricksFacts {
            task_runs: vec![
                task("over", (-60, None), timeline),
                task("open by audit", (-60, None), audit),
                task("open by audit", (-60, Some(-50)), timeline),
                of_run(task("of a long run", (-60, Some(-59)), timeline), "long"),
                task("here", (0, Some(0)), timeline),
                task("later", (9, Some(9)), timeline),
            ],
            job_runs: vec![JobRun {
                workspace_id: "1".to_owned(),
                job_id: "7".to_owned(),
                job_run_id: "long".to_owned(),
                start: at(-60),
                end: Some(at(0)),
                ..JobRun::default()
            }],
            statements: vec![
                statement("over", (-60, None)),
                statement("open", (-60, None)),
            ],
            vends: vec![
                Vend {
                    status_code: Some(403),
                    ..vend("failed", -120, "x")
                },
                vend("far", 30, "t"),
                vend("first", -90, "t"),
                vend("teaches", -60, "u"),
                vend("repeats", -50, "u"),
                vend("here", 0, "v"),
            ],
            share_queries: vec![
                share("teaches", -30),
                share("too old", -12),
                share("signed", -7),
            ],
            lineage: vec![Lineage {
                source_id: "teaches".to_owned(),
                at: at(-60),
                source_path: Some("s3://b/old".to_owned()),
                ..Lineage::default()
            }],
            ..DatabricksFacts::default()
        },
        // What another import told of the same things.
        DatabricksFacts {
            task_runs: vec![task("over", (-60, Some(-50)), timeline)],
            statements: vec![statement("over", (-60, Some(-50)))],
            ..DatabricksFacts::default()
        },
    ];
    for facts in imports {
        import_databricks(&lake, facts, Vec::new(), now())
            .await
            .unwrap();
    }
    let near = read_databricks_within(lake.url(), Reach::of(20_000..=20_000))
        .await
        .unwrap();
    let runs: Vec<_> = near
        .task_runs
        .iter()
        .map(|run| run.task_run_id.as_str())
        .collect();
    assert_eq!(
        runs,
        ["here", "of a long run", "open by audit", "open by audit"]
    );
    let statements: Vec<_> = near
        .statements
        .iter()
        .map(|s| s.statement_id.as_str())
        .collect();
    assert_eq!(statements, ["open"]);
    // Of the two that teach the same, either.
    let mut vends: Vec<_> = near
        .vends
        .iter()
        .map(|vend| vend.source_id.as_str())
        .collect();
    vends.retain(|id| !["teaches", "repeats"].contains(id));
    vends.sort_unstable();
    // A vend that failed is not the first of all.
    assert_eq!(vends, ["failed", "far", "first", "here"]);
    assert_eq!(near.vends.len(), 5);
    let shares: Vec<_> = near
        .share_queries
        .iter()
        .map(|q| &q.source_id[..])
        .collect();
    assert_eq!(shares, ["signed", "teaches"]);
    assert_eq!(near.lineage.len(), 1);
}
