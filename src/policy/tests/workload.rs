//! Groups, jobs, clusters and times; and who is judged before everything is known.

use super::*;
use crate::model::{ClusterFacts, JobFacts, KnownGroups, Membership, UnattributedReason};
use expect_test::{Expect, expect};

/// A policy, with the places of its groups known.
fn of(text: &str) -> Policy {
    policy(text)
}

#[track_caller]
fn check(policy: &Policy, case: &Case, expect: Expect) {
    expect.assert_eq(&render(&case.judge(policy)));
}

fn named(name: &str, groups: &[u32]) -> Case {
    let mut case = Case::default();
    case.attribution.access_path = AccessPath::UnityCatalog;
    case.attribution.principal = Some(name.to_owned());
    case.workload.principals = vec![Membership {
        groups: groups.to_vec(),
        active: None,
    }];
    case
}

const GROUPS: &str = r#"
@id("analysts-read") permit (principal in Group::"analysts", action in Action::"read", resource);
@id("no-interns") @severity("high") forbid (principal in Group::"interns", action, resource);
"#;

#[test]
fn members_of_a_group_may_what_the_group_may() {
    let policy = of(GROUPS);
    assert_eq!(policy.interest().groups, ["analysts", "interns"]);
    check(
        &policy,
        &named("ann@example.com", &[0]),
        expect!["in_policy"],
    );
    check(
        &policy,
        &named("ann@example.com", &[]),
        expect!["out_of_policy default-deny(medium)"],
    );
    check(
        &policy,
        &named("ann@example.com", &[0, 1]),
        expect!["out_of_policy no-interns(high)"],
    );
}

#[test]
fn each_candidate_is_judged_in_groups_of_its_own() {
    let policy = of(GROUPS);
    let mut case = named("", &[]);
    case.attribution.principal = None;
    case.attribution.principal_candidates =
        vec!["ann@example.com".to_owned(), "bob@example.com".to_owned()];
    case.attribution.principal_candidate_count = 2;
    let members = |first: &[u32], second: &[u32]| {
        [first, second]
            .map(|groups| Membership {
                groups: groups.to_vec(),
                active: None,
            })
            .to_vec()
    };
    case.workload.principals = members(&[0], &[0]);
    check(&policy, &case, expect!["in_policy"]);
    case.workload.principals = members(&[0], &[1]);
    check(&policy, &case, expect!["undetermined no-interns(high)"]);
    case.workload.principals = members(&[], &[1]);
    check(
        &policy,
        &case,
        expect!["out_of_policy no-interns(high) default-deny(medium)"],
    );
    // More than the row lists: of them nobody knows.
    case.workload.principals = members(&[0], &[0]);
    case.attribution.principal_candidate_count = 60;
    check(&policy, &case, expect!["undetermined"]);
}

#[test]
fn before_an_access_is_settled_nobody_is_judged_for_being_unknown() {
    let policy = of(&format!(
        "{GROUPS}
         @id(\"unknown\") forbid (principal is Unattributed, action, resource);
         @id(\"delete\") @severity(\"low\") forbid (principal, action in Action::\"delete\", resource);"
    ));
    let mut case = Case {
        settled: false,
        ..Case::default()
    };
    case.attribution.unattributed_reason = Some(UnattributedReason::Late);
    check(&policy, &case, expect!["undetermined"]);
    // What no one may is wrong whoever it was.
    (case.event_name, case.operation) = ("DeleteObject".to_owned(), Operation::Delete);
    check(&policy, &case, expect!["out_of_policy delete(low)"]);
    case.settled = true;
    check(
        &policy,
        &case,
        expect!["out_of_policy unknown(medium) delete(low)"],
    );
    // Nobody will be found for one who is outside.
    case.settled = false;
    case.attribution.unattributed_reason = Some(UnattributedReason::External);
    check(
        &policy,
        &case,
        expect!["out_of_policy unknown(medium) delete(low)"],
    );
}

#[test]
fn a_reason_names_who_and_where_the_rule_does() {
    let policy = of(r#"@id("all") permit (principal, action, resource);
           @id("ann") forbid (principal == User::"ann@example.com", action, resource in Bucket::"lake");
           @id("left") forbid (principal is User, action, resource) when { principal has active && !principal.active };"#);
    let mut case = named("ann@example.com", &[]);
    case.target.bucket = Some("lake".to_owned());
    case.workload.principals = vec![Membership {
        groups: Vec::new(),
        active: Some(false),
    }];
    let judged = case.judge(&policy);
    let reasons = judged.violations.iter().map(|it| it.reason.to_string());
    expect![[r#"
        ann [principal is User ann@example.com, bucket lake]
        left [principal is User, active false]"#]]
    .assert_eq(&reasons.collect::<Vec<_>>().join("\n"));
}

#[test]
fn before_an_access_is_settled_nobody_is_excused_for_being_unknown() {
    let case = |settled| {
        let mut case = Case {
            settled,
            ..Case::default()
        };
        case.attribution.unattributed_reason = Some(UnattributedReason::Late);
        case
    };
    for (rules, before, after) in [
        (
            r#"@id("a") permit (principal is Unattributed, action, resource);"#,
            "undetermined",
            "in_policy",
        ),
        (
            r#"@id("a") permit (principal, action, resource) unless { context has job_id };"#,
            "undetermined",
            "in_policy",
        ),
        (
            r#"@id("a") permit (principal, action, resource);
               @id("b") forbid (principal is User, action, resource);"#,
            "undetermined",
            "in_policy",
        ),
        // Whoever it turns out to be.
        (
            r#"@id("a") permit (principal, action, resource);
               @id("b") forbid (principal, action in Action::"delete", resource);"#,
            "in_policy",
            "in_policy",
        ),
    ] {
        let policy = of(rules);
        for (settled, verdict) in [(false, before), (true, after)] {
            let judged = case(settled).judge(&policy);
            assert_eq!(judged.verdict.as_str(), verdict, "{rules} {settled}");
        }
    }
}

#[test]
fn a_permit_that_does_not_ask_who_is_denied_at_once() {
    let policy = of(r#"@id("lists") permit (principal, action in Action::"list", resource);"#);
    let case = Case {
        settled: false,
        ..Case::default()
    };
    check(
        &policy,
        &case,
        expect!["out_of_policy default-deny(medium)"],
    );
}

#[test]
fn an_aws_role_is_judged_by_its_name_and_compute_that_nobody_is_known_of_is_not() {
    let policy = of(
        r#"@id("role") permit (principal == AwsIdentity::"arn:aws:sts::111122223333:assumed-role/etl/i-0c1a23fc456b7ab89", action, resource);"#,
    );
    let mut case = Case::default();
    check(
        &policy,
        &case,
        expect!["out_of_policy default-deny(medium)"],
    );
    case.attribution.access_path = AccessPath::OtherRole;
    check(&policy, &case, expect!["in_policy"]);
}

#[test]
fn an_inactive_principal_is_told_from_one_that_nothing_is_known_of() {
    let policy = of(r#"
        @id("any") permit (principal, action, resource);
        @id("left") forbid (principal is User, action, resource) when { principal has active && !principal.active };
    "#);
    assert!(policy.interest().active);
    let of_active = |active: Option<bool>| {
        let mut case = named("ann@example.com", &[]);
        case.workload.principals[0].active = active;
        case
    };
    check(&policy, &of_active(None), expect!["in_policy"]);
    check(&policy, &of_active(Some(true)), expect!["in_policy"]);
    check(
        &policy,
        &of_active(Some(false)),
        expect!["out_of_policy left(medium)"],
    );
}

#[test]
fn jobs_and_clusters_are_judged_by_name_rights_and_tags() {
    let policy = of(r#"
        @id("nightly") permit (principal, action, resource)
        when { context has job && context.job has run_as && context.job.run_as == "0b7e-etl" && context.job.hasTag("team") && context.job.getTag("team") == "etl" };
        @id("one-job") permit (principal, action, resource) when { context has job && context.job == Job::"12/77" };
        @id("shared") forbid (principal, action, resource)
        when { context has cluster && context.cluster has dedicated && !context.cluster.dedicated };
    "#);
    let interest = policy.interest();
    assert!(interest.job && interest.cluster && !interest.workspace);
    let mut case = named("ann@example.com", &[]);
    case.attribution.workspace_id = Some("12".to_owned());
    case.attribution.job_id = Some("78".to_owned());
    check(
        &policy,
        &case,
        expect!["out_of_policy default-deny(medium)"],
    );
    case.workload.job = Some(JobFacts {
        run_as: Some("0b7e-etl".to_owned()),
        tags: vec![("team".to_owned(), "etl".to_owned())],
        ..JobFacts::default()
    });
    check(&policy, &case, expect!["in_policy"]);
    case.workload.job = None;
    case.attribution.job_id = Some("77".to_owned());
    check(&policy, &case, expect!["in_policy"]);
    case.attribution.cluster_id = Some("0923-a".to_owned());
    case.workload.cluster = Some(ClusterFacts {
        dedicated: Some(false),
        ..ClusterFacts::default()
    });
    check(&policy, &case, expect!["out_of_policy shared(medium)"]);
}

#[test]
fn a_copy_is_judged_by_where_it_came_from_and_where_it_went() {
    let files = vec![
        file(
            "a.cedar",
            r#"@id("any") permit (principal, action, resource);
               @id("away") forbid (principal, action, resource)
               when { context has copy_source_sensitivity && context.copy_source_sensitivity == "restricted" &&
                      context has copy_destination_account_id && !context.own_account_ids.contains(context.copy_destination_account_id) };"#,
        ),
        file(
            "datasets.toml",
            "[[dataset]]\nname = \"payroll\"\nsensitivity = \"restricted\"\nlocations = [\"s3://lake/pay roll/\"]\n",
        ),
    ];
    let settings = PolicySettings {
        own_account_ids: vec!["111122223333".to_owned()],
        ..PolicySettings::default()
    };
    let policy = Policy::parse(files, &settings).unwrap();
    let copy = |source: &str, account: &str| {
        let mut case = Case::event("CopyObject", Operation::Write);
        case.copy_source = Some(source.to_owned());
        case.target.bucket_account_id = Some(account.to_owned());
        render(&case.judge(&policy))
    };
    let away = expect!["out_of_policy away(medium)"];
    away.assert_eq(&copy("lake/pay%20roll/x", "999999999999"));
    away.assert_eq(&copy("/lake/pay%20roll/x?versionId=1", "999999999999"));
    expect!["in_policy"].assert_eq(&copy("lake/pay%20roll/x", "111122223333"));
    expect!["in_policy"].assert_eq(&copy("lake/raw/x", "999999999999"));
}

#[test]
fn hour_and_weekday_are_in_utc() {
    let policy = of(r#"
        @id("any") permit (principal, action, resource);
        @id("weekend") forbid (principal, action, resource) when { ["saturday", "sunday"].contains(context.weekday) };
        @id("night") forbid (principal, action, resource) when { context.hour < 6 };
    "#);
    let at_time = |text: &str| Case {
        event_time: at(text),
        ..Case::default()
    };
    check(
        &policy,
        &at_time("2026-03-27T06:00:00Z"),
        expect!["in_policy"],
    );
    check(
        &policy,
        &at_time("2026-03-27T05:59:59Z"),
        expect!["out_of_policy night(medium)"],
    );
    check(
        &policy,
        &at_time("2026-03-29T06:00:00Z"),
        expect!["out_of_policy weekend(medium)"],
    );
}

#[track_caller]
fn groups(known: &KnownGroups, expect: Expect) {
    let errors = of(GROUPS).check_groups(known);
    expect.assert_eq(
        &errors
            .err()
            .map(|errors| errors.to_string())
            .unwrap_or_default(),
    );
}

#[test]
fn groups_that_scim_does_not_show_or_that_lie_in_themselves_are_refused() {
    let known = |names: &[&str], cycles: &[&[&str]]| KnownGroups {
        names: names.iter().map(ToString::to_string).collect(),
        cycles: cycles
            .iter()
            .map(|way| way.iter().map(ToString::to_string).collect())
            .collect(),
        empty: Vec::new(),
    };
    groups(&known(&["analysts", "interns"], &[]), expect![[""]]);
    groups(
        &known(&[], &[]),
        expect![[r#"
        policy file `test.cedar`, line 2, rule `analysts-read`: group `analysts` is not known; no groups are known at all: read SCIM's into the lake with `--databricks DIR`, from `scim/groups.json`
        policy file `test.cedar`, line 3, rule `no-interns`: group `interns` is not known; no groups are known at all: read SCIM's into the lake with `--databricks DIR`, from `scim/groups.json`"#]],
    );
    groups(
        &known(&["analyst", "interns"], &[]),
        expect![
            "policy file `test.cedar`, line 2, rule `analysts-read`: group `analysts` is not known; SCIM shows no such group; did you mean `analyst`?"
        ],
    );
    groups(
        &known(&["analysts", "interns"], &[&["a", "b", "a"]]),
        expect![
            "scim/groups.json: group `a` lies in itself: a in b in a; take one out of the other in the identity provider, and export again"
        ],
    );
}
