//! Which policy a command judges by that looks again at rows which a scan judged:
//! settling a row, or explaining it, is no reason to judge by another.

use super::{UsageError, cells, scan};
use crate::config::Config;
use crate::identity::known_groups;
use crate::lake::databricks::read_scim;
use crate::lake::policies::{InUse, policy_in_use};
use crate::lake::sql;
use crate::lake::store::lake_url;
use crate::policy::{Policy, PolicyFile};
use anyhow::Context as _;
use datafusion::prelude::SessionContext;
use url::Url;

/// A policy to judge by, and whether the lake named it.
pub struct Chosen {
    pub policy: Policy,
    pub is_of_lake: bool,
}

/// The policy that is named, else the one that the lake was judged by last, else the
/// starter policy.
///
/// # Errors
/// When the policy, or `policy_versions`, cannot be read, or this release refuses it.
pub async fn policy_for(config: &Config) -> anyhow::Result<Chosen> {
    if config.policy_dir.is_none() {
        let files = last_files(&config.lake)
            .await
            .context("read `policy_versions`")?;
        if !files.is_empty() {
            let policy = Policy::parse(files, &config.policy).context(
                "the policy that the lake was judged by last cannot be used by this release; name \
                 another with --policy",
            )?;
            return Ok(Chosen {
                policy,
                is_of_lake: true,
            });
        }
    }
    let policy = scan::load_policy(config.policy_dir.as_deref(), &config.policy)?;
    Ok(Chosen {
        policy,
        is_of_lake: false,
    })
}

/// Policies that may be taken into use while it is asked for the last one.
const NEWER_MAX: usize = 20;

/// The files of the policy that was taken into use last; none if no policy ever was.
async fn last_files(lake: &str) -> anyhow::Result<Vec<PolicyFile>> {
    for _ in 0..NEWER_MAX {
        let context = sql::session(lake).await?;
        if !context.table_exist("policy_versions")? {
            return Ok(Vec::new());
        }
        let known = cells::rows(&context, VERSIONS).await?;
        let known: Vec<String> = known
            .iter()
            .filter_map(|row| row.owned("policy_version"))
            .collect();
        let last = match policy_in_use(&lake_url(lake)?, &known).await? {
            InUse::Version(last) => Some(last),
            InUse::Untold => known.first().cloned(),
            InUse::Newer => continue,
        };
        return match last {
            Some(last) => files_of(&context, &last).await,
            None => Ok(Vec::new()),
        };
    }
    anyhow::bail!("policies are taken into use one after the other; try again")
}

async fn files_of(context: &SessionContext, version: &str) -> anyhow::Result<Vec<PolicyFile>> {
    // It came from the table: a hash, or what a hand wrote there.
    let version = version.replace('\'', "''");
    let files =
        format!("SELECT file, text FROM policy_versions WHERE policy_version = '{version}'");
    let files = cells::rows(context, &files).await?;
    Ok(files
        .iter()
        .map(|row| PolicyFile {
            name: row.owned("file").unwrap_or_default(),
            text: row.owned("text").unwrap_or_default(),
        })
        .collect())
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

const VERSIONS: &str = "SELECT policy_version FROM policy_versions GROUP BY policy_version \
     ORDER BY min(first_used_at) DESC, policy_version";
