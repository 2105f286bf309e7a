//! S3 and SQS as one small server on loopback, for the tests of the worker: the real
//! clients talk to it, and it does what a test tells it to: fails, cuts answers short,
//! kills the worker at a given call.
//!
//! The queue is the product's own twin, which passes the contract of real ones; the
//! buckets are a map. Only what the clients use is there.

use super::world::Random;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bricktrail::aws::memory::MemoryQueue;
use bricktrail::aws::queue::{Answer, MessageQueue as _};
use bricktrail::model::UtcMicros;
use bricktrail::trail::hash::sha256;
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the server keeps everything; clones are the same server.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

struct Inner {
    address: std::net::SocketAddr,
    queue: MemoryQueue,
    objects: Mutex<BTreeMap<(String, String), Bytes>>,
    /// Of objects, names and values that S3 keeps beside them.
    metadata: Mutex<BTreeMap<(String, String), Metadata>>,
    plan: Mutex<Plan>,
    /// Keeps the server's threads.
    _runtime: tokio::runtime::Runtime,
}

type Metadata = Vec<(&'static str, String)>;

/// The account that owns the buckets.
const OWNER: &str = "111122223333";

/// An answer in the place of an object.
pub struct Refusal {
    /// Bucket and key.
    pub place: String,
    /// How often it is given before the object is.
    pub times: u64,
    pub status: u16,
    pub code: &'static str,
    pub message: &'static str,
}

/// What goes wrong.
#[derive(Default)]
pub struct Plan {
    pub refusals: Vec<Refusal>,
    /// Regions of buckets that are not where they are asked for.
    pub regions: BTreeMap<String, &'static str>,
    /// Redirects so far.
    pub redirected: u64,
    /// Whether objects have versions.
    pub versioned: bool,
    /// Whether listings tell of everything that it is old.
    pub forgetful: bool,
    /// Calls so far, and the objects that were asked for.
    pub calls: u64,
    pub asked: std::collections::BTreeSet<String>,
    /// Of a thousand calls, so many fail.
    pub failing: u64,
    pub random: Option<Random>,
    /// Kills whoever makes that call, before it has an effect or after.
    pub kill: Option<Kill>,
    /// Failures so far, and kills.
    pub failed: u64,
    pub killed: bool,
}

pub struct Kill {
    pub at: u64,
    pub after_effect: bool,
    /// By the access key that they sign with.
    pub processes: BTreeMap<String, Arc<Mutex<Child>>>,
}

/// How one call goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    None,
    /// Refused at once, as when there is too much to do.
    SlowDown,
    /// It has its effect, and the answer is an error.
    LostAnswer,
    /// The connection ends in the middle of the answer.
    Cut,
    Slow,
    Killed,
}

pub const QUEUE_PATH: &str = "/111122223333/trail";

impl Cloud {
    pub fn start() -> Cloud {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let handle = runtime.handle().clone();
        let cloud = Cloud(Arc::new(Inner {
            address,
            queue: MemoryQueue::default(),
            objects: Mutex::default(),
            metadata: Mutex::default(),
            plan: Mutex::default(),
            _runtime: runtime,
        }));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::downgrade(&cloud.0));
        handle.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, router).await.unwrap();
        });
        cloud
    }

    pub fn queue(&self) -> &MemoryQueue {
        &self.0.queue
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    pub fn queue_url(&self) -> String {
        self.url() + QUEUE_PATH
    }

    pub fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let place = (bucket.to_owned(), key.to_owned());
        self.0.objects.lock().unwrap().insert(place, bytes.into());
    }

    /// The same as [`Cloud::put`], with metadata: names without `x-amz-meta-`.
    pub fn put_with(&self, bucket: &str, key: &str, bytes: Vec<u8>, metadata: Metadata) {
        let place = (bucket.to_owned(), key.to_owned());
        self.0.metadata.lock().unwrap().insert(place, metadata);
        self.put(bucket, key, bytes);
    }

    pub fn has(&self, bucket: &str, key: &str) -> bool {
        let place = (bucket.to_owned(), key.to_owned());
        self.0.objects.lock().unwrap().contains_key(&place)
    }

    pub fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap()
    }

    /// Writes the objects of a bucket below a prefix into a folder.
    pub fn download(&self, bucket: &str, prefix: &str, to: &Path) {
        for ((of, key), bytes) in self.0.objects.lock().unwrap().iter() {
            if let Some(below) = key.strip_prefix(prefix).filter(|_| of == bucket) {
                let path = to.join(below);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
    }

    /// Makes a process talk to this server and to nothing else, and sign with that key.
    pub fn environ<'c>(&self, command: &'c mut Command, key: &str) -> &'c mut Command {
        command
            .env("AWS_ENDPOINT_URL", self.url())
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
    }
}

impl Inner {
    /// Counts the call and draws what goes wrong.
    fn fault(&self, is_receive: bool) -> (Fault, bool) {
        let mut plan = self.plan.lock().unwrap();
        plan.calls += 1;
        let calls = plan.calls;
        if let Some(kill) = &plan.kill
            && calls == kill.at
        {
            let after = kill.after_effect;
            return (Fault::Killed, after);
        }
        let failing = plan.failing;
        let Some(random) = &mut plan.random else {
            return (Fault::None, false);
        };
        if random.below(1000) >= failing {
            return (Fault::None, false);
        }
        let fault = match random.below(if is_receive { 2 } else { 4 }) {
            0 => Fault::SlowDown,
            1 => Fault::LostAnswer,
            2 => Fault::Cut,
            _ => Fault::Slow,
        };
        plan.failed += 1;
        (fault, false)
    }

    fn kill(&self, headers: &HeaderMap) {
        let kill = self.plan.lock().unwrap().kill.take();
        let signed = headers[header::AUTHORIZATION].to_str().unwrap();
        let (_, signed) = signed.split_once("Credential=").unwrap();
        let key = signed.split('/').next().unwrap();
        let kill = kill.unwrap();
        let mut process = kill.processes[key].lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
        self.plan.lock().unwrap().killed = true;
    }
}

async fn answer(State(inner): State<std::sync::Weak<Inner>>, request: Request) -> Response {
    let Some(inner) = inner.upgrade() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (parts, body) = request.into_parts();
    let target = parts.headers.get("x-amz-target");
    let target = target.map(|target| target.to_str().unwrap().to_owned());
    let operation = target
        .as_deref()
        .and_then(|target| target.strip_prefix("AmazonSQS."));
    let (fault, after_effect) = inner.fault(operation == Some("ReceiveMessage"));
    let refused = || match operation {
        Some(_) => sqs_error(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        None => s3_error(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
    };
    match fault {
        Fault::SlowDown => return refused(),
        Fault::Killed if !after_effect => {
            inner.kill(&parts.headers);
            return refused();
        }
        Fault::Slow => tokio::time::sleep(Duration::from_millis(120)).await,
        _ => {}
    }
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let response = match operation {
        Some(operation) => sqs(&inner, operation, &body).await,
        None => s3(&inner, &parts.method, &parts.uri, &parts.headers, body),
    };
    match fault {
        Fault::Killed => {
            inner.kill(&parts.headers);
            refused()
        }
        Fault::LostAnswer => refused(),
        Fault::Cut => cut(response).await,
        _ => response,
    }
}

/// Half of the answer, then an end that is none.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    if bytes.is_empty() {
        return s3_error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let pieces: [Result<Bytes, std::io::Error>; 2] =
        [Ok(half), Err(std::io::ErrorKind::ConnectionReset.into())];
    Response::from_parts(
        parts,
        Body::from_stream(futures::stream::iter(pieces).boxed()),
    )
}

fn s3_error(status: StatusCode, code: &str) -> Response {
    s3_error_with(status, code, code)
}

fn s3_error_with(status: StatusCode, code: &str, message: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    (status, [(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

fn sqs_error(status: StatusCode, code: &str) -> Response {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": code});
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (status, kind, body.to_string()).into_response()
}

async fn sqs(inner: &Inner, operation: &str, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap();
    let url = request["QueueUrl"].as_str().unwrap();
    if !url.ends_with(QUEUE_PATH) {
        return sqs_error(StatusCode::BAD_REQUEST, "QueueDoesNotExist");
    }
    let seconds = |value: &Value| Duration::from_secs(value.as_u64().unwrap_or(0));
    let queue = &inner.queue;
    let entries = request["Entries"].as_array().cloned().unwrap_or_default();
    let receipts: Vec<String> = entries
        .iter()
        .map(|entry| entry["ReceiptHandle"].as_str().unwrap().to_owned())
        .collect();
    let told = |answers: Vec<Answer>| {
        let mut successful = Vec::new();
        let mut failed = Vec::new();
        for (entry, answer) in entries.iter().zip(answers) {
            match answer {
                Answer::Done => successful.push(json!({"Id": entry["Id"]})),
                _ => failed.push(json!({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true})),
            }
        }
        json!({"Successful": successful, "Failed": failed})
    };
    let answer = match operation {
        "ReceiveMessage" => {
            let most = request["MaxNumberOfMessages"].as_u64().unwrap_or(1) as usize;
            let (wait, hide) = (&request["WaitTimeSeconds"], &request["VisibilityTimeout"]);
            // Short, so that a server that is dropped waits for nobody.
            let wait = seconds(wait).min(Duration::from_millis(300));
            let messages = queue.receive(most, wait, seconds(hide)).await.unwrap();
            let messages: Vec<Value> = messages
                .iter()
                .map(|message| {
                    json!({"MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body,
                        "Attributes": {"SentTimestamp": (message.sent_at.unwrap().0 / 1000).to_string(),
                            "ApproximateReceiveCount": message.receive_count.to_string()}})
                })
                .collect();
            json!({ "Messages": messages })
        }
        "ChangeMessageVisibilityBatch" => {
            let time = seconds(&entries[0]["VisibilityTimeout"]);
            told(queue.hide(&receipts, time).await.unwrap())
        }
        "DeleteMessageBatch" => told(queue.delete(&receipts).await.unwrap()),
        "GetQueueAttributes" => {
            let depth = queue.depth().await.unwrap();
            json!({"Attributes": {"ApproximateNumberOfMessages": depth.waiting.to_string(),
                "ApproximateNumberOfMessagesNotVisible": depth.hidden.to_string()}})
        }
        other => panic!("SQS {other}"),
    };
    json_response(StatusCode::OK, &answer)
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn etag(bytes: &[u8]) -> String {
    let hash = sha256(bytes);
    let hex: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

/// When everything was written, as it is told: when this process looked first.
static MODIFIED: std::sync::LazyLock<chrono::DateTime<chrono::Utc>> =
    std::sync::LazyLock::new(chrono::Utc::now);
/// Of which Delta's log forgets what is older than 30 days.
const LONG_AGO: chrono::TimeDelta = chrono::TimeDelta::days(60);

fn s3(
    inner: &Inner,
    method: &Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (decoded(bucket), decoded(key));
    let query: BTreeMap<String, String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decoded(&value.replace('+', " "))))
        .collect();
    let asked = format!("{bucket}/{key}");
    if let Some(refused) = refusal(&mut inner.plan.lock().unwrap(), &bucket, &asked, headers) {
        return refused;
    }
    inner.plan.lock().unwrap().asked.insert(asked);
    let mut objects = inner.objects.lock().unwrap();
    if key.is_empty() {
        return match method.as_str() {
            "GET" => {
                let age = match inner.plan.lock().unwrap().forgetful {
                    true => LONG_AGO,
                    false => chrono::TimeDelta::zero(),
                };
                list(&objects, &bucket, &query, *MODIFIED - age)
            }
            "POST" if query.contains_key("delete") => {
                let text = String::from_utf8(body.to_vec()).unwrap();
                let mut deleted = String::new();
                for piece in text.split("<Key>").skip(1) {
                    let key = piece.split("</Key>").next().unwrap().to_owned();
                    deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
                    objects.remove(&(bucket.clone(), key));
                }
                let answer = format!("<DeleteResult>{deleted}</DeleteResult>");
                (StatusCode::OK, answer).into_response()
            }
            other => panic!("S3 {other} {uri}"),
        };
    }
    let place = (bucket, key);
    match method.as_str() {
        "PUT" => {
            let only_new = headers.get(header::IF_NONE_MATCH).is_some();
            if only_new && objects.contains_key(&place) {
                return s3_error(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
            }
            let tag = etag(&body);
            objects.insert(place, body);
            (StatusCode::OK, [(header::ETAG, tag)]).into_response()
        }
        "DELETE" => {
            objects.remove(&place);
            StatusCode::NO_CONTENT.into_response()
        }
        // The buckets keep no versions.
        "GET" if query.contains_key("versionId") => {
            s3_error(StatusCode::NOT_FOUND, "NoSuchVersion")
        }
        "GET" | "HEAD" => match objects.get(&place) {
            Some(bytes) => {
                let mut response = get(bytes, headers);
                if inner.plan.lock().unwrap().versioned {
                    let version = "v1".parse().unwrap();
                    response.headers_mut().insert("x-amz-version-id", version);
                }
                let metadata = inner.metadata.lock().unwrap();
                for (name, value) in metadata.get(&place).into_iter().flatten() {
                    let name = format!("x-amz-meta-{name}").parse::<header::HeaderName>();
                    let value = value.parse().unwrap();
                    response.headers_mut().insert(name.unwrap(), value);
                }
                response
            }
            None => s3_error(StatusCode::NOT_FOUND, "NoSuchKey"),
        },
        other => panic!("S3 {other} {uri}"),
    }
}

/// What is said instead of doing what was asked.
fn refusal(plan: &mut Plan, bucket: &str, asked: &str, headers: &HeaderMap) -> Option<Response> {
    let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    if let Some(region) = plan.regions.get(bucket) {
        // Credential=KEY/DATE/REGION/s3/aws4_request
        let signed = told("authorization").unwrap();
        if signed.split('/').nth(2) != Some(region) {
            plan.redirected += 1;
            let mut answer = s3_error(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect");
            let region = region.parse().unwrap();
            answer.headers_mut().insert("x-amz-bucket-region", region);
            return Some(answer);
        }
    }
    if told("x-amz-expected-bucket-owner").is_some_and(|owner| owner != OWNER) {
        return Some(s3_error(StatusCode::FORBIDDEN, "AccessDenied"));
    }
    let refusals = plan.refusals.iter_mut();
    let mut left = refusals.filter(|refusal| refusal.place == asked && refusal.times > 0);
    let refusal = left.next()?;
    refusal.times -= 1;
    let status = StatusCode::from_u16(refusal.status).unwrap();
    Some(s3_error_with(status, refusal.code, refusal.message))
}

fn get(bytes: &Bytes, headers: &HeaderMap) -> Response {
    let total = bytes.len();
    let range = headers.get(header::RANGE).map(|range| {
        let range = range.to_str().unwrap().trim_start_matches("bytes=");
        let (from, to) = range.split_once('-').unwrap();
        match (from.parse::<usize>(), to.parse::<usize>()) {
            (Ok(from), Ok(to)) => (from, (to + 1).min(total)),
            (Ok(from), Err(_)) => (from, total),
            (_, Ok(last)) => (total.saturating_sub(last), total),
            _ => panic!("range {range}"),
        }
    });
    let common = [
        (header::ETAG, etag(bytes)),
        (
            header::LAST_MODIFIED,
            MODIFIED.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        ),
    ];
    match range {
        Some((from, to)) => {
            let told = format!("bytes {from}-{}/{total}", to.saturating_sub(1));
            let range = [(header::CONTENT_RANGE, told)];
            let part = bytes.slice(from..to);
            (StatusCode::PARTIAL_CONTENT, common, range, part).into_response()
        }
        None => (StatusCode::OK, common, bytes.clone()).into_response(),
    }
}

fn list(
    objects: &BTreeMap<(String, String), Bytes>,
    bucket: &str,
    query: &BTreeMap<String, String>,
    modified: chrono::DateTime<chrono::Utc>,
) -> Response {
    let modified = modified.format("%Y-%m-%dT%H:%M:%S.000Z");
    let given = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, delimiter, after) = (given("prefix"), given("delimiter"), given("start-after"));
    let (mut contents, mut folders) = (String::new(), std::collections::BTreeSet::new());
    for ((of, key), bytes) in objects {
        let Some(below) = key.strip_prefix(prefix).filter(|_| of == bucket) else {
            continue;
        };
        if !after.is_empty() && key.as_str() <= after {
            continue;
        }
        let folder = below
            .split_once(delimiter)
            .filter(|_| !delimiter.is_empty());
        if let Some((folder, _)) = folder {
            folders.insert(format!("{prefix}{folder}{delimiter}"));
            continue;
        }
        contents += &format!(
            "<Contents><Key>{}</Key><LastModified>{modified}</LastModified>\
             <ETag>{}</ETag><Size>{}</Size></Contents>",
            escaped(key),
            etag(bytes),
            bytes.len()
        );
    }
    let folders: String = folders
        .iter()
        .map(|folder| {
            format!(
                "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                escaped(folder)
            )
        })
        .collect();
    let text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>{bucket}</Name><IsTruncated>false</IsTruncated>\
         {contents}{folders}</ListBucketResult>"
    );
    ([(header::CONTENT_TYPE, "application/xml")], text).into_response()
}

/// The notification that S3 sends of an object.
pub fn notification(bucket: &str, key: &str) -> String {
    let written: String = key
        .bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "eventTime": "2026-03-27T12:00:00.000Z",
        "s3": {"bucket": {"name": bucket}, "object": {"key": written}}}]})
    .to_string()
}

pub fn now() -> UtcMicros {
    UtcMicros::from_datetime(chrono::Utc::now())
}
