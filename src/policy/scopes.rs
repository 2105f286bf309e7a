//! Which rules can say anything of a request, by their scopes alone.
//!
//! Of hundreds of rules, each for a dataset and some actions, few are about one request;
//! the others need not be evaluated. A rule is left out only if its scope cannot hold:
//! for another type of principal, another dataset, another action, another group.
//! Conditions are Cedar's.
//!
//! INVARIANT (left out is false): Cedar would find the scope of a rule that is left out
//! false, and never look at its conditions; a test compares with all rules.

use super::mentions::EntityType;
use super::rules::RuleInfo;
use super::vocabulary::events_in;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What a rule's scope asks for, as far as it is looked at here; `None` asks nothing.
#[derive(Debug)]
pub(super) struct Scope {
    principal_type: Option<EntityType>,
    dataset: Option<String>,
    /// Names of actions.
    actions: Option<BTreeSet<String>>,
    /// Place of the group that a principal must be in.
    group: Option<u32>,
    /// Places of the groups that the rule names anywhere, among those of all rules.
    groups: Vec<u32>,
}

impl Scope {
    /// `groups` are those that rules name, sorted.
    pub(super) fn of(rule: &RuleInfo, groups: &[String]) -> Scope {
        let place_of = |group: &str| {
            let place = groups.binary_search_by(|known| known.as_str().cmp(group));
            u32::try_from(place.ok()?).ok()
        };
        let named_groups = rule.groups.iter();
        let scope = |variable: &str| rule.json.get(variable);
        let principal = scope("principal");
        let is_of = principal.filter(|scope| op(scope) == Some("is"));
        let principal_type = is_of
            .and_then(|scope| scope.get("entity_type")?.as_str())
            .and_then(|name| EntityType::ALL.iter().find(|of| of.as_str() == name));
        let resource = scope("resource").filter(|scope| op(scope) == Some("in"));
        let dataset = resource
            .and_then(|scope| scope.get("entity"))
            .and_then(|entity| named(entity, "Dataset"));
        Scope {
            principal_type: principal_type.copied(),
            dataset: dataset.map(str::to_owned),
            actions: scope("action").and_then(actions),
            group: principal.and_then(group).and_then(place_of),
            groups: named_groups.filter_map(|group| place_of(group)).collect(),
        }
    }

    /// Those of some groups that the rule names anywhere: others change nothing of what
    /// it says.
    pub(super) fn named_of(&self, groups: &[u32]) -> Vec<u32> {
        let groups = groups.iter().copied();
        let named = groups.filter(|group| self.groups.binary_search(group).is_ok());
        named.collect()
    }

    /// Whether the scope may hold for a principal in these groups, sorted.
    pub(super) fn may_hold_in(&self, groups: &[u32]) -> bool {
        self.group
            .is_none_or(|group| groups.binary_search(&group).is_ok())
    }

    /// Whether the scope may hold, groups aside.
    pub(super) fn may_hold(
        &self,
        principal: EntityType,
        dataset: Option<&str>,
        action: &str,
    ) -> bool {
        self.principal_type.is_none_or(|of| of == principal)
            && self
                .dataset
                .as_deref()
                .is_none_or(|name| dataset == Some(name))
            && self
                .actions
                .as_ref()
                .is_none_or(|names| names.contains(action))
    }
}

pub(super) fn op(scope: &Json) -> Option<&str> {
    scope.get("op")?.as_str()
}

/// The group that a principal's scope asks for: of `in`, or of `is … in`.
fn group(principal: &Json) -> Option<&str> {
    let entity = match op(principal)? {
        "in" => principal.get("entity")?,
        "is" => principal.get("in")?.get("entity")?,
        _ => return None,
    };
    named(entity, "Group")
}

/// The name of an entity, if it is of that type.
fn named<'j>(entity: &'j Json, of: &str) -> Option<&'j str> {
    (entity.get("type")?.as_str()? == of).then_some(entity.get("id")?.as_str()?)
}

/// The names of the actions that an action scope holds: events, those of groups, and
/// the groups themselves, for events that have no action of their own. `None` for all.
pub(super) fn actions(scope: &Json) -> Option<BTreeSet<String>> {
    let one = scope.get("entity").into_iter();
    let many = scope.get("entities").and_then(Json::as_array);
    let names = one.chain(many.into_iter().flatten());
    let names: Vec<&str> = names
        .filter_map(|entity| entity.get("id").and_then(Json::as_str))
        .collect();
    let mut held: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    match op(scope)? {
        "==" => {}
        "in" => {
            let of_groups = names.iter().flat_map(|name| events_in(name));
            held.extend(of_groups.map(str::to_owned));
        }
        _ => return None,
    }
    Some(held)
}
