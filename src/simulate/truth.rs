//! `truth.parquet`: what really stood behind each S3 event.
//!
//! One row for each distinct record of an S3 event: redelivered copies have the
//! same event id and no row of their own; a twin in another account and a
//! correction have an id of their own, and name the event they belong to.

use super::scenario::{Maxima, Scenario, Truth};
use crate::lake::columns::{Column, Values, column};
use crate::model::UtcMicros;

/// What really stood behind one event.
pub(super) struct TruthRow {
    event_id: String,
    at: i64,
    account: &'static str,
    /// How many objects hold the record.
    pub deliveries: i32,
    copy: Option<&'static str>,
    copy_of: Option<String>,
    truth: Truth,
    maxima: Maxima,
}

impl TruthRow {
    pub(super) fn scenario(&self) -> Scenario {
        self.truth.scenario
    }

    pub(super) fn new(
        event_id: String,
        at: i64,
        account: &'static str,
        copy: Option<&'static str>,
        copy_of: Option<String>,
        truth: &Truth,
    ) -> TruthRow {
        TruthRow {
            event_id,
            at,
            account,
            deliveries: 1,
            copy,
            copy_of,
            maxima: truth.scenario.maxima(),
            truth: truth.clone(),
        }
    }
}

/// The columns of `truth.parquet`.
pub(super) fn columns() -> Vec<Column<TruthRow>> {
    use Values::{Int32, Text, Time};
    vec![
        column("event_id", Text(|row: &TruthRow| Some(&row.event_id))),
        column(
            "event_time",
            Time(|row| Some(UtcMicros::from_seconds(row.at))),
        ),
        column("aws_account_id", Text(|row| Some(row.account))),
        column("deliveries", Int32(|row| Some(row.deliveries))),
        column("copy", Text(|row| row.copy)),
        column("copy_of", Text(|row| row.copy_of.as_deref())),
        column("scenario", Text(|row| Some(row.truth.scenario.as_str()))),
        column("violation", Text(|row| row.truth.scenario.violation())),
        column(
            "access_path",
            Text(|row| Some(row.truth.access_path.as_str())),
        ),
        column(
            "workspace_id",
            Text(|row| row.truth.workspace_id.as_deref()),
        ),
        column("cluster_id", Text(|row| row.truth.cluster_id.as_deref())),
        column("job_id", Text(|row| row.truth.job_id.as_deref())),
        column("job_run_id", Text(|row| row.truth.job_run_id.as_deref())),
        column("task_key", Text(|row| row.truth.task_key.as_deref())),
        column("task_run_id", Text(|row| row.truth.task_run_id.as_deref())),
        column("principal", Text(|row| row.truth.principal.as_deref())),
        column(
            "principal_kind",
            Text(|row| row.truth.principal_kind.map(|kind| kind.as_str())),
        ),
        column(
            "workspace_max",
            Text(|row| Some(row.maxima.workspace.as_str())),
        ),
        column("cluster_max", Text(|row| Some(row.maxima.cluster.as_str()))),
        column("job_max", Text(|row| Some(row.maxima.job.as_str()))),
        column("task_max", Text(|row| Some(row.maxima.task.as_str()))),
        column(
            "principal_max",
            Text(|row| Some(row.maxima.principal.as_str())),
        ),
    ]
}
