//! Example accesses with the verdict that the policy's author expects.
//!
//! `tests.toml` names them:
//!
//! ```toml
//! [[test]]
//! name = "analysts read sales"
//! user = "ann@example.com"
//! groups = ["analysts"]
//! event = "GetObject"
//! object = "s3://lake/sales/x.parquet"
//! verdict = "in_policy"
//! ```
//!
//! An example says what matters to it; the rest is what is usual and harmless: a
//! temporary credential, an hour old, over TLS 1.3, from a private address, answered,
//! of the first of the own accounts, settled.
//!
//! INVARIANT (the same judge): an example is put to [`Policy::judge`](super::Policy::judge) as an access of a
//! log is, so that what passes here holds there.

use super::entries::Entries;
use super::error::{PolicyError, line_of};
use super::example_access::{TLS, bucket_and_key};
use super::exceptions::Names;
use super::judge::Judgement;
use super::nearest;
use super::rules::EVALUATION;
use super::vocabulary::known_events;
use crate::model::{AccessPath, Confidence, Credential, Operation, Outcome, UtcMicros, Verdict};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::value::Datetime;

/// An example access, and what is expected of its judgement.
#[derive(Clone, Debug)]
pub struct Example {
    pub name: String,
    /// The line of the file where it begins.
    pub line: usize,
    pub verdict: Verdict,
    /// The ids of exactly the rules that are to be violated, sorted; `None` if any may.
    pub rules: Option<Vec<String>>,
    pub(super) entry: Entry,
    pub(super) operation: Operation,
    pub(super) at: UtcMicros,
}

/// What became of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    pub judgement: Judgement,
    /// Whether it is what was expected.
    pub passed: bool,
}

/// The name of an entry, and what each has.
const ENTRY: (&str, &[&str]) = ("test", &["name", "verdict", "event"]);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) verdict: Spanned<String>,
    pub(super) rules: Option<Vec<Spanned<String>>>,

    pub(super) user: Option<String>,
    pub(super) service_principal: Option<String>,
    /// Several that it may have been.
    pub(super) candidates: Option<Vec<String>>,
    /// Who it was if nobody of Databricks, as an ARN.
    pub(super) aws: Option<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    pub(super) active: Option<bool>,
    pub(super) confidence: Option<Spanned<String>>,

    pub(super) event: Spanned<String>,
    pub(super) operation: Option<Spanned<String>>,
    pub(super) object: Option<Spanned<String>>,
    pub(super) bucket: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) copy_source: Option<String>,
    pub(super) version_id: Option<String>,
    pub(super) bucket_account: Option<String>,
    pub(super) region: Option<String>,

    pub(super) access_path: Option<Spanned<String>>,
    pub(super) credential: Option<Spanned<String>>,
    pub(super) outcome: Option<Spanned<String>>,
    pub(super) error_code: Option<String>,
    pub(super) account: Option<String>,
    pub(super) identity_type: Option<String>,
    pub(super) role: Option<String>,
    pub(super) session_name: Option<String>,
    pub(super) source_identity: Option<String>,
    pub(super) session_age_hours: Option<u32>,
    pub(super) invoked_by: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) source_ip: Option<String>,
    pub(super) vpc_endpoint: Option<String>,
    pub(super) tls: Option<Spanned<String>>,
    pub(super) sse: Option<String>,
    pub(super) kms_key: Option<String>,
    #[serde(default)]
    pub(super) presigned: bool,
    pub(super) at: Option<Spanned<Datetime>>,
    pub(super) settled: Option<bool>,

    pub(super) workspace: Option<String>,
    pub(super) workspace_name: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) cluster_name: Option<String>,
    pub(super) cluster_source: Option<String>,
    pub(super) cluster_dedicated: Option<bool>,
    #[serde(default)]
    pub(super) cluster_tags: BTreeMap<String, String>,
    pub(super) job: Option<String>,
    pub(super) job_run: Option<String>,
    pub(super) task: Option<String>,
    pub(super) job_name: Option<String>,
    pub(super) job_run_as: Option<String>,
    pub(super) job_creator: Option<String>,
    #[serde(default)]
    pub(super) job_tags: BTreeMap<String, String>,
}

/// An example without a time is of that one: noon of a Friday.
const USUAL_TIME: &str = "2026-03-27T12:00:00Z";

/// Reads `tests.toml`; every fault in it is told.
pub(super) fn parse_examples(
    file: &str,
    text: &str,
    names: &Names<'_>,
    faults: &mut Vec<PolicyError>,
) -> Vec<Example> {
    let mut fault = |offset: usize, message: String| {
        faults.push(PolicyError::Tests {
            file: file.to_owned(),
            line: line_of(text, offset),
            message,
        });
    };
    let entries = Entries::<Spanned<Entry>>::read(file, text, ENTRY, &mut fault);
    let examples = entries.list.into_iter().filter_map(|entry| {
        let start = entry.span().start;
        let line = line_of(text, start);
        checked(entry.into_inner(), (start, line), names, &mut fault)
    });
    examples.collect()
}

/// An example whose words are all known; whatever is wrong with it is told.
fn checked(
    entry: Entry,
    (start, line): (usize, usize),
    names: &Names<'_>,
    fault: &mut impl FnMut(usize, String),
) -> Option<Example> {
    let mut sound = true;
    let name = entry.name.clone();
    let mut wrong = |offset: usize, message: String| {
        sound = false;
        fault(offset, format!("test `{name}`: {message}"));
    };
    let mut word = |what: &str, given: Option<&Spanned<String>>, known: &[&str]| {
        if let Some(given) = given
            && !known.contains(&given.get_ref().as_str())
        {
            let hint = nearest::hint(given.get_ref(), known);
            let message = format!(
                "`{what}` is `{}`, which it cannot be{hint}",
                given.get_ref()
            );
            wrong(given.span().start, message);
        }
    };
    word(
        "verdict",
        Some(&entry.verdict),
        &Verdict::ALL.map(Verdict::as_str),
    );
    word(
        "confidence",
        entry.confidence.as_ref(),
        &Confidence::ALL.map(Confidence::as_str),
    );
    word(
        "access_path",
        entry.access_path.as_ref(),
        &AccessPath::ALL.map(AccessPath::as_str),
    );
    word(
        "credential",
        entry.credential.as_ref(),
        &Credential::ALL.map(Credential::as_str),
    );
    word(
        "outcome",
        entry.outcome.as_ref(),
        &Outcome::ALL.map(Outcome::as_str),
    );
    word(
        "operation",
        entry.operation.as_ref(),
        &Operation::ALL.map(Operation::as_str),
    );
    word("tls", entry.tls.as_ref(), &TLS.map(|(name, _)| name));
    let known: Vec<&str> = known_events().map(|(event, _)| event).collect();
    if entry.operation.is_none() {
        word("event", Some(&entry.event), &known);
    }
    let verdict = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.as_str() == entry.verdict.get_ref());
    for rule in entry.rules.iter().flatten() {
        // A permit too is named where it failed.
        let is_failure = rule.get_ref() == EVALUATION
            || verdict == Some(Verdict::Undetermined)
                && names.permits.contains(&rule.get_ref().as_str());
        if let Some(message) = names.rule_fault(rule.get_ref()).filter(|_| !is_failure) {
            wrong(rule.span().start, format!("`rules` has {message}"));
        }
    }
    let contradiction = match (verdict, entry.rules.as_deref()) {
        (Some(Verdict::InPolicy), Some([_, ..])) => {
            Some("it is to be `in_policy` and to violate rules; correct one of the two")
        }
        (Some(Verdict::OutOfPolicy), Some([])) => {
            Some("it is to be `out_of_policy` and to violate no rule; correct one of the two")
        }
        _ => None,
    };
    if let Some(message) = contradiction {
        wrong(entry.verdict.span().start, message.to_owned());
    }
    let principals = [
        entry.user.is_some(),
        entry.service_principal.is_some(),
        entry.candidates.is_some(),
        entry.aws.is_some(),
    ];
    if principals.into_iter().filter(|given| *given).count() > 1 {
        let message = "it is by one of `user`, `service_principal`, `candidates` or `aws`";
        wrong(start, message.to_owned());
    }
    if let Some(object) = &entry.object
        && bucket_and_key(object.get_ref()).is_none()
    {
        let message = format!(
            "`object` is `{}`; write it like `s3://bucket/key`",
            object.get_ref()
        );
        wrong(object.span().start, message);
    }
    let at = match &entry.at {
        None => UtcMicros::parse_iso(USUAL_TIME),
        Some(at) => {
            let time = UtcMicros::parse_iso(&at.get_ref().to_string());
            if time.is_none() {
                let message = "`at` is no time in UTC; write it like 2026-03-27T12:00:00Z";
                wrong(at.span().start, message.to_owned());
            }
            time
        }
    };
    let operation = match &entry.operation {
        Some(given) => Operation::ALL
            .into_iter()
            .find(|operation| operation.as_str() == given.get_ref()),
        None => known_events()
            .find(|(event, _)| event == entry.event.get_ref())
            .map(|(_, operation)| operation),
    };
    let expected = entry.rules.as_ref().map(|rules| {
        let mut rules: Vec<String> = rules.iter().map(|rule| rule.get_ref().clone()).collect();
        rules.sort();
        rules.dedup();
        rules
    });
    let (verdict, operation, at) = (verdict?, operation?, at?);
    sound.then_some(Example {
        name: entry.name.clone(),
        line,
        verdict,
        rules: expected,
        entry,
        operation,
        at,
    })
}
