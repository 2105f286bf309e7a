//! `policy check`: every fault of a policy at once, and what was probably not meant.

use super::super::{Common, output, scan};
use super::{Format, Subject, known, named};
use crate::policy::{Effect, Finding, Policy, PolicyError};
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CheckArguments {
    #[command(flatten)]
    subject: Subject,
    /// Directory of Databricks exports whose SCIM groups the rules may name [default: what the
    /// lake knows of SCIM]
    #[arg(long, value_name = "DIR")]
    databricks: Option<String>,
    /// Ends with 1 for findings as well, not only for errors
    #[arg(long)]
    strict: bool,
    /// How to write what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str =
    "An error is what keeps `scan`, `settle` and `run` from using the policy: \
they use it whole or not at all. A finding is what loads and was probably not meant: a permit that \
nothing can satisfy, a rule that changes nothing beside another, a dataset that no rule tells from \
others, locations that overlap, an exception that has expired.

Exit status: 0 sound; 1 errors (with --strict: or findings); 2 no such policy.

Examples:
  bricktrail policy check ./policy
  bricktrail policy check --databricks ./exports ./policy
  bricktrail policy check --strict --format json ./policy";

pub async fn run(common: &Common, arguments: CheckArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.subject.take())?;
    let dir = config.policy_dir.as_deref();
    let files = scan::policy_files(dir)?;
    let known = known::groups(arguments.databricks.as_deref(), &config.lake).await?;
    let parsed = Policy::parse_for(files, &config.policy, known.groups.as_ref());
    let (errors, policy) = match parsed {
        Ok(policy) => (Vec::new(), Some(policy)),
        Err(faults) => (faults.list().to_vec(), None),
    };
    let mut findings = Vec::new();
    if let Some(policy) = &policy {
        findings = policy.findings(known.groups.as_ref(), scan::now());
    }
    let checked = Checked {
        dir: named(dir),
        groups: groups_line(&known, policy.as_ref()),
        policy: policy.as_ref(),
        errors: &errors,
        findings: &findings,
    };
    let text = match arguments.format {
        Format::Text => checked.text(),
        Format::Json => format!("{:#}\n", checked.json()),
    };
    output::to_stdout(text.as_bytes()).context("write what was found")?;
    let is_sound = errors.is_empty() && (findings.is_empty() || !arguments.strict);
    Ok(match is_sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// What the groups of the rules were held against.
fn groups_line(known: &known::Known, policy: Option<&Policy>) -> String {
    let asked = policy.map_or(0, |policy| policy.interest().groups.len());
    match (&known.groups, asked) {
        (_, 0) => "none named".to_owned(),
        (Some(groups), _) => format!(
            "{asked} named, of {} that SCIM shows in {}",
            groups.names.len(),
            known.place
        ),
        (None, _) => format!(
            "{asked} named, not checked: {} knows nothing of SCIM; add --databricks DIR",
            known.place
        ),
    }
}

struct Checked<'a> {
    dir: String,
    groups: String,
    policy: Option<&'a Policy>,
    errors: &'a [PolicyError],
    findings: &'a [Finding],
}

impl Checked<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.dir);
        if let Some(policy) = self.policy {
            let rules = policy.rules();
            let permits = rules.iter().filter(|rule| rule.effect == Effect::Permit);
            let permits = permits.count();
            text.push_str(&format!(
                "  rules       {permits} permit, {} forbid\n  datasets    {}\n  groups      {}\n  \
                 exceptions  {}\n  examples    {}, run by `bricktrail policy test`\n  version     {}\n",
                rules.len() - permits,
                policy.datasets_count(),
                self.groups,
                policy.exceptions().len(),
                policy.examples().len(),
                policy.version(),
            ));
        }
        for error in self.errors {
            text.push_str(&format!("\nerror: {error}\n"));
        }
        for finding in self.findings {
            text.push_str(&format!(
                "\nfinding: policy file `{}`, line {}: {}\n",
                finding.file, finding.line, finding.message
            ));
        }
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            more => format!("{more} {what}s"),
        };
        text.push_str(&format!(
            "\n{}, {}\n",
            count(self.errors.len(), "error"),
            count(self.findings.len(), "finding")
        ));
        text
    }

    fn json(&self) -> Value {
        let errors = self.errors.iter().map(|error| {
            let (file, line) = error.place().unzip();
            json!({ "file": file, "line": line, "message": error.to_string() })
        });
        let findings = self.findings.iter().map(|finding| {
            json!({
                "kind": finding.kind.as_str(),
                "file": finding.file,
                "line": finding.line,
                "message": finding.message,
            })
        });
        json!({
            "policy": self.dir,
            "version": self.policy.map(Policy::version),
            "rules": self.policy.map(|policy| policy.rules().len()),
            "datasets": self.policy.map(Policy::datasets_count),
            "exceptions": self.policy.map(|policy| policy.exceptions().len()),
            "examples": self.policy.map(|policy| policy.examples().len()),
            "groups": self.groups,
            "errors": errors.collect::<Vec<_>>(),
            "findings": findings.collect::<Vec<_>>(),
        })
    }
}
