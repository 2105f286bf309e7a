//! Half an hour of faults: two workers that are killed now and then, services that fail,
//! messages that come again, a lake that is settled beside it. Their memory must not
//! grow, and nothing may be lost or doubled.
//!
//! Run: cargo test --release --test it soak -- --ignored --nocapture
//!      BRICKTRAIL_SOAK_MINUTES=30

#![cfg(target_os = "linux")]

use super::cloud::{Cloud, notification, now};
use super::kill::seed;
use super::scene::*;
use super::world::Random;
use std::time::{Duration, Instant};

/// Objects announced in a second.
const RATE: u64 = 10;
const RECORDS: u64 = 10;

/// Memory of a process, in MB.
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.map_or("0", |line| line.trim().trim_end_matches(" kB"));
    kilobytes.parse::<u64>().unwrap() / 1000
}

#[test]
#[ignore = "takes as long as it is told to"]
fn workers_that_run_for_long_neither_grow_nor_lose_anything() {
    let minutes = std::env::var("BRICKTRAIL_SOAK_MINUTES").unwrap_or("30".to_owned());
    let minutes: u64 = minutes.parse().unwrap();
    assert!(minutes >= 6, "less shows nothing of memory");
    let seed = seed();
    println!("BRICKTRAIL_SEED={seed}");
    let mut random = Random(seed);
    let objects = minutes * 60 * RATE;
    let scene = Scene::new(seed, objects, RECORDS).begin(Cloud::start());
    {
        let mut plan = scene.cloud.plan();
        plan.failing = 10;
        plan.random = Some(Random(random.next()));
    }
    let own = "settle_interval = \"30s\"\n";
    let start = |number: u32| shared(scene.worker_with(number, own, ""));
    // The first one stays; the other is killed again and again.
    let steady = start(0);
    let mut other = start(1);
    let (began, mut sent, mut shown) = (Instant::now(), 0, 0);
    let mut memory = Vec::new();
    while sent < scene.keys.len() {
        let due = began.elapsed().as_millis() as u64 * RATE / 1000;
        while (sent as u64) < due && sent < scene.keys.len() {
            for _ in 0..1 + random.below(2) {
                let body = notification(BUCKET, &scene.keys[sent]);
                scene.cloud.queue().send(body, now());
            }
            sent += 1;
        }
        if random.below(200) == 0 {
            scene.cloud.queue().expire_all();
        }
        if random.below(600) == 0 {
            other.lock().unwrap().kill().unwrap();
            other.lock().unwrap().wait().unwrap();
            other = start(1);
        }
        assert!(
            steady.lock().unwrap().try_wait().unwrap().is_none(),
            "{}",
            scene.logs()
        );
        let minute = began.elapsed().as_secs() / 60;
        if minute > shown {
            shown = minute;
            memory.push(resident(steady.lock().unwrap().id()));
            let waiting = scene.cloud.queue().len();
            println!(
                "minute {minute}: {sent} sent, {waiting} waiting, {} MB",
                memory[memory.len() - 1]
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    scene.cloud.plan().failing = 0;
    scene.wait_until_empty(&[steady.clone(), other.clone()]);
    for worker in [&steady, &other] {
        assert_eq!(terminate(worker).code(), Some(0));
    }
    let failed = scene.cloud.plan().failed;
    println!("{objects} objects, {failed} failures, memory in MB by the minute {memory:?}");
    scene.check(&format!("a soak, BRICKTRAIL_SEED={seed}"));
    // After a warm-up, the last third takes no more than the second.
    let third = memory.len() / 3;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let (second, last) = (&memory[third..2 * third], &memory[2 * third..]);
    assert!(most(last) <= most(second) + 15, "it grows: {memory:?}");
}
