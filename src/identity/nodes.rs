//! Which cluster an instance or an address served when (M3, C2), as Databricks
//! tells it.
//!
//! `instance_events`: from `INSTANCE_PLACED` to the instance's next transition, for
//! pools as well, which place one instance on one cluster after another.
//! `node_timeline` and the Clusters API tell nodes of clusters.

use super::names::{Name, Names};
use super::timeline::Timeline;
use crate::model::{ClusterNode, InstanceEvent, NodeSource, TimeSpan, UtcMicros};
use hashbrown::HashSet;

/// A cluster of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ClusterOf {
    pub workspace: Name,
    pub cluster: Name,
}

/// An instance on a cluster, from its placement to its next transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Placed {
    pub of: ClusterOf,
    pub since: UtcMicros,
    /// No transition is known yet that would end it.
    pub is_open: bool,
    /// Events of one moment contradict each other.
    pub is_torn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    instance: Name,
    at: UtcMicros,
    state: State,
    of: ClusterOf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Idle,
    Placed,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node {
    pub of: ClusterOf,
    pub instance: Name,
    pub since: UtcMicros,
    pub until: UtcMicros,
    pub is_live: bool,
    host_ip: Name,
    ip: Name,
}

/// A node that an address leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Addressed {
    pub node: Node,
    /// The address is the host's for certain.
    pub is_host: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    events: Vec<Event>,
    nodes: Vec<Node>,
    pools: HashSet<Name>,
    placed: Timeline<Name, Placed>,
    states: Timeline<Name, State>,
    by_instance: Timeline<Name, Node>,
    live: Timeline<Name, Node>,
    by_ip: Timeline<Name, Addressed>,
    oldest: Option<UtcMicros>,
}

impl Nodes {
    pub fn add_events(&mut self, events: &[InstanceEvent], names: &mut Names) {
        for event in events {
            let instance = names.add(&event.instance_id);
            if event.instance_pool_id.is_some() {
                self.pools.insert(instance);
            }
            let cluster = match event.state.as_str() {
                "INSTANCE_PLACED" => names.add_some(event.cluster_id.as_deref()),
                _ => Name::NONE,
            };
            self.events.push(Event {
                instance,
                at: event.at,
                state: match event.state.as_str() {
                    "INSTANCE_PLACED" => State::Placed,
                    "INSTANCE_TERMINATED" => State::Terminated,
                    _ => State::Idle,
                },
                of: ClusterOf {
                    workspace: names.add(&event.workspace_id),
                    cluster,
                },
            });
        }
        self.events.sort_unstable();
        self.events.dedup();
        self.oldest = self.events.iter().map(|event| event.at).min();
        self.place();
    }

    /// Turns events into intervals. Of one moment, a placement goes before the
    /// states that tell no cluster; two clusters, or a cluster and the end, are torn.
    fn place(&mut self) {
        let (mut placed, mut states) = (Vec::new(), Vec::new());
        for of_one in self.events.chunk_by(|a, b| a.instance == b.instance) {
            let mut moments = of_one.chunk_by(|a, b| a.at == b.at).peekable();
            while let Some(moment) = moments.next() {
                let Some(Event { instance, at, .. }) = moment.first().copied() else {
                    continue;
                };
                let next = moments.peek().and_then(|next| next.first());
                let until = next.map_or(UtcMicros::MAX, |next| {
                    UtcMicros(next.at.0.saturating_sub(1))
                });
                let here = || moment.iter().filter(|event| event.state == State::Placed);
                let is_torn = here().count() > 1
                    || (here().count() == 1
                        && moment.iter().any(|event| event.state == State::Terminated));
                for event in here().filter(|event| !event.of.cluster.is_none()) {
                    let value = Placed {
                        of: event.of,
                        since: at,
                        is_open: next.is_none(),
                        is_torn,
                    };
                    placed.push((instance, at, until, value));
                }
                for event in moment {
                    states.push((instance, at, until, event.state));
                }
            }
        }
        self.placed = Timeline::of(placed);
        self.states = Timeline::of(states);
    }

    pub fn add_nodes(&mut self, nodes: &[ClusterNode], names: &mut Names) {
        for node in nodes {
            self.nodes.push(Node {
                of: ClusterOf {
                    workspace: names.add_some(node.workspace_id.as_deref()),
                    cluster: names.add(&node.cluster_id),
                },
                instance: names.add(&node.instance_id),
                since: node.start,
                until: node.end.unwrap_or(UtcMicros::MAX).max(node.start),
                is_live: node.source == NodeSource::ClustersApi,
                host_ip: names.add_some(node.host_private_ip.as_deref()),
                ip: names.add_some(node.private_ip.as_deref()),
            });
        }
        self.nodes.sort_unstable();
        self.nodes.dedup();
        let by_instance = |live: bool| {
            let of = self.nodes.iter().filter(move |node| node.is_live == live);
            Timeline::of(
                of.map(|node| (node.instance, node.since, node.until, *node))
                    .collect(),
            )
        };
        self.by_instance = by_instance(false);
        self.live = by_instance(true);
        let mut by_ip = Vec::new();
        for node in &self.nodes {
            for (ip, is_host) in [(node.host_ip, true), (node.ip, false)] {
                let addressed = Addressed {
                    node: *node,
                    is_host,
                };
                if !ip.is_none() {
                    by_ip.push((ip, node.since, node.until, addressed));
                }
            }
        }
        self.by_ip = Timeline::of(by_ip);
    }

    /// Whether a pool lends the instance: it says so, or served two clusters.
    pub fn is_of_pool(&self, instance: Name) -> bool {
        let placed = self.placed.all(instance);
        self.pools.contains(&instance)
            || placed
                .first()
                .is_some_and(|first| placed.iter().any(|item| item.value.of != first.value.of))
    }

    /// Whether any source of Databricks ever named the instance.
    pub fn knows(&self, instance: Name) -> bool {
        !self.states.all(instance).is_empty()
            || !self.by_instance.all(instance).is_empty()
            || !self.live.all(instance).is_empty()
    }

    pub fn oldest(&self) -> Option<UtcMicros> {
        self.oldest
    }

    pub fn placed_at<'a>(
        &'a self,
        instance: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Placed> + use<'a> {
        let items = self.placed.at(instance, at, slack, span);
        items.map(|item| &item.value)
    }

    pub fn state_at(&self, instance: Name, at: UtcMicros, span: &mut TimeSpan) -> Option<State> {
        let items = self.states.at(instance, at, 0, span);
        items.map(|item| item.value).max()
    }

    pub fn timeline_at<'a>(
        &'a self,
        instance: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Node> + use<'a> {
        let items = self.by_instance.at(instance, at, slack, span);
        items.map(|item| &item.value)
    }

    pub fn live_at<'a>(
        &'a self,
        instance: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Node> + use<'a> {
        let items = self.live.at(instance, at, slack, span);
        items.map(|item| &item.value)
    }

    pub fn with_ip_at<'a>(
        &'a self,
        ip: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Addressed> + use<'a> {
        let items = self.by_ip.at(ip, at, slack, span);
        items.map(|item| &item.value)
    }

    /// Every address that is told of an instance: the workspace, the address, and
    /// whether it is the host's for certain.
    pub fn addresses(&self, instance: Name) -> impl Iterator<Item = (Name, Name, bool)> {
        let nodes = self.by_instance.all(instance).iter();
        nodes
            .chain(self.live.all(instance))
            .flat_map(|item| {
                let node = item.value;
                [
                    (node.of.workspace, node.host_ip, true),
                    (node.of.workspace, node.ip, false),
                ]
            })
            .filter(|(_, ip, _)| !ip.is_none())
    }
}
