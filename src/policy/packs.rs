//! Policies to start from, as files to be copied and changed.
//!
//! A pack is rules on one concern, with examples of them, and datasets where the rules
//! name some. Several go together: their rules, datasets and examples stand side by
//! side. Only what permits everything (`baseline`) stays out where a pack says what is
//! permitted.

use super::loaded::PolicyFile;

/// A pack.
#[derive(Clone, Copy, Debug)]
pub struct Pack {
    pub name: &'static str,
    /// What it is for, in a line.
    pub title: &'static str,
    rules: &'static str,
    datasets: Option<&'static str>,
    examples: &'static str,
    /// Says itself what is permitted: without `baseline`.
    permits: bool,
}

const BASELINE: (&str, &str) = ("baseline.cedar", include_str!("packs/baseline.cedar"));
const GUARDRAILS: (&str, &str) = ("guardrails.cedar", include_str!("packs/guardrails.cedar"));

/// The built-in policy, the files of [`Policy::starter`](super::Policy::starter):
/// everything is permitted, but for what is wrong whoever does it.
pub const STARTER: [(&str, &str); 2] = [BASELINE, GUARDRAILS];

/// All packs.
pub const PACKS: [Pack; 3] = [
    Pack {
        name: "guardrails",
        title: "what is wrong whoever does it: keys, transport, encryption, the public, settings",
        rules: GUARDRAILS.1,
        datasets: None,
        examples: include_str!("packs/guardrails.tests.toml"),
        permits: false,
    },
    Pack {
        name: "databricks",
        title: "restricted data through Unity Catalog only, by somebody, on dedicated compute",
        rules: include_str!("packs/databricks.cedar"),
        datasets: Some(include_str!("packs/databricks.datasets.toml")),
        examples: include_str!("packs/databricks.tests.toml"),
        permits: false,
    },
    Pack {
        name: "least-privilege",
        title: "who may touch which dataset, by group; what is not permitted is out of policy",
        rules: include_str!("packs/least-privilege.cedar"),
        datasets: Some(include_str!("packs/least-privilege.datasets.toml")),
        examples: include_str!("packs/least-privilege.tests.toml"),
        permits: true,
    },
];

/// Returns the files of some packs together, sorted by name; `None` for a pack, by its
/// name, that there is not.
pub fn pack_files(names: &[String]) -> Result<Vec<PolicyFile>, String> {
    let mut packs = Vec::new();
    for pack in PACKS {
        if names.iter().any(|name| name == pack.name) {
            packs.push(pack);
        }
    }
    if let Some(unknown) = names
        .iter()
        .find(|name| PACKS.iter().all(|pack| pack.name != **name))
    {
        let known: Vec<&str> = PACKS.iter().map(|pack| pack.name).collect();
        let hint = super::nearest::hint(unknown, &known);
        return Err(format!("there is no policy pack `{unknown}`{hint}"));
    }
    let file = |name: String, text: String| PolicyFile { name, text };
    let mut files: Vec<PolicyFile> = packs
        .iter()
        .map(|pack| file(format!("{}.cedar", pack.name), pack.rules.to_owned()))
        .collect();
    if packs.iter().all(|pack| !pack.permits) {
        files.push(file(BASELINE.0.to_owned(), BASELINE.1.to_owned()));
    }
    let datasets: Vec<&str> = packs.iter().filter_map(|pack| pack.datasets).collect();
    if !datasets.is_empty() {
        files.push(file("datasets.toml".to_owned(), datasets.join("\n")));
    }
    let examples: Vec<&str> = packs.iter().map(|pack| pack.examples).collect();
    files.push(file("tests.toml".to_owned(), examples.join("\n")));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// The files of the built-in policy.
pub fn starter_files() -> Vec<PolicyFile> {
    let files = STARTER.iter().map(|(name, text)| PolicyFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    });
    files.collect()
}
