//! One event is one row, however often and wherever it is delivered.

use super::world::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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

/// Events that public samples publish under one placeholder.
fn placeholders(n: u64) -> Vec<Value> {
    (0..n)
        .map(|n| get_object("...", NOON, user(), &format!("k{n}")))
        .collect()
}

#[test]
fn events_under_one_placeholder_stay_apart_and_their_copies_are_kept_out() {
    let six = placeholders(6);
    let keys = |world: &World| {
        let rows = world.query("SELECT object_key FROM s3_access ORDER BY object_key");
        rows.iter()
            .map(|row| row["object_key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let expected: Vec<String> = (0..6).map(|n| format!("k{n}")).collect();
    // Copies in one object, in the next commit of the same scan, in a later scan.
    let first = [&six[..], &six[..2]].concat();
    let other = |id: u64| get_object(&guid(id), NOON, user(), "k0");
    let world = world_of(&[
        ("1205", &first),
        ("1210", &[six[3].clone(), six[0].clone()]),
    ]);
    world.put("small.toml", b"[scan]\ncommit_objects = 1\n");
    let report = world.scan_with(&["--config", "small.toml", "trail"]);
    assert_eq!(report["commits"], 2);
    assert_eq!(report["records"]["duplicates"], 4);
    assert_eq!(keys(&world), expected);
    for (minute, n) in [("1215", 0), ("1220", 1)] {
        let key = log_key(ACCOUNT, "us-west-2", minute, "ffffffffffffffff");
        world.put_log(&key, &[six[5].clone(), six[1].clone(), other(n)]);
        assert_eq!(world.scan()["records"]["duplicates"], 2, "{minute}");
    }
    assert_eq!(keys(&world).len(), 8);
    let placeholders = "SELECT DISTINCT content_id FROM s3_access WHERE event_id = '...'";
    assert_eq!(world.query(placeholders).len(), 6);
    // Who has an id of his own needs none of the content.
    let others =
        "SELECT count(*) AS n FROM s3_access WHERE event_id <> '...' AND content_id IS NOT NULL";
    assert_eq!(world.number(others), 0);
}

#[test]
fn a_copy_of_an_identity_fact_is_kept_once_and_counted() {
    let issue = assume_role(&guid(1), NOON, user(), "etl", "run-1", "ASIAONE");
    let mut twin = issue.clone();
    merge(
        &mut twin,
        json!({"eventID": guid(2), "recipientAccountId": OTHER_ACCOUNT}),
    );
    let tags = [("Vendor", "Databricks"), ("ClusterId", "c1")];
    let launch = run_instances(&guid(3), NOON, "i-0c1a23fc456b7ab89", &tags);
    let sample = |role: &str| assume_role("...", NOON, user(), role, "s", "ASIASAMPLE");
    let first = [
        issue.clone(),
        twin.clone(),
        issue.clone(),
        launch.clone(),
        sample("a"),
        sample("b"),
    ];
    let world = world_of(&[("1205", &first), ("1210", &[twin, launch.clone()])]);
    world.put("small.toml", b"[scan]\ncommit_objects = 1\n");
    let report = world.scan_with(&["--config", "small.toml", "trail"]);
    let learned = json!({"sts_sessions": 4, "ec2_instances": 1, "copies": 3});
    assert_eq!(report["learned"], learned);
    // And with a later scan.
    let key = log_key(ACCOUNT, "us-west-2", "1215", "ffffffffffffffff");
    world.put_log(&key, &[launch, issue, sample("b")]);
    let learned = json!({"sts_sessions": 0, "ec2_instances": 0, "copies": 3});
    assert_eq!(world.scan()["learned"], learned);
    assert_eq!(world.number("SELECT count(*) AS n FROM sts_sessions"), 4);
    assert_eq!(world.number("SELECT count(*) AS n FROM ec2_instances"), 1);
}
