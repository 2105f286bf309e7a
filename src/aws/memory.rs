//! Twins of queue and buckets that answer from memory: for tests, and to measure what
//! the worker takes without a service behind it.
//!
//! The queue keeps the rules that matter: a message comes again once its time is over,
//! with another receipt; an old receipt deletes nothing.

use super::objects::{FetchError, ObjectName, Objects, OpenedObject};
use super::queue::{Answer, BATCH_MAX, Message, MessageQueue, QueueDepth, QueueError};
use crate::model::UtcMicros;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue in memory; clones are the same queue.
#[derive(Clone, Default)]
pub struct MemoryQueue {
    held: Arc<Mutex<Held>>,
    arrived: Arc<Notify>,
}

#[derive(Default)]
struct Held {
    next: u64,
    messages: BTreeMap<u64, Queued>,
}

struct Queued {
    body: String,
    sent_at: UtcMicros,
    received: u32,
    hidden_until: Option<Instant>,
}

impl MemoryQueue {
    /// Puts a message at the end.
    pub fn send(&self, body: String, sent_at: UtcMicros) {
        let mut held = self.lock();
        held.next += 1;
        let number = held.next;
        let queued = Queued {
            body,
            sent_at,
            received: 0,
            hidden_until: None,
        };
        held.messages.insert(number, queued);
        drop(held);
        self.arrived.notify_one();
    }

    /// Messages that were not deleted, hidden ones among them.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes every hidden message come again, as if its time were over.
    pub fn expire_all(&self) {
        let mut held = self.lock();
        held.messages
            .values_mut()
            .for_each(|queued| queued.hidden_until = None);
        drop(held);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, most: usize, hide: Duration) -> Vec<Message> {
        let now = Instant::now();
        let mut held = self.lock();
        let seen = |queued: &Queued| queued.hidden_until.is_none_or(|until| until <= now);
        let visible = held
            .messages
            .iter_mut()
            .filter(|(_, queued)| seen(queued))
            .take(most.clamp(1, BATCH_MAX));
        visible
            .map(|(number, queued)| {
                queued.received += 1;
                queued.hidden_until = Some(now + hide);
                Message {
                    id: number.to_string(),
                    receipt: format!("{number}.{}", queued.received),
                    body: queued.body.clone(),
                    sent_at: Some(queued.sent_at),
                    receive_count: queued.received,
                }
            })
            .collect()
    }

    /// The message of a receipt, if it is the last one given for it.
    fn number_of(held: &Held, receipt: &str) -> Option<u64> {
        let (number, received) = receipt.split_once('.')?;
        let number = number.parse().ok()?;
        let queued = held.messages.get(&number)?;
        (queued.received.to_string() == received).then_some(number)
    }
}

impl MessageQueue for MemoryQueue {
    fn name(&self) -> &str {
        "memory"
    }

    fn receive(
        &self,
        most: usize,
        wait: Duration,
        hide: Duration,
    ) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let until = Instant::now() + wait;
            loop {
                let messages = self.take(most, hide);
                if !messages.is_empty() {
                    return Ok(messages);
                }
                let now = Instant::now();
                if now >= until {
                    return Ok(Vec::new());
                }
                let next = self
                    .lock()
                    .messages
                    .values()
                    .filter_map(|q| q.hidden_until)
                    .min();
                let wake = next.unwrap_or(until).clamp(now, until);
                // Whichever comes first: the answer is looked up anew either way.
                drop(tokio::time::timeout_at(wake, self.arrived.notified()).await);
            }
        })
    }

    fn hide<'q>(
        &'q self,
        receipts: &'q [String],
        time: Duration,
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        let mut held = self.lock();
        let until = Instant::now() + time;
        let answers = receipts
            .iter()
            .map(|receipt| {
                let number = MemoryQueue::number_of(&held, receipt);
                match number.and_then(|number| held.messages.get_mut(&number)) {
                    Some(queued) => {
                        queued.hidden_until = Some(until);
                        Answer::Done
                    }
                    None => Answer::Lost,
                }
            })
            .collect();
        drop(held);
        if time.is_zero() {
            self.arrived.notify_one();
        }
        Box::pin(async { Ok(answers) })
    }

    fn delete<'q>(
        &'q self,
        receipts: &'q [String],
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        let mut held = self.lock();
        let answers = receipts
            .iter()
            .map(|receipt| match MemoryQueue::number_of(&held, receipt) {
                Some(number) => {
                    held.messages.remove(&number);
                    Answer::Done
                }
                None => Answer::Lost,
            })
            .collect();
        Box::pin(async { Ok(answers) })
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        let now = Instant::now();
        let held = self.lock();
        let hidden = held.messages.values();
        let hidden = hidden.filter(|q| q.hidden_until.is_some_and(|until| until > now));
        let hidden = hidden.count() as u64;
        let waiting = held.messages.len() as u64 - hidden;
        Box::pin(async move { Ok(QueueDepth { waiting, hidden }) })
    }
}

/// Buckets in memory, which keep no versions; clones are the same buckets.
#[derive(Clone, Default)]
pub struct MemoryObjects(Arc<Mutex<HashMap<(String, String), Stored>>>);

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    etag: String,
}

impl MemoryObjects {
    /// Puts an object without versions; its ETag follows from its bytes.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let etag = etag_of(&bytes);
        let stored = Stored {
            bytes,
            etag: etag.clone(),
        };
        self.lock()
            .insert((bucket.to_owned(), key.to_owned()), stored);
        etag
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Stored>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn etag_of(bytes: &[u8]) -> String {
    let hash = crate::trail::hash::sha256(bytes);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Objects for MemoryObjects {
    fn open<'o>(&'o self, name: &'o ObjectName) -> BoxFuture<'o, Result<OpenedObject, FetchError>> {
        let key = (name.bucket.clone(), name.key.clone());
        let found = self.lock().get(&key).cloned();
        let found = found.filter(|_| name.version_id.is_none());
        let opened = found
            .ok_or(FetchError::NotFound)
            .map(|stored| OpenedObject {
                bytes: Some(stored.bytes.len() as u64),
                version_id: None,
                etag: Some(stored.etag),
                signature: None,
                body: stream::iter([Ok(stored.bytes)]).boxed(),
            });
        Box::pin(async { opened })
    }
}
