//! Documentation that is run: its commands work as they stand, one after another.

use super::world::*;
use std::process::{Command, Stdio};

/// A step of a page.
enum Step {
    /// Writes a file.
    File(String, String),
    /// Runs a command and expects a status.
    Run(String, i32),
}

/// The files and commands of a page: fenced blocks of `console`, whose lines begin with
/// `$ `, a line `! exit status N` below those that fail; and blocks below
/// `<!-- file: NAME -->`.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut file: Option<String> = None;
    let mut block: Option<(bool, Option<String>, String)> = None;
    for line in page.lines() {
        match &mut block {
            Some((is_console, name, text)) if line == "```" => {
                if let Some(name) = name.take() {
                    steps.push(Step::File(name, text.clone()));
                } else if *is_console {
                    for line in text.lines() {
                        match (line.strip_prefix("$ "), line.strip_prefix("! exit status ")) {
                            (Some(command), _) => steps.push(Step::Run(command.to_owned(), 0)),
                            (None, Some(status)) => {
                                let Some(Step::Run(_, expected)) = steps.last_mut() else {
                                    panic!("a status without a command: {line}");
                                };
                                *expected = status.parse().unwrap();
                            }
                            (None, None) => panic!("neither command nor status: {line}"),
                        }
                    }
                }
                block = None;
            }
            Some((.., text)) => {
                text.push_str(line);
                text.push('\n');
            }
            None if line.starts_with("```") => {
                block = Some((line == "```console", file.take(), String::new()));
            }
            None => {
                if let Some(name) = line.strip_prefix("<!-- file: ") {
                    file = Some(name.trim_end_matches(" -->").to_owned());
                }
            }
        }
    }
    steps
}

#[test]
fn the_policy_page_runs_as_it_stands() {
    let world = World::new();
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bricktrail"), bin.join("bricktrail")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let page = include_str!("../../docs/policy.md");
    let steps = steps(page);
    let mut outputs = Vec::new();
    for step in &steps {
        match step {
            Step::File(name, text) => world.put(name, text.as_bytes()),
            Step::Run(command, status) => {
                let output = Command::new("sh")
                    .args(["-c", command])
                    .current_dir(world.path(""))
                    .env("PATH", &path)
                    .env_remove("BRICKTRAIL_LAKE")
                    .env("NO_COLOR", "1")
                    .stdin(Stdio::null())
                    .output()
                    .unwrap();
                let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                let errors = errors(&output);
                assert_eq!(
                    output.status.code(),
                    Some(*status),
                    "{command}\n{shown}\n{errors}"
                );
                outputs.push((command.as_str(), shown));
            }
        }
    }
    let shown = |part: &str| {
        let found = outputs.iter().rfind(|(command, _)| command.contains(part));
        found.map(|(_, shown)| shown.as_str()).unwrap()
    };
    // What the page promises of them.
    let backtests: Vec<&str> = outputs
        .iter()
        .filter(|(command, _)| command.contains("policy backtest"))
        .map(|(_, shown)| shown.as_str())
        .collect();
    let [first, last] = backtests[..] else {
        panic!("two backtests")
    };
    assert!(
        first.contains("Newly flagged") && first.contains("default-deny"),
        "{first}"
    );
    assert!(
        last.contains("No longer flagged") && last.contains("default-deny"),
        "{last}"
    );
    assert!(
        shown("policy suggest").contains("permit ("),
        "{}",
        shown("policy suggest")
    );
    let reasons = shown("query --sql");
    assert!(reasons.contains("principal is User"), "{reasons}");
    assert!(reasons.contains("access_path"), "{reasons}");
}
