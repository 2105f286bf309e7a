//! The command line: what can be asked, and how it ends. Layer 5.
//!
//! One file for each command. Results go to stdout, progress and logs to
//! stderr. Exit status: 0 done, 1 done and it found what it looks for, 2 wrong
//! usage or configuration, 3 it could not finish.

mod cells;
mod databricks;
mod demo;
mod doctor;
mod explain;
mod health;
mod last_policy;
mod output;
mod page;
mod policy;
mod query;
mod run;
mod scan;
mod settle;
mod settle_summary;
mod simulate;
mod summary;

use crate::aws::queue::QueueError;
use crate::config::{Config, ConfigError, Overrides};
use crate::databricks::ExportError;
use crate::lake::LakeError;
use crate::pipeline::source::SourceError;
use crate::policy::PolicyErrors;
use crate::simulate::SimulateError;
use clap::{Args, Parser, Subcommand};
use futures::future::LocalBoxFuture;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Works out which Databricks job or person stood behind each S3 access in AWS
/// CloudTrail logs, judges it by policy, and writes Delta Lake tables.
#[derive(Debug, Parser)]
#[command(name = "bricktrail", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  bricktrail demo                               a first look, on a made-up organisation
  bricktrail scan ./trail                       logs of a directory into ./lake
  bricktrail run                                the worker: a queue's notifications, until stopped
  bricktrail settle                             decides again what all sources have passed
  bricktrail query --sql 'SELECT rule, count(*) FROM violations GROUP BY rule'
  bricktrail explain 7d91ac29-614a-4af9-af5c-c5a80e63a0bb
  bricktrail health                             how far attribution reaches, what would raise it
  bricktrail policy init guardrails             a policy to start from, in ./policy
  bricktrail simulate ./northwind               a fictional organisation, with known answers

Exit status: 0 done; 1 done, and it found what the command looks for; 2 wrong usage or
configuration; 3 it could not finish (I/O, service).

BRICKTRAIL_LOG=debug shows what happens inside. NO_COLOR is respected.";

#[derive(Clone, Debug, Args)]
struct Common {
    /// Configuration file [default: bricktrail.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the lake is: a directory, or s3://bucket/prefix [default: ./lake]
    #[arg(long, global = true, value_name = "URL", env = "BRICKTRAIL_LAKE")]
    lake: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows in a minute what bricktrail knows, on a simulated organisation
    Demo(demo::DemoArguments),
    /// Reads CloudTrail logs into the lake; run again, it adds only what is new
    Scan(scan::ScanArguments),
    /// The worker: log objects of a queue's notifications into the lake, until stopped
    Run(run::RunArguments),
    /// Checks policy, lake, queue and buckets as the worker would use them
    Doctor(doctor::DoctorArguments),
    /// Decides rows again once all identity sources have told, drops copies, compacts
    Settle(settle::SettleArguments),
    /// Runs SQL over the lake's tables
    Query(query::QueryArguments),
    /// Shows one event in full: what AWS saw, who it was and why, each rule's answer
    Explain(explain::ExplainArguments),
    /// Tells how far attribution reaches, why it stops, and what would raise it
    Health(health::HealthArguments),
    /// Starts, checks, tests and backtests a policy, and suggests one
    Policy(policy::PolicyArguments),
    /// Writes a synthetic organisation: logs, exports, policy, and the truth about them
    Simulate(simulate::SimulateArguments),
}

impl Arguments {
    /// Whether it runs on its own for long, where nobody looks: its logs are for programs.
    pub fn is_worker(&self) -> bool {
        matches!(self.command, Command::Run(_))
    }
}

/// Runs the command and says how it ended.
///
/// A boxed future: what it awaits is then compiled here, once, and not again
/// in each program that runs it.
pub fn run(arguments: Arguments) -> LocalBoxFuture<'static, ExitCode> {
    Box::pin(run_command(arguments))
}

async fn run_command(arguments: Arguments) -> ExitCode {
    let Arguments { common, command } = arguments;
    let outcome = match command {
        Command::Demo(arguments) => demo::run(&common, arguments).await,
        Command::Scan(arguments) => scan::run(&common, arguments).await,
        Command::Run(arguments) => run::run(&common, arguments).await,
        Command::Doctor(arguments) => doctor::run(&common, arguments).await,
        Command::Settle(arguments) => settle::run(&common, arguments).await,
        Command::Query(arguments) => query::run(&common, arguments).await,
        Command::Explain(arguments) => explain::run(&common, arguments).await,
        Command::Health(arguments) => health::run(&common, arguments).await,
        Command::Policy(arguments) => policy::run(&common, arguments).await,
        Command::Simulate(arguments) => simulate::run(arguments).await,
    };
    match outcome {
        Ok(status) => status,
        Err(error) => {
            let style = console::Style::new().for_stderr().red().bold();
            let mark = if std::io::stderr().is_terminal() {
                style.apply_to("error:").to_string()
            } else {
                "error:".to_owned()
            };
            output::to_stderr(&format!("{mark} {error:#}"));
            ExitCode::from(status_of(&error))
        }
    }
}

/// 2 where the user can mend it in the command or its files, else 3.
fn status_of(error: &anyhow::Error) -> u8 {
    let usage = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<PolicyErrors>()
            || cause.is::<UsageError>()
            || matches!(
                cause.downcast_ref::<SimulateError>(),
                Some(SimulateError::NotEmpty { .. })
            )
            || matches!(
                cause.downcast_ref::<SourceError>(),
                Some(
                    SourceError::Missing { .. }
                        | SourceError::Empty { .. }
                        | SourceError::Unsupported { .. }
                )
            )
            || matches!(
                cause.downcast_ref::<ExportError>(),
                Some(
                    ExportError::Missing { .. }
                        | ExportError::Unsupported { .. }
                        | ExportError::NoDirectory { .. }
                )
            )
            || matches!(
                cause.downcast_ref::<QueueError>(),
                Some(QueueError::NotFound { .. } | QueueError::Denied { .. })
            )
            || matches!(
                cause.downcast_ref::<LakeError>(),
                Some(LakeError::Location { .. })
            )
    });
    if usage { 2 } else { 3 }
}

/// What was asked cannot be done as it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl Common {
    fn config(&self, policy_dir: Option<PathBuf>) -> Result<Config, ConfigError> {
        let overrides = Overrides {
            lake: self.lake.clone(),
            policy_dir,
        };
        Config::load(self.config.as_deref(), overrides)
    }
}
