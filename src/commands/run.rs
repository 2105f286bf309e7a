//! `run`: the worker, from a queue of notifications to the lake until it is stopped.

mod http;
mod policy_watch;

use super::{Common, UsageError, last_policy, scan};
use crate::aws::client::load_config;
use crate::aws::queue::MessageQueue as _;
use crate::aws::s3::S3Objects;
use crate::aws::sqs::{SqsQueue, region_of};
use crate::config::RunConfig;
use crate::lake::Lake;
use crate::lake::store::lake_url;
use crate::pipeline::commit::Company;
use crate::pipeline::meters::Meters;
use crate::pipeline::settle::SettleJob;
use crate::pipeline::upkeep::{Upkeep, follow_databricks, tidy_regularly};
use crate::pipeline::worker::{WorkerJob, work};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunArguments {
    /// URL of the SQS queue that S3, SNS, EventBridge or CloudTrail notifies
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
    /// Bucket, and prefix in it, that may be read; may be given several times. What is not
    /// allowed is never read, whatever a message says
    #[arg(long, value_name = "s3://BUCKET/PREFIX")]
    allow: Vec<String>,
    /// Directory of Cedar policies and datasets.toml, looked at again every 15 seconds
    /// [default: the built-in starter policy]
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics answer [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

const AFTER_HELP: &str = "\
Any number of workers share one queue and one lake; Delta's log coordinates them. A message is \
deleted only after the rows of everything it announced are committed, and redelivered messages \
add nothing. SIGTERM or Ctrl-C finishes what is in flight (`run.grace`); a second one stops at \
once, and loses nothing: the messages come again.

Credentials, region and endpoint are found as by every AWS tool: environment, profile, web \
identity, container, instance. docs/deploy.md has the permissions that are needed.

Examples:
  bricktrail run --lake s3://acme-lake/bricktrail \\
      --queue https://sqs.eu-west-1.amazonaws.com/111122223333/trail \\
      --allow s3://acme-trail/AWSLogs/
  bricktrail run --config /etc/bricktrail.toml
  curl -s localhost:9464/metrics | grep bricktrail_objects";

/// A worker that is about to begin, and what goes on beside it.
struct Started {
    lake: Lake,
    job: WorkerJob,
    beside: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    grace: Duration,
}

pub async fn run(common: &Common, arguments: RunArguments) -> anyhow::Result<ExitCode> {
    // Before anything else: a signal at any time ends it in order.
    let mut signals = Signals::listen();
    let started = tokio::select! {
        started = start(common, arguments) => started?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let Started {
        mut lake,
        job,
        beside,
        stop,
        grace,
    } = started;
    let report = tokio::select! {
        report = work(&mut lake, job) => report?,
        () = stopped(&mut signals, stop, grace) => {
            tracing::warn!("stopped before everything in flight was committed; its messages come again");
            return Ok(ExitCode::from(3));
        }
    };
    beside.iter().for_each(JoinHandle::abort);
    tracing::info!(
        objects = report.objects.values().sum::<u64>(),
        rows = report.counts.rows_written,
        commits = report.commits,
        "stopped"
    );
    Ok(ExitCode::SUCCESS)
}

/// Checks the configuration against queue and lake, and gets everything ready.
async fn start(common: &Common, arguments: RunArguments) -> anyhow::Result<Started> {
    let config = common.config(arguments.policy)?;
    let mut run = config.run;
    for place in &arguments.allow {
        run.allowed.0.push(RunConfig::read_allowed(place)?);
    }
    let listen = arguments.listen.unwrap_or(run.listen);
    let Some(url) = arguments.queue.or(run.queue) else {
        return Err(usage(
            "no queue is named; give --queue URL, or `queue` under `[run]` in bricktrail.toml",
        ));
    };
    if run.allowed.0.is_empty() {
        return Err(usage(
            "nothing may be read; name the buckets of the trail with --allow s3://BUCKET/PREFIX, \
             or `[[run.allow]]` in bricktrail.toml",
        ));
    }
    let lake_at = lake_url(&config.lake)?;
    if let Some((bucket, prefix)) = bucket_and_prefix(&lake_at)
        && run.allowed.watches(bucket, &prefix)
    {
        return Err(usage(
            "the lake lies where logs are read: each commit would announce itself; put it into \
             another bucket, or under another prefix",
        ));
    }
    let policy = scan::load_policy(config.policy_dir.as_deref(), &config.policy)?;
    let sdk = load_config(run.region.or_else(|| region_of(&url))).await;
    let queue = Arc::new(SqsQueue::new(&sdk, &url));
    let depth = queue.depth().await?;
    let lake = Lake::open(&config.lake).await?;
    last_policy::check_groups(&policy, lake.url()).await?;
    let policy = Arc::new(policy);
    let meters = Arc::new(Meters::new(scan::now));
    let (stop_sender, stop) = watch::channel(false);
    let (serving, listen) = http::serve(listen, meters.clone()).await?;
    let (change, changes) = mpsc::channel(4);
    let in_use = policy_watch::InUse::new(policy.clone());
    let mut beside = vec![
        serving,
        tokio::spawn(follow_databricks(lake_at.clone(), change.clone())),
    ];
    if let Some(dir) = config.policy_dir {
        beside.push(tokio::spawn(policy_watch::watch(
            dir,
            config.policy,
            lake_at,
            in_use.clone(),
            change,
            meters.clone(),
        )));
    }
    let identity = config.identity.clone();
    let settle_job = move || SettleJob::new(in_use.now(), identity.clone(), scan::now);
    beside.push(tokio::spawn(tidy_regularly(
        config.lake.clone(),
        Upkeep::new(run.settle_interval, run.keep_replaced, scan::now),
        queue.clone(),
        settle_job,
        meters.clone(),
        stop.clone(),
    )));
    tracing::info!(queue = url, lake = config.lake, waiting = depth.waiting, %listen, "working");
    let job = WorkerJob {
        queue,
        objects: Arc::new(S3Objects::new(&sdk)),
        allowed: run.allowed,
        policy,
        identity: config.identity,
        limits: run.limits,
        hide: run.visibility_timeout,
        company: Company::Shared {
            patience: run.patience,
        },
        progress: meters.clone(),
        meters,
        changes,
        stop,
        now: scan::now,
    };
    Ok(Started {
        lake,
        job,
        beside,
        stop: stop_sender,
        grace: run.grace,
    })
}

/// Bucket and prefix of a lake on S3.
pub(super) fn bucket_and_prefix(lake: &url::Url) -> Option<(&str, String)> {
    let bucket = lake.host_str().filter(|_| lake.scheme() == "s3")?;
    let path = lake.path().trim_start_matches('/');
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    Some((bucket, path.into_owned()))
}

/// The name of a queue in its URL.
pub(super) fn queue_of(url: &str) -> Option<&str> {
    url.rsplit('/').find(|part| !part.is_empty())
}

fn usage(text: &str) -> anyhow::Error {
    UsageError(text.to_owned()).into()
}

/// Tells the worker to stop at the first signal; ends when there is no more waiting.
async fn stopped(signals: &mut Signals, stop: watch::Sender<bool>, grace: Duration) {
    signals.next().await;
    tracing::info!(
        grace_secs = grace.as_secs(),
        "stopping: finishing what is in flight"
    );
    stop.send_replace(true);
    tokio::select! {
        () = signals.next() => {}
        () = tokio::time::sleep(grace) => {}
    }
}

/// SIGTERM and Ctrl-C.
struct Signals {
    #[cfg(unix)]
    terminated: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    fn listen() -> Signals {
        Signals {
            #[cfg(unix)]
            terminated: {
                use tokio::signal::unix::{SignalKind, signal};
                // Without it the default ends the process, and nothing is lost.
                signal(SignalKind::terminate()).ok()
            },
        }
    }

    async fn next(&mut self) {
        let interrupted = async {
            // Without a handler there is nothing to wait for.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        #[cfg(unix)]
        if let Some(terminated) = &mut self.terminated {
            tokio::select! {
                () = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
        interrupted.await;
    }
}
