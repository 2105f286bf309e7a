//! The stages of a scan, one after another on one thread, each with its CPU time.
//!
//! The same calls as a scan makes, in the same batches. `process` is timed as a
//! whole, and its parts once more on their own, right before it: the parts need
//! not add up to it exactly.

use super::measure::{LIMITS, Stage};
use super::{Task, now, process_cpu};
use bricktrail::identity::{IdentityIndex, IdentitySettings};
use bricktrail::lake::Lake;
use bricktrail::lake::delta::CommitOutcome;
use bricktrail::lake::ledger::{CopyFilter, FactFilter, Ledger};
use bricktrail::model::UtcMicros;
use bricktrail::pipeline::batch::{Context, Prepared, Presses, prepare};
use bricktrail::pipeline::budget::ByteBudget;
use bricktrail::pipeline::decide::Decider;
use bricktrail::pipeline::limits::Limits;
use bricktrail::pipeline::process::{AssignedObject, Processed, Processor, bytes_expected};
use bricktrail::pipeline::source::{LocalListing, SourceObject};
use bricktrail::policy::{Policy, PolicySettings};
use bricktrail::trail::hash::{sha256, sha256_of_two};
use bricktrail::trail::inflate::Inflater;
use bricktrail::trail::{LogReader, Origin};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Arc;

/// CPU seconds of each stage.
#[derive(Default, Serialize, Deserialize)]
pub struct Shares {
    read: f64,
    inflate: f64,
    hash: f64,
    records: f64,
    process: f64,
    learn: f64,
    decide: f64,
    prepare: f64,
    commit: f64,
    batches: u64,
    encoded_bytes: u64,
}

/// Runs the stages over the corpus and writes a lake.
pub fn measure(task: &Task) -> Shares {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let listing = LocalListing::of(std::slice::from_ref(&task.root)).expect("list the corpus");
    let mut objects = Vec::new();
    listing.each(|object| {
        objects.push(object);
        true
    });
    let mut run = Run {
        shares: Shares::default(),
        lake: runtime
            .block_on(Lake::open(&task.lake))
            .expect("open the lake"),
        runtime,
        decider: decider(),
        second_decider: decider(),
        index: Some(IdentityIndex::new(IdentitySettings::default())),
        ledger: Ledger::default(),
        copies: CopyFilter::default(),
        facts: FactFilter::default(),

        presses: Presses::default(),
        pool: rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap(),
    };
    let [mut read, mut inflate, mut hash, mut records, mut process] = [Stage::default(); 5];
    let (mut inflater, mut reader, mut processor) =
        (Inflater::new(), LogReader::default(), Processor::default());
    let mut raws = [Vec::new(), Vec::new()];
    let limits = Limits::for_cores(1);
    let budget = ByteBudget::new(u64::MAX);
    let mut batch = Vec::new();
    let mut bytes = 0;
    // Two at a time, as a worker takes them.
    for (pair, two) in (0..).step_by(2).zip(objects.chunks(2)) {
        for (object, raw) in two.iter().zip(&mut raws) {
            let stored = read.time(|| std::fs::read(&object.path).expect("read an object"));
            inflate.time(|| {
                inflater
                    .inflate(&stored, &LIMITS, raw)
                    .expect("a sound object")
            });
        }
        hash.time(|| match two {
            [_] => black_box([sha256(&raws[0]); 2]),
            _ => black_box(sha256_of_two(&raws[0], &raws[1])),
        });
        for (object, raw) in two.iter().zip(&raws) {
            let origin = Origin {
                source_uri: &object.uri,
                account_id: None,
            };
            records.time(|| black_box(reader.read(raw, origin)));
        }
        let task = |(seq, object): (u64, &SourceObject)| AssignedObject {
            seq,
            object: object.clone(),
            reservation: budget.reserve(bytes_expected(object)),
            stored: bricktrail::pipeline::process::Stored::File,
            refused: None,
            share: None,
        };
        let mut tasks = (pair..).zip(two).map(task);
        let done = process.time(|| match (tasks.next(), tasks.next()) {
            (Some(one), Some(other)) => {
                Vec::from(processor.process_two([one, other], now(), || None))
            }
            (one, _) => one
                .into_iter()
                .map(|one| processor.process(one, now(), || None))
                .collect(),
        });
        for done in done {
            bytes += done.reservation.bytes();
            batch.push(done);
        }
        if bytes >= limits.commit_bytes {
            run.commit(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    run.commit(batch);
    Shares {
        read: read.0,
        inflate: inflate.0,
        hash: hash.0,
        records: records.0,
        process: process.0,
        ..run.shares
    }
}

fn decider() -> Decider {
    Decider::new(Arc::new(
        Policy::starter(&PolicySettings::default()).expect("the starter policy"),
    ))
}

/// What a committer keeps between batches.
struct Run {
    shares: Shares,
    runtime: tokio::runtime::Runtime,
    lake: Lake,
    decider: Decider,
    /// Decides everything once more, to time that alone.
    second_decider: Decider,
    index: Option<IdentityIndex>,
    ledger: Ledger,
    copies: CopyFilter,
    facts: FactFilter,
    pool: rayon::ThreadPool,
    presses: Presses,
}

impl Run {
    fn commit(&mut self, batch: Vec<Processed>) {
        let mut stages = [Stage::default(); 2];
        let [learn, decide] = &mut stages;
        let index = learn.time(|| {
            let sessions = batch
                .iter()
                .flat_map(|done| done.log.sts_sessions.iter().cloned())
                .collect();
            let instances = batch
                .iter()
                .flat_map(|done| done.log.ec2_instances.iter().cloned())
                .collect();
            self.index
                .take()
                .map(|index| index.with(sessions, instances))
        });
        let index = index.expect("there is an index");
        decide.time(|| {
            let mut deciding = self.second_decider.batch(&index, UtcMicros::MIN);
            for done in &batch {
                deciding.decide(&done.log.accesses, |place, decision| {
                    black_box((place, decision));
                });
            }
        });
        let now = now();
        let context = Context {
            decider: &mut self.decider,
            index: &index,
            ledger: &self.ledger,
            copies: &mut self.copies,
            facts: &mut self.facts,
            pool: &self.pool,
            presses: &self.presses,
            now,
        };
        // Files are encoded by a thread of the pool, whose waiting for a busy
        // CPU this thread cannot tell from work.
        let before = process_cpu();
        let Prepared { lake_batch, .. } = prepare(&batch, context).expect("prepare a batch");
        let after = process_cpu();
        self.shares.prepare += after.0 + after.1 - before.0 - before.1;
        self.index = Some(index);
        self.shares.batches += 1;
        self.shares.encoded_bytes += lake_batch
            .access_files
            .iter()
            .map(|file| file.bytes.len() as u64)
            .sum::<u64>();
        // Delta's own threads take part in a commit.
        let before = process_cpu();
        let outcome = self
            .runtime
            .block_on(self.lake.commit(lake_batch, now))
            .expect("commit");
        assert!(
            matches!(outcome, CommitOutcome::Committed { .. }),
            "nobody else writes this lake"
        );
        let after = process_cpu();
        let [learn, decide] = stages.map(|stage| stage.0);
        self.shares.learn += learn;
        self.shares.decide += decide;
        self.shares.commit += after.0 + after.1 - before.0 - before.1;
    }
}

impl Shares {
    pub fn print(&self, floor: f64) {
        let total = self.process + self.learn + self.prepare + self.commit;
        println!(
            "\nstages, one thread: {total:.2} CPU s = {:.2} x floor, {} commits, {:.1} MB encoded",
            total / floor,
            self.batches,
            self.encoded_bytes as f64 / 1e6
        );
        println!(
            "{:<34} {:>7} {:>7} {:>8}",
            "stage", "CPU s", "share", "x floor"
        );
        for (name, seconds) in [
            ("process one object", self.process),
            ("  read stored bytes", self.read),
            ("  inflate", self.inflate),
            ("  sha256", self.hash),
            ("  records: tape, route, keep", self.records),
            ("learn identities", self.learn),
            ("prepare a batch", self.prepare),
            ("  decide: attribute, judge", self.decide),
            (
                "  the rest: copies, rows, Parquet",
                self.prepare - self.decide,
            ),
            ("write and commit", self.commit),
        ] {
            println!(
                "{name:<34} {seconds:>7.2} {:>6.1}% {:>8.2}",
                100.0 * seconds / total,
                seconds / floor
            );
        }
    }
}
