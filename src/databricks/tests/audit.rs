//! The audit log: table and delivery files, old and new spellings.

use super::*;
use crate::model::databricks::{
    CommandRun, GroupChange, ShareQuery, TaskRun, TaskRunSource, Vend, VendOperation,
};

const TABLE: &str = "system.access.audit/part-0.json";
const DELIVERED: &str = "auditlogs/workspaceId=0/date=2025-09-23/auditlogs_1.json";

/// The vend of facts-identity 6.3, in the form of delivery files.
const FILE_VEND: &str = r#"{"version":"2.0","auditLevel":"ACCOUNT_LEVEL","timestamp":1758621600123,"orgId":"0","shardName":"shard","accountId":"23e22ba4","sourceIPAddress":"10.30.0.242:44312","userAgent":"Databricks-Service/driver","sessionId":null,"userIdentity":{"email":"etl-sp","subjectName":null},"serviceName":"unityCatalog","actionName":"generateTemporaryTableCredential","requestId":"ServiceMain-4529754264","requestParams":{"metastore_id":"m-1","workspace_id":"1234567890123456","operation":"READ","table_full_name":"prod.sales.orders","table_id":"5c1c","table_url":"s3://lake/sales/orders"},"response":{"statusCode":200,"errorMessage":null,"result":null}}"#;

/// The same event as a row of the table.
const TABLE_VEND: &str = r#"{"event_id":"e-1","event_time":"2025-09-23T10:00:00.123Z","workspace_id":0,"source_ip_address":"10.30.0.242","user_agent":"Databricks-Service/driver","user_identity":{"email":"etl-sp"},"service_name":"unityCatalog","action_name":"generateTemporaryTableCredential","request_id":"ServiceMain-4529754264","request_params":{"metastore_id":"m-1","workspace_id":"1234567890123456","operation":"READ","table_full_name":"prod.sales.orders","table_id":"5c1c","table_url":"s3://lake/sales/orders"},"response":{"status_code":200},"audit_level":"ACCOUNT_LEVEL"}"#;

fn vend(source_id: &str) -> Vend {
    Vend {
        source_id: source_id.to_owned(),
        at: UtcMicros(1_758_621_600_123_000),
        workspace_id: some("1234567890123456"),
        metastore_id: some("m-1"),
        actor: some("etl-sp"),
        operation: VendOperation::Read,
        location: some("s3://lake/sales/orders"),
        table_full_name: some("prod.sales.orders"),
        table_id: some("5c1c"),
        status_code: Some(200),
        source_ip: some("10.30.0.242"),
        user_agent: some("Databricks-Service/driver"),
        ..Vend::default()
    }
}

const FILE_VEND_ID: &str =
    "auditlogs:ServiceMain-4529754264@1758621600123/generateTemporaryTableCredential";

#[test]
fn a_vend_is_the_same_in_a_delivery_file_and_in_the_table() {
    assert_eq!(
        Exports::of(DELIVERED, FILE_VEND).facts().vends,
        [vend(FILE_VEND_ID)]
    );
    assert_eq!(
        Exports::of(TABLE, TABLE_VEND).facts().vends,
        [vend("audit:e-1")]
    );
}

#[test]
fn a_vend_in_both_forms_is_one_vend() {
    let exports = Exports::of(DELIVERED, FILE_VEND);
    exports.put(TABLE, TABLE_VEND.as_bytes());
    assert_eq!(exports.facts().vends, [vend("audit:e-1")]);
}

#[test]
fn files_that_overlap_are_read_once() {
    let exports = Exports::of(DELIVERED, &format!("{FILE_VEND}\n{FILE_VEND}\n"));
    let again = "auditlogs/workspaceId=0/date=2025-09-24/auditlogs_2.json.gz";
    exports.put(again, &gzip(FILE_VEND.as_bytes()));
    assert_eq!(exports.facts().vends.len(), 1);
}

#[test]
fn structs_may_be_json_text() {
    let text = TABLE_VEND
        .replace(r#"{"email":"etl-sp"}"#, r#""{\"email\":\"etl-sp\"}""#)
        .replace(r#"{"status_code":200}"#, r#""{\"statusCode\":200}""#);
    assert_eq!(Exports::of(TABLE, &text).facts().vends, [vend("audit:e-1")]);
}

#[track_caller]
fn check_operation(action: &str, operation: &str, expect: VendOperation) {
    let text = TABLE_VEND
        .replace("generateTemporaryTableCredential", action)
        .replace("\"READ\"", &format!("\"{operation}\""));
    let vends = Exports::of(TABLE, &text).facts().vends;
    assert_eq!(
        vends.first().map(|vend| vend.operation),
        Some(expect),
        "{action} {operation}"
    );
}

#[test]
fn all_spellings_of_a_vend_are_vends() {
    check_operation(
        "generateTemporaryTableCredentials",
        "READ_WRITE",
        VendOperation::Write,
    );
    check_operation(
        "generateTemporaryPathCredential",
        "PATH_CREATE_TABLE",
        VendOperation::Write,
    );
    check_operation(
        "generateTemporaryPathCredentials",
        "PATH_READ",
        VendOperation::Read,
    );
    check_operation(
        "generateTemporaryVolumeCredential",
        "READ_VOLUME",
        VendOperation::Read,
    );
    check_operation(
        "generateTemporaryVolumeCredentials",
        "WRITE_VOLUME",
        VendOperation::Write,
    );
    check_operation(
        "generateTemporaryVolumeCredentials",
        "",
        VendOperation::Unknown,
    );
}

#[test]
fn an_issued_key_and_a_cluster_are_read_where_a_vend_names_them() {
    let text = TABLE_VEND.replace(
        r#""response":{"status_code":200}"#,
        r#""response":{"status_code":200,"result":"{\"cluster_id\":\"c-1\",\"aws_temp_credentials\":{\"access_key_id\":\"ASIAONE\",\"session_token\":\"secret\"}}"}"#,
    );
    let facts = Exports::of(TABLE, &text).facts();
    let expect = Vend {
        access_key_id: some("ASIAONE"),
        cluster_id: some("c-1"),
        ..vend("audit:e-1")
    };
    assert_eq!(facts.vends, [expect]);
    assert!(!format!("{facts:?}").contains("secret"));
}

/// An audit row with its action and parameters.
fn row(id: &str, time: &str, service: &str, action: &str, parameters: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_time":"{time}","workspace_id":"11","user_identity":{{"email":"a@example.com"}},"service_name":"{service}","action_name":"{action}","request_params":{parameters},"response":{{"status_code":200}}}}"#
    )
}

const RUN: &str = r#"{"jobId":"7","runId":"91","multitaskParentRunId":"90","taskKey":"load","clusterId":"c-1","jobTerminalState":"","orgId":"11"}"#;

fn run() -> TaskRun {
    TaskRun {
        workspace_id: "11".to_owned(),
        job_id: "7".to_owned(),
        job_run_id: some("90"),
        task_run_id: "91".to_owned(),
        task_key: some("load"),
        start: at("2026-11-20T10:00:00Z"),
        end: None,
        compute_ids: vec!["c-1".to_owned()],
        source: TaskRunSource::Audit,
        source_ids: vec!["audit:s".to_owned()],
    }
}

#[test]
fn the_start_and_the_end_of_a_run_are_one_task_run() {
    let start = row("s", "2026-11-20T10:00:00Z", "jobs", "runStart", RUN);
    assert_eq!(Exports::of(TABLE, &start).facts().task_runs, [run()]);
    for action in ["runSucceeded", "runFailed"] {
        let end = row("e", "2026-11-20T10:05:00Z", "jobs", action, RUN);
        let expect = TaskRun {
            end: Some(at("2026-11-20T10:05:00Z")),
            source_ids: vec!["audit:e".to_owned(), "audit:s".to_owned()],
            ..run()
        };
        for text in [format!("{start}\n{end}"), format!("{end}\n{start}")] {
            assert_eq!(
                Exports::of(TABLE, &text).facts().task_runs,
                std::slice::from_ref(&expect)
            );
        }
    }
}

#[test]
fn a_run_of_which_only_the_end_is_known_was_there_at_its_end() {
    let end = row("s", "2026-11-20T10:00:00Z", "jobs", "runFailed", RUN);
    let expect = TaskRun {
        end: Some(at("2026-11-20T10:00:00Z")),
        ..run()
    };
    assert_eq!(Exports::of(TABLE, &end).facts().task_runs, [expect]);
}

#[test]
fn verbose_events_tell_who_was_at_work_and_never_what_was_run() {
    let parameters = r#"{"clusterId":"c-1","notebookId":"5","commandText":"SELECT secret"}"#;
    let text = row(
        "v",
        "2026-11-20T10:00:00Z",
        "notebook",
        "runCommand",
        parameters,
    );
    let facts = Exports::of(TABLE, &text).facts();
    let expect = CommandRun {
        source_id: "audit:v".to_owned(),
        at: at("2026-11-20T10:00:00Z"),
        workspace_id: some("11"),
        cluster_id: "c-1".to_owned(),
        actor: "a@example.com".to_owned(),
        run_by: None,
    };
    assert_eq!(facts.commands, [expect]);
    assert!(!format!("{facts:?}").contains("secret"));
}

#[test]
fn a_query_of_a_share_has_its_details_in_the_result() {
    let text = r#"{"event_id":"q","event_time":"2026-11-20T10:00:00Z","workspace_id":"0","service_name":"unityCatalog","action_name":"deltaSharingQueriedTable","request_params":{"share":"sales","recipient_name":"partner"},"response":{"status_code":200,"result":"{\"tableName\":\"orders\",\"tableId\":\"t-1\",\"path\":\"s3://lake/sales/orders\"}"}}"#;
    let expect = ShareQuery {
        source_id: "audit:q".to_owned(),
        at: at("2026-11-20T10:00:00Z"),
        workspace_id: None,
        recipient: some("partner"),
        share_name: some("sales"),
        table_name: some("orders"),
        table_id: some("t-1"),
        path: some("s3://lake/sales/orders"),
    };
    assert_eq!(Exports::of(TABLE, text).facts().share_queries, [expect]);
}

#[test]
fn group_changes_are_read_unless_they_were_refused() {
    let added = row(
        "g1",
        "2026-11-20T10:00:00Z",
        "accounts",
        "addPrincipalToGroup",
        r#"{"targetUserName":"b@example.com","targetGroupName":"etl","targetGroupId":"7012"}"#,
    );
    let removed = row(
        "g2",
        "2026-11-20T11:00:00Z",
        "accounts",
        "removePrincipalFromGroup",
        r#"{"target_user_name":"b@example.com","targetGroupId":"7012"}"#,
    );
    let refused = added.replace("g1", "g3").replace("200", "403");
    let change = |id: &str, time: &str, added, group_name| GroupChange {
        source_id: format!("audit:{id}"),
        at: at(time),
        added,
        group_id: some("7012"),
        group_name,
        member: "b@example.com".to_owned(),
    };
    assert_eq!(
        Exports::of(TABLE, &format!("{added}\n{removed}\n{refused}"))
            .facts()
            .group_changes,
        [
            change("g1", "2026-11-20T10:00:00Z", true, some("etl")),
            change("g2", "2026-11-20T11:00:00Z", false, None),
        ]
    );
}

#[test]
fn every_event_counts_for_the_watermark_and_none_of_the_future() {
    let other = row("o", "2026-11-21T10:00:00Z", "secrets", "getSecret", "{}");
    let future = row("f", "2031-01-01T00:00:00Z", "secrets", "getSecret", "{}");
    let (facts, report) = Exports::of(TABLE, &format!("{TABLE_VEND}\n{other}\n{future}")).read();
    let newest = Some(at("2026-11-21T10:00:00Z"));
    assert_eq!(only(report).newest, newest);
    assert_eq!(
        facts.watermarks.first().map(|mark| mark.newest),
        Some(newest)
    );
}

#[test]
fn a_stream_of_which_a_file_is_missing_has_passed_nothing() {
    let exports = Exports::of(TABLE, TABLE_VEND);
    exports.put("system.access.audit/z.parquet", b"PAR1 and no more");
    let (facts, report) = exports.read();
    let source = only(report);
    assert_eq!((source.bad_files, source.rows), (1, 1));
    assert!(source.newest.is_some());
    assert_eq!(facts.watermarks.first().map(|mark| mark.newest), Some(None));
    assert_eq!(facts.vends.len(), 1, "the rest is used");
}
