//! Compute: instance to cluster, cluster to job, run and task, and for whom.

use super::lake_facts::*;
use super::*;
use crate::model::network::Cidr;
use crate::model::{Confidence, DatabricksFacts, InstanceEvent, TaskRun, TaskRunSource};

fn scoped() -> Asked {
    Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE))
}

fn index(facts: DatabricksFacts) -> IdentityIndex {
    world(&[], &[]).with_databricks(facts)
}

/// The answer without what it rests on.
#[track_caller]
fn levels(asked: &Asked, index: &IdentityIndex, expect: &str) {
    let line = line(&asked.answer(index));
    let (levels, rest) = line.split_once(" [").unwrap();
    let reason = rest.rsplit_once(']').unwrap().1;
    assert_eq!(
        format!("{levels}{reason}"),
        format!("instance_profile {expect}")
    );
}

const I: &str = INSTANCE;

fn on_cluster(clusters: Vec<crate::model::Cluster>) -> DatabricksFacts {
    DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters,
        jobs: vec![job("7", "3"), job("8", "1")],
        ..known()
    }
}

fn job_cluster(task_runs: Vec<TaskRun>) -> DatabricksFacts {
    DatabricksFacts {
        task_runs,
        ..on_cluster(vec![cluster("c1", "JOB")])
    }
}

#[test]
fn a_job_cluster_proves_job_run_and_its_only_task_and_runs_for_run_as() {
    let facts = job_cluster(vec![task("7", "901", "1", "c1", 0, 600)]);
    check(
        &scoped(),
        &index(facts.clone()),
        "instance_profile workspace=w1:exact cluster=c1:exact job=7:exact run=901 task=1:exact \
         principal=0e7a1c5e-87b9-4cc2-9770-d10b894b0000:strong i-0c1a23fc456b7ab89 \
         [M3_instance_events M4_cluster_runs M5_run_as] \
         [instance_events:w1/i-0c1a23fc456b7ab89@2026-09-21T14:13:20Z task:1 \
         jobs:w1/7@2026-09-21T13:56:40Z]",
    );
    let answer = scoped().answer(&index(facts));
    assert_eq!(answer.task_key.as_deref(), Some("key1"));
    assert_eq!(
        answer.principal_kind,
        Some(crate::model::PrincipalKind::ServicePrincipal)
    );
}

#[test]
fn the_job_of_a_job_cluster_does_not_depend_on_the_hour_but_its_task_does() {
    let facts = job_cluster(vec![task("7", "901", "1", "c1", 300, 600)]);
    levels(
        &scoped().at(100),
        &index(facts),
        &format!(
            "workspace=w1:exact cluster=c1:exact job=7:exact run=901 principal={ETL}:strong {I}"
        ),
    );
}

#[test]
fn tasks_in_parallel_leave_the_task_ambiguous_and_one_after_another_strong() {
    let facts = job_cluster(vec![
        task("7", "901", "1", "c1", 0, 600),
        task("7", "901", "2", "c1", 500, 900),
    ]);
    let index = index(facts);
    let head = "workspace=w1:exact cluster=c1:exact job=7:exact run=901";
    for (seconds, task) in [
        (300, "task=1:strong"),
        (550, "task=?:ambiguous"),
        // A minute around each run belongs to it.
        (655, "task=?:ambiguous"),
        (661, "task=2:strong"),
    ] {
        levels(
            &scoped().at(seconds),
            &index,
            &format!("{head} {task} principal={ETL}:strong {I}"),
        );
    }
}

#[test]
fn slices_of_one_run_and_the_audit_log_are_one_run() {
    let audit = TaskRun {
        source: TaskRunSource::Audit,
        end: None,
        ..task("7", "901", "1", "c1", 10, 0)
    };
    let facts = job_cluster(vec![
        task("7", "901", "1", "c1", 7200, 9000),
        audit,
        task("7", "901", "1", "c1", 0, 3600),
        task("7", "901", "1", "c1", 3600, 7200),
    ]);
    let index = index(facts);
    for (seconds, is_there) in [(5000, true), (9060, true), (9061, false)] {
        let answer = scoped().at(seconds).answer(&index);
        assert_eq!(answer.task_run_id.is_some(), is_there, "{seconds}");
        assert_eq!(answer.job_confidence.as_str(), "exact");
    }
}

#[test]
fn runs_of_one_job_in_sequence_overlap_within_the_slack_only() {
    let facts = DatabricksFacts {
        task_runs: vec![
            task("7", "901", "1", "c1", 0, 600),
            task("7", "902", "2", "c1", 630, 1200),
        ],
        ..on_cluster(vec![cluster("c1", "UI")])
    };
    let index = index(facts);
    let head = "workspace=w1:exact cluster=c1:exact";
    let person = format!("principal={ETL}");
    levels(
        &scoped().at(500),
        &index,
        &format!("{head} job=7:strong run=901 task=1:strong {person}:strong {I}"),
    );
    levels(
        &scoped().at(600),
        &index,
        &format!(
            "{head} job=?:ambiguous task=?:ambiguous principal=?:ambiguous runs{{901 902}} \
             people{{{ETL}}} {I}"
        ),
    );
    levels(
        &scoped().at(700),
        &index,
        &format!("{head} job=7:strong run=902 task=2:strong {person}:strong {I}"),
    );
}

#[test]
fn two_jobs_on_one_job_cluster_are_bad_data_and_shown() {
    let facts = job_cluster(vec![
        task("7", "901", "1", "c1", 0, 600),
        task("8", "902", "2", "c1", 0, 600),
    ]);
    let answer = scoped().answer(&index(facts));
    assert_eq!(answer.job_confidence.as_str(), "ambiguous");
    assert_eq!(answer.job_run_candidates, ["901", "902"]);
    assert_eq!(answer.principal_candidates, [ETL, ANN]);
    assert!(answer.methods.contains(&crate::model::Method::Conflict));
}

#[test]
fn a_dedicated_cluster_names_its_user_exactly() {
    let facts = on_cluster(vec![dedicated("c1", ANN)]);
    levels(
        &scoped(),
        &index(facts),
        &format!("workspace=w1:exact cluster=c1:exact principal={ANN}:exact {I}"),
    );
}

#[test]
fn what_a_credential_did_from_a_public_address_is_no_chain_of_identifiers() {
    let index = index(on_cluster(vec![dedicated("c1", ANN)]));
    let confidences = |ip: &str| {
        let mut asked = scoped();
        asked.client.source_ip = Some(ip.to_owned());
        let answer = asked.answer(&index);
        (answer.cluster_confidence, answer.principal_confidence)
    };
    assert_eq!(
        confidences("10.0.1.10"),
        (Confidence::Exact, Confidence::Exact)
    );
    assert_eq!(
        confidences("203.0.113.9"),
        (Confidence::Exact, Confidence::Strong)
    );
}

#[test]
fn a_machines_key_away_from_it_is_its_clusters_but_nobodys_work() {
    let known = IdentitySettings {
        known_networks: ["10.0.0.0/8", "203.0.113.0/24"]
            .map(|range| Cidr::parse(range).unwrap())
            .to_vec(),
        compute_vpc_endpoints: vec!["vpce-1".to_owned()],
        ..IdentitySettings::default()
    };
    let launch = Ec2Instance {
        private_ip: some("172.16.0.9"),
        ..ec2("run", "RunInstances", -5, &[("Vendor", "Databricks")])
    };
    let facts = DatabricksFacts {
        task_runs: vec![task("9", "901", "1", "c1", 0, 600)],
        jobs: vec![job("9", "1")],
        ..on_cluster(vec![dedicated("c1", ANN)])
    };
    let index = IdentityIndex::new(known)
        .with(vec![], vec![launch])
        .with_databricks(facts);
    let from = |ip: &str, vpc_endpoint_id: Option<&str>, invoked_by: Option<&str>| {
        let mut asked = scoped();
        asked.client.source_ip = some(ip);
        asked.client.vpc_endpoint_id = vpc_endpoint_id.map(str::to_owned);
        asked.principal.invoked_by = invoked_by.map(str::to_owned);
        asked
    };
    for (asked, is_at_home) in [
        (from("10.0.1.10", None, None), true),
        (from("10.0.1.10", Some("vpce-1"), None), true),
        (from("203.0.113.9", None, None), true),
        (from("athena.amazonaws.com", None, None), true),
        (
            from("198.51.100.9", None, Some("athena.amazonaws.com")),
            true,
        ),
        // The machine's own address, through an endpoint that is not configured.
        (from("172.16.0.9", Some("vpce-2"), None), true),
        (from("172.16.0.8", Some("vpce-2"), None), false),
        (from("10.0.1.10", Some("vpce-2"), None), false),
        (from("198.51.100.9", None, None), false),
    ] {
        let answer = asked.answer(&index);
        let is_named = answer.principal.is_some() && answer.job_run_id.is_some();
        assert_eq!(is_named, is_at_home, "{:?}", asked.client);
        assert_eq!(answer.cluster_confidence, Confidence::Exact);
    }
    levels(
        &from("198.51.100.9", None, None),
        &index,
        &format!("workspace=w1:exact cluster=c1:exact {I} external"),
    );
}

#[test]
fn a_dedicated_users_job_agrees_and_anothers_conflicts() {
    let with = |run_as: &str| DatabricksFacts {
        task_runs: vec![task("9", "901", "1", "c1", 0, 600)],
        jobs: vec![job("9", run_as)],
        ..on_cluster(vec![dedicated("c1", ANN)])
    };
    let head = "workspace=w1:exact cluster=c1:exact job=9:strong run=901 task=1:strong";
    levels(
        &scoped(),
        &index(with("1")),
        &format!("{head} principal={ANN}:exact {I}"),
    );
    levels(
        &scoped(),
        &index(with("2")),
        &format!("{head} principal=?:ambiguous people{{{ANN} {BOB}}} {I}"),
    );
}

#[test]
fn a_group_is_no_person_until_one_of_it_is_seen_at_work() {
    let with = |commands| DatabricksFacts {
        scim: [
            known().scim,
            vec![
                group("10", "etl", &["1", "11"]),
                group("11", "sub", &["2", "10"]),
            ],
        ]
        .concat(),
        commands,
        ..on_cluster(vec![dedicated("c1", "etl")])
    };
    let head = "workspace=w1:exact cluster=c1:exact";
    levels(
        &scoped(),
        &index(with(vec![])),
        &format!("{head} principal=?:ambiguous people{{{ANN} {BOB}}} {I}"),
    );
    let mut by = command("a", 100, "c1", "etl");
    by.run_by = some(BOB);
    levels(
        &scoped(),
        &index(with(vec![by])),
        &format!("{head} principal={BOB}:strong {I}"),
    );
}

#[test]
fn a_shared_cluster_has_the_users_who_ran_commands_within_half_an_hour() {
    let with = |commands| DatabricksFacts {
        commands,
        ..on_cluster(vec![cluster("c1", "UI")])
    };
    let head = "workspace=w1:exact cluster=c1:exact";
    let ann = command("a", -1700, "c1", ANN);
    let bob = command("b", 1800, "c1", BOB);
    levels(
        &scoped(),
        &index(with(vec![])),
        &format!("{head} {I} shared_cluster"),
    );
    levels(
        &scoped(),
        &index(with(vec![ann.clone()])),
        &format!("{head} principal={ANN}:strong {I}"),
    );
    levels(
        &scoped(),
        &index(with(vec![ann.clone(), bob.clone()])),
        &format!("{head} principal=?:ambiguous people{{{ANN} {BOB}}} {I}"),
    );
    levels(
        &scoped().at(1000),
        &index(with(vec![ann, bob])),
        &format!("{head} principal={BOB}:strong {I}"),
    );
}

#[test]
fn a_user_at_work_beside_a_job_is_a_candidate_too() {
    let facts = DatabricksFacts {
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        commands: vec![command("a", 100, "c1", ANN)],
        ..on_cluster(vec![cluster("c1", "UI")])
    };
    levels(
        &scoped(),
        &index(facts),
        &format!(
            "workspace=w1:exact cluster=c1:exact job=?:ambiguous task=?:ambiguous \
             principal=?:ambiguous runs{{901}} people{{{ETL} {ANN}}} {I}"
        ),
    );
}

#[test]
fn what_is_the_only_one_is_not_sure_before_its_source_has_passed() {
    let facts = DatabricksFacts {
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        watermarks: watermarks(0),
        ..on_cluster(vec![cluster("c1", "UI")])
    };
    let provisional = index(facts);
    levels(
        &scoped(),
        &provisional,
        &format!(
            "workspace=w1:exact cluster=c1:exact job=?:ambiguous task=?:ambiguous \
             principal=?:ambiguous runs{{901}} people{{{ETL}}} {I}"
        ),
    );
    levels(
        &scoped(),
        &provisional.as_of(at(10_000)),
        &format!(
            "workspace=w1:exact cluster=c1:exact job=7:strong run=901 task=1:strong \
             principal={ETL}:strong {I}"
        ),
    );
}

#[test]
fn a_pool_instance_moves_from_cluster_to_cluster_whatever_its_tags_say() {
    let events = vec![
        of_pool(placed(0, "c1")),
        of_pool(state(1000, "INSTANCE_READY")),
        of_pool(placed(1004, "c2")),
        of_pool(state(2000, "INSTANCE_TERMINATED")),
    ];
    let facts = DatabricksFacts {
        instance_events: events,
        clusters: vec![dedicated("c1", ANN), dedicated("c2", BOB)],
        ..known()
    };
    let tags = ec2(
        "run",
        "RunInstances",
        -10,
        &[("Vendor", "Databricks"), ("ClusterId", "c9")],
    );
    let index = world(&[], &[tags]).with_databricks(facts);
    let on = |cluster: &str, who: &str, how: &str| {
        format!("workspace=w1:{how} cluster={cluster}:{how} principal={who}:{how} {I}")
    };
    levels(&scoped().at(900), &index, &on("c1", ANN, "exact"));
    levels(&scoped().at(998), &index, &on("c1", ANN, "exact"));
    // Within the skew of clocks both may have been.
    let torn = format!(
        "workspace=w1:strong cluster=?:ambiguous principal=?:ambiguous people{{{ANN} {BOB}}} {I}"
    );
    levels(&scoped().at(1001), &index, &torn);
    levels(&scoped().at(1010), &index, &on("c2", BOB, "exact"));
    levels(&scoped().at(2003), &index, &on("c2", BOB, "strong"));
    levels(&scoped().at(2100), &index, &format!("{I} platform"));
}

#[test]
fn a_pools_open_placement_is_not_sure_before_the_source_has_passed() {
    let with = |event: InstanceEvent, nodes| {
        index(DatabricksFacts {
            instance_events: vec![event],
            clusters: vec![dedicated("c1", ANN)],
            nodes,
            ..unread()
        })
    };
    levels(
        &scoped(),
        &with(of_pool(placed(0, "c1")), vec![]),
        &format!(
            "workspace=?:ambiguous cluster=?:ambiguous principal=?:ambiguous people{{{ANN}}} {I}"
        ),
    );
    levels(
        &scoped(),
        &with(of_pool(placed(0, "c1")), vec![node("c1", 0, 120)]),
        &format!("workspace=w1:strong cluster=c1:strong principal={ANN}:strong {I}"),
    );
    levels(
        &scoped(),
        &with(placed(0, "c1"), vec![]),
        &format!("workspace=w1:exact cluster=c1:exact principal={ANN}:exact {I}"),
    );
}

#[test]
fn nodes_are_strong_within_two_minutes_and_two_of_them_ambiguous() {
    let facts = |nodes| DatabricksFacts {
        nodes,
        clusters: vec![dedicated("c1", ANN), dedicated("c2", BOB)],
        ..known()
    };
    let timeline = index(facts(vec![node("c1", 0, 600), node("c2", 780, 1200)]));
    let strong = |cluster: &str, who: &str| {
        format!("workspace=w1:strong cluster={cluster}:strong principal={who}:strong {I}")
    };
    levels(&scoped().at(300), &timeline, &strong("c1", ANN));
    levels(&scoped().at(655), &timeline, &strong("c1", ANN));
    let both = "workspace=w1:strong cluster=?:ambiguous principal=?:ambiguous";
    levels(
        &scoped().at(700),
        &timeline,
        &format!("{both} people{{{ANN} {BOB}}} {I}"),
    );
    levels(&scoped().at(730), &timeline, &strong("c2", BOB));
    let api = index(facts(vec![live("c1", 0)]));
    levels(&scoped().at(86_400), &api, &strong("c1", ANN));
}

#[test]
fn sources_that_agree_are_all_named_and_sources_that_exclude_each_other_conflict() {
    let tags = |cluster: &str| {
        ec2(
            "run",
            "RunInstances",
            -10,
            &[("Vendor", "Databricks"), ("ClusterId", cluster)],
        )
    };
    let facts = |nodes| DatabricksFacts {
        nodes,
        ..on_cluster(vec![dedicated("c1", ANN), dedicated("c2", BOB)])
    };
    let agree =
        world(&[], &[tags("c1")]).with_databricks(facts(vec![node("c1", 0, 600), live("c1", 0)]));
    let answer = scoped().at(300).answer(&agree);
    let methods: Vec<&str> = answer
        .methods
        .iter()
        .map(|method| method.as_str())
        .collect();
    assert_eq!(
        methods,
        [
            "M3_instance_events",
            "M3_instance_tags",
            "M3_node_timeline",
            "M3_clusters_api",
            "M5_dedicated_user"
        ]
    );
    assert_eq!(answer.cluster_confidence.as_str(), "exact");
    let conflict = format!(
        "workspace=w1:strong cluster=?:ambiguous principal=?:ambiguous people{{{ANN} {BOB}}} {I}"
    );
    for index in [
        world(&[], &[tags("c1")]).with_databricks(facts(vec![node("c2", 0, 600)])),
        world(&[], &[]).with_databricks(facts(vec![live("c2", 0)])),
    ] {
        levels(&scoped().at(300), &index, &conflict);
        let answer = scoped().at(300).answer(&index);
        assert!(answer.methods.contains(&crate::model::Method::Conflict));
    }
    // A minute's row at the edge excludes nothing.
    let edge = world(&[], &[]).with_databricks(facts(vec![node("c2", -600, 60)]));
    let answer = scoped().at(30).answer(&edge);
    assert_eq!(answer.cluster_id.as_deref(), Some("c1"));
}

#[test]
fn a_launch_tag_finds_workspace_job_and_dedicated_user() {
    let tags = ec2(
        "run",
        "RunInstances",
        -10,
        &[
            ("Vendor", "Databricks"),
            ("ClusterId", "c1"),
            ("JobId", "7"),
        ],
    );
    let facts = DatabricksFacts {
        instance_events: Vec::new(),
        ..job_cluster(vec![task("7", "901", "1", "c1", 0, 600)])
    };
    let index = world(&[], std::slice::from_ref(&tags)).with_databricks(facts.clone());
    levels(
        &scoped(),
        &index,
        &format!(
            "workspace=w1:exact cluster=c1:exact job=7:exact run=901 task=1:exact \
             principal={ETL}:strong {I}"
        ),
    );
    // A tag and the runs that name different jobs.
    let other = DatabricksFacts {
        task_runs: vec![task("8", "902", "2", "c1", 0, 600)],
        ..facts
    };
    let answer = scoped().answer(&world(&[], &[tags]).with_databricks(other));
    assert_eq!(answer.job_confidence.as_str(), "ambiguous");
    assert_eq!(answer.job_run_candidates, ["7", "902"]);
    assert!(answer.methods.contains(&crate::model::Method::Conflict));
}

#[test]
fn a_name_alone_makes_every_level_strong_at_most() {
    let facts = job_cluster(vec![task("7", "901", "1", "c1", 0, 600)]);
    levels(
        &Asked::of(role_session(PROFILE_ROLE, INSTANCE, "ASIA1")),
        &index(facts),
        &format!(
            "workspace=w1:strong cluster=c1:strong job=7:strong run=901 task=1:strong \
             principal={ETL}:strong {I}"
        ),
    );
}

#[test]
fn an_instance_that_no_source_knows_is_told_apart_from_one_not_read_yet() {
    let facts = DatabricksFacts {
        instance_events: vec![InstanceEvent {
            instance_id: "i-00000000".to_owned(),
            ..placed(-5000, "c1")
        }],
        ..known()
    };
    levels(
        &scoped(),
        &index(facts.clone()),
        &format!("{I} not_databricks"),
    );
    levels(
        &scoped().at(-6000),
        &index(facts.clone()),
        &format!("{I} outside_retention"),
    );
    let late = DatabricksFacts {
        watermarks: watermarks(0),
        ..facts
    };
    levels(&scoped(), &index(late), &format!("{I} late"));
    // Settled, it waits for nothing; the source was never read.
    let unread = DatabricksFacts::default;
    levels(&scoped(), &index(unread()), &format!("{I} late"));
    let settled = |until| index(unread()).with_settled_until(at(until));
    levels(&scoped(), &settled(60), &format!("{I} outside_retention"));
    levels(&scoped(), &settled(59), &format!("{I} late"));
}

#[test]
fn a_session_that_an_instance_called_for_is_its_work_of_that_moment() {
    let call = issued("sts2", APP_ROLE, "app", "ASIA2", scoped().principal);
    let facts = |events| DatabricksFacts {
        instance_events: events,
        clusters: vec![dedicated("c1", ANN), dedicated("c2", BOB)],
        ..known()
    };
    let asked = Asked::of(role_session(APP_ROLE, "app", "ASIA2")).at(900);
    let of = |events| {
        let index = world(std::slice::from_ref(&call), &[]).with_databricks(facts(events));
        let answer = asked.answer(&index);
        (
            answer.cluster_id.clone(),
            answer.cluster_confidence.as_str(),
            answer.principal.clone(),
        )
    };
    assert_eq!(
        of(vec![placed(-50, "c1")]),
        (some("c1"), "exact", some(ANN))
    );
    let idle = vec![placed(-50, "c1"), state(500, "INSTANCE_READY")];
    assert_eq!(of(idle), (some("c1"), "strong", some(ANN)));
    let moved = vec![placed(-50, "c1"), placed(500, "c2")];
    assert_eq!(of(moved), (None, "ambiguous", None));
    let over = vec![placed(-50, "c1"), state(500, "INSTANCE_TERMINATED")];
    assert_eq!(of(over), (None, "none", None));
}
