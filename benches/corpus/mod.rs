//! The corpus of the benches: CloudTrail objects as AWS would have written them.
//!
//! Deterministic: everything follows from the size and [`VERSION`], through one
//! small generator of random numbers; no clock, no machine. A record follows
//! from the number of its object and its place there, so that objects are made
//! side by side, and a copy of an event is made again instead of remembered.
//!
//! Kept under `$BRICKTRAIL_BENCH_DIR` (else the temporary directory) by version
//! and size, and used again: the folder gets its name only when it is complete.
//!
//! Shape, measured at 1024 MB: gzip ratio 8.57 at level 6, 1,758 bytes a record;
//! see `world` for who acts in it and `records` for what is written. Names are
//! short and TLS details rare: the shorter a record, the more rows a MB holds,
//! and the harder the target of `ingest`.

mod random;
mod records;
mod world;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use world::World;

/// Raise it whenever the same size would give other bytes.
const VERSION: u32 = 1;

/// Inflated bytes of an object: what CloudTrail delivers at a time is about 5 MB.
const OBJECT_BYTES: usize = 5_000_000;
/// Added to that at most, so that no two objects are equally long.
const OBJECT_BYTES_SPREAD: u64 = 300_000;

const MANIFEST: &str = "manifest.json";

/// What a corpus holds; a scan of it must find exactly this.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    pub objects: u64,
    pub stored_bytes: u64,
    pub raw_bytes: u64,
    pub records: u64,
    /// S3 events, copies included.
    pub s3_events: u64,
    /// S3 events that stand in an earlier object already.
    pub s3_copies: u64,
    pub sts_sessions: u64,
    /// Instances named by EC2 events.
    pub ec2_instances: u64,
}

/// A corpus on disk.
pub struct Corpus {
    /// The folder that holds `AWSLogs`.
    pub root: PathBuf,
    pub manifest: Manifest,
}

/// Where the benches keep their files.
pub fn directory() -> PathBuf {
    std::env::var_os("BRICKTRAIL_BENCH_DIR").map_or_else(
        || std::env::temp_dir().join("bricktrail-bench"),
        PathBuf::from,
    )
}

/// Returns the corpus of `$BRICKTRAIL_BENCH_MB` (else the default) inflated MiB, generated
/// if it is not there yet.
pub fn ready(default_mb: usize) -> Corpus {
    let megabytes: usize = std::env::var("BRICKTRAIL_BENCH_MB").map_or(default_mb, |text| {
        text.parse().expect("BRICKTRAIL_BENCH_MB is a number")
    });
    let home = directory().join(format!("corpus-v{VERSION}-{megabytes}mb"));
    if !home.join(MANIFEST).exists() {
        generate(megabytes.max(1) * 1024 * 1024, &home);
    }
    let text = fs::read_to_string(home.join(MANIFEST)).expect("read the manifest");
    let corpus = Corpus {
        root: home.join("objects"),
        manifest: serde_json::from_str(&text).expect("a manifest of this version"),
    };
    let m = &corpus.manifest;
    println!(
        "corpus: {} objects, {:.0} MB inflated, gzip ratio {:.2}, {} records of {:.0} bytes, {:.0} % S3 events  ({})",
        m.objects,
        m.raw_bytes as f64 / 1e6,
        m.raw_bytes as f64 / m.stored_bytes as f64,
        m.records,
        m.raw_bytes as f64 / m.records as f64,
        100.0 * m.s3_events as f64 / m.records as f64,
        home.display()
    );
    corpus
}

impl Corpus {
    /// Returns the objects by path, in one order.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut waiting = vec![self.root.clone()];
        let mut paths = Vec::new();
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).expect("read a folder of the corpus") {
                let path = entry.expect("read an entry of the corpus").path();
                if path.is_dir() {
                    waiting.push(path);
                } else {
                    paths.push(path);
                }
            }
        }
        paths.sort();
        paths
    }
}

fn generate(bytes: usize, home: &Path) {
    let started = Instant::now();
    let partial = home.with_extension(format!("partial-{}", std::process::id()));
    let world = World::of(bytes.div_ceil(OBJECT_BYTES));
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Manifest::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let object = next.fetch_add(1, Ordering::Relaxed);
                    if object >= world.objects {
                        return;
                    }
                    let made = write_object(&world, object, &partial.join("objects"));
                    total.lock().expect("no writer panicked").add(&made);
                }
            });
        }
    });
    let total = total.into_inner().expect("no writer panicked");
    let text = serde_json::to_string_pretty(&total).expect("a manifest is JSON");
    fs::write(partial.join(MANIFEST), text).expect("write the manifest");
    fs::rename(&partial, home).expect("name the complete corpus");
    println!(
        "corpus: generated in {:.0} s",
        started.elapsed().as_secs_f64()
    );
}

/// Writes one object; the first records are the identity facts of its time.
fn write_object(world: &World, object: usize, root: &Path) -> Manifest {
    let mut made = Manifest {
        objects: 1,
        ..Manifest::default()
    };
    let target =
        OBJECT_BYTES + random::Random::of(&[3, object as u64]).below(OBJECT_BYTES_SPREAD) as usize;
    let mut raw = String::with_capacity(target + 64 * 1024);
    raw.push_str("{\"Records\":[");
    let facts = records::facts(world, object, &mut raw);
    made.sts_sessions = facts.sts_sessions;
    made.ec2_instances = facts.ec2_instances;
    made.records = facts.records;
    if let Some(earlier) = object.checked_sub(world::PLACES) {
        for copied in 0..records::COPIES {
            let before = raw.len();
            if records::event(world, earlier, records::copied_place(copied), &mut raw) {
                made.records += 1;
                made.s3_events += 1;
                made.s3_copies += 1;
            } else {
                // Only S3 events are counted as copies; another one is left out.
                raw.truncate(before);
            }
        }
    }
    let mut place = 0;
    while raw.len() < target {
        made.s3_events += u64::from(records::event(world, object, place, &mut raw));
        made.records += 1;
        place += 1;
    }
    assert!(
        place > records::copied_place(records::COPIES),
        "every copied event exists"
    );
    raw.pop();
    raw.push_str("]}");
    let mut encoder = GzEncoder::new(Vec::with_capacity(target / 6), Compression::new(6));
    encoder.write_all(raw.as_bytes()).expect("deflate");
    let stored = encoder.finish().expect("deflate");
    made.raw_bytes = raw.len() as u64;
    made.stored_bytes = stored.len() as u64;
    let path = root.join(world.key(object));
    fs::create_dir_all(path.parent().expect("a key has folders")).expect("make a folder");
    fs::write(path, stored).expect("write an object");
    made
}

impl Manifest {
    fn add(&mut self, other: &Manifest) {
        self.objects += other.objects;
        self.stored_bytes += other.stored_bytes;
        self.raw_bytes += other.raw_bytes;
        self.records += other.records;
        self.s3_events += other.s3_events;
        self.s3_copies += other.s3_copies;
        self.sts_sessions += other.sts_sessions;
        self.ec2_instances += other.ec2_instances;
    }
}
