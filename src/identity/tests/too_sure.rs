//! What was once claimed too surely: each is a case in which somebody else may have been
//! the one.

use super::lake_facts::*;
use super::*;
use crate::model::{Cluster, ClusterAccess, CommandRun, DatabricksFacts, Vend, VendOperation};

fn scoped() -> Asked {
    Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE))
}

/// What is said of the user of a dedicated cluster.
fn user(clusters: Vec<Cluster>) -> (String, Vec<String>) {
    let facts = DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters,
        ..known()
    };
    told(&scoped().answer(&world(&[], &[]).with_databricks(facts)))
}

fn told(answer: &Attribution) -> (String, Vec<String>) {
    let candidates = answer.principal_candidates.iter();
    (
        answer.principal_confidence.as_str().to_owned(),
        candidates.chain(&answer.principal).cloned().collect(),
    )
}

fn of(confidence: &str, people: &[&str]) -> (String, Vec<String>) {
    let people = people.iter().map(ToString::to_string);
    (confidence.to_owned(), people.collect())
}

#[test]
fn a_snapshot_of_a_dedicated_cluster_holds_for_its_own_time() {
    let changed = |seconds| Cluster {
        changed_at: at(seconds),
        access: ClusterAccess::Dedicated,
        ..cluster("c1", "UI")
    };
    let seen = |seconds, whom| Cluster {
        changed_at: at(seconds),
        ..dedicated("c1", whom)
    };
    let ended = Cluster {
        deleted_at: Some(at(500)),
        ..changed(500)
    };
    // Made before, never changed, seen after.
    assert_eq!(
        user(vec![changed(-900), seen(900, BOB)]),
        of("exact", &[BOB])
    );
    assert_eq!(
        user(vec![changed(-900), ended, seen(900, BOB)]),
        of("exact", &[BOB])
    );
    // Changed in between, to whatever it was seen to be.
    assert_eq!(
        user(vec![changed(-900), changed(500), seen(900, BOB)]),
        of("ambiguous", &[BOB])
    );
    assert_eq!(
        user(vec![seen(-900, ANN), changed(-500)]),
        of("ambiguous", &[ANN])
    );
    // What happened before it was seen is not known to be seen.
    assert_eq!(user(vec![seen(900, BOB)]), of("strong", &[BOB]));
    assert_eq!(
        user(vec![seen(-900, ANN), seen(900, BOB)]),
        of("ambiguous", &[ANN, BOB])
    );
    assert_eq!(
        user(vec![seen(-900, ANN), seen(900, ANN)]),
        of("exact", &[ANN])
    );
    // Changed once between the two, one of them holds for it; twice, neither need.
    assert_eq!(
        user(vec![seen(-900, ANN), changed(500), seen(900, ANN)]),
        of("exact", &[ANN])
    );
    assert_eq!(
        user(vec![
            seen(-900, ANN),
            changed(-500),
            changed(500),
            seen(900, ANN)
        ]),
        of("ambiguous", &[ANN])
    );
}

#[test]
fn a_run_on_a_shared_cluster_is_not_alone_where_others_would_not_show() {
    let answer = |facts: DatabricksFacts| {
        let facts = DatabricksFacts {
            instance_events: vec![placed(0, "c1")],
            clusters: vec![cluster("c1", "UI")],
            task_runs: vec![task("9", "901", "1", "c1", 0, 600)],
            jobs: vec![job("9", "1")],
            ..facts
        };
        let answer = scoped().answer(&world(&[], &[]).with_databricks(facts));
        (told(&answer), answer.job_confidence.as_str())
    };
    assert_eq!(answer(known()), (of("strong", &[ANN]), "strong"));
    // Nobody's commands are ever told.
    let terse = DatabricksFacts {
        commands: Vec::new(),
        ..known()
    };
    assert_eq!(answer(terse), (of("ambiguous", &[ANN]), "ambiguous"));
    // That they are told at one time says nothing of another, or of another workspace.
    for (days, workspace, are_told) in [
        (-4, "w1", false),
        (-2, "w1", true),
        (-2, "w2", false),
        (2, "w1", false),
    ] {
        let seen = CommandRun {
            workspace_id: some(workspace),
            ..command("far", days * 86_400, "far", BOB)
        };
        let facts = DatabricksFacts {
            commands: vec![seen],
            ..known()
        };
        let expect = if are_told { "strong" } else { "ambiguous" };
        assert_eq!(answer(facts).1, expect, "{days} {workspace}");
    }
    assert_eq!(answer(unread()).0, of("ambiguous", &[ANN]));
}

/// A session of the storage credential that shows no policy.
fn bare(event_id: &str, key: &str, seconds: i64) -> StsSession {
    StsSession {
        issued_at: at(seconds),
        expires_at: Some(at(seconds + 3600)),
        ..issued(event_id, UC_ROLE, "databricks", key, account(DATABRICKS))
    }
}

/// What is said of a read with the key of the first session.
fn reader(sessions: &[StsSession], vends: Vec<Vend>, outcome: Outcome) -> (String, Vec<String>) {
    let facts = DatabricksFacts { vends, ..known() };
    let index = configured(sessions, &[]).with_databricks(facts);
    let mut asked = Asked::of(role_session(UC_ROLE, "databricks", "ASIA1"));
    asked.target.bucket = some("lake");
    let asked = asked.key("sales/orders/a").at(20);
    let access = AccessEvent {
        outcome,
        ..asked.access()
    };
    told(&attribute(&access, &index))
}

#[test]
fn who_reads_what_was_refused_is_not_who_may_read_it() {
    let ann = || vec![vend("v", 1, ANN, "s3://lake/sales/")];
    let own = [bare("sts", "ASIA1", 0)];
    assert_eq!(reader(&own, ann(), Outcome::Ok), of("strong", &[ANN]));
    assert_eq!(reader(&own, ann(), Outcome::Error), of("strong", &[ANN]));
    assert_eq!(reader(&own, ann(), Outcome::Denied), of("none", &[]));
}

#[test]
fn a_vend_that_led_to_another_session_does_not_explain_this_key() {
    let own = bare("sts", "ASIA1", 0);
    let others = bare("sts2", "ASIA2", 10);
    let bob = || vec![vend("v", 10, BOB, "s3://lake/sales/")];
    let unsure = of("ambiguous", &[BOB]);
    assert_eq!(reader(&[own.clone(), others], bob(), Outcome::Ok), unsure);
    // Nor does one that came after the access.
    let after = vec![vend("v", 40, BOB, "s3://lake/sales/")];
    assert_eq!(reader(&[own], after, Outcome::Ok), of("ambiguous", &[BOB]));
}

#[test]
fn somebody_outside_makes_somebody_inside_unsure() {
    let mut shared = vend("w", 3, ANN, "s3://lake/sales/");
    shared.recipient_name = some("partner");
    let vends = vec![vend("v", 1, ANN, "s3://lake/sales/"), shared];
    let own = [bare("sts", "ASIA1", 0)];
    assert_eq!(reader(&own, vends, Outcome::Ok), of("ambiguous", &[ANN]));
}

#[test]
fn a_vend_that_reused_a_session_is_not_the_one_with_a_session_of_its_own() {
    // B's vend for reading was answered with A's key; C's, half a minute later, is for
    // writing, and got a session of its own.
    let may = |mut session: StsSession, actions: &[&str]| {
        session.policy_prefixes = vec!["s3://lake/sales/".to_owned()];
        session.policy_actions = actions.iter().map(ToString::to_string).collect();
        session
    };
    let sessions = [
        may(bare("sts", "ASIA1", 0), &["s3:GetObject"]),
        may(
            bare("sts2", "ASIA2", 130),
            &["s3:GetObject", "s3:PutObject"],
        ),
    ];
    let writes = |id: &str, seconds, whom| Vend {
        operation: VendOperation::Write,
        ..vend(id, seconds, whom, "s3://lake/sales/")
    };
    check_unsure_of(
        BOB,
        &sessions,
        vec![
            vend("a", 1, ANN, "s3://lake/sales/"),
            vend("b", 100, BOB, "s3://lake/sales/"),
            writes("c", 130, ETL),
        ],
    );
    // B's vend for writing was answered with A's key; C's, half a minute later, is for
    // reading, and got a session of its own.
    let sessions = [
        may(bare("sts", "ASIA1", 0), &["s3:GetObject", "s3:PutObject"]),
        may(bare("sts2", "ASIA2", 130), &["s3:GetObject"]),
    ];
    check_unsure_of(
        BOB,
        &sessions,
        vec![
            writes("a", 1, ANN),
            writes("b", 100, BOB),
            vend("c", 130, ETL, "s3://lake/sales/"),
        ],
    );
}

/// The first session's key may be of the one as well.
#[track_caller]
fn check_unsure_of(whom: &str, sessions: &[StsSession], vends: Vec<Vend>) {
    let facts = DatabricksFacts { vends, ..known() };
    let index = configured(sessions, &[]).with_databricks(facts);
    let mut asked = Asked::of(role_session(UC_ROLE, "databricks", "ASIA1"));
    asked.target.bucket = some("lake");
    let answer = asked.key("sales/orders/a").at(200).answer(&index);
    assert_eq!(answer.principal_confidence.as_str(), "ambiguous");
    assert!(answer.principal_candidates.iter().any(|name| name == whom));
}
