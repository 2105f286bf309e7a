//! The access path and the kind of credential, each shape once.

use super::super::{attribute_within, credential};
use super::*;
use crate::model::AccessPath;

fn kind(identity_type: &str) -> Principal {
    Principal {
        identity_type: some(identity_type),
        ..Principal::default()
    }
}

#[test]
fn each_principal_takes_the_first_path_that_fits() {
    let infrastructure = role_session(
        "arn:aws:iam::111122223333:role/aws:ec2-infrastructure",
        INSTANCE,
        "ASIA1",
    );
    let path_role = "arn:aws-us-gov:iam::111122223333:role/uc/storage";
    let anonymous = |identity_type: &str, id: &str| Principal {
        principal_id: None,
        identity_type: some(identity_type),
        ..account(id)
    };
    let invoked = Principal {
        invoked_by: some("athena.amazonaws.com"),
        access_key_id: None,
        ..role_session(UC_ROLE, "x", "")
    };
    let table = [
        ("ec2 infrastructure", infrastructure, AccessPath::AwsService),
        ("service", ec2_service(), AccessPath::AwsService),
        (
            "in scope, even of a storage role",
            in_scope(role_session(UC_ROLE, "x", "ASIA1"), INSTANCE),
            AccessPath::InstanceProfile,
        ),
        (
            "Databricks' account",
            account(DATABRICKS),
            AccessPath::DatabricksPlatform,
        ),
        (
            "GovCloud control plane",
            account("044793339203"),
            AccessPath::DatabricksPlatform,
        ),
        (
            "log delivery",
            role_session(LOG_ROLE, "x", "ASIA1"),
            AccessPath::DatabricksPlatform,
        ),
        (
            "storage credential",
            role_session(UC_ROLE, "databricks", "ASIA1"),
            AccessPath::UnityCatalog,
        ),
        (
            "the same role name in another partition",
            role_session(path_role, "databricks", "ASIA1"),
            AccessPath::OtherRole,
        ),
        (
            "the same role name under another path",
            role_session("arn:aws:iam::111122223333:role/storage", "x", "ASIA1"),
            AccessPath::OtherRole,
        ),
        (
            "storage role through a service, without key",
            invoked,
            AccessPath::OtherRole,
        ),
        (
            "storage role with an instance's name",
            role_session(UC_ROLE, INSTANCE, "ASIA1"),
            AccessPath::InstanceProfile,
        ),
        (
            "instance by name",
            role_session(PROFILE_ROLE, INSTANCE, "ASIA1"),
            AccessPath::InstanceProfile,
        ),
        ("user", iam_user("AKIA1"), AccessPath::StaticKey),
        (
            "user with GetSessionToken",
            iam_user("ASIA1"),
            AccessPath::StaticKey,
        ),
        (
            "anonymous",
            anonymous("AWSAccount", "anonymous"),
            AccessPath::Anonymous,
        ),
        (
            "anonymous principal",
            anonymous("Unknown", "ANONYMOUS_PRINCIPAL"),
            AccessPath::Anonymous,
        ),
        (
            "foreign account",
            account("999988887777"),
            AccessPath::OtherRole,
        ),
        (
            "role",
            role_session(APP_ROLE, "x", "ASIA1"),
            AccessPath::OtherRole,
        ),
        ("root", kind("Root"), AccessPath::OtherRole),
        ("federated", kind("FederatedUser"), AccessPath::OtherRole),
        (
            "identity center",
            kind("IdentityCenterUser"),
            AccessPath::OtherRole,
        ),
        ("directory", kind("Directory"), AccessPath::Unknown),
        ("nothing", Principal::default(), AccessPath::Unknown),
    ];
    let index = configured(&[], &[]);
    for (name, principal, expect) in table {
        let answer = Asked::of(principal).answer(&index);
        assert_eq!(answer.access_path, expect, "{name}");
        assert!(answer.unattributed_reason.is_some(), "{name}");
    }
}

#[test]
fn aws_internal_is_a_service_only_with_a_service_as_user_agent() {
    let index = configured(&[], &[]);
    for (ip, agent, expect) in [
        ("AWS Internal", "[s3.amazonaws.com]", AccessPath::AwsService),
        (
            "AWS Internal/3",
            "athena.amazonaws.com",
            AccessPath::AwsService,
        ),
        (
            "AWS Internal",
            "[aws-cli/2.1 x.amazonaws.com]",
            AccessPath::OtherRole,
        ),
        ("10.0.0.1", "s3.amazonaws.com", AccessPath::OtherRole),
    ] {
        let asked = Asked {
            client: Client {
                source_ip: some(ip),
                user_agent: some(agent),
                ..Client::default()
            },
            ..Asked::of(role_session(APP_ROLE, "x", "ASIA1"))
        };
        assert_eq!(asked.answer(&index).access_path, expect, "{ip} {agent}");
    }
}

#[test]
fn each_credential_has_its_kind() {
    let root = |key: &str| Principal {
        access_key_id: some(key),
        ..kind("Root")
    };
    let keyless = Principal {
        access_key_id: None,
        invoked_by: some("athena.amazonaws.com"),
        ..role_session(APP_ROLE, "x", "")
    };
    let anonymous = Principal {
        account_id: some("anonymous"),
        ..kind("AWSAccount")
    };
    for (name, principal, expect) in [
        ("static key", iam_user("AKIA1"), "static"),
        ("session of a user", iam_user("ASIA1"), "temporary"),
        ("user without key", iam_user(""), "unknown"),
        ("role", role_session(APP_ROLE, "x", "ASIA1"), "temporary"),
        (
            "role of an AWS sample",
            role_session(APP_ROLE, "x", "AKIA1"),
            "temporary",
        ),
        ("role through a service", keyless, "service"),
        ("service", ec2_service(), "service"),
        ("root key", root("AKIA1"), "static"),
        ("root session", root("ASIA1"), "temporary"),
        ("root without key", kind("Root"), "unknown"),
        ("anonymous", anonymous, "anonymous"),
        ("foreign account", account("999988887777"), "unknown"),
        ("nothing", Principal::default(), "unknown"),
    ] {
        assert_eq!(credential(&principal).as_str(), expect, "{name}");
    }
}

#[test]
fn a_root_bucket_key_names_the_workspace_only_for_the_platform() {
    let key = "us-west-2-prod/1234567890123456/jobs/x";
    let index = configured(&[], &[]);
    let platform = Asked::of(account(DATABRICKS)).key(key);
    check(
        &platform,
        &index,
        "databricks_platform workspace=1234567890123456:exact [root_bucket_layout] [] platform",
    );
    assert!(attribute_within(&platform.access(), &index).place.is_some());
    let other = Asked::of(role_session(APP_ROLE, "x", "ASIA1")).key(key);
    check(&other, &index, "other_role [] [] no_sts");
    assert!(attribute_within(&other.access(), &index).place.is_none());
    let elsewhere = Asked::of(account(DATABRICKS)).key("us-west-2-prod/0_databricks_dev/x");
    check(&elsewhere, &index, "databricks_platform [] [] platform");
}

#[test]
fn a_missing_user_identity_is_fields_omitted() {
    let index = world(&[], &[]);
    check(
        &Asked::of(Principal::default()),
        &index,
        "unknown [] [] fields_omitted",
    );
}

#[test]
fn a_presigned_read_keeps_the_signers_path_and_names_no_cluster() {
    let launch = ec2(
        "run",
        "RunInstances",
        0,
        &[("Vendor", "Databricks"), ("ClusterId", "c1")],
    );
    let asked = Asked {
        presigned: true,
        ..Asked::of(in_scope(
            role_session(PROFILE_ROLE, INSTANCE, "ASIA1"),
            INSTANCE,
        ))
    };
    check(
        &asked,
        &world(&[], &[launch]),
        "instance_profile i-0c1a23fc456b7ab89 [] [] external",
    );
}
