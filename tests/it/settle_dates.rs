//! Records of one event that lie on several dates: settled, the event is one row,
//! whatever came first and wherever a settle was killed.
//!
//! The worlds are random and the seed is printed; `BRICKTRAIL_SEED` repeats it.

use super::kill::seed;
use super::settle::settle;
use super::world::*;
use bricktrail::lake::Lake;
use bricktrail::lake::data_file::{EncodedFile, Partition, Times};
use bricktrail::lake::delta::{CommitOutcome, LakeTable};
use bricktrail::lake::store::LakeBatch;
use bricktrail::model::{UtcMicros, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Events of a random world, and arrivals of it that are tried.
const EVENTS: u64 = 14;
const ARRIVALS: usize = 3;

/// All that the record says, and where it stands.
const ROWS: &str = "SELECT object_key, event_id, aws_account_id, event_time, settled, bytes_out \
                    FROM s3_access ORDER BY object_key, event_id";

/// The files of a table, to be committed to another.
fn encoded(lake: &Path, table: &LakeTable) -> Vec<EncodedFile> {
    let files = table.files().into_iter().map(|file| {
        let verdict = file.partition_values["verdict"].clone();
        let verdict = Verdict::ALL
            .into_iter()
            .find(|of| verdict.as_deref() == Some(of.as_str()));
        let first = file.stats.first_event.unwrap();
        EncodedFile {
            bytes: std::fs::read(lake.join(table.name).join(&file.path)).unwrap(),
            rows: file.stats.rows.unwrap(),
            partition: Partition::of(first.date(), verdict.unwrap()),
            times: file.stats.last_event.map(|last| Times {
                events: (first, last),
                ingested: (first, last),
            }),
        }
    });
    files.collect()
}

/// Scans records into a lake of their own and adds its rows to the other: as two
/// scans do that are too far apart to recognise copies.
#[track_caller]
fn arrive_far_apart(world: &World, lake: &str, object: &str, records: &[Value]) {
    let part = format!("part-{object}");
    world.put(
        &format!("{part}-trail/{object}.json.gz"),
        &gzip(&log_text(records)),
    );
    let trail = format!("{part}-trail");
    let output = world.command_in(&part, &["scan", &trail]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let part_lake = Lake::open(world.path(&part).to_str().unwrap())
            .await
            .unwrap();
        let batch = LakeBatch {
            access_files: encoded(&world.path(&part), part_lake.s3_access()),
            amendment_files: encoded(&world.path(&part), part_lake.s3_amendments()),
            ..LakeBatch::default()
        };
        let mut lake = Lake::open(world.path(lake).to_str().unwrap())
            .await
            .unwrap();
        let now = UtcMicros::parse_iso("2026-04-01T00:00:00Z").unwrap();
        let outcome = lake.commit(batch, now).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed { .. }));
    });
}

/// Scans records into the lake.
#[track_caller]
fn arrive(world: &World, lake: &str, object: &str, records: &[Value]) {
    let path = format!("{lake}-trail/{object}.json.gz");
    world.put(&path, &gzip(&log_text(records)));
    let output = world.command_in(lake, &["scan", &path]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

fn at(day: u64, time: &str) -> String {
    format!("2026-03-{:02}T{time}Z", 20 + day)
}

fn original() -> Value {
    get_object(&guid(5), &at(6, "23:59:59"), user(), "b")
}

fn correction(at: &str) -> Value {
    let mut record = get_object(&guid(6), at, user(), "b");
    record["additionalEventData"]["bytesTransferredOut"] = 4096.into();
    record["addendum"] = json!({"reason": "UPDATED_DATA", "originalEventID": guid(5)});
    record
}

/// Lets the records arrive one after the other, near or far apart, with a settle
/// where `None` stands, then settles.
fn deliver(records: &[Option<&Value>], far_apart: bool) -> World {
    let world = World::new();
    let other = get_object(&guid(50), NOON, user(), "other");
    arrive(&world, "lake", "other", &[other]);
    for (n, record) in records.iter().enumerate() {
        let object = format!("object-{n}");
        match record {
            Some(record) if far_apart => {
                arrive_far_apart(&world, "lake", &object, std::slice::from_ref(*record));
            }
            Some(record) => arrive(&world, "lake", &object, std::slice::from_ref(*record)),
            None => {
                settle(&world, "lake", &[]);
            }
        }
    }
    settle(&world, "lake", &[]);
    world
}

/// The event `b` has this record as its only row, settled, and nothing waits.
#[track_caller]
fn check_stands(world: &World, record: &Value) {
    let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
    assert_eq!(row["event_id"], record["eventID"]);
    assert_eq!(row["settled"], true);
    assert_eq!(
        row["event_date"],
        record["eventTime"].as_str().unwrap()[..10]
    );
    assert_eq!(world.number("SELECT count(*) AS n FROM s3_amendments"), 0);
    assert_eq!(world.number("SELECT count(*) AS n FROM s3_access"), 2);
    let report = settle(world, "lake", &[]);
    assert_eq!(report["dates"], 0, "nothing is left to do: {report:#}");
}

#[test]
fn a_correction_of_another_date_takes_the_place_of_what_it_corrects() {
    let original = original();
    for day in [0, 5, 7, 30 - 20] {
        let correction = correction(&at(day, "12:00:10"));
        let orders: [&[Option<&Value>]; 4] = [
            &[Some(&original), Some(&correction)],
            &[Some(&correction), Some(&original)],
            &[Some(&original), None, Some(&correction)],
            &[Some(&correction), None, Some(&original)],
        ];
        for order in orders {
            for far_apart in [false, true] {
                check_stands(&deliver(order, far_apart), &correction);
            }
        }
    }
}

#[test]
fn records_on_both_sides_of_midnight_are_one_row() {
    let (rich, poor) = twins(&at(7, "00:00:00"), &at(6, "23:59:59"));
    let mut later = original();
    later["eventTime"] = at(7, "00:00:01").into();
    for (stays, goes) in [(&rich, &poor), (&later, &original())] {
        let orders: [&[Option<&Value>]; 4] = [
            &[Some(stays), Some(goes)],
            &[Some(goes), Some(stays)],
            &[Some(stays), None, Some(goes)],
            &[Some(goes), None, Some(stays)],
        ];
        for order in orders {
            check_stands(&deliver(order, true), stays);
        }
    }
    // Near by, the scan sees the second and puts it aside.
    for order in [[Some(&poor), Some(&rich)], [Some(&rich), Some(&poor)]] {
        check_stands(&deliver(&order, false), &rich);
    }
    let order = [Some(&poor), None, Some(&rich)];
    check_stands(&deliver(&order, false), &rich);
}

/// The two records that two accounts got of one access: the one that tells of the
/// caller, then the other.
fn twins(rich: &str, poor: &str) -> (Value, Value) {
    let session = role_session("etl", "run-1", "ASIAONE", "2026-03-26T11:00:00Z");
    let mut rich = get_object(&guid(1), rich, session, "b");
    rich["sharedEventID"] = guid(99).into();
    let caller =
        json!({"type": "AWSAccount", "principalId": "AROAETL:run-1", "accountId": ACCOUNT});
    let mut poor = get_object(&guid(2), poor, caller, "b");
    poor["sharedEventID"] = guid(99).into();
    poor["recipientAccountId"] = OTHER_ACCOUNT.into();
    (rich, poor)
}

/// What amends a row is due before the file in which that is.
#[test]
fn what_amends_a_row_that_is_not_due_takes_its_place_at_once() {
    let late = at(6, "13:00:00");
    let next_day = at(7, "03:00:00");
    for (row_at, as_of) in [(late, at(6, "12:30:00")), (next_day, at(6, "23:30:00"))] {
        let (rich, poor) = twins(&at(6, "12:10:00"), &row_at);
        let mut corrected = original();
        corrected["eventTime"] = row_at.into();
        for (stays, goes) in [
            (rich, poor),
            (correction(&at(6, "12:10:00")), corrected.clone()),
        ] {
            let world = World::new();
            let other = get_object(&guid(50), NOON, user(), "other");
            arrive(&world, "lake", "other", &[other]);
            arrive(&world, "lake", "row", std::slice::from_ref(&goes));
            arrive(&world, "lake", "late", std::slice::from_ref(&stays));
            let waiting = world.number("SELECT count(*) AS n FROM s3_amendments");
            assert_eq!(waiting, 1, "the scan put it aside");
            settle(&world, "lake", &["--as-of", &as_of]);
            let row = world.one("SELECT * FROM s3_access WHERE object_key = 'b'");
            assert_eq!(row["event_id"], stays["eventID"]);
            assert_eq!(row["settled"], true);
            assert_eq!(world.number("SELECT count(*) AS n FROM s3_amendments"), 0);
            // What else the lake holds.
            settle(&world, "lake", &[]);
            check_stands(&world, &stays);
        }
    }
}

#[test]
fn a_date_outside_the_range_loses_what_stands_within() {
    let (original, correction) = (original(), correction(&at(8, "10:00:00")));
    let world = deliver(&[Some(&original)], true);
    arrive_far_apart(&world, "lake", "late", std::slice::from_ref(&correction));
    let report = settle(
        &world,
        "lake",
        &["--from", "2026-03-28", "--to", "2026-03-28"],
    );
    assert_eq!(report["rows"]["corrected"], 1, "{report:#}");
    check_stands(&world, &correction);
}

/// The records of random events, each list of one event, the one that stands first.
fn random_events(random: &mut Random) -> Vec<Vec<Value>> {
    let mut events = Vec::new();
    for event in 0..EVENTS {
        let id = |n: u64| guid(event * 100 + n);
        let around = |random: &mut Random| match random.below(2) {
            0 => at(
                6,
                &format!("23:{:02}:{:02}", 30 + random.below(30), random.below(60)),
            ),
            _ => at(
                7,
                &format!("00:{:02}:{:02}", random.below(30), random.below(60)),
            ),
        };
        let key = format!("e/{event:03}");
        let caller = role_session("etl", "run-1", "ASIAONE", "2026-03-26T11:00:00Z");
        let rich = |id: String, at: &str| get_object(&id, at, caller.clone(), &key);
        let mut records = vec![rich(id(0), &around(random))];
        if random.below(2) == 0 {
            let caller =
                json!({"type": "AWSAccount", "principalId": "AROAETL:run-1", "accountId": ACCOUNT});
            let mut twin = get_object(&id(1), &around(random), caller, &key);
            merge(
                &mut twin,
                json!({"sharedEventID": id(90), "recipientAccountId": OTHER_ACCOUNT}),
            );
            records[0]["sharedEventID"] = id(90).into();
            records.push(twin);
        }
        if random.below(3) == 0 {
            let mut copy = records[0].clone();
            copy["eventTime"] = around(random).into();
            records.push(copy);
        }
        for n in 0..random.below(3) {
            let at = at(3 + random.below(8), &format!("1{n}:00:00"));
            let mut correction = rich(id(10 + n), &at);
            correction["addendum"] = json!({"reason": "UPDATED_DATA", "originalEventID": id(0)});
            correction["additionalEventData"]["bytesTransferredOut"] = (n + 7000).into();
            if let Some(shared) = records[0].get("sharedEventID") {
                correction["sharedEventID"] = shared.clone();
            }
            records.push(correction);
        }
        // A correction before all others, then who tells of the caller; the latest.
        let place = |record: &Value| {
            let is_correction = !record["addendum"].is_null();
            let knows_caller = !record["userIdentity"]["arn"].is_null();
            (
                is_correction,
                knows_caller,
                record["eventTime"].as_str().unwrap().to_owned(),
            )
        };
        records.sort_by_key(|record| std::cmp::Reverse(place(record)));
        events.push(records);
    }
    events
}

/// How many rows each event has.
fn rows_of_events(rows: &[Value]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let key = row["object_key"].as_str().unwrap().to_owned();
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// What must stand: key and id, settled.
fn expected(events: &[Vec<Value>]) -> Vec<(String, Value, Value)> {
    let of = |record: &Value| {
        let key = record["requestParameters"]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        (key, record["eventID"].clone(), record["eventTime"].clone())
    };
    events.iter().map(|records| of(&records[0])).collect()
}

fn found(rows: &[Value]) -> Vec<(String, Value, Value)> {
    let rows = rows.iter().filter(|row| row["object_key"] != "other");
    rows.map(|row| {
        assert_eq!(row["settled"], true, "{row}");
        let key = row["object_key"].as_str().unwrap().to_owned();
        (key, row["event_id"].clone(), row["event_time"].clone())
    })
    .collect()
}

/// Copies a lake as it would be had the process died right after that version of
/// `s3_access`; `rolled` says whether the tables beside it had followed.
fn copy_as_of(world: &World, from: &str, to: &str, version: u64, rolled: bool) {
    let (from, to) = (world.path(from), world.path(to));
    for path in files_below(&from) {
        let below = path.strip_prefix(&from).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_log = below
            .components()
            .any(|part| part.as_os_str() == "_delta_log");
        // Every version has its entry; a checkpoint only sums them up.
        if is_log && !name.ends_with(".json") {
            continue;
        }
        let keeps = match below.starts_with("s3_access") {
            _ if !is_log => true,
            true => name.trim_end_matches(".json").parse::<u64>().unwrap() <= version,
            false => {
                let text = std::fs::read_to_string(&path).unwrap();
                let actions = text
                    .lines()
                    .map(|line| serde_json::from_str::<Value>(line).unwrap());
                let followed = actions
                    .filter(|action| action["txn"]["appId"] == "bricktrail.s3_access")
                    .filter_map(|action| action["txn"]["version"].as_u64())
                    .max();
                followed.is_none_or(|of| of < version || of == version && rolled)
            }
        };
        if keeps {
            let target = to.join(below);
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::copy(&path, target).unwrap();
        }
    }
}

fn version(world: &World, lake: &str) -> u64 {
    let log = files_below(&world.path(&format!("{lake}/s3_access/_delta_log")));
    let entries = log
        .iter()
        .filter(|path| path.extension().is_some_and(|of| of == "json"));
    entries.count() as u64 - 1
}

#[test]
fn whatever_arrives_and_wherever_it_is_killed_every_event_is_one_row() {
    let mut random = Random(seed());
    let world = World::new();
    let events = random_events(&mut random);
    let expected = expected(&events);
    for arrival in 0..ARRIVALS {
        let lake = format!("lake-{arrival}");
        arrive(
            &world,
            &lake,
            "other",
            &[get_object(&guid(99_999), NOON, user(), "other")],
        );
        // Copies of one record that differ, a scan would not both keep, whichever of
        // them came first: far apart.
        let mut objects: BTreeMap<(u64, bool), Vec<Value>> = BTreeMap::new();
        let mut copies: BTreeMap<String, u64> = BTreeMap::new();
        for record in events.iter().flatten() {
            *copies.entry(record["eventID"].to_string()).or_default() += 1;
        }
        for record in events.iter().flatten() {
            let has_copies = copies[&record["eventID"].to_string()] > 1;
            let object = (random.below(3), has_copies || random.below(2) == 0);
            objects.entry(object).or_default().push(record.clone());
        }
        let mut objects: Vec<_> = objects.into_iter().collect();
        for place in (1..objects.len()).rev() {
            objects.swap(place, random.below(place as u64 + 1) as usize);
        }
        let settles_at = random.below(objects.len() as u64) as usize;
        for (n, ((_, far_apart), records)) in objects.iter().enumerate() {
            let object = format!("{arrival}-{n}");
            match far_apart {
                true => arrive_far_apart(&world, &lake, &object, records),
                false => arrive(&world, &lake, &object, records),
            }
            if n == settles_at && arrival > 0 {
                settle(&world, &lake, &[]);
            }
        }
        let before = version(&world, &lake);
        settle(&world, &lake, &[]);
        assert_eq!(
            found(&world.query_in(&lake, ROWS)),
            expected,
            "arrival {arrival}"
        );
        let waiting = world.query_in(&lake, "SELECT count(*) AS n FROM s3_amendments");
        assert_eq!(waiting[0]["n"], 0, "arrival {arrival}");
        let after = version(&world, &lake);
        println!(
            "arrival {arrival}: {} commits of the last settle",
            after - before
        );
        let mut most: BTreeMap<String, u64> = BTreeMap::new();
        for version in before..after {
            for rolled in [false, true] {
                let killed = format!("killed-{arrival}-{version}-{rolled}");
                copy_as_of(&world, &lake, &killed, version, rolled);
                let rows = world.query_in(&killed, ROWS);
                let counts = rows_of_events(&rows);
                for (key, _, _) in &expected {
                    let rows = counts.get(key).copied().unwrap_or(0);
                    assert!(rows > 0, "{killed}: {key} is lost");
                    let before = most.get(key).copied().unwrap_or(u64::MAX);
                    assert!(
                        rows <= before,
                        "{killed}: {key} had {before} rows, now {rows}"
                    );
                }
                most = counts;
                settle(&world, &killed, &[]);
                let rows = world.query_in(&killed, ROWS);
                assert_eq!(found(&rows), expected, "{killed}");
            }
        }
    }
}
