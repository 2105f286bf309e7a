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
pub const WINDOW_SECS: i64 = 3600;

/// How far event times may lag behind the newest one read, or the clock, before
/// all events up to then count as delivered. CloudTrail delivers most within
/// minutes and promises no time.
const TRAIL_DELAY_SECS: i64 = 3600;

/// The event time up to which a trail is complete that was read until `newest`:
/// until then an absent STS event is a fact, after it only late.
pub fn trail_complete_until(newest: UtcMicros) -> UtcMicros {
    newest.plus_seconds(-TRAIL_DELAY_SECS)
}

/// The horizon, and what holds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Rows of this time and earlier can be settled.
    pub at: UtcMicros,
    pub held_by: HeldBy,
}

/// What holds a horizon where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    Trail,
    /// The source of Databricks that has come least far.
    Source(FactSource),
    /// Whoever runs the settle said so.
    AsOf,
}

impl Horizon {
    /// The horizon of what an index knows, whose trail is complete up to
    /// `trail_until`.
    pub fn of(index: &IdentityIndex, trail_until: UtcMicros) -> Horizon {
        let sources = FactSource::ALL.into_iter().filter_map(|source| {
            let until = index.complete_until(source)?;
            // An inventory is complete for all times.
            let at = until.plus_seconds(-WINDOW_SECS);
            (until != UtcMicros::MAX).then_some((at, HeldBy::Source(source)))
        });
        let trail = (trail_until, HeldBy::Trail);
        let (at, held_by) = sources.fold(
            trail,
            |least, source| {
                if source.0 < least.0 { source } else { least }
            },
        );
        Horizon { at, held_by }
    }

    /// The horizon that was asked for, whatever the sources have passed: what concerns
    /// rows up to then is taken for known.
    pub fn as_of(at: UtcMicros) -> Horizon {
        Horizon {
            at,
            held_by: HeldBy::AsOf,
        }
    }

    /// The name of the export that holds it, as under `--databricks`; `trail` if it
    /// is the trail, and `as_of` if it was asked for.
    pub fn held_by_name(&self) -> &'static str {
        match self.held_by {
            HeldBy::Trail => "trail",
            HeldBy::AsOf => "as_of",
            HeldBy::Source(FactSource::Audit) => "system.access.audit",
            HeldBy::Source(FactSource::InstanceEvents) => "system.compute.instance_events",
            HeldBy::Source(FactSource::NodeTimeline) => "system.compute.node_timeline",
            HeldBy::Source(FactSource::Clusters) => "system.compute.clusters",
            HeldBy::Source(FactSource::ClustersApi) => "clusters.json",
            HeldBy::Source(FactSource::Jobs) => "system.lakeflow.jobs",
            HeldBy::Source(FactSource::JobRuns) => "system.lakeflow.job_run_timeline",
            HeldBy::Source(FactSource::TaskRuns) => "system.lakeflow.job_task_run_timeline",
            HeldBy::Source(FactSource::QueryHistory) => "system.query.history",
            HeldBy::Source(FactSource::Lineage) => "system.access.table_lineage",
            HeldBy::Source(FactSource::StorageCredentials) => "unity-catalog/storage-credentials",
            HeldBy::Source(FactSource::ExternalLocations) => "unity-catalog/external-locations",
            HeldBy::Source(FactSource::Scim) => "scim",
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
        assert_eq!((horizon.at, horizon.held_by), (at(5), HeldBy::Trail));
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
        assert_eq!(horizon.held_by, HeldBy::Source(FactSource::NodeTimeline));
    }

    #[test]
    fn an_empty_stream_settles_nothing() {
        let horizon = Horizon::of(&index(&[("system.access.audit", None)]), at(5));
        assert!(horizon.at < at(-1_000_000), "{horizon:?}");
    }
}
