//! Decisions that are remembered against decisions made anew, over records of a
//! small world in which sessions, ages, keys and datasets collide.

use super::*;
use crate::identity::{IdentitySettings, attribute};
use crate::model::{DatabricksFacts, ShareQuery};
use crate::policy::{AccessFacts, PolicyFile, PolicySettings};
use crate::trail::log::{Content, ParsedLog};
use crate::trail::{LogReader, Origin};
use proptest::prelude::*;
use serde_json::{Value, json};

const DATABRICKS: &str = "414351767826";
const RULES: &str = r#"
@id("all") permit (principal, action, resource);
@id("old") forbid (principal, action, resource)
when { context has session_age_hours && context.session_age_hours > 1 };
@id("data") forbid (principal, action, resource)
when { resource has dataset && resource.dataset == "raw" };
@id("signed") forbid (principal, action, resource) when { context.presigned };
"#;
const KEY_RULE: &str = r#"
@id("key") forbid (principal, action, resource)
when { resource has key && resource.key like "raw/b*" };
"#;
/// On the time of the event, and on what is settled.
const TIME_RULES: &str = r#"
@id("night") forbid (principal, action, resource) when { context.hour >= 15 };
@id("monday") forbid (principal, action, resource) when { context.weekday == "monday" };
@id("open") forbid (principal is Unattributed, action, resource) when { context.settled };
"#;
const EXCEPTIONS: &str = r#"
[[exception]]
id = "EX-1"
rules = ["data", "old"]
datasets = ["raw"]
owner = "hr@example.com"
reason = "until the move"
expires = 2026-09-21
[[exception]]
id = "EX-2"
rules = ["signed", "data"]
buckets = ["lake"]
owner = "hr@example.com"
reason = "later"
approved = 2026-09-22
expires = 2026-12-31
"#;
const DATASETS: &str = r#"
[[dataset]]
name = "raw"
locations = ["s3://lake/raw/"]
[[dataset]]
name = "lake"
locations = ["s3://lake/"]
"#;

fn policy(rules: &str) -> Arc<Policy> {
    let file = |name: &str, text: &str| PolicyFile {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let files = vec![
        file("a.cedar", rules),
        file("datasets.toml", DATASETS),
        file("exceptions.toml", EXCEPTIONS),
    ];
    Arc::new(Policy::parse(files, &PolicySettings::default()).unwrap())
}

fn iso(seconds: i64) -> String {
    UtcMicros::from_seconds(1_790_000_000 + seconds).to_string()
}

/// What distinguishes one S3 event from another, by small numbers.
type Shape = (u8, u8, u8, u8, i64);

fn s3_event(place: usize, (caller, key, bucket, how, at): Shape) -> Value {
    let role = |account: &str, number: u8, issued: i64| {
        json!({
            "type": "AssumedRole",
            "arn": format!("arn:aws:sts::{account}:assumed-role/etl/i-0a1b2c3d4e5f6071{number}"),
            "accountId": account,
            "accessKeyId": format!("ASIA{number}"),
            "sessionContext": {
                "sessionIssuer": { "type": "Role", "arn": format!("arn:aws:iam::{account}:role/etl") },
                "attributes": { "creationDate": iso(issued) }
            }
        })
    };
    let identity = match caller % 5 {
        number @ 0..3 => role("111122223333", number, i64::from(number) * 1800),
        3 => role(DATABRICKS, 3, 0),
        _ => json!({ "type": "AWSAccount", "accountId": "anonymous" }),
    };
    let keys = ["raw/a/x", "raw/b/x", "other", "1234567890123456.jobs/x", ""];
    let key = keys[key as usize % keys.len()];
    let name = ["GetObject", "PutObject"][how as usize % 2];
    let bucket = ["lake", "elsewhere"][bucket as usize % 2];
    let method = ["AuthHeader", "QueryString"][usize::from(how % 5 == 0)];
    json!({
        "eventVersion": "1.11",
        "eventID": format!("00000000-0000-4000-8000-{place:012}"),
        "eventTime": iso(at),
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "10.0.0.1",
        "errorCode": (how % 7 == 0).then_some("AccessDenied"),
        "userIdentity": identity,
        "requestParameters": { "bucketName": bucket, "key": key },
        "additionalEventData": { "AuthenticationMethod": method },
        "recipientAccountId": "111122223333"
    })
}

fn sts_event(number: u8, at: i64) -> Value {
    json!({
        "eventVersion": "1.11",
        "eventID": format!("10000000-0000-4000-8000-{number:012}"),
        "eventTime": iso(at),
        "eventSource": "sts.amazonaws.com",
        "eventName": "AssumeRole",
        "awsRegion": "eu-central-1",
        "userIdentity": { "type": "AWSService", "invokedBy": "ec2.amazonaws.com" },
        "requestParameters": {
            "roleArn": "arn:aws:iam::111122223333:role/etl",
            "roleSessionName": format!("i-0a1b2c3d4e5f6071{number}")
        },
        "responseElements": { "credentials": {
            "accessKeyId": format!("ASIA{number}"),
            "expiration": iso(at + 3600)
        } },
        "recipientAccountId": "111122223333"
    })
}

fn read(records: &[Value]) -> ParsedLog {
    let raw = json!({ "Records": records }).to_string().into_bytes();
    let origin = Origin {
        source_uri: "file:///trail/a.json.gz",
        account_id: None,
    };
    match LogReader::default().read(&raw, origin) {
        Content::Log(log) => *log,
        _ => panic!("not read as a log"),
    }
}

/// Decides the logs in order, the second as a batch of its own, and each access
/// anew.
fn check(policy: Arc<Policy>, sessions: &[Value], logs: [&[Shape]; 2]) {
    // Some of the accesses are settled.
    let settled_until = UtcMicros::parse_iso("2026-09-21T14:55:00Z").unwrap();
    let mut decider = Decider::new(policy.clone());
    let mut index = IdentityIndex::new(IdentitySettings::default());
    for shapes in logs {
        let events = shapes.iter().enumerate();
        let records: Vec<Value> = events
            .map(|(place, shape)| s3_event(place, *shape))
            .collect();
        let log = read(&records).accesses;
        assert_eq!(log.len(), shapes.len());
        let mut decided = Vec::new();
        decider
            .batch(&index, settled_until)
            .decide(&log, |place, number| decided.push((place, number)));
        assert_eq!(decided.len(), log.len());
        let mut parts = std::collections::HashMap::new();
        for (place, number) in decided {
            let access = log.get(place).unwrap();
            let decision = decider.decision(number).unwrap();
            let attribution = attribute(&access, &index);
            let credential = credential(access.principal);
            let location = access.object_key.or(access.list_prefix);
            let dataset = policy.dataset_of(access.target.bucket.as_deref(), location);
            let at = access.event_time;
            let (workload, _) = index.workload(
                &attribution,
                at,
                policy.interest(),
                &mut Memberships::default(),
            );
            let judgement = policy.judge(&AccessFacts {
                access: &access,
                attribution: &attribution,
                credential,
                dataset,
                workload: &workload,
                settled: at <= settled_until,
            });
            assert_eq!(*decision.attribution, attribution, "{access:?}");
            assert_eq!(decision.credential, credential, "{access:?}");
            assert_eq!(decision.dataset, dataset, "{access:?}");
            assert_eq!(decision.judgement.verdict, judgement.verdict, "{access:?}");
            assert_eq!(decision.judgement.violations, judgement.violations);
            // What a file takes from the parts of the decision alone.
            let Parts {
                principal,
                client,
                target,
                request,
                attribution,
                dataset,
                judgement,
            } = decision.parts;
            let asked = (
                (access.event_name, access.operation, access.outcome),
                (access.sse, access.kms_key_arn, access.presigned),
            );
            for (part, number, told) in [
                ("principal", principal, format!("{:?}", access.principal)),
                ("client", client, format!("{:?}", access.client)),
                ("target", target, format!("{:?}", access.target)),
                ("request", request, format!("{asked:?}")),
                (
                    "attribution",
                    attribution,
                    format!("{:?}", decision.attribution),
                ),
                ("dataset", dataset, format!("{:?}", decision.dataset)),
                (
                    "judgement",
                    judgement,
                    format!("{:?}", decision.judgement.violations),
                ),
            ] {
                let known = parts.entry((part, number)).or_insert_with(|| told.clone());
                assert_eq!(*known, told, "{part}");
            }
        }
        index = index.with(read(sessions).sts_sessions, Vec::new());
    }
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let at = prop_oneof![-10_i64..10, 3590_i64..3610, 0_i64..20_000];
    prop::collection::vec((0_u8..5, 0_u8..5, 0_u8..2, 0_u8..40, at), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_remembered_is_what_would_be_decided_anew(
        first in shapes(),
        second in shapes(),
        sessions in prop::collection::vec((0_u8..3, -5_i64..5000), 0..5),
        reads_keys: bool,
        reads_times: bool,
    ) {
        let keys = if reads_keys { KEY_RULE } else { "" };
        let times = if reads_times { TIME_RULES } else { "" };
        let rules = format!("{RULES}{keys}{times}");
        let sessions: Vec<Value> = sessions
            .into_iter()
            .map(|(number, at)| sts_event(number, at))
            .collect();
        check(policy(&rules), &sessions, [&first, &second]);
    }

    #[test]
    fn the_age_of_a_session_is_the_same_within_its_span(issued: i64, at: i64, other: i64) {
        let principal = Principal {
            session_issued_at: Some(UtcMicros(issued)),
            ..Principal::default()
        };
        let access = |at| AccessEvent {
            event_time: UtcMicros(at),
            principal: &principal,
            ..empty()
        };
        let near = [at, other, issued, at.saturating_add(other % 7_200_000_000)];
        for (at, other) in near.iter().flat_map(|at| near.iter().map(move |other| (*at, *other))) {
            let span = session_age_span(&access(at));
            prop_assert!(span.contains(UtcMicros(at)));
            let same = session_age_hours(&access(at)) == session_age_hours(&access(other));
            prop_assert!(same || !span.contains(UtcMicros(other)));
        }
    }
}

#[test]
fn urls_signed_at_different_times_are_attributed_each_by_its_own() {
    let query = |id: &str, seconds: i64| ShareQuery {
        source_id: id.to_owned(),
        at: UtcMicros::from_seconds(1_790_000_000 + seconds),
        path: Some("s3://lake/raw".to_owned()),
        ..ShareQuery::default()
    };
    let facts = DatabricksFacts {
        share_queries: vec![query("audit:a", 0), query("audit:b", 1000)],
        ..DatabricksFacts::default()
    };
    let index = IdentityIndex::new(IdentitySettings::default()).with_databricks(facts);
    let signed = [
        "20260921T141320Z",
        "20260921T143000Z",
        "",
        "20260921T141321Z",
    ];
    let records: Vec<Value> = (0..8)
        .map(|place| {
            let mut record = s3_event(place, (0, 0, 0, 0, 2000));
            match signed[place % 4] {
                "" => {}
                at => record["requestParameters"]["X-Amz-Date"] = at.into(),
            }
            record
        })
        .collect();
    let log = read(&records).accesses;
    let mut decider = Decider::new(policy(RULES));
    let mut decided = Vec::new();
    decider
        .batch(&index, UtcMicros::MIN)
        .decide(&log, |_, number| decided.push(number));
    let evidence: Vec<Vec<String>> = decided
        .iter()
        .map(|number| {
            decider
                .decision(*number)
                .unwrap()
                .attribution
                .evidence
                .clone()
        })
        .collect();
    let (a, b) = (vec!["audit:a".to_owned()], vec!["audit:b".to_owned()]);
    let of_four = [a.clone(), b, Vec::new(), a];
    assert_eq!(evidence, [of_four.clone(), of_four].concat());
    for (place, number) in decided.iter().enumerate() {
        let anew = attribute(&log.get(place).unwrap(), &index);
        assert_eq!(*decider.decision(*number).unwrap().attribution, anew);
    }
}

fn empty() -> AccessEvent<'static> {
    const PRINCIPAL: &Principal = &Principal {
        identity_type: None,
        principal_id: None,
        arn: None,
        account_id: None,
        user_name: None,
        access_key_id: None,
        invoked_by: None,
        session_issuer_arn: None,
        session_issuer_account_id: None,
        session_name: None,
        session_issued_at: None,
        source_identity: None,
        in_scope_issuer_type: None,
        in_scope_issued_to: None,
        ec2_role_delivery: None,
    };
    const CLIENT: &Client = &Client {
        source_ip: None,
        user_agent: None,
        vpc_endpoint_id: None,
        tls: crate::model::Tls {
            version: None,
            plaintext: false,
        },
        auth_method: None,
    };
    const TARGET: &Target = &Target {
        aws_account_id: None,
        aws_region: None,
        bucket: None,
        bucket_account_id: None,
    };
    AccessEvent {
        content_id: None,
        event_id: "",
        event_time: UtcMicros(0),
        event_name: "GetObject",
        operation: crate::model::Operation::Read,
        outcome: Outcome::Ok,
        error_code: None,
        error_message: None,
        object_key: None,
        list_prefix: None,
        version_id: None,
        copy_source: None,
        bytes_in: None,
        bytes_out: None,
        sse: None,
        kms_key_arn: None,
        presigned: false,
        signed_at: None,
        request_id: None,
        shared_event_id: None,
        principal: PRINCIPAL,
        client: CLIENT,
        target: TARGET,
    }
}
