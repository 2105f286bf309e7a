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
//! INVARIANT (the same judge): an example is put to [`Policy::judge`] as an access of a
//! log is, so that what passes here holds there.

use super::error::{PolicyError, line_of};
use super::facts::AccessFacts;
use super::judge::Judgement;
use super::loaded::Policy;
use super::nearest;
use super::rules::{DEFAULT_DENY, EVALUATION};
use super::vocabulary::known_events;
use crate::model::{
    AccessEvent, AccessPath, Attribution, Client, ClusterFacts, Confidence, Credential, JobFacts,
    Membership, Operation, Outcome, Principal, PrincipalKind, Target, Tls, UnattributedReason,
    UtcMicros, Verdict, Workload, WorkspaceFacts,
};
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
    entry: Entry,
    operation: Operation,
    at: UtcMicros,
}

/// What became of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    pub judgement: Judgement,
    /// Whether it is what was expected.
    pub passed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    test: Vec<Spanned<Entry>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    verdict: Spanned<String>,
    rules: Option<Vec<Spanned<String>>>,

    user: Option<String>,
    service_principal: Option<String>,
    /// Several that it may have been.
    candidates: Option<Vec<String>>,
    /// Who it was if nobody of Databricks, as an ARN.
    aws: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    active: Option<bool>,
    confidence: Option<Spanned<String>>,

    event: Spanned<String>,
    operation: Option<Spanned<String>>,
    object: Option<Spanned<String>>,
    bucket: Option<String>,
    prefix: Option<String>,
    copy_source: Option<String>,
    version_id: Option<String>,
    bucket_account: Option<String>,
    region: Option<String>,

    access_path: Option<Spanned<String>>,
    credential: Option<Spanned<String>>,
    outcome: Option<Spanned<String>>,
    error_code: Option<String>,
    account: Option<String>,
    identity_type: Option<String>,
    role: Option<String>,
    session_name: Option<String>,
    source_identity: Option<String>,
    session_age_hours: Option<u32>,
    invoked_by: Option<String>,
    user_agent: Option<String>,
    source_ip: Option<String>,
    vpc_endpoint: Option<String>,
    tls: Option<Spanned<String>>,
    sse: Option<String>,
    kms_key: Option<String>,
    #[serde(default)]
    presigned: bool,
    at: Option<Spanned<Datetime>>,
    settled: Option<bool>,

    workspace: Option<String>,
    workspace_name: Option<String>,
    cluster: Option<String>,
    cluster_name: Option<String>,
    cluster_source: Option<String>,
    cluster_dedicated: Option<bool>,
    #[serde(default)]
    cluster_tags: BTreeMap<String, String>,
    job: Option<String>,
    job_run: Option<String>,
    task: Option<String>,
    job_name: Option<String>,
    job_run_as: Option<String>,
    job_creator: Option<String>,
    #[serde(default)]
    job_tags: BTreeMap<String, String>,
}

/// An example without a time is of that one: noon of a Friday.
const USUAL_TIME: &str = "2026-03-27T12:00:00Z";

/// Reads `tests.toml`; every fault in it is told.
pub(super) fn parse_examples(
    file: &str,
    text: &str,
    rules: &[&str],
    faults: &mut Vec<PolicyError>,
) -> Vec<Example> {
    let mut fault = |offset: usize, message: String| {
        faults.push(PolicyError::Tests {
            file: file.to_owned(),
            line: line_of(text, offset),
            message,
        });
    };
    let parsed: File = match toml::from_str(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().replace('\n', "; ");
            let remedy = "see the example in the documentation of tests.toml";
            fault(offset, format!("{message}; {remedy}"));
            return Vec::new();
        }
    };
    let examples = parsed.test.into_iter().filter_map(|entry| {
        let start = entry.span().start;
        let line = line_of(text, start);
        checked(entry.into_inner(), (start, line), rules, &mut fault)
    });
    examples.collect()
}

/// An example whose words are all known; whatever is wrong with it is told.
fn checked(
    entry: Entry,
    (start, line): (usize, usize),
    rules: &[&str],
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
    let mut known_rules = rules.to_vec();
    known_rules.extend([DEFAULT_DENY, EVALUATION]);
    for rule in entry.rules.iter().flatten() {
        word("rules", Some(rule), &known_rules);
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
    let verdict = Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.as_str() == entry.verdict.get_ref());
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

/// Names of TLS versions, and how CloudTrail writes them.
const TLS: [(&str, Option<&str>); 6] = [
    ("1.3", Some("TLSv1.3")),
    ("1.2", Some("TLSv1.2")),
    ("1.1", Some("TLSv1.1")),
    ("1.0", Some("TLSv1")),
    ("ssl", Some("SSLv3")),
    ("none", None),
];

fn bucket_and_key(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("s3://")?.split_once('/')
}

/// The value of that name; the words were checked before.
fn of_word<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str, given: &str) -> Option<T> {
    all.iter().copied().find(|value| name(*value) == given)
}

impl Policy {
    /// Judges an example as an access of a log is judged.
    pub fn test(&self, example: &Example) -> Tested {
        let judgement = self.judge_example(example);
        let mut violated: Vec<&str> = judgement
            .violations
            .iter()
            .map(|violation| &*violation.rule)
            .collect();
        violated.sort_unstable();
        let rules_match = example.rules.as_ref().is_none_or(|rules| {
            rules
                .iter()
                .map(String::as_str)
                .eq(violated.iter().copied())
        });
        Tested {
            passed: judgement.verdict == example.verdict && rules_match,
            judgement,
        }
    }

    fn judge_example(&self, example: &Example) -> Judgement {
        let entry = &example.entry;
        let attribution = entry.attribution();
        let workload = self.workload_of(entry, &attribution);
        let principal = entry.principal(example.at, attribution.access_path, self);
        let client = entry.client();
        let object = entry
            .object
            .as_ref()
            .and_then(|url| bucket_and_key(url.get_ref()));
        let bucket = object.map(|(bucket, _)| bucket).or(entry.bucket.as_deref());
        let own = self.own_account_ids().first();
        let target = Target {
            aws_account_id: own.cloned(),
            aws_region: entry.region.clone(),
            bucket: bucket.map(str::to_owned),
            bucket_account_id: entry.bucket_account.clone().or_else(|| own.cloned()),
        };
        let object_key = object.map(|(_, key)| key);
        let outcome = entry
            .outcome
            .as_ref()
            .and_then(|word| of_word(&Outcome::ALL, Outcome::as_str, word.get_ref()));
        let access = AccessEvent {
            event_id: "",
            event_time: example.at,
            event_name: entry.event.get_ref(),
            operation: example.operation,
            outcome: outcome.unwrap_or(Outcome::Ok),
            error_code: entry.error_code.as_deref(),
            error_message: None,
            object_key,
            list_prefix: entry.prefix.as_deref(),
            version_id: entry.version_id.as_deref(),
            copy_source: entry.copy_source.as_deref(),
            bytes_in: None,
            bytes_out: None,
            sse: entry.sse.as_deref(),
            kms_key_arn: entry.kms_key.as_deref(),
            presigned: entry.presigned,
            signed_at: None,
            request_id: None,
            shared_event_id: None,
            content_id: None,
            principal: &principal,
            client: &client,
            target: &target,
        };
        self.judge(&AccessFacts {
            access: &access,
            attribution: &attribution,
            credential: entry.credential(attribution.access_path),
            dataset: self.dataset_of(bucket, object_key.or(entry.prefix.as_deref())),
            workload: &workload,
            settled: entry.settled.unwrap_or(true),
        })
    }

    /// What would be looked up of the workload, as the example has it.
    fn workload_of(&self, entry: &Entry, attribution: &Attribution) -> Workload {
        let interest = self.interest();
        let places = interest.groups.iter().enumerate();
        let places = places.filter(|(_, group)| entry.groups.contains(group));
        let membership = Membership {
            groups: places
                .filter_map(|(place, _)| u32::try_from(place).ok())
                .collect(),
            active: entry.active,
        };
        let principals = match attribution.principal {
            Some(_) => 1,
            None => attribution.principal_candidates.len(),
        };
        let tags = |tags: &BTreeMap<String, String>| {
            let tags = tags.iter();
            tags.map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Workload {
            principals: vec![membership; principals],
            job: entry.job.as_ref().map(|_| JobFacts {
                name: entry.job_name.clone(),
                run_as: entry.job_run_as.clone(),
                creator: entry.job_creator.clone(),
                tags: tags(&entry.job_tags),
            }),
            cluster: entry.cluster.as_ref().map(|_| ClusterFacts {
                name: entry.cluster_name.clone(),
                source: entry.cluster_source.clone(),
                dedicated: entry.cluster_dedicated,
                tags: tags(&entry.cluster_tags),
            }),
            workspace: entry.workspace.as_ref().map(|_| WorkspaceFacts {
                name: entry.workspace_name.clone(),
            }),
        }
    }
}

impl Entry {
    fn access_path(&self) -> AccessPath {
        let given = self.access_path.as_ref();
        given
            .and_then(|word| of_word(&AccessPath::ALL, AccessPath::as_str, word.get_ref()))
            .unwrap_or(match self.aws {
                Some(_) => AccessPath::OtherRole,
                None => AccessPath::UnityCatalog,
            })
    }

    fn credential(&self, access_path: AccessPath) -> Credential {
        let given = self.credential.as_ref();
        given
            .and_then(|word| of_word(&Credential::ALL, Credential::as_str, word.get_ref()))
            .unwrap_or(match access_path {
                AccessPath::StaticKey => Credential::Static,
                AccessPath::Anonymous => Credential::Anonymous,
                AccessPath::AwsService => Credential::Service,
                _ => Credential::Temporary,
            })
    }

    /// Who it was: as sure as the example says, of every level that it names.
    fn attribution(&self) -> Attribution {
        let access_path = self.access_path();
        let given = self.confidence.as_ref();
        let sure = given
            .and_then(|word| of_word(&Confidence::ALL, Confidence::as_str, word.get_ref()))
            .unwrap_or(Confidence::Exact);
        let of = |named: bool| if named { sure } else { Confidence::None };
        let (principal, principal_kind) = match (&self.user, &self.service_principal) {
            (Some(user), _) => (Some(user.clone()), Some(PrincipalKind::User)),
            (None, Some(id)) => (Some(id.clone()), Some(PrincipalKind::ServicePrincipal)),
            (None, None) => (None, None),
        };
        let candidates = self.candidates.clone().unwrap_or_default();
        Attribution {
            access_path,
            session_confidence: sure,
            workspace_confidence: of(self.workspace.is_some()),
            workspace_id: self.workspace.clone(),
            cluster_confidence: of(self.cluster.is_some()),
            cluster_id: self.cluster.clone(),
            job_confidence: of(self.job.is_some()),
            job_id: self.job.clone(),
            job_run_id: self.job_run.clone(),
            task_confidence: of(self.task.is_some()),
            task_key: self.task.clone(),
            principal_confidence: match candidates.is_empty() {
                true => of(principal.is_some()),
                false => Confidence::Ambiguous,
            },
            unattributed_reason: match (&principal, candidates.is_empty(), &self.aws) {
                (None, true, None) => Some(UnattributedReason::OutsideRetention),
                (None, true, Some(_)) => Some(UnattributedReason::NotDatabricks),
                _ => None,
            },
            principal,
            principal_kind,
            principal_candidate_count: u32::try_from(candidates.len()).unwrap_or(u32::MAX),
            principal_candidates: candidates,
            ..Attribution::default()
        }
    }

    /// Whom AWS saw.
    fn principal(&self, at: UtcMicros, access_path: AccessPath, policy: &Policy) -> Principal {
        if access_path == AccessPath::Anonymous {
            return Principal {
                identity_type: self.identity_type.clone(),
                account_id: Some("anonymous".to_owned()),
                ..Principal::default()
            };
        }
        let age = i64::from(self.session_age_hours.unwrap_or(1)) * 3_600;
        let is_session = self.credential(access_path) == Credential::Temporary;
        let usual_type = match is_session {
            true => "AssumedRole",
            false => "IAMUser",
        };
        let role = self.role.clone();
        Principal {
            identity_type: Some(
                self.identity_type
                    .clone()
                    .unwrap_or_else(|| usual_type.to_owned()),
            ),
            arn: self.aws.clone().or_else(|| role.clone()),
            account_id: self
                .account
                .clone()
                .or_else(|| policy.own_account_ids().first().cloned()),
            session_issuer_arn: role,
            session_name: self.session_name.clone(),
            source_identity: self.source_identity.clone(),
            session_issued_at: is_session.then(|| at.plus_seconds(-age)),
            invoked_by: self.invoked_by.clone(),
            ..Principal::default()
        }
    }

    fn client(&self) -> Client {
        let tls = self.tls.as_ref().map_or("1.3", |word| word.get_ref());
        let version = TLS.iter().find(|(name, _)| *name == tls);
        Client {
            source_ip: Some(
                self.source_ip
                    .clone()
                    .unwrap_or_else(|| "10.0.0.1".to_owned()),
            ),
            user_agent: self.user_agent.clone(),
            vpc_endpoint_id: self.vpc_endpoint.clone(),
            tls: Tls {
                version: version
                    .and_then(|(_, recorded)| *recorded)
                    .map(str::to_owned),
                plaintext: tls == "none",
            },
            auth_method: None,
        }
    }
}
