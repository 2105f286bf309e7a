//! The worker, as a process, against a queue and buckets on loopback: what stands in the
//! lake in the end is what a scan of the same objects writes, whatever goes wrong.
//!
//! Faults are drawn from a seed that is printed; `BRICKTRAIL_SEED` repeats it.

use super::cloud::{Cloud, Kill, notification, now};
use super::kill::seed;
use super::scene::*;
use super::world::*;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_worker_writes_what_a_scan_writes_and_stops_when_it_is_told() {
    let scene = Scene::new(11, 30, 40);
    scene.notify(1, &mut Random(1));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    check_meters(&scene);
    let status = terminate(&worker);
    assert_eq!(status.code(), Some(0), "{}", scene.logs());
    scene.check("undisturbed");
}

/// The meters say what the lake says, and add up.
#[track_caller]
fn check_meters(scene: &Scene) {
    ask(scene, 0, "/healthz");
    ask(scene, 0, "/readyz");
    let meters = settled_meters(scene, 1, "undisturbed");
    let sum = |name: &str| meters[0].sum(&format!("bricktrail_{name}"));
    let objects = scene.keys.len() as u64;
    assert_eq!(sum("objects_total{status=\"committed\"}"), objects);
    assert_eq!(sum("objects_total"), objects);
    assert_eq!(sum("messages_received_total"), objects);
    assert_eq!(sum("messages_acknowledged_total"), objects);
    assert_eq!(sum("notified_to_commit_seconds_count"), objects);
    let rows = scene.events.len() as u64;
    assert_eq!(sum("records_total{outcome=\"row\"}"), rows);
}

#[test]
fn objects_larger_than_the_budget_are_read_alone_among_small_ones() {
    let scene = Scene::new(20, 5, 3000);
    for n in 0..40 {
        let key = format!("small/{n}.json.gz");
        scene.cloud.put(BUCKET, &key, gzip(&log_text(&[])));
        scene.cloud.queue().send(notification(BUCKET, &key), now());
    }
    scene.notify(3, &mut Random(6));
    let own = "in_flight_bytes_max = \"3 MiB\"\n";
    let workers: Vec<_> = (0..2)
        .map(|n| shared(scene.worker_with(n, own, "")))
        .collect();
    scene.wait_until_empty(&workers);
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0), "{}", scene.logs());
    }
    let events = rows_of(
        &scene,
        "SELECT count(*), count(DISTINCT event_id || aws_account_id) FROM s3_access",
    );
    let count = scene.events.len();
    assert_eq!(events, [format!("{count} {count}")], "{}", scene.logs());
    let objects = rows_of(
        &scene,
        "SELECT count(DISTINCT uri), min(raw_bytes) < 100, max(raw_bytes) > 3145728 FROM log_objects",
    );
    assert_eq!(objects, ["45 true true"]);
}

#[test]
fn three_workers_share_a_queue_whose_messages_come_again_and_again() {
    let scene = Scene::new(12, 60, 30);
    scene.notify(5, &mut Random(2));
    let workers: Vec<_> = (0..3).map(|n| shared(scene.worker(n))).collect();
    let started = Instant::now();
    // Receipts run out in the middle of the work, too.
    while started.elapsed() < Duration::from_secs(2) {
        scene.cloud.queue().expire_all();
        std::thread::sleep(Duration::from_millis(100));
    }
    scene.wait_until_empty(&workers);
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0), "{}", scene.logs());
    }
    scene.check("three workers");
}

/// Rounds that go on side by side: each mostly waits.
const SIDE_BY_SIDE: u64 = 4;

/// Plays rounds on as many scenes as go on side by side.
fn play(rounds: u64, make: impl Fn() -> Scene + Sync, round: impl Fn(Scene, u64) -> Scene + Sync) {
    std::thread::scope(|scope| {
        for lane in 0..SIDE_BY_SIDE {
            let (make, round) = (&make, &round);
            scope.spawn(move || {
                let mut scene = make();
                for number in (lane..rounds).step_by(SIDE_BY_SIDE as usize) {
                    scene = round(scene.begin(Cloud::start()), number);
                }
            });
        }
    });
}

/// Kills whoever makes that call, then lets others do the rest.
fn killed_at(scene: Scene, at: u64, workers: u32, random: &mut Random, what: &str) -> Scene {
    scene.notify(2, random);
    let children: Vec<_> = (0..workers).map(|n| shared(scene.worker(n))).collect();
    let keys = (0..workers).map(key_of);
    scene.cloud.plan().kill = Some(Kill {
        at,
        after_effect: random.below(2) == 0,
        processes: keys.zip(children.iter().cloned()).collect(),
    });
    let started = Instant::now();
    while !scene.cloud.plan().killed
        && !scene.cloud.queue().is_empty()
        && started.elapsed() < Duration::from_secs(30)
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    scene.cloud.plan().kill = None;
    scene.cloud.queue().expire_all();
    let mut running: Vec<_> = children
        .into_iter()
        .filter(|child| child.lock().unwrap().try_wait().unwrap().is_none())
        .collect();
    if running.is_empty() {
        running.push(shared(scene.worker(workers)));
    }
    scene.wait_until_empty(&running);
    for child in &running {
        assert_eq!(terminate(child).code(), Some(0), "{what}\n{}", scene.logs());
    }
    scene.check(what);
    scene
}

#[test]
fn a_worker_killed_at_any_call_loses_and_doubles_nothing() {
    let make = || Scene::new(13, 6, 20);
    let scene = make();
    scene.notify(1, &mut Random(3));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    terminate(&worker);
    let calls = scene.cloud.plan().calls;
    scene.check("undisturbed");
    let seed = seed();
    println!("{calls} calls of an undisturbed run");
    play(calls, make, |scene, number| {
        let at = number + 1;
        let what = format!("killed at call {at} of {calls}, BRICKTRAIL_SEED={seed}");
        killed_at(scene, at, 1, &mut Random(seed ^ at), &what)
    });
}

/// Calls of three workers among which one is killed: more than one of them makes alone.
const CALLS_OF_THREE: u64 = 400;
const KILLS_OF_THREE: u64 = 150;

#[test]
fn one_of_three_workers_killed_at_any_call_loses_and_doubles_nothing() {
    let seed = seed();
    play(
        KILLS_OF_THREE,
        || Scene::new(15, 9, 15),
        |scene, number| {
            let mut random = Random(seed ^ number);
            let at = 1 + random.below(CALLS_OF_THREE);
            let what = format!("one of three killed at call {at}, BRICKTRAIL_SEED={seed}");
            killed_at(scene, at, 3, &mut random, &what)
        },
    );
}

/// Rounds of failing services, with one to three workers.
const ROUNDS: u64 = 180;

#[test]
fn services_that_fail_lose_and_double_nothing() {
    let seed = seed();
    let (failed_in_all, quiet) = (AtomicU64::new(0), AtomicU64::new(0));
    play(
        ROUNDS,
        || Scene::new(14, 8, 15),
        |scene, number| {
            let mut random = Random(seed ^ number);
            let what = format!("round {number}, BRICKTRAIL_SEED={seed}");
            scene.notify(5, &mut random);
            {
                let mut plan = scene.cloud.plan();
                plan.failing = 20 + random.below(60);
                plan.random = Some(Random(random.next()));
            }
            let count = 1 + u32::try_from(random.below(3)).unwrap();
            let workers: Vec<_> = (0..count).map(|n| shared(scene.worker(n))).collect();
            // Receipts run out in the middle of the work.
            std::thread::sleep(Duration::from_millis(random.below(800)));
            scene.cloud.queue().expire_all();
            scene.wait_until_empty(&workers);
            let failed = {
                let mut plan = scene.cloud.plan();
                plan.failing = 0;
                plan.failed
            };
            let meters = settled_meters(&scene, count, &what);
            let rows = |meters: &Meters| meters.sum("bricktrail_records_total{outcome=\"row\"}");
            let rows: u64 = meters.iter().map(rows).sum();
            // Where nobody could tell whether a commit stood, it is found as known.
            if !scene.logs().contains("could not be told") {
                assert_eq!(rows, scene.events.len() as u64, "{what}\n{}", scene.logs());
            }
            for worker in &workers {
                assert_eq!(
                    terminate(worker).code(),
                    Some(0),
                    "{what}\n{}",
                    scene.logs()
                );
            }
            // In a single round of few calls it can be that nothing does.
            failed_in_all.fetch_add(failed, Ordering::Relaxed);
            quiet.fetch_add(u64::from(failed == 0), Ordering::Relaxed);
            scene.check(&what);
            scene
        },
    );
    let failed = failed_in_all.into_inner();
    assert!(failed > 3 * ROUNDS, "only {failed} calls failed");
    let quiet = quiet.into_inner();
    assert!(quiet <= ROUNDS / 20, "nothing failed in {quiet} rounds");
}

#[test]
fn what_a_message_says_is_accounted_for_and_nothing_is_read_that_is_not_allowed() {
    let scene = Scene::new(16, 3, 10);
    let queue = scene.cloud.queue();
    let removed = notification(BUCKET, "AWSLogs/gone.json.gz")
        .replace("ObjectCreated:Put", "ObjectRemoved:Delete");
    scene
        .cloud
        .put("secret", "AWSLogs/x.json.gz", b"not for us".to_vec());
    scene
        .cloud
        .put(BUCKET, "odd name+%2F..é.json.gz", gzip(&log_text(&[])));
    scene.cloud.put(BUCKET, "huge.bin", vec![0; 1024]);
    let said = [
        "hello".to_owned(),
        "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"trail\"}".to_owned(),
        removed,
        notification("secret", "AWSLogs/x.json.gz"),
        notification(BUCKET, "AWSLogs/../../secret/x.json.gz"),
        notification(BUCKET, "odd name+%2F..é.json.gz"),
        notification(BUCKET, "huge.bin"),
        notification(BUCKET, "AWSLogs/"),
    ];
    for body in &said {
        // Twice each: two messages.
        queue.send(body.clone(), now());
        queue.send(body.clone(), now());
    }
    scene.notify(1, &mut Random(4));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let asked = scene.cloud.plan().asked.clone();
    let read: Vec<_> = asked
        .iter()
        .filter(|place| !place.starts_with("lake/"))
        .collect();
    assert!(
        read.iter().all(|place| place.starts_with("trail/")),
        "asked for {read:?}"
    );
    let mut found = rows_of(
        &scene,
        "SELECT uri, status, reason FROM log_objects WHERE status <> 'committed' OR records = 0 ORDER BY uri",
    );
    found.sort();
    expect_test::expect![[r#"
        s3://secret/AWSLogs/x.json.gz ignored not_allowed: the bucket is not listed
        s3://trail/AWSLogs/ ignored folder_marker
        s3://trail/AWSLogs/../../secret/x.json.gz quarantined missing: it was announced and is not there
        s3://trail/huge.bin ignored not_a_cloudtrail_key
        s3://trail/odd name+%2F..é.json.gz committed "#]].assert_eq(&found.join("\n"));
    let notes = rows_of(
        &scene,
        "SELECT kind, reason, bucket, object_key, body, count(*) FROM notifications \
         GROUP BY ALL ORDER BY kind",
    );
    expect_test::expect![[r#"
        control s3_test_event    2
        removed deleted trail AWSLogs/gone.json.gz  2
        unknown not_json   hello 2"#]]
    .assert_eq(&notes.join("\n"));
    let events = rows_of(&scene, "SELECT count(*) FROM s3_access");
    assert_eq!(events, [scene.events.len().to_string()]);
}

#[test]
fn a_changed_policy_is_taken_up_if_it_is_sound() {
    let scene = Scene::new(17, 8, 10);
    let policy = |text: &str| scene.world.put("policy/rules.cedar", text.as_bytes());
    policy("@id(\"first\") permit (principal, action, resource);");
    let (before, after) = scene.keys.split_at(4);
    let tell = |keys: &[String]| {
        for key in keys {
            scene.cloud.queue().send(notification(BUCKET, key), now());
        }
    };
    tell(before);
    let worker = shared(scene.worker_with(0, "", "[policy]\ndir = \"policy\"\n"));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    policy("@id(\"broken\") permit (principal, action resource);");
    scene.wait_for_log("the changed policy is not sound; the one in use stays", 1);
    tell(&after[..2]);
    scene.wait_until_empty(std::slice::from_ref(&worker));
    policy("@id(\"second\") permit (principal, action, resource);");
    scene.wait_for_log("a changed policy is in use", 1);
    tell(&after[2..]);
    scene.wait_until_empty(std::slice::from_ref(&worker));
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let used = rows_of(
        &scene,
        "SELECT p.text, count(DISTINCT a.source_uri) FROM s3_access a \
         JOIN policy_versions p USING (policy_version) WHERE p.file = 'rules.cedar' \
         GROUP BY p.text ORDER BY p.text",
    );
    let expected = ["first", "second"].map(|id| {
        let objects = if id == "first" { 6 } else { 2 };
        format!("@id(\"{id}\") permit (principal, action, resource); {objects}")
    });
    assert_eq!(used, expected, "{}", scene.logs());
    scene.check("policies changed");
}

#[test]
fn workers_settle_beside_their_work() {
    let scene = Scene::new(18, 12, 20);
    scene.notify(2, &mut Random(5));
    let own = "settle_interval = \"1s\"\n";
    let workers: Vec<_> = (0..2)
        .map(|n| shared(scene.worker_with(n, own, "")))
        .collect();
    scene.wait_until_empty(&workers);
    // Rounds that began after the last commit.
    let done = scene.logs().matches("\"settled\"").count();
    scene.wait_for_log("\"settled\"", done + 4);
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0), "{}", scene.logs());
    }
    scene.check("settled");
    let settled = rows_of(
        &scene,
        "SELECT settled, count(*) FROM s3_access GROUP BY settled",
    );
    assert_eq!(
        settled,
        [format!("true {}", scene.events.len())],
        "{}",
        scene.logs()
    );
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_read() {
    let scene = Scene::new(19, 1, 5);
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bricktrail"));
        command
            .current_dir(scene.world.path(""))
            .env_remove("BRICKTRAIL_LAKE")
            .args(["run", "--listen", "127.0.0.1:0"])
            .args(arguments);
        let output = scene
            .cloud
            .environ(&mut command, &key_of(0))
            .output()
            .unwrap();
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        told
    };
    let queue = scene.cloud.queue_url();
    let (lake, allow) = ("s3://lake/x", "s3://trail/AWSLogs/");
    let told = refused(&["--lake", lake, "--allow", allow]);
    assert!(told.contains("--queue"), "{told}");
    let told = refused(&["--lake", lake, "--queue", &queue]);
    assert!(told.contains("--allow"), "{told}");
    let told = refused(&[
        "--lake",
        "s3://trail/AWSLogs/lake",
        "--queue",
        &queue,
        "--allow",
        allow,
    ]);
    assert!(told.contains("announce itself"), "{told}");
    let elsewhere = scene.cloud.url() + "/111122223333/elsewhere";
    let told = refused(&["--lake", lake, "--queue", &elsewhere, "--allow", allow]);
    assert!(told.contains("does not exist"), "{told}");
    let told = refused(&[
        "--lake",
        "ftp://lake/x",
        "--queue",
        &queue,
        "--allow",
        allow,
    ]);
    assert!(told.contains("ftp"), "{told}");
    let asked = scene.cloud.plan().asked.clone();
    assert!(asked.is_empty(), "{asked:?}");
}
