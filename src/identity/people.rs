//! Users, service principals and groups: from the many ways in which Databricks
//! writes somebody to the one name that the tables hold.
//!
//! A user is named by the user name (mostly an e-mail address), a service
//! principal by the application id. Numeric ids are looked up in SCIM, which is
//! current state: dated snapshots and the audit log's membership changes between
//! them tell the past.
//!
//! INVARIANT (no stand-ins): `System-User`, `unknown` and a group are nobody.

use super::place::is_uuid;
use crate::model::{GroupChange, PrincipalKind, ScimEntry, ScimKind, TimeSpan, UtcMicros};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// A person or service principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Person {
    pub name: String,
    pub kind: Option<PrincipalKind>,
}

/// The identity of Databricks' own services in the audit log.
pub(super) const SYSTEM_USER: &str = "System-User";

/// Whether a name stands for nobody in particular.
pub(super) fn is_stand_in(name: &str) -> bool {
    name.eq_ignore_ascii_case(SYSTEM_USER) || name.eq_ignore_ascii_case("unknown")
}

#[derive(Clone, Debug, Default)]
pub(super) struct People {
    pub(super) entries: Vec<ScimEntry>,
    pub(super) changes: Vec<GroupChange>,
    /// Places of entries, the earliest snapshot first.
    pub(super) by_id: HashMap<String, Vec<usize>>,
    /// By lower-case user name or application id.
    by_name: HashMap<String, Vec<usize>>,
    by_display: HashMap<String, Vec<usize>>,
    /// Time of the newest snapshot of each kind.
    pub(super) newest: HashMap<ScimKind, UtcMicros>,
    /// Every time at which an answer about groups or ids may change, sorted.
    moments: Vec<UtcMicros>,
    /// Ids of the groups that ever listed a member, by the member's id.
    pub(super) above: HashMap<String, Vec<String>>,
    /// Times of snapshots of each kind, sorted.
    pub(super) snapshots: HashMap<ScimKind, Vec<UtcMicros>>,
    /// The same only for the same people.
    edition: Arc<()>,
}

impl People {
    /// What stands for these people as long as nothing is added to them.
    pub(super) fn edition(&self) -> &Arc<()> {
        &self.edition
    }

    pub fn add(&mut self, entries: Vec<ScimEntry>, changes: Vec<GroupChange>) {
        self.edition = Arc::default();
        self.entries.extend(entries);
        self.entries.sort();
        self.entries.dedup();
        self.changes.extend(changes);
        self.changes.sort_by(|a, b| a.at.cmp(&b.at).then(a.cmp(b)));
        self.changes.dedup();
        let mut in_time: Vec<usize> = (0..self.entries.len()).collect();
        in_time.sort_by_key(|place| self.entries.get(*place).map(|entry| entry.seen_at));
        self.by_id.clear();
        self.by_name.clear();
        self.by_display.clear();
        for place in in_time {
            let Some(entry) = self.entries.get(place) else {
                continue;
            };
            self.by_id.entry(entry.id.clone()).or_default().push(place);
            if let Some(name) = &entry.name {
                let name = name.to_ascii_lowercase();
                self.by_name.entry(name).or_default().push(place);
            }
            if let Some(display) = &entry.display_name {
                self.by_display
                    .entry(display.clone())
                    .or_default()
                    .push(place);
            }
            let newest = self.newest.entry(entry.kind).or_insert(entry.seen_at);
            *newest = (*newest).max(entry.seen_at);
        }
        self.moments = self
            .entries
            .iter()
            .map(|entry| entry.seen_at)
            .chain(self.changes.iter().map(|change| change.at))
            .collect();
        self.moments.sort_unstable();
        self.moments.dedup();
        self.note_above();
    }

    /// Whether SCIM's newest snapshot still shows this name; `None` if no snapshot
    /// of its kind was read.
    pub fn is_current(&self, person: &Person) -> Option<bool> {
        let kind = match person.kind? {
            PrincipalKind::User => ScimKind::User,
            PrincipalKind::ServicePrincipal => ScimKind::ServicePrincipal,
        };
        let newest = self.newest.get(&kind)?;
        Some(
            self.named(&person.name)
                .any(|entry| entry.kind == kind && entry.seen_at == *newest),
        )
    }

    /// Resolves whatever Databricks wrote for somebody: a name as it stands, an id
    /// through SCIM. Several answers mean that the snapshots disagree; none, that
    /// it stands for nobody known.
    pub fn resolve(&self, written: &str, at: UtcMicros, span: &mut TimeSpan) -> Vec<Person> {
        let written = written.trim();
        if written.is_empty() || is_stand_in(written) {
            return Vec::new();
        }
        if let Some(entry) = self.named(written).last() {
            return person(entry).into_iter().collect();
        }
        if written.bytes().all(|byte| byte.is_ascii_digit()) {
            return self.by_number(written, at, span);
        }
        if written.contains('@') {
            return vec![Person {
                name: written.to_ascii_lowercase(),
                kind: Some(PrincipalKind::User),
            }];
        }
        if is_uuid(written) {
            return vec![Person {
                name: written.to_ascii_lowercase(),
                kind: Some(PrincipalKind::ServicePrincipal),
            }];
        }
        // Some records show a service principal's display name.
        let mut people: Vec<Person> = self
            .displayed(written)
            .filter(|entry| entry.kind == ScimKind::ServicePrincipal)
            .filter_map(person)
            .collect();
        people.sort();
        people.dedup();
        if people.is_empty() && !self.is_group(written) {
            people.push(Person {
                name: written.to_owned(),
                kind: None,
            });
        }
        people
    }

    fn by_number(&self, id: &str, at: UtcMicros, span: &mut TimeSpan) -> Vec<Person> {
        self.narrow(at, span);
        let seen: Vec<&ScimEntry> = self.with_id(id).collect();
        let Some(snapshot) = in_effect(seen.iter().map(|entry| entry.seen_at), at) else {
            return Vec::new();
        };
        let mut people: Vec<Person> = seen
            .into_iter()
            .filter(|entry| entry.seen_at == snapshot)
            .filter_map(person)
            .collect();
        people.sort();
        people.dedup();
        people
    }

    /// Whether a group of that name or id was ever seen.
    pub fn is_group(&self, name: &str) -> bool {
        self.groups(name).next().is_some()
    }

    /// The people of a group at a time, through the groups in it. Account and
    /// workspace groups may share a name: all of that name count.
    pub fn members(&self, group: &str, at: UtcMicros, span: &mut TimeSpan) -> Vec<Person> {
        self.narrow(at, span);
        let mut open: Vec<String> = self.groups(group).map(|entry| entry.id.clone()).collect();
        let mut seen: HashSet<String> = HashSet::new();
        let mut people = Vec::new();
        while let Some(id) = open.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            for member in self.direct_members(&id, at) {
                if self.is_group(&member) {
                    open.extend(self.groups(&member).map(|entry| entry.id.clone()));
                } else {
                    people.extend(self.resolve(&member, at, span));
                }
            }
        }
        people.sort();
        people.dedup();
        people
    }

    /// The members that the snapshot in effect shows, with the changes between it
    /// and `at` done (or undone, if it was taken later).
    fn direct_members(&self, group_id: &str, at: UtcMicros) -> HashSet<String> {
        let seen: Vec<&ScimEntry> = self
            .with_id(group_id)
            .filter(|entry| entry.kind == ScimKind::Group)
            .collect();
        let Some(snapshot) = in_effect(seen.iter().map(|entry| entry.seen_at), at) else {
            return HashSet::new();
        };
        let now: Vec<&ScimEntry> = seen
            .into_iter()
            .filter(|entry| entry.seen_at == snapshot)
            .collect();
        let mut members: HashSet<String> = now
            .iter()
            .flat_map(|entry| entry.members.iter().cloned())
            .collect();
        let names: Vec<&str> = now
            .iter()
            .filter_map(|entry| entry.display_name.as_deref())
            .collect();
        let (from, until) = (snapshot.min(at), snapshot.max(at));
        let mut between: Vec<&GroupChange> = self
            .changes
            .iter()
            .filter(|change| from < change.at && change.at <= until)
            .filter(|change| match &change.group_id {
                Some(id) => id == group_id,
                None => change
                    .group_name
                    .as_deref()
                    .is_some_and(|name| names.contains(&name)),
            })
            .collect();
        let undo = snapshot > at;
        if undo {
            between.reverse();
        }
        for change in between {
            let id = self.id_of(&change.member);
            if change.added != undo {
                members.insert(id);
            } else {
                members.remove(&id);
            }
        }
        members
    }

    /// The numeric id behind a name, as groups list their members.
    pub(super) fn id_of(&self, written: &str) -> String {
        self.named(written)
            .last()
            .map_or_else(|| written.to_owned(), |entry| entry.id.clone())
    }

    pub(super) fn groups(&self, name: &str) -> impl Iterator<Item = &ScimEntry> {
        self.displayed(name)
            .chain(self.with_id(name))
            .filter(|entry| entry.kind == ScimKind::Group)
    }

    fn with_id(&self, id: &str) -> impl Iterator<Item = &ScimEntry> {
        self.entries_at(self.by_id.get(id))
    }

    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &ScimEntry> {
        let places = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.by_name.get(&name.to_ascii_lowercase())
        } else {
            self.by_name.get(name)
        };
        self.entries_at(places)
    }

    fn displayed(&self, name: &str) -> impl Iterator<Item = &ScimEntry> {
        self.entries_at(self.by_display.get(name))
    }

    fn entries_at(&self, places: Option<&Vec<usize>>) -> impl Iterator<Item = &ScimEntry> {
        let places = places.map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.entries.get(*place))
    }

    pub(super) fn narrow(&self, at: UtcMicros, span: &mut TimeSpan) {
        narrow(&self.moments, at, span);
    }
}

/// Narrows the span to the times between the moments around `at`.
pub(super) fn narrow(moments: &[UtcMicros], at: UtcMicros, span: &mut TimeSpan) {
    let next = moments.partition_point(|moment| *moment <= at);
    if let Some(moment) = next.checked_sub(1).and_then(|last| moments.get(last)) {
        span.from = span.from.max(*moment);
    }
    if let Some(moment) = moments.get(next) {
        span.until = span.until.min(UtcMicros(moment.0.saturating_sub(1)));
    }
}

/// The last of the times at or before `at`, else the first after it.
pub(super) fn in_effect(
    times: impl Iterator<Item = UtcMicros> + Clone,
    at: UtcMicros,
) -> Option<UtcMicros> {
    let before = times.clone().filter(|time| *time <= at).max();
    before.or_else(|| times.min())
}

fn person(entry: &ScimEntry) -> Option<Person> {
    let kind = match entry.kind {
        ScimKind::User => PrincipalKind::User,
        ScimKind::ServicePrincipal => PrincipalKind::ServicePrincipal,
        ScimKind::Group => return None,
    };
    Some(Person {
        name: entry.name.clone()?,
        kind: Some(kind),
    })
}
