//! Question: what does a whole scan cost, compared with the least it could?
//!
//! On one corpus (1 GB inflated, 5 MB objects, see `corpus`), in one run:
//!
//! 1. the *floor*: inflate in one call and simd-json tape, one thread;
//! 2. a whole `scan` on all cores: hash, parse, attribute, judge, rows, Parquet
//!    (zstd), commit; in a process of its own, so that CPU and memory are its own;
//! 3. the same on one core;
//! 4. the stages of a scan, one after another on one thread;
//! 5. the floor again: if it moved, the machine was busy with something else.
//!
//! Target: CPU of a scan at most 2.2 x the floor; wall time falls with cores;
//! at most 400 MB of memory however large the corpus.
//!
//! Run:     cargo bench --bench ingest
//!          BRICKTRAIL_BENCH_MB=4096    larger corpus (default 1024)
//!          BRICKTRAIL_BENCH_DIR=/data  where corpus and scratch lakes are kept
//! Compare: the *ratio*, between runs on any machine; seconds only between runs
//!          on one machine with equal floors. Memory: run 1024 and 4096, the
//!          peaks must be about equal.
//! Exit:    1 if a scan found other counts than the corpus holds; never for
//!          being slow.
//!
//! # Where the time goes
//!
//! <!-- FIGURES: from a run of this bench; replace all of them together. -->
//! 2026-11-24, 2 shared cores of an Intel Xeon (model 167), 1024 MB; floor 1.33 CPU
//! s (833 MB/s), scan 2.37 x the floor on two cores, 2.32 x on one.
//!
//! | stage, one thread             | share | x floor |
//! |-------------------------------|------:|--------:|
//! | process one object            |  60 % |    1.38 |
//! | - read stored bytes           |   2 % |    0.04 |
//! | - inflate                     |  21 % |    0.48 |
//! | - sha256                      |  17 % |    0.40 |
//! | - records: tape, route, keep  |  23 % |    0.52 |
//! | learn identities              |   2 % |    0.04 |
//! | prepare a batch               |  32 % |    0.74 |
//! | - decide: attribute, judge    |   9 % |    0.21 |
//! | - copies, rows, Parquet       |  23 % |    0.53 |
//! | write and commit              |   6 % |    0.14 |
//! <!-- END OF FIGURES -->
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench ends where something is wrong, and prints its answer"
)]

mod corpus;
mod measure;
mod stages;

use bricktrail::identity::IdentitySettings;
use bricktrail::lake::Lake;
use bricktrail::model::UtcMicros;
use bricktrail::pipeline::limits::Limits;
use bricktrail::pipeline::report::Report;
use bricktrail::pipeline::scan::{ScanJob, scan};
use bricktrail::pipeline::source::{LocalListing, SourceTotals};
use bricktrail::pipeline::stages::Progress;
use bricktrail::policy::{Policy, PolicySettings};
use corpus::{Corpus, Manifest};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RATIO_MAX: f64 = 2.2;
const PEAK_MB_MAX: f64 = 400.0;

/// What a child is to do: a JSON [`Task`].
const TASK: &str = "BRICKTRAIL_BENCH_TASK";
/// Begins the line of a child's stdout that holds its JSON result.
const RESULT: &str = "bench-result ";

#[derive(Serialize, Deserialize)]
pub struct Task {
    what: What,
    root: String,
    lake: String,
    threads: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Scan,
    Stages,
}

/// A scan, as its own process saw it.
#[derive(Serialize, Deserialize)]
struct ScanResult {
    wall: f64,
    /// User and system time of the whole process, start and end included.
    user: f64,
    system: f64,
    peak_bytes: u64,
    found: Manifest,
    rows_written: u64,
    commits: u64,
    bad: u64,
    violations: u64,
    attributed: u64,
}

impl ScanResult {
    fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

fn main() -> ExitCode {
    if let Ok(task) = std::env::var(TASK) {
        let task: Task = serde_json::from_str(&task).expect("a task");
        let result = match task.what {
            What::Scan => serde_json::to_string(&run_scan(&task)),
            What::Stages => serde_json::to_string(&stages::measure(&task)),
        };
        println!("{RESULT}{}", result.expect("a result is JSON"));
        return ExitCode::SUCCESS;
    }
    let corpus = corpus::ready(1024);
    let paths = corpus.paths();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The first touch of the files is the disk's business.
    for path in &paths {
        std::fs::read(path).expect("read an object");
    }
    let before = measure::floor(&paths).0;
    let lake = scratch();
    let all: ScanResult = child(What::Scan, &corpus, lake.path(), cores, None);
    let mut wrong = differences(&corpus.manifest, &all, lake.path());
    let (lake_bytes, lake_files) = size_of(lake.path());
    let lake = scratch();
    let one: ScanResult = child(What::Scan, &corpus, lake.path(), 1, first_core());
    wrong.extend(differences(&corpus.manifest, &one, lake.path()));
    let lake = scratch();
    let split: stages::Shares = child(What::Stages, &corpus, lake.path(), 1, None);
    let after = measure::floor(&paths).0;

    let megabytes = corpus.manifest.raw_bytes as f64 / 1e6;
    let floor = f64::midpoint(before, after);
    let ratio = all.cpu() / floor;
    let peak = all.peak_bytes.max(one.peak_bytes) as f64 / 1e6;
    let met = |met: bool| if met { "met" } else { "MISSED" };
    println!("\ninflated               {megabytes:.0} MB");
    println!(
        "floor                  {floor:.2} CPU s, {:.0} MB/s  (before {before:.2}, after {after:.2})",
        megabytes / floor
    );
    for (name, scan, threads) in [
        ("scan, all cores", &all, cores),
        ("scan, one core", &one, 1),
    ] {
        println!(
            "{name:<22} {:.2} CPU s (user {:.2}, system {:.2}), {threads} threads, wall {:.2} s, {:.0} MB/s a core, {:.0} events/s, peak {:.0} MB",
            scan.cpu(),
            scan.user,
            scan.system,
            scan.wall,
            megabytes / scan.cpu(),
            scan.found.s3_events as f64 / scan.wall,
            scan.peak_bytes as f64 / 1e6
        );
    }
    println!(
        "beyond the floor       {:.2} us of CPU for each row",
        (all.cpu() - floor) * 1e6 / all.rows_written as f64
    );
    println!(
        "speed-up               {:.2} on {cores} cores",
        one.wall / all.wall
    );
    println!(
        "ratio                  {ratio:.2} x floor (one core {:.2}); target {RATIO_MAX}: {}",
        one.cpu() / floor,
        met(ratio <= RATIO_MAX)
    );
    println!(
        "peak memory            {peak:.0} MB; target {PEAK_MB_MAX:.0}: {}",
        met(peak <= PEAK_MB_MAX)
    );
    println!(
        "rows                   {} in {} commits, {} violations, {} sessions named; lake {:.1} MB in {} files, {:.1} bytes a row",
        all.rows_written,
        all.commits,
        all.violations,
        all.attributed,
        lake_bytes as f64 / 1e6,
        lake_files,
        lake_bytes as f64 / all.rows_written as f64
    );
    split.print(floor);
    if wrong.is_empty() {
        return ExitCode::SUCCESS;
    }
    for difference in wrong {
        println!("WRONG: {difference}");
    }
    ExitCode::FAILURE
}

fn scratch() -> tempfile::TempDir {
    std::fs::create_dir_all(corpus::directory()).expect("make the bench directory");
    tempfile::Builder::new()
        .prefix("lake-")
        .tempdir_in(corpus::directory())
        .expect("make a scratch lake")
}

/// Runs the task in a process of its own, on one core if one is given.
fn child<R: for<'de> Deserialize<'de>>(
    what: What,
    corpus: &Corpus,
    lake: &Path,
    threads: usize,
    core: Option<String>,
) -> R {
    let task = Task {
        what,
        root: corpus.root.display().to_string(),
        lake: lake.display().to_string(),
        threads,
    };
    let this = std::env::current_exe().expect("this program");
    let mut command = match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["--cpu-list", &core]).arg(this);
            command
        }
        None => Command::new(this),
    };
    let output = command
        // As the program sets it for itself.
        .env("MIMALLOC_PURGE_DELAY", "100")
        .env(TASK, serde_json::to_string(&task).expect("a task is JSON"))
        .stderr(Stdio::inherit())
        .output()
        .expect("run a child");
    assert!(output.status.success(), "child failed: {}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let result = text
        .lines()
        .find_map(|line| line.strip_prefix(RESULT))
        .expect("the child's result");
    serde_json::from_str(result).expect("a result")
}

/// A core that this process may use, if `taskset` is there to pin a child to it.
/// With `threads = 1` alone the committer still runs beside the worker.
fn first_core() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let core = list.trim().split([',', '-']).next()?.to_owned();
    let works = Command::new("taskset")
        .args(["--cpu-list", &core, "true"])
        .status()
        .ok()?
        .success();
    works.then_some(core)
}

struct Silent;

impl Progress for Silent {
    fn starts(&self, _: SourceTotals) {}
    fn object(&self, _: u64) {}
    fn committed(&self, _: &bricktrail::pipeline::report::Report) {}
}

fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}

/// The whole scan, as `bricktrail scan` runs it without configuration.
fn run_scan(task: &Task) -> ScanResult {
    let started = Instant::now();
    let policy = Policy::starter(&PolicySettings::default()).expect("the starter policy");
    let job = ScanJob {
        listing: LocalListing::of(std::slice::from_ref(&task.root)).expect("list the corpus"),
        policy: Arc::new(policy),
        identity: IdentitySettings::default(),
        limits: Limits::for_cores(task.threads),
        now,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let report: Report = runtime.block_on(async {
        let mut lake = Lake::open(&task.lake).await.expect("open the lake");
        scan(&mut lake, job, Arc::new(Silent)).await.expect("scan")
    });
    let wall = started.elapsed().as_secs_f64();
    let (user, system) = process_cpu();
    ScanResult {
        wall,
        user,
        system,
        peak_bytes: peak_bytes(),
        found: Manifest {
            objects: report.objects.values().sum(),
            stored_bytes: report.compressed_bytes,
            raw_bytes: report.raw_bytes,
            records: report.counts.records,
            s3_events: report.counts.s3_events,
            s3_copies: report.counts.duplicates,
            sts_sessions: report.sts_sessions,
            ec2_instances: report.ec2_instances,
        },
        rows_written: report.counts.rows_written,
        commits: report.commits,
        bad: report.counts.bad,
        violations: report.rules.values().map(|rule| rule.rows).sum(),
        attributed: report
            .paths
            .values()
            .map(|path| path.by_level[0][..2].iter().sum::<u64>())
            .sum(),
    }
}

/// User and system seconds of this process, threads that ended included.
///
/// `/proc/self/stat`, fields 14 and 15, in hundredths of a second (`USER_HZ`).
pub fn process_cpu() -> (f64, f64) {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, after_name) = text.rsplit_once(')').expect("a name in brackets");
    let mut ticks = after_name
        .split_whitespace()
        .skip(11)
        .map(|text| text.parse::<u64>().expect("ticks") as f64);
    (
        ticks.next().expect("utime") / 100.0,
        ticks.next().expect("stime") / 100.0,
    )
}

/// The most memory that this process ever had (`VmHWM`).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("kB");
    kilobytes * 1024
}

/// What a scan found otherwise than the generator wrote it.
fn differences(expected: &Manifest, scan: &ScanResult, lake: &Path) -> Vec<String> {
    let rows = expected.s3_events - expected.s3_copies;
    let found = &scan.found;
    [
        ("objects", expected.objects, found.objects),
        ("stored bytes", expected.stored_bytes, found.stored_bytes),
        ("inflated bytes", expected.raw_bytes, found.raw_bytes),
        ("records", expected.records, found.records),
        ("S3 events", expected.s3_events, found.s3_events),
        ("copies", expected.s3_copies, found.s3_copies),
        ("sessions", expected.sts_sessions, found.sts_sessions),
        ("instances", expected.ec2_instances, found.ec2_instances),
        ("bad records", 0, scan.bad),
        ("rows reported", rows, scan.rows_written),
        (
            "rows in the Delta log",
            rows,
            rows_in_log(&lake.join("s3_access/_delta_log")),
        ),
    ]
    .iter()
    .filter(|(_, expected, found)| expected != found)
    .map(|(name, expected, found)| format!("{name}: {found}, but the corpus holds {expected}"))
    .collect()
}

/// Rows of the files that a table's log adds, as a reader would count them.
fn rows_in_log(log: &Path) -> u64 {
    std::fs::read_dir(log)
        .expect("read the log")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| std::fs::read_to_string(path).expect("read a commit"))
        .flat_map(|text| {
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an action"))
                .collect::<Vec<_>>()
        })
        .filter_map(|action| {
            let stats: serde_json::Value =
                serde_json::from_str(action["add"]["stats"].as_str()?).expect("stats");
            stats["numRecords"].as_u64()
        })
        .sum()
}

/// Bytes and number of the files below a folder.
fn size_of(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).expect("read the lake");
    entries.fold((0, 0), |(bytes, files), entry| {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        let (more, count) = if metadata.is_dir() {
            size_of(&entry.path())
        } else {
            (metadata.len(), 1)
        };
        (bytes + more, files + count)
    })
}
