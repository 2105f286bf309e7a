//! Facts that contradict themselves: confidence drops, nothing wrong is exact.

use super::lake_facts::*;
use super::*;
use crate::model::{Cluster, DatabricksFacts, InstanceEvent, Job, TaskRun};

fn scoped() -> Asked {
    Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE))
}

fn answer(facts: DatabricksFacts) -> Attribution {
    scoped().answer(&world(&[], &[]).with_databricks(facts))
}

#[test]
fn an_instance_placed_twice_at_one_moment_is_on_either_cluster() {
    let answer = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1"), placed(0, "c2")],
        clusters: vec![dedicated("c1", ANN), dedicated("c2", BOB)],
        ..known()
    });
    assert_eq!(answer.cluster_confidence.as_str(), "ambiguous");
    assert_eq!(answer.principal_candidates, [ANN, BOB]);
}

#[test]
fn an_instance_placed_and_ended_at_one_moment_is_not_sure() {
    let answer = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1"), state(0, "INSTANCE_TERMINATED")],
        ..known()
    });
    assert_eq!(answer.cluster_confidence.as_str(), "ambiguous");
}

#[test]
fn an_instance_id_used_again_in_another_workspace_counts_by_its_times() {
    let again = InstanceEvent {
        workspace_id: "w2".to_owned(),
        ..placed(5000, "c2")
    };
    let facts = DatabricksFacts {
        instance_events: vec![placed(0, "c1"), state(1000, "INSTANCE_TERMINATED"), again],
        ..known()
    };
    let index = world(&[], &[]).with_databricks(facts);
    let of = |seconds| scoped().at(seconds).answer(&index).workspace_id;
    assert_eq!(of(500), some("w1"));
    assert_eq!(of(3000), None);
    assert_eq!(of(6000), some("w2"));
}

#[test]
fn one_job_id_in_two_workspaces_is_two_jobs() {
    let other = |run: TaskRun| TaskRun {
        workspace_id: "w2".to_owned(),
        ..run
    };
    let elsewhere = Job {
        workspace_id: "w2".to_owned(),
        ..job("7", "2")
    };
    let answer = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![cluster("c1", "JOB")],
        jobs: vec![job("7", "1"), elsewhere],
        task_runs: vec![
            task("7", "901", "1", "c1", 0, 600),
            other(task("7", "905", "5", "c1", 0, 600)),
        ],
        ..known()
    });
    assert_eq!(answer.job_run_id.as_deref(), Some("901"));
    assert_eq!(answer.principal.as_deref(), Some(ANN));
}

#[test]
fn a_cluster_id_in_two_workspaces_has_no_workspace_by_its_tag() {
    let elsewhere = Cluster {
        workspace_id: some("w2"),
        ..cluster("c1", "UI")
    };
    let facts = DatabricksFacts {
        clusters: vec![cluster("c1", "UI"), elsewhere],
        ..known()
    };
    let launch = ec2(
        "run",
        "RunInstances",
        0,
        &[("Vendor", "Databricks"), ("ClusterId", "c1")],
    );
    let answer = scoped().answer(&world(&[], &[launch]).with_databricks(facts));
    assert_eq!(answer.cluster_confidence.as_str(), "exact");
    assert_eq!(answer.workspace_id, None);
}

#[test]
fn rows_of_one_time_that_disagree_choose_nobody() {
    let two_users = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![dedicated("c1", ANN), dedicated("c1", BOB)],
        ..known()
    });
    assert_eq!(two_users.principal_confidence.as_str(), "ambiguous");
    assert_eq!(two_users.principal_candidates, [ANN, BOB]);
    let two_modes = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![dedicated("c1", ANN), cluster("c1", "UI")],
        ..known()
    });
    assert_eq!(two_modes.principal, None);
    let two_rights = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![cluster("c1", "JOB")],
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        jobs: vec![job("7", "1"), job("7", "2")],
        ..known()
    });
    assert_eq!(two_rights.job_confidence.as_str(), "exact");
    assert_eq!(two_rights.principal_candidates, [ANN, BOB]);
}

#[test]
fn rights_changed_within_the_skew_of_the_start_are_both_possible() {
    let changed = |seconds, run_as: &str| Job {
        changed_at: at(seconds),
        ..job("7", run_as)
    };
    let of = |seconds| {
        let answer = answer(DatabricksFacts {
            instance_events: vec![placed(0, "c1")],
            clusters: vec![cluster("c1", "JOB")],
            task_runs: vec![task("7", "901", "1", "c1", 50, 600)],
            jobs: vec![changed(-1000, "1"), changed(seconds, "2")],
            ..known()
        });
        (answer.principal, answer.principal_candidates.len())
    };
    assert_eq!(of(44), (some(BOB), 0));
    assert_eq!(of(48), (None, 2));
    assert_eq!(of(53), (None, 2));
    assert_eq!(of(56), (some(ANN), 0));
}

#[test]
fn a_users_name_that_changed_over_time_is_not_exact() {
    let later = Cluster {
        changed_at: at(5000),
        ..dedicated("c1", BOB)
    };
    let answer = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![later, dedicated("c1", ANN)],
        ..known()
    });
    assert_eq!(answer.principal_confidence.as_str(), "ambiguous");
    assert_eq!(answer.principal_candidates, [ANN, BOB]);
}

#[test]
fn a_runs_task_told_to_belong_to_two_job_runs_has_no_run() {
    let answer = answer(DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![cluster("c1", "JOB")],
        task_runs: vec![
            task("7", "901", "1", "c1", 0, 600),
            task("7", "902", "1", "c1", 0, 600),
        ],
        ..known()
    });
    assert_eq!(answer.job_id.as_deref(), Some("7"));
    assert_eq!(answer.job_run_id, None);
}
