//! `settle`: decides rows again once all sources have told what they know.

use super::{Common, UsageError, databricks, last_policy, output, settle_summary};
use crate::lake::Lake;
use crate::lake::compact::{SMALL_FILES_MIN, compact};
use crate::lake::settle::files::read_date;
use crate::lake::vacuum::{RETENTION_DAYS_MIN, vacuum};
use crate::model::UtcMicros;
use crate::model::time::date_text;
use crate::pipeline::settle::{SettleJob, SettleProgress, settle};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SettleArguments {
    /// Settles up to exactly this time, for example 2026-03-28T00:00:00Z: believes every
    /// source complete as far as it concerns those rows; a time in the future settles all
    /// that there is [default: what the newest rows of the sources and their usual delays
    /// tell]
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// Decides rows again that are settled already: after a new policy, or new facts
    #[arg(long)]
    again: bool,
    /// The first date, in UTC, for example 2026-03-27 [default: the earliest]; dates outside
    /// lose only rows for which one within stands now
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last date [default: the latest]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Directory of Cedar policies and datasets.toml [default: the policy that the
    /// lake was judged by last]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Directory of Databricks exports, read into the lake first
    #[arg(long, value_name = "DIR")]
    databricks: Option<String>,
    /// Then deletes files that no version of the last so many days names, for example 30d:
    /// how far back the first answers stay readable [default: deletes nothing]
    #[arg(long, value_name = "RETENTION")]
    vacuum: Option<String>,
    /// Allows --vacuum to keep less than 7 days; no scan or settle may run meanwhile, for
    /// the files that it is about to commit would be deleted
    #[arg(long, requires = "vacuum")]
    vacuum_force: bool,
    /// How to write the closing summary
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "A scan decides at once with what is known: the rows are provisional. \
Identity sources come late (audit logs by hours, node timelines by a week), so a row is settled \
when all that were read have passed it: it is attributed and judged again, copies of one event \
are dropped, corrections (addenda) take the place of what they correct, and the files of a date \
become few and sorted. All of a date is one commit; settle may be killed at any instant and run \
beside scans. `s3_access.settled` tells the rows apart; the first verdict stays readable in the \
table's history.

Run it once a day; it does only what has become due. Many small settled files of a date are \
merged, row by row as they are. Where the records of one event lie on several dates, one of them \
stands, on its own date, and the others go in the same commit.

--as-of says what nobody can know from the data: that sources will tell nothing more of what \
happened until then. What they tell later all the same is believed only with --again.

Examples:
  bricktrail settle
  bricktrail settle --databricks ./exports --policy ./policy
  bricktrail settle --as-of 2026-03-28T00:00:00Z
  bricktrail settle --vacuum 30d
  bricktrail settle --again --from 2026-03-01 --to 2026-03-07 --policy ./policy
  bricktrail query --sql \"SELECT settled, count(*) FROM s3_access GROUP BY settled\"";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub async fn run(common: &Common, arguments: SettleArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.policy)?;
    let as_of = arguments.as_of.as_deref().map(time).transpose()?;
    let date_or = |text: Option<&str>, default: i32| text.map_or(Ok(default), date);
    let from = date_or(arguments.from.as_deref(), i32::MIN)?;
    let to = date_or(arguments.to.as_deref(), i32::MAX)?;
    if from > to {
        return Err(
            UsageError("--from lies after --to: no date is between them".to_owned()).into(),
        );
    }
    let retention = arguments.vacuum.as_deref();
    let retention = retention.map(|text| retention_of(text, arguments.vacuum_force));
    let retention = retention.transpose()?;
    let started = Instant::now();
    last_policy::check_lake(&config.lake)?;
    let mut lake = Lake::open(&config.lake).await?;
    let last_policy::Chosen { policy, is_of_lake } = last_policy::policy_for(&config).await?;
    let import = match arguments.databricks.or(config.databricks_dir) {
        Some(place) => Some(databricks::import(&lake, &place, now()).await?),
        None => None,
    };
    last_policy::check_groups(&policy, lake.url()).await?;
    let job = SettleJob {
        again: arguments.again,
        as_of,
        dates: from..=to,
        // One that the lake names is in use, or was until somebody took up another.
        takes_into_use: !is_of_lake,
        ..SettleJob::new(Arc::new(policy), config.identity, now)
    };
    let bar = Arc::new(Bar::default());
    let outcome = settle(&mut lake, job, bar.clone()).await;
    bar.finish();
    let report = outcome?;
    // What was settled stands; that the rest is tidy can wait.
    if let Err(error) = compact(&mut lake, SMALL_FILES_MIN, super::scan::now()).await {
        tracing::warn!(%error, "small files could not be put together");
    }
    let vacuumed = match retention {
        Some(retention) => vacuum(&mut lake, retention, arguments.vacuum_force).await?,
        None => Vec::new(),
    };
    let lake = crate::lake::error::place(lake.url());
    let text = match arguments.format {
        Format::Text => {
            let settled = settle_summary::text(&report, &lake, started.elapsed());
            let vacuumed = settle_summary::vacuum_text(&vacuumed);
            import.map_or_else(String::new, |import| import.text()) + &settled + &vacuumed
        }
        Format::Json => {
            let imported = import.map(|import| import.json());
            let beside = (imported, vacuumed.as_slice());
            settle_summary::json(&report, &lake, started.elapsed(), beside)
        }
    };
    output::to_stdout(text.as_bytes()).context("write the summary")?;
    Ok(ExitCode::SUCCESS)
}

fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}

fn time(text: &str) -> Result<UtcMicros, UsageError> {
    UtcMicros::parse_iso(text).ok_or_else(|| {
        UsageError(format!(
            "--as-of `{text}` is no time; write it in UTC, like 2026-03-28T00:00:00Z"
        ))
    })
}

/// How long files are kept that were replaced.
fn retention_of(text: &str, force: bool) -> Result<chrono::Duration, UsageError> {
    let retention = humantime::parse_duration(text)
        .ok()
        .and_then(|retention| chrono::Duration::from_std(retention).ok())
        .ok_or_else(|| {
            UsageError(format!(
                "--vacuum `{text}` is no time span; write it like 30d"
            ))
        })?;
    if retention < chrono::Duration::days(RETENTION_DAYS_MIN) && !force {
        return Err(UsageError(format!(
            "--vacuum `{text}` is less than {RETENTION_DAYS_MIN} days: files that a running scan or settle is \
             about to commit could be deleted; stop them all and add --vacuum-force if that is \
             what you want"
        )));
    }
    Ok(retention)
}

fn date(text: &str) -> Result<i32, UsageError> {
    read_date(text)
        .ok_or_else(|| UsageError(format!("`{text}` is no date; write it like 2026-03-27")))
}

/// The progress bar; nothing where nobody looks.
#[derive(Default)]
pub struct Bar(std::sync::OnceLock<ProgressBar>);

impl Bar {
    pub fn finish(&self) {
        if let Some(bar) = self.0.get() {
            bar.finish_and_clear();
        }
    }
}

impl SettleProgress for Bar {
    fn starts(&self, rows: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let style =
            ProgressStyle::with_template("{bar:30} {percent:>3}%  {per_sec}  {eta} left  {msg}");
        let bar = ProgressBar::new(rows * 2);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        drop(self.0.set(bar));
    }

    fn rows(&self, rows: u64) {
        if let Some(bar) = self.0.get() {
            bar.inc(rows);
        }
    }

    fn date(&self, date: i32) {
        if let Some(bar) = self.0.get() {
            bar.set_message(format!("{} settled", date_text(date)));
        }
    }
}
