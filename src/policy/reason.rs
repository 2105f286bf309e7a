//! Which facts decided: what a violated rule saw of the access, as a part of the reason.
//!
//! `restricted data was reached without Unity Catalog [sensitivity restricted,
//! access_path instance_profile, outcome ok]`: the author's sentence, and in brackets the
//! value of each input that the rule looks at; `no job_id` is one that is not known.
//!
//! INVARIANT (what was seen): facts are taken from the inputs of the judgement, so that a
//! reason says nothing that the policy could not tell apart.

use super::mentions::{Attribute, EntityType, Mentions};
use super::request::Inputs;
use super::values::{Attributes, Value};
use std::fmt::Write as _;

/// Longer values are cut: a reason is read by people.
const VALUE_CHARS_MAX: usize = 80;

/// What stands in no reason: the same for every access, or told by its parts.
const UNTOLD: [Attribute; 6] = [
    Attribute::OwnAccountIds,
    Attribute::Network,
    Attribute::Confidence,
    Attribute::Workspace,
    Attribute::Cluster,
    Attribute::Job,
];

/// What jobs, clusters and workspaces have beside their ids.
const OF_WORKLOADS: [Attribute; 5] = [
    Attribute::Name,
    Attribute::RunAs,
    Attribute::Creator,
    Attribute::Source,
    Attribute::Dedicated,
];

/// The facts of one judgement, found by the rule that looks at them.
pub(super) struct DecidingFacts<'a> {
    told: Vec<(Attribute, String)>,
    /// The same of job, cluster and workspace, by the attribute that names them.
    of_workload: Vec<(Attribute, Attribute, String)>,
    /// What all the principals have in common.
    principal_type: Option<EntityType>,
    principal_name: Option<String>,
    groups: Option<Vec<&'a str>>,
    lies_in: [(EntityType, Option<String>); 2],
    mentions: Mentions,
}

impl<'a> DecidingFacts<'a> {
    /// `groups` are those that rules name.
    pub(super) fn of(inputs: &Inputs<'_>, groups: &'a [String], mentions: Mentions) -> Self {
        let mut told = Vec::new();
        for attributes in inputs.attributes() {
            tell(attributes, &mut told);
        }
        let mut of_workload = Vec::new();
        for (owner, attributes) in inputs.workload_attributes() {
            let mut parts = Vec::new();
            tell(attributes, &mut parts);
            parts.retain(|(attribute, _)| OF_WORKLOADS.contains(attribute));
            of_workload.extend(parts.into_iter().map(|(part, value)| (owner, part, value)));
        }
        let shared = inputs.shared_principal();
        if let Some(active) = shared.active {
            told.push((Attribute::Active, active.to_string()));
        }
        let named = |place: &u32| groups.get(usize::try_from(*place).ok()?);
        let groups = shared.groups.map(|places| {
            let names = places.iter().filter_map(named);
            names.map(String::as_str).collect()
        });
        DecidingFacts {
            told,
            of_workload,
            principal_type: shared.of,
            principal_name: shared.name.filter(|name| !name.is_empty()).map(cut),
            groups,
            lies_in: inputs.lies_in().map(|(of, name)| (of, name.map(cut))),
            mentions,
        }
    }

    /// The author's reason with the facts that a rule looks at, if it looks at any.
    pub(super) fn reason(&self, reason: &str, rule: Mentions) -> String {
        let mut facts: Vec<String> = Vec::new();
        let asks_who = rule.principal_types() && self.mentions.principal_types();
        if let Some(of) = self.principal_type.filter(|_| asks_who) {
            let name = self.principal_name.as_ref().filter(|_| rule.names(of));
            facts.push(match name {
                Some(name) => format!("principal is {} {name}", of.as_str()),
                None => format!("principal is {}", of.as_str()),
            });
        }
        if let Some(groups) = self.groups.as_ref().filter(|_| rule.groups()) {
            facts.push(match groups.as_slice() {
                [] => "in no group that rules name".to_owned(),
                names => format!("in {}", names.join(", ")),
            });
        }
        for (of, name) in &self.lies_in {
            let what = of.as_str().to_lowercase();
            let attribute = Attribute::ALL.iter().find(|it| it.as_str() == what);
            // Else it is told below.
            if rule.names(*of) && !attribute.is_some_and(|attribute| rule.has(*attribute)) {
                facts.push(match name {
                    Some(name) => format!("{what} {name}"),
                    None => format!("no {what}"),
                });
            }
        }
        for attribute in Attribute::ALL {
            let is_untold = UNTOLD.contains(attribute) || OF_WORKLOADS.contains(attribute);
            if !rule.has(*attribute) || is_untold {
                continue;
            }
            let value = self.told.iter().find(|(told, _)| told == attribute);
            let name = attribute.as_str();
            facts.push(match value {
                Some(_) if !rule.reads(*attribute) => format!("{name} known"),
                Some((_, value)) => format!("{name} {value}"),
                None => format!("no {name}"),
            });
        }
        for (owner, attribute, value) in &self.of_workload {
            if rule.has(*owner) && rule.reads(*attribute) {
                let (owner, name) = (owner.as_str(), attribute.as_str());
                facts.push(format!("{owner}.{name} {value}"));
            }
        }
        match facts.is_empty() {
            true => reason.to_owned(),
            false => format!("{reason} [{}]", facts.join(", ")),
        }
    }
}

/// Collects values as text, those of records by their parts.
fn tell(attributes: &Attributes<'_>, told: &mut Vec<(Attribute, String)>) {
    for (attribute, value) in attributes.values() {
        let text = match value {
            Value::Text(text) => cut(text),
            Value::Truth(truth) => truth.to_string(),
            Value::Long(number) => number.to_string(),
            Value::Address(address) => address.to_string(),
            Value::Setting(_) => continue,
            Value::Record(parts) => {
                tell(parts, told);
                continue;
            }
        };
        told.push((*attribute, text));
    }
}

fn cut(text: &str) -> String {
    let mut cut = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == VALUE_CHARS_MAX {
            cut.push('…');
            break;
        }
        match c.is_control() {
            // Writing to a String cannot fail.
            true => write!(cut, "{}", c.escape_unicode()).unwrap_or_default(),
            false => cut.push(c),
        }
    }
    cut
}
