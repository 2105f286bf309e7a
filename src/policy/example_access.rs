//! An example as an access of a log, with who it was and for what.
//!
//! What the example leaves out is usual and harmless; see `examples`.

use super::examples::{Entry, Example, Tested};
use super::facts::AccessFacts;
use super::judge::Judgement;
use super::loaded::Policy;
use crate::model::{
    AccessEvent, AccessPath, Attribution, Client, ClusterFacts, Confidence, Credential, JobFacts,
    Membership, Outcome, Principal, PrincipalKind, Target, Tls, UnattributedReason, UtcMicros,
    Workload, WorkspaceFacts,
};
use std::collections::BTreeMap;

/// Names of TLS versions, and how CloudTrail writes them.
pub(super) const TLS: [(&str, Option<&str>); 6] = [
    ("1.3", Some("TLSv1.3")),
    ("1.2", Some("TLSv1.2")),
    ("1.1", Some("TLSv1.1")),
    ("1.0", Some("TLSv1")),
    ("ssl", Some("SSLv3")),
    ("none", None),
];

pub(super) fn bucket_and_key(url: &str) -> Option<(&str, &str)> {
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
