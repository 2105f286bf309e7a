//! Question: what does it cost to know whether an access was allowed?
//!
//! 1. *The policy's share*: `scan` of a simulated trail by a policy of 200 rules, in a
//!    lake that knows 2,000 groups of SCIM, against the same scan by a policy of one
//!    rule. The program itself, in turns, CPU seconds of the child; the median of each.
//! 2. *Backtest*: events in a second, on all cores, of the policy of 200 rules over the
//!    lake of that scan; with the datasets that it was judged by, which rows tell, and
//!    with others, so that each row's is found by its key.
//!
//! Targets: at most 10 % of a scan's CPU; at least 1,000,000 events a second.
//!
//! Run:     cargo bench --bench policy
//!          BRICKTRAIL_BENCH_EVENTS=1000000   events of the trail (default 400,000)
//! Compare: shares, between runs on any machine; the rate, on one machine.
//! Exit:    1 if an answer was wrong; never for being slow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench ends where something is wrong, and prints its answer"
)]

mod programs;

use programs::{children_cpu, copy_folder, median, program, say};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

const SHARE_MAX: f64 = 10.0;
const RATE_MIN: f64 = 1_000_000.0;

const GROUPS: usize = 2_000;
/// Members of each group, and groups in a group.
const MEMBERS: usize = 12;
const RULES: usize = 200;

/// Scans of each kind.
const TURNS: usize = 5;

fn main() -> ExitCode {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let folder = folder.path();
    let events = std::env::var("BRICKTRAIL_BENCH_EVENTS").unwrap_or("400000".to_owned());
    let simulate = [
        "simulate", "sim", "--events", &events, "--days", "2", "--seed", "7",
    ];
    program(folder, &simulate);
    add_groups(folder);
    write_policies(folder);
    std::fs::create_dir(folder.join("nothing")).expect("a folder");
    let import = [
        "--lake",
        "known",
        "scan",
        "--databricks",
        "sim/databricks",
        "nothing",
    ];
    program(folder, &import);
    println!();
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        for (policy, seconds) in [("one", &mut one), ("many", &mut many)] {
            let lake = format!("{policy}-{turn}");
            copy_folder(&folder.join("known"), &folder.join(&lake));
            let before = children_cpu();
            let scan = [
                "--config",
                "sim/bricktrail.toml",
                "--lake",
                &lake,
                "scan",
                "--policy",
                policy,
                "sim/trail",
            ];
            program(folder, &scan);
            seconds.push(children_cpu() - before);
            if (policy, turn) != ("many", 0) {
                std::fs::remove_dir_all(folder.join(&lake)).expect("remove a lake");
            }
        }
    }
    let (one, many) = (median(one), median(many));
    let share = (many / one - 1.0) * 100.0;
    say(
        "200 rules, 2,000 groups in a scan",
        &format!("{share:.1} % ({one:.2} to {many:.2} CPU s)"),
        share <= SHARE_MAX,
        "10 %",
    );
    for (what, policy) in [("backtest", "many"), ("- with other datasets", "elsewhere")] {
        let (rate, judged) = backtest(folder, policy);
        say(
            what,
            &format!("{rate:.0} events/s, {judged} judgements"),
            rate >= RATE_MIN,
            "1,000,000 events/s",
        );
    }
    ExitCode::SUCCESS
}

/// The best of some runs, whole commands; the policy that judged must change nothing.
fn backtest(folder: &Path, policy: &str) -> (f64, u64) {
    let mut best = f64::MAX;
    let mut report = Value::Null;
    for _ in 0..TURNS {
        let started = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_bricktrail"))
            .current_dir(folder)
            .args(["--config", "sim/bricktrail.toml", "--lake", "many-0"])
            .args(["policy", "backtest", "--policy", policy, "--format", "json"])
            .env_remove("BRICKTRAIL_LAKE")
            .output()
            .expect("run the program");
        best = best.min(started.elapsed().as_secs_f64());
        assert!(output.status.success());
        report = serde_json::from_slice(&output.stdout).expect("a report");
    }
    assert_eq!(report["newly_flagged"], json!([]));
    assert_eq!(report["no_longer_flagged"], json!([]));
    let events = report["events"].as_u64().expect("events");
    (
        events as f64 / best,
        report["judgements"].as_u64().expect("judgements"),
    )
}

/// Adds groups to those of the organisation: people of it, and a group in each.
fn add_groups(folder: &Path) {
    let read = |name: &str| -> Value {
        let text = std::fs::read(folder.join("sim/databricks/scim").join(name)).expect("SCIM");
        serde_json::from_slice(&text).expect("a ListResponse")
    };
    let ids = |answer: &Value| -> Vec<String> {
        let entries = answer["Resources"].as_array().expect("entries").iter();
        entries
            .map(|entry| entry["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let people = [
        ids(&read("users.json")),
        ids(&read("service-principals.json")),
    ]
    .concat();
    let mut groups = read("groups.json");
    let entries = groups["Resources"].as_array_mut().expect("entries");
    for group in 0..GROUPS {
        let members = (0..MEMBERS).map(|member| {
            let id = &people[(group * 31 + member * 7) % people.len()];
            json!({ "value": id })
        });
        let mut members: Vec<Value> = members.collect();
        // Every other one holds the next: two levels deep.
        if group % 2 == 0 {
            let id = format!("88{}", group + 1);
            members.push(json!({ "value": id, "$ref": format!("Groups/{id}") }));
        }
        entries.push(json!({
            "id": format!("88{group}"),
            "displayName": format!("team-{group}"),
            "members": members,
        }));
    }
    groups["totalResults"] = entries_count(&groups);
    groups["itemsPerPage"] = entries_count(&groups);
    let path = folder.join("sim/databricks/scim/groups.json");
    std::fs::write(path, groups.to_string()).expect("write groups");
}

fn entries_count(answer: &Value) -> Value {
    json!(answer["Resources"].as_array().expect("entries").len())
}

/// A policy of one rule, and one of many as an organisation would write them.
fn write_policies(folder: &Path) {
    let datasets = std::fs::read(folder.join("sim/policy/datasets.toml")).expect("datasets");
    for policy in ["one", "many"] {
        std::fs::create_dir(folder.join(policy)).expect("a folder");
        std::fs::write(folder.join(policy).join("datasets.toml"), &datasets).expect("write");
    }
    let any = "@id(\"any\") permit (principal, action, resource);\n";
    std::fs::write(folder.join("one/a.cedar"), any).expect("write a rule");
    let guardrails = std::fs::read_to_string(folder.join("sim/policy/guardrails.cedar"));
    let guardrails = guardrails.expect("the guardrails");
    let own = guardrails.matches("@id(").count();
    let names = [
        "payroll",
        "customers",
        "finance",
        "sales",
        "supply",
        "web",
        "raw",
    ];
    let mut rules = guardrails;
    for rule in 0..RULES - own {
        let dataset = names[rule % names.len()];
        let group = rule * 11 % GROUPS;
        let permit = match rule % 5 {
            0 | 1 => format!(
                "permit (principal in Group::\"team-{group}\", action in [Action::\"read\", Action::\"list\"], resource in Dataset::\"{dataset}\");"
            ),
            2 => format!(
                "permit (principal is ServicePrincipal in Group::\"team-{group}\", action in [Action::\"read\", Action::\"write\", Action::\"delete\"], resource in Dataset::\"{dataset}\") when {{ context has job_id }};"
            ),
            3 => format!(
                "permit (principal in Group::\"team-{group}\", action in Action::\"read\", resource in Dataset::\"{dataset}\") when {{ context.access_path == \"unity_catalog\" && context.confidence.principal != \"ambiguous\" }};"
            ),
            _ => format!(
                "forbid (principal in Group::\"team-{group}\", action in Action::\"write\", resource) when {{ resource has sensitivity && resource.sensitivity == \"restricted\" && context.outcome == \"ok\" }};"
            ),
        };
        writeln!(rules, "@id(\"rule-{rule}\") {permit}").expect("a text");
    }
    assert_eq!(rules.matches("@id(").count(), RULES);
    std::fs::write(folder.join("many/a.cedar"), &rules).expect("write rules");
    // The same with a dataset more, of no event: rows are placed anew.
    std::fs::create_dir(folder.join("elsewhere")).expect("a folder");
    std::fs::write(folder.join("elsewhere/a.cedar"), &rules).expect("write rules");
    let more = "\n[[dataset]]\nname = \"more\"\nlocations = [\"s3://nowhere/\"]\n";
    let datasets = [&datasets, more.as_bytes()].concat();
    std::fs::write(folder.join("elsewhere/datasets.toml"), datasets).expect("write");
}
