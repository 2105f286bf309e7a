//! What happens to an object between being named and being committed: a worker reads
//! it, with a thread for each core.
//!
//! ```text
//! assign -> workers -> gathered
//! ```
//! Whoever names objects numbers them, without a gap, and reserves memory for each
//! before. The committer puts them back in that order.

use super::budget::Reservation;
use super::lease::Share;
use super::limits::Limits;
use super::process::{AssignedObject, Processed, Processor};
use super::report::Report;
use super::source::SourceTotals;
use super::used_logs::UsedLogs;
use crate::lake::fact_tables::Notification;
use crate::model::UtcMicros;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Told as objects are read and rows committed.
pub trait Progress: Send + Sync {
    fn starts(&self, _totals: SourceTotals) {}
    /// An object was read, or passed over because the lake has it.
    fn object(&self, bytes: u64);
    /// So many things were announced that the lake has by now, or the commit at hand.
    fn known(&self, _count: u64) {}
    /// A commit stands, or what there was to commit stood already; the report is of it
    /// alone.
    fn committed(&self, report: &Report);
    /// The commit of this object stands.
    fn durable(&self, _done: &Processed) {}
}

/// What travels to the workers.
pub enum Assigned {
    Object(Box<AssignedObject>),
    /// What comes next needs the whole budget: all before it is to be committed.
    Room {
        seq: u64,
    },
    /// Something to be kept that holds no log.
    Note {
        seq: u64,
        note: Box<Note>,
    },
}

/// What a message said that names no object to be read, and a share of its lease.
pub struct Note {
    pub notification: Notification,
    /// The memory that it takes.
    pub reservation: Reservation,
    pub share: Option<Share>,
}

/// What travels from the workers to the committer.
pub enum Gathered {
    Done(Box<Processed>),
    Room {
        seq: u64,
    },
    Note {
        seq: u64,
        note: Box<Note>,
    },
    /// A worker ended badly: what it held is missing, and nothing after it can be committed.
    Broken,
}

impl Gathered {
    pub fn seq(&self) -> u64 {
        match self {
            Gathered::Done(done) => done.seq,
            Gathered::Room { seq } | Gathered::Note { seq, .. } => *seq,
            Gathered::Broken => u64::MAX,
        }
    }
}

/// Starts the workers. They end when the sender is dropped, and with them the receiver.
pub fn start(
    limits: &Limits,
    used: &UsedLogs,
    progress: &Arc<dyn Progress>,
    now: fn() -> UtcMicros,
) -> (Sender<Assigned>, Receiver<Gathered>) {
    let (assign, assigned) = mpsc::channel(limits.threads);
    let (done, gathered) = mpsc::channel(limits.threads * 4);
    let assigned = Arc::new(Mutex::new(assigned));
    for _ in 0..limits.threads {
        let (assigned, done, progress) = (assigned.clone(), done.clone(), progress.clone());
        let used = used.clone();
        tokio::task::spawn_blocking(move || {
            let working = || work(&assigned, &done, &used, &*progress, now);
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(working)).is_err() {
                // Whether somebody listens still does not matter any more.
                drop(done.blocking_send(Gathered::Broken));
            }
        });
    }
    (assign, gathered)
}

/// Bytes reserved for an object above which it is not taken together with
/// another: the other would wait long for its result.
const PAIRED_BYTES_MAX: u64 = 24 * 1024 * 1024;

/// Waits for what comes next; takes a second object with it if one is there.
fn next(assigned: &Mutex<Receiver<Assigned>>) -> Option<(Assigned, Option<Assigned>)> {
    let mut assigned = assigned.lock().unwrap_or_else(PoisonError::into_inner);
    let first = assigned.blocking_recv()?;
    let pairs = match &first {
        Assigned::Object(task) => task.reservation.bytes() <= PAIRED_BYTES_MAX,
        Assigned::Room { .. } | Assigned::Note { .. } => false,
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
                    Assigned::Note { seq, note } => send(Gathered::Note { seq, note }),
                }),
        };
        if !go_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::ByteBudget;
    use super::super::process::Stored;
    use super::super::source::SourceObject;
    use super::*;
    use std::path::PathBuf;

    struct Defect;

    impl Progress for Defect {
        fn object(&self, _bytes: u64) {
            panic!("a defect");
        }
        fn committed(&self, _report: &Report) {}
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_worker_that_ends_badly_says_so() {
        let progress: Arc<dyn Progress> = Arc::new(Defect);
        let (limits, used) = (Limits::for_cores(1), UsedLogs::default());
        let (assign, mut gathered) = start(&limits, &used, &progress, || UtcMicros(0));
        let object = SourceObject {
            uri: "s3://trail/k".to_owned(),
            path: PathBuf::from("k"),
            key: "k".to_owned(),
            etag: None,
            version_id: None,
            notified_at: None,
            bytes: 0,
            signature: None,
            unreadable: None,
        };
        let assigned = AssignedObject {
            seq: 0,
            object,
            reservation: ByteBudget::new(1000).reserve_async(0).await,
            stored: Stored::Nowhere,
            refused: Some("not_allowed: for the test".to_owned()),
            share: None,
        };
        assert!(
            assign
                .send(Assigned::Object(Box::new(assigned)))
                .await
                .is_ok()
        );
        assert!(matches!(gathered.recv().await, Some(Gathered::Broken)));
    }
}
