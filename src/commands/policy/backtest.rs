//! `policy backtest`: what a policy would newly flag in the lake, and what no longer.

use super::super::output::{self, grouped};
use super::super::{Common, UsageError, last_policy, scan};
use super::{Format, named};
use crate::lake::Lake;
use crate::lake::settle::files::read_date;
use crate::model::Verdict;
use crate::pipeline::backtest::{BacktestJob, BacktestProgress, BacktestReport, Change, backtest};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Changes shown of each kind; `--format json` has all.
const SHOWN_MAX: usize = 15;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct BacktestArguments {
    /// Directory of the policy to replay [default: the configured one, else the built-in policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// The first date, in UTC, for example 2026-03-27 [default: the earliest]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last date [default: the latest]
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// How to write what would change
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "Holds the policy against the verdicts that the lake has: rows are judged \
anew with the attribution that they have; nothing is written. Violations that an approved exception \
covers do not count. What is told here is what `bricktrail settle --again --policy DIR` would write, \
as far as attribution stays the same.

Examples:
  bricktrail policy backtest --policy ./policy
  bricktrail policy backtest --policy ./policy --from 2026-03-01 --to 2026-03-31
  bricktrail policy backtest --policy ./policy --format json | jq '.newly_flagged[].rule'";

pub async fn run(common: &Common, arguments: BacktestArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.policy)?;
    let date_or = |text: Option<&str>, default: i32| text.map_or(Ok(default), date);
    let from = date_or(arguments.from.as_deref(), i32::MIN)?;
    let to = date_or(arguments.to.as_deref(), i32::MAX)?;
    if from > to {
        let message = "--from lies after --to: no date is between them";
        return Err(UsageError(message.to_owned()).into());
    }
    let dir = config.policy_dir.as_deref();
    let policy = Arc::new(scan::load_policy(dir, &config.policy)?);
    last_policy::check_lake(&config.lake)?;
    let lake = Lake::open(&config.lake).await?;
    last_policy::check_groups(&policy, lake.url()).await?;
    let bar = Arc::new(Bar::default());
    let started = Instant::now();
    let job = BacktestJob {
        policy: policy.clone(),
        dates: from..=to,
        identity: config.identity,
    };
    let outcome = backtest(&lake, job, bar.clone()).await;
    bar.finish();
    let report = outcome?;
    let text = match arguments.format {
        Format::Text => text(&report, &named(dir), started.elapsed()),
        Format::Json => format!("{:#}\n", json_of(&report, policy.version())),
    };
    output::to_stdout(text.as_bytes()).context("write what would change")?;
    Ok(ExitCode::SUCCESS)
}

fn date(text: &str) -> Result<i32, UsageError> {
    read_date(text)
        .ok_or_else(|| UsageError(format!("`{text}` is no date; write it like 2026-03-27")))
}

fn text(report: &BacktestReport, policy: &str, took: Duration) -> String {
    let seconds = took.as_secs_f64();
    let mut text = format!(
        "{policy} against {} events{}, {} judgements in {seconds:.1} s\n\n",
        grouped(report.events),
        match report.first_event.zip(report.last_event) {
            Some((first, last)) => format!(" from {first} to {last}"),
            None => String::new(),
        },
        grouped(report.judged),
    );
    if report.events == 0 {
        text.push_str("Nothing to replay: the lake has no row of these dates.\n");
        return text;
    }
    text.push_str(&format!(
        "{:<16}{:>14}{:>14}{:>14}\n",
        "stored as", "in_policy", "out_of_policy", "undetermined"
    ));
    for before in Verdict::ALL {
        text.push_str(&format!("  {:<14}", before.as_str()));
        for after in Verdict::ALL {
            let events = report.verdicts.get(&(before, after)).copied().unwrap_or(0);
            text.push_str(&format!("{:>14}", grouped(events)));
        }
        text.push('\n');
    }
    let of = |changes: &[Change]| changes.iter().map(|change| change.events).sum::<u64>();
    text.push_str(&format!(
        "\nviolations: {} newly flagged, {} no longer flagged, {} as before\n",
        grouped(of(&report.newly_flagged)),
        grouped(of(&report.no_longer_flagged)),
        grouped(report.still_flagged),
    ));
    if !report.failed.is_empty() {
        text.push_str("\nFAILED TO EVALUATE: these rules say nothing, and are flagged for it\n");
        for (rule, events) in &report.failed {
            text.push_str(&format!("  {:>10}  {rule}\n", grouped(*events)));
        }
    }
    let rules = by_rule(report);
    if !rules.is_empty() {
        text.push_str(&format!(
            "\n  {:>10}  {:>10}  by rule\n",
            "newly", "no longer"
        ));
        for (rule, (newly, no_longer)) in rules {
            let (newly, no_longer) = (grouped(newly), grouped(no_longer));
            text.push_str(&format!("  {newly:>10}  {no_longer:>10}  {rule}\n"));
        }
    }
    changes(&mut text, "Newly flagged", &report.newly_flagged);
    changes(&mut text, "No longer flagged", &report.no_longer_flagged);
    text
}

/// How many events each rule newly flags, and no longer flags.
fn by_rule(report: &BacktestReport) -> BTreeMap<&str, (u64, u64)> {
    let mut rules: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for change in &report.newly_flagged {
        rules.entry(&change.what.rule).or_default().0 += change.events;
    }
    for change in &report.no_longer_flagged {
        rules.entry(&change.what.rule).or_default().1 += change.events;
    }
    rules
}

fn changes(text: &mut String, title: &str, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    text.push_str(&format!("\n{title}\n"));
    for change in changes.iter().take(SHOWN_MAX) {
        let what = &change.what;
        text.push_str(&format!(
            "  {:>10}  {} ({})  {}  {}\n",
            grouped(change.events),
            what.rule,
            what.severity,
            printable(&what.principal),
            what.dataset.as_deref().map_or_else(
                || "on no dataset".to_owned(),
                |dataset| format!("on {dataset}")
            ),
        ));
        if let Some(sample) = change.samples.first() {
            text.push_str(&format!(
                "              for example {}\n",
                printable(sample)
            ));
        }
    }
    if changes.len() > SHOWN_MAX {
        text.push_str(&format!(
            "  and {} more kinds; --format json has all\n",
            grouped((changes.len() - SHOWN_MAX) as u64)
        ));
    }
}

/// Whoever made a request chose its names: nothing in them may steer a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c.is_control() {
            true => c.escape_unicode().to_string(),
            false => c.to_string(),
        })
        .collect()
}

fn json_of(report: &BacktestReport, version: &str) -> Value {
    let changes = |changes: &[Change]| -> Vec<Value> {
        let changes = changes.iter().map(|change| {
            json!({
                "rule": change.what.rule,
                "severity": change.what.severity,
                "principal": change.what.principal,
                "dataset": change.what.dataset,
                "events": change.events,
                "samples": change.samples,
            })
        });
        changes.collect()
    };
    let verdicts = report.verdicts.iter().map(|((before, after), events)| {
        json!({ "stored": before.as_str(), "policy": after.as_str(), "events": events })
    });
    let rules = by_rule(report).into_iter().map(|(rule, (newly, no_longer))| {
        json!({ "rule": rule, "newly_flagged": newly, "no_longer_flagged": no_longer })
    });
    json!({
        "policy_version": version,
        "events": report.events,
        "judgements": report.judged,
        "first_event": report.first_event.map(|at| at.to_string()),
        "last_event": report.last_event.map(|at| at.to_string()),
        "verdicts": verdicts.collect::<Vec<_>>(),
        "still_flagged": report.still_flagged,
        "failed_to_evaluate": report.failed,
        "by_rule": rules.collect::<Vec<_>>(),
        "newly_flagged": changes(&report.newly_flagged),
        "no_longer_flagged": changes(&report.no_longer_flagged),
    })
}

/// The progress bar; nothing where nobody looks.
#[derive(Default)]
struct Bar(OnceLock<ProgressBar>);

impl Bar {
    fn finish(&self) {
        if let Some(bar) = self.0.get() {
            bar.finish_and_clear();
        }
    }
}

impl BacktestProgress for Bar {
    fn starts(&self, rows: u64) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {per_sec}  {eta} left");
        let bar = ProgressBar::new(rows);
        if let Ok(style) = style {
            bar.set_style(style);
        }
        drop(self.0.set(bar));
    }

    fn rows(&self, rows: u64) {
        if let Some(bar) = self.0.get() {
            bar.inc(rows);
        }
    }
}
