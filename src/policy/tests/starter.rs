//! Every rule of the starter policy fires where it should, and only there.

use super::*;
use crate::policy::{Effect, SCHEMA};
use expect_test::{Expect, expect};
use std::collections::BTreeSet;

#[track_caller]
fn check(case: Case, expect: Expect) {
    expect.assert_eq(&render(&case.judge(&STARTER)));
}

/// A change to the usual access.
fn usual(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::default();
    change(&mut case);
    case
}

fn write(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = Case::event("PutObject", Operation::Write);
    change(&mut case);
    case
}

fn anonymous(outcome: Outcome) -> Case {
    usual(|case| {
        case.principal = Principal {
            identity_type: Some("AWSAccount".to_owned()),
            account_id: Some("anonymous".to_owned()),
            ..Principal::default()
        };
        case.client.vpc_endpoint_id = None;
        case.client.source_ip = Some("198.51.100.7".to_owned());
        case.attribution.access_path = AccessPath::Anonymous;
        case.credential = Credential::Anonymous;
        case.outcome = outcome;
    })
}

fn service(case: &mut Case) {
    case.principal = Principal {
        identity_type: Some("AWSService".to_owned()),
        invoked_by: Some("delivery.logs.amazonaws.com".to_owned()),
        ..Principal::default()
    };
    case.client.source_ip = Some("delivery.logs.amazonaws.com".to_owned());
    case.client.vpc_endpoint_id = None;
    case.client.tls = Tls::default();
    case.attribution.access_path = AccessPath::AwsService;
    case.credential = Credential::Service;
}

#[test]
fn the_usual_access_is_in_policy() {
    check(Case::default(), expect!["in_policy"]);
    check(write(|_| {}), expect!["in_policy"]);
    check(
        Case::event("ListObjects", Operation::List),
        expect!["in_policy"],
    );
}

#[test]
fn an_access_of_which_nothing_is_known_is_no_violation() {
    check(
        usual(|case| {
            case.principal = Principal::default();
            case.client = Client::default();
            case.target = Target::default();
            case.attribution = Attribution::default();
            case.credential = Credential::Unknown;
            case.object_key = None;
            case.sse = None;
            case.kms_key_arn = None;
        }),
        expect!["in_policy"],
    );
}

#[test]
fn a_static_key_is_flagged_even_if_denied() {
    let of = |outcome| {
        usual(|case| {
            case.credential = Credential::Static;
            case.attribution.access_path = AccessPath::StaticKey;
            case.outcome = outcome;
        })
    };
    check(
        of(Outcome::Ok),
        expect!["out_of_policy static-credential(high)"],
    );
    check(
        of(Outcome::Denied),
        expect!["out_of_policy static-credential(high)"],
    );
}

#[test]
fn a_session_is_too_old_after_the_hours_that_are_configured() {
    let aged =
        |issued_at: &str| usual(|case| case.principal.session_issued_at = Some(at(issued_at)));
    check(aged("2026-03-27T05:00:01Z"), expect!["in_policy"]);
    check(
        aged("2026-03-27T05:00:00Z"),
        expect!["out_of_policy session-too-old(medium)"],
    );
    check(aged("2026-03-27T18:00:05Z"), expect!["in_policy"]);
}

#[test]
fn the_session_of_an_aws_service_does_not_age() {
    check(
        usual(|case| {
            service(case);
            case.principal.session_issued_at = Some(at("2026-03-01T00:00:00Z"));
        }),
        expect!["in_policy"],
    );
}

#[test]
fn anonymous_requests_are_flagged_where_s3_answered() {
    check(
        anonymous(Outcome::Ok),
        expect!["out_of_policy anonymous-access(high)"],
    );
    check(
        anonymous(Outcome::Error),
        expect!["out_of_policy anonymous-access(high)"],
    );
    check(anonymous(Outcome::Denied), expect!["in_policy"]);
}

#[test]
fn a_presigned_url_is_flagged_unless_denied() {
    let of = |outcome| {
        usual(|case| {
            case.presigned = true;
            case.outcome = outcome;
        })
    };
    check(of(Outcome::Ok), expect!["out_of_policy presigned-url(low)"]);
    check(of(Outcome::Denied), expect!["in_policy"]);
}

#[test]
fn plain_http_and_old_tls_are_flagged_and_unknown_tls_is_not() {
    let tls = |version: Option<&str>, plaintext| {
        usual(|case| {
            case.client.tls = Tls {
                version: version.map(str::to_owned),
                plaintext,
            };
        })
    };
    check(tls(None, true), expect!["out_of_policy no-tls(high)"]);
    check(
        tls(Some("SSLv3"), false),
        expect!["out_of_policy weak-tls(medium)"],
    );
    check(
        tls(Some("TLSv1"), false),
        expect!["out_of_policy weak-tls(medium)"],
    );
    check(
        tls(Some("TLSv1.1"), false),
        expect!["out_of_policy weak-tls(medium)"],
    );
    check(tls(Some("TLSv1.2"), false), expect!["in_policy"]);
    check(tls(Some("TLSv9"), false), expect!["in_policy"]);
    check(tls(None, false), expect!["in_policy"]);
}

#[test]
fn a_refused_or_an_aws_services_transport_is_no_violation() {
    check(
        usual(|case| {
            case.client.tls.plaintext = true;
            case.outcome = Outcome::Denied;
        }),
        expect!["in_policy"],
    );
    check(
        usual(|case| {
            service(case);
            case.client.tls.plaintext = true;
        }),
        expect!["in_policy"],
    );
    check(
        usual(|case| {
            case.principal.invoked_by = Some("athena.amazonaws.com".to_owned());
            case.client.tls.version = Some("TLSv1".to_owned());
        }),
        expect!["in_policy"],
    );
}

#[test]
fn a_write_is_flagged_only_where_the_record_states_sse_s3() {
    let sse = |sse: Option<&str>| write(|case| case.sse = sse.map(str::to_owned));
    check(
        sse(Some("SSE_S3")),
        expect!["out_of_policy write-without-sse-kms(medium)"],
    );
    check(sse(Some("SSE_KMS")), expect!["in_policy"]);
    check(sse(Some("DSSE_KMS")), expect!["in_policy"]);
    check(sse(Some("SSE_FUTURE")), expect!["in_policy"]);
    check(sse(None), expect!["in_policy"]);
    check(
        usual(|case| case.sse = Some("SSE_S3".to_owned())),
        expect!["in_policy"],
    );
}

#[test]
fn encrypting_anew_with_sse_s3_is_a_write_without_sse_kms() {
    let mut case = Case::event("UpdateObjectEncryption", Operation::Permission);
    case.sse = Some("SSE_S3".to_owned());
    check(case, expect!["out_of_policy write-without-sse-kms(medium)"]);
}

#[test]
fn a_write_that_nobody_has_heard_of_is_a_write() {
    let mut case = Case::event("RenameObject", Operation::Write);
    case.sse = Some("SSE_S3".to_owned());
    check(case, expect!["out_of_policy write-without-sse-kms(medium)"]);
}

#[test]
fn log_delivery_with_sse_s3_is_exempt_and_athena_is_not() {
    check(
        write(|case| {
            service(case);
            case.sse = Some("SSE_S3".to_owned());
        }),
        expect!["in_policy"],
    );
    check(
        write(|case| {
            case.principal.invoked_by = Some("athena.amazonaws.com".to_owned());
            case.sse = Some("SSE_S3".to_owned());
        }),
        expect!["out_of_policy write-without-sse-kms(medium)"],
    );
}

#[test]
fn an_sse_c_write_is_flagged_even_if_denied_and_a_read_is_not() {
    let of = |outcome| {
        write(|case| {
            case.sse = Some("SSE_C".to_owned());
            case.outcome = outcome;
        })
    };
    check(of(Outcome::Ok), expect!["out_of_policy sse-c-write(high)"]);
    check(
        of(Outcome::Denied),
        expect!["out_of_policy sse-c-write(high)"],
    );
    check(of(Outcome::Error), expect!["in_policy"]);
    check(
        usual(|case| case.sse = Some("SSE_C".to_owned())),
        expect!["in_policy"],
    );
}

#[test]
fn a_databricks_credential_belongs_inside_the_known_networks() {
    let from = |path, source_ip: Option<&str>, vpc_endpoint_id: Option<&str>| {
        usual(|case| {
            case.attribution.access_path = path;
            case.client.source_ip = source_ip.map(str::to_owned);
            case.client.vpc_endpoint_id = vpc_endpoint_id.map(str::to_owned);
        })
    };
    let stranger = Some("198.51.100.7");
    check(
        from(AccessPath::InstanceProfile, stranger, None),
        expect!["out_of_policy databricks-credential-outside-network(high)"],
    );
    check(
        from(AccessPath::UnityCatalog, stranger, None),
        expect!["out_of_policy databricks-credential-outside-network(high)"],
    );
    check(
        from(
            AccessPath::AssumedByInstance,
            Some("10.1.2.3"),
            Some("vpce-9"),
        ),
        expect!["out_of_policy databricks-credential-outside-network(high)"],
    );
    check(
        from(AccessPath::OtherRole, stranger, None),
        expect!["in_policy"],
    );
    check(
        from(AccessPath::InstanceProfile, Some("203.0.113.9"), None),
        expect!["in_policy"],
    );
    check(
        from(AccessPath::InstanceProfile, Some("AWS Internal"), None),
        expect!["in_policy"],
    );
    check(
        from(AccessPath::InstanceProfile, None, None),
        expect!["in_policy"],
    );
    let mut through_athena = from(AccessPath::InstanceProfile, stranger, None);
    through_athena.principal.invoked_by = Some("athena.amazonaws.com".to_owned());
    check(through_athena, expect!["in_policy"]);
}

#[test]
fn with_nothing_configured_no_network_is_outside_and_no_account_foreign() {
    let starter = Policy::starter(&PolicySettings::default()).unwrap();
    let case = usual(|case| {
        case.client.source_ip = Some("198.51.100.7".to_owned());
        case.client.vpc_endpoint_id = None;
        case.principal.account_id = Some("999999999999".to_owned());
    });
    expect!["in_policy"].assert_eq(&render(&case.judge(&starter)));
}

#[test]
fn a_databricks_credential_of_a_foreign_account_is_flagged() {
    let of = |path, account_id: Option<&str>| {
        usual(|case| {
            case.attribution.access_path = path;
            case.principal.account_id = account_id.map(str::to_owned);
        })
    };
    check(
        of(AccessPath::AssumedByInstance, Some("999999999999")),
        expect!["out_of_policy databricks-credential-foreign-account(high)"],
    );
    check(
        of(AccessPath::DatabricksPlatform, Some("414351767826")),
        expect!["in_policy"],
    );
    check(of(AccessPath::InstanceProfile, None), expect!["in_policy"]);
}

#[test]
fn a_change_of_settings_is_flagged_on_buckets_and_accounts() {
    let of = |name: &str, outcome| {
        let mut case = Case::event(name, Operation::Permission);
        case.outcome = outcome;
        case.object_key = None;
        case
    };
    check(
        of("PutBucketPolicy", Outcome::Ok),
        expect!["out_of_policy permission-change(medium)"],
    );
    check(
        of("DeleteBucketEncryption", Outcome::Denied),
        expect!["out_of_policy permission-change(medium)"],
    );
    check(of("PutBucketPolicy", Outcome::Error), expect!["in_policy"]);
    check(
        of("DeleteAccountPublicAccessBlock", Outcome::Ok),
        expect!["out_of_policy permission-change(medium)"],
    );
    check(
        of("PutBucketCurfew", Outcome::Ok),
        expect!["out_of_policy permission-change(medium)"],
    );
    check(of("CreateBucket", Outcome::Ok), expect!["in_policy"]);
    check(
        of("PutBucketMetricsConfiguration", Outcome::Ok),
        expect!["in_policy"],
    );
    check(of("PutObjectAcl", Outcome::Ok), expect!["in_policy"]);
}

#[test]
fn all_rules_that_forbid_are_listed_the_most_severe_first() {
    check(
        write(|case| {
            case.credential = Credential::Static;
            case.attribution.access_path = AccessPath::StaticKey;
            case.client.tls.plaintext = true;
            case.presigned = true;
            case.sse = Some("SSE_S3".to_owned());
        }),
        expect![
            "out_of_policy no-tls(high) static-credential(high) write-without-sse-kms(medium) presigned-url(low)"
        ],
    );
}

#[test]
fn every_rule_says_why_and_what_it_controls() {
    let criteria = ["CC6.1", "CC6.3", "CC6.6", "CC6.7", "CC8.1", "A1.2"];
    for rule in STARTER.rules() {
        assert_ne!(rule.reason, rule.id, "{}", rule.id);
        if rule.effect == Effect::Forbid {
            let control = rule.control.as_deref().unwrap();
            assert!(
                control.split(", ").all(|one| criteria.contains(&one)),
                "{}",
                rule.id
            );
        }
    }
}

#[test]
fn every_rule_that_forbids_is_tested_here() {
    let tests = include_str!("starter.rs");
    let untested: BTreeSet<String> = STARTER
        .rules()
        .into_iter()
        .filter(|rule| rule.effect == Effect::Forbid)
        .map(|rule| rule.id.to_string())
        .filter(|id| !tests.contains(&format!("out_of_policy {id}(")))
        .collect();
    assert_eq!(untested, BTreeSet::new());
}

#[test]
fn the_schema_has_neither_errors_nor_warnings() {
    let (_, warnings) = cedar_policy::Schema::from_cedarschema_str(SCHEMA).unwrap();
    assert_eq!(
        warnings
            .map(|warning| warning.to_string())
            .collect::<Vec<_>>(),
        [""; 0]
    );
}

#[test]
fn the_starter_policy_reads_nothing_per_event() {
    assert!(STARTER.reads().is_none());
}
