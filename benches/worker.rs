//! Question: what does the worker cost, compared with a scan of the same objects, and
//! how long does a notification wait for its rows?
//!
//! On the corpus of `ingest` (256 MB inflated here), each in a process of its own, with
//! the queue's twin in memory and objects from files, so that no service is in the way:
//!
//! 1. a whole `scan` on all cores, and a worker, in turns;
//! 2. a worker whose queue gets messages at half of that rate, commit interval 5 s: from
//!    notification to committed rows;
//! 3. a worker without messages: what waiting costs.
//!
//! Targets: throughput at least 90 % of the scan's; memory at most the budget and 150 MB;
//! p99 below the commit interval and 5 s; idle at most 0.5 % of a core.
//!
//! Run:     cargo bench --bench worker
//!          BRICKTRAIL_BENCH_MB=1024    larger corpus (default 256)
//!          BRICKTRAIL_BENCH_DIR=/data  where corpus and scratch lakes are kept
//! Compare: the *share* of the scan's throughput, between runs on any machine.
//! Exit:    1 if rows were lost or doubled; never for being slow.
//!
//! <!-- FIGURES: from a run of this bench; replace all of them together. -->
//! 2026-11-29, 2 shared cores, 1,024 MB: scan 3.16 s and 4.9 CPU s, worker 3.40 s and
//! 5.2 CPU s, 93 % of the throughput; 53 MB beside the budget; all of 215 objects within
//! 10 s; idle 0.13 % of a core. Real services are not in it: see `tests/it/worker.rs`.
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

use bricktrail::aws::memory::MemoryQueue;
use bricktrail::aws::objects::{FetchError, ObjectName, Objects, OpenedObject};
use bricktrail::identity::IdentitySettings;
use bricktrail::lake::Lake;
use bricktrail::pipeline::allowed::{AllowList, AllowedBucket};
use bricktrail::pipeline::commit::Company;
use bricktrail::pipeline::limits::Limits;
use bricktrail::pipeline::meters::Meters;
use bricktrail::pipeline::report::Report;
use bricktrail::pipeline::scan::{ScanJob, scan};
use bricktrail::pipeline::source::LocalListing;
use bricktrail::pipeline::stages::Progress;
use bricktrail::pipeline::worker::{WorkerJob, work};
use bricktrail::policy::{Policy, PolicySettings};
use child::{is_child, now, peak_bytes, process_cpu};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SHARE_MIN: f64 = 0.9;
/// Beside the budget.
const PEAK_MB_MAX: f64 = 150.0;
const IDLE_MAX: f64 = 0.005;
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// Corpus unless the environment says otherwise, in MB.
const MEGABYTES: usize = 256;

/// Turns of scan and worker.
const TURNS: usize = 3;

/// Budget of the worker, in bytes: what `run` has by default.
const BUDGET: u64 = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Task {
    what: What,
    root: String,
    lake: String,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum What {
    Scan,
    Worker,
    /// So many objects a second.
    Paced(f64),
    Idle,
}

#[derive(Serialize, Deserialize)]
struct Done {
    wall: f64,
    cpu: f64,
    peak_bytes: u64,
    rows: u64,
    objects: u64,
    /// Objects whose rows were committed within the interval and 5 s, of all.
    in_time: f64,
}

fn main() -> ExitCode {
    if is_child(async |task: Task| run(&task).await) {
        return ExitCode::SUCCESS;
    }
    let corpus = corpus::ready(MEGABYTES);
    for path in corpus.paths() {
        std::fs::read(path).expect("read an object");
    }
    let child = |what: What| -> Done {
        let lake = tempfile::Builder::new()
            .prefix("lake-")
            .tempdir_in(corpus::directory())
            .expect("make a scratch lake");
        let done: Done = child::child(&Task {
            what,
            root: corpus.root.display().to_string(),
            lake: lake.path().display().to_string(),
        });
        println!(
            "{:<8} {} rows of {} objects in {:.2} s, {:.2} CPU s, peak {:.0} MB",
            match what {
                What::Scan => "scan",
                What::Worker => "worker",
                What::Paced(_) => "paced",
                What::Idle => "idle",
            },
            done.rows,
            done.objects,
            done.wall,
            done.cpu,
            done.peak_bytes as f64 / 1e6
        );
        done
    };
    let (mut scans, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        scans.push(child(What::Scan));
        workers.push(child(What::Worker));
    }
    let median = |runs: &[Done], of: fn(&Done) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let share = median(&scans, |run| run.wall) / median(&workers, |run| run.wall);
    let cpu = median(&workers, |run| run.cpu) / median(&scans, |run| run.cpu);
    let peak = workers.iter().map(|run| run.peak_bytes).max().unwrap_or(0);
    let peak = (peak as f64 - BUDGET as f64) / 1e6;
    let rate = workers[0].objects as f64 / median(&workers, |run| run.wall);
    let paced = child(What::Paced(rate / 2.0));
    let idle = child(What::Idle);
    let idle_share = idle.cpu / idle.wall;
    let met = |met: bool| if met { "met" } else { "MISSED" };
    println!();
    println!(
        "throughput, of the scan's     {:.0} %; target {:.0} %: {} (CPU {cpu:.2} x)",
        share * 100.0,
        SHARE_MIN * 100.0,
        met(share >= SHARE_MIN)
    );
    println!(
        "memory beside the budget      {peak:.0} MB; target {PEAK_MB_MAX:.0}: {}",
        met(peak <= PEAK_MB_MAX)
    );
    println!(
        "committed within 5 + 5 s      {:.2} % at {:.0} objects a second; target 99: {}",
        paced.in_time * 100.0,
        rate / 2.0,
        met(paced.in_time >= 0.99)
    );
    println!(
        "idle                          {:.2} % of a core; target {:.1}: {}",
        idle_share * 100.0,
        IDLE_MAX * 100.0,
        met(idle_share <= IDLE_MAX)
    );
    let expected = corpus.manifest.s3_events - corpus.manifest.s3_copies;
    let all = scans.iter().chain(&workers).chain([&paced]);
    if let Some(wrong) = all.map(|run| run.rows).find(|rows| *rows != expected) {
        println!("WRONG: {wrong} rows, but the corpus holds {expected}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn run(task: &Task) -> Done {
    let mut lake = Lake::open(&task.lake).await.expect("open the lake");
    let policy = Arc::new(Policy::starter(&PolicySettings::default()).expect("the starter policy"));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let limits = Limits::for_cores(cores);
    let (started, cpu) = (Instant::now(), process_cpu());
    let (report, in_time) = if task.what == What::Scan {
        let job = ScanJob {
            listing: LocalListing::of(std::slice::from_ref(&task.root)).expect("list the corpus"),
            policy,
            identity: IdentitySettings::default(),
            limits,
            now,
        };
        let report = scan(&mut lake, job, Arc::new(Silent)).await;
        (report.expect("scan"), 1.0)
    } else {
        let limits = Limits {
            in_flight_bytes_max: BUDGET,
            commit_interval: COMMIT_INTERVAL,
            ..limits
        };
        run_worker(&mut lake, task, policy, limits).await
    };
    Done {
        wall: started.elapsed().as_secs_f64(),
        cpu: process_cpu() - cpu,
        peak_bytes: peak_bytes(),
        rows: report.counts.rows_written,
        objects: report.objects.values().sum(),
        in_time,
    }
}

async fn run_worker(
    lake: &mut Lake,
    task: &Task,
    policy: Arc<Policy>,
    limits: Limits,
) -> (Report, f64) {
    let queue = MemoryQueue::default();
    let folder = Folder {
        root: PathBuf::from(&task.root),
        opened: Arc::default(),
    };
    let (what, opened) = (task.what, folder.opened.clone());
    let keys = keys(&task.root);
    let meters = Arc::new(Meters::new(now));
    let (stop, stopped) = watch::channel(false);
    let (_changes, changes) = mpsc::channel(1);
    let job = WorkerJob {
        queue: Arc::new(queue.clone()),
        objects: Arc::new(folder),
        allowed: AllowList(vec![AllowedBucket {
            bucket: BUCKET.to_owned(),
            ..AllowedBucket::default()
        }]),
        policy,
        identity: IdentitySettings::default(),
        limits,
        hide: Duration::from_secs(300),
        company: Company::Shared {
            patience: Duration::from_secs(10),
        },
        progress: meters.clone(),
        meters: meters.clone(),
        changes,
        stop: stopped,
        now,
    };
    if what == What::Worker {
        keys.iter()
            .for_each(|key| queue.send(notification(key), now()));
    }
    let feeding = tokio::spawn(async move {
        match what {
            What::Paced(rate) => {
                let begun = Instant::now();
                for (place, key) in keys.iter().enumerate() {
                    let due = Duration::from_secs_f64(place as f64 / rate);
                    tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
                    queue.send(notification(key), now());
                }
            }
            What::Idle => tokio::time::sleep(Duration::from_secs(30)).await,
            _ => {}
        }
        // Being fetched is as good as done: stopping finishes what is in flight.
        let objects = keys.len() as u64;
        while what == What::Worker && (opened.lock().expect("nobody panics").len() as u64) < objects
        {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        while what != What::Worker && !queue.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.send_replace(true);
    });
    let report = work(lake, job).await.expect("work");
    feeding.await.expect("feed");
    (report, in_time(&meters.text()))
}

/// The share of objects in the bucket of ten seconds.
fn in_time(text: &str) -> f64 {
    let value = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.map_or(0.0, |number| number.parse().expect("a number"))
    };
    let of = "bricktrail_notified_to_commit_seconds";
    let count = value(&format!("{of}_count"));
    value(&format!("{of}_bucket{{le=\"10.0\"}}")) / count.max(1.0)
}

const BUCKET: &str = "trail";

fn notification((key, bytes): &(String, u64)) -> String {
    serde_json::json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": bytes}}}]})
    .to_string()
}

/// Keys and sizes in the order of their delivery.
fn keys(root: &str) -> Vec<(String, u64)> {
    let listing = LocalListing::of(&[root.to_owned()]).expect("list the corpus");
    let mut keys = Vec::new();
    listing.each(|object| {
        keys.push((object.key, object.bytes));
        true
    });
    keys
}

/// Objects of a folder.
struct Folder {
    root: PathBuf,
    /// Keys that were asked for.
    opened: Arc<Mutex<HashSet<String>>>,
}

impl Objects for Folder {
    fn open<'o>(&'o self, name: &'o ObjectName) -> BoxFuture<'o, Result<OpenedObject, FetchError>> {
        let path = self.root.join(&name.key);
        self.opened
            .lock()
            .expect("nobody panics")
            .insert(name.key.clone());
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
            let bytes = read
                .expect("nothing panics")
                .map_err(|_| FetchError::NotFound)?;
            Ok(OpenedObject {
                bytes: Some(bytes.len() as u64),
                version_id: None,
                etag: Some(format!("{:x}", bytes.len())),
                signature: None,
                body: stream::iter([Ok(bytes.into())]).boxed(),
            })
        })
    }
}

struct Silent;

impl Progress for Silent {
    fn object(&self, _: u64) {}
    fn committed(&self, _: &Report) {}
}
