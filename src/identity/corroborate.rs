//! C3 and C4: what lineage and query history say of an access that the vend alone
//! leaves open.
//!
//! Both are best effort and near in time only: they single out one of several
//! candidates. Where a service asked for the key on somebody's behalf, they name that
//! one if nobody else is left: not one who asked for the same place in his own name,
//! whose lineage is that of his own key. Where nobody asked at all, a statement or run
//! under way must confirm it. They never make anything exact.

use super::ask::{Ask, Grounds, each_once};
use super::names::Name;
use super::network::private;
use super::people::Person;
use super::place::{Direction, upwards};
use super::vend_claim::{FAR_SECS, KEY_LIFE_SECS, VendClaim, whom};
use super::watermarks::FactSource;
use super::work::{JobRunKey, JobRunOf, TaskRunOf};
use crate::model::{Confidence, Method, TimeSpan, UnattributedReason, UtcMicros};

/// Lineage is written when the work ends: before and after the access.
const LINEAGE_SECS: (i64, i64) = (5 * 60, 60 * 60);
/// Clocks around a statement or run.
const STATEMENT_SLACK_SECS: i64 = 5;
const RUN_SLACK_SECS: i64 = 60;

/// What corroborates.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    pub people: Vec<Person>,
    pub person: Confidence,
    pub job: Option<JobRunOf>,
    pub task: Option<TaskRunOf>,
    pub workspaces: Vec<String>,
    pub grounds: Grounds,
}

/// A row of lineage that fits, and whom it names.
struct Voice {
    people: Vec<Person>,
    /// The statement or run that it names was under way at the access.
    is_confirmed: bool,
    /// Whoever it names asked for the place in his own name.
    has_own_key: bool,
    by_statement: bool,
    job: Option<JobRunOf>,
    task: Option<TaskRunOf>,
    workspace: Option<String>,
    evidence: Vec<String>,
}

/// Asks the witnesses; `candidates` are those of the vend, none if it names nobody.
pub(super) fn witness(
    ask: &mut Ask<'_>,
    candidates: &[Person],
    claim: &VendClaim,
) -> Option<Witness> {
    let issued_at = claim.issued_at;
    let voices = voices(ask, issued_at);
    if voices.is_empty() {
        return by_statements(ask, candidates, issued_at);
    }
    let is_complete = ask.has_passed(FactSource::Lineage, LINEAGE_SECS.1);
    let is_whole = voices.iter().all(|voice| !voice.people.is_empty());
    let mut people: Vec<Person> = voices
        .iter()
        .flat_map(|voice| voice.people.iter().cloned())
        .filter(|person| candidates.is_empty() || candidates.contains(person))
        .collect();
    each_once(&mut people);
    let heard: Vec<&Voice> = voices
        .iter()
        .filter(|voice| voice.people.iter().any(|person| people.contains(person)))
        .collect();
    let is_confirmed = heard.iter().all(|voice| voice.is_confirmed);
    let is_behalf = claim.reason == Some(UnattributedReason::ServiceVend)
        && heard.iter().all(|voice| !voice.has_own_key);
    let is_named = is_confirmed || !candidates.is_empty() || is_behalf;
    let person = match people.as_slice() {
        [] => return by_statements(ask, candidates, issued_at),
        [_] if is_complete && is_whole && is_named => Confidence::Strong,
        _ => Confidence::Ambiguous,
    };
    let mut witness = Witness {
        person,
        ..Witness::default()
    };
    witness.grounds.by(Method::C3Lineage);
    if heard.iter().any(|voice| voice.by_statement) {
        witness.grounds.by(Method::C4QueryHistory);
    }
    for voice in &heard {
        voice
            .evidence
            .iter()
            .for_each(|id| witness.grounds.note(id));
        witness.workspaces.extend(voice.workspace.clone());
    }
    witness.workspaces.sort();
    witness.workspaces.dedup();
    witness.people = people;
    if witness.person == Confidence::Strong && is_confirmed {
        witness.job = sole(heard.iter().map(|voice| &voice.job));
        witness.task = sole(heard.iter().map(|voice| &voice.task));
    }
    Some(witness)
}

/// The one value that all share.
fn sole<'a, T: Clone + PartialEq + 'a>(mut told: impl Iterator<Item = &'a Option<T>>) -> Option<T> {
    let first = told.next()?.clone()?;
    told.all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

/// The rows of lineage whose path holds the key, in the direction of the access.
fn voices(ask: &mut Ask<'_>, issued_at: Option<UtcMicros>) -> Vec<Voice> {
    let place = ask.place();
    let databricks = ask.databricks();
    let names = &databricks.names;
    let is_target = match place.direction {
        Direction::Read => false,
        Direction::Write => true,
        Direction::Other => return Vec::new(),
    };
    let mut rows = Vec::new();
    for location in upwards(names.text(place.location)).filter_map(|text| names.find(text)) {
        rows.extend(
            databricks
                .activity
                .lineage_at(location, is_target, ask.at, LINEAGE_SECS, &mut ask.span)
                .map(|(at, row)| (at, location, *row)),
        );
    }
    // What was done before there was the key was not done with it.
    let first = issued_at.map_or(UtcMicros::MIN, |issued| issued.plus_seconds(-FAR_SECS));
    rows.retain(|(at, ..)| *at >= first);
    rows.sort_by(|(.., a), (.., b)| names.text(a.evidence).cmp(names.text(b.evidence)));
    let mut voices = Vec::new();
    for (at, location, row) in rows {
        let mut voice = Voice {
            people: databricks
                .people
                .resolve(names.text(row.created_by), ask.at, &mut ask.span),
            is_confirmed: false,
            has_own_key: false,
            by_statement: false,
            job: None,
            task: None,
            workspace: names.owned(row.workspace),
            evidence: vec![names.text(row.evidence).to_owned()],
        };
        if let Some(statement) = row
            .statement
            .filled()
            .and_then(|id| databricks.activity.statement(id))
        {
            let (from, until) = (
                statement.start.plus_seconds(-STATEMENT_SLACK_SECS),
                statement.end.plus_seconds(STATEMENT_SLACK_SECS),
            );
            if !ask.is_within(from, until) {
                // That statement read at another time.
                continue;
            }
            let whom = statement.as_whom.filled().unwrap_or(statement.by);
            let people = databricks
                .people
                .resolve(names.text(whom), ask.at, &mut ask.span);
            if !people.is_empty() {
                voice.people = people;
            }
            voice.is_confirmed = true;
            voice.by_statement = true;
            voice
                .evidence
                .push(statement_evidence(names.text(statement.id)));
            voice.job = statement.job.filled().map(|job| {
                let key = JobRunKey {
                    workspace: statement.workspace,
                    job,
                    job_run: statement.job_run,
                };
                JobRunOf::of(key, names)
            });
            voice.task = statement.task_run.filled().map(|task_run| TaskRunOf {
                task_run,
                task_key: statement.task_key,
            });
        } else if let Some(job) = row.job.filled() {
            let run = databricks.runs.job_run_at(
                row.workspace,
                row.job_run,
                ask.at,
                RUN_SLACK_SECS,
                &mut ask.span,
            );
            if let Some(run) = run {
                voice.is_confirmed = true;
                voice.evidence.push(run.evidence(names).into());
            } else if databricks
                .runs
                .started_at(row.workspace, row.job_run)
                .is_some()
            {
                // That run was over, or had not begun.
                continue;
            }
            let started = databricks.runs.started_at(row.workspace, row.job_run);
            let mut holds = TimeSpan::ALWAYS;
            let as_of = started.unwrap_or(ask.at);
            let whom = databricks
                .runs
                .run_as(row.workspace, job, as_of, &mut holds);
            if started.is_none() {
                ask.span = ask.span.intersect(holds);
            }
            let mut people = Vec::new();
            for (whom, evidence) in whom {
                people.extend(databricks.people.resolve(&whom, ask.at, &mut ask.span));
                voice.evidence.push(evidence);
            }
            if !people.is_empty() {
                voice.people = people;
            }
            let key = JobRunKey {
                workspace: row.workspace,
                job,
                job_run: row.job_run,
            };
            voice.job = Some(JobRunOf::of(key, names));
        }
        each_once(&mut voice.people);
        voice.has_own_key = has_own_key(ask, &voice.people, location, at);
        voices.push(voice);
    }
    voices
}

/// Whether one of the people asked for the place, or one above it, within the life of
/// a key before `at`.
fn has_own_key(ask: &Ask<'_>, people: &[Person], location: Name, at: UtcMicros) -> bool {
    let databricks = ask.databricks();
    let names = &databricks.names;
    let (from, until) = (
        at.plus_seconds(-KEY_LIFE_SECS - FAR_SECS),
        at.plus_seconds(FAR_SECS),
    );
    upwards(names.text(location))
        .filter_map(|outer| names.find(outer))
        .flat_map(|outer| databricks.vends.of_location(outer, from, until))
        .any(|vend| {
            let mut constant = TimeSpan::ALWAYS;
            let asked = names.text(whom(vend));
            let asked = databricks.people.resolve(asked, at, &mut constant);
            asked.iter().any(|person| people.contains(person))
        })
}

/// C4 alone: of candidates who all ran statements when the key was issued, the one
/// whose statement was under way at the access. Not for compute in a network of
/// the customer, whose statements are nowhere recorded.
fn by_statements(
    ask: &mut Ask<'_>,
    candidates: &[Person],
    issued_at: Option<UtcMicros>,
) -> Option<Witness> {
    let issued_at = issued_at.filter(|_| candidates.len() > 1)?;
    let ip = ask.access.client.source_ip.as_deref();
    if ip.is_some_and(|ip| private(ip).is_some())
        || !ask.has_passed(FactSource::QueryHistory, STATEMENT_SLACK_SECS)
    {
        return None;
    }
    let databricks = ask.databricks();
    let (names, activity) = (&databricks.names, &databricks.activity);
    let mut witness = Witness::default();
    for person in candidates {
        let name = names.find(&person.name)?;
        let mut constant = TimeSpan::ALWAYS;
        activity
            .statements_at(name, issued_at, FAR_SECS, &mut constant)
            .next()?;
        let mut now: Vec<&str> = activity
            .statements_at(name, ask.at, STATEMENT_SLACK_SECS, &mut ask.span)
            .map(|statement| names.text(statement.id))
            .collect();
        now.sort_unstable();
        now.dedup();
        if !now.is_empty() {
            witness.people.push(person.clone());
            now.iter()
                .for_each(|id| witness.grounds.note(&statement_evidence(id)));
        }
    }
    if witness.people.len() != 1 {
        return None;
    }
    witness.person = Confidence::Strong;
    witness.grounds.by(Method::C4QueryHistory);
    Some(witness)
}

fn statement_evidence(id: &str) -> String {
    format!("statement:{id}")
}
