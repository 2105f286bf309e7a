//! Writing a policy: packs, checks, examples, and what a policy would change in a lake,
//! held against what it then changes.

use super::settle::{settle, simulated};
use super::world::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A policy that flags by everything that backtesting has to carry: groups, jobs,
/// clusters, keys, times, networks, ages, exceptions.
const NEW_RULES: &str = r#"
@id("any") permit (principal, action, resource) unless { resource has sensitivity && resource.sensitivity == "restricted" };
@id("everyone-reads") permit (principal in Group::"GROUP", action in [Action::"read", Action::"list"], resource)
when { context.access_path == "unity_catalog" };
@id("jobs-write") permit (principal, action in Action::"write", resource) when { context has job && context.job has run_as };
@id("nobody") @severity("high") forbid (principal is Unattributed, action, resource) when { resource has dataset };
@id("night") @severity("low") forbid (principal is User, action in Action::"write", resource) when { context.hour < 7 || ["saturday", "sunday"].contains(context.weekday) };
@id("shared") forbid (principal, action, resource)
when { resource has sensitivity && context has cluster && context.cluster has dedicated && !context.cluster.dedicated };
@id("parquet") @severity("low") forbid (principal, action in Action::"delete", resource) when { resource has key && resource.key like "*.parquet" };
@id("old") forbid (principal, action, resource) when { context has session_age_hours && context.session_age_hours > 2 };
@id("away") @severity("critical") forbid (principal, action, resource) when { context.network.outside_known_networks };
@id("unsure") @severity("low") forbid (principal, action in Action::"write", resource) when { context.confidence.principal == "ambiguous" };
@id("provisional") @severity("low") forbid (principal, action, resource) when { !context.settled };
"#;

const NEW_EXCEPTIONS: &str = r#"
[[exception]]
id = "EX-1"
rules = ["old", "default-deny"]
owner = "hr@northwind.example"
reason = "until sessions are shorter"
approved = 2026-10-06
expires = 2026-10-06
"#;

/// What a lake flags: violations that count by event and rule, and all verdicts.
struct Flags {
    flags: BTreeSet<(String, String)>,
    verdicts: BTreeMap<String, String>,
}

impl Flags {
    fn of(world: &World, lake: &str) -> Flags {
        let of = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let flags = "SELECT event_id, rule FROM violations WHERE exception IS NULL";
        let verdicts = "SELECT concat(event_id, '/', aws_account_id) AS id, verdict FROM s3_access";
        Flags {
            flags: world
                .query_in(lake, flags)
                .iter()
                .map(|row| (of(row, "event_id"), of(row, "rule")))
                .collect(),
            verdicts: world
                .query_in(lake, verdicts)
                .iter()
                .map(|row| (of(row, "id"), of(row, "verdict")))
                .collect(),
        }
    }
}

#[track_caller]
fn json_of(world: &World, arguments: &[&str]) -> Value {
    let output = world.run(&[arguments, &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Events of a report's changes, by rule.
fn by_rule(changes: &Value) -> BTreeMap<String, u64> {
    let mut rules = BTreeMap::new();
    for change in changes.as_array().unwrap() {
        let rule = change["rule"].as_str().unwrap().to_owned();
        *rules.entry(rule).or_insert(0) += change["events"].as_u64().unwrap();
    }
    rules
}

fn counted<'a>(of: impl Iterator<Item = &'a (String, String)>) -> BTreeMap<String, u64> {
    let mut rules = BTreeMap::new();
    of.for_each(|(_, rule)| *rules.entry(rule.clone()).or_insert(0) += 1);
    rules
}

const CONFIG: [&str; 2] = ["--config", "sim/bricktrail.toml"];
const ALL: [&str; 2] = ["--as-of", "2100-01-01T00:00:00Z"];

/// Scans the simulated trail by a policy.
#[track_caller]
fn scan(world: &World, lake: &str, policy: &str) {
    let scan = [
        "scan",
        "sim/trail",
        "--databricks",
        "sim/databricks",
        "--policy",
        policy,
    ];
    let output = world
        .command_in(lake, &[&CONFIG[..], &scan].concat())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

/// Holds a backtest against the flags and verdicts before and after judging by its
/// policy; returns what was newly flagged, by rule.
#[track_caller]
fn check_told(
    world: &World,
    told: &Value,
    lakes: [&str; 2],
    before: &Flags,
) -> BTreeMap<String, u64> {
    let after = Flags::of(world, lakes[1]);
    let (old, new) = (&before.flags, &after.flags);
    let newly = counted(new.iter().filter(|flag| !old.contains(*flag)));
    let no_longer = counted(old.iter().filter(|flag| !new.contains(*flag)));
    assert_eq!(by_rule(&told["newly_flagged"]), newly);
    assert_eq!(by_rule(&told["no_longer_flagged"]), no_longer);
    let mut changed: BTreeMap<(String, String), u64> = BTreeMap::new();
    assert!(before.verdicts.keys().eq(after.verdicts.keys()));
    for (a, b) in before.verdicts.values().zip(after.verdicts.values()) {
        *changed.entry((a.clone(), b.clone())).or_default() += 1;
    }
    let mut told_changes = BTreeMap::new();
    for entry in told["verdicts"].as_array().unwrap() {
        let of = |name: &str| entry[name].as_str().unwrap().to_owned();
        told_changes.insert(
            (of("stored"), of("policy")),
            entry["events"].as_u64().unwrap(),
        );
    }
    assert_eq!(told_changes, changed);
    // Samples are events of their kind.
    for change in told["newly_flagged"].as_array().unwrap() {
        let rule = change["rule"].as_str().unwrap();
        let samples = change["samples"].as_array().unwrap();
        assert!(!samples.is_empty());
        for id in samples {
            let flag = (id.as_str().unwrap().to_owned(), rule.to_owned());
            assert!(new.contains(&flag) && !old.contains(&flag), "{flag:?}");
        }
    }
    newly
}

#[test]
fn a_backtest_tells_what_judging_by_the_policy_then_changes() {
    let world = simulated(&["--events", "12000", "--seed", "11"], &[]);
    scan(&world, "lake", "sim/policy");
    let group = world.query(
        "SELECT display_name FROM databricks_scim WHERE kind = 'group' AND display_name LIKE '%-everyone' ORDER BY 1 LIMIT 1",
    );
    let rules = NEW_RULES.replace("GROUP", group[0]["display_name"].as_str().unwrap());
    world.put("new/rules.cedar", rules.as_bytes());
    world.put("new/exceptions.toml", NEW_EXCEPTIONS.as_bytes());
    // Everything stays where it is, and something becomes more sensitive.
    let datasets = std::fs::read_to_string(world.path("sim/policy/datasets.toml")).unwrap();
    let stricter = datasets.replace("\"public\"", "\"restricted\"");
    assert_ne!(stricter, datasets);
    world.put("new/datasets.toml", stricter.as_bytes());
    let backtest = |policy: &str| {
        json_of(
            &world,
            &[&CONFIG[..], &["policy", "backtest", "--policy", policy]].concat(),
        )
    };
    let unchanged = || {
        let same = backtest("sim/policy");
        assert_eq!(same["newly_flagged"], json!([]));
        assert_eq!(same["no_longer_flagged"], json!([]));
        let rows = world.number("SELECT count(*) AS n FROM s3_access");
        assert_eq!(same["events"].as_i64(), Some(rows));
    };

    // Provisional rows: against a scan by the new policy.
    unchanged();
    let told = backtest("new");
    let before = Flags::of(&world, "lake");
    scan(&world, "fresh", "new");
    let newly = check_told(&world, &told, ["lake", "fresh"], &before);
    for rule in ["old", "shared", "provisional", "unsure"] {
        assert!(
            newly.get(rule).is_some_and(|events| *events > 0),
            "{rule}: {newly:?}"
        );
    }
    // Nobody is held to be unknown before it is settled, if somebody may be found.
    let early = "SELECT count(*) AS n FROM violations WHERE rule = 'nobody' AND unattributed_reason = 'late'";
    assert_eq!(world.query_in("fresh", early)[0]["n"], 0);

    // Settled rows: against judging them again.
    settle(
        &world,
        "lake",
        &[&CONFIG[..], &["--policy", "sim/policy"], &ALL].concat(),
    );
    unchanged();
    // Other data lies where the restricted data was.
    let moved = datasets.replace("/payroll/\"", "/PAYROLL/\"");
    let moved = moved.replace("/sales/\"", "/payroll/\"");
    let moved = moved.replace("/PAYROLL/\"", "/sales/\"");
    assert_ne!(moved, datasets);
    world.put("new/datasets.toml", moved.as_bytes());
    let told = backtest("new");
    let before = Flags::of(&world, "lake");
    settle(
        &world,
        "lake",
        &[&CONFIG[..], &["--policy", "new", "--again"], &ALL].concat(),
    );
    let newly = check_told(&world, &told, ["lake", "lake"], &before);
    for rule in ["default-deny", "nobody", "old", "night", "shared", "unsure"] {
        assert!(
            newly.get(rule).is_some_and(|events| *events > 0),
            "{rule}: {newly:?}"
        );
    }
    // What an exception covers stays visible, with its id, and its text is in the lake.
    let covered = world.query("SELECT rule, exception, min(event_date) AS first, max(event_date) AS last FROM violations WHERE exception IS NOT NULL GROUP BY rule, exception ORDER BY rule");
    assert!(!covered.is_empty());
    for row in &covered {
        assert_eq!(row["exception"], "EX-1");
        assert_eq!(
            (row["first"].as_str(), row["last"].as_str()),
            (Some("2026-10-06"), Some("2026-10-06"))
        );
    }
    let stored = world.query("SELECT exception, owner FROM exceptions");
    assert_eq!(
        stored,
        [json!({ "exception": "EX-1", "owner": "hr@northwind.example" })]
    );
}

/// Adds an entry to a list of an export's answer.
fn add_entry(world: &World, name: &str, list: &str, entry: Value) {
    let path = world.path(&format!("sim/databricks/{name}"));
    let mut answer: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    answer[list].as_array_mut().unwrap().push(entry);
    if let Some(total) = answer["totalResults"].as_u64() {
        answer["totalResults"] = json!(total + 1);
    }
    std::fs::write(path, answer.to_string()).unwrap();
}

#[test]
fn what_is_suggested_covers_what_was_seen() {
    let world = simulated(&["--events", "8000", "--seed", "5"], &[]);
    add_entry(
        &world,
        "scim/users.json",
        "Resources",
        json!({"id": "99001", "userName": "idle@northwind.example", "active": true}),
    );
    add_entry(
        &world,
        "scim/groups.json",
        "Resources",
        json!({"id": "99002", "displayName": "idlers", "members": [{"value": "99001"}]}),
    );
    add_entry(
        &world,
        "unity-catalog/external-locations.json",
        "external_locations",
        json!({"name": "forgotten", "url": "s3://northwind-archive/old/", "credential_name": "c", "metastore_id": "m"}),
    );
    scan(&world, "lake", "sim/policy");
    let refused = world.run(&[&CONFIG[..], &["policy", "suggest"]].concat());
    assert_eq!(refused.status.code(), Some(2), "nothing is settled");
    assert!(
        errors(&refused).contains("not settled"),
        "{}",
        errors(&refused)
    );
    settle(
        &world,
        "lake",
        &[&CONFIG[..], &["--policy", "sim/policy"], &ALL].concat(),
    );
    let output = world.run(&[&CONFIG[..], &["policy", "suggest"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    world.put("new/suggested.cedar", &output.stdout);
    let datasets = std::fs::read(world.path("sim/policy/datasets.toml")).unwrap();
    world.put("new/datasets.toml", &datasets);
    settle(
        &world,
        "lake",
        &[&CONFIG[..], &["--policy", "new", "--again"], &ALL].concat(),
    );
    let denied = world.number("SELECT count(*) AS n FROM s3_access WHERE verdict <> 'in_policy' AND outcome = 'ok' \
        AND dataset IS NOT NULL AND (principal_confidence IN ('exact', 'strong') OR access_path IN ('other_role', 'aws_service'))");
    assert_eq!(denied, 0);
    let permitted = world.number(
        "SELECT count(*) AS n FROM s3_access WHERE verdict = 'in_policy' AND dataset IS NOT NULL",
    );
    assert!(permitted > 1000, "{permitted}");
    // Long-term keys, the anonymous and nobody known stay out of policy.
    let others = world.number("SELECT count(*) AS n FROM s3_access WHERE verdict = 'in_policy' AND dataset IS NOT NULL \
        AND (access_path IN ('static_key', 'anonymous') OR principal_confidence = 'none' AND access_path IN ('instance_profile', 'unity_catalog'))");
    assert_eq!(others, 0);
    let json = json_of(&world, &[&CONFIG[..], &["policy", "suggest"]].concat());
    let permits = json["permits"].as_array().unwrap().iter();
    assert!(
        permits
            .filter(|permit| permit["to"]["kind"] == "group")
            .count()
            > 0
    );
    let unused: Vec<&str> = json["unused"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert!(
        unused.contains(&"idlers") && unused.contains(&"forgotten"),
        "{unused:?}"
    );
}

#[test]
fn a_scan_refuses_a_policy_for_all_that_is_wrong_with_it() {
    let world = World::new();
    world.put("trail/.keep", b"");
    world.put("policy/a.cedar", b"@id(\"a\") permit (principal, action == Action::\"GetObjct\", resource);\npermit (principal, action, resource);\n");
    world.put("policy/datasets.toml", b"[[dataset]]\nname = \"a\"\nlocations = [\"s3://lake/\"]\n[[dataset]]\nname = \"b\"\nlocations = [\"s3://lake\"]\n");
    world.put(
        "policy/exceptions.toml",
        b"[[exception]]\nid = \"EX-1\"\nrules = [\"a\"]\nowner = \"o\"\nreason = \"r\"\n",
    );
    for command in [
        &["scan", "--policy", "policy", "trail"][..],
        &["policy", "check", "policy"],
    ] {
        let output = world.run(command);
        let text = errors(&output) + &String::from_utf8(output.stdout.clone()).unwrap();
        let status = if command[0] == "scan" { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(status), "{text}");
        for part in [
            "`a.cedar`, line 1, rule `a`: unrecognized action",
            "`a.cedar`, line 2: the rule has no @id",
            "`datasets.toml`, line 6: location `s3://lake` of dataset `b` already belongs",
            "`exceptions.toml`, line 1: exception `EX-1` has no `expires`",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
    assert!(
        !world.path("lake/s3_access").exists() || world.query("SELECT 1 FROM s3_access").is_empty()
    );
}

#[test]
fn a_policy_that_names_groups_is_used_only_where_they_are_known() {
    let etl = role_session("etl", "run-1", "ASIAONE", NOON);
    let world = world_of(&[("1205", &[get_object(&guid(1), NOON, etl, "raw/x")])]);
    world.put(
        "policy/a.cedar",
        b"@id(\"a\") permit (principal in Group::\"analysts\", action, resource);\n",
    );
    let groups = |text: &str| world.put("exports/scim/groups.json", text.as_bytes());
    let scan = |more: &[&str]| {
        let output = world.run(&[&["scan", "--policy", "policy", "trail"], more].concat());
        (output.status.code(), errors(&output))
    };
    let (status, text) = scan(&[]);
    assert_eq!(status, Some(2));
    assert!(text.contains("no groups are known at all"), "{text}");
    groups(r#"{"Resources":[{"id":"1","displayName":"analyst","members":[]}]}"#);
    let (status, text) = scan(&["--databricks", "exports"]);
    assert_eq!(status, Some(2));
    assert!(text.contains("did you mean `analyst`?"), "{text}");
    groups(
        r#"{"Resources":[{"id":"2","displayName":"analysts","members":[{"value":"3"}]},{"id":"3","displayName":"inner","members":[{"value":"2"}]}]}"#,
    );
    let (status, text) = scan(&["--databricks", "exports"]);
    assert_eq!(status, Some(2));
    assert!(text.contains("lies in itself"), "{text}");
}

#[test]
fn who_goes_back_to_an_older_policy_settles_by_it() {
    let world = World::new();
    fill(&world, 5, 2, 40);
    let rule = |name: &str| format!("@id(\"{name}\") forbid (principal, action, resource);");
    for name in ["a", "b"] {
        world.put(&format!("{name}/rules.cedar"), rule(name).as_bytes());
    }
    let used = || -> BTreeSet<String> {
        settle(
            &world,
            "lake",
            &["--again", "--as-of", "2030-01-01T00:00:00Z"],
        );
        let rules = world.query("SELECT DISTINCT rule FROM violations");
        let rules = rules
            .iter()
            .map(|row| row["rule"].as_str().unwrap().to_owned());
        rules.collect()
    };
    let only = |name: &str| BTreeSet::from([name.to_owned()]);
    for name in ["a", "b", "a", "a", "b"] {
        world.scan_with(&["--policy", name, "trail"]);
        assert_eq!(used(), only(name));
        assert_eq!(used(), only(name));
    }
    let versions = "SELECT count(DISTINCT policy_version) AS n FROM policy_versions";
    assert_eq!(world.number(versions), 2);
    assert_eq!(world.number("SELECT count(*) AS n FROM policy_versions"), 2);
}
