//! Decides: the answer of the policy to one access, with the rules that said no.
//!
//! Cedar's rules know nothing of each other: an access is allowed if a `permit` holds and
//! no `forbid` does. So each rule is asked by itself, of nothing but what it mentions,
//! and what it says is kept: of hundreds of rules on an access nearly all were asked
//! before in the same circumstances, however new the access is as a whole.
//!
//! INVARIANT (as Cedar says it): the verdict is that of Cedar's authorizer on all rules
//! at once, with everything known; a test compares the two.
//!
//! INVARIANT (no answer is no allow): Cedar skips a rule that fails to evaluate,
//! which would turn a broken `forbid` into an allow. Any failure makes the
//! verdict `undetermined` and is listed like a violation.
//!
//! INVARIANT (nobody is judged late): that nobody is found for an access of Databricks
//! is held against it only once it is settled, and for it neither. Before, only rules
//! count that do not ask who it was; if none of them forbids it, and the policy has others
//! that could decide, the verdict is open.

use super::answers::{Answers, Said};
use super::facts::{Facts, Terms};
use super::mentions::{EntityType, Mentions};
use super::principals::Named;
use super::reason::DecidingFacts;
use super::request::Fault;
use super::rules::{DEFAULT_DENY, EVALUATION, Effect, RuleInfo};
use super::scopes::Scope;
use crate::model::{Severity, Verdict, Violation};
use cedar_policy::{AuthorizationError, Authorizer, PolicyId, PolicySet, Request};
use std::cell::OnceCell;
use std::sync::Arc;

/// The verdict on an access, and why it is not `in_policy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: Verdict,
    /// The most severe first, then by rule.
    pub violations: Vec<Violation>,
}

/// Asks rules and words the answer.
pub(super) struct Judge {
    /// In the order of the policy.
    rules: Vec<AskedRule>,
    authorizer: Authorizer,
    default_deny: Violation,
    /// What permits look at, together.
    permits: Mentions,
    /// A permit asks who it was; a forbid does.
    permits_ask_who: bool,
    forbids_ask_who: bool,
    /// The groups that rules name.
    groups: Vec<String>,
}

/// A rule as it is asked.
struct AskedRule {
    /// The rule alone; without it nothing can be said.
    set: Option<PolicySet>,
    scope: Scope,
    mentions: Mentions,
    effect: Effect,
    asks_who: bool,
    /// What to say when it is violated, but for the facts.
    violation: Violation,
}

/// What the rules say if the access was a certain principal's.
#[derive(Default)]
struct Answer {
    is_permitted: bool,
    /// By a permit that does not ask who it was.
    is_permitted_to_anybody: bool,
    is_forbidden: bool,
    has_failed: bool,
}

impl Judge {
    /// `groups` are those that rules name, sorted.
    pub(super) fn new(set: &PolicySet, rules: &[RuleInfo], groups: Vec<String>) -> Judge {
        let asked = rules.iter().map(|rule| {
            let policy = set.policy(&PolicyId::new(&rule.id)).cloned();
            AskedRule {
                set: policy.and_then(|policy| PolicySet::from_policies([policy]).ok()),
                scope: Scope::of(rule, &groups),
                mentions: rule.mentions,
                effect: rule.effect,
                asks_who: rule.asks_who,
                violation: Violation {
                    rule: rule.id.clone(),
                    severity: rule.severity,
                    control: rule.control.clone(),
                    reason: rule.reason.clone(),
                    exception: None,
                },
            }
        });
        let forbids = rules.iter().filter(|rule| rule.effect == Effect::Forbid);
        let permits = rules.iter().filter(|rule| rule.effect == Effect::Permit);
        let permits: Vec<&RuleInfo> = permits.collect();
        Judge {
            rules: asked.collect(),
            authorizer: Authorizer::new(),
            default_deny: default_deny(),
            permits_ask_who: permits.iter().any(|rule| rule.asks_who),
            forbids_ask_who: forbids.into_iter().any(|rule| rule.asks_who),
            permits: permits
                .iter()
                .fold(Mentions::default(), |all, rule| all.and(rule.mentions)),
            groups,
        }
    }

    /// Judges an access as each of the principals it may be of; `answers` are those that
    /// these rules gave before.
    pub(super) fn judge(
        &self,
        facts: &Facts<'_>,
        terms: Terms<'_>,
        answers: &mut Answers,
    ) -> Judgement {
        let Some(inputs) = facts.inputs(terms) else {
            return Judgement {
                verdict: Verdict::Undetermined,
                violations: vec![failure("the operation has no action")],
            };
        };
        let deciding = OnceCell::new();
        let reason = |violation: &Violation, mentions: Mentions| {
            let deciding =
                deciding.get_or_init(|| DecidingFacts::of(&inputs, &self.groups, terms.mentions));
            Violation {
                reason: deciding.reason(&violation.reason, mentions).into(),
                ..violation.clone()
            }
        };
        let (dataset, action) = inputs.about();
        let mut views = Views::default();
        let (mut allowed, mut denied, mut failed) = (false, false, false);
        let mut violations = Vec::new();
        for principal in inputs.principals() {
            let about = (principal.of, dataset.map(str::to_owned), action.to_owned());
            let rules = answers.about(about, || self.about(principal.of, dataset, action));
            let mut answer = Answer::default();
            for number in &*rules {
                let Some(rule) = self.rules.get(*number) else {
                    continue;
                };
                if !rule.scope.may_hold_in(principal.groups) {
                    continue;
                }
                let terms = Terms {
                    mentions: rule.mentions,
                    ..terms
                };
                match self.said(
                    *number,
                    rule,
                    *principal,
                    (facts, terms),
                    &mut views,
                    answers,
                ) {
                    Said::DoesNotHold => {}
                    Said::Holds if rule.effect == Effect::Permit => {
                        answer.is_permitted = true;
                        answer.is_permitted_to_anybody |= !rule.asks_who;
                    }
                    Said::Holds => {
                        answer.is_forbidden = true;
                        // Who it was may turn out yet.
                        if !(inputs.awaits_principal && rule.asks_who) {
                            denied = true;
                            violations.push(reason(&rule.violation, rule.mentions));
                        }
                    }
                    Said::Failed(message) => {
                        answer.has_failed = true;
                        violations.push(Violation {
                            reason: message,
                            ..rule.violation.clone()
                        });
                    }
                }
            }
            failed |= answer.has_failed;
            if answer.has_failed || answer.is_forbidden {
                continue;
            }
            if answer.is_permitted {
                // Whoever it turns out to be.
                let for_good = answer.is_permitted_to_anybody && !self.forbids_ask_who;
                allowed |= for_good || !inputs.awaits_principal;
            } else if !(inputs.awaits_principal && self.permits_ask_who) {
                denied = true;
                violations.push(reason(&self.default_deny, self.permits));
            }
        }
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

    /// The rules whose scopes may hold, but for the groups in them.
    fn about(&self, principal: EntityType, dataset: Option<&str>, action: &str) -> Vec<usize> {
        let rules = self.rules.iter().enumerate();
        let rules = rules.filter(|(_, rule)| rule.scope.may_hold(principal, dataset, action));
        rules.map(|(number, _)| number).collect()
    }

    /// What a rule says of a principal in these circumstances.
    fn said(
        &self,
        number: usize,
        rule: &AskedRule,
        principal: Named<'_>,
        (facts, terms): (&Facts<'_>, Terms<'_>),
        views: &mut Views,
        answers: &mut Answers,
    ) -> Said {
        let groups = rule.scope.named_of(principal.groups);
        let principal = principal.seen_by(rule.mentions, &groups);
        let key = &mut views.key;
        key.clear();
        key.extend(number.to_be_bytes());
        principal.write(key);
        key.extend(view(&mut views.written, facts, terms));
        if let Some(said) = answers.given(key) {
            return said;
        }
        let said = self
            .ask(rule, principal, facts, terms)
            .unwrap_or_else(|fault| Said::Failed(failure(&fault.to_string()).reason));
        answers.keep(key, said.clone());
        said
    }

    /// Asks Cedar of one rule.
    fn ask(
        &self,
        rule: &AskedRule,
        principal: Named<'_>,
        facts: &Facts<'_>,
        terms: Terms<'_>,
    ) -> Result<Said, Fault> {
        let set = rule.set.as_ref().ok_or("the rule is not there")?;
        let inputs = facts.inputs(terms).ok_or("the operation has no action")?;
        let question = inputs.question(terms)?;
        let (uid, entities) = question.of(principal, terms.vocabulary)?;
        let request = Request::new(
            uid,
            question.action,
            question.resource,
            question.context,
            None,
        )?;
        let response = self.authorizer.is_authorized(&request, set, &entities);
        let diagnostics = response.diagnostics();
        if let Some(AuthorizationError::PolicyEvaluationError(error)) = diagnostics.errors().next()
        {
            return Err(error.inner().to_string().into());
        }
        // The rule that decided can only be this one.
        Ok(match diagnostics.reason().next() {
            Some(_) => Said::Holds,
            None => Said::DoesNotHold,
        })
    }
}

/// What the rules can tell of one access but for its principal, written once for all
/// that mention the same.
#[derive(Default)]
struct Views {
    written: Vec<(Mentions, Vec<u8>)>,
    /// The key of an answer; kept for its memory.
    key: Vec<u8>,
}

fn view<'v>(
    written: &'v mut Vec<(Mentions, Vec<u8>)>,
    facts: &Facts<'_>,
    terms: Terms<'_>,
) -> &'v [u8] {
    let known = written.iter();
    let known = known.take_while(|(mentions, _)| *mentions != terms.mentions);
    let place = known.count();
    if place == written.len() {
        let mut bytes = Vec::with_capacity(256);
        facts.write_where(terms, &mut bytes);
        facts.write_request(terms, &mut bytes);
        written.push((terms.mentions, bytes));
    }
    written.get(place).map_or(&[], |(_, bytes)| bytes)
}

/// The violation where no rule permits.
pub(super) fn default_deny() -> Violation {
    Violation {
        rule: DEFAULT_DENY.into(),
        // No rule foresaw the access: it may be harmless or anything.
        severity: Severity::Medium,
        control: Some("CC6.1, CC6.3".into()),
        reason: "no `permit` of the policy allows this access".into(),
        exception: None,
    }
}

/// A failure that is not known to be a certain rule's.
pub(super) fn failure(message: &str) -> Violation {
    Violation {
        rule: EVALUATION.into(),
        severity: Severity::High,
        control: None,
        reason: Arc::from(format!("{}{message}", Violation::FAILED)),
        exception: None,
    }
}

/// The most severe first, then by rule; what several candidates share, once.
pub(super) fn ordered(mut violations: Vec<Violation>) -> Vec<Violation> {
    violations
        .sort_by(|a, b| (b.severity, &a.rule, &a.reason).cmp(&(a.severity, &b.rule, &b.reason)));
    violations.dedup();
    violations
}
