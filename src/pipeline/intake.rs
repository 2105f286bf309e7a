//! From messages to objects that are there: receive, read what is said, fetch.
//!
//! ```text
//! receive -> lease -> notices -> allowed? known? -> (reserve) -> fetch -> workers
//! ```
//! Memory is reserved before an object is fetched: as told by the notification, which
//! may be wrong, so what comes is checked before its body is read. An object that
//! needs more than was set aside for it is let go of and asked for again with enough.
//!
//! INVARIANT (no waiting while holding): a task waits for memory only while it holds
//! none, so that two never wait for each other. An object that needs all there is
//! waits until no other is being fetched, and everything before it is committed.
//!
//! INVARIANT (no gap): an object gets its number as it is handed to the workers, so the
//! committer never waits for one that is still being fetched.

use super::allowed::AllowList;
use super::budget::{ByteBudget, Reservation};
use super::lease::{Lease, Leases, Share};
use super::limits::Limits;
use super::meters::Meters;
use super::process::{AssignedObject, LOG_OBJECT_BYTES_MAX, Stored, bytes_needed_by};
use super::route::{Route, route};
use super::shared_ledger::SharedLedger;
use super::source::SourceObject;
use super::stages::{Assigned, Note};
use crate::aws::objects::{FetchError, ObjectName, Objects};
use crate::aws::queue::{BATCH_MAX, Message, MessageQueue, QueueError};
use crate::lake::fact_tables::Notification;
use crate::model::UtcMicros;
use crate::trail::notification::{Announced, Control, Notice, decode};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

/// How long a receive waits for a message, the most that SQS allows.
const POLL: Duration = Duration::from_secs(20);

/// Objects fetched at a time, at most; memory usually allows fewer.
const FETCHES_MAX: usize = 32;

/// Tries to fetch an object while its message is held.
const FETCH_TRIES: u32 = 4;

/// Receives after which an object is recorded as missing. With the pauses in between
/// it is looked for over several seconds; S3 shows an object as soon as it is written.
const MISSING_AFTER: u32 = 3;

/// Receives after which an object that S3 or its key refuses is recorded: with the pauses
/// in between some two hours, long enough for a permission to be mended. Not by the age of
/// its message alone: a worker that starts with a wrong role on a queue of yesterday must
/// not give up all of it.
pub const REFUSED_AFTER: u32 = 17;

/// Seconds after it was announced before which it is not, however often it came.
const REFUSED_AFTER_SECS: i64 = 2 * 3600;

/// What a [`Note`] takes beside its body, in bytes.
const NOTE_BYTES: u64 = 1024;

/// Inflated bytes, and what is made of them, for each stored byte, as expected before
/// the object is there. Logs compress 8 to 11 times.
const EXPECTED_RATIO: u64 = 14;

/// Expected of an object whose size nobody told.
const UNTOLD_BYTES: u64 = 256 * 1024;

/// What an object may need beyond what was expected without being asked for again.
const OVERDRAFT_MAX: u64 = 4 * 1024 * 1024;

/// Failures of the queue in a row that no waiting mends, after which the worker ends.
const REFUSALS_MAX: u32 = 10;

/// Receives messages and fetches what they announce.
#[derive(Clone)]
pub struct Intake(Arc<Shared>);

/// What an intake needs to be told.
pub struct Shared {
    pub queue: Arc<dyn MessageQueue>,
    pub objects: Arc<dyn Objects>,
    pub leases: Leases,
    pub allowed: AllowList,
    pub ledger: SharedLedger,
    pub budget: ByteBudget,
    pub limits: Limits,
    pub hide: Duration,
    pub assign: Handed,
    pub meters: Arc<Meters>,
    pub now: fn() -> UtcMicros,
}

/// Where objects are handed to the workers, with the next number.
pub struct Handed {
    next: Mutex<(u64, mpsc::Sender<Assigned>)>,
    /// Held for reading while an object is fetched, for writing by one that needs all
    /// the memory there is.
    room: RwLock<()>,
    fetches: Arc<Semaphore>,
}

impl Handed {
    pub fn new(assign: mpsc::Sender<Assigned>) -> Handed {
        Handed {
            next: Mutex::new((0, assign)),
            room: RwLock::new(()),
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
        }
    }

    /// Numbers it and hands it over; whether somebody listens still.
    async fn hand(&self, make: impl FnOnce(u64) -> Assigned) -> bool {
        let mut next = self.next.lock().await;
        let (seq, assign) = &mut *next;
        let handed = assign.send(make(*seq)).await.is_ok();
        *seq += 1;
        handed
    }
}

/// One object of a message.
struct Job {
    announced: Announced,
    owner: Option<String>,
    /// Until it is handed over.
    share: Option<Share>,
    sent_at: Option<UtcMicros>,
    receive_count: u32,
}

/// How an attempt to fetch ended.
enum Fetched {
    Whole(Box<(SourceObject, Vec<u8>)>),
    /// It needs more memory than it was given.
    Needs(u64),
    /// The lake has it: what was opened says so, and it need not be read.
    Known,
}

impl Intake {
    pub fn new(shared: Shared) -> Intake {
        Intake(Arc::new(shared))
    }

    /// Takes messages until told to stop or nobody listens; then waits for what is being
    /// fetched.
    ///
    /// # Errors
    /// When the queue refuses, again and again.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), QueueError> {
        let mut fetching = JoinSet::new();
        let (mut refusals, mut wait) = (0, Duration::from_millis(250));
        let mut outcome = Ok(());
        'receiving: while !*stop.borrow() {
            let received = tokio::select! {
                _ = stop.changed() => break,
                received = self.0.queue.receive(BATCH_MAX, POLL, self.0.hide) => received,
            };
            while let Some(ended) = fetching.try_join_next() {
                note_panic(ended);
            }
            let messages = match received {
                Ok(messages) => messages,
                Err(error) => {
                    self.0.meters.queue_errors.inc();
                    refusals = if error.is_transient() {
                        0
                    } else {
                        refusals + 1
                    };
                    if refusals >= REFUSALS_MAX {
                        outcome = Err(error);
                        break;
                    }
                    tracing::warn!(%error, "no messages received; asking again");
                    let jittered = wait.mul_f64(0.5 + fastrand::f64());
                    tokio::select! {
                        _ = stop.changed() => break,
                        () = tokio::time::sleep(jittered) => {}
                    }
                    wait = (wait * 2).min(Duration::from_secs(30));
                    continue;
                }
            };
            (refusals, wait) = (0, Duration::from_millis(250));
            let polled_at = (self.0.now)().0;
            self.0.meters.polled_at.store(polled_at, Ordering::Relaxed);
            self.0.meters.received.inc_by(messages.len() as u64);
            for sent_at in messages.iter().filter_map(|message| message.sent_at) {
                self.0.meters.note_sent(sent_at);
            }
            // All at once: the last one is kept, too, while the first waits for memory.
            let messages = messages.into_iter();
            let held: Vec<(Message, Arc<Lease>)> = messages
                .map(|message| {
                    let lease = self.0.leases.hold(&message);
                    (message, lease)
                })
                .collect();
            for (message, lease) in held {
                tokio::select! {
                    // What is not taken yet is let go, to come again soon.
                    _ = stop.changed() => break 'receiving,
                    listens = self.take(message, lease, &mut fetching) => {
                        if !listens {
                            break 'receiving;
                        }
                    }
                }
            }
        }
        while let Some(ended) = fetching.join_next().await {
            note_panic(ended);
        }
        outcome
    }

    /// Does with everything that a message says what is to be done.
    async fn take(&self, message: Message, lease: Arc<Lease>, fetching: &mut JoinSet<()>) -> bool {
        let mut listens = true;
        for (place, notice) in decode(&message.body).into_iter().enumerate() {
            let share = lease.share();
            match notice {
                Notice::Created(announced) => {
                    listens &= self.take_object(announced, share, &message, fetching).await;
                }
                notice => {
                    let notification = self.notification(&notice, &message, place);
                    let known = self
                        .0
                        .ledger
                        .read()
                        .has_notification(&notification.notification_id);
                    if known {
                        self.0.meters.known.inc();
                        share.durable();
                        continue;
                    }
                    let bytes =
                        NOTE_BYTES + notification.body.as_ref().map_or(0, String::len) as u64;
                    let reservation = self.0.budget.reserve_async(bytes.min(self.largest())).await;
                    let note = Box::new(Note {
                        notification,
                        reservation,
                        share: Some(share),
                    });
                    let make = |seq| Assigned::Note { seq, note };
                    listens &= self.0.assign.hand(make).await;
                }
            }
        }
        lease.taken();
        listens
    }

    async fn take_object(
        &self,
        announced: Announced,
        share: Share,
        message: &Message,
        fetching: &mut JoinSet<()>,
    ) -> bool {
        let mut object = source_object(&announced, message.sent_at);
        let allowed = self.0.allowed.check(&announced.bucket, &announced.key);
        let owner = match allowed {
            Ok(entry) => entry.owner.clone(),
            Err(refused) => {
                tracing::warn!(uri = object.uri, refused, "announced, and not read");
                // Without an ETag, so that it counts as new once it is allowed.
                object.etag = None;
                return self.hand_unread(object, share, Some(refused)).await;
            }
        };
        let known = {
            let ledger = self.0.ledger.read();
            let (version, etag) = (object.version_id.as_deref(), object.etag.as_deref());
            // Without an ETag only the object itself tells which one it is.
            etag.is_some() && ledger.has_object(&object.uri, version, etag)
        };
        if known {
            self.0.meters.known.inc();
            share.durable();
            return true;
        }
        if let Route::Done { .. } = route(&object.key, &object.path) {
            return self.hand_unread(object, share, None).await;
        }
        let job = Job {
            announced,
            owner,
            share: Some(share),
            sent_at: message.sent_at,
            receive_count: message.receive_count,
        };
        let fetches = self.0.assign.fetches.clone();
        let Ok(permit) = fetches.acquire_owned().await else {
            return false;
        };
        let intake = self.clone();
        fetching.spawn(async move {
            let _permit = permit;
            intake.fetch(job).await;
        });
        true
    }

    /// Hands over what is not to be read: its name, or the allow-list, says so.
    async fn hand_unread(
        &self,
        object: SourceObject,
        share: Share,
        refused: Option<String>,
    ) -> bool {
        let reservation = self.0.budget.reserve_async(0).await;
        let share = Some(share);
        let make = |seq| {
            Assigned::Object(Box::new(AssignedObject {
                seq,
                object,
                reservation,
                stored: Stored::Nowhere,
                refused,
                share,
            }))
        };
        self.0.assign.hand(make).await
    }

    /// Fetches an object and hands it to the workers; or drops its share, and the
    /// message comes again.
    async fn fetch(&self, mut job: Job) {
        let shared = &*self.0;
        let expected = expected_bytes(job.announced.bytes.unwrap_or(UNTOLD_BYTES));
        let (mut tries, mut bytes) = (0, expected.min(self.largest()));
        loop {
            let ended = if bytes > self.largest() {
                let _alone = shared.assign.room.write().await;
                if !shared.assign.hand(|seq| Assigned::Room { seq }).await {
                    return;
                }
                let all = shared.budget.reserve_async(shared.budget.total()).await;
                self.fetch_and_hand(&mut job, all).await
            } else {
                // Memory after room: who waits for room must not hold what another needs
                // who has it.
                let _beside = shared.assign.room.read().await;
                let reservation = shared.budget.reserve_async(bytes).await;
                self.fetch_and_hand(&mut job, reservation).await
            };
            match ended {
                Ended::Handed => return,
                Ended::Needs(needed) => bytes = needed,
                Ended::Failed(error) => {
                    tries += 1;
                    let label = [("reason", error.reason().to_owned())];
                    shared.meters.fetch_errors.get_or_create(&label).inc();
                    if !self.goes_on(&mut job, &error, tries).await {
                        return;
                    }
                }
            }
        }
    }

    async fn fetch_and_hand(&self, job: &mut Job, reservation: Reservation) -> Ended {
        let (fetched, reservation) = match self.fetch_within(job, reservation).await {
            Ok(fetched) => fetched,
            Err(error) => return Ended::Failed(error),
        };
        let (object, stored) = match fetched {
            Fetched::Whole(whole) => *whole,
            Fetched::Needs(bytes) => return Ended::Needs(bytes),
            Fetched::Known => {
                self.0.meters.known.inc();
                job.share.take().into_iter().for_each(Share::durable);
                return Ended::Handed;
            }
        };
        let share = job.share.take();
        let make = |seq| {
            Assigned::Object(Box::new(AssignedObject {
                seq,
                object,
                reservation,
                stored: Stored::Here(stored),
                refused: None,
                share,
            }))
        };
        self.0.assign.hand(make).await;
        Ended::Handed
    }

    /// After a failure: waits and says whether to try again. What will not come is
    /// handed over with the reason.
    async fn goes_on(&self, job: &mut Job, error: &FetchError, tries: u32) -> bool {
        let last = tries >= FETCH_TRIES;
        let recorded = match error {
            FetchError::Archived => true,
            FetchError::NotFound => last && job.receive_count >= MISSING_AFTER,
            FetchError::Denied { .. } | FetchError::KmsDenied { .. } => {
                let is_due =
                    |sent: UtcMicros| sent.plus_seconds(REFUSED_AFTER_SECS) <= (self.0.now)();
                job.receive_count >= REFUSED_AFTER && job.sent_at.is_none_or(is_due)
            }
            FetchError::Unavailable { .. } => false,
        };
        let uri = uri_of(&job.announced);
        if recorded {
            tracing::warn!(uri, %error, "not fetched; it is recorded with the reason");
            let mut object = source_object(&job.announced, job.sent_at);
            object.unreadable = Some(format!("{}: {error}", error.reason()));
            if let Some(share) = job.share.take() {
                self.hand_unread(object, share, None).await;
            }
            return false;
        }
        let hopeless = matches!(
            error,
            FetchError::Denied { .. } | FetchError::KmsDenied { .. }
        );
        if last || hopeless {
            let tries = job.receive_count;
            tracing::warn!(uri, tries, %error, "not fetched; it is tried again later");
            return false;
        }
        let wait = Duration::from_millis(100_u64 << tries.min(6));
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
        true
    }

    /// Fetches an object into memory that is set aside for it.
    async fn fetch_within(
        &self,
        job: &Job,
        mut reservation: Reservation,
    ) -> Result<(Fetched, Reservation), FetchError> {
        let announced = &job.announced;
        let name = ObjectName {
            bucket: announced.bucket.clone(),
            key: announced.key.clone(),
            version_id: announced.version_id.clone(),
            expected_owner: job.owner.clone(),
        };
        self.0.meters.fetches.inc();
        let opened = self.0.objects.open(&name).await?;
        let mut object = source_object(announced, job.sent_at);
        object.version_id = opened.version_id.clone().or(object.version_id);
        object.etag = opened.etag.clone();
        object.signature = opened.signature.clone();
        let known = {
            let ledger = self.0.ledger.read();
            let (version, etag) = (object.version_id.as_deref(), object.etag.as_deref());
            ledger.has_object(&object.uri, version, etag)
        };
        if known {
            return Ok((Fetched::Known, reservation));
        }
        let fits = |needed: u64| {
            needed <= reservation.bytes().saturating_add(OVERDRAFT_MAX)
                || reservation.covers(needed)
        };
        if let Some(bytes) = opened.bytes {
            object.bytes = bytes;
            if bytes > LOG_OBJECT_BYTES_MAX {
                // The worker says so; there is nothing to be read.
                let whole = Box::new((object, Vec::new()));
                return Ok((Fetched::Whole(whole), reservation));
            }
            let expected = expected_bytes(bytes).min(self.largest());
            if !fits(expected) {
                return Ok((Fetched::Needs(expected), reservation));
            }
        }
        let stored = opened.read(LOG_OBJECT_BYTES_MAX).await?;
        object.bytes = stored.len() as u64;
        self.0.meters.fetched_bytes.inc_by(object.bytes);
        let needed = bytes_needed_by(&stored);
        if !fits(needed) {
            return Ok((Fetched::Needs(needed), reservation));
        }
        reservation.settle(needed.min(self.0.budget.total()));
        Ok((Fetched::Whole(Box::new((object, stored))), reservation))
    }

    /// The most that is reserved for an object by a guess: whether it needs all the
    /// memory there is, only its bytes tell.
    fn largest(&self) -> u64 {
        let limits = &self.0.limits;
        limits
            .in_flight_bytes_max
            .saturating_sub(limits.commit_bytes)
    }

    /// The row of what names no object to be read.
    fn notification(&self, notice: &Notice, message: &Message, place: usize) -> Notification {
        let mut row = Notification {
            notification_id: format!("{}#{place}", message.id),
            message_id: message.id.clone(),
            queue: self.0.queue.name().to_owned(),
            sent_at: message.sent_at,
            received_at: (self.0.now)(),
            ..Notification::default()
        };
        let describe = |row: &mut Notification, announced: &Announced| {
            row.reason = "told_of_an_object".to_owned();
            row.event_name = Some(announced.event_name.clone()).filter(|name| !name.is_empty());
            row.event_time = announced.event_time;
            row.bucket = Some(announced.bucket.clone());
            row.object_key = Some(announced.key.clone());
            row.version_id = announced.version_id.clone();
            row.requester = announced.requester.clone();
        };
        match notice {
            Notice::Created(announced) | Notice::Other(announced) => {
                row.kind = "other";
                describe(&mut row, announced);
            }
            // Whoever can write to the queue can say so of anything.
            Notice::Removed(announced)
                if self
                    .0
                    .allowed
                    .check(&announced.bucket, &announced.key)
                    .is_err() =>
            {
                row.kind = "other";
                describe(&mut row, announced);
                row.reason = "not_allowed".to_owned();
            }
            Notice::Removed(announced) => {
                row.kind = "removed";
                describe(&mut row, announced);
                let by_rule = announced.event_name.starts_with("LifecycleExpiration")
                    || announced.requester.as_deref() == Some("s3.amazonaws.com");
                row.reason = if by_rule { "expired" } else { "deleted" }.to_owned();
                tracing::warn!(
                    bucket = announced.bucket,
                    key = announced.key,
                    by = announced.requester,
                    "an object of the trail was removed"
                );
            }
            Notice::Control(control) => {
                row.kind = "control";
                row.reason = control.as_str().to_owned();
                let (Control::SubscriptionConfirmation { topic_arn }
                | Control::UnsubscribeConfirmation { topic_arn }) = control
                else {
                    return row;
                };
                row.requester = topic_arn.clone();
            }
            Notice::Unknown(reason) => {
                row.kind = "unknown";
                row.reason = (*reason).to_owned();
                row.body = keepable(reason, &message.body);
                tracing::warn!(message = message.id, reason, "message not understood; kept");
            }
        }
        row
    }
}

/// The body of a message that was not understood; not if it may hold a secret: events
/// of STS, sent on by EventBridge, hold session tokens.
fn keepable(reason: &str, body: &str) -> Option<String> {
    let lower = body.to_ascii_lowercase();
    let secret = ["sessiontoken", "secretaccesskey", "secret_access_key"];
    let may_hold_secret =
        reason == "event_of_another_source" || secret.iter().any(|name| lower.contains(name));
    (!may_hold_secret).then(|| body.to_owned())
}

/// How fetching and handing over ended.
enum Ended {
    Handed,
    Needs(u64),
    Failed(FetchError),
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a fetch ended badly; its message will come again");
    }
}

fn expected_bytes(stored: u64) -> u64 {
    stored
        .saturating_mul(EXPECTED_RATIO)
        .saturating_add(64 * 1024)
}

fn uri_of(announced: &Announced) -> String {
    format!("s3://{}/{}", announced.bucket, announced.key)
}

fn source_object(announced: &Announced, sent_at: Option<UtcMicros>) -> SourceObject {
    SourceObject {
        uri: uri_of(announced),
        path: PathBuf::from(&announced.key),
        key: announced.key.clone(),
        etag: announced.etag.clone(),
        version_id: announced.version_id.clone(),
        notified_at: sent_at.or(announced.event_time),
        bytes: 0,
        signature: None,
        unreadable: None,
    }
}
