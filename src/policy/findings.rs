//! What in a sound policy is probably not meant: it loads, and would still surprise its
//! author.
//!
//! Found by comparing scopes and names, never by solving conditions: a finding is true
//! as it stands, and what is not found may be wrong all the same.

use super::literals;
use super::loaded::Policy;
use super::mentions::Attribute;
use super::rules::{Effect, RuleInfo};
use super::scopes::{actions, op};
use crate::model::{KnownGroups, UtcMicros};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// Something to look at, with its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File and line, if it has one.
    pub file: String,
    pub line: usize,
    pub kind: FindingKind,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// A permit that nothing can satisfy.
    NeverPermits,
    /// A rule that changes nothing beside another.
    Shadowed,
    /// A rule compares with a text that is probably none.
    UnknownValue,
    /// No rule tells the dataset from others.
    DatasetWithoutRule,
    /// A location lies in that of another dataset.
    LocationsOverlap,
    /// An exception that covers nothing any more, or too much.
    Exception,
}

impl FindingKind {
    pub fn as_str(self) -> &'static str {
        match self {
            FindingKind::NeverPermits => "never_permits",
            FindingKind::Shadowed => "shadowed",
            FindingKind::UnknownValue => "unknown_value",
            FindingKind::DatasetWithoutRule => "dataset_without_rule",
            FindingKind::LocationsOverlap => "locations_overlap",
            FindingKind::Exception => "exception",
        }
    }
}

impl Policy {
    /// Finds what is probably not meant, in the order of the files; `groups` are those
    /// that SCIM shows, if they are known.
    pub fn findings(&self, groups: Option<&KnownGroups>, now: UtcMicros) -> Vec<Finding> {
        let mut findings = Vec::new();
        let list = self.rule_list();
        for rule in list {
            findings.extend(never_permits(rule, list, groups));
            findings.extend(shadowed(rule, list));
            self.find_in_texts(rule, &mut findings);
        }
        if !list.iter().any(|rule| rule.effect == Effect::Permit) {
            findings.push(Finding {
                file: list
                    .first()
                    .map_or_else(String::new, |rule| rule.file.clone()),
                line: 1,
                kind: FindingKind::NeverPermits,
                message: "no rule permits anything, so that every access is out of policy; permit \
                          what is expected"
                    .to_owned(),
            });
        }
        self.find_in_datasets(&mut findings);
        self.find_in_exceptions(now, &mut findings);
        findings.sort();
        findings
    }

    fn find_in_texts(&self, rule: &RuleInfo, findings: &mut Vec<Finding>) {
        let datasets = self.datasets().with_lines();
        let sensitivities = datasets.filter_map(|(dataset, _)| dataset.sensitivity.as_deref());
        let sensitivities: Vec<&str> = sensitivities.collect();
        for (attribute, text) in literals::compared(&rule.json) {
            if let Some(doubt) = literals::doubt(attribute, text, &sensitivities) {
                findings.push(Finding {
                    file: rule.file.clone(),
                    line: rule.line,
                    kind: FindingKind::UnknownValue,
                    message: format!("rule `{}` {doubt}", rule.id),
                });
            }
        }
    }

    fn find_in_datasets(&self, findings: &mut Vec<Finding>) {
        let file = "datasets.toml".to_owned();
        for (dataset, line) in self.datasets().with_lines() {
            let told = self.rule_list().iter().any(|rule| {
                let texts = rule.texts();
                let compared = |attribute, value: Option<&str>| {
                    rule.mentions.has(attribute) && value.is_some_and(|it| texts.contains(it))
                };
                rule.datasets.contains(&dataset.name)
                    || compared(Attribute::Dataset, Some(&dataset.name))
                    || compared(Attribute::Sensitivity, dataset.sensitivity.as_deref())
                    || compared(Attribute::Owner, dataset.owner.as_deref())
            });
            if !told {
                findings.push(Finding {
                    file: file.clone(),
                    line,
                    kind: FindingKind::DatasetWithoutRule,
                    message: format!(
                        "no rule tells dataset `{}` from other data, by its name, sensitivity or \
                         owner; write one, or leave the dataset out",
                        dataset.name
                    ),
                });
            }
        }
        for (location, inner, outer) in self.datasets().nested() {
            findings.push(Finding {
                file: file.clone(),
                line: location.line,
                kind: FindingKind::LocationsOverlap,
                message: format!(
                    "location `s3://{}/{}/` of dataset `{}` lies in dataset `{}`: what is below \
                     it is of `{}` only, and rules on `{}` do not hold for it",
                    location.bucket, location.path, inner.name, outer.name, inner.name, outer.name
                ),
            });
        }
    }

    fn find_in_exceptions(&self, now: UtcMicros, findings: &mut Vec<Finding>) {
        for exception in self.exceptions() {
            let mut found = |message: String| {
                findings.push(Finding {
                    file: "exceptions.toml".to_owned(),
                    line: exception.line,
                    kind: FindingKind::Exception,
                    message,
                });
            };
            if exception.expires_at <= now {
                found(format!(
                    "exception `{}` has expired: its violations count again; settle it with its \
                     owner, {}, and remove it once no event of its time is judged any more",
                    exception.id, exception.owner
                ));
            }
            let narrows = [
                &exception.principals,
                &exception.datasets,
                &exception.buckets,
                &exception.roles,
                &exception.jobs,
            ];
            if narrows.iter().all(|names| names.is_empty()) {
                found(format!(
                    "exception `{}` covers every violation of its rules, whoever it is by and on \
                     whatever; narrow it by `principals`, `datasets`, `buckets`, `roles` or `jobs`",
                    exception.id
                ));
            }
        }
    }
}

/// A permit that a forbid without conditions covers, or whose only group is empty.
fn never_permits(
    rule: &RuleInfo,
    list: &[RuleInfo],
    groups: Option<&KnownGroups>,
) -> Option<Finding> {
    if rule.effect != Effect::Permit {
        return None;
    }
    let forbid = list.iter().find(|other| {
        other.effect == Effect::Forbid && !other.has_conditions() && covers(&other.json, &rule.json)
    });
    if let Some(forbid) = forbid {
        return Some(rule.found(
            FindingKind::NeverPermits,
            format!(
                "permit `{}` never allows anything: `{}` ({}, line {}) forbids all of it",
                rule.id, forbid.id, forbid.file, forbid.line
            ),
        ));
    }
    let group = group_of_scope(&rule.json)?;
    let is_empty = groups?.empty.iter().any(|empty| empty == group);
    is_empty.then(|| {
        rule.found(
            FindingKind::NeverPermits,
            format!(
                "permit `{}` is for group `{group}`, in which SCIM shows nobody",
                rule.id
            ),
        )
    })
}

/// A rule beside one of the same effect that holds wherever it does.
fn shadowed(rule: &RuleInfo, list: &[RuleInfo]) -> Option<Finding> {
    let by = list.iter().find(|other| {
        let is_alike = || {
            other.json.get("conditions") == rule.json.get("conditions")
                && covers(&other.json, &rule.json)
                // Of two that cover each other, the later one is told.
                && (!covers(&rule.json, &other.json) || (&other.file, other.line) < (&rule.file, rule.line))
        };
        let covers_all = || !other.has_conditions() && covers(&other.json, &rule.json);
        other.id != rule.id
            && other.effect == rule.effect
            && (is_alike() || rule.has_conditions() && covers_all())
    })?;
    // Forbids beside a wider one add a reason of their own, unless they say the same.
    let is_permit = rule.effect == Effect::Permit;
    let adds_reason = !is_permit && by.json.get("conditions") != rule.json.get("conditions");
    (!adds_reason).then(|| {
        rule.found(
            FindingKind::Shadowed,
            format!(
                "{} `{}` changes nothing: `{}` ({}, line {}) holds wherever it does; remove one \
                 of the two, or narrow the other",
                if is_permit { "permit" } else { "forbid" },
                rule.id,
                by.id,
                by.file,
                by.line
            ),
        )
    })
}

impl RuleInfo {
    fn found(&self, kind: FindingKind, message: String) -> Finding {
        Finding {
            file: self.file.clone(),
            line: self.line,
            kind,
            message,
        }
    }

    fn has_conditions(&self) -> bool {
        let conditions = self.json.get("conditions").and_then(Json::as_array);
        conditions.is_none_or(|conditions| !conditions.is_empty())
    }

    /// The texts in its conditions.
    fn texts(&self) -> BTreeSet<&str> {
        let mut texts = BTreeSet::new();
        if let Some(conditions) = self.json.get("conditions") {
            add_texts(conditions, &mut texts);
        }
        texts
    }
}

fn add_texts<'a>(json: &'a Json, texts: &mut BTreeSet<&'a str>) {
    match json {
        Json::String(text) => {
            texts.insert(text);
        }
        Json::Array(items) => items.iter().for_each(|item| add_texts(item, texts)),
        Json::Object(fields) => fields.values().for_each(|value| add_texts(value, texts)),
        _ => {}
    }
}

/// Whether one scope holds whatever another one holds.
fn covers(outer: &Json, inner: &Json) -> bool {
    ["principal", "resource"]
        .into_iter()
        .all(|variable| covers_entities(outer.get(variable), inner.get(variable)))
        && covers_actions(outer.get("action"), inner.get("action"))
}

fn covers_entities(outer: Option<&Json>, inner: Option<&Json>) -> bool {
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return false;
    };
    let of_type = |scope: &Json| {
        let of = scope
            .get("entity_type")
            .or_else(|| scope.get("entity")?.get("type"));
        of.and_then(Json::as_str).map(str::to_owned)
    };
    match (op(outer), op(inner)) {
        (Some("All"), _) => true,
        _ if outer == inner => true,
        // `is T` holds one of that type, and those of the type in something.
        (Some("is"), Some("==" | "is")) => {
            outer.get("in").is_none() && of_type(outer) == of_type(inner)
        }
        // What lies in something holds itself.
        (Some("in"), Some("==")) => outer.get("entity") == inner.get("entity"),
        // In a group, and of a type in that group.
        (Some("in"), Some("is")) => {
            let above = inner.get("in").and_then(|above| above.get("entity"));
            above.is_some() && above == outer.get("entity")
        }
        _ => false,
    }
}

fn covers_actions(outer: Option<&Json>, inner: Option<&Json>) -> bool {
    let (Some(outer), Some(inner)) = (outer, inner) else {
        return false;
    };
    let is_all = |scope: &Json| op(scope) == Some("All");
    if is_all(outer) {
        return true;
    }
    if is_all(inner) {
        return false;
    }
    match (actions(outer), actions(inner)) {
        (Some(outer), Some(inner)) => inner.is_subset(&outer),
        _ => false,
    }
}

/// The one group that a rule's scope is for.
fn group_of_scope(json: &Json) -> Option<&str> {
    let scope = json.get("principal")?;
    let entity = scope
        .get("entity")
        .or_else(|| scope.get("in").and_then(|above| above.get("entity")))?;
    (entity.get("type")?.as_str()? == "Group").then_some(entity.get("id")?.as_str()?)
}
