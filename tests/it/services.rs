//! One contract for queue and buckets: the twins in memory keep it, the loopback server
//! of these tests keeps it, and moto, which stands for AWS, keeps it, so that what is
//! proven with the first two holds for the third.

use super::cloud::Cloud;
use aws_config::SdkConfig;
use bricktrail::aws::client::load_config;
use bricktrail::aws::memory::{MemoryObjects, MemoryQueue};
use bricktrail::aws::objects::{FetchError, ObjectName, Objects};
use bricktrail::aws::queue::{Answer, MessageQueue, QueueError};
use bricktrail::aws::s3::S3Objects;
use bricktrail::aws::sqs::SqsQueue;
use bricktrail::model::{DigestSignature, UtcMicros};
use futures::StreamExt as _;
use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// What a queue must do, whoever it is; it is empty at the beginning.
async fn queue_contract<F: Future<Output = ()>>(
    queue: &dyn MessageQueue,
    send: impl Fn(String) -> F,
) {
    assert_eq!(queue.receive(10, Duration::ZERO, LONG).await.unwrap(), []);
    send("one".to_owned()).await;
    let first = queue.receive(10, SHORT, LONG).await.unwrap();
    let [first] = first.as_slice() else {
        panic!("{first:?}");
    };
    assert_eq!((first.body.as_str(), first.receive_count), ("one", 1));
    let sent = first.sent_at.unwrap();
    let now = UtcMicros::from_datetime(chrono::Utc::now());
    assert!((now.0 - sent.0).abs() < 60_000_000, "sent at {sent}");
    assert_eq!(queue.depth().await.unwrap().hidden, 1);

    // Held: nobody else sees it. Let go: it comes again, with another receipt.
    assert_eq!(queue.receive(10, Duration::ZERO, LONG).await.unwrap(), []);
    let receipts = [first.receipt.clone()];
    let answers = queue.hide(&receipts, LONG).await.unwrap();
    assert_eq!(answers, [Answer::Done]);
    let answers = queue.hide(&receipts, Duration::ZERO).await.unwrap();
    assert_eq!(answers, [Answer::Done]);
    let again = queue.receive(10, SHORT, LONG).await.unwrap();
    let [again] = again.as_slice() else {
        panic!("{again:?}");
    };
    assert_eq!((&again.id, again.receive_count), (&first.id, 2));
    assert_ne!(again.receipt, first.receipt);

    // Deleted: it comes no more, and nothing can be done to it.
    let receipts = [again.receipt.clone()];
    assert_eq!(queue.delete(&receipts).await.unwrap(), [Answer::Done]);
    assert_ne!(queue.hide(&receipts, LONG).await.unwrap(), [Answer::Done]);
    assert_eq!(queue.receive(10, Duration::ZERO, LONG).await.unwrap(), []);

    // Ten at a time, each answered for.
    for n in 0..12 {
        send(n.to_string()).await;
    }
    let mut bodies = Vec::new();
    while bodies.len() < 12 {
        let some = queue.receive(10, SHORT, LONG).await.unwrap();
        assert!(!some.is_empty() && some.len() <= 10, "{some:?}");
        let mut receipts: Vec<String> = some.iter().map(|m| m.receipt.clone()).collect();
        receipts.truncate(9);
        receipts.push("no-such-receipt".to_owned());
        let answers = queue.delete(&receipts).await.unwrap();
        let (last, deleted) = answers.split_last().unwrap();
        assert!(deleted.iter().all(|answer| *answer == Answer::Done));
        assert_eq!(*last, Answer::Lost);
        let rest: Vec<String> = some.iter().skip(9).map(|m| m.receipt.clone()).collect();
        if !rest.is_empty() {
            assert_eq!(queue.delete(&rest).await.unwrap(), [Answer::Done]);
        }
        bodies.extend(some.into_iter().map(|message| message.body));
    }
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    let expected: Vec<String> = (0..12).map(|n: u32| n.to_string()).collect();
    assert_eq!(bodies, expected);
}

fn name(bucket: &str, key: &str) -> ObjectName {
    ObjectName {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id: None,
        expected_owner: None,
    }
}

/// What buckets must do; [`BUCKET`] holds `k` with these bytes, and a key that is hard to write.
async fn objects_contract(objects: &dyn Objects) {
    for key in KEYS {
        let opened = objects.open(&name(BUCKET, key)).await.unwrap();
        assert_eq!(opened.bytes, Some(BYTES.len() as u64), "{key}");
        assert!(opened.etag.as_ref().is_some_and(|etag| !etag.contains('"')));
        let pieces: Vec<_> = opened.body.collect().await;
        let bytes: Vec<u8> = pieces
            .into_iter()
            .flat_map(|piece| piece.unwrap())
            .collect();
        assert_eq!(bytes, BYTES, "{key}");
    }
    let missing = objects.open(&name(BUCKET, "missing")).await;
    assert_eq!(missing.map(|_| ()).unwrap_err(), FetchError::NotFound);
    let mut version = name(BUCKET, "k");
    version.version_id = Some("3HL4kqtJvjVBH40Nrjfkd".to_owned());
    assert_eq!(
        objects
            .open(&version)
            .await
            .map(|_| ())
            .unwrap_err()
            .reason(),
        "missing"
    );
}

const BUCKET: &str = "logs";
const BYTES: &[u8] = b"stored as it is, \x1f\x8b, whatever it is";
const KEYS: [&str; 5] = ["k", "a b+c%2F/\u{e9}/..", "x//y", "100%", "../up"];

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Clients of a server on loopback.
pub async fn config_of(url: &str) -> SdkConfig {
    let config = load_config(Some("us-east-1".to_owned())).await;
    let credentials = aws_sdk_s3::config::Credentials::new("AKIATEST", "test", None, None, "test");
    config
        .into_builder()
        .endpoint_url(url)
        .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(
            credentials,
        ))
        .build()
}

#[test]
fn the_twins_keep_the_contract() {
    run(async {
        let queue = MemoryQueue::default();
        queue_contract(&queue, |body| {
            queue.send(body, UtcMicros::from_datetime(chrono::Utc::now()));
            std::future::ready(())
        })
        .await;
        let objects = MemoryObjects::default();
        for key in KEYS {
            objects.put(BUCKET, key, BYTES);
        }
        objects_contract(&objects).await;
    });
}

#[test]
fn the_loopback_server_keeps_the_contract() {
    let cloud = Cloud::start();
    for key in KEYS {
        cloud.put(BUCKET, key, BYTES.to_vec());
    }
    run(async {
        let config = config_of(&cloud.url()).await;
        let queue = SqsQueue::new(&config, &cloud.queue_url());
        queue_contract(&queue, |body| {
            let now = UtcMicros::from_datetime(chrono::Utc::now());
            cloud.queue().send(body, now);
            std::future::ready(())
        })
        .await;
        objects_contract(&S3Objects::new(&config)).await;
        let elsewhere = SqsQueue::new(&config, &(cloud.url() + "/111122223333/elsewhere"));
        let error = elsewhere.depth().await.unwrap_err();
        assert!(matches!(error, QueueError::NotFound { .. }), "{error}");
    });
}

#[test]
fn moto_keeps_the_contract() {
    let moto = Server::moto();
    run(async {
        let config = config_of(&moto.url).await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let created = sqs.create_queue().queue_name("trail").send().await.unwrap();
        let url = created.queue_url.unwrap();
        let queue = SqsQueue::new(&config, &url);
        queue_contract(&queue, |body| {
            let (sqs, url) = (sqs.clone(), url.clone());
            async move {
                let sent = sqs.send_message().queue_url(url).message_body(body).send();
                drop(sent.await.unwrap());
            }
        })
        .await;
        let builder = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
        let s3 = aws_sdk_s3::Client::from_conf(builder.build());
        drop(s3.create_bucket().bucket(BUCKET).send().await.unwrap());
        for key in KEYS {
            let put = s3
                .put_object()
                .bucket(BUCKET)
                .key(key)
                .body(BYTES.to_vec().into());
            drop(put.send().await.unwrap());
        }
        objects_contract(&S3Objects::new(&config)).await;
        let signature = DigestSignature {
            signature: Some("50887ccf".to_owned()),
            algorithm: Some("SHA256withRSA".to_owned()),
            backfill_generated_at: Some("2026-03-27T12:00:00Z".to_owned()),
        };
        let objects = S3Objects::new(&config);
        let put = objects.put(BUCKET, "digest", BYTES.to_vec(), Some(signature.clone()));
        put.await.unwrap();
        let opened = objects.open(&name(BUCKET, "digest")).await.unwrap();
        assert_eq!(opened.signature, Some(signature));
        let opened = objects.open(&name(BUCKET, "k")).await.unwrap();
        assert_eq!(opened.signature, None);
        let mut foreign = name(BUCKET, "k");
        foreign.bucket = "no-such-bucket".to_owned();
        let refused = S3Objects::new(&config).open(&foreign).await;
        assert_eq!(refused.map(|_| ()).unwrap_err().reason(), "access_denied");
    });
}

/// A server that somebody else made, as a process of this test.
pub struct Server {
    pub process: Child,
    pub url: String,
}

impl Server {
    /// Starts it, and waits until it listens on that port.
    pub fn start(command: &mut Command, port: u16) -> Server {
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < LONG, "no answer at {}", server.url);
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// moto, from PyPI, in an environment that this makes.
    pub fn moto() -> Server {
        let port = free_port();
        let mut command = Command::new(environment());
        let (host, at) = (["-H", "127.0.0.1"], port.to_string());
        command
            .args(["-m", "moto.server"])
            .args(host)
            .args(["-p", &at])
            .env("MOTO_ACCOUNT_ID", "111122223333");
        Server::start(&mut command, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// moto, and the client of `deploy/compose`.
const PACKAGES: [&str; 2] = ["moto[server]==5.2.*", "awscli==1.*"];

/// The interpreter of the environment with moto, made the first time.
pub fn environment() -> PathBuf {
    static MADE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    MADE.get_or_init(|| venv("services-1", &PACKAGES)).clone()
}

/// The interpreter of a virtual environment with these packages, made if it is not there.
pub fn venv(name: &str, packages: &[&str]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join("bin/python");
    if folder.join("whole").exists() {
        return python;
    }
    let done = |command: &mut Command, what: &str| {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{what} (the tests need Python 3 with venv, and PyPI once): {told}"
        );
    };
    let mut python3 = Command::new("python3");
    done(
        python3.args(["-m", "venv"]).arg(&folder),
        "make a virtual environment",
    );
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let mut pip = Command::new(&python);
    done(pip.args(install).args(packages), "install packages");
    std::fs::write(folder.join("whole"), packages.concat()).unwrap();
    python
}
