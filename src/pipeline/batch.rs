//! A batch: the objects of one commit, in the order of the listing.
//!
//! Objects gather until there are enough; then copies are dropped, every access
//! is decided with all identity facts known by then, and the rows are encoded.
//! Nothing of a batch is visible before its commit, and nothing of it is
//! forgotten before: a commit that lost against another writer is prepared anew.

use super::decide::Decider;
use super::process::Processed;
use super::report::Report;
use crate::identity::IdentityIndex;
use crate::lake::chunks::{self, Parts, Press, SharedRows};
use crate::lake::columns::schema;
use crate::lake::data_file::{EncodedFile, FileWriter, Partition, Times};
use crate::lake::error::LakeError;
use crate::lake::fact_tables::{DigestObject, LogObject};
use crate::lake::ledger::{CopyFilter, FactFilter, Ledger, Seen};
use crate::lake::s3_access::{DecidedAccess, RowSource, UNREPEATED, columns};
use crate::lake::store::LakeBatch;
use crate::model::{ObjectStatus, UtcMicros, Verdict};
use crate::trail::AccessLog;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Rows of one data file at most: more go into several, encoded side by side.
const FILE_ROWS_MAX: usize = 128 * 1024;

/// Why a batch is committed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitTrigger {
    /// It holds as many bytes as one commit may.
    Bytes,
    Objects,
    /// Its first object has waited long enough.
    Interval,
    /// An object is next that needs all the memory there is.
    Room,
    /// Nothing more will come.
    Drained,
}

/// A row to be: its log, its place there, its decision.
#[derive(Clone, Copy)]
struct Row {
    log: u32,
    place: u32,
    decision: u32,
    /// Whether it tells more of an event than the row that stands for it.
    amends: bool,
}

/// What a batch becomes.
pub struct Prepared {
    pub lake_batch: LakeBatch,
    /// What the closing summary will count once the commit stands.
    pub report: Report,
}

/// What rows are decided with.
pub struct Context<'c> {
    pub decider: &'c mut Decider,
    pub index: &'c IdentityIndex,
    pub ledger: &'c Ledger,
    pub copies: &'c mut CopyFilter,
    pub facts: &'c mut FactFilter,
    /// Where files are encoded, and with what.
    pub pool: &'c rayon::ThreadPool,
    pub presses: &'c Presses,
    pub now: UtcMicros,
}

/// Presses with the memory that the encoding of earlier files left them; no more
/// of them than files are encoded side by side.
#[derive(Default)]
pub struct Presses(Mutex<Vec<Press>>);

impl Presses {
    fn lock(&self) -> MutexGuard<'_, Vec<Press>> {
        // Whatever stands in it is fit to be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Press> {
        self.lock().pop()
    }

    fn give(&self, press: Press) {
        self.lock().push(press);
    }
}

/// Decides and encodes a batch.
///
/// # Errors
/// When rows cannot be encoded, which would be a defect.
pub fn prepare(logs: &[Processed], context: Context<'_>) -> Result<Prepared, LakeError> {
    let Context {
        decider,
        index,
        ledger,
        copies,
        facts,
        pool,
        presses,
        now,
    } = context;
    let mut log_objects = Vec::with_capacity(logs.len());
    let accesses = logs.iter().map(|processed| processed.log.accesses.len());
    let mut rows: Vec<Option<Row>> = Vec::with_capacity(accesses.sum());
    let first_row = copies.next_row();
    let mut batch_ledger = Ledger::default();
    let mut lake_batch = LakeBatch::default();
    let mut learned = 0;
    let mut deciding = decider.batch(index, UtcMicros::MIN);
    for (log, processed) in logs.iter().enumerate() {
        let mut object = log_object(processed, now);
        let committed = object.status == ObjectStatus::Committed;
        let content = processed
            .sha256
            .filter(|_| committed && object.counts.records > 0);
        if let Some(hash) = content {
            if ledger.has_content(&hash) || batch_ledger.has_content(&hash) {
                object.status = ObjectStatus::Duplicate;
                object.reason =
                    Some("same_bytes: an object of these bytes is committed".to_owned());
                object.counts.duplicates = object.counts.s3_events;
                log_objects.push(object);
                continue;
            }
            batch_ledger.note(&object.uri, None, None, Some(&hash));
        }
        let accesses = &processed.log.accesses;
        deciding.decide(accesses, |place, decision| {
            let Some(id) = accesses.copy_of(place) else {
                return;
            };
            let amends = match copies.check(&id, first_row) {
                Seen::Copy => {
                    object.counts.duplicates += 1;
                    return;
                }
                Seen::New => false,
                Seen::Amends => true,
                Seen::Better { row, amends } => {
                    let twin = row
                        .checked_sub(first_row)
                        .and_then(|row| rows.get_mut(usize::try_from(row).ok()?));
                    if let Some(twin) = twin.and_then(Option::take).filter(|_| !amends) {
                        let counts = if twin.log as usize == log {
                            Some(&mut object.counts)
                        } else {
                            log_objects
                                .get_mut(twin.log as usize)
                                .map(|object: &mut LogObject| &mut object.counts)
                        };
                        if let Some(counts) = counts {
                            counts.rows_written -= 1;
                            counts.duplicates += 1;
                        }
                    }
                    amends
                }
            };
            // For the ledger an amendment is a copy: it adds no row.
            match amends {
                true => object.counts.duplicates += 1,
                false => object.counts.rows_written += 1,
            }
            rows.push(Some(Row {
                log: u32::try_from(log).unwrap_or(u32::MAX),
                place: u32::try_from(place).unwrap_or(u32::MAX),
                decision,
                amends,
            }));
        });
        let sessions = processed.log.sts_sessions.iter();
        let instances = processed.log.ec2_instances.iter();
        learned += sessions.len() + instances.len();
        lake_batch
            .sts_sessions
            .extend(sessions.filter(|s| facts.is_new_session(s)).cloned());
        lake_batch
            .ec2_instances
            .extend(instances.filter(|i| facts.is_new_instance(i)).cloned());
        lake_batch.digests.extend(digest_object(processed));
        log_objects.push(object);
    }
    let kept = rows.into_iter().flatten();
    let (amendments, rows): (Vec<Row>, Vec<Row>) = kept.partition(|row| row.amends);
    let mut report = Report::default();
    for object in &log_objects {
        report.count_object(object);
    }
    let mut rows_of: Vec<u64> = vec![0; decider.decisions()];
    for row in &rows {
        if let Some(count) = rows_of.get_mut(row.decision as usize) {
            *count += 1;
        }
    }
    for (decision, count) in (0..).zip(rows_of).filter(|(_, count)| *count > 0) {
        report.count_rows(decision, count);
    }
    report.close_batch(decider);
    report.sts_sessions = lake_batch.sts_sessions.len() as u64;
    report.ec2_instances = lake_batch.ec2_instances.len() as u64;
    report.fact_copies = learned as u64 - report.sts_sessions - report.ec2_instances;
    lake_batch.access_files = encode(logs, &rows, decider, (pool, presses), now)?;
    lake_batch.amendment_files = encode(logs, &amendments, decider, (pool, presses), now)?;
    // What is unreadable still, since an earlier scan, is counted and shown each
    // time, but stands in the lake already.
    log_objects.retain(|object| {
        object.etag.is_some() || !ledger.has_object(&object.uri, object.version_id.as_deref(), None)
    });
    lake_batch.log_objects = log_objects;
    Ok(Prepared { lake_batch, report })
}

fn log_object(processed: &Processed, now: UtcMicros) -> LogObject {
    let object = &processed.object;
    LogObject {
        uri: object.uri.clone(),
        version_id: object.version_id.clone(),
        // Without an ETag, so that the lake never seems to have the object: each
        // scan tries again what could not be read.
        etag: object.etag.clone().filter(|_| object.unreadable.is_none()),
        kind: processed.kind,
        status: processed.status,
        reason: processed.reason.clone(),
        compressed_bytes: object.bytes,
        raw_bytes: processed.raw_bytes,
        sha256: processed.sha256,
        counts: processed.counts(),
        rejects: processed
            .log
            .rejects
            .iter()
            .map(|reject| (reject.record_index, reject.reason.as_str()))
            .collect(),
        first_event_time: processed.log.first_event_time,
        last_event_time: processed.log.last_event_time,
        notified_at: object.notified_at,
        fetched_at: processed.fetched_at,
        committed_at: now,
    }
}

/// The digest that the object is, if it is one.
fn digest_object(processed: &Processed) -> Option<DigestObject> {
    let object = &processed.object;
    Some(DigestObject {
        uri: object.uri.clone(),
        version_id: object.version_id.clone(),
        etag: object.etag.clone(),
        sha256: processed.sha256?,
        content: processed.digest.clone()?,
        signature: object.signature.clone().unwrap_or_default(),
        fetched_at: processed.fetched_at,
    })
}

/// Encodes the rows, one file for each date and verdict (several for many rows).
fn encode(
    logs: &[Processed],
    rows: &[Row],
    decider: &Decider,
    (pool, presses): (&rayon::ThreadPool, &Presses),
    now: UtcMicros,
) -> Result<Vec<EncodedFile>, LakeError> {
    let mut partitions: BTreeMap<(i32, Verdict), Shards> = BTreeMap::new();
    for of_log in rows.chunk_by(|a, b| a.log == b.log) {
        let accesses = of_log
            .first()
            .and_then(|row| logs.get(row.log as usize))
            .map(|processed| &processed.log.accesses);
        let Some(accesses) = accesses else { continue };
        for row in of_log {
            let at = accesses.event_time(row.place as usize);
            let decision = decider.decision(row.decision);
            if let (Some(at), Some(decision)) = (at, decision) {
                partitions
                    .entry((at.date(), decision.judgement.verdict))
                    .or_default()
                    .push(*row, at);
            }
        }
    }
    let shards: Vec<((i32, Verdict), Shard)> = partitions
        .into_iter()
        .flat_map(|(partition, shards)| shards.0.into_iter().map(move |shard| (partition, shard)))
        .collect();
    let sources: Vec<RowSource> = logs
        .iter()
        .map(|processed| RowSource {
            uri: processed.object.uri.clone(),
            etag: processed.object.etag.clone(),
            ingested_at: now,
        })
        .collect();
    let encoder = Encoder {
        logs,
        sources: &sources,
        decider,
        presses,
        now,
    };
    // The pool's threads stay: memory freed by threads that end with a batch
    // would be kept back, more with every commit.
    pool.install(|| {
        shards
            .into_par_iter()
            .map(|(partition, shard)| encoder.encode(partition, &shard))
            .collect()
    })
}

/// The rows of one date and verdict, in the order of the batch.
#[derive(Default)]
struct Shards(Vec<Shard>);

/// The rows of one file.
struct Shard {
    rows: Vec<Row>,
    first: UtcMicros,
    last: UtcMicros,
}

impl Shards {
    fn push(&mut self, row: Row, at: UtcMicros) {
        match self.0.last_mut() {
            Some(shard) if shard.rows.len() < FILE_ROWS_MAX => {
                shard.rows.push(row);
                shard.first = shard.first.min(at);
                shard.last = shard.last.max(at);
            }
            _ => self.0.push(Shard {
                rows: vec![row],
                first: at,
                last: at,
            }),
        }
    }
}

struct Encoder<'e> {
    logs: &'e [Processed],
    sources: &'e [RowSource],
    decider: &'e Decider,
    presses: &'e Presses,
    now: UtcMicros,
}

impl Encoder<'_> {
    fn encode(
        &self,
        (date, verdict): (i32, Verdict),
        shard: &Shard,
    ) -> Result<EncodedFile, LakeError> {
        let columns = columns();
        let writer = FileWriter::new(schema(&columns), &UNREPEATED, &["event_time"]);
        let rows = ShardRows {
            encoder: self,
            rows: &shard.rows,
        };
        let error = |error| LakeError::encode("s3_access", error);
        let lent = self.presses.take();
        let mut press = match lent {
            Some(press) => press,
            None => Press::new().map_err(error)?,
        };
        let bytes = chunks::encode(&writer, &columns, &rows, &mut press).map_err(error)?;
        self.presses.give(press);
        Ok(EncodedFile {
            bytes,
            rows: shard.rows.len() as u64,
            partition: Partition::of(date, verdict),
            times: Some(Times {
                events: (shard.first, shard.last),
                ingested: (self.now, self.now),
            }),
        })
    }
}

/// An access of a log with its decision, provisional: what a row is made of.
#[inline]
pub(super) fn decided<'d>(
    log: &'d AccessLog,
    place: usize,
    (decider, decision): (&'d Decider, u32),
    (source, now): (&'d RowSource, UtcMicros),
) -> Option<DecidedAccess<'d>> {
    let decision = decider.decision(decision)?;
    let policy = decider.policy();
    Some(DecidedAccess {
        access: log.get(place)?,
        credential: decision.credential,
        attribution: &decision.attribution,
        dataset: decision.dataset.and_then(|dataset| policy.dataset(dataset)),
        verdict: decision.judgement.verdict,
        violations: &decision.judgement.violations,
        policy_version: policy.version(),
        source,
        source_index: log.source_index(place)?,
        addendum: log.addendum(place),
        settled: false,
        decided_at: now,
    })
}

/// The rows of one file, as the lake encodes them.
struct ShardRows<'e> {
    encoder: &'e Encoder<'e>,
    rows: &'e [Row],
}

impl ShardRows<'_> {
    /// A number that no row has stands for a place past the end.
    fn number(&self, place: usize, of: impl Fn(&Row) -> u32) -> u32 {
        self.rows.get(place).map_or(u32::MAX, of)
    }
}

impl<'e> SharedRows<DecidedAccess<'e>> for ShardRows<'e> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    fn row(&self, place: usize) -> Option<DecidedAccess<'e>> {
        let (row, encoder) = (self.rows.get(place)?, self.encoder);
        let accesses = &encoder.logs.get(row.log as usize)?.log.accesses;
        let source = encoder.sources.get(row.log as usize)?;
        let decision = (encoder.decider, row.decision);
        decided(
            accesses,
            row.place as usize,
            decision,
            (source, encoder.now),
        )
    }

    fn decision(&self, place: usize) -> u32 {
        self.number(place, |row| row.decision)
    }

    fn source(&self, place: usize) -> u32 {
        self.number(place, |row| row.log)
    }

    fn parts(&self, decision: u32) -> Parts {
        let decision = self.encoder.decider.decision(decision);
        decision.map(|decision| decision.parts).unwrap_or_default()
    }
}
