//! All facts of Databricks, as one value of parts that are shared until one of them
//! learns something new.

use super::activity::Activity;
use super::catalog::Catalog;
use super::clusters::Clusters;
use super::instances::Instances;
use super::names::{Name, Names};
use super::nodes::Nodes;
use super::people::People;
use super::place::Places;
use super::runs::Runs;
use super::settings::Known;
use super::vends::Vends;
use super::watermarks::Watermarks;
use crate::model::{DatabricksFacts, UtcMicros};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct Databricks {
    pub names: Arc<Names>,
    pub people: Arc<People>,
    pub clusters: Arc<Clusters>,
    pub nodes: Arc<Nodes>,
    pub runs: Arc<Runs>,
    pub vends: Arc<Vends>,
    pub activity: Arc<Activity>,
    pub catalog: Arc<Catalog>,
    pub places: Arc<Places>,
    pub watermarks: Arc<Watermarks>,
    /// Names of workspaces, by id.
    pub workspaces: Arc<BTreeMap<String, String>>,
    trust: Arc<HashMap<Name, Trust>>,
}

/// Whether a workspace's `private_ip` proved to be the host's address.
#[derive(Clone, Copy, Debug, Default)]
struct Trust {
    agreed: bool,
    differed: bool,
}

impl Databricks {
    pub fn add(&mut self, facts: DatabricksFacts, instances: &Instances) {
        let names = Arc::make_mut(&mut self.names);
        let places = Arc::make_mut(&mut self.places);
        let clusters = Arc::make_mut(&mut self.clusters);
        note_workspaces(&facts, clusters, names);
        if !facts.clusters.is_empty() {
            clusters.add(facts.clusters, names);
        }
        if !facts.scim.is_empty() || !facts.group_changes.is_empty() {
            Arc::make_mut(&mut self.people).add(facts.scim, facts.group_changes);
        }
        if !facts.task_runs.is_empty() || !facts.job_runs.is_empty() {
            Arc::make_mut(&mut self.runs).add(facts.task_runs, facts.job_runs, names);
        }
        if !facts.jobs.is_empty() {
            Arc::make_mut(&mut self.runs).add_jobs(facts.jobs, names);
        }
        if !facts.vends.is_empty() {
            Arc::make_mut(&mut self.vends).add(&facts.vends, names, places);
        }
        let activity = Arc::make_mut(&mut self.activity);
        if !facts.commands.is_empty() {
            activity.add_commands(&facts.commands, names);
        }
        if !facts.lineage.is_empty() {
            activity.add_lineage(&facts.lineage, names, places);
        }
        if !facts.statements.is_empty() {
            activity.add_statements(&facts.statements, names);
        }
        if !facts.share_queries.is_empty() {
            activity.add_shares(&facts.share_queries, names, places);
        }
        if !facts.storage_credentials.is_empty() || !facts.external_locations.is_empty() {
            Arc::make_mut(&mut self.catalog).add(
                facts.storage_credentials,
                facts.external_locations,
                names,
            );
        }
        if !facts.workspaces.is_empty() {
            let workspaces = Arc::make_mut(&mut self.workspaces);
            for workspace in facts.workspaces {
                if let Some(name) = workspace.name {
                    let known = workspaces.entry(workspace.workspace_id).or_default();
                    // Current state, of whichever import: order must not matter.
                    if *known < name {
                        *known = name;
                    }
                }
            }
        }
        if !facts.watermarks.is_empty() {
            Arc::make_mut(&mut self.watermarks).add(&facts.watermarks);
        }
        let nodes = Arc::make_mut(&mut self.nodes);
        if !facts.instance_events.is_empty() {
            nodes.add_events(&facts.instance_events, names);
        }
        if !facts.nodes.is_empty() {
            nodes.add_nodes(&facts.nodes, names);
            for node in &facts.nodes {
                self.learn_addresses(&node.instance_id, instances);
            }
        }
    }

    pub fn set_as_of(&mut self, at: UtcMicros) {
        Arc::make_mut(&mut self.watermarks).set_as_of(at);
    }

    /// Compares what an instance's addresses are by one source and another.
    pub fn learn_addresses(&mut self, instance_id: &str, instances: &Instances) {
        let Some(instance) = self.names.find(instance_id) else {
            return;
        };
        let told: Vec<(Name, Name, bool)> = self.nodes.addresses(instance).collect();
        if told.is_empty() {
            return;
        }
        let mut hosts: Vec<&str> = told
            .iter()
            .filter(|(.., is_host)| *is_host)
            .map(|(_, ip, _)| self.names.text(*ip))
            .collect();
        hosts.extend(instances.addresses(instance_id));
        if hosts.is_empty() {
            return;
        }
        let trust = Arc::make_mut(&mut self.trust);
        for (workspace, ip, _) in told.iter().filter(|(.., is_host)| !is_host) {
            let known = trust.entry(*workspace).or_default();
            // Each pair for itself: what is compared later takes nothing back, so that
            // the order in which facts come cannot matter.
            known.agreed |= hosts.contains(&self.names.text(*ip));
            known.differed |= hosts.iter().any(|host| *host != self.names.text(*ip));
        }
    }

    /// Whether `private_ip` is the host's address in that workspace: it agreed with
    /// one that is known to be, and never differed.
    pub fn trusts_private_ip(&self, workspace: Name) -> bool {
        let trust = self.trust.get(&workspace);
        trust.is_some_and(|trust| trust.agreed && !trust.differed)
    }
}

/// Notes which workspaces know which clusters, whatever fact says so.
fn note_workspaces(facts: &DatabricksFacts, clusters: &mut Clusters, names: &mut Names) {
    let mut note = |workspace: Option<&str>, cluster: &str| {
        let (workspace, cluster) = (names.add_some(workspace), names.add(cluster));
        clusters.add_workspace(cluster, workspace);
    };
    for event in &facts.instance_events {
        if let Some(cluster) = &event.cluster_id {
            note(Some(&event.workspace_id), cluster);
        }
    }
    for node in &facts.nodes {
        note(node.workspace_id.as_deref(), &node.cluster_id);
    }
    for run in &facts.task_runs {
        for id in &run.compute_ids {
            note(Some(&run.workspace_id), id);
        }
    }
    for run in &facts.job_runs {
        for id in &run.compute_ids {
            note(Some(&run.workspace_id), id);
        }
    }
}

/// Which roles are storage credentials at the time of an access: what the operator
/// configured, and what the inventory showed then.
pub(super) struct Roles<'a> {
    pub known: &'a Known,
    pub catalog: &'a Catalog,
    pub at: UtcMicros,
}

impl Roles<'_> {
    pub fn is_storage_credential(&self, role_arn: &str) -> bool {
        self.known.is_storage_credential(role_arn)
            || self.catalog.is_storage_credential(role_arn, self.at)
    }
}
