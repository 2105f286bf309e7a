//! The rendering, on made-up rows: a read by a job cluster, stored and decided
//! again, with what may go wrong in between.

use super::super::cells::Cells;
use super::again::{self, Part};
use super::evidence::{self, Facts};
use super::record::Basis;
use super::{Explanation, json, text};
use crate::identity::{IdentityIndex, attribute, credential};
use crate::lake::s3_access::{DecidedAccess, RowSource};
use crate::model::{
    AccessEvent, Client, DatabricksFacts, Ec2Instance, Operation, Outcome, Principal, StsSession,
    Target, Tls, UtcMicros, Workload,
};
use crate::policy::{AccessFacts, Policy, PolicyFile, PolicySettings};
use expect_test::{Expect, expect};

const ROLE: &str = "arn:aws:iam::111122223333:role/etl";
const INSTANCE: &str = "i-0a1b2c3d4e5f60718";
const LAUNCH: &str = "bbbbbbbb-0000-4000-8000-000000000002";
const ISSUE: &str = "aaaaaaaa-0000-4000-8000-000000000001";

/// Seconds after 2026-11-20T08:00:00Z.
fn at(seconds: i64) -> UtcMicros {
    UtcMicros::from_seconds(1_795_161_600 + seconds)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn facts() -> Facts {
    Facts {
        sessions: vec![StsSession {
            event_id: ISSUE.to_owned(),
            event_name: "AssumeRole".to_owned(),
            issued_at: at(0),
            expires_at: Some(at(21_600)),
            aws_account_id: some("111122223333"),
            aws_region: some("us-west-2"),
            access_key_id: some("ASIAJOBEXAMPLE"),
            role_arn: some(ROLE),
            role_session_name: some(INSTANCE),
            caller: Principal {
                identity_type: some("AWSService"),
                invoked_by: some("ec2.amazonaws.com"),
                ..Principal::default()
            },
            ..StsSession::default()
        }],
        instances: [INSTANCE, "i-0fffffffffffffff0"]
            .map(|instance_id| Ec2Instance {
                instance_id: instance_id.to_owned(),
                event_id: LAUNCH.to_owned(),
                event_name: "RunInstances".to_owned(),
                event_time: at(-30),
                tags: [
                    ("Vendor", "Databricks"),
                    ("ClusterId", "1120-k3x9p2ab"),
                    ("JobId", "77"),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .to_vec(),
                ..Ec2Instance::default()
            })
            .to_vec(),
    }
}

/// A small policy, so that its version does not change with the built-in one.
fn policy() -> Policy {
    let file = PolicyFile {
        name: "own.cedar".to_owned(),
        text: r#"
@id("all")
permit (principal, action, resource);
@id("weak-tls") @severity("medium") @control("CC6.7") @reason("sent with a TLS version below 1.2")
forbid (principal, action, resource) when { context has tls && context.tls == "1.1" };
@id("anonymous")
forbid (principal, action, resource) when { context.access_path == "anonymous" };
"#
        .to_owned(),
    };
    Policy::parse(vec![file], &PolicySettings::default()).unwrap()
}

/// What the lake would hold of the access under these facts.
fn stored(access: &AccessEvent<'_>, facts: Facts) -> Cells {
    let index = IdentityIndex::new(Default::default()).with(facts.sessions, facts.instances);
    let (policy, attribution) = (policy(), attribute(access, &index));
    let credential = credential(access.principal);
    let judgement = policy.judge(&AccessFacts {
        access,
        attribution: &attribution,
        credential,
        dataset: None,
        workload: &Workload::default(),
        settled: false,
    });
    again::row_of(DecidedAccess {
        access: *access,
        credential,
        attribution: &attribution,
        dataset: None,
        verdict: judgement.verdict,
        violations: &judgement.violations,
        policy_version: policy.version(),
        source: &RowSource {
            uri: "file:///trail/a.json.gz".to_owned(),
            etag: some("1f-2a"),
            ingested_at: at(600),
        },
        source_index: 3,
        addendum: None,
        settled: false,
        decided_at: at(600),
    })
    .unwrap()
}

fn with_access<R>(then: impl FnOnce(&AccessEvent<'_>) -> R) -> R {
    let principal = Principal {
        identity_type: some("AssumedRole"),
        arn: some("arn:aws:sts::111122223333:assumed-role/etl/i-0a1b2c3d4e5f60718"),
        account_id: some("111122223333"),
        access_key_id: some("ASIAJOBEXAMPLE"),
        session_issuer_arn: some(ROLE),
        session_name: some(INSTANCE),
        session_issued_at: Some(at(0)),
        ..Principal::default()
    };
    let client = Client {
        source_ip: some("10.0.0.7"),
        user_agent: some("[spark]"),
        tls: Tls {
            version: some("TLSv1.1"),
            plaintext: false,
        },
        auth_method: some("AuthHeader"),
        ..Client::default()
    };
    let target = Target {
        aws_account_id: some("111122223333"),
        aws_region: some("us-west-2"),
        bucket: some("lake"),
        ..Target::default()
    };
    then(&AccessEvent {
        event_id: "cccccccc-0000-4000-8000-000000000003",
        event_time: at(60),
        event_name: "GetObject",
        operation: Operation::Read,
        outcome: Outcome::Ok,
        error_code: None,
        error_message: None,
        object_key: Some("orders/part-0.parquet"),
        list_prefix: None,
        version_id: None,
        copy_source: None,
        bytes_in: Some(0),
        bytes_out: Some(18_400_000),
        sse: Some("SSE_KMS"),
        kms_key_arn: None,
        presigned: false,
        signed_at: None,
        request_id: Some("R1"),
        shared_event_id: None,
        content_id: None,
        principal: &principal,
        client: &client,
        target: &target,
    })
}

/// Explains the access, stored under some facts and decided again under others.
fn explained(then: Facts, now: Facts, basis: Basis) -> Explanation {
    with_access(|access| {
        let row = stored(access, then);
        let evidence = evidence::of(&row, &now, &DatabricksFacts::default());
        let index = IdentityIndex::new(Default::default()).with(now.sessions, now.instances);
        let policy = policy();
        let again = again::decide(&row, access, &index, &policy).unwrap();
        Explanation {
            row,
            basis,
            again,
            evidence,
            considered: Vec::new(),
            at_work: Vec::new(),
            object: None,
            policy_version: policy.version().to_owned(),
            rules: policy.rules(),
            dataset_owner: None,
        }
    })
}

#[track_caller]
fn check(explanation: Explanation, expect: Expect) {
    let version = explanation.policy_version.clone();
    expect.assert_eq(&text::text(&[explanation]).replace(&version, "<version>"));
}

/// One section, with its title.
fn section(explanation: Explanation, title: &str) -> String {
    let text = text::text(&[explanation]);
    let lines = text.lines().skip_while(|line| *line != title);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn an_auditor_reads_who_it_was_on_which_evidence_and_what_forbids_it() {
    check(
        explained(facts(), facts(), Basis::Original),
        expect![[r#"
            Event cccccccc-0000-4000-8000-000000000003
              verdict       out_of_policy  (the rules below forbid it)

            What AWS recorded
              event         GetObject (read), 2026-11-20T08:01:00Z
              on            s3://lake/orders/part-0.parquet
              outcome       ok
              account       111122223333, us-west-2
              principal     AssumedRole, arn:aws:sts::111122223333:assumed-role/etl/i-0a1b2c3d4e5f60718, account
                            111122223333
              role          arn:aws:iam::111122223333:role/etl
              session       i-0a1b2c3d4e5f60718, issued 2026-11-20T08:00:00Z
              credential    temporary, ASIAJOBEXAMPLE
              client        10.0.0.7, [spark]
              transport     TLSv1.1, AuthHeader
              encryption    SSE_KMS
              bytes         0 B in, 17.5 MiB out
              request       R1

            Who it was
              access path   instance_profile: signed with the credentials that EC2 delivered to an instance
              instance      i-0a1b2c3d4e5f60718
              session       exact      issued by STS event aaaaaaaa-0000-4000-8000-000000000001
              workspace     none
              cluster       exact      1120-k3x9p2ab
              job           exact      77
              task          none
              person        none
              no person     late: a source that should hold the fact has not been read up to this event
              to mend it    import Databricks' audit log, system tables (schemas access, compute, lakeflow,
                            query) and SCIM up to this event, for CloudTrail names no person
              standing      provisional: not settled yet

            How that is known
              session: exact
              by M1_access_key: the access key is the one that an STS event issued
              1. 2026-11-20T08:00:00Z  AssumeRole  event aaaaaaaa-0000-4000-8000-000000000001
                 role       arn:aws:iam::111122223333:role/etl, session i-0a1b2c3d4e5f60718
                 issued     key ASIAJOBEXAMPLE, until 2026-11-20T14:00:00Z
                 caller     AWSService, ec2.amazonaws.com
                 account    111122223333, us-west-2
              cluster: exact, workspace: none
              by M3_instance_tags: the instance's tags name the cluster
              2. 2026-11-20T07:59:30Z  RunInstances  event bbbbbbbb-0000-4000-8000-000000000002
                 instance   i-0a1b2c3d4e5f60718
                 tags       Vendor=Databricks, ClusterId=1120-k3x9p2ab, JobId=77
              job: exact, task: none
              by M4_job_tag: the instance's tags name the job of its job cluster

            Whether it was allowed
              dataset       none: no location of the policy's datasets.toml holds it
              verdict       out_of_policy
              policy        <version>
              violates      weak-tls  [medium]  CC6.7
                            sent with a TLS version below 1.2 [tls 1.1]
              not violated  anonymous
              permit rules  all

            Decided again, just now
              from          the original record: the object's bytes still have the hash that was ingested
              record        the same as stored
              attribution   the same as stored
              verdict       the same as stored

            Where it stands
              object        file:///trail/a.json.gz
              record        3
              etag          1f-2a
              sha256        unknown: the object has no row in log_objects
              ingested      2026-11-20T08:10:00Z
              attributed    2026-11-20T08:10:00Z, algorithm version 3
        "#]],
    );
}

#[test]
fn facts_that_came_later_show_as_a_difference() {
    let lines = section(
        explained(Facts::default(), facts(), Basis::Original),
        "Decided again, just now",
    );
    expect![[r#"
        Decided again, just now
          from          the original record: the object's bytes still have the hash that was ingested
          record        the same as stored
          attribution   DIFFERS: facts that came later, or another configuration, change it
            session_event_id
              stored  NULL
              today   aaaaaaaa-0000-4000-8000-000000000001
            session_confidence
              stored  none
              today   exact
            cluster_id
              stored  NULL
              today   1120-k3x9p2ab
            job_id
              stored  NULL
              today   77
            cluster_confidence
              stored  none
              today   exact
            job_confidence
              stored  none
              today   exact
            attribution_methods
              stored  []
              today   [M1_access_key, M3_instance_tags, M4_job_tag]
            attribution_evidence
              stored  []
              today   [aaaaaaaa-0000-4000-8000-000000000001, bbbbbbbb-0000-4000-8000-000000000002]
          verdict       the same as stored
    "#]].assert_eq(&lines);
}

#[test]
fn evidence_that_the_lake_does_not_hold_is_said_to_be_missing() {
    let lines = section(
        explained(
            facts(),
            Facts::default(),
            Basis::Row("the object is gone".to_owned()),
        ),
        "How that is known",
    );
    expect![[r#"
        How that is known
          session: exact
          by M1_access_key: the access key is the one that an STS event issued
          1. event aaaaaaaa-0000-4000-8000-000000000001, which is not in the lake
          cluster: exact, workspace: none
          by M3_instance_tags: the instance's tags name the cluster
          2. event bbbbbbbb-0000-4000-8000-000000000002, which is not in the lake
          job: exact, task: none
          by M4_job_tag: the instance's tags name the job of its job cluster
    "#]]
    .assert_eq(&lines);
}

#[test]
fn an_answer_from_the_row_alone_says_what_the_row_leaves_out() {
    let lines = section(
        explained(
            facts(),
            facts(),
            Basis::Row("the object is gone".to_owned()),
        ),
        "Decided again, just now",
    );
    expect![[r#"
        Decided again, just now
          from          the stored row, because the object is gone. It holds what decisions read of it
          attribution   the same as stored
          verdict       the same as stored
    "#]].assert_eq(&lines);
}

#[test]
fn a_row_that_was_changed_no_longer_says_what_the_record_says() {
    with_access(|access| {
        let row = stored(
            &AccessEvent {
                outcome: Outcome::Denied,
                ..*access
            },
            facts(),
        );
        let facts = facts();
        let index = IdentityIndex::new(Default::default()).with(facts.sessions, facts.instances);
        let again = again::decide(&row, access, &index, &policy()).unwrap();
        let columns: Vec<&str> = again
            .of_part(Part::Record)
            .map(|d| d.column.as_str())
            .collect();
        assert_eq!(columns, ["outcome"]);
    });
}

#[test]
fn the_json_holds_the_row_the_evidence_and_the_comparison() {
    let text = json::json(&[explained(facts(), facts(), Basis::Original)]).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = &value["rows"][0];
    assert_eq!(row["stored"]["cluster_id"], "1120-k3x9p2ab");
    assert_eq!(row["evidence"][0]["sts_sessions"][0]["role_arn"], ROLE);
    assert_eq!(
        row["evidence"][1]["ec2_instances"][0]["instance_id"],
        INSTANCE
    );
    assert_eq!(row["decided_again"]["same_attribution"], true);
    assert_eq!(row["decided_again"]["same_verdict"], true);
    assert_eq!(row["rules"][1]["violated"], true);
    assert_eq!(row["rules"][2]["violated"], false);
}
