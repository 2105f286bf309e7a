//! What a worker counts, for `/metrics`.
//!
//! Rows, records and objects are counted when their commit stands, never before: a
//! batch that is prepared twice counts once. The sums add up as they do in the lake:
//! records = rows + not_s3 + duplicates + bad. So do those of the queue, when nothing is
//! in flight: messages received = acknowledged + not deleted + let go; announced = objects
//! of all fates + notifications + known + announced again.

use super::budget::ByteBudget;
use super::process::Processed;
use super::report::Report;
use super::stages::Progress;
use crate::model::UtcMicros;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Seconds for which it is remembered how old the messages were that came.
const RECENT_SECS: i64 = 3600;

/// One label, with its value.
type Label = [(&'static str, String); 1];

/// The counters of one worker.
pub struct Meters {
    registry: Registry,
    pub received: Counter,
    pub acknowledged: Counter,
    pub let_go: Counter,
    pub lost: Counter,
    pub not_deleted: Counter,
    pub announced: Counter,
    pub announced_again: Counter,
    pub held: Gauge,
    pub queue_errors: Counter,
    pub fetches: Counter,
    pub fetched_bytes: Counter,
    pub fetch_errors: Family<Label, Counter>,
    pub known: Counter,
    in_flight: Gauge,
    budget: OnceLock<ByteBudget>,
    pub notified_to_commit: Histogram,
    pub event_to_commit: Histogram,
    pub policy_reloads: Family<Label, Counter>,
    pub settles: Family<Label, Counter>,
    /// When messages were received, and when the oldest of them was sent, by the minute.
    received_at: Mutex<VecDeque<(UtcMicros, UtcMicros)>>,
    /// When the queue last answered, in microseconds since the epoch; 0 for never.
    pub polled_at: AtomicI64,
    commits: Counter,
    commit_seconds: Histogram,
    conflicts: Counter,
    objects: Family<Label, Counter>,
    records: Family<Label, Counter>,
    notifications: Counter,
    raw_bytes: Counter,
    verdicts: Family<Label, Counter>,
    paths: Family<Label, Counter>,
    principals: Family<[(&'static str, String); 2], Counter>,
    now: fn() -> UtcMicros,
}

/// Upper bounds in seconds: what is promised is the commit interval and five more.
const LAGS: [f64; 12] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 65.0, 120.0, 600.0, 3600.0,
];

impl Meters {
    pub fn new(now: fn() -> UtcMicros) -> Meters {
        let mut meters = Meters {
            registry: Registry::with_prefix("bricktrail"),
            received: Counter::default(),
            acknowledged: Counter::default(),
            let_go: Counter::default(),
            lost: Counter::default(),
            not_deleted: Counter::default(),
            announced: Counter::default(),
            announced_again: Counter::default(),
            held: Gauge::default(),
            queue_errors: Counter::default(),
            fetches: Counter::default(),
            fetched_bytes: Counter::default(),
            fetch_errors: Family::default(),
            known: Counter::default(),
            in_flight: Gauge::default(),
            budget: OnceLock::new(),
            notified_to_commit: Histogram::new(LAGS),
            event_to_commit: Histogram::new(LAGS),
            policy_reloads: Family::default(),
            settles: Family::default(),
            received_at: Mutex::default(),
            polled_at: AtomicI64::new(0),
            commits: Counter::default(),
            commit_seconds: Histogram::new(LAGS),
            conflicts: Counter::default(),
            objects: Family::default(),
            records: Family::default(),
            notifications: Counter::default(),
            raw_bytes: Counter::default(),
            verdicts: Family::default(),
            paths: Family::default(),
            principals: Family::default(),
            now,
        };
        meters.register();
        meters
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "messages_received",
            "Messages received, copies too",
            self.received.clone(),
        );
        r.register(
            "messages_acknowledged",
            "Messages deleted, all they said being durable",
            self.acknowledged.clone(),
        );
        r.register(
            "messages_let_go",
            "Messages left to come again",
            self.let_go.clone(),
        );
        r.register(
            "leases_lost",
            "Messages whose receipt was refused",
            self.lost.clone(),
        );
        r.register(
            "messages_not_deleted",
            "Messages whose deletion was refused, all they said being durable",
            self.not_deleted.clone(),
        );
        r.register(
            "announced",
            "Things that messages said: objects, and all else",
            self.announced.clone(),
        );
        r.register(
            "announced_again",
            "Those that were left, to be announced again",
            self.announced_again.clone(),
        );
        r.register(
            "announced_known",
            "Those that the lake had, or the same commit",
            self.known.clone(),
        );
        r.register("messages_held", "Messages held now", self.held.clone());
        r.register(
            "queue_errors",
            "Requests that the queue did not answer",
            self.queue_errors.clone(),
        );
        r.register("fetches", "Objects asked for", self.fetches.clone());
        r.register_with_unit(
            "fetched",
            "Stored bytes fetched",
            Unit::Bytes,
            self.fetched_bytes.clone(),
        );
        r.register(
            "fetch_errors",
            "Objects not fetched, by reason",
            self.fetch_errors.clone(),
        );
        r.register_with_unit(
            "in_flight",
            "Memory reserved for objects and what is made of them",
            Unit::Bytes,
            self.in_flight.clone(),
        );
        r.register_with_unit(
            "notified_to_commit",
            "From notification to committed rows",
            Unit::Seconds,
            self.notified_to_commit.clone(),
        );
        r.register_with_unit(
            "event_to_commit",
            "From the newest event of an object to committed rows",
            Unit::Seconds,
            self.event_to_commit.clone(),
        );
        r.register(
            "policy_reloads",
            "Changed policies, by outcome",
            self.policy_reloads.clone(),
        );
        r.register(
            "settles",
            "Rounds of settle, by outcome",
            self.settles.clone(),
        );
        r.register("commits", "Commits that stand", self.commits.clone());
        r.register_with_unit(
            "commit",
            "From the first preparation of a commit to its standing",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        r.register(
            "commit_conflicts",
            "Commits that another writer came before",
            self.conflicts.clone(),
        );
        r.register(
            "objects",
            "Objects whose commit stands, by fate",
            self.objects.clone(),
        );
        r.register(
            "records",
            "Records of committed objects, by outcome",
            self.records.clone(),
        );
        r.register(
            "notifications",
            "What messages said that names no object to be read",
            self.notifications.clone(),
        );
        r.register_with_unit(
            "inflated",
            "Inflated bytes of committed objects",
            Unit::Bytes,
            self.raw_bytes.clone(),
        );
        r.register("verdicts", "Rows by verdict", self.verdicts.clone());
        r.register("rows_by_path", "Rows by access path", self.paths.clone());
        r.register(
            "rows_by_principal_confidence",
            "Rows by access path and confidence in the principal",
            self.principals.clone(),
        );
    }

    /// Shows the bytes in flight of that budget.
    pub fn watch(&self, budget: &ByteBudget) {
        // Once is enough: a worker has one.
        drop(self.budget.set(budget.clone()));
    }

    /// Notes when a message was sent that has just been received.
    pub fn note_sent(&self, sent_at: UtcMicros) {
        let now = (self.now)();
        let mut received = self.received_at();
        let forgotten = now.plus_seconds(-RECENT_SECS);
        received.retain(|(at, _)| *at >= forgotten);
        // One for each minute is enough.
        match received.back_mut() {
            Some((at, oldest)) if at.plus_seconds(60) > now => *oldest = sent_at.min(*oldest),
            _ => received.push_back((now, sent_at)),
        }
    }

    /// When the oldest message was sent that was received of late; `None` if none was.
    pub fn oldest_sent(&self) -> Option<UtcMicros> {
        let forgotten = (self.now)().plus_seconds(-RECENT_SECS);
        let received = self.received_at();
        let recent = received.iter().filter(|(at, _)| *at >= forgotten);
        recent.map(|(_, sent_at)| *sent_at).min()
    }

    fn received_at(&self) -> MutexGuard<'_, VecDeque<(UtcMicros, UtcMicros)>> {
        self.received_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the queue answered within that time.
    pub fn has_polled_within(&self, seconds: i64) -> bool {
        let polled_at = UtcMicros(self.polled_at.load(Ordering::Relaxed));
        polled_at.plus_seconds(seconds) >= (self.now)()
    }

    /// All of it, in the text form of OpenMetrics.
    pub fn text(&self) -> String {
        if let Some(budget) = self.budget.get() {
            self.in_flight
                .set(i64::try_from(budget.used()).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }
}

impl Progress for Meters {
    fn object(&self, _bytes: u64) {}

    fn known(&self, count: u64) {
        self.known.inc_by(count);
    }

    fn committed(&self, report: &Report) {
        self.commits.inc_by(report.commits);
        if report.commits > 0 {
            self.commit_seconds.observe(report.commit_seconds);
        }
        self.conflicts.inc_by(report.conflicts);
        for ((status, _), count) in &report.objects {
            let label = [("status", status.as_str().to_owned())];
            self.objects.get_or_create(&label).inc_by(*count);
        }
        let counts = &report.counts;
        let outcomes = [
            ("row", counts.rows_written),
            ("not_s3", counts.not_s3),
            ("duplicate", counts.duplicates),
            ("bad", counts.bad),
        ];
        for (outcome, count) in outcomes {
            let label = [("outcome", outcome.to_owned())];
            self.records.get_or_create(&label).inc_by(count);
        }
        self.notifications.inc_by(report.notifications);
        self.raw_bytes.inc_by(report.raw_bytes);
        for (verdict, count) in &report.verdicts {
            let label = [("verdict", verdict.as_str().to_owned())];
            self.verdicts.get_or_create(&label).inc_by(*count);
        }
        for (path, counts) in &report.paths {
            let name = path.as_str().to_owned();
            let label = [("path", name.clone())];
            self.paths.get_or_create(&label).inc_by(counts.rows);
            let [.., principal] = &counts.by_level;
            for (confidence, count) in crate::model::Confidence::ALL.iter().zip(principal) {
                let label = [
                    ("path", name.clone()),
                    ("confidence", confidence.as_str().to_owned()),
                ];
                self.principals.get_or_create(&label).inc_by(*count);
            }
        }
    }

    fn durable(&self, done: &Processed) {
        let now = (self.now)();
        let since = |at: UtcMicros| (now.0.saturating_sub(at.0)) as f64 / 1e6;
        if let Some(at) = done.object.notified_at {
            self.notified_to_commit.observe(since(at));
        }
        if let Some(at) = done.log.last_event_time {
            self.event_to_commit.observe(since(at));
        }
    }
}
