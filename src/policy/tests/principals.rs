//! Whom an access is judged as, and what it is judged on.

use super::*;
use crate::model::{Confidence, PrincipalKind};
use expect_test::{Expect, expect};

/// Permits Ann and one service principal, each with a rule of its own.
const PEOPLE: &str = r#"
@id("ann") permit (principal == User::"ann@example.com", action, resource);
@id("etl") permit (principal == ServicePrincipal::"0b7e-etl", action, resource);
@id("role")
permit (principal is AwsIdentity, action, resource)
when { context has role_arn && context.role_arn == "arn:aws:iam::111122223333:role/etl" };
@id("no-bob") @severity("critical") @reason("not Bob")
forbid (principal == User::"bob@example.com", action, resource);
"#;

#[track_caller]
fn check(attribution: Attribution, expect: Expect) {
    let case = Case {
        attribution,
        ..Case::default()
    };
    expect.assert_eq(&render(&case.judge(&policy(PEOPLE))));
}

fn named(name: &str, kind: PrincipalKind) -> Attribution {
    Attribution {
        principal: Some(name.to_owned()),
        principal_kind: Some(kind),
        principal_confidence: Confidence::Strong,
        ..Attribution::default()
    }
}

fn candidates(names: &[&str]) -> Attribution {
    Attribution {
        principal_candidates: names.iter().map(ToString::to_string).collect(),
        principal_confidence: Confidence::Ambiguous,
        ..Attribution::default()
    }
}

#[test]
fn an_attributed_principal_is_judged_by_its_name_and_kind() {
    check(
        named("ann@example.com", PrincipalKind::User),
        expect!["in_policy"],
    );
    check(
        named("0b7e-etl", PrincipalKind::ServicePrincipal),
        expect!["in_policy"],
    );
    check(
        named("0b7e-etl", PrincipalKind::User),
        expect!["out_of_policy default-deny(medium)"],
    );
    check(
        named("bob@example.com", PrincipalKind::User),
        expect!["out_of_policy no-bob(critical)"],
    );
}

#[test]
fn candidates_that_are_all_allowed_are_in_policy() {
    check(
        candidates(&["ann@example.com", "0b7e-etl"]),
        expect!["in_policy"],
    );
}

#[test]
fn candidates_that_are_all_denied_are_out_of_policy_for_every_reason() {
    check(
        candidates(&["carl@example.com", "bob@example.com", "dora@example.com"]),
        expect!["out_of_policy no-bob(critical) default-deny(medium)"],
    );
}

#[test]
fn candidates_that_disagree_are_undetermined_for_the_reasons_of_the_denied() {
    check(
        candidates(&["ann@example.com", "bob@example.com"]),
        expect!["undetermined no-bob(critical)"],
    );
}

#[test]
fn without_a_databricks_principal_the_one_that_aws_names_is_judged() {
    check(Attribution::default(), expect!["in_policy"]);
}

#[test]
fn whom_nobody_names_is_unattributed() {
    let policy =
        policy(r#"@id("u") permit (principal == Unattributed::"unknown", action, resource);"#);
    let mut case = Case {
        principal: Principal::default(),
        ..Case::default()
    };
    expect!["in_policy"].assert_eq(&render(&case.judge(&policy)));
    case.principal.account_id = Some("anonymous".to_owned());
    expect!["in_policy"].assert_eq(&render(&case.judge(&policy)));
    case.principal.account_id = Some("999999999999".to_owned());
    expect!["out_of_policy default-deny(medium)"].assert_eq(&render(&case.judge(&policy)));
}

#[test]
fn an_access_that_nothing_permits_is_denied_by_default_with_a_reason() {
    let policy =
        policy(r#"@id("ann") permit (principal == User::"ann@example.com", action, resource);"#);
    let judgement = Case::default().judge(&policy);
    expect![[r#"
        Judgement {
            verdict: OutOfPolicy,
            violations: [
                Violation {
                    rule: "default-deny",
                    severity: Medium,
                    control: Some(
                        "CC6.1, CC6.3",
                    ),
                    reason: "no `permit` of the policy allows this access [principal is Unattributed]",
                    exception: None,
                },
            ],
        }
    "#]]
    .assert_debug_eq(&judgement);
}

const DATASETS: &str = r#"
[[dataset]]
name = "payroll"
sensitivity = "restricted"
owner = "hr@example.com"
locations = ["s3://lake/payroll/"]
"#;

const DATASET_RULES: &str = r#"
@id("any") permit (principal, action, resource);
@id("dataset") @severity("high") forbid (principal, action, resource in Dataset::"payroll");
@id("sensitivity") forbid (principal, action, resource)
when { resource has sensitivity && resource.sensitivity == "restricted" };
@id("bucket") @severity("low") forbid (principal, action in Action::"list", resource in Bucket::"lake");
@id("account") @severity("low") forbid (principal, action in Action::"delete", resource in Account::"111122223333");
@id("key") @severity("critical") forbid (principal, action, resource is Object)
when { resource has key && resource.key like "payroll/secret/*" };
"#;

#[test]
fn objects_and_lists_lie_in_dataset_bucket_and_account() {
    let files = vec![
        file("datasets.toml", DATASETS),
        file("rules.cedar", DATASET_RULES),
    ];
    let policy = Policy::parse(files, &PolicySettings::default()).unwrap();
    assert!(policy.reads().object_key);
    let object = |name: &str, operation, key: &str| {
        let mut case = Case::event(name, operation);
        case.object_key = Some(key.to_owned());
        case
    };
    let check = |case: Case, expect: Expect| expect.assert_eq(&render(&case.judge(&policy)));
    check(
        object("GetObject", Operation::Read, "payroll/x"),
        expect!["out_of_policy dataset(high) sensitivity(medium)"],
    );
    check(
        object("GetObject", Operation::Read, "payroll/secret/x"),
        expect!["out_of_policy key(critical) dataset(high) sensitivity(medium)"],
    );
    check(
        object("GetObject", Operation::Read, "raw/x"),
        expect!["in_policy"],
    );
    check(
        object("DeleteObject", Operation::Delete, "raw/x"),
        expect!["out_of_policy account(low)"],
    );
    let mut list = Case::event("ListObjects", Operation::List);
    list.object_key = None;
    list.list_prefix = Some("payroll/".to_owned());
    check(
        list.clone(),
        expect!["out_of_policy dataset(high) sensitivity(medium) bucket(low)"],
    );
    list.list_prefix = None;
    check(list, expect!["out_of_policy bucket(low)"]);
}
