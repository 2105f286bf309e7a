//! The policy as it is loaded: one immutable value that answers for every access.

use super::answers::Answers;
use super::datasets::Datasets;
use super::error::{PolicyError, PolicyErrors};
use super::examples::{Example, parse_examples};
use super::exceptions::{Exception, Exceptions, Names};
use super::facts::{AccessFacts, Facts, Moment, Terms, day_span, hour, hour_span, weekday};
use super::judge::{Judge, Judgement};
use super::mentions::{Attribute, EntityType, Mentions};
use super::nearest;
use super::packs::starter_files;
use super::reads::Reads;
use super::rules::{RuleInfo, Rules};
use super::settings::{PolicySettings, Settings};
use super::vocabulary::Vocabulary;
use crate::model::{Dataset, Interest, KnownGroups, TimeSpan, UtcMicros};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The file of a policy that says which locations belong to which dataset.
pub const DATASETS_FILE: &str = "datasets.toml";
/// Example accesses; part of the version, of no influence on verdicts.
const TESTS_FILE: &str = "tests.toml";
const EXCEPTIONS_FILE: &str = "exceptions.toml";
const FILES: [&str; 3] = [DATASETS_FILE, EXCEPTIONS_FILE, TESTS_FILE];

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
    interest: Interest,
    judge: Judge,
    datasets: Datasets,
    exceptions: Exceptions,
    examples: Vec<Example>,
    settings: Settings,
    vocabulary: Vocabulary,
}

impl Policy {
    /// Loads the built-in starter policy.
    ///
    /// # Errors
    ///
    /// When a setting is wrong. The policy itself is proven by tests.
    pub fn starter(settings: &PolicySettings) -> Result<Policy, PolicyErrors> {
        Policy::parse(starter_files(), settings)
    }

    /// Loads a policy from its files: `*.cedar`, `datasets.toml`, `exceptions.toml`,
    /// `tests.toml`.
    ///
    /// # Errors
    ///
    /// When a file or a setting is wrong in any way, or a file is none of these:
    /// a policy is used whole or not at all. Every fault is told.
    pub fn parse(
        files: Vec<PolicyFile>,
        settings: &PolicySettings,
    ) -> Result<Policy, PolicyErrors> {
        Policy::parse_for(files, settings, None)
    }

    /// The same, for an organisation whose groups are known: as [`Policy::check_groups`].
    ///
    /// # Errors
    ///
    /// When either would refuse it; every fault is told.
    pub fn parse_for(
        mut files: Vec<PolicyFile>,
        settings: &PolicySettings,
        groups: Option<&KnownGroups>,
    ) -> Result<Policy, PolicyErrors> {
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut faults = Vec::new();
        check_names(&files, &mut faults);
        let text_of = |name: &str| {
            let file = files.iter().find(|file| file.name == name);
            file.map(|file| file.text.as_str())
        };
        let datasets = match text_of(DATASETS_FILE) {
            Some(text) => Datasets::parse(DATASETS_FILE, text, &mut faults),
            None => Datasets::default(),
        };
        let names: Vec<&str> = datasets.names().collect();
        let names = (!datasets.is_partial()).then_some(names.as_slice());
        let cedar = files.iter().filter(|file| is_cedar(file));
        let rules = Rules::parse(cedar, names, &mut faults);
        if let Some(groups) = groups {
            find_group_faults(&rules.list, groups, &mut faults);
        }
        let names = Names::new(&rules, names);
        let exceptions = match text_of(EXCEPTIONS_FILE) {
            Some(text) => Exceptions::parse(EXCEPTIONS_FILE, text, &names, &mut faults),
            None => Exceptions::default(),
        };
        let examples = match text_of(TESTS_FILE) {
            Some(text) => parse_examples(TESTS_FILE, text, &names, &mut faults),
            None => Vec::new(),
        };
        let settings = Settings::check(settings, &mut faults);
        let interest = interest(&rules);
        let actions = rules
            .list
            .iter()
            .flat_map(|rule| rule.actions.iter().cloned());
        let actions: BTreeSet<String> = actions.collect();
        let policy = Policy {
            version: version(&files, &settings),
            judge: Judge::new(&rules.set, &rules.list, interest.groups.clone()),
            rules: rules.list,
            mentions: rules.mentions,
            vocabulary: Vocabulary::new(&interest.groups, Some(&actions))?,
            interest,
            files,
            datasets,
            exceptions,
            examples,
            settings,
        };
        PolicyErrors::or_ok(faults, policy)
    }

    /// Refuses a policy that names groups which SCIM does not show, or whose groups lie
    /// in themselves: rules on them would silently never match, or match too much.
    ///
    /// # Errors
    /// For every such group, with the rules that name it.
    pub fn check_groups(&self, known: &KnownGroups) -> Result<(), PolicyErrors> {
        let mut faults = Vec::new();
        find_group_faults(&self.rules, known, &mut faults);
        PolicyErrors::or_ok(faults, ())
    }

    /// The organisation's AWS accounts, sorted.
    pub(super) fn own_account_ids(&self) -> &[String] {
        &self.settings.own_account_ids
    }

    /// What the rules ask of the workload behind an access.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The exceptions in the order of their file.
    pub fn exceptions(&self) -> &[Exception] {
        self.exceptions.list()
    }

    /// The example accesses of `tests.toml`.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    pub(super) fn rule_list(&self) -> &[RuleInfo] {
        &self.rules
    }

    pub(super) fn datasets(&self) -> &Datasets {
        &self.datasets
    }

    /// What of an event's time a judgement depends on, but for the age of its session,
    /// and the times of which the same is true.
    pub fn moment(&self, at: UtcMicros) -> (Moment, TimeSpan) {
        let (exceptions, mut span) = self.exceptions.moment(at);
        let mut moment = Moment {
            exceptions,
            ..Moment::default()
        };
        if self.mentions.has(Attribute::Hour) {
            moment.hour = Some(hour(at));
            span = span.intersect(hour_span(at));
        }
        if self.mentions.has(Attribute::Weekday) {
            moment.weekday = Some(weekday(at));
            span = span.intersect(day_span(at));
        }
        (moment, span)
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

    /// Finds a dataset by its name, as [`Policy::dataset_of`] does by a place.
    pub fn dataset_named(&self, name: &str) -> Option<u32> {
        self.datasets.named(name)
    }

    /// Whether a policy with that `datasets.toml`, or without one, finds datasets of the
    /// same names as this one everywhere.
    pub fn finds_datasets_like(&self, datasets: Option<&str>) -> bool {
        let mut faults = Vec::new();
        let parse = |text| Datasets::parse(DATASETS_FILE, text, &mut faults);
        let other = datasets.map(parse).unwrap_or_default();
        faults.is_empty() && self.datasets.finds_like(&other)
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

    /// How many datasets there are.
    pub fn datasets_count(&self) -> usize {
        self.datasets.names().count()
    }

    /// Whether the rules can see an attribute.
    pub fn asks(&self, attribute: Attribute) -> bool {
        self.mentions.has(attribute)
    }

    /// Whether the rules can tell entities of a type apart by name.
    pub fn tells_apart(&self, of: EntityType) -> bool {
        self.mentions.names(of)
    }

    /// Whether the rules can tell principals apart, if only by type or group.
    pub fn asks_who(&self) -> bool {
        self.mentions.principal_types()
    }

    /// Returns which per-event inputs the rules can read.
    pub fn reads(&self) -> Reads {
        Reads::of(self.mentions)
    }

    /// Judges one access.
    ///
    /// INVARIANT (cache key): the judgement follows from `principal` (without the
    /// exact time of the session's issue), `client`, `target`, the attribution,
    /// the credential, the workload, `event_name`, `operation`, `outcome`, `sse`,
    /// `kms_key_arn`, `presigned`, the dataset, whether it is settled,
    /// [`session_age_hours`](super::session_age_hours), [`Policy::moment`],
    /// and the inputs that [`Policy::reads`] names. Nothing else enters it.
    pub fn judge(&self, facts: &AccessFacts<'_>) -> Judgement {
        self.judge_with(facts, &mut Answers::default())
    }

    /// Judges one access by answers that this policy gave before, and keeps what it says.
    pub fn judge_with(&self, facts: &AccessFacts<'_>, answers: &mut Answers) -> Judgement {
        let facts = self.facts(facts);
        let terms = self.terms(self.mentions);
        let judgement = self.judge.judge(&facts, terms, answers);
        self.marked(judgement, &facts)
    }

    /// Marks what exceptions cover.
    fn marked(&self, mut judgement: Judgement, facts: &Facts<'_>) -> Judgement {
        let covering: Vec<usize> = self.exceptions.covering(facts).collect();
        self.exceptions.mark(&mut judgement.violations, &covering);
        judgement
    }

    /// Appends to `out` what the rules can tell of who asked, from where, and for
    /// which place: of everything but the request itself.
    ///
    /// INVARIANT (same bytes, same judgement): accesses that give equal bytes here and
    /// in [`Policy::visible_request`] under one policy get equal judgements from it.
    /// These follow from `principal` (without the time of the session's issue),
    /// `client`, `target`, `presigned`, the attribution, the credential, the dataset and
    /// the workload; those of the request from the other inputs of [`Policy::judge`] as
    /// well.
    pub fn visible_who(&self, facts: &AccessFacts<'_>, out: &mut Vec<u8>) {
        self.facts(facts).write_who(self.terms(self.mentions), out);
    }

    /// Appends to `out` what the rules can tell of the request: what was asked for,
    /// how AWS answered, how old the session was; and which exceptions cover it.
    pub fn visible_request(&self, facts: &AccessFacts<'_>, out: &mut Vec<u8>) {
        let facts = self.facts(facts);
        facts.write_request(self.terms(self.mentions), out);
        for place in self.exceptions.covering(&facts) {
            out.extend((place as u64).to_be_bytes());
        }
    }

    fn facts<'a>(&'a self, facts: &AccessFacts<'a>) -> Facts<'a> {
        Facts {
            access: facts.access,
            attribution: facts.attribution,
            credential: facts.credential,
            dataset: facts.dataset.and_then(|index| self.datasets.get(index)),
            workload: facts.workload,
            settled: facts.settled,
        }
    }

    fn terms(&self, mentions: Mentions) -> Terms<'_> {
        Terms {
            vocabulary: &self.vocabulary,
            settings: &self.settings,
            datasets: &self.datasets,
            mentions,
        }
    }
}

#[cfg(test)]
impl Policy {
    /// Judges as if the rules mentioned everything, by all rules at once, with all actions
    /// kept apart.
    pub(super) fn judge_on_everything(&self, facts: &AccessFacts<'_>) -> Judgement {
        let facts = self.facts(facts);
        let groups = &self.interest.groups;
        let vocabulary = Vocabulary::new(groups, None).expect("a vocabulary");
        let terms = Terms {
            vocabulary: &vocabulary,
            ..self.terms(Mentions::ALL)
        };
        let judgement = super::tests::all_at_once::judge(&self.rules, groups, &facts, terms);
        self.marked(judgement, &facts)
    }
}

/// What has to be looked up of workloads for these rules.
fn interest(rules: &Rules) -> Interest {
    let groups = rules
        .list
        .iter()
        .flat_map(|rule| rule.groups.iter().cloned());
    let groups: BTreeSet<String> = groups.collect();
    let [job, cluster, workspace] = rules.mentions.of_workload();
    Interest {
        groups: groups.into_iter().collect(),
        active: rules.mentions.has(Attribute::Active),
        job,
        cluster,
        workspace,
    }
}

/// Finds groups that rules name and SCIM does not show, and those that lie in themselves.
fn find_group_faults(rules: &[RuleInfo], known: &KnownGroups, faults: &mut Vec<PolicyError>) {
    let names: Vec<&str> = known.names.iter().map(String::as_str).collect();
    for rule in rules {
        for group in &rule.groups {
            if names.binary_search(&group.as_str()).is_ok() {
                continue;
            }
            let remedy = match names.as_slice() {
                [] => "no groups are known at all: read SCIM's into the lake with \
                       `--databricks DIR`, from `scim/groups.json`"
                    .to_owned(),
                _ => format!("SCIM shows no such group{}", nearest::hint(group, &names)),
            };
            faults.push(PolicyError::Group {
                file: rule.file.clone(),
                line: rule.line,
                rule: rule.id.to_string(),
                message: format!("group `{group}` is not known; {remedy}"),
            });
        }
    }
    if rules.iter().any(|rule| !rule.groups.is_empty()) {
        faults.extend(known.cycles.iter().map(|cycle| PolicyError::Groups {
            message: format!(
                "scim/groups.json: group `{}` lies in itself: {}; take one out of the other \
                 in the identity provider, and export again",
                cycle.first().map_or("", String::as_str),
                cycle.join(" in ")
            ),
        }));
    }
}

fn is_cedar(file: &PolicyFile) -> bool {
    file.name.ends_with(".cedar")
}

/// Refuses files that would go unread: a misspelt name is a rule that is missing.
fn check_names(files: &[PolicyFile], faults: &mut Vec<PolicyError>) {
    let mut before: Option<&str> = None;
    for file in files {
        let name = file.name.as_str();
        if before == Some(name) {
            faults.push(PolicyError::Files {
                message: format!("policy file `{name}` was given twice; leave one out"),
            });
        }
        if !is_cedar(file) && !FILES.contains(&name) {
            faults.push(PolicyError::Files {
                message: format!(
                    "policy file `{name}` is neither *.cedar, {DATASETS_FILE}, \
                     {EXCEPTIONS_FILE} nor {TESTS_FILE}; rename it, or move it out of the policy"
                ),
            });
        }
        before = Some(name);
    }
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
