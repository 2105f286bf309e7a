//! Follows a session back to where it comes from: who called for it, with
//! whose session, and so on to the first.
//!
//! Each step back is M1: the access key of the caller names the STS event that
//! issued it, alive when the call was made. The time of the access itself plays
//! no part, so a trace holds as long as its first link.

use super::aws::account_of;
use super::aws::{
    filled, instance_by_name, instance_in_scope, is_ec2_infrastructure, is_ec2_service,
    is_in_scope_of_instance, is_instance_id, is_role_session,
};
use super::call::Call;
use super::index::IdentityIndex;
use super::known_facts::Roles;
use super::sessions::Sessions;
use crate::model::{Principal, UtcMicros};

/// Most sessions followed back. Chains of roles are short (each assumes the
/// next by hand); the bound also ends a cycle, which only bad data can have.
const CHAIN_MAX: usize = 8;

/// A session and those before it.
#[derive(Clone, Debug)]
pub(super) struct Trace<'a> {
    /// The session asked about first, its origin last; never empty.
    pub chain: Vec<&'a Call>,
    pub end: End<'a>,
    /// Whether every call known in the chain but the last was made by the very
    /// role that it assumed.
    self_assumed: bool,
}

/// Where a chain of sessions ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End<'a> {
    /// EC2 delivered the last session of the chain to this instance.
    Delivered { instance_id: &'a str },
    /// This instance called for the last session of the chain; the id is not
    /// always told.
    CalledByInstance { instance_id: Option<&'a str> },
    /// Issued to an account of Databricks.
    Databricks,
    /// Issued to Databricks for the delivery of logs.
    LogDelivery,
    /// Issued to another AWS account.
    Foreign,
    /// Issued to a user, an identity provider, or an AWS service of this account.
    Local,
    /// Issued to a role session whose own STS event is not recorded.
    Unrecorded,
    /// The record does not tell the caller.
    Untold,
}

/// Whether Unity Catalog vended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vended {
    Proven,
    /// Nothing speaks against it.
    Possible,
    /// Someone else called for it.
    Disproven,
}

impl<'a> Trace<'a> {
    pub fn of(call: &'a Call, index: &'a IdentityIndex) -> Trace<'a> {
        let mut trace = Trace {
            chain: vec![call],
            end: End::Unrecorded,
            self_assumed: true,
        };
        let mut call = call;
        loop {
            let parent = parent_of(call, index.issued_sessions());
            if let Some(end) = end_at(call, parent, index) {
                trace.end = end;
                if end == End::Unrecorded {
                    trace.self_assumed &= is_self_assumed(call, parent);
                }
                return trace;
            }
            let Some(parent) = parent.filter(|_| trace.chain.len() < CHAIN_MAX) else {
                trace.self_assumed = false;
                return trace;
            };
            trace.self_assumed &= is_self_assumed(call, Some(parent));
            trace.chain.push(parent);
            call = parent;
        }
    }

    /// The instance whose own credentials this session is, as EC2 delivered it.
    pub fn delivered_to(&self) -> Option<&'a str> {
        match (self.end, self.chain.len()) {
            (End::Delivered { instance_id }, 1) => Some(instance_id),
            _ => None,
        }
    }

    /// The instance that called for this session, directly or through others,
    /// and when it did.
    pub fn called_by_instance(&self) -> Option<(Option<&'a str>, UtcMicros)> {
        let (instance_id, back) = match self.end {
            End::Delivered { instance_id } => (Some(instance_id), 2),
            End::CalledByInstance { instance_id } => (instance_id, 1),
            _ => return None,
        };
        let call = self
            .chain
            .len()
            .checked_sub(back)
            .and_then(|at| self.chain.get(at))?;
        Some((instance_id, call.issued_at()))
    }

    /// The role that the session is of.
    pub fn role_arn(&self) -> Option<&'a str> {
        self.chain.first().and_then(|call| call.role_arn())
    }

    /// Whether Unity Catalog vended this session: Databricks called for it, or
    /// the role itself did with a session that was vended, or the role itself
    /// did and is known as a storage credential.
    pub fn vended(&self, roles: &Roles<'_>) -> Vended {
        let is_storage = self
            .role_arn()
            .is_some_and(|role| roles.is_storage_credential(role));
        match self.end {
            End::Databricks if self.self_assumed => Vended::Proven,
            End::Unrecorded if self.self_assumed && is_storage => Vended::Proven,
            End::Untold if self.self_assumed => Vended::Possible,
            _ => Vended::Disproven,
        }
    }
}

/// The session that signed the call, where one STS event is known to have issued it.
fn parent_of<'a>(call: &'a Call, sessions: &'a Sessions) -> Option<&'a Call> {
    let key = filled(call.caller().access_key_id.as_deref())?;
    let (calls, _) = sessions.issued(key, call.issued_at());
    match calls.as_slice() {
        [parent] => Some(parent),
        _ => None,
    }
}

/// Where the chain ends, if it ends at this call.
fn end_at<'a>(call: &'a Call, parent: Option<&Call>, index: &IdentityIndex) -> Option<End<'a>> {
    let caller = call.caller();
    let known = index.known();
    let named =
        || instance_by_name(caller).filter(|id| !index.ec2_instances().is_foreign(id, caller));
    if is_ec2_service(caller)
        && let Some(instance_id) = call.session_name().filter(|name| is_instance_id(name))
    {
        return Some(End::Delivered { instance_id });
    }
    if account_of(caller).is_some_and(|account| known.is_databricks_account(account)) {
        let delivers = |role: Option<&str>| role.is_some_and(|role| known.is_log_delivery(role));
        let logs = delivers(call.role_arn()) || delivers(caller.session_issuer_arn.as_deref());
        return Some(if logs {
            End::LogDelivery
        } else {
            End::Databricks
        });
    }
    if is_ec2_infrastructure(caller) {
        return Some(End::Local);
    }
    if is_in_scope_of_instance(caller) {
        // Without an id in scope, the delivery or the name tells it.
        return match (instance_in_scope(caller), parent) {
            (None, Some(_)) => None,
            (id, _) => Some(End::CalledByInstance {
                instance_id: id.or_else(named),
            }),
        };
    }
    if parent.is_some() {
        return None;
    }
    if let Some(id) = named() {
        return Some(End::CalledByInstance {
            instance_id: Some(id),
        });
    }
    Some(match caller.identity_type.as_deref() {
        _ if *caller == Principal::default() => End::Untold,
        _ if is_role_session(caller) => End::Unrecorded,
        Some("AWSAccount") => End::Foreign,
        Some("Unknown") | None => End::Untold,
        Some(_) => End::Local,
    })
}

/// Whether the session was called for by a session of the same role.
fn is_self_assumed(call: &Call, parent: Option<&Call>) -> bool {
    let caller_role = filled(call.caller().session_issuer_arn.as_deref())
        .or_else(|| parent.and_then(Call::role_arn));
    caller_role.is_some() && caller_role == call.role_arn()
}
