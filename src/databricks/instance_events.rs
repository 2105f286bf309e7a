//! `system.compute.instance_events`: which instance was placed on which cluster.

use super::Reader;
use super::gathered::Gathered;
use super::row::Row;
use crate::model::UtcMicros;
use crate::model::databricks::InstanceEvent;

pub const READER: Reader = Reader {
    columns: &[
        "workspace_id",
        "instance_id",
        "event_time",
        "event_type",
        "state",
        "cluster_id",
        "instance_pool_id",
    ],
    take,
};

fn take(row: &Row<'_>, gathered: &mut Gathered) -> Result<Option<UtcMicros>, String> {
    let at = row.need_time("event_time")?;
    gathered.instance_events.push(InstanceEvent {
        workspace_id: row.need_text("workspace_id")?,
        instance_id: row.need_text("instance_id")?,
        at,
        // A launch stands in `event_type` where `state` is empty.
        state: match row.text("state").or_else(|| row.text("event_type")) {
            Some(state) => state,
            None => return Err("`state` is missing".to_owned()),
        },
        cluster_id: row.text("cluster_id"),
        instance_pool_id: row.text("instance_pool_id"),
    });
    Ok(Some(at))
}
