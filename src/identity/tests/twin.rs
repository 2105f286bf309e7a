//! A slow, obvious twin: the same questions by reading every fact, compared with
//! the indexed lookups over random facts.

use super::order::{all_of, one_fact};
use super::*;
use crate::model::{DatabricksFacts, TaskRunSource};
use hashbrown::{HashMap, HashSet};
use proptest::collection::vec;
use proptest::prelude::*;

/// The clusters that the instance was placed on at a time: its last event at or
/// before it, read from all events.
fn placed_by_scan(facts: &DatabricksFacts, when: UtcMicros) -> HashSet<(String, String)> {
    let before = facts
        .instance_events
        .iter()
        .filter(|event| event.instance_id == INSTANCE && event.at <= when);
    let last = before.clone().map(|event| event.at).max();
    before
        .filter(|event| Some(event.at) == last && event.state == "INSTANCE_PLACED")
        .filter_map(|event| Some((event.workspace_id.clone(), event.cluster_id.clone()?)))
        .collect()
}

/// The runs on a cluster at a time, give or take a minute, slices of one run joined.
fn runs_by_scan(facts: &DatabricksFacts, cluster: &str, when: UtcMicros) -> HashSet<String> {
    let mut by_run: HashMap<(&str, &str, &str), Vec<_>> = HashMap::new();
    for run in &facts.task_runs {
        let key = (&*run.workspace_id, &*run.job_id, &*run.task_run_id);
        by_run.entry(key).or_default().push(run);
    }
    let mut found = HashSet::new();
    for ((workspace, job, id), slices) in by_run {
        let start = slices.iter().map(|slice| slice.start).min().unwrap();
        let end = slices.iter().filter_map(|slice| slice.end).max();
        let of_audit = || {
            slices
                .iter()
                .filter(|slice| slice.source == TaskRunSource::Audit)
        };
        let is_open = of_audit().count() > 0 && of_audit().all(|slice| slice.end.is_none());
        let end = end
            .filter(|_| !is_open)
            .unwrap_or(UtcMicros::MAX)
            .max(start);
        let is_here = slices
            .iter()
            .any(|slice| slice.compute_ids.iter().any(|id| id == cluster));
        if is_here && start.plus_seconds(-60) <= when && when <= end.plus_seconds(60) {
            found.insert(format!("{workspace}/{job}/{id}"));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_reading_everything_finds(
        facts in vec(one_fact(), 0..40),
        times in vec(-100_i64..4000, 10),
    ) {
        let facts = all_of(&facts);
        let index = world(&[], &[]).with_databricks(facts.clone());
        let databricks = index.databricks();
        let names = &databricks.names;
        let own = |name| names.text(name).to_owned();
        for when in times.into_iter().map(at) {
            let mut span = crate::model::TimeSpan::ALWAYS;
            let placed: HashSet<_> = names
                .find(INSTANCE)
                .into_iter()
                .flat_map(|instance| databricks.nodes.placed_at(instance, when, 0, &mut span))
                .map(|placed| (own(placed.of.workspace), own(placed.of.cluster)))
                .collect();
            prop_assert_eq!(placed, placed_by_scan(&facts, when));
            for cluster in ["c1", "c2"] {
                let runs: HashSet<_> = names
                    .find(cluster)
                    .into_iter()
                    .flat_map(|cluster| databricks.runs.at(cluster, when, 60, &mut span))
                    .filter(|run| !run.task_run.is_none())
                    .map(|run| format!("{}/{}/{}", own(run.workspace), own(run.job), own(run.task_run)))
                    .collect();
                prop_assert_eq!(runs, runs_by_scan(&facts, cluster, when));
                let actors: HashSet<_> = names
                    .find(cluster)
                    .into_iter()
                    .flat_map(|cluster| databricks.activity.commands_at(cluster, when, 1800, &mut span))
                    .map(|command| own(command.actor))
                    .collect();
                let scanned: HashSet<_> = facts
                    .commands
                    .iter()
                    .filter(|command| command.cluster_id == cluster)
                    .filter(|command| command.at.0.abs_diff(when.0) <= 1_800_000_000)
                    .map(|command| command.actor.clone())
                    .collect();
                prop_assert_eq!(actors, scanned);
            }
        }
    }

    #[test]
    fn vends_are_found_by_place_and_time_as_a_scan_finds_them(
        facts in vec(one_fact(), 0..40),
        when in -100_i64..300,
    ) {
        let facts = all_of(&facts);
        let index = world(&[], &[]).with_databricks(facts.clone());
        let databricks = index.databricks();
        let names = &databricks.names;
        let (from, until) = (at(when - 60), at(when + 60));
        for prefix in ["lake/sales", "lake", "lake/sales/orders", "lake/sal"] {
            let mut places: Vec<_> = databricks
                .places
                .holding(prefix, names)
                .chain(databricks.vends.locations_below(prefix, names))
                .collect();
            places.sort();
            places.dedup();
            let mut found: Vec<String> = places
                .into_iter()
                .flat_map(|place| databricks.vends.of_location(place, from, until))
                .map(|vend| format!("{:?} {} {}", vend.at, names.text(vend.location), names.text(vend.actor)))
                .collect();
            found.sort();
            found.dedup();
            let learned: HashSet<&str> = facts
                .vends
                .iter()
                .filter(|vend| vend.table_id.is_some())
                .filter_map(|vend| vend.location.as_deref())
                .collect();
            let mut scanned: Vec<String> = facts
                .vends
                .iter()
                .filter(|vend| from <= vend.at && vend.at <= until)
                .filter_map(|vend| {
                    let of_table = || match (&vend.table_id, learned.len()) {
                        (Some(_), 1) => learned.iter().next().copied(),
                        _ => None,
                    };
                    let path = vend.location.as_deref().or_else(of_table)?;
                    let path = path.strip_prefix("s3://").unwrap();
                    let inside = |outer: &str, inner: &str| {
                        inner == outer || inner.starts_with(&format!("{outer}/"))
                    };
                    (inside(path, prefix) || inside(prefix, path))
                        .then(|| format!("{:?} {path} {}", vend.at, vend.actor.as_deref().unwrap()))
                })
                .collect();
            scanned.sort();
            scanned.dedup();
            prop_assert_eq!(found, scanned, "{}", prefix);
        }
    }
}
