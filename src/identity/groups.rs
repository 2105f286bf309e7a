//! Upward through SCIM's groups: which of them somebody is in, at a time.
//!
//! A group lists its direct members. The audit log tells of changes between the dated
//! snapshots; they are done, or undone, one member at a time, so that asking for one
//! person never builds the list of all.
//!
//! INVARIANT (one truth): whoever [`People::members`] counts as a member of a group has
//! that group here, and nobody else has; a test compares the two.

use super::people::{People, Person, in_effect};
use crate::model::{KnownGroups, PrincipalKind, ScimEntry, ScimKind, TimeSpan, UtcMicros};
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;

impl People {
    /// Display names of the groups that a principal is in at `at`, through others too.
    pub(super) fn groups_of(
        &self,
        name: &str,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        if self.above.is_empty() {
            return found;
        }
        self.narrow(at, span);
        let mut open: Vec<&str> = self.ids_of(name).collect();
        // Groups may list whom SCIM does not show.
        open.push(name);
        let mut seen: HashSet<&str> = HashSet::new();
        while let Some(member) = open.pop() {
            if !seen.insert(member) {
                continue;
            }
            let above = self.above.get(member);
            for group in above.into_iter().flatten() {
                if seen.contains(group.as_str()) || !self.is_direct_member(group, member, at) {
                    continue;
                }
                open.push(group);
                found.extend(self.names_at(group, at));
            }
        }
        found
    }

    /// Whether SCIM showed the principal as active at `at` (who was never shown up to then
    /// may be new); `None` where it cannot be
    /// told: no snapshot of its kind is that old, unless a later one shows it.
    pub(super) fn is_active(
        &self,
        person: &Person,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> Option<bool> {
        self.narrow(at, span);
        let is_user = match person.kind {
            Some(kind) => kind == PrincipalKind::User,
            None => person.name.contains('@'),
        };
        let kind = match is_user {
            true => ScimKind::User,
            false => ScimKind::ServicePrincipal,
        };
        let snapshot = self.snapshot(kind, at)?;
        let shown = self
            .named(&person.name)
            .filter(|entry| entry.kind == kind && entry.seen_at == snapshot);
        // SCIM leaves `active` out where it is true.
        let is_active = shown.map(|entry| entry.active.unwrap_or(true)).max();
        let was_shown = || {
            let mut entries = self.named(&person.name);
            entries.any(|entry| entry.kind == kind && entry.seen_at < snapshot)
        };
        match is_active {
            Some(true) => Some(true),
            _ if snapshot > at => None,
            Some(false) => Some(false),
            // Gone, if an earlier snapshot showed it; else perhaps not there yet.
            None => was_shown().then_some(false),
        }
    }

    /// The groups that the newest snapshot shows.
    pub(super) fn known_groups(&self) -> KnownGroups {
        let groups: Vec<&ScimEntry> = self.newest_groups().collect();
        let ids: HashMap<&str, &ScimEntry> = groups
            .iter()
            .map(|group| (group.id.as_str(), *group))
            .collect();
        let names: BTreeSet<&str> = self
            .all_groups()
            .filter_map(|group| group.display_name.as_deref())
            .collect();
        let empty: BTreeSet<&str> = groups
            .iter()
            .filter(|group| !has_people(group, &ids, &mut HashSet::new()))
            .filter_map(|group| group.display_name.as_deref())
            .collect();
        let owned = |names: BTreeSet<&str>| names.into_iter().map(str::to_owned).collect();
        KnownGroups {
            names: owned(names),
            cycles: cycles(&groups, &ids),
            empty: owned(empty),
        }
    }

    /// Notes who was ever listed by which group, and when SCIM was read.
    pub(super) fn note_above(&mut self) {
        let mut above: HashMap<String, Vec<String>> = HashMap::new();
        let mut note = |member: &str, group: &str| {
            let groups = above.entry_ref(member).or_default();
            if groups.last().is_none_or(|last| last != group) {
                groups.push(group.to_owned());
            }
        };
        for group in self.all_groups() {
            for member in &group.members {
                note(member, &group.id);
            }
        }
        for change in &self.changes {
            let member = self.id_of(&change.member);
            match (&change.group_id, &change.group_name) {
                (Some(id), _) => note(&member, id),
                (None, Some(name)) => self.groups(name).for_each(|group| note(&member, &group.id)),
                (None, None) => {}
            }
        }
        for groups in above.values_mut() {
            groups.sort_unstable();
            groups.dedup();
        }
        self.above = above;
        self.snapshots.clear();
        for entry in &self.entries {
            self.snapshots
                .entry(entry.kind)
                .or_default()
                .push(entry.seen_at);
        }
        for times in self.snapshots.values_mut() {
            times.sort_unstable();
            times.dedup();
        }
    }

    fn all_groups(&self) -> impl Iterator<Item = &ScimEntry> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.kind == ScimKind::Group)
    }

    /// The groups of the newest snapshot.
    fn newest_groups(&self) -> impl Iterator<Item = &ScimEntry> {
        let newest = self.newest.get(&ScimKind::Group).copied();
        self.all_groups()
            .filter(move |entry| Some(entry.seen_at) == newest)
    }

    /// The snapshot of a kind that was in effect at `at`.
    fn snapshot(&self, kind: ScimKind, at: UtcMicros) -> Option<UtcMicros> {
        in_effect(self.snapshots.get(&kind)?.iter().copied(), at)
    }

    /// Numeric ids behind a user name or application id.
    fn ids_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.named(name).map(|entry| entry.id.as_str())
    }

    /// Names of a group as the snapshot in effect shows it.
    fn names_at(&self, group_id: &str, at: UtcMicros) -> impl Iterator<Item = &str> {
        let entries = self.group_with_id(group_id);
        let snapshot = snapshot_of(entries.clone(), at);
        entries
            .filter(move |entry| Some(entry.seen_at) == snapshot)
            .filter_map(|entry| entry.display_name.as_deref())
    }

    fn group_with_id(&self, group_id: &str) -> impl Iterator<Item = &ScimEntry> + Clone {
        let places = self.by_id.get(group_id);
        let places = places.map(Vec::as_slice).unwrap_or_default();
        places
            .iter()
            .filter_map(|place| self.entries.get(*place))
            .filter(|entry| entry.kind == ScimKind::Group)
    }

    /// Whether the snapshot in effect lists a member, with the changes between it and
    /// `at` done, or undone.
    fn is_direct_member(&self, group_id: &str, member: &str, at: UtcMicros) -> bool {
        let entries = self.group_with_id(group_id);
        let Some(snapshot) = snapshot_of(entries.clone(), at) else {
            return false;
        };
        let now = || entries.clone().filter(|entry| entry.seen_at == snapshot);
        let listed = now().any(|entry| entry.members.iter().any(|id| id == member));
        let (from, until) = (snapshot.min(at), snapshot.max(at));
        let undo = snapshot > at;
        let first = self.changes.partition_point(|change| change.at <= from);
        let end = self.changes.partition_point(|change| change.at <= until);
        let mut between = self
            .changes
            .get(first..end)
            .unwrap_or_default()
            .iter()
            .filter(|change| self.id_of(&change.member) == member)
            .filter(|change| match &change.group_id {
                Some(id) => id == group_id,
                None => change.group_name.as_deref().is_some_and(|name| {
                    now().any(|entry| entry.display_name.as_deref() == Some(name))
                }),
            });
        // Undone, the first change tells; done, the last one does.
        match undo {
            true => between.next().map_or(listed, |change| !change.added),
            false => between.next_back().map_or(listed, |change| change.added),
        }
    }
}

/// Whether any member is not a group, through the groups in it.
fn has_people<'a>(
    group: &'a ScimEntry,
    ids: &HashMap<&'a str, &'a ScimEntry>,
    seen: &mut HashSet<&'a str>,
) -> bool {
    seen.insert(&group.id)
        && group.members.iter().any(|member| {
            let inner = ids.get(member.as_str());
            inner.is_none_or(|inner| has_people(inner, ids, seen))
        })
}

/// For each group that lies in itself, a shortest way around, by names; each way once.
fn cycles(groups: &[&ScimEntry], ids: &HashMap<&str, &ScimEntry>) -> Vec<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut told: HashSet<&str> = HashSet::new();
    for start in groups {
        if told.contains(start.id.as_str()) {
            continue;
        }
        // Breadth first from the group down to itself.
        let mut from: HashMap<&str, &str> = HashMap::new();
        let mut open = std::collections::VecDeque::from([start.id.as_str()]);
        'down: while let Some(id) = open.pop_front() {
            let members = ids.get(id).map(|group| group.members.as_slice());
            for member in members.unwrap_or_default() {
                let Some((&member, _)) = ids.get_key_value(member.as_str()) else {
                    continue;
                };
                if member == start.id {
                    found.insert(way(id, &start.id, &from, ids));
                    let mut at = id;
                    told.insert(&start.id);
                    while at != start.id {
                        told.insert(at);
                        at = from.get(at).copied().unwrap_or(&start.id);
                    }
                    break 'down;
                }
                if !from.contains_key(member) {
                    from.insert(member, id);
                    open.push_back(member);
                }
            }
        }
    }
    found.into_iter().collect()
}

/// The names on the way from a group up to the one that holds it, and that again.
fn way(
    last: &str,
    start: &str,
    from: &HashMap<&str, &str>,
    ids: &HashMap<&str, &ScimEntry>,
) -> Vec<String> {
    let name = |id: &str| {
        let name = ids.get(id).and_then(|group| group.display_name.clone());
        name.unwrap_or_else(|| id.to_owned())
    };
    // A member lies in its group: from the start, which lies in the last, upward.
    let mut names = vec![name(start)];
    let mut at = last;
    while at != start {
        names.push(name(at));
        at = from.get(at).copied().unwrap_or(start);
    }
    names.push(name(start));
    names
}

/// The snapshot in effect among those of some entries.
fn snapshot_of<'a>(
    entries: impl Iterator<Item = &'a ScimEntry> + Clone,
    at: UtcMicros,
) -> Option<UtcMicros> {
    in_effect(entries.map(|entry| entry.seen_at), at)
}
