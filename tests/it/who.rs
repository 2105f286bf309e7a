//! Who stood behind an access, as the rows of a scan say it.

use super::world::*;
use serde_json::{Value, json};

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
        json!({"sts_sessions": 2, "ec2_instances": 2, "copies": 0})
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

#[test]
fn a_key_whose_sts_event_may_still_come_is_late_and_not_without_one() {
    let caller = |key: &str| role_session("etl", "run-1", key, NOON);
    let read =
        |n: u64, at: &str, key: &str| get_object(&guid(n), at, caller(key), &format!("k{n}"));
    let world = world_of(&[
        ("1205", &[read(1, "2026-03-27T12:01:00Z", "ASIASOON")]),
        // Issued before, delivered one commit later.
        (
            "1206",
            &[
                assume_role(&guid(2), NOON, user(), "etl", "run-1", "ASIASOON"),
                read(3, "2026-03-27T12:02:00Z", "ASIASOON"),
            ],
        ),
        // Two hours on: of what came before, all was delivered.
        (
            "1405",
            &[
                read(4, "2026-03-27T12:03:00Z", "ASIANEVER"),
                read(5, "2026-03-27T14:01:00Z", "ASIANEVER"),
            ],
        ),
        // The end of the trail, long ago.
        ("1406", &[read(6, "2026-03-27T14:02:00Z", "ASIANEVER")]),
    ]);
    world.put("small.toml", b"[scan]\ncommit_objects = 1\n");
    world.scan_with(&["--config", "small.toml", "trail"]);
    let rows = world.query(
        "SELECT object_key, session_confidence, unattributed_reason FROM s3_access ORDER BY object_key",
    );
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            (
                text("object_key"),
                text("session_confidence"),
                text("unattributed_reason"),
            )
        })
        .collect();
    let row = |key: &str, confidence: &str, reason: &str| {
        (key.to_owned(), confidence.to_owned(), reason.to_owned())
    };
    assert_eq!(
        told,
        [
            row("k1", "none", "late"),
            row("k3", "exact", "not_databricks"),
            row("k4", "none", "no_sts"),
            row("k5", "none", "late"),
            row("k6", "none", "late"),
        ]
    );
    // A scan that goes on from there knows how far the lake was read.
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1407", "ffffffffffffffff"),
        &[read(7, "2026-03-27T12:04:00Z", "ASIANEVER")],
    );
    world.scan_with(&["--config", "small.toml", "trail"]);
    let reason = "SELECT unattributed_reason FROM s3_access WHERE object_key = 'k7'";
    assert_eq!(world.one(reason)["unattributed_reason"], "no_sts");
}
