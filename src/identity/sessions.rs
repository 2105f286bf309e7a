//! The sessions that STS issued, found by key (M1) or by creation (M2).
//!
//! M1: the access key of a call is the key that one STS event issued. Exact,
//! inside the life of the session.
//! M2: role ARN, session name and creation time, for STS records that show no
//! key. The role is compared by its full ARN: an `assumed-role` ARN drops the
//! role's path, and a session name is no identity.

use super::aws::filled;
use super::call::Call;
use super::kept::{Kept, Pool};
use super::names::{Name, Names};
use super::postings::Postings;
use crate::model::time::MICROS_PER_SECOND;
use crate::model::{CANDIDATES_MAX, Principal, StsSession, TimeSpan, UtcMicros};
use hashbrown::HashSet;
use std::collections::BTreeSet;
use std::hash::Hash;

/// How far a creation date may lie from the STS event; 0 s in measured records.
const CREATION_TOLERANCE_SECS: i64 = 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    calls: Vec<Call>,
    pool: Pool,
    /// Calls that were found to be another one.
    forwarded: usize,
    by_event: Postings,
    by_shared_event: Postings,
    by_key: Postings,
    by_issue: Postings,
    by_creation: Postings,
    roles: Names,
    /// Sessions of each role in the order of their issue.
    by_role: BTreeSet<(Name, UtcMicros, u32)>,
    /// Accounts in whose trails a record of another account's call shows a session
    /// policy.
    show_policies: HashSet<String>,
}

impl Sessions {
    pub fn len(&self) -> usize {
        self.calls.len() - self.forwarded
    }

    /// Adds a record. A refused call issued nothing and is not kept.
    ///
    /// INVARIANT (one session): records that share an event id, a shared event
    /// id, or an issued key together with its time, role and name, are one call.
    pub fn add(&mut self, session: StsSession) {
        if session.error_code.is_some() {
            return;
        }
        let shows_policy = session.shows_policy();
        let session = self.pool.keep(session);
        if shows_policy
            && let Some(account) = session.recipient()
            && !self.show_policies.contains(account)
        {
            self.show_policies.insert(account.to_owned());
        }
        let found = self.calls_of(&session);
        let place = match found.split_first() {
            None => {
                let Ok(place) = u32::try_from(self.calls.len()) else {
                    return;
                };
                self.calls.push(Call::new(session.clone()));
                place
            }
            Some((&place, others)) => {
                self.join(place, others);
                if let Some(call) = self.calls.get_mut(index(place)) {
                    call.add(session.clone());
                }
                place
            }
        };
        self.post(&session, place, found.is_empty());
        if let Some(role) = filled(session.role_arn()) {
            let role = self.roles.add(role);
            self.by_role.insert((role, session.issued_at, place));
        }
    }

    /// Whether the call had no session policy: a record of it shows the request
    /// without one, in an account whose records show them. Where an account's records
    /// show none at all, that one of them lacks it says nothing.
    pub fn is_unconfined(&self, call: &Call) -> bool {
        let tells = |copy: &Kept| {
            copy.shows_request()
                && copy
                    .recipient()
                    .is_some_and(|account| self.show_policies.contains(account))
        };
        call.copies().all(|copy| copy.policy.is_empty()) && call.copies().any(tells)
    }

    /// The sessions of a role issued between two times; one may come twice.
    pub fn of_role(
        &self,
        role_arn: &str,
        from: UtcMicros,
        until: UtcMicros,
    ) -> impl Iterator<Item = &Call> {
        let role = self.roles.find(role_arn);
        role.into_iter()
            .flat_map(move |role| {
                self.by_role
                    .range((role, from, 0)..=(role, until, u32::MAX))
            })
            .filter_map(|(.., place)| self.calls.get(index(self.root(*place)?)))
    }

    /// M1: the calls that issued this key and were alive at `at`; more than one
    /// only if the trail names one key twice. The span tells how long this holds.
    pub fn issued(&self, access_key_id: &str, at: UtcMicros) -> (Vec<&Call>, TimeSpan) {
        let mut span = TimeSpan::ALWAYS;
        let mut alive: Vec<&Call> = Vec::new();
        for call in self.with_key(access_key_id) {
            let window = call.window();
            if window.contains(at) {
                span = span.intersect(window);
                if alive.iter().any(|seen| std::ptr::eq(*seen, call)) {
                    continue;
                }
                alive.push(call);
                if alive.len() > CANDIDATES_MAX {
                    span = TimeSpan {
                        from: at,
                        until: at,
                    };
                    break;
                }
            } else if at < window.from {
                span.until = span.until.min(UtcMicros(window.from.0.saturating_sub(1)));
            } else {
                span.from = span.from.max(UtcMicros(window.until.0.saturating_add(1)));
            }
        }
        alive.sort_by(|a, b| (a.issued_at(), a.event_id()).cmp(&(b.issued_at(), b.event_id())));
        (alive, span)
    }

    /// M2: the calls that can have created this role session. Independent of
    /// the time of the access.
    ///
    /// Never for calls made through an AWS service: they show the time of the
    /// call as creation date. Never a call that issued another key, or for a
    /// role of the same name and another id.
    pub fn created(&self, principal: &Principal) -> Vec<&Call> {
        let (Some(role), Some(name), Some(created_at), None) = (
            filled(principal.session_issuer_arn.as_deref()),
            filled(principal.session_name.as_deref()),
            principal.session_issued_at,
            filled(principal.invoked_by.as_deref()),
        ) else {
            return Vec::new();
        };
        let from = created_at.plus_seconds(-CREATION_TOLERANCE_SECS);
        let until = created_at.plus_seconds(CREATION_TOLERANCE_SECS);
        let mut found: Vec<&Call> = Vec::new();
        for moment in moment_of(from)..=moment_of(until) {
            let holds = |place| {
                self.copies_at(place)
                    .any(|c| creation(c) == Some((role, name, moment)))
            };
            for place in self.by_creation.find((role, name, moment), holds) {
                let Some(call) = self
                    .root(place)
                    .and_then(|root| self.calls.get(index(root)))
                else {
                    continue;
                };
                let near = call.copies().any(|c| {
                    (from..=until).contains(&c.issued_at)
                        && creation(c).is_some_and(|(r, n, _)| (r, n) == (role, name))
                });
                if near && may_be(principal, call) && !found.iter().any(|s| std::ptr::eq(*s, call))
                {
                    found.push(call);
                }
            }
        }
        found.sort_by(|a, b| (a.issued_at(), a.event_id()).cmp(&(b.issued_at(), b.event_id())));
        found
    }

    /// Keeps what an access at or after `before` can still rest on: sessions
    /// alive then, and those that stand before them in a chain.
    pub fn without_older_than(self, before: UtcMicros) -> Sessions {
        let mut keep = vec![false; self.calls.len()];
        let mut open: Vec<u32> = (0_u32..)
            .zip(&self.calls)
            .filter(|(_, call)| call.forward().is_none() && call.window().until >= before)
            .map(|(place, _)| place)
            .collect();
        while let Some(place) = open.pop() {
            let (Some(kept), Some(call)) =
                (keep.get_mut(index(place)), self.calls.get(index(place)))
            else {
                continue;
            };
            if std::mem::replace(kept, true) {
                continue;
            }
            if let Some(key) = filled(call.caller().access_key_id.as_deref()) {
                let holds = |place| self.copies_at(place).any(|c| issued_key(c) == Some(key));
                let parents = self
                    .by_key
                    .find(key, holds)
                    .filter_map(|place| self.root(place));
                open.extend(parents.filter(|parent| {
                    let parent = self.calls.get(index(*parent));
                    parent.is_some_and(|parent| parent.window().contains(call.issued_at()))
                }));
            }
        }
        let mut rest = Sessions {
            show_policies: self.show_policies.clone(),
            ..Sessions::default()
        };
        for (call, _) in self.calls.iter().zip(&keep).filter(|(_, kept)| **kept) {
            for copy in call.copies() {
                rest.add(copy.session());
            }
        }
        rest
    }

    fn with_key(&self, key: &str) -> impl Iterator<Item = &Call> {
        self.by_key
            .find(key, move |place| {
                self.copies_at(place).any(|c| issued_key(c) == Some(key))
            })
            .filter_map(|place| self.calls.get(index(self.root(place)?)))
    }

    /// The calls that a new record belongs to, the earliest first.
    fn calls_of(&self, session: &Kept) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        let id = &*session.event_id;
        found.extend(
            self.by_event
                .find(id, |p| self.copies_at(p).any(|c| *c.event_id == *id)),
        );
        if let Some(id) = shared_id(session) {
            let holds = |p| self.copies_at(p).any(|c| shared_id(c) == Some(id));
            found.extend(self.by_shared_event.find(id, holds));
        }
        if let Some(issue) = issue(session) {
            let holds = |p| self.copies_at(p).any(|c| self::issue(c) == Some(issue));
            found.extend(self.by_issue.find(issue, holds));
        }
        let mut found: Vec<u32> = found.into_iter().filter_map(|p| self.root(p)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Moves the copies of `others` to the call at `place`.
    fn join(&mut self, place: u32, others: &[u32]) {
        for &other in others {
            let Some(joined) = self.calls.get_mut(index(other)) else {
                continue;
            };
            joined.forward_to(place);
            self.forwarded += 1;
            let copies: Vec<Kept> = joined.copies().cloned().collect();
            if let Some(call) = self.calls.get_mut(index(place)) {
                copies.into_iter().for_each(|copy| call.add(copy));
            }
        }
    }

    /// Makes the call at `place` findable by what this record shows of it.
    fn post(&mut self, session: &Kept, place: u32, is_new: bool) {
        let calls = &self.calls;
        let at = |place: u32| calls.get(index(place)).into_iter().flat_map(Call::copies);
        let to = Post { place, is_new };
        let id = &*session.event_id;
        to.note(&mut self.by_event, id, |p| {
            at(p).any(|c| *c.event_id == *id)
        });
        if let Some(id) = shared_id(session) {
            let holds = |p| at(p).any(|c| shared_id(c) == Some(id));
            to.note(&mut self.by_shared_event, id, holds);
        }
        if let Some(key) = issued_key(session) {
            let holds = |p| at(p).any(|c| issued_key(c) == Some(key));
            to.note(&mut self.by_key, key, holds);
        }
        if let Some(issue) = issue(session) {
            let holds = |p| at(p).any(|c| self::issue(c) == Some(issue));
            to.note(&mut self.by_issue, issue, holds);
        }
        if let Some(creation) = creation(session) {
            let holds = |p| at(p).any(|c| self::creation(c) == Some(creation));
            to.note(&mut self.by_creation, creation, holds);
        }
    }

    fn copies_at(&self, place: u32) -> impl Iterator<Item = &Kept> {
        self.calls
            .get(index(place))
            .into_iter()
            .flat_map(Call::copies)
    }

    /// Follows a call to the one it was found to be.
    fn root(&self, place: u32) -> Option<u32> {
        let mut place = place;
        while let Some(next) = self.calls.get(index(place))?.forward() {
            place = next;
        }
        Some(place)
    }
}

/// Where a posting points, and whether the call there is found by nothing yet.
#[derive(Clone, Copy)]
struct Post {
    place: u32,
    is_new: bool,
}

impl Post {
    /// Adds a posting, unless the call is already found by this text.
    fn note(self, postings: &mut Postings, text: impl Hash + Copy, holds: impl Fn(u32) -> bool) {
        if self.is_new || !postings.find(text, &holds).any(|p| p == self.place) {
            postings.insert(text, self.place, holds);
        }
    }
}

/// Whether the call can have issued the session that signed: neither its key
/// nor its role id says otherwise.
fn may_be(principal: &Principal, call: &Call) -> bool {
    let agree = |a: Option<&str>, b: Option<&str>| match (filled(a), filled(b)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    agree(principal.access_key_id.as_deref(), call.access_key_id())
        && agree(principal.principal_id.as_deref(), call.assumed_role_id())
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// Seconds of a moment: what is looked for within [`CREATION_TOLERANCE_SECS`] of a time
/// stands in one of them, or in two.
const MOMENT_SECS: i64 = 8;

fn moment_of(at: UtcMicros) -> i64 {
    at.0.div_euclid(MOMENT_SECS * MICROS_PER_SECOND)
}

fn issued_key(session: &Kept) -> Option<&str> {
    filled(session.access_key_id.as_deref())
}

fn shared_id(session: &Kept) -> Option<&str> {
    filled(session.shared_event_id.as_deref())
}

/// A key with its time, role and name: what two records of one call agree in
/// even when AWS delivered the record again under another event id.
fn issue(session: &Kept) -> Option<(&str, UtcMicros, Option<&str>, Option<&str>)> {
    Some((
        issued_key(session)?,
        session.issued_at,
        session.role_arn(),
        session.role_session_name(),
    ))
}

/// Role, name and moment of issue: what M2 looks for. The moment is part of
/// it because Unity Catalog may give all sessions of a role one name.
fn creation(session: &Kept) -> Option<(&str, &str, i64)> {
    Some((
        filled(session.role_arn())?,
        filled(session.role_session_name())?,
        moment_of(session.issued_at),
    ))
}
