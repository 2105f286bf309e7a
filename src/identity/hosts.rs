//! M3: which cluster stood behind an instance, by every source that tells.
//!
//! | source | tells | confidence |
//! |---|---|---|
//! | `instance_events` | placement to next transition | exact inside it, strong within the skew of clocks outside |
//! | launch tags | the cluster of an instance of its own | exact (set later: strong) |
//! | `node_timeline` | minutes, give or take two | strong |
//! | Clusters API | nodes living now | strong |
//!
//! INVARIANT (conflict is shown): sources that exclude each other give every
//! candidate, ambiguous, never the better source's answer.

use super::ask::{Ask, Grounds};
use super::names::{Name, Names};
use super::nodes::{ClusterOf, Node, Placed};
use super::tags::{Claim, Level, Vendor};
use super::watermarks::FactSource;
use crate::model::{Confidence, Method, UtcMicros};

/// Clocks of two companies: a transition counts as this many seconds wide.
const SKEW_SECS: i64 = 5;
/// node_timeline has one row a minute, and a node's first and last may be missing.
const NODE_SLACK_SECS: i64 = 120;
/// Precision of a minute's row: nearer to its ends, it excludes nothing.
const NODE_EDGE_SECS: i64 = 60;

/// A cluster that may have been the one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Host {
    pub cluster: String,
    pub workspace: Option<String>,
    /// The same two, as far as a fact of Databricks names them.
    pub of: ClusterOf,
}

impl Host {
    pub fn of(of: ClusterOf, names: &Names) -> Host {
        Host {
            cluster: names.text(of.cluster).to_owned(),
            workspace: names.owned(of.workspace),
            of,
        }
    }

    pub fn named(cluster: &str, workspace: Option<&str>, names: &Names) -> Host {
        let name = |text: Option<&str>| text.and_then(|text| names.find(text));
        Host {
            cluster: cluster.to_owned(),
            workspace: workspace.map(str::to_owned),
            of: ClusterOf {
                workspace: name(workspace).unwrap_or(Name::NONE),
                cluster: name(Some(cluster)).unwrap_or(Name::NONE),
            },
        }
    }

    /// Whether it is that cluster, as far as both tell their workspace.
    fn is_of(&self, of: ClusterOf) -> bool {
        self.of.cluster == of.cluster
            && (self.workspace.is_none()
                || of.workspace.is_none()
                || self.of.workspace == of.workspace)
    }
}

/// The clusters behind an instance or an address.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// Sorted, each once.
    pub found: Vec<Host>,
    pub confidence: Confidence,
    pub grounds: Grounds,
    pub is_conflict: bool,
    /// A source that has not come far enough may know of another cluster.
    pub is_late: bool,
    /// What the tags say of the job.
    pub job: Level,
    pub vendor: Vendor,
}

impl Hosts {
    /// The hosts of an instance; of a session that it called for, those of the
    /// moment of the call, as long as the instance lives.
    pub fn of_instance(
        ask: &mut Ask<'_>,
        instance_id: &str,
        called_at: Option<UtcMicros>,
    ) -> Hosts {
        let now = Hosts::told(ask, instance_id);
        let Some(called_at) = called_at else {
            return now;
        };
        if is_over(ask, instance_id) {
            return Hosts {
                vendor: now.vendor,
                ..Hosts::default()
            };
        }
        let mut then = Hosts::told(
            &mut Ask {
                at: called_at,
                span: crate::model::TimeSpan::ALWAYS,
                place: None,
                ..*ask
            },
            instance_id,
        );
        if now.found != then.found && !then.found.is_empty() {
            // Moved on, or idle by now: what it called for may live on or not.
            then.found.extend(now.found);
            then.found.sort();
            then.found.dedup();
            let cap = if then.found.len() > 1 {
                Confidence::Ambiguous
            } else {
                Confidence::Strong
            };
            then.confidence = then.confidence.min(cap);
            then.grounds.take(now.grounds);
        }
        then
    }

    /// What all sources tell of an instance at the time asked about.
    pub fn told(ask: &mut Ask<'_>, instance_id: &str) -> Hosts {
        let (claim, holds) = ask.index.ec2_instances().at(instance_id, ask.at);
        ask.span = ask.span.intersect(holds);
        let mut hosts = Hosts {
            vendor: claim.map_or(Vendor::Unknown, |claim| claim.vendor),
            ..Hosts::default()
        };
        let databricks = ask.databricks();
        let instance = databricks.names.find(instance_id);
        let (mut near, mut inside) = (Vec::new(), Vec::new());
        let (mut timeline, mut live) = (Vec::new(), Vec::new());
        let mut is_of_pool = false;
        if let Some(instance) = instance {
            let (nodes, span) = (&databricks.nodes, &mut ask.span);
            near.extend(nodes.placed_at(instance, ask.at, SKEW_SECS, span));
            inside.extend(nodes.placed_at(instance, ask.at, 0, span));
            timeline.extend(nodes.timeline_at(instance, ask.at, NODE_SLACK_SECS, span));
            live.extend(nodes.live_at(instance, ask.at, NODE_SLACK_SECS, span));
            is_of_pool = nodes.is_of_pool(instance);
        }
        hosts.place(ask, instance_id, &near, &inside, is_of_pool);
        // A pool's instance carries no cluster's tags, whatever they say.
        if let Some(claim) = claim.filter(|_| !is_of_pool) {
            hosts.tagged(claim, &databricks.names);
        }
        hosts.nodes(ask, &timeline, Method::M3NodeTimeline);
        hosts.nodes(ask, &live, Method::M3ClustersApi);
        hosts.find_workspaces(ask);
        hosts
    }

    fn place(
        &mut self,
        ask: &mut Ask<'_>,
        instance_id: &str,
        near: &[&Placed],
        inside: &[&Placed],
        is_of_pool: bool,
    ) {
        if near.is_empty() {
            return;
        }
        for placed in near {
            self.add(ask, placed.of);
        }
        self.grounds.by(Method::M3InstanceEvents);
        let evidence = near
            .iter()
            .map(|placed| {
                let workspace = ask.databricks().names.text(placed.of.workspace);
                format!("instance_events:{workspace}/{instance_id}@{}", placed.since)
            })
            .collect();
        self.grounds.note_sorted(evidence);
        self.confidence = match (self.found.as_slice(), inside) {
            ([_], _) if near.iter().any(|placed| placed.is_torn) => Confidence::Ambiguous,
            ([_], [_, ..]) => Confidence::Exact,
            ([_], []) => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        // A pool may have placed it elsewhere since, in rows that are still to come.
        let is_open = inside.iter().any(|placed| placed.is_open);
        if is_of_pool && is_open && !ask.has_passed(FactSource::InstanceEvents, 0) {
            self.confidence = self.confidence.min(Confidence::Ambiguous);
            self.is_late = true;
        }
    }

    fn tagged(&mut self, claim: &Claim, names: &Names) {
        self.job = claim.job.clone();
        if claim.cluster.confidence == Confidence::None {
            return;
        }
        self.grounds.by(Method::M3InstanceTags);
        claim.evidence.iter().for_each(|id| self.grounds.note(id));
        let Some(cluster) = claim.cluster.id.as_deref() else {
            self.confidence = match self.confidence {
                // Tags that contradict themselves say nothing against the rest.
                Confidence::None => Confidence::Ambiguous,
                told => told,
            };
            return;
        };
        if self.found.is_empty() {
            self.confidence = claim.cluster.confidence;
        } else if !self.found.iter().any(|host| host.cluster == cluster) {
            self.conflict();
        }
        if !self.found.iter().any(|host| host.cluster == cluster) {
            self.found.push(Host::named(cluster, None, names));
            self.found.sort();
        }
    }

    /// What nodes tell: the answer where nothing surer does, else a witness.
    fn nodes(&mut self, ask: &mut Ask<'_>, nodes: &[&Node], method: Method) {
        if nodes.is_empty() {
            return;
        }
        let names = &ask.databricks().names;
        let mut of: Vec<ClusterOf> = nodes.iter().map(|node| node.of).collect();
        of.sort_unstable();
        of.dedup();
        let is_of_any = |host: &Host| of.iter().any(|of| host.is_of(*of));
        let agrees = self.found.iter().any(is_of_any);
        let evidence: Vec<String> = nodes
            .iter()
            .map(|node| {
                let table = if node.is_live {
                    "clusters_api"
                } else {
                    "node_timeline"
                };
                let text = |name| names.text(name);
                let (workspace, cluster) = (text(node.of.workspace), text(node.of.cluster));
                let instance = text(node.instance);
                format!("{table}:{workspace}/{cluster}/{instance}@{}", node.since)
            })
            .collect();
        if self.found.is_empty() {
            of.iter().for_each(|of| self.add(ask, *of));
            self.confidence = match self.found.as_slice() {
                [_] if self.confidence == Confidence::None => Confidence::Strong,
                _ => Confidence::Ambiguous,
            };
        } else if !agrees {
            let mut is_firm = false;
            for node in nodes {
                let (from, until) = (
                    node.since.plus_seconds(NODE_EDGE_SECS),
                    if node.until == UtcMicros::MAX {
                        node.until
                    } else {
                        node.until.plus_seconds(-NODE_EDGE_SECS)
                    },
                );
                is_firm |= ask.is_within(from, until);
            }
            if !is_firm {
                return;
            }
            of.iter().for_each(|of| self.add(ask, *of));
            self.conflict();
        } else if self.found.len() == 1 && self.is_late && of.len() == 1 {
            // Two sources agree on what one alone could not settle.
            self.confidence = Confidence::Strong;
            self.is_late = false;
        }
        self.grounds.by(method);
        self.grounds.note_sorted(evidence);
    }

    fn conflict(&mut self) {
        self.is_conflict = true;
        self.confidence = Confidence::Ambiguous;
    }

    fn add(&mut self, ask: &Ask<'_>, of: ClusterOf) {
        if self.found.iter().any(|host| host.is_of(of)) {
            return;
        }
        self.found.push(Host::of(of, &ask.databricks().names));
        self.found.sort();
    }

    /// Tells the workspace of clusters that only tags name, where one knows them.
    fn find_workspaces(&mut self, ask: &Ask<'_>) {
        let databricks = ask.databricks();
        for host in self
            .found
            .iter_mut()
            .filter(|host| host.workspace.is_none())
        {
            if let [workspace] = databricks.clusters.workspaces(host.of.cluster) {
                host.workspace = databricks.names.owned(*workspace);
                host.of.workspace = *workspace;
            }
        }
    }
}

/// Whether the instance is known to live no more.
fn is_over(ask: &mut Ask<'_>, instance_id: &str) -> bool {
    let databricks = ask.databricks();
    let at = ask.at;
    let state = databricks
        .names
        .find(instance_id)
        .and_then(|instance| databricks.nodes.state_at(instance, at, &mut ask.span));
    let (ended, holds) = ask.index.ec2_instances().has_ended(instance_id, at);
    ask.span = ask.span.intersect(holds);
    ended || state == Some(super::nodes::State::Terminated)
}
