//! Question: what does settling cost, compared with the scan that wrote the rows?
//!
//! On the corpus of `ingest` (256 MB inflated here), each in a process of its own,
//! so that CPU and memory are its own:
//!
//! 1. a whole `scan` on all cores, into a fresh lake;
//! 2. a `settle` of that lake: every row is read twice (its keys, then all of it),
//!    decided again, sorted and encoded;
//! 3. `settle --again` of the same lake: nothing but large files.
//!
//! Targets: a settle decides at least half as many rows in a second of CPU as a scan
//! does; at most 600 MB of memory however large a date is.
//!
//! Run:     cargo bench --bench settle
//!          BRICKTRAIL_BENCH_MB=1024    larger corpus (default 256)
//!          BRICKTRAIL_BENCH_DIR=/data  where corpus and scratch lakes are kept
//! Compare: the *share* of the scan's rows a second, between runs on any machine.
//!          Memory: run 256 and 2048; the peak must stop growing.
//! Exit:    1 if rows were lost, doubled or left provisional; never for being slow.
//!
//! # Where the time goes
//!
//! <!-- FIGURES: from a run of this bench; replace all of them together. -->
//! 2026-11-24, 2 shared cores of an AMD EPYC (family 26), other work beside it.
//!
//! | corpus  |      rows | scan, rows a CPU s | settle  | --again | peak   | files   |
//! |---------|-----------|--------------------|---------|---------|--------|---------|
//! | 256 MB  |   136,507 |            166,000 | 297,000 | 310,000 | 227 MB | 8 to 4  |
//! | 2048 MB | 1,102,171 |            186,000 | 342,000 | 371,000 | 499 MB | 30 to 6 |
//! | 4096 MB | 2,213,966 |            189,000 | 364,000 | 401,000 | 503 MB | 54 to 10|
//!
//! Of 2.9 us a row, reading and comparing keys takes about 1 us, the rest goes to
//! reading all columns, deciding and encoding.
//! <!-- END OF FIGURES -->
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench ends where something is wrong, and prints its answer"
)]

mod child;
mod corpus;

use bricktrail::identity::IdentitySettings;
use bricktrail::lake::Lake;
use bricktrail::pipeline::limits::Limits;
use bricktrail::pipeline::scan::{ScanJob, scan};
use bricktrail::pipeline::settle::{SettleJob, SettleProgress, settle};
use bricktrail::pipeline::source::{LocalListing, SourceTotals};
use bricktrail::pipeline::stages::Progress;
use bricktrail::policy::{Policy, PolicySettings};
use child::{is_child, now, peak_bytes, process_cpu};
use serde::{Deserialize, Serialize};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARE_MIN: f64 = 0.5;
const PEAK_MB_MAX: f64 = 600.0;

/// Corpus unless the environment says otherwise, in MB.
const MEGABYTES: usize = 256;

#[derive(Serialize, Deserialize)]
struct Task {
    what: What,
    root: String,
    lake: String,
    threads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Scan,
    Settle,
    Again,
}

#[derive(Serialize, Deserialize)]
struct Done {
    wall: f64,
    cpu: f64,
    peak_bytes: u64,
    rows: u64,
    left: u64,
    files: (u64, u64),
    /// Seconds of wall time until all keys were read, of the dates' together.
    keys: f64,
}

impl Done {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.cpu
    }
}

fn main() -> ExitCode {
    if is_child(async |task: Task| run(&task).await) {
        return ExitCode::SUCCESS;
    }
    let corpus = corpus::ready(MEGABYTES);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for path in corpus.paths() {
        std::fs::read(path).expect("read an object");
    }
    let lake = tempfile::Builder::new()
        .prefix("lake-")
        .tempdir_in(corpus::directory())
        .expect("make a scratch lake");
    let child = |what: What, threads: usize| -> Done {
        child::child(&Task {
            what,
            root: corpus.root.display().to_string(),
            lake: lake.path().display().to_string(),
            threads,
        })
    };
    let scanned = child(What::Scan, cores);
    let settled = child(What::Settle, cores);
    let again = child(What::Again, cores);
    println!();
    for (name, done) in [
        ("scan", &scanned),
        ("settle", &settled),
        ("settle --again", &again),
    ] {
        println!(
            "{name:<26} {} rows, {:.2} CPU s, wall {:.2} s (keys {:.2}), {:.0} rows a CPU second, {:.2} us a row, peak {:.0} MB, files {} -> {}",
            done.rows,
            done.cpu,
            done.wall,
            done.keys,
            done.rate(),
            1e6 / done.rate(),
            done.peak_bytes as f64 / 1e6,
            done.files.0,
            done.files.1
        );
    }
    let share = settled.rate().min(again.rate()) / scanned.rate();
    let peak = settled.peak_bytes.max(again.peak_bytes) as f64 / 1e6;
    let met = |met: bool| if met { "met" } else { "MISSED" };
    println!(
        "share of the scan's rate   {share:.2}; target {SHARE_MIN}: {}",
        met(share >= SHARE_MIN)
    );
    println!(
        "peak memory                {peak:.0} MB; target {PEAK_MB_MAX:.0}: {}",
        met(peak <= PEAK_MB_MAX)
    );
    let expected = corpus.manifest.s3_events - corpus.manifest.s3_copies;
    for (name, done) in [("scan", &scanned), ("settle", &settled), ("again", &again)] {
        if done.rows != expected || done.left != 0 {
            println!(
                "WRONG: {name}: {} rows, {} left provisional, but the corpus holds {expected}",
                done.rows, done.left
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

async fn run(task: &Task) -> Done {
    let started = Instant::now();
    let mut lake = Lake::open(&task.lake).await.expect("open the lake");
    let policy = Arc::new(Policy::starter(&PolicySettings::default()).expect("the starter policy"));
    let identity = IdentitySettings::default();
    let watch = Arc::new(Watch::default());
    let (rows, left, files) = if task.what == What::Scan {
        let job = ScanJob {
            listing: LocalListing::of(std::slice::from_ref(&task.root)).expect("list the corpus"),
            policy,
            identity,
            limits: Limits::for_cores(task.threads),
            now,
        };
        let report = scan(&mut lake, job, watch.clone()).await.expect("scan");
        (report.counts.rows_written, 0, (0, 0))
    } else {
        let job = SettleJob {
            again: task.what == What::Again,
            ..SettleJob::new(policy, identity, now)
        };
        let report = settle(&mut lake, job, watch.clone()).await.expect("settle");
        let files = (report.files_before, report.files_after);
        (
            report.settled + report.settled_again,
            report.provisional,
            files,
        )
    };
    let keys = *watch.keys.lock().expect("nobody panics");
    Done {
        wall: started.elapsed().as_secs_f64(),
        cpu: process_cpu(),
        peak_bytes: peak_bytes(),
        rows,
        left,
        files,
        keys,
    }
}

/// Takes the time until the keys of a date are read.
#[derive(Default)]
struct Watch {
    began: Mutex<Option<(Instant, u64)>>,
    total: Mutex<u64>,
    keys: Mutex<f64>,
}

impl Progress for Watch {
    fn starts(&self, _: SourceTotals) {}
    fn object(&self, _: u64) {}
    fn committed(&self, _: &bricktrail::pipeline::report::Report) {}
}

impl SettleProgress for Watch {
    fn starts(&self, rows: u64) {
        *self.total.lock().expect("nobody panics") = rows;
        *self.began.lock().expect("nobody panics") = Some((Instant::now(), 0));
    }

    fn rows(&self, rows: u64) {
        // The corpus is of one date: its keys are read first.
        let total = *self.total.lock().expect("nobody panics");
        if let Some((began, read)) = &mut *self.began.lock().expect("nobody panics") {
            *read += rows;
            if *read <= total {
                *self.keys.lock().expect("nobody panics") = began.elapsed().as_secs_f64();
            }
        }
    }

    fn date(&self, _: i32) {}
}
