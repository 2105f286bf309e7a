//! The figures of attribution health, as the shipped queries give them.

use super::super::cells::{Cells, rows};
use crate::databricks::export_names;
use crate::lake::queries::{AMBIGUOUS_PRINCIPALS, ATTRIBUTION_HEALTH, UNATTRIBUTED_REASONS};
use crate::model::{Advice, Doubt, UnattributedReason, UtcMicros};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How well the lake's events are attributed.
#[derive(Debug, Default)]
pub struct Figures {
    pub events: u64,
    pub settled: u64,
    pub first: Option<UtcMicros>,
    pub last: Option<UtcMicros>,
    /// Access paths with their levels, both in the query's order.
    pub coverage: Vec<Coverage>,
    /// Why nobody is named, the most frequent first.
    pub reasons: Vec<Cause>,
    /// Why several remain, likewise.
    pub doubts: Vec<Cause>,
    /// Up to when each source of Databricks was read.
    pub sources: Vec<Source>,
    /// Exports that were never read.
    pub missing: Vec<&'static str>,
}

/// One level of one access path.
#[derive(Debug)]
pub struct Coverage {
    pub access_path: String,
    pub level: String,
    pub events: u64,
    pub exact: u64,
    pub strong: u64,
    pub ambiguous: u64,
}

/// A reason or a doubt, over all access paths.
#[derive(Debug)]
pub struct Cause {
    pub token: String,
    pub events: u64,
    /// Of these, on restricted or confidential datasets.
    pub sensitive_events: u64,
    pub by_path: Vec<(String, u64)>,
    pub example_event_id: String,
    /// `None` for a token of a later version.
    pub advice: Option<Advice>,
}

/// An export, and how far it was read.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub newest: Option<UtcMicros>,
    pub read_at: Option<UtcMicros>,
}

const TOTALS: &str = "SELECT count(*) AS events, \
     coalesce(sum(CASE WHEN settled THEN 1 ELSE 0 END), 0) AS settled, \
     min(event_time) AS first, max(event_time) AS last FROM s3_access";

const SOURCES: &str = "SELECT source, max(newest) AS newest, max(read_at) AS read_at \
     FROM databricks_watermarks WHERE was_read GROUP BY source ORDER BY source";

impl Figures {
    /// Asks the lake.
    ///
    /// # Errors
    /// When it has no `s3_access`, or a table cannot be read.
    pub async fn of(context: &SessionContext) -> Result<Figures> {
        let mut figures = Figures::default();
        if let Some(row) = rows(context, TOTALS).await?.first() {
            figures.events = row.count("events");
            figures.settled = row.count("settled");
            figures.first = row.time("first");
            figures.last = row.time("last");
        }
        let coverage = rows(context, ATTRIBUTION_HEALTH.sql).await?;
        figures.coverage = coverage.iter().map(Coverage::of).collect();
        let reasons = rows(context, UNATTRIBUTED_REASONS.sql).await?;
        figures.reasons = causes(&reasons, "unattributed_reason", |token| {
            UnattributedReason::of_token(token).map(UnattributedReason::advice)
        });
        let doubts = rows(context, AMBIGUOUS_PRINCIPALS.sql).await?;
        figures.doubts = causes(&doubts, "doubt", |token| {
            Doubt::of_token(token).map(Doubt::advice)
        });
        if context.table_exist("databricks_watermarks")? {
            let sources = rows(context, SOURCES).await?;
            figures.sources = sources.iter().map(Source::of).collect();
        }
        figures.missing = export_names()
            .filter(|name| figures.sources.iter().all(|source| source.name != *name))
            .collect();
        Ok(figures)
    }

    /// Events whose principal is exact or strong.
    pub fn named(&self) -> u64 {
        let of_principal = self.coverage.iter().filter(|c| c.level == "principal");
        of_principal.map(|c| c.exact + c.strong).sum()
    }

    /// Events between several people.
    pub fn ambiguous(&self) -> u64 {
        self.doubts.iter().map(|doubt| doubt.events).sum()
    }

    /// Events of which nobody is named.
    pub fn nobody(&self) -> u64 {
        self.reasons.iter().map(|reason| reason.events).sum()
    }

    /// Of these, those that a better record would name somebody for.
    pub fn gaps(&self) -> u64 {
        let gaps = self.reasons.iter().filter(|reason| reason.is_gap());
        gaps.map(|reason| reason.events).sum()
    }

    pub fn json(&self) -> Value {
        let cause = |cause: &Cause| {
            json!({
                "token": cause.token,
                "events": cause.events,
                "sensitive_events": cause.sensitive_events,
                "by_access_path": cause.by_path.iter()
                    .map(|(path, events)| (path.clone(), (*events).into()))
                    .collect::<serde_json::Map<String, Value>>(),
                "example_event_id": cause.example_event_id,
                "is_gap": cause.is_gap(),
                "means": cause.advice.map(|advice| advice.means),
                "to_mend_it": cause.advice.map(|advice| advice.mend),
            })
        };
        let time = |at: Option<UtcMicros>| at.map(|at| at.to_string());
        json!({
            "events": self.events,
            "settled": self.settled,
            "first_event_time": time(self.first),
            "last_event_time": time(self.last),
            "principal": {
                "named": self.named(),
                "ambiguous": self.ambiguous(),
                "none": self.nobody(),
                "gaps": self.gaps(),
            },
            "coverage": self.coverage.iter().map(|c| json!({
                "access_path": c.access_path,
                "level": c.level,
                "events": c.events,
                "exact": c.exact,
                "strong": c.strong,
                "ambiguous": c.ambiguous,
                "none": c.none(),
            })).collect::<Vec<_>>(),
            "reasons": self.reasons.iter().map(cause).collect::<Vec<_>>(),
            "doubts": self.doubts.iter().map(cause).collect::<Vec<_>>(),
            "sources": self.sources.iter().map(|source| json!({
                "source": source.name,
                "newest": time(source.newest),
                "read_at": time(source.read_at),
            })).collect::<Vec<_>>(),
            "sources_missing": self.missing,
        })
    }
}

impl Coverage {
    fn of(row: &Cells) -> Coverage {
        Coverage {
            access_path: row.owned("access_path").unwrap_or_default(),
            level: row.owned("level").unwrap_or_default(),
            events: row.count("events"),
            exact: row.count("exact_events"),
            strong: row.count("strong_events"),
            ambiguous: row.count("ambiguous_events"),
        }
    }

    pub fn none(&self) -> u64 {
        let found = self.exact + self.strong + self.ambiguous;
        self.events.saturating_sub(found)
    }
}

impl Cause {
    pub fn is_gap(&self) -> bool {
        self.advice.is_none_or(|advice| advice.is_gap)
    }
}

impl Source {
    fn of(row: &Cells) -> Source {
        Source {
            name: row.owned("source").unwrap_or_default(),
            newest: row.time("newest"),
            read_at: row.time("read_at"),
        }
    }
}

/// Rows of access path and token, summed by token; the most frequent first.
fn causes(rows: &[Cells], token: &str, advice: fn(&str) -> Option<Advice>) -> Vec<Cause> {
    let mut causes: BTreeMap<String, Cause> = BTreeMap::new();
    for row in rows {
        let token = row.owned(token).unwrap_or_default();
        let cause = causes.entry(token.clone()).or_insert_with(|| Cause {
            advice: advice(&token),
            token,
            events: 0,
            sensitive_events: 0,
            by_path: Vec::new(),
            example_event_id: row.owned("example_event_id").unwrap_or_default(),
        });
        let events = row.count("events");
        cause.events += events;
        cause.sensitive_events += row.count("sensitive_events");
        let path = row.owned("access_path").unwrap_or_default();
        cause.by_path.push((path, events));
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.events));
    causes
}
