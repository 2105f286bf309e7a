//! Bad input is a fact, not an error: each damaged object stands in
//! `log_objects` with its reason, and everything beside it is processed.

use super::world::*;
use flate2::{Compress, Compression, Crc, FlushCompress};
use serde_json::{Value, json};

const NOON: &str = "2026-03-27T12:00:00Z";
const REGION: &str = "us-west-2";

fn record(n: u64) -> Value {
    get_object(
        &guid(n),
        NOON,
        role_session("etl", "run-1", "ASIAONE", NOON),
        &format!("k{n}"),
    )
}

/// A log object of two good records that nothing else holds.
fn sound(n: u64) -> Vec<u8> {
    log_text(&[record(10 * n), record(10 * n + 1)])
}

/// What one object of the bad tree must become.
struct Case {
    /// Below the trail; of a log, its unique string only.
    name: &'static str,
    bytes: Vec<u8>,
    status: &'static str,
    kind: &'static str,
    /// The reason begins so; empty where there is none.
    reason: &'static str,
    rows: i64,
    bad: i64,
}

fn quarantined(name: &'static str, bytes: Vec<u8>, reason: &'static str) -> Case {
    Case {
        name,
        bytes,
        status: "quarantined",
        kind: "log",
        reason,
        rows: 0,
        bad: 0,
    }
}

fn ignored(name: &'static str, bytes: &[u8], kind: &'static str, reason: &'static str) -> Case {
    Case {
        name,
        bytes: bytes.to_vec(),
        status: "ignored",
        kind,
        reason,
        rows: 0,
        bad: 0,
    }
}

fn committed(
    name: &'static str,
    bytes: Vec<u8>,
    reason: &'static str,
    rows: i64,
    bad: i64,
) -> Case {
    Case {
        name,
        bytes,
        status: "committed",
        kind: "log",
        reason,
        rows,
        bad,
    }
}

/// `{"Records":[first,<bytes>,last]}` with any bytes in the middle.
fn around(n: u64, middle: &[u8]) -> Vec<u8> {
    let (first, last) = (record(10 * n).to_string(), record(10 * n + 1).to_string());
    [
        b"{\"Records\":[",
        first.as_bytes(),
        b",",
        middle,
        b",",
        last.as_bytes(),
        b"]}",
    ]
    .concat()
}

fn cut(mut bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - by);
    bytes
}

fn cases() -> Vec<Case> {
    let flipped = |at_end: usize, n| {
        let mut bytes = gzip(&sound(n));
        let at = bytes.len() - at_end;
        bytes[at] ^= 1;
        bytes
    };
    let digest =
        json!({"digestEndTime": NOON, "digestS3Object": "k", "digestStartTime": NOON}).to_string();
    vec![
        committed("sound00000000001", gzip(&sound(1)), "", 2, 0),
        committed("sound00000000002", gzip(&sound(2)), "", 2, 0),
        committed("norecords0000000", gzip(b"{\"Records\":[]}"), "", 0, 0),
        committed(
            "bom0000000000000",
            gzip(&[b"\xef\xbb\xbf".as_slice(), &sound(3)].concat()),
            "",
            2,
            0,
        ),
        committed("plain00000000000", sound(4), "plain_json", 2, 0),
        quarantined(
            "cutdata000000000",
            cut(gzip(&sound(5)), 40),
            "truncated_gzip",
        ),
        quarantined(
            "cuttrailer000000",
            cut(gzip(&sound(6)), 1),
            "truncated_gzip",
        ),
        quarantined(
            "cutheader0000000",
            gzip(&sound(6))[..5].to_vec(),
            "truncated_gzip",
        ),
        quarantined(
            "bytesafter000000",
            [gzip(&sound(7)), b"x".to_vec()].concat(),
            "trailing_data",
        ),
        quarantined(
            "secondmember0000",
            [gzip(&sound(8)), gzip(&sound(9))].concat(),
            "trailing_data",
        ),
        quarantined("wrongcrc00000000", flipped(8, 10), "crc_mismatch"),
        quarantined("wrongsize0000000", flipped(1, 11), "length_mismatch"),
        quarantined("bomb000000000000", bomb(), "ratio_too_high"),
        quarantined("giant00000000000", giant(170 << 20), "too_large"),
        quarantined("empty00000000000", Vec::new(), "empty_object"),
        quarantined("emptymember00000", gzip(b""), "invalid_json"),
        quarantined("notjson000000000", gzip(b"hello, world"), "invalid_json"),
        quarantined("binary0000000000", vec![0xff; 300], "invalid_json"),
        quarantined("cutjson000000000", gzip(&cut(sound(12), 3)), "invalid_json"),
        quarantined(
            "twodocuments0000",
            gzip(&[sound(13), sound(14)].concat()),
            "invalid_json",
        ),
        quarantined(
            "missing000000000",
            gzip(b"{\"records\":[]}"),
            "records_missing",
        ),
        quarantined(
            "notarray00000000",
            gzip(b"{\"Records\":{\"a\":1}}"),
            "records_not_an_array",
        ),
        committed("notobject0000000", gzip(&around(15, b"42")), "", 2, 1),
        committed(
            "notime0000000000",
            gzip(&around(16, b"{\"eventSource\":\"s3.amazonaws.com\"}")),
            "",
            2,
            1,
        ),
        committed(
            "nosource00000000",
            gzip(&around(17, b"{\"eventTime\":\"2026-03-27T12:00:00Z\"}")),
            "",
            2,
            1,
        ),
        committed(
            "brokenjson000000",
            gzip(&around(18, b"{\"eventSource\":}")),
            "",
            2,
            1,
        ),
        committed(
            "notutf8000000000",
            gzip(&around(19, b"{\"eventSource\":\"\xff\xfe\"}")),
            "",
            2,
            1,
        ),
        ignored("README.md", b"# Logs", "other", "not_a_cloudtrail_key"),
        ignored(
            "AWSLogs/111122223333/CloudTrail/picture.png",
            b"\x89PNG",
            "other",
            "not_a_cloudtrail_key",
        ),
        ignored("AWSLogs_$folder$", b"", "other", "not_a_cloudtrail_key"),
        ignored(
            "package.json",
            b"{\"name\":\"x\"}",
            "other",
            "records_missing",
        ),
        ignored("some/digest.json", digest.as_bytes(), "digest", "digest"),
        ignored(
            "AWSLogs/111122223333/Config/us-west-2/2026/3/27/ConfigHistory/111122223333_Config_us-west-2_ConfigHistory_x.json.gz",
            b"not even gzip",
            "other_service",
            "other_service: Config",
        ),
        Case {
            kind: "digest",
            ..quarantined(
                "AWSLogs/111122223333/CloudTrail-Digest/us-west-2/2026/03/27/111122223333_CloudTrail-Digest_us-west-2_my_trail-1.x_us-west-2_20260327T120000Z.json.gz",
                b"not even gzip".to_vec(),
                "invalid_json",
            )
        },
        Case {
            kind: "digest",
            ..quarantined(
                "AWSLogs/111122223333/CloudTrail-Digest/us-west-2/2026/03/27/111122223333_CloudTrail-Digest_us-west-2_my_trail-1.x_us-west-2_20260327T130000Z.json.gz",
                gzip(&sound(30)),
                "no_digest",
            )
        },
        ignored(
            "AWSLogs/111122223333/CloudTrail-Insight/us-west-2/2026/03/27/111122223333_CloudTrail-Insight_us-west-2_20260327T1200Z_abcdefghijklmnop.json.gz",
            &gzip(&sound(20)),
            "insight",
            "insight",
        ),
        ignored(
            "AWSLogs/111122223333/CloudTrail-Aggregated/us-west-2/2026/03/27/111122223333_CloudTrail-Aggregated_us-west-2_20260327T1200Z_abcdefghijklmnop.json.gz",
            &gzip(&sound(21)),
            "aggregated",
            "aggregated",
        ),
        quarantined(
            "AWSLogs/111122223333/CloudTrail/us-west-2/2026/03/27/444455556666_CloudTrail_us-west-2_20260327T1200Z_abcdefghijklmnop.json.gz",
            gzip(&sound(22)),
            "key_mismatch",
        ),
    ]
}

/// 300 MB of zeros.
fn bomb() -> Vec<u8> {
    repeated(Compression::best(), b"", &vec![0; 1 << 20], 300, b"")
}

/// A sound log of that many bytes or some more: one event over and over.
fn giant(bytes: usize) -> Vec<u8> {
    let mut event = record(999);
    // Enough that does not repeat within deflate's window, so that the ratio is
    // that of a log and not that of a bomb.
    let mut random = Random(7);
    event["padding"] = (0..4000)
        .map(|_| format!("{:016x}", random.next()))
        .collect::<String>()
        .into();
    let item = format!("{event},");
    let items = item.repeat(16);
    repeated(
        Compression::fast(),
        b"{\"Records\":[",
        items.as_bytes(),
        bytes / items.len() + 1,
        format!("{event}]}}").as_bytes(),
    )
}

/// The gzip member of `head`, `times` times `body`, `tail`; `body` is deflated
/// only once, which a full flush allows.
fn repeated(level: Compression, head: &[u8], body: &[u8], times: usize, tail: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(level, false);
    let mut piece = |bytes: &[u8], flush: FlushCompress| {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        deflate.compress_vec(bytes, &mut out, flush).unwrap();
        out
    };
    let mut gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff".to_vec();
    gzip.extend(piece(head, FlushCompress::Full));
    let body_piece = piece(body, FlushCompress::Full);
    (0..times).for_each(|_| gzip.extend_from_slice(&body_piece));
    gzip.extend(piece(tail, FlushCompress::Finish));
    let mut crc = Crc::new();
    crc.update(head);
    (0..times).for_each(|_| crc.update(body));
    crc.update(tail);
    gzip.extend(crc.sum().to_le_bytes());
    gzip.extend(crc.amount().to_le_bytes());
    gzip
}

fn key_of(case: &Case) -> String {
    if case.name.contains(['/', '.', '$']) {
        return case.name.to_owned();
    }
    log_key(ACCOUNT, REGION, "1205", case.name)
}

/// The only row of `log_objects` whose uri ends so.
#[track_caller]
fn object(objects: &[Value], end: &str) -> Value {
    let found: Vec<&Value> = objects
        .iter()
        .filter(|row| row["uri"].as_str().unwrap().ends_with(&format!("/{end}")))
        .collect();
    assert_eq!(found.len(), 1, "{end}: {found:?}");
    found[0].clone()
}

#[test]
fn each_bad_object_has_its_reason_and_the_rest_is_processed() {
    let world = World::new();
    let cases = cases();
    for case in &cases {
        world.put(&format!("trail/{}", key_of(case)), &case.bytes);
    }
    // Of keys that end in `/` a file system keeps an empty folder: no object.
    std::fs::create_dir_all(world.path("trail/AWSLogs/111122223333/CloudTrail-Digest")).unwrap();
    let report = world.scan();

    let objects = world.query("SELECT * FROM log_objects");
    let mut faults = Vec::new();
    for case in &cases {
        let row = object(&objects, &key_of(case));
        let reason = row["reason"].as_str().unwrap_or_default();
        let right = row["status"] == case.status
            && row["kind"] == case.kind
            && reason.starts_with(case.reason)
            && reason.is_empty() == case.reason.is_empty()
            && row["rows_written"] == case.rows
            && row["bad"] == case.bad
            && row["records"] == case.rows + case.bad;
        if !right {
            faults.push(format!("{}: {row:#}", case.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(objects.len(), cases.len());
    world.check_adds_up();

    let kept = world.query("SELECT uri, content, sha256, signature FROM digest_objects");
    let digest = cases.iter().find(|case| case.name == "some/digest.json");
    let digest = digest.unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        kept[0]["content"],
        String::from_utf8_lossy(&digest.bytes).as_ref()
    );
    assert_eq!(kept[0]["sha256"], object(&objects, digest.name)["sha256"]);

    let bad = |name: &str| {
        object(&objects, &log_key(ACCOUNT, REGION, "1205", name))["bad_records"].clone()
    };
    let one = |reason: &str| json!([{"record_index": "1", "reason": reason}]);
    assert_eq!(bad("notobject0000000"), one("not_an_object"));
    assert_eq!(bad("notime0000000000"), one("no_event_time"));
    assert_eq!(bad("nosource00000000"), one("no_event_source"));
    assert_eq!(bad("brokenjson000000"), one("invalid_json"));
    assert_eq!(bad("notutf8000000000"), one("invalid_json"));

    // The summary counts what the tables hold.
    for status in ["committed", "ignored", "quarantined", "duplicate"] {
        let expected = cases.iter().filter(|case| case.status == status).count();
        assert_eq!(report["objects"][status], expected, "{status}");
    }
    assert_eq!(report["records"]["bad"], 5);
    let rows: i64 = cases.iter().map(|case| case.rows).sum();
    assert_eq!(report["records"]["rows_written"], rows);

    // Nothing of it is read again, and nothing changes.
    let again = world.scan();
    assert_eq!(again["objects"]["known"], cases.len());
    assert_eq!(
        world.number("SELECT count(*) AS n FROM log_objects"),
        cases.len() as i64
    );
}

#[test]
fn the_summary_names_reasons_and_the_first_objects() {
    let world = World::new();
    for n in 0..12 {
        let key = log_key(ACCOUNT, REGION, "1205", &format!("{n:016x}"));
        world.put(&format!("trail/{key}"), &cut(gzip(&sound(n)), 3));
    }
    world.put("trail/README.md", b"# Logs");
    world.put_log(
        &log_key(ACCOUNT, REGION, "1210", "ffffffffffffffff"),
        &[record(1), json!("no record")],
    );
    let output = world.run(&["scan", "trail"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    for part in [
        "12  quarantined  (truncated_gzip 12)",
        "1  ignored  (not_a_cloudtrail_key 1)",
        "_0000000000000000.json.gz",
        "_0000000000000009.json.gz",
        "… and more: SELECT uri, reason FROM log_objects",
        "1  bad records",
    ] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    assert!(!text.contains("_000000000000000b.json.gz"), "{text}");
}

#[test]
fn an_object_of_nothing_but_bad_records_is_accounted_for() {
    let world = World::new();
    let records: Vec<Value> = (0..250).map(|n| json!(n)).collect();
    world.put_log(
        &log_key(ACCOUNT, REGION, "1205", "0000000000000000"),
        &records,
    );
    let report = world.scan();
    assert_eq!(report["records"]["bad"], 250);
    let row = world.one("SELECT * FROM log_objects");
    assert_eq!(
        (&row["status"], &row["records"], &row["bad"]),
        (&json!("committed"), &json!(250), &json!(250))
    );
    assert_eq!(
        row["bad_records"].as_array().unwrap().len(),
        100,
        "the first hundred are listed"
    );
    world.check_adds_up();
}

#[test]
fn a_large_object_below_the_cap_is_read() {
    let world = World::new();
    let key = log_key(ACCOUNT, REGION, "1205", "0000000000000000");
    world.put(&format!("trail/{key}"), &giant(100 << 20));
    world.put_log(
        &log_key(ACCOUNT, REGION, "1210", "0000000000000001"),
        &[record(1)],
    );
    let report = world.scan();
    assert_eq!(report["objects"]["committed"], 2);
    assert_eq!(world.events().len(), 2);
    let row = object(&world.query("SELECT * FROM log_objects"), &key);
    assert!(row["records"].as_i64().unwrap() > 1000, "{row}");
    assert!(row["raw_bytes"].as_i64().unwrap() > 100 << 20, "{row}");
    world.check_adds_up();
}

#[test]
fn an_object_too_large_in_storage_is_not_even_read() {
    let world = World::new();
    let key = log_key(ACCOUNT, REGION, "1205", "0000000000000000");
    world.put(&format!("trail/{key}"), b"");
    // A sparse file: no byte of it is ever written.
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(world.path(&format!("trail/{key}")))
        .unwrap();
    file.set_len(4 << 30).unwrap();
    world.put_log(
        &log_key(ACCOUNT, REGION, "1210", "0000000000000001"),
        &[record(1)],
    );
    let report = world.scan();
    assert_eq!(
        (
            &report["objects"]["committed"],
            &report["objects"]["quarantined"]
        ),
        (&json!(1), &json!(1))
    );
    let row = object(&world.query("SELECT * FROM log_objects"), &key);
    assert!(
        row["reason"].as_str().unwrap().starts_with("too_large"),
        "{row}"
    );
    assert_eq!(row["compressed_bytes"], 4_i64 << 30);
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_named_and_tried_again() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    let key = log_key(ACCOUNT, REGION, "1205", "0000000000000000");
    world.put_log(
        &log_key(ACCOUNT, REGION, "1210", "0000000000000001"),
        &[record(1)],
    );
    let path = world.path(&format!("trail/{key}"));
    symlink("nowhere", &path).unwrap();
    symlink(".", world.path("trail/loop")).unwrap();
    for n in 0..3 {
        let report = world.scan();
        // Shown each time, recorded once.
        assert_eq!(report["objects"]["quarantined"], 2, "scan {n}: {report}");
        assert_eq!(report["objects"]["known"], u64::from(n > 0), "{report}");
        assert_eq!(report["commits"], u64::from(n == 0), "{report}");
        let objects = world.query("SELECT * FROM log_objects");
        let row = object(&objects, &key);
        assert_eq!(row["status"], "quarantined");
        assert!(
            row["reason"].as_str().unwrap().starts_with("unreadable: "),
            "{row}"
        );
        let row = object(&objects, "loop");
        assert_eq!(row["reason"], "unreadable: not a regular file");
        assert_eq!(objects.len(), 3);
        assert_eq!(world.events().len(), 1);
    }
    std::fs::remove_file(&path).unwrap();
    world.put_log(&key, &[record(2)]);
    world.scan();
    assert_eq!(world.events().len(), 2);
    world.check_adds_up();
}

#[test]
fn an_object_that_was_mended_is_read() {
    let world = World::new();
    let key = log_key(ACCOUNT, REGION, "1205", "0000000000000000");
    let whole = gzip(&sound(1));
    world.put(&format!("trail/{key}"), &whole[..whole.len() - 5]);
    assert_eq!(world.scan()["objects"]["quarantined"], 1);
    world.put(&format!("trail/{key}"), &whole);
    let report = world.scan();
    assert_eq!(
        (
            &report["objects"]["committed"],
            &report["records"]["rows_written"]
        ),
        (&json!(1), &json!(2))
    );
    assert_eq!(world.query("SELECT status FROM log_objects").len(), 2);
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_is_a_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe log.json.gz");
    std::fs::write(world.trail().join(name), gzip(&sound(1))).unwrap();
    world.put("trail/a b+c%20d/ü.json.gz", &gzip(&sound(2)));
    let report = world.scan();
    assert_eq!(report["objects"]["committed"], 2);
    assert_eq!(world.events().len(), 4);
    world.check_adds_up();
    assert_eq!(world.scan()["objects"]["known"], 2);
}

#[test]
fn an_empty_trail_is_no_failure() {
    let world = World::new();
    let report = world.scan();
    assert_eq!(report["records"]["total"], 0);
    assert_eq!(world.number("SELECT count(*) AS n FROM s3_access"), 0);
    assert_eq!(world.number("SELECT count(*) AS n FROM violations"), 0);
    let output = world.run(&["scan", "trail"]);
    assert_eq!(output.status.code(), Some(0));
}
