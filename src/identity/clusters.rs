//! Clusters as they were at a time: how shared, whose, made by what; and the
//! workspaces that know them.

use super::names::{Name, Names};
use super::people::{in_effect, narrow};
use crate::model::{Cluster, ClusterAccess, ClusterFacts, TimeSpan, UtcMicros};
use hashbrown::HashMap;

/// How long after its end a cluster's requests may still come, as clocks differ.
const END_SLACK_SECS: i64 = 60;

#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    /// Sorted by cluster and time of change.
    rows: Vec<Cluster>,
    by_id: HashMap<String, std::ops::Range<usize>>,
    workspaces: HashMap<Name, Vec<Name>>,
}

/// What is known of a cluster at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterAt {
    /// `None` where no row tells, or rows of one time disagree.
    pub access: Option<ClusterAccess>,
    /// Made for one run of a job.
    pub is_job: Option<bool>,
    /// Whom it is dedicated to, as written; several if rows of one time disagree.
    pub users: Vec<String>,
    /// The users are told only by a row of another time, or changed over time.
    pub users_assumed: bool,
    /// The cluster was changed between that row and then: it may have had another user.
    pub users_unsure: bool,
    pub evidence: Option<String>,
}

impl Clusters {
    pub fn add(&mut self, rows: Vec<Cluster>, names: &mut Names) {
        for row in &rows {
            let cluster = names.add(&row.cluster_id);
            let workspace = names.add_some(row.workspace_id.as_deref());
            self.add_workspace(cluster, workspace);
        }
        self.rows.extend(rows);
        self.rows.sort_by(|a, b| {
            (&a.cluster_id, a.changed_at, a).cmp(&(&b.cluster_id, b.changed_at, b))
        });
        self.rows.dedup();
        self.by_id.clear();
        let mut start = 0;
        for group in self.rows.chunk_by(|a, b| a.cluster_id == b.cluster_id) {
            if let Some(row) = group.first() {
                let range = start..start + group.len();
                self.by_id.insert(row.cluster_id.clone(), range);
            }
            start += group.len();
        }
    }

    /// Notes that a workspace knows the cluster, whichever fact said so.
    pub fn add_workspace(&mut self, cluster: Name, workspace: Name) {
        if cluster.is_none() || workspace.is_none() {
            return;
        }
        let known = self.workspaces.entry(cluster).or_default();
        if !known.contains(&workspace) {
            known.push(workspace);
        }
    }

    /// Returns the workspaces that know the cluster, in no order.
    pub fn workspaces(&self, cluster: Name) -> &[Name] {
        self.workspaces
            .get(&cluster)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Returns what rules ask of the cluster as it was at `at`; `None` if no row is
    /// known of it.
    pub fn facts(
        &self,
        workspace: Option<&str>,
        cluster_id: &str,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> Option<ClusterFacts> {
        let known = self.at(workspace, cluster_id, at, span);
        let rows = self.rows_of(workspace, cluster_id);
        let time = in_effect(rows.iter().map(|row| row.changed_at), at)?;
        let now = || rows.iter().filter(|row| row.changed_at == time);
        // Rows of one time that disagree tell nothing.
        let one = |of: fn(&Cluster) -> Option<&str>| {
            let mut told: Vec<&str> = now().filter_map(|row| of(row)).collect();
            told.dedup();
            match told.as_slice() {
                [only] => Some((*only).to_owned()),
                _ => None,
            }
        };
        let mut tags: Vec<(String, String)> =
            now().flat_map(|row| row.tags.iter().cloned()).collect();
        tags.sort();
        tags.dedup_by(|a, b| a.0 == b.0);
        Some(ClusterFacts {
            name: one(|row| row.cluster_name.as_deref()),
            source: one(|row| row.cluster_source.as_deref()),
            dedicated: known
                .access
                .map(|access| access == ClusterAccess::Dedicated),
            tags,
        })
    }

    fn rows_of(&self, workspace: Option<&str>, cluster_id: &str) -> Vec<&Cluster> {
        self.by_id
            .get(cluster_id)
            .and_then(|range| self.rows.get(range.clone()))
            .unwrap_or_default()
            .iter()
            .filter(|row| match (workspace, row.workspace_id.as_deref()) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            })
            .collect()
    }

    /// Whether the cluster had ended by `at`, as far as is known: an address that was
    /// seen of it may be another machine's by then.
    pub fn has_ended(
        &self,
        workspace: Option<&str>,
        cluster_id: &str,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> bool {
        let rows = self.rows_of(workspace, cluster_id);
        let ends: Vec<UtcMicros> = rows.iter().filter_map(|row| row.deleted_at).collect();
        let gone = ends.iter().map(|end| end.plus_seconds(END_SLACK_SECS));
        let changes = rows.iter().filter(|row| row.deleted_at.is_none());
        let changes: Vec<UtcMicros> = changes.map(|row| row.changed_at).collect();
        let mut moments: Vec<UtcMicros> = gone.chain(changes.iter().copied()).collect();
        moments.sort();
        narrow(&moments, at, span);
        let passed = at.plus_seconds(-END_SLACK_SECS);
        let ended = ends.into_iter().filter(|end| *end <= passed).max();
        // One that was ended can be started again.
        ended.is_some_and(|ended| !changes.iter().any(|it| *it > ended && *it <= at))
    }

    /// Returns the cluster as it was at `at`.
    pub fn at(
        &self,
        workspace: Option<&str>,
        cluster_id: &str,
        at: UtcMicros,
        span: &mut TimeSpan,
    ) -> ClusterAt {
        let rows = self.rows_of(workspace, cluster_id);
        let times: Vec<UtcMicros> = rows.iter().map(|row| row.changed_at).collect();
        narrow(&times, at, span);
        let mut found = ClusterAt::default();
        let telling: Vec<&&Cluster> = rows.iter().filter(|row| tells_access(row)).collect();
        if let Some(time) = in_effect(telling.iter().map(|row| row.changed_at), at) {
            let mut now = telling.iter().filter(|row| row.changed_at == time);
            if let Some(first) = now.next() {
                let access = access_of(first);
                found.access = now.all(|row| access_of(row) == access).then_some(access);
                found.evidence = Some(evidence(first));
            }
        }
        let mut made_by: Vec<bool> = rows
            .iter()
            .filter_map(|row| row.cluster_source.as_deref())
            .map(|source| source == "JOB")
            .collect();
        made_by.dedup();
        found.is_job = match made_by.as_slice() {
            [is_job] => Some(*is_job),
            _ => None,
        };
        let used: Vec<(UtcMicros, &str)> = rows
            .iter()
            .filter_map(|row| Some((row.changed_at, row.single_user_name.as_deref()?)))
            .collect();
        // What names a user is a snapshot: it holds for its own time. The two nearest by
        // tell of a time between them.
        let before = used
            .iter()
            .map(|(time, _)| *time)
            .filter(|time| *time <= at);
        let after = used.iter().map(|(time, _)| *time).filter(|time| *time > at);
        let (before, after) = (before.max(), after.min());
        let near = [before, after].into_iter().flatten();
        let near = used
            .iter()
            .filter(|(time, _)| near.clone().any(|it| it == *time));
        found.users = near.map(|(_, user)| (*user).to_owned()).collect();
        found.users.sort();
        found.users.dedup();
        // That a cluster ended is no change of its user.
        let changes = rows
            .iter()
            .filter(|row| row.deleted_at.is_none())
            .map(|row| row.changed_at);
        let is_other = |(_, user): &(UtcMicros, &str)| !found.users.iter().any(|u| u == user);
        found.users_assumed = used.iter().any(is_other) || times.iter().all(|time| *time > at);
        let changed_since = before.map(|from| changes.clone().any(|it| it > from && it <= at));
        let changed_until = after.map(|until| changes.clone().any(|it| it > at && it < until));
        // Changed twice, it may have had another user in between.
        found.users_unsure = changed_since.unwrap_or(true) && changed_until.unwrap_or(true);
        found.users_unsure &= !used.is_empty();
        found
    }
}

/// A row of the audit log may name a cluster and say nothing of its mode.
fn tells_access(row: &Cluster) -> bool {
    row.access == ClusterAccess::Dedicated
        || row.single_user_name.is_some()
        || row.cluster_source.is_some()
        || row.owned_by.is_some()
}

fn access_of(row: &Cluster) -> ClusterAccess {
    row.access
}

fn evidence(row: &Cluster) -> String {
    let workspace = row.workspace_id.as_deref().unwrap_or_default();
    format!("clusters:{workspace}/{}@{}", row.cluster_id, row.changed_at)
}
