//! The fast record reader against its slow twin, and against hostile bytes.

use super::twin::{self, Twin, TwinAccess};
use bricktrail::trail::log::{Content, Cut, LogReader, Origin, ParsedLog, Unrecognised};
use proptest::prelude::*;
use serde_json::{Value, json};

const URI: &str = "file:///trail/object.json.gz";
const KEY_ACCOUNT: &str = "999988887777";

/// Objects above this size are parsed in slices.
const SLICED_ABOVE: usize = 8 * 1024 * 1024;

fn read(raw: &[u8], cut: Cut) -> Content {
    let origin = Origin {
        source_uri: URI,
        account_id: Some(KEY_ACCOUNT),
    };
    let mut buffer = raw.to_vec();
    LogReader::default().read(&mut buffer, origin, cut)
}

#[track_caller]
fn log(raw: &[u8], cut: Cut) -> ParsedLog {
    match read(raw, cut) {
        Content::Log(log) => *log,
        Content::Digest => panic!("taken for a digest"),
        Content::Unrecognised(why) => panic!("unrecognised: {}", why.as_str()),
    }
}

fn wrap(records: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}

/// Accesses by place, counts, rejects by place.
type LogContent = (Vec<(u32, TwinAccess)>, [u64; 4], Vec<(u32, &'static str)>);

/// What a log holds, in a form that can be compared: the accesses with their
/// places, and every count.
fn content(log: &ParsedLog) -> LogContent {
    let accesses = (0..log.accesses.len())
        .map(|i| {
            let access = log.accesses.get(i).unwrap();
            (
                log.accesses.source_index(i).unwrap(),
                TwinAccess::of(&access),
            )
        })
        .collect();
    let counts = [log.records, log.not_s3, log.bad, log.event_ids_made];
    let rejects = log
        .rejects
        .iter()
        .map(|r| (r.record_index, r.reason.as_str()))
        .collect();
    (accesses, counts, rejects)
}

#[track_caller]
fn check_adds_up(log: &ParsedLog) {
    let accounted = log.accesses.len() as u64 + log.not_s3 + log.bad;
    assert_eq!(log.records, accounted, "records do not add up");
}

/// Reads the records both ways and compares each field of each access.
fn compare_with_twin(records: &[Value], raw: &[u8], cut: Cut) -> Result<(), String> {
    let Content::Log(log) = read(raw, cut) else {
        return Err("not taken for a log".to_owned());
    };
    let (mut place, mut not_s3, mut bad, mut made) = (0, 0, 0, 0);
    for (index, record) in records.iter().enumerate() {
        let fault = |what: String| Err(format!("record {index}: {what}\n{record:#}"));
        match twin::read(record, Some(KEY_ACCOUNT)) {
            Twin::NotS3 => not_s3 += 1,
            Twin::Bad => {
                let listed = log
                    .rejects
                    .get(bad as usize)
                    .map(|reject| reject.record_index);
                if bad < 100 && listed != Some(index as u32) {
                    return fault("not rejected".to_owned());
                }
                bad += 1;
            }
            Twin::Access(mut expected) => {
                let Some(fast) = log.accesses.get(place) else {
                    return fault("no access".to_owned());
                };
                if log.accesses.source_index(place) != Some(index as u32) {
                    return fault(format!(
                        "its place is {:?}",
                        log.accesses.source_index(place)
                    ));
                }
                if expected.event_id.is_none() {
                    made += 1;
                    let digits = fast.event_id.strip_prefix("sha256:").unwrap_or_default();
                    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                    if digits.len() != 32 || !digits.chars().all(hex) {
                        return fault(format!("made id `{}`", fast.event_id));
                    }
                    expected.event_id = Some(fast.event_id.to_owned());
                }
                let fast = TwinAccess::of(&fast);
                if fast != *expected {
                    return fault(difference(&fast, &expected));
                }
                place += 1;
            }
        }
    }
    let counted = (place as u64, not_s3, bad, made);
    let found = (
        log.accesses.len() as u64,
        log.not_s3,
        log.bad,
        log.event_ids_made,
    );
    if counted != found || log.records != records.len() as u64 {
        return Err(format!(
            "accesses, not S3, bad, ids made: {found:?}, by the twin {counted:?}"
        ));
    }
    Ok(())
}

/// The lines in which two accesses differ.
fn difference(fast: &TwinAccess, twin: &TwinAccess) -> String {
    let (fast, twin) = (format!("{fast:#?}"), format!("{twin:#?}"));
    let only = |these: &str, those: &str| {
        let lines = these
            .lines()
            .filter(|line| !those.lines().any(|other| other == *line));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    };
    format!(
        "fast reader: {}; twin: {}",
        only(&fast, &twin),
        only(&twin, &fast)
    )
}

#[track_caller]
fn check_against_twin(records: &[Value], raw: &[u8], cut: Cut) {
    if let Err(fault) = compare_with_twin(records, raw, cut) {
        panic!("{cut:?}: {fault}");
    }
}

/// A sound record of an S3 event.
fn sound(n: u64) -> Value {
    json!({
        "eventVersion": "1.11", "eventTime": "2026-03-27T17:08:37Z", "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject", "awsRegion": "us-west-2", "sourceIPAddress": "10.0.0.7",
        "userIdentity": {"type": "AssumedRole", "principalId": "AROAEXAMPLE:uc-1", "accountId": "111122223333",
            "arn": "arn:aws:sts::111122223333:assumed-role/uc/uc-1", "accessKeyId": "ASIAEXAMPLE"},
        "requestParameters": {"bucketName": "lake", "key": format!("t/{n}.parquet")},
        "additionalEventData": {"bytesTransferredOut": n, "CipherSuite": "ECDHE-RSA-AES128-GCM-SHA256"},
        "eventID": format!("00000000-0000-4000-8000-{n:012x}"), "eventCategory": "Data",
        "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
    })
}

fn sound_with(pointer: &str, value: Value) -> Value {
    let mut record = sound(1);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    record.pointer_mut(parent).unwrap()[name] = value;
    record
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_reader_sees_what_the_twin_sees(records in prop::collection::vec(twin::record(), 1..5)) {
        for cut in [Cut::Coarse, Cut::ByRecord] {
            if let Err(fault) = compare_with_twin(&records, &wrap(&records), cut) {
                prop_assert!(false, "{cut:?}: {fault}");
            }
        }
    }
}

#[test]
fn nasty_records_are_read_as_the_twin_reads_them() {
    let mut records = vec![
        json!(null),
        json!(7),
        json!("a record"),
        json!([]),
        json!([sound(1)]),
        json!({}),
        json!({"Records": [sound(1)]}),
        json!({"eventSource": "s3.amazonaws.com"}),
        json!({"eventSource": "s3.amazonaws.com", "eventTime": "2026-03-27T17:08:37Z"}),
        json!({"eventSource": "iam.amazonaws.com"}),
        json!({"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole"}),
        json!({"eventSource": "ec2.amazonaws.com", "eventName": "RunInstances"}),
        json!({"eventSource": "ec2.amazonaws.com", "eventName": "RunInstances", "errorCode": "Client.Nope"}),
        json!({"eventSource": ["s3.amazonaws.com"], "eventTime": "2026-03-27T17:08:37Z"}),
        sound_with("/eventSource", json!("S3.amazonaws.com")),
        sound_with("/eventSource", json!("s3.amazonaws.com.evil.example")),
        sound_with("/eventVersion", json!("2.0")),
        sound_with("/eventVersion", json!("10.1")),
        sound_with("/eventVersion", json!("...")),
        sound_with("/eventVersion", json!(1.11)),
        sound_with("/eventTime", json!(1_774_630_117)),
        sound_with("/eventTime", json!("2026-03-27 17:08:37")),
        sound_with("/eventTime", json!("2026-03-27T17:08:37+02:00")),
        sound_with("/eventTime", json!("20260327T170837Z")),
        sound_with("/eventTime", json!("0000-00-00T00:00:00Z")),
        sound_with("/eventID", Value::Null),
        sound_with("/eventID", json!("")),
        sound_with("/eventID", json!("...")),
        sound_with("/eventName", Value::Null),
        sound_with("/eventName", json!("POST Object")),
        sound_with("/eventCategory", json!("Insight")),
        sound_with("/eventCategory", json!("Aggregated")),
        sound_with("/eventCategory", json!("NetworkActivity")),
        sound_with("/userIdentity", json!("root")),
        sound_with("/userIdentity", json!([])),
        sound_with("/userIdentity/principalId", json!(":")),
        sound_with(
            "/userIdentity/arn",
            json!("arn:aws:sts::1:assumed-role/only-role"),
        ),
        sound_with("/userIdentity/arn", json!("arn:aws:sts::1:assumed-role/r/")),
        sound_with("/userIdentity/arn", json!("arn")),
        sound_with("/requestParameters", json!("bucketName=lake")),
        sound_with("/requestParameters", json!([{"bucketName": "lake"}])),
        sound_with(
            "/requestParameters/key",
            json!("\u{0}\"\\\n\u{1f600}\u{feff}"),
        ),
        sound_with("/requestParameters/key", json!("a".repeat(1_000_000))),
        sound_with("/requestParameters/key", json!({"key": "k"})),
        sound_with("/requestParameters/key", json!(["a", "b"])),
        sound_with("/requestParameters/key", json!([[["a"]]])),
        sound_with("/additionalEventData", json!(null)),
        sound_with("/additionalEventData/bytesTransferredOut", json!(-1)),
        sound_with("/additionalEventData/bytesTransferredOut", json!(u64::MAX)),
        sound_with(
            "/additionalEventData/bytesTransferredOut",
            json!(9_007_199_254_740_993_i64),
        ),
        sound_with("/additionalEventData/bytesTransferredOut", json!(1e300)),
        sound_with("/additionalEventData/bytesTransferredOut", json!("1e3")),
        sound_with("/resources", json!({"ARN": "arn:aws:s3:::lake/k"})),
        sound_with("/resources", json!([null, 1, "x", [], {}])),
    ];
    // Deep, but within what serde_json reads.
    let deep = (0..100).fold(json!(1), |inner, n| {
        if n % 2 == 0 {
            json!([inner])
        } else {
            json!({ "a": inner })
        }
    });
    records.push(sound_with("/requestParameters/key", deep));
    for cut in [Cut::Coarse, Cut::ByRecord] {
        for record in &records {
            check_against_twin(
                std::slice::from_ref(record),
                &wrap(std::slice::from_ref(record)),
                cut,
            );
        }
        check_against_twin(&records, &wrap(&records), cut);
    }
}

/// A record cannot be compared as text; these spellings are what JSON allows.
#[test]
fn spelling_of_the_json_changes_nothing() {
    let records: Vec<Value> = (0..5).map(sound).collect();
    let pretty = serde_json::to_string_pretty(&json!({ "Records": records })).unwrap();
    let array = serde_json::to_string(&records).unwrap();
    let escaped: String = String::from_utf8(wrap(&records))
        .unwrap()
        .replace("eventName", "\\u0065vent\\u004eame")
        .replace("lake", "\\u006C\\u0061ke")
        .replace("/", "\\/");
    let other_members =
        format!("{{\"a\":[{{\"Records\":[1]}}],\"Records\":{array},\"z\":\"]}}\"}}\r\n\t ");
    for text in [
        pretty,
        array.clone(),
        escaped,
        other_members,
        format!("\u{feff}{{\"Records\":{array}}}"),
    ] {
        check_against_twin(&records, text.as_bytes(), Cut::Coarse);
        check_against_twin(&records, text.as_bytes(), Cut::ByRecord);
    }
}

#[test]
fn the_last_of_repeated_members_counts() {
    let record = r#"{"eventSource":"iam.amazonaws.com","eventTime":"x","eventID":"a","requestParameters":{"key":"a"},
        "eventSource":"s3.amazonaws.com","eventTime":"2026-03-27T17:08:37Z","eventID":"b","requestParameters":{"key":"b"}}"#;
    let value: Value = serde_json::from_str(record).unwrap();
    check_against_twin(
        &[value],
        format!("{{\"Records\":[{record}]}}").as_bytes(),
        Cut::Coarse,
    );
}

#[test]
fn a_made_id_depends_on_the_content_alone() {
    let mut record = sound(1);
    record.as_object_mut().unwrap().remove("eventID");
    let id_of = |raw: &[u8]| {
        log(raw, Cut::Coarse)
            .accesses
            .get(0)
            .unwrap()
            .event_id
            .to_owned()
    };
    let id = id_of(&wrap(&[record.clone()]));
    let pretty = serde_json::to_vec_pretty(&json!({ "Records": [record] })).unwrap();
    let members: Vec<String> = record
        .as_object()
        .unwrap()
        .iter()
        .rev()
        .map(|(name, value)| format!("{}:{value}", json!(name)))
        .collect();
    let reversed = format!("{{\"Records\":[7,{{{}}}]}}", members.join(" , "));
    assert_eq!(id_of(&pretty), id);
    assert_eq!(id_of(reversed.as_bytes()), id);
    record["requestParameters"]["key"] = "other".into();
    assert_ne!(id_of(&wrap(&[record])), id);
}

#[test]
fn an_object_cut_into_slices_gives_the_same_as_a_whole_one() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let kinds: Vec<Value> = (0..300)
        .map(|_| twin::record().new_tree(&mut runner).unwrap().current())
        .collect();
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < SLICED_ABOVE + SLICED_ABOVE / 4 {
        for record in &kinds {
            let mut record = record.clone();
            record["padding"] = "\u{e9}]},{[\"\\".repeat(60).into();
            bytes += record.to_string().len();
            records.push(record);
        }
    }
    let raw = wrap(&records);
    assert!(raw.len() > SLICED_ABOVE);
    let sliced = log(&raw, Cut::Coarse);
    check_adds_up(&sliced);
    assert_eq!(sliced.records, records.len() as u64);
    let by_record = log(&raw, Cut::ByRecord);
    assert!(
        content(&sliced) == content(&by_record),
        "slices and single records differ"
    );
    // The whole, in pieces that are each below the limit.
    let mut whole = Vec::new();
    for (piece, records) in records.chunks(1000).enumerate() {
        let raw = wrap(records);
        assert!(raw.len() < SLICED_ABOVE);
        let (accesses, _, _) = content(&log(&raw, Cut::Coarse));
        whole.extend(
            accesses
                .into_iter()
                .map(|(at, access)| (at + 1000 * piece as u32, access)),
        );
    }
    assert!(content(&sliced).0 == whole, "slices and wholes differ");
}

#[test]
fn a_record_larger_than_a_slice_is_read() {
    let mut giant = sound(2);
    giant["padding"] = "x".repeat(SLICED_ABOVE + 1).into();
    let records = [sound(1), giant, sound(3)];
    check_against_twin(&records, &wrap(&records), Cut::Coarse);
}

#[test]
fn by_record_a_broken_record_is_rejected_alone() {
    let good = |n| sound(n).to_string();
    for broken in [
        r#"{"eventSource":}"#,
        r#"{"a":1,,}"#,
        "nul",
        "{'a':1}",
        r#"{"a":"\x"}"#,
        "01",
        r#"{"a" 1}"#,
    ] {
        let raw = format!("{{\"Records\":[{},{broken},{}]}}", good(1), good(2));
        assert!(
            matches!(
                read(raw.as_bytes(), Cut::Coarse),
                Content::Unrecognised(Unrecognised::InvalidJson)
            ),
            "{broken}"
        );
        let log = log(raw.as_bytes(), Cut::ByRecord);
        check_adds_up(&log);
        assert_eq!(
            (log.records, log.accesses.len(), log.bad),
            (3, 2, 1),
            "{broken}"
        );
        assert_eq!(log.rejects[0].record_index, 1, "{broken}");
        assert_eq!(log.accesses.source_index(1), Some(2), "{broken}");
    }
}

#[test]
fn what_is_no_log_is_never_an_empty_log() {
    let why = |raw: &str| match read(raw.as_bytes(), Cut::Coarse) {
        Content::Log(log) => format!("log of {}", log.records),
        Content::Digest => "digest".to_owned(),
        Content::Unrecognised(why) => why.as_str().to_owned(),
    };
    for (raw, expected) in [
        (r#"{"Records":[]}"#, "log of 0"),
        ("[]", "log of 0"),
        ("", "invalid_json"),
        (" ", "invalid_json"),
        ("{", "invalid_json"),
        ("{}", "records_missing"),
        ("null", "records_missing"),
        ("7", "records_missing"),
        (r#"{"records":[]}"#, "records_missing"),
        (r#"{"Records":null}"#, "records_not_an_array"),
        (r#"{"Records":{}}"#, "records_not_an_array"),
        (r#"{"Records":[]} {"Records":[]}"#, "invalid_json"),
        (r#"{"Records":[]}x"#, "invalid_json"),
        (
            r#"{"digestEndTime":"2026-01-01T00:00:00Z","digestS3Object":"k"}"#,
            "digest",
        ),
    ] {
        assert_eq!(why(raw), expected, "{raw}");
    }
}

/// A few sound records, with every block that is read.
fn valid_log() -> Vec<u8> {
    let sts = json!({"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole", "eventTime": "2026-03-27T17:08:37Z",
        "eventID": "s", "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/r", "policy":
            "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::lake/t/*\"}]}"},
        "responseElements": {"credentials": {"accessKeyId": "ASIAEXAMPLE", "expiration": "Mar 27, 2026, 6:08:37 PM"}}});
    let ec2 = json!({"eventSource": "ec2.amazonaws.com", "eventName": "CreateTags", "eventTime": "2026-03-27T17:08:37Z",
        "requestParameters": {"resourcesSet": {"items": [{"resourceId": "i-0c1a23fc456b7ab89"}]},
            "tagSet": {"items": [{"key": "ClusterId", "value": "0327-170837-abc"}]}}});
    let mut nameless = sound(4);
    nameless.as_object_mut().unwrap().remove("eventID");
    wrap(&[sound(1), sts, sound(2), ec2, nameless, sound(3)])
}

fn survives(raw: &[u8]) {
    for cut in [Cut::Coarse, Cut::ByRecord] {
        if let Content::Log(log) = read(raw, cut) {
            check_adds_up(&log);
            for i in 0..log.accesses.len() {
                assert!(log.accesses.get(i).is_some());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(raw in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&raw);
    }

    #[test]
    fn arbitrary_json_signs_never_panic(raw in r#"[\[\]{},:"\\0-9a-f \.\-tRecords]{0,80}"#) {
        survives(raw.as_bytes());
        survives(format!("{{\"Records\":[{raw}]}}").as_bytes());
        survives(format!("{{\"Records\":[{raw},{{\"eventSource\":\"s3.amazonaws.com\"}}]}}").as_bytes());
    }

    #[test]
    fn damaged_logs_never_panic_and_add_up(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut_at in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let mut raw = valid_log();
        for (at, byte) in flips {
            let at = at.index(raw.len());
            raw[at] = byte;
        }
        if let Some(at) = cut_at {
            raw.truncate(at.index(raw.len()));
        }
        survives(&raw);
    }
}

#[test]
fn depth_without_bound_never_panics() {
    for depth in [200, 2_000, 200_000, 3_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            survives(value.as_bytes());
            survives(format!("{{\"Records\":[{value}]}}").as_bytes());
            survives(format!("{{\"Records\":[{}", open.repeat(depth)).as_bytes());
        }
    }
}

#[test]
fn a_reader_keeps_nothing_from_the_object_before() {
    let origin = Origin {
        source_uri: URI,
        account_id: None,
    };
    let mut reader = LogReader::default();
    let first = valid_log();
    let expected = content(&log(&wrap(&[sound(9)]), Cut::Coarse));
    for before in [
        first.clone(),
        first[..first.len() / 2].to_vec(),
        b"[[[[".to_vec(),
        Vec::new(),
    ] {
        let _ = reader.read(&mut before.clone(), origin, Cut::Coarse);
        let Content::Log(log) = reader.read(&mut wrap(&[sound(9)]), origin, Cut::Coarse) else {
            panic!("no log");
        };
        assert_eq!(content(&log), expected);
    }
}
