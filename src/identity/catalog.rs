//! The inventory of Unity Catalog: which roles storage credentials name, at which
//! time, and which locations are governed by which credential.

use super::names::{Name, Names};
use super::people::narrow;
use super::place::{location, upwards};
use crate::model::{ExternalLocation, StorageCredential, TimeSpan, UtcMicros};
use hashbrown::HashMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Catalog {
    credentials: Vec<StorageCredential>,
    locations: Vec<ExternalLocation>,
    /// By role: when it stood behind a credential, and in which metastore.
    by_role: HashMap<String, Vec<Held>>,
    by_path: HashMap<String, Vec<usize>>,
    moments: Vec<UtcMicros>,
}

/// A role behind a credential over a while.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    from: UtcMicros,
    until: UtcMicros,
    credential_id: String,
    metastore: Option<String>,
    external_id: Option<String>,
}

impl Catalog {
    pub fn add(
        &mut self,
        credentials: Vec<StorageCredential>,
        locations: Vec<ExternalLocation>,
        names: &mut Names,
    ) {
        self.credentials.extend(credentials);
        self.credentials
            .sort_by(|a, b| (&a.id, a.seen_at, a).cmp(&(&b.id, b.seen_at, b)));
        self.credentials.dedup();
        self.hold();
        self.locations.extend(locations);
        self.locations.sort();
        self.locations.dedup();
        self.by_path.clear();
        for (place, found) in self.locations.iter().enumerate() {
            if let Some(path) = location(&found.url) {
                names.add(&path);
                self.by_path.entry(path).or_default().push(place);
            }
        }
    }

    /// Works out from when to when each role stood behind its credential.
    fn hold(&mut self) {
        self.by_role.clear();
        self.moments.clear();
        let newest = self.credentials.iter().map(|seen| seen.seen_at).max();
        for snapshots in self.credentials.chunk_by(|a, b| a.id == b.id) {
            let mut stretches = snapshots
                .chunk_by(|a, b| a.role_arn == b.role_arn)
                .peekable();
            let mut is_first = true;
            while let Some(stretch) = stretches.next() {
                let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else {
                    continue;
                };
                let from = if is_first {
                    first.created_at.unwrap_or(UtcMicros::MIN)
                } else {
                    first.updated_at.unwrap_or(first.seen_at)
                };
                is_first = false;
                let until = match stretches.peek().and_then(|next| next.first()) {
                    // Between two snapshots the change may have come at any time.
                    Some(next) => next.updated_at.unwrap_or(next.seen_at),
                    None if newest.is_some_and(|newest| last.seen_at < newest) => {
                        newest.unwrap_or(UtcMicros::MAX)
                    }
                    None => UtcMicros::MAX,
                };
                let Some(role) = first.role_arn.clone() else {
                    continue;
                };
                self.moments.push(from);
                self.moments.push(UtcMicros(until.0.saturating_add(1)));
                self.by_role.entry(role).or_default().push(Held {
                    from,
                    until,
                    credential_id: first.id.clone(),
                    metastore: last.metastore_id.clone(),
                    external_id: last.external_id.clone(),
                });
            }
        }
        self.moments.sort_unstable();
        self.moments.dedup();
    }

    /// Whether the role stood behind a storage credential at `at`.
    pub fn is_storage_credential(&self, role_arn: &str, at: UtcMicros) -> bool {
        self.held(role_arn, at).next().is_some()
    }

    /// Narrows the span to the times at which the same roles are credentials.
    pub fn narrow(&self, at: UtcMicros, span: &mut TimeSpan) {
        narrow(&self.moments, at, span);
    }

    /// The metastores that a role vends for; `None` if that is not known. One role
    /// may stand behind credentials of several metastores: the external id of the
    /// session tells them apart, where both show it.
    pub fn metastores(
        &self,
        role_arn: &str,
        external_id: Option<&str>,
        at: UtcMicros,
    ) -> Option<Vec<&str>> {
        let fits = |held: &&Held| match (held.external_id.as_deref(), external_id) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        let mut known = Vec::new();
        for held in self.held(role_arn, at).filter(fits) {
            known.push(held.metastore.as_deref()?);
        }
        (!known.is_empty()).then_some(known)
    }

    /// Whether the location is governed by a credential of another role, and always
    /// was: a vend of it is none of this role.
    pub fn is_of_another_role(&self, path: &str, role_arn: &str) -> bool {
        let Some(places) = upwards(path).find_map(|outer| self.by_path.get(outer)) else {
            return false;
        };
        let mut any = false;
        for found in places.iter().filter_map(|place| self.locations.get(*place)) {
            let id = found.credential_id.as_deref();
            let mut roles = self
                .credentials
                .iter()
                .filter(|credential| match id {
                    Some(id) => credential.id == id,
                    None => Some(credential.name.as_str()) == found.credential_name.as_deref(),
                })
                .map(|credential| credential.role_arn.as_deref())
                .peekable();
            if roles.peek().is_none() || roles.any(|role| role.is_none_or(|role| role == role_arn))
            {
                return false;
            }
            any = true;
        }
        any
    }

    /// The external location that governs a path: the innermost, in its newest
    /// snapshot at or before `at`, else its first.
    pub fn external_location(&self, path: &str, at: UtcMicros) -> Option<&ExternalLocation> {
        let places = upwards(path).find_map(|outer| self.by_path.get(outer))?;
        let found = || places.iter().filter_map(|place| self.locations.get(*place));
        found()
            .filter(|location| location.seen_at <= at)
            .max_by_key(|location| location.seen_at)
            .or_else(|| found().min_by_key(|location| location.seen_at))
    }

    fn held(&self, role_arn: &str, at: UtcMicros) -> impl Iterator<Item = &Held> {
        let held = self.by_role.get(role_arn).map(Vec::as_slice);
        held.unwrap_or_default()
            .iter()
            .filter(move |held| held.from <= at && at <= held.until)
    }
}

/// Whether a name is one of the given texts.
pub(super) fn is_one_of(name: Name, texts: &[&str], names: &Names) -> bool {
    texts.contains(&names.text(name))
}
