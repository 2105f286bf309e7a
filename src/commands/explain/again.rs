//! Decides the access again and compares the answer with the stored one.
//!
//! Today's answer becomes a row by the very list of columns that wrote the
//! stored one, and the two rows are compared cell by cell: whatever a row
//! claims is checked, also what AWS recorded.

use super::super::cells::Cells;
use crate::identity::{IdentityIndex, Memberships, attribute, credential};
use crate::lake::columns::batch;
use crate::lake::s3_access::{DecidedAccess, RowSource, columns, partition_columns};
use crate::lake::store::s3_access_schema;
use crate::model::{AccessEvent, UtcMicros};
use crate::policy::{AccessFacts, Policy};
use crate::trail::access_log::Addendum;
use anyhow::Context as _;

/// Today's answer beside the stored one.
pub struct Again {
    /// The row as it would be written today.
    pub row: Cells,
    pub differences: Vec<Difference>,
}

/// A column whose value differs; "" stands for NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub part: Part,
    pub column: String,
    pub stored: String,
    pub today: String,
}

/// What a column tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What AWS recorded.
    Record,
    Attribution,
    /// Dataset, verdict and violated rules.
    Verdict,
    /// Which policy, which algorithm: why answers may differ.
    Version,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Record => "record",
            Part::Attribution => "attribution",
            Part::Verdict => "verdict",
            Part::Version => "version",
        }
    }

    /// `None` for what says when and where a row was written.
    fn of(column: &str) -> Option<Part> {
        Some(match column {
            "settled" | "attributed_at" | "ingested_at" | "source_uri" | "source_index"
            | "source_etag" => return None,
            "policy_version" | "attribution_version" => Part::Version,
            "dataset" | "sensitivity" | "verdict" | "violations" => Part::Verdict,
            "instance_id"
            | "credential"
            | "access_path"
            | "session_event_id"
            | "workspace_id"
            | "cluster_id"
            | "job_id"
            | "job_run_id"
            | "task_key"
            | "task_run_id"
            | "principal"
            | "principal_kind"
            | "principal_candidates"
            | "job_run_candidates"
            | "unattributed_reason" => Part::Attribution,
            _ if column.ends_with("_confidence") || column.starts_with("attribution_") => {
                Part::Attribution
            }
            _ => Part::Record,
        })
    }
}

impl Again {
    pub fn of_part(&self, part: Part) -> impl Iterator<Item = &Difference> {
        self.differences
            .iter()
            .filter(move |difference| difference.part == part)
    }

    pub fn agrees_on(&self, part: Part) -> bool {
        self.of_part(part).next().is_none()
    }
}

/// Decides the access with today's facts and policy.
///
/// # Errors
/// When the row cannot be built, which would be a defect.
pub fn decide(
    stored: &Cells,
    access: &AccessEvent<'_>,
    index: &IdentityIndex,
    policy: &Policy,
) -> anyhow::Result<Again> {
    let attribution = attribute(access, index);
    let credential = credential(access.principal);
    let location = access.object_key.or(access.list_prefix);
    let dataset = policy.dataset_of(access.target.bucket.as_deref(), location);
    let (at, interest) = (access.event_time, policy.interest());
    let (workload, _) = index.workload(&attribution, at, interest, &mut Memberships::default());
    let judgement = policy.judge(&AccessFacts {
        access,
        attribution: &attribution,
        credential,
        dataset,
        workload: &workload,
        settled: stored.truth("settled"),
    });
    let source = RowSource {
        uri: stored.owned("source_uri").unwrap_or_default(),
        etag: stored.owned("source_etag"),
        ingested_at: stored.time("ingested_at").unwrap_or(UtcMicros::MIN),
    };
    let addendum = stored.owned("addendum_reason").map(|reason| Addendum {
        reason,
        original_event_id: stored.owned("original_event_id"),
    });
    let decided = DecidedAccess {
        access: *access,
        credential,
        attribution: &attribution,
        dataset: dataset.and_then(|number| policy.dataset(number)),
        verdict: judgement.verdict,
        violations: &judgement.violations,
        policy_version: policy.version(),
        source: &source,
        source_index: stored
            .number("source_index")
            .and_then(|index| u32::try_from(index).ok())
            .unwrap_or_default(),
        addendum: addendum.as_ref(),
        settled: stored.truth("settled"),
        decided_at: stored.time("attributed_at").unwrap_or(UtcMicros::MIN),
    };
    let row = row_of(decided)?;
    let differences = compare(stored, &row);
    Ok(Again { row, differences })
}

/// The row of a decided access, as the lake would hold it.
pub fn row_of(decided: DecidedAccess<'_>) -> anyhow::Result<Cells> {
    let mut all = columns();
    all.extend(partition_columns());
    let batch = batch(&s3_access_schema(), &all, &[decided]).context("build the row anew")?;
    Cells::of(&batch, 0).context("build the row anew")
}

fn compare(stored: &Cells, today: &Cells) -> Vec<Difference> {
    let schema = today.batch().schema();
    let columns = schema.fields().iter().map(|field| field.name());
    columns
        .filter_map(|column| {
            let part = Part::of(column)?;
            let difference = Difference {
                part,
                column: column.clone(),
                stored: stored.shown(column),
                today: today.shown(column),
            };
            (difference.stored != difference.today).then_some(difference)
        })
        .collect()
}
