//! Puts the answer together, level by level, with the grounds for each.

use super::aws::is_in_scope_of_instance;
use super::classify::{Class, classify};
use super::index::IdentityIndex;
use super::link::Link;
use super::reason::reason;
use super::root_bucket::workspace_of_key;
use super::tags::{Claim, Level, Vendor};
use crate::model::{AccessEvent, AccessPath, Attribution, Confidence, Method, TimeSpan, UtcMicros};

/// Names who made an access, level by level, with the grounds for each.
pub fn attribute(access: &AccessEvent<'_>, index: &IdentityIndex) -> Attribution {
    attribute_within(access, index).0
}

/// Names who made an access, and over which event times this very answer holds
/// for the same principal, client, target and `presigned` (and the same
/// `object_key` where [`depends_on_object_key`]), so that it may be reused.
///
/// INVARIANT (the span is true): every lookup that depends on the time narrows
/// the span to where that lookup gives the same.
pub fn attribute_within(
    access: &AccessEvent<'_>,
    index: &IdentityIndex,
) -> (Attribution, TimeSpan) {
    let link = Link::find(access.principal, access.event_time, index);
    let class = classify(access, &link, index);
    let mut span = link.span;
    let mut answer = Attribution {
        access_path: class.path,
        instance_id: class.instance_id.map(str::to_owned),
        session_confidence: link.confidence,
        ..Attribution::default()
    };
    name_session(&mut answer, &link);
    let mut vendor = Vendor::Unknown;
    if class.path == AccessPath::DatabricksPlatform {
        name_workspace(&mut answer, access);
    } else if let Some(instance_id) = class.instance_id {
        let (claim, holds) = claim_of(instance_id, &class, access.event_time, index);
        span = span.intersect(holds);
        if let Some(claim) = claim {
            vendor = claim.vendor;
            // Who signed a URL is known by its instance; who reads with it is not.
            if !access.presigned {
                name_cluster(&mut answer, claim);
                if link.sole().is_none() && !is_in_scope_of_instance(access.principal) {
                    cap_at_strong(&mut answer);
                }
            }
        }
    }
    let (reason, holds) = reason(access, &class, &link, vendor, index.sts_until());
    answer.unattributed_reason = Some(reason);
    (answer, span.intersect(holds))
}

/// Returns whether the answer for this access may depend on its object key:
/// that of the platform does, for a root bucket's keys name the workspace.
pub fn depends_on_object_key(access: &AccessEvent<'_>, index: &IdentityIndex) -> bool {
    let link = Link::find(access.principal, access.event_time, index);
    classify(access, &link, index).path == AccessPath::DatabricksPlatform
}

/// The STS event, and those before it that the classification rests on. Of
/// several candidates each is listed, none is chosen.
fn name_session(answer: &mut Attribution, link: &Link<'_>) {
    answer.methods.extend(link.method);
    match link.sole() {
        Some(trace) => {
            let first = trace.chain.first();
            answer.session_event_id = first.map(|call| call.event_id().to_owned());
            for call in &trace.chain {
                note(&mut answer.evidence, call.event_id());
            }
        }
        None => {
            for call in link.traces.iter().filter_map(|trace| trace.chain.first()) {
                note(&mut answer.evidence, call.event_id());
            }
        }
    }
}

fn name_workspace(answer: &mut Attribution, access: &AccessEvent<'_>) {
    if let Some(workspace_id) = access.object_key.and_then(workspace_of_key) {
        answer.workspace_id = Some(workspace_id.to_owned());
        answer.workspace_confidence = Confidence::Exact;
        answer.methods.push(Method::RootBucketLayout);
    }
}

/// What the tags claim for this access. A session that the instance called for
/// is its work of that moment, as long as the instance lives.
fn claim_of<'a>(
    instance_id: &str,
    class: &Class<'_>,
    at: UtcMicros,
    index: &'a IdentityIndex,
) -> (Option<&'a Claim>, TimeSpan) {
    let instances = index.ec2_instances();
    let (now, holds) = instances.at(instance_id, at);
    match class.called_at {
        Some(called_at) => {
            let (then, _) = instances.at(instance_id, called_at);
            (now.and(then), holds)
        }
        None => (now, holds),
    }
}

fn name_cluster(answer: &mut Attribution, claim: &Claim) {
    let id = |level: &Level| level.id.as_deref().map(str::to_owned);
    if claim.cluster.confidence != Confidence::None {
        answer.cluster_id = id(&claim.cluster);
        answer.cluster_confidence = claim.cluster.confidence;
        answer.methods.push(Method::M3InstanceTags);
    }
    if claim.job.confidence != Confidence::None {
        answer.job_id = id(&claim.job);
        answer.job_confidence = claim.job.confidence;
        answer.methods.push(Method::M4JobTag);
    }
    for event_id in &claim.evidence {
        note(&mut answer.evidence, event_id);
    }
}

/// An instance that only the session's name tells is no chain of identifiers:
/// whoever may assume a role chooses the name.
fn cap_at_strong(answer: &mut Attribution) {
    answer.cluster_confidence = answer.cluster_confidence.min(Confidence::Strong);
    answer.job_confidence = answer.job_confidence.min(Confidence::Strong);
}

fn note(evidence: &mut Vec<String>, event_id: &str) {
    if !evidence.iter().any(|noted| noted == event_id) {
        evidence.push(event_id.to_owned());
    }
}
