//! What an instance's tags say over time: which cluster it served, which job.
//!
//! Databricks tags the instances of a cluster with `ClusterId`, those of a job
//! cluster with `JobId` besides, all with `Vendor=Databricks`; instances of a
//! pool have `DatabricksInstancePoolId` and serve one cluster after another.
//! Source: Databricks docs, default tags.
//!
//! INVARIANT (pools tell nothing): an instance that ever had a pool tag has no
//! cluster by tags, whatever other tags it has.
//! INVARIANT (exact means launched so): a tag is exact only if the very event
//! that launched the instance set it; one set later counts from then on, and is
//! strong at most, for anyone with `ec2:CreateTags` can write it.

use crate::model::{Confidence, Ec2Instance, UtcMicros};
use std::sync::Arc;

/// One EC2 event, cut down to what matters here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub at: UtcMicros,
    pub kind: ChangeKind,
    pub event_id: Arc<str>,
    pub tags: Vec<(Tag, Arc<str>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangeKind {
    Launch,
    Set,
    Unset,
    /// `DeleteTags` without a list deletes every tag.
    UnsetAll,
    Terminate,
}

/// The tags that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    Vendor,
    Cluster,
    Job,
    Pool,
}

/// What stands behind an instance, from one moment on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claim {
    pub vendor: Vendor,
    pub cluster: Level,
    pub job: Level,
    /// The EC2 events the claim rests on.
    pub evidence: Vec<Arc<str>>,
}

/// One level of a claim; the value is there when there is one only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    pub id: Option<Arc<str>>,
    pub confidence: Confidence,
}

/// Whose instance it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Vendor {
    #[default]
    Unknown,
    Databricks,
    /// Launched before our eyes without Databricks' tag.
    Other,
}

impl Change {
    /// Reads an EC2 event; `None` if it is of no kind that changes an instance.
    pub fn of(instance: &Ec2Instance) -> Option<Change> {
        let kind = match instance.event_name.as_str() {
            "RunInstances" | "CreateFleet" => ChangeKind::Launch,
            "CreateTags" => ChangeKind::Set,
            "DeleteTags" if instance.tags.is_empty() => ChangeKind::UnsetAll,
            "DeleteTags" => ChangeKind::Unset,
            "TerminateInstances" => ChangeKind::Terminate,
            _ => return None,
        };
        let tags = instance.tags.iter().filter_map(|(key, value)| {
            let tag = match key.as_str() {
                "Vendor" => Tag::Vendor,
                "ClusterId" => Tag::Cluster,
                "JobId" => Tag::Job,
                "DatabricksInstancePoolId" => Tag::Pool,
                _ => return None,
            };
            Some((tag, Arc::from(value.as_str())))
        });
        Some(Change {
            at: instance.event_time,
            kind,
            event_id: Arc::from(instance.event_id.as_str()),
            tags: tags.collect(),
        })
    }

    /// The values that this event gives to (or takes from) a tag.
    fn values(&self, tag: Tag) -> impl Iterator<Item = &Arc<str>> {
        self.tags
            .iter()
            .filter(move |(key, _)| *key == tag)
            .map(|(_, value)| value)
    }
}

/// The claims of an instance in order, each with the time it begins; nothing
/// is claimed before the first. `changes` are sorted.
pub(super) fn claims(changes: &[Change]) -> Vec<(UtcMicros, Claim)> {
    let of = |kind: ChangeKind| changes.iter().filter(move |change| change.kind == kind);
    let launch = of(ChangeKind::Launch).map(|change| change.at).min();
    let Some(start) = launch.or_else(|| of(ChangeKind::Set).map(|change| change.at).min()) else {
        return Vec::new();
    };
    let mut tags = Tags {
        launched: launch.is_some(),
        pool: changes
            .iter()
            .any(|change| change.values(Tag::Pool).next().is_some()),
        ..Tags::default()
    };
    for change in of(ChangeKind::Launch) {
        tags.launch(change);
    }
    let mut claims = vec![(start, tags.claim())];
    let later: Vec<&Change> = changes
        .iter()
        .filter(|change| {
            use ChangeKind::{Set, Unset, UnsetAll};
            matches!(change.kind, Set | Unset | UnsetAll)
        })
        .collect();
    for moment in later.chunk_by(|a, b| a.at == b.at) {
        tags.change(moment);
        let Some(at) = moment.first().map(|change| change.at.max(start)) else {
            continue;
        };
        let claim = tags.claim();
        match claims.last_mut() {
            Some((from, last)) if *from == at => *last = claim,
            Some((_, last)) if *last == claim => {}
            _ => claims.push((at, claim)),
        }
    }
    claims
}

/// The tags at one moment.
#[derive(Default)]
struct Tags {
    launched: bool,
    pool: bool,
    vendor: Known,
    cluster: Known,
    job: Known,
}

/// What is known of one tag; several values mean that records disagree.
#[derive(Default)]
struct Known {
    values: Vec<Value>,
    /// Set and deleted within one second: it may be there or not.
    torn: bool,
}

struct Value {
    text: Arc<str>,
    at_launch: bool,
    event_id: Arc<str>,
}

impl Tags {
    fn each(&mut self) -> [(Tag, &mut Known); 3] {
        [
            (Tag::Vendor, &mut self.vendor),
            (Tag::Cluster, &mut self.cluster),
            (Tag::Job, &mut self.job),
        ]
    }

    fn launch(&mut self, change: &Change) {
        for (tag, known) in self.each() {
            for text in change.values(tag) {
                known.also(text, change, true);
            }
        }
    }

    /// Applies what happened within one second, in an order nobody knows.
    fn change(&mut self, moment: &[&Change]) {
        for (tag, known) in self.each() {
            let removed = moment.iter().any(|change| match change.kind {
                ChangeKind::UnsetAll => true,
                ChangeKind::Unset => change.values(tag).any(|text| known.is_removed_by(text)),
                _ => false,
            });
            let set: Vec<(&Arc<str>, &Change)> = moment
                .iter()
                .filter(|change| change.kind == ChangeKind::Set)
                .flat_map(|change| change.values(tag).map(move |text| (text, *change)))
                .collect();
            let same = !known.torn
                && known.values.len() == 1
                && set
                    .iter()
                    .all(|(text, _)| known.values.iter().any(|value| value.text == **text));
            if removed || !(same || set.is_empty()) {
                *known = Known {
                    torn: removed && !set.is_empty(),
                    ..Known::default()
                };
                for (text, change) in set {
                    known.also(text, change, false);
                }
            }
        }
    }

    fn claim(&self) -> Claim {
        let vendor = self.vendor.level();
        let databricks = vendor.id.as_deref() == Some("Databricks");
        if !databricks {
            let other = self.launched && !self.pool && vendor.confidence != Confidence::Ambiguous;
            return Claim {
                vendor: if other {
                    Vendor::Other
                } else {
                    Vendor::Unknown
                },
                ..Claim::default()
            };
        }
        let mut claim = Claim {
            vendor: Vendor::Databricks,
            ..Claim::default()
        };
        if self.pool {
            return claim;
        }
        claim.cluster = self.cluster.level().at_most(vendor.confidence);
        claim.job = self.job.level().at_most(claim.cluster.confidence);
        for (known, level) in [
            (&self.vendor, &claim.cluster),
            (&self.cluster, &claim.cluster),
            (&self.job, &claim.job),
        ] {
            if level.confidence != Confidence::None {
                for value in &known.values {
                    if !claim.evidence.contains(&value.event_id) {
                        claim.evidence.push(value.event_id.clone());
                    }
                }
            }
        }
        claim
    }
}

impl Known {
    fn also(&mut self, text: &Arc<str>, change: &Change, at_launch: bool) {
        if !self.values.iter().any(|value| value.text == *text) {
            self.values.push(Value {
                text: text.clone(),
                at_launch,
                event_id: change.event_id.clone(),
            });
        }
    }

    /// `DeleteTags` takes a tag away whatever its value, or only if it has the
    /// value given; a record shows no difference between "" and none given.
    fn is_removed_by(&self, text: &Arc<str>) -> bool {
        text.is_empty() || self.values.iter().any(|value| value.text == *text)
    }

    fn level(&self) -> Level {
        match self.values.as_slice() {
            [] => Level::default(),
            [value] if value.text.is_empty() => Level::default(),
            [value] if !self.torn => Level {
                id: Some(value.text.clone()),
                confidence: if value.at_launch {
                    Confidence::Exact
                } else {
                    Confidence::Strong
                },
            },
            _ => Level {
                id: None,
                confidence: Confidence::Ambiguous,
            },
        }
    }
}

impl Level {
    /// A level is never surer than the one it rests on.
    fn at_most(self, confidence: Confidence) -> Level {
        let confidence = self.confidence.min(confidence);
        let named = matches!(confidence, Confidence::Strong | Confidence::Exact);
        Level {
            id: self.id.filter(|_| named),
            confidence,
        }
    }
}
