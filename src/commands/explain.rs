//! `explain`: one event in full, for the person who has to defend the answer.
//!
//! It shows what AWS recorded, who that was and on which evidence, each rule's
//! answer, and where the record stands. And it decides again, by the functions
//! that decided when the row was written, so that the stored answer is proven
//! and not repeated:
//!
//! 1. `lookup` reads the rows of the event, the facts around it, the object.
//! 2. `record` takes the access from the original object, where that is at
//!    hand and unchanged, else from the row.
//! 3. `again` decides it, makes a row of the answer, and compares the two rows.
//! 4. `evidence` finds the records that the row names, those of Databricks by
//!    `databricks`; `considered` finds what was near and fell out.
//! 5. `text` and `json` write it down; `words` says what the labels mean.
//!
//! Read-only: it opens what is there and never makes a lake.

mod again;
mod considered;
mod databricks;
mod evidence;
mod json;
mod lookup;
mod record;
mod text;
mod words;

#[cfg(test)]
mod tests;

use super::cells::Cells;
use super::{Common, UsageError, last_policy, output};
use crate::identity::IdentityIndex;
use crate::lake::databricks::read_databricks;
use crate::lake::sql;
use crate::lake::store::lake_url;
use crate::model::{DatabricksFacts, UtcMicros};
use crate::pipeline::horizon::trail_complete_until;
use crate::policy::{Policy, RuleInfo};
use again::Again;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use considered::Considered;
use evidence::Evidence;
use record::Basis;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArguments {
    /// The event's id, as in `s3_access.event_id`
    #[arg(value_name = "EVENT_ID")]
    event_id: String,
    /// Directory of Cedar policies and datasets.toml [default: the policy that the
    /// lake was judged by last]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// How to write the explanation
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "The event is decided again, from its original record if the object can \
still be read, with the facts that the lake holds now; the answer is compared with the stored one.

Examples:
  bricktrail query --sql \"SELECT event_id FROM violations WHERE severity = 'high' LIMIT 5\"
  bricktrail explain 7d91ac29-614a-4af9-af5c-c5a80e63a0bb";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// All that is said of one row of the event.
struct Explanation {
    /// The row as it stands in the lake.
    row: Cells,
    /// What today's answer was decided from.
    basis: Basis,
    again: Again,
    evidence: Vec<Evidence>,
    /// What was near and fell out.
    considered: Vec<Considered>,
    /// The commands by which candidates were at work on the cluster.
    at_work: Vec<String>,
    /// The row of `log_objects`, if it is found.
    object: Option<Cells>,
    policy_version: String,
    rules: Vec<RuleInfo>,
    dataset_owner: Option<String>,
}

pub async fn run(common: &Common, arguments: ExplainArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.policy)?;
    let policy = last_policy::policy_for(&config).await?.policy;
    let lake = lookup::Lookup::new(sql::session(&config.lake).await?);
    let rows = lake
        .rows_of(&arguments.event_id)
        .await
        .context("read s3_access")?;
    if rows.is_empty() {
        let events = lake.count_events().await.context("count s3_access")?;
        return Err(unknown(&arguments.event_id, &config.lake, events).into());
    }
    let sts_until = trail_complete_until(UtcMicros::from_datetime(chrono::Utc::now()));
    let databricks = read_databricks(&lake_url(&config.lake)?).await?;
    let known = IdentityIndex::new(config.identity.clone())
        .with_databricks(databricks.clone())
        .with_sts_until(sts_until);
    let mut explanations = Vec::with_capacity(rows.len());
    for row in rows {
        explanations.push(explain(&lake, row, known.clone(), &databricks, &policy).await?);
    }
    let text = match arguments.format {
        Format::Text => text::text(&explanations),
        Format::Json => json::json(&explanations)?,
    };
    output::to_stdout(text.as_bytes()).context("write the explanation")?;
    Ok(ExitCode::SUCCESS)
}

async fn explain(
    lake: &lookup::Lookup,
    row: Cells,
    index: IdentityIndex,
    databricks: &DatabricksFacts,
    policy: &Policy,
) -> anyhow::Result<Explanation> {
    let object = lake.object_of(&row).await.context("read log_objects")?;
    let (record, basis) = record::find(&row, object.as_ref()).await;
    let access = record.access()?;
    let facts = lake
        .facts_around(&row, &access)
        .await
        .context("read the facts around the event")?;
    let evidence = evidence::of(&row, &facts, databricks);
    let considered = considered::of(&row, databricks);
    let at_work = considered::at_work(&row, databricks);
    let mut index = index.with(facts.sessions, facts.instances);
    if row.truth("settled") {
        // It waits for nothing, whatever may have been read of later times since.
        index = index.with_settled_until(access.event_time);
    }
    let again = again::decide(&row, &access, &index, policy)?;
    let dataset = policy.dataset_of(
        access.target.bucket.as_deref(),
        access.object_key.or(access.list_prefix),
    );
    let owner = dataset.and_then(|number| policy.dataset(number)?.owner.clone());
    Ok(Explanation {
        basis,
        again,
        evidence,
        considered,
        at_work,
        object,
        policy_version: policy.version().to_owned(),
        rules: policy.rules(),
        dataset_owner: owner,
        row,
    })
}

fn unknown(event_id: &str, lake: &str, events: u64) -> UsageError {
    let events = output::grouped(events);
    UsageError(format!(
        "the lake `{lake}` has no S3 event `{event_id}` among its {events}. Ids are compared \
         exactly; STS and EC2 events stand in `sts_sessions` and `ec2_instances`, a copy of an \
         event is counted in `log_objects.duplicates`. To look for one: bricktrail --lake \
         '{lake}' query --sql \"SELECT event_id, event_time, event_name, bucket FROM s3_access \
         ORDER BY event_time DESC LIMIT 20\""
    ))
}
