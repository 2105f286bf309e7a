//! Claims about the whole layer, through its public functions only.
//!
//! One small organisation serves all: account 111122223333 with an instance
//! profile, a storage-credential role and an application role.

mod classification;
mod compute;
mod damaged;
mod groups;
mod instances;
mod lake_facts;
mod order;
mod people;
mod random;
mod sessions;
mod too_sure;
mod twin;
mod vends;

use super::{IdentityIndex, IdentitySettings, attribute, attribute_within};
use crate::model::{
    AccessEvent, Attribution, Client, Ec2Instance, Operation, Outcome, Principal, StsSession,
    Target, UtcMicros,
};

const UC_ROLE: &str = "arn:aws:iam::111122223333:role/uc/storage";
const PROFILE_ROLE: &str = "arn:aws:iam::111122223333:role/cluster-profile";
const APP_ROLE: &str = "arn:aws:iam::111122223333:role/app";
const LOG_ROLE: &str = "arn:aws:iam::111122223333:role/log-delivery";
const INSTANCE: &str = "i-0c1a23fc456b7ab89";
const DATABRICKS: &str = "414351767826";

/// Seconds after an arbitrary day.
fn at(seconds: i64) -> UtcMicros {
    UtcMicros::from_seconds(1_790_000_000 + seconds)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A session of a role, as a call made with it shows it; created at 0.
fn role_session(role_arn: &str, name: &str, key: &str) -> Principal {
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    let account = role_arn.split(':').nth(4).unwrap_or_default();
    Principal {
        identity_type: some("AssumedRole"),
        principal_id: Some(format!("AROA{role}:{name}")),
        arn: Some(format!("arn:aws:sts::{account}:assumed-role/{role}/{name}")),
        account_id: some(account),
        access_key_id: some(key),
        session_issuer_arn: some(role_arn),
        session_name: some(name),
        session_issued_at: Some(at(0)),
        ..Principal::default()
    }
}

fn in_scope(mut principal: Principal, instance_id: &str) -> Principal {
    principal.in_scope_issuer_type = some("AWS::EC2::Instance");
    principal.in_scope_issued_to = Some(format!(
        "arn:aws:ec2:eu-west-2:111122223333:instance/{instance_id}"
    ));
    principal
}

fn account(id: &str) -> Principal {
    Principal {
        identity_type: some("AWSAccount"),
        principal_id: some("AROAELSEWHERE:x"),
        account_id: some(id),
        ..Principal::default()
    }
}

fn iam_user(key: &str) -> Principal {
    Principal {
        identity_type: some("IAMUser"),
        arn: some("arn:aws:iam::111122223333:user/ann"),
        account_id: some("111122223333"),
        user_name: some("ann"),
        access_key_id: some(key),
        ..Principal::default()
    }
}

fn ec2_service() -> Principal {
    Principal {
        identity_type: some("AWSService"),
        invoked_by: some("ec2.amazonaws.com"),
        ..Principal::default()
    }
}

/// An STS event at 0 that issued `key` for one hour.
fn issued(event_id: &str, role_arn: &str, name: &str, key: &str, caller: Principal) -> StsSession {
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    StsSession {
        event_id: event_id.to_owned(),
        event_name: "AssumeRole".to_owned(),
        issued_at: at(0),
        expires_at: Some(at(3600)),
        access_key_id: some(key),
        role_arn: some(role_arn),
        role_session_name: some(name),
        assumed_role_id: Some(format!("AROA{role}:{name}")),
        caller,
        ..StsSession::default()
    }
}

fn ec2(event_id: &str, name: &str, seconds: i64, tags: &[(&str, &str)]) -> Ec2Instance {
    Ec2Instance {
        instance_id: INSTANCE.to_owned(),
        event_id: event_id.to_owned(),
        event_name: name.to_owned(),
        event_time: at(seconds),
        tags: tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..Ec2Instance::default()
    }
}

fn settings() -> IdentitySettings {
    IdentitySettings {
        log_delivery_roles: vec![LOG_ROLE.to_owned()],
        storage_credential_roles: vec![UC_ROLE.to_owned()],
        ..IdentitySettings::default()
    }
}

/// An index with these facts that knows no storage credential.
fn world(sessions: &[StsSession], instances: &[Ec2Instance]) -> IdentityIndex {
    IdentityIndex::new(IdentitySettings::default()).with(sessions.to_vec(), instances.to_vec())
}

/// The same, where [`UC_ROLE`] is known as storage credential.
fn configured(sessions: &[StsSession], instances: &[Ec2Instance]) -> IdentityIndex {
    IdentityIndex::new(settings()).with(sessions.to_vec(), instances.to_vec())
}

/// What an access is, as far as attribution may look.
#[derive(Clone, Debug, Default)]
struct Asked {
    principal: Principal,
    client: Client,
    target: Target,
    object_key: Option<String>,
    presigned: bool,
    signed_at: Option<UtcMicros>,
    at: UtcMicros,
}

impl Asked {
    fn of(principal: Principal) -> Asked {
        Asked {
            principal,
            at: at(60),
            ..Asked::default()
        }
    }

    fn at(self, seconds: i64) -> Asked {
        Asked {
            at: at(seconds),
            ..self
        }
    }

    fn key(self, key: &str) -> Asked {
        Asked {
            object_key: some(key),
            ..self
        }
    }

    fn access(&self) -> AccessEvent<'_> {
        AccessEvent {
            event_id: "s3",
            event_time: self.at,
            event_name: "GetObject",
            operation: Operation::Read,
            outcome: Outcome::Ok,
            error_code: None,
            error_message: None,
            object_key: self.object_key.as_deref(),
            list_prefix: None,
            version_id: None,
            copy_source: None,
            bytes_in: None,
            bytes_out: None,
            sse: None,
            kms_key_arn: None,
            presigned: self.presigned,
            signed_at: self.signed_at,
            request_id: None,
            shared_event_id: None,
            content_id: None,
            principal: &self.principal,
            client: &self.client,
            target: &self.target,
        }
    }

    fn answer(&self, index: &IdentityIndex) -> Attribution {
        attribute(&self.access(), index)
    }
}

/// Writes an attribution in one line; what is unknown is left out.
fn line(answer: &Attribution) -> String {
    let mut words = vec![answer.access_path.as_str().to_owned()];
    for (name, id, confidence) in [
        (
            "session",
            &answer.session_event_id,
            answer.session_confidence,
        ),
        (
            "workspace",
            &answer.workspace_id,
            answer.workspace_confidence,
        ),
        ("cluster", &answer.cluster_id, answer.cluster_confidence),
        ("job", &answer.job_id, answer.job_confidence),
        ("run", &answer.job_run_id, crate::model::Confidence::None),
        ("task", &answer.task_run_id, answer.task_confidence),
        ("principal", &answer.principal, answer.principal_confidence),
    ] {
        if id.is_some() || confidence != crate::model::Confidence::None {
            let id = id.as_deref().unwrap_or("?");
            if name == "run" {
                words.push(format!("run={id}"));
            } else {
                words.push(format!("{name}={id}:{}", confidence.as_str()));
            }
        }
    }
    for (name, list) in [
        ("runs", &answer.job_run_candidates),
        ("people", &answer.principal_candidates),
    ] {
        if !list.is_empty() {
            words.push(format!("{name}{{{}}}", list.join(" ")));
        }
    }
    if let Some(id) = &answer.instance_id {
        words.push(id.clone());
    }
    let methods: Vec<&str> = answer
        .methods
        .iter()
        .map(|method| method.as_str())
        .collect();
    words.push(format!("[{}]", methods.join(" ")));
    words.push(format!("[{}]", answer.evidence.join(" ")));
    words.extend(
        answer
            .unattributed_reason
            .map(|reason| reason.as_str().to_owned()),
    );
    words.join(" ")
}

#[track_caller]
fn check(asked: &Asked, index: &IdentityIndex, expect: &str) {
    assert_eq!(line(&asked.answer(index)), expect);
}
