//! A queue of messages, at the border: received for a while, kept, deleted.
//!
//! A message that was received is hidden from others until its time is over; then it
//! comes again. Nothing here is a lock: the same message may be held twice, and only
//! what is written elsewhere tells whether its work is done.

use crate::model::UtcMicros;
use futures::future::BoxFuture;
use std::time::Duration;

/// Messages of one request at most, a limit of SQS.
pub const BATCH_MAX: usize = 10;

/// How long SQS lets one receive hide a message, however often it is asked to.
pub const HIDDEN_MAX: Duration = Duration::from_secs(12 * 3600);

/// A message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The same each time it comes.
    pub id: String,
    /// What it is kept and deleted by; another each time.
    pub receipt: String,
    pub body: String,
    pub sent_at: Option<UtcMicros>,
    /// How often it was received, this time included.
    pub receive_count: u32,
}

/// What became of one message of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// The receipt is good for nothing any more: another holds the message, or it is
    /// gone.
    Lost,
    /// It may work another time.
    Failed,
}

/// What is known of a queue's depth, approximately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub waiting: u64,
    pub hidden: u64,
}

/// Where notifications come from.
pub trait MessageQueue: Send + Sync {
    /// What it is called, for people.
    fn name(&self) -> &str;

    /// Waits a while for messages, at most [`BATCH_MAX`], and hides them.
    fn receive(
        &self,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> BoxFuture<'_, Result<Vec<Message>, QueueError>>;

    /// Hides messages for so long from now on; an answer for each receipt.
    fn hide<'q>(
        &'q self,
        receipts: &'q [String],
        time: Duration,
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>>;

    /// Deletes messages; an answer for each receipt.
    fn delete<'q>(
        &'q self,
        receipts: &'q [String],
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>>;

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>>;
}

/// Why a queue did not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error(
        "queue `{queue}` does not exist; check `run.queue`, its region and the account it is in"
    )]
    NotFound { queue: String },
    #[error("queue `{queue}`: access denied ({detail}); the worker needs {needs}")]
    Denied {
        queue: String,
        detail: String,
        needs: &'static str,
    },
    #[error("queue `{queue}`: {detail}")]
    Unavailable { queue: String, detail: String },
}

impl QueueError {
    /// Whether asking again may help without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self, QueueError::Unavailable { .. })
    }
}
