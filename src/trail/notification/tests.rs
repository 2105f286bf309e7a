//! What bodies say, shape by shape. The samples follow those of AWS's user guides.

use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

fn render(notices: &[Notice]) -> String {
    let object = |object: &Announced| {
        let mut text = format!("{}/{}", object.bucket, object.key);
        let told = [
            ("version", object.version_id.clone()),
            ("etag", object.etag.clone()),
            ("at", object.event_time.map(|at| at.to_string())),
            ("event", Some(object.event_name.clone())),
            ("by", object.requester.clone()),
        ];
        for (name, value) in told {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                text += &format!(" {name}={value}");
            }
        }
        text
    };
    let lines: Vec<String> = notices
        .iter()
        .map(|notice| match notice {
            Notice::Created(announced) => format!("created {}", object(announced)),
            Notice::Removed(announced) => format!("removed {}", object(announced)),
            Notice::Other(announced) => format!("other {}", object(announced)),
            Notice::Control(control) => format!("control {}", control.as_str()),
            Notice::Unknown(reason) => format!("unknown {reason}"),
        })
        .collect();
    lines.join("\n")
}

#[track_caller]
fn check(body: &str, expect: Expect) {
    expect.assert_eq(&render(&decode(body)));
}

fn s3_record(event_name: &str, key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-west-2",
        "eventTime": "2026-03-27T17:08:37.123Z", "eventName": event_name,
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "s3": {
            "s3SchemaVersion": "1.0", "configurationId": "rule-1",
            "bucket": {"name": "logs", "arn": "arn:aws:s3:::logs"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                       "versionId": "096fKKXTRTtl3on89fVO", "sequencer": "0055AED6DCD90281E5"}
        }
    })
}

fn s3(records: &[Value]) -> String {
    json!({ "Records": records }).to_string()
}

fn sns(message: &str) -> String {
    json!({
        "Type": "Notification", "MessageId": "4e01e115", "TopicArn": "arn:aws:sns:us-east-1:111122223333:t",
        "Message": message, "Timestamp": "2026-03-27T17:08:37.554Z", "SignatureVersion": "1",
    })
    .to_string()
}

fn event_bridge(detail_type: &str, key: &str) -> String {
    json!({
        "version": "0", "detail-type": detail_type, "source": "aws.s3", "account": "111122223333",
        "time": "2026-03-27T17:08:37Z", "region": "ca-central-1",
        "detail": {"version": "0", "bucket": {"name": "logs"},
            "object": {"key": key, "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184",
                       "version-id": "IYV3p45BT0ac8hjHg1houSdS1a"},
            "requester": "cloudtrail.amazonaws.com", "reason": "PutObject"}
    })
    .to_string()
}

fn cloudtrail(keys: Value) -> String {
    json!({"s3Bucket": "logs", "s3ObjectKey": keys}).to_string()
}

#[test]
fn every_record_of_a_message_counts() {
    let records = [
        s3_record("ObjectCreated:Put", "a.json.gz"),
        s3_record("ObjectRemoved:Delete", "b.json.gz"),
        s3_record("ObjectTagging:Put", "c.json.gz"),
    ];
    check(
        &s3(&records),
        expect![[r#"
            created logs/a.json.gz version=096fKKXTRTtl3on89fVO etag=d41d8cd98f00b204e9800998ecf8427e at=2026-03-27T17:08:37.123000Z event=ObjectCreated:Put by=AWS:AIDAEXAMPLE
            removed logs/b.json.gz version=096fKKXTRTtl3on89fVO etag=d41d8cd98f00b204e9800998ecf8427e at=2026-03-27T17:08:37.123000Z event=ObjectRemoved:Delete by=AWS:AIDAEXAMPLE
            other logs/c.json.gz version=096fKKXTRTtl3on89fVO etag=d41d8cd98f00b204e9800998ecf8427e at=2026-03-27T17:08:37.123000Z event=ObjectTagging:Put by=AWS:AIDAEXAMPLE"#]],
    );
}

#[test]
fn an_envelope_of_sns_is_opened_once() {
    let inner = s3(&[s3_record("ObjectCreated:Put", "a")]);
    assert_eq!(decode(&sns(&inner)), decode(&inner));
    check(&sns(&sns(&inner)), expect!["unknown envelope_in_envelope"]);
}

#[test]
fn a_record_of_lambdas_shape_is_opened_too() {
    let inner = s3(&[s3_record("ObjectCreated:Put", "a")]);
    let lambda = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": inner}}]});
    assert_eq!(decode(&lambda.to_string()), decode(&inner));
}

#[test]
fn an_event_of_event_bridge_says_what_happened() {
    check(
        &event_bridge("Object Created", "a b.json.gz"),
        expect![
            "created logs/a b.json.gz version=IYV3p45BT0ac8hjHg1houSdS1a etag=b1946ac92492d2347c6235b4d2611184 at=2026-03-27T17:08:37Z event=Object Created by=cloudtrail.amazonaws.com"
        ],
    );
    check(
        &event_bridge("Object Deleted", "a"),
        expect![
            "removed logs/a version=IYV3p45BT0ac8hjHg1houSdS1a etag=b1946ac92492d2347c6235b4d2611184 at=2026-03-27T17:08:37Z event=Object Deleted by=cloudtrail.amazonaws.com"
        ],
    );
    let short =
        json!({"source": "aws.s3", "detail": {"bucket": {"name": "logs"}, "object": {"key": "a"}}});
    check(
        &short.to_string(),
        expect!["created logs/a event=Object Created"],
    );
    let other =
        json!({"source": "aws.ec2", "detail-type": "AWS API Call via CloudTrail", "detail": {}});
    check(
        &other.to_string(),
        expect!["unknown event_of_another_source"],
    );
}

#[test]
fn cloudtrails_own_message_lists_keys_or_one() {
    check(
        &cloudtrail(json!(["a", "b"])),
        expect![[r#"
            created logs/a
            created logs/b"#]],
    );
    check(&cloudtrail(json!("a")), expect!["created logs/a"]);
    check(&cloudtrail(json!([])), expect!["unknown no_keys"]);
    check(
        &cloudtrail(json!(["a", 1])),
        expect![[r#"
            created logs/a
            unknown key_is_no_text"#]],
    );
}

/// Each writing of a key, in S3's shape, in EventBridge's, in CloudTrail's.
#[test]
fn keys_are_decoded_by_shape() {
    let table = [
        ("my+file", "my file", "my+file"),
        ("my%2Bfile", "my+file", "my%2Bfile"),
        ("a%20b", "a b", "a%20b"),
        ("%C3%A9", "é", "%C3%A9"),
        ("100%25", "100%", "100%25"),
        ("a%2Fb%2fc", "a/b/c", "a%2Fb%2fc"),
        ("../x", "../x", "../x"),
    ];
    let key_of = |body: &str| match decode(body).as_slice() {
        [Notice::Created(object)] => object.key.clone(),
        other => panic!("{body}: {other:?}"),
    };
    for (written, by_s3, raw) in table {
        let record = s3(&[s3_record("ObjectCreated:Put", written)]);
        assert_eq!(key_of(&record), by_s3, "{written} by S3");
        assert_eq!(key_of(&sns(&record)), by_s3, "{written} through SNS");
        assert_eq!(key_of(&event_bridge("Object Created", written)), raw);
        assert_eq!(key_of(&cloudtrail(json!([written]))), raw);
    }
}

#[test]
fn a_key_that_cannot_be_is_unknown() {
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    for written in ["100%", "%zz", "%F", "%FF", "", &long] {
        let notices = decode(&s3(&[s3_record("ObjectCreated:Put", written)]));
        assert_eq!(notices, [Notice::Unknown("bad_key")], "{written}");
    }
    let longest = "k".repeat(KEY_BYTES_MAX);
    let notices = decode(&s3(&[s3_record("ObjectCreated:Put", &longest)]));
    assert!(matches!(notices.as_slice(), [Notice::Created(object)] if object.key == longest));
}

#[test]
fn a_bucket_name_is_no_path() {
    for name in ["", "a/b", "a?b", "..\\x", &"b".repeat(256)] {
        let mut record = s3_record("ObjectCreated:Put", "k");
        record["s3"]["bucket"]["name"] = name.into();
        assert_eq!(
            decode(&s3(&[record])),
            [Notice::Unknown("bad_bucket_name")],
            "{name}"
        );
    }
}

#[test]
fn what_a_record_lacks_is_unknown_and_not_guessed() {
    let mut record = s3_record("ObjectCreated:Put", "a");
    record["s3"]["object"] = json!({"key": "a", "size": null, "versionId": null});
    record.as_object_mut().unwrap().remove("eventName");
    check(
        &s3(&[record]),
        expect!["created logs/a at=2026-03-27T17:08:37.123000Z by=AWS:AIDAEXAMPLE"],
    );
    let mut null_version = s3_record("s3:ObjectCreated:Copy", "a");
    null_version["s3"]["object"]["versionId"] = "null".into();
    check(
        &s3(&[null_version]),
        expect![
            "created logs/a etag=d41d8cd98f00b204e9800998ecf8427e at=2026-03-27T17:08:37.123000Z event=ObjectCreated:Copy by=AWS:AIDAEXAMPLE"
        ],
    );
}

#[test]
fn what_cannot_be_told_is_said_once_for_each_reason() {
    let mut records = vec![json!({}); 1000];
    records.push(s3_record("ObjectCreated:Put", "a"));
    records.push(s3_record("ObjectCreated:Put", "%zz"));
    check(
        &s3(&records),
        expect![[r#"
            unknown record_without_bucket
            created logs/a version=096fKKXTRTtl3on89fVO etag=d41d8cd98f00b204e9800998ecf8427e at=2026-03-27T17:08:37.123000Z event=ObjectCreated:Put by=AWS:AIDAEXAMPLE
            unknown bad_key"#]],
    );
}

#[test]
fn control_messages_are_told_from_everything_else() {
    let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"logs"}"#;
    check(test, expect!["control s3_test_event"]);
    check(&sns(test), expect!["control s3_test_event"]);
    check(
        "CloudTrail validation message.",
        expect!["control cloudtrail_validation"],
    );
    check(
        &sns(" CloudTrail validation message.\n"),
        expect!["control cloudtrail_validation"],
    );
    check(
        r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:t","SubscribeURL":"https://x"}"#,
        expect!["control subscription_confirmation"],
    );
    check(
        r#"{"Type":"UnsubscribeConfirmation"}"#,
        expect!["control unsubscribe_confirmation"],
    );
}

#[test]
fn what_is_none_of_these_is_unknown_with_its_reason() {
    let bodies = [
        ("", "not_json"),
        ("hello", "not_json"),
        ("[]", "not_an_object"),
        ("{}", "unknown_shape"),
        (r#"{"Records":[]}"#, "no_records"),
        (r#"{"Records":{}}"#, "unknown_shape"),
        (r#"{"Records":[{}]}"#, "record_without_bucket"),
        (r#"{"Records":[{"body":"{}"}]}"#, "record_without_bucket"),
        (r#"{"Type":"Other"}"#, "unknown_sns_type"),
        (r#"{"Type":"Notification"}"#, "sns_without_message"),
        (
            r#"{"Records":[{"eventSource":"aws:sqs","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}"#,
            "record_of_another_source",
        ),
    ];
    for (body, reason) in bodies {
        assert_eq!(decode(body), [Notice::Unknown(reason)], "{body}");
    }
}

proptest! {
    #[test]
    fn a_body_always_says_something(body in ".{0,200}") {
        prop_assert!(!decode(&body).is_empty());
    }

    /// S3's writing of a key, made by the rules of a form, is read back as it was.
    #[test]
    fn what_a_form_writes_is_read_back(key in ".{1,60}") {
        let written: String = key
            .bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                b'a'..=b'z' | b'0'..=b'9' | b'/' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        prop_assert_eq!(decode_form_key(&written), Some(key));
    }

    #[test]
    fn damage_to_a_message_never_makes_it_silent(cut in 0_usize..900, byte in any::<u8>()) {
        let mut body = s3(&[s3_record("ObjectCreated:Put", "a%2Fb")]).into_bytes();
        let place = cut % body.len();
        body[place] = byte;
        let body = String::from_utf8_lossy(&body);
        prop_assert!(!decode(&body).is_empty());
    }
}
