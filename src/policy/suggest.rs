//! Permits from what was seen: the least that would cover it.
//!
//! For each dataset and kind of operation, groups that mostly used it are permitted as
//! groups, whoever else did by name; what one permit says of several operations stands
//! together. A suggestion is a draft: what should not have happened is in it as well,
//! with its count, for somebody to take out.
//!
//! INVARIANT (covers what was seen): every observation is permitted by some suggestion,
//! but those it lists as left out; a test judges them.

use crate::model::{Operation, PrincipalKind, UtcMicros};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Use of a dataset that was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Observed {
    pub dataset: String,
    pub operation: Operation,
    pub by: User,
    pub events: u64,
    pub first: UtcMicros,
    pub last: UtcMicros,
}

/// Who used it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// Of Databricks, by name and kind.
    Principal(String, PrincipalKind),
    /// An IAM role that has nothing to do with Databricks, by its ARN.
    Role(String),
    /// AWS's own services, or Databricks' platform: a word of `context.access_path`.
    Path(String),
}

/// A suggested permit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    pub id: String,
    pub dataset: String,
    pub to: Grantee,
    pub operations: Vec<Operation>,
    /// Of those that it covers.
    pub events: u64,
    /// Principals among them.
    pub principals: usize,
    pub first: UtcMicros,
    pub last: UtcMicros,
}

/// Whom a permit is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// A group, with the number of its members.
    Group(String, usize),
    User(User),
}

/// Suggests permits; `groups` are members by group, and a group is permitted if at least
/// `share` of its members, in per cent, did the like. `was_member` tells whether a
/// principal was in a group at a time: who used a dataset before that is permitted by
/// name.
pub fn suggest(
    observed: &[Observed],
    groups: &BTreeMap<String, BTreeSet<String>>,
    share: u64,
    was_member: impl Fn(&str, &str, UtcMicros) -> bool,
) -> Vec<Suggestion> {
    let mut granted: BTreeMap<(&str, Grantee), Vec<&Observed>> = BTreeMap::new();
    let mut by_use: BTreeMap<(&str, Operation), Vec<&Observed>> = BTreeMap::new();
    for seen in observed {
        by_use
            .entry((&seen.dataset, seen.operation))
            .or_default()
            .push(seen);
    }
    for ((dataset, _), seen) in by_use {
        let chosen = choose(&seen, groups, share);
        for seen in seen {
            for grantee in grantees(seen, &chosen, groups, &was_member) {
                granted.entry((dataset, grantee)).or_default().push(seen);
            }
        }
    }
    let suggestions = granted.into_iter().map(|((dataset, to), seen)| {
        let operations: BTreeSet<Operation> = seen.iter().map(|seen| seen.operation).collect();
        let principals: BTreeSet<&User> = seen.iter().map(|seen| &seen.by).collect();
        Suggestion {
            id: id_of(dataset, &to),
            dataset: dataset.to_owned(),
            operations: operations.into_iter().collect(),
            events: seen.iter().map(|seen| seen.events).sum(),
            principals: principals.len(),
            first: seen.iter().map(|seen| seen.first).min().unwrap_or_default(),
            last: seen.iter().map(|seen| seen.last).max().unwrap_or_default(),
            to,
        }
    });
    distinct(suggestions.collect())
}

/// The groups to permit: greedily the one that covers most users who are not covered.
fn choose<'g>(
    seen: &[&Observed],
    groups: &'g BTreeMap<String, BTreeSet<String>>,
    share: u64,
) -> BTreeSet<&'g str> {
    let mut open: BTreeSet<&str> = seen.iter().filter_map(|seen| name_of(&seen.by)).collect();
    let users = open.clone();
    let mut chosen = BTreeSet::new();
    loop {
        let best = groups
            .iter()
            .filter(|(name, _)| !chosen.contains(name.as_str()))
            .filter_map(|(name, members)| {
                let of = |users: &BTreeSet<&str>| {
                    members
                        .iter()
                        .filter(|name| users.contains(name.as_str()))
                        .count()
                };
                let (used, new) = (of(&users), of(&open));
                // One person is no group.
                let is_used = used * 100 >= members.len() * usize::try_from(share).unwrap_or(100);
                (new >= 2 && is_used).then_some((new, std::cmp::Reverse(members.len()), name))
            })
            .max();
        let Some((.., name)) = best else {
            return chosen;
        };
        chosen.insert(name.as_str());
        if let Some(members) = groups.get(name) {
            open.retain(|user| !members.contains(*user));
        }
    }
}

/// The chosen groups that a user is in, else the user.
fn grantees(
    seen: &Observed,
    chosen: &BTreeSet<&str>,
    groups: &BTreeMap<String, BTreeSet<String>>,
    was_member: &impl Fn(&str, &str, UtcMicros) -> bool,
) -> Vec<Grantee> {
    let of = chosen.iter().filter_map(|name| {
        let members = groups.get(*name)?;
        let user = name_of(&seen.by)?;
        let was = |at: UtcMicros| was_member(name, user, at);
        let is_in = members.contains(user) && was(seen.first) && was(seen.last);
        is_in.then(|| Grantee::Group((*name).to_owned(), members.len()))
    });
    let of: Vec<Grantee> = of.collect();
    match of.is_empty() {
        true => vec![Grantee::User(seen.by.clone())],
        false => of,
    }
}

fn name_of(user: &User) -> Option<&str> {
    match user {
        User::Principal(name, _) => Some(name),
        User::Role(_) | User::Path(_) => None,
    }
}

/// A name for a rule, of what it says.
fn id_of(dataset: &str, to: &Grantee) -> String {
    let whom = match to {
        Grantee::Group(name, _) | Grantee::User(User::Principal(name, _) | User::Path(name)) => {
            name
        }
        Grantee::User(User::Role(arn)) => arn.rsplit('/').next().unwrap_or(arn),
    };
    let mut id = String::new();
    for c in format!("{whom}-on-{dataset}").chars() {
        match c.is_ascii_alphanumeric() {
            true => id.push(c.to_ascii_lowercase()),
            false if !id.ends_with('-') => id.push('-'),
            false => {}
        }
    }
    id.trim_matches('-').to_owned()
}

/// Makes ids that are alike distinct.
fn distinct(mut suggestions: Vec<Suggestion>) -> Vec<Suggestion> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for suggestion in &mut suggestions {
        let base = suggestion.id.clone();
        let mut number = 1;
        while !taken.insert(suggestion.id.clone()) {
            number += 1;
            suggestion.id = format!("{base}-{number}");
        }
    }
    suggestions
}

impl Suggestion {
    /// The permit as Cedar text, with what it rests on as a comment.
    pub fn to_cedar(&self) -> String {
        let mut text = String::new();
        let events = match self.events {
            1 => "1 event".to_owned(),
            more => format!("{more} events"),
        };
        let by = match &self.to {
            Grantee::Group(_, members) => format!(" by {} of {members} members", self.principals),
            Grantee::User(_) => String::new(),
        };
        let actions = self.operations.iter();
        let actions: Vec<String> = actions
            .map(|operation| format!("Action::{}", quoted(operation.as_str())))
            .collect();
        let actions = match actions.as_slice() {
            [one] => format!("in {one}"),
            more => format!("in [{}]", more.join(", ")),
        };
        let (principal, condition) = match &self.to {
            Grantee::Group(name, _) => (format!("principal in Group::{}", quoted(name)), None),
            Grantee::User(User::Principal(name, kind)) => {
                let kind = match kind {
                    PrincipalKind::User => "User",
                    PrincipalKind::ServicePrincipal => "ServicePrincipal",
                };
                (format!("principal == {kind}::{}", quoted(name)), None)
            }
            Grantee::User(User::Role(arn)) => (
                "principal is AwsIdentity".to_owned(),
                Some(format!(
                    "context has role_arn && context.role_arn == {}",
                    quoted(arn)
                )),
            ),
            Grantee::User(User::Path(path)) => (
                "principal".to_owned(),
                Some(format!("context.access_path == {}", quoted(path))),
            ),
        };
        // Writing to a String cannot fail.
        write!(
            text,
            "// {events}{by}, {} to {}\n@id({})\n@control(\"CC6.1, CC6.3\")\n@reason({})\npermit (\n  \
             {principal},\n  action {actions},\n  resource in Dataset::{}\n)",
            self.first,
            self.last,
            quoted(&self.id),
            quoted(&format!("seen on {}, reviewed by nobody yet", self.dataset)),
            quoted(&self.dataset),
        )
        .ok();
        if let Some(condition) = condition {
            write!(text, "\nwhen {{ {condition} }}").ok();
        }
        text.push_str(";\n");
        text
    }
}

/// A text as Cedar writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                write!(quoted, "\\u{{{:x}}}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
