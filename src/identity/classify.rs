//! The access path: how a request reached S3. Deterministic; first match wins.

use super::aws::{
    account_of, filled, instance_by_name, instance_in_scope, is_anonymous, is_ec2_infrastructure,
    is_in_scope_of_instance,
};
use super::index::IdentityIndex;
use super::known_facts::Roles;
use super::link::Link;
use super::settings::Known;
use super::trace::{End, Vended};
use crate::model::{AccessEvent, AccessPath, Client, Credential, Principal, UtcMicros};

/// The access path, and for the paths through an instance which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class<'a> {
    pub path: AccessPath,
    pub instance_id: Option<&'a str>,
    /// When the instance called for the session, if it did not sign itself.
    pub called_at: Option<UtcMicros>,
}

/// Tells how the access reached S3.
pub(super) fn classify<'a>(
    access: &AccessEvent<'a>,
    link: &Link<'a>,
    roles: &Roles<'_>,
    index: &IdentityIndex,
) -> Class<'a> {
    let known = roles.known;
    let principal = access.principal;
    let path = |path| Class {
        path,
        instance_id: None,
        called_at: None,
    };
    if is_aws_internal(principal, access.client) {
        return path(AccessPath::AwsService);
    }
    if is_in_scope_of_instance(principal) {
        return Class {
            instance_id: own_instance(principal, link, index),
            ..path(AccessPath::InstanceProfile)
        };
    }
    if is_platform(principal, link, known) {
        return path(AccessPath::DatabricksPlatform);
    }
    if is_vended(principal, link, roles) {
        return path(AccessPath::UnityCatalog);
    }
    if let Some(instance_id) = own_instance(principal, link, index) {
        return Class {
            instance_id: Some(instance_id),
            ..path(AccessPath::InstanceProfile)
        };
    }
    if let Some((instance_id, called_at)) = link.exact().and_then(|t| t.called_by_instance()) {
        return Class {
            path: AccessPath::AssumedByInstance,
            instance_id,
            called_at: Some(called_at),
        };
    }
    path(match principal.identity_type.as_deref() {
        Some("IAMUser") => AccessPath::StaticKey,
        _ if is_anonymous(principal) => AccessPath::Anonymous,
        Some(
            "AssumedRole" | "Role" | "AWSAccount" | "FederatedUser" | "Root" | "IdentityCenterUser",
        ) => AccessPath::OtherRole,
        _ => AccessPath::Unknown,
    })
}

/// P0: AWS's own work, not the user's.
fn is_aws_internal(principal: &Principal, client: &Client) -> bool {
    let internal_ip = client
        .source_ip
        .as_deref()
        .is_some_and(|ip| ip.starts_with("AWS Internal"));
    is_ec2_infrastructure(principal)
        || principal.identity_type.as_deref() == Some("AWSService")
        || (internal_ip && client.user_agent.as_deref().is_some_and(is_service_agent))
}

/// Whether a user agent is an AWS service; S3 writes it in square brackets.
fn is_service_agent(agent: &str) -> bool {
    let agent = agent.trim_start_matches('[').trim_end_matches(']');
    agent.starts_with("AWS Internal")
        || (!agent.contains(char::is_whitespace)
            && (agent.ends_with(".amazonaws.com") || agent.ends_with(".amazonaws.com.cn")))
}

/// P4: an account of Databricks, or the role it delivers logs with.
fn is_platform(principal: &Principal, link: &Link<'_>, known: &Known) -> bool {
    let sole = link.sole();
    account_of(principal).is_some_and(|account| known.is_databricks_account(account))
        || role_of(principal, link).is_some_and(|role| known.is_log_delivery(role))
        || sole.is_some_and(|trace| trace.end == End::LogDelivery && trace.chain.len() == 1)
}

/// P2: a session that Unity Catalog vended.
///
/// A role may be instance profile and storage credential at once: a session
/// named like an instance is vended only if the key proves it (M1).
fn is_vended(principal: &Principal, link: &Link<'_>, roles: &Roles<'_>) -> bool {
    if credential(principal) != Credential::Temporary {
        return false;
    }
    if instance_by_name(principal).is_some() {
        return link
            .exact()
            .is_some_and(|trace| trace.vended(roles) == Vended::Proven);
    }
    let is_storage = role_of(principal, link).is_some_and(|role| roles.is_storage_credential(role));
    let proofs = || link.traces.iter().map(|trace| trace.vended(roles));
    let all_proven = !link.traces.is_empty() && proofs().all(|proof| proof == Vended::Proven);
    let refuted = !link.traces.is_empty() && proofs().all(|proof| proof == Vended::Disproven);
    all_proven || (is_storage && !refuted)
}

/// The instance whose own credentials signed: by scope, by delivery, by name.
///
/// A name that the STS record contradicts is not believed, nor one of an
/// instance in another account: whoever may assume a role may call the session
/// `i-…`.
fn own_instance<'a>(
    principal: &'a Principal,
    link: &Link<'a>,
    index: &IdentityIndex,
) -> Option<&'a str> {
    let delivered = link.exact().and_then(|trace| trace.delivered_to());
    let in_scope = is_in_scope_of_instance(principal);
    let contradicted = !in_scope
        && link
            .exact()
            .is_some_and(|trace| trace.delivered_to().is_none() && trace.end != End::Untold);
    instance_in_scope(principal)
        .filter(|_| in_scope)
        .or(delivered)
        .or_else(|| {
            instance_by_name(principal)
                .filter(|id| !contradicted && !index.ec2_instances().is_foreign(id, principal))
        })
}

/// The role that signed, by its full ARN: as the access tells it, else as the
/// issuing STS event does. Never by an `assumed-role` ARN, which drops the path.
fn role_of<'a>(principal: &'a Principal, link: &Link<'a>) -> Option<&'a str> {
    filled(principal.session_issuer_arn.as_deref())
        .or_else(|| link.sole().and_then(|trace| trace.role_arn()))
}

/// Tells what kind of credential signed, from the principal alone.
///
/// The kind of identity goes before the key's prefix where it settles the
/// matter: AWS's own samples print `AKIA` for temporary keys too.
pub fn credential(principal: &Principal) -> Credential {
    let key = filled(principal.access_key_id.as_deref());
    let by_prefix = match key {
        Some(key) if key.starts_with("ASIA") => Credential::Temporary,
        Some(key) if key.starts_with("AKIA") => Credential::Static,
        _ => Credential::Unknown,
    };
    if is_anonymous(principal) {
        return Credential::Anonymous;
    }
    match principal.identity_type.as_deref() {
        Some("AWSService") => Credential::Service,
        _ if key.is_none() && filled(principal.invoked_by.as_deref()).is_some() => {
            Credential::Service
        }
        Some("AssumedRole" | "Role" | "FederatedUser" | "IdentityCenterUser") => {
            Credential::Temporary
        }
        _ => by_prefix,
    }
}
