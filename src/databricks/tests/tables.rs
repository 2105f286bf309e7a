//! The compute, lakeflow, query and lineage tables.

use super::*;
use crate::model::databricks::{
    Cluster, ClusterAccess, ClusterNode, InstanceEvent, Job, JobRun, Lineage, Statement, TaskRun,
    Workspace,
};

#[test]
fn an_instance_is_placed_on_one_cluster_after_another() {
    let text = r#"{"workspace_id":11,"instance_id":"i-1","event_time":"2026-11-20T10:00:00Z","event_type":"STATE_TRANSITION","state":"INSTANCE_PLACED","cluster_id":"c-1","instance_pool_id":"p-1","node_type":"m5"}
{"workspace_id":"11","instance_id":"i-1","event_time":"2026-11-20T11:00:00Z","event_type":"STATE_TRANSITION","state":"INSTANCE_READY","cluster_id":"","instance_pool_id":"p-1"}
{"workspace_id":"11","instance_id":"i-1","event_time":"2026-11-20T09:00:00Z","event_type":"INSTANCE_LAUNCHING"}
"#;
    let event =
        |time: &str, state: &str, cluster_id: Option<&str>, pool: Option<&str>| InstanceEvent {
            workspace_id: "11".to_owned(),
            instance_id: "i-1".to_owned(),
            at: at(time),
            state: state.to_owned(),
            cluster_id: cluster_id.map(str::to_owned),
            instance_pool_id: pool.map(str::to_owned),
        };
    assert_eq!(
        Exports::of("system.compute.instance_events/a.jsonl", text)
            .facts()
            .instance_events,
        [
            event("2026-11-20T09:00:00Z", "INSTANCE_LAUNCHING", None, None),
            event(
                "2026-11-20T10:00:00Z",
                "INSTANCE_PLACED",
                Some("c-1"),
                Some("p-1")
            ),
            event("2026-11-20T11:00:00Z", "INSTANCE_READY", None, Some("p-1")),
        ]
    );
}

#[test]
fn minutes_of_a_node_are_one_interval_unless_its_address_changes() {
    let minute = |start: &str, end: &str, ip: &str| {
        format!(
            r#"{{"workspace_id":"11","cluster_id":"c-1","instance_id":"i-1","start_time":"2026-11-20T{start}Z","end_time":"2026-11-20T{end}Z","driver":true,"private_ip":{ip}}}"#
        )
    };
    let text = [
        minute("10:01:00", "10:02:00", "\"10.0.0.1\""),
        minute("10:00:00", "10:01:00", "\"10.0.0.1\""),
        minute("10:01:00", "10:02:00", "\"10.0.0.1\""),
        minute("10:07:00", "10:08:00", "\"10.0.0.1\""),
        minute("10:02:00", "10:03:00", "\"10.0.0.2\""),
    ]
    .join("\n");
    let node = |start: &str, end: &str, ip: &str| ClusterNode {
        workspace_id: some("11"),
        cluster_id: "c-1".to_owned(),
        instance_id: "i-1".to_owned(),
        start: at(&format!("2026-11-20T{start}Z")),
        end: Some(at(&format!("2026-11-20T{end}Z"))),
        private_ip: some(ip),
        ..ClusterNode::default()
    };
    assert_eq!(
        Exports::of("system.compute.node_timeline/a.json", &text)
            .facts()
            .nodes,
        [
            node("10:00:00", "10:02:00", "10.0.0.1"),
            node("10:07:00", "10:08:00", "10.0.0.1"),
            node("10:02:00", "10:03:00", "10.0.0.2"),
        ]
    );
}

#[test]
fn a_cluster_has_a_row_for_each_change_and_repeated_rows_are_one() {
    let first = r#"{"workspace_id":"11","cluster_id":"c-1","cluster_name":"etl","owned_by":"a@example.com","create_time":"2026-11-01T00:00:00Z","delete_time":null,"cluster_source":"UI","change_time":"2026-11-01T00:00:00Z","data_security_mode":"USER_ISOLATION","aws_attributes":{"instance_profile_arn":"arn:p"},"driver_instance_pool_id":"p-1"}"#;
    let second = first
        .replace(
            r#""change_time":"2026-11-01"#,
            r#""change_time":"2026-11-02"#,
        )
        .replace("USER_ISOLATION", "DATA_SECURITY_MODE_DEDICATED");
    let text = format!("{second}\n{first}\n{second}\n");
    let cluster = |changed_at: &str, access| Cluster {
        workspace_id: some("11"),
        cluster_id: "c-1".to_owned(),
        changed_at: at(changed_at),
        created_at: Some(at("2026-11-01T00:00:00Z")),
        cluster_name: some("etl"),
        owned_by: some("a@example.com"),
        cluster_source: some("UI"),
        access,
        instance_pool_id: some("p-1"),
        instance_profile_arn: some("arn:p"),
        ..Cluster::default()
    };
    assert_eq!(
        Exports::of("system.compute.clusters/a.json", &text)
            .facts()
            .clusters,
        [
            cluster("2026-11-01T00:00:00Z", ClusterAccess::Shared),
            cluster("2026-11-02T00:00:00Z", ClusterAccess::Dedicated),
        ]
    );
}

#[test]
fn a_job_is_known_by_workspace_and_id() {
    let text = r#"{"workspace_id":11,"job_id":7,"name":"nightly","creator_id":501,"run_as":"502","change_time":"2026-11-01 00:00:00","delete_time":""}
{"workspace_id":12,"job_id":7,"name":"other","change_time":"2026-11-01 00:00:00"}"#;
    let facts = Exports::of("system.lakeflow.jobs/a.json", text).facts();
    let nightly = Job {
        workspace_id: "11".to_owned(),
        job_id: "7".to_owned(),
        changed_at: at("2026-11-01T00:00:00Z"),
        deleted_at: None,
        name: some("nightly"),
        run_as: some("502"),
        creator_id: some("501"),
        tags: Vec::new(),
    };
    assert_eq!(facts.jobs.len(), 2);
    assert_eq!(facts.jobs.first(), Some(&nightly));
}

const TASK_RUNS: &str = "system.lakeflow.job_task_run_timeline/a.json";

fn slice(start: &str, end: &str, more: &str) -> String {
    format!(
        r#"{{"workspace_id":"11","job_id":"7","run_id":"91","job_run_id":"90","period_start_time":"2026-11-20T{start}Z","period_end_time":"2026-11-20T{end}Z","task_key":"load"{more}}}"#
    )
}

fn task_run(start: &str, end: Option<&str>) -> TaskRun {
    TaskRun {
        workspace_id: "11".to_owned(),
        job_id: "7".to_owned(),
        job_run_id: some("90"),
        task_run_id: "91".to_owned(),
        task_key: some("load"),
        start: at(&format!("2026-11-20T{start}Z")),
        end: end.map(|end| at(&format!("2026-11-20T{end}Z"))),
        source_ids: vec!["job_task_run_timeline:11/91".to_owned()],
        ..TaskRun::default()
    }
}

#[test]
fn hourly_slices_are_one_run() {
    let text = [
        slice(
            "11:00:00",
            "11:20:00",
            r#","result_state":"SUCCEEDED","compute_ids":["c-1"]"#,
        ),
        slice("09:30:00", "10:00:00", r#","compute_ids":["c-1","w-1"]"#),
        slice(
            "10:00:00",
            "11:00:00",
            r#","compute":[{"type":"CLUSTER","cluster_id":"c-2"}]"#,
        ),
    ]
    .join("\n");
    let expect = TaskRun {
        compute_ids: ["c-1", "c-2", "w-1"].map(str::to_owned).to_vec(),
        ..task_run("09:30:00", Some("11:20:00"))
    };
    assert_eq!(Exports::of(TASK_RUNS, &text).facts().task_runs, [expect]);
}

#[test]
fn a_run_without_result_goes_on_while_its_next_slice_may_come() {
    let other = |end: &str| {
        slice("09:00:00", end, r#","result_state":"FAILED""#).replace("\"91\"", "\"95\"")
    };
    let open = slice("09:30:00", "10:00:00", r#","result_state":null"#);
    for (newest, end) in [("10:30:00", None), ("12:00:01", Some("10:00:00"))] {
        let text = format!("{open}\n{}", other(newest));
        let runs = Exports::of(TASK_RUNS, &text).facts().task_runs;
        assert_eq!(runs.first(), Some(&task_run("09:30:00", end)), "{newest}");
    }
}

#[test]
fn without_results_a_run_ends_with_its_last_slice_and_old_rows_lack_the_job_run() {
    let text = slice("09:30:00", "10:00:00", "").replace(r#""job_run_id":"90","#, "");
    let expect = TaskRun {
        job_run_id: None,
        ..task_run("09:30:00", Some("10:00:00"))
    };
    assert_eq!(Exports::of(TASK_RUNS, &text).facts().task_runs, [expect]);
}

#[test]
fn a_job_run_has_its_type_and_compute() {
    let text = r#"{"workspace_id":"11","job_id":"7","run_id":"90","period_start_time":1795168800000,"period_end_time":1795169400000,"run_type":"JOB_RUN","compute_ids":"[\"c-1\"]","result_state":"SUCCEEDED"}"#;
    let expect = JobRun {
        workspace_id: "11".to_owned(),
        job_id: "7".to_owned(),
        job_run_id: "90".to_owned(),
        start: UtcMicros(1_795_168_800_000_000),
        end: Some(UtcMicros(1_795_169_400_000_000)),
        run_type: some("JOB_RUN"),
        compute_ids: vec!["c-1".to_owned()],
    };
    let exports = Exports::of("system.lakeflow.job_run_timeline/a.json", text);
    assert_eq!(exports.facts().job_runs, [expect]);
}

#[test]
fn a_statement_names_its_compute_and_its_job() {
    let text = r#"{"statement_id":"s-1","workspace_id":"11","start_time":"2026-11-20T10:00:00Z","end_time":"2026-11-20T10:01:00Z","executed_by":"a@example.com","executed_as":"b@example.com","compute":{"type":"WAREHOUSE","cluster_id":null,"warehouse_id":"w-1"},"query_source":{"job_info":{"job_id":7,"job_run_id":90,"job_task_key":"load","job_task_run_id":91}},"read_files":"12","written_files":0,"from_result_cache":false,"statement_text":"SELECT secret"}"#;
    let facts = Exports::of("system.query.history/a.json", text).facts();
    let expect = Statement {
        statement_id: "s-1".to_owned(),
        workspace_id: "11".to_owned(),
        start: at("2026-11-20T10:00:00Z"),
        end: Some(at("2026-11-20T10:01:00Z")),
        executed_by: some("a@example.com"),
        executed_as: some("b@example.com"),
        warehouse_id: some("w-1"),
        compute_type: some("WAREHOUSE"),
        job_id: some("7"),
        job_run_id: some("90"),
        task_key: some("load"),
        task_run_id: some("91"),
        read_files: Some(12),
        written_files: Some(0),
        from_result_cache: false,
    };
    assert_eq!(facts.statements, [expect]);
    assert!(!format!("{facts:?}").contains("secret"));
}

#[test]
fn lineage_names_paths_and_what_reached_them() {
    let text = r#"{"record_id":"r-1","event_id":"x","event_time":"2026-11-20T10:00:00Z","workspace_id":"11","metastore_id":"m-1","entity_type":"JOB","entity_id":"7","entity_run_id":"90","source_path":"s3://lake/a","target_path":null,"source_table_full_name":"p.s.a","created_by":"System-User","entity_metadata":{"job_info":{"job_id":"7","job_run_id":"90"}}}"#;
    let expect = Lineage {
        source_id: "lineage:r-1".to_owned(),
        at: at("2026-11-20T10:00:00Z"),
        workspace_id: "11".to_owned(),
        metastore_id: some("m-1"),
        entity_type: some("JOB"),
        entity_id: some("7"),
        entity_run_id: some("90"),
        source_path: some("s3://lake/a"),
        source_table: some("p.s.a"),
        created_by: some("System-User"),
        job_id: some("7"),
        job_run_id: some("90"),
        ..Lineage::default()
    };
    let exports = Exports::of("system.access.table_lineage/a.json", text);
    assert_eq!(exports.facts().lineage, [expect]);
}

#[test]
fn names_of_workspaces_are_a_snapshot() {
    let text =
        r#"{"workspace_id":"11","workspace_name":"prod","workspace_url":"https://p.example.com"}"#;
    let (facts, report) = Exports::of("system.access.workspaces_latest/a.json", text).read();
    let expect = Workspace {
        workspace_id: "11".to_owned(),
        name: some("prod"),
        url: some("https://p.example.com"),
    };
    assert_eq!(facts.workspaces, [expect]);
    assert!(only(report).snapshot_at.is_some());
}

#[test]
fn a_column_that_became_a_folder_is_read_from_its_name() {
    let text = r#"{"job_id":"7","change_time":"2026-11-01T00:00:00Z"}"#;
    let exports = Exports::of("system.lakeflow.jobs/workspace_id=11/_SUCCESS", "");
    exports.put(
        "system.lakeflow.jobs/workspace_id=11/part-0.json",
        text.as_bytes(),
    );
    let jobs = exports.facts().jobs;
    assert_eq!(
        jobs.first().map(|job| job.workspace_id.as_str()),
        Some("11")
    );
}
