//! A scan's memory has a bound, whatever the objects.

#![cfg(target_os = "linux")]

use super::world::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::process::{Child, Stdio};

/// What the README promises for two cores.
const PEAK_MB_MAX: u64 = 400;

/// Inflated size of one object.
const GIANT_BYTES: usize = 102_000_000;

/// An object of many sound records that compress far better than usual.
/// Returns its records.
fn put_giant(world: &World, n: u64) -> u64 {
    let record = get_object("@@", NOON, user(), "t/part.parquet").to_string();
    let (before, after) = record.split_once("@@").unwrap();
    let (between, after) = after.split_once("@@").unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut log = String::from("{\"Records\":[");
    let (mut records, mut bytes) = (0_u64, 0);
    while bytes < GIANT_BYTES {
        let comma = if records > 0 { "," } else { "" };
        // The ids differ in few digits, the rest repeats.
        let id = format!("{n:08x}-0000-4000-8000-{records:012x}");
        log += &format!("{comma}{before}{id}{between}{id}{after}");
        records += 1;
        if log.len() > 1 << 20 {
            bytes += log.len();
            encoder.write_all(log.as_bytes()).unwrap();
            log.clear();
        }
    }
    log += "]}";
    encoder.write_all(log.as_bytes()).unwrap();
    let stored = encoder.finish().unwrap();
    let ratio = GIANT_BYTES / stored.len();
    assert!((60..150).contains(&ratio), "inflates {ratio} times");
    let key = log_key(ACCOUNT, "us-west-2", "1205", &format!("{n:016x}"));
    world.put(&format!("trail/{key}"), &stored);
    records
}

/// Waits for the process; returns the most memory it had, in MB.
fn peak_of(child: &mut Child) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let line = status.unwrap_or_default();
        let line = line.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(line) = line {
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            peak = peak.max(kilobytes * 1024 / 1_000_000);
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn objects_that_inflate_a_hundred_times_take_no_more_memory_than_others() {
    let world = World::new();
    world.put("two.toml", b"[scan]\nthreads = 2\n");
    fill(&world, 31, 40, 100);
    let small = distinct_s3_events(&world.trail()).len() as u64;
    let giants: u64 = (0..12).map(|n| put_giant(&world, n)).sum();
    let report = std::fs::File::create(world.path("report")).unwrap();
    let mut scan = world
        .command(&["scan", "--format", "json", "--config", "two.toml", "trail"])
        .stdout(report)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let peak = peak_of(&mut scan);
    println!("peak {peak} MB");
    let report = std::fs::read(world.path("report")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["objects"]["committed"], 52);
    assert_eq!(report["records"]["rows_written"], small + giants);
    assert!(peak < PEAK_MB_MAX, "peak {peak} MB");
}
