//! The policies that judged: their files and their exceptions, each version once, and
//! which of them was taken into use last.
//!
//! A version's hash is its transaction id: it is recorded once, whoever does it. The
//! transaction's number says when the version was last taken into use, and
//! [`IN_USE`] has the number of the one in use: after a change and its roll-back that is
//! the version which was there before.

use super::columns::Column;
use super::delta::{CONFLICTS_MAX, CommitOutcome, LakeTable};
use super::error::LakeError;
use super::fact_tables::{self, PolicyException, PolicyVersionFile};
use super::store::{Lake, table_url, write_rows};
use crate::model::UtcMicros;
use url::Url;

/// The transaction id under which the number of the version in use stands.
const IN_USE: &str = "bricktrail.policy-in-use";

impl Lake {
    /// Records a policy's files and exceptions, unless that version is recorded already,
    /// and that it is the one in use, unless it was that before.
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
        record_use(&mut self.policy_versions, version, files, now).await?;
        let table = &mut self.exceptions;
        if exceptions.is_empty() {
            return Ok(());
        }
        let columns = fact_tables::exceptions();
        for _ in 0..CONFLICTS_MAX {
            if table.transaction_version(version).await?.is_some()
                || add(table, &columns, exceptions.clone(), &[(version, 1)], now).await?
            {
                return Ok(());
            }
        }
        Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
    }
}

/// Which policy was taken into use last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// Nothing tells, as in a lake that only older releases wrote.
    Untold,
    Version(String),
    /// One that was not asked about: recorded since those were read.
    Newer,
}

/// Returns which of the versions was taken into use last.
///
/// # Errors
/// When the table `policy_versions` cannot be read.
pub async fn policy_in_use(lake: &Url, versions: &[String]) -> Result<InUse, LakeError> {
    let name = "policy_versions";
    let table = LakeTable::open_existing(name, table_url(lake, name)?).await?;
    let Some(in_use) = table.transaction_version(IN_USE).await? else {
        return Ok(InUse::Untold);
    };
    for version in versions {
        if table.transaction_version(version).await? == Some(in_use) {
            return Ok(InUse::Version(version.clone()));
        }
    }
    Ok(InUse::Newer)
}

async fn record_use(
    table: &mut LakeTable,
    version: &str,
    files: Vec<PolicyVersionFile>,
    now: UtcMicros,
) -> Result<(), LakeError> {
    let columns = fact_tables::policy_versions();
    for _ in 0..CONFLICTS_MAX {
        let recorded = table.transaction_version(version).await?;
        let in_use = table.transaction_version(IN_USE).await?;
        if recorded.is_some() && recorded == in_use {
            return Ok(());
        }
        // Later than what was in use, whatever the clocks say.
        let number = u64::try_from(now.0)
            .unwrap_or(0)
            .max(in_use.unwrap_or(0) + 1);
        let rows = match recorded {
            Some(_) => Vec::new(),
            None => files.clone(),
        };
        let txns = [(version, number), (IN_USE, number)];
        if add(table, &columns, rows, &txns, now).await? {
            return Ok(());
        }
    }
    Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
}

/// Tries to commit the rows, once; `false` if another came first.
async fn add<R>(
    table: &mut LakeTable,
    columns: &[Column<R>],
    rows: Vec<R>,
    txns: &[(&str, u64)],
    now: UtcMicros,
) -> Result<bool, LakeError> {
    let adds = write_rows(table, columns, rows, now).await?;
    let outcome = table.append(adds.clone(), txns, Vec::new()).await?;
    let is_committed = matches!(outcome, CommitOutcome::Committed { .. });
    if !is_committed {
        table.discard(&adds).await;
    }
    Ok(is_committed)
}
