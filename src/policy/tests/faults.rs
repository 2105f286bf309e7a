//! What cannot be used is refused, with file, line and remedy; what cannot be
//! evaluated is never an allow.

use super::*;
use crate::policy::PolicyErrors;
use expect_test::{Expect, expect};

#[track_caller]
fn refused(text: &str, expect: Expect) {
    check(vec![file("a.cedar", text)], expect);
}

#[track_caller]
fn check(files: Vec<PolicyFile>, expect: Expect) {
    let error: PolicyErrors = Policy::parse(files, &PolicySettings::default())
        .err()
        .unwrap();
    expect.assert_eq(&error.to_string());
}

const ANY: &str = "@id(\"any\") permit (principal, action, resource);\n";

#[test]
fn a_parse_error_names_its_line() {
    refused(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.presigned = true };\n",
        expect![
            "policy file `a.cedar`, line 3: '=' is not a valid operator in Cedar; try using '==' instead"
        ],
    );
    refused(
        "@id(\"a\")\npermit (principal, action, resource)\n",
        expect![
            "policy file `a.cedar`, line 2: unexpected end of input, expected `;` or identifier"
        ],
    );
}

#[test]
fn an_attribute_that_the_schema_lacks_is_an_error() {
    refused(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen {\n  context.pre_signed };\n",
        expect![[
            r#"policy file `a.cedar`, line 4, rule `a`: attribute `pre_signed` in context for Action::"AbortMultipartUpload" not found; did you mean `presigned`?"#
        ]],
    );
}

#[test]
fn an_attribute_that_may_be_missing_must_be_asked_for_first() {
    refused(
        "@id(\"a\")\nforbid (principal, action, resource)\nwhen { context.tls == \"none\" };\n",
        expect![[
            r#"policy file `a.cedar`, line 3, rule `a`: unable to guarantee safety of access to optional attribute `tls` in context for Action::"AbortMultipartUpload"; try testing for the attribute's presence with `context has tls && ..`"#
        ]],
    );
}

#[test]
fn an_unknown_action_is_an_error() {
    refused(
        "// a comment; with a semicolon\n@id(\"a\")\npermit (principal,\n  action == Action::\"GetObjects\", resource);\n",
        expect![[
            r#"policy file `a.cedar`, line 4, rule `a`: unrecognized action `Action::"GetObjects"`; did you mean `Action::"GetObject"`?"#
        ]],
    );
}

#[test]
fn a_rule_that_never_matches_is_an_error() {
    refused(
        &format!(
            "{ANY}\n@id(\"never\")\nforbid (principal, action == Action::\"GetObject\", resource is Bucket);\n"
        ),
        expect![
            "policy file `a.cedar`, line 3, rule `never`: policy is impossible: the policy expression evaluates to false for all valid requests; correct its scope or its conditions, or remove it"
        ],
    );
}

#[test]
fn every_rule_has_an_id_of_its_own() {
    refused(
        "@id(\"a\") permit (principal, action, resource);\n\n// next\n@reason(\"x; y\")\nforbid (principal, action, resource);\n",
        expect![[
            r#"policy file `a.cedar`, line 4: the rule has no @id; add `@id("a-name")` above it"#
        ]],
    );
    check(
        vec![
            file("b.cedar", &format!("// b\n{ANY}")),
            file("a.cedar", &format!("\n\n{ANY}")),
        ],
        expect![[
            r#"policy file `b.cedar`, line 2: `@id("any")` is already taken in `a.cedar`, line 3; rename one of the two"#
        ]],
    );
    refused(
        "@id(\"default-deny\") permit (principal, action, resource);",
        expect![[
            r#"policy file `a.cedar`, line 1: `@id("default-deny")` is reserved; choose another name"#
        ]],
    );
}

#[test]
fn a_severity_is_one_of_four() {
    refused(
        "@id(\"a\") @severity(\"severe\") permit (principal, action, resource);",
        expect![[
            r#"policy file `a.cedar`, line 1: rule `a` has `@severity("severe")`; write low, medium, high or critical"#
        ]],
    );
}

#[test]
fn a_template_is_no_rule() {
    refused(
        &format!("{ANY}@id(\"a\")\npermit (principal == ?principal, action, resource);"),
        expect![
            "policy file `a.cedar`, line 2: templates (`?principal`, `?resource`) are not supported; name the entity or leave the scope open"
        ],
    );
}

#[test]
fn a_dataset_that_is_not_defined_is_an_error() {
    refused(
        &format!("{ANY}@id(\"a\") forbid (principal, action, resource in Dataset::\"payrol\");"),
        expect![
            "policy file `a.cedar`, line 2, rule `a`: dataset `payrol` is not known, for the policy has no datasets.toml, or an empty one; define it there"
        ],
    );
}

#[test]
fn all_faults_of_all_files_are_told_at_once_in_their_order() {
    check(
        vec![
            file(
                "tests.toml",
                "[[test]]\nname = \"a\"\nevent = \"GetObjects\"\nverdict = \"yes\"\n",
            ),
            file(
                "datasets.toml",
                "[[dataset]]\nname = \"payroll\"\nlocations = [\"/mnt\"]\n",
            ),
            file(
                "b.cedar",
                "@id(\"b\") forbid (principal, action, resource in Dataset::\"payrol\");\npermit (principal, action, resource);\n",
            ),
            file(
                "a.cedar",
                "@id(\"a\") permit (principal, action, resource) when { context.presigne };\n",
            ),
            file(
                "c.cedar",
                "@id(\"c\") permit principal, action, resource);\n",
            ),
            file(
                "exceptions.toml",
                "[[exception]]\nid = \"x\"\nrules = [\"a\"]\nowner = \"o\"\nreason = \"r\"\n",
            ),
        ],
        expect![[r#"
            policy file `a.cedar`, line 1, rule `a`: attribute `presigne` in context for Action::"AbortMultipartUpload" not found; did you mean `presigned`?
            policy file `b.cedar`, line 1, rule `b`: dataset `payrol` is not in datasets.toml; did you mean `payroll`?; add it there or correct the name
            policy file `b.cedar`, line 2: the rule has no @id; add `@id("a-name")` above it
            policy file `c.cedar`, line 1: unexpected token `principal`, expected `(`
            policy file `datasets.toml`, line 3: `/mnt` is no location; write it like `s3://bucket/prefix/`, without wildcards
            policy file `exceptions.toml`, line 1: exception `x` has no `expires`; give its last day, like `expires = 2026-04-30`
            policy file `exceptions.toml`, line 3: exception `x` covers rule `a`, which permits, so that no access violates it; name a `forbid` or `default-deny`
            policy file `tests.toml`, line 3: test `a`: `event` is `GetObjects`, which it cannot be; did you mean `GetObject`?
            policy file `tests.toml`, line 4: test `a`: `verdict` is `yes`, which it cannot be; there are `in_policy`, `out_of_policy`, `undetermined`"#]],
    );
}

#[test]
fn a_file_that_would_go_unread_is_an_error() {
    check(
        vec![file("a.ceder", ANY)],
        expect![
            "policy file `a.ceder` is neither *.cedar, datasets.toml, exceptions.toml nor tests.toml; rename it, or move it out of the policy"
        ],
    );
    check(
        vec![file("a.cedar", ANY), file("a.cedar", ANY)],
        expect![[r#"
            policy file `a.cedar` was given twice; leave one out
            policy file `a.cedar`, line 1: `@id("any")` is already taken in `a.cedar`, line 1; rename one of the two"#]],
    );
}

#[test]
fn a_policy_without_rules_is_an_error() {
    check(
        vec![file("datasets.toml", "")],
        expect![
            "no rule in any *.cedar file, so that every access would be out of policy; add one, or leave out the policy to use the built-in one"
        ],
    );
}

#[test]
fn rules_without_severity_control_and_reason_get_their_defaults() {
    let policy = policy(ANY);
    let rules = policy.rules();
    let [rule] = rules.as_slice() else { panic!() };
    assert_eq!(rule.severity.as_str(), "medium");
    assert_eq!(rule.control, None);
    assert_eq!(&*rule.reason, "any");
    assert_eq!((rule.file.as_str(), rule.line), ("test.cedar", 1));
}

/// Overflows for every session that is at least an hour old.
const OVERFLOW: &str = "@id(\"overflow\") @severity(\"low\") @control(\"CC7.2\")
forbid (principal, action, resource)
when { context has session_age_hours && context.session_age_hours * 9223372036854775807 > 5 };\n";

#[track_caller]
fn fails(policy: &Policy, expect: Expect) {
    let mut case = Case::default();
    case.principal.session_issued_at = Some(at("2026-03-27T10:00:00Z"));
    let judgement = case.judge(policy);
    let mut text = render(&judgement);
    for violation in &judgement.violations {
        text.push('\n');
        text.push_str(&violation.reason);
    }
    expect.assert_eq(&text);
}

#[test]
fn a_text_that_an_attribute_never_is_is_a_fault() {
    let rule = |text: &str| {
        vec![PolicyFile {
            name: "a.cedar".to_owned(),
            text: format!("@id(\"a\") permit (principal, action, resource) when {{ {text} }};"),
        }]
    };
    check(
        rule(
            r#"context.access_path == "unity_catlog" && ["ok", "denyed"].contains(context.outcome)"#,
        ),
        expect![[r#"
            policy file `a.cedar`, line 1, rule `a`: `outcome` is never `denyed`, so that comparing the two decides nothing; did you mean `denied`?
            policy file `a.cedar`, line 1, rule `a`: `access_path` is never `unity_catlog`, so that comparing the two decides nothing; did you mean `unity_catalog`?"#]],
    );
    check(
        rule(r#"resource has dataset && resource.dataset == "payrol""#),
        expect![
            "policy file `a.cedar`, line 1, rule `a`: `dataset` is compared with `payrol`, and the policy has no datasets.toml, or an empty one; define the dataset there"
        ],
    );
}

#[test]
fn a_rule_that_fails_to_evaluate_is_undetermined_beside_a_permit() {
    fails(
        &policy(&format!("{ANY}{OVERFLOW}")),
        expect![[r#"
        undetermined overflow(low)
        evaluation failed: integer overflow while attempting to multiply the values `8` and `9223372036854775807`"#]],
    );
}

#[test]
fn a_rule_that_fails_to_evaluate_is_undetermined_beside_a_forbid() {
    fails(
        &policy(&format!(
            "{OVERFLOW}@id(\"no\") forbid (principal, action, resource);"
        )),
        expect![[r#"
            undetermined no(medium) overflow(low)
            no
            evaluation failed: integer overflow while attempting to multiply the values `8` and `9223372036854775807`"#]],
    );
}

#[test]
fn a_permit_that_fails_to_evaluate_is_undetermined() {
    fails(
        &policy(&OVERFLOW.replace("forbid", "permit")),
        expect![[r#"
        undetermined overflow(low)
        evaluation failed: integer overflow while attempting to multiply the values `8` and `9223372036854775807`"#]],
    );
}

#[test]
fn the_same_rule_is_no_failure_where_it_does_not_overflow() {
    let policy = policy(&format!("{ANY}{OVERFLOW}"));
    expect!["in_policy"].assert_eq(&render(&Case::default().judge(&policy)));
}

#[test]
fn a_broken_statement_hides_no_other_fault_and_makes_none() {
    let cedar = "@id(\"one\") permit (principal, action, resource);\n\
                 @id(\"two\") forbid principal, action, resource);\n\
                 @id(\"three\") forbid (principal, action, resource) when { context.pre };\n\
                 @id(\"four\") forbid (principal, action, resource) when { context.x = 1 };\n\
                 @id(\"five\") forbid (principal, action, resource in Dataset::\"d\");\n";
    let exceptions = "[[exception]]\nid = \"x\"\nrules = [\"two\"]\nowner = \"o\"\nreason = \"r\"\nexpires = 2026-04-30\n";
    check(
        vec![file("a.cedar", cedar), file("exceptions.toml", exceptions)],
        expect![[r#"
            policy file `a.cedar`, line 2: unexpected token `principal`, expected `(`
            policy file `a.cedar`, line 3, rule `three`: attribute `pre` in context for Action::"AbortMultipartUpload" not found; did you mean `sse`?
            policy file `a.cedar`, line 4: '=' is not a valid operator in Cedar; try using '==' instead
            policy file `a.cedar`, line 5, rule `five`: dataset `d` is not known, for the policy has no datasets.toml, or an empty one; define it there"#]],
    );
}

#[test]
fn a_broken_datasets_file_makes_no_dataset_unknown() {
    let cedar = "@id(\"a\") permit (principal, action, resource in Dataset::\"payroll\") when { resource.dataset == \"payrol\" };";
    let datasets = "[[dataset]]\nname = \"payroll\"\nlocations = [\"s3://a/\"]\nowner = 1\nsensitivty = \"x\"\n[[dataset]]\nname = \"b\"\n";
    check(
        vec![file("a.cedar", cedar), file("datasets.toml", datasets)],
        expect![[r#"
            policy file `a.cedar`, line 1, rule `a`: unable to guarantee safety of access to optional attribute `dataset` on entity type `Bucket`; try testing for the attribute's presence with `e has dataset && ..`
            policy file `a.cedar`, line 1, rule `a`: unable to guarantee safety of access to optional attribute `dataset` on entity type `Object`; try testing for the attribute's presence with `e has dataset && ..`
            policy file `datasets.toml`, line 4: invalid type: integer `1`, expected a string; see the example in the documentation of datasets.toml
            policy file `datasets.toml`, line 5: unknown field `sensitivty`, expected one of `name`, `sensitivity`, `owner`, `locations`; see the example in the documentation of datasets.toml
            policy file `datasets.toml`, line 6: missing field `locations`; see the example in the documentation of datasets.toml"#]],
    );
}

#[test]
fn an_exception_covers_what_can_be_violated_in_places_that_can_be() {
    let exceptions = "[[exception]]\nid = \"x\"\nrules = [\"any\", \"default-deny\"]\nbuckets = [\"s3://b/x\", \"good-bucket\"]\nroles = [\"admin\", \"arn:aws:iam::111122223333:role/x\"]\nowner = \"o\"\nreason = \"r\"\nexpires = 2026-04-30\n\
                      [[exception]]\nid = 1\nrules = \"any\"\n";
    check(
        vec![file("a.cedar", ANY), file("exceptions.toml", exceptions)],
        expect![[r#"
            policy file `exceptions.toml`, line 3: exception `x` covers rule `any`, which permits, so that no access violates it; name a `forbid` or `default-deny`
            policy file `exceptions.toml`, line 4: exception `x` names bucket `s3://b/x`; write a bucket's name alone, without `s3://`, path or wildcard
            policy file `exceptions.toml`, line 5: exception `x` names role `admin`; write its ARN whole, like `arn:aws:iam::111122223333:role/name`
            policy file `exceptions.toml`, line 10: invalid type: integer `1`, expected a string; see the example in the documentation of exceptions.toml
            policy file `exceptions.toml`, line 11: invalid type: string "any", expected a sequence; see the example in the documentation of exceptions.toml"#]],
    );
}

#[test]
fn an_example_does_not_contradict_itself() {
    let test = |name: &str, verdict: &str, rules: &str| {
        format!(
            "[[test]]\nname = \"{name}\"\nevent = \"GetObject\"\nverdict = \"{verdict}\"\nrules = [{rules}]\n"
        )
    };
    let tests = [
        test("both", "in_policy", "\"default-deny\""),
        test("neither", "out_of_policy", ""),
        test("permit", "out_of_policy", "\"any\""),
        test("a permit that fails", "undetermined", "\"any\""),
        test("open", "undetermined", ""),
        test("sound", "in_policy", ""),
    ];
    check(
        vec![file("a.cedar", ANY), file("tests.toml", &tests.concat())],
        expect![[r#"
            policy file `tests.toml`, line 4: test `both`: it is to be `in_policy` and to violate rules; correct one of the two
            policy file `tests.toml`, line 9: test `neither`: it is to be `out_of_policy` and to violate no rule; correct one of the two
            policy file `tests.toml`, line 15: test `permit`: `rules` has rule `any`, which permits, so that no access violates it; name a `forbid` or `default-deny`"#]],
    );
}
