//! The levels of an answer while it is being put together.
//!
//! INVARIANT (named means sure): an id stands where its level is strong or exact, and
//! the candidates where it is ambiguous.
//! INVARIANT (no surer than its ground): a job is no surer than its cluster, a task
//! no surer than its job.

use super::ask::{Grounds, LISTED_MAX, each_once, note_all};
use super::attribute::EVIDENCE_MAX;
use super::hosts::{Host, Hosts};
use super::names::Names;
use super::people::Person;
use super::work::{JobRunOf, TaskRunOf, Work};
use crate::model::{Attribution, Confidence, Method, UnattributedReason};

#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    pub workspaces: Vec<String>,
    pub workspace: Confidence,
    pub clusters: Vec<String>,
    pub cluster: Confidence,
    pub jobs: Vec<JobRunOf>,
    pub job: Confidence,
    pub tasks: Vec<TaskRunOf>,
    pub task: Confidence,
    pub people: Vec<Person>,
    pub principal: Confidence,
    pub is_conflict: bool,
    pub grounds: Grounds,
    pub reason: Option<UnattributedReason>,
}

impl Levels {
    /// What an instance or an address and the work on its cluster tell.
    pub fn on(hosts: Hosts, work: Work) -> Levels {
        let mut levels = Levels {
            cluster: hosts.confidence,
            jobs: work.jobs,
            job: work.job.min(hosts.confidence),
            tasks: work.tasks,
            people: work.people,
            principal: work.person,
            is_conflict: hosts.is_conflict || work.is_conflict,
            grounds: hosts.grounds,
            reason: work.reason,
            ..Levels::default()
        };
        levels.task = work.task.min(levels.job);
        if hosts.confidence < Confidence::Exact {
            levels.principal = levels.principal.min(Confidence::Strong);
        }
        // Candidates that all lead to one person still lead there; a cluster that
        // may be another one, of which nothing is known, does not.
        if hosts.is_late || (hosts.confidence == Confidence::Ambiguous && hosts.found.len() == 1) {
            levels.principal = levels.principal.min(Confidence::Ambiguous);
        }
        levels.grounds.take(work.grounds);
        levels.place(&hosts.found);
        levels
    }

    /// Names clusters and their workspaces.
    fn place(&mut self, found: &[Host]) {
        self.clusters = found.iter().map(|host| host.cluster.clone()).collect();
        let known = found.iter().filter_map(|host| host.workspace.clone());
        self.workspaces = known.collect();
        self.workspaces.sort();
        self.workspaces.dedup();
        let all_known = found.iter().all(|host| host.workspace.is_some());
        self.workspace = match self.workspaces.as_slice() {
            [] => Confidence::None,
            [_] if all_known => match found {
                [_] => self.cluster,
                // Whichever cluster it was, it is of this workspace.
                _ => Confidence::Strong,
            },
            _ => Confidence::Ambiguous,
        };
    }

    /// Lowers what was at work on the cluster to at most this.
    pub fn cap_work(&mut self, most: Confidence) {
        for level in [&mut self.job, &mut self.task, &mut self.principal] {
            *level = (*level).min(most);
        }
    }

    /// Lowers every level to at most this.
    pub fn cap(&mut self, most: Confidence) {
        for level in [
            &mut self.workspace,
            &mut self.cluster,
            &mut self.job,
            &mut self.task,
            &mut self.principal,
        ] {
            *level = (*level).min(most);
        }
    }
}

/// Writes the levels into the answer: ids where they are sure, else candidates.
pub(super) fn write(answer: &mut Attribution, mut levels: Levels, names: &Names) {
    levels.job = levels.job.min(if levels.cluster == Confidence::None {
        levels.job
    } else {
        levels.cluster
    });
    levels.task = levels.task.min(levels.job);
    let is_sure = |level: Confidence| level >= Confidence::Strong;
    if levels.is_conflict {
        levels.grounds.by(Method::Conflict);
    }
    answer.workspace_confidence = levels.workspace;
    if is_sure(levels.workspace) {
        answer.workspace_id = levels.workspaces.pop();
    }
    answer.cluster_confidence = levels.cluster;
    if is_sure(levels.cluster) {
        answer.cluster_id = levels.clusters.pop();
    }
    answer.job_confidence = levels.job;
    if is_sure(levels.job) {
        if let Some(job) = levels.jobs.pop() {
            answer.job_id = Some(job.job_id);
            answer.job_run_id = job.job_run_id;
        }
    } else if levels.job == Confidence::Ambiguous {
        let mut runs: Vec<String> = levels
            .jobs
            .into_iter()
            .map(|job| job.job_run_id.unwrap_or(job.job_id))
            .collect();
        runs.sort();
        runs.dedup();
        answer.job_run_candidate_count = count(runs.len());
        runs.truncate(LISTED_MAX);
        answer.job_run_candidates = runs;
    }
    answer.task_confidence = levels.task;
    if is_sure(levels.task)
        && let Some(task) = levels.tasks.pop()
    {
        answer.task_key = names.owned(task.task_key);
        answer.task_run_id = names.owned(task.task_run);
    }
    each_once(&mut levels.people);
    // A name that is neither an address nor an id, and that SCIM does not know, may
    // be a group's.
    if levels.people.iter().any(|person| person.kind.is_none()) {
        levels.principal = levels.principal.min(Confidence::Ambiguous);
    }
    answer.principal_confidence = levels.principal;
    if is_sure(levels.principal) {
        if let Some(person) = levels.people.pop() {
            answer.principal = Some(person.name);
            answer.principal_kind = person.kind;
        }
    } else if levels.principal == Confidence::Ambiguous {
        answer.principal_candidate_count = count(levels.people.len());
        let names = levels.people.into_iter().map(|person| person.name);
        answer.principal_candidates = names.take(LISTED_MAX).collect();
    }
    for method in levels.grounds.methods {
        if !answer.methods.contains(&method) {
            answer.methods.push(method);
        }
    }
    note_all(&mut answer.evidence, levels.grounds.evidence, EVIDENCE_MAX);
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
