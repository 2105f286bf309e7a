//! The policy as it is loaded: one immutable value that answers for every access.

use super::datasets::Datasets;
use super::error::PolicyError;
use super::judge::{Judge, Judgement};
use super::mentions::Mentions;
use super::reads::Reads;
use super::request::{Facts, Inputs, write_request};
use super::rules::{RuleInfo, Rules};
use super::settings::{PolicySettings, Settings};
use super::vocabulary::Vocabulary;
use crate::model::{AccessEvent, Attribution, Credential, Dataset};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The built-in policy, the one file of [`Policy::starter`].
pub const STARTER: &str = include_str!("starter.cedar");

const DATASETS_FILE: &str = "datasets.toml";
/// Example accesses; kept as part of the version, of no influence on verdicts.
const TESTS_FILE: &str = "tests.toml";

/// A file of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// The name relative to the policy directory.
    pub name: String,
    pub text: String,
}

/// A policy that is known to be sound: rules, datasets and settings.
///
/// Immutable, and the same whatever order its files came in.
pub struct Policy {
    version: String,
    files: Vec<PolicyFile>,
    rules: Vec<RuleInfo>,
    mentions: Mentions,
    judge: Judge,
    datasets: Datasets,
    settings: Settings,
    vocabulary: Vocabulary,
}

impl Policy {
    /// Loads the built-in starter policy.
    ///
    /// # Errors
    ///
    /// When a setting is wrong. The policy itself is proven by tests.
    pub fn starter(settings: &PolicySettings) -> Result<Policy, PolicyError> {
        let starter = PolicyFile {
            name: "starter.cedar".to_owned(),
            text: STARTER.to_owned(),
        };
        Policy::parse(vec![starter], settings)
    }

    /// Loads a policy from its files: `*.cedar`, `datasets.toml`, `tests.toml`.
    ///
    /// # Errors
    ///
    /// When a file or a setting is wrong in any way, or a file is none of these:
    /// a policy is used whole or not at all.
    pub fn parse(
        mut files: Vec<PolicyFile>,
        settings: &PolicySettings,
    ) -> Result<Policy, PolicyError> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        check_names(&files)?;
        let settings = Settings::check(settings)?;
        let datasets = match files.iter().find(|file| file.name == DATASETS_FILE) {
            Some(file) => Datasets::parse(&file.name, &file.text)?,
            None => Datasets::default(),
        };
        let names: Vec<&str> = datasets.names().collect();
        let rules = Rules::parse(files.iter().filter(|file| is_cedar(file)), &names)?;
        Ok(Policy {
            version: version(&files, &settings),
            judge: Judge::new(rules.set, &rules.list),
            rules: rules.list,
            mentions: rules.mentions,
            vocabulary: Vocabulary::new()?,
            files,
            datasets,
            settings,
        })
    }

    /// Returns what tells this policy from every other: `sha256:` and the hash of
    /// its files and of the settings that verdicts depend on.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the files, sorted by name.
    pub fn files(&self) -> &[PolicyFile] {
        &self.files
    }

    /// Returns the rules in the order of the files and their lines.
    pub fn rules(&self) -> Vec<RuleInfo> {
        self.rules.clone()
    }

    /// Finds the dataset of an object key or a list prefix, by the longest
    /// location that holds it. Called for every event; allocates nothing.
    pub fn dataset_of(&self, bucket: Option<&str>, key: Option<&str>) -> Option<u32> {
        self.datasets.find(bucket?, key)
    }

    /// Returns whether any dataset lies in the bucket; if none does,
    /// [`Policy::dataset_of`] finds none there.
    pub fn has_datasets(&self, bucket: &str) -> bool {
        self.datasets.has_bucket(bucket)
    }

    /// Returns a dataset by what [`Policy::dataset_of`] found.
    pub fn dataset(&self, index: u32) -> Option<&Dataset> {
        self.datasets.get(index)
    }

    /// Returns which per-event inputs the rules can read.
    pub fn reads(&self) -> Reads {
        Reads::of(self.mentions)
    }

    /// Judges one access; `dataset` is what [`Policy::dataset_of`] found.
    ///
    /// INVARIANT (cache key): the judgement follows from `principal` (without the
    /// exact time of the session's issue), `client`, `target`, the attribution,
    /// the credential, `event_name`, `operation`, `outcome`, `sse`, `kms_key_arn`,
    /// `presigned`, the dataset, [`session_age_hours`](super::session_age_hours),
    /// and the inputs that [`Policy::reads`] names. Nothing else enters it.
    pub fn judge(
        &self,
        access: &AccessEvent<'_>,
        attribution: &Attribution,
        credential: Credential,
        dataset: Option<u32>,
    ) -> Judgement {
        let inputs = self.inputs(access, attribution, credential, dataset, self.mentions);
        self.judge.judge(inputs.as_ref(), &self.vocabulary)
    }

    /// Appends to `out` what the rules can tell of who asked, from where, and for
    /// which place: of everything but the request itself.
    ///
    /// INVARIANT (same bytes, same judgement): accesses that give equal bytes here and
    /// in [`Policy::visible_request`] under one policy get equal judgements from it.
    /// These follow from `principal` (without the time of the session's issue),
    /// `client`, `target`, `presigned`, the attribution, the credential and the
    /// dataset; those of the request from the other inputs of [`Policy::judge`].
    pub fn visible_who(
        &self,
        access: &AccessEvent<'_>,
        attribution: &Attribution,
        credential: Credential,
        dataset: Option<u32>,
        out: &mut Vec<u8>,
    ) {
        self.facts(access, attribution, credential, dataset)
            .write_who(&self.settings, self.mentions, out);
    }

    /// Appends to `out` what the rules can tell of the request: what was asked for,
    /// how AWS answered, how old the session was.
    pub fn visible_request(&self, access: &AccessEvent<'_>, out: &mut Vec<u8>) {
        write_request(access, &self.vocabulary, &self.settings, self.mentions, out);
    }

    fn facts<'a>(
        &'a self,
        access: &'a AccessEvent<'a>,
        attribution: &'a Attribution,
        credential: Credential,
        dataset: Option<u32>,
    ) -> Facts<'a> {
        Facts {
            access,
            attribution,
            credential,
            dataset: dataset.and_then(|index| self.datasets.get(index)),
        }
    }

    fn inputs<'a>(
        &'a self,
        access: &'a AccessEvent<'a>,
        attribution: &'a Attribution,
        credential: Credential,
        dataset: Option<u32>,
        mentions: Mentions,
    ) -> Option<Inputs<'a>> {
        self.facts(access, attribution, credential, dataset).inputs(
            &self.vocabulary,
            &self.settings,
            mentions,
        )
    }
}

#[cfg(test)]
impl Policy {
    /// Judges as if the rules mentioned everything.
    pub(super) fn judge_on_everything(
        &self,
        access: &AccessEvent<'_>,
        attribution: &Attribution,
        credential: Credential,
        dataset: Option<u32>,
    ) -> Judgement {
        let inputs = self.inputs(access, attribution, credential, dataset, Mentions::ALL);
        self.judge.judge(inputs.as_ref(), &self.vocabulary)
    }
}

fn is_cedar(file: &PolicyFile) -> bool {
    file.name.ends_with(".cedar")
}

/// Refuses files that would go unread: a misspelt name is a rule that is missing.
fn check_names(files: &[PolicyFile]) -> Result<(), PolicyError> {
    let mut before: Option<&str> = None;
    for file in files {
        let name = file.name.as_str();
        if before == Some(name) {
            return Err(PolicyError::Files {
                message: format!("policy file `{name}` was given twice; leave one out"),
            });
        }
        if !is_cedar(file) && ![DATASETS_FILE, TESTS_FILE].contains(&name) {
            return Err(PolicyError::Files {
                message: format!(
                    "policy file `{name}` is neither *.cedar, {DATASETS_FILE} nor {TESTS_FILE}; \
                     rename it, or move it out of the policy"
                ),
            });
        }
        before = Some(name);
    }
    Ok(())
}

/// Hashes the files, sorted by name, and the settings; every part comes after
/// its length, so that no two policies give the same bytes.
fn version(files: &[PolicyFile], settings: &Settings) -> String {
    let mut hasher = Sha256::new();
    let mut part = |text: &str| {
        hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(text);
    };
    for file in files {
        part(&file.name);
        part(&file.text);
    }
    part(&settings.canonical());
    let mut version = "sha256:".to_owned();
    for byte in hasher.finalize() {
        // Writing to a String cannot fail.
        write!(version, "{byte:02x}").ok();
    }
    version
}
