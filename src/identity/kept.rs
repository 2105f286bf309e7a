//! A record of an STS event as it is kept: a million of them fit in half a gigabyte.
//!
//! What repeats from record to record (the role, the caller, the policy, the object it
//! was read from) is shared by all that have it; what is its own (event id, key) is
//! kept once.

use super::aws::filled;
use crate::model::{Principal, StsSession, UtcMicros};
use hashbrown::HashSet;
use std::cmp::Ordering;
use std::hash::Hash;
use std::sync::Arc;

/// A record that issued a session.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub event_id: Arc<str>,
    pub shared_event_id: Option<Arc<str>>,
    pub access_key_id: Option<Arc<str>>,
    pub issued_at: UtcMicros,
    /// `MIN` if the record shows none: an option takes twice the room.
    expires_at: UtcMicros,
    assumed: Arc<Assumed>,
    pub caller: Arc<Principal>,
    pub policy: Arc<SessionPolicy>,
    rest: Arc<Rest>,
}

/// The role session that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Assumed {
    role_arn: Option<Arc<str>>,
    role_session_name: Option<Arc<str>>,
    assumed_role_id: Option<Arc<str>>,
    external_id: Option<Arc<str>>,
}

/// What a session policy allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionPolicy {
    pub prefixes: Vec<String>,
    pub actions: Vec<String>,
}

impl SessionPolicy {
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.actions.is_empty()
    }
}

/// What tells where a record is from, and which of two of one event is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Rest {
    event_name: String,
    aws_account_id: Option<String>,
    aws_region: Option<String>,
    source_identity: Option<String>,
    caller_ip: Option<String>,
    source_uri: String,
}

/// Everything that records share.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    texts: HashSet<Arc<str>>,
    assumed: HashSet<Arc<Assumed>>,
    callers: HashSet<Arc<Principal>>,
    policies: HashSet<Arc<SessionPolicy>>,
    rests: HashSet<Arc<Rest>>,
}

impl Pool {
    /// Keeps a record.
    pub fn keep(&mut self, session: StsSession) -> Kept {
        let own = |text: Option<String>| text.map(Arc::from);
        let assumed = Assumed {
            role_arn: self.text(session.role_arn),
            role_session_name: self.text(session.role_session_name),
            assumed_role_id: self.text(session.assumed_role_id),
            external_id: self.text(session.external_id),
        };
        Kept {
            event_id: Arc::from(session.event_id),
            shared_event_id: own(session.shared_event_id),
            access_key_id: own(session.access_key_id),
            issued_at: session.issued_at,
            expires_at: session.expires_at.unwrap_or(UtcMicros::MIN),
            assumed: shared(&mut self.assumed, assumed),
            caller: shared(&mut self.callers, session.caller),
            policy: shared(
                &mut self.policies,
                SessionPolicy {
                    prefixes: session.policy_prefixes,
                    actions: session.policy_actions,
                },
            ),
            rest: shared(
                &mut self.rests,
                Rest {
                    event_name: session.event_name,
                    aws_account_id: session.aws_account_id,
                    aws_region: session.aws_region,
                    source_identity: session.source_identity,
                    caller_ip: session.caller_ip,
                    source_uri: session.source_uri,
                },
            ),
        }
    }

    fn text(&mut self, text: Option<String>) -> Option<Arc<str>> {
        let text = text?;
        let kept = self
            .texts
            .get_or_insert_with(text.as_str(), |text| Arc::from(text));
        Some(kept.clone())
    }
}

fn shared<T: Hash + Eq>(pool: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    pool.get_or_insert(Arc::new(value)).clone()
}

impl Kept {
    /// Returns the record as it was read.
    pub fn session(&self) -> StsSession {
        let own = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        StsSession {
            event_id: self.event_id.as_ref().to_owned(),
            event_name: self.rest.event_name.clone(),
            issued_at: self.issued_at,
            expires_at: self.expires_at(),
            aws_account_id: self.rest.aws_account_id.clone(),
            aws_region: self.rest.aws_region.clone(),
            access_key_id: own(&self.access_key_id),
            role_arn: own(&self.assumed.role_arn),
            role_session_name: own(&self.assumed.role_session_name),
            assumed_role_id: own(&self.assumed.assumed_role_id),
            external_id: own(&self.assumed.external_id),
            source_identity: self.rest.source_identity.clone(),
            caller: Principal::clone(&self.caller),
            caller_ip: self.rest.caller_ip.clone(),
            policy_prefixes: self.policy.prefixes.clone(),
            policy_actions: self.policy.actions.clone(),
            error_code: None,
            shared_event_id: own(&self.shared_event_id),
            source_uri: self.rest.source_uri.clone(),
        }
    }

    /// Whether both are one record that was read from two places.
    pub fn is_same_record(&self, other: &Kept) -> bool {
        self.event_id == other.event_id && {
            let mut moved = self.session();
            moved.source_uri.clone_from(&other.rest.source_uri);
            moved == other.session()
        }
    }

    pub fn role_arn(&self) -> Option<&str> {
        self.assumed.role_arn.as_deref()
    }

    pub fn role_session_name(&self) -> Option<&str> {
        self.assumed.role_session_name.as_deref()
    }

    pub fn assumed_role_id(&self) -> Option<&str> {
        self.assumed.assumed_role_id.as_deref()
    }

    pub fn external_id(&self) -> Option<&str> {
        self.assumed.external_id.as_deref()
    }

    pub fn expires_at(&self) -> Option<UtcMicros> {
        (self.expires_at != UtcMicros::MIN).then_some(self.expires_at)
    }

    /// The account whose trail holds the record.
    pub fn recipient(&self) -> Option<&str> {
        filled(self.rest.aws_account_id.as_deref())
    }

    /// Whether the record shows its request parameters, which CloudTrail leaves out
    /// where they are large. What Unity Catalog calls with always has an external id,
    /// for the role's trust policy demands it.
    pub fn shows_request(&self) -> bool {
        filled(self.external_id()).is_some()
    }

    pub fn source_uri(&self) -> &str {
        &self.rest.source_uri
    }

    /// Puts the record that tells most of the caller first; a total order, so that
    /// ties do not depend on arrival.
    pub fn by_richness(&self, other: &Kept) -> Ordering {
        other
            .richness()
            .cmp(&self.richness())
            .then_with(|| self.event_id.cmp(&other.event_id))
            .then_with(|| format!("{self:?}").cmp(&format!("{other:?}")))
    }

    fn richness(&self) -> [bool; 11] {
        let caller = &self.caller;
        [
            caller.arn.is_some(),
            caller.access_key_id.is_some(),
            caller.session_issuer_arn.is_some(),
            caller.in_scope_issued_to.is_some(),
            caller.invoked_by.is_some(),
            caller.account_id.is_some(),
            caller.identity_type.is_some(),
            self.access_key_id.is_some(),
            self.role_arn().is_some(),
            self.expires_at().is_some(),
            self.assumed_role_id().is_some(),
        ]
    }
}
