//! Settling is killed at any instant, also beside a running scan: every event stands
//! once at all times, and is settled in the end.
//!
//! The instants are random and the seed is printed; `BRICKTRAIL_SEED` repeats it.

use super::kill::{check_readable, kill_after, seed};
use super::settle::settle;
use super::world::*;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Kills of one test run, at least.
const KILLS: u32 = 20;

const SMALL_COMMITS: &str = "[scan]\ncommit_objects = 2\n";
const SCAN: [&str; 4] = ["scan", "--config", "small.toml", "trail"];

fn world() -> World {
    let world = World::new();
    world.put("small.toml", SMALL_COMMITS.as_bytes());
    fill(&world, 31, 80, 40);
    world
}

fn spawn(world: &World, lake: &str, arguments: &[&str]) -> Child {
    let errors = std::fs::File::create(world.path("errors")).unwrap();
    let mut command = world.command_in(lake, arguments);
    command
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .unwrap()
}

fn rows(world: &World, lake: &str) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = world.query_in(
        lake,
        "SELECT event_id, aws_account_id FROM s3_access ORDER BY 1, 2",
    );
    rows.iter()
        .map(|row| (text(row, "event_id"), text(row, "aws_account_id")))
        .collect()
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

#[test]
fn a_settle_killed_at_any_instant_loses_and_doubles_nothing() {
    let mut random = Random(seed());
    let world = world();
    let output = world.command_in("scanned", &SCAN).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let expected: Vec<_> = distinct_s3_events(&world.trail()).into_iter().collect();
    copy_folder(&world.path("scanned"), &world.path("undisturbed"));
    let started = Instant::now();
    settle(&world, "undisturbed", &[]);
    let whole = started.elapsed();
    let content =
        "SELECT * EXCLUDE (attributed_at) FROM s3_access ORDER BY event_id, aws_account_id";
    let settled = world.query_in("undisturbed", content);
    let (mut kills, mut lakes) = (0, 0);
    while kills < KILLS {
        lakes += 1;
        let lake = format!("lake-{lakes}");
        copy_folder(&world.path("scanned"), &world.path(&lake));
        let mut arguments = vec!["settle"];
        for _ in 0..6 {
            let share = random.below(1_000_000) as f64 / 1_000_000.0;
            let killed = kill_after(
                &world,
                spawn(&world, &lake, &arguments),
                whole.mul_f64(share),
            );
            check_readable(&world, &lake);
            assert_eq!(rows(&world, &lake), expected, "lake {lakes}");
            kills += u32::from(killed);
            // Once it is settled there is nothing to be killed at, but this.
            if !killed {
                arguments = vec!["settle", "--again"];
            }
        }
        settle(&world, &lake, &[]);
        assert_eq!(world.query_in(&lake, content), settled, "lake {lakes}");
        assert!(lakes < 40, "{kills} kills in {lakes} lakes");
    }
    println!("{kills} kills of {lakes} lakes; an undisturbed settle takes {whole:?}");
}

#[test]
fn settles_beside_a_scan_and_each_other_lose_and_double_nothing() {
    let mut random = Random(seed());
    let world = world();
    let expected: Vec<_> = distinct_s3_events(&world.trail()).into_iter().collect();
    for round in 0..3 {
        let lake = format!("lake-{round}");
        let mut scan = world.command_in(&lake, &SCAN);
        let mut scan = scan
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // There is nothing to settle before there is a lake.
        let log = world.path(&format!("{lake}/s3_access/_delta_log"));
        while !log.is_dir() && scan.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (mut kills, mut done) = (0, 0);
        while scan.try_wait().unwrap().is_none() {
            let steady = spawn(&world, &lake, &["settle", "--again"]);
            let delay = Duration::from_millis(20 + random.below(300));
            let killed = kill_after(&world, spawn(&world, &lake, &["settle"]), delay);
            kills += u32::from(killed);
            let delay = Duration::from_millis(random.below(400));
            let killed = kill_after(&world, steady, delay);
            kills += u32::from(killed);
            done += u32::from(!killed);
        }
        let output = scan.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "round {round}: {}",
            errors(&output)
        );
        println!("round {round}: {kills} kills, {done} done");
        settle(&world, &lake, &[]);
        assert_eq!(rows(&world, &lake), expected, "round {round}");
        let open = "SELECT count(*) AS n FROM s3_access WHERE NOT settled";
        assert_eq!(world.query_in(&lake, open)[0]["n"], 0);
        // The ledger is whole: nothing is read again.
        let output = world
            .command_in(&lake, &["scan", "--format", "json", "trail"])
            .output();
        let report: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        assert_eq!(report["objects"]["known"], 80, "{report:#}");
    }
}
