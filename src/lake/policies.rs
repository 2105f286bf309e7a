//! The policies that judged: their files and their exceptions, each version once.

use super::columns::Column;
use super::delta::{CONFLICTS_MAX, CommitOutcome, LakeTable};
use super::error::LakeError;
use super::fact_tables::{self, PolicyException, PolicyVersionFile};
use super::store::{Lake, write_rows};
use crate::model::UtcMicros;

impl Lake {
    /// Records a policy's files and exceptions, unless that version is recorded already.
    ///
    /// # Errors
    /// When a table cannot be read or written.
    pub async fn record_policy(
        &mut self,
        version: &str,
        files: Vec<PolicyVersionFile>,
        exceptions: Vec<PolicyException>,
        now: UtcMicros,
    ) -> Result<(), LakeError> {
        let columns = fact_tables::policy_versions();
        record_once(&mut self.policy_versions, version, &columns, files, now).await?;
        let columns = fact_tables::exceptions();
        record_once(&mut self.exceptions, version, &columns, exceptions, now).await
    }
}

/// The version's hash is its transaction id: recorded once, whoever does it.
async fn record_once<R: Clone>(
    table: &mut LakeTable,
    version: &str,
    columns: &[Column<R>],
    rows: Vec<R>,
    now: UtcMicros,
) -> Result<(), LakeError> {
    if rows.is_empty() {
        return Ok(());
    }
    for _ in 0..CONFLICTS_MAX {
        if table.transaction_version(version).await?.is_some() {
            return Ok(());
        }
        let adds = write_rows(table, columns, rows.clone(), now).await?;
        let outcome = table
            .append(adds.clone(), Some((version, 1)), Vec::new())
            .await?;
        match outcome {
            CommitOutcome::Committed { .. } => return Ok(()),
            CommitOutcome::Conflict { .. } => table.discard(&adds).await,
        }
    }
    Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
}
