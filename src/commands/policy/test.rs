//! `policy test`: the examples of tests.toml, and where the policy says otherwise.

use super::super::{Common, UsageError, output, scan};
use super::{Format, Subject, named};
use crate::model::Violation;
use crate::policy::{Example, Policy, Tested};
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct TestArguments {
    #[command(flatten)]
    subject: Subject,
    /// Runs only examples whose name holds this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How to write the outcome
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str =
    "Exit status: 0 all passed; 1 some failed; 2 the policy cannot be used, or \
has no examples.

Examples:
  bricktrail policy test ./policy
  bricktrail policy test ./policy --only analysts

An example of tests.toml:
  [[test]]
  name = \"analysts read sales\"
  user = \"ann@example.com\"
  groups = [\"analysts\"]
  event = \"GetObject\"
  object = \"s3://lake/sales/x.parquet\"
  verdict = \"in_policy\"";

pub fn run(common: &Common, arguments: TestArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(arguments.subject.take())?;
    let dir = config.policy_dir.as_deref();
    let policy = scan::load_policy(dir, &config.policy)?;
    let chosen = |example: &&Example| {
        let only = arguments.only.as_deref();
        only.is_none_or(|only| example.name.contains(only))
    };
    let outcomes: Vec<(&Example, Tested)> = policy
        .examples()
        .iter()
        .filter(chosen)
        .map(|example| (example, policy.test(example)))
        .collect();
    if outcomes.is_empty() {
        return Err(UsageError(match policy.examples().len() {
            0 => format!(
                "{} has no examples; write some into its tests.toml (see `bricktrail policy test \
                 --help`)",
                named(dir)
            ),
            count => format!(
                "none of the {count} examples has `{}` in its name",
                arguments.only.unwrap_or_default()
            ),
        })
        .into());
    }
    let failed = outcomes.iter().filter(|(_, tested)| !tested.passed).count();
    let text = match arguments.format {
        Format::Text => text(&outcomes, &policy),
        Format::Json => format!("{:#}\n", json_of(&outcomes)),
    };
    output::to_stdout(text.as_bytes()).context("write the outcome")?;
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    })
}

fn text(outcomes: &[(&Example, Tested)], policy: &Policy) -> String {
    let mut text = String::new();
    let mut failed = 0;
    for (example, tested) in outcomes {
        if tested.passed {
            text.push_str(&format!("ok      {}\n", example.name));
            continue;
        }
        failed += 1;
        text.push_str(&format!(
            "FAILED  {} (tests.toml, line {})\n",
            example.name, example.line
        ));
        let verdict = tested.judgement.verdict;
        let expected = example.verdict.as_str();
        match verdict == example.verdict {
            true => text.push_str(&format!("          verdict   {expected}\n")),
            false => text.push_str(&format!(
                "        - verdict   {expected}\n        + verdict   {}\n",
                verdict.as_str()
            )),
        }
        let violated = &tested.judgement.violations;
        let is_violated = |rule: &str| violated.iter().any(|other| *other.rule == *rule);
        for rule in example.rules.iter().flatten() {
            if !is_violated(rule) {
                text.push_str(&format!("        - violates  {rule}\n"));
            }
        }
        for violation in violated {
            let expected = example.rules.as_ref();
            let is_expected =
                expected.is_none_or(|rules| rules.contains(&violation.rule.to_string()));
            let mark = if is_expected { ' ' } else { '+' };
            text.push_str(&format!(
                "        {mark} violates  {}: {}{}\n",
                violation.rule,
                violation.reason,
                place_of(violation, policy)
            ));
        }
    }
    text.push_str(&format!(
        "\n{} passed, {failed} failed{}\n",
        outcomes.len() - failed,
        match failed {
            0 => "",
            _ => " (- expected, + what the policy says)",
        }
    ));
    text
}

/// Where the rule stands.
fn place_of(violation: &Violation, policy: &Policy) -> String {
    let rules = policy.rules();
    let rule = rules.iter().find(|rule| rule.id == violation.rule);
    rule.map_or_else(String::new, |rule| {
        format!(" ({}, line {})", rule.file, rule.line)
    })
}

fn json_of(outcomes: &[(&Example, Tested)]) -> Value {
    let tests = outcomes.iter().map(|(example, tested)| {
        let violated = tested.judgement.violations.iter();
        json!({
            "name": example.name,
            "line": example.line,
            "passed": tested.passed,
            "expected": { "verdict": example.verdict.as_str(), "rules": example.rules },
            "got": {
                "verdict": tested.judgement.verdict.as_str(),
                "rules": violated.map(|violation| violation.rule.to_string()).collect::<Vec<_>>(),
            },
        })
    });
    let passed = outcomes.iter().filter(|(_, tested)| tested.passed).count();
    json!({
        "passed": passed,
        "failed": outcomes.len() - passed,
        "tests": tests.collect::<Vec<_>>(),
    })
}
