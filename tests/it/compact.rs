//! Small files become few, and nothing that they said is forgotten.

use super::cloud::now;
use super::scene::lines;
use super::world::*;
use bricktrail::lake::Lake;
use bricktrail::lake::compact::compact;
use std::path::Path;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

/// Everything that the ledger and the sessions say.
fn said(lake: &Path) -> Vec<Vec<Vec<String>>> {
    let tables = ["log_objects", "sts_sessions", "notifications"];
    let rows = tables.map(|table| {
        let mut rows = lines(lake, &format!("SELECT * FROM {table}"));
        rows.sort();
        rows
    });
    rows.into()
}

fn files_of(lake: &Lake, table: &str) -> usize {
    let mut tables = lake.tables();
    tables.find(|of| of.name == table).unwrap().files().len()
}

/// A world whose lake has a commit for each object, and each object a session.
fn world() -> World {
    let world = World::new();
    world.put("one.toml", b"[scan]\ncommit_objects = 1\nthreads = 1\n");
    for n in 0..12_u64 {
        put_object(&world, n);
    }
    scan(&world, 12);
    world
}

fn put_object(world: &World, n: u64) {
    let key = format!("ASIASESSION{n:05}");
    let records = [
        assume_role(&guid(2 * n), NOON, ec2_service(), "etl", "i-1", &key),
        get_object(
            &guid(2 * n + 1),
            NOON,
            role_session("etl", "i-1", &key, NOON),
            "t/x",
        ),
    ];
    world.put_log(
        &log_key(ACCOUNT, "us-west-2", "1205", &format!("{n:016x}")),
        &records,
    );
}

#[track_caller]
fn scan(world: &World, new: u64) {
    let report = world.scan_with(&["--config", "one.toml", "trail"]);
    let committed = report["objects"]["committed"].as_u64().unwrap_or(0);
    assert_eq!(committed, new);
}

#[test]
fn small_files_are_put_together_and_the_ledger_forgets_nothing() {
    let world = world();
    let place = world.path("lake");
    let before = said(&place);
    runtime().block_on(async {
        let mut lake = Lake::open(place.to_str().unwrap()).await.unwrap();
        let files = files_of(&lake, "log_objects");
        assert!(files >= 12, "{files} files");
        assert_eq!(compact(&mut lake, 100, now()).await.unwrap(), []);
        let compacted = compact(&mut lake, 5, now()).await.unwrap();
        assert!(compacted.len() >= 2, "{compacted:?}");
        assert!(compacted.iter().all(|of| of.files >= 5));
        assert_eq!(files_of(&lake, "log_objects"), 1);
    });
    assert_eq!(said(&place), before);
    scan(&world, 0);
    put_object(&world, 99);
    scan(&world, 1);
    world.check_adds_up();
    // What was replaced goes, and still nothing is read again.
    let vacuum = ["settle", "--vacuum", "0s", "--vacuum-force"];
    let output = world.run(&vacuum);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    scan(&world, 0);
    assert_eq!(
        world.number("SELECT count(DISTINCT access_key_id) AS n FROM sts_sessions"),
        13
    );
}

#[test]
fn several_compact_while_others_append() {
    let world = world();
    let place = world.path("lake").display().to_string();
    for n in 100..112 {
        put_object(&world, n);
    }
    let mut scanning = world
        .command(&["scan", "--config", "one.toml", "trail"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    runtime().block_on(async {
        let work = || async {
            let mut lake = Lake::open(&place).await.unwrap();
            for _ in 0..4 {
                compact(&mut lake, 3, now()).await.unwrap();
            }
        };
        tokio::join!(work(), work());
    });
    assert!(scanning.wait().unwrap().success());
    scan(&world, 0);
    world.check_adds_up();
    assert_eq!(world.number("SELECT count(*) AS n FROM log_objects"), 24);
    assert_eq!(world.number("SELECT count(*) AS n FROM sts_sessions"), 24);
}
