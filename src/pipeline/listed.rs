//! What lies under some prefixes of a bucket, as a queue: what a worker does with
//! notifications, a scan does with everything that is there already, by the same code.
//!
//! Objects go out in the order of their delivery, because sessions are issued before they
//! are used; so all of them are listed first, some 300 bytes each. Some are fetched at a
//! time, and a large one may be overtaken by those behind it. What could not be fetched is
//! left, and may be made a queue of again.
//!
//! INVARIANT (it ends): when every object went out, whoever receives is told to stop.

use super::stages::Progress;
use crate::aws::objects::ListedObject;
use crate::aws::queue::{Answer, Message, MessageQueue, QueueDepth, QueueError};
use crate::trail::key::delivery_label;
use crate::trail::notification::{Announced, announce};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// As if it had come as often as it takes to record that an object is gone. What S3 refuses
/// is not recorded so soon: it is left.
const RECEIVES: u32 = 3;

/// Longer than any object takes: nobody has to renew a lease on one.
pub const HIDE: Duration = Duration::from_secs(12 * 3600);

/// The queue.
pub struct ListedQueue {
    objects: Vec<ListedObject>,
    state: Mutex<State>,
    stop: watch::Sender<bool>,
    progress: Arc<dyn Progress>,
}

#[derive(Default)]
struct State {
    /// Place of the object that goes out next.
    next: usize,
    /// Places of those that came back.
    left: Vec<usize>,
}

impl ListedQueue {
    /// A queue of these objects; `stop` is told when all went out, `progress` of each
    /// that is done.
    pub fn new(
        mut objects: Vec<ListedObject>,
        stop: watch::Sender<bool>,
        progress: Arc<dyn Progress>,
    ) -> ListedQueue {
        let label = |key: &str| key.rsplit('/').next().and_then(delivery_label);
        objects.sort_by_cached_key(|object| {
            let label = label(&object.key).unwrap_or(0);
            (label, object.bucket.clone(), object.key.clone())
        });
        // Prefixes may overlap.
        objects.dedup_by(|a, b| (&a.bucket, &a.key) == (&b.bucket, &b.key));
        ListedQueue {
            objects,
            state: Mutex::default(),
            stop,
            progress,
        }
    }

    /// Takes out the objects that could not be fetched.
    pub fn take_left(&self) -> Vec<ListedObject> {
        let left = std::mem::take(&mut self.state().left).into_iter();
        left.filter_map(|place| self.objects.get(place).cloned())
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, most: usize) -> Vec<Message> {
        let mut state = self.state();
        let first = state.next;
        let rest = self.objects.get(first..).unwrap_or_default();
        let next = rest.get(..most).unwrap_or(rest);
        state.next += next.len();
        let messages = (first..).zip(next).map(|(place, object)| Message {
            id: place.to_string(),
            receipt: place.to_string(),
            body: announce(&Announced {
                bucket: object.bucket.to_string(),
                key: object.key.clone(),
                etag: object.etag.clone(),
                bytes: Some(object.bytes),
                ..Announced::default()
            }),
            sent_at: None,
            receive_count: RECEIVES,
        });
        messages.collect()
    }

    /// What is done with each of these receipts.
    fn each(
        &self,
        receipts: &[String],
        mut end: impl FnMut(usize),
    ) -> BoxFuture<'static, Result<Vec<Answer>, QueueError>> {
        let answers = receipts.iter().map(|receipt| match receipt.parse() {
            Ok(place) => {
                end(place);
                Answer::Done
            }
            Err(_) => Answer::Lost,
        });
        let answers: Vec<Answer> = answers.collect();
        Box::pin(std::future::ready(Ok(answers)))
    }
}

impl MessageQueue for ListedQueue {
    fn name(&self) -> &str {
        "a listing"
    }

    fn receive(
        &self,
        most: usize,
        wait: Duration,
        _hide: Duration,
    ) -> BoxFuture<'_, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let messages = self.next(most);
            if messages.is_empty() {
                self.stop.send_replace(true);
                tokio::time::sleep(wait).await;
            }
            Ok(messages)
        })
    }

    fn hide<'q>(
        &'q self,
        receipts: &'q [String],
        time: Duration,
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        self.each(receipts, |place| {
            // Else it is only held on to.
            if time < HIDE {
                self.state().left.push(place);
            }
        })
    }

    fn delete<'q>(
        &'q self,
        receipts: &'q [String],
    ) -> BoxFuture<'q, Result<Vec<Answer>, QueueError>> {
        self.each(receipts, |place| {
            let bytes = self.objects.get(place).map_or(0, |object| object.bytes);
            self.progress.object(bytes);
        })
    }

    fn depth(&self) -> BoxFuture<'_, Result<QueueDepth, QueueError>> {
        let waiting = self.objects.len().saturating_sub(self.state().next);
        let depth = QueueDepth {
            waiting: waiting as u64,
            hidden: 0,
        };
        Box::pin(std::future::ready(Ok(depth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::report::Report;

    struct Silent;

    impl Progress for Silent {
        fn object(&self, _: u64) {}
        fn committed(&self, _: &Report) {}
    }

    fn queue(keys: &[&str]) -> (ListedQueue, watch::Receiver<bool>) {
        let object = |key: &&str| ListedObject {
            bucket: "trail".into(),
            key: (*key).to_owned(),
            etag: None,
            bytes: 1,
        };
        let (stop, stopped) = watch::channel(false);
        let objects = keys.iter().map(object).collect();
        (ListedQueue::new(objects, stop, Arc::new(Silent)), stopped)
    }

    #[tokio::test]
    async fn objects_go_out_in_the_order_of_their_delivery_each_once() {
        let log = |region: &str, at: &str| {
            format!(
                "AWSLogs/1/CloudTrail/{region}/2026/03/27/1_CloudTrail_{region}_20260327T{at}Z_x.json.gz"
            )
        };
        let (late, early) = (log("eu-west-1", "1210"), log("us-west-2", "1205"));
        let (queue, _) = queue(&[&late, &early, &late]);
        let messages = queue.receive(10, Duration::ZERO, HIDE).await.unwrap();
        let keys: Vec<bool> = messages
            .iter()
            .map(|message| message.body.contains("us-west-2"))
            .collect();
        assert_eq!(keys, [true, false]);
    }

    #[tokio::test]
    async fn what_comes_back_is_left_and_who_receives_is_told_to_stop() {
        let (queue, stopped) = queue(&["a", "b", "c"]);
        let messages = queue.receive(2, Duration::ZERO, HIDE).await.unwrap();
        let receipts: Vec<String> = messages.into_iter().map(|it| it.receipt).collect();
        let [first, second] = receipts.as_slice() else {
            panic!("{receipts:?}");
        };
        let (first, second) = (std::slice::from_ref(first), std::slice::from_ref(second));
        assert_eq!(queue.delete(first).await.unwrap(), [Answer::Done]);
        assert_eq!(queue.hide(second, HIDE).await.unwrap(), [Answer::Done]);
        assert_eq!(queue.take_left(), []);
        assert_eq!(
            queue.hide(second, Duration::ZERO).await.unwrap(),
            [Answer::Done]
        );
        assert!(!*stopped.borrow());
        assert_eq!(
            queue.receive(2, Duration::ZERO, HIDE).await.unwrap().len(),
            1
        );
        assert_eq!(queue.receive(2, Duration::ZERO, HIDE).await.unwrap(), []);
        assert!(*stopped.borrow());
        let left = queue.take_left();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].key, "b");
    }
}
