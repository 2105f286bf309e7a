//! Which policy a command judges by that looks again at rows which a scan judged:
//! settling a row, or explaining it, is no reason to judge by another.

use super::{UsageError, cells, scan};
use crate::config::Config;
use crate::identity::known_groups;
use crate::lake::databricks::read_scim;
use crate::lake::sql;
use crate::lake::store::lake_url;
use crate::policy::{Policy, PolicyFile};
use anyhow::Context as _;
use url::Url;

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

/// Refuses a policy whose groups the lake does not know: it would judge by half.
///
/// # Errors
/// When it names such groups, or SCIM's facts cannot be read.
pub async fn check_groups(policy: &Policy, lake: &Url) -> anyhow::Result<()> {
    if policy.interest().groups.is_empty() {
        return Ok(());
    }
    Ok(policy.check_groups(&known_groups(read_scim(lake).await?))?)
}

/// Refuses a place without rows: a mistyped one must not become an empty lake.
///
/// # Errors
/// When it holds no table `s3_access`.
pub fn check_lake(location: &str) -> anyhow::Result<()> {
    let folder = lake_url(location)?.to_file_path();
    let log = folder.map(|folder| folder.join("s3_access/_delta_log"));
    // What a remote place holds shows when its tables are opened.
    match log.map_or(true, |log| log.is_dir()) {
        true => Ok(()),
        false => Err(UsageError(format!(
            "`{location}` holds no table `s3_access`; `bricktrail scan` makes a lake, `--lake` \
             names one"
        ))
        .into()),
    }
}

const NEWEST_POLICY: &str = "SELECT file, text FROM policy_versions WHERE policy_version = \
     (SELECT policy_version FROM policy_versions ORDER BY first_used_at DESC, policy_version LIMIT 1)";
