//! Instances: which one acted, and what its tags tell.

use super::*;

const VENDOR: (&str, &str) = ("Vendor", "Databricks");
const CLUSTER: (&str, &str) = ("ClusterId", "c1");
const JOB: (&str, &str) = ("JobId", "7");

fn by_scope() -> Asked {
    Asked::of(in_scope(role_session(PROFILE_ROLE, "x", "ASIA1"), INSTANCE))
}

fn by_name() -> Asked {
    Asked::of(role_session(PROFILE_ROLE, INSTANCE, "ASIA1"))
}

fn delivered() -> StsSession {
    issued("sts", PROFILE_ROLE, INSTANCE, "ASIA1", ec2_service())
}

fn launch() -> Ec2Instance {
    ec2("run", "RunInstances", 0, &[VENDOR, CLUSTER, JOB])
}

#[test]
fn an_instance_is_known_by_scope_by_name_or_by_the_delivery_of_its_key() {
    let claims = "cluster=c1:exact job=7:exact i-0c1a23fc456b7ab89";
    let levels = format!("instance_profile {claims} [M3_instance_tags M4_job_tag] [run] late");
    let index = world(&[], &[launch()]);
    check(&by_scope(), &index, &levels);
    // Whoever may assume the role chooses the name: no chain of identifiers.
    let by_name_only = levels.replace(":exact", ":strong");
    check(&by_name(), &index, &by_name_only);
    let bare = Principal {
        access_key_id: some("ASIA1"),
        ..Principal::default()
    };
    check(
        &Asked::of(bare),
        &world(&[delivered()], &[launch()]),
        &format!(
            "instance_profile session=sts:exact {claims} \
             [M1_access_key M3_instance_tags M4_job_tag] [sts run] late"
        ),
    );
}

#[test]
fn an_instances_name_is_not_believed_against_the_sts_record() {
    let forged = issued("sts", PROFILE_ROLE, INSTANCE, "ASIA1", iam_user("AKIA1"));
    check(
        &by_name(),
        &world(&[forged], &[launch()]),
        "other_role session=sts:exact [M1_access_key] [sts] not_databricks",
    );
}

#[test]
fn an_instance_of_another_account_is_not_the_one_that_a_name_claims() {
    let of_account = |account: &str| Ec2Instance {
        aws_account_id: some(account),
        ..launch()
    };
    let with_profile = |account: &str| Ec2Instance {
        instance_profile_arn: Some(format!("arn:aws:iam::{account}:instance-profile/p")),
        ..launch()
    };
    let (own, other) = ("111122223333", "444455556666");
    let believed = by_name().answer(&world(&[], &[launch()]));
    assert_eq!(believed.cluster_id.as_deref(), Some("c1"));
    for instance in [of_account(own), with_profile(own)] {
        assert_eq!(by_name().answer(&world(&[], &[instance])), believed);
    }
    for instance in [of_account(other), with_profile(other)] {
        let index = world(&[], &[instance]);
        check(&by_name(), &index, "other_role [] [] no_sts");
        // Who only calls himself so does not call for sessions as the instance.
        let call = issued("sts2", APP_ROLE, "app", "ASIA2", by_name().principal);
        check(
            &Asked::of(role_session(APP_ROLE, "app", "ASIA2")),
            &index.with(vec![call], Vec::new()),
            "other_role session=sts2:exact [M1_access_key] [sts2] no_sts",
        );
    }
    // Copies of one launch for two accounts: one of them is its own.
    let index = world(&[], &[of_account(other), of_account(own)]);
    assert_eq!(by_name().answer(&index), believed);
}

#[test]
fn a_storage_role_with_an_instances_name_is_vended_only_if_the_key_proves_it() {
    let vended = issued("sts", UC_ROLE, INSTANCE, "ASIA1", account(DATABRICKS));
    let asked = Asked::of(role_session(UC_ROLE, INSTANCE, "ASIA1"));
    check(
        &asked,
        &configured(&[vended], &[]),
        "unity_catalog session=sts:exact [M1_access_key] [sts] late",
    );
    let delivered = issued("sts", UC_ROLE, INSTANCE, "ASIA1", ec2_service());
    check(
        &asked,
        &configured(&[delivered], &[]),
        "instance_profile session=sts:exact i-0c1a23fc456b7ab89 [M1_access_key] [sts] late",
    );
}

#[test]
fn tags_count_while_the_instance_lives() {
    let end = ec2("end", "TerminateInstances", 100, &[]);
    let index = world(&[], &[end, launch()]);
    for (seconds, alive) in [(-1, false), (0, true), (100, true), (101, false)] {
        let answer = by_scope().at(seconds).answer(&index);
        assert_eq!(answer.cluster_id.is_some(), alive, "{seconds}");
        assert_eq!(answer.evidence.is_empty(), !alive, "{seconds}");
    }
}

#[test]
fn a_pool_instance_has_no_cluster_whatever_its_tags_say() {
    let pool = ec2(
        "tag",
        "CreateTags",
        50,
        &[("DatabricksInstancePoolId", "p1")],
    );
    check(
        &by_scope(),
        &world(&[], &[launch(), pool]),
        "instance_profile i-0c1a23fc456b7ab89 [] [] late",
    );
}

#[test]
fn tags_set_after_launch_are_strong_from_then_on() {
    let tag = ec2("tag", "CreateTags", 50, &[CLUSTER, JOB]);
    let index = world(&[], &[tag, ec2("run", "RunInstances", 0, &[VENDOR])]);
    let none = "instance_profile i-0c1a23fc456b7ab89 [] [] late";
    check(&by_scope().at(49), &index, none);
    check(
        &by_scope().at(50),
        &index,
        "instance_profile cluster=c1:strong job=7:strong i-0c1a23fc456b7ab89 \
         [M3_instance_tags M4_job_tag] [run tag] late",
    );
}

#[test]
fn a_cluster_tag_that_changes_counts_by_interval_and_loses_exactness() {
    let tag = ec2("tag", "CreateTags", 50, &[("ClusterId", "c2")]);
    let same = ec2("same", "CreateTags", 20, &[CLUSTER]);
    let index = world(
        &[],
        &[tag, same, ec2("run", "RunInstances", 0, &[VENDOR, CLUSTER])],
    );
    let before = by_scope().at(49).answer(&index);
    assert_eq!(before.cluster_id.as_deref(), Some("c1"));
    assert_eq!(before.cluster_confidence.as_str(), "exact");
    let after = by_scope().at(50).answer(&index);
    assert_eq!(after.cluster_id.as_deref(), Some("c2"));
    assert_eq!(after.cluster_confidence.as_str(), "strong");
}

#[test]
fn two_clusters_at_once_are_ambiguous() {
    let other = ec2("fleet", "CreateFleet", 1, &[("ClusterId", "c2")]);
    check(
        &by_scope(),
        &world(&[], &[launch(), other]),
        "instance_profile cluster=?:ambiguous job=?:ambiguous i-0c1a23fc456b7ab89 \
         [M3_instance_tags M4_job_tag] [run fleet] late",
    );
}

#[test]
fn a_deleted_tag_no_longer_tells() {
    let deleted = |tags: &[(&str, &str)]| {
        let index = world(&[], &[launch(), ec2("del", "DeleteTags", 50, tags)]);
        by_scope().answer(&index).cluster_id.is_none()
    };
    assert!(deleted(&[CLUSTER]));
    assert!(deleted(&[("ClusterId", "")]));
    assert!(deleted(&[VENDOR]));
    assert!(deleted(&[]), "no list deletes all");
    assert!(
        !deleted(&[("ClusterId", "another")]),
        "AWS keeps another value"
    );
    assert!(!deleted(&[("Owner", "")]));
}

#[test]
fn a_tag_set_and_deleted_within_one_second_is_ambiguous() {
    let set = ec2("set", "CreateTags", 50, &[("ClusterId", "c2")]);
    let deleted = ec2("del", "DeleteTags", 50, &[("ClusterId", "")]);
    let run = ec2("run", "RunInstances", 0, &[VENDOR, CLUSTER]);
    check(
        &by_scope(),
        &world(&[], &[set, deleted, run]),
        "instance_profile cluster=?:ambiguous i-0c1a23fc456b7ab89 [M3_instance_tags] \
         [run set] late",
    );
}

#[test]
fn cluster_tags_without_the_vendor_tag_are_anyones() {
    check(
        &by_scope(),
        &world(&[], &[ec2("run", "RunInstances", 0, &[CLUSTER, JOB])]),
        "instance_profile i-0c1a23fc456b7ab89 [] [] not_databricks",
    );
    check(
        &by_scope(),
        &world(&[], &[]),
        "instance_profile i-0c1a23fc456b7ab89 [] [] late",
    );
}

#[test]
fn a_role_that_an_instance_assumed_leads_to_its_cluster() {
    let call = |caller| issued("sts2", APP_ROLE, "app", "ASIA2", caller);
    let asked = Asked::of(role_session(APP_ROLE, "app", "ASIA2"));
    let expect = |evidence: &str| {
        format!(
            "assumed_by_instance session=sts2:exact cluster=c1:exact job=7:exact \
             i-0c1a23fc456b7ab89 [M1_access_key M3_instance_tags M4_job_tag] [{evidence}] late"
        )
    };
    let named = call(by_name().principal);
    check(
        &asked,
        &world(std::slice::from_ref(&named), &[launch()]),
        &expect("sts2 run"),
    );
    let scoped = call(by_scope().principal);
    check(&asked, &world(&[scoped], &[launch()]), &expect("sts2 run"));
    check(
        &asked,
        &world(&[named, delivered()], &[launch()]),
        &expect("sts2 sts run"),
    );
}

#[test]
fn a_chain_of_roles_leads_back_to_the_instance() {
    let middle = issued("m", APP_ROLE, "app", "ASIA2", by_name().principal);
    let last = issued(
        "l",
        UC_ROLE,
        "x",
        "ASIA3",
        role_session(APP_ROLE, "app", "ASIA2"),
    );
    check(
        &Asked::of(role_session(UC_ROLE, "x", "ASIA3")),
        &configured(&[last, delivered(), middle], &[launch()]),
        "assumed_by_instance session=l:exact cluster=c1:exact job=7:exact i-0c1a23fc456b7ab89 \
         [M1_access_key M3_instance_tags M4_job_tag] [l m sts run] late",
    );
}

#[test]
fn a_session_that_outlives_its_instance_names_no_cluster() {
    let call = issued("sts2", APP_ROLE, "app", "ASIA2", by_scope().principal);
    let end = ec2("end", "TerminateInstances", 100, &[]);
    check(
        &Asked::of(role_session(APP_ROLE, "app", "ASIA2")).at(200),
        &world(&[call], &[launch(), end]),
        "assumed_by_instance session=sts2:exact i-0c1a23fc456b7ab89 [M1_access_key] [sts2] late",
    );
}
