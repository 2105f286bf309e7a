//! `policy init`: packs of rules into a directory that is not there yet, or empty.

use super::super::{UsageError, output};
use crate::policy::{PACKS, Policy, PolicySettings, pack_files};
use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct InitArguments {
    /// Packs to start from: guardrails, databricks, least-privilege
    #[arg(required = true, value_name = "PACK")]
    packs: Vec<String>,
    /// Directory to write; must be empty or not there yet
    #[arg(long, value_name = "DIR", default_value = "./policy")]
    out: PathBuf,
}

const AFTER_HELP: &str = "Packs:
  guardrails        what is wrong whoever does it: keys, transport, encryption, the public, settings
  databricks        restricted data through Unity Catalog only, by somebody, on dedicated compute
  least-privilege   who may touch which dataset, by group; what is not permitted is out of policy

Each rule names the SOC 2 criteria that it serves. Datasets and groups in the packs are examples; \
put yours in their place.

Examples:
  bricktrail policy init guardrails
  bricktrail policy init least-privilege guardrails databricks --out ./policy";

pub fn run(arguments: &InitArguments) -> anyhow::Result<ExitCode> {
    let files = pack_files(&arguments.packs).map_err(UsageError)?;
    let dir = &arguments.out;
    std::fs::create_dir_all(dir).with_context(|| format!("make `{}`", dir.display()))?;
    let mut entries =
        std::fs::read_dir(dir).with_context(|| format!("list `{}`", dir.display()))?;
    if entries.next().is_some() {
        return Err(UsageError(format!(
            "`{}` is not empty; name another directory with --out, or empty it",
            dir.display()
        ))
        .into());
    }
    let mut text = String::new();
    for file in &files {
        let path = dir.join(&file.name);
        std::fs::write(&path, &file.text).with_context(|| format!("write `{}`", path.display()))?;
    }
    let policy = Policy::parse(files, &PolicySettings::default())?;
    let rules = policy.rules();
    text.push_str(&format!(
        "wrote {} rules and {} examples to {}:\n",
        rules.len(),
        policy.examples().len(),
        dir.display()
    ));
    for pack in PACKS {
        if arguments.packs.iter().any(|name| name == pack.name) {
            text.push_str(&format!("  {:<16} {}\n", pack.name, pack.title));
        }
    }
    let place = dir.display();
    text.push_str(&format!(
        "\nPut your datasets into datasets.toml and your groups into the rules, then:\n  \
         bricktrail policy check {place}\n  bricktrail policy test {place}\n  \
         bricktrail policy backtest --policy {place}\n"
    ));
    output::to_stdout(text.as_bytes()).context("write what was done")?;
    Ok(ExitCode::SUCCESS)
}
