//! Runs a worker: a queue's messages into the lake, until it is stopped.
//!
//! ```text
//! intake: receive, fetch -> workers -> committer -> keeper: acknowledge
//! ```
//! Any number of workers share one queue and one lake: SQS gives each message to one
//! of them at a time, Delta's log puts their commits in order, and the ledger in it says
//! what is done. There is no other coordination.
//!
//! Stopping closes the intake; what is in flight is read, committed and acknowledged,
//! one stage after the other. A worker that dies at any instant leaves its messages
//! on the queue, and whatever it committed is found in the ledger when they come again.

use super::allowed::AllowList;
use super::budget::ByteBudget;
use super::commit::{Change, Committer, CommitterJob, Company};
use super::intake::{Handed, Intake, Shared};
use super::lease::Keeper;
use super::limits::Limits;
use super::meters::Meters;
use super::report::Report;
use super::stages::{self, Progress};
use crate::aws::objects::Objects;
use crate::aws::queue::{MessageQueue, QueueError};
use crate::identity::IdentitySettings;
use crate::lake::{Lake, LakeError};
use crate::model::UtcMicros;
use crate::policy::Policy;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// What a worker needs to be told.
pub struct WorkerJob {
    pub queue: Arc<dyn MessageQueue>,
    pub objects: Arc<dyn Objects>,
    pub allowed: AllowList,
    pub policy: Arc<Policy>,
    pub identity: IdentitySettings,
    pub limits: Limits,
    /// For how long a message is hidden from others at a time.
    pub hide: Duration,
    pub company: Company,
    pub meters: Arc<Meters>,
    /// Told of objects and commits.
    pub progress: Arc<dyn Progress>,
    /// Changes of policy and people.
    pub changes: mpsc::Receiver<Change>,
    /// Becomes true when the worker is to stop.
    pub stop: watch::Receiver<bool>,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

/// Why a worker ended that was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error("a part of the worker ended badly: {0}")]
    Defect(String),
}

/// Works until it is stopped, and everything in flight is done.
///
/// # Errors
/// When the queue refuses again and again, or the lake cannot be written for longer
/// than its patience. What was committed until then stays; the rest comes again.
pub async fn work(lake: &mut Lake, job: WorkerJob) -> Result<Report, WorkerError> {
    let progress = job.progress;
    let committer = CommitterJob {
        policy: job.policy,
        identity: job.identity,
        limits: job.limits.clone(),
        company: job.company,
        now: job.now,
    };
    let mut committer = Committer::open(lake, committer, progress.clone()).await?;
    let (assign, gathered) = stages::start(&job.limits, &committer.used_logs(), &progress, job.now);
    let (leases, keeper) = Keeper::new(job.queue.clone(), job.hide, job.meters.clone());
    let keeping = tokio::spawn(keeper.run());
    let budget = ByteBudget::new(job.limits.in_flight_bytes_max);
    job.meters.watch(&budget);
    let intake = Intake::new(Shared {
        queue: job.queue,
        objects: job.objects,
        leases,
        allowed: job.allowed,
        ledger: committer.ledger(),
        budget,
        limits: job.limits,
        hide: job.hide,
        assign: Handed::new(assign),
        meters: job.meters,
        now: job.now,
    });
    // The committer may fail while the intake waits for messages.
    let (halt, halted) = watch::channel(false);
    let mut stop = job.stop;
    let stopping = {
        let halt = halt.clone();
        tokio::spawn(async move {
            // Whoever could stop it is gone: it stops.
            drop(stop.wait_for(|stop| *stop).await);
            halt.send_replace(true);
        })
    };
    let receiving = tokio::spawn(intake.run(halted));
    let committed = committer.run(lake, gathered, job.changes).await;
    halt.send_replace(true);
    let received = receiving
        .await
        .map_err(|error| WorkerError::Defect(error.to_string()));
    stopping.abort();
    let report = committer.into_report();
    // Every lease is dropped by now: the keeper deletes what is acknowledged and ends.
    let kept = keeping
        .await
        .map_err(|error| WorkerError::Defect(error.to_string()));
    committed?;
    received??;
    kept?;
    Ok(report)
}
