//! The story told to people: `demo`, `health`, the queries by name, and `explain` on
//! each access path, all over one simulated organisation.
//!
//! Figures are compared with slow counts in the test, over rows that a plain
//! `SELECT` gave.

use super::world::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const EVENTS: &str = "4000";

/// A world in which the demo has run, and its page.
fn shown(world: &World, folder: &str) -> String {
    let output = world.run(&["demo", "--keep", folder, "--events", EVENTS, "--seed", "11"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn rows(world: &World) -> Vec<Value> {
    world.query_in("demo/lake", "SELECT * FROM s3_access")
}

#[track_caller]
fn named(world: &World, name: &str) -> Vec<Value> {
    let output = world
        .command_in("demo/lake", &["query", "--format", "json", "--name", name])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{name}: {}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'r>(row: &'r Value, name: &str) -> &'r str {
    row[name].as_str().unwrap_or_default()
}

/// `1234` as the page writes it.
fn grouped(n: usize) -> String {
    match n {
        0..1000 => n.to_string(),
        _ => format!("{},{:03}", n / 1000, n % 1000),
    }
}

#[test]
fn the_page_fits_is_the_same_twice_and_its_figures_are_those_of_the_lake() {
    let world = World::new();
    let page = shown(&world, "demo");
    let again = shown(&world, "other");
    assert_eq!(page.replace("demo/", "other/"), again);
    assert!(page.lines().count() <= 60, "{} lines", page.lines().count());
    let wide = page.lines().filter(|line| line.chars().count() > 100);
    let wide: Vec<&str> = wide.filter(|line| !line.contains("--config")).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    assert!(!page.contains('\u{1b}'), "colour where nobody looks");

    let rows = rows(&world);
    let count = |is: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| is(row)).count();
    let out = count(&|row| text(row, "verdict") == "out_of_policy");
    assert!(out > 0);
    let total = grouped(rows.len());
    assert!(page.contains(&format!("{total} S3 events")), "{page}");
    assert!(
        page.contains(&format!(
            "OUT OF POLICY: {} of {total} events",
            grouped(out)
        )),
        "{page}"
    );
    let nobody = count(&|row| text(row, "principal_confidence") == "none");
    let several = count(&|row| text(row, "principal_confidence") == "ambiguous");
    let line = format!(
        "NOT KNOWN: {} events have no person, {} lie between several",
        grouped(nobody),
        grouped(several)
    );
    assert!(page.contains(&line), "{line}: {page}");

    let datasets: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row["dataset"].as_str())
        .collect();
    assert!(datasets.len() > 3, "{datasets:?}");
    for dataset in datasets {
        let of = |row: &&Value| row["dataset"] == dataset;
        let events = rows.iter().filter(of).count();
        let known = rows
            .iter()
            .filter(of)
            .filter(|row| !row["principal"].is_null())
            .count();
        let people: BTreeSet<&str> = rows
            .iter()
            .filter(of)
            .filter(|row| row["principal_kind"] == "user")
            .map(|row| text(row, "principal"))
            .collect();
        let line = page
            .lines()
            .find(|line| line.split_whitespace().next() == Some(dataset))
            .unwrap_or_else(|| panic!("{dataset} is missing: {page}"));
        let cells: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(cells[2], grouped(events), "{line}");
        assert_eq!(cells[3], grouped(known), "{line}");
        assert_eq!(cells[6], people.len().to_string(), "{line}");
    }
}

#[test]
fn the_commands_of_the_page_work_as_they_stand() {
    let world = World::new();
    let page = shown(&world, "demo");
    let commands: Vec<&str> = page
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("--config"))
        .collect();
    assert!(commands.iter().any(|c| c.contains(" explain ")), "{page}");
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let output = std::process::Command::new(words[0])
            .args(&words[1..])
            .current_dir(world.path("."))
            .env_remove("BRICKTRAIL_LAKE")
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{command}: {}",
            errors(&output)
        );
        assert!(!output.stdout.is_empty(), "{command}");
    }
    let refused = world.run(&["demo", "--keep", "demo"]);
    assert_eq!(refused.status.code(), Some(2), "{}", errors(&refused));
}

#[test]
fn the_health_queries_equal_a_slow_count_of_the_rows() {
    let world = World::new();
    shown(&world, "demo");
    let rows = rows(&world);
    let mut levels: BTreeMap<(String, String), [i64; 5]> = BTreeMap::new();
    let mut reasons: BTreeMap<(String, String), i64> = BTreeMap::new();
    for row in &rows {
        for level in [
            "session",
            "workspace",
            "cluster",
            "job",
            "task",
            "principal",
        ] {
            let path = text(row, "access_path").to_owned();
            let counts = levels.entry((path, level.to_owned())).or_default();
            counts[0] += 1;
            let label = text(row, &format!("{level}_confidence"));
            let place = ["exact", "strong", "ambiguous", "none"]
                .iter()
                .position(|l| *l == label);
            counts[1 + place.unwrap()] += 1;
        }
        if let Some(reason) = row["unattributed_reason"].as_str() {
            let key = (text(row, "access_path").to_owned(), reason.to_owned());
            *reasons.entry(key).or_default() += 1;
        }
    }
    let told: BTreeMap<(String, String), [i64; 5]> = named(&world, "attribution-health")
        .iter()
        .map(|row| {
            let n = |name: &str| row[name].as_i64().unwrap();
            let percents = [
                "exact_percent",
                "strong_percent",
                "ambiguous_percent",
                "none_percent",
            ];
            let sum: f64 = percents
                .iter()
                .map(|name| row[*name].as_f64().unwrap())
                .sum();
            assert!((sum - 100.0).abs() < 0.1, "{row}");
            let key = (
                text(row, "access_path").to_owned(),
                text(row, "level").to_owned(),
            );
            let counts = [
                n("events"),
                n("exact_events"),
                n("strong_events"),
                n("ambiguous_events"),
                n("none_events"),
            ];
            (key, counts)
        })
        .collect();
    assert_eq!(told, levels);
    let told: BTreeMap<(String, String), i64> = named(&world, "unattributed-reasons")
        .iter()
        .map(|row| {
            let key = (
                text(row, "access_path").to_owned(),
                text(row, "unattributed_reason").to_owned(),
            );
            (key, row["events"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(told, reasons);

    let health = world
        .command_in("demo/lake", &["health", "--format", "json"])
        .output()
        .unwrap();
    let health: Value = serde_json::from_slice(&health.stdout).unwrap();
    let several = rows
        .iter()
        .filter(|row| row["principal_confidence"] == "ambiguous");
    assert_eq!(health["principal"]["ambiguous"], several.count());
    assert_eq!(health["principal"]["none"], reasons.values().sum::<i64>());
    assert_eq!(health["events"], rows.len());
    for cause in health["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .chain(health["doubts"].as_array().unwrap())
    {
        assert!(cause["to_mend_it"].is_string(), "{cause}");
    }
    let page = world.command_in("demo/lake", &["health"]).output().unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    let wide = page
        .lines()
        .filter(|line| line.chars().count() > 100)
        .collect::<Vec<_>>();
    assert!(wide.is_empty(), "{wide:#?}");
}

/// One event of each access path and set of methods: its explanation names every
/// record of the chain, and the doubt that the query names.
#[test]
fn explain_tells_the_chain_of_every_access_path() {
    let world = World::new();
    shown(&world, "demo");
    let examples = world.query_in(
        "demo/lake",
        "SELECT access_path, attribution_methods, unattributed_reason, min(event_id) AS event_id FROM s3_access \
         GROUP BY access_path, attribution_methods, unattributed_reason ORDER BY event_id",
    );
    let paths: BTreeSet<&str> = examples
        .iter()
        .map(|row| text(row, "access_path"))
        .collect();
    assert!(paths.len() >= 8, "{paths:?}");
    let doubts: BTreeMap<String, String> = named(&world, "ambiguous-principals")
        .iter()
        .map(|row| {
            (
                text(row, "example_event_id").to_owned(),
                text(row, "doubt").to_owned(),
            )
        })
        .collect();
    assert!(!doubts.is_empty());
    let ids: BTreeSet<&str> = examples
        .iter()
        .map(|row| text(row, "event_id"))
        .chain(doubts.keys().map(String::as_str))
        .collect();
    for id in ids {
        let explain = |format: &str| {
            let arguments = [
                "--config",
                "demo/bricktrail.toml",
                "explain",
                id,
                "--format",
                format,
            ];
            let output = world.command_in("demo/lake", &arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{id}: {}", errors(&output));
            String::from_utf8(output.stdout).unwrap()
        };
        let value: Value = serde_json::from_str(&explain("json")).unwrap();
        for row in value["rows"].as_array().unwrap() {
            assert_eq!(
                row["decided_again"]["same_attribution"], true,
                "{id}: {row:#}"
            );
            for piece in row["evidence"].as_array().unwrap() {
                let found = ["sts_sessions", "ec2_instances", "databricks"]
                    .iter()
                    .any(|kind| !piece[kind].as_array().unwrap().is_empty());
                assert!(found, "{id}: nothing is said of {piece}");
            }
            if let Some(doubt) = doubts.get(id) {
                assert_eq!(row["ambiguous"]["doubt"], **doubt, "{id}");
                assert!(row["ambiguous"]["to_mend_it"].is_string());
            }
        }
        let page = explain("text");
        let methods = texts(&value["rows"][0]["stored"]["attribution_methods"]);
        for method in methods {
            assert!(page.contains(&format!("by {method}: ")), "{method}: {page}");
        }
        assert!(!page.contains("not known to this version"), "{page}");
        assert!(!page.contains("is not in the lake"), "{page}");
    }
}
