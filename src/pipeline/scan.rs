//! Runs a scan: listing, workers, committer, each in its own place.
//!
//! ```text
//! listing -> (reserve) -> workers -> committer: gather, prepare, commit
//! ```
//! One thread lists and reserves memory in order; a worker for each core turns
//! objects into accesses; the committer puts them back in order, gathers a batch,
//! and commits it while the workers go on. An object that needs all the memory
//! there is waits until everything before it is committed, and is read alone.
//!
//! INVARIANT (nothing forgotten): an object is in exactly one place, and the
//! next scan sees in the lake which ones were committed. A scan killed at any
//! instant is continued by running it again.

use super::batch::{CommitTrigger, Context, Prepared, Presses, prepare};
use super::budget::ByteBudget;
use super::decide::Decider;
use super::process::{AssignedObject, Processed, Processor, bytes_expected};
use super::report::Report;
use super::source::{LocalListing, SourceTotals};
use super::used_logs::UsedLogs;
use crate::identity::{IdentityIndex, IdentitySettings};
use crate::lake::databricks::read_databricks;
use crate::lake::delta::{CONFLICTS_MAX, CommitOutcome};
use crate::lake::fact_tables::{PolicyException, PolicyVersionFile, hex};
use crate::lake::ledger::{CopyFilter, FactFilter, Ledger};
use crate::lake::{Lake, LakeError, facts};
use crate::model::{ObjectStatus, UtcMicros};
use crate::policy::Policy;
use crate::trail::hash::sha256;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Limits of a scan.
#[derive(Clone, Debug)]
pub struct ScanLimits {
    /// Bytes of objects, and of what was made of them, held at any time.
    pub in_flight_bytes_max: u64,
    /// Bytes of gathered accesses that start a commit.
    pub commit_bytes: u64,
    /// Objects that start a commit: each is a row of the ledger.
    pub commit_objects: usize,
    pub commit_interval: Duration,
    pub threads: usize,
}

impl ScanLimits {
    /// Defaults for that many cores.
    ///
    /// 64 MiB in flight, nearly half of it a commit: with the buffers of two
    /// workers and the encoder a scan stays below 400 MB.
    pub fn for_cores(threads: usize) -> ScanLimits {
        ScanLimits {
            in_flight_bytes_max: 64 * 1024 * 1024,
            commit_bytes: 28 * 1024 * 1024,
            commit_objects: 20_000,
            commit_interval: Duration::from_secs(60),
            threads: threads.max(1),
        }
    }
}

/// The event time up to which a trail is complete that was read until `newest`:
/// until then an absent STS event is a fact, after it only late.
pub fn trail_complete_until(newest: UtcMicros) -> UtcMicros {
    newest.plus_seconds(-TRAIL_DELAY_SECS)
}

/// What a scan needs to be told.
pub struct ScanJob {
    pub listing: LocalListing,
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    pub limits: ScanLimits,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

/// Watches a scan, for its progress bar.
pub trait Progress: Send + Sync {
    fn starts(&self, totals: SourceTotals);
    /// An object was read, or passed over because the lake has it.
    fn object(&self, bytes: u64);
    fn committed(&self, rows: u64);
}

/// What travels from the listing to the workers.
enum Assigned {
    Object(Box<AssignedObject>),
    /// What comes next needs the whole budget: all before it is to be committed.
    Room {
        seq: u64,
    },
}

/// What travels from the workers to the committer.
enum Gathered {
    Done(Box<Processed>),
    Room { seq: u64 },
}

impl Gathered {
    fn seq(&self) -> u64 {
        match self {
            Gathered::Done(done) => done.seq,
            Gathered::Room { seq } => *seq,
        }
    }
}

/// How far event times may lag behind the newest one read, or the clock, before
/// all events up to then count as delivered. CloudTrail delivers most within
/// minutes and promises no time.
const TRAIL_DELAY_SECS: i64 = 3600;

/// Scans the sources into the lake.
///
/// # Errors
/// When the lake cannot be read or written; what was committed until then stays.
pub async fn scan(
    lake: &mut Lake,
    job: ScanJob,
    progress: Arc<dyn Progress>,
) -> Result<Report, LakeError> {
    let ScanJob {
        listing,
        policy,
        identity,
        limits,
        now,
    } = job;
    record_policy(lake, &policy, now()).await?;
    let (sessions, instances) = facts::read_identity(lake).await?;
    let facts = FactFilter::of(&sessions, &instances);
    let mut committer = Committer {
        decider: Decider::new(policy),
        facts,
        newest_event: facts::read_newest_event(lake).await?,
        index: Some(
            IdentityIndex::new(identity)
                .with_databricks(read_databricks(lake.url()).await?)
                .with(sessions, instances),
        ),
        ledger: Arc::new(Mutex::new(facts::read_ledger(lake).await?)),
        copies: facts::read_copies(lake).await?,
        report: Report::default(),
        pool: rayon::ThreadPoolBuilder::new()
            // Workers parse meanwhile; half as many encoders keep up with them.
            .num_threads(limits.threads.div_ceil(2))
            .build()
            .map_err(|error| LakeError::encode("s3_access", error))?,
        presses: Presses::default(),
        used: UsedLogs::default(),
        limits: limits.clone(),
        now,
        progress: progress.clone(),
    };
    progress.starts(listing.totals);
    let (assign, assigned) = sync_channel::<Assigned>(limits.threads);
    let (done, processed) = mpsc::channel::<Gathered>(limits.threads * 4);
    let ledger = committer.ledger.clone();
    let lister = {
        let (limits, progress) = (limits.clone(), progress.clone());
        tokio::task::spawn_blocking(move || list(listing, &ledger, &limits, &assign, &*progress))
    };
    let assigned = Arc::new(Mutex::new(assigned));
    for _ in 0..limits.threads {
        let (assigned, done, progress) = (assigned.clone(), done.clone(), progress.clone());
        let used = committer.used.clone();
        tokio::task::spawn_blocking(move || work(&assigned, &done, &used, &*progress, now));
    }
    // The workers hold the only senders now: the channel ends when they do.
    drop((done, assigned));
    let outcome = committer.run(lake, processed).await;
    let known = lister.await.unwrap_or(0);
    outcome?;
    let mut report = committer.report;
    report.objects_known += known;
    Ok(report)
}

pub(super) async fn record_policy(
    lake: &mut Lake,
    policy: &Policy,
    now: UtcMicros,
) -> Result<(), LakeError> {
    let files = policy
        .files()
        .iter()
        .map(|file| PolicyVersionFile {
            policy_version: policy.version().to_owned(),
            file: file.name.clone(),
            sha256: hex(&sha256(file.text.as_bytes())),
            text: file.text.clone(),
            first_used_at: now,
        })
        .collect();
    let exceptions = policy.exceptions().iter().cloned();
    let exceptions = exceptions.map(|exception| PolicyException {
        policy_version: policy.version().to_owned(),
        exception,
    });
    let version = policy.version();
    lake.record_policy(version, files, exceptions.collect(), now)
        .await
}

/// Hands out what the lake does not have yet; returns how many it has.
fn list(
    listing: LocalListing,
    ledger: &Mutex<Ledger>,
    limits: &ScanLimits,
    assign: &SyncSender<Assigned>,
    progress: &dyn Progress,
) -> u64 {
    let budget = ByteBudget::new(limits.in_flight_bytes_max);
    let reservation_max = limits
        .in_flight_bytes_max
        .saturating_sub(limits.commit_bytes);
    let (mut seq, mut known) = (0, 0);
    // Sources may overlap: a file named beside the folder that holds it.
    let mut listed = Ledger::default();
    listing.each(|object| {
        let etag = object.etag.as_deref();
        if listed.has_object(&object.uri, None, etag) {
            progress.object(object.bytes);
            return true;
        }
        listed.note(&object.uri, None, etag, None);
        // What cannot be read is never known: it is shown each time.
        let in_lake = object.unreadable.is_none()
            && ledger
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .has_object(&object.uri, None, etag);
        if in_lake {
            known += 1;
            progress.object(object.bytes);
            return true;
        }
        let expected = bytes_expected(&object);
        let reservation = if expected <= reservation_max {
            budget.reserve(expected)
        } else {
            if assign.send(Assigned::Room { seq }).is_err() {
                return false;
            }
            seq += 1;
            budget.reserve(budget.total())
        };
        let sent = assign.send(Assigned::Object(Box::new(AssignedObject {
            seq,
            object,
            reservation,
        })));
        seq += 1;
        // Nobody listens once the committer has failed.
        sent.is_ok()
    });
    known
}

/// Bytes reserved for an object above which it is not taken together with
/// another: the other would wait long for its result.
const PAIRED_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// Waits for what comes next; takes a second object with it if one is there.
fn next(assigned: &Mutex<Receiver<Assigned>>) -> Option<(Assigned, Option<Assigned>)> {
    let assigned = assigned.lock().unwrap_or_else(PoisonError::into_inner);
    let first = assigned.recv().ok()?;
    let pairs = match &first {
        Assigned::Object(task) => task.reservation.bytes() <= PAIRED_BYTES_MAX,
        Assigned::Room { .. } => false,
    };
    let second = pairs.then(|| assigned.try_recv().ok()).flatten();
    Some((first, second))
}

fn work(
    assigned: &Mutex<Receiver<Assigned>>,
    done: &mpsc::Sender<Gathered>,
    used: &UsedLogs,
    progress: &dyn Progress,
    now: fn() -> UtcMicros,
) {
    let mut processor = Processor::default();
    let take = || used.take();
    // Whether somebody listens still.
    let send = |gathered| done.blocking_send(gathered).is_ok();
    let send_object = |object: Processed| {
        progress.object(object.object.bytes);
        send(Gathered::Done(Box::new(object)))
    };
    while let Some(next) = next(assigned) {
        let go_on = match next {
            (Assigned::Object(one), Some(Assigned::Object(other)))
                if other.reservation.bytes() <= PAIRED_BYTES_MAX =>
            {
                processor
                    .process_two([*one, *other], now(), take)
                    .into_iter()
                    .all(send_object)
            }
            (one, other) => [Some(one), other]
                .into_iter()
                .flatten()
                .all(|next| match next {
                    Assigned::Object(task) => send_object(processor.process(*task, now(), take)),
                    Assigned::Room { seq } => send(Gathered::Room { seq }),
                }),
        };
        if !go_on {
            return;
        }
    }
}

/// Sessions above which old ones are forgotten; about 1.5 kB each.
const SESSIONS_MAX: usize = 50_000;

/// Drops sessions that ended long before the newest event, the longer ago the
/// fewer there are. The lake keeps them; `settle` finds them there.
fn forget_old(mut index: IdentityIndex, newest: Option<UtcMicros>) -> IdentityIndex {
    let Some(newest) = newest else { return index };
    for hours in [48, 12, 2] {
        if index.sessions() <= SESSIONS_MAX {
            break;
        }
        index = index.without_older_than(newest.plus_seconds(-hours * 3600));
    }
    index
}

struct Committer {
    decider: Decider,
    /// Taken and put back around each extension: built, swapped, not mutated.
    index: Option<IdentityIndex>,
    ledger: Arc<Mutex<Ledger>>,
    copies: CopyFilter,
    facts: FactFilter,
    /// The newest event time of all objects gathered, and of those in the lake.
    newest_event: Option<UtcMicros>,
    report: Report,
    limits: ScanLimits,
    /// Encode the files of a commit.
    pool: rayon::ThreadPool,
    presses: Presses,
    /// Where the logs of committed rows go.
    used: UsedLogs,
    now: fn() -> UtcMicros,
    progress: Arc<dyn Progress>,
}

impl Committer {
    /// Gathers batches in the order of the listing and commits them.
    async fn run(
        &mut self,
        lake: &mut Lake,
        mut processed: mpsc::Receiver<Gathered>,
    ) -> Result<(), LakeError> {
        let mut early: BTreeMap<u64, Gathered> = BTreeMap::new();
        let mut next_seq = 0;
        let mut batch: Vec<Processed> = Vec::new();
        let mut bytes = 0;
        let mut since = Instant::now();
        loop {
            // First what is there: nothing more may come before it is committed.
            let mut trigger = None;
            while trigger.is_none() {
                let Some(gathered) = early.remove(&next_seq) else {
                    break;
                };
                next_seq += 1;
                match gathered {
                    Gathered::Done(done) => {
                        bytes += done.reservation.bytes();
                        batch.push(*done);
                        trigger = self.trigger(bytes, batch.len());
                    }
                    Gathered::Room { .. } => trigger = Some(CommitTrigger::Room),
                }
            }
            if trigger.is_none() {
                let wait = self.limits.commit_interval.saturating_sub(since.elapsed());
                match tokio::time::timeout(wait, processed.recv()).await {
                    Ok(Some(gathered)) => {
                        early.insert(gathered.seq(), gathered);
                        continue;
                    }
                    Ok(None) => trigger = Some(CommitTrigger::Drained),
                    Err(_) => trigger = Some(CommitTrigger::Interval),
                }
            }
            tracing::debug!(?trigger, objects = batch.len(), bytes, "commit");
            let is_last = trigger == Some(CommitTrigger::Drained);
            if !batch.is_empty() {
                self.commit(lake, &mut batch, is_last).await?;
                bytes = 0;
            }
            for done in batch.drain(..) {
                self.used.give(done.log.accesses);
            }
            if trigger == Some(CommitTrigger::Room) {
                self.used.free();
            }
            since = Instant::now();
            if is_last {
                return Ok(());
            }
        }
    }

    fn trigger(&self, bytes: u64, objects: usize) -> Option<CommitTrigger> {
        if bytes >= self.limits.commit_bytes {
            Some(CommitTrigger::Bytes)
        } else if objects >= self.limits.commit_objects {
            Some(CommitTrigger::Objects)
        } else {
            None
        }
    }

    /// Prepares and commits a batch, again after each lost race.
    async fn commit(
        &mut self,
        lake: &mut Lake,
        batch: &mut Vec<Processed>,
        is_last: bool,
    ) -> Result<(), LakeError> {
        self.learn(batch);
        for _ in 0..CONFLICTS_MAX {
            self.drop_known(batch);
            if batch.is_empty() {
                return Ok(());
            }
            let now = (self.now)();
            self.note_watermark(now, is_last);
            let Prepared {
                lake_batch,
                mut report,
            } = self.prepare(batch, now)?;
            if lake_batch.is_empty() {
                // Only what is unreadable still, as the lake says already.
                self.report.add(report);
                return Ok(());
            }
            let noted: Vec<_> = lake_batch
                .log_objects
                .iter()
                .map(|o| {
                    let read = o.status == ObjectStatus::Committed && o.counts.records > 0;
                    (o.uri.clone(), o.etag.clone(), o.sha256.filter(|_| read))
                })
                .collect();
            match lake.commit(lake_batch, now).await? {
                CommitOutcome::Committed { .. } => {
                    let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                    for (uri, etag, content) in &noted {
                        ledger.note(uri, None, etag.as_deref(), content.as_ref());
                    }
                    report.commits = 1;
                    self.progress.committed(report.counts.rows_written);
                    self.report.add(report);
                    return Ok(());
                }
                CommitOutcome::Conflict { version } => {
                    tracing::info!(
                        version,
                        "another writer committed first; preparing the batch anew"
                    );
                    self.learn_from(lake).await?;
                }
            }
        }
        let table = lake.s3_access();
        Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
    }

    /// Reads what another writer committed.
    async fn learn_from(&mut self, lake: &Lake) -> Result<(), LakeError> {
        let ledger = facts::read_ledger(lake).await?;
        self.copies = facts::read_copies(lake).await?;
        let (sessions, instances) = facts::read_identity(lake).await?;
        self.facts = FactFilter::of(&sessions, &instances);
        self.index = self
            .index
            .take()
            .map(|index| index.with(sessions, instances));
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
        Ok(())
    }

    /// Tells the index up to when an absent STS event is a fact. Objects are read
    /// in the order of their delivery, so what is read is complete up to some
    /// time before the newest event; at the end it is as complete as the trail.
    fn note_watermark(&mut self, now: UtcMicros, is_last: bool) {
        let newest = match self.newest_event {
            _ if is_last => now,
            Some(newest) => newest.min(now),
            None => UtcMicros::MIN,
        };
        let until = trail_complete_until(newest);
        self.index = self.index.take().map(|index| index.with_sts_until(until));
    }

    /// Drops objects that another writer committed since they were listed.
    fn drop_known(&mut self, batch: &mut Vec<Processed>) {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let gathered = batch.len();
        batch.retain(|done| {
            let object = &done.object;
            object.unreadable.is_some()
                || !ledger.has_object(&object.uri, None, object.etag.as_deref())
        });
        self.report.objects_known += (gathered - batch.len()) as u64;
    }

    /// Adds the batch's identity facts to what is known.
    fn learn(&mut self, batch: &[Processed]) {
        let sessions = batch
            .iter()
            .flat_map(|done| done.log.sts_sessions.iter().cloned())
            .collect();
        let instances = batch
            .iter()
            .flat_map(|done| done.log.ec2_instances.iter().cloned())
            .collect();
        let newest = batch
            .iter()
            .filter_map(|done| done.log.last_event_time)
            .max();
        self.newest_event = self.newest_event.max(newest);
        self.index = self
            .index
            .take()
            .map(|index| forget_old(index, newest).with(sessions, instances));
    }

    fn prepare(&mut self, batch: &[Processed], now: UtcMicros) -> Result<Prepared, LakeError> {
        let ledger = self.ledger.clone();
        let ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let index = self
            .index
            .get_or_insert_with(|| IdentityIndex::new(IdentitySettings::default()));
        let context = Context {
            decider: &mut self.decider,
            index,
            ledger: &ledger,
            copies: &mut self.copies,
            facts: &mut self.facts,
            pool: &self.pool,
            presses: &self.presses,
            now,
        };
        tokio::task::block_in_place(|| prepare(batch, context))
    }
}
