//! The fast record reader against its slow twin, and against hostile bytes.

use super::twin::{self, Twin, TwinAccess};
use bricktrail::trail::log::{Content, LogReader, Origin, ParsedLog, RECORD_BYTES_MAX};
use proptest::prelude::*;
use serde_json::{Value, json};

const URI: &str = "file:///trail/object.json.gz";
const KEY_ACCOUNT: &str = "999988887777";

/// The two ways of reading a record.
#[derive(Clone, Copy, Debug)]
enum By {
    /// By the shape of earlier ones: the object is read three times, because a
    /// shape is learned when it is met again.
    Shape,
    Tape,
}

fn read(raw: &[u8], by: By) -> Content {
    let origin = Origin {
        source_uri: URI,
        account_id: Some(KEY_ACCOUNT),
    };
    match by {
        By::Tape => LogReader::by_tape().read(raw, origin),
        By::Shape => {
            let mut reader = LogReader::default();
            let _ = reader.read(raw, origin);
            let _ = reader.read(raw, origin);
            reader.read(raw, origin)
        }
    }
}

#[track_caller]
fn log(raw: &[u8], by: By) -> ParsedLog {
    match read(raw, by) {
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

/// Reads the records by shape as far as they come to be known, once.
fn compare_with_twin_once(records: &[Value], raw: &[u8]) -> Result<(), String> {
    let origin = Origin {
        source_uri: URI,
        account_id: Some(KEY_ACCOUNT),
    };
    compare(records, LogReader::default().read(raw, origin))
}

/// Reads the records both ways and compares each field of each access.
fn compare_with_twin(records: &[Value], raw: &[u8], by: By) -> Result<(), String> {
    compare(records, read(raw, by))
}

fn compare(records: &[Value], content: Content) -> Result<(), String> {
    let Content::Log(log) = content else {
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
fn check_against_twin(records: &[Value], raw: &[u8], by: By) {
    if let Err(fault) = compare_with_twin(records, raw, by) {
        panic!("{by:?}: {fault}");
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
        for by in [By::Shape, By::Tape] {
            if let Err(fault) = compare_with_twin(&records, &wrap(&records), by) {
                prop_assert!(false, "{by:?}: {fault}");
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
    for by in [By::Shape, By::Tape] {
        for record in &records {
            check_against_twin(
                std::slice::from_ref(record),
                &wrap(std::slice::from_ref(record)),
                by,
            );
        }
        check_against_twin(&records, &wrap(&records), by);
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
        check_against_twin(&records, text.as_bytes(), By::Shape);
        check_against_twin(&records, text.as_bytes(), By::Tape);
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
        By::Shape,
    );
}

#[test]
fn a_made_id_depends_on_the_content_alone() {
    let mut record = sound(1);
    record.as_object_mut().unwrap().remove("eventID");
    let id_of = |raw: &[u8]| {
        log(raw, By::Shape)
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

/// Records of a few hundred kinds, over and over, with other values each time.
#[test]
fn records_of_known_shapes_are_read_as_from_their_tapes() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let kinds: Vec<Value> = (0..40)
        .map(|_| twin::record().new_tree(&mut runner).unwrap().current())
        .chain((0..20).map(sound))
        .collect();
    let mut records = Vec::new();
    for round in 0..50 {
        for kind in &kinds {
            let mut record = kind.clone();
            vary(&mut record, round);
            records.push(record);
        }
    }
    let raw = wrap(&records);
    let origin = Origin {
        source_uri: URI,
        account_id: Some(KEY_ACCOUNT),
    };
    let mut reader = LogReader::default();
    let Content::Log(by_shape) = reader.read(&raw, origin) else {
        panic!("no log");
    };
    check_adds_up(&by_shape);
    assert!(
        reader.records_by_shape() > records.len() as u64 / 3,
        "only {} of {} records were read by shape",
        reader.records_by_shape(),
        records.len()
    );
    assert!(
        content(&by_shape) == content(&log(&raw, By::Tape)),
        "by shape and by tape differ"
    );
}

/// Changes the texts and numbers of a record, not its shape.
fn vary(value: &mut Value, round: u64) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|value| vary(value, round)),
        Value::Array(items) => items.iter_mut().for_each(|value| vary(value, round)),
        // No time, GUID or ARN: those decide how the record is read.
        Value::String(text) if text.len() > 20 && text.len() != 36 && !text.starts_with("arn:") => {
            *text = format!("{text}{round}");
        }
        Value::Number(number) if number.is_u64() => *value = json!(round * 7919),
        _ => {}
    }
}

/// Puts `odd` where the leaf of that number stands.
fn replace_leaf(value: &mut Value, leaf: &mut usize, odd: &Value) {
    match value {
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| replace_leaf(value, leaf, odd)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|value| replace_leaf(value, leaf, odd)),
        _ => {
            if *leaf == 0 {
                *value = odd.clone();
            }
            *leaf = leaf.wrapping_sub(1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The record's shape is known by then; the odd ones follow it up to a leaf.
    #[test]
    fn a_record_that_leaves_a_known_shape_is_read_as_the_twin_reads_it(
        record in prop_oneof![twin::record(), (0..9_u64).prop_map(sound)],
        odds in prop::collection::vec((0..60_usize, prop_oneof![
            Just(json!(null)), Just(json!(true)), Just(json!("")), Just(json!("a\"b")), Just(json!("\u{1}\u{e9}")),
            Just(json!(-0.5)), Just(json!(1e300)), Just(json!(12)), Just(json!("12")), Just(json!(["x"])),
            Just(json!([])), Just(json!({"a": [1]})), Just(json!("AWSService")), Just(json!("QueryString")),
        ]), 1..6),
    ) {
        let mut records = vec![record.clone(), record.clone(), record.clone()];
        for (leaf, odd) in &odds {
            let mut other = record.clone();
            replace_leaf(&mut other, &mut leaf.clone(), odd);
            records.extend([other, record.clone()]);
        }
        if let Err(fault) = compare_with_twin_once(&records, &wrap(&records)) {
            prop_assert!(false, "{fault}");
        }
    }
}

#[test]
fn a_record_far_larger_than_cloudtrail_writes_is_rejected_alone() {
    let mut giant = sound(2);
    giant["padding"] = "x".repeat(RECORD_BYTES_MAX).into();
    let mut large = sound(4);
    large["padding"] = "x".repeat(RECORD_BYTES_MAX / 2).into();
    let raw = wrap(&[sound(1), giant, sound(3), large]);
    for by in [By::Shape, By::Tape] {
        let log = log(&raw, by);
        check_adds_up(&log);
        assert_eq!((log.accesses.len(), log.bad), (3, 1));
        assert_eq!(log.rejects[0].reason.as_str(), "record_too_large");
    }
}

#[test]
fn a_broken_record_is_rejected_alone() {
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
        for by in [By::Shape, By::Tape] {
            let log = log(raw.as_bytes(), by);
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
}

#[test]
fn a_byte_that_is_no_utf8_costs_its_record_alone() {
    let mut raw = wrap(&[sound(1), sound(2), sound(3)]);
    let at = raw.windows(4).rposition(|text| text == b"lake").unwrap();
    raw[at] = 0xff;
    for by in [By::Shape, By::Tape] {
        let log = log(&raw, by);
        check_adds_up(&log);
        assert_eq!((log.records, log.bad), (3, 1));
        assert_eq!(log.rejects[0].reason.as_str(), "invalid_json");
    }
}

#[test]
fn what_is_no_log_is_never_an_empty_log() {
    let why = |raw: &str| match read(raw.as_bytes(), By::Shape) {
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
    for by in [By::Shape, By::Tape] {
        if let Content::Log(log) = read(raw, by) {
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
    let expected = content(&log(&wrap(&[sound(9)]), By::Shape));
    for before in [
        first.clone(),
        first[..first.len() / 2].to_vec(),
        b"[[[[".to_vec(),
        Vec::new(),
    ] {
        let _ = reader.read(&before, origin);
        let Content::Log(log) = reader.read(&wrap(&[sound(9)]), origin) else {
            panic!("no log");
        };
        assert_eq!(content(&log), expected);
    }
}
