//! What a sound policy's author probably did not mean.

use super::*;
use crate::model::KnownGroups;
use expect_test::{Expect, expect};

#[track_caller]
fn check(files: &[(&str, &str)], expect: Expect) {
    let files = files.iter().map(|(name, text)| file(name, text)).collect();
    let policy = Policy::parse(files, &PolicySettings::default()).unwrap();
    let groups = KnownGroups {
        names: policy.interest().groups.clone(),
        cycles: Vec::new(),
        empty: vec!["nobody".to_owned()],
    };
    let findings = policy.findings(Some(&groups), at("2026-03-27T12:00:00Z"));
    let lines = findings.iter().map(|finding| {
        let kind = finding.kind.as_str();
        format!(
            "{}:{} {kind}: {}\n",
            finding.file, finding.line, finding.message
        )
    });
    expect.assert_eq(&lines.collect::<String>());
}

#[test]
fn permits_that_nothing_can_satisfy() {
    check(
        &[(
            "a.cedar",
            r#"@id("empty") permit (principal in Group::"nobody", action, resource);
@id("typed") permit (principal is User in Group::"nobody", action, resource);
@id("fine") permit (principal in Group::"some", action, resource);
@id("denied") permit (principal is User in Group::"some", action == Action::"PutObject", resource);
@id("no-writes") forbid (principal, action in Action::"write", resource);
@id("some-writes") forbid (principal, action in Action::"delete", resource) when { context.presigned };"#,
        )],
        expect![[r#"
            a.cedar:1 never_permits: permit `empty` is for group `nobody`, in which SCIM shows nobody
            a.cedar:2 never_permits: permit `typed` is for group `nobody`, in which SCIM shows nobody
            a.cedar:2 shadowed: permit `typed` changes nothing: `empty` (a.cedar, line 1) holds wherever it does; remove one of the two, or narrow the other
            a.cedar:4 never_permits: permit `denied` never allows anything: `no-writes` (a.cedar, line 5) forbids all of it
            a.cedar:4 shadowed: permit `denied` changes nothing: `fine` (a.cedar, line 3) holds wherever it does; remove one of the two, or narrow the other
        "#]],
    );
    check(
        &[(
            "a.cedar",
            r#"@id("no") forbid (principal, action, resource);"#,
        )],
        expect![[r#"
            a.cedar:1 never_permits: no rule permits anything, so that every access is out of policy; permit what is expected
        "#]],
    );
}

#[test]
fn rules_that_change_nothing_beside_others() {
    check(
        &[(
            "a.cedar",
            r#"@id("wide") permit (principal, action in [Action::"read", Action::"list"], resource);
@id("narrow") permit (principal is User, action == Action::"GetObject", resource) when { context.presigned };
@id("other") permit (principal, action in Action::"write", resource);
@id("first") forbid (principal, action, resource is Bucket) when { context.presigned };
@id("again") forbid (principal is User, action, resource is Bucket) when { context.presigned };
@id("reason-of-its-own") forbid (principal is User, action, resource is Bucket) when { context.outcome == "ok" };
@id("twin-a") permit (principal in Group::"g", action in Action::"delete", resource);
@id("twin-b") permit (principal in Group::"g", action in Action::"delete", resource);"#,
        )],
        expect![[r#"
            a.cedar:2 shadowed: permit `narrow` changes nothing: `wide` (a.cedar, line 1) holds wherever it does; remove one of the two, or narrow the other
            a.cedar:5 shadowed: forbid `again` changes nothing: `first` (a.cedar, line 4) holds wherever it does; remove one of the two, or narrow the other
            a.cedar:8 shadowed: permit `twin-b` changes nothing: `twin-a` (a.cedar, line 7) holds wherever it does; remove one of the two, or narrow the other
        "#]],
    );
}

#[test]
fn datasets_without_a_rule_and_locations_that_overlap() {
    check(
        &[
            (
                "a.cedar",
                r#"@id("any") permit (principal, action, resource);
@id("literal") forbid (principal, action, resource in Dataset::"a");
@id("text") forbid (principal, action, resource) when { resource has dataset && resource.dataset == "b" };
@id("sensitivity") forbid (principal, action, resource) when { resource has sensitivity && ["restricted"].contains(resource.sensitivity) };"#,
            ),
            (
                "datasets.toml",
                r#"[[dataset]]
name = "a"
locations = ["s3://lake/a"]
[[dataset]]
name = "b"
locations = ["s3://lake/b"]
[[dataset]]
name = "c"
sensitivity = "restricted"
locations = ["s3://lake/a/c"]
[[dataset]]
name = "d"
sensitivity = "internal"
locations = ["s3://lake/d"]
"#,
            ),
        ],
        expect![[r#"
            datasets.toml:10 locations_overlap: location `s3://lake/a/c/` of dataset `c` lies in dataset `a`: what is below it is of `c` only, and rules on `a` do not hold for it
            datasets.toml:12 dataset_without_rule: no rule tells dataset `d` from other data, by its name, sensitivity or owner; write one, or leave the dataset out
        "#]],
    );
}

#[test]
fn exceptions_that_cover_nothing_more_or_too_much() {
    check(
        &[
            (
                "a.cedar",
                r#"@id("any") permit (principal, action, resource);"#,
            ),
            (
                "exceptions.toml",
                r#"[[exception]]
id = "EX-1"
rules = ["default-deny"]
owner = "hr@example.com"
reason = "x"
expires = 2026-03-26
[[exception]]
id = "EX-2"
rules = ["default-deny"]
buckets = ["lake"]
owner = "hr@example.com"
reason = "x"
expires = 2026-03-27
"#,
            ),
        ],
        expect![[r#"
            exceptions.toml:1 exception: exception `EX-1` covers every violation of its rules, whoever it is by and on whatever; narrow it by `principals`, `datasets`, `buckets`, `roles` or `jobs`
            exceptions.toml:1 exception: exception `EX-1` has expired: its violations count again; settle it with its owner, hr@example.com, and remove it once no event of its time is judged any more
        "#]],
    );
}
