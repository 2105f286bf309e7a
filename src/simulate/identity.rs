//! Writes `userIdentity` as CloudTrail does, for each kind of signer.

use super::org::DATABRICKS_ACCOUNT;
use super::play::{RoleSession, Signer};
use super::text::{iso, put};

/// The whole block, as the caller's own account sees it.
pub(super) fn write(signer: &Signer, out: &mut String) {
    match signer {
        Signer::Session(session) => write_session(session, out),
        Signer::User {
            account,
            name,
            id,
            key,
        } => put(
            out,
            format_args!(
                r#"{{"type":"IAMUser","principalId":"{id}","arn":"arn:aws:iam::{account}:user/{name}","accountId":"{account}","accessKeyId":"{key}","userName":"{name}"}}"#
            ),
        ),
        Signer::Platform { principal_id } => put(
            out,
            format_args!(
                r#"{{"type":"AWSAccount","principalId":"{principal_id}","accountId":"{DATABRICKS_ACCOUNT}"}}"#
            ),
        ),
        Signer::Service(service) => put(
            out,
            format_args!(r#"{{"type":"AWSService","invokedBy":"{service}"}}"#),
        ),
        Signer::Anonymous => {
            out.push_str(r#"{"type":"AWSAccount","principalId":"","accountId":"anonymous"}"#)
        }
    }
}

pub(super) fn write_session(session: &RoleSession, out: &mut String) {
    let role = &session.role;
    let (account, role_name, id) = (role.account, &role.name, &role.id);
    put(
        out,
        format_args!(
            r#"{{"type":"AssumedRole","principalId":"{id}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{role_name}/{name}","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"{id}","arn":"{arn}","accountId":"{account}","userName":"{role_name}"}},"attributes":{{"creationDate":"{issued}","mfaAuthenticated":"false"}}"#,
            name = session.name,
            key = session.key,
            arn = role.arn(),
            issued = iso(session.issued),
        ),
    );
    if session.is_delivered {
        out.push_str(r#","ec2RoleDelivery":"2.0""#);
    }
    out.push('}');
    if let Some(instance) = &session.in_scope_of {
        put(
            out,
            format_args!(
                r#","inScopeOf":{{"issuerType":"AWS::EC2::Instance","credentialsIssuedTo":"{instance}"}}"#
            ),
        );
    }
    out.push('}');
}

/// A session with a directory bucket, which stands for another: its own key and
/// creation, no issuer.
pub(super) fn write_directory_session(
    session: &RoleSession,
    key: &str,
    opened: i64,
    out: &mut String,
) {
    let role = &session.role;
    let (account, id, name) = (role.account, &role.id, &session.name);
    put(
        out,
        format_args!(
            r#"{{"type":"AssumedRole","principalId":"{id}:{name}","arn":"arn:aws:sts::{account}:assumed-role/{}/{name}","accountId":"{account}","accessKeyId":"{key}","sessionContext":{{"attributes":{{"creationDate":"{}"}}}}}}"#,
            role.name,
            iso(opened)
        ),
    );
}

/// What another account's trail shows of the caller: no ARN, no key.
pub(super) fn seen_from_outside(signer: &Signer, out: &mut String) {
    match signer {
        Signer::Session(session) => put(
            out,
            format_args!(
                r#"{{"type":"AWSAccount","principalId":"{}:{}","accountId":"{}"}}"#,
                session.role.id, session.name, session.role.account
            ),
        ),
        other => write(other, out),
    }
}

/// The caller's ARN; empty where there is none.
pub(super) fn arn(signer: &Signer) -> String {
    match signer {
        Signer::Session(session) => format!(
            "arn:aws:sts::{}:assumed-role/{}/{}",
            session.role.account, session.role.name, session.name
        ),
        Signer::User { account, name, .. } => format!("arn:aws:iam::{account}:user/{name}"),
        Signer::Platform { .. } | Signer::Service(_) | Signer::Anonymous => String::new(),
    }
}
