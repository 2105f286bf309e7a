//! `simulate`: a synthetic organisation, with the truth of who did what.

mod feed;

use super::output;
use crate::simulate::{DAYS_MAX, EVENTS_MAX, SEED, Settings, Summary, Watch, prepare, simulate};
use anyhow::Context as _;
use clap::Args;
use feed::Feed;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SimulateArguments {
    /// Folder to write; must be empty or not there yet
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// S3 requests; some records come on top, for copies and batches
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=EVENTS_MAX))]
    events: u64,
    /// Days that they spread over
    #[arg(long, value_name = "D", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// The same seed gives the same bytes, on every machine
    #[arg(long, value_name = "S", default_value_t = SEED)]
    seed: u64,
    /// Replace an earlier simulation in that folder
    #[arg(long)]
    force: bool,
    /// Bucket to put the trail into once it is written, digests with their signatures
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    to: Option<String>,
    /// URL of an SQS queue that is told of each object as S3 would tell it, where the
    /// bucket tells nobody
    #[arg(long, value_name = "URL", requires = "to")]
    notify: Option<String>,
    /// Objects put in a second, at most [default: as fast as they are taken]
    #[arg(long, value_name = "N", requires = "to")]
    rate: Option<f64>,
}

const AFTER_HELP: &str = "Writes OUT/trail (CloudTrail objects with signed digests), OUT/databricks (the exports that \
`scan --databricks` takes), OUT/policy, OUT/bricktrail.toml, OUT/digest-keys, and OUT/truth.parquet: \
one row for each S3 event with who really stood behind it and how much can be known of it. Everything \
in it is fiction.

Examples:
  bricktrail simulate ./northwind
  bricktrail simulate ./load --events 5000000 --days 7 --seed 42
  bricktrail simulate ./load --force --to s3://acme-trail/ --rate 50 \\
      --notify https://sqs.eu-west-1.amazonaws.com/111122223333/trail";

pub async fn run(arguments: SimulateArguments) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        events: arguments.events,
        days: arguments.days,
        seed: arguments.seed,
    };
    // Before anything is written: a place that is none is told at once.
    let feed = match &arguments.to {
        Some(to) => Some(Feed::new(to, arguments.notify.as_deref(), arguments.rate).await?),
        None => None,
    };
    let started = Instant::now();
    let summary = write(settings, &arguments.out, arguments.force).await?;
    let mut text = text(&summary, &arguments.out, started.elapsed());
    if let Some(feed) = feed {
        let started = Instant::now();
        let objects = feed.put_all(&arguments.out).await?;
        let (objects, took) = (output::grouped(objects), started.elapsed().as_secs_f64());
        text += &format!("\nPut {objects} objects in {took:.1} s\n");
    }
    output::to_stdout(text.as_bytes()).context("write the summary")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the organisation, with a progress bar; `force` replaces an earlier one.
pub async fn write(settings: Settings, out: &Path, force: bool) -> anyhow::Result<Summary> {
    prepare(out, &settings, force)?;
    let out = out.to_owned();
    let summary = tokio::task::spawn_blocking(move || {
        let bar = Bar::default();
        let summary = simulate(settings, &out, &bar);
        bar.finish();
        summary
    })
    .await
    .context("simulate")??;
    Ok(summary)
}

fn text(summary: &Summary, out: &Path, took: Duration) -> String {
    let trail = &summary.trail;
    let grouped = output::grouped;
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).unwrap_or_default();
        text.push('\n');
    };
    line(format_args!(
        "Objects   {} written in {:.1} s: {} stored, {} inflated",
        grouped(trail.objects),
        took.as_secs_f64(),
        bytesize::ByteSize(trail.stored_bytes),
        bytesize::ByteSize(trail.raw_bytes),
    ));
    line(format_args!(
        "Records   {}; {} distinct S3 events in truth.parquet",
        grouped(trail.records),
        grouped(summary.truth_rows)
    ));
    line(format_args!(
        "Digests   {} signed\nExports   {} rows",
        grouped(summary.digests),
        grouped(summary.exported)
    ));
    for (title, wanted) in [("Scenarios", false), ("Planted violations", true)] {
        line(format_args!("\n{title}"));
        for (scenario, events) in &summary.scenarios {
            if scenario.violation().is_some() == wanted {
                line(format_args!(
                    "{:>12}  {}",
                    grouped(*events),
                    scenario.as_str()
                ));
            }
        }
    }
    let out = out.display();
    line(format_args!(
        "\nNext: bricktrail scan '{out}/trail' --databricks '{out}/databricks' --policy '{out}/policy' --config '{out}/bricktrail.toml'"
    ));
    text
}

/// The progress bar; nothing where nobody looks.
#[derive(Default)]
struct Bar {
    bar: OnceLock<ProgressBar>,
    raw_bytes: AtomicU64,
}

impl Bar {
    fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Watch for Bar {
    fn starts(&self, objects: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::new(objects);
        let style = ProgressStyle::with_template(
            "{bar:30} {percent:>3}%  {pos}/{len} objects  {eta} left  {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        drop(self.bar.set(bar));
    }

    fn wrote(&self, raw_bytes: u64) {
        let written = self.raw_bytes.fetch_add(raw_bytes, Ordering::Relaxed) + raw_bytes;
        if let Some(bar) = self.bar.get() {
            bar.inc(1);
            bar.set_message(format!("{} of log", bytesize::ByteSize(written)));
        }
    }
}
