//! What an import keeps while it reads.
//!
//! Bounded: records are joined whenever twice as many are held as the last
//! joining left, so what is held is at most twice what is kept. Slices of runs
//! and minutes of nodes, of which exports are full, never pile up.

use crate::model::UtcMicros;
use crate::model::databricks::{
    Cluster, ClusterNode, CommandRun, DatabricksFacts, ExternalLocation, GroupChange,
    InstanceEvent, Job, JobRun, Lineage, ScimEntry, ShareQuery, Statement, StorageCredential,
    TaskRun, Vend, Workspace,
};
use crate::model::databricks_join::{Fact, join_all};
use std::cmp::Ordering;

/// Records below which joining is not worth it: some megabytes.
const JOIN_FROM: usize = 32 * 1024;

/// A run that goes on has a row for each hour, an hour late at most; a run whose
/// last slice is older than that against the newest row of its table is over,
/// whether or not a result was recorded.
const SLICE_OVERDUE_SECONDS: i64 = 2 * 3600;

/// Records of one kind, joined as they come.
pub struct Kept<F> {
    facts: Vec<F>,
    join_at: usize,
}

impl<F> Default for Kept<F> {
    fn default() -> Kept<F> {
        Kept {
            facts: Vec::new(),
            join_at: JOIN_FROM,
        }
    }
}

impl<F: Fact> Kept<F> {
    pub fn push(&mut self, fact: F) {
        self.facts.push(fact);
        if self.facts.len() >= self.join_at {
            join_all(&mut self.facts);
            self.join_at = JOIN_FROM.max(self.facts.len() * 2);
        }
    }
}

/// A slice of a run, and whether it is the one with the run's result.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice<R> {
    pub run: R,
    pub has_result: bool,
}

impl<R: Fact> Fact for Slice<R> {
    fn order(&self, other: &Self) -> Ordering {
        self.run.order(&other.run)
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        self.run.is_joined_by(&later.run)
    }

    fn join(&mut self, later: Self) {
        self.run.join(later.run);
        self.has_result |= later.has_result;
    }
}

/// Slices of a timeline table.
pub struct Slices<R> {
    kept: Kept<Slice<R>>,
    /// Whether the export has results at all; without them each run ends with
    /// its last slice.
    pub results_known: bool,
}

impl<R> Default for Slices<R> {
    fn default() -> Slices<R> {
        Slices {
            kept: Kept::default(),
            results_known: false,
        }
    }
}

impl<R: Fact> Slices<R> {
    pub fn push(&mut self, run: R, has_result: bool) {
        self.kept.push(Slice { run, has_result });
    }

    /// The runs; those that may go on, against the newest time of their table,
    /// have no end.
    fn into_runs(
        self,
        newest: Option<UtcMicros>,
        end: for<'r> fn(&'r mut R) -> &'r mut Option<UtcMicros>,
    ) -> Vec<R> {
        let mut slices = self.kept.facts;
        join_all(&mut slices);
        let results_known = self.results_known;
        let run_of = |slice: Slice<R>| {
            let Slice {
                mut run,
                has_result,
            } = slice;
            let last = *end(&mut run);
            let overdue = last.map(|last| last.plus_seconds(SLICE_OVERDUE_SECONDS)) < newest;
            if results_known && !has_result && !overdue {
                *end(&mut run) = None;
            }
            run
        };
        slices.into_iter().map(run_of).collect()
    }
}

/// Everything kept so far.
#[derive(Default)]
pub struct Gathered {
    pub instance_events: Kept<InstanceEvent>,
    pub nodes: Kept<ClusterNode>,
    pub clusters: Kept<Cluster>,
    pub jobs: Kept<Job>,
    pub job_runs: Slices<JobRun>,
    pub task_runs: Slices<TaskRun>,
    /// Newest rows of the two timelines.
    pub job_runs_newest: Option<UtcMicros>,
    pub task_runs_newest: Option<UtcMicros>,
    pub audited_runs: Kept<TaskRun>,
    pub vends: Kept<Vend>,
    pub commands: Kept<CommandRun>,
    pub share_queries: Kept<ShareQuery>,
    pub group_changes: Kept<GroupChange>,
    pub statements: Kept<Statement>,
    pub lineage: Kept<Lineage>,
    pub scim: Kept<ScimEntry>,
    pub storage_credentials: Kept<StorageCredential>,
    pub external_locations: Kept<ExternalLocation>,
    pub workspaces: Kept<Workspace>,
}

impl Gathered {
    /// The facts, joined; without watermarks.
    pub fn into_facts(self) -> DatabricksFacts {
        let mut task_runs = self
            .task_runs
            .into_runs(self.task_runs_newest, |run| &mut run.end);
        task_runs.extend(self.audited_runs.facts);
        let facts = DatabricksFacts {
            instance_events: self.instance_events.facts,
            nodes: self.nodes.facts,
            clusters: self.clusters.facts,
            jobs: self.jobs.facts,
            job_runs: self
                .job_runs
                .into_runs(self.job_runs_newest, |run| &mut run.end),
            task_runs,
            vends: self.vends.facts,
            commands: self.commands.facts,
            share_queries: self.share_queries.facts,
            group_changes: self.group_changes.facts,
            statements: self.statements.facts,
            lineage: self.lineage.facts,
            scim: self.scim.facts,
            storage_credentials: self.storage_credentials.facts,
            external_locations: self.external_locations.facts,
            workspaces: self.workspaces.facts,
            watermarks: Vec::new(),
        };
        facts.joined()
    }
}
