//! Nothing twice, nothing lost: a scan is killed at any instant, and two run at
//! once; what stands in the end is what one undisturbed scan would have written.
//!
//! The instants are random and the seed is printed; `BRICKTRAIL_SEED` repeats it.

use super::world::*;
use serde_json::{Value, json};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Kills of one test run, at least.
const KILLS: u32 = 24;
/// Kills of one lake; then the scan is left alone.
const KILLS_OF_ONE_LAKE: u32 = 8;

/// Two objects a commit, so that there are many instants between two commits.
const SMALL_COMMITS: &str =
    "[scan]\ncommit_objects = 2\ncommit_bytes = \"1 MiB\"\ncommit_interval = \"10m\"\n";
const ARGUMENTS: [&str; 6] = [
    "scan",
    "--format",
    "json",
    "--config",
    "small.toml",
    "trail",
];

/// A trail of every kind of object: logs with copies of events, sessions that
/// are issued before and after their use, copies of objects, damaged ones, and
/// files that are no logs.
fn world() -> World {
    let world = World::new();
    world.put("small.toml", SMALL_COMMITS.as_bytes());
    fill(&world, 77, 100, 40);
    for n in 0..7 {
        let user = json!({"type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/ann"), "accountId": ACCOUNT,
            "accessKeyId": "AKIAEXAMPLE", "userName": "ann"});
        let session = assume_role(
            &guid(900_000 + n),
            "2026-03-27T11:00:00Z",
            user,
            "etl",
            &format!("run-{n}"),
            &format!("ASIAKEY{n}"),
        );
        let minute = format!("13{:02}", 8 * n);
        world.put_log(
            &log_key(ACCOUNT, "us-east-1", &minute, &format!("sts{n:013}")),
            &[session],
        );
    }
    let logs = files_below(&world.trail());
    for (n, path) in logs.iter().enumerate().step_by(15) {
        let bytes = std::fs::read(path).unwrap();
        let below = path.strip_prefix(world.trail()).unwrap().to_str().unwrap();
        world.put(&format!("trail/copy/{below}"), &bytes);
        let key = log_key(ACCOUNT, "us-west-2", "1330", &format!("cut{n:013}"));
        world.put(&format!("trail/{key}"), &bytes[..bytes.len() - 9]);
    }
    world.put("trail/README.md", b"# Logs");
    world
}

/// All that a scan decides: rows and fates, without the times of writing.
fn content(world: &World, lake: &str) -> (Vec<Value>, Vec<Value>) {
    let rows = world.query_in(
        lake,
        "SELECT event_id, aws_account_id, source_uri, source_index, event_time, object_key, access_path, \
         session_event_id, session_confidence, attribution_evidence, unattributed_reason, verdict, violations, \
         policy_version FROM s3_access ORDER BY event_id, aws_account_id, source_uri, source_index",
    );
    let objects = world.query_in(
        lake,
        "SELECT uri, etag, kind, status, reason, sha256, records, s3_events, rows_written, not_s3, duplicates, bad \
         FROM log_objects ORDER BY uri",
    );
    (rows, objects)
}

#[track_caller]
fn check_same(found: &(Vec<Value>, Vec<Value>), expected: &(Vec<Value>, Vec<Value>), what: &str) {
    for (found, expected) in [(&found.0, &expected.0), (&found.1, &expected.1)] {
        let differs = found.iter().zip(expected).find(|(a, b)| a != b);
        assert!(differs.is_none(), "{what}: first difference {differs:#?}");
        assert_eq!(found.len(), expected.len(), "{what}: number of rows");
    }
}

pub fn seed() -> u64 {
    let given = std::env::var("BRICKTRAIL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        now.as_nanos() as u64
    });
    println!("BRICKTRAIL_SEED={seed}");
    seed
}

fn spawn(world: &World, lake: &str) -> Child {
    let errors = std::fs::File::create(world.path("errors")).unwrap();
    world
        .command_in(lake, &ARGUMENTS)
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap()
}

/// Kills the process after `delay`; `false` if it was done before.
#[track_caller]
pub fn kill_after(world: &World, mut child: Child, delay: Duration) -> bool {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            let errors = std::fs::read_to_string(world.path("errors")).unwrap();
            assert!(status.success(), "the scan ended with {status}: {errors}");
            return false;
        }
        if started.elapsed() >= delay {
            child.kill().unwrap();
            // It may have ended by itself in this very instant.
            return !child.wait().unwrap().success();
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// What a reader may ask of a lake at any instant: no event stands twice.
#[track_caller]
pub fn check_readable(world: &World, lake: &str) {
    if !world.path(&format!("{lake}/s3_access/_delta_log")).exists() {
        return;
    }
    let output = world
        .command_in(
            lake,
            &[
                "query",
                "--format",
                "json",
                "--sql",
                "SELECT event_id, aws_account_id FROM s3_access GROUP BY 1, 2 HAVING count(*) > 1",
            ],
        )
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "query after a kill: {}",
        errors(&output)
    );
    assert!(
        output.stdout.is_empty(),
        "twice: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn a_scan_killed_at_any_instant_is_continued_without_a_trace() {
    let mut random = Random(seed());
    let world = world();
    let started = Instant::now();
    let output = world
        .command_in("undisturbed", &ARGUMENTS)
        .output()
        .unwrap();
    let whole = started.elapsed();
    assert!(output.status.success(), "{}", errors(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        report["commits"].as_u64().unwrap() > 50,
        "too few commits to be hit between: {report}"
    );
    let expected = content(&world, "undisturbed");
    assert_eq!(
        expected.0.len(),
        distinct_s3_events_of_sound(&world).len(),
        "the undisturbed scan itself"
    );

    let (mut kills, mut lakes) = (0, 0);
    while kills < KILLS {
        lakes += 1;
        let lake = format!("lake-{lakes}");
        let mut of_this_lake = 0;
        loop {
            let share = random.below(1_000_000);
            let delay = if of_this_lake < KILLS_OF_ONE_LAKE {
                whole.mul_f64(share as f64 / 1_000_000.0 * 0.5)
            } else {
                Duration::from_secs(120)
            };
            if !kill_after(&world, spawn(&world, &lake), delay) {
                break;
            }
            of_this_lake += 1;
            check_readable(&world, &lake);
        }
        kills += of_this_lake;
        check_same(
            &content(&world, &lake),
            &expected,
            &format!("lake {lakes} after {of_this_lake} kills"),
        );
        assert!(
            lakes < 40,
            "the scan is done before it can be killed: {kills} kills in {lakes} lakes"
        );
    }
    println!("{kills} kills of {lakes} lakes; an undisturbed scan takes {whole:?}");
}

/// The independent count, over the trail without its damaged and foreign files.
fn distinct_s3_events_of_sound(world: &World) -> std::collections::BTreeSet<(String, String)> {
    let sound = World::new();
    for path in files_below(&world.trail().join("AWSLogs")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.contains("_cut0") {
            std::fs::copy(&path, sound.trail().join(name)).unwrap();
        }
    }
    distinct_s3_events(&sound.trail())
}

/// Each event once, each object once, all of them there.
#[track_caller]
fn check_complete(world: &World, lake: &str, expected: &(Vec<Value>, Vec<Value>), what: &str) {
    let (rows, objects) = content(world, lake);
    let events = |rows: &[Value]| -> Vec<(Value, Value)> {
        rows.iter()
            .map(|row| (row["event_id"].clone(), row["aws_account_id"].clone()))
            .collect()
    };
    let uris = |objects: &[Value]| -> Vec<String> {
        objects
            .iter()
            .map(|row| row["uri"].as_str().unwrap().to_owned())
            .collect()
    };
    let (found, wanted) = (uris(&objects), uris(&expected.1));
    let missing: Vec<_> = wanted.iter().filter(|uri| !found.contains(uri)).collect();
    let twice: Vec<_> = objects
        .windows(2)
        .filter(|pair| pair[0]["uri"] == pair[1]["uri"])
        .collect();
    assert!(
        missing.is_empty() && twice.is_empty(),
        "{what}: {} objects missing: {missing:#?}, {} twice, the first: {:#?}",
        missing.len(),
        twice.len(),
        twice.first()
    );
    assert!(
        events(&rows) == events(&expected.0),
        "{what}: {} events, not {}",
        rows.len(),
        expected.0.len()
    );
    let total = |name: &str| -> i64 { objects.iter().filter_map(|row| row[name].as_i64()).sum() };
    assert_eq!(total("rows_written"), rows.len() as i64);
    assert_eq!(
        total("records"),
        total("rows_written") + total("not_s3") + total("duplicates") + total("bad")
    );
}

#[test]
fn two_scans_at_once_write_each_event_once() {
    let mut random = Random(seed());
    let world = world();
    let output = world
        .command_in("undisturbed", &ARGUMENTS)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let expected = content(&world, "undisturbed");
    for round in 0..3 {
        let lake = format!("lake-{round}");
        let run = || {
            let mut command = world.command_in(&lake, &ARGUMENTS);
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let first = run();
        // In the first round both create the lake; later one joins the other.
        if round > 0 {
            std::thread::sleep(Duration::from_millis(random.below(500)));
        }
        let second = run();
        for scan in [first, second] {
            let output = scan.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "round {round}: {}",
                errors(&output)
            );
        }
        check_complete(&world, &lake, &expected, &format!("round {round}"));
    }
}

#[test]
fn a_scan_beside_one_that_is_killed_again_and_again_is_complete() {
    let mut random = Random(seed());
    let world = world();
    let output = world
        .command_in("undisturbed", &ARGUMENTS)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let expected = content(&world, "undisturbed");
    let mut steady = world.command_in("lake", &ARGUMENTS);
    let mut steady = steady
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut kills = 0;
    while steady.try_wait().unwrap().is_none() && kills < 50 {
        let delay = Duration::from_millis(50 + random.below(600));
        kills += i32::from(kill_after(&world, spawn(&world, "lake"), delay));
    }
    let output = steady.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    println!("{kills} kills");
    // What a killed one had committed last may still have to be rolled forward.
    let output = world.command_in("lake", &ARGUMENTS).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    check_complete(&world, "lake", &expected, &format!("beside {kills} kills"));
}
