//! Up to which event time everything is known that will be known.
//!
//! INVARIANT (settled means passed): a row is settled only once every source that
//! was read has passed it by the widest window in which anything is looked for.
//! A source that was never read is not waited for: what it would tell is missing in
//! every row, and lowers its confidence for good.

use crate::identity::{FactSource, IdentityIndex};
use crate::model::UtcMicros;

/// The widest window around an access, in seconds: lineage comes up to an hour
/// after it, and runs are told in slices of an hour.
const WINDOW_SECS: i64 = 3600;

/// The horizon, and what holds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Rows of this time and earlier can be settled.
    pub at: UtcMicros,
    /// The source of Databricks that has come least far; `None` if it is the trail.
    pub held_by: Option<FactSource>,
}

impl Horizon {
    /// The horizon of what an index knows, whose trail is complete up to
    /// `trail_until`.
    pub fn of(index: &IdentityIndex, trail_until: UtcMicros) -> Horizon {
        let sources = FactSource::ALL.into_iter().filter_map(|source| {
            let until = index.complete_until(source)?;
            // An inventory is complete for all times.
            (until != UtcMicros::MAX).then(|| (until.plus_seconds(-WINDOW_SECS), Some(source)))
        });
        let trail = (trail_until, None);
        let (at, held_by) = sources.fold(
            trail,
            |least, source| {
                if source.0 < least.0 { source } else { least }
            },
        );
        Horizon { at, held_by }
    }

    /// The name of the export that holds it, as under `--databricks`; `trail` if it
    /// is the trail.
    pub fn held_by_name(&self) -> &'static str {
        match self.held_by {
            None => "trail",
            Some(FactSource::Audit) => "system.access.audit",
            Some(FactSource::InstanceEvents) => "system.compute.instance_events",
            Some(FactSource::NodeTimeline) => "system.compute.node_timeline",
            Some(FactSource::Clusters) => "system.compute.clusters",
            Some(FactSource::ClustersApi) => "clusters.json",
            Some(FactSource::Jobs) => "system.lakeflow.jobs",
            Some(FactSource::JobRuns) => "system.lakeflow.job_run_timeline",
            Some(FactSource::TaskRuns) => "system.lakeflow.job_task_run_timeline",
            Some(FactSource::QueryHistory) => "system.query.history",
            Some(FactSource::Lineage) => "system.access.table_lineage",
            Some(FactSource::StorageCredentials) => "unity-catalog/storage-credentials",
            Some(FactSource::ExternalLocations) => "unity-catalog/external-locations",
            Some(FactSource::Scim) => "scim",
        }
    }

    /// Whether no row at all can be that old: a stream was read that has shown
    /// nothing yet.
    pub fn is_never(&self) -> bool {
        self.at < UtcMicros(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::IdentitySettings;
    use crate::model::{DatabricksFacts, SourceWatermark};

    fn index(newest: &[(&str, Option<i64>)]) -> IdentityIndex {
        let watermarks = newest.iter().map(|(source, hours)| SourceWatermark {
            source: (*source).to_owned(),
            newest: hours.map(at),
            read_at: at(0),
            rows: 1,
            bad: 0,
        });
        let facts = DatabricksFacts {
            watermarks: watermarks.collect(),
            ..DatabricksFacts::default()
        };
        IdentityIndex::new(IdentitySettings::default()).with_databricks(facts)
    }

    fn at(hours: i64) -> UtcMicros {
        UtcMicros(1_774_000_000_000_000).plus_seconds(hours * 3600)
    }

    #[test]
    fn without_exports_the_trail_alone_is_waited_for() {
        let horizon = Horizon::of(&index(&[]), at(5));
        assert_eq!((horizon.at, horizon.held_by), (at(5), None));
    }

    #[test]
    fn the_slowest_source_that_was_read_holds_it() {
        let index = index(&[
            ("system.access.audit", Some(200)),
            ("system.compute.node_timeline", Some(200)),
            ("scim/users", Some(0)),
        ]);
        let horizon = Horizon::of(&index, at(300));
        // Node timelines lag seven days.
        assert_eq!(horizon.at, at(200 - 7 * 24 - 1));
        assert_eq!(horizon.held_by, Some(FactSource::NodeTimeline));
        let horizon = Horizon::of(&index.as_of(at(200)), at(300));
        assert_eq!(horizon.at, at(199));
    }

    #[test]
    fn an_empty_stream_settles_nothing() {
        let horizon = Horizon::of(&index(&[("system.access.audit", None)]), at(5));
        assert!(horizon.at < at(-1_000_000), "{horizon:?}");
    }
}
