//! What the policy says of the rows of a scan.

use super::world::*;
use serde_json::json;

const PERMIT_ETL: &str = r#"
@id("etl-reads-raw")
@reason("the nightly load reads the raw zone")
permit (principal, action in Action::"read", resource in Dataset::"raw")
when { context has role_arn && context.role_arn == "arn:aws:iam::111122223333:role/etl" };
"#;

const DATASETS: &str = r#"
[[dataset]]
name = "raw"
sensitivity = "internal"
locations = ["s3://lake/raw/"]

[[dataset]]
name = "payroll"
sensitivity = "restricted"
locations = ["s3://lake/raw/payroll/"]
"#;

#[test]
fn what_no_rule_permits_is_out_of_policy() {
    let etl = || role_session("etl", "run-1", "ASIAONE", NOON);
    let other = || role_session("other", "run-1", "ASIATWO", NOON);
    let world = world_of(&[(
        "1205",
        &[
            get_object(&guid(1), NOON, etl(), "raw/x"),
            get_object(&guid(2), NOON, etl(), "raw/payroll/x"),
            get_object(&guid(3), NOON, other(), "raw/x"),
            get_object(&guid(4), NOON, etl(), "elsewhere"),
        ],
    )]);
    world.put("policy/rules.cedar", PERMIT_ETL.as_bytes());
    world.put("policy/datasets.toml", DATASETS.as_bytes());
    let report = world.scan_with(&["--policy", "policy", "trail"]);
    assert_eq!(
        report["verdicts"],
        json!({"in_policy": 1, "out_of_policy": 3, "undetermined": 0})
    );
    let rows = world.query("SELECT object_key, principal_arn, dataset, sensitivity, verdict, violations FROM s3_access ORDER BY event_time, source_index");
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row["dataset"].as_str(), row["verdict"].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("raw"), "in_policy"),
            (Some("payroll"), "out_of_policy"),
            (Some("raw"), "out_of_policy"),
            (None, "out_of_policy"),
        ]
    );
    assert_eq!(rows[1]["sensitivity"], "restricted");
    assert_eq!(world.number("SELECT count(*) AS n FROM violations"), 3);
    assert_eq!(
        world.number("SELECT count(*) AS n FROM violations WHERE rule = 'default-deny'"),
        3
    );
    let files = world.query("SELECT file, text FROM policy_versions ORDER BY file");
    let files: Vec<_> = files
        .iter()
        .map(|row| (row["file"].as_str().unwrap(), row["text"].as_str().unwrap()))
        .collect();
    assert_eq!(
        files,
        [("datasets.toml", DATASETS), ("rules.cedar", PERMIT_ETL)]
    );
    // The same policy again is the same version; another one is not.
    world.scan_with(&["--policy", "policy", "trail"]);
    assert_eq!(world.number("SELECT count(*) AS n FROM policy_versions"), 2);
}

#[test]
fn the_starter_policy_flags_a_long_term_key() {
    let world = world_of(&[(
        "1205",
        &[
            get_object(&guid(1), NOON, user(), "a"),
            get_object(
                &guid(2),
                NOON,
                role_session("etl", "run-1", "ASIAONE", NOON),
                "b",
            ),
        ],
    )]);
    let report = world.scan();
    assert_eq!(
        report["verdicts"],
        json!({"in_policy": 1, "out_of_policy": 1, "undetermined": 0})
    );
    assert_eq!(report["rules"], json!({"static-credential": 1}));
}
