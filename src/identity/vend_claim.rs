//! C1: which vend of Unity Catalog the key of an access comes from.
//!
//! A vend and the session it led to share role, location, operation and, within the
//! clocks of two companies, the time. The session policy tells location and
//! operation of a key exactly; without the STS event the object key stands in for
//! it, and the claim is one level lower.
//!
//! Whether one session may serve several vends is not documented. It is measured: a
//! vend that no session of its own answers may have been given this one, and then
//! its people are candidates too.

use super::ask::{Ask, Grounds, each_once};
use super::aws::filled;
use super::call::Call;
use super::catalog::is_one_of;
use super::link::Link;
use super::names::Name;
use super::people::{Person, SYSTEM_USER, is_stand_in};
use super::place::{Direction, Place, holds, location, upwards, uuids};
use super::vends::Vended;
use super::watermarks::FactSource;
use crate::model::{Confidence, Method, TimeSpan, UnattributedReason, UtcMicros, VendOperation};

/// Clocks of two companies: nearer than this is no nearer.
const NEAR_SECS: i64 = 5;
/// How far a vend may lie from the issue of its session.
const FAR_SECS: i64 = 60;
/// Longest life of a key that was vended: the session is a chained one.
const KEY_LIFE_SECS: i64 = 3600;

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

/// What is known of the key, to compare vends with.
struct Key<'a> {
    issued_at: UtcMicros,
    expires_at: UtcMicros,
    role: Option<&'a str>,
    external_id: Option<&'a str>,
    /// Locations of the session policy; `None` if it is not known.
    locations: Option<Vec<String>>,
    may_write: Option<bool>,
    has_session: bool,
    is_proven: bool,
    /// Where the object lies, and what was done, where no policy tells.
    place: Option<Place>,
}

/// A vend that fits, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    vend: Vended,
    is_by_uuid: bool,
    is_placed: bool,
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
        let mut claim = VendClaim {
            issued_at: Some(key.issued_at),
            ..VendClaim::default()
        };
        let mut voices = Voices::default();
        for fit in &fits {
            voices.hear(ask, &fit.vend, &mut claim);
        }
        let reused = reused(ask, &key, &voices);
        for vend in &reused {
            voices.hear(ask, vend, &mut claim);
        }
        if !fits.is_empty() || !reused.is_empty() {
            claim.grounds.by(Method::C1Vend);
        }
        if !reused.is_empty() {
            claim.grounds.by(Method::C1SessionReuse);
        }
        claim.conclude(ask, &key, &fits, !reused.is_empty(), &voices);
        claim
    }

    fn conclude(
        &mut self,
        ask: &Ask<'_>,
        key: &Key<'_>,
        fits: &[Fit],
        is_reused: bool,
        voices: &Voices,
    ) {
        let databricks = ask.databricks();
        let mut span = TimeSpan::ALWAYS;
        let has_passed = databricks.watermarks.has_passed(
            FactSource::Audit,
            key.issued_at,
            FAR_SECS,
            &mut span,
        );
        let is_near = |fit: &Fit| {
            let apart = fit.vend.at.0.abs_diff(key.issued_at.0);
            apart <= u64::try_from(NEAR_SECS * 1_000_000).unwrap_or(u64::MAX)
        };
        let is_sure = has_passed
            && !is_reused
            && fits.iter().all(|fit| fit.is_placed)
            && (key.is_proven || matches!(fits, [fit] if is_near(fit)));
        each_once(&mut self.people);
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if is_sure && !voices.service && !voices.unresolved => Confidence::Strong,
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
fn whom(vend: &Vended) -> Name {
    vend.run_by.filled().unwrap_or(vend.actor)
}

/// The vends that name the very key: a join of identifiers, where records show it.
fn by_key(ask: &mut Ask<'_>) -> Option<VendClaim> {
    let databricks = ask.databricks();
    let key = filled(ask.access.principal.access_key_id.as_deref())?;
    let key = databricks.names.find(key)?;
    let names = &databricks.names;
    let mut vends: Vec<Vended> = databricks.vends.of_key(key).copied().collect();
    vends.sort_by(|a, b| {
        (a.at, names.text(a.evidence)).cmp(&(b.at, names.text(b.evidence)))
    });
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
        let several = claim.people.len() > 1 || voices.service || voices.unresolved;
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

/// What tells the key apart: its session, or what the access shows of it.
fn key_of<'a>(ask: &mut Ask<'a>, link: &Link<'a>) -> Option<Key<'a>> {
    let principal = ask.access.principal;
    let trace = link.sole();
    let call = trace.and_then(|trace| trace.chain.first());
    let issued_at = match call {
        Some(call) => call.issued_at(),
        None => principal.session_issued_at?,
    };
    let policy = trace.and_then(|trace| {
        let told = trace.chain.iter().map(|call| call.policy());
        told.into_iter()
            .find(|(prefixes, actions)| !prefixes.is_empty() || !actions.is_empty())
    });
    let (prefixes, actions) = policy.unwrap_or_default();
    let locations = locations_of(prefixes);
    let role = filled(principal.session_issuer_arn.as_deref())
        .or_else(|| trace.and_then(|trace| trace.role_arn()));
    let may_write = (!actions.is_empty()).then(|| actions.iter().any(|action| writes(action)));
    let place = (locations.is_none() || may_write.is_none()).then(|| ask.place());
    Some(Key {
        issued_at,
        expires_at: call.map_or_else(
            || issued_at.plus_seconds(KEY_LIFE_SECS),
            |call| call.window().until,
        ),
        role,
        external_id: call.and_then(|call| call.external_id()),
        locations,
        may_write,
        has_session: link.confidence != Confidence::None,
        is_proven: link.exact().is_some(),
        place,
    })
}

/// The locations of a session policy; `None` if it has none or allows all of S3.
fn locations_of(prefixes: &[String]) -> Option<Vec<String>> {
    let mut locations = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        locations.push(location(prefix)?);
    }
    locations.sort();
    locations.dedup();
    (!locations.is_empty()).then_some(locations)
}

/// Whether an action of a policy lets its holder change objects.
fn writes(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let name = action.strip_prefix("s3:").unwrap_or(&action);
    action == "*"
        || (action.starts_with("s3:")
            && ["put", "delete", "*", "p*", "d*"]
                .iter()
                .any(|start| name.starts_with(start)))
}

/// The vends between two times that can have led to the key.
fn fitting(ask: &Ask<'_>, key: &Key<'_>, from: UtcMicros, until: UtcMicros) -> Vec<Fit> {
    let databricks = ask.databricks();
    let (vends, names) = (&databricks.vends, &databricks.names);
    let mut fits: Vec<Fit> = Vec::new();
    let mut push = |found: &mut dyn Iterator<Item = &Vended>, is_by_uuid: bool, is_placed: bool| {
        fits.extend(found.filter(|vend| may_be(ask, key, vend)).map(|vend| Fit {
            vend: *vend,
            is_by_uuid,
            is_placed,
        }));
    };
    for place in locations_to_ask(ask, key) {
        push(&mut vends.of_location(place, from, until), false, true);
    }
    let ids = ids_of(ask, key);
    for id in &ids {
        push(&mut vends.of_table(*id, from, until), true, true);
    }
    push(&mut vends.of_location(Name::NONE, from, until), false, false);
    // One vend may be found by location and by id.
    fits.sort_by_key(|fit| (fit.vend, !fit.is_by_uuid, !fit.is_placed));
    fits.dedup_by_key(|fit| fit.vend);
    let uuid_is_id = fits.iter().any(|fit| fit.is_by_uuid)
        || (!ids.is_empty() && vends.layout_agrees && !vends.layout_differs);
    if uuid_is_id {
        // The path names its table: a vend of another table is none of this key's.
        fits.retain(|fit| fit.is_placed || fit.vend.table.is_none());
    }
    fits.sort_by(|a, b| {
        let text = |fit: &Fit| names.text(fit.vend.evidence);
        (a.vend.at, text(a)).cmp(&(b.vend.at, text(b)))
    });
    fits
}

/// The known locations that are equal to, above, or below what the key is for.
fn locations_to_ask(ask: &Ask<'_>, key: &Key<'_>) -> Vec<Name> {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let mut found: Vec<Name> = Vec::new();
    match (&key.locations, key.place) {
        (Some(locations), _) => {
            for location in locations {
                found.extend(databricks.places.holding(location, names));
                found.extend(databricks.vends.locations_below(location, names));
            }
        }
        (None, Some(place)) => {
            let inner = names.text(place.location);
            found.extend(databricks.places.holding(inner, names));
        }
        (None, None) => {}
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The ids of tables and volumes whose folder the key is for.
fn ids_of(ask: &Ask<'_>, key: &Key<'_>) -> Vec<Name> {
    let names = &ask.databricks().names;
    match (&key.locations, key.place) {
        (Some(locations), _) => locations
            .iter()
            .flat_map(|location| uuids(location))
            .filter_map(|uuid| names.find(uuid))
            .collect(),
        (None, Some(place)) => place.uuid.filled().into_iter().collect(),
        (None, None) => Vec::new(),
    }
}

/// Whether nothing speaks against the vend: metastore, credential, key, operation.
fn may_be(ask: &Ask<'_>, key: &Key<'_>, vend: &Vended) -> bool {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let used = filled(ask.access.principal.access_key_id.as_deref());
    if !vend.access_key.is_none() && used.is_some_and(|used| names.text(vend.access_key) != used) {
        return false;
    }
    if vend.operation == VendOperation::Read {
        let did_write = key.place.is_some_and(|place| place.direction == Direction::Write);
        if key.may_write.unwrap_or(did_write) {
            return false;
        }
    }
    let Some(role) = key.role else {
        return true;
    };
    let catalog = &databricks.catalog;
    let metastores = catalog.metastores(role, key.external_id, key.issued_at);
    if !vend.metastore.is_none()
        && metastores.is_some_and(|known| !is_one_of(vend.metastore, &known, names))
    {
        return false;
    }
    vend.location.is_none() || !catalog.is_of_another_role(names.text(vend.location), role)
}

/// Later vends that were possibly answered with this key: of other people, before
/// the access, and with no session of their own.
fn reused(ask: &mut Ask<'_>, key: &Key<'_>, voices: &Voices) -> Vec<Vended> {
    let from = UtcMicros(key.issued_at.plus_seconds(FAR_SECS).0.saturating_add(1));
    let mut found: Vec<Vended> = fitting(ask, key, from, key.expires_at)
        .into_iter()
        .filter(|fit| fit.is_placed && !voices.actors.contains(&whom(&fit.vend)))
        .filter(|fit| !has_own_session(ask, key, &fit.vend))
        .map(|fit| fit.vend)
        .collect();
    found.retain(|vend| ask.is_within(vend.at.plus_seconds(-NEAR_SECS), UtcMicros::MAX));
    found
}

/// Whether STS issued at least as many sessions for the vend's location, about its
/// time, as there were vends.
fn has_own_session(ask: &Ask<'_>, key: &Key<'_>, vend: &Vended) -> bool {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let Some(role) = key.role else {
        return false;
    };
    let place = names.text(vend.location);
    let (from, until) = (
        vend.at.plus_seconds(-FAR_SECS),
        vend.at.plus_seconds(FAR_SECS),
    );
    let mut calls: Vec<&str> = ask
        .index
        .issued_sessions()
        .of_role(role, from, until)
        .filter(|call| is_for(call, place))
        .map(Call::event_id)
        .collect();
    calls.sort_unstable();
    calls.dedup();
    let mut vends: Vec<(UtcMicros, Name)> = databricks
        .vends
        .of_location(
            vend.location,
            vend.at.plus_seconds(-NEAR_SECS),
            vend.at.plus_seconds(NEAR_SECS),
        )
        .map(|vend| (vend.at, whom(vend)))
        .collect();
    vends.dedup();
    calls.len() >= vends.len().max(1)
}

/// Whether a session may be for a place: its policy does not tell otherwise.
fn is_for(call: &Call, place: &str) -> bool {
    let (prefixes, _) = call.policy();
    prefixes.is_empty()
        || prefixes.iter().any(|prefix| {
            location(prefix).is_none_or(|of| {
                holds(&of, place) || upwards(&of).any(|outer| outer == place)
            })
        })
}
