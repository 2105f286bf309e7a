//! Question: how fast can this machine inflate, hash and scan CloudTrail at all?
//!
//! Measures, on one thread, each step that no reader of CloudTrail can leave
//! out: reading the stored bytes, inflating them in one call, the simd-json tape
//! of the inflated bytes, and the SHA-256 that digests sign. Inflate and tape
//! together are the *floor* that `ingest` is compared with.
//!
//! Run:     cargo bench --bench floor
//!          BRICKTRAIL_BENCH_MB=64      smaller corpus (default 1024)
//!          BRICKTRAIL_BENCH_DIR=/data  where the corpus is kept
//! Compare: CPU seconds and MB/s of inflated bytes of two runs on one machine;
//!          each is measured three times, and the spread tells the noise. The
//!          floor depends on flate2, simd-json and the CPU only: if it moves
//!          after a change here, the machine moved, or a dependency did.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench ends where something is wrong, and prints its answer"
)]

mod corpus;
mod measure;

use bricktrail::trail::hash::sha256;
use bricktrail::trail::inflate::Inflater;
use measure::{LIMITS, Stage, Tapes};
use std::hint::black_box;
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 3;

fn main() {
    let corpus = corpus::ready(1024);
    let paths = corpus.paths();
    let megabytes = corpus.manifest.raw_bytes as f64 / 1e6;
    let rounds: Vec<[Stage; 4]> = (0..ROUNDS).map(|_| separately(&paths)).collect();
    println!("one thread, {ROUNDS} rounds; MB are inflated MB\n");
    println!(
        "{:<22} {:>9} {:>9} {:>11}",
        "stage", "CPU s", "MB/s", "from-to"
    );
    for (place, name) in ["read stored bytes", "inflate", "tape", "sha256"]
        .iter()
        .enumerate()
    {
        let stages: Vec<Stage> = rounds.iter().map(|round| round[place]).collect();
        line(name, &stages, megabytes);
    }
    let floors: Vec<Stage> = (0..ROUNDS).map(|_| measure::floor(&paths)).collect();
    line("floor: inflate + tape", &floors, megabytes);
}

/// Times each stage, object by object as a scan goes through them.
fn separately(paths: &[PathBuf]) -> [Stage; 4] {
    let mut stages = [Stage::default(); 4];
    let [read, inflate, tape, hash] = &mut stages;
    let mut inflater = Inflater::new();
    let mut raw = Vec::new();
    let mut tapes = Tapes::default();
    for path in paths {
        let stored = read.time(|| std::fs::read(path).expect("read an object"));
        inflate.time(|| {
            inflater
                .inflate(&stored, &LIMITS, &mut raw)
                .expect("a sound object")
        });
        hash.time(|| black_box(sha256(&raw)));
        tape.time(|| tapes.fill(&mut raw));
    }
    stages
}

fn line(name: &str, stages: &[Stage], megabytes: f64) {
    let mean = stages.iter().map(|stage| stage.0).sum::<f64>() / stages.len() as f64;
    let least = stages
        .iter()
        .fold(f64::MAX, |least, stage| least.min(stage.0));
    let most = stages.iter().fold(0.0_f64, |most, stage| most.max(stage.0));
    println!(
        "{name:<22} {mean:>9.2} {:>9.0} {least:>6.2}-{most:.2}",
        megabytes / mean
    );
}
