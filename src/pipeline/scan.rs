//! Runs a scan: listing, workers, committer, each in its own place.
//!
//! ```text
//! listing -> (reserve) -> workers -> committer: gather, prepare, commit
//! ```
//! One thread lists and reserves memory in order; a worker for each core turns
//! objects into accesses; the committer puts them back in order and commits them. An
//! object that needs all the memory there is waits until everything before it is
//! committed, and is read alone.
//!
//! INVARIANT (nothing forgotten): an object is in exactly one place, and the
//! next scan sees in the lake which ones were committed. A scan killed at any
//! instant is continued by running it again.

use super::allowed::{AllowList, AllowedBucket};
use super::budget::ByteBudget;
use super::commit::{Committer, CommitterJob, Company};
use super::limits::Limits;
use super::listed::{HIDE, ListedQueue};
use super::meters::Meters;
use super::process::{AssignedObject, Stored, bytes_expected};
use super::report::Report;
use super::shared_ledger::SharedLedger;
use super::source::{LocalListing, SourceTotals};
use super::stages::{self, Assigned, Progress};
use super::worker::{WorkerError, WorkerJob, work};
use crate::aws::objects::{ListedObject, Objects};
use crate::identity::IdentitySettings;
use crate::lake::ledger::Ledger;
use crate::lake::{Lake, LakeError};
use crate::model::UtcMicros;
use crate::policy::Policy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What a scan needs to be told.
pub struct ScanJob {
    pub listing: LocalListing,
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    pub limits: Limits,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

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
    let job = CommitterJob {
        policy,
        identity,
        limits: limits.clone(),
        company: Company::Alone,
        now,
    };
    let mut committer = Committer::open(lake, job, progress.clone()).await?;
    progress.starts(listing.totals);
    let (assign, gathered) = stages::start(&limits, &committer.used_logs(), &progress, now);
    let ledger = committer.ledger();
    let lister =
        tokio::task::spawn_blocking(move || list(listing, &ledger, &limits, &assign, &*progress));
    let (_, unchanging) = mpsc::channel(1);
    let outcome = committer.run(lake, gathered, unchanging).await;
    let known = lister.await.unwrap_or(0);
    outcome?;
    let mut report = committer.into_report();
    report.objects_known += known;
    Ok(report)
}

/// What a scan of buckets needs to be told.
pub struct RemoteScanJob {
    pub objects: Arc<dyn Objects>,
    /// All that is to be read.
    pub listed: Vec<ListedObject>,
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    pub limits: Limits,
    pub now: fn() -> UtcMicros,
}

/// Scans objects of buckets into the lake; tells also which of them could not be fetched,
/// and are neither in the lake nor recorded there.
///
/// # Errors
/// When the lake cannot be read or written; what was committed until then stays.
pub async fn scan_listed(
    lake: &mut Lake,
    job: RemoteScanJob,
    progress: Arc<dyn Progress>,
) -> Result<(Report, Vec<String>), WorkerError> {
    progress.starts(SourceTotals {
        objects: job.listed.len() as u64,
        bytes: job.listed.iter().map(|object| object.bytes).sum(),
    });
    let buckets: std::collections::BTreeSet<&str> =
        job.listed.iter().map(|object| &*object.bucket).collect();
    let allowed = buckets.into_iter().map(|bucket| AllowedBucket {
        bucket: bucket.to_owned(),
        ..AllowedBucket::default()
    });
    let allowed = AllowList(allowed.collect());
    let (mut report, mut left) = (Report::default(), job.listed);
    for round in 0..ROUNDS_MAX {
        if round > 0 {
            tracing::warn!(objects = left.len(), "not fetched; trying again");
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        let (stop, stopped) = watch::channel(false);
        let queue = Arc::new(ListedQueue::new(left, stop, progress.clone()));
        let meters = Arc::new(Meters::new(job.now));
        let (_, unchanging) = mpsc::channel(1);
        let worker = WorkerJob {
            queue: queue.clone(),
            objects: job.objects.clone(),
            allowed: allowed.clone(),
            policy: job.policy.clone(),
            identity: job.identity.clone(),
            limits: job.limits.clone(),
            hide: HIDE,
            company: Company::Alone,
            meters: meters.clone(),
            progress: Arc::new(Commits(progress.clone())),
            changes: unchanging,
            stop: stopped,
            now: job.now,
        };
        report.add(work(lake, worker).await?);
        report.objects_known += meters.known.get();
        left = queue.take_left();
        if left.is_empty() {
            break;
        }
    }
    let left = left.iter();
    let left = left.map(|object| format!("s3://{}/{}", object.bucket, object.key));
    Ok((report, left.collect()))
}

/// How often what could not be fetched is asked for.
const ROUNDS_MAX: u32 = 3;

const ROUND_PAUSE: Duration = Duration::from_secs(2);

/// Progress of commits; the queue tells of objects, also of those that the lake has.
struct Commits(Arc<dyn Progress>);

impl Progress for Commits {
    fn object(&self, _bytes: u64) {}

    fn committed(&self, report: &Report) {
        self.0.committed(report);
    }
}

/// Hands out what the lake does not have yet; returns how many it has.
fn list(
    listing: LocalListing,
    ledger: &SharedLedger,
    limits: &Limits,
    assign: &mpsc::Sender<Assigned>,
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
        let in_lake =
            object.unreadable.is_none() && ledger.read().has_object(&object.uri, None, etag);
        if in_lake {
            known += 1;
            progress.object(object.bytes);
            return true;
        }
        let expected = bytes_expected(&object);
        let reservation = if expected <= reservation_max {
            budget.reserve(expected)
        } else {
            if assign.blocking_send(Assigned::Room { seq }).is_err() {
                return false;
            }
            seq += 1;
            budget.reserve(budget.total())
        };
        let sent = assign.blocking_send(Assigned::Object(Box::new(AssignedObject {
            seq,
            object,
            reservation,
            stored: Stored::File,
            refused: None,
            share: None,
        })));
        seq += 1;
        // Nobody listens once the committer has failed.
        sent.is_ok()
    });
    known
}
