//! What is known of the workload behind an attributed access, for policies that ask:
//! groups of its principals, names and tags of its job, cluster and workspace.
//!
//! Like attribution it looks at facts as they were at the time of the access, and tells
//! for which times the answer holds.

use super::index::IdentityIndex;
use super::names::Name;
use super::people::{People, Person};
use crate::model::{
    Attribution, GroupChange, Interest, JobFacts, KnownGroups, Membership, PrincipalKind,
    ScimEntry, TimeSpan, UtcMicros, Workload, WorkspaceFacts,
};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type ByName = HashMap<String, Vec<(TimeSpan, Membership)>, foldhash::fast::FixedState>;

/// Where principals belong, as looked up before, for one interest. Holds as long as an
/// index knows the same people, whatever it learns beside.
#[derive(Default)]
pub struct Memberships {
    known: HashMap<Option<PrincipalKind>, ByName>,
    /// How many there are.
    count: usize,
    /// Of these people.
    of: Option<Arc<()>>,
}

impl Memberships {
    /// How many are kept.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Forgets everything if it is not of these people.
    fn be_of(&mut self, people: &People) {
        let edition = people.edition();
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, edition)) {
            self.known.clear();
            self.count = 0;
            self.of = Some(edition.clone());
        }
    }
}

impl IdentityIndex {
    /// Returns what is known of the workload of an access at `at`, as far as somebody
    /// asks, and the times for which the same is true of this attribution.
    pub fn workload(
        &self,
        attribution: &Attribution,
        at: UtcMicros,
        interest: &Interest,
        memberships: &mut Memberships,
    ) -> (Workload, TimeSpan) {
        let mut workload = Workload::default();
        let mut span = TimeSpan::ALWAYS;
        if interest.is_none() {
            return (workload, span);
        }
        if !interest.groups.is_empty() || interest.active {
            memberships.be_of(&self.databricks().people);
            let kind = attribution.principal_kind;
            let named = attribution.principal.iter().map(|name| (name, kind));
            let candidates = attribution.principal_candidates.iter();
            let candidates = candidates
                .filter(|_| attribution.principal.is_none())
                .map(|name| (name, None));
            let asked = named.chain(candidates);
            workload.principals = asked
                .map(|(name, kind)| {
                    let of_kind = memberships.known.entry(kind).or_default();
                    let known = of_kind.entry_ref(name.as_str()).or_default();
                    let found = known.iter().find(|(span, _)| span.contains(at)).cloned();
                    let (of, membership) = found.unwrap_or_else(|| {
                        let mut of = TimeSpan::ALWAYS;
                        let membership = self.membership(name, kind, at, interest, &mut of);
                        known.push((of, membership.clone()));
                        memberships.count += 1;
                        (of, membership)
                    });
                    span = span.intersect(of);
                    membership
                })
                .collect();
        }
        let workspace = attribution.workspace_id.as_deref();
        if let (true, Some(job)) = (interest.job, attribution.job_id.as_deref()) {
            workload.job = self.job_facts(workspace, job, at, &mut span);
        }
        if let (true, Some(cluster)) = (interest.cluster, attribution.cluster_id.as_deref()) {
            let clusters = &self.databricks().clusters;
            workload.cluster = clusters.facts(workspace, cluster, at, &mut span);
        }
        if let (true, Some(workspace)) = (interest.workspace, workspace) {
            let name = self.databricks().workspaces.get(workspace);
            workload.workspace = name.map(|name| WorkspaceFacts {
                name: Some(name.clone()),
            });
        }
        (workload, span)
    }

    /// Returns the groups that SCIM shows, as policies have to know them.
    pub fn known_groups(&self) -> KnownGroups {
        self.databricks().people.known_groups()
    }

    fn membership(
        &self,
        name: &str,
        kind: Option<PrincipalKind>,
        at: UtcMicros,
        interest: &Interest,
        span: &mut TimeSpan,
    ) -> Membership {
        let people = &self.databricks().people;
        let of_name = people.groups_of(name, at, span);
        let asked = interest.groups.iter().enumerate();
        let groups = asked.filter(|(_, group)| of_name.contains(group.as_str()));
        let person = Person {
            name: name.to_owned(),
            kind,
        };
        Membership {
            groups: groups
                .filter_map(|(place, _)| u32::try_from(place).ok())
                .collect(),
            active: match interest.active {
                true => people.is_active(&person, at, span),
                false => None,
            },
        }
    }

    fn job_facts(
        &self,
        workspace: Option<&str>,
        job: &str,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> Option<JobFacts> {
        let databricks = self.databricks();
        let named = |id: Option<&str>| id.and_then(|id| databricks.names.find(id));
        let workspace = named(workspace).unwrap_or(Name::NONE);
        let job = named(Some(job)).unwrap_or(Name::NONE);
        let row = databricks.runs.job_at(workspace, job, at, span)?;
        let mut person = |written: Option<&str>| {
            let people = databricks.people.resolve(written?, at, span);
            match people.as_slice() {
                [person] => Some(person.name.clone()),
                _ => None,
            }
        };
        Some(JobFacts {
            name: row.name.clone(),
            run_as: person(row.run_as.as_deref()),
            creator: person(row.creator_id.as_deref()),
            tags: row.tags.clone(),
        })
    }
}

/// The groups among entries of SCIM, as policies have to know them.
pub fn known_groups(entries: Vec<ScimEntry>) -> KnownGroups {
    let mut people = People::default();
    people.add(entries, Vec::new());
    people.known_groups()
}

/// Who was in which group, and when.
pub struct GroupHistory(People);

impl GroupHistory {
    pub fn of(entries: Vec<ScimEntry>, changes: Vec<GroupChange>) -> GroupHistory {
        let mut people = People::default();
        people.add(entries, changes);
        GroupHistory(people)
    }

    /// The people of each group as it is now, by display name.
    pub fn members(&self) -> BTreeMap<String, BTreeSet<String>> {
        let names = self.0.known_groups().names.into_iter();
        let groups = names.map(|group| {
            let mut span = TimeSpan::ALWAYS;
            let members = self.0.members(&group, UtcMicros::MAX, &mut span);
            let members = members.into_iter().map(|person| person.name).collect();
            (group, members)
        });
        groups.collect()
    }

    /// Whether a principal was in a group at `at`, through others or directly.
    pub fn is_member(&self, group: &str, name: &str, at: UtcMicros) -> bool {
        let mut span = TimeSpan::ALWAYS;
        self.0.groups_of(name, at, &mut span).contains(group)
    }
}
