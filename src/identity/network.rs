//! C2: the cluster behind a private source address, and whether a machine's credential
//! was used away from it.
//!
//! The addresses of hosts come from the Clusters API (`host_private_ip`) and from
//! `RunInstances`. `private_ip` may be a container's: it counts only in workspaces
//! where it proved to be the host's. Addresses are used again: only a node that
//! stood at the time counts, and two of them are two candidates. One whose cluster had
//! ended by then is a candidate like others that nobody knows.

use super::ask::Ask;
use super::aws::filled;
use super::hosts::{Host, Hosts};
use super::nodes::{Addressed, State};
use crate::model::network::Source;
use crate::model::{Confidence, Method};

/// Rows of nodes are whole minutes.
const MINUTE_SECS: i64 = 60;

/// The clusters that had the source address; `None` if it tells nothing.
pub(super) fn hosts_of_address(ask: &mut Ask<'_>) -> Option<Hosts> {
    let client = ask.access.client;
    let ip = client.source_ip.as_deref().and_then(private)?;
    if !ask
        .index
        .known()
        .is_compute_endpoint(client.vpc_endpoint_id.as_deref())
    {
        return None;
    }
    let databricks = ask.databricks();
    let mut instances: Vec<String> = ask
        .index
        .ec2_instances()
        .with_address(&ip)
        .map(str::to_owned)
        .collect();
    let mut nodes: Vec<&Addressed> = Vec::new();
    if let Some(ip) = databricks.names.find(&ip) {
        let found = databricks
            .nodes
            .with_ip_at(ip, ask.at, MINUTE_SECS, &mut ask.span);
        nodes.extend(found.filter(|addressed| {
            addressed.is_host || databricks.trusts_private_ip(addressed.node.of.workspace)
        }));
    }
    for addressed in &nodes {
        instances.push(databricks.names.text(addressed.node.instance).to_owned());
    }
    instances.sort();
    instances.dedup();
    let mut all = Hosts::default();
    let mut is_unknown = false;
    for instance_id in &instances {
        if !lives(ask, instance_id) {
            continue;
        }
        let hosts = Hosts::told(ask, instance_id);
        is_unknown |= hosts.found.is_empty() || hosts.confidence <= Confidence::Ambiguous;
        all.is_conflict |= hosts.is_conflict;
        all.is_late |= hosts.is_late;
        all.found.extend(hosts.found);
        all.grounds.take(hosts.grounds);
    }
    all.found.sort();
    all.found.dedup();
    if all.found.is_empty() {
        return None;
    }
    let databricks = ask.index.databricks();
    is_unknown |= all.found.iter().any(|host| {
        let workspace = host.workspace.as_deref();
        let clusters = &databricks.clusters;
        clusters.has_ended(workspace, &host.cluster, ask.at, &mut ask.span)
    });
    all.grounds.methods.insert(0, Method::C2PrivateIp);
    all.confidence = match all.found.as_slice() {
        [Host { .. }] if !is_unknown => Confidence::Strong,
        _ => Confidence::Ambiguous,
    };
    Some(all)
}

/// Whether the instance can have sent anything at the time.
fn lives(ask: &mut Ask<'_>, instance_id: &str) -> bool {
    let instances = ask.index.ec2_instances();
    let (lives, holds) = instances.lives(instance_id, ask.at);
    ask.span = ask.span.intersect(holds);
    let databricks = ask.databricks();
    let state = databricks
        .names
        .find(instance_id)
        .and_then(|instance| databricks.nodes.state_at(instance, ask.at, &mut ask.span));
    lives && state != Some(State::Terminated)
}

/// The address, if it is one of a private network; IPv4 in IPv6 is unwrapped.
pub(super) fn private(text: &str) -> Option<String> {
    match Source::parse(text) {
        Source::Private(ip) => Some(ip.to_string()),
        _ => None,
    }
}

/// Whether the text is an address of no private network.
pub(super) fn is_public(text: &str) -> bool {
    matches!(Source::parse(text), Source::Public(_))
}

/// Whether an instance's credentials were used away from it: by no AWS service on its
/// behalf, and from an address that is neither its own nor of a known network.
pub(super) fn is_off_node(ask: &Ask<'_>, instance_id: &str) -> bool {
    let (client, index) = (ask.access.client, ask.index);
    if filled(ask.access.principal.invoked_by.as_deref()).is_some()
        || !index.known().is_outside(client)
    {
        return false;
    }
    let own = client.source_ip.as_deref().and_then(private);
    let mut addresses = index.ec2_instances().addresses(instance_id);
    own.is_none_or(|own| addresses.all(|address| address != own))
}

#[cfg(test)]
mod tests {
    use super::{is_public, private};

    #[test]
    fn only_an_address_is_public() {
        for (text, expect) in [
            ("203.0.113.9", true),
            ("2001:db8::1", true),
            ("10.0.1.10", false),
            ("::ffff:10.0.1.10", false),
            ("ec2.amazonaws.com", false),
            ("AWS Internal", false),
            ("", false),
        ] {
            assert_eq!(is_public(text), expect, "{text}");
        }
    }

    #[test]
    fn an_address_is_private_as_the_registries_say() {
        for (text, expect) in [
            ("10.0.1.10", Some("10.0.1.10")),
            ("172.31.0.1", Some("172.31.0.1")),
            ("172.32.0.1", None),
            ("192.168.7.7", Some("192.168.7.7")),
            ("100.64.0.1", Some("100.64.0.1")),
            ("100.128.0.1", None),
            ("::ffff:10.0.1.10", Some("10.0.1.10")),
            ("fd00::1", Some("fd00::1")),
            ("2001:db8::1", None),
            ("52.1.2.3", None),
            ("AWS Internal", None),
            ("ec2.amazonaws.com", None),
            ("", None),
        ] {
            assert_eq!(private(text).as_deref(), expect, "{text}");
        }
    }
}
