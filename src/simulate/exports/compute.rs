//! `system.compute.instance_events` and `system.compute.node_timeline`: which
//! instance stood on which cluster.
//!
//! `cluster_id` is set only where the state is INSTANCE_PLACED; an instance of a
//! pool is placed on several clusters one after the other.

use super::row::Row;
use super::table::{Columns, Dated, Form, Kind, Table};
use crate::simulate::SimulateError;
use crate::simulate::org::{START, Workspace};
use crate::simulate::random::Random;
use crate::simulate::text::{DAY, MINUTE};
use crate::simulate::write::World;
use std::ops::Range;
use std::path::Path;

const EVENTS: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("instance_id", Kind::Text),
    ("event_time", Kind::Time),
    ("event_type", Kind::Text),
    ("state", Kind::Text),
    ("availability_type", Kind::Text),
    ("instance_pool_id", Kind::Text),
    ("cluster_id", Kind::Text),
    ("node_type", Kind::Text),
];

const TIMELINE: Columns = &[
    ("account_id", Kind::Text),
    ("workspace_id", Kind::Text),
    ("cluster_id", Kind::Text),
    ("instance_id", Kind::Text),
    ("start_time", Kind::Time),
    ("end_time", Kind::Time),
    ("driver", Kind::Bool),
    ("network_received_bytes", Kind::Long),
    ("node_type", Kind::Text),
    ("private_ip", Kind::Text),
];

/// The pool of a workspace.
pub(in crate::simulate) fn pool_id(seed: u64, workspace: usize) -> String {
    let mut random = Random::of(seed, "pool", &[workspace as u64]);
    format!("1005-080000-pool{workspace}-pool-{}", random.hex(8))
}

pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let mut events = Table::new(dir, "system.compute.instance_events", Form::Parquet, EVENTS);
    let mut timeline = Table::new(dir, "system.compute.node_timeline", Form::Parquet, TIMELINE);
    for (number, workspace) in world.org.workspaces.iter().enumerate() {
        events.part(instance_events(world, number, workspace))?;
        // A day at a time: of all tables this is by far the largest.
        for day in -1..=world.org.size.days {
            let from = START + day * DAY;
            timeline.part(node_timeline(world, number, workspace, from..from + DAY))?;
        }
    }
    Ok(events.rows() + timeline.rows())
}

fn instance_events(world: &World<'_>, number: usize, workspace: &Workspace) -> Vec<Dated> {
    let mut rows = Vec::new();
    let mut push = |instance: usize, at: i64, kind: &str, state: &str, cluster: Option<&str>| {
        let Some(instance) = world.compute.instances.get(instance) else {
            return;
        };
        let pool = instance.pool.then(|| pool_id(world.org.size.seed, number));
        let millis = at * 1000 + workspace.clock_skew_millis;
        let row = Row::new()
            .text("account_id", &world.org.account_id)
            .text("workspace_id", &workspace.id)
            .text("instance_id", &instance.id)
            .time("event_time", millis)
            .text("event_type", kind)
            .text("state", state)
            .text("availability_type", "ON_DEMAND")
            .maybe("instance_pool_id", pool.as_deref())
            .maybe("cluster_id", cluster)
            .text("node_type", "i3.2xlarge");
        rows.push((millis, row.end()));
    };
    for (n, instance) in world.compute.instances.iter().enumerate() {
        if instance.workspace != number {
            continue;
        }
        push(
            n,
            instance.span.start,
            "INSTANCE_LAUNCHING",
            "INSTANCE_LAUNCHING",
            None,
        );
        push(
            n,
            instance.span.start + 50,
            "STATE_TRANSITION",
            "INSTANCE_READY",
            None,
        );
        push(
            n,
            instance.span.end,
            "STATE_TRANSITION",
            "INSTANCE_TERMINATED",
            None,
        );
    }
    for cluster in &world.compute.clusters {
        if cluster.workspace != number {
            continue;
        }
        for placement in &cluster.placements {
            let id = Some(&*cluster.id);
            push(
                placement.instance,
                placement.span.start,
                "STATE_TRANSITION",
                "INSTANCE_PLACED",
                id,
            );
            // A pool takes its machine back; another one ends soon after.
            if cluster.pool {
                push(
                    placement.instance,
                    placement.span.end,
                    "STATE_TRANSITION",
                    "INSTANCE_READY",
                    None,
                );
            }
        }
    }
    rows
}

/// One row for each minute of each node in the window.
fn node_timeline(
    world: &World<'_>,
    number: usize,
    workspace: &Workspace,
    window: Range<i64>,
) -> Vec<Dated> {
    let mut rows = Vec::new();
    for cluster in &world.compute.clusters {
        if cluster.workspace != number {
            continue;
        }
        for placement in &cluster.placements {
            let Some(instance) = world.compute.instances.get(placement.instance) else {
                continue;
            };
            let from = placement.span.start.max(window.start);
            let until = placement.span.end.min(window.end);
            let mut at = from - from.rem_euclid(MINUTE);
            while at < until {
                let row = Row::new()
                    .text("account_id", &world.org.account_id)
                    .text("workspace_id", &workspace.id)
                    .text("cluster_id", &cluster.id)
                    .text("instance_id", &instance.id)
                    .time("start_time", at.max(placement.span.start) * 1000)
                    .time("end_time", (at + MINUTE).min(placement.span.end) * 1000)
                    .bool("driver", placement.driver)
                    .long("network_received_bytes", 40_000_000 + at % 9_000_000)
                    .text("node_type", "i3.2xlarge")
                    .text("private_ip", &instance.ip);
                rows.push((at * 1000, row.end()));
                at += MINUTE;
            }
        }
    }
    rows
}
