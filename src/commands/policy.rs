//! `policy`: writing a policy, and knowing what it does before it judges anything.
//!
//! `init` copies a pack, `schema` prints the vocabulary, `check` validates and finds what
//! was not meant, `test` runs the examples, `backtest` replays the policy over the lake,
//! `suggest` writes permits from what was seen.
//!
//! INVARIANT (the same judge): what these commands say of an access is what `scan` and
//! `settle` would say: they call the same functions.

mod backtest;
mod check;
mod init;
mod known;
mod suggest;
mod test;

use super::{Common, output};
use crate::policy::SCHEMA;
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct PolicyArguments {
    #[command(subcommand)]
    command: PolicyCommand,
}

const AFTER_HELP: &str = "A policy is a directory: *.cedar (the rules), datasets.toml (what lies \
where), exceptions.toml (violations that somebody answers for), tests.toml (examples). See \
docs/policy.md.

A first policy:
  bricktrail policy init least-privilege guardrails --out ./policy
  bricktrail policy check ./policy
  bricktrail policy test ./policy
  bricktrail policy backtest --policy ./policy
  bricktrail settle --again --policy ./policy";

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Copies packs of rules to start from, with datasets and examples
    Init(init::InitArguments),
    /// Prints the Cedar schema: whom, what and which circumstances rules can speak of
    Schema,
    /// Validates a policy, and finds what was probably not meant
    Check(check::CheckArguments),
    /// Runs the examples of tests.toml and shows where the policy says otherwise
    Test(test::TestArguments),
    /// Replays a policy over the lake: what it would newly flag, and what no longer
    Backtest(backtest::BacktestArguments),
    /// Writes the permits that would cover what was seen, and which grants nobody used
    Suggest(suggest::SuggestArguments),
}

/// Where the policy is, for commands that take it as their subject.
#[derive(Debug, Args)]
pub(super) struct Subject {
    /// Directory of the policy [default: the configured one, else the built-in policy]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The same as DIR
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    policy: Option<PathBuf>,
}

impl Subject {
    fn take(self) -> Option<PathBuf> {
        self.dir.or(self.policy)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub async fn run(common: &Common, arguments: PolicyArguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        PolicyCommand::Init(arguments) => init::run(&arguments),
        PolicyCommand::Schema => {
            output::to_stdout(SCHEMA.as_bytes()).context("write the schema")?;
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Check(arguments) => check::run(common, arguments).await,
        PolicyCommand::Test(arguments) => test::run(common, arguments),
        PolicyCommand::Backtest(arguments) => backtest::run(common, arguments).await,
        PolicyCommand::Suggest(arguments) => suggest::run(common, arguments).await,
    }
}

/// What a policy is called in messages.
fn named(dir: Option<&std::path::Path>) -> String {
    dir.map_or_else(
        || "the built-in policy".to_owned(),
        |dir| dir.display().to_string(),
    )
}
