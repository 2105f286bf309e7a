//! What a scan promises, asked of the real program on generated trails.

use super::world::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const NOON: &str = "2026-03-27T12:00:00Z";

fn user() -> Value {
    json!({"type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": format!("arn:aws:iam::{ACCOUNT}:user/ann"),
        "accountId": ACCOUNT, "accessKeyId": "AKIAEXAMPLE", "userName": "ann"})
}

/// A world whose trail is these objects: (delivery minute, records).
fn world_of(objects: &[(&str, &[Value])]) -> World {
    let world = World::new();
    for (n, (minute, records)) in objects.iter().enumerate() {
        world.put_log(
            &log_key(ACCOUNT, "us-west-2", minute, &format!("{n:016x}")),
            records,
        );
    }
    world
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

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
fn a_copy_of_the_tree_adds_no_row() {
    let world = World::new();
    fill(&world, 4, 20, 30);
    world.scan();
    let events = world.events();
    for path in files_below(&world.trail()) {
        let below = path.strip_prefix(world.trail()).unwrap().to_str().unwrap();
        world.put(&format!("copy/{below}"), &std::fs::read(&path).unwrap());
    }
    let report = world.scan_with(&["copy"]);
    assert_eq!(
        (
            &report["objects"]["duplicate"],
            &report["objects"]["committed"]
        ),
        (&json!(20), &json!(0))
    );
    assert_eq!(world.events(), events);
    world.check_adds_up();
    // And once more: the copies are known now.
    assert_eq!(world.scan_with(&["copy", "trail"])["objects"]["known"], 40);
}

#[test]
fn copies_scanned_together_add_no_row() {
    let world = World::new();
    fill(&world, 5, 10, 20);
    for path in files_below(&world.trail()) {
        let below = path.strip_prefix(world.trail()).unwrap().to_str().unwrap();
        // Compressed anew: other bytes in storage, the same bytes signed.
        let mut raw = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&*std::fs::read(&path).unwrap()),
            &mut raw,
        )
        .unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &raw).unwrap();
        world.put(&format!("copy/{below}"), &encoder.finish().unwrap());
    }
    let report = world.scan_with(&["trail", "copy"]);
    assert_eq!(
        (
            &report["objects"]["duplicate"],
            &report["objects"]["committed"]
        ),
        (&json!(10), &json!(10))
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
fn an_event_that_two_trails_delivered_is_one_row() {
    let shared = get_object(&guid(1), NOON, user(), "a");
    let one = [shared.clone(), get_object(&guid(2), NOON, user(), "b")];
    let two = [get_object(&guid(3), NOON, user(), "c"), shared];
    let world = world_of(&[("1205", &one), ("1205", &two)]);
    let report = world.scan();
    assert_eq!(
        (
            &report["records"]["rows_written"],
            &report["records"]["duplicates"]
        ),
        (&json!(3), &json!(1))
    );
    assert_eq!(world.events().len(), 3);
    world.check_adds_up();

    // The second trail's object comes later, with another scan.
    let world = world_of(&[("1205", &one)]);
    world.scan();
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1210", "ffffffffffffffff"),
        &two,
    );
    let report = world.scan();
    assert_eq!(
        (
            &report["records"]["rows_written"],
            &report["records"]["duplicates"]
        ),
        (&json!(1), &json!(1))
    );
    assert_eq!(world.events().len(), 3);
    world.check_adds_up();
}

#[test]
fn one_event_id_in_two_accounts_without_a_shared_id_is_two_events() {
    let mine = get_object(&guid(1), NOON, user(), "a");
    let mut theirs = mine.clone();
    theirs["recipientAccountId"] = OTHER_ACCOUNT.into();
    let world = world_of(&[("1205", &[mine, theirs])]);
    world.scan();
    assert_eq!(world.events().len(), 2);
}

#[test]
fn several_events_of_one_account_under_one_shared_id_stay() {
    let records: Vec<Value> = (0..3)
        .map(|n| {
            let mut record = get_object(&guid(n), NOON, user(), &format!("k{n}"));
            record["sharedEventID"] = guid(99).into();
            record
        })
        .collect();
    let world = world_of(&[("1205", &records)]);
    world.scan();
    assert_eq!(world.events().len(), 3);
}

/// The requester's copy, with the whole identity, and the bucket owner's.
fn twins() -> (Value, Value) {
    let mut rich = get_object(
        &guid(1),
        NOON,
        role_session("etl", "run-1", "ASIAONE", "2026-03-27T11:00:00Z"),
        "a",
    );
    rich["sharedEventID"] = guid(99).into();
    let poor_caller =
        json!({"type": "AWSAccount", "principalId": "AROAETL:run-1", "accountId": ACCOUNT});
    let mut poor = get_object(&guid(2), NOON, poor_caller, "a");
    poor["sharedEventID"] = guid(99).into();
    poor["recipientAccountId"] = OTHER_ACCOUNT.into();
    (rich, poor)
}

#[track_caller]
fn check_rich_twin_stands(world: &World) {
    world.check_adds_up();
    let row = world.one("SELECT event_id, principal_arn, access_key_id FROM s3_access");
    assert_eq!(row["event_id"], guid(1), "{row}");
    assert_eq!(row["access_key_id"], "ASIAONE");
}

#[test]
fn of_cross_account_twins_the_one_that_knows_its_caller_stands() {
    let (rich, poor) = twins();
    for (first, second) in [(&rich, &poor), (&poor, &rich)] {
        // In one object, and in two.
        let world = world_of(&[("1205", &[first.clone(), second.clone()])]);
        assert_eq!(world.scan()["records"]["duplicates"], 1);
        check_rich_twin_stands(&world);
        let world = world_of(&[
            ("1205", std::slice::from_ref(first)),
            ("1210", std::slice::from_ref(second)),
        ]);
        assert_eq!(world.scan()["records"]["duplicates"], 1);
        check_rich_twin_stands(&world);
    }
}

#[test]
fn a_twin_that_says_less_of_its_caller_is_kept_out_of_later_scans_too() {
    let (rich, poor) = twins();
    let world = world_of(&[("1205", &[rich])]);
    world.scan();
    world.put_log(
        &log_key(OTHER_ACCOUNT, "us-west-2", "1210", "ffffffffffffffff"),
        &[poor],
    );
    assert_eq!(world.scan()["records"]["duplicates"], 1);
    check_rich_twin_stands(&world);
}

#[test]
fn a_twin_that_says_more_of_its_caller_and_comes_later_makes_no_second_row() {
    let (rich, poor) = twins();
    let check = |world: &World| {
        world.check_adds_up();
        let events = world.events();
        assert_eq!(events.len(), 1, "{events:?}");
    };
    // With another scan.
    let world = world_of(&[("1205", std::slice::from_ref(&poor))]);
    world.scan();
    let key = log_key(OTHER_ACCOUNT, "us-west-2", "1210", "ffffffffffffffff");
    world.put_log(&key, std::slice::from_ref(&rich));
    world.scan();
    check(&world);
    // With the next commit of the same scan.
    let world = world_of(&[("1205", &[poor]), ("1210", &[rich])]);
    world.put("small.toml", b"[scan]\ncommit_objects = 1\n");
    world.scan_with(&["--config", "small.toml", "trail"]);
    check(&world);
}

#[test]
fn a_session_issued_in_a_later_object_of_another_region_is_exact() {
    let world = World::new();
    let caller = role_session("etl", "run-1", "ASIAONE", NOON);
    let access = get_object(&guid(1), "2026-03-27T12:01:00Z", caller, "a");
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1205", "0000000000000001"),
        &[access],
    );
    let mut issue = assume_role(&guid(2), NOON, user(), "etl", "run-1", "ASIAONE");
    issue["awsRegion"] = "us-east-1".into();
    world.put_log(
        &log_key(ACCOUNT, "us-east-1", "1220", "0000000000000002"),
        &[issue],
    );
    world.scan();
    let row = world.one("SELECT * FROM s3_access");
    assert_eq!(row["session_confidence"], "exact");
    assert_eq!(row["session_event_id"], guid(2));
    assert!(
        texts(&row["attribution_evidence"]).contains(&guid(2).as_str()),
        "{row}"
    );
    assert!(
        texts(&row["attribution_methods"]).contains(&"M1_access_key"),
        "{row}"
    );
    assert_eq!(row["access_path"], "other_role");
    let session = world.one("SELECT * FROM sts_sessions");
    assert_eq!(
        (&session["event_id"], &session["access_key_id"]),
        (&json!(guid(2)), &json!("ASIAONE"))
    );
    assert!(!format!("{session}").contains("SECRETTOKEN"));
}

#[test]
fn a_session_that_an_earlier_scan_learned_is_exact() {
    let world = world_of(&[(
        "1205",
        &[assume_role(
            &guid(2),
            NOON,
            user(),
            "etl",
            "run-1",
            "ASIAONE",
        )],
    )]);
    world.scan();
    let caller = role_session("etl", "run-1", "ASIAONE", NOON);
    let access = get_object(&guid(1), "2026-03-27T12:01:00Z", caller, "a");
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1210", "ffffffffffffffff"),
        &[access],
    );
    world.scan();
    let row = world.one("SELECT * FROM s3_access");
    assert_eq!(
        (&row["session_confidence"], &row["session_event_id"]),
        (&json!("exact"), &json!(guid(2)))
    );
}

#[test]
fn a_session_that_nobody_recorded_is_not_guessed() {
    let caller = role_session("etl", "run-1", "ASIAUNSEEN", NOON);
    let world = world_of(&[("1205", &[get_object(&guid(1), NOON, caller, "a")])]);
    world.scan();
    let row = world.one("SELECT * FROM s3_access");
    assert_eq!(row["session_confidence"], "none");
    assert_eq!(row["session_event_id"], Value::Null);
    assert!(row["unattributed_reason"].is_string());
}

const INSTANCE: &str = "i-0c1a23fc456b7ab89";
const POOLED: &str = "i-0ddddddddddddddd1";

/// The instance's own session, as EC2 fetched it.
fn delivered(id: &str, instance: &str, key: &str) -> Value {
    assume_role(id, NOON, ec2_service(), "profile", instance, key)
}

#[test]
fn a_role_that_an_instance_assumed_leads_back_to_the_instance() {
    let instance = role_session("profile", INSTANCE, "ASIAINSTANCE", NOON);
    let assumed = role_session("app", "spark", "ASIAAPP", "2026-03-27T12:01:00Z");
    let world = world_of(&[
        (
            "1205",
            &[get_object(&guid(1), "2026-03-27T12:02:00Z", assumed, "a")],
        ),
        (
            "1210",
            &[assume_role(
                &guid(2),
                "2026-03-27T12:01:00Z",
                instance,
                "app",
                "spark",
                "ASIAAPP",
            )],
        ),
        ("1215", &[delivered(&guid(3), INSTANCE, "ASIAINSTANCE")]),
    ]);
    world.scan();
    let row = world.one("SELECT * FROM s3_access");
    assert_eq!(row["access_path"], "assumed_by_instance", "{row}");
    assert_eq!(row["instance_id"], INSTANCE);
    assert_eq!(row["session_confidence"], "exact");
    let evidence = texts(&row["attribution_evidence"]);
    assert!(
        evidence.contains(&guid(2).as_str()) && evidence.contains(&guid(3).as_str()),
        "{row}"
    );
}

#[test]
fn cluster_tags_name_the_cluster_and_pool_tags_do_not() {
    let tags = [
        ("Vendor", "Databricks"),
        ("ClusterId", "0327-120000-abcdefgh"),
        ("JobId", "4711"),
    ];
    let pool = [
        ("Vendor", "Databricks"),
        ("ClusterId", "0327-120000-abcdefgh"),
        ("DatabricksInstancePoolId", "0327-pool"),
    ];
    let own = |instance: &str, key: &str| role_session("profile", instance, key, NOON);
    let world = world_of(&[
        (
            "1205",
            &[
                get_object(
                    &guid(1),
                    "2026-03-27T12:02:00Z",
                    own(INSTANCE, "ASIAA"),
                    "a",
                ),
                get_object(&guid(2), "2026-03-27T12:02:00Z", own(POOLED, "ASIAB"), "b"),
            ],
        ),
        (
            "1210",
            &[
                run_instances(&guid(3), "2026-03-27T11:59:00Z", INSTANCE, &tags),
                run_instances(&guid(4), "2026-03-27T11:59:00Z", POOLED, &pool),
                delivered(&guid(5), INSTANCE, "ASIAA"),
                delivered(&guid(6), POOLED, "ASIAB"),
            ],
        ),
    ]);
    let report = world.scan();
    assert_eq!(
        report["learned"],
        json!({"sts_sessions": 2, "ec2_instances": 2})
    );
    let rows = world.query("SELECT * FROM s3_access ORDER BY object_key");
    let [tagged, pooled] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    assert_eq!(tagged["access_path"], "instance_profile");
    assert_eq!(
        (&tagged["cluster_id"], &tagged["cluster_confidence"]),
        (&json!(tags[1].1), &json!("exact"))
    );
    assert_eq!(
        (&tagged["job_id"], &tagged["job_confidence"]),
        (&json!("4711"), &json!("exact"))
    );
    assert!(
        texts(&tagged["attribution_evidence"]).contains(&guid(3).as_str()),
        "{tagged}"
    );
    assert_eq!(pooled["access_path"], "instance_profile");
    assert_eq!(
        (&pooled["cluster_id"], &pooled["cluster_confidence"]),
        (&Value::Null, &json!("none"))
    );
    assert!(pooled["unattributed_reason"].is_string());
}

/// Members sorted by name, no blanks.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", json!(name), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(canonical).collect::<Vec<_>>().join(",")
        ),
        other => other.to_string(),
    }
}

#[test]
fn an_event_without_id_gets_the_hash_of_its_content() {
    let record = without(
        get_object(&guid(1), NOON, user(), "ü \" \\ \u{1}"),
        "eventID",
    );
    let hash = Sha256::digest(canonical(&record).as_bytes());
    let digits: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let expected = format!("sha256:{digits}");

    let world = world_of(&[(
        "1205",
        &[record.clone(), get_object(&guid(2), NOON, user(), "b")],
    )]);
    // The same record again, spelt otherwise, in another object.
    let pretty = serde_json::to_vec_pretty(&json!({"Records": [record]})).unwrap();
    let key = log_key(ACCOUNT, "us-west-2", "1230", "ffffffffffffffff");
    world.put(&format!("trail/{key}"), &gzip(&pretty));
    let report = world.scan();
    assert_eq!(report["records"]["event_ids_made"], 2);
    let ids: Vec<String> = world.events().into_iter().map(|(id, _)| id).collect();
    assert!(
        ids.contains(&expected) && ids.len() == 2,
        "{ids:?}, not {expected}"
    );
    world.check_adds_up();
    // A later scan recognises it by the row alone.
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1240", "eeeeeeeeeeeeeeee"),
        &[record, get_object(&guid(3), NOON, user(), "c")],
    );
    assert_eq!(world.scan()["records"]["duplicates"], 1);
    assert_eq!(world.events().len(), 3);
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

const PERMIT_ETL: &str = r#"
@id("etl-reads-raw")
@reason("the nightly load reads the raw zone")
permit (principal, action in Action::"read", resource in Dataset::"raw")
when { context has role_arn && context.role_arn == "arn:aws:iam::111122223333:role/etl" };
"#;

const DATASETS: &str = r#"
[[dataset]]
name = "raw"
sensitivity = "internal"
locations = ["s3://lake/raw/"]

[[dataset]]
name = "payroll"
sensitivity = "restricted"
locations = ["s3://lake/raw/payroll/"]
"#;

#[test]
fn what_no_rule_permits_is_out_of_policy() {
    let etl = || role_session("etl", "run-1", "ASIAONE", NOON);
    let other = || role_session("other", "run-1", "ASIATWO", NOON);
    let world = world_of(&[(
        "1205",
        &[
            get_object(&guid(1), NOON, etl(), "raw/x"),
            get_object(&guid(2), NOON, etl(), "raw/payroll/x"),
            get_object(&guid(3), NOON, other(), "raw/x"),
            get_object(&guid(4), NOON, etl(), "elsewhere"),
        ],
    )]);
    world.put("policy/rules.cedar", PERMIT_ETL.as_bytes());
    world.put("policy/datasets.toml", DATASETS.as_bytes());
    let report = world.scan_with(&["--policy", "policy", "trail"]);
    assert_eq!(
        report["verdicts"],
        json!({"in_policy": 1, "out_of_policy": 3, "undetermined": 0})
    );
    let rows = world.query("SELECT object_key, principal_arn, dataset, sensitivity, verdict, violations FROM s3_access ORDER BY event_time, source_index");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row["dataset"].as_str(), row["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("raw"), "in_policy"),
            (Some("payroll"), "out_of_policy"),
            (Some("raw"), "out_of_policy"),
            (None, "out_of_policy"),
        ]
    );
    assert_eq!(rows[1]["sensitivity"], "restricted");
    assert_eq!(world.number("SELECT count(*) AS n FROM violations"), 3);
    assert_eq!(
        world.number("SELECT count(*) AS n FROM violations WHERE rule = 'default-deny'"),
        3
    );
    let files = world.query("SELECT file, text FROM policy_versions ORDER BY file");
    let files: Vec<_> = files
        .iter()
        .map(|row| (row["file"].as_str().unwrap(), row["text"].as_str().unwrap()))
        .collect();
    assert_eq!(
        files,
        [("datasets.toml", DATASETS), ("rules.cedar", PERMIT_ETL)]
    );
    // The same policy again is the same version; another one is not.
    world.scan_with(&["--policy", "policy", "trail"]);
    assert_eq!(world.number("SELECT count(*) AS n FROM policy_versions"), 2);
}

#[test]
fn the_starter_policy_flags_a_long_term_key() {
    let world = world_of(&[(
        "1205",
        &[
            get_object(&guid(1), NOON, user(), "a"),
            get_object(
                &guid(2),
                NOON,
                role_session("etl", "run-1", "ASIAONE", NOON),
                "b",
            ),
        ],
    )]);
    let report = world.scan();
    assert_eq!(
        report["verdicts"],
        json!({"in_policy": 1, "out_of_policy": 1, "undetermined": 0})
    );
    assert_eq!(report["rules"], json!({"static-credential": 1}));
}

/// Runs a scan that must fail; returns its errors.
#[track_caller]
fn refused(world: &World, lake: &str, arguments: &[&str], status: i32) -> String {
    let output = world
        .command_in(lake, &[&["scan"], arguments].concat())
        .output()
        .unwrap();
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(status), "{errors}");
    assert!(
        output.stdout.is_empty(),
        "results belong to success: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(
        errors.starts_with("error: ") && !errors.contains("panicked"),
        "{errors}"
    );
    errors
}

#[test]
fn a_faulty_policy_is_named_by_file_and_line() {
    let world = World::new();
    fill(&world, 6, 1, 1);
    for (name, text, line) in [
        (
            "rules.cedar",
            "@id(\"a\")\n@reason(\"r\")\npermit (principal action, resource);\n",
            3,
        ),
        (
            "rules.cedar",
            "@id(\"a\")\n@reason(\"r\")\npermit (principal, action, resource)\nwhen { context.nonsense };\n",
            4,
        ),
        (
            "datasets.toml",
            "[[dataset]]\nname = \"a\"\nlocation = []\n",
            3,
        ),
    ] {
        drop(std::fs::remove_dir_all(world.path("policy")));
        world.put(&format!("policy/{name}"), text.as_bytes());
        let errors = refused(&world, "lake", &["--policy", "policy", "trail"], 2);
        assert!(errors.contains(name), "{errors}");
        let near = [
            format!("line {line}"),
            format!("line {}", if line == 4 { 1 } else { line }),
        ];
        assert!(near.iter().any(|near| errors.contains(near)), "{errors}");
        assert!(!world.path("lake").exists(), "a faulty policy made a lake");
    }
}

#[test]
fn a_missing_source_policy_or_configuration_is_wrong_usage() {
    let world = World::new();
    fill(&world, 7, 1, 1);
    let errors = refused(&world, "lake", &["trail", "nowhere"], 2);
    assert!(errors.contains("`nowhere`"), "{errors}");
    let errors = refused(&world, "lake", &["--policy", "nowhere", "trail"], 2);
    assert!(errors.contains("`nowhere`"), "{errors}");
    let errors = refused(&world, "lake", &["--config", "nowhere.toml", "trail"], 2);
    assert!(errors.contains("`nowhere.toml`"), "{errors}");
    world.put("bad.toml", b"[scan]\nthread = 1\n");
    let errors = refused(&world, "lake", &["--config", "bad.toml", "trail"], 2);
    assert!(
        errors.contains("`bad.toml`") && errors.contains("thread"),
        "{errors}"
    );
    let errors = refused(&world, "lake", &["s3://bucket/prefix"], 2);
    assert!(errors.contains("`s3://bucket/prefix`"), "{errors}");
    let errors = refused(&world, "ftp://lake", &["trail"], 2);
    assert!(errors.contains("`ftp://lake`"), "{errors}");
    assert!(!world.path("lake").exists());
}

#[test]
fn a_lake_that_cannot_be_written_is_named() {
    let world = World::new();
    fill(&world, 8, 1, 1);
    world.put("file", b"no folder");
    let errors = refused(&world, "file/lake", &["trail"], 3);
    assert!(errors.contains("file/lake"), "{errors}");
    let errors = refused(&world, "file", &["trail"], 3);
    assert!(errors.contains("/file"), "{errors}");
}

#[test]
fn a_damaged_lake_is_named_and_left_alone() {
    for table in ["s3_access", "log_objects"] {
        let world = World::new();
        fill(&world, 9, 3, 5);
        world.scan();
        let log = format!("lake/{table}/_delta_log");
        let mut commits = files_below(&world.path(&log));
        commits.retain(|path| path.extension().is_some_and(|end| end == "json"));
        for path in &commits {
            std::fs::write(path, b"\x00garbage").unwrap();
        }
        let before = files_below(&world.path("lake"));
        let errors = refused(&world, "lake", &["trail"], 3);
        assert!(errors.contains(&format!("`{table}`")), "{errors}");
        assert_eq!(
            files_below(&world.path("lake")),
            before,
            "{table}: something was written"
        );
        let output = world.run(&["query", "--sql", &format!("SELECT count(*) FROM {table}")]);
        assert_eq!(output.status.code(), Some(3), "{}", self::errors(&output));
    }
}

#[test]
fn a_table_of_another_program_is_not_touched() {
    let world = World::new();
    fill(&world, 10, 1, 2);
    world.scan();
    // A table where another one is expected: its columns differ.
    std::fs::remove_dir_all(world.path("lake/sts_sessions")).unwrap();
    let copied = std::process::Command::new("cp")
        .args(["-r", "lake/ec2_instances", "lake/sts_sessions"])
        .current_dir(world.path("."))
        .status()
        .unwrap();
    assert!(copied.success());
    let errors = refused(&world, "lake", &["trail"], 3);
    assert!(
        errors.contains("sts_sessions") && errors.contains("column"),
        "{errors}"
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
