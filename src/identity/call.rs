//! One STS call that issued a session, with every copy of its record.
//!
//! A cross-account call is recorded twice, once for the caller's account and
//! once for the role owner's, and any record may be delivered twice. They are
//! one session: the copy that tells most of the caller speaks for all, and what
//! it leaves out is taken from the others.
//!
//! INVARIANT (order is nothing): a call is a function of the *set* of its
//! copies; the order in which they came cannot be told from it.

use super::aws::filled;
use super::kept::Kept;
use crate::model::{Principal, TimeSpan, UtcMicros};

/// How long before its recorded issue a session may be seen: clocks of whole
/// seconds on different hosts.
const ISSUE_SLACK_SECS: i64 = 2;
/// How long after its expiry: a long transfer is recorded when it completes.
const EXPIRY_SLACK_SECS: i64 = 60;
/// Longest life of a session whose record shows no expiration: 36 hours, the
/// maximum of `GetSessionToken` and `GetFederationToken` (IAM user guide); a
/// role session lives at most 12.
const LIFE_MAX_SECS: i64 = 36 * 3600;

#[derive(Clone, Debug)]
pub(super) struct Call {
    best: Kept,
    /// What few calls have, apart, for there may be a million.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    others: Vec<Kept>,
    /// Set when a later copy showed that this call is another one.
    forward: Option<u32>,
}

impl Call {
    pub fn new(session: Kept) -> Call {
        Call {
            best: session,
            more: None,
        }
    }

    /// Adds a copy; a record already held is recognised.
    pub fn add(&mut self, session: Kept) {
        let others = self.more.iter_mut().flat_map(|more| &mut more.others);
        let twin = std::iter::once(&mut self.best)
            .chain(others)
            .find(|copy| copy.is_same_record(&session));
        if let Some(twin) = twin {
            if session.source_uri() < twin.source_uri() {
                *twin = session;
            }
            return;
        }
        let others = &mut self.more.get_or_insert_default().others;
        others.push(session);
        others.sort_by(Kept::by_richness);
        if let Some(first) = others.first_mut()
            && first.by_richness(&self.best).is_lt()
        {
            std::mem::swap(first, &mut self.best);
            others.sort_by(Kept::by_richness);
        }
    }

    /// The call that this one was found to be.
    pub fn forward(&self) -> Option<u32> {
        self.more.as_ref()?.forward
    }

    /// Notes that this call is another one.
    pub fn forward_to(&mut self, place: u32) {
        self.more.get_or_insert_default().forward = Some(place);
    }

    /// Returns the copies, the one that tells most of the caller first.
    pub fn copies(&self) -> impl Iterator<Item = &Kept> {
        let others = self.more.iter().flat_map(|more| &more.others);
        std::iter::once(&self.best).chain(others)
    }

    pub fn session(&self) -> &Kept {
        &self.best
    }

    pub fn event_id(&self) -> &str {
        &self.best.event_id
    }

    pub fn caller(&self) -> &Principal {
        &self.best.caller
    }

    pub fn issued_at(&self) -> UtcMicros {
        self.best.issued_at
    }

    pub fn role_arn(&self) -> Option<&str> {
        self.first(|copy| copy.role_arn())
    }

    pub fn session_name(&self) -> Option<&str> {
        self.first(|copy| copy.role_session_name())
    }

    pub fn assumed_role_id(&self) -> Option<&str> {
        self.first(|copy| copy.assumed_role_id())
    }

    pub fn access_key_id(&self) -> Option<&str> {
        self.first(|copy| copy.access_key_id.as_deref())
    }

    /// Returns what the session policy allows, from the copy that tells: prefixes
    /// and actions.
    pub fn policy(&self) -> (&[String], &[String]) {
        self.copies()
            .map(|copy| &*copy.policy)
            .find(|policy| !policy.prefixes.is_empty())
            .or_else(|| {
                let policies = self.copies().map(|copy| &*copy.policy);
                policies
                    .into_iter()
                    .find(|policy| !policy.actions.is_empty())
            })
            .map(|policy| (&*policy.prefixes, &*policy.actions))
            .unwrap_or_default()
    }

    /// Returns the external id that the call was made with.
    pub fn external_id(&self) -> Option<&str> {
        self.first(|copy| copy.external_id())
    }

    /// Returns the event times at which the issued key can have been used.
    pub fn window(&self) -> TimeSpan {
        window(self.copies())
    }

    fn first<'a>(&'a self, of: impl Fn(&'a Kept) -> Option<&'a str>) -> Option<&'a str> {
        self.copies().find_map(|copy| filled(of(copy)))
    }
}

fn window<'a>(copies: impl Iterator<Item = &'a Kept>) -> TimeSpan {
    let (mut issued, mut latest, mut expires) = (UtcMicros::MAX, UtcMicros::MIN, None);
    for copy in copies {
        issued = issued.min(copy.issued_at);
        latest = latest.max(copy.issued_at);
        expires = expires.max(copy.expires_at());
    }
    TimeSpan {
        from: issued.plus_seconds(-ISSUE_SLACK_SECS),
        until: expires
            .unwrap_or_else(|| latest.plus_seconds(LIFE_MAX_SECS))
            .plus_seconds(EXPIRY_SLACK_SECS),
    }
}
