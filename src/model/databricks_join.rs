//! What several records of one thing say together.
//!
//! Exports overlap, repeat and come late, and the lake keeps what each import
//! added. Joining is what makes one fact of it: exact repetitions go, slices of
//! a run and minutes of a node become one interval, a record that names what
//! another leaves open completes it.
//!
//! INVARIANT (order does not matter): joined facts are the same whichever order
//! they came in and however often; a fact that is joined already is unchanged.

use super::databricks::{
    Cluster, ClusterNode, CommandRun, DatabricksFacts, ExternalLocation, GroupChange,
    InstanceEvent, Job, JobRun, Lineage, ScimEntry, ShareQuery, SourceWatermark, Statement,
    StorageCredential, TaskRun, Vend, Workspace,
};
use super::time::UtcMicros;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Gap between two rows of `node_timeline` that still are one interval; some
/// exports end a minute at its last second.
const NODE_GAP_SECONDS: i64 = 1;

/// Prefix of the `source_id` of an event from a delivery file, which has no
/// event id; the table's is `audit:`.
pub const DELIVERED: &str = "auditlogs:";

/// A record that may say something of the same thing as another one.
///
/// By default it is the same thing only if all of it is equal.
pub trait Fact: Ord + Clone {
    /// Orders records so that those of one thing stand together.
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    /// Whether `later`, which stands behind it in that order, is of the same thing.
    fn is_joined_by(&self, later: &Self) -> bool {
        self == later
    }

    /// Adds what `later` says.
    fn join(&mut self, later: Self) {
        *self = later;
    }

    /// Whether it is an audit event of a delivery file.
    fn is_delivered(&self) -> bool {
        false
    }

    /// An audit event without what only one of its two forms says.
    #[must_use]
    fn content(&self) -> Self {
        self.clone()
    }
}

/// Joins the records and brings them into their order.
pub fn join_all<F: Fact>(facts: &mut Vec<F>) {
    facts.sort_unstable_by(|a, b| a.order(b).then_with(|| a.cmp(b)));
    let mut joined: Vec<F> = Vec::with_capacity(facts.len());
    for fact in facts.drain(..) {
        match joined.last_mut() {
            Some(last) if last.is_joined_by(&fact) => last.join(fact),
            _ => joined.push(fact),
        }
    }
    drop_delivered(&mut joined);
    joined.shrink_to_fit();
    *facts = joined;
}

/// Drops events of delivery files that the audit table holds too, so that one
/// vend is not two candidates.
fn drop_delivered<F: Fact>(facts: &mut Vec<F>) {
    let delivered = facts.iter().filter(|fact| fact.is_delivered()).count();
    if delivered == 0 || delivered == facts.len() {
        return;
    }
    let of_table: BTreeSet<F> = facts
        .iter()
        .filter(|fact| !fact.is_delivered())
        .map(Fact::content)
        .collect();
    facts.retain(|fact| !fact.is_delivered() || !of_table.contains(&fact.content()));
}

impl Fact for InstanceEvent {}
impl Fact for Cluster {}
impl Fact for Job {}
impl Fact for Lineage {}
impl Fact for ScimEntry {}
impl Fact for StorageCredential {}
impl Fact for ExternalLocation {}

impl Fact for ClusterNode {
    fn order(&self, other: &Self) -> Ordering {
        fn node(node: &ClusterNode) -> impl Ord + '_ {
            (
                node.source,
                &node.workspace_id,
                &node.cluster_id,
                &node.instance_id,
                &node.host_private_ip,
                &node.private_ip,
                node.start,
            )
        }
        node(self).cmp(&node(other))
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        let same_node = self.source == later.source
            && self.workspace_id == later.workspace_id
            && self.cluster_id == later.cluster_id
            && self.instance_id == later.instance_id
            && self.host_private_ip == later.host_private_ip
            && self.private_ip == later.private_ip;
        let touches = match self.end {
            Some(end) => later.start <= end.plus_seconds(NODE_GAP_SECONDS),
            None => later.start == self.start,
        };
        same_node && touches
    }

    fn join(&mut self, later: Self) {
        self.end = match (self.end, later.end) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
    }
}

impl Fact for JobRun {
    fn order(&self, other: &Self) -> Ordering {
        let key = (&self.workspace_id, &self.job_id, &self.job_run_id);
        key.cmp(&(&other.workspace_id, &other.job_id, &other.job_run_id))
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        self.order(later) == Ordering::Equal
    }

    fn join(&mut self, later: Self) {
        self.start = self.start.min(later.start);
        self.end = last_end(self.end, later.end);
        self.run_type = first_known(self.run_type.take(), later.run_type);
        unite(&mut self.compute_ids, later.compute_ids);
    }
}

impl Fact for TaskRun {
    fn order(&self, other: &Self) -> Ordering {
        fn run(run: &TaskRun) -> impl Ord + '_ {
            (&run.workspace_id, &run.job_id, &run.task_run_id, run.source)
        }
        run(self).cmp(&run(other))
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        self.order(later) == Ordering::Equal
    }

    fn join(&mut self, later: Self) {
        self.start = self.start.min(later.start);
        self.end = last_end(self.end, later.end);
        self.job_run_id = first_known(self.job_run_id.take(), later.job_run_id);
        self.task_key = first_known(self.task_key.take(), later.task_key);
        unite(&mut self.compute_ids, later.compute_ids);
        unite(&mut self.source_ids, later.source_ids);
    }
}

/// A record with an id of its own: of two spellings of it the one that says more
/// stands, and a known member is greater than an unknown one. Of an audit event,
/// delivery files lack the event id and `unsaid`.
macro_rules! known_by_id {
    ($($fact:ident by $id:ident $(+ $more:ident)*, unsaid: [$($unsaid:ident),*];)+) => {$(
        impl Fact for $fact {
            fn order(&self, other: &Self) -> Ordering {
                (&self.$id, $(&self.$more),*).cmp(&(&other.$id, $(&other.$more),*))
            }

            fn is_joined_by(&self, later: &Self) -> bool {
                self.order(later) == Ordering::Equal
            }

            fn is_delivered(&self) -> bool {
                self.$id.starts_with(DELIVERED)
            }

            fn content(&self) -> Self {
                $fact {
                    $id: String::new(),
                    $($unsaid: None,)*
                    ..self.clone()
                }
            }
        }
    )+};
}

known_by_id! {
    Vend by source_id, unsaid: [run_by];
    CommandRun by source_id, unsaid: [run_by];
    ShareQuery by source_id, unsaid: [];
    GroupChange by source_id + member, unsaid: [];
    Workspace by workspace_id, unsaid: [];
}

impl Fact for Statement {
    fn order(&self, other: &Self) -> Ordering {
        let key = (&self.workspace_id, &self.statement_id, self.end);
        key.cmp(&(&other.workspace_id, &other.statement_id, other.end))
    }

    /// The row that ended last stands.
    fn is_joined_by(&self, later: &Self) -> bool {
        self.workspace_id == later.workspace_id && self.statement_id == later.statement_id
    }
}

impl Fact for SourceWatermark {
    fn order(&self, other: &Self) -> Ordering {
        let key = (&self.source, self.newest, self.read_at);
        key.cmp(&(&other.source, other.newest, other.read_at))
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        self.source == later.source
    }
}

fn last_end(a: Option<UtcMicros>, b: Option<UtcMicros>) -> Option<UtcMicros> {
    a.max(b)
}

fn first_known(a: Option<String>, b: Option<String>) -> Option<String> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn unite(texts: &mut Vec<String>, more: Vec<String>) {
    texts.extend(more);
    texts.sort_unstable();
    texts.dedup();
}

impl DatabricksFacts {
    /// Adds the facts of another import.
    pub fn add(&mut self, other: DatabricksFacts) {
        self.instance_events.extend(other.instance_events);
        self.nodes.extend(other.nodes);
        self.clusters.extend(other.clusters);
        self.jobs.extend(other.jobs);
        self.job_runs.extend(other.job_runs);
        self.task_runs.extend(other.task_runs);
        self.vends.extend(other.vends);
        self.commands.extend(other.commands);
        self.share_queries.extend(other.share_queries);
        self.group_changes.extend(other.group_changes);
        self.statements.extend(other.statements);
        self.lineage.extend(other.lineage);
        self.scim.extend(other.scim);
        self.storage_credentials.extend(other.storage_credentials);
        self.external_locations.extend(other.external_locations);
        self.workspaces.extend(other.workspaces);
        self.watermarks.extend(other.watermarks);
    }

    /// Makes one fact of all that is said of one thing.
    #[must_use]
    pub fn joined(mut self) -> DatabricksFacts {
        join_all(&mut self.instance_events);
        join_all(&mut self.nodes);
        join_all(&mut self.clusters);
        join_all(&mut self.jobs);
        join_all(&mut self.job_runs);
        join_all(&mut self.task_runs);
        join_all(&mut self.vends);
        join_all(&mut self.commands);
        join_all(&mut self.share_queries);
        join_all(&mut self.group_changes);
        join_all(&mut self.statements);
        join_all(&mut self.lineage);
        join_all(&mut self.scim);
        join_all(&mut self.storage_credentials);
        join_all(&mut self.external_locations);
        join_all(&mut self.workspaces);
        join_all(&mut self.watermarks);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(start: i64, end: i64) -> ClusterNode {
        ClusterNode {
            cluster_id: "c".to_owned(),
            instance_id: "i".to_owned(),
            start: UtcMicros::from_seconds(start),
            end: Some(UtcMicros::from_seconds(end)),
            ..ClusterNode::default()
        }
    }

    #[test]
    fn minutes_that_touch_are_one_interval_and_a_gap_parts_them() {
        let mut nodes = vec![
            minute(120, 180),
            minute(0, 60),
            minute(60, 119),
            minute(240, 300),
        ];
        join_all(&mut nodes);
        assert_eq!(nodes, [minute(0, 180), minute(240, 300)]);
    }

    fn slice(start: i64, end: Option<i64>, task_key: Option<&str>) -> TaskRun {
        TaskRun {
            workspace_id: "1".to_owned(),
            job_id: "7".to_owned(),
            task_run_id: "9".to_owned(),
            task_key: task_key.map(str::to_owned),
            start: UtcMicros::from_seconds(start),
            end: end.map(UtcMicros::from_seconds),
            ..TaskRun::default()
        }
    }

    #[test]
    fn slices_join_to_the_same_run_in_any_order_and_any_number_of_times() {
        let slices = [
            slice(0, None, Some("load")),
            slice(3600, Some(7200), None),
            slice(7200, Some(7300), None),
        ];
        let whole = [slice(0, Some(7300), Some("load"))];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut runs: Vec<TaskRun> = order.iter().map(|i| slices[*i].clone()).collect();
            join_all(&mut runs);
            assert_eq!(runs, whole);
            runs.extend(slices.clone());
            join_all(&mut runs);
            assert_eq!(runs, whole);
        }
    }

    #[test]
    fn a_vend_that_table_and_delivery_file_hold_is_one_vend() {
        let vend = |source_id: &str, run_by: Option<&str>| Vend {
            source_id: source_id.to_owned(),
            at: UtcMicros::from_seconds(5),
            actor: Some("a@example.com".to_owned()),
            run_by: run_by.map(str::to_owned),
            ..Vend::default()
        };
        let facts = DatabricksFacts {
            vends: vec![
                vend("auditlogs:r1@5", None),
                vend("audit:e1", Some("b@example.com")),
                vend("audit:e1", None),
            ],
            ..DatabricksFacts::default()
        };
        let vends = facts.joined().vends;
        assert_eq!(vends, [vend("audit:e1", Some("b@example.com"))]);
    }
}
