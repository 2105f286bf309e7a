//! Decides each access of a batch: who it was, and whether it was allowed.
//!
//! The decisions themselves are the pure functions of `identity` and `policy`;
//! here they are made once for each distinct combination of what they depend
//! on, in two steps. Distinct combinations of inputs, known by their numbers, are
//! thousands in an hour, since every session has a name of its own; what the rules
//! can tell of them, as `Policy::visible_who` and `Policy::visible_request` write it,
//! takes far fewer forms.
//! Only for a new one of these is Cedar asked, which costs as much as 500 rows.
//! Within one log the numbers need not even be looked up: what its accesses have
//! in common is known by smaller numbers of its own.
//!
//! What is signed in a URL is attributed by the time of its signature, and each anew.
//!
//! INVARIANT (same answer): a decision is reused only for an access that is
//! equal in everything `attribute_within` and `Policy::judge` name as inputs, and
//! a judgement only for one that looks the same to the policy;
//! a test compares with deciding each access anew.

use crate::identity::{Answer, IdentityIndex, Memberships, Place, attribute_within, credential};
use crate::lake::chunks::Parts;
use crate::model::{
    AccessEvent, Attribution, Client, Credential, Outcome, Principal, Target, TimeSpan, UtcMicros,
    Workload,
};
use crate::policy::{
    AccessFacts, Answers, Judgement, Moment, Policy, session_age_hours, session_age_span,
};
use crate::trail::AccessLog;
use crate::trail::access_log::GroupIds;
use hashbrown::HashMap;
use indexmap::IndexSet;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

type FastSet<T> = IndexSet<T, foldhash::fast::FixedState>;
type FastMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// Distinct values kept before everything is forgotten and learned anew.
///
/// Some 40 MB; an hour of a large trail stays below.
const DISTINCT_MAX: usize = 40_000;

/// A decision, shared by every access it was made for.
pub struct Decision {
    /// Numbers of what it was made for: equal numbers of one batch, equal parts.
    pub parts: Parts,
    pub credential: Credential,
    pub attribution: Arc<Attribution>,
    pub judgement: Arc<Judgement>,
    pub dataset: Option<u32>,
}

/// What an attribution depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct WhoKey {
    principal: u32,
    client: u32,
    target: u32,
    presigned: bool,
}

/// What was asked for and how AWS answered, by the numbers of the names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct RequestKey {
    event_name: u32,
    sse: u32,
    kms_key_arn: u32,
    outcome: Outcome,
    presigned: bool,
}

/// What a judgement depends on, beside what the policy reads of single events.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct MayKey {
    who: WhoKey,
    attribution: u32,
    event_name: u32,
    sse: u32,
    kms_key_arn: u32,
    outcome: Outcome,
    dataset: Option<u32>,
    session_age_hours: Option<u32>,
    workload: u32,
    moment: Moment,
    settled: bool,
    /// Number of the distinct tuple of the per-event inputs that are read.
    read: u32,
}

/// What that depends on which a policy sees of the one who asks.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct SeenKey {
    who: WhoKey,
    attribution: u32,
    dataset: Option<u32>,
    workload: u32,
}

/// Makes and remembers decisions under one policy.
pub struct Decider {
    policy: Arc<Policy>,
    principals: FastSet<Principal>,
    clients: FastSet<Client>,
    targets: FastSet<Target>,
    names: FastSet<String>,
    read: FastSet<[Option<String>; 5]>,
    attributions: FastSet<Arc<Attribution>>,
    workloads: FastSet<Workload>,
    requests: FastSet<RequestKey>,
    may: FastMap<MayKey, u32>,
    decisions: Vec<Decision>,
    /// What the policy can see of those who ask, and the number of it for each that
    /// was seen before.
    seen: FastSet<Vec<u8>>,
    seen_of: FastMap<SeenKey, u32>,
    /// Judgements by the number of that and what the policy can see of the request.
    judgements: FastMap<Vec<u8>, (u32, Arc<Judgement>)>,
    /// What the policy said of single principals.
    answers: Answers,
    /// What it sees of the access at hand; kept for its memory.
    visible: Vec<u8>,
    /// Rules that failed to evaluate: each is warned of once.
    warned: HashSet<Arc<str>>,
    /// Attributions of the batch at hand.
    who: FastMap<WhoKey, Known>,
    /// Workloads of the batch at hand, by the numbers of their attributions.
    workload_of: FastMap<u32, Vec<(TimeSpan, u32)>>,
    memberships: Memberships,
    /// Decisions of the log at hand, and those of one place.
    of_log: FastMap<LogKey, OfLog>,
    of_place: FastMap<(LogKey, Place), Lasting>,
}

/// A decision, and the times it holds for.
#[derive(Clone, Copy)]
struct Lasting {
    span: TimeSpan,
    decision: u32,
}

/// What is known of the accesses of a log with one key.
#[derive(Clone, Copy)]
enum OfLog {
    Anywhere(Lasting),
    /// Their decisions depend on the place, too.
    ByPlace,
}

/// What a decision of one access holds for.
struct Reach {
    span: TimeSpan,
    /// `None`: wherever the object lies.
    place: Option<Place>,
}

/// What tells the accesses of one log apart for a decision, beside their times:
/// most of a log share a few of these with those right before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct LogKey {
    groups: GroupIds,
    presigned: bool,
    outcome: Outcome,
    dataset: Option<u32>,
}

/// Numbers of a log's groups among all distinct ones.
struct Numbers {
    principals: Vec<u32>,
    clients: Vec<u32>,
    targets: Vec<u32>,
    names: Vec<u32>,
    /// Whether any dataset lies in the bucket of each target.
    have_datasets: Vec<bool>,
}

impl Numbers {
    fn of(log: &AccessLog, decider: &mut Decider) -> Numbers {
        let policy = &decider.policy;
        let has_datasets = |target: &Target| {
            let bucket = target.bucket.as_deref();
            bucket.is_some_and(|bucket| policy.has_datasets(bucket))
        };
        Numbers {
            have_datasets: log.targets().map(has_datasets).collect(),
            principals: log
                .principals()
                .map(|p| number(&mut decider.principals, p))
                .collect(),
            clients: log
                .clients()
                .map(|c| number(&mut decider.clients, c))
                .collect(),
            targets: log
                .targets()
                .map(|t| number(&mut decider.targets, t))
                .collect(),
            names: log.names().map(|n| number(&mut decider.names, n)).collect(),
        }
    }
}

const NONE: u32 = u32::MAX;

fn number<T: Hash + Eq + Clone>(set: &mut FastSet<T>, value: &T) -> u32 {
    let index = match set.get_index_of(value) {
        Some(index) => index,
        None => set.insert_full(value.clone()).0,
    };
    u32::try_from(index).unwrap_or(NONE)
}

/// Most attributions of new sessions are new: one is shared only once it is kept.
fn number_of_attribution(set: &mut FastSet<Arc<Attribution>>, attribution: Attribution) -> u32 {
    let index = match set.get_index_of(&attribution) {
        Some(index) => index,
        None => set.insert_full(Arc::new(attribution)).0,
    };
    u32::try_from(index).unwrap_or(NONE)
}

fn pick(numbers: &[u32], local: u32) -> u32 {
    numbers.get(local as usize).copied().unwrap_or(NONE)
}

/// The decisions of one batch: attributions hold for its identity index only.
pub struct BatchDecider<'d> {
    decider: &'d mut Decider,
    index: &'d IdentityIndex,
    settled_until: UtcMicros,
}

/// The attributions made of accesses alike, each with the times it holds for: those
/// that hold wherever the object lies, and those of one place.
#[derive(Default)]
struct Known {
    /// The first that was made holds for most of the batch.
    first: Option<(TimeSpan, u32)>,
    anywhere: Vec<(TimeSpan, u32)>,
    by_place: FastMap<Place, Vec<(TimeSpan, u32)>>,
}

impl Known {
    /// Finds one that holds, and for what it does; the place is looked up only if it
    /// matters.
    fn find(&self, at: UtcMicros, place: impl FnOnce() -> Place) -> Option<(u32, Reach)> {
        let holds = |(span, _): &&(TimeSpan, u32)| span.contains(at);
        let mut anywhere = self.first.iter().chain(&self.anywhere);
        if let Some((span, number)) = anywhere.find(holds) {
            let reach = Reach {
                span: *span,
                place: None,
            };
            return Some((*number, reach));
        }
        if self.by_place.is_empty() {
            return None;
        }
        let place = place();
        let (span, number) = self.by_place.get(&place)?.iter().find(holds)?;
        let reach = Reach {
            span: *span,
            place: Some(place),
        };
        Some((*number, reach))
    }
}

impl Decider {
    pub fn new(policy: Arc<Policy>) -> Decider {
        Decider {
            policy,
            principals: FastSet::default(),
            clients: FastSet::default(),
            targets: FastSet::default(),
            names: FastSet::default(),
            read: FastSet::default(),
            attributions: FastSet::default(),
            workloads: FastSet::default(),
            requests: FastSet::default(),
            may: FastMap::default(),
            decisions: Vec::new(),
            seen: FastSet::default(),
            seen_of: FastMap::default(),
            judgements: FastMap::default(),
            answers: Answers::default(),
            visible: Vec::new(),
            warned: HashSet::new(),
            who: FastMap::default(),
            workload_of: FastMap::default(),
            memberships: Memberships::default(),
            of_log: FastMap::default(),
            of_place: FastMap::default(),
        }
    }

    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Forgets decisions and what they were made for. What the policy said stays: it
    /// has no more forms than rules can tell apart, and costs most.
    fn forget(&mut self) {
        let fresh = Decider::new(self.policy.clone());
        let before = std::mem::replace(self, fresh);
        self.warned = before.warned;
        self.answers = before.answers;
        // Less than half, or there would be as much again at once.
        if before.memberships.count() <= DISTINCT_MAX / 4 {
            self.memberships = before.memberships;
        }
        if before.seen.len() + before.judgements.len() <= DISTINCT_MAX / 2 {
            self.seen = before.seen;
            self.judgements = before.judgements;
        }
    }

    /// The decision of that number.
    pub fn decision(&self, number: u32) -> Option<&Decision> {
        self.decisions.get(number as usize)
    }

    /// How many there are; they are numbered from 0.
    pub fn decisions(&self) -> usize {
        self.decisions.len()
    }

    /// Begins a batch with what is known of identities by now; accesses up to
    /// `settled_until` are judged as settled.
    pub fn batch<'d>(
        &'d mut self,
        index: &'d IdentityIndex,
        settled_until: UtcMicros,
    ) -> BatchDecider<'d> {
        let distinct = self.principals.len()
            + self.clients.len()
            + self.targets.len()
            + self.names.len()
            + self.read.len()
            + self.attributions.len()
            + self.workloads.len()
            + self.memberships.count()
            + self.decisions.len();
        if distinct > DISTINCT_MAX {
            self.forget();
        }
        // What another index said holds no longer; the room is used again.
        self.who.clear();
        self.workload_of.clear();
        BatchDecider {
            decider: self,
            index,
            settled_until,
        }
    }
}

impl BatchDecider<'_> {
    /// Decides every access of a log, in order; `show` gets the place of each
    /// and the number of its decision.
    pub fn decide(&mut self, log: &AccessLog, mut show: impl FnMut(usize, u32)) {
        let numbers = Numbers::of(log, self.decider);
        self.decider.of_log.clear();
        self.decider.of_place.clear();
        for place in 0..log.len() {
            let (Some(groups), Some(at), Some((presigned, outcome))) =
                (log.groups(place), log.event_time(place), log.how(place))
            else {
                continue;
            };
            let key = LogKey {
                groups,
                presigned,
                outcome,
                dataset: self.dataset(log, place, groups, &numbers),
            };
            // Each signature may be that of another query.
            let is_signed = presigned && log.signed_at(place).is_some();
            let known = match is_signed {
                true => None,
                false => self.known(log, place, key, at),
            };
            if let Some(decision) = known {
                show(place, decision);
            } else if let Some(access) = log.get(place) {
                let (decision, reach) = self.decide_one(&access, key, &numbers);
                if let Some(reach) = reach.filter(|_| !is_signed) {
                    self.note(key, decision, reach);
                }
                show(place, decision);
            }
        }
    }

    /// The decision of an earlier access of the log, if it holds for this one.
    fn known(&self, log: &AccessLog, place: usize, key: LogKey, at: UtcMicros) -> Option<u32> {
        let lasting = match self.decider.of_log.get(&key)? {
            OfLog::Anywhere(lasting) => lasting,
            OfLog::ByPlace => {
                let lies_at = self.index.place_of(&log.asked(place)?);
                self.decider.of_place.get(&(key, lies_at))?
            }
        };
        lasting.span.contains(at).then_some(lasting.decision)
    }

    fn note(&mut self, key: LogKey, decision: u32, Reach { span, place }: Reach) {
        let lasting = Lasting { span, decision };
        let of_log = match place {
            None => OfLog::Anywhere(lasting),
            Some(place) => {
                self.decider.of_place.insert((key, place), lasting);
                OfLog::ByPlace
            }
        };
        self.decider.of_log.insert(key, of_log);
    }

    fn dataset(
        &self,
        log: &AccessLog,
        place: usize,
        groups: GroupIds,
        numbers: &Numbers,
    ) -> Option<u32> {
        // A group that is not numbered is looked up like one with datasets.
        if numbers.have_datasets.get(groups.target as usize) == Some(&false) {
            return None;
        }
        let asked = log.asked(place)?;
        let location = asked.object_key.or(asked.list_prefix);
        self.decider.policy.dataset_of(asked.bucket, location)
    }

    /// Decides an access, and tells for which others of the log with that key the
    /// decision holds; `None` if something else enters it.
    fn decide_one(
        &mut self,
        access: &AccessEvent<'_>,
        log_key: LogKey,
        numbers: &Numbers,
    ) -> (u32, Option<Reach>) {
        let groups = log_key.groups;
        let who = WhoKey {
            principal: pick(&numbers.principals, groups.principal),
            client: pick(&numbers.clients, groups.client),
            target: pick(&numbers.targets, groups.target),
            presigned: access.presigned,
        };
        let (attribution, mut reach) = self.attribution(access, who);
        reach.span = reach.span.intersect(session_age_span(access));
        let at = access.event_time;
        let (workload, span) = self.workload(attribution, at);
        reach.span = reach.span.intersect(span);
        let (moment, span) = self.decider.policy.moment(at);
        reach.span = reach.span.intersect(span);
        let settled = at <= self.settled_until;
        reach.span = reach.span.intersect(self.settled_span(settled));
        let key = MayKey {
            who,
            attribution,
            event_name: pick(&numbers.names, groups.event_name),
            sse: pick(&numbers.names, groups.sse),
            kms_key_arn: pick(&numbers.names, groups.kms_key_arn),
            outcome: access.outcome,
            dataset: log_key.dataset,
            session_age_hours: session_age_hours(access),
            workload,
            moment,
            settled,
            read: self.read_inputs(access),
        };
        let reach = (key.read == NONE).then_some(reach);
        if let Some(number) = self.decider.may.get(&key) {
            return (*number, reach);
        }
        let number = self.judge(access, &key);
        self.decider.may.insert(key, number);
        (number, reach)
    }

    /// The number of the attribution, and for which accesses of the same [`WhoKey`]
    /// it holds.
    fn attribution(&mut self, access: &AccessEvent<'_>, who: WhoKey) -> (u32, Reach) {
        let at: UtcMicros = access.event_time;
        let index = self.index;
        if access.signed_at.is_some() {
            let answer = attribute_within(access, index);
            let number = number_of_attribution(&mut self.decider.attributions, answer.attribution);
            let reach = Reach {
                span: answer.span,
                place: answer.place,
            };
            return (number, reach);
        }
        let Decider {
            who: by_who,
            attributions,
            ..
        } = &mut *self.decider;
        let known = by_who.entry(who).or_default();
        if let Some(found) = known.find(at, || index.place_of(&access.asked())) {
            return found;
        }
        let Answer {
            attribution,
            span,
            place,
        } = attribute_within(access, index);
        let number = number_of_attribution(attributions, attribution);
        match (place, &known.first) {
            (Some(place), _) => known
                .by_place
                .entry(place)
                .or_default()
                .push((span, number)),
            (None, None) => known.first = Some((span, number)),
            (None, Some(_)) => known.anywhere.push((span, number)),
        }
        (number, Reach { span, place })
    }

    /// The times of accesses that are settled, or that are not.
    fn settled_span(&self, settled: bool) -> TimeSpan {
        match settled {
            true => TimeSpan {
                until: self.settled_until,
                ..TimeSpan::ALWAYS
            },
            false => TimeSpan {
                from: UtcMicros(self.settled_until.0.saturating_add(1)),
                ..TimeSpan::ALWAYS
            },
        }
    }

    /// The number of what the policy asks of the workload, and for which times it holds.
    fn workload(&mut self, attribution: u32, at: UtcMicros) -> (u32, TimeSpan) {
        let decider = &mut *self.decider;
        let interest = decider.policy.interest();
        if interest.is_none() {
            return (NONE, TimeSpan::ALWAYS);
        }
        let known = decider.workload_of.entry(attribution).or_default();
        if let Some((span, number)) = known.iter().find(|(span, _)| span.contains(at)) {
            return (*number, *span);
        }
        let Some(who) = decider.attributions.get_index(attribution as usize) else {
            return (NONE, TimeSpan::ALWAYS);
        };
        let (workload, span) = self
            .index
            .workload(who, at, interest, &mut decider.memberships);
        let number = u32::try_from(decider.workloads.insert_full(workload).0).unwrap_or(NONE);
        known.push((span, number));
        (number, span)
    }

    /// Numbers the per-event inputs that the policy reads; one number for all
    /// accesses where it reads none.
    fn read_inputs(&mut self, access: &AccessEvent<'_>) -> u32 {
        let reads = self.decider.policy.reads();
        if reads.is_none() {
            return NONE;
        }
        let input = |read: bool, text: Option<&str>| text.filter(|_| read).map(str::to_owned);
        let inputs = [
            input(reads.object_key, access.object_key),
            input(reads.list_prefix, access.list_prefix),
            input(reads.version_id, access.version_id),
            input(reads.copy_source, access.copy_source),
            input(reads.error_code, access.error_code),
        ];
        number(&mut self.decider.read, &inputs)
    }

    /// Decides an access of a new combination of inputs; Cedar is asked only if the
    /// policy can tell it from every access before.
    fn judge(&mut self, access: &AccessEvent<'_>, key: &MayKey) -> u32 {
        let decider = &mut *self.decider;
        let attribution = decider
            .attributions
            .get_index(key.attribution as usize)
            .cloned()
            .unwrap_or_default();
        let credential = credential(access.principal);
        let (policy, visible) = (&decider.policy, &mut decider.visible);
        let nothing = Workload::default();
        let workload = decider.workloads.get_index(key.workload as usize);
        let facts = AccessFacts {
            access,
            attribution: &attribution,
            credential,
            dataset: key.dataset,
            workload: workload.unwrap_or(&nothing),
            settled: key.settled,
        };
        let seen = *decider
            .seen_of
            .entry(SeenKey {
                who: key.who,
                attribution: key.attribution,
                dataset: key.dataset,
                workload: key.workload,
            })
            .or_insert_with(|| {
                visible.clear();
                policy.visible_who(&facts, visible);
                number(&mut decider.seen, visible)
            });
        visible.clear();
        visible.extend(seen.to_le_bytes());
        policy.visible_request(&facts, visible);
        let (judgement_number, judgement) = match decider.judgements.get(visible.as_slice()) {
            Some(judgement) => judgement.clone(),
            None => {
                let judgement = policy.judge_with(&facts, &mut decider.answers);
                let failures = judgement.violations.iter().filter(|it| it.is_failure());
                for failure in failures {
                    let (rule, reason) = (&*failure.rule, &*failure.reason);
                    if decider.warned.insert(failure.rule.clone()) {
                        tracing::warn!(
                            rule,
                            reason,
                            "a rule failed: its accesses are undetermined"
                        );
                    }
                }
                let number = u32::try_from(decider.judgements.len()).unwrap_or(NONE);
                let judgement = (number, Arc::new(judgement));
                decider
                    .judgements
                    .insert(visible.clone(), judgement.clone());
                judgement
            }
        };
        let request = RequestKey {
            event_name: key.event_name,
            sse: key.sse,
            kms_key_arn: key.kms_key_arn,
            outcome: key.outcome,
            presigned: key.who.presigned,
        };
        decider.decisions.push(Decision {
            parts: Parts {
                principal: key.who.principal,
                client: key.who.client,
                target: key.who.target,
                attribution: key.attribution,
                request: number(&mut decider.requests, &request),
                dataset: key.dataset.unwrap_or(NONE),
                judgement: judgement_number,
            },
            credential,
            attribution,
            judgement,
            dataset: key.dataset,
        });
        u32::try_from(decider.decisions.len() - 1).unwrap_or(NONE)
    }
}

#[cfg(test)]
mod tests;
