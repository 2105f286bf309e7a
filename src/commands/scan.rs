//! `scan`: CloudTrail logs of directories, files and buckets into the lake.

use super::run::bucket_and_prefix;
use super::{Common, databricks, last_policy, output, summary};
use crate::aws::client::load_config;
use crate::aws::objects::{ListedObject, split_place};
use crate::aws::s3::S3Objects;
use crate::lake::Lake;
use crate::lake::store::lake_url;
use crate::model::UtcMicros;
use crate::pipeline::report::Report;
use crate::pipeline::scan::{RemoteScanJob, ScanJob, scan, scan_listed};
use crate::pipeline::source::{LocalListing, SourceError, SourceTotals};
use crate::pipeline::stages::Progress;
use crate::policy::{Policy, PolicyFile, PolicySettings, starter_files};
use anyhow::{Context as _, anyhow};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ScanArguments {
    /// Directories, files, or prefixes in S3 (`s3://bucket/prefix`) of CloudTrail logs, gzip
    /// or plain JSON
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Directory of Cedar policies and datasets.toml [default: the built-in starter policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Directory of Databricks exports (system tables, audit log, SCIM, Unity Catalog), read
    /// into the lake first; what is missing there lowers confidence
    #[arg(long, value_name = "DIR")]
    databricks: Option<String>,
    /// How to write the closing summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str =
    "Objects already in the lake are passed over, so a scan can be interrupted at \
any instant and run again. What cannot be read is quarantined with its reason in the table \
`log_objects`, and the rest goes on.

Examples:
  bricktrail scan ./trail
  bricktrail scan --lake /data/lake --policy ./policy ./AWSLogs extra.json.gz
  bricktrail scan --databricks ./exports ./trail
  bricktrail scan s3://acme-trail/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/11/
  bricktrail query --sql \"SELECT uri, reason FROM log_objects WHERE status = 'quarantined'\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub async fn run(common: &Common, arguments: ScanArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.policy)?;
    let policy = load_policy(config.policy_dir.as_deref(), &config.policy)?;
    let started = Instant::now();
    let (remote, local): (Vec<String>, Vec<String>) = arguments
        .sources
        .into_iter()
        .partition(|source| source.starts_with("s3://"));
    let listing = LocalListing::of(&local)?;
    let bar = Arc::new(Bar::default());
    let remote = match remote.as_slice() {
        [] => None,
        sources => Some(list_remote(sources, &config.lake).await?),
    };
    let mut lake = Lake::open(&config.lake).await?;
    let import = match arguments.databricks.or(config.databricks_dir) {
        Some(place) => Some(databricks::import(&lake, &place, now()).await?),
        None => None,
    };
    last_policy::check_groups(&policy, lake.url()).await?;
    let scan_started = Instant::now();
    let policy = Arc::new(policy);
    let mut report = Report::default();
    let mut not_fetched = Vec::new();
    if !local.is_empty() {
        let job = ScanJob {
            listing,
            policy: policy.clone(),
            identity: config.identity.clone(),
            limits: config.limits.clone(),
            now,
        };
        let outcome = scan(&mut lake, job, bar.clone()).await;
        report.add(outcome.inspect_err(|_| bar.finish())?);
    }
    if let Some((objects, listed)) = remote {
        let job = RemoteScanJob {
            objects,
            listed,
            policy,
            identity: config.identity,
            limits: config.limits,
            now,
        };
        let outcome = scan_listed(&mut lake, job, bar.clone()).await;
        let (scanned, left) = outcome.inspect_err(|_| bar.finish())?;
        report.add(scanned);
        not_fetched = left;
    }
    bar.finish();
    let lake = crate::lake::error::place(lake.url());
    let text = match arguments.format {
        Format::Text => {
            let scanned = summary::text(&report, &lake, scan_started.elapsed());
            import.map_or_else(String::new, |import| import.text()) + &scanned
        }
        Format::Json => {
            let imported = import.map(|import| import.json());
            summary::json(&report, &lake, started.elapsed(), imported)
        }
    };
    output::to_stdout(text.as_bytes()).context("write the summary")?;
    match not_fetched.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        [first, ..] => Err(anyhow!(
            "{} objects could not be fetched, the first of them {first}; what was read is in the \
             lake, and another scan reads the rest",
            not_fetched.len()
        )),
    }
}

/// Everything that lies under these prefixes, and the buckets that it is in.
async fn list_remote(
    sources: &[String],
    lake: &str,
) -> anyhow::Result<(Arc<S3Objects>, Vec<ListedObject>)> {
    let objects = Arc::new(S3Objects::new(&load_config(None).await));
    let lake = lake_url(lake)?;
    let lake = bucket_and_prefix(&lake);
    let mut listed = Vec::new();
    for source in sources {
        let (bucket, prefix) = split_place(source).ok_or_else(|| SourceError::Unsupported {
            place: source.clone(),
        })?;
        if let Some((lake_bucket, lake_prefix)) = &lake
            && *lake_bucket == bucket
            && (lake_prefix.starts_with(prefix)
                || !lake_prefix.is_empty() && prefix.starts_with(lake_prefix))
        {
            let told = format!(
                "`{source}` holds the lake, or lies in it: each scan would read what the last \
                 one wrote; name the prefix of the logs"
            );
            return Err(super::UsageError(told).into());
        }
        let found = objects.list(bucket, prefix).await;
        let found =
            found.map_err(|told| anyhow!("list `{source}`: {told}; it takes s3:ListBucket"))?;
        if found.is_empty() {
            let place = source.clone();
            return Err(SourceError::Empty { place }.into());
        }
        listed.extend(found);
    }
    Ok((objects, listed))
}

pub fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}

/// The policy of the directory, or the built-in one.
pub fn load_policy(dir: Option<&Path>, settings: &PolicySettings) -> anyhow::Result<Policy> {
    Ok(Policy::parse(policy_files(dir)?, settings)?)
}

/// The files of the directory that make a policy, or those of the built-in one.
pub fn policy_files(dir: Option<&Path>) -> anyhow::Result<Vec<PolicyFile>> {
    let Some(dir) = dir else {
        return Ok(starter_files());
    };
    let entries = std::fs::read_dir(dir).map_err(|error| {
        super::UsageError(format!(
            "policy directory `{}`: {error}; give a directory of *.cedar files",
            dir.display()
        ))
    })?;
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    for entry in entries {
        let path = entry
            .with_context(|| format!("list `{}`", dir.display()))?
            .path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let lower = name.to_lowercase();
        let is_policy = lower.ends_with(".cedar") || lower.ends_with(".toml");
        if !is_policy || name.starts_with('.') {
            continue;
        }
        // A link that leads nowhere is no reason to judge without the rest.
        match std::fs::read_to_string(&path) {
            Ok(text) => files.push(PolicyFile { name, text }),
            Err(error) => unreadable.push(format!("policy file `{}`: {error}", path.display())),
        }
    }
    match unreadable.is_empty() {
        true => Ok(files),
        false => Err(super::UsageError(unreadable.join("\n")).into()),
    }
}

/// The progress bar; nothing where nobody looks.
#[derive(Default)]
pub struct Bar {
    bar: std::sync::OnceLock<ProgressBar>,
    rows: AtomicU64,
}

impl Bar {
    pub fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn starts(&self, totals: SourceTotals) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        if let Some(bar) = self.bar.get() {
            return bar.inc_length(totals.bytes);
        }
        let style = ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
        );
        let bar = ProgressBar::new(totals.bytes);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        drop(self.bar.set(bar));
    }

    fn object(&self, bytes: u64) {
        if let Some(bar) = self.bar.get() {
            bar.inc(bytes);
        }
    }

    fn committed(&self, report: &Report) {
        let rows = report.counts.rows_written;
        let rows = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if let Some(bar) = self.bar.get() {
            bar.set_message(format!("{} rows committed", output::grouped(rows)));
        }
    }
}
