//! Gathers what was read into batches and commits them, one after the other.
//!
//! ```text
//! gathered -> in order -> batch -> (trigger) -> decide, encode -> commit -> acknowledge
//! ```
//! The committer puts objects back in their order, gathers a batch, and commits it
//! while the workers go on. A commit that lost against another writer is prepared
//! anew, without what that one has.
//!
//! INVARIANT (durable, then acknowledged): a share of a lease is called durable only
//! after the commit stands that holds its object, this writer's or another's.
//!
//! INVARIANT (nothing by half): the policy and what is known of people change between
//! batches, never within one.

use super::batch::{CommitTrigger, Context, Prepared, Presses, prepare};
use super::decide::Decider;
use super::horizon::trail_complete_until;
use super::lease::Share;
use super::limits::Limits;
use super::patience::Waiting;
use super::process::Processed;
use super::report::Report;
use super::shared_ledger::{Noted, SharedLedger};
use super::stages::{Gathered, Note, Progress};
use super::used_logs::UsedLogs;
use crate::identity::{IdentityIndex, IdentitySettings};
use crate::lake::databricks::read_databricks;
use crate::lake::delta::{CONFLICTS_MAX, CommitOutcome};
use crate::lake::fact_tables::{PolicyException, PolicyVersionFile, hex};
use crate::lake::ledger::{CopyFilter, FactFilter};
use crate::lake::news::{News, NewsFile, read_news};
use crate::lake::{Lake, LakeError, facts};
use crate::model::{DatabricksFacts, UtcMicros};
use crate::policy::Policy;
use crate::trail::hash::sha256;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How a committer stands to the rest of the world.
pub struct CommitterJob {
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    pub limits: Limits,
    pub company: Company,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

/// Whether others write meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Objects come in the order of their delivery, and all of them.
    Alone,
    /// Other writers take part of the objects; none knows what the others still hold.
    Shared {
        /// For how long a commit that fails is tried again.
        patience: Duration,
    },
}

impl Company {
    /// Alone there is none: whoever started it sees the failure.
    fn patience(self) -> Duration {
        match self {
            Company::Alone => Duration::ZERO,
            Company::Shared { patience } => patience,
        }
    }
}

/// What may change between two batches.
pub enum Change {
    Policy(Arc<Policy>),
    Databricks(Box<DatabricksFacts>),
}

/// What a commit will hold.
#[derive(Default)]
struct Batch {
    logs: Vec<Processed>,
    notes: Vec<Note>,
    bytes: u64,
    /// Names of all these.
    named: HashSet<String>,
    /// Of what was announced twice and is here once.
    again: Vec<Share>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.notes.is_empty()
    }

    /// Whether nothing of that name is here; remembers it.
    fn is_new(&mut self, name: String, share: &mut Option<Share>) -> bool {
        let new = self.named.insert(name);
        if !new {
            self.again.extend(share.take());
        }
        new
    }
}

/// Commits batches; one for each process.
pub struct Committer {
    decider: Decider,
    identity: IdentitySettings,
    /// Taken and put back around each extension: built, swapped, not mutated.
    index: Option<IdentityIndex>,
    ledger: SharedLedger,
    /// The version of the lake whose objects the ledger knows.
    ledger_at: u64,
    copies: CopyFilter,
    facts: FactFilter,
    /// The newest event time of all objects gathered, and of those in the lake.
    newest_event: Option<UtcMicros>,
    report: Report,
    limits: Limits,
    company: Company,
    /// Encode the files of a commit.
    pool: rayon::ThreadPool,
    presses: Presses,
    /// Where the logs of committed rows go.
    used: UsedLogs,
    now: fn() -> UtcMicros,
    progress: Arc<dyn Progress>,
}

/// Objects older than this are not read into the ledger of a shared lake: no queue keeps
/// a message longer than 14 days.
const LEDGER_DAYS: i64 = 16;

impl Committer {
    /// Reads what the lake knows.
    ///
    /// # Errors
    /// When the lake cannot be read, or the policy cannot be recorded.
    pub async fn open(
        lake: &mut Lake,
        job: CommitterJob,
        progress: Arc<dyn Progress>,
    ) -> Result<Committer, LakeError> {
        let CommitterJob {
            policy,
            identity,
            limits,
            company,
            now,
        } = job;
        record_policy(lake, &policy, now()).await?;
        let (sessions, instances) = facts::read_identity(lake).await?;
        let facts = FactFilter::of(&sessions, &instances);
        let committer = Committer {
            decider: Decider::new(policy),
            identity: identity.clone(),
            facts,
            newest_event: facts::read_newest_event(lake).await?,
            index: Some(
                IdentityIndex::new(identity)
                    .with_databricks(read_databricks(lake.url()).await?)
                    .with(sessions, instances),
            ),
            ledger: SharedLedger::default(),
            ledger_at: lake.s3_access().version(),
            copies: facts::read_copies(lake).await?,
            report: Report::default(),
            pool: rayon::ThreadPoolBuilder::new()
                // Workers parse meanwhile; half as many encoders keep up with them.
                .num_threads(limits.threads.div_ceil(2))
                .build()
                .map_err(|error| LakeError::encode("s3_access", error))?,
            presses: Presses::default(),
            used: UsedLogs::default(),
            limits,
            company,
            now,
            progress,
        };
        let ledger = facts::read_ledger(lake, committer.ledger_since()).await?;
        *committer.ledger.write() = ledger;
        Ok(committer)
    }

    pub fn ledger(&self) -> SharedLedger {
        self.ledger.clone()
    }

    pub fn used_logs(&self) -> UsedLogs {
        self.used.clone()
    }

    /// What was done.
    pub fn into_report(self) -> Report {
        self.report
    }

    fn ledger_since(&self) -> Option<UtcMicros> {
        match self.company {
            Company::Alone => None,
            Company::Shared { .. } => Some((self.now)().plus_seconds(-LEDGER_DAYS * 86_400)),
        }
    }

    /// Gathers batches in order and commits them, until nobody sends any more.
    ///
    /// # Errors
    /// When a batch cannot be committed; what was committed until then stays.
    pub async fn run(
        &mut self,
        lake: &mut Lake,
        mut gathered: mpsc::Receiver<Gathered>,
        mut changes: mpsc::Receiver<Change>,
    ) -> Result<(), LakeError> {
        let mut early: BTreeMap<u64, Gathered> = BTreeMap::new();
        let mut next_seq = 0;
        let mut batch = Batch::default();
        let mut since = Instant::now();
        let mut may_change = true;
        loop {
            // First what is there: nothing more may come before it is committed.
            let mut trigger = None;
            while trigger.is_none() {
                let Some(gathered) = early.remove(&next_seq) else {
                    break;
                };
                next_seq += 1;
                trigger = self.gather(gathered, &mut batch);
            }
            if trigger.is_none() {
                let wait = self.limits.commit_interval.saturating_sub(since.elapsed());
                tokio::select! {
                    biased;
                    change = changes.recv(), if may_change => {
                        match change {
                            Some(change) => self.change(lake, change).await?,
                            None => may_change = false,
                        }
                        continue;
                    }
                    received = tokio::time::timeout(wait, gathered.recv()) => match received {
                        Ok(Some(Gathered::Broken)) => return Err(broken()),
                        Ok(Some(gathered)) => {
                            early.insert(gathered.seq(), gathered);
                            continue;
                        }
                        // Numbers have no gaps, unless a worker is gone with one.
                        Ok(None) if !early.is_empty() => return Err(broken()),
                        Ok(None) => trigger = Some(CommitTrigger::Drained),
                        Err(_) => trigger = Some(CommitTrigger::Interval),
                    }
                }
            }
            tracing::debug!(
                ?trigger,
                objects = batch.logs.len(),
                bytes = batch.bytes,
                "commit"
            );
            let is_last = trigger == Some(CommitTrigger::Drained);
            if !batch.is_empty() {
                self.commit_patiently(lake, &mut batch, is_last).await?;
            }
            batch.bytes = 0;
            batch.named.clear();
            self.progress.known(batch.again.len() as u64);
            batch.again.drain(..).for_each(Share::durable);
            for note in batch.notes.drain(..) {
                note.share.into_iter().for_each(Share::durable);
            }
            for done in batch.logs.drain(..) {
                self.progress.durable(&done);
                done.share.into_iter().for_each(Share::durable);
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

    /// Adds to the batch; the reason for which it is full, if it is.
    fn gather(&self, gathered: Gathered, batch: &mut Batch) -> Option<CommitTrigger> {
        match gathered {
            Gathered::Done(mut done) => {
                let object = &done.object;
                // What could not be had says nothing of what can.
                let had = object.unreadable.is_none();
                let (uri, version, etag) = (&object.uri, &object.version_id, &object.etag);
                let name = format!("{uri}\0{version:?}\0{etag:?}\0{had}");
                if batch.is_new(name, &mut done.share) {
                    batch.bytes += done.reservation.bytes();
                    batch.logs.push(*done);
                }
            }
            Gathered::Note { mut note, .. } => {
                let name = note.notification.notification_id.clone();
                if batch.is_new(name, &mut note.share) {
                    batch.bytes += note.reservation.bytes();
                    batch.notes.push(*note);
                }
            }
            // Told before it gets here.
            Gathered::Broken => {}
            Gathered::Room { .. } => return Some(CommitTrigger::Room),
        }
        if batch.bytes >= self.limits.commit_bytes {
            Some(CommitTrigger::Bytes)
        } else if batch.logs.len() + batch.notes.len() >= self.limits.commit_objects {
            Some(CommitTrigger::Objects)
        } else {
            None
        }
    }

    /// Takes up a change; a failure of the store is waited out.
    async fn change(&mut self, lake: &mut Lake, change: Change) -> Result<(), LakeError> {
        let mut waiting = Waiting::new(self.company.patience());
        match change {
            Change::Policy(policy) => {
                // Known to the lake before any row is judged by it.
                while let Err(error) = record_policy(lake, &policy, (self.now)()).await {
                    waiting.after(error).await?;
                }
                self.decider = Decider::new(policy);
            }
            Change::Databricks(databricks) => {
                // Made anew: what was said before may have been taken back.
                let (sessions, instances) = loop {
                    match facts::read_identity(lake).await {
                        Ok(read) => break read,
                        Err(error) => waiting.after(error).await?,
                    }
                };
                let index = IdentityIndex::new(self.identity.clone());
                self.index = Some(index.with_databricks(*databricks).with(sessions, instances));
            }
        }
        Ok(())
    }

    /// Commits the batch; where others write too, a failure of the store is waited out.
    async fn commit_patiently(
        &mut self,
        lake: &mut Lake,
        batch: &mut Batch,
        is_last: bool,
    ) -> Result<(), LakeError> {
        self.learn(&batch.logs);
        self.copies.begin_batch();
        self.facts.begin_batch();
        let mut waiting = Waiting::new(self.company.patience());
        loop {
            let outcome = match self.catch_up(lake).await {
                Ok(()) => self.commit(lake, batch, is_last).await,
                Err(error) => Err(error),
            };
            let Err(error) = outcome else { return Ok(()) };
            self.copies.forget_batch();
            self.facts.forget_batch();
            waiting.after(error).await?;
        }
    }

    /// Prepares and commits a batch, again after each lost race.
    async fn commit(
        &mut self,
        lake: &mut Lake,
        batch: &mut Batch,
        is_last: bool,
    ) -> Result<(), LakeError> {
        let started = Instant::now();
        for conflicts in 0..CONFLICTS_MAX {
            self.drop_known(batch);
            if batch.is_empty() {
                return Ok(());
            }
            let now = (self.now)();
            self.note_watermark(now, is_last);
            let Prepared {
                mut lake_batch,
                mut report,
            } = self.prepare(&batch.logs, now)?;
            lake_batch.notifications = batch
                .notes
                .iter()
                .map(|note| note.notification.clone())
                .collect();
            report.notifications = lake_batch.notifications.len() as u64;
            if lake_batch.is_empty() {
                // Only what is unreadable still, as the lake says already.
                self.progress.committed(&report);
                self.report.add(report);
                return Ok(());
            }
            let noted = Noted::of(&lake_batch);
            match lake.commit(lake_batch, now).await? {
                CommitOutcome::Committed { version } => {
                    noted.note(&mut self.ledger.write());
                    self.ledger_at = version;
                    report.commits = 1;
                    report.conflicts = u64::from(conflicts);
                    report.commit_seconds = started.elapsed().as_secs_f64();
                    self.progress.committed(&report);
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

    /// Learns what others committed, before a batch is prepared for nothing.
    async fn catch_up(&mut self, lake: &mut Lake) -> Result<(), LakeError> {
        // Alone, only what a commit of its own brought to light.
        if self.company != Company::Alone {
            lake.refresh().await?;
        }
        match lake.s3_access().version() == self.ledger_at {
            true => Ok(()),
            false => self.learn_from(lake).await,
        }
    }

    /// Reads what other writers committed: the new files, or everything where the log
    /// does not reach back.
    async fn learn_from(&mut self, lake: &Lake) -> Result<(), LakeError> {
        let version = lake.s3_access().version();
        self.copies.forget_batch();
        self.facts.forget_batch();
        let (mut sessions, mut instances) = (Vec::new(), Vec::new());
        let (ledger, copies) = (self.ledger.clone(), &mut self.copies);
        let news = read_news(lake, self.ledger_at, |file| {
            match file {
                NewsFile::Sessions(mut more) => sessions.append(&mut more),
                NewsFile::Instances(mut more) => instances.append(&mut more),
                NewsFile::Stored(stored) => stored.note(&mut ledger.write(), copies)?,
            }
            Ok(())
        });
        match news.await? {
            News::Read => {
                for session in &sessions {
                    self.facts.is_new_session(session);
                }
                for instance in &instances {
                    self.facts.is_new_instance(instance);
                }
            }
            News::Gone => {
                let ledger = facts::read_ledger(lake, self.ledger_since()).await?;
                self.copies = facts::read_copies(lake).await?;
                (sessions, instances) = facts::read_identity(lake).await?;
                self.facts = FactFilter::of(&sessions, &instances);
                *self.ledger.write() = ledger;
            }
        }
        let index = self.index.take();
        self.index = index.map(|index| index.with(sessions, instances));
        self.ledger_at = version;
        self.copies.begin_batch();
        self.facts.begin_batch();
        Ok(())
    }

    /// Tells the index up to when an absent STS event is a fact. Alone, objects are read
    /// in the order of their delivery, so what is read is complete up to some time
    /// before the newest event; at the end it is as complete as the trail. In company
    /// nobody knows that but who settles.
    fn note_watermark(&mut self, now: UtcMicros, is_last: bool) {
        let newest = match (self.company, self.newest_event) {
            (Company::Shared { .. }, _) => return,
            _ if is_last => now,
            (_, Some(newest)) => newest.min(now),
            (_, None) => UtcMicros::MIN,
        };
        let until = trail_complete_until(newest);
        self.index = self.index.take().map(|index| index.with_sts_until(until));
    }

    /// Drops what stands in the lake by now: another writer committed it since it was
    /// named.
    fn drop_known(&mut self, batch: &mut Batch) {
        let ledger = self.ledger.read();
        let (gathered, notes) = (batch.logs.len(), batch.notes.len());
        batch.logs.retain_mut(|done| {
            let object = &done.object;
            let (version, etag) = (object.version_id.as_deref(), object.etag.as_deref());
            let stays =
                object.unreadable.is_some() || !ledger.has_object(&object.uri, version, etag);
            if !stays {
                done.share.take().into_iter().for_each(Share::durable);
            }
            stays
        });
        batch.notes.retain_mut(|note| {
            let stays = !ledger.has_notification(&note.notification.notification_id);
            if !stays {
                note.share.take().into_iter().for_each(Share::durable);
            }
            stays
        });
        let known = (gathered - batch.logs.len()) as u64;
        self.report.objects_known += known;
        self.progress
            .known(known + (notes - batch.notes.len()) as u64);
    }

    /// Adds the batch's identity facts to what is known.
    fn learn(&mut self, logs: &[Processed]) {
        let sessions = logs
            .iter()
            .flat_map(|done| done.log.sts_sessions.iter().cloned())
            .collect();
        let instances = logs
            .iter()
            .flat_map(|done| done.log.ec2_instances.iter().cloned())
            .collect();
        let newest = logs
            .iter()
            .filter_map(|done| done.log.last_event_time)
            .max();
        self.newest_event = self.newest_event.max(newest);
        let index = self.index.take();
        self.index = index.map(|index| forget_old(index, newest).with(sessions, instances));
    }

    fn prepare(&mut self, logs: &[Processed], now: UtcMicros) -> Result<Prepared, LakeError> {
        let ledger = self.ledger.clone();
        let ledger = ledger.read();
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
        tokio::task::block_in_place(|| prepare(logs, context))
    }
}

/// The fault of a worker that ended in the middle of an object.
fn broken() -> LakeError {
    LakeError::encode(
        "s3_access",
        "a worker ended badly; nothing of its batch is committed",
    )
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

/// Stores the files of the policy and its exceptions, unless they are there.
///
/// # Errors
/// When the lake cannot be written.
pub async fn record_policy(
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
