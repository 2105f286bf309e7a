//! Suggested permits cover what was seen, and not more than they say.

use super::*;
use crate::model::{Membership, PrincipalKind, Verdict};
use crate::policy::{Grantee, Observed, Suggestion, User, suggest};
use expect_test::expect;
use std::collections::{BTreeMap, BTreeSet};

fn seen(dataset: &str, operation: Operation, by: User, events: u64) -> Observed {
    Observed {
        dataset: dataset.to_owned(),
        operation,
        by,
        events,
        first: at("2026-03-01T00:00:00Z"),
        last: at("2026-03-27T12:00:00Z"),
    }
}

fn user(name: &str) -> User {
    User::Principal(format!("{name}@example.com"), PrincipalKind::User)
}

fn groups(of: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let members = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}@example.com"))
            .collect()
    };
    of.iter()
        .map(|(group, names)| ((*group).to_owned(), members(names)))
        .collect()
}

/// Members have always been members.
fn ever(_: &str, _: &str, _: UtcMicros) -> bool {
    true
}

fn text(suggestions: &[Suggestion]) -> String {
    let texts: Vec<String> = suggestions.iter().map(Suggestion::to_cedar).collect();
    texts.join("\n")
}

#[test]
fn groups_that_mostly_used_a_dataset_are_permitted_and_others_by_name() {
    let observed = [
        seen("sales", Operation::Read, user("ann"), 10),
        seen("sales", Operation::Read, user("bob"), 5),
        seen("sales", Operation::List, user("ann"), 2),
        seen("sales", Operation::List, user("bob"), 1),
        seen("sales", Operation::Write, user("dora"), 1),
        seen("sales", Operation::Read, user("dora"), 1),
        seen(
            "sales",
            Operation::Read,
            User::Role("arn:aws:iam::111122223333:role/bi/\"quoted\"".to_owned()),
            3,
        ),
        seen(
            "sales",
            Operation::Write,
            User::Path("aws_service".to_owned()),
            4,
        ),
    ];
    let groups = groups(&[
        ("analysts", &["ann", "bob", "carl"]),
        (
            "everybody",
            &["ann", "bob", "carl", "dora", "eve", "finn", "gil"],
        ),
    ]);
    expect![[r#"
        // 18 events by 2 of 3 members, 2026-03-01T00:00:00Z to 2026-03-27T12:00:00Z
        @id("analysts-on-sales")
        @control("CC6.1, CC6.3")
        @reason("seen on sales, reviewed by nobody yet")
        permit (
          principal in Group::"analysts",
          action in [Action::"read", Action::"list"],
          resource in Dataset::"sales"
        );

        // 2 events, 2026-03-01T00:00:00Z to 2026-03-27T12:00:00Z
        @id("dora-example-com-on-sales")
        @control("CC6.1, CC6.3")
        @reason("seen on sales, reviewed by nobody yet")
        permit (
          principal == User::"dora@example.com",
          action in [Action::"read", Action::"write"],
          resource in Dataset::"sales"
        );

        // 3 events, 2026-03-01T00:00:00Z to 2026-03-27T12:00:00Z
        @id("quoted-on-sales")
        @control("CC6.1, CC6.3")
        @reason("seen on sales, reviewed by nobody yet")
        permit (
          principal is AwsIdentity,
          action in Action::"read",
          resource in Dataset::"sales"
        )
        when { context has role_arn && context.role_arn == "arn:aws:iam::111122223333:role/bi/\"quoted\"" };

        // 4 events, 2026-03-01T00:00:00Z to 2026-03-27T12:00:00Z
        @id("aws-service-on-sales")
        @control("CC6.1, CC6.3")
        @reason("seen on sales, reviewed by nobody yet")
        permit (
          principal,
          action in Action::"write",
          resource in Dataset::"sales"
        )
        when { context.access_path == "aws_service" };
    "#]].assert_eq(&text(&suggest(&observed, &groups, 50, ever)));
    // Asked for more, nobody is permitted as a group.
    let by_name = suggest(&observed, &groups, 100, ever);
    let is_group = |it: &Suggestion| matches!(it.to, Grantee::Group(..));
    // Nor who was no member yet when it was used.
    let joined =
        |_: &str, name: &str, at: UtcMicros| name != "bob@example.com" || at > observed[0].first;
    let permits = text(&suggest(&observed, &groups, 50, joined));
    assert!(permits.contains("User::\"bob@example.com\""), "{permits}");
    assert!(!by_name.iter().any(is_group));
}

#[test]
fn what_was_seen_is_permitted_and_what_was_not_is_denied() {
    let names = ["ann", "bob", "carl", "dora"];
    let groups = groups(&[
        ("analysts", &["ann", "bob", "carl"]),
        ("etl", &["carl", "dora"]),
    ]);
    let operations = [
        ("GetObject", Operation::Read),
        ("PutObject", Operation::Write),
        ("DeleteObject", Operation::Delete),
    ];
    // Every way to have used it or not, of four people in three ways.
    for bits in 0..1_u32 << 12 {
        let used = |person: usize, operation: usize| bits >> (person * 3 + operation) & 1 == 1;
        let mut observed = Vec::new();
        for (person, name) in names.iter().enumerate() {
            for (place, (_, operation)) in operations.iter().enumerate() {
                if used(person, place) {
                    observed.push(seen("sales", *operation, user(name), 1));
                }
            }
        }
        if observed.is_empty() || bits % 7 != 0 {
            continue;
        }
        let suggestions = suggest(&observed, &groups, 60, ever);
        let files = vec![
            file("a.cedar", &text(&suggestions)),
            file(
                "datasets.toml",
                "[[dataset]]\nname = \"sales\"\nlocations = [\"s3://lake/\"]\n",
            ),
        ];
        let policy = Policy::parse(files, &PolicySettings::default()).unwrap();
        let of_group = |name: &str, operation: Operation| {
            suggestions.iter().any(|suggestion| match &suggestion.to {
                Grantee::Group(group, _) => {
                    let members = groups.get(group).unwrap();
                    suggestion.operations.contains(&operation)
                        && members.contains(&format!("{name}@example.com"))
                }
                Grantee::User(_) => false,
            })
        };
        for (person, name) in names.iter().enumerate() {
            for (place, (event, operation)) in operations.iter().enumerate() {
                let mut case = Case::event(event, *operation);
                case.attribution.access_path = AccessPath::UnityCatalog;
                case.attribution.principal = Some(format!("{name}@example.com"));
                case.attribution.principal_kind = Some(PrincipalKind::User);
                let interest = &policy.interest().groups;
                let member_of = interest.iter().enumerate().filter(|(_, group)| {
                    groups[group.as_str()].contains(&format!("{name}@example.com"))
                });
                case.workload.principals = vec![Membership {
                    groups: member_of
                        .map(|(place, _)| u32::try_from(place).unwrap())
                        .collect(),
                    active: None,
                }];
                let permitted = case.judge(&policy).verdict == Verdict::InPolicy;
                let expected = used(person, place) || of_group(name, *operation);
                assert_eq!(permitted, expected, "{bits:b} {name} {event}");
            }
        }
    }
}
