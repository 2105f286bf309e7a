//! The slow, obvious twin of `judge`: Cedar is given all rules and everything that is
//! known of an access, and asked once for each principal.

use crate::model::{Verdict, Violation};
use crate::policy::facts::{Facts, Terms};
use crate::policy::judge::{Judgement, default_deny, failure, ordered};
use crate::policy::mentions::Mentions;
use crate::policy::reason::DecidingFacts;
use crate::policy::rules::{DEFAULT_DENY, Effect, RuleInfo};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Policy as CedarPolicy, PolicyId, PolicySet, Request,
};

/// `groups` are those that rules name.
pub(in crate::policy) fn judge(
    rules: &[RuleInfo],
    groups: &[String],
    facts: &Facts<'_>,
    terms: Terms<'_>,
) -> Judgement {
    let cedar = rules.iter().map(|rule| {
        let json = (*rule.json).clone();
        CedarPolicy::from_json(Some(PolicyId::new(&rule.id)), json).expect("a rule")
    });
    let set = PolicySet::from_policies(cedar).expect("rules of different names");
    let inputs = facts.inputs(terms).expect("every operation has an action");
    let deciding = DecidingFacts::of(&inputs, groups, terms.mentions);
    let rule_of = |id: &PolicyId| {
        let id: &str = id.as_ref();
        rules.iter().find(|rule| &*rule.id == id).expect("a rule")
    };
    let violation = |rule: &RuleInfo, reason: String| Violation {
        rule: rule.id.clone(),
        severity: rule.severity,
        control: rule.control.clone(),
        reason: reason.into(),
        exception: None,
    };
    let permits = || rules.iter().filter(|rule| rule.effect == Effect::Permit);
    let mut violations: Vec<(Violation, bool)> = Vec::new();
    let (mut allowed, mut failed) = (false, false);
    let question = inputs.question(terms).expect("a request");
    for principal in inputs.principals() {
        let (uid, entities) = question.of(*principal, terms.vocabulary).expect("entities");
        let request = Request::new(
            uid,
            question.action.clone(),
            question.resource.clone(),
            question.context.clone(),
            None,
        );
        let request = request.expect("a request");
        let response = Authorizer::new().is_authorized(&request, &set, &entities);
        let mut has_failed = false;
        for error in response.diagnostics().errors() {
            let AuthorizationError::PolicyEvaluationError(error) = error;
            let message = failure(&error.inner().to_string()).reason.to_string();
            violations.push((violation(rule_of(error.policy_id()), message), false));
            has_failed = true;
        }
        failed |= has_failed;
        match response.decision() {
            Decision::Allow => {
                let mut permitting = response.diagnostics().reason().map(rule_of);
                let certain = permitting.any(|rule| !rule.asks_who)
                    && !rules
                        .iter()
                        .any(|rule| rule.effect == Effect::Forbid && rule.asks_who);
                allowed |= !has_failed && (certain || !inputs.awaits_principal);
            }
            Decision::Deny => {
                let mut forbidding = response.diagnostics().reason().map(rule_of).peekable();
                if forbidding.peek().is_none() && !has_failed {
                    let asks_who = permits().any(|rule| rule.asks_who);
                    let seen = permits().fold(Mentions::default(), |a, b| a.and(b.mentions));
                    let reason = deciding.reason(&default_deny().reason, seen).into();
                    let default_deny = Violation {
                        reason,
                        ..default_deny()
                    };
                    assert_eq!(&*default_deny.rule, DEFAULT_DENY);
                    violations.push((default_deny, asks_who));
                }
                for rule in forbidding {
                    let reason = deciding.reason(&rule.reason, rule.mentions);
                    violations.push((violation(rule, reason), rule.asks_who));
                }
            }
        }
    }
    if inputs.awaits_principal {
        violations.retain(|(_, asks_who)| !asks_who);
    }
    let violations = violations.into_iter().map(|(violation, _)| violation);
    let violations: Vec<Violation> = violations.collect();
    let denied = violations.iter().any(|violation| !violation.is_failure());
    let verdict = match (allowed, denied) {
        _ if failed || inputs.has_more_candidates => Verdict::Undetermined,
        (true, false) => Verdict::InPolicy,
        (false, true) => Verdict::OutOfPolicy,
        (true, true) | (false, false) => Verdict::Undetermined,
    };
    Judgement {
        verdict,
        violations: ordered(violations),
    }
}
