//! Whatever order objects and exports arrive in, the settled rows are the same.
//!
//! The orders are random and the seed is printed; `BRICKTRAIL_SEED` repeats it.

use super::kill::seed;
use super::settle::{FAR, settle, simulated};
use super::world::*;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Orders tried in one test run.
const ORDERS: u32 = 5;

/// Everything but when and where a row was read: of two copies of one record the
/// scan keeps the first.
const SETTLED: &str = "SELECT * EXCLUDE (ingested_at, attributed_at, source_uri, source_index, source_etag) \
                       FROM s3_access ORDER BY event_id, aws_account_id, object_key";

/// A simulated organisation, with twins and corrections beside what it has anyway.
fn world() -> World {
    let arguments = ["--events", "4000", "--days", "1", "--seed", "21"];
    with_twins_and_corrections(simulated(&arguments, &[]))
}

fn with_twins_and_corrections(world: World) -> World {
    world.put("small.toml", b"[scan]\ncommit_objects = 25\n");
    let day = NOON.split('T').next().unwrap();
    for n in 0..40_u64 {
        let at = format!("{day}T12:{:02}:{:02}Z", n / 2, n);
        let session = role_session("etl", &format!("run-{n}"), &format!("ASIA{n}"), &at);
        let mut rich = get_object(&guid(1000 + n), &at, session, &format!("t/{n}"));
        rich["sharedEventID"] = guid(2000 + n).into();
        let caller = json!({"type": "AWSAccount", "principalId": format!("AROAETL:run-{n}"), "accountId": ACCOUNT});
        let mut poor = get_object(&guid(3000 + n), &at, caller, &format!("t/{n}"));
        merge(
            &mut poor,
            json!({"sharedEventID": guid(2000 + n), "recipientAccountId": OTHER_ACCOUNT}),
        );
        let mut correction = rich.clone();
        merge(
            &mut correction,
            json!({"eventID": guid(4000 + n), "userAgent": "[corrected]",
            "addendum": {"reason": "UPDATED_DATA", "originalEventID": guid(1000 + n)}}),
        );
        let mut again = correction.clone();
        again["eventID"] = guid(5000 + n).into();
        let records: Vec<Value> = match n % 4 {
            0 => vec![rich, poor],
            1 => vec![rich, correction],
            2 => vec![rich, poor, correction],
            _ => vec![rich.clone(), poor, correction, again, rich],
        };
        for (part, record) in records.into_iter().enumerate() {
            let key = log_key(ACCOUNT, "us-west-2", "1330", &format!("{n:08x}{part:08x}"));
            world.put(&format!("sim/trail/{key}"), &gzip(&log_text(&[record])));
        }
    }
    world
}

/// What is done to a lake, one after the other.
enum Step {
    Scan(Vec<PathBuf>),
    Import,
    Settle,
}

fn steps(world: &World, random: &mut Random) -> Vec<Step> {
    let mut objects = files_below(&world.path("sim/trail"));
    let parts = 1 + random.below(4) as usize;
    shuffle(&mut objects, random);
    let each = objects.len().div_ceil(parts);
    let mut steps: Vec<Step> = objects
        .chunks(each)
        .map(|part| Step::Scan(part.to_vec()))
        .collect();
    let place = random.below(steps.len() as u64 + 1) as usize;
    steps.insert(place, Step::Import);
    if random.below(2) == 0 {
        let place = 1 + random.below(steps.len() as u64) as usize;
        steps.insert(place, Step::Settle);
    }
    steps
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for place in (1..items.len()).rev() {
        items.swap(place, random.below(place as u64 + 1) as usize);
    }
}

/// Runs the steps on a lake and settles it; says what it did.
#[track_caller]
fn run(world: &World, lake: &str, steps: &[Step]) -> String {
    let mut said = Vec::new();
    let arguments = ["--policy", "sim/policy", "--as-of", FAR];
    let mut is_settled = false;
    for step in steps {
        match step {
            Step::Scan(objects) => {
                let objects: Vec<&str> =
                    objects.iter().map(|path| path.to_str().unwrap()).collect();
                said.push(format!("scan {}", objects.len()));
                let config = ["scan", "--config", "small.toml", "--policy", "sim/policy"];
                let all = [&config[..], &objects].concat();
                let output = world.command_in(lake, &all).output().unwrap();
                assert!(output.status.success(), "{said:?}: {}", errors(&output));
                check_once(world, lake, &said);
            }
            Step::Import => {
                said.push("import".to_owned());
                world.put("empty/README.md", b"no log");
                let all = ["scan", "--databricks", "sim/databricks", "empty"];
                let output = world.command_in(lake, &all).output().unwrap();
                assert!(output.status.success(), "{said:?}: {}", errors(&output));
            }
            Step::Settle => {
                said.push("settle".to_owned());
                settle(world, lake, &arguments);
                is_settled = true;
                check_once(world, lake, &said);
            }
        }
    }
    // What was settled with less knowledge is decided again.
    let again: &[&str] = if is_settled { &["--again"] } else { &[] };
    settle(world, lake, &[&arguments[..], again].concat());
    said.join(", ")
}

/// A trail in which no object holds both S3 events and what tells of identities, so
/// that one can come before the other: the objects of identities, and the others.
fn parted(world: &World) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut facts, mut events) = (Vec::new(), Vec::new());
    for path in files_below(&world.path("sim/trail")) {
        let Ok(log) = serde_json::from_slice::<Value>(&gunzip(&std::fs::read(&path).unwrap()))
        else {
            continue;
        };
        let Some(records) = log["Records"].as_array() else {
            continue;
        };
        let is_s3 = |record: &&Value| {
            let source = record["eventSource"].as_str().unwrap_or_default();
            source.starts_with("s3")
        };
        let (of_s3, others): (Vec<&Value>, Vec<&Value>) = records.iter().partition(is_s3);
        let below = path.strip_prefix(world.path("sim/trail")).unwrap();
        for (part, records, paths) in [
            ("facts", others, &mut facts),
            ("events", of_s3, &mut events),
        ] {
            if !records.is_empty() {
                let records: Vec<Value> = records.into_iter().cloned().collect();
                let name = format!("parted/{part}/{}", below.to_str().unwrap());
                world.put(&name, &gzip(&log_text(&records)));
                paths.push(world.path(&name));
            }
        }
    }
    assert!(facts.len() > 10 && events.len() > 10);
    (facts, events)
}

fn scan(world: &World, lake: &str, objects: &[PathBuf]) {
    let objects: Vec<&str> = objects.iter().map(|path| path.to_str().unwrap()).collect();
    let config = ["scan", "--config", "small.toml", "--policy", "sim/policy"];
    let output = world
        .command_in(lake, &[&config[..], &objects].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

fn import(world: &World, lake: &str) {
    world.put("empty/README.md", b"no log");
    let all = ["scan", "--databricks", "sim/databricks", "empty"];
    let output = world.command_in(lake, &all).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
}

/// Columns of the rows that differ.
fn difference(found: &Value, expected: &Value) -> Vec<String> {
    let columns = expected.as_object().unwrap().iter();
    let differ = columns.filter(|(name, value)| found.get(*name) != Some(value));
    differ
        .map(|(name, value)| format!("{name}: {:?}, not {value}", found.get(name)))
        .collect()
}

/// What the sources have passed is settled on the way, as it comes; not before.
#[test]
fn settling_on_the_way_decides_as_settling_in_the_end() {
    let without = ["system.compute.node_timeline"];
    let world = with_twins_and_corrections(simulated(
        &["--events", "3000", "--days", "1", "--seed", "23"],
        &without,
    ));
    let (facts, events) = parted(&world);
    let natural = ["--policy", "sim/policy"];
    let again = ["--policy", "sim/policy", "--again"];
    import(&world, "straight");
    scan(&world, "straight", &[&facts[..], &events[..]].concat());
    let report = settle(&world, "straight", &natural);
    assert_ne!(report["held_by"], "trail", "{report:#}");
    assert!(
        report["rows"]["provisional"].as_i64() > Some(50),
        "{report:#}"
    );
    let settled = SETTLED.replace(" ORDER BY", " WHERE settled ORDER BY");
    let key = |row: &Value| format!("{} {}", row["event_id"], row["aws_account_id"]);
    let expected = world.query_in("straight", &settled);
    let by_key: std::collections::HashMap<String, &Value> =
        expected.iter().map(|row| (key(row), row)).collect();
    assert!(expected.len() > 1000);
    let mut random = Random(seed());
    for order in 0..4 {
        let lake = format!("order-{order}");
        // The first two know from the start what is to be known, the others do not.
        let knows = order < 2;
        let mut objects = events.clone();
        match knows {
            true => {
                scan(&world, &lake, &facts);
                import(&world, &lake);
            }
            false => objects.extend(facts.clone()),
        }
        shuffle(&mut objects, &mut random);
        let mut compared = 0;
        for part in objects.chunks(objects.len().div_ceil(4)) {
            scan(&world, &lake, part);
            settle(&world, &lake, &natural);
            if !knows {
                continue;
            }
            for row in world.query_in(&lake, &settled) {
                // Of an event's records another one may be still to come.
                let Some(expected) = by_key.get(&key(&row)) else {
                    continue;
                };
                let differs = difference(&row, expected);
                assert!(differs.is_empty(), "{lake}: {}: {differs:#?}", key(&row));
                compared += 1;
            }
        }
        if !knows {
            import(&world, &lake);
            settle(&world, &lake, &again);
        }
        assert!(!knows || compared > 2000, "{lake}: {compared}");
        for last in [&natural[..], &again] {
            settle(&world, &lake, last);
            // Before the import nothing but the trail was waited for: more was settled.
            let found = world.query_in(&lake, &settled);
            let mut found: Vec<&Value> = found
                .iter()
                .filter(|row| by_key.contains_key(&key(row)))
                .collect();
            found.sort_by_key(|row| key(row));
            assert_eq!(found.len(), expected.len(), "{lake}");
            for found in found {
                let differs = difference(found, by_key[&key(found)]);
                assert!(differs.is_empty(), "{lake}: {}: {differs:#?}", key(found));
            }
        }
    }
}

/// At any time a reader sees a record once.
#[track_caller]
fn check_once(world: &World, lake: &str, said: &[String]) {
    let twice = world.query_in(
        lake,
        "SELECT event_id, aws_account_id FROM s3_access GROUP BY 1, 2 HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "{said:?}: {twice:?}");
    let twins = world.query_in(
        lake,
        "SELECT shared_event_id, event_name FROM s3_access WHERE shared_event_id IS NOT NULL \
         GROUP BY 1, 2 HAVING count(DISTINCT aws_account_id) > 1",
    );
    assert!(twins.is_empty(), "{said:?}: {twins:?}");
}

#[test]
fn the_order_of_arrival_changes_no_settled_row() {
    let world = world();
    let mut random = Random(seed());
    let straight = [
        Step::Import,
        Step::Scan(files_below(&world.path("sim/trail"))),
    ];
    run(&world, "straight", &straight);
    let expected = world.query_in("straight", SETTLED);
    let corrected = expected
        .iter()
        .filter(|row| !row["original_event_id"].is_null());
    assert!(
        corrected.count() >= 30,
        "those made here, and the simulation's"
    );
    assert!(expected.iter().all(|row| row["settled"] == true));
    for order in 0..ORDERS {
        let lake = format!("order-{order}");
        let said = run(&world, &lake, &steps(&world, &mut random));
        println!("{said}");
        let found = world.query_in(&lake, SETTLED);
        let differs = found.iter().zip(&expected).find(|(a, b)| a != b);
        if let Some((found, expected)) = differs {
            let columns = expected.as_object().unwrap().iter();
            let differ: Vec<_> = columns
                .filter(|(name, value)| found.get(*name) != Some(value))
                .map(|(name, value)| (name, value, found.get(name)))
                .collect();
            panic!("{said}: row {}: {differ:#?}", expected["event_id"]);
        }
        assert_eq!(found.len(), expected.len(), "{said}: number of rows");
    }
}
