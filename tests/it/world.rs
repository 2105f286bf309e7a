//! A small world for the tests that run the program: a trail, a lake, records.
//!
//! Nothing here shares code with the product: objects are written by `flate2`
//! and `serde_json`, and the tables are read through `bricktrail query`.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub const ACCOUNT: &str = "111122223333";
pub const OTHER_ACCOUNT: &str = "444455556666";

/// A folder with a trail and a lake in it, gone when dropped.
pub struct World {
    dir: TempDir,
}

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("trail")).unwrap();
        World { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn trail(&self) -> PathBuf {
        self.path("trail")
    }

    /// Writes a file; `name` is relative to the world.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Writes a log object of the trail.
    pub fn put_log(&self, key: &str, records: &[Value]) {
        self.put(&format!("trail/{key}"), &gzip(&log_text(records)));
    }

    /// The program, with this world's lake and nothing of the environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in("lake", arguments)
    }

    pub fn command_in(&self, lake: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bricktrail"));
        command
            .current_dir(self.dir.path())
            .env_remove("BRICKTRAIL_LAKE")
            .env_remove("BRICKTRAIL_LOG")
            .env_remove("RUST_BACKTRACE")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .args(["--lake", lake])
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Scans the trail; returns the report.
    #[track_caller]
    pub fn scan(&self) -> Value {
        self.scan_with(&["trail"])
    }

    /// Scans with these arguments; returns the report.
    #[track_caller]
    pub fn scan_with(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["scan", "--format", "json"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "scan: {}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The rows of a query.
    #[track_caller]
    pub fn query(&self, sql: &str) -> Vec<Value> {
        self.query_in("lake", sql)
    }

    #[track_caller]
    pub fn query_in(&self, lake: &str, sql: &str) -> Vec<Value> {
        let arguments = ["query", "--format", "json", "--sql", sql];
        let output = self.command_in(lake, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{sql}: {}", errors(&output));
        String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The only row of a query.
    #[track_caller]
    pub fn one(&self, sql: &str) -> Value {
        let mut rows = self.query(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// The only number of a query; 0 where it is NULL.
    #[track_caller]
    pub fn number(&self, sql: &str) -> i64 {
        let row = self.one(sql);
        row.as_object()
            .unwrap()
            .values()
            .next()
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }

    /// Event id and account of every row of `s3_access`, sorted.
    #[track_caller]
    pub fn events(&self) -> Vec<(String, String)> {
        let rows = self.query("SELECT event_id, aws_account_id FROM s3_access");
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let mut events: Vec<_> = rows
            .iter()
            .map(|row| (text(row, "event_id"), text(row, "aws_account_id")))
            .collect();
        events.sort();
        events
    }

    /// Every object is accounted for, and every record of every object.
    #[track_caller]
    pub fn check_adds_up(&self) {
        let off = self.query(
            "SELECT uri, records, rows_written, not_s3, duplicates, bad FROM log_objects \
             WHERE records <> rows_written + not_s3 + duplicates + bad \
             OR s3_events <> rows_written + duplicates",
        );
        assert!(
            off.is_empty(),
            "objects whose records do not add up: {off:#?}"
        );
        let written = self.number("SELECT sum(rows_written) AS n FROM log_objects");
        let rows = self.number("SELECT count(*) AS n FROM s3_access");
        assert_eq!(written, rows, "rows written by the ledger, rows that stand");
        let by_object = self.query(
            "SELECT o.uri, o.written, count(a.event_id) AS rows FROM \
             (SELECT uri, sum(rows_written) AS written FROM log_objects GROUP BY uri) o \
             LEFT JOIN s3_access a ON a.source_uri = o.uri \
             GROUP BY o.uri, o.written HAVING count(a.event_id) <> o.written",
        );
        assert!(
            by_object.is_empty(),
            "ledger and rows differ: {by_object:#?}"
        );
        let twice = self.query(
            "SELECT event_id, aws_account_id, count(*) AS n FROM s3_access \
             GROUP BY event_id, aws_account_id HAVING count(*) > 1",
        );
        assert!(twice.is_empty(), "events that stand twice: {twice:#?}");
    }
}

pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut raw).unwrap();
    raw
}

pub fn log_text(records: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}

/// A log key of the day 2026-03-27; `at` is the delivery minute, `HHMM`.
pub fn log_key(account: &str, region: &str, at: &str, unique: &str) -> String {
    format!(
        "AWSLogs/{account}/CloudTrail/{region}/2026/03/27/\
         {account}_CloudTrail_{region}_20260327T{at}Z_{unique}.json.gz"
    )
}

/// An event id that is a GUID.
pub fn guid(n: u64) -> String {
    // Spread, so that ids look as random as real ones.
    let mixed = u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(n);
    let hex = format!("{mixed:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A role session as `userIdentity` shows it.
pub fn role_session(role: &str, session: &str, key: &str, created: &str) -> Value {
    json!({
        "type": "AssumedRole", "principalId": format!("AROA{}:{session}", role.to_uppercase()),
        "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"),
        "accountId": ACCOUNT, "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": format!("AROA{}", role.to_uppercase()),
                "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "accountId": ACCOUNT, "userName": role},
            "attributes": {"creationDate": created, "mfaAuthenticated": "false"},
        },
    })
}

/// A management event without parameters.
pub fn event(id: &str, source: &str, name: &str, at: &str, identity: Value) -> Value {
    json!({
        "eventVersion": "1.11", "userIdentity": identity, "eventTime": at, "eventSource": source,
        "eventName": name, "awsRegion": "us-west-2", "sourceIPAddress": "10.1.2.3",
        "userAgent": "[aws-sdk-java/1.12.681]", "requestParameters": null, "responseElements": null,
        "requestID": format!("R{id}"), "eventID": id, "readOnly": false, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": ACCOUNT, "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
    })
}

/// A read of `s3://lake/<key>`.
pub fn get_object(id: &str, at: &str, identity: Value, key: &str) -> Value {
    let mut record = event(id, "s3.amazonaws.com", "GetObject", at, identity);
    let more = json!({
        "requestParameters": {"bucketName": "lake", "Host": "lake.s3.us-west-2.amazonaws.com", "key": key},
        "additionalEventData": {"SignatureVersion": "SigV4", "CipherSuite": "TLS_AES_128_GCM_SHA256",
            "bytesTransferredIn": 0, "AuthenticationMethod": "AuthHeader", "bytesTransferredOut": 512},
        "resources": [{"type": "AWS::S3::Object", "ARN": format!("arn:aws:s3:::lake/{key}")},
            {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::lake"}],
        "readOnly": true, "managementEvent": false, "eventCategory": "Data",
    });
    merge(&mut record, more);
    record
}

/// The AssumeRole that issued `key`.
pub fn assume_role(
    id: &str,
    at: &str,
    caller: Value,
    role: &str,
    session: &str,
    key: &str,
) -> Value {
    let mut record = event(id, "sts.amazonaws.com", "AssumeRole", at, caller);
    let more = json!({
        "requestParameters": {"roleArn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "roleSessionName": session,
            "durationSeconds": 3600},
        "responseElements": {
            "credentials": {"accessKeyId": key, "expiration": "Mar 27, 2026, 11:59:59 PM", "sessionToken": "SECRETTOKEN"},
            "assumedRoleUser": {"assumedRoleId": format!("AROA{}:{session}", role.to_uppercase()),
                "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}")}},
        "resources": [{"ARN": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "accountId": ACCOUNT, "type": "AWS::IAM::Role"}],
    });
    merge(&mut record, more);
    record
}

/// EC2 itself, which fetches an instance's credentials.
pub fn ec2_service() -> Value {
    json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"})
}

/// The launch of an instance with these tags.
pub fn run_instances(id: &str, at: &str, instance: &str, tags: &[(&str, &str)]) -> Value {
    let caller = json!({"type": "AWSAccount", "principalId": "AROADATABRICKS:x", "accountId": "414351767826"});
    let mut record = event(id, "ec2.amazonaws.com", "RunInstances", at, caller);
    let tags: Vec<Value> = tags
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let more = json!({
        "requestParameters": {"tagSpecificationSet": {"items": [{"resourceType": "instance", "tags": tags}]}},
        "responseElements": {"instancesSet": {"items": [
            {"instanceId": instance, "privateIpAddress": "10.1.2.3", "tagSet": {"items": tags}}]}},
    });
    merge(&mut record, more);
    record
}

pub fn merge(record: &mut Value, more: Value) {
    let fields: Map<String, Value> = more.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(fields);
}

pub fn without(mut record: Value, name: &str) -> Value {
    record.as_object_mut().unwrap().remove(name).unwrap();
    record
}

/// A pseudo-random sequence (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The distinct S3 events of a trail: (eventID, recipientAccountId), counted
/// with `serde_json` and nothing of the product.
pub fn distinct_s3_events(trail: &Path) -> BTreeSet<(String, String)> {
    let mut events = BTreeSet::new();
    for path in files_below(trail) {
        let mut text = String::new();
        let file = std::fs::File::open(&path).unwrap();
        GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let log: Value = serde_json::from_str(&text).unwrap();
        for record in log["Records"].as_array().unwrap() {
            let source = record["eventSource"].as_str().unwrap_or_default();
            if [
                "s3.amazonaws.com",
                "s3express.amazonaws.com",
                "s3-outposts.amazonaws.com",
            ]
            .contains(&source)
            {
                let text = |name: &str| record[name].as_str().unwrap().to_owned();
                events.insert((text("eventID"), text("recipientAccountId")));
            }
        }
    }
    events
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut waiting = vec![folder.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// Fills the trail: `objects` objects of `records` records each, over two
/// accounts and two regions; one record in ten is a copy of an earlier one, one
/// in four is of another service.
pub fn fill(world: &World, seed: u64, objects: u64, records: u64) {
    let mut random = Random(seed);
    let mut earlier: Vec<Value> = Vec::new();
    for object in 0..objects {
        let account = [ACCOUNT, OTHER_ACCOUNT][random.below(2) as usize];
        let region = ["us-west-2", "eu-west-1"][random.below(2) as usize];
        let log: Vec<Value> = (0..records)
            .map(|place| {
                let n = object * records + place;
                if !earlier.is_empty() && random.below(10) == 0 {
                    return earlier[random.below(earlier.len() as u64) as usize].clone();
                }
                let second = random.below(3600);
                let at = format!("2026-03-27T12:{:02}:{:02}Z", second / 60, second % 60);
                let caller = role_session(
                    "etl",
                    &format!("run-{}", n % 7),
                    &format!("ASIAKEY{}", n % 7),
                    "2026-03-27T11:00:00Z",
                );
                let mut record = if random.below(4) == 0 {
                    event(&guid(n), "kms.amazonaws.com", "Decrypt", &at, caller)
                } else {
                    get_object(&guid(n), &at, caller, &format!("t/part-{n}.parquet"))
                };
                record["recipientAccountId"] = account.into();
                record["awsRegion"] = region.into();
                if earlier.len() < 500 {
                    earlier.push(record.clone());
                }
                record
            })
            .collect();
        let minute = format!("13{:02}", object % 60);
        world.put_log(
            &log_key(account, region, &minute, &format!("{object:016x}")),
            &log,
        );
    }
}

pub const NOON: &str = "2026-03-27T12:00:00Z";

/// A user with a long-term key.
pub fn user() -> Value {
    json!({"type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": format!("arn:aws:iam::{ACCOUNT}:user/ann"),
        "accountId": ACCOUNT, "accessKeyId": "AKIAEXAMPLE", "userName": "ann"})
}

/// A world whose trail is these objects: (delivery minute, records).
pub fn world_of(objects: &[(&str, &[Value])]) -> World {
    let world = World::new();
    for (n, (minute, records)) in objects.iter().enumerate() {
        world.put_log(
            &log_key(ACCOUNT, "us-west-2", minute, &format!("{n:016x}")),
            records,
        );
    }
    world
}

/// The texts of a list.
pub fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .map(|items| items.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}
