//! REST answers and SCIM lists.

use super::*;
use crate::model::databricks::{
    Cluster, ClusterAccess, ClusterNode, ExternalLocation, NodeSource, ScimEntry, ScimKind,
    StorageCredential,
};

const CREDENTIALS: &str = "unity-catalog/storage-credentials.json";
const CREDENTIAL: &str = r#"{"id":"8e1c","name":"sales-cred","metastore_id":"m-1","owner":"admins","read_only":false,"created_at":1700000000000,"aws_iam_role":{"role_arn":"arn:aws:iam::111122223333:role/uc-sales","external_id":"23e22ba4"}}"#;

#[test]
fn a_storage_credential_names_its_role_and_external_id() {
    let text = format!(r#"{{"storage_credentials":[{CREDENTIAL}],"next_page_token":""}}"#);
    let (facts, report) = Exports::of(CREDENTIALS, &text).read();
    let source = only(report);
    let expect = StorageCredential {
        id: "8e1c".to_owned(),
        name: "sales-cred".to_owned(),
        metastore_id: some("m-1"),
        role_arn: some("arn:aws:iam::111122223333:role/uc-sales"),
        external_id: some("23e22ba4"),
        created_at: Some(UtcMicros(1_700_000_000_000_000)),
        updated_at: None,
        seen_at: source.snapshot_at.unwrap(),
    };
    assert_eq!(facts.storage_credentials, [expect]);
    assert_eq!((source.bad(), source.warnings.len()), (0, 0));
}

#[test]
fn pages_may_follow_each_other_and_a_missing_one_is_said() {
    let page = |id: &str, token: &str| {
        let entry = CREDENTIAL.replace("8e1c", id);
        format!(r#"{{"storage_credentials":[{entry}],"next_page_token":"{token}"}}"#)
    };
    let whole = format!("{}\n{}", page("a", "more"), page("b", ""));
    let (facts, report) = Exports::of(CREDENTIALS, &whole).read();
    assert_eq!(facts.storage_credentials.len(), 2);
    assert_eq!(only(report).warnings, [""; 0]);
    let (_, report) = Exports::of(CREDENTIALS, &page("a", "more")).read();
    assert!(
        only(report)
            .warnings
            .first()
            .unwrap()
            .contains("page_token")
    );
}

#[test]
fn an_external_location_says_whether_it_falls_back() {
    let text = r#"{"external_locations":[{"name":"sales","url":"s3://lake/sales","credential_name":"sales-cred","credential_id":"8e1c","metastore_id":"m-1","read_only":true,"fallback":true}]}"#;
    let (facts, report) = Exports::of("unity-catalog/external-locations.json", text).read();
    let expect = ExternalLocation {
        name: "sales".to_owned(),
        url: "s3://lake/sales".to_owned(),
        credential_id: some("8e1c"),
        credential_name: some("sales-cred"),
        metastore_id: some("m-1"),
        read_only: true,
        fallback: true,
        created_at: None,
        updated_at: None,
        seen_at: only(report).snapshot_at.unwrap(),
    };
    assert_eq!(facts.external_locations, [expect]);
}

#[test]
fn the_clusters_api_names_the_single_user_and_the_hosts() {
    let text = r#"{"clusters":[{"cluster_id":"c-1","cluster_name":"job-77-run-901-main","cluster_source":"JOB","data_security_mode":"SINGLE_USER","single_user_name":"etl-app-uuid","start_time":1758620000000,"aws_attributes":{"instance_profile_arn":"arn:p"},"driver":{"instance_id":"i-1","node_id":"n1","host_private_ip":"10.0.1.10","private_ip":"10.0.17.2","start_timestamp":1758621000000},"executors":[{"instance_id":"i-2","private_ip":"10.0.17.3"}]}]}"#;
    let (facts, report) = Exports::of("clusters.json", text).read();
    let cluster = Cluster {
        cluster_id: "c-1".to_owned(),
        changed_at: only(report).snapshot_at.unwrap(),
        created_at: Some(UtcMicros(1_758_620_000_000_000)),
        cluster_name: some("job-77-run-901-main"),
        cluster_source: some("JOB"),
        access: ClusterAccess::Dedicated,
        single_user_name: some("etl-app-uuid"),
        instance_profile_arn: some("arn:p"),
        ..Cluster::default()
    };
    let node = |instance: &str, host: Option<&str>, ip: &str, start: i64| ClusterNode {
        workspace_id: None,
        cluster_id: "c-1".to_owned(),
        instance_id: instance.to_owned(),
        start: UtcMicros(start),
        end: None,
        host_private_ip: host.map(str::to_owned),
        private_ip: some(ip),
        source: NodeSource::ClustersApi,
    };
    assert_eq!(facts.clusters, [cluster]);
    assert_eq!(
        facts.nodes,
        [
            node("i-1", Some("10.0.1.10"), "10.0.17.2", 1_758_621_000_000_000),
            node("i-2", None, "10.0.17.3", 1_758_620_000_000_000),
        ]
    );
}

#[test]
fn users_service_principals_and_groups_keep_their_ids_and_direct_members() {
    let exports = Exports::of(
        "scim/users.json",
        r#"{"totalResults":1,"Resources":[{"id":"4401","userName":"a@example.com","displayName":"A","active":false}]}"#,
    );
    exports.put(
        "scim/service-principals.json",
        br#"{"Resources":[{"id":7013,"applicationId":"6f9d","displayName":"etl","active":true}]}"#,
    );
    exports.put(
        "scim/groups.json.gz",
        &gzip(br#"{"Resources":[{"id":"7012","displayName":"etl","members":[{"value":"7014","$ref":"Groups/7014"},{"value":"4401","display":"a@example.com"}]}]}"#),
    );
    let facts = exports.facts();
    let found: Vec<_> = facts
        .scim
        .iter()
        .map(|entry| {
            let ScimEntry {
                kind,
                id,
                name,
                members,
                active,
                ..
            } = entry;
            (
                *kind,
                id.as_str(),
                name.as_deref(),
                *active,
                members.join(","),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                ScimKind::User,
                "4401",
                Some("a@example.com"),
                Some(false),
                String::new()
            ),
            (
                ScimKind::ServicePrincipal,
                "7013",
                Some("6f9d"),
                Some(true),
                String::new()
            ),
            (ScimKind::Group, "7012", None, None, "4401,7014".to_owned()),
        ]
    );
}

#[test]
fn a_scim_list_that_lacks_entries_says_so() {
    let text = r#"{"totalResults":500,"Resources":[{"id":"1","userName":"a"}]}"#;
    let (_, report) = Exports::of("scim/users.json", text).read();
    assert!(only(report).warnings.first().unwrap().contains("1 of 500"));
}

#[test]
fn an_empty_list_is_known_to_be_empty() {
    let (facts, report) = Exports::of("scim/groups.json", r#"{"Resources":[]}"#).read();
    assert_eq!(only(report).bad(), 0);
    assert_eq!(facts.watermarks.len(), 1);
}

#[test]
fn a_bad_entry_is_named_and_the_others_are_used() {
    let text = r#"{"Resources":[{"id":"1","userName":"a"}, 7, {"userName":"b"}, {"id":"3","userName":"c"}]}"#;
    let (facts, report) = Exports::of("scim/users.json", text).read();
    let faults: Vec<String> = only(report)
        .faults
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(facts.scim.len(), 2);
    assert_eq!(
        faults,
        [
            "scim/users.json entry 2: no JSON object",
            "scim/users.json entry 3: `id` is missing",
        ]
    );
}

#[test]
fn an_answer_that_breaks_off_is_used_up_to_there() {
    let text = r#"{"Resources":[{"id":"1","userName":"a"},{"id":"2","#;
    let (facts, report) = Exports::of("scim/users.json", text).read();
    let source = only(report);
    assert_eq!((facts.scim.len(), source.bad_files), (1, 1));
    assert!(!source.is_unreadable());
}

#[test]
fn what_is_no_answer_cannot_be_read_at_all() {
    for text in ["", "{}", "<html>", r#"{"error_code":"PERMISSION_DENIED"}"#] {
        let (facts, report) = Exports::of("scim/users.json", text).read();
        assert!(only(report).is_unreadable(), "{text}");
        assert_eq!(facts.watermarks, [], "{text}");
    }
}
