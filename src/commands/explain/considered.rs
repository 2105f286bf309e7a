//! What was near and fell out, with the reason that its own record states.
//!
//! Attribution names what it rests on; an auditor also asks what else there was.
//! So the nearest records of the same place, cluster, instance or address that the
//! answer does not name are listed, with the window that shut each out.

use super::super::cells::Cells;
use super::databricks::{Times, apart};
use crate::model::{DatabricksFacts, UtcMicros};
use std::collections::BTreeMap;

/// Records listed of each kind, the nearest first.
const LISTED_MAX: usize = 4;
/// How far around the event is looked.
const AROUND_SECS: i64 = 4 * 3600;
/// A vend further away cannot be the key's: none lives longer.
const KEY_LIFE_SECS: u64 = 3600;
/// The windows of attribution (facts-identity 9.11), as they are told to a reader.
const VEND_SECS: u64 = 60;
const RUN_SECS: i64 = 60;
const ACTIVE_SECS: u64 = 1800;

/// A record that the answer does not rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Considered {
    pub what: String,
    pub because: String,
    away: u64,
}

/// The nearest records that fell out.
pub fn of(row: &Cells, facts: &DatabricksFacts) -> Vec<Considered> {
    let times = Times::of(row);
    let named = row.list("attribution_evidence");
    let mut all = Vec::new();
    let mut take = |mut found: Vec<Considered>| {
        found.sort_by(|a, b| (a.away, &a.what).cmp(&(b.away, &b.what)));
        found.dedup_by(|a, b| a.what == b.what);
        found.truncate(LISTED_MAX);
        all.extend(found);
    };
    if row.text("access_path") == Some("unity_catalog") {
        take(vends(row, facts, times, &named));
    }
    take(placements(row, facts, times, &named));
    take(runs(row, facts, times, &named));
    take(commands(row, facts, times));
    all
}

fn away(at: UtcMicros, from: Option<UtcMicros>) -> u64 {
    from.map_or(u64::MAX, |from| at.0.abs_diff(from.0)) / 1_000_000
}

fn is_around(seconds: u64) -> bool {
    i64::try_from(seconds).is_ok_and(|seconds| seconds <= AROUND_SECS)
}

/// Vends of the place that the key does not come from.
fn vends(row: &Cells, facts: &DatabricksFacts, times: Times, named: &[String]) -> Vec<Considered> {
    let bucket = row.text("bucket").unwrap_or_default();
    let key = row.text("object_key").or(row.text("list_prefix"));
    let path = format!("{bucket}/{}", key.unwrap_or_default());
    let near = facts.vends.iter().filter_map(|vend| {
        let away = away(vend.at, times.issued);
        let location = vend.location.as_deref()?;
        let place = location
            .split_once("://")
            .map_or(location, |(_, rest)| rest);
        let place = place.trim_end_matches('/');
        let is_here = path
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (is_here && away <= KEY_LIFE_SECS && !named.contains(&vend.source_id))
            .then_some((vend, away, location))
    });
    near.map(|(vend, away, location)| {
        let whom = vend.run_by.as_ref().or(vend.actor.as_ref());
        let whom = whom.map_or("nobody named", String::as_str);
        let because = match vend.status_code {
            Some(status) if status != 200 => format!("it was refused ({status})"),
            _ if away > VEND_SECS => format!(
                "{}, more than {VEND_SECS} s",
                apart(vend.at, times.issued, "the key was issued")
            ),
            _ => "another session answers it, or its operation does not fit".to_owned(),
        };
        Considered {
            what: format!("vend of {location} to {whom}, {}", vend.source_id),
            because,
            away,
        }
    })
    .collect()
}

/// Other clusters that the instance was placed on.
fn placements(
    row: &Cells,
    facts: &DatabricksFacts,
    times: Times,
    named: &[String],
) -> Vec<Considered> {
    let Some(instance_id) = row.text("instance_id") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for event in facts
        .instance_events
        .iter()
        .filter(|e| e.instance_id == instance_id)
    {
        let Some(cluster) = &event.cluster_id else {
            continue;
        };
        let id = format!(
            "instance_events:{}/{instance_id}@{}",
            event.workspace_id, event.at
        );
        let away = away(event.at, times.event);
        if named.contains(&id) || !is_around(away) {
            continue;
        }
        let next = facts
            .instance_events
            .iter()
            .filter(|e| e.instance_id == instance_id && e.at > event.at);
        let end = next.map(|e| e.at).min();
        let because = match (end, times.event) {
            (Some(end), Some(event)) if end <= event => {
                format!("it ended {}", apart(end, Some(event), "the event"))
            }
            _ => format!("it began {}", apart(event.at, times.event, "the event")),
        };
        found.push(Considered {
            what: format!("placement of {instance_id} on cluster {cluster}"),
            because,
            away,
        });
    }
    found
}

/// Other runs on the cluster.
fn runs(row: &Cells, facts: &DatabricksFacts, times: Times, named: &[String]) -> Vec<Considered> {
    let (Some(cluster), Some(event)) = (row.text("cluster_id"), times.event) else {
        return Vec::new();
    };
    let here = facts.task_runs.iter().filter(|run| {
        run.compute_ids.iter().any(|id| id == cluster)
            && row
                .text("workspace_id")
                .is_none_or(|workspace| workspace == run.workspace_id)
            && !run.source_ids.iter().any(|id| named.contains(id))
            && row.text("task_run_id") != Some(&run.task_run_id)
    });
    here.filter_map(|run| {
        let because = if event < run.start.plus_seconds(-RUN_SECS) {
            format!("it began {}", apart(run.start, times.event, "the event"))
        } else if let Some(end) = run.end.filter(|end| event > end.plus_seconds(RUN_SECS)) {
            format!("it ended {}", apart(end, times.event, "the event"))
        } else {
            return None;
        };
        let away = away(run.start, times.event);
        let task = run.task_key.as_deref().unwrap_or("?");
        is_around(away).then(|| Considered {
            what: format!("task {task}, run {} of job {}", run.task_run_id, run.job_id),
            because: format!("{because}, more than {RUN_SECS} s"),
            away,
        })
    })
    .collect()
}

/// Other people at work on the cluster.
fn commands(row: &Cells, facts: &DatabricksFacts, times: Times) -> Vec<Considered> {
    let Some(cluster) = row.text("cluster_id") else {
        return Vec::new();
    };
    let nearest = nearest_commands(cluster, facts, times);
    let nearest = nearest
        .into_iter()
        .filter(|(whom, command)| !is_named(row, whom) && is_around(command.away));
    let found = nearest.map(|(whom, Nearest { away, at, .. })| Considered {
        what: format!("{whom}, nearest command on the cluster"),
        because: match away > ACTIVE_SECS {
            true => format!(
                "{}, more than half an hour",
                apart(at, times.event, "the event")
            ),
            false => format!(
                "{}; the cluster's rights or the vend tell who it was",
                apart(at, times.event, "the event")
            ),
        },
        away,
    });
    found.collect()
}

/// For each person named, the command by which they count as at work on the cluster.
pub fn at_work(row: &Cells, facts: &DatabricksFacts) -> Vec<String> {
    let by_activity = row
        .list("attribution_methods")
        .iter()
        .any(|method| method == "M5_active_users");
    let Some(cluster) = row.text("cluster_id").filter(|_| by_activity) else {
        return Vec::new();
    };
    let times = Times::of(row);
    let nearest = nearest_commands(cluster, facts, times);
    nearest
        .into_iter()
        .filter(|(whom, command)| is_named(row, whom) && command.away <= ACTIVE_SECS)
        .map(|(whom, command)| {
            let when = apart(command.at, times.event, "the event");
            format!("{whom}, nearest command {when}, {}", command.source_id)
        })
        .collect()
}

struct Nearest<'f> {
    away: u64,
    at: UtcMicros,
    source_id: &'f str,
}

fn nearest_commands<'f>(
    cluster: &str,
    facts: &'f DatabricksFacts,
    times: Times,
) -> BTreeMap<&'f str, Nearest<'f>> {
    let mut nearest: BTreeMap<&str, Nearest<'_>> = BTreeMap::new();
    for command in facts.commands.iter().filter(|c| c.cluster_id == cluster) {
        let whom = command.run_by.as_ref().unwrap_or(&command.actor);
        let found = Nearest {
            away: away(command.at, times.event),
            at: command.at,
            source_id: &command.source_id,
        };
        let order = |n: &Nearest<'_>| (n.away, n.at, n.source_id.to_owned());
        match nearest.get(whom.as_str()) {
            Some(known) if order(known) <= order(&found) => {}
            _ => drop(nearest.insert(whom, found)),
        }
    }
    nearest
}

fn is_named(row: &Cells, whom: &str) -> bool {
    let candidates = row.list("principal_candidates");
    row.text("principal") == Some(whom) || candidates.iter().any(|candidate| candidate == whom)
}
