//! Links to STS events: vends, chains, copies.

use super::*;

/// What the role owner's copy of a vend shows.
fn vend(event_id: &str, key: &str) -> StsSession {
    issued(event_id, UC_ROLE, "databricks", key, account(DATABRICKS))
}

fn uc(key: &str) -> Asked {
    Asked::of(role_session(UC_ROLE, "databricks", key))
}

#[test]
fn a_key_that_databricks_called_for_is_unity_catalog_without_any_setting() {
    check(
        &uc("ASIA1"),
        &world(&[vend("sts", "ASIA1")], &[]),
        "unity_catalog session=sts:exact [M1_access_key] [sts] late",
    );
}

#[test]
fn a_key_counts_from_two_seconds_before_issue_to_a_minute_after_expiry() {
    let index = world(&[vend("sts", "ASIA1")], &[]);
    let keyed_only = Principal {
        session_issued_at: None,
        ..uc("ASIA1").principal
    };
    for (seconds, alive) in [(-3, false), (-2, true), (3660, true), (3661, false)] {
        let session = index.session_of(&keyed_only, at(seconds));
        assert_eq!(session.is_some(), alive, "{seconds}");
    }
}

#[test]
fn a_session_without_expiration_counts_for_36_hours() {
    let mut session = vend("sts", "ASIA1");
    session.expires_at = None;
    let index = world(&[session], &[]);
    let of = |seconds| {
        index
            .session_of(&uc("ASIA1").principal, at(seconds))
            .is_some()
    };
    assert!(of(36 * 3600 + 60));
    assert!(!of(36 * 3600 + 61));
}

#[test]
fn a_missing_sts_event_is_late_until_it_would_be_known() {
    let other = Asked::of(role_session(APP_ROLE, "app", "ASIA1"));
    let uc = Asked::of(role_session(UC_ROLE, "x", "ASIA1"));
    let unrecorded = role_session(PROFILE_ROLE, "x", "ASIA0");
    let chained = issued("sts", APP_ROLE, "app", "ASIA1", unrecorded);
    for (asked, sessions) in [(&other, vec![]), (&uc, vec![]), (&other, vec![chained])] {
        let index = configured(&sessions, &[]);
        for (until, reason) in [(59, "late"), (60, "no_sts"), (61, "no_sts")] {
            let index = index.clone().with_sts_until(at(until));
            let answer = asked.answer(&index);
            let reason_found = answer.unattributed_reason.map(|reason| reason.as_str());
            assert_eq!(reason_found, Some(reason), "{until}");
            // And for exactly the times that it says.
            let span = attribute_within(&asked.access(), &index).span;
            assert_eq!(span.contains(at(until)), reason == "no_sts", "{until}");
            assert_eq!(span.contains(at(until + 1)), reason == "late", "{until}");
        }
    }
    // What does not rest on an absence waits for nothing.
    let user = Asked::of(iam_user("AKIA1"));
    let index = world(&[], &[]).with_sts_until(at(0));
    check(&user, &index, "static_key [] [] not_databricks");
}

#[test]
fn without_its_assume_role_a_storage_role_is_unity_catalog_with_no_sts() {
    check(
        &uc("ASIA1"),
        &configured(&[], &[]),
        "unity_catalog [] [] no_sts",
    );
}

#[test]
fn a_foreign_caller_of_a_storage_role_is_not_unity_catalog() {
    let session = issued(
        "sts",
        UC_ROLE,
        "databricks",
        "ASIA1",
        account("999988887777"),
    );
    check(
        &uc("ASIA1"),
        &configured(&[session], &[]),
        "other_role session=sts:exact [M1_access_key] [sts] external",
    );
}

#[test]
fn a_local_admin_in_a_storage_role_is_not_unity_catalog() {
    let session = issued("sts", UC_ROLE, "databricks", "ASIA1", iam_user("AKIA1"));
    check(
        &uc("ASIA1"),
        &configured(&[session], &[]),
        "other_role session=sts:exact [M1_access_key] [sts] not_databricks",
    );
}

#[test]
fn a_session_for_log_delivery_is_the_platform() {
    let session = issued("sts", LOG_ROLE, "x", "ASIA1", account(DATABRICKS));
    let asked = Asked::of(role_session(LOG_ROLE, "x", "ASIA1"));
    check(
        &asked,
        &configured(&[session], &[]),
        "databricks_platform session=sts:exact [M1_access_key] [sts] platform",
    );
}

#[test]
fn a_self_assumed_session_of_a_vended_one_is_unity_catalog() {
    let own = role_session(UC_ROLE, "databricks", "ASIA1");
    let second = issued("sts2", UC_ROLE, "databricks", "ASIA2", own);
    check(
        &uc("ASIA2"),
        &world(&[second.clone(), vend("sts1", "ASIA1")], &[]),
        "unity_catalog session=sts2:exact [M1_access_key] [sts2 sts1] late",
    );
    // Without the first record only the setting tells that the role is one.
    check(
        &uc("ASIA2"),
        &world(std::slice::from_ref(&second), &[]),
        "other_role session=sts2:exact [M1_access_key] [sts2] no_sts",
    );
    check(
        &uc("ASIA2"),
        &configured(&[second], &[]),
        "unity_catalog session=sts2:exact [M1_access_key] [sts2] late",
    );
}

#[test]
fn a_self_assumed_session_of_an_admins_is_not_unity_catalog() {
    let first = issued("sts1", UC_ROLE, "x", "ASIA1", iam_user("AKIA1"));
    let second = issued(
        "sts2",
        UC_ROLE,
        "databricks",
        "ASIA2",
        role_session(UC_ROLE, "x", "ASIA1"),
    );
    check(
        &uc("ASIA2"),
        &configured(&[first, second], &[]),
        "other_role session=sts2:exact [M1_access_key] [sts2 sts1] not_databricks",
    );
}

#[test]
fn another_role_assumed_with_a_vended_session_is_no_path_of_ours() {
    let own = role_session(UC_ROLE, "databricks", "ASIA1");
    let second = issued("sts2", APP_ROLE, "x", "ASIA2", own);
    check(
        &Asked::of(role_session(APP_ROLE, "x", "ASIA2")),
        &configured(&[vend("sts1", "ASIA1"), second], &[]),
        "other_role session=sts2:exact [M1_access_key] [sts2 sts1] path_unsupported",
    );
}

#[test]
fn an_assume_role_without_a_key_is_found_by_role_name_and_creation() {
    let keyless = |event_id: &str, seconds: i64| StsSession {
        access_key_id: None,
        assumed_role_id: None,
        issued_at: at(seconds),
        ..vend(event_id, "")
    };
    check(
        &uc("ASIA1"),
        &world(&[keyless("sts", 2), keyless("later", 3)], &[]),
        "unity_catalog session=sts:strong [M2_session_creation] [sts] late",
    );
    check(
        &uc("ASIA1"),
        &configured(
            &[keyless("b", 1), keyless("a", -2), keyless("later", 3)],
            &[],
        ),
        "unity_catalog session=?:ambiguous [M2_session_creation] [a b] late",
    );
}

#[test]
fn creation_never_joins_a_call_through_a_service_another_key_or_a_namesake_role() {
    let none = "unity_catalog [] [] no_sts";
    let mut keyless = vend("sts", "");
    keyless.access_key_id = None;
    let invoked = Principal {
        invoked_by: some("athena.amazonaws.com"),
        ..uc("ASIA1").principal
    };
    check(
        &Asked::of(invoked),
        &configured(&[keyless.clone()], &[]),
        none,
    );
    check(
        &uc("ASIA1"),
        &configured(&[vend("sts", "ASIA2")], &[]),
        none,
    );
    // The role was deleted and created again: same ARN, other id.
    keyless.assumed_role_id = some("AROAOTHER:databricks");
    check(&uc("ASIA1"), &configured(&[keyless], &[]), none);
}

#[test]
fn a_refused_assume_role_issued_nothing() {
    let mut refused = vend("sts", "ASIA1");
    refused.error_code = some("AccessDenied");
    let index = configured(&[refused], &[]);
    assert_eq!(index.sessions(), 0);
    check(&uc("ASIA1"), &index, "unity_catalog [] [] no_sts");
}

#[test]
fn the_two_copies_of_a_call_are_one_session_and_the_callers_copy_tells_more() {
    let master = "arn:aws:iam::414351767826:role/unity-catalog-prod-UCMasterRole-14S5ZJVKOTYTL";
    let mut owners = vend("owner", "ASIA1");
    let mut callers = issued(
        "caller",
        UC_ROLE,
        "databricks",
        "ASIA1",
        role_session(master, "uc", "ASIA0"),
    );
    owners.shared_event_id = some("shared");
    callers.shared_event_id = some("shared");
    let expect = "unity_catalog session=caller:exact [M1_access_key] [caller] late";
    for copies in [
        [owners.clone(), callers.clone()],
        [callers.clone(), owners.clone()],
    ] {
        let index = world(&copies, &[]);
        assert_eq!(index.sessions(), 1);
        check(&uc("ASIA1"), &index, expect);
    }
    // The richer copy speaks even if only the other one shows the key.
    callers.access_key_id = None;
    check(&uc("ASIA1"), &world(&[callers, owners], &[]), expect);
}

#[test]
fn a_record_delivered_again_is_the_same_session() {
    let moved = StsSession {
        source_uri: "s3://second/trail".to_owned(),
        ..vend("sts", "ASIA1")
    };
    let renamed = StsSession {
        event_id: "sts-again".to_owned(),
        ..vend("sts", "ASIA1")
    };
    let index = world(
        &[vend("sts", "ASIA1"), moved, vend("sts", "ASIA1"), renamed],
        &[],
    );
    assert_eq!(index.sessions(), 1);
    check(
        &uc("ASIA1"),
        &index,
        "unity_catalog session=sts:exact [M1_access_key] [sts] late",
    );
}

#[test]
fn of_two_places_of_one_record_the_first_by_name_is_kept() {
    let place = |source_uri: &str| StsSession {
        source_uri: source_uri.to_owned(),
        ..vend("sts", "ASIA1")
    };
    for places in [["s3://a", "s3://b"], ["s3://b", "s3://a"]] {
        let index = world(&places.map(place), &[]);
        let session = index.session_of(&uc("ASIA1").principal, at(0));
        assert_eq!(session.map(|s| s.source_uri), some("s3://a"));
    }
}

#[test]
fn a_caller_left_out_speaks_neither_for_nor_against_a_storage_role() {
    let untold = issued("sts", UC_ROLE, "databricks", "ASIA1", Principal::default());
    let facts = [untold];
    check(
        &uc("ASIA1"),
        &configured(&facts, &[]),
        "unity_catalog session=sts:exact [M1_access_key] [sts] late",
    );
    check(
        &uc("ASIA1"),
        &world(&facts, &[]),
        "other_role session=sts:exact [M1_access_key] [sts] fields_omitted",
    );
}

#[test]
fn a_key_that_two_calls_issued_proves_neither() {
    let other = issued("b", APP_ROLE, "x", "ASIA1", iam_user("AKIA1"));
    let index = world(&[vend("a", "ASIA1"), other], &[]);
    check(
        &uc("ASIA1"),
        &index,
        "other_role session=?:ambiguous [M1_access_key] [a b] no_sts",
    );
    assert_eq!(index.session_of(&uc("ASIA1").principal, at(0)), None);
}

#[test]
fn two_sessions_that_call_for_each_other_come_to_an_end() {
    let a = issued(
        "a",
        APP_ROLE,
        "x",
        "ASIA1",
        role_session(APP_ROLE, "x", "ASIA2"),
    );
    let b = issued(
        "b",
        APP_ROLE,
        "x",
        "ASIA2",
        role_session(APP_ROLE, "x", "ASIA1"),
    );
    let asked = Asked::of(role_session(APP_ROLE, "x", "ASIA1"));
    let answer = asked.answer(&configured(&[a, b], &[]));
    assert_eq!(answer.access_path.as_str(), "other_role");
    assert_eq!(answer.evidence, ["a", "b"]);
}

#[test]
fn a_foreign_account_is_external_and_a_role_without_key_is_fields_omitted() {
    let index = world(&[], &[]);
    check(
        &Asked::of(account("999988887777")),
        &index,
        "other_role [] [] external",
    );
    let keyless = Principal {
        access_key_id: None,
        invoked_by: some("athena.amazonaws.com"),
        ..role_session(APP_ROLE, "x", "")
    };
    check(
        &Asked::of(keyless),
        &index,
        "other_role [] [] fields_omitted",
    );
    check(
        &Asked::of(iam_user("AKIA1")),
        &index,
        "static_key [] [] not_databricks",
    );
}

#[test]
fn dropping_old_sessions_keeps_those_that_living_ones_stand_on() {
    let mut child = issued(
        "child",
        APP_ROLE,
        "x",
        "ASIA2",
        role_session(PROFILE_ROLE, "y", "ASIA1"),
    );
    (child.issued_at, child.expires_at) = (at(3600), Some(at(7200)));
    let parent = issued("parent", PROFILE_ROLE, INSTANCE, "ASIA1", ec2_service());
    let unrelated = issued("other", APP_ROLE, "z", "ASIA3", iam_user("AKIA1"));
    let index = world(&[child, parent, unrelated], &[]);
    let asked = Asked::of(role_session(APP_ROLE, "x", "ASIA2")).at(7000);
    let expect = "assumed_by_instance session=child:exact i-0c1a23fc456b7ab89 \
                  [M1_access_key] [child parent] late";
    check(&asked, &index, expect);
    let rest = index.without_older_than(at(7000));
    assert_eq!(rest.sessions(), 2);
    check(&asked, &rest, expect);
    assert_eq!(rest.without_older_than(at(7261)).sessions(), 0);
}
