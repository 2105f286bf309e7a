//! The chain of evidence: each record that the stored attribution names.

use super::super::cells::Cells;
use crate::model::{Ec2Instance, StsSession};

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
}

/// The records in the order in which the row names them: the session that
/// signed, those before it, then what launched and tagged the instance.
pub fn of(row: &Cells, facts: &Facts) -> Vec<Evidence> {
    let instance_id = row.text("instance_id");
    let named = row.list("attribution_evidence").into_iter();
    named
        .map(|event_id| Evidence {
            sessions: facts
                .sessions
                .iter()
                .filter(|s| s.event_id == event_id)
                .cloned()
                .collect(),
            // One launch starts many instances; this event is about one of them.
            instances: facts
                .instances
                .iter()
                .filter(|i| i.event_id == event_id)
                .filter(|i| instance_id.is_none_or(|id| id == i.instance_id))
                .cloned()
                .collect(),
            event_id,
        })
        .collect()
}
