//! `health`: how far attribution reaches, why it stops where it does, and what
//! would raise it.
//!
//! `figures` asks the queries that ship with the program, so that every number
//! can be had by `query --name` as well; `text` writes them down with advice.

mod figures;
mod text;

pub use figures::{Cause, Figures};
pub use text::percent;

use super::{Common, output};
use crate::lake::sql;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct HealthArguments {
    /// How to write the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "The same figures as tables: bricktrail query --name attribution-health, \
--name unattributed-reasons, --name ambiguous-principals. docs/attribution.md says what each \
reason means.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub async fn run(common: &Common, arguments: HealthArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(None)?;
    let context = sql::session(&config.lake).await?;
    let figures = Figures::of(&context).await.context("ask the lake")?;
    let text = match arguments.format {
        Format::Text => text::text(&figures),
        Format::Json => format!("{:#}\n", figures.json()),
    };
    output::to_stdout(text.as_bytes()).context("write the report")?;
    Ok(ExitCode::SUCCESS)
}
