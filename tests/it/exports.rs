//! `scan --databricks`: exports of every format, sound and damaged, into the lake,
//! once.

use super::world::*;
use bricktrail::databricks::read_exports;
use bricktrail::lake::Lake;
use bricktrail::lake::databricks::{import_databricks, read_databricks};
use bricktrail::lake::databricks_tables::{ImportedSource, TABLES};
use bricktrail::model::UtcMicros;
use bricktrail::model::databricks::DatabricksFacts;
use serde_json::{Value, json};
use std::path::Path;

/// 2026-11-24T00:00:00Z.
const NOW: UtcMicros = UtcMicros(1_795_478_400_000_000);

fn lines(rows: &[Value]) -> Vec<u8> {
    rows.iter()
        .map(|row| format!("{row}\n"))
        .collect::<String>()
        .into_bytes()
}

/// An audit row of the table.
fn audit(id: &str, service: &str, action: &str, parameters: Value) -> Value {
    json!({"event_id": id, "event_time": "2026-11-20T10:00:00.250Z", "workspace_id": "11",
        "user_identity": {"email": "a@example.com"}, "identity_metadata": {"run_by": "b@example.com"},
        "service_name": service, "action_name": action, "request_params": parameters,
        "source_ip_address": "10.0.0.7:443", "user_agent": "Databricks-Runtime",
        "response": {"status_code": 200, "result": "{\"tableName\":\"orders\",\"path\":\"s3://lake/orders\"}"}})
}

/// An organisation's exports with something for every table of the lake.
fn fill_exports(world: &World) {
    let put = |name: &str, bytes: &[u8]| world.put(&format!("exports/{name}"), bytes);
    let run = json!({"jobId": "7", "runId": "91", "multitaskParentRunId": "90", "taskKey": "load", "clusterId": "c-1"});
    let vend = json!({"workspace_id": "11", "metastore_id": "m-1", "operation": "READ_WRITE", "table_full_name": "p.s.orders",
        "table_id": "t-1", "volume_id": "v-1", "table_url": "s3://lake/orders", "recipient_name": "partner", "share_name": "s",
        "access_key_id": "ASIAONE", "cluster_id": "c-1"});
    put(
        "system.access.audit/event_date=2026-11-20/part-0.json.gz",
        &gzip(&lines(&[
            audit(
                "e-1",
                "unityCatalog",
                "generateTemporaryTableCredentials",
                vend,
            ),
            audit("e-2", "jobs", "runStart", run.clone()),
            audit("e-3", "jobs", "runSucceeded", run),
            audit(
                "e-4",
                "notebook",
                "runCommand",
                json!({"clusterId": "c-1", "commandText": "hidden-text"}),
            ),
            audit(
                "e-5",
                "unityCatalog",
                "deltaSharingQueriedTable",
                json!({"share": "s", "recipient_name": "partner", "table_id": "t-1"}),
            ),
            audit(
                "e-6",
                "accounts",
                "addPrincipalToGroup",
                json!({"targetUserName": "c@example.com", "targetGroupName": "etl", "targetGroupId": "7012"}),
            ),
        ])),
    );
    let delivered = json!({"timestamp": 1_795_168_800_250_i64, "orgId": "0", "serviceName": "unityCatalog", "requestId": "r-9",
        "actionName": "generateTemporaryPathCredential", "userIdentity": {"email": "d@example.com"},
        "requestParams": {"workspace_id": "11", "operation": "PATH_READ", "url": "s3://lake/raw"}, "response": {"statusCode": 403}});
    put(
        "auditlogs/workspaceId=0/date=2026-11-20/auditlogs_1.json",
        &lines(&[delivered.clone(), delivered]),
    );
    put(
        "system.compute.instance_events/a.jsonl",
        &lines(&[
            json!({"workspace_id": 11, "instance_id": "i-1", "event_time": "2026-11-20T09:00:00Z",
            "state": "INSTANCE_PLACED", "cluster_id": "c-1", "instance_pool_id": "p-1"}),
        ]),
    );
    put(
        "system.compute.node_timeline/a.json",
        &lines(&[
            json!({"workspace_id": "11", "cluster_id": "c-1", "instance_id": "i-1", "private_ip": "10.0.0.7",
            "start_time": "2026-11-20T09:00:00Z", "end_time": "2026-11-20T09:01:00Z"}),
        ]),
    );
    put(
        "system.compute.clusters/a.json",
        &lines(&[
            json!({"workspace_id": "11", "cluster_id": "c-1", "cluster_name": "etl", "owned_by": "a@example.com",
            "create_time": "2026-11-01T00:00:00Z", "delete_time": "2026-11-22T00:00:00Z", "cluster_source": "JOB",
            "change_time": "2026-11-02T00:00:00Z", "data_security_mode": "SINGLE_USER", "worker_instance_pool_id": "p-1"}),
        ]),
    );
    put(
        "system.lakeflow.jobs/a.json",
        &lines(&[
            json!({"workspace_id": "11", "job_id": "7", "name": "nightly", "creator_id": "501", "run_as": "502",
            "change_time": "2026-11-01T00:00:00Z", "delete_time": "2026-11-22T00:00:00Z"}),
        ]),
    );
    let slice = json!({"workspace_id": "11", "job_id": "7", "run_id": "90", "job_run_id": "90", "task_key": "load",
        "run_type": "JOB_RUN", "compute_ids": ["c-1", "w-1"], "result_state": "SUCCEEDED",
        "period_start_time": "2026-11-20T10:00:00Z", "period_end_time": "2026-11-20T10:05:00Z"});
    put(
        "system.lakeflow.job_run_timeline/a.json",
        &lines(std::slice::from_ref(&slice)),
    );
    put(
        "system.lakeflow.job_task_run_timeline/a.json",
        &lines(&[slice]),
    );
    put(
        "system.query.history/a.json",
        &lines(&[
            json!({"statement_id": "s-1", "workspace_id": "11", "start_time": "2026-11-20T10:00:00Z", "end_time": "2026-11-20T10:01:00Z",
            "executed_by": "a@example.com", "executed_as": "b@example.com", "compute": {"type": "WAREHOUSE", "warehouse_id": "w-1"},
            "query_source": {"job_info": {"job_id": "7", "job_run_id": "90", "job_task_key": "load", "job_task_run_id": "91"}},
            "read_files": 3, "written_files": 1, "from_result_cache": true}),
        ]),
    );
    put(
        "system.access.table_lineage/a.json",
        &lines(&[
            json!({"record_id": "r-1", "event_time": "2026-11-20T10:00:00Z", "workspace_id": "11", "metastore_id": "m-1",
            "entity_type": "JOB", "entity_id": "7", "entity_run_id": "90", "source_path": "s3://lake/a", "target_path": "s3://lake/b",
            "source_table_full_name": "p.s.a", "target_table_full_name": "p.s.b", "created_by": "a@example.com", "statement_id": "s-1",
            "entity_metadata": {"job_info": {"job_id": "7", "job_run_id": "90"}}}),
        ]),
    );
    put(
        "system.access.workspaces_latest/a.json",
        &lines(&[
            json!({"workspace_id": "11", "workspace_name": "prod", "workspace_url": "https://p.example.com"}),
        ]),
    );
    put(
        "clusters.json",
        json!({"clusters": [{"cluster_id": "c-1", "data_security_mode": "SINGLE_USER", "single_user_name": "a@example.com",
            "aws_attributes": {"instance_profile_arn": "arn:p"},
            "driver": {"instance_id": "i-1", "host_private_ip": "10.0.1.10", "private_ip": "10.0.17.2", "start_timestamp": 1_795_160_000_000_i64}}]})
        .to_string()
        .as_bytes(),
    );
    put(
        "unity-catalog/storage-credentials.json",
        json!({"storage_credentials": [{"id": "8e1c", "name": "sales", "metastore_id": "m-1", "created_at": 1_700_000_000_000_i64,
            "updated_at": 1_700_000_000_000_i64, "aws_iam_role": {"role_arn": "arn:aws:iam::111122223333:role/uc", "external_id": "x"}}]})
        .to_string()
        .as_bytes(),
    );
    put(
        "unity-catalog/external-locations.json",
        json!({"external_locations": [{"name": "sales", "url": "s3://lake", "credential_id": "8e1c", "credential_name": "sales",
            "metastore_id": "m-1", "read_only": true, "fallback": true, "created_at": 1_700_000_000_000_i64, "updated_at": 1_700_000_000_000_i64}]})
        .to_string()
        .as_bytes(),
    );
    put("scim/users.json", br#"{"Resources":[{"id":"501","userName":"a@example.com","displayName":"A","active":true}]}"#);
    put(
        "scim/service-principals.json",
        br#"{"Resources":[{"id":"502","applicationId":"6f9d","active":false}]}"#,
    );
    put("scim/groups.json", br#"{"Resources":[{"id":"7012","displayName":"etl","members":[{"value":"501"},{"value":"502"}]}]}"#);
}

/// A world with exports and one object of a trail.
fn world() -> World {
    let world = World::new();
    fill_exports(&world);
    let user = json!({"type": "IAMUser", "accountId": ACCOUNT, "accessKeyId": "AKIAEXAMPLE", "userName": "ann"});
    let at = "2026-11-20T10:00:00Z";
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "20261120T1000Z", "one"),
        &[get_object(&guid(1), at, user, "k")],
    );
    world
}

const SCAN: [&str; 3] = ["--databricks", "exports", "trail"];

/// Rows of each table of Databricks' facts.
fn rows(world: &World) -> Vec<(&'static str, i64)> {
    TABLES
        .iter()
        .map(|table| {
            (
                *table,
                world.number(&format!("SELECT count(*) FROM {table}")),
            )
        })
        .collect()
}

fn commits(world: &World) -> usize {
    files_below(&world.path("lake"))
        .iter()
        .filter(|path| path.to_string_lossy().contains("/databricks_"))
        .count()
}

#[test]
fn each_table_gets_its_rows_and_the_same_import_again_adds_none() {
    let world = world();
    let report = world.scan_with(&SCAN);
    let sources = report["databricks"]["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 17);
    for source in sources {
        assert_eq!(source["faults"], json!([]), "{source}");
    }
    let first = rows(&world);
    for (table, rows) in &first {
        assert!(*rows > 0, "{table} is empty");
    }
    let files = commits(&world);
    let again = world.scan_with(&SCAN);
    assert_eq!(again["databricks"]["rows_added"], json!({}));
    assert_eq!(rows(&world), first);
    assert_eq!(commits(&world), files, "nothing was committed");
}

#[test]
fn rows_say_what_the_exports_said() {
    let world = world();
    world.scan_with(&SCAN);
    let vends = world.query(
        "SELECT actor, workspace_id, operation, location, status_code, event_time \
         FROM databricks_vends ORDER BY actor",
    );
    assert_eq!(
        vends,
        [
            json!({"actor": "a@example.com", "workspace_id": "11", "operation": "write", "location": "s3://lake/orders",
                "status_code": 200, "event_time": "2026-11-20T10:00:00.250Z"}),
            json!({"actor": "d@example.com", "workspace_id": "11", "operation": "read", "location": "s3://lake/raw",
                "status_code": 403, "event_time": "2026-11-20T10:00:00.250Z"}),
        ]
    );
    assert_eq!(
        world.one("SELECT job_run_id, task_key, array_length(source_ids) AS ids FROM databricks_task_runs WHERE source = 'audit'"),
        json!({"job_run_id": "90", "task_key": "load", "ids": 2})
    );
    let text = files_below(&world.path("lake"))
        .iter()
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect::<Vec<u8>>();
    assert!(memchr::memmem::find(&text, b"hidden-text").is_none());
}

#[test]
fn what_came_since_the_last_import_is_added() {
    let world = world();
    world.scan_with(&SCAN);
    let before = rows(&world);
    world.put(
        "exports/system.lakeflow.jobs/b.json",
        &lines(&[
            json!({"workspace_id": "12", "job_id": "7", "change_time": "2026-11-03T00:00:00Z"}),
        ]),
    );
    let report = world.scan_with(&SCAN);
    assert_eq!(
        report["databricks"]["rows_added"],
        json!({"databricks_jobs": 1, "databricks_watermarks": 1})
    );
    let more = rows(&world)
        .iter()
        .zip(&before)
        .map(|(a, b)| a.1 - b.1)
        .sum::<i64>();
    assert_eq!(more, 2);
}

#[test]
fn bad_exports_are_counted_named_and_kept_in_the_lake_and_the_rest_is_used() {
    let world = world();
    let good = json!({"workspace_id": "12", "job_id": "8", "change_time": "2026-11-03T00:00:00Z"});
    world.put(
        "exports/system.lakeflow.jobs/b.json",
        format!("{good}\n{{broken\n").as_bytes(),
    );
    world.put("exports/system.lakeflow.jobs/c.parquet", b"PAR1");
    world.put("exports/system.query.history/a.json", b"no JSON at all\n");
    world.put("exports/scim/users.json", b"");
    let output = world.run(&[&["scan", "--format", "json"], &SCAN[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let warning = "warning: export `scim/users.json` could not be read at all and counts as missing: scim/users.json: no JSON from line 1";
    assert!(errors(&output).contains(warning), "{}", errors(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let source = |name: &str| {
        let sources = report["databricks"]["sources"].as_array().unwrap();
        sources
            .iter()
            .find(|source| source["source"] == name)
            .unwrap()
            .clone()
    };
    let jobs = source("system.lakeflow.jobs");
    assert_eq!(
        (&jobs["rows"], &jobs["bad_rows"], &jobs["bad_files"]),
        (&json!(2), &json!(1), &json!(1))
    );
    assert_eq!(
        jobs["faults"][0],
        "system.lakeflow.jobs/b.json:2: no JSON from column 2"
    );
    assert_eq!(
        world.number("SELECT bad FROM databricks_watermarks WHERE source = 'system.lakeflow.jobs'"),
        2
    );
    let unread = world.one(
        "SELECT was_read, array_length(faults) AS faults FROM databricks_watermarks WHERE source = 'scim/users.json'",
    );
    assert_eq!(unread, json!({"was_read": false, "faults": 1}));
}

#[test]
fn the_summary_for_people_says_what_was_read_and_what_is_missing() {
    let world = world();
    std::fs::remove_dir_all(world.path("exports/system.query.history")).unwrap();
    world.put("exports/system.query.histroy/a.json", b"{}");
    let output = world.run(&["scan", "--databricks", "exports", "trail"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Databricks  exports of exports\n",
        "  system.access.audit                     until 2026-11-20T10:00:00.250000Z\n",
        "  not there: system.query.history\n",
        "  passed over, no export by that name: system.query.histroy\n",
        "  rows added: databricks_instance_events 1, ",
        "Objects   1 read",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}

#[test]
fn the_configuration_may_name_the_exports() {
    let world = world();
    world.put("named.toml", b"[databricks]\ndir = \"exports\"\n");
    let report = world.scan_with(&["--config", "named.toml", "trail"]);
    assert_eq!(report["databricks"]["place"], "exports");
}

#[test]
fn exports_that_are_not_there_are_wrong_usage() {
    let world = world();
    for (place, part) in [
        ("nowhere", "`nowhere` do not exist"),
        ("exports/clusters.json", "are no directory"),
        ("s3://bucket/exports", "not supported yet"),
    ] {
        let output = world.run(&["scan", "--databricks", place, "trail"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains(part), "{}", errors(&output));
    }
}

async fn read(place: &Path) -> (DatabricksFacts, Vec<ImportedSource>) {
    let (facts, report) = read_exports(place.to_str().unwrap(), NOW).await.unwrap();
    let sources = report
        .sources
        .iter()
        .filter_map(|source| source.watermark(NOW))
        .map(|watermark| ImportedSource {
            watermark,
            was_read: true,
            faults: Vec::new(),
        })
        .collect();
    (facts, sources)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lake_gives_back_the_facts_that_were_imported() {
    let world = World::new();
    fill_exports(&world);
    let (facts, sources) = read(&world.path("exports")).await;
    let lake = Lake::open(world.path("lake").to_str().unwrap())
        .await
        .unwrap();
    assert_eq!(
        read_databricks(lake.url()).await.unwrap(),
        DatabricksFacts::default()
    );
    drop(
        import_databricks(&lake, facts.clone(), sources, NOW)
            .await
            .unwrap(),
    );
    assert_eq!(read_databricks(lake.url()).await.unwrap(), facts.joined());
}

/// An import that died between two tables is completed by the next one, and of
/// two at once neither adds what the other did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_off_and_simultaneous_imports_add_nothing_twice() {
    let world = World::new();
    fill_exports(&world);
    let (facts, sources) = read(&world.path("exports")).await;
    let lake = Lake::open(world.path("lake").to_str().unwrap())
        .await
        .unwrap();
    let begun = DatabricksFacts {
        instance_events: facts.instance_events.clone(),
        nodes: facts.nodes.clone(),
        ..DatabricksFacts::default()
    };
    let begun = import_databricks(&lake, begun, Vec::new(), NOW)
        .await
        .unwrap();
    assert_eq!(begun.len(), 2);
    let other = Lake::open(world.path("lake").to_str().unwrap())
        .await
        .unwrap();
    let (a, b) = tokio::join!(
        import_databricks(&lake, facts.clone(), sources.clone(), NOW),
        import_databricks(&other, facts.clone(), sources.clone(), NOW),
    );
    let count = |added: &[(&str, u64)]| added.iter().map(|(_, rows)| *rows).sum::<u64>();
    let all: u64 = [begun, a.unwrap(), b.unwrap()]
        .iter()
        .map(|added| count(added))
        .sum();
    let held: i64 = rows(&world).iter().map(|(_, rows)| rows).sum();
    assert_eq!(held, i64::try_from(all).unwrap());
    assert_eq!(
        read_databricks(lake.url()).await.unwrap(),
        facts.clone().joined()
    );
    let again = import_databricks(&lake, facts, sources, NOW).await.unwrap();
    assert_eq!(again, []);
}
