//! Settling: rows are decided again, and of the records of one event one row stays.

use super::world::*;
use bricktrail::lake::Lake;
use bricktrail::lake::data_file::{EncodedFile, Partition, Times};
use bricktrail::lake::delta::CommitOutcome;
use bricktrail::lake::store::LakeBatch;
use bricktrail::model::{UtcMicros, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// All that a row says, but when it was written and decided.
const DECIDED: &str = "SELECT * EXCLUDE (settled, attributed_at) FROM s3_access \
                       ORDER BY event_id, aws_account_id, source_uri, source_index";

/// Settles; returns the report.
#[track_caller]
pub fn settle(world: &World, lake: &str, arguments: &[&str]) -> Value {
    let all = [&["settle", "--format", "json"], arguments].concat();
    let output = world.command_in(lake, &all).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "settle: {}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A simulated organisation in `sim`, without the exports of these names.
#[track_caller]
pub fn simulated(arguments: &[&str], without: &[&str]) -> World {
    let world = World::new();
    let output = world.run(&[&["simulate", "sim"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    for export in without {
        std::fs::remove_dir_all(world.path(&format!("sim/databricks/{export}"))).unwrap();
    }
    world
}

#[track_caller]
fn check_same(found: &[Value], expected: &[Value]) {
    let differs = found.iter().zip(expected).find(|(a, b)| a != b);
    if let Some((found, expected)) = differs {
        let columns = expected.as_object().unwrap().iter();
        let differ: Vec<_> = columns
            .filter(|(name, value)| found.get(*name) != Some(value))
            .map(|(name, value)| (name, value, found.get(name)))
            .collect();
        panic!("row {}: {differ:#?}", expected["event_id"]);
    }
    assert_eq!(found.len(), expected.len(), "number of rows");
}

/// Scans in one commit and settles with what was known: nothing but `settled` may
/// change, in any row that was written anew, and that what is settled is not late.
#[track_caller]
fn check_reproduces(world: &World, scan: &[&str], some_stay: bool) {
    let report = world.scan_with(scan);
    assert_eq!(report["commits"], 1, "one commit, so that all was known");
    let mut before = world.query(DECIDED);
    let report = settle(world, "lake", &[]);
    let settled = world.query("SELECT event_id FROM s3_access WHERE settled");
    let settled: BTreeSet<&str> = settled
        .iter()
        .filter_map(|row| row["event_id"].as_str())
        .collect();
    for row in &mut before {
        let is_settled = row["event_id"]
            .as_str()
            .is_some_and(|id| settled.contains(id));
        if is_settled && row["unattributed_reason"] == "late" {
            row["unattributed_reason"] = "outside_retention".into();
        }
    }
    assert!(
        report["rows"]["settled"].as_i64() > Some(1000),
        "{report:#}"
    );
    assert_eq!(report["rows"]["attribution_changed"], 0);
    assert_eq!(report["verdicts_changed"], json!([]));
    let stay = report["rows"]["provisional"].as_i64() > Some(0);
    assert_eq!(stay, some_stay, "{report:#}");
    let settled = world.number("SELECT count(*) AS n FROM s3_access WHERE settled");
    assert_eq!(report["rows"]["settled"], settled);
    check_same(&world.query(DECIDED), &before);
}

#[test]
fn settling_with_the_same_knowledge_decides_the_same() {
    let world = simulated(&["--events", "9000", "--days", "1", "--seed", "11"], &[]);
    let scan = ["--policy", "sim/policy", "sim/trail"];
    check_reproduces(&world, &scan, false);
    // And once more nothing is left to do.
    let report = settle(&world, "lake", &["--policy", "sim/policy"]);
    assert_eq!(
        (&report["dates"], &report["rows"]["read"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn settling_with_exports_decides_the_same_also_for_rows_whose_time_has_not_come() {
    let late = ["system.compute.node_timeline"];
    let world = simulated(&["--events", "9000", "--days", "1", "--seed", "12"], &late);
    let exports = ["--databricks", "sim/databricks"];
    let scan = [&exports[..], &["--policy", "sim/policy", "sim/trail"]].concat();
    check_reproduces(&world, &scan, true);
}

/// Rows by reason, settled or not.
fn reasons(world: &World) -> Vec<(bool, String, i64)> {
    let rows = world.query(
        "SELECT settled, unattributed_reason AS reason, count(*) AS n FROM s3_access \
         WHERE unattributed_reason IN ('late', 'outside_retention') GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let reason = |row: &Value| {
        (
            row["settled"] == true,
            row["reason"].as_str().unwrap().to_owned(),
            row["n"].as_i64().unwrap(),
        )
    };
    rows.iter().map(reason).collect()
}

#[test]
fn what_only_a_source_that_was_never_read_would_tell_is_late_until_it_is_settled() {
    let session = |key: &str| role_session("etl", "i-0c1a23fc456b7ab89", key, NOON);
    let get = |n: u64, at: &str| get_object(&guid(n), at, session("ASIAJOB"), &format!("k{n}"));
    let tags = [("Vendor", "Databricks"), ("ClusterId", "0327-1")];
    let world = world_of(&[(
        "1205",
        &[
            run_instances(
                &guid(90),
                "2026-03-27T11:58:00Z",
                "i-0c1a23fc456b7ab89",
                &tags,
            ),
            get(1, NOON),
            get(2, "2026-03-27T12:10:00Z"),
            // Of what happens then, the only source that is read may still tell.
            get(3, "2026-03-27T20:00:00Z"),
        ],
    )]);
    world.put(
        "exports/system.query.history/a.json",
        br#"{"statement_id":"s","workspace_id":"w","start_time":"2026-03-27T15:00:00Z","end_time":"2026-03-27T15:00:00Z"}"#,
    );
    world.scan_with(&["--databricks", "exports", "trail"]);
    assert_eq!(reasons(&world), [(false, "late".to_owned(), 3)]);
    settle(&world, "lake", &[]);
    let expected = [
        (false, "late".to_owned(), 1),
        (true, "outside_retention".to_owned(), 2),
    ];
    assert_eq!(reasons(&world), expected);
    // `explain` says the same of a settled row.
    let output = world.run(&["explain", &guid(1)]);
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("outside_retention: no source reaches"),
        "{text}"
    );
    assert!(text.contains("never imported"), "{text}");
    assert!(text.contains("`settle --again`"), "{text}");
    assert!(!text.contains("late:"), "{text}");
    let output = world.run(&["health"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("then settle --again"), "{text}");
}

#[test]
fn exports_that_come_later_name_whom_the_scan_could_not() {
    let world = simulated(&["--events", "6000", "--days", "1", "--seed", "13"], &[]);
    world.scan_with(&["--policy", "sim/policy", "sim/trail"]);
    let known = "SELECT count(*) AS n FROM s3_access WHERE principal IS NOT NULL";
    let before = world.number(known);
    let arguments = [
        "--policy",
        "sim/policy",
        "--databricks",
        "sim/databricks",
        "--as-of",
        FAR,
    ];
    let report = settle(&world, "lake", &arguments);
    assert!(world.number(known) > before + 1000, "{report:#}");
    assert_eq!(
        world.number("SELECT count(*) AS n FROM s3_access WHERE NOT settled"),
        0
    );
    let path = &report["paths"]["unity_catalog"]["principal"];
    assert_eq!(path["before"]["strong"], 0, "{path}");
    assert!(path["after"]["strong"].as_i64() > Some(500), "{path}");
    // What the exports know of roles moves rows from one path to another.
    let moved = report["paths_changed"].as_array().unwrap().iter();
    let moved: i64 = moved.map(|change| change["rows"].as_i64().unwrap()).sum();
    let paths = "SELECT count(*) AS n FROM s3_access WHERE access_path = ";
    let is_now = world.number(&format!("{paths}'unity_catalog'"));
    assert_eq!(report["paths"]["unity_catalog"]["rows"], is_now);
    assert!(moved > 0, "{report:#}");
    // The first answer stays readable, as an earlier version of the table.
    let log = world.path("lake/s3_access/_delta_log");
    assert!(files_below(&log).len() > 2);
}

/// Later than anything in these worlds.
pub const FAR: &str = "2027-01-01T00:00:00Z";

#[test]
fn only_rows_whose_time_has_come_are_settled_and_settled_ones_stay() {
    let world = World::new();
    fill(&world, 3, 20, 30);
    world.scan();
    let rows = world.events().len() as i64;
    // The clock has passed everything; as-of can only say more.
    let report = settle(&world, "lake", &["--from", "2026-03-28"]);
    assert_eq!(report["dates"], 0, "{report:#}");
    let report = settle(
        &world,
        "lake",
        &["--from", "2026-03-27", "--to", "2026-03-27"],
    );
    assert_eq!(report["rows"]["settled"], rows);
    let files = || files_below(&world.path("lake/s3_access")).len();
    let before = files();
    assert_eq!(settle(&world, "lake", &[])["dates"], 0);
    assert_eq!(files(), before, "nothing was written");
    // New rows of the date are settled without those that are.
    fill_more(&world);
    let more = world.scan()["records"]["rows_written"].as_i64().unwrap();
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["rows"]["settled"], more);
    assert_eq!(report["rows"]["settled_again"], 0);
    let report = settle(&world, "lake", &["--again"]);
    assert_eq!(report["rows"]["settled"], 0, "{report:#}");
    assert_eq!(report["rows"]["settled_again"], rows + more);
    assert_eq!(world.events().len() as i64, rows + more);
    let version = "SELECT count(DISTINCT attributed_at) AS n FROM s3_access";
    assert_eq!(world.number(version), 1);
    // Many files became few.
    assert!(report["files"]["after"].as_i64() <= Some(2), "{report:#}");
}

#[test]
fn many_small_settled_files_of_a_date_become_few_and_no_row_changes() {
    let world = World::new();
    let all = "SELECT * FROM s3_access ORDER BY event_id";
    let names = || -> Vec<String> {
        let files = files_below(&world.path("lake/s3_access")).into_iter();
        let names = files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        names.filter(|name| name.ends_with(".parquet")).collect()
    };
    let mut rows = Vec::new();
    for round in 0..7_u64 {
        let records: Vec<Value> = (0..20)
            .map(|n| {
                get_object(
                    &guid(round * 100 + n),
                    NOON,
                    user(),
                    &format!("k{round}/{n}"),
                )
            })
            .collect();
        let key = log_key(
            ACCOUNT,
            "us-west-2",
            &format!("13{round:02}"),
            &format!("{round:016x}"),
        );
        world.put_log(&key, &records);
        world.scan();
        let before = names();
        let report = settle(&world, "lake", &[]);
        assert_eq!(report["rows"]["settled"], 20, "{report:#}");
        // Rows of before are as they were, to the moment of their decision.
        let now = world.query(all);
        for row in &rows {
            assert!(now.contains(row), "round {round}: {row}");
        }
        rows = now;
        let written = names()
            .into_iter()
            .filter(|name| !before.contains(name))
            .count();
        assert!(written <= 2, "round {round}: {written} files");
    }
    assert_eq!(rows.len(), 140);
    let settled = "SELECT count(*) AS n FROM s3_access WHERE NOT settled";
    assert_eq!(world.number(settled), 0);
    // Those that have become many are merged also when nothing else is to be done.
    let report = settle(&world, "lake", &[]);
    assert_eq!(
        (&report["dates"], &report["rows"]["settled"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(world.query(all), rows);
    assert_eq!(settle(&world, "lake", &[])["dates"], 0);
    let log = files_below(&world.path("lake/s3_access/_delta_log"));
    let mut standing = std::collections::BTreeSet::new();
    for entry in log
        .iter()
        .filter(|path| path.extension().is_some_and(|of| of == "json"))
    {
        for line in std::fs::read_to_string(entry).unwrap().lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            if let Some(path) = action["add"]["path"].as_str() {
                standing.insert(path.to_owned());
            }
            if let Some(path) = action["remove"]["path"].as_str() {
                standing.remove(path);
            }
        }
    }
    assert!((1..=4).contains(&standing.len()), "{standing:?}");
}

#[test]
fn vacuum_deletes_what_was_replaced_and_refuses_to_do_so_early() {
    let world = World::new();
    fill(&world, 3, 20, 30);
    world.scan();
    let events = world.events();
    settle(&world, "lake", &[]);
    let data = || {
        let files = files_below(&world.path("lake/s3_access")).into_iter();
        files
            .filter(|path| path.extension().is_some_and(|of| of == "parquet"))
            .count()
    };
    let before = data();
    // As a killed settle leaves it.
    world.put(
        "lake/s3_access/event_date=2026-03-27/verdict=in_policy/settled-x.zstd.parquet",
        b"x",
    );
    let output = world.run(&["settle", "--vacuum", "1h"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("--vacuum-force"),
        "{}",
        errors(&output)
    );
    let output = world.run(&["settle", "--vacuum", "soon"]);
    assert_eq!(output.status.code(), Some(2));
    let report = settle(&world, "lake", &["--vacuum", "7d"]);
    assert_eq!(report["vacuum"]["s3_access"]["files"], 0, "{report:#}");
    assert_eq!(data(), before + 1);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let report = settle(&world, "lake", &["--vacuum", "1ms", "--vacuum-force"]);
    let deleted = report["vacuum"]["s3_access"]["files"].as_u64().unwrap();
    assert!(deleted >= 2, "{report:#}");
    assert!(
        report["vacuum"]["s3_access"]["bytes"].as_u64() > Some(1000),
        "{report:#}"
    );
    assert_eq!(data() as u64, before as u64 + 1 - deleted);
    assert_eq!(world.events(), events);
    // And the lake goes on.
    fill_more(&world);
    world.scan();
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["rows"]["settled"], 50, "{report:#}");
    assert_eq!(world.events().len(), events.len() + 50);
}

#[test]
fn as_of_settles_up_to_exactly_then() {
    let world = simulated(&["--events", "2000", "--days", "1", "--seed", "14"], &[]);
    world.scan_with(&["--databricks", "sim/databricks", "sim/trail"]);
    let times = world.one(
        "SELECT min(event_time) AS first, max(event_time) AS last, \
         approx_percentile_cont(event_time::bigint, 0.5)::bigint AS middle FROM s3_access",
    );
    let middle = UtcMicros(times["middle"].as_i64().unwrap()).to_string();
    let report = settle(&world, "lake", &["--as-of", &middle]);
    assert_eq!(report["settled_until"], middle);
    assert_eq!(report["held_by"], "as_of");
    let wrong = format!(
        "SELECT count(*) AS n FROM s3_access WHERE settled <> (event_time <= TIMESTAMP '{middle}')"
    );
    assert_eq!(world.number(&wrong), 0, "{report:#}");
    assert!(report["rows"]["settled"].as_i64() > Some(100), "{report:#}");
    assert!(
        report["rows"]["provisional"].as_i64() > Some(100),
        "{report:#}"
    );
    let report = settle(&world, "lake", &["--as-of", "2100-01-01T00:00:00Z"]);
    assert!(report["rows"]["settled"].as_i64() > Some(100), "{report:#}");
    assert_eq!(
        world.number("SELECT count(*) AS n FROM s3_access WHERE NOT settled"),
        0
    );
}

fn fill_more(world: &World) {
    let records: Vec<Value> = (0..50)
        .map(|n| get_object(&guid(700_000 + n), NOON, user(), &format!("late-{n}")))
        .collect();
    let key = log_key(ACCOUNT, "us-west-2", "1430", "00000000deadbeef");
    world.put_log(&key, &records);
}

#[test]
fn a_stream_that_shows_nothing_yet_settles_nothing() {
    let world = simulated(&["--events", "2000", "--days", "1", "--seed", "14"], &[]);
    world.scan_with(&["--databricks", "sim/databricks", "sim/trail"]);
    // Node timelines lag a week, and these are of one day.
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["held_by"], "system.compute.node_timeline");
    assert_eq!(report["rows"]["settled"], 0);
    let output = world.run(&["settle", "--as-of", "yesterday"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("yesterday"), "{}", errors(&output));
}

#[test]
fn settling_where_no_lake_is_makes_none() {
    let world = World::new();
    let output = world.command_in("nowhere", &["settle"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("nowhere"), "{}", errors(&output));
    assert!(!world.path("nowhere").exists());
}

/// Commits the rows of a data file a second time, as two scans far apart would.
async fn commit_again(world: &World) {
    let lake_path = world.path("lake");
    let mut lake = Lake::open(lake_path.to_str().unwrap()).await.unwrap();
    let files = lake.s3_access().files();
    let access_files = files.iter().map(|file| EncodedFile {
        bytes: std::fs::read(lake_path.join("s3_access").join(&file.path)).unwrap(),
        rows: file.stats.rows.unwrap(),
        partition: Partition::of(
            file.stats.first_event.unwrap().date(),
            match file.path.contains("in_policy") {
                true => Verdict::InPolicy,
                false => Verdict::OutOfPolicy,
            },
        ),
        times: file
            .stats
            .first_event
            .zip(file.stats.last_event)
            .map(|events| Times {
                events,
                ingested: events,
            }),
    });
    let batch = LakeBatch {
        access_files: access_files.collect(),
        ..LakeBatch::default()
    };
    let now = UtcMicros::parse_iso("2026-04-01T00:00:00Z").unwrap();
    let outcome = lake.commit(batch, now).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_stands_twice_stands_once_when_settled() {
    let world = World::new();
    fill(&world, 8, 20, 30);
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1455", "00000000feedbeef"),
        &(0..4)
            .map(|n| get_object("...", NOON, user(), &format!("k{n}")))
            .collect::<Vec<_>>(),
    );
    world.scan();
    let events = world.events();
    let keys = "SELECT event_id, object_key FROM s3_access ORDER BY 1, 2";
    let rows = world.query(keys);
    commit_again(&world).await;
    assert_eq!(world.events().len(), events.len() * 2);
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["rows"]["copies_dropped"], events.len());
    assert_eq!(world.events(), events);
    assert_eq!(world.query(keys), rows);
    // Copies of settled rows go as well, and the settled files are not touched.
    commit_again(&world).await;
    let settled = files_below(&world.path("lake/s3_access"));
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["rows"]["copies_dropped"], events.len());
    assert_eq!(report["files"]["after"], 0, "{report:#}");
    assert_eq!(world.events(), events);
    assert!(files_below(&world.path("lake/s3_access")).len() <= settled.len() + 1);
}

/// The requester's copy, with the whole identity, and the bucket owner's.
fn twins() -> (Value, Value) {
    let session = role_session("etl", "run-1", "ASIAONE", "2026-03-27T11:00:00Z");
    let mut rich = get_object(&guid(1), NOON, session, "a");
    rich["sharedEventID"] = guid(99).into();
    let poor = json!({"type": "AWSAccount", "principalId": "AROAETL:run-1", "accountId": ACCOUNT});
    let mut poor = get_object(&guid(2), NOON, poor, "a");
    poor["sharedEventID"] = guid(99).into();
    poor["recipientAccountId"] = OTHER_ACCOUNT.into();
    (rich, poor)
}

/// A record and the one that corrects it.
fn corrected() -> (Value, Value) {
    let original = get_object(&guid(5), NOON, user(), "b");
    let mut correction = get_object(&guid(6), NOON, user(), "b");
    correction["additionalEventData"]["bytesTransferredOut"] = 4096.into();
    correction["addendum"] = json!({"reason": "UPDATED_DATA", "updatedFields": "additionalEventData",
        "originalRequestID": format!("R{}", guid(5)), "originalEventID": guid(5)});
    (original, correction)
}

/// Delivers the records one scan after the other, settling where `None` stands.
fn deliver(records: &[Option<&Value>]) -> World {
    let world = World::new();
    let other = get_object(&guid(50), NOON, user(), "other");
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1201", "0000000000000001"),
        &[other],
    );
    world.scan();
    for (n, record) in records.iter().enumerate() {
        match record {
            Some(record) => {
                let minute = format!("13{n:02}");
                let key = log_key(ACCOUNT, "us-west-2", &minute, &format!("{n:016x}"));
                world.put_log(&key, std::slice::from_ref(*record));
                world.scan();
                // A reader never sees an event twice.
                assert_eq!(world.events().len(), 2, "{:?}", world.events());
            }
            None => {
                settle(&world, "lake", &[]);
            }
        }
    }
    settle(&world, "lake", &[]);
    world
}

#[test]
fn the_twin_that_knows_its_caller_stands_whichever_came_first() {
    let (rich, poor) = twins();
    let orders: [&[Option<&Value>]; 4] = [
        &[Some(&rich), Some(&poor)],
        &[Some(&poor), Some(&rich)],
        &[Some(&poor), None, Some(&rich)],
        &[Some(&poor), Some(&rich), None, Some(&poor), Some(&rich)],
    ];
    for (n, order) in orders.into_iter().enumerate() {
        let world = deliver(order);
        let row = world.one("SELECT * FROM s3_access WHERE object_key = 'a'");
        assert_eq!(row["event_id"], guid(1), "order {n}");
        assert_eq!(row["access_key_id"], "ASIAONE");
        assert_eq!(row["settled"], true);
        assert_eq!(world.number("SELECT count(*) AS n FROM s3_amendments"), 0);
    }
}

#[test]
fn a_correction_takes_the_place_of_what_it_corrects_whichever_came_first() {
    let (original, correction) = corrected();
    let orders: [&[Option<&Value>]; 5] = [
        &[Some(&original), Some(&correction)],
        &[Some(&correction), Some(&original)],
        &[Some(&original), None, Some(&correction)],
        &[Some(&correction), None, Some(&original)],
        &[
            Some(&original),
            Some(&correction),
            Some(&original),
            Some(&correction),
        ],
    ];
    for (n, order) in orders.into_iter().enumerate() {
        let world = deliver(order);
        let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
        assert_eq!(row["event_id"], guid(6), "order {n}");
        assert_eq!(row["bytes_out"], 4096);
        assert_eq!(row["addendum_reason"], "UPDATED_DATA");
        assert_eq!(row["original_event_id"], guid(5));
        assert_eq!(row["settled"], true);
        // The original's id, as another system noted it, still finds the event.
        let output = world.command_in("lake", &["explain", &guid(5)]).output();
        assert_eq!(output.unwrap().status.code(), Some(0));
    }
    // And in one scan.
    for records in [[&original, &correction], [&correction, &original]] {
        let world = world_of(&[("1205", &records.map(Value::clone))]);
        world.scan();
        world.check_adds_up();
        let row = world.one("SELECT * FROM s3_access");
        assert_eq!(row["event_id"], guid(6));
    }
}

#[test]
fn a_correction_under_the_id_of_what_it_corrects_is_no_copy() {
    let (original, mut correction) = corrected();
    correction["eventID"] = original["eventID"].clone();
    for order in [[&original, &correction], [&correction, &original]] {
        let world = deliver(&order.map(Some));
        let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
        assert_eq!(row["bytes_out"], 4096);
    }
}

#[test]
fn of_two_corrections_the_same_one_stands_whichever_came_first() {
    let (original, first) = corrected();
    let mut second = first.clone();
    merge(
        &mut second,
        json!({"eventID": guid(7), "eventTime": "2026-03-27T12:00:01Z"}),
    );
    for order in [
        [&original, &first, &second],
        [&original, &second, &first],
        [&second, &original, &first],
        [&first, &second, &original],
    ] {
        let world = deliver(&order.map(Some));
        let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
        assert_eq!(row["event_id"], guid(7));
    }
}

#[test]
fn of_records_that_correct_each_other_one_stands() {
    let (mut first, second) = corrected();
    first["addendum"] = second["addendum"].clone();
    first["addendum"]["originalEventID"] = second["eventID"].clone();
    let third = get_object(&guid(8), NOON, user(), "c");
    let world = world_of(&[("1205", &[first, second, third])]);
    world.scan();
    settle(&world, "lake", &[]);
    let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
    assert_eq!(row["settled"], true);
    assert_eq!(world.number("SELECT count(*) AS n FROM s3_access"), 2);
}

#[test]
fn a_late_event_says_why_it_is_late_and_stays() {
    let mut late = get_object(&guid(1), NOON, user(), "late");
    late["addendum"] = json!({"reason": "DELIVERY_DELAY"});
    let world = world_of(&[("1205", &[late, get_object(&guid(2), NOON, user(), "c")])]);
    world.scan();
    let report = settle(&world, "lake", &[]);
    assert_eq!(report["rows"]["settled"], 2);
    let row = world.one("SELECT * FROM s3_access WHERE addendum_reason IS NOT NULL");
    assert_eq!(row["addendum_reason"], "DELIVERY_DELAY");
    assert_eq!(row["original_event_id"], Value::Null);
}

#[test]
fn a_scan_after_a_settle_knows_what_it_knew() {
    let world = World::new();
    fill(&world, 9, 10, 30);
    world.scan();
    settle(&world, "lake", &[]);
    let events = world.events();
    for path in files_below(&world.trail()) {
        let below = path.strip_prefix(world.trail()).unwrap().to_str().unwrap();
        world.put(&format!("copy/{below}"), &std::fs::read(&path).unwrap());
    }
    let report = world.scan_with(&["copy", "trail"]);
    assert_eq!(report["records"]["rows_written"], 0, "{report:#}");
    assert_eq!(report["objects"]["known"], 10);
    assert_eq!(world.events(), events);
}
