//! Reads Cedar files into rules: annotations checked, types checked.
//!
//! Strict validation is what makes a verdict trustworthy: a rule that asks for
//! an attribute that does not exist would otherwise fail on every access, and
//! one that can never match would never say no.

use super::error::{PolicyError, line_of};
use super::literals;
use super::loaded::PolicyFile;
use super::mentions::Mentions;
use super::nearest;
use super::vocabulary::told_apart;
use crate::model::Severity;
use cedar_policy::ffi::DetailedError;
use cedar_policy::{
    PolicyId, PolicySet, Schema, SchemaFragment, ValidationMode, ValidationWarning, Validator,
};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// bricktrail's own Cedar schema; every policy is validated against it.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// The rule of the violation of an access that no `permit` allows.
pub const DEFAULT_DENY: &str = "default-deny";

/// The rule of an access that could not be put to Cedar at all.
pub(super) const EVALUATION: &str = "evaluation";

/// What a rule says about one of the accesses it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Permit,
    Forbid,
}

/// A rule of the loaded policy, as its annotations describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The `@id`.
    pub id: Arc<str>,
    /// The `@severity`; medium where there is none.
    pub severity: Severity,
    /// The `@control`, for example `CC6.1`.
    pub control: Option<Arc<str>>,
    /// The `@reason`; the id where there is none.
    pub reason: Arc<str>,
    pub effect: Effect,
    /// Whether it asks who stood behind an access: its answer may be another once
    /// somebody is found.
    pub asks_who: bool,
    /// The groups that it names.
    pub groups: Vec<String>,
    /// The datasets that it names.
    pub datasets: Vec<String>,
    /// The actions that it names, groups of them too.
    pub actions: Vec<String>,
    /// The name of the file that holds it.
    pub file: String,
    /// The line in that file where it begins.
    pub line: usize,
    /// Cedar's JSON form of it.
    pub(super) json: Arc<Json>,
    pub(super) mentions: Mentions,
}

/// All rules, and Cedar's form of them.
pub(super) struct Rules {
    pub set: PolicySet,
    /// In the order of the files and their lines.
    pub list: Vec<RuleInfo>,
    pub mentions: Mentions,
    /// A statement could not be read, whose id others may name.
    pub is_partial: bool,
    /// Ids of statements that were read and refused: no rules, and yet known.
    pub refused: Vec<String>,
}

impl Rules {
    /// Reads and checks the Cedar files; every fault in them is told. Datasets are not
    /// looked for where not all of them could be read.
    pub(super) fn parse<'a>(
        files: impl Iterator<Item = &'a PolicyFile>,
        datasets: Option<&[&str]>,
        faults: &mut Vec<PolicyError>,
    ) -> Rules {
        let mut rules = Rules {
            set: PolicySet::new(),
            list: Vec::new(),
            mentions: Mentions::default(),
            is_partial: false,
            refused: Vec::new(),
        };
        let mut texts = BTreeMap::new();
        for file in files {
            rules.add_file(file, datasets, faults);
            texts.insert(file.name.as_str(), file.text.as_str());
        }
        // A file of another name may hold them.
        let is_whole = !rules.is_partial
            && rules.refused.is_empty()
            && faults.iter().all(|fault| fault.place().is_some());
        if rules.list.is_empty() && is_whole {
            let message = "no rule in any *.cedar file, so that every access would be out of \
                           policy; add one, or leave out the policy to use the built-in one";
            faults.push(PolicyError::Files {
                message: message.to_owned(),
            });
        }
        rules.validate(&texts, faults);
        rules
    }

    fn add_file(
        &mut self,
        file: &PolicyFile,
        datasets: Option<&[&str]>,
        faults: &mut Vec<PolicyError>,
    ) {
        let told_before = faults.len();
        let (set, starts) = statements(file, faults);
        self.is_partial |= faults.len() > told_before;
        for template in set.templates() {
            self.is_partial = true;
            faults.push(PolicyError::Syntax {
                file: file.name.clone(),
                line: line_of_statement(template.id(), &starts, &file.text),
                message: "templates (`?principal`, `?resource`) are not supported; name the \
                          entity or leave the scope open"
                    .to_owned(),
            });
        }
        let mut policies: Vec<(usize, &cedar_policy::Policy)> = set
            .policies()
            .map(|policy| (line_of_statement(policy.id(), &starts, &file.text), policy))
            .collect();
        policies.sort_by_key(|(line, policy)| (*line, statement_index(policy.id())));
        for (line, policy) in policies {
            let added = self.add_rule(policy, (&file.name, line), datasets, faults);
            if let Err(message) = added {
                self.refused
                    .extend(policy.annotation("id").map(str::to_owned));
                faults.push(PolicyError::Annotation {
                    file: file.name.clone(),
                    line,
                    message,
                });
            }
        }
    }

    fn add_rule(
        &mut self,
        policy: &cedar_policy::Policy,
        (file, line): (&str, usize),
        datasets: Option<&[&str]>,
        faults: &mut Vec<PolicyError>,
    ) -> Result<(), String> {
        let mut rule = self.describe(policy, file, line)?;
        let policy = policy.new_id(PolicyId::new(&rule.id));
        let unknown = rule.datasets.iter().filter_map(|name| {
            let known = datasets?;
            (!known.contains(&name.as_str())).then(|| unknown_dataset(name, known))
        });
        for message in unknown {
            faults.push(PolicyError::Schema {
                file: file.to_owned(),
                line,
                rule: rule.id.to_string(),
                message,
            });
        }
        let json = policy.to_json().map_err(|error| error.to_string())?;
        for (attribute, text) in literals::compared(&json) {
            if let Some(message) = literals::fault(attribute, text, datasets) {
                faults.push(PolicyError::Schema {
                    file: file.to_owned(),
                    line,
                    rule: rule.id.to_string(),
                    message,
                });
            }
        }
        let mentions = Mentions::of_policy(&json);
        rule.asks_who = mentions.who_was_found();
        rule.json = Arc::new(json);
        rule.mentions = mentions;
        self.mentions = self.mentions.and(mentions);
        self.set.add(policy).map_err(|error| error.to_string())?;
        self.list.push(rule);
        Ok(())
    }

    /// Reads the annotations of a rule.
    fn describe(
        &self,
        policy: &cedar_policy::Policy,
        file: &str,
        line: usize,
    ) -> Result<RuleInfo, String> {
        let annotation = |name: &str| policy.annotation(name).filter(|text| !text.is_empty());
        let Some(id) = annotation("id") else {
            return Err("the rule has no @id; add `@id(\"a-name\")` above it".to_owned());
        };
        if [DEFAULT_DENY, EVALUATION].contains(&id) {
            return Err(format!("`@id(\"{id}\")` is reserved; choose another name"));
        }
        if let Some(other) = self.list.iter().find(|rule| &*rule.id == id) {
            return Err(format!(
                "`@id(\"{id}\")` is already taken in `{}`, line {}; rename one of the two",
                other.file, other.line
            ));
        }
        let severity = match policy.annotation("severity") {
            None => Severity::Medium,
            Some(text) => Severity::parse(text).ok_or_else(|| {
                format!(
                    "rule `{id}` has `@severity(\"{text}\")`; write low, medium, high or critical"
                )
            })?,
        };
        Ok(RuleInfo {
            id: id.into(),
            severity,
            control: annotation("control").map(Arc::from),
            reason: annotation("reason").unwrap_or(id).into(),
            effect: match policy.effect() {
                cedar_policy::Effect::Permit => Effect::Permit,
                cedar_policy::Effect::Forbid => Effect::Forbid,
            },
            asks_who: false,
            groups: named(policy, "Group"),
            datasets: named(policy, "Dataset"),
            actions: named(policy, "Action"),
            file: file.to_owned(),
            line,
            json: Arc::default(),
            mentions: Mentions::default(),
        })
    }

    /// Validates strictly against the schema. A rule is told to be impossible only if
    /// nothing else is wrong with it: an unknown action also makes it so.
    fn validate(&self, texts: &BTreeMap<&str, &str>, faults: &mut Vec<PolicyError>) {
        let named = self
            .list
            .iter()
            .flat_map(|rule| rule.actions.iter().cloned());
        match schema_of(&named.collect()) {
            Err(error) => return faults.push(error),
            Ok(schema) => {
                if is_valid(&self.set, schema) {
                    return;
                }
            }
        }
        let told_before = faults.len();
        // Told with all actions, the nearest of which is named.
        let schema = match schema() {
            Ok(schema) => schema,
            Err(error) => return faults.push(error),
        };
        let result = Validator::new(schema).validate(&self.set, ValidationMode::Strict);
        let errors = result
            .validation_errors()
            .map(|error| self.place_fault(error.policy_id(), &DetailedError::from(error), texts));
        let warnings = result
            .validation_warnings()
            .filter(|warning| is_fault(warning))
            .map(|warning| {
                self.place_fault(warning.policy_id(), &DetailedError::from(warning), texts)
            });
        // Found in no order.
        let mut errors: Vec<_> = errors.collect();
        errors.sort();
        let wrong: HashSet<String> = errors.iter().map(|(.., rule)| rule.clone()).collect();
        let warnings = warnings.filter(|(.., rule)| !wrong.contains(rule));
        let mut warnings: Vec<_> = warnings.collect();
        warnings.sort();
        // That it never matches is enough to know.
        warnings.dedup_by(|a, b| a.3 == b.3);
        let mut told: HashSet<(String, usize, String)> = HashSet::new();
        for (file, line, message, rule) in errors.into_iter().chain(warnings) {
            // One and the same is found for each action that a rule may be about.
            if told.insert((rule.clone(), line, without_action(&message))) {
                faults.push(PolicyError::Schema {
                    file,
                    line,
                    rule,
                    message,
                });
            }
        }
        if faults.len() == told_before {
            faults.push(PolicyError::BuiltIn {
                message: "the schema with fewer actions refuses what the whole one accepts"
                    .to_owned(),
            });
        }
    }

    /// Tells file, line, message and rule of what the validator found.
    fn place_fault(
        &self,
        id: &PolicyId,
        error: &DetailedError,
        texts: &BTreeMap<&str, &str>,
    ) -> (String, usize, String, String) {
        let id: &str = id.as_ref();
        let (file, start) = self
            .list
            .iter()
            .find(|rule| &*rule.id == id)
            .map_or(("", 1), |rule| (rule.file.as_str(), rule.line));
        let text = texts.get(file).copied().unwrap_or("");
        let line = match error.source_locations.first() {
            Some(label) => line_of(text, label.loc.start),
            None => start,
        };
        let message = message(error);
        // The rule is named by ours.
        let message = message
            .strip_prefix(&format!("for policy `{id}`, "))
            .unwrap_or(&message);
        (file.to_owned(), line, message.to_owned(), id.to_owned())
    }
}

/// Whether a warning of the validator is a fault to us: a rule that never
/// matches is a mistake and, if it forbids, a silent gap; text that shows in
/// another order than it is read can hide one.
fn is_fault(warning: &ValidationWarning) -> bool {
    matches!(
        warning,
        ValidationWarning::ImpossiblePolicy(_)
            | ValidationWarning::InvalidActionApplication(_)
            | ValidationWarning::BidiCharsInString(_)
            | ValidationWarning::BidiCharsInIdentifier(_)
    )
}

fn is_valid(set: &PolicySet, schema: Schema) -> bool {
    let result = Validator::new(schema).validate(set, ValidationMode::Strict);
    let mut errors = result.validation_errors();
    errors.next().is_none() && !result.validation_warnings().any(is_fault)
}

/// Returns the parsed schema.
pub(super) fn schema() -> Result<Schema, PolicyError> {
    match Schema::from_cedarschema_str(SCHEMA) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(PolicyError::BuiltIn {
            message: message(&DetailedError::from(&error)),
        }),
    }
}

/// Returns the schema with those actions alone that requests can have where rules name
/// these: each is worth a tenth of a millisecond a rule to the validator, and there are
/// a hundred.
pub(super) fn schema_of(named: &BTreeSet<String>) -> Result<Schema, PolicyError> {
    let built_in = |message: String| PolicyError::BuiltIn { message };
    let (fragment, _) = SchemaFragment::from_cedarschema_str(SCHEMA)
        .map_err(|error| built_in(error.to_string()))?;
    let mut json = fragment
        .to_json_value()
        .map_err(|error| built_in(error.to_string()))?;
    let actions = json
        .pointer_mut("//actions")
        .and_then(Json::as_object_mut)
        .ok_or_else(|| built_in("the schema has no actions".to_owned()))?;
    let told_apart = told_apart(named);
    actions.retain(|name, _| told_apart.contains(name.as_str()));
    Schema::from_json_value(json).map_err(|error| built_in(error.to_string()))
}

/// A fault without the first action that it was found for.
fn without_action(message: &str) -> String {
    match message.split_once("Action::\"") {
        Some((before, after)) => {
            let rest = after.split_once('"').map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => message.to_owned(),
    }
}

/// A dataset that a rule names but `datasets.toml` does not is a rule that
/// silently never matches.
fn unknown_dataset(name: &str, datasets: &[&str]) -> String {
    match datasets {
        [] => format!(
            "dataset `{name}` is not known, for the policy has no datasets.toml, or an empty \
             one; define it there"
        ),
        _ => format!(
            "dataset `{name}` is not in datasets.toml{}; add it there or correct the name",
            nearest::hint(name, datasets)
        ),
    }
}

/// The entities of a type that a rule names, sorted, each once.
fn named(policy: &cedar_policy::Policy, of: &str) -> Vec<String> {
    let entities = policy.entity_literals().into_iter();
    let names: BTreeSet<String> = entities
        .filter(|entity| entity.type_name().to_string() == of)
        .map(|entity| entity.id().unescaped().to_owned())
        .collect();
    names.into_iter().collect()
}

/// The statements of a file that could be read, and where each of them begins, in bytes.
/// One that cannot be read hides nothing of the others: each tells its own faults.
fn statements(file: &PolicyFile, faults: &mut Vec<PolicyError>) -> (PolicySet, Vec<usize>) {
    let starts = statement_starts(&file.text);
    let errors = match file.text.parse::<PolicySet>() {
        Ok(set) => return (set, starts),
        Err(errors) => errors,
    };
    let ends = starts.iter().copied().skip(1).chain([file.text.len()]);
    let mut sound = file.text.clone().into_bytes();
    let mut told = Vec::new();
    for (start, end) in starts.iter().copied().zip(ends) {
        let statement = file.text.get(start..end).unwrap_or_default();
        if let Err(errors) = statement.parse::<PolicySet>() {
            told.extend(syntax(file, start, &errors));
            // Blank, so that what follows keeps its place.
            sound.get_mut(start..end).unwrap_or_default().fill(b' ');
        }
    }
    if told.is_empty() {
        told = syntax(file, 0, &errors);
        sound.clear();
    }
    faults.extend(told);
    let sound = String::from_utf8(sound).unwrap_or_default();
    let set = sound.parse().unwrap_or_else(|errors| {
        faults.extend(syntax(file, 0, &errors));
        PolicySet::new()
    });
    (set, statement_starts(&sound))
}

/// Every error of the parser on what begins at that byte of a file.
fn syntax(file: &PolicyFile, start: usize, errors: &cedar_policy::ParseErrors) -> Vec<PolicyError> {
    let errors = errors.iter().map(|error| {
        let error = DetailedError::from(error);
        let offset = error
            .source_locations
            .first()
            .map_or(0, |label| label.loc.start);
        PolicyError::Syntax {
            file: file.name.clone(),
            line: line_of(&file.text, start + offset),
            message: message(&error),
        }
    });
    errors.collect()
}

/// Cedar's message with its advice, on one line.
fn message(error: &DetailedError) -> String {
    let mut message = error.message.clone();
    for label in error
        .source_locations
        .iter()
        .filter_map(|label| label.label.as_ref())
    {
        message.push_str(", ");
        message.push_str(label);
    }
    if let Some(help) = &error.help {
        message.push_str("; ");
        message.push_str(help);
    }
    if error.message.contains("policy is impossible") {
        message.push_str("; correct its scope or its conditions, or remove it");
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cedar names the statements of a file `policy0`, `policy1`, … in their order.
fn statement_index(id: &PolicyId) -> usize {
    let id: &str = id.as_ref();
    id.strip_prefix("policy")
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

fn line_of_statement(id: &PolicyId, starts: &[usize], text: &str) -> usize {
    let start = starts.get(statement_index(id)).copied().unwrap_or(0);
    line_of(text, start)
}

/// Where each statement begins, in bytes. A statement ends with `;`, which
/// otherwise occurs only in texts and comments.
fn statement_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut between = true;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '/' if chars.peek().is_some_and(|&(_, next)| next == '/') => {
                while chars.next_if(|&(_, c)| c != '\n').is_some() {}
                continue;
            }
            '"' => loop {
                match chars.next() {
                    Some((_, '\\')) => {
                        chars.next();
                    }
                    Some((_, '"')) | None => break,
                    Some(_) => {}
                }
            },
            ';' => {
                between = true;
                continue;
            }
            c if c.is_whitespace() => continue,
            _ => {}
        }
        if between {
            starts.push(at);
            between = false;
        }
    }
    starts
}
