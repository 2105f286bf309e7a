//! A scan of a bucket writes the events that a scan of the same files writes.

use super::cloud::{Cloud, Refusal};
use super::scene::*;
use super::world::*;
use serde_json::Value;

/// Scans the bucket of the scene into a lake in a folder, and returns status and report.
fn scan(scene: &Scene, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let arguments = [&["scan", "--format", "json"], arguments].concat();
    let mut command = scene.world.command_in("scanned", &arguments);
    let output = scene.cloud.environ(&mut command, &key_of(0)).output();
    let output = output.unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report, errors(&output))
}

fn unavailable(key: &str, times: u64) -> Refusal {
    Refusal {
        place: format!("{BUCKET}/{key}"),
        times,
        status: 503,
        code: "SlowDown",
        message: "Please reduce your request rate.",
    }
}

#[test]
fn a_bucket_is_scanned_like_a_folder_and_once_only() {
    let scene = Scene::new(50, 20, 15);
    let (status, report, told) = scan(&scene, &["s3://trail/AWSLogs"]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(report["objects"]["committed"], 20);
    let lake = scene.world.path("scanned");
    scene.check_lake(&lake, "scanned");
    let (status, report, _) = scan(&scene, &["s3://trail/AWSLogs", "s3://trail/"]);
    assert_eq!(status, Some(0));
    assert_eq!(report["objects"]["known"], 20);
    scene.check_lake(&lake, "scanned again");

    // A listing tells no versions; the objects themselves do.
    let scene = scene.begin(Cloud::start());
    scene.cloud.plan().versioned = true;
    std::fs::remove_dir_all(&lake).unwrap();
    for known in [0, 20] {
        let (status, report, told) = scan(&scene, &["s3://trail/"]);
        assert_eq!(status, Some(0), "{told}");
        assert_eq!(report["objects"]["known"], known);
    }
    scene.check_lake(&lake, "with versions");
    let versions = lines(&lake, "SELECT DISTINCT version_id FROM log_objects");
    assert_eq!(versions, [["v1"]]);
}

#[test]
fn what_may_not_be_read_is_told_and_not_recorded() {
    let scene = Scene::new(54, 3, 10);
    let refused = Refusal {
        status: 403,
        code: "AccessDenied",
        message: "Access Denied",
        ..unavailable(&scene.keys[0], u64::MAX)
    };
    scene.cloud.plan().refusals = vec![refused];
    let (status, report, told) = scan(&scene, &["s3://trail/"]);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("1 objects could not be fetched"), "{told}");
    assert_eq!(report["objects"]["committed"], 2);
    scene.cloud.plan().refusals.clear();
    let (status, ..) = scan(&scene, &["s3://trail/"]);
    assert_eq!(status, Some(0));
    scene.check_lake(&scene.world.path("scanned"), "once it may be read");
}

#[test]
fn a_lake_in_the_prefix_is_refused() {
    let scene = Scene::new(55, 1, 5);
    for source in ["s3://trail/", "s3://trail/lake/s3_access/"] {
        let arguments = ["scan", source];
        let mut command = scene.world.command_in("s3://trail/lake", &arguments);
        let output = scene.cloud.environ(&mut command, &key_of(0)).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("holds the lake"));
    }
    assert!(scene.cloud.plan().asked.is_empty());
}

#[test]
fn what_cannot_be_fetched_is_told_and_read_by_the_next_scan() {
    let scene = Scene::new(51, 6, 15).begin(Cloud::start());
    let [soon, never] = [&scene.keys[1], &scene.keys[4]];
    // The client tries four times, and the scan so often again.
    scene.cloud.plan().refusals = vec![unavailable(soon, 17), unavailable(never, u64::MAX)];
    let (status, report, told) = scan(&scene, &["s3://trail/"]);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("1 objects could not be fetched"), "{told}");
    assert!(told.contains(never.as_str()), "{told}");
    assert_eq!(report["objects"]["committed"], 5);
    let recorded = lines(
        &scene.world.path("scanned"),
        "SELECT count(*) FROM log_objects",
    );
    assert_eq!(recorded, [["5"]]);
    scene.cloud.plan().refusals.clear();
    let (status, ..) = scan(&scene, &["s3://trail/"]);
    assert_eq!(status, Some(0));
    scene.check_lake(&scene.world.path("scanned"), "scanned in two parts");
}

#[test]
fn folders_and_buckets_are_scanned_together_and_an_empty_prefix_is_refused() {
    let scene = Scene::new(52, 4, 10);
    let key = log_key(ACCOUNT, "us-west-2", "1205", "ffffffffffffffff");
    let log = [get_object(&guid(999_999), NOON, user(), "t/x")];
    scene
        .world
        .put(&format!("more/{key}"), &gzip(&log_text(&log)));
    let (status, report, told) = scan(&scene, &["more", "s3://trail/"]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(report["objects"]["committed"], 5);
    let rows = scene.events.len() + 1;
    assert_eq!(report["records"]["rows_written"], rows);
    let (status, _, told) = scan(&scene, &["s3://trail/nothing/"]);
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("holds no objects"), "{told}");
}

#[test]
fn an_event_of_a_bucket_is_explained_by_its_record_as_long_as_that_is_the_same() {
    let scene = Scene::new(53, 2, 10);
    let (status, ..) = scan(&scene, &["s3://trail/"]);
    assert_eq!(status, Some(0));
    let explain = || -> Value {
        let event = &scene.events[0].0;
        let arguments = ["explain", "--format", "json", event];
        let mut command = scene.world.command_in("scanned", &arguments);
        let output = scene.cloud.environ(&mut command, &key_of(0)).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = explain().to_string();
    assert!(found.contains("\"original_record\""), "{found}");
    for key in &scene.keys {
        scene.cloud.put(BUCKET, key, gzip(&log_text(&[])));
    }
    let found = explain().to_string();
    let why = "the object's bytes are no longer those that were ingested";
    assert!(
        found.contains("\"stored_row\"") && found.contains(why),
        "{found}"
    );
}
