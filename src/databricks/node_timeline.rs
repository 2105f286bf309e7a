//! `system.compute.node_timeline`: a row for each minute of a node.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::{ClusterNode, NodeSource};

pub const READER: Reader = Reader {
    columns: &[
        "workspace_id",
        "cluster_id",
        "instance_id",
        "start_time",
        "end_time",
        "private_ip",
    ],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let (start, end) = (row.need_time("start_time")?, row.need_time("end_time")?);
    if end < start {
        return Err(format!("`end_time` {end} is before `start_time` {start}"));
    }
    gathered.nodes.push(ClusterNode {
        workspace_id: row.text("workspace_id"),
        cluster_id: row.need_text("cluster_id")?,
        instance_id: row.need_text("instance_id")?,
        start,
        end: Some(end),
        host_private_ip: None,
        private_ip: row.text("private_ip"),
        source: NodeSource::NodeTimeline,
    });
    Ok(Some(end))
}
