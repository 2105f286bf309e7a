//! Leases on messages: kept from receive to acknowledge, let go when dropped.
//!
//! ```text
//! Message -> Lease -> a Share for each object -> all durable: acknowledged
//!                                             -> one dropped: let go, it comes again
//! ```
//! The keeper hides the messages that are held from other workers, again and again
//! until they are acknowledged or let go; it deletes the former in batches.
//!
//! INVARIANT (all or nothing): a message is acknowledged only when everything that it
//! said is durable. Whatever is dropped on the way, by an error, a shutdown or a panic,
//! lets it go.
//!
//! INVARIANT (no lock): a lease that is lost (its receipt is refused, or SQS's twelve
//! hours are over) stops nothing: the commit asks the ledger, and the other worker's
//! copy of the work finds it there.

use super::meters::Meters;
use crate::aws::queue::{Answer, BATCH_MAX, HIDDEN_MAX, Message, MessageQueue, QueueError};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

/// A message that is held.
pub struct Lease {
    receipt: String,
    /// Shares that were made, and those that are durable.
    shares: AtomicU32,
    durable: AtomicU32,
    /// Whether there is a share for everything that the message said.
    taken: AtomicBool,
    /// For how long the message stays hidden when it is let go.
    pause: Duration,
    keeper: UnboundedSender<Told>,
    meters: Arc<Meters>,
}

/// A part of a lease, for one thing that the message said. Dropped, it lets the message
/// go.
#[must_use]
pub struct Share {
    lease: Arc<Lease>,
    is_durable: bool,
}

/// What the keeper is told.
enum Told {
    Held { receipt: String, received: Instant },
    Acknowledge { receipt: String },
    LetGo { receipt: String, pause: Duration },
}

/// The longest a message waits that was let go.
const PAUSE_MAX: Duration = Duration::from_secs(900);

impl Lease {
    /// There is a share for everything that the message said.
    pub fn taken(&self) {
        self.taken.store(true, Ordering::Release);
    }

    /// A share for one more thing that the message said.
    pub fn share(self: &Arc<Self>) -> Share {
        self.shares.fetch_add(1, Ordering::Relaxed);
        self.meters.announced.inc();
        Share {
            lease: self.clone(),
            is_durable: false,
        }
    }
}

impl Share {
    /// What this share stands for stands in the lake, or need not.
    pub fn durable(mut self) {
        self.lease.durable.fetch_add(1, Ordering::Release);
        self.is_durable = true;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.is_durable {
            self.lease.meters.announced_again.inc();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let receipt = std::mem::take(&mut self.receipt);
        let whole = self.taken.load(Ordering::Acquire)
            && self.durable.load(Ordering::Acquire) == self.shares.load(Ordering::Acquire);
        let told = match whole {
            true => Told::Acknowledge { receipt },
            false => Told::LetGo {
                receipt,
                pause: self.pause,
            },
        };
        // Without a keeper the process ends, and the message comes again by itself.
        drop(self.keeper.send(told));
    }
}

/// Makes leases; when the last clone and the last lease are dropped, the keeper ends.
#[derive(Clone)]
pub struct Leases {
    keeper: UnboundedSender<Told>,
    meters: Arc<Meters>,
}

impl Leases {
    /// Takes hold of a message that was just received.
    pub fn hold(&self, message: &Message) -> Arc<Lease> {
        let told = Told::Held {
            receipt: message.receipt.clone(),
            received: Instant::now(),
        };
        drop(self.keeper.send(told));
        // The more often it came in vain, the longer it waits.
        let doublings = message.receive_count.saturating_sub(1).min(10);
        let pause = Duration::from_secs(1_u64 << doublings).min(PAUSE_MAX);
        Arc::new(Lease {
            receipt: message.receipt.clone(),
            shares: AtomicU32::new(0),
            durable: AtomicU32::new(0),
            taken: AtomicBool::new(false),
            pause,
            keeper: self.keeper.clone(),
            meters: self.meters.clone(),
        })
    }
}

/// Keeps and acknowledges what is held.
pub struct Keeper {
    queue: Arc<dyn MessageQueue>,
    told: UnboundedReceiver<Told>,
    /// For how long a message is hidden at a time.
    hide: Duration,
    held: HashMap<String, Held>,
    /// Receipts to be deleted, and how often that failed.
    acknowledged: Vec<(String, u32)>,
    let_go: Vec<(String, Duration)>,
    meters: Arc<Meters>,
}

struct Held {
    received: Instant,
    /// When it is to be hidden again.
    due: Instant,
}

/// How often the keeper looks what is due. Hiding times are many times longer.
const TICK: Duration = Duration::from_millis(500);

/// Messages deleted before it is looked again what cannot wait.
const DELETED_AT_ONCE: usize = 16 * BATCH_MAX;

/// Tries to delete a message, after which it is left to come again: the ledger knows it.
const DELETES_MAX: u32 = 5;

impl Keeper {
    pub fn new(
        queue: Arc<dyn MessageQueue>,
        hide: Duration,
        meters: Arc<Meters>,
    ) -> (Leases, Keeper) {
        let (keeper, told) = mpsc::unbounded_channel();
        let keeper = Leases {
            keeper,
            meters: meters.clone(),
        };
        let held = Keeper {
            queue,
            told,
            hide,
            held: HashMap::new(),
            acknowledged: Vec::new(),
            let_go: Vec::new(),
            meters,
        };
        (keeper, held)
    }

    /// Runs until nobody can tell it anything any more, and what was acknowledged is
    /// deleted.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut all = Vec::new();
        loop {
            let idle = self.held.is_empty() && self.acknowledged.is_empty();
            tokio::select! {
                count = self.told.recv_many(&mut all, 1024) => {
                    if count == 0 {
                        break;
                    }
                    all.drain(..).for_each(|told| self.hear(told));
                    if self.acknowledged.len() >= BATCH_MAX {
                        self.delete().await;
                    }
                    self.release().await;
                }
                _ = tick.tick(), if !idle => {
                    // First what cannot wait.
                    self.hide_due().await;
                    self.delete().await;
                }
            }
        }
        while !self.acknowledged.is_empty() {
            self.delete().await;
        }
        self.release().await;
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Held { receipt, received } => {
                let due = received + self.hide / 3;
                self.held.insert(receipt, Held { received, due });
            }
            Told::Acknowledge { receipt } => {
                self.held.remove(&receipt);
                self.acknowledged.push((receipt, 0));
            }
            Told::LetGo { receipt, pause } => {
                self.held.remove(&receipt);
                self.let_go.push((receipt, pause));
            }
        }
        self.meters
            .held
            .set(i64::try_from(self.held.len()).unwrap_or(i64::MAX));
    }

    /// Deletes what is acknowledged, once; what fails stays for another time.
    async fn delete(&mut self) {
        let mut again = Vec::new();
        let all = std::mem::take(&mut self.acknowledged);
        let (now, later) = all.split_at_checked(DELETED_AT_ONCE).unwrap_or((&all, &[]));
        again.extend(later.iter().cloned());
        let batches: Vec<&[(String, u32)]> = now.chunks(BATCH_MAX).collect();
        let queue = &self.queue;
        let requests = batches.iter().map(|batch| {
            let receipts: Vec<String> = batch.iter().map(|(receipt, _)| receipt.clone()).collect();
            let queue = queue.clone();
            async move { queue.delete(&receipts).await }
        });
        let answered = futures::future::join_all(requests).await;
        for (batch, answers) in batches.iter().zip(answered) {
            let answers = self.answers(answers, batch.len());
            for ((receipt, tries), answer) in batch.iter().zip(answers) {
                match answer {
                    Answer::Done => {
                        self.meters.acknowledged.inc();
                    }
                    // It comes again, and is found in the ledger.
                    Answer::Lost => {
                        self.meters.lost.inc();
                        self.meters.not_deleted.inc();
                    }
                    Answer::Failed if tries + 1 < DELETES_MAX => {
                        again.push((receipt.clone(), tries + 1));
                    }
                    Answer::Failed => {
                        self.meters.not_deleted.inc();
                        tracing::warn!("a message could not be deleted; it will come again");
                    }
                }
            }
        }
        self.acknowledged = again;
    }

    /// Hides again what is due; forgets what is lost.
    async fn hide_due(&mut self) {
        let now = Instant::now();
        let is_due = |held: &&Held| held.due <= now;
        let due: Vec<String> = self
            .held
            .iter()
            .filter(|(_, held)| is_due(held))
            .map(|(receipt, _)| receipt.clone())
            .collect();
        for receipts in due.chunks(BATCH_MAX) {
            let answers = self.queue.hide(receipts, self.hide).await;
            let answers = self.answers(answers, receipts.len());
            for (receipt, answer) in receipts.iter().zip(answers) {
                let Some(held) = self.held.get_mut(receipt) else {
                    continue;
                };
                let is_over = now.duration_since(held.received) + self.hide > HIDDEN_MAX;
                match answer {
                    Answer::Done if !is_over => held.due = now + self.hide / 3,
                    // Soon again: two thirds of its time are left.
                    Answer::Failed => held.due = now + self.hide / 12,
                    Answer::Done | Answer::Lost => {
                        self.held.remove(receipt);
                        self.meters.lost.inc();
                        tracing::warn!(
                            "lost the lease on a message; another worker may read it too"
                        );
                    }
                }
            }
        }
    }

    /// Lets messages be seen again after their pause.
    async fn release(&mut self) {
        let mut by_pause: HashMap<Duration, Vec<String>> = HashMap::new();
        for (receipt, pause) in self.let_go.drain(..) {
            by_pause.entry(pause).or_default().push(receipt);
        }
        for (pause, receipts) in by_pause {
            for receipts in receipts.chunks(BATCH_MAX) {
                self.meters.let_go.inc_by(receipts.len() as u64);
                // If that fails they come again by themselves, only later.
                let answers = self.queue.hide(receipts, pause).await;
                self.answers(answers, receipts.len());
            }
        }
    }

    fn answers(&self, answers: Result<Vec<Answer>, QueueError>, count: usize) -> Vec<Answer> {
        answers.unwrap_or_else(|error| {
            self.meters.queue_errors.inc();
            tracing::warn!(%error, "the queue did not answer");
            vec![Answer::Failed; count]
        })
    }
}
