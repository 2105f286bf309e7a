//! Decides: the answer of the policy to one access, with the rules that said no.
//!
//! INVARIANT (no answer is no allow): Cedar skips a rule that fails to evaluate,
//! which would turn a broken `forbid` into an allow. Any failure makes the
//! verdict `undetermined` and is listed like a violation.

use super::request::{Inputs, Question};
use super::rules::{DEFAULT_DENY, EVALUATION, RuleInfo};
use super::vocabulary::Vocabulary;
use crate::model::{Severity, Verdict, Violation};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision, EntityUid, PolicyId, PolicySet, Request,
};
use std::collections::HashMap;
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
    violations: HashMap<PolicyId, Violation>,
    default_deny: Violation,
}

/// What the policy says if the access was a certain principal's.
enum Answer {
    Allowed,
    Denied(Vec<Violation>),
    Failed(Vec<Violation>),
}

impl Judge {
    pub(super) fn new(set: PolicySet, rules: &[RuleInfo]) -> Judge {
        let violations = rules.iter().map(|rule| {
            let violation = Violation {
                rule: rule.id.clone(),
                severity: rule.severity,
                control: rule.control.clone(),
                reason: rule.reason.clone(),
            };
            (PolicyId::new(&rule.id), violation)
        });
        Judge {
            set,
            authorizer: Authorizer::new(),
            violations: violations.collect(),
            default_deny: Violation {
                rule: DEFAULT_DENY.into(),
                // No rule foresaw the access: it may be harmless or anything.
                severity: Severity::Medium,
                control: Some("CC6.1, CC6.3".into()),
                reason: "no `permit` of the policy allows this access".into(),
            },
        }
    }

    /// Judges an access as each of the principals it may be of; `None` for inputs
    /// means that the operation has no action.
    pub(super) fn judge(&self, inputs: Option<&Inputs<'_>>, vocabulary: &Vocabulary) -> Judgement {
        let Some(inputs) = inputs else {
            return undetermined(vec![failure("the operation has no action")]);
        };
        let question = match inputs.question(vocabulary) {
            Ok(question) => question,
            Err(fault) => return undetermined(vec![failure(&fault.to_string())]),
        };
        let (mut allowed, mut denied, mut failed) = (false, false, false);
        let mut violations = Vec::new();
        for principal in inputs.principals(vocabulary) {
            match self.ask(principal, &question) {
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
        let verdict = match (allowed, denied) {
            _ if failed => Verdict::Undetermined,
            (true, false) => Verdict::InPolicy,
            (false, true) => Verdict::OutOfPolicy,
            (true, true) | (false, false) => Verdict::Undetermined,
        };
        Judgement {
            verdict,
            violations: ordered(violations),
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
            .cloned()
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
        reason: Arc::from(format!("evaluation failed: {message}")),
    }
}

/// The most severe first, then by rule; what several candidates share, once.
fn ordered(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations
        .sort_by(|a, b| (b.severity, &a.rule, &a.reason).cmp(&(a.severity, &b.rule, &b.reason)));
    violations.dedup();
    violations
}
