//! What a simulation promises: the same bytes for the same seed, a trail that
//! is read without a fault, a truth that its own exports bear out.

use super::world::*;
use arrow::json::LineDelimitedWriter;
use bricktrail::simulate::scenario::Scenario;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Runs `simulate`; its folder is `sim` in the world.
#[track_caller]
pub fn simulated(arguments: &[&str]) -> World {
    let world = World::new();
    let output = world.run(&[&["simulate", "sim"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    world
}

fn small() -> World {
    simulated(&["--events", "6000", "--days", "1"])
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut waiting = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The hash of each file, by its name below the root.
fn hashes(root: &Path) -> BTreeMap<String, String> {
    files(root)
        .iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap();
            (
                name.to_str().unwrap().to_owned(),
                hex(&Sha256::digest(std::fs::read(path).unwrap())),
            )
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn inflated(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let stored = std::fs::read(path).unwrap();
    std::io::Read::read_to_end(
        &mut flate2::read::GzDecoder::new(stored.as_slice()),
        &mut bytes,
    )
    .unwrap();
    bytes
}

/// The objects of a kind, by key.
fn objects(world: &World, kind: &str) -> BTreeMap<String, Vec<u8>> {
    let root = world.path("sim/trail");
    files(&root)
        .iter()
        .filter_map(|path| {
            let key = path.strip_prefix(&root).unwrap().to_str().unwrap();
            key.contains(&format!("/{kind}/"))
                .then(|| (key.to_owned(), inflated(path)))
        })
        .collect()
}

fn records(world: &World) -> Vec<Value> {
    let mut records = Vec::new();
    for raw in objects(world, "CloudTrail").values() {
        let log: Value = serde_json::from_slice(raw).unwrap();
        records.extend(log["Records"].as_array().unwrap().iter().cloned());
    }
    records
}

fn parquet_rows(path: &Path) -> Vec<Value> {
    let file = std::fs::File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap();
    let mut writer = LineDelimitedWriter::new(Vec::new());
    for batch in reader {
        writer.write(&batch.unwrap()).unwrap();
    }
    writer.finish().unwrap();
    lines(&writer.into_inner())
}

fn lines(text: &[u8]) -> Vec<Value> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The rows of a table of the exports, in whatever form it is.
fn table(world: &World, name: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for path in files(&world.path("sim/databricks").join(name)) {
        let file = path.to_str().unwrap();
        rows.extend(if file.ends_with(".parquet") {
            parquet_rows(&path)
        } else if file.ends_with(".gz") {
            lines(&inflated(&path))
        } else {
            lines(&std::fs::read(&path).unwrap())
        });
    }
    assert!(!rows.is_empty(), "{name} has no rows");
    rows
}

pub fn truth(world: &World) -> HashMap<String, Value> {
    let rows = parquet_rows(&world.path("sim/truth.parquet"));
    let count = rows.len();
    let truth: HashMap<String, Value> = rows
        .into_iter()
        .map(|row| (row["event_id"].as_str().unwrap().to_owned(), row))
        .collect();
    assert_eq!(truth.len(), count, "an event id stands in truth twice");
    truth
}

/// Milliseconds of a timestamp, however many digits its fraction has.
fn millis(value: &Value) -> i64 {
    let text = value.as_str().unwrap();
    chrono::DateTime::parse_from_rfc3339(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .timestamp_millis()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
    let arguments = ["simulate", "sim", "--events", "2500", "--days", "1"];
    let (one, other) = (World::new(), World::new());
    for (world, threads) in [(&one, "1"), (&other, "5")] {
        let mut command = world.command(&arguments);
        let output = command.env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    }
    let hashes_of = |world: &World| hashes(&world.path("sim"));
    assert_eq!(hashes_of(&one), hashes_of(&other));

    let another = simulated(&["--events", "2500", "--days", "1", "--seed", "8"]);
    let (a, b) = (hashes_of(&one), hashes_of(&another));
    let same: Vec<_> = a
        .iter()
        .filter(|(name, hash)| name.contains("CloudTrail/") && b.get(*name) == Some(hash))
        .collect();
    assert!(same.is_empty(), "another seed, the same bytes: {same:?}");
    assert_ne!(a["truth.parquet"], b["truth.parquet"]);
}

#[test]
fn every_object_is_read_without_a_fault_and_every_event_of_the_truth_is_one_row() {
    let world = small();
    let report = world.scan_with(&["--policy", "sim/policy", "sim/trail"]);
    assert_eq!(report["objects"]["quarantined"], 0, "{report}");
    assert_eq!(report["records"]["bad"], 0, "{report}");
    assert_eq!(
        world.number("SELECT sum(event_ids_made) AS n FROM log_objects"),
        0
    );
    world.check_adds_up();

    let truth = truth(&world);
    let rows: BTreeSet<String> = world.events().into_iter().map(|(id, _)| id).collect();
    // Of an event, its twins in other accounts and its correction one row is kept.
    let canonical = |id: &str| -> String {
        let row = &truth
            .get(id)
            .unwrap_or_else(|| panic!("{id} is no event of the truth"));
        match row["copy"].as_str() {
            Some("twin" | "correction") => text(row, "copy_of").to_owned(),
            _ => id.to_owned(),
        }
    };
    let mut kept: Vec<String> = rows.iter().map(|id| canonical(id)).collect();
    kept.sort();
    let expected: BTreeSet<String> = truth.keys().map(|id| canonical(id)).collect();
    assert_eq!(kept, expected.into_iter().collect::<Vec<_>>());
    let twins = truth.values().filter(|row| row["copy"] == "twin").count();
    assert!(twins > 0, "no cross-account twin");
}

#[test]
fn the_truth_counts_each_delivery_and_names_the_original_of_each_copy() {
    let world = small();
    let truth = truth(&world);
    let mut delivered: HashMap<String, i64> = HashMap::new();
    for record in records(&world) {
        if text(&record, "eventSource").starts_with("s3") {
            let id = record["eventID"].as_str().unwrap().to_owned();
            *delivered.entry(id).or_default() += 1;
        }
    }
    assert_eq!(delivered.len(), truth.len());
    for (id, row) in &truth {
        assert_eq!(
            row["deliveries"].as_i64(),
            delivered.get(id).copied(),
            "{row}"
        );
        if let Some(original) = row["copy_of"].as_str() {
            assert!(truth.contains_key(original), "{row}");
        }
    }
    assert!(delivered.values().any(|times| *times > 1), "no duplicate");
}

#[test]
fn every_scenario_is_played_and_only_attackers_violate() {
    let world = simulated(&["--events", "40000", "--days", "1"]);
    let truth = truth(&world);
    let played: BTreeSet<&str> = truth.values().map(|row| text(row, "scenario")).collect();
    let missing: Vec<&str> = Scenario::ALL
        .iter()
        .map(|scenario| scenario.as_str())
        .filter(|label| !played.contains(label))
        .collect();
    assert!(missing.is_empty(), "never played: {missing:?}");
    for row in truth.values() {
        let scenario = Scenario::ALL
            .into_iter()
            .find(|scenario| scenario.as_str() == row["scenario"])
            .unwrap();
        assert_eq!(row["violation"].as_str(), scenario.violation());
        assert_eq!(row["access_path"], scenario.access_path().as_str());
        assert_eq!(row["principal_max"], scenario.maxima().principal.as_str());
    }
}

#[test]
fn records_hold_nothing_that_trails_never_hold() {
    // Enough for the rarest: one event in 4,000 is corrected.
    let world = simulated(&["--events", "40000", "--days", "1"]);
    let all = records(&world);
    let mut versions = BTreeSet::new();
    for record in &all {
        let name = text(record, "eventName");
        assert!(record.get("eventContext").is_none(), "{record}");
        let is_plain = text(record, "eventSource") == "s3.amazonaws.com"
            && !kinds(record).contains(&"AWS::S3::AccessPoint");
        assert!(
            !matches!(name, "GetObjectVersion" | "DeleteObjectVersion")
                && (!is_plain || !matches!(name, "ListObjectsV2" | "CreateSession")),
            "{name} is no event name of a general purpose bucket"
        );
        let identity = &record["userIdentity"];
        if identity["type"] == "AssumedRole" {
            assert!(
                text(identity, "accessKeyId").starts_with("ASIA"),
                "{record}"
            );
        }
        for signed in ["X-Amz-Signature", "X-Amz-Credential"] {
            assert!(
                record["requestParameters"].get(signed).is_none(),
                "{record}"
            );
        }
        let child = record["eventType"] == "AwsServiceEvent";
        assert!(!child || name == "DeleteObject", "{record}");
        let minor = text(record, "eventVersion").strip_prefix("1.").unwrap();
        let minor: u32 = minor.parse().unwrap();
        versions.insert(minor);
        for (field, since) in [
            ("managementEvent", 6),
            ("eventCategory", 7),
            ("addendum", 8),
            ("tlsDetails", 8),
        ] {
            let is_there = record.get(field).is_some();
            assert!(!is_there || minor >= since, "{field} in {record}");
        }
        assert!(
            identity.get("inScopeOf").is_none() || minor >= 11,
            "{record}"
        );
    }
    assert_eq!(versions, BTreeSet::from([5, 6, 7, 8, 11]));
    for reason in ["DELIVERY_DELAY", "UPDATED_DATA"] {
        assert!(
            all.iter()
                .any(|record| record["addendum"]["reason"] == reason),
            "no addendum with reason {reason}"
        );
    }
}

#[test]
fn a_shared_url_is_its_querys_however_late_it_is_read_also_once_it_is_settled() {
    let world = simulated(&["--events", "12000", "--days", "1", "--seed", "5"]);
    world.scan_with(&[
        "--policy",
        "sim/policy",
        "--databricks",
        "sim/databricks",
        "sim/trail",
    ]);
    let unmatched = "SELECT count(*) AS n FROM s3_access WHERE presigned \
                     AND NOT array_has(attribution_methods, 'P5_share_query')";
    let late = "SELECT count(*) AS n FROM s3_access WHERE presigned AND settled = {} \
                AND event_time > signed_at + INTERVAL '10 minutes'";
    assert!(world.number(&late.replace("{}", "false")) > 5);
    assert_eq!(world.number(unmatched), 0);
    let arguments = ["--policy", "sim/policy", "--as-of", super::settle::FAR];
    super::settle::settle(&world, "lake", &arguments);
    assert!(world.number(&late.replace("{}", "true")) > 5);
    assert_eq!(world.number(unmatched), 0);
}

/// The types of a record's resources.
fn kinds(record: &Value) -> Vec<&str> {
    let resources = record["resources"].as_array();
    let resources = resources.into_iter().flatten();
    resources.map(|resource| text(resource, "type")).collect()
}

#[test]
fn access_points_directory_buckets_and_outposts_have_shapes_of_their_own() {
    let world = simulated(&["--events", "20000", "--days", "1"]);
    let all = records(&world);
    let through = |kind: &str| -> Vec<&Value> {
        let of_kind = all.iter().filter(|record| kinds(record).contains(&kind));
        of_kind.collect()
    };
    let points = through("AWS::S3::AccessPoint");
    assert!(points.len() > 50, "{}", points.len());
    for record in points {
        let host = text(&record["requestParameters"], "Host");
        assert!(host.contains(".s3-accesspoint."), "{record}");
        assert!(kinds(record).contains(&"AWS::S3::Bucket"), "{record}");
    }
    // Each session's key is issued before it is used, in exchange for the instance's.
    let directory = through("AWS::S3Express::DirectoryBucket");
    assert!(directory.len() > 50, "{}", directory.len());
    let mut issued: HashMap<&str, &str> = HashMap::new();
    for record in &directory {
        assert_eq!(record["eventSource"], "s3express.amazonaws.com");
        let bucket = text(&record["requestParameters"], "bucketName");
        assert!(bucket.ends_with("--x-s3"), "{record}");
        if record["eventName"] == "CreateSession" {
            let key = &record["responseElements"]["credentials"]["accessKeyId"];
            issued.insert(key.as_str().unwrap(), text(record, "eventTime"));
        }
    }
    for record in directory {
        let identity = &record["userIdentity"];
        let key = text(identity, "accessKeyId");
        if record["eventName"] != "CreateSession" {
            assert!(issued[key] <= text(record, "eventTime"), "{record}");
            let context = &identity["sessionContext"];
            assert!(context.get("sessionIssuer").is_none(), "{record}");
        } else {
            assert!(!issued.contains_key(key), "{record}");
        }
    }
    let outposts = through("AWS::S3Outposts::Object");
    assert!(outposts.len() > 20, "{}", outposts.len());
    for record in outposts {
        assert_eq!(record["eventSource"], "s3-outposts.amazonaws.com");
        assert!(record["requestParameters"]["Key"].is_string(), "{record}");
        assert!(
            text(&record["edgeDeviceDetails"], "deviceId").starts_with("op-"),
            "{record}"
        );
    }
    world.scan_with(&["--policy", "sim/policy", "sim/trail"]);
    // Whatever the shape, a row tells the bucket.
    let unnamed = "SELECT count(*) AS n FROM s3_access WHERE bucket IS NULL";
    assert_eq!(world.number(unnamed), 0);
}

#[test]
fn the_exports_have_the_columns_that_databricks_documents() {
    let world = small();
    for (name, columns) in [
        (
            "system.access.audit",
            "account_id workspace_id event_time event_date user_identity service_name action_name request_id request_params response audit_level",
        ),
        (
            "system.compute.clusters",
            "workspace_id cluster_id cluster_name owned_by create_time cluster_source change_time data_security_mode",
        ),
        (
            "system.compute.instance_events",
            "workspace_id instance_id event_time event_type state",
        ),
        (
            "system.compute.node_timeline",
            "workspace_id cluster_id instance_id start_time end_time driver private_ip",
        ),
        (
            "system.lakeflow.jobs",
            "workspace_id job_id name creator_id change_time run_as",
        ),
        (
            "system.lakeflow.job_run_timeline",
            "workspace_id job_id run_id period_start_time period_end_time run_type compute_ids",
        ),
        (
            "system.lakeflow.job_task_run_timeline",
            "workspace_id job_id run_id job_run_id parent_run_id period_start_time period_end_time task_key compute_ids",
        ),
        (
            "system.query.history",
            "workspace_id statement_id executed_by executed_as executed_as_user_id compute start_time end_time read_files",
        ),
        (
            "system.access.table_lineage",
            "metastore_id workspace_id entity_type entity_id source_path created_by event_time",
        ),
        (
            "system.access.workspaces_latest",
            "workspace_id workspace_name workspace_url status",
        ),
    ] {
        for row in table(&world, name) {
            for column in columns.split(' ') {
                assert!(!row[column].is_null(), "{name} without {column}: {row}");
            }
        }
    }
    let read = |name: &str| -> Value {
        let path = world.path("sim/databricks").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    assert!(read("clusters.json")["clusters"][0]["driver"]["host_private_ip"].is_string());
    let credential = &read("unity-catalog/storage-credentials.json")["storage_credentials"][0];
    assert!(credential["aws_iam_role"]["role_arn"].is_string());
    let location = &read("unity-catalog/external-locations.json")["external_locations"][0];
    assert!(text(location, "url").starts_with("s3://"));
    for name in ["users", "groups", "service-principals"] {
        let list = read(&format!("scim/{name}.json"));
        let resources = list["Resources"].as_array().unwrap();
        assert_eq!(list["totalResults"], resources.len(), "{name}");
    }
    // The delivery files tell the same events as the table.
    let ids = |rows: &[Value], name: &str| -> BTreeSet<String> {
        rows.iter().map(|row| text(row, name).to_owned()).collect()
    };
    let mut delivered = Vec::new();
    for path in files(&world.path("sim/databricks/auditlogs")) {
        delivered.extend(lines(&std::fs::read(path).unwrap()));
    }
    let audit = table(&world, "system.access.audit");
    assert_eq!(ids(&delivered, "requestId"), ids(&audit, "request_id"));
}

/// What instance events say: by instance, from when to when on which cluster.
fn placements(world: &World) -> HashMap<String, Vec<(i64, String)>> {
    let mut states: HashMap<String, BTreeSet<(i64, String)>> = HashMap::new();
    for row in table(world, "system.compute.instance_events") {
        states
            .entry(text(&row, "instance_id").to_owned())
            .or_default()
            .insert((
                millis(&row["event_time"]),
                text(&row, "cluster_id").to_owned(),
            ));
    }
    states
        .into_iter()
        .map(|(instance, states)| (instance, states.into_iter().collect()))
        .collect()
}

#[test]
fn instance_events_lead_to_the_cluster_that_the_truth_names() {
    let world = small();
    world.scan_with(&["sim/trail"]);
    let truth = truth(&world);
    let placements = placements(&world);
    let rows = world.query(
        "SELECT event_id, event_time, instance_id FROM s3_access WHERE instance_id IS NOT NULL",
    );
    let mut followed = 0;
    for row in &rows {
        let truth = &truth[text(row, "event_id")];
        let Some(states) = placements.get(text(row, "instance_id")) else {
            assert_eq!(truth["scenario"], "other_instance", "{row}");
            continue;
        };
        let at = millis(&row["event_time"]);
        let state = states.iter().rfind(|(since, _)| *since <= at);
        assert_eq!(
            state.map(|(_, cluster)| cluster.as_str()),
            truth["cluster_id"].as_str()
        );
        followed += 1;
    }
    assert!(followed > 2000, "{followed}");
}

#[test]
fn vends_lead_to_as_many_principals_as_the_truth_allows_to_claim() {
    let world = small();
    let list = ["scan", "--format", "json", "sim/trail"];
    assert_eq!(world.run(&list).status.code(), Some(0));
    let truth = truth(&world);
    let vends: BTreeSet<(i64, String, String, String)> = table(&world, "system.access.audit")
        .iter()
        .filter(|row| text(row, "action_name").starts_with("generateTemporary"))
        .filter(|row| row["response"]["status_code"] == 200)
        .map(|row| {
            let params = &row["request_params"];
            let place = ["table_url", "url", "volume_id"]
                .into_iter()
                .find_map(|name| params[name].as_str());
            (
                millis(&row["event_time"]),
                place.unwrap_or_default().to_owned(),
                text(params, "workspace_id").to_owned(),
                text(&row["user_identity"], "email").to_owned(),
            )
        })
        .collect();
    let sessions: HashMap<String, Value> = world
        .query("SELECT DISTINCT event_id, issued_at, policy_prefixes FROM sts_sessions")
        .into_iter()
        .map(|row| (text(&row, "event_id").to_owned(), row))
        .collect();
    let rows = world.query(
        "SELECT event_id, session_event_id FROM s3_access WHERE session_event_id IS NOT NULL AND NOT presigned",
    );
    let mut seen = BTreeSet::new();
    for row in &rows {
        let truth = &truth[text(row, "event_id")];
        if truth["access_path"] != "unity_catalog" {
            continue;
        }
        let session = &sessions[text(row, "session_event_id")];
        let issued = millis(&session["issued_at"]);
        let vended = |place: &str| {
            let prefixes = session["policy_prefixes"].as_array();
            prefixes.into_iter().flatten().any(|prefix| {
                let prefix = prefix.as_str().unwrap_or_default();
                prefix.trim_end_matches('/') == place || prefix.contains(&format!("/{place}"))
            })
        };
        let candidates: BTreeSet<(&str, &str)> = vends
            .iter()
            .filter(|(at, place, ..)| (at - issued).abs() <= 60_000 && vended(place))
            .map(|(_, _, workspace, email)| (workspace.as_str(), email.as_str()))
            .collect();
        let principal = truth["principal"].as_str().unwrap_or_default();
        let scenario = text(truth, "scenario");
        let workspace = text(truth, "workspace_id");
        let (count, contains) = match scenario {
            "uc_two_principals" => (2, true),
            "uc_vend_too_late" | "uc_location_probe" => (0, false),
            "uc_service_vend" | "uc_service_vend_lineage" => (1, false),
            _ => (1, true),
        };
        assert_eq!(candidates.len(), count, "{scenario}: {candidates:?}");
        assert_eq!(
            candidates.contains(&(workspace, principal)),
            contains,
            "{scenario}"
        );
        seen.insert(scenario.to_owned());
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn digests_are_chained_signed_and_list_every_object_once() {
    let world = simulated(&["--events", "2500", "--days", "1"]);
    let keys = world.path("sim/digest-keys");
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(keys.join(name)).unwrap()).unwrap()
    };
    let key = &read("public-keys.json")["PublicKeyList"][0];
    let signatures = read("signatures.json");
    let der = from_base64(text(key, "Value"));
    assert_eq!(der.len(), 270, "PKCS#1 of 2048 bits");
    assert_eq!(
        hex(&<md5::Md5 as md5::Digest>::digest(&der)),
        key["Fingerprint"].as_str().unwrap()
    );
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der);

    let logs = objects(&world, "CloudTrail");
    let digests = objects(&world, "CloudTrail-Digest");
    let mut listed = BTreeSet::new();
    for (object, raw) in &digests {
        let digest: Value = serde_json::from_slice(raw).unwrap();
        assert_eq!(digest["digestS3Object"], object.as_str());
        assert_eq!(digest["digestPublicKeyFingerprint"], key["Fingerprint"]);
        let previous = digest["previousDigestSignature"].as_str();
        let signed = format!(
            "{}\n{}/{object}\n{}\n{}",
            text(&digest, "digestEndTime"),
            text(&digest, "digestS3Bucket"),
            hex(&Sha256::digest(raw)),
            previous.unwrap_or("null")
        );
        let signature = from_hex(text(&signatures[object], "signature"));
        assert!(
            public.verify(signed.as_bytes(), &signature).is_ok(),
            "{object}"
        );
        if let Some(before) = digest["previousDigestS3Object"].as_str() {
            assert_eq!(
                digest["previousDigestHashValue"],
                hex(&Sha256::digest(&digests[before]))
            );
            assert_eq!(previous, signatures[before]["signature"].as_str());
            let before: Value = serde_json::from_slice(&digests[before]).unwrap();
            assert_eq!(before["digestEndTime"], digest["digestStartTime"]);
        }
        for file in digest["logFiles"].as_array().unwrap() {
            let name = text(file, "s3Object");
            assert_eq!(text(file, "hashValue"), hex(&Sha256::digest(&logs[name])));
            assert!(listed.insert(name.to_owned()), "{name} is listed twice");
        }
    }
    assert_eq!(listed, logs.keys().cloned().collect());
    let starting =
        |raw: &Vec<u8>| String::from_utf8_lossy(raw).contains("\"previousDigestSignature\":null");
    assert_eq!(
        digests.values().filter(|raw| starting(raw)).count(),
        5,
        "one chain for each trail and place"
    );
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap())
        .collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = String::new();
    for letter in text.trim_end_matches('=').chars() {
        bits.push_str(&format!("{:06b}", letters.find(letter).unwrap()));
    }
    (0..bits.len() / 8)
        .map(|n| u8::from_str_radix(&bits[8 * n..8 * n + 8], 2).unwrap())
        .collect()
}

#[test]
fn a_folder_that_is_not_empty_is_refused_with_what_to_do() {
    let world = World::new();
    world.put("sim/thesis.txt", b"");
    for arguments in [&["simulate", "sim"][..], &["simulate", "sim", "--force"]] {
        let output = world.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(
            errors(&output).contains("is not empty"),
            "{}",
            errors(&output)
        );
    }
    assert_eq!(files(&world.path("sim")).len(), 1);

    let world = simulated(&["--events", "400", "--days", "1"]);
    let again = ["simulate", "sim", "--events", "400", "--days", "1"];
    let refused = world.run(&again);
    assert_eq!(refused.status.code(), Some(2));
    assert!(errors(&refused).contains("--force"), "{}", errors(&refused));
    let before = hashes(&world.path("sim"));
    let replaced = world.run(&[&again[..], &["--force"]].concat());
    assert_eq!(replaced.status.code(), Some(0), "{}", errors(&replaced));
    assert_eq!(hashes(&world.path("sim")), before);
}
