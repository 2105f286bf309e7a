//! Decides: the answer of the policy to one access, with the rules that said no.
//!
//! INVARIANT (no answer is no allow): Cedar skips a rule that fails to evaluate,
//! which would turn a broken `forbid` into an allow. Any failure makes the
//! verdict `undetermined` and is listed like a violation.
//!
//! INVARIANT (nobody is judged late): that nobody is found for an access of Databricks
//! is held against it only once it is settled. Before, only rules count that do not ask
//! who it was; if none of them forbids it, the verdict is open.

use super::answers::{Answers, Slice};
use super::facts::Terms;
use super::mentions::{EntityType, Mentions};
use super::principals::Named;
use super::reason::DecidingFacts;
use super::request::{Inputs, Question};
use super::rules::{DEFAULT_DENY, EVALUATION, Effect, RuleInfo};
use super::scopes::Scope;
use super::vocabulary::Vocabulary;
use crate::model::{Severity, Verdict, Violation};
use cedar_policy::{AuthorizationError, Authorizer, Decision, PolicyId, PolicySet, Request};
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
    /// Of each rule, in their order: what its scope asks for.
    scopes: Vec<(PolicyId, Scope)>,
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
#[derive(Clone)]
pub(super) enum Answer {
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
        let scopes = rules.iter();
        let scopes = scopes.map(|rule| (PolicyId::new(&rule.id), Scope::of(rule, &groups)));
        Judge {
            set,
            scopes: scopes.collect(),
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
    /// means that the operation has no action. `kept` are answers that were given, and
    /// what the policy sees of all but the principal; without them all rules are asked.
    pub(super) fn judge(
        &self,
        inputs: Option<&Inputs<'_>>,
        terms: Terms<'_>,
        mut kept: Option<(&mut Answers, &[u8])>,
    ) -> Judgement {
        let Some(inputs) = inputs else {
            return undetermined(vec![failure("the operation has no action")]);
        };
        let mut question = None;
        let mut key = Vec::new();
        let (mut allowed, mut denied, mut failed) = (false, false, false);
        let mut violations = Vec::new();
        let facts = DecidingFacts::of(inputs, &self.groups, terms.mentions);
        for principal in inputs.principals() {
            let mut ask = |principal: Named<'_>, set: &PolicySet| {
                let question = question.get_or_insert_with(|| {
                    inputs.question(terms).map_err(|fault| fault.to_string())
                });
                match question {
                    Ok(question) => self.ask(principal, question, set, terms.vocabulary),
                    Err(fault) => Answer::Failed(vec![failure(fault)]),
                }
            };
            let answer = match &mut kept {
                None => ask(*principal, &self.set),
                Some((answers, seen)) => {
                    let (dataset, action) = inputs.about();
                    let about = (principal.of, dataset.map(str::to_owned), action.to_owned());
                    let slice = answers.slice(about, || self.slice(principal.of, dataset, action));
                    // Other groups change nothing of what these rules say.
                    let groups = principal.groups.iter().copied();
                    let groups: Vec<u32> = groups
                        .filter(|group| slice.groups.binary_search(group).is_ok())
                        .collect();
                    let principal = Named {
                        groups: &groups,
                        ..*principal
                    };
                    key.clear();
                    principal.write(&mut key);
                    key.extend_from_slice(seen);
                    answers.given(&key).unwrap_or_else(|| {
                        let answer = ask(principal, &slice.set);
                        answers.keep(&key, answer.clone());
                        answer
                    })
                }
            };
            match answer {
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

    /// Asks Cedar of some rules.
    fn ask(
        &self,
        principal: Named<'_>,
        question: &Question,
        set: &PolicySet,
        vocabulary: &Vocabulary,
    ) -> Answer {
        let (uid, entities) = match question.of(principal, vocabulary) {
            Ok(asked) => asked,
            Err(fault) => return Answer::Failed(vec![failure(&fault.to_string())]),
        };
        let request = Request::new(
            uid,
            question.action.clone(),
            question.resource.clone(),
            question.context.clone(),
            None,
        );
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::Failed(vec![failure(&error.to_string())]),
        };
        let response = self.authorizer.is_authorized(&request, set, &entities);
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

    /// The rules whose scopes may hold.
    fn slice(&self, principal: EntityType, dataset: Option<&str>, action: &str) -> Slice {
        let may_hold = |(_, scope): &&(PolicyId, Scope)| scope.may_hold(principal, dataset, action);
        let rules: Vec<&(PolicyId, Scope)> = self.scopes.iter().filter(may_hold).collect();
        let mut groups: Vec<u32> = rules
            .iter()
            .flat_map(|(_, scope)| scope.groups().iter().copied())
            .collect();
        groups.sort_unstable();
        groups.dedup();
        let rules = rules
            .iter()
            .filter_map(|(id, _)| self.set.policy(id).cloned());
        Slice {
            // Rules of a set have ids of their own.
            set: PolicySet::from_policies(rules).unwrap_or_else(|_| self.set.clone()),
            groups,
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
