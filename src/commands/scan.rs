//! `scan`: CloudTrail logs of directories and files into the lake.

use super::{Common, databricks, last_policy, output, summary};
use crate::lake::Lake;
use crate::model::UtcMicros;
use crate::pipeline::report::Report;
use crate::pipeline::scan::{ScanJob, scan};
use crate::pipeline::source::{LocalListing, SourceTotals};
use crate::pipeline::stages::Progress;
use crate::policy::{Policy, PolicyFile, PolicySettings, starter_files};
use anyhow::Context as _;
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
    /// Directories or files of CloudTrail logs, gzip or plain JSON
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
    let listing = LocalListing::of(&arguments.sources)?;
    let started = Instant::now();
    let mut lake = Lake::open(&config.lake).await?;
    let import = match arguments.databricks.or(config.databricks_dir) {
        Some(place) => Some(databricks::import(&lake, &place, now()).await?),
        None => None,
    };
    last_policy::check_groups(&policy, lake.url()).await?;
    let scan_started = Instant::now();
    let bar = Arc::new(Bar::default());
    let job = ScanJob {
        listing,
        policy: Arc::new(policy),
        identity: config.identity,
        limits: config.limits,
        now,
    };
    let outcome = scan(&mut lake, job, bar.clone()).await;
    bar.finish();
    let report = outcome?;
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
    Ok(ExitCode::SUCCESS)
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
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("list `{}`", dir.display()))?
            .path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let is_policy = name.ends_with(".cedar") || name.ends_with(".toml");
        if path.is_file() && is_policy && !name.starts_with('.') {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                super::UsageError(format!("policy file `{}`: {error}", path.display()))
            })?;
            files.push(PolicyFile { name, text });
        }
    }
    Ok(files)
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
