//! Decides: the answer of the policy to one access, with the rules that said no.
//!
//! INVARIANT (no answer is no allow): Cedar skips a rule that fails to evaluate,
//! which would turn a broken `forbid` into an allow. Any failure makes the
//! verdict `undetermined` and is listed like a violation.
//!
//! INVARIANT (nobody is judged late): that nobody is found for an access of Databricks
//! is held against it only once it is settled. Before, only rules count that do not ask
//! who it was; if none of them forbids it, the verdict is open.

use super::facts::Terms;
use super::mentions::Mentions;
use super::reason::DecidingFacts;
use super::request::{Inputs, Question};
use super::rules::{DEFAULT_DENY, EVALUATION, Effect, RuleInfo};
use crate::model::{Severity, Verdict, Violation};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision, EntityUid, PolicyId, PolicySet, Request,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The verdict on an access, and why it is not `in_policy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The most severe first, then by rule.
    pub violations: Vec<Violation>,
}

/// Evaluates rules and words the answer.
pub(super) struct Judge {
    set: PolicySet,
    authorizer: Authorizer,
    /// What to say when a rule is violated, by its id.
    violations: HashMap<PolicyId, (Violation, Mentions)>,
    /// What permits look at, together.
    permits: Mentions,
    /// The groups that rules name.
    groups: Vec<String>,
    default_deny: Violation,
    /// What asks who it was: ids of rules, and default deny if a permit does.
    asking_who: HashSet<Arc<str>>,
}

/// What the policy says if the access was a certain principal's.
enum Answer {
    Allowed,
    Denied(Vec<Violation>),
    Failed(Vec<Violation>),
}

impl Judge {
    pub(super) fn new(set: PolicySet, rules: &[RuleInfo], groups: Vec<String>) -> Judge {
        let violations = rules.iter().map(|rule| {
            let violation = Violation {
                rule: rule.id.clone(),
                severity: rule.severity,
                control: rule.control.clone(),
                reason: rule.reason.clone(),
                exception: None,
            };
            (PolicyId::new(&rule.id), (violation, rule.mentions))
        });
        let permits = rules.iter().filter(|rule| rule.effect == Effect::Permit);
        let permits = permits.fold(Mentions::default(), |all, rule| all.and(rule.mentions));
        let asking = rules.iter().filter(|rule| rule.asks_who);
        let asking_who = asking.map(|rule| match rule.effect {
            Effect::Permit => DEFAULT_DENY.into(),
            Effect::Forbid => rule.id.clone(),
        });
        let asking_who = asking_who.collect();
        Judge {
            set,
            authorizer: Authorizer::new(),
            violations: violations.collect(),
            permits,
            groups,
            default_deny: Violation {
                rule: DEFAULT_DENY.into(),
                // No rule foresaw the access: it may be harmless or anything.
                severity: Severity::Medium,
                control: Some("CC6.1, CC6.3".into()),
                reason: "no `permit` of the policy allows this access".into(),
                exception: None,
            },
            asking_who,
        }
    }

    /// Judges an access as each of the principals it may be of; `None` for inputs
    /// means that the operation has no action.
    pub(super) fn judge(&self, inputs: Option<&Inputs<'_>>, terms: Terms<'_>) -> Judgement {
        let Some(inputs) = inputs else {
            return undetermined(vec![failure("the operation has no action")]);
        };
        let question = match inputs.question(terms) {
            Ok(question) => question,
            Err(fault) => return undetermined(vec![failure(&fault.to_string())]),
        };
        let (mut allowed, mut denied, mut failed) = (false, false, false);
        let mut violations = Vec::new();
        let facts = DecidingFacts::of(inputs, &self.groups, terms.mentions);
        for principal in &question.principals {
            match self.ask(principal.clone(), &question) {
                Answer::Allowed => allowed = true,
                Answer::Denied(reasons) => {
                    denied = true;
                    violations.extend(reasons);
                }
                Answer::Failed(reasons) => {
                    failed = true;
                    violations.extend(reasons);
                }
            }
        }
        if inputs.awaits_principal && denied {
            violations.retain(|violation| !self.asking_who.contains(&violation.rule));
            denied = !violations.is_empty();
        }
        let verdict = match (allowed, denied) {
            _ if failed || inputs.has_more_candidates => Verdict::Undetermined,
            (true, false) => Verdict::InPolicy,
            (false, true) => Verdict::OutOfPolicy,
            (true, true) | (false, false) => Verdict::Undetermined,
        };
        for violation in &mut violations {
            violation.reason = self.reason(violation, &facts);
        }
        Judgement {
            verdict,
            violations: ordered(violations),
        }
    }

    /// The reason with the facts that decided.
    fn reason(&self, violation: &Violation, facts: &DecidingFacts<'_>) -> Arc<str> {
        if *violation.rule == *DEFAULT_DENY {
            return facts.reason(&violation.reason, self.permits).into();
        }
        match self.violations.get(&PolicyId::new(&violation.rule)) {
            Some((rule, mentions)) if rule.reason == violation.reason => {
                facts.reason(&violation.reason, *mentions).into()
            }
            // A failure tells of itself.
            _ => violation.reason.clone(),
        }
    }

    fn ask(&self, principal: EntityUid, question: &Question) -> Answer {
        let request = Request::new(
            principal,
            question.action.clone(),
            question.resource.clone(),
            question.context.clone(),
            None,
        );
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::Failed(vec![failure(&error.to_string())]),
        };
        let response = self
            .authorizer
            .is_authorized(&request, &self.set, &question.entities);
        let diagnostics = response.diagnostics();
        let failures: Vec<Violation> = diagnostics
            .errors()
            .map(|error| self.failure_of(error))
            .collect();
        let mut violations: Vec<Violation> = match response.decision() {
            Decision::Allow => Vec::new(),
            // All rules that forbid; none if it is only that nothing permits.
            Decision::Deny => diagnostics.reason().map(|id| self.violation(id)).collect(),
        };
        if !failures.is_empty() {
            violations.extend(failures);
            return Answer::Failed(violations);
        }
        match response.decision() {
            Decision::Allow => Answer::Allowed,
            Decision::Deny if violations.is_empty() => {
                Answer::Denied(vec![self.default_deny.clone()])
            }
            Decision::Deny => Answer::Denied(violations),
        }
    }

    fn violation(&self, id: &PolicyId) -> Violation {
        self.violations
            .get(id)
            .map(|(violation, _)| violation.clone())
            .unwrap_or_else(|| Violation {
                rule: AsRef::<str>::as_ref(id).into(),
                ..failure("the rule is not known")
            })
    }

    fn failure_of(&self, error: &AuthorizationError) -> Violation {
        let AuthorizationError::PolicyEvaluationError(error) = error;
        Violation {
            reason: failure(&error.inner().to_string()).reason,
            ..self.violation(error.policy_id())
        }
    }
}

fn undetermined(violations: Vec<Violation>) -> Judgement {
    Judgement {
        verdict: Verdict::Undetermined,
        violations,
    }
}

/// A failure that is not known to be a certain rule's.
fn failure(message: &str) -> Violation {
    Violation {
        rule: EVALUATION.into(),
        severity: Severity::High,
        control: None,
        reason: Arc::from(format!("{}{message}", Violation::FAILED)),
        exception: None,
    }
}

/// The most severe first, then by rule; what several candidates share, once.
fn ordered(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations
        .sort_by(|a, b| (b.severity, &a.rule, &a.reason).cmp(&(a.severity, &b.rule, &b.reason)));
    violations.dedup();
    violations
}
