//! `explain`: one event in full.

use super::{Common, UsageError, output};
use clap::Args;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// The event's id, as in `s3_access.event_id`
    #[arg(value_name = "EVENT_ID")]
    event_id: String,
}

pub async fn run(common: &Common, arguments: ExplainArguments) -> anyhow::Result<ExitCode> {
    let _config = common.config(None)?;
    output::to_stdout(b"")?;
    Err(UsageError(format!("`{}`: todo", arguments.event_id)).into())
}
