//! Which policy a command judges by that looks again at rows which a scan judged:
//! settling a row, or explaining it, is no reason to judge by another.

use super::{cells, scan};
use crate::config::Config;
use crate::lake::sql;
use crate::policy::{Policy, PolicyFile};
use anyhow::Context as _;

/// The policy that is named, else the newest that the lake was judged by, else the
/// starter policy.
///
/// # Errors
/// When the policy, or `policy_versions`, cannot be read.
pub async fn policy_for(config: &Config) -> anyhow::Result<Policy> {
    if config.policy_dir.is_none() {
        let context = sql::session(&config.lake).await?;
        let rows = match context.table_exist("policy_versions")? {
            true => cells::rows(&context, NEWEST_POLICY).await,
            false => Ok(Vec::new()),
        };
        let files: Vec<PolicyFile> = rows
            .context("read `policy_versions`")?
            .iter()
            .map(|row| PolicyFile {
                name: row.owned("file").unwrap_or_default(),
                text: row.owned("text").unwrap_or_default(),
            })
            .collect();
        if !files.is_empty() {
            return Ok(Policy::parse(files, &config.policy)?);
        }
    }
    scan::load_policy(config.policy_dir.as_deref(), &config.policy)
}

const NEWEST_POLICY: &str = "SELECT file, text FROM policy_versions WHERE policy_version = \
     (SELECT policy_version FROM policy_versions ORDER BY first_used_at DESC, policy_version LIMIT 1)";
