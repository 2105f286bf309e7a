//! Puts the answer together, level by level, with the grounds for each.

use super::ask::{Ask, Grounds, LISTED_MAX, note_all};
use super::aws::is_in_scope_of_instance;
use super::call::Call;
use super::classify::{Class, classify};
use super::hosts::Hosts;
use super::index::IdentityIndex;
use super::levels::{Levels, write};
use super::link::Link;
use super::network::{is_off_node, is_public};
use super::place::Place;
use super::reason::{reason, unless_settled};
use super::root_bucket::workspace_of_key;
use super::shares::share_grounds;
use super::tags::Vendor;
use super::unity_catalog::vended;
use super::work::Work;
use crate::model::{
    AccessEvent, AccessPath, Attribution, Confidence, Method, TimeSpan, UnattributedReason,
};

/// Records that an answer names, at most: of its session, and of its levels.
pub(super) const EVIDENCE_MAX: usize = 2 * LISTED_MAX;

/// An attribution, and for which other accesses it is the very same.
#[derive(Clone, Debug)]
pub struct Answer {
    pub attribution: Attribution,
    /// The event times over which it holds.
    pub span: TimeSpan,
    /// The place it holds for; `None` if object key and operation play no part.
    pub place: Option<Place>,
}

/// Names who made an access, level by level, with the grounds for each.
pub fn attribute(access: &AccessEvent<'_>, index: &IdentityIndex) -> Attribution {
    attribute_within(access, index).attribution
}

/// Names who made an access, and over which event times this very answer holds
/// for the same principal, client, target, `presigned` and `signed_at`, and for accesses of the
/// same [`IdentityIndex::place_of`] if it has a place, so that it may be reused.
///
/// INVARIANT (the span is true): every lookup that depends on the time narrows
/// the span to where that lookup gives the same.
/// INVARIANT (the place is true): whatever looks at the object key or the operation
/// looks at the place instead, and says that it did.
pub fn attribute_within(access: &AccessEvent<'_>, index: &IdentityIndex) -> Answer {
    let at = access.event_time;
    let link = Link::find(access.principal, at, index);
    let roles = index.roles(at);
    let class = classify(access, &link, &roles, index);
    let mut ask = Ask {
        access,
        index,
        at,
        span: link.span,
        place: None,
    };
    roles.catalog.narrow(at, &mut ask.span);
    let mut answer = Attribution {
        access_path: class.path,
        instance_id: class.instance_id.map(str::to_owned),
        session_confidence: link.confidence,
        ..Attribution::default()
    };
    name_session(&mut answer, &link);
    let mut vendor = Vendor::Unknown;
    let mut found = None;
    if access.presigned {
        // Who signed a URL is known; who reads with it is not.
        let grounds = share_grounds(&mut ask);
        take(&mut answer, grounds);
    } else if class.path == AccessPath::DatabricksPlatform {
        name_workspace(&mut answer, &mut ask);
    } else if class.path == AccessPath::UnityCatalog {
        let levels = vended(&mut ask, &link);
        found = levels.reason;
        write(&mut answer, levels, &index.databricks().names);
    }
    if let Some(instance_id) = class.instance_id {
        let hosts = Hosts::of_instance(&mut ask, instance_id, class.called_at);
        vendor = hosts.vendor;
        if !access.presigned {
            let mut levels = on_instance(&mut ask, &class, hosts);
            if link.sole().is_none() && !is_in_scope_of_instance(access.principal) {
                levels.cap(Confidence::Strong);
            }
            // From a public address an instance's credentials are used through NAT,
            // or by whoever took them away: no identifier tells which.
            if access.client.source_ip.as_deref().is_some_and(is_public) {
                levels.cap_work(Confidence::Strong);
            }
            found = levels.reason;
            write(&mut answer, levels, &index.databricks().names);
        }
    }
    if answer.principal_confidence == Confidence::None {
        let (told, holds) = reason(access, &class, &link, vendor, index.sts_until());
        ask.span = ask.span.intersect(holds);
        let told = match (told, found) {
            // What the steps found is more than that they were not taken.
            // Whether a missing STS event may still come, only the reason knows.
            (UnattributedReason::Late | UnattributedReason::NoSts, Some(found))
                if found != UnattributedReason::NoSts =>
            {
                found
            }
            (told, _) => told,
        };
        let (told, holds) = unless_settled(told, ask.at, index.settled_until());
        ask.span = ask.span.intersect(holds);
        answer.unattributed_reason = Some(told);
    }
    Answer {
        attribution: answer,
        span: ask.span,
        place: ask.place,
    }
}

/// The STS event, and those before it that the classification rests on. Of
/// several candidates each is listed, none is chosen.
fn name_session(answer: &mut Attribution, link: &Link<'_>) {
    answer.methods.extend(link.method);
    match link.sole() {
        Some(trace) => {
            let first = trace.chain.first();
            answer.session_event_id = first.map(|call| call.event_id().to_owned());
            note_calls(answer, trace.chain.iter().copied());
        }
        None => {
            let first = link.traces.iter().filter_map(|trace| trace.chain.first());
            note_calls(answer, first.copied());
        }
    }
}

fn name_workspace(answer: &mut Attribution, ask: &mut Ask<'_>) {
    ask.place();
    if let Some(workspace_id) = ask.access.object_key.and_then(workspace_of_key) {
        answer.workspace_id = Some(workspace_id.to_owned());
        answer.workspace_confidence = Confidence::Exact;
        answer.methods.push(Method::RootBucketLayout);
    }
}

/// P1 and P3: instance to cluster, cluster to what ran there, and for whom.
fn on_instance(ask: &mut Ask<'_>, class: &Class<'_>, hosts: Hosts) -> Levels {
    if hosts.found.is_empty() {
        let is_ambiguous = hosts.confidence == Confidence::Ambiguous;
        let mut levels = Levels {
            cluster: hosts.confidence,
            job: hosts.job.confidence.min(hosts.confidence),
            grounds: hosts.grounds.clone(),
            reason: Some(unplaced(ask, class, &hosts)),
            ..Levels::default()
        };
        if is_ambiguous && levels.job != Confidence::None {
            levels.grounds.by(Method::M4JobTag);
        }
        return levels;
    }
    if class.instance_id.is_some_and(|id| is_off_node(ask, id)) {
        // Whose key it is stays known; whose work it was does not.
        return Levels::on(hosts, Work::by(UnattributedReason::External));
    }
    let mut works = Vec::with_capacity(hosts.found.len());
    for host in &hosts.found {
        works.push(Work::on(ask, host, &hosts.job));
    }
    let work = Work::of_any(works);
    let is_late = hosts.is_late;
    let mut levels = Levels::on(hosts, work);
    if is_late && levels.principal < Confidence::Strong {
        levels.reason = Some(UnattributedReason::Late);
    }
    levels
}

/// Why an instance has no cluster.
fn unplaced(ask: &mut Ask<'_>, class: &Class<'_>, hosts: &Hosts) -> UnattributedReason {
    use super::watermarks::FactSource;
    if hosts.vendor == Vendor::Other {
        return UnattributedReason::NotDatabricks;
    }
    if !ask.has_passed(FactSource::InstanceEvents, 0) {
        return UnattributedReason::Late;
    }
    let databricks = ask.databricks();
    let oldest = databricks.nodes.oldest();
    if oldest.is_none_or(|oldest| !ask.is_within(oldest, crate::model::UtcMicros::MAX)) {
        return UnattributedReason::OutsideRetention;
    }
    let instance = class
        .instance_id
        .and_then(|instance_id| databricks.names.find(instance_id));
    match instance {
        // Held by a pool between two clusters: nobody's work runs there.
        Some(instance) if databricks.nodes.knows(instance) => UnattributedReason::Platform,
        _ if hosts.vendor == Vendor::Databricks => UnattributedReason::OutsideRetention,
        _ => UnattributedReason::NotDatabricks,
    }
}

fn take(answer: &mut Attribution, grounds: Grounds) {
    for method in grounds.methods {
        if !answer.methods.contains(&method) {
            answer.methods.push(method);
        }
    }
    note_all(&mut answer.evidence, grounds.evidence, EVIDENCE_MAX);
}

fn note_calls<'a>(answer: &mut Attribution, calls: impl Iterator<Item = &'a Call>) {
    for call in calls {
        let id = std::iter::once(call.event_id().to_owned());
        note_all(&mut answer.evidence, id, EVIDENCE_MAX);
    }
}
