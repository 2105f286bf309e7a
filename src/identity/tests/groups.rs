//! Upward through groups against downward, and what policies have to know of them.

use super::lake_facts::{group, scim};
use super::*;
use crate::identity::people::People;
use crate::identity::{Memberships, known_groups};
use crate::model::{GroupChange, Interest, ScimEntry, ScimKind, TimeSpan};
use expect_test::expect;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const USERS: [(&str, &str); 3] = [
    ("1", "ann@example.com"),
    ("2", "bob@example.com"),
    ("3", "carl@example.com"),
];
const GROUPS: [(&str, &str); 4] = [("91", "a"), ("92", "b"), ("93", "c"), ("94", "a")];

/// A snapshot of SCIM at a time, with some of the users and groups.
fn snapshot() -> impl Strategy<Value = Vec<ScimEntry>> {
    let ids: Vec<&str> = USERS.iter().chain(&GROUPS).map(|(id, _)| *id).collect();
    let members = proptest::collection::vec(subsequence(ids, 0..4), GROUPS.len());
    let shown = subsequence((0..GROUPS.len()).collect::<Vec<_>>(), 0..=GROUPS.len());
    (0..4_i64, members, shown, any::<bool>()).prop_map(|(hour, members, shown, all_users)| {
        let users = USERS.iter().take(if all_users { 3 } else { 2 });
        let users = users.map(|(id, name)| scim(ScimKind::User, id, name));
        let groups = shown.into_iter().map(|place| {
            let (id, name) = GROUPS[place];
            group(id, name, &members[place])
        });
        let entries = users.chain(groups);
        entries
            .map(|entry| ScimEntry {
                seen_at: at(hour * 3600),
                ..entry
            })
            .collect()
    })
}

fn change() -> impl Strategy<Value = GroupChange> {
    let member = select(vec![
        "ann@example.com",
        "bob@example.com",
        "carl@example.com",
        "1",
        "93",
    ]);
    (
        0..5_i64,
        any::<bool>(),
        select(GROUPS.to_vec()),
        any::<bool>(),
        member,
    )
        .prop_map(
            |(half_hours, added, (id, name), by_id, member)| GroupChange {
                source_id: format!("audit:{half_hours}"),
                at: at(half_hours * 1800 + 600),
                added,
                group_id: by_id.then(|| id.to_owned()),
                group_name: Some(name.to_owned()),
                member: member.to_owned(),
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn who_is_a_member_has_the_group_and_nobody_else(
        snapshots in proptest::collection::vec(snapshot(), 0..3),
        changes in proptest::collection::vec(change(), 0..4),
        when in 0..5_i64,
    ) {
        let mut people = People::default();
        people.add(snapshots.concat(), changes);
        let when = at(when * 3000);
        for (_, name) in USERS {
            let mut span = TimeSpan::ALWAYS;
            let groups = people.groups_of(name, when, &mut span);
            prop_assert!(span.contains(when));
            for (_, group) in GROUPS {
                let members = people.members(group, when, &mut TimeSpan::ALWAYS.clone());
                let is_member = members.iter().any(|person| person.name == name);
                prop_assert_eq!(groups.contains(group), is_member, "{} in {}", name, group);
            }
        }
    }
}

#[test]
fn what_policies_know_of_groups() {
    let known = known_groups(vec![
        scim(ScimKind::User, "1", "ann@example.com"),
        group("91", "analysts", &["1"]),
        group("92", "all", &["91", "95"]),
        group("93", "a", &["94"]),
        group("94", "b", &["93"]),
        group("95", "none", &[]),
        group("96", "self", &["96", "1"]),
    ]);
    expect![[r#"
        KnownGroups {
            names: [
                "a",
                "all",
                "analysts",
                "b",
                "none",
                "self",
            ],
            cycles: [
                [
                    "a",
                    "b",
                    "a",
                ],
                [
                    "self",
                    "self",
                ],
            ],
            empty: [
                "a",
                "b",
                "none",
            ],
        }
    "#]]
    .assert_debug_eq(&known);
}

#[test]
fn who_left_is_told_from_whom_no_snapshot_can_tell_of() {
    let of = |hour: i64, entry: ScimEntry| ScimEntry {
        seen_at: at(hour * 3600),
        ..entry
    };
    let index = IdentityIndex::new(IdentitySettings::default()).with_databricks(
        crate::model::DatabricksFacts {
            scim: vec![
                of(1, scim(ScimKind::User, "1", "ann@example.com")),
                of(1, scim(ScimKind::User, "2", "bob@example.com")),
                of(3, scim(ScimKind::User, "1", "ann@example.com")),
                of(
                    3,
                    ScimEntry {
                        active: Some(false),
                        ..scim(ScimKind::User, "3", "carl@example.com")
                    },
                ),
            ],
            ..Default::default()
        },
    );
    let interest = Interest {
        active: true,
        ..Interest::default()
    };
    let active = |name: &str, hour: i64| {
        let attribution = Attribution {
            principal: some(name),
            ..Attribution::default()
        };
        let (workload, span) = index.workload(
            &attribution,
            at(hour * 3600),
            &interest,
            &mut Memberships::default(),
        );
        assert!(span.contains(at(hour * 3600)));
        workload.principals[0].active
    };
    assert_eq!(active("ann@example.com", 0), Some(true));
    assert_eq!(active("ann@example.com", 4), Some(true));
    assert_eq!(active("bob@example.com", 2), Some(true));
    assert_eq!(active("bob@example.com", 3), Some(false));
    // The first snapshot is later, and says nothing of the time before.
    assert_eq!(active("carl@example.com", 0), None);
    // He may be new.
    assert_eq!(active("carl@example.com", 2), None);
    assert_eq!(active("carl@example.com", 3), Some(false));
    assert_eq!(active("0b7e4a51-0000-4000-8000-000000000000", 4), None);
}

#[test]
fn memberships_that_were_looked_up_are_forgotten_when_people_are_added() {
    let scim_of = |entries: Vec<ScimEntry>| crate::model::DatabricksFacts {
        scim: entries,
        ..Default::default()
    };
    let ann = scim(ScimKind::User, "1", "ann@example.com");
    let index = IdentityIndex::new(IdentitySettings::default())
        .with_databricks(scim_of(vec![ann, group("91", "a", &["1"])]));
    let interest = Interest {
        groups: vec!["a".to_owned(), "b".to_owned()],
        ..Interest::default()
    };
    let attribution = Attribution {
        principal: some("ann@example.com"),
        ..Attribution::default()
    };
    let mut memberships = Memberships::default();
    let mut groups = |index: &IdentityIndex| {
        let (workload, _) = index.workload(&attribution, at(7200), &interest, &mut memberships);
        workload.principals[0].groups.clone()
    };
    assert_eq!(groups(&index), [0]);
    // What else is learned changes nothing of it.
    let index = index.with(Vec::new(), Vec::new());
    assert_eq!(groups(&index), [0]);
    let index = index.with_databricks(scim_of(vec![group("92", "b", &["1"])]));
    assert_eq!(groups(&index), [0, 1]);
}
