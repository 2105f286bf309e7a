//! People: names, ids and groups, at the time they are asked for.

use super::super::people::{People, Person};
use super::lake_facts::*;
use super::*;
use crate::model::{DatabricksFacts, GroupChange, PrincipalKind, ScimEntry, ScimKind, TimeSpan};

fn people(entries: Vec<ScimEntry>, changes: Vec<GroupChange>) -> People {
    let mut people = People::default();
    people.add(entries, changes);
    people
}

fn names(found: Vec<Person>) -> Vec<String> {
    found.into_iter().map(|person| person.name).collect()
}

fn change(id: &str, seconds: i64, added: bool, group: &str, member: &str) -> GroupChange {
    GroupChange {
        source_id: format!("audit:{id}"),
        at: at(seconds),
        added,
        group_id: None,
        group_name: some(group),
        member: member.to_owned(),
    }
}

#[test]
fn whatever_databricks_writes_leads_to_one_name() {
    let mut sp = scim(ScimKind::ServicePrincipal, "3", ETL);
    sp.display_name = some("etl-sp");
    let mut entries = known().scim;
    entries.retain(|entry| entry.id != "3");
    entries.push(sp);
    entries.push(group("10", "etl", &["1"]));
    let people = people(entries, vec![]);
    let user = Some(PrincipalKind::User);
    let service = Some(PrincipalKind::ServicePrincipal);
    for (written, name, kind) in [
        (ANN, Some(ANN), user),
        ("Ann@Example.com", Some(ANN), user),
        ("1", Some(ANN), user),
        ("3", Some(ETL), service),
        (ETL, Some(ETL), service),
        ("etl-sp", Some(ETL), service),
        ("eve@example.com", Some("eve@example.com"), user),
        (
            "11111111-2222-3333-4444-555555555555",
            Some("11111111-2222-3333-4444-555555555555"),
            service,
        ),
        ("someone", Some("someone"), None),
        ("404", None, None),
        ("System-User", None, None),
        ("unknown", None, None),
        ("", None, None),
        ("etl", None, None),
        ("10", None, None),
    ] {
        let found = people.resolve(written, at(0), &mut TimeSpan::ALWAYS.clone());
        let first = found.first();
        assert_eq!(first.map(|p| p.name.as_str()), name, "{written}");
        assert_eq!(first.and_then(|p| p.kind), kind, "{written}");
    }
}

#[test]
fn an_id_is_read_in_the_snapshot_of_its_time() {
    let then = scim(ScimKind::User, "1", ANN);
    let mut now = scim(ScimKind::User, "1", BOB);
    now.seen_at = at(1000);
    let people = people(vec![now.clone(), then], vec![]);
    let of = |seconds| names(people.resolve("1", at(seconds), &mut TimeSpan::ALWAYS.clone()));
    assert_eq!(of(-10), [ANN]);
    assert_eq!(of(999), [ANN]);
    assert_eq!(of(1000), [BOB]);
    // Two names in one snapshot are two candidates.
    now.name = some("carol@example.com");
    let mut both = known().scim;
    both.push(scim(ScimKind::User, "1", BOB));
    let torn = self::people(both, vec![]);
    let found = names(torn.resolve("1", at(0), &mut TimeSpan::ALWAYS.clone()));
    assert_eq!(found, [ANN, BOB]);
}

#[test]
fn membership_is_replayed_from_the_nearest_snapshot_in_either_direction() {
    let mut entries = known().scim;
    entries.push(group("10", "etl", &["1"]));
    let people = people(
        entries,
        vec![
            change("a", -100, true, "etl", ANN),
            change("b", 100, true, "etl", BOB),
            change("c", 200, false, "etl", ANN),
        ],
    );
    let of = |seconds| names(people.members("etl", at(seconds), &mut TimeSpan::ALWAYS.clone()));
    assert_eq!(of(-200), [""; 0], "before Ann was added");
    assert_eq!(of(0), [ANN]);
    assert_eq!(of(150), [ANN, BOB]);
    assert_eq!(of(250), [BOB]);
}

#[test]
fn groups_nest_and_a_cycle_ends() {
    let mut entries = known().scim;
    entries.extend([
        group("10", "a", &["11", "1"]),
        group("11", "b", &["12"]),
        group("12", "c", &["10", "2"]),
        // An account group and a workspace group of one name.
        group("13", "a", &["3"]),
    ]);
    let people = people(entries, vec![]);
    let found = names(people.members("a", at(0), &mut TimeSpan::ALWAYS.clone()));
    assert_eq!(found, [ETL, ANN, BOB]);
}

#[test]
fn a_group_that_no_snapshot_shows_is_not_taken_for_a_user() {
    let facts = DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![dedicated("c1", "etl")],
        ..known()
    };
    let scoped = Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE));
    let answer = scoped.answer(&world(&[], &[]).with_databricks(facts));
    assert_eq!(answer.principal, None);
    assert_eq!(answer.principal_candidates, ["etl"]);
}

#[test]
fn a_deleted_user_is_never_exact_and_an_unknown_run_as_names_nobody() {
    let scoped = Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE));
    let deleted = DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![dedicated("c1", "eve@example.com")],
        ..known()
    };
    let answer = scoped.answer(&world(&[], &[]).with_databricks(deleted));
    assert_eq!(answer.principal.as_deref(), Some("eve@example.com"));
    assert_eq!(answer.principal_confidence.as_str(), "strong");
    let unknown = DatabricksFacts {
        instance_events: vec![placed(0, "c1")],
        clusters: vec![cluster("c1", "JOB")],
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        jobs: vec![job("7", "404")],
        ..known()
    };
    let answer = scoped.answer(&world(&[], &[]).with_databricks(unknown));
    assert_eq!(answer.job_confidence.as_str(), "exact");
    assert_eq!(answer.principal, None);
    let reason = answer.unattributed_reason.map(|reason| reason.as_str());
    assert_eq!(reason, Some("outside_retention"));
}
