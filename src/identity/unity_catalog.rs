//! P2: an access with a key that Unity Catalog vended. The vend (C1) and the
//! network (C2) answer independently; lineage and history (C3, C4) are asked where
//! they leave several, or nobody.
//!
//! INVARIANT (agreement): two methods that name one principal make it strong; two
//! that exclude each other make it ambiguous between both, with the conflict shown.

use super::ask::{Ask, each_once};
use super::corroborate::witness;
use super::hosts::{Host, Hosts};
use super::levels::Levels;
use super::link::Link;
use super::names::Names;
use super::network::hosts_of_address;
use super::people::{Person, is_stand_in};
use super::tags::Level;
use super::vend_claim::VendClaim;
use super::work::Work;
use crate::model::Confidence;

/// Names who used the vended key, and where.
pub(super) fn vended<'a>(ask: &mut Ask<'a>, link: &Link<'a>) -> Levels {
    let claim = VendClaim::of(ask, link);
    let hosts = hosts_named(&claim, &ask.databricks().names).or_else(|| hosts_of_address(ask));
    let mut levels = match hosts {
        Some(hosts) => {
            let mut works = Vec::with_capacity(hosts.found.len());
            for host in &hosts.found {
                works.push(Work::on(ask, host, &Level::default()));
            }
            let work = Work::of_any(works);
            combine(&claim, hosts, work)
        }
        None => Levels {
            workspaces: claim.workspaces.clone(),
            workspace: claim.workspace,
            people: claim.people.clone(),
            principal: claim.person,
            grounds: claim.grounds.clone(),
            ..Levels::default()
        },
    };
    levels.reason = claim.reason;
    if levels.principal < Confidence::Strong && !levels.is_conflict {
        corroborate(ask, &claim, &mut levels);
    }
    levels
}

/// The cluster, where the vend itself names it.
fn hosts_named(claim: &VendClaim, names: &Names) -> Option<Hosts> {
    if claim.clusters.is_empty() {
        return None;
    }
    let workspace = match claim.workspaces.as_slice() {
        [workspace] => Some(workspace.as_str()),
        _ => None,
    };
    let host = |cluster: &String| Host::named(cluster, workspace, names);
    let found: Vec<Host> = claim.clusters.iter().map(host).collect();
    Some(Hosts {
        confidence: match found.as_slice() {
            [_] => claim.person.max(claim.workspace),
            _ => Confidence::Ambiguous,
        },
        found,
        ..Hosts::default()
    })
}

/// Puts the vend's people beside those of the cluster.
fn combine(claim: &VendClaim, hosts: Hosts, work: Work) -> Levels {
    let (is_exhaustive, run_as) = (work.is_exhaustive, work.run_as.clone());
    let is_sure_host = hosts.confidence >= Confidence::Strong;
    let mut levels = Levels::on(hosts, work);
    levels.cap(if claim.person == Confidence::Exact {
        Confidence::Exact
    } else {
        Confidence::Strong
    });
    let mut grounds = claim.grounds.clone();
    grounds.take(std::mem::take(&mut levels.grounds));
    levels.grounds = grounds;
    place(claim, &mut levels);
    let here = std::mem::take(&mut levels.people);
    let here_sure = levels.principal >= Confidence::Strong;
    let vend: Vec<Person> = claim.people.clone();
    let both: Vec<Person> = vend
        .iter()
        .filter(|person| here.contains(person))
        .cloned()
        .collect();
    let vend_sure = claim.person >= Confidence::Strong;
    (levels.people, levels.principal) = if vend.is_empty() {
        (here, levels.principal)
    } else if here.is_empty() {
        (vend, claim.person)
    } else if both.is_empty() {
        if is_sure_host && !is_exhaustive && !here_sure {
            // Others were at work there as well; that says nothing of this key.
            (vend, claim.person)
        } else {
            levels.is_conflict = true;
            (
                vend.into_iter().chain(here).collect(),
                Confidence::Ambiguous,
            )
        }
    } else if both.len() == 1 && is_sure_host && (vend_sure || here_sure || is_exhaustive) {
        let sure = claim.person.max(Confidence::Strong);
        (both, sure)
    } else if is_exhaustive && is_sure_host {
        (both, Confidence::Ambiguous)
    } else {
        (vend, claim.person.min(Confidence::Strong))
    };
    each_once(&mut levels.people);
    fit_job(&mut levels, &run_as, is_exhaustive);
    levels
}

/// The workspace, by the vend and by the cluster.
fn place(claim: &VendClaim, levels: &mut Levels) {
    if claim.workspaces.is_empty() {
        return;
    }
    if levels.workspaces.is_empty() {
        levels.workspaces.clone_from(&claim.workspaces);
        levels.workspace = claim.workspace;
        return;
    }
    let both: Vec<String> = levels
        .workspaces
        .iter()
        .filter(|workspace| claim.workspaces.contains(workspace))
        .cloned()
        .collect();
    match both.as_slice() {
        [] => {
            levels.is_conflict = true;
            levels.workspaces.extend(claim.workspaces.iter().cloned());
            levels.workspaces.sort();
            levels.cap(Confidence::Ambiguous);
        }
        [_] => {
            levels.workspace = levels.workspace.max(claim.workspace);
            levels.workspaces = both;
        }
        _ => levels.workspace = Confidence::Ambiguous,
    }
}

/// A job is the actor only if its rights are those of whoever used the key.
fn fit_job(levels: &mut Levels, run_as: &[Person], is_exhaustive: bool) {
    if levels.is_conflict {
        levels.job = levels.job.min(Confidence::Ambiguous);
        levels.task = levels.task.min(Confidence::Ambiguous);
        return;
    }
    let [person] = levels.people.as_slice() else {
        return;
    };
    if levels.principal >= Confidence::Strong
        && !is_exhaustive
        && !run_as.is_empty()
        && !run_as.contains(person)
    {
        levels.jobs.clear();
        levels.tasks.clear();
        levels.job = Confidence::None;
        levels.task = Confidence::None;
    }
}

/// Asks lineage and history about what is still open.
fn corroborate(ask: &mut Ask<'_>, claim: &VendClaim, levels: &mut Levels) {
    let candidates: Vec<Person> = levels
        .people
        .iter()
        .filter(|person| !is_stand_in(&person.name))
        .cloned()
        .collect();
    let Some(witness) = witness(ask, &candidates, claim) else {
        return;
    };
    // A vend of a service beside the candidates may be anyone's.
    let is_open = candidates.len() < levels.people.len();
    if witness.person >= Confidence::Strong && !is_open {
        levels.people = witness.people;
        levels.principal = Confidence::Strong;
    } else if candidates.is_empty() {
        levels.people.extend(witness.people);
        levels.principal = Confidence::Ambiguous;
    }
    levels.grounds.take(witness.grounds);
    if levels.principal >= Confidence::Strong && levels.job == Confidence::None {
        if let Some(job) = witness.job {
            levels.jobs = vec![job];
            levels.job = Confidence::Strong;
            if let Some(task) = witness.task {
                levels.tasks = vec![task];
                levels.task = Confidence::Strong;
            }
        }
        if let ([workspace], true) = (
            witness.workspaces.as_slice(),
            levels.workspace == Confidence::None,
        ) {
            levels.workspaces = vec![workspace.clone()];
            levels.workspace = Confidence::Strong;
        }
    }
}
