//! Up to when each source of Databricks is believed complete.
//!
//! INVARIANT (absence counts late): that a fact is missing says something only
//! once the source that should hold it has passed the time in question.

use crate::model::{SourceWatermark, TimeSpan, UtcMicros};
use hashbrown::HashMap;

/// What a claim can rest on or miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactSource {
    Audit,
    InstanceEvents,
    NodeTimeline,
    Clusters,
    ClustersApi,
    Jobs,
    JobRuns,
    TaskRuns,
    QueryHistory,
    Lineage,
    StorageCredentials,
    ExternalLocations,
    Scim,
}

const HOUR: i64 = 3600;

impl FactSource {
    pub const ALL: [FactSource; 13] = [
        FactSource::Audit,
        FactSource::InstanceEvents,
        FactSource::NodeTimeline,
        FactSource::Clusters,
        FactSource::ClustersApi,
        FactSource::Jobs,
        FactSource::JobRuns,
        FactSource::TaskRuns,
        FactSource::QueryHistory,
        FactSource::Lineage,
        FactSource::StorageCredentials,
        FactSource::ExternalLocations,
        FactSource::Scim,
    ];

    /// The source that an export of this name holds.
    pub fn of_export(name: &str) -> Option<FactSource> {
        Some(match name.trim_end_matches(".json").trim_matches('/') {
            "system.access.audit" | "auditlogs" => FactSource::Audit,
            "system.compute.instance_events" => FactSource::InstanceEvents,
            "system.compute.node_timeline" => FactSource::NodeTimeline,
            "system.compute.clusters" => FactSource::Clusters,
            "clusters" => FactSource::ClustersApi,
            "system.lakeflow.jobs" => FactSource::Jobs,
            "system.lakeflow.job_run_timeline" => FactSource::JobRuns,
            "system.lakeflow.job_task_run_timeline" => FactSource::TaskRuns,
            "system.query.history" => FactSource::QueryHistory,
            "system.access.table_lineage" => FactSource::Lineage,
            "unity-catalog/storage-credentials" => FactSource::StorageCredentials,
            "unity-catalog/external-locations" => FactSource::ExternalLocations,
            "scim/users" | "scim/groups" | "scim/service-principals" => FactSource::Scim,
            _ => return None,
        })
    }

    /// How long after an event its row usually comes, in seconds (facts-identity
    /// 6.2). Where no figure is published, two hours; node_timeline is reported to
    /// lag 5 to 7 days.
    fn latency_secs(self) -> i64 {
        match self {
            FactSource::NodeTimeline => 7 * 24 * HOUR,
            FactSource::JobRuns | FactSource::TaskRuns | FactSource::QueryHistory => HOUR,
            _ => 2 * HOUR,
        }
    }

    /// Whether the newest row tells how far the source has come. A table of
    /// changes may be silent for months, and is current nonetheless.
    fn is_stream(self) -> bool {
        matches!(
            self,
            FactSource::Audit
                | FactSource::InstanceEvents
                | FactSource::NodeTimeline
                | FactSource::JobRuns
                | FactSource::TaskRuns
                | FactSource::QueryHistory
                | FactSource::Lineage
        )
    }
}

/// How far each source that was read has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermarks {
    complete: HashMap<FactSource, UtcMicros>,
    as_of: Option<UtcMicros>,
}

impl Watermarks {
    pub fn add(&mut self, watermarks: &[SourceWatermark]) {
        for watermark in watermarks {
            let Some(source) = FactSource::of_export(&watermark.source) else {
                continue;
            };
            let until = match watermark.newest {
                Some(newest) if source.is_stream() => newest.plus_seconds(-source.latency_secs()),
                // An empty stream has shown nothing yet.
                None if source.is_stream() => UtcMicros::MIN,
                _ => UtcMicros::MAX,
            };
            let known = self.complete.entry(source).or_insert(until);
            *known = (*known).max(until);
        }
    }

    /// Believes every source that was read complete up to `at`.
    pub fn set_as_of(&mut self, at: UtcMicros) {
        self.as_of = Some(self.as_of.map_or(at, |known| known.max(at)));
    }

    /// Up to when the source is complete; `None` if it was never read.
    pub fn of(&self, source: FactSource) -> Option<UtcMicros> {
        let until = self.complete.get(&source)?;
        Some(self.as_of.map_or(*until, |at| at.max(*until)))
    }

    pub fn is_read(&self, source: FactSource) -> bool {
        self.complete.contains_key(&source)
    }

    /// Whether the source has passed `at` by `window` seconds; narrows the span to
    /// the times of which the same can be said.
    pub fn has_passed(
        &self,
        source: FactSource,
        at: UtcMicros,
        window: i64,
        span: &mut TimeSpan,
    ) -> bool {
        let Some(until) = self.of(source) else {
            return false;
        };
        if until == UtcMicros::MAX {
            return true;
        }
        let last = until.plus_seconds(-window);
        if at <= last {
            span.until = span.until.min(last);
            true
        } else {
            span.from = span.from.max(UtcMicros(last.0.saturating_add(1)));
            false
        }
    }
}
