//! What a worker meets beside failing services: permissions, regions, clocks, full disks,
//! changes of policy and people while it works.

use super::cloud::{Cloud, Refusal, notification, now};
use super::kill::seed;
use super::scene::*;
use super::world::*;
use bricktrail::aws::memory::{MemoryObjects, MemoryQueue};
use bricktrail::identity::IdentitySettings;
use bricktrail::lake::Lake;
use bricktrail::model::UtcMicros;
use bricktrail::pipeline::allowed::{AllowList, AllowedBucket};
use bricktrail::pipeline::commit::Company;
use bricktrail::pipeline::limits::Limits;
use bricktrail::pipeline::meters::Meters as Counters;
use bricktrail::pipeline::worker::{WorkerJob, work};
use bricktrail::policy::{Policy, PolicySettings};
use serde_json::json;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

fn refusal(key: &str, times: u64, told: (u16, &'static str, &'static str)) -> Refusal {
    let (status, code, message) = told;
    Refusal {
        place: format!("{BUCKET}/{key}"),
        times,
        status,
        code,
        message,
    }
}

const DENIED: (u16, &str, &str) = (403, "AccessDenied", "Access Denied");
const NO_KEY: (u16, &str, &str) = (
    403,
    "AccessDenied",
    "User is not authorized to perform: kms:Decrypt on the resource",
);

#[test]
fn a_digest_is_kept_with_its_signature_and_said_to_be_none_where_it_is_none() {
    let scene = Scene::new(30, 1, 3);
    let key = |hour: u32| {
        format!(
            "AWSLogs/{ACCOUNT}/CloudTrail-Digest/us-west-2/2026/03/27/{ACCOUNT}_CloudTrail-Digest\
             _us-west-2_trail_us-west-2_20260327T{hour:02}0131Z.json.gz"
        )
    };
    let text = json!({"awsAccountId": ACCOUNT, "digestEndTime": "2026-03-27T13:01:31Z", "digestS3Bucket": BUCKET,
        "digestS3Object": key(13), "logFiles": []})
    .to_string();
    let signed = vec![
        ("signature", "50887ccf".to_owned()),
        ("signature-algorithm", "SHA256withRSA".to_owned()),
    ];
    let cloud = &scene.cloud;
    cloud.put_with(BUCKET, &key(13), gzip(text.as_bytes()), signed);
    cloud.put(BUCKET, &key(14), gzip(b"{\"a\":1}"));
    for key in [key(13), key(14), key(13), key(15)] {
        cloud.queue().send(notification(BUCKET, &key), now());
    }
    scene.notify(1, &mut Random(1));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let kept = rows_of(
        &scene,
        "SELECT content, signature, signature_algorithm, backfill_generated_at IS NULL, \
           count(*) OVER () FROM digest_objects",
    );
    assert_eq!(kept, [format!("{text} 50887ccf SHA256withRSA true 1")]);
    let fates = rows_of(
        &scene,
        "SELECT right(uri, 15), status, split_part(reason, ':', 1) FROM log_objects \
         WHERE kind = 'digest' ORDER BY uri",
    );
    let expected = [
        "130131Z.json.gz ignored digest",
        "140131Z.json.gz quarantined no_digest",
        // Announced and not there: evidence, too.
        "150131Z.json.gz quarantined missing",
    ];
    assert_eq!(fates, expected, "{}", scene.logs());
}

#[test]
fn what_is_refused_for_a_while_is_read_once_it_is_allowed() {
    let scene = Scene::new(31, 6, 10);
    let refused = [
        (400, "ExpiredToken", "The provided token has expired."),
        DENIED,
        NO_KEY,
        (400, "KMS.DisabledException", "The key is disabled."),
        (503, "SlowDown", "Please reduce your request rate."),
        (403, "RequestTimeTooSkewed", "The difference is too large."),
    ];
    let keys = scene.keys.iter().zip(refused);
    // The client itself tries some of them again.
    scene.cloud.plan().refusals = keys.map(|(key, told)| refusal(key, 3, told)).collect();
    scene.notify(2, &mut Random(2));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    let meters = settled_meters(&scene, 1, "refused for a while");
    let errors = |reason: &str| {
        meters[0].sum(&format!(
            "bricktrail_fetch_errors_total{{reason=\"{reason}\"}}"
        ))
    };
    assert!(errors("access_denied") > 0 && errors("kms_denied") > 1);
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let left = scene
        .cloud
        .plan()
        .refusals
        .iter()
        .map(|it| it.times)
        .sum::<u64>();
    assert_eq!(left, 0, "some were never refused");
    scene.check("refused for a while");
}

/// Lets the pauses of messages pass at once, until each is committed or given up.
fn until_given_up(scene: &Scene) {
    let started = Instant::now();
    while !scene.cloud.queue().is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{}",
            scene.logs()
        );
        scene.cloud.queue().expire_all();
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_is_refused_for_hours_is_recorded_and_read_when_it_is_announced_again() {
    let scene = Scene::new(32, 4, 10);
    let refused = [
        DENIED,
        NO_KEY,
        (403, "InvalidObjectState", "The operation is not valid."),
    ];
    let keys = scene.keys.iter().zip(refused);
    let refusals = keys.map(|(key, told)| refusal(key, u64::MAX, told));
    scene.cloud.plan().refusals = refusals.collect();
    let long_ago = now().plus_seconds(-3 * 3600);
    for key in &scene.keys {
        scene
            .cloud
            .queue()
            .send(notification(BUCKET, key), long_ago);
    }
    let worker = shared(scene.worker(0));
    // However old it is, it is not given up at once.
    scene.wait_for_log("not fetched; it is tried again later", 2);
    let given_up = scene
        .logs()
        .matches("it is recorded with the reason")
        .count();
    assert!(given_up <= 1, "{}", scene.logs());
    until_given_up(&scene);
    let recorded = rows_of(
        &scene,
        "SELECT status, split_part(reason, ':', 1), count(*) FROM log_objects \
         GROUP BY ALL ORDER BY 1, 2",
    );
    assert_eq!(
        recorded,
        [
            "committed  1",
            "quarantined access_denied 1",
            "quarantined archived 1",
            "quarantined kms_denied 1"
        ],
        "{}",
        scene.logs()
    );
    scene.cloud.plan().refusals.clear();
    scene.notify(1, &mut Random(3));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    settled_meters(&scene, 1, "announced again");
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let events = rows_of(
        &scene,
        "SELECT count(*), count(DISTINCT event_id || aws_account_id) FROM s3_access",
    );
    let count = scene.events.len();
    assert_eq!(events, [format!("{count} {count}")]);
}

#[test]
fn a_bucket_in_another_region_is_followed_and_a_foreign_owner_is_refused() {
    let scene = Scene::new(33, 3, 10);
    let bucket = BUCKET.to_owned();
    scene.cloud.plan().regions.insert(bucket, "eu-west-1");
    scene.notify(1, &mut Random(4));
    let worker = shared(scene.worker(0));
    scene.wait_until_empty(std::slice::from_ref(&worker));
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    // Remembered: not once for each object.
    let redirected = scene.cloud.plan().redirected;
    assert!((1..=3).contains(&redirected), "{redirected} redirects");
    scene.check("in another region");

    let scene = scene.begin(Cloud::start());
    let long_ago = now().plus_seconds(-3 * 3600);
    let key = &scene.keys[0];
    scene
        .cloud
        .queue()
        .send(notification(BUCKET, key), long_ago);
    // The allow-list of the scene names the bucket without an owner; this one replaces it.
    let mut command = Command::new(env!("CARGO_BIN_EXE_bricktrail"));
    scene.prepare(&mut command, "", "");
    let config = scene.world.path("worker.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "owner = \"999999999999\"\n").unwrap();
    command.args(["run", "--config", "worker.toml"]);
    command.stderr(Stdio::null());
    let worker = scene.cloud.environ(&mut command, &key_of(0)).spawn();
    let worker = shared(worker.unwrap());
    until_given_up(&scene);
    assert_eq!(terminate(&worker).code(), Some(0));
    let recorded = rows_of(&scene, "SELECT split_part(reason, ':', 1) FROM log_objects");
    assert_eq!(recorded, ["access_denied"]);
}

/// A clock that somebody sets, hours to and fro.
fn unsteady() -> UtcMicros {
    static ASKED: AtomicI64 = AtomicI64::new(0);
    let asked = ASKED.fetch_add(1, Ordering::Relaxed);
    now().plus_seconds((asked % 7 - 3) * 5000)
}

#[test]
fn clocks_that_step_lose_and_double_nothing() {
    let world = World::new();
    fill(&world, 34, 40, 20);
    world.scan();
    let (queue, objects) = (MemoryQueue::default(), MemoryObjects::default());
    let trail = world.trail();
    let mut random = Random(5);
    for path in files_below(&trail) {
        let key = path.strip_prefix(&trail).unwrap().to_str().unwrap();
        objects.put(BUCKET, key, std::fs::read(&path).unwrap());
        for _ in 0..1 + random.below(3) {
            queue.send(notification(BUCKET, key), unsteady());
        }
    }
    let lake = world.path("worked");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut lake = Lake::open(lake.to_str().unwrap()).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        let (_changes, changes) = mpsc::channel(1);
        let policy = Policy::starter(&PolicySettings::default()).unwrap();
        let meters = Arc::new(Counters::new(unsteady));
        let job = WorkerJob {
            queue: Arc::new(queue.clone()),
            objects: Arc::new(objects),
            allowed: AllowList(vec![AllowedBucket {
                bucket: BUCKET.to_owned(),
                ..AllowedBucket::default()
            }]),
            policy: Arc::new(policy),
            identity: IdentitySettings::default(),
            limits: Limits {
                commit_objects: 4,
                commit_interval: Duration::from_millis(100),
                ..Limits::for_cores(2)
            },
            hide: Duration::from_secs(10),
            company: Company::Shared {
                patience: Duration::from_secs(10),
            },
            progress: meters.clone(),
            meters,
            changes,
            stop: stopped,
            now: unsteady,
        };
        let waiting = tokio::spawn(async move {
            let started = Instant::now();
            while !queue.is_empty() && started.elapsed() < Duration::from_secs(60) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.send_replace(true);
            queue.is_empty()
        });
        work(&mut lake, job).await.unwrap();
        assert!(waiting.await.unwrap(), "messages are left");
    });
    let found = Found::read(&lake);
    assert_eq!(found.events, world.events());
    assert_eq!(found.off, "");
    assert_eq!(
        found.fates,
        format!("committed 40 40 {}", found.events.len())
    );
}

/// Bytes that a file may have, in the blocks of `ulimit`: as on a disk that is full, a
/// longer one cannot be written.
const FILE_BLOCKS_MAX: u32 = 40;

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_worker_and_loses_nothing() {
    let scene = Scene::new(35, 6, 600);
    scene.notify(2, &mut Random(6));
    let lake = scene.world.path("local");
    let worker = |shell: &str| {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_bricktrail");
        scene.prepare(&mut command, "patience = \"1s\"\n", "");
        let config = std::fs::read_to_string(scene.world.path("worker.toml")).unwrap();
        let config = config.replace("patience = \"30s\"\n", "");
        scene.world.put("worker.toml", config.as_bytes());
        let run = format!(
            "{shell} exec '{program}' --lake '{}' run --config worker.toml",
            lake.display()
        );
        command.args(["-c", &run]).stderr(Stdio::piped());
        scene
            .cloud
            .environ(&mut command, &key_of(0))
            .spawn()
            .unwrap()
    };
    // The tables are made while there is room.
    let made = World::new();
    made.put_log(
        &log_key(ACCOUNT, "us-west-2", "1200", "0000000000000000"),
        &[],
    );
    let trail = made.trail();
    let scan = ["scan", trail.to_str().unwrap()];
    let scanned = scene
        .world
        .command_in(lake.to_str().unwrap(), &scan)
        .output()
        .unwrap();
    assert_eq!(scanned.status.code(), Some(0), "{}", errors(&scanned));
    // Its signal, else the end of a process, becomes an error of the write.
    let full = worker(&format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS_MAX};"));
    let ended = full.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert!(told.contains("trying again"), "{told}");
    assert!(!scene.cloud.queue().is_empty());
    scene.cloud.queue().expire_all();
    let roomy = worker("");
    let roomy = shared(roomy);
    scene.wait_until_empty(std::slice::from_ref(&roomy));
    assert_eq!(terminate(&roomy).code(), Some(0));
    // The one empty object that made the tables is no part of the scene.
    let found = Found::read(&lake);
    assert_eq!(found.events, scene.events);
    assert_eq!(found.off, "");
    let fates = format!("committed 7 7 {}", scene.events.len());
    assert_eq!(found.fates, fates);
}

#[test]
fn policies_that_change_while_services_fail_lose_and_double_nothing() {
    let seed = seed();
    let scene = Scene::new(36, 24, 10);
    let mut random = Random(seed);
    {
        let mut plan = scene.cloud.plan();
        plan.failing = 60;
        plan.random = Some(Random(random.next()));
    }
    let policy = |n: usize| {
        let text = format!("@id(\"p{n}\") permit (principal, action, resource);");
        scene.world.put("policy/rules.cedar", text.as_bytes());
    };
    policy(0);
    let policy_dir = "[policy]\ndir = \"policy\"\n";
    let workers: Vec<_> = (0..2)
        .map(|n| shared(scene.worker_with(n, "", policy_dir)))
        .collect();
    for (n, keys) in scene.keys.chunks(8).enumerate() {
        for key in keys.iter().chain(keys) {
            scene.cloud.queue().send(notification(BUCKET, key), now());
        }
        scene.wait_until_empty(&workers);
        policy(n + 1);
        scene.wait_for_log("a changed policy is in use", 2 * (n + 1));
    }
    scene.cloud.plan().failing = 0;
    settled_meters(&scene, 2, "policies changed");
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0), "{}", scene.logs());
    }
    let what = format!("policies changed, BRICKTRAIL_SEED={seed}");
    scene.check(&what);
    let used = rows_of(
        &scene,
        "SELECT count(DISTINCT policy_version) FROM s3_access",
    );
    assert_eq!(used, ["3"]);
}

#[test]
fn people_and_clusters_that_are_imported_meanwhile_count_from_then_on() {
    let instance = "i-0c1a7e33d5b2f9a48";
    let log = |n: u64| {
        let session = role_session("etl", instance, "ASIAEXAMPLE", "2026-03-27T11:00:00Z");
        vec![get_object(&guid(n), NOON, session, "t/x")]
    };
    let mut scene = Scene::new(37, 0, 0);
    let keys: Vec<String> = (0..2_u64)
        .map(|n| log_key(ACCOUNT, "us-west-2", "1205", &format!("{n:016x}")))
        .collect();
    for (n, key) in (0..).zip(&keys) {
        scene.world.put_log(key, &log(n));
    }
    scene.keys = keys.clone();
    let scene = scene.begin(Cloud::start());
    let node = json!({"workspace_id": "11", "cluster_id": "c-1", "instance_id": instance, "private_ip": "10.1.2.3",
        "start_time": "2026-03-27T11:00:00Z", "end_time": "2026-03-27T13:00:00Z"});
    let file = "exports/system.compute.node_timeline/a.json";
    scene.world.put(file, node.to_string().as_bytes());
    scene.world.put("nothing/README", b"no trail");
    let worker = shared(scene.worker(0));
    let send = |key: &String| scene.cloud.queue().send(notification(BUCKET, key), now());
    send(&keys[0]);
    scene.wait_until_empty(std::slice::from_ref(&worker));
    let lake = format!("s3://lake/{LAKE}");
    let mut import = scene
        .world
        .command_in(&lake, &["scan", "--databricks", "exports", "nothing"]);
    let import = scene
        .cloud
        .environ(&mut import, &key_of(1))
        .output()
        .unwrap();
    assert_eq!(import.status.code(), Some(0), "{}", errors(&import));
    let started = Instant::now();
    while !scene.logs().contains("imported anew") {
        assert!(
            started.elapsed() < Duration::from_secs(100),
            "{}",
            scene.logs()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    send(&keys[1]);
    scene.wait_until_empty(std::slice::from_ref(&worker));
    assert_eq!(terminate(&worker).code(), Some(0), "{}", scene.logs());
    let found = rows_of(
        &scene,
        "SELECT coalesce(cluster_id, 'none') FROM s3_access ORDER BY ingested_at",
    );
    assert_eq!(found, ["none", "c-1"]);
}

#[test]
fn a_log_that_forgets_what_others_have_not_read_loses_and_doubles_nothing() {
    let scene = Scene::new(39, 300, 2);
    scene.cloud.plan().forgetful = true;
    scene.notify(2, &mut Random(seed()));
    let workers: Vec<_> = (0..3).map(|n| shared(scene.worker(n))).collect();
    scene.wait_until_empty(&workers);
    for worker in &workers {
        assert_eq!(terminate(worker).code(), Some(0), "{}", scene.logs());
    }
    let place = format!("{LAKE}s3_access/_delta_log/{:020}.json", 1);
    assert!(!scene.cloud.has("lake", &place), "nothing is forgotten");
    scene.check("a log that forgets");
}
