//! `doctor`: checks the configuration against the real services, a line for each check.

use super::run::{bucket_and_prefix, queue_of};
use super::{Common, last_policy, output, scan};
use crate::aws::client::load_config;
use crate::aws::objects::{FetchError, ObjectName, Objects as _};
use crate::aws::queue::MessageQueue as _;
use crate::aws::s3::S3Objects;
use crate::aws::sqs::{SqsQueue, region_of};
use crate::config::Config;
use crate::lake::probe::probe;
use crate::lake::store::lake_url;
use crate::pipeline::intake::REFUSED_AFTER;
use anyhow::Context as _;
use clap::Args;
use futures::StreamExt as _;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DoctorArguments {
    /// URL of the SQS queue [default: `run.queue` of the configuration]
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Bucket, and prefix in it, that may be read; may be given several times
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    allow: Vec<String>,
    /// Directory of Cedar policies and datasets.toml [default: the built-in starter policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
}

const AFTER_HELP: &str =
    "Checks policy, lake, queue and buckets as `run` would use them, and says how to \
mend what fails. It writes one small object into the lake and deletes it, reads the beginning of \
one log object of each bucket, and receives one message and lets it go at once, unless so few \
receives make a message a dead letter that this one might count.

Exit status: 0 all is well, 1 a check failed.

Examples:
  bricktrail doctor
  bricktrail doctor --config /etc/bricktrail.toml
  bricktrail doctor --lake s3://acme-lake/bricktrail --allow s3://acme-trail/AWSLogs/ --queue URL";

/// How a check ended.
enum Outcome {
    Well(String),
    /// It works, and may hurt some day.
    Note(String),
    Fault(String),
}

/// The checks made so far.
#[derive(Default)]
struct Checks(Vec<(String, Outcome)>);

impl Checks {
    fn well(&mut self, what: &str, told: impl Into<String>) {
        self.0.push((what.to_owned(), Outcome::Well(told.into())));
    }

    fn note(&mut self, what: &str, told: impl Into<String>) {
        self.0.push((what.to_owned(), Outcome::Note(told.into())));
    }

    fn fault(&mut self, what: &str, told: impl Into<String>) {
        self.0.push((what.to_owned(), Outcome::Fault(told.into())));
    }

    fn has_fault(&self) -> bool {
        self.0
            .iter()
            .any(|(_, outcome)| matches!(outcome, Outcome::Fault(_)))
    }

    fn text(&self) -> String {
        let colours = std::io::stdout().is_terminal();
        let mark = |word: &str, style: console::Style| match colours {
            true => style.apply_to(word).to_string(),
            false => word.to_owned(),
        };
        let mut text = String::new();
        for (what, outcome) in &self.0 {
            let (word, told) = match outcome {
                Outcome::Well(told) => (mark("ok  ", console::Style::new().green()), told),
                Outcome::Note(told) => (mark("note", console::Style::new().yellow()), told),
                Outcome::Fault(told) => (mark("FAIL", console::Style::new().red().bold()), told),
            };
            text += &format!("{word}  {what:<34} {told}\n");
        }
        text
    }
}

pub async fn run(common: &Common, arguments: DoctorArguments) -> anyhow::Result<ExitCode> {
    let mut config = common.config(arguments.policy)?;
    for place in &arguments.allow {
        config
            .run
            .allowed
            .0
            .push(crate::config::RunConfig::read_allowed(place)?);
    }
    config.run.queue = arguments.queue.or(config.run.queue);
    let mut checks = Checks::default();
    check_policy(&config, &mut checks).await;
    check_lake(&config, &mut checks).await;
    check_queue(&config, &mut checks).await;
    check_buckets(&config, &mut checks).await;
    output::to_stdout(checks.text().as_bytes()).context("write the checks")?;
    Ok(ExitCode::from(u8::from(checks.has_fault())))
}

async fn check_policy(config: &Config, checks: &mut Checks) {
    let policy = match scan::load_policy(config.policy_dir.as_deref(), &config.policy) {
        Ok(policy) => policy,
        Err(error) => return checks.fault("policy", format!("{error:#}")),
    };
    let place = config.policy_dir.as_ref();
    let place = place.map_or("the built-in one".to_owned(), |dir| {
        dir.display().to_string()
    });
    checks.well("policy", format!("{place}, version {}", policy.version()));
    let url = match lake_url(&config.lake) {
        Ok(url) => url,
        // Told with the lake.
        Err(_) => return,
    };
    if let Err(error) = last_policy::check_groups(&policy, &url).await {
        checks.fault("policy, its groups", format!("{error:#}"));
    }
}

/// Seconds that clocks may differ; AWS refuses requests of more than 15 minutes.
const CLOCK_SECONDS_MAX: i64 = 60;

async fn check_lake(config: &Config, checks: &mut Checks) {
    let url = match lake_url(&config.lake) {
        Ok(url) => url,
        Err(error) => return checks.fault("lake", error.to_string()),
    };
    if let Some((bucket, prefix)) = bucket_and_prefix(&url)
        && config.run.allowed.watches(bucket, &prefix)
    {
        checks.fault(
            "lake, its place",
            "it lies where logs are read: each commit would announce itself; put it elsewhere",
        );
    }
    let probed = match probe(&url, scan::now()).await {
        Ok(probed) => probed,
        Err(error) => return checks.fault("lake", error.to_string()),
    };
    for step in probed.steps {
        let what = format!("lake, {}", step.step);
        match step.fault {
            None => checks.well(&what, url.as_str()),
            Some(fault) => checks.fault(&what, fault),
        }
    }
    match probed.clock_ahead {
        Some(seconds) if seconds.abs() > CLOCK_SECONDS_MAX => checks.fault(
            "clock",
            format!("this machine's clock is off by {seconds} seconds; set it by NTP"),
        ),
        Some(_) => checks.well("clock", "as the store's"),
        None => {}
    }
}

/// Seconds of four days: less does not outlast an outage over a long weekend.
const RETENTION_MIN: u64 = 4 * 86_400;

async fn check_queue(config: &Config, checks: &mut Checks) {
    let Some(url) = &config.run.queue else {
        return checks.fault(
            "queue",
            "none is named; give --queue URL, or `queue` under `[run]`",
        );
    };
    let region = config.run.region.clone().or_else(|| region_of(url));
    let queue = SqsQueue::new(&load_config(region).await, url);
    match queue.depth().await {
        Ok(depth) => checks.well(
            "queue",
            format!("{} waiting, {} held", depth.waiting, depth.hidden),
        ),
        Err(error) => return checks.fault("queue", error.to_string()),
    }
    // Of a message that there is not: whether it may be done shows all the same.
    let nothing = ["no-such-receipt".to_owned()];
    let attributes = queue.attributes().await.unwrap_or_default();
    let dead_after = attributes
        .get("RedrivePolicy")
        .and_then(|policy| receives_of(policy));
    let mut tried = vec![
        (
            "queue, hold",
            queue.hide(&nothing, Duration::ZERO).await.err(),
        ),
        ("queue, delete", queue.delete(&nothing).await.err()),
    ];
    if dead_after.is_none_or(|count| count >= RECEIVES_MIN) {
        let received = queue.receive(1, Duration::ZERO, Duration::ZERO).await;
        tried.push(("queue, receive", received.err()));
    }
    for (what, fault) in tried {
        match fault {
            None => checks.well(what, "allowed"),
            Some(error) => checks.fault(what, error.to_string()),
        }
    }
    let retention = attributes.get("MessageRetentionPeriod");
    let retention = retention.and_then(|text| text.parse::<u64>().ok());
    match retention {
        Some(seconds) if seconds <= RETENTION_MIN => checks.note(
            "queue, its retention",
            format!(
                "{} days: an outage that lasts longer loses notifications; set it to 14",
                seconds / 86_400
            ),
        ),
        Some(seconds) => checks.well("queue, its retention", format!("{} days", seconds / 86_400)),
        None => {}
    }
    match attributes.get("RedrivePolicy") {
        None => checks.note(
            "queue, dead letters",
            "it has no dead-letter queue: what can never be read comes again for ever",
        ),
        Some(policy) => match receives_of(policy) {
            Some(count) if count < RECEIVES_MIN => checks.note(
                "queue, dead letters",
                format!(
                    "after {count} receives: an object that S3 refuses for a while is given up \
                     too early; set maxReceiveCount to {RECEIVES_MIN} or more"
                ),
            ),
            _ => checks.well("queue, dead letters", "it has a queue for them"),
        },
    }
}

/// Receives after which the worker records what S3 refuses, and some more.
const RECEIVES_MIN: u64 = REFUSED_AFTER as u64 + 3;

fn receives_of(redrive_policy: &str) -> Option<u64> {
    let policy: serde_json::Value = serde_json::from_str(redrive_policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    count.as_u64().or_else(|| count.as_str()?.parse().ok())
}

async fn check_buckets(config: &Config, checks: &mut Checks) {
    if config.run.allowed.0.is_empty() {
        return checks.fault(
            "buckets",
            "nothing may be read; give --allow s3://BUCKET/PREFIX, or `[[run.allow]]`",
        );
    }
    let region = config.run.region.clone();
    let region = region.or_else(|| config.run.queue.as_deref().and_then(region_of));
    let objects = S3Objects::new(&load_config(region).await);
    let queue = config.run.queue.as_deref().and_then(queue_of);
    for allowed in &config.run.allowed.0 {
        let bucket = &allowed.bucket;
        let what = |of: &str| format!("{bucket}, {of}");
        let wiring = objects.announced_to(bucket, allowed.owner.as_deref()).await;
        match (wiring, queue) {
            (Ok(wiring), Some(queue)) if wiring.queues.iter().any(|arn| is_of(arn, queue)) => {
                checks.well(&what("notification"), "S3 tells the queue");
            }
            (Ok(wiring), _) if wiring.topics > 0 || wiring.event_bridge => checks.well(
                &what("notification"),
                "S3 tells a topic or EventBridge; whether the queue hears of it shows when a log comes",
            ),
            (Ok(_), _) => checks.note(
                &what("notification"),
                "S3 tells nobody of this bucket's objects; unless CloudTrail's own topic does, \
                 nothing will come (docs/deploy.md)",
            ),
            (Err(error), _) => checks.note(
                &what("notification"),
                format!("could not be looked at ({error}); s3:GetBucketNotification shows it"),
            ),
        }
        for prefix in allowed.prefixes.iter().map(String::as_str).chain(
            // All of it.
            allowed.prefixes.is_empty().then_some(""),
        ) {
            let listed = objects
                .first_log(bucket, prefix, allowed.owner.as_deref())
                .await;
            let key = match listed {
                Ok(Some(key)) => key,
                Ok(None) => {
                    checks.note(&what("logs"), format!("none under `{prefix}` yet"));
                    continue;
                }
                Err(error) => {
                    checks.fault(&what("list"), format!("{error} (s3:ListBucket)"));
                    continue;
                }
            };
            let mut name = ObjectName {
                bucket: bucket.clone(),
                key: key.clone(),
                version_id: None,
                expected_owner: allowed.owner.clone(),
            };
            match read_some(&objects, &name).await {
                Ok(None) => checks.well(&what("read"), key),
                // Notifications of such a bucket name the version.
                Ok(version_id) => {
                    name.version_id = version_id;
                    match read_some(&objects, &name).await {
                        Ok(_) => checks.well(&what("read"), key),
                        Err(error) => checks.fault(
                            &what("read a version"),
                            format!("{key}: {error} (s3:GetObjectVersion)"),
                        ),
                    }
                }
                Err(error) => checks.fault(&what("read"), format!("{key}: {error}")),
            }
        }
    }
}

/// Whether an ARN is that of the queue: its last part is the name, whole.
fn is_of(arn: &str, queue: &str) -> bool {
    arn.rsplit(':').next() == Some(queue)
}

/// Reads the first bytes of an object; the version that it has.
async fn read_some(objects: &S3Objects, name: &ObjectName) -> Result<Option<String>, FetchError> {
    let opened = objects.open(name).await?;
    let version_id = opened.version_id;
    match opened.body.take(1).next().await {
        Some(Err(error)) => Err(error),
        _ => Ok(version_id),
    }
}
