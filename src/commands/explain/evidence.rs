//! The chain of evidence: each record that the stored attribution names.

use super::super::cells::Cells;
use super::databricks::{Level, Record, Times, find};
use crate::model::{DatabricksFacts, Ec2Instance, StsSession};

/// What the lake knows around an event.
#[derive(Default)]
pub struct Facts {
    pub sessions: Vec<StsSession>,
    pub instances: Vec<Ec2Instance>,
}

/// One named record, with what the lake holds of it: nothing, if the facts of
/// that event are not there (any more).
pub struct Evidence {
    pub event_id: String,
    /// Copies of one STS call name it once for each account.
    pub sessions: Vec<StsSession>,
    pub instances: Vec<Ec2Instance>,
    /// Records of Databricks.
    pub records: Vec<Record>,
    /// The level that it tells of.
    pub level: Level,
}

/// The records in the order in which the row names them: the session that
/// signed, those before it, then what launched and tagged the instance.
pub fn of(row: &Cells, facts: &Facts, databricks: &DatabricksFacts) -> Vec<Evidence> {
    let ids = row.list("attribution_evidence");
    let times = Times::of(row);
    // An address leads to an instance that only the other records name.
    let named: Vec<&str> = ids.iter().filter_map(|id| instance_in(id)).collect();
    let is_meant = |id: &str| match row.text("instance_id") {
        Some(meant) => meant == id,
        None => named.is_empty() || named.contains(&id),
    };
    let session_id = row.text("session_event_id");
    let level = |id: &str| match id.split_once(':').map(|(table, _)| table) {
        None if session_id == Some(id) => Level::Session,
        None | Some("instance_events" | "node_timeline" | "clusters_api") => Level::Cluster,
        Some("job_run_timeline" | "job_task_run_timeline") => Level::Job,
        Some(_) => Level::Person,
    };
    ids.iter()
        .map(|event_id| Evidence {
            sessions: facts
                .sessions
                .iter()
                .filter(|s| s.event_id == *event_id)
                .cloned()
                .collect(),
            // One launch starts many instances; this event is about one of them.
            instances: facts
                .instances
                .iter()
                .filter(|i| i.event_id == *event_id)
                .filter(|i| is_meant(&i.instance_id))
                .cloned()
                .collect(),
            records: find(event_id, databricks, times),
            level: level(event_id),
            event_id: event_id.clone(),
        })
        .map(Evidence::at_its_level)
        .collect()
}

impl Evidence {
    /// What a record says is surer than what its id looks like.
    fn at_its_level(mut self) -> Evidence {
        if !self.sessions.is_empty() {
            self.level = Level::Session;
        } else if let Some(record) = self.records.first() {
            self.level = record.level;
        }
        self
    }
}

/// The instance in the id of a record of Databricks.
fn instance_in(id: &str) -> Option<&str> {
    let (before, _) = id.rsplit_once('@')?;
    let (_, instance_id) = before.rsplit_once('/')?;
    instance_id.starts_with("i-").then_some(instance_id)
}
