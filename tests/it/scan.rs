//! What a scan promises, asked of the real program on generated trails: every
//! event once, whatever is scanned how often.

use super::world::*;
use serde_json::{Value, json};

#[test]
fn every_distinct_s3_event_is_one_row() {
    let world = World::new();
    fill(&world, 1, 40, 50);
    let report = world.scan();
    let expected: Vec<_> = distinct_s3_events(&world.trail()).into_iter().collect();
    assert!(expected.len() > 1000);
    assert_eq!(world.events(), expected);
    world.check_adds_up();
    assert_eq!(report["records"]["total"], 2000);
    assert_eq!(report["records"]["rows_written"], expected.len());
    assert_eq!(report["objects"]["committed"], 40);
    assert_eq!(
        world.number("SELECT sum(records) AS n FROM log_objects"),
        2000
    );
}

#[test]
fn a_row_says_what_the_record_said() {
    let caller = role_session("etl", "run-1", "ASIAONE", "2026-03-27T11:00:00Z");
    let mut record = get_object(&guid(1), NOON, caller, "a b/ü+%20.parquet");
    record["vpcEndpointId"] = "vpce-0a1b2c3d".into();
    record["errorCode"] = "AccessDenied".into();
    record["errorMessage"] = "Access Denied".into();
    let world = world_of(&[(
        "1205",
        &[
            event(&guid(2), "kms.amazonaws.com", "Decrypt", NOON, user()),
            record,
        ],
    )]);
    world.scan();
    let row = world.one("SELECT * FROM s3_access");
    let expected = json!({
        "event_id": guid(1), "event_name": "GetObject", "operation": "read", "outcome": "denied",
        "error_code": "AccessDenied", "error_message": "Access Denied", "aws_account_id": ACCOUNT,
        "aws_region": "us-west-2", "bucket": "lake", "object_key": "a b/ü+%20.parquet", "bytes_in": 0,
        "bytes_out": 512, "source_ip": "10.1.2.3", "user_agent": "[aws-sdk-java/1.12.681]",
        "vpc_endpoint_id": "vpce-0a1b2c3d", "tls_version": "TLSv1.3", "auth_method": "AuthHeader",
        "presigned": false, "request_id": format!("R{}", guid(1)), "identity_type": "AssumedRole",
        "principal_arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/etl/run-1"), "principal_account_id": ACCOUNT,
        "access_key_id": "ASIAONE", "credential": "temporary", "role_arn": format!("arn:aws:iam::{ACCOUNT}:role/etl"),
        "session_name": "run-1", "settled": false, "source_index": 1, "event_date": "2026-03-27",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&row[name], value, "{name}");
    }
    for name in ["event_time", "session_issued_at"] {
        let at = row[name].as_str().unwrap_or_default();
        let hour = if name == "event_time" { "12" } else { "11" };
        assert!(
            at.starts_with(&format!("2026-03-27T{hour}:00:00")),
            "{name}: {at}"
        );
    }
    // Unknown is NULL, never an empty text; `query` leaves NULL out.
    for name in [
        "list_prefix",
        "version_id",
        "copy_source",
        "shared_event_id",
        "source_identity",
        "invoked_by",
        "dataset",
    ] {
        assert_eq!(row[name], Value::Null, "{name}");
    }
    let uri = row["source_uri"].as_str().unwrap();
    assert!(
        uri.starts_with("file:///") && uri.ends_with("_0000000000000000.json.gz"),
        "{uri}"
    );
}

#[test]
fn scanning_twice_adds_nothing() {
    let world = World::new();
    fill(&world, 2, 20, 30);
    world.scan();
    let (events, objects) = (
        world.events(),
        world.query("SELECT * FROM log_objects ORDER BY uri"),
    );
    let report = world.scan();
    assert_eq!(report["objects"]["known"], 20);
    assert_eq!(report["records"]["total"], 0);
    assert_eq!(world.events(), events);
    assert_eq!(
        world.query("SELECT * FROM log_objects ORDER BY uri"),
        objects
    );
}

#[test]
fn what_came_since_the_last_scan_is_added() {
    let world = World::new();
    fill(&world, 3, 10, 20);
    world.scan();
    let late = get_object(&guid(1_000_000), NOON, user(), "late");
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1455", "late000000000000"),
        &[late],
    );
    let report = world.scan();
    assert_eq!(
        (
            &report["objects"]["known"],
            &report["records"]["rows_written"]
        ),
        (&json!(10), &json!(1))
    );
    assert_eq!(
        world.events(),
        distinct_s3_events(&world.trail())
            .into_iter()
            .collect::<Vec<_>>()
    );
    world.check_adds_up();
}

#[test]
fn an_object_written_again_with_other_content_is_read_again() {
    let world = World::new();
    let key = log_key(ACCOUNT, "us-west-2", "1205", "0000000000000000");
    let first = get_object(&guid(1), NOON, user(), "a");
    world.put_log(&key, std::slice::from_ref(&first));
    world.scan();
    world.put_log(&key, &[first, get_object(&guid(2), NOON, user(), "b")]);
    let report = world.scan();
    assert_eq!(
        (
            &report["records"]["rows_written"],
            &report["records"]["duplicates"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(world.events().len(), 2);
}

#[test]
fn records_of_network_activity_are_no_accesses() {
    let mut record = get_object(&guid(1), NOON, user(), "a");
    merge(
        &mut record,
        json!({"eventType": "AwsVpceEvent", "eventCategory": "NetworkActivity", "errorCode": "VpceAccessDenied"}),
    );
    let world = world_of(&[("1205", &[record, get_object(&guid(2), NOON, user(), "b")])]);
    let report = world.scan();
    assert_eq!(
        (
            &report["records"]["rows_written"],
            &report["records"]["not_s3"]
        ),
        (&json!(1), &json!(1))
    );
}

#[test]
fn single_files_and_overlapping_sources_count_once() {
    let world = World::new();
    fill(&world, 11, 6, 10);
    let files = files_below(&world.trail());
    let one = files[0].to_str().unwrap();
    let report = world.scan_with(&[one, one]);
    assert_eq!(report["objects"]["committed"], 1);
    let report = world.scan_with(&["trail", one, "trail/AWSLogs", "./trail/../trail"]);
    assert_eq!(
        (
            &report["objects"]["committed"],
            &report["objects"]["duplicate"]
        ),
        (&json!(5), &json!(0))
    );
    assert_eq!(world.number("SELECT count(*) AS n FROM log_objects"), 6);
    assert_eq!(
        world.events(),
        distinct_s3_events(&world.trail())
            .into_iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn small_commits_give_the_same_rows_as_one() {
    let world = World::new();
    fill(&world, 12, 30, 20);
    world.put("small.toml", b"[scan]\ncommit_objects = 3\n");
    let report = world.scan_with(&["--config", "small.toml", "trail"]);
    assert!(report["commits"].as_u64().unwrap() >= 10, "{report}");
    assert_eq!(
        world.events(),
        distinct_s3_events(&world.trail())
            .into_iter()
            .collect::<Vec<_>>()
    );
    world.check_adds_up();
}

#[test]
fn the_summary_for_people_counts_what_the_tables_hold() {
    let world = World::new();
    fill(&world, 13, 5, 10);
    let output = world.run(&["scan", "trail"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = world.events().len();
    assert!(
        text.contains(&format!("{rows}  S3 events written")),
        "{text}"
    );
    assert!(text.contains("Records   50"), "{text}");
    assert!(
        !text.contains('\u{1b}') && errors(&output).is_empty(),
        "{text}{}",
        errors(&output)
    );
}
