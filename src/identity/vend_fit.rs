//! Which vends fit the key of an access, by place, operation and time (C1).
//!
//! The session policy tells location and operation of a key exactly; without the STS
//! event the object key and what was done stand in for it.

use super::ask::Ask;
use super::aws::filled;
use super::call::Call;
use super::catalog::is_one_of;
use super::link::Link;
use super::names::Name;
use super::place::{Direction, Place, holds, location, upwards, uuids};
use super::vend_claim::{FAR_SECS, KEY_LIFE_SECS, NEAR_SECS, whom};
use super::vends::Vended;
use crate::model::{Confidence, UtcMicros, VendOperation};

/// What is known of the key, to compare vends with.
pub(super) struct Key<'a> {
    pub issued_at: UtcMicros,
    pub expires_at: UtcMicros,
    pub role: Option<&'a str>,
    pub external_id: Option<&'a str>,
    /// Locations of the session policy; `None` if it is not known.
    pub locations: Option<Vec<String>>,
    pub may_write: Option<bool>,
    pub has_session: bool,
    pub is_proven: bool,
    /// The STS events that led to it, by their ids.
    pub chain: Vec<&'a str>,
    /// Its records would show a session policy, and show none: Unity Catalog confines
    /// what it vends, so that the platform itself used this one.
    pub is_unconfined: bool,
    /// Where the object lies, and what was done, where no policy tells.
    pub place: Option<Place>,
}

/// A vend that fits, and how.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fit {
    pub vend: Vended,
    pub is_by_uuid: bool,
    pub is_placed: bool,
}

/// What tells the key apart: its session, or what the access shows of it.
pub(super) fn key_of<'a>(ask: &mut Ask<'a>, link: &Link<'a>) -> Option<Key<'a>> {
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
    // Where a key may not go tells nothing of where it may.
    let place = place.filter(|place| !place.is_refused);
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
        chain: trace
            .map(|trace| trace.chain.iter().map(|call| call.event_id()).collect())
            .unwrap_or_default(),
        is_unconfined: link.exact().is_some_and(|trace| {
            let sessions = ask.index.issued_sessions();
            trace.chain.iter().all(|call| sessions.is_unconfined(call))
        }),
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
pub(super) fn fitting(ask: &Ask<'_>, key: &Key<'_>, from: UtcMicros, until: UtcMicros) -> Vec<Fit> {
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
    // A request for a bucket as a whole tells no location: what is vended there may
    // have been this key's or not.
    let is_anywhere = key.locations.is_none() && key.place.is_some_and(|place| place.is_bucket);
    for place in locations_to_ask(ask, key) {
        push(
            &mut vends.of_location(place, from, until),
            false,
            !is_anywhere,
        );
    }
    let ids = ids_of(ask, key);
    for id in &ids {
        push(&mut vends.of_table(*id, from, until), true, true);
    }
    push(
        &mut vends.of_location(Name::NONE, from, until),
        false,
        false,
    );
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
        (None, Some(place)) if place.is_bucket && key.is_unconfined => {}
        (None, Some(place)) if place.is_bucket => {
            // Any location of the bucket: the bucket is known with the target.
            if let Some(bucket) = filled(ask.access.target.bucket.as_deref()) {
                found.extend(databricks.places.holding(bucket, names));
                found.extend(databricks.vends.locations_below(bucket, names));
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
        let did_write = key
            .place
            .is_some_and(|place| place.direction == Direction::Write);
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
pub(super) fn reused(ask: &mut Ask<'_>, key: &Key<'_>, actors: &[Name]) -> Vec<Vended> {
    let from = UtcMicros(key.issued_at.plus_seconds(FAR_SECS).0.saturating_add(1));
    let mut found: Vec<Vended> = fitting(ask, key, from, key.expires_at)
        .into_iter()
        .filter(|fit| fit.is_placed && !actors.contains(&whom(&fit.vend)))
        .filter(|fit| !has_own_session(ask, key, &fit.vend))
        .map(|fit| fit.vend)
        .collect();
    found.retain(|vend| ask.is_within(vend.at.plus_seconds(-NEAR_SECS), UtcMicros::MAX));
    found
}

/// Whether STS issued another session for the vend's location, nearer to the vend than the
/// key: then the vend led to that one, and this key is another vend's.
pub(super) fn has_nearer_session(ask: &Ask<'_>, key: &Key<'_>, vend: &Vended) -> bool {
    let Some(role) = key.role else {
        return false;
    };
    let apart = |at: UtcMicros| at.0.abs_diff(vend.at.0);
    let place = ask.databricks().names.text(vend.location);
    let (from, until) = (
        vend.at.plus_seconds(-NEAR_SECS),
        vend.at.plus_seconds(NEAR_SECS),
    );
    let calls = ask.index.issued_sessions().of_role(role, from, until);
    let own = apart(key.issued_at);
    let nearer = calls.filter(|call| {
        !key.chain.contains(&call.event_id())
            && apart(call.issued_at()) < own
            && is_for(call, place, vend.operation)
    });
    let vends = &ask.databricks().vends;
    let vends = vends.of_location(vend.location, from, until);
    // Where several vends are as near, one of them has this key.
    nearer.count() >= vends.count().max(1)
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
        .filter(|call| is_for(call, place, vend.operation))
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

/// Whether a session may be for a place, and an operation there: its policy does not tell
/// otherwise.
fn is_for(call: &Call, place: &str, operation: VendOperation) -> bool {
    let (prefixes, actions) = call.policy();
    let may_write = actions.iter().any(|action| writes(action));
    let is_other = match operation {
        VendOperation::Read => may_write,
        VendOperation::Write => !may_write && !actions.is_empty(),
        VendOperation::Unknown => false,
    };
    if is_other {
        return false;
    }
    prefixes.is_empty()
        || prefixes.iter().any(|prefix| {
            location(prefix)
                .is_none_or(|of| holds(&of, place) || upwards(&of).any(|outer| outer == place))
        })
}
