//! The EC2 instances that CloudTrail showed, each with its life and claims (M3).
//!
//! Databricks' own tables, which know pool instances too, stand beside this source
//! (`nodes`); `hosts` compares what both tell.

use super::aws::{account_of, account_of_arn, filled};
use super::tags::{Change, ChangeKind, Claim, claims};
use crate::model::{Ec2Instance, Principal, TimeSpan, UtcMicros};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    by_id: HashMap<Arc<str>, Arc<Instance>>,
    by_address: HashMap<String, Vec<Arc<str>>>,
}

/// One instance.
///
/// INVARIANT (order is nothing): `changes` is a sorted set, and everything else
/// is computed from it.
#[derive(Clone, Debug, Default)]
struct Instance {
    changes: Vec<Change>,
    claims: Vec<(UtcMicros, Claim)>,
    launched_at: Option<UtcMicros>,
    terminated_at: Option<UtcMicros>,
    /// Accounts that its events, and the instance profile it was launched with,
    /// are of: one, in sound records.
    accounts: BTreeSet<Arc<str>>,
    /// Private addresses that launches told.
    addresses: Vec<String>,
}

/// What new events tell of one instance: changes and accounts.
type Told = (Vec<Change>, Vec<Arc<str>>);

impl Instances {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds what EC2 events said; each instance touched is computed once.
    pub fn add(&mut self, events: Vec<Ec2Instance>) {
        let mut found: HashMap<Arc<str>, Told> = HashMap::new();
        for event in &events {
            if let Some(change) = Change::of(event) {
                let id = Arc::from(event.instance_id.as_str());
                let (changes, accounts) = found.entry(id).or_default();
                changes.push(change);
                let profile = event.instance_profile_arn.as_deref();
                let told = [
                    filled(event.aws_account_id.as_deref()),
                    profile.and_then(account_of_arn),
                ];
                accounts.extend(told.into_iter().flatten().map(Arc::from));
            }
        }
        for (id, (changes, accounts)) in found {
            let instance = Arc::make_mut(self.by_id.entry(id).or_default());
            instance.accounts.extend(accounts);
            instance.add(changes);
        }
        for event in &events {
            let (Some(ip), Some((id, _))) = (
                event.private_ip.as_ref(),
                self.by_id.get_key_value(event.instance_id.as_str()),
            ) else {
                continue;
            };
            let id = id.clone();
            if let Some(instance) = self.by_id.get_mut(&id)
                && !instance.addresses.contains(ip)
            {
                Arc::make_mut(instance).addresses.push(ip.clone());
                self.by_address.entry_ref(ip).or_default().push(id);
            }
        }
    }

    /// The private addresses that an instance was launched with.
    pub fn addresses(&self, instance_id: &str) -> impl Iterator<Item = &str> {
        let instance = self.by_id.get(instance_id);
        instance
            .into_iter()
            .flat_map(|instance| instance.addresses.iter().map(String::as_str))
    }

    /// The instances that were ever launched with an address, in no order.
    pub fn with_address(&self, ip: &str) -> impl Iterator<Item = &str> {
        let ids = self.by_address.get(ip).map(Vec::as_slice);
        ids.unwrap_or_default().iter().map(|id| &**id)
    }

    /// Whether the instance may live at `at`: nothing is known against it.
    pub fn lives(&self, instance_id: &str, at: UtcMicros) -> (bool, TimeSpan) {
        let (ended, mut span) = self.has_ended(instance_id, at);
        let launched = self
            .by_id
            .get(instance_id)
            .and_then(|instance| instance.launched_at);
        match launched {
            Some(launched) if at < launched => {
                span.until = span.until.min(UtcMicros(launched.0.saturating_sub(1)));
                (false, span)
            }
            Some(launched) => {
                span.from = span.from.max(launched);
                (!ended, span)
            }
            None => (!ended, span),
        }
    }

    /// Whether the instance was terminated before `at`.
    pub fn has_ended(&self, instance_id: &str, at: UtcMicros) -> (bool, TimeSpan) {
        let instance = self.by_id.get(instance_id);
        match instance.and_then(|instance| instance.terminated_at) {
            Some(end) if at > end => (
                true,
                TimeSpan {
                    from: UtcMicros(end.0.saturating_add(1)),
                    ..TimeSpan::ALWAYS
                },
            ),
            Some(end) => (
                false,
                TimeSpan {
                    until: end,
                    ..TimeSpan::ALWAYS
                },
            ),
            None => (false, TimeSpan::ALWAYS),
        }
    }

    /// Whether the instance is known to be of another account than the principal,
    /// so that it cannot be the one whose credentials these are: EC2 delivers only
    /// roles of the instance's own account.
    ///
    /// Roles are not compared: a record of a launch names the instance profile,
    /// whose role may have another name, and may be replaced while it runs.
    pub fn is_foreign(&self, instance_id: &str, principal: &Principal) -> bool {
        let (Some(instance), Some(account)) = (self.by_id.get(instance_id), account_of(principal))
        else {
            return false;
        };
        !instance.accounts.is_empty() && !instance.accounts.contains(account)
    }

    /// M3: what stands behind the instance at `at`, if it lives then; and for
    /// how long the same is true.
    pub fn at(&self, instance_id: &str, at: UtcMicros) -> (Option<&Claim>, TimeSpan) {
        match self.by_id.get(instance_id) {
            Some(instance) => instance.at(at),
            None => (None, TimeSpan::ALWAYS),
        }
    }

    /// Keeps the instances that live at `before` or later.
    pub fn without_older_than(mut self, before: UtcMicros) -> Instances {
        self.by_id
            .retain(|_, instance| instance.terminated_at.is_none_or(|end| end >= before));
        let known = &self.by_id;
        self.by_address.retain(|_, ids| {
            ids.retain(|id| known.contains_key(id));
            !ids.is_empty()
        });
        self
    }
}

impl Instance {
    fn add(&mut self, changes: Vec<Change>) {
        self.changes.extend(changes);
        self.changes.sort();
        self.changes.dedup();
        self.claims = claims(&self.changes);
        let first = |kind: ChangeKind| {
            let of = self.changes.iter().filter(|change| change.kind == kind);
            of.map(|change| change.at).min()
        };
        let (launched_at, terminated_at) =
            (first(ChangeKind::Launch), first(ChangeKind::Terminate));
        self.launched_at = launched_at;
        self.terminated_at = terminated_at;
    }

    fn at(&self, at: UtcMicros) -> (Option<&Claim>, TimeSpan) {
        let end = self.terminated_at.unwrap_or(UtcMicros::MAX);
        if at > end {
            let from = UtcMicros(end.0.saturating_add(1));
            return (
                None,
                TimeSpan {
                    from,
                    ..TimeSpan::ALWAYS
                },
            );
        }
        let next = self.claims.partition_point(|(from, _)| *from <= at);
        let until = match self.claims.get(next) {
            Some((from, _)) => UtcMicros(from.0.saturating_sub(1)).min(end),
            None => end,
        };
        match next.checked_sub(1).and_then(|last| self.claims.get(last)) {
            Some((from, claim)) => (Some(claim), TimeSpan { from: *from, until }),
            None => (
                None,
                TimeSpan {
                    until,
                    ..TimeSpan::ALWAYS
                },
            ),
        }
    }
}
