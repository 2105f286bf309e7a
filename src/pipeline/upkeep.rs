//! What a worker does beside its work: settles what is due and keeps the lake tidy,
//! learns what others imported from Databricks.
//!
//! Several workers may do so at once: of two that settle the same files one comes
//! first, and the other leaves them.

use super::commit::Change;
use super::meters::Meters;
use super::settle::{SettleJob, settle};
use crate::aws::queue::MessageQueue;
use crate::lake::compact::{SMALL_FILES_MIN, compact};
use crate::lake::databricks::{import_version, read_databricks};
use crate::lake::vacuum::vacuum;
use crate::lake::{Lake, LakeError};
use crate::model::UtcMicros;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How often imports from Databricks are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Sends what is known of Databricks whenever the lake holds more of it.
pub async fn follow_databricks(url: url::Url, changes: mpsc::Sender<Change>) {
    let mut known = import_version(&url).await.ok().flatten();
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let found = match import_version(&url).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "imports from Databricks could not be looked for");
                continue;
            }
        };
        if found == known {
            continue;
        }
        match read_databricks(&url).await {
            Ok(facts) => {
                tracing::info!("Databricks' records were imported anew; they count from now on");
                known = found;
                if changes
                    .send(Change::Databricks(Box::new(facts)))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "an import from Databricks cannot be read"),
        }
    }
}

/// When a lake is tidied, and what is done then.
#[derive(Clone, Copy, Debug)]
pub struct Upkeep {
    /// From one round to the next, about.
    pub interval: Duration,
    /// Whether rows are settled; small files are put together in any case.
    pub settles: bool,
    /// For how long files are kept that were replaced; for ever if there is none.
    pub keep_replaced: Option<Duration>,
    /// The clock.
    pub now: fn() -> UtcMicros,
}

impl Upkeep {
    /// The rounds of a worker that settles so often, if it does.
    pub fn new(
        settle_interval: Option<Duration>,
        keep_replaced: Option<Duration>,
        now: fn() -> UtcMicros,
    ) -> Upkeep {
        Upkeep {
            interval: settle_interval.unwrap_or(COMPACT_INTERVAL),
            settles: settle_interval.is_some(),
            keep_replaced,
            now,
        }
    }

    /// Whether it is this round that vacuums: by chance, so that each worker does so once
    /// a day, about, and none needs to know of the others.
    fn vacuums_now(&self, chance: f64) -> Option<chrono::Duration> {
        let rounds = DAY.div_duration_f64(self.interval).max(1.0);
        let keep = self.keep_replaced.filter(|_| chance * rounds < 1.0)?;
        chrono::Duration::from_std(keep).ok()
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// How often small files are put together where nothing is settled.
const COMPACT_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// Settles and tidies again and again, a while after the last time.
///
/// What is settled must be known, and what waits on the queue is not: nothing is settled
/// that is younger than the oldest message of the last hour, less the time that
/// CloudTrail takes. Where messages wait and none came for an hour, nothing is.
pub async fn tidy_regularly(
    location: String,
    upkeep: Upkeep,
    queue: Arc<dyn MessageQueue>,
    job: impl Fn() -> SettleJob,
    meters: Arc<Meters>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        // Workers that were started together settle at different times.
        let wait = upkeep.interval.mul_f64(0.75 + 0.5 * fastrand::f64());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        let vacuum = upkeep.vacuums_now(fastrand::f64());
        tidy_once(&location, vacuum, (upkeep.now)()).await;
        if !upkeep.settles {
            continue;
        }
        let outcome = match (queue.depth().await, meters.oldest_sent()) {
            (Err(error), _) => {
                tracing::warn!(%error, "the queue's depth is not known; nothing is settled yet");
                "put_off"
            }
            (Ok(depth), None) if depth.waiting > 0 => {
                let waiting = depth.waiting;
                tracing::warn!(
                    waiting,
                    "messages wait and none came; nothing is settled yet"
                );
                "put_off"
            }
            (Ok(_), oldest) => {
                let mut job = job();
                job.trail_until_max = oldest.unwrap_or(UtcMicros::MAX);
                match settle_once(&location, job).await {
                    Ok(rows) => {
                        tracing::info!(rows, "settled");
                        "done"
                    }
                    Err(error) => {
                        tracing::warn!(%error, "settle failed; it is tried again after a while");
                        "failed"
                    }
                }
            }
        };
        let label = [("outcome", outcome.to_owned())];
        meters.settles.get_or_create(&label).inc();
    }
}

/// A lake of its own: the worker's appends go on meanwhile.
async fn settle_once(location: &str, job: SettleJob) -> Result<u64, LakeError> {
    let mut lake = Lake::open(location).await?;
    let report = settle(&mut lake, job, Arc::new(())).await?;
    Ok(report.settled)
}

/// Puts small files together, and deletes what was replaced that long ago. What fails is
/// tried again in the next round.
async fn tidy_once(location: &str, keep_replaced: Option<chrono::Duration>, now: UtcMicros) {
    let mut lake = match Lake::open(location).await {
        Ok(lake) => lake,
        Err(error) => return tracing::warn!(%error, "the lake could not be tidied"),
    };
    if let Err(error) = compact(&mut lake, SMALL_FILES_MIN, now).await {
        tracing::warn!(%error, "small files could not be put together");
    }
    let Some(keep) = keep_replaced else { return };
    match vacuum(&mut lake, keep, false).await {
        Ok(vacuumed) => {
            let files: u64 = vacuumed.iter().map(|of| of.files).sum();
            tracing::info!(files, "vacuumed");
        }
        Err(error) => tracing::warn!(%error, "replaced files could not be deleted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_vacuums_once_a_day_about() {
        let upkeep = |hours: u64| Upkeep {
            interval: Duration::from_secs(hours * 3600),
            settles: true,
            keep_replaced: Some(30 * DAY),
            now: || UtcMicros(0),
        };
        let rounds = |hours: u64, chance: f64| upkeep(hours).vacuums_now(chance).is_some();
        assert!(rounds(6, 0.24) && !rounds(6, 0.26));
        assert!(rounds(24, 0.99) && rounds(48, 0.99));
        let never = Upkeep {
            keep_replaced: None,
            ..upkeep(24)
        };
        assert_eq!(never.vacuums_now(0.0), None);
    }
}
