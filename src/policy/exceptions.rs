//! Approved exceptions: violations that somebody answers for, until a day.
//!
//! `exceptions.toml` names them:
//!
//! ```toml
//! [[exception]]
//! id = "EX-14"
//! rules = ["restricted-outside-unity-catalog"]
//! datasets = ["payroll"]
//! principals = ["ann@example.com"]
//! owner = "hr@example.com"
//! reason = "the migration ends in April"
//! approved = 2026-02-01
//! expires = 2026-04-30
//! ```
//!
//! What it covers stays a violation, marked with its id; events after its last day
//! count again, whenever they are judged. What is left out narrows nothing.
//!
//! INVARIANT (by the event): whether an exception covers a violation follows from the
//! access and its time, never from the day on which it is judged.

use super::entries::Entries;
use super::error::{PolicyError, line_of};
use super::facts::Facts;
use super::nearest;
use super::rules::{DEFAULT_DENY, Effect, Rules};
use crate::model::{TimeSpan, UtcMicros, Violation};
use serde::Deserialize;
use std::sync::Arc;
use toml::Spanned;
use toml::value::Datetime;

/// An approved exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    pub id: Arc<str>,
    /// The rules whose violations it covers.
    pub rules: Vec<String>,
    /// User names, application ids, or what AWS calls the caller; all of an ambiguous
    /// access's candidates must be among them.
    pub principals: Vec<String>,
    pub datasets: Vec<String>,
    pub buckets: Vec<String>,
    /// IAM ARNs of roles.
    pub roles: Vec<String>,
    /// `<workspace id>/<job id>`.
    pub jobs: Vec<String>,
    pub owner: String,
    pub reason: String,
    /// From the beginning of that day on, in UTC.
    pub approved_at: Option<UtcMicros>,
    /// Until the end of its last day: the first instant that it does not cover.
    pub expires_at: UtcMicros,
    /// The line of the file where it stands.
    pub line: usize,
}

/// The exceptions in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Exceptions {
    list: Vec<Exception>,
    /// Every start and end, sorted.
    changes: Vec<UtcMicros>,
}

/// The name of an entry, and what each has.
const ENTRY: (&str, &[&str]) = ("exception", &["id", "rules"]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    rules: Vec<Spanned<String>>,
    #[serde(default)]
    principals: Vec<String>,
    #[serde(default)]
    datasets: Vec<Spanned<String>>,
    #[serde(default)]
    buckets: Vec<Spanned<String>>,
    #[serde(default)]
    roles: Vec<Spanned<String>>,
    #[serde(default)]
    jobs: Vec<Spanned<String>>,
    owner: Option<Spanned<String>>,
    reason: Option<Spanned<String>>,
    approved: Option<Spanned<Datetime>>,
    expires: Option<Spanned<Datetime>>,
}

/// Names that exceptions and examples may use.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// The rules that can be violated; `None` if not all could be read.
    pub rules: Option<Vec<&'a str>>,
    /// The rules that permit.
    pub permits: Vec<&'a str>,
    /// The datasets; `None` if not all could be read.
    pub datasets: Option<&'a [&'a str]>,
}

impl<'a> Names<'a> {
    pub fn new(rules: &'a Rules, datasets: Option<&'a [&'a str]>) -> Names<'a> {
        let of = |effect: Effect| {
            let those = rules.list.iter().filter(move |rule| rule.effect == effect);
            those.map(|rule| &*rule.id)
        };
        let refused = rules.refused.iter().map(String::as_str);
        let forbids = of(Effect::Forbid).chain(refused).chain([DEFAULT_DENY]);
        Names {
            rules: (!rules.is_partial).then(|| forbids.collect()),
            permits: of(Effect::Permit).collect(),
            datasets,
        }
    }

    /// What is wrong with the name of a rule that is to be violated.
    pub fn rule_fault(&self, name: &str) -> Option<String> {
        if self.permits.contains(&name) {
            return Some(format!(
                "rule `{name}`, which permits, so that no access violates it; name a `forbid` \
                 or `{DEFAULT_DENY}`"
            ));
        }
        let known = self.rules.as_ref()?;
        (!known.contains(&name)).then(|| {
            let hint = nearest::hint(name, known);
            format!("rule `{name}`, which no *.cedar file has{hint}")
        })
    }
}

impl Exceptions {
    /// Reads `exceptions.toml`; every fault in it is told.
    pub(super) fn parse(
        file: &str,
        text: &str,
        names: &Names<'_>,
        faults: &mut Vec<PolicyError>,
    ) -> Exceptions {
        let mut fault = |offset: usize, message: String| {
            faults.push(PolicyError::Exceptions {
                file: file.to_owned(),
                line: line_of(text, offset),
                message,
            });
        };
        let entries = Entries::<Spanned<Entry>>::read(file, text, ENTRY, &mut fault);
        let mut list: Vec<Exception> = Vec::new();
        for entry in entries.list {
            let start = entry.span().start;
            let line = line_of(text, start);
            if let Some(exception) = checked(entry, (start, line), names, &list, &mut fault) {
                list.push(exception);
            }
        }
        let mut changes: Vec<UtcMicros> = list
            .iter()
            .flat_map(|exception| {
                exception
                    .approved_at
                    .into_iter()
                    .chain([exception.expires_at])
            })
            .collect();
        changes.sort();
        changes.dedup();
        Exceptions { list, changes }
    }

    pub(super) fn list(&self) -> &[Exception] {
        &self.list
    }

    /// How many starts and ends lie at or before `at`, and the times of which that
    /// is true.
    pub(super) fn moment(&self, at: UtcMicros) -> (u32, TimeSpan) {
        let passed = self.changes.partition_point(|change| *change <= at);
        let last = passed
            .checked_sub(1)
            .and_then(|place| self.changes.get(place));
        let next = self.changes.get(passed);
        let span = TimeSpan {
            from: last.copied().unwrap_or(UtcMicros::MIN),
            until: next.map_or(UtcMicros::MAX, |next| UtcMicros(next.0.saturating_sub(1))),
        };
        (u32::try_from(passed).unwrap_or(u32::MAX), span)
    }

    /// The places of the exceptions that cover the access, whichever rule it violates.
    pub(super) fn covering<'e>(&'e self, facts: &'e Facts<'_>) -> impl Iterator<Item = usize> + 'e {
        let places = self.list.iter().enumerate();
        places.filter_map(|(place, exception)| exception.covers(facts).then_some(place))
    }

    /// Marks the violations that exceptions cover; of several the first.
    pub(super) fn mark(&self, violations: &mut [Violation], covering: &[usize]) {
        // A rule that failed is no violation that anybody approved.
        for violation in violations.iter_mut().filter(|it| !it.is_failure()) {
            let exceptions = covering.iter().filter_map(|place| self.list.get(*place));
            let exception = exceptions
                .into_iter()
                .find(|exception| exception.rules.iter().any(|rule| **rule == *violation.rule));
            violation.exception = exception.map(|exception| exception.id.clone());
        }
    }
}

impl Exception {
    /// The time in which it holds.
    pub fn span(&self) -> TimeSpan {
        TimeSpan {
            from: self.approved_at.unwrap_or(UtcMicros::MIN),
            until: UtcMicros(self.expires_at.0.saturating_sub(1)),
        }
    }

    fn covers(&self, facts: &Facts<'_>) -> bool {
        let among = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|other| other == name))
        };
        let access = facts.access;
        let job = || {
            let job = facts.attribution.job_id.as_deref()?;
            let workspace = facts
                .attribution
                .workspace_id
                .as_deref()
                .unwrap_or_default();
            Some(format!("{workspace}/{job}"))
        };
        self.span().contains(access.event_time)
            && among(
                &self.datasets,
                facts.dataset.map(|dataset| dataset.name.as_str()),
            )
            && among(&self.buckets, access.target.bucket.as_deref())
            && among(&self.roles, access.principal.session_issuer_arn.as_deref())
            && (self.jobs.is_empty() || among(&self.jobs, job().as_deref()))
            && (self.principals.is_empty()
                || !facts.has_unlisted_candidates()
                    && facts
                        .judged_as()
                        .iter()
                        .all(|(_, name)| among(&self.principals, Some(name))))
    }
}

/// An entry that is whole; whatever is wrong with it is told.
fn checked(
    entry: Spanned<Entry>,
    (start, line): (usize, usize),
    names: &Names<'_>,
    before: &[Exception],
    fault: &mut impl FnMut(usize, String),
) -> Option<Exception> {
    let entry = entry.into_inner();
    let id = entry.id.get_ref().clone();
    let mut sound = true;
    let mut wrong = |offset: usize, message: String| {
        sound = false;
        fault(offset, message);
    };
    if id.trim().is_empty() {
        wrong(
            entry.id.span().start,
            "the exception has an empty `id`; give it one".to_owned(),
        );
    }
    if before.iter().any(|other| *other.id == *id) {
        let message = format!("exception `{id}` is defined twice; rename one of the two");
        wrong(entry.id.span().start, message);
    }
    if entry.rules.is_empty() {
        let message = format!("exception `{id}` names no rule; list in `rules` what it covers");
        wrong(start, message);
    }
    for rule in &entry.rules {
        if let Some(message) = names.rule_fault(rule.get_ref()) {
            wrong(
                rule.span().start,
                format!("exception `{id}` covers {message}"),
            );
        }
    }
    for dataset in &entry.datasets {
        if let Some(known) = names.datasets
            && !known.contains(&dataset.get_ref().as_str())
        {
            let message = format!(
                "exception `{id}` names dataset `{}`, which datasets.toml does not have{}",
                dataset.get_ref(),
                nearest::hint(dataset.get_ref(), known)
            );
            wrong(dataset.span().start, message);
        }
    }
    for bucket in &entry.buckets {
        // An access point stands for its bucket where a record names no other.
        let is_arn = bucket.get_ref().starts_with("arn:");
        let odd: &[char] = if is_arn { &['*'] } else { &['/', ':', '*'] };
        if bucket.get_ref().is_empty() || bucket.get_ref().contains(odd) {
            let message = format!(
                "exception `{id}` names bucket `{}`; write a bucket's name alone, without \
                 `s3://`, path or wildcard",
                bucket.get_ref()
            );
            wrong(bucket.span().start, message);
        }
    }
    for role in &entry.roles {
        if !role.get_ref().starts_with("arn:") || role.get_ref().contains('*') {
            let message = format!(
                "exception `{id}` names role `{}`; write its ARN whole, like \
                 `arn:aws:iam::111122223333:role/name`",
                role.get_ref()
            );
            wrong(role.span().start, message);
        }
    }
    for job in &entry.jobs {
        if !job.get_ref().contains('/') {
            let message = format!(
                "exception `{id}` names job `{}`; write it as `<workspace id>/<job id>`, for a \
                 job's id is unique in its workspace only",
                job.get_ref()
            );
            wrong(job.span().start, message);
        }
    }
    let mut filled = |what: &str, text: Option<Spanned<String>>| {
        let text = text.map(Spanned::into_inner).unwrap_or_default();
        if text.trim().is_empty() {
            let message = format!("exception `{id}` has no `{what}`; an auditor will ask for it");
            wrong(start, message);
        }
        text
    };
    let owner = filled("owner", entry.owner);
    let reason = filled("reason", entry.reason);
    let mut day = |what: &str, time: &Spanned<Datetime>| {
        let day = start_of_day(time.get_ref());
        if day.is_none() {
            let message = format!(
                "exception `{id}`: `{what}` is no day; write it like 2026-04-30, without quotes"
            );
            wrong(time.span().start, message);
        }
        day
    };
    let approved_at = entry
        .approved
        .as_ref()
        .and_then(|time| day("approved", time));
    let last_day = entry.expires.as_ref().and_then(|time| day("expires", time));
    let is_open = entry.expires.is_none();
    if is_open {
        let message = format!(
            "exception `{id}` has no `expires`; give its last day, like `expires = 2026-04-30`"
        );
        wrong(start, message);
    }
    let expires_at = last_day
        .map(|day| day.plus_seconds(86_400))
        .unwrap_or_default();
    if approved_at.is_some_and(|approved| last_day.is_some() && approved >= expires_at) {
        let message =
            format!("exception `{id}` expires before it is approved; correct one of the days");
        wrong(start, message);
    }
    sound.then(|| Exception {
        id: id.as_str().into(),
        rules: plain(entry.rules),
        principals: entry.principals,
        datasets: plain(entry.datasets),
        buckets: plain(entry.buckets),
        roles: plain(entry.roles),
        jobs: plain(entry.jobs),
        owner,
        reason,
        approved_at,
        expires_at,
        line,
    })
}

fn plain(texts: Vec<Spanned<String>>) -> Vec<String> {
    texts.into_iter().map(Spanned::into_inner).collect()
}

/// The beginning of a day without a time, in UTC.
fn start_of_day(day: &Datetime) -> Option<UtcMicros> {
    if day.time.is_some() {
        return None;
    }
    UtcMicros::parse_iso(&format!("{}T00:00:00Z", day.date?))
}
