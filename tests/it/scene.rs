//! A trail in a bucket on loopback, the lake that a scan makes of it, and workers, as
//! processes, that are to make the same lake.

use super::cloud::{Cloud, notification, now};
use super::world::*;
use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use bricktrail::lake::sql::session;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const BUCKET: &str = "trail";
pub const LAKE: &str = "bricktrail/";

/// A trail, the lake that a scan makes of it, and the cloud that it is uploaded to.
pub struct Scene {
    pub world: World,
    pub cloud: Cloud,
    pub keys: Vec<String>,
    /// Event ids and accounts, of the scan.
    pub events: Vec<(String, String)>,
}

impl Scene {
    pub fn new(seed: u64, objects: u64, records: u64) -> Scene {
        let world = World::new();
        fill(&world, seed, objects, records);
        world.scan();
        let events = world.events();
        let trail = world.trail();
        let keys = files_below(&trail);
        let keys = keys.iter().map(|path| path.strip_prefix(&trail).unwrap());
        let keys = keys.map(|key| key.to_str().unwrap().to_owned()).collect();
        let cloud = Cloud::start();
        let scene = Scene {
            world,
            cloud: cloud.clone(),
            keys,
            events,
        };
        scene.begin(cloud)
    }

    /// The same trail, in another cloud.
    pub fn begin(mut self, cloud: Cloud) -> Scene {
        for key in &self.keys {
            let bytes = std::fs::read(self.world.trail().join(key)).unwrap();
            cloud.put(BUCKET, key, bytes);
        }
        self.cloud = cloud;
        for log in self.log_files() {
            drop(std::fs::remove_file(log));
        }
        self
    }

    /// Sends the notifications, each so many times, in an order drawn by `random`.
    pub fn notify(&self, times: u64, random: &mut Random) {
        let mut all: Vec<&String> = Vec::new();
        for key in &self.keys {
            let copies = 1 + random.below(times);
            (0..copies).for_each(|_| all.push(key));
        }
        while !all.is_empty() {
            let key = all.swap_remove(random.below(all.len() as u64) as usize);
            self.cloud.queue().send(notification(BUCKET, key), now());
        }
    }

    pub fn worker(&self, number: u32) -> Child {
        self.worker_with(number, "", "")
    }

    /// A worker with more settings of its own and of other sections.
    pub fn worker_with(&self, number: u32, own: &str, others: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bricktrail"));
        self.prepare(&mut command, own, others);
        let errors = self.world.path(&format!("worker-{number}.log"));
        let errors = std::fs::File::options()
            .create(true)
            .append(true)
            .open(errors);
        command
            .stderr(errors.unwrap())
            .args(["run", "--config", "worker.toml"]);
        let key = key_of(number);
        self.cloud.environ(&mut command, &key).spawn().unwrap()
    }

    /// Writes the configuration of a worker, `worker.toml`, and makes the command run
    /// where it is.
    pub fn prepare(&self, command: &mut Command, own: &str, others: &str) {
        let config = format!(
            "lake = \"s3://lake/{LAKE}\"\n[run]\nqueue = \"{}\"\nlisten = \"127.0.0.1:0\"\n\
             commit_interval = \"150ms\"\ncommit_objects = 4\ncommit_bytes = \"1 MiB\"\n\
             visibility_timeout = \"10s\"\npatience = \"30s\"\n{own}\n\
             [[run.allow]]\nbucket = \"{BUCKET}\"\n{others}",
            self.cloud.queue_url()
        );
        // Another worker may be about to read it.
        let known = std::fs::read_to_string(self.world.path("worker.toml"));
        if known.ok().as_deref() != Some(config.as_str()) {
            self.world.put("worker.toml", config.as_bytes());
        }
        command
            .current_dir(self.world.path(""))
            .env_remove("BRICKTRAIL_LAKE")
            .env_remove("BRICKTRAIL_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
    }

    pub fn log_files(&self) -> impl Iterator<Item = PathBuf> {
        (0..4).map(|n| self.world.path(&format!("worker-{n}.log")))
    }

    pub fn logs(&self) -> String {
        let logs = self.log_files();
        logs.filter_map(|log| std::fs::read_to_string(log).ok())
            .collect()
    }

    /// Waits until a worker's log says so, that many times.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str, times: usize) {
        let started = Instant::now();
        while self.logs().matches(text).count() < times {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "no {text:?} in\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until every message is deleted.
    #[track_caller]
    pub fn wait_until_empty(&self, workers: &[Arc<Mutex<Child>>]) {
        let started = Instant::now();
        while !self.cloud.queue().is_empty() {
            for worker in workers {
                let ended = worker.lock().unwrap().try_wait().unwrap();
                assert!(
                    ended.is_none(),
                    "a worker ended: {ended:?}\n{}",
                    self.logs()
                );
            }
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "{} messages are left\n{}",
                self.cloud.queue().len(),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What a worker wrote is what the scan wrote.
    #[track_caller]
    pub fn check(&self, what: &str) {
        let lake = self.world.path("found");
        drop(std::fs::remove_dir_all(&lake));
        self.cloud.download("lake", LAKE, &lake);
        self.check_lake(&lake, what);
    }

    /// The same of a lake in a folder.
    #[track_caller]
    pub fn check_lake(&self, lake: &Path, what: &str) {
        let found = Found::read(lake);
        let logs = || self.logs();
        assert_eq!(
            found.events.len(),
            self.events.len(),
            "{what}: rows\n{}",
            logs()
        );
        assert_eq!(found.events, self.events, "{what}: events");
        assert_eq!(found.off, "", "{what}: objects that do not add up");
        let objects = self.keys.len();
        let expected = format!("committed {objects} {objects} {}", found.events.len());
        assert_eq!(
            found.fates,
            expected,
            "{what}: fates of objects\n{}",
            logs()
        );
    }
}

/// The rows of a query, as texts.
pub fn lines(lake: &Path, sql: &str) -> Vec<Vec<String>> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let batches = runtime.block_on(async {
        let session = session(lake.to_str().unwrap()).await.unwrap();
        session.sql(sql).await.unwrap().collect().await.unwrap()
    });
    let texts = |batch: &RecordBatch, row: usize| -> Vec<String> {
        let columns = batch.columns().iter();
        columns
            .map(|column| array_value_to_string(column, row).unwrap())
            .collect()
    };
    let of = |batch: &RecordBatch| -> Vec<Vec<String>> {
        (0..batch.num_rows()).map(|row| texts(batch, row)).collect()
    };
    batches.iter().flat_map(of).collect()
}

/// What a lake holds, read in this process: hundreds are.
pub struct Found {
    pub events: Vec<(String, String)>,
    pub off: String,
    pub fates: String,
}

impl Found {
    pub fn read(lake: &Path) -> Found {
        let lines = |sql: &str| lines(lake, sql);
        let events = lines("SELECT event_id, aws_account_id FROM s3_access");
        let events = events
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()));
        let mut events: Vec<_> = events.collect();
        events.sort();
        let joined = |rows: Vec<Vec<String>>| {
            let rows = rows.iter().map(|row| row.join(" "));
            rows.collect::<Vec<_>>().join("\n")
        };
        Found {
            events,
            off: joined(lines(
                "SELECT uri FROM log_objects \
                 WHERE records <> rows_written + not_s3 + duplicates + bad",
            )),
            fates: joined(lines(
                "SELECT status, count(*), count(DISTINCT uri), sum(rows_written) \
                 FROM log_objects GROUP BY status ORDER BY status",
            )),
        }
    }
}

pub fn terminate(worker: &Mutex<Child>) -> ExitStatus {
    let mut worker = worker.lock().unwrap();
    let sent = Command::new("kill")
        .args(["-TERM", &worker.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
    worker.wait().unwrap()
}

/// The access key of a worker, by which the cloud knows it.
pub fn key_of(number: u32) -> String {
    format!("AKIAWORKER{number}")
}

pub fn shared(worker: Child) -> Arc<Mutex<Child>> {
    Arc::new(Mutex::new(worker))
}

/// What a worker answers at the address that its log tells last.
pub fn ask(scene: &Scene, number: u32, path: &str) -> String {
    let log = scene.world.path(&format!("worker-{number}.log"));
    let started = Instant::now();
    // Others may have done all the work before it was ready.
    let address = loop {
        let told = std::fs::read_to_string(&log).unwrap();
        if let Some((_, rest)) = told.rsplit_once("\"listen\":\"") {
            break rest.split('"').next().unwrap().to_owned();
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{told}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer
}

/// Rows of a query over what the worker wrote, columns joined by blanks.
pub fn rows_of(scene: &Scene, sql: &str) -> Vec<String> {
    let lake = scene.world.path("found");
    drop(std::fs::remove_dir_all(&lake));
    scene.cloud.download("lake", LAKE, &lake);
    let rows = lines(&lake, sql);
    rows.iter().map(|row| row.join(" ")).collect()
}

/// What a worker's meters say.
pub struct Meters(String);

impl Meters {
    pub fn of(scene: &Scene, number: u32) -> Meters {
        Meters(ask(scene, number, "/metrics"))
    }

    /// The sum over the labels of a metric; 0 where it was never counted.
    pub fn sum(&self, name: &str) -> u64 {
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(name));
        let of_metric = lines.filter(|rest| rest.starts_with([' ', '{']));
        let values = of_metric.map(|rest| rest.rsplit(' ').next().unwrap());
        values.map(|value| value.parse::<u64>().unwrap()).sum()
    }

    /// What is counted twice, on two ways, and must be the same with nothing in flight.
    fn pairs(&self) -> [(u64, u64); 4] {
        let sum = |names: &[&str]| {
            let names = names.iter();
            names
                .map(|name| self.sum(&format!("bricktrail_{name}")))
                .sum()
        };
        [
            (sum(&["in_flight_bytes", "messages_held"]), 0),
            (
                sum(&["messages_received_total"]),
                sum(&[
                    "messages_acknowledged_total",
                    "messages_not_deleted_total",
                    "messages_let_go_total",
                ]),
            ),
            (
                sum(&["announced_total"]),
                sum(&[
                    "objects_total",
                    "notifications_total",
                    "announced_known_total",
                    "announced_again_total",
                ]),
            ),
            (
                sum(&["verdicts_total"]),
                sum(&["records_total{outcome=\"row\"}"]),
            ),
        ]
    }
}

/// The meters of these workers once nothing is in flight any more, each of which adds up.
#[track_caller]
pub fn settled_meters(scene: &Scene, workers: u32, what: &str) -> Vec<Meters> {
    let started = Instant::now();
    let of_worker = |number| loop {
        let meters = Meters::of(scene, number);
        if meters.pairs().iter().all(|(one, other)| one == other) {
            return meters;
        }
        assert!(
            started.elapsed() < Duration::from_secs(40),
            "{what}: the meters of worker {number} do not add up: {:?}\n{}\n{}",
            meters.pairs(),
            meters.0,
            scene.logs()
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    (0..workers).map(of_worker).collect()
}
