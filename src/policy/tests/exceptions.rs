//! Violations that somebody answers for, until a day.

use super::*;
use expect_test::{Expect, expect};

const RULES: &str = r#"
@id("no-writes") forbid (principal, action in Action::"write", resource);
@id("ann") permit (principal == User::"ann@example.com", action in Action::"read", resource);
"#;

const DATASETS: &str = r#"
[[dataset]]
name = "payroll"
locations = ["s3://lake/payroll/"]
"#;

fn with(exceptions: &str) -> Result<Policy, String> {
    let files = vec![
        file("a.cedar", RULES),
        file("datasets.toml", DATASETS),
        file("exceptions.toml", exceptions),
    ];
    Policy::parse(files, &PolicySettings::default()).map_err(|errors| errors.to_string())
}

const SOUND: &str = r#"
[[exception]]
id = "EX-1"
rules = ["no-writes", "default-deny"]
datasets = ["payroll"]
principals = ["bob@example.com", "carl@example.com"]
owner = "hr@example.com"
reason = "the migration ends in March"
approved = 2026-03-20
expires = 2026-03-27
"#;

fn marks(case: &Case) -> String {
    let judgement = case.judge(&with(SOUND).unwrap());
    let violations = judgement.violations.iter().map(|violation| {
        let mark = violation.exception.as_deref().unwrap_or("counts");
        format!(" {}: {mark}", violation.rule)
    });
    judgement.verdict.as_str().to_owned() + &violations.collect::<String>()
}

fn write_of_bob() -> Case {
    let mut case = Case::event("PutObject", Operation::Write);
    case.object_key = Some("payroll/x".to_owned());
    case.attribution.principal = Some("bob@example.com".to_owned());
    case
}

#[test]
fn what_an_exception_covers_stays_a_violation_with_its_id() {
    let case = write_of_bob();
    expect!["out_of_policy no-writes: EX-1"].assert_eq(&marks(&case));
    let mut read = write_of_bob();
    (read.event_name, read.operation) = ("GetObject".to_owned(), Operation::Read);
    expect!["out_of_policy default-deny: EX-1"].assert_eq(&marks(&read));
}

#[test]
fn an_exception_covers_its_days_only() {
    for (at_time, expect) in [
        (
            "2026-03-19T23:59:59.999999Z",
            "out_of_policy no-writes: counts",
        ),
        ("2026-03-20T00:00:00Z", "out_of_policy no-writes: EX-1"),
        (
            "2026-03-27T23:59:59.999999Z",
            "out_of_policy no-writes: EX-1",
        ),
        ("2026-03-28T00:00:00Z", "out_of_policy no-writes: counts"),
    ] {
        let case = Case {
            event_time: at(at_time),
            ..write_of_bob()
        };
        assert_eq!(marks(&case), expect, "{at_time}");
    }
}

#[test]
fn an_exception_covers_what_it_names_only() {
    let mut elsewhere = write_of_bob();
    elsewhere.object_key = Some("raw/x".to_owned());
    expect!["out_of_policy no-writes: counts"].assert_eq(&marks(&elsewhere));
    let mut of_dora = write_of_bob();
    of_dora.attribution.principal = Some("dora@example.com".to_owned());
    expect!["out_of_policy no-writes: counts"].assert_eq(&marks(&of_dora));
}

#[test]
fn every_candidate_must_be_covered() {
    let of = |names: &[&str], more: u32| {
        let mut case = write_of_bob();
        case.attribution.principal = None;
        case.attribution.principal_candidates = names.iter().map(ToString::to_string).collect();
        case.attribution.principal_candidate_count = u32::try_from(names.len()).unwrap() + more;
        marks(&case)
    };
    expect!["out_of_policy no-writes: EX-1"]
        .assert_eq(&of(&["bob@example.com", "carl@example.com"], 0));
    expect!["out_of_policy no-writes: counts"]
        .assert_eq(&of(&["bob@example.com", "dora@example.com"], 0));
    // Of those that are not listed nobody knows.
    expect!["undetermined no-writes: counts"]
        .assert_eq(&of(&["bob@example.com", "carl@example.com"], 3));
}

#[track_caller]
fn refused(exceptions: &str, expect: Expect) {
    expect.assert_eq(&with(exceptions).err().unwrap());
}

#[test]
fn an_exception_that_nobody_could_answer_for_is_refused_for_all_that_it_lacks() {
    refused(
        "[[exception]]\nid = \"EX-1\"\nrules = [\"no-write\"]\ndatasets = [\"payrol\"]\njobs = [\"77\"]\n",
        expect![[r#"
            policy file `exceptions.toml`, line 1: exception `EX-1` has no `owner`; an auditor will ask for it
            policy file `exceptions.toml`, line 1: exception `EX-1` has no `reason`; an auditor will ask for it
            policy file `exceptions.toml`, line 1: exception `EX-1` has no `expires`; give its last day, like `expires = 2026-04-30`
            policy file `exceptions.toml`, line 3: exception `EX-1` covers rule `no-write`, which no *.cedar file has; did you mean `no-writes`?
            policy file `exceptions.toml`, line 4: exception `EX-1` names dataset `payrol`, which datasets.toml does not have; did you mean `payroll`?
            policy file `exceptions.toml`, line 5: exception `EX-1` names job `77`; write it as `<workspace id>/<job id>`, for a job's id is unique in its workspace only"#]],
    );
    refused(
        &SOUND.replace("2026-03-27", "2026-03-01"),
        expect![
            "policy file `exceptions.toml`, line 2: exception `EX-1` expires before it is approved; correct one of the days"
        ],
    );
    refused(
        &format!("{SOUND}{SOUND}"),
        expect![
            "policy file `exceptions.toml`, line 13: exception `EX-1` is defined twice; rename one of the two"
        ],
    );
    refused(
        &SOUND.replace("expires = 2026-03-27", "expires = \"March\""),
        expect![[
            r#"policy file `exceptions.toml`, line 10: invalid type: string "March", expected a TOML datetime; see the example in the documentation of exceptions.toml"#
        ]],
    );
    refused(
        &SOUND.replace("expires = 2026-03-27", "expires = 2026-03-27T12:00:00Z"),
        expect![
            "policy file `exceptions.toml`, line 10: exception `EX-1`: `expires` is no day; write it like 2026-04-30, without quotes"
        ],
    );
    refused(
        "[[exeption]]\nid = \"x\"\n",
        expect![
            "policy file `exceptions.toml`, line 1: `exeption` is unknown here; write `[[exception]]`; see the example in the documentation of exceptions.toml"
        ],
    );
}
