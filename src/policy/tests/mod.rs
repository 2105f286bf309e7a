//! Tests of the policy as a whole; each file has one subject.

pub(super) mod all_at_once;
mod cache_key;
mod exceptions;
mod faults;
mod findings;
mod packs;
mod principals;
mod starter;
mod suggest;
mod version;
mod visible;
mod workload;

use super::{AccessFacts, Judgement, Policy, PolicyFile, PolicySettings};
use crate::model::{
    AccessEvent, AccessPath, Attribution, Client, Credential, Operation, Outcome, Principal,
    Target, Tls, UtcMicros, Workload,
};
use std::sync::LazyLock;

/// An access that owns its text: a cluster reads an object, as it should.
#[derive(Clone, Debug)]
struct Case {
    event_id: String,
    event_time: UtcMicros,
    event_name: String,
    operation: Operation,
    outcome: Outcome,
    error_code: Option<String>,
    error_message: Option<String>,
    object_key: Option<String>,
    list_prefix: Option<String>,
    version_id: Option<String>,
    copy_source: Option<String>,
    bytes_out: Option<i64>,
    sse: Option<String>,
    kms_key_arn: Option<String>,
    presigned: bool,
    request_id: Option<String>,
    principal: Principal,
    client: Client,
    target: Target,
    attribution: Attribution,
    credential: Credential,
    workload: Workload,
    settled: bool,
}

impl Default for Case {
    fn default() -> Self {
        let own = |text: &str| Some(text.to_owned());
        Case {
            event_id: "e-1".to_owned(),
            event_time: at("2026-03-27T18:00:00Z"),
            event_name: "GetObject".to_owned(),
            operation: Operation::Read,
            outcome: Outcome::Ok,
            error_code: None,
            error_message: None,
            object_key: own("raw/day=1/x.parquet"),
            list_prefix: None,
            version_id: None,
            copy_source: None,
            bytes_out: Some(10),
            sse: own("SSE_KMS"),
            kms_key_arn: own("arn:aws:kms:eu-west-1:111122223333:key/1a2b"),
            presigned: false,
            request_id: own("r-1"),
            principal: Principal {
                identity_type: own("AssumedRole"),
                principal_id: own("AROAEXAMPLE:i-0c1a23fc456b7ab89"),
                arn: own("arn:aws:sts::111122223333:assumed-role/etl/i-0c1a23fc456b7ab89"),
                account_id: own("111122223333"),
                access_key_id: own("ASIAEXAMPLE"),
                session_issuer_arn: own("arn:aws:iam::111122223333:role/etl"),
                session_name: own("i-0c1a23fc456b7ab89"),
                session_issued_at: Some(at("2026-03-27T17:08:37Z")),
                ..Principal::default()
            },
            client: Client {
                source_ip: own("10.1.2.3"),
                user_agent: own("Spark"),
                vpc_endpoint_id: own("vpce-1"),
                tls: Tls {
                    version: own("TLSv1.3"),
                    plaintext: false,
                },
                auth_method: own("AuthHeader"),
            },
            target: Target {
                aws_account_id: own("111122223333"),
                aws_region: own("eu-west-1"),
                bucket: own("lake"),
                bucket_account_id: own("111122223333"),
            },
            attribution: Attribution {
                access_path: AccessPath::InstanceProfile,
                ..Attribution::default()
            },
            credential: Credential::Temporary,
            workload: Workload::default(),
            settled: true,
        }
    }
}

impl Case {
    fn event(name: &str, operation: Operation) -> Case {
        Case {
            event_name: name.to_owned(),
            operation,
            ..Case::default()
        }
    }

    fn access(&self) -> AccessEvent<'_> {
        AccessEvent {
            event_id: &self.event_id,
            event_time: self.event_time,
            event_name: &self.event_name,
            operation: self.operation,
            outcome: self.outcome,
            error_code: self.error_code.as_deref(),
            error_message: self.error_message.as_deref(),
            object_key: self.object_key.as_deref(),
            list_prefix: self.list_prefix.as_deref(),
            version_id: self.version_id.as_deref(),
            copy_source: self.copy_source.as_deref(),
            bytes_in: None,
            bytes_out: self.bytes_out,
            sse: self.sse.as_deref(),
            kms_key_arn: self.kms_key_arn.as_deref(),
            presigned: self.presigned,
            signed_at: None,
            request_id: self.request_id.as_deref(),
            shared_event_id: None,
            content_id: None,
            principal: &self.principal,
            client: &self.client,
            target: &self.target,
        }
    }

    /// Gives what the policy judges on to `look`.
    fn with_facts<T>(&self, policy: &Policy, mut look: impl FnMut(&AccessFacts<'_>) -> T) -> T {
        let access = self.access();
        let key = access.object_key.or(access.list_prefix);
        look(&AccessFacts {
            access: &access,
            attribution: &self.attribution,
            credential: self.credential,
            dataset: policy.dataset_of(access.target.bucket.as_deref(), key),
            workload: &self.workload,
            settled: self.settled,
        })
    }

    fn judge(&self, policy: &Policy) -> Judgement {
        self.with_facts(policy, |facts| policy.judge(facts))
    }
}

fn at(text: &str) -> UtcMicros {
    UtcMicros::parse_iso(text).unwrap()
}

fn file(name: &str, text: &str) -> PolicyFile {
    PolicyFile {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// A policy of one Cedar file.
fn policy(text: &str) -> Policy {
    let files = vec![file("test.cedar", text)];
    Policy::parse(files, &PolicySettings::default()).unwrap()
}

/// The verdict and the rules, as one line.
fn render(judgement: &Judgement) -> String {
    let mut line = judgement.verdict.as_str().to_owned();
    for violation in &judgement.violations {
        line.push_str(&format!(
            " {}({})",
            violation.rule,
            violation.severity.as_str()
        ));
    }
    line
}

/// The starter policy with everything that can be configured.
static STARTER: LazyLock<Policy> = LazyLock::new(|| {
    Policy::starter(&PolicySettings {
        session_age_max_hours: 12,
        known_networks: vec!["203.0.113.0/24".to_owned()],
        known_vpc_endpoints: vec!["vpce-1".to_owned()],
        own_account_ids: vec!["111122223333".to_owned()],
    })
    .unwrap()
});
