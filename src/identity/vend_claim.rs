//! C1: which vend of Unity Catalog the key of an access comes from.
//!
//! A vend and the session it led to share role, location, operation and, within the
//! clocks of two companies, the time. The session policy tells location and
//! operation of a key exactly; without it the object key stands in for it, and only
//! one vend within the clocks' difference is sure.
//!
//! Whether one session may serve several vends is not documented. It is measured: a
//! vend that no session of its own answers may have been given this one, and then
//! its people are candidates too, beside those whom it was issued for.

use super::ask::{Ask, Grounds, each_once};
use super::aws::filled;
use super::link::Link;
use super::names::Name;
use super::people::{Person, SYSTEM_USER, is_stand_in};
use super::vend_fit::{Fit, Key, fitting, has_nearer_session, key_of, reused};
use super::vends::Vended;
use super::watermarks::FactSource;
use crate::model::{Confidence, Method, TimeSpan, UnattributedReason, UtcMicros};

/// Clocks of two companies: nearer than this is no nearer.
pub(super) const NEAR_SECS: i64 = 5;
/// How far a vend may lie from the issue of its session.
pub(super) const FAR_SECS: i64 = 60;
/// Longest life of a key that was vended: the session is a chained one.
pub(super) const KEY_LIFE_SECS: i64 = 3600;

/// What the vends tell of an access.
#[derive(Clone, Debug, Default)]
pub(super) struct VendClaim {
    pub people: Vec<Person>,
    pub person: Confidence,
    pub workspaces: Vec<String>,
    pub workspace: Confidence,
    /// The cluster, where the vend itself names it.
    pub clusters: Vec<String>,
    /// When the key was issued, as far as that is known.
    pub issued_at: Option<UtcMicros>,
    pub grounds: Grounds,
    pub reason: Option<UnattributedReason>,
}

impl VendClaim {
    pub fn of<'a>(ask: &mut Ask<'a>, link: &Link<'a>) -> VendClaim {
        if let Some(claim) = by_key(ask) {
            return claim;
        }
        let Some(key) = key_of(ask, link) else {
            return VendClaim {
                reason: Some(UnattributedReason::NoSts),
                ..VendClaim::default()
            };
        };
        let from = key.issued_at.plus_seconds(-FAR_SECS);
        let until = key.issued_at.plus_seconds(FAR_SECS);
        let fits = fitting(ask, &key, from, until);
        // A key is not used before it is vended; yet clocks differ.
        let mut has_earlier = false;
        for fit in &fits {
            has_earlier |= ask.is_within(fit.vend.at.plus_seconds(-NEAR_SECS), UtcMicros::MAX);
        }
        let mut claim = VendClaim {
            issued_at: Some(key.issued_at),
            ..VendClaim::default()
        };
        let mut voices = Voices::default();
        for fit in &fits {
            voices.hear(ask, &fit.vend, &mut claim);
        }
        // A key is given out again only once it has been given out.
        let reused = match fits.as_slice() {
            [] => Vec::new(),
            _ => reused(ask, &key, &voices.actors),
        };
        for vend in &reused {
            voices.hear(ask, vend, &mut claim);
        }
        if !fits.is_empty() || !reused.is_empty() {
            claim.grounds.by(Method::C1Vend);
        }
        if !reused.is_empty() {
            claim.grounds.by(Method::C1SessionReuse);
        }
        let may_be_sure = reused.is_empty() && has_earlier;
        claim.conclude(ask, &key, &fits, may_be_sure, &voices);
        claim
    }

    fn conclude(
        &mut self,
        ask: &Ask<'_>,
        key: &Key<'_>,
        fits: &[Fit],
        may_be_sure: bool,
        voices: &Voices,
    ) {
        let databricks = ask.databricks();
        let mut span = TimeSpan::ALWAYS;
        let has_passed =
            databricks
                .watermarks
                .has_passed(FactSource::Audit, key.issued_at, FAR_SECS, &mut span);
        let is_near = |fit: &Fit| {
            let apart = fit.vend.at.0.abs_diff(key.issued_at.0);
            apart <= u64::try_from(NEAR_SECS * 1_000_000).unwrap_or(u64::MAX)
        };
        let is_sure = has_passed
            && may_be_sure
            && fits.iter().all(|fit| fit.is_placed)
            && ((key.is_proven && key.locations.is_some())
                || matches!(fits, [fit] if is_near(fit)));
        let is_own = || {
            let mut fits = fits.iter();
            fits.any(|fit| !has_nearer_session(ask, key, &fit.vend))
        };
        each_once(&mut self.people);
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if is_sure && is_own() && voices.are_people() => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        if voices.service && !self.people.is_empty() {
            self.people.push(Person {
                name: SYSTEM_USER.to_owned(),
                kind: None,
            });
            each_once(&mut self.people);
        }
        self.workspaces.sort();
        self.workspaces.dedup();
        self.workspace = match self.workspaces.as_slice() {
            [] => Confidence::None,
            [_] if is_sure && !voices.no_workspace => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        self.clusters.sort();
        self.clusters.dedup();
        let oldest = databricks.vends.oldest();
        self.reason = Some(if voices.recipients && self.people.is_empty() {
            UnattributedReason::External
        } else if !has_passed && key.has_session {
            UnattributedReason::Late
        } else if has_passed && (voices.service || voices.unresolved) {
            UnattributedReason::ServiceVend
        } else if !key.has_session {
            UnattributedReason::NoSts
        } else if key.is_unconfined && fits.is_empty() {
            UnattributedReason::Platform
        } else if oldest.is_some_and(|oldest| key.issued_at < oldest.plus_seconds(-FAR_SECS)) {
            UnattributedReason::OutsideRetention
        } else {
            UnattributedReason::NoVend
        });
    }
}

/// What the vends say together.
#[derive(Default)]
struct Voices {
    service: bool,
    recipients: bool,
    /// Somebody whom nothing resolves to a person.
    unresolved: bool,
    no_workspace: bool,
    /// As written, to recognise further vends of the same people.
    actors: Vec<Name>,
}

impl Voices {
    /// Whether all are people who are known.
    fn are_people(&self) -> bool {
        !self.service && !self.unresolved && !self.recipients
    }

    fn hear(&mut self, ask: &mut Ask<'_>, vend: &Vended, claim: &mut VendClaim) {
        let databricks = ask.databricks();
        let names = &databricks.names;
        claim.grounds.note(names.text(vend.evidence));
        match names.owned(vend.workspace) {
            Some(workspace) => claim.workspaces.push(workspace),
            None => self.no_workspace = true,
        }
        claim.clusters.extend(names.owned(vend.cluster));
        if !vend.recipient.is_none() {
            self.recipients = true;
            return;
        }
        let whom = whom(vend);
        self.actors.push(whom);
        let text = names.text(whom);
        if whom.is_none() || is_stand_in(text) {
            self.service = true;
            return;
        }
        let people = databricks.people.resolve(text, ask.at, &mut ask.span);
        self.unresolved |= people.is_empty();
        claim.people.extend(people);
    }
}

/// Who acted: with a group's rights, the person who used them.
pub(super) fn whom(vend: &Vended) -> Name {
    vend.run_by.filled().unwrap_or(vend.actor)
}

/// The vends that name the very key: a join of identifiers, where records show it.
fn by_key(ask: &mut Ask<'_>) -> Option<VendClaim> {
    let databricks = ask.databricks();
    let key = filled(ask.access.principal.access_key_id.as_deref())?;
    let key = databricks.names.find(key)?;
    let names = &databricks.names;
    let mut vends: Vec<Vended> = databricks.vends.of_key(key).copied().collect();
    vends.sort_by(|a, b| (a.at, names.text(a.evidence)).cmp(&(b.at, names.text(b.evidence))));
    let first = vends.first()?;
    let (at, slack) = (ask.at, FAR_SECS);
    // The key cannot be used before it was vended, nor an hour after.
    let last = vends.iter().map(|vend| vend.at).max().unwrap_or(first.at);
    if !ask.is_within(
        first.at.plus_seconds(-slack),
        last.plus_seconds(KEY_LIFE_SECS + slack),
    ) {
        return None;
    }
    let mut claim = VendClaim {
        issued_at: Some(first.at.min(at)),
        ..VendClaim::default()
    };
    claim.grounds.by(Method::C1VendKey);
    let mut voices = Voices::default();
    for vend in &vends {
        voices.hear(ask, vend, &mut claim);
    }
    let sure = |several: bool| match several {
        true => Confidence::Ambiguous,
        false => Confidence::Exact,
    };
    each_once(&mut claim.people);
    claim.workspaces.sort();
    claim.workspaces.dedup();
    claim.clusters.sort();
    claim.clusters.dedup();
    if !claim.people.is_empty() {
        let several = claim.people.len() > 1 || !voices.are_people();
        claim.person = sure(several);
    }
    if !claim.workspaces.is_empty() {
        claim.workspace = sure(claim.workspaces.len() > 1 || voices.no_workspace);
    }
    claim.reason = Some(if voices.recipients {
        UnattributedReason::External
    } else {
        UnattributedReason::ServiceVend
    });
    Some(claim)
}
