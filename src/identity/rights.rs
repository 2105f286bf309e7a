//! M5: with whose rights something ran on a cluster.
//!
//! A cluster dedicated to a user is that user's; one dedicated to a group is a member's;
//! on any other, a run has its job's rights, and whoever ran commands within half an
//! hour is a candidate beside it.

use super::ask::{Ask, each_once};
use super::clusters::ClusterAt;
use super::hosts::Host;
use super::names::Name;
use super::people::Person;
use super::watermarks::FactSource;
use super::work::{ACTIVE_SECS, JobRunKey, RUN_SLACK_SECS, Work};
use crate::model::{Confidence, Method, TimeSpan, UtcMicros};

/// Clocks of two tables of one company.
const CHANGE_SKEW_SECS: i64 = 5;

impl Work {
    /// A cluster for one user, or for one group.
    pub(super) fn dedicated(
        &mut self,
        ask: &mut Ask<'_>,
        host: &Host,
        facts: &ClusterAt,
        is_job: bool,
        active: &[Person],
    ) {
        let people = &ask.databricks().people;
        self.is_exhaustive = true;
        if let Some(id) = &facts.evidence {
            self.grounds.note(id);
        }
        let mut is_group = false;
        let mut sure = Confidence::Exact;
        for user in &facts.users {
            if people.is_group(user) {
                is_group = true;
                self.people
                    .extend(people.members(user, ask.at, &mut ask.span));
            } else {
                self.people
                    .extend(people.resolve(user, ask.at, &mut ask.span));
            }
        }
        each_once(&mut self.people);
        if facts.users_assumed || is_job {
            sure = Confidence::Strong;
        }
        if let [person] = self.people.as_slice()
            && people.is_current(person) == Some(false)
        {
            // SCIM knows no such name any more: whose it was cannot be checked.
            sure = Confidence::Strong;
        }
        if !self.people.is_empty() {
            self.grounds.by(if is_group {
                Method::M5DedicatedGroup
            } else {
                Method::M5DedicatedUser
            });
        }
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if !is_group && facts.users.len() == 1 && !facts.users_unsure => sure,
            _ => Confidence::Ambiguous,
        };
        let is_sole_job = self.jobs.len() == 1 && self.job >= Confidence::Strong;
        let run_as = self.find_run_as(ask, host);
        if is_sole_job && !run_as.is_empty() && !self.people.is_empty() {
            let both: Vec<Person> = self
                .people
                .iter()
                .filter(|person| run_as.contains(person))
                .cloned()
                .collect();
            if both.is_empty() {
                self.people.extend(run_as.clone());
                each_once(&mut self.people);
                self.person = Confidence::Ambiguous;
                self.is_conflict = true;
                self.grounds.by(Method::M5RunAs);
            } else {
                self.grounds.by(Method::M5RunAs);
                if is_group && active.iter().all(|person| both.contains(person)) {
                    self.settle(both);
                }
            }
        } else if is_group && is_sole_job && !run_as.is_empty() {
            self.people.clone_from(&run_as);
            self.person = Confidence::Ambiguous;
        } else if is_group {
            let at_work: Vec<Person> = active
                .iter()
                .filter(|person| self.people.contains(person))
                .cloned()
                .collect();
            if at_work.len() == 1 && ask.has_passed(FactSource::Audit, ACTIVE_SECS) {
                self.grounds.by(Method::M5ActiveUsers);
                self.settle(at_work);
            }
        }
        self.run_as = run_as;
    }

    /// Narrows the candidates to these; one of them is strong.
    fn settle(&mut self, people: Vec<Person>) {
        self.person = match people.as_slice() {
            [_] => Confidence::Strong,
            _ => Confidence::Ambiguous,
        };
        self.people = people;
    }

    /// A cluster that several may use: the rights of its runs, and who was at work.
    pub(super) fn shared(
        &mut self,
        ask: &mut Ask<'_>,
        host: &Host,
        is_job: bool,
        active: &[Person],
    ) {
        let run_as = self.find_run_as(ask, host);
        let is_sole_job = self.jobs.len() == 1 && self.job >= Confidence::Strong;
        self.people.extend(run_as.iter().cloned());
        let others: Vec<&Person> = active
            .iter()
            .filter(|person| !run_as.contains(person))
            .collect();
        if !run_as.is_empty() {
            self.grounds.by(Method::M5RunAs);
        }
        if !active.is_empty() {
            self.grounds.by(Method::M5ActiveUsers);
        }
        self.people
            .extend(others.iter().map(|person| (*person).clone()));
        each_once(&mut self.people);
        // Others on the cluster show in the audit log only, if it tells of commands at all.
        let are_others_seen = is_job
            || (ask.has_passed(FactSource::Audit, ACTIVE_SECS)
                && ask.databricks().activity.shows_commands(
                    host.of.workspace,
                    ask.at,
                    &mut ask.span,
                ));
        self.person = match self.people.as_slice() {
            [] => Confidence::None,
            [_] if is_sole_job && others.is_empty() && are_others_seen => Confidence::Strong,
            // Without a run there is the work of those who run commands.
            [_] if self.jobs.is_empty()
                && ask.has_passed(FactSource::Audit, ACTIVE_SECS)
                && ask.runs_have_passed(RUN_SLACK_SECS) =>
            {
                Confidence::Strong
            }
            _ => Confidence::Ambiguous,
        };
        if !is_job && (!others.is_empty() || !are_others_seen) {
            self.job = self.job.min(Confidence::Ambiguous);
            self.task = self.task.min(Confidence::Ambiguous);
        }
        self.run_as = run_as;
    }

    /// Whose rights the jobs had when they ran. A job without an answer may be
    /// anybody's, so nobody is then the only one.
    fn find_run_as(&mut self, ask: &mut Ask<'_>, host: &Host) -> Vec<Person> {
        let databricks = ask.databricks();
        let mut found = Vec::new();
        for job in &self.jobs {
            let JobRunKey { job_run, .. } = job.key;
            let workspace = job.key.workspace.filled().unwrap_or(host.of.workspace);
            let started = (!job_run.is_none())
                .then(|| databricks.runs.started_at(workspace, job_run))
                .flatten()
                .unwrap_or(ask.at);
            let mut rows: Vec<(String, String)> = Vec::new();
            for at in [-CHANGE_SKEW_SECS, CHANGE_SKEW_SECS] {
                let mut span = TimeSpan::ALWAYS;
                let at = started.plus_seconds(at);
                rows.extend(
                    databricks
                        .runs
                        .run_as(workspace, job.key.job, at, &mut span),
                );
                if started == ask.at {
                    let slack = at.0.saturating_sub(started.0);
                    ask.span = ask.span.intersect(TimeSpan {
                        from: UtcMicros(span.from.0.saturating_sub(slack)),
                        until: UtcMicros(span.until.0.saturating_sub(slack)),
                    });
                }
            }
            rows.sort();
            rows.dedup();
            for (whom, evidence) in rows {
                found.extend(databricks.people.resolve(&whom, ask.at, &mut ask.span));
                self.grounds.note(&evidence);
            }
        }
        each_once(&mut found);
        found
    }
}

/// Who ran commands on the cluster within half an hour.
pub(super) fn active_people(ask: &mut Ask<'_>, cluster: Name, host: &Host) -> Vec<Person> {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let commands: Vec<_> = databricks
        .activity
        .commands_at(cluster, ask.at, ACTIVE_SECS, &mut ask.span)
        .copied()
        .collect();
    let mut people = Vec::new();
    for command in commands {
        let elsewhere = host.workspace.is_some()
            && !command.workspace.is_none()
            && command.workspace != host.of.workspace;
        let whom = command.run_by.filled().unwrap_or(command.actor);
        if !elsewhere {
            people.extend(
                databricks
                    .people
                    .resolve(names.text(whom), ask.at, &mut ask.span),
            );
        }
    }
    each_once(&mut people);
    people
}
