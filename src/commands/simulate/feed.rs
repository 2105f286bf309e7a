//! Puts the trail of a simulated organisation into a bucket, nearly in the order of its
//! delivery, as CloudTrail does; and tells a queue of each object, as S3 does: a worker has
//! something to do then, and a load test a load.

use super::super::UsageError;
use super::super::scan::now;
use crate::aws::client::load_config;
use crate::aws::objects::split_place;
use crate::aws::s3::S3Objects;
use crate::aws::sqs::{SqsQueue, region_of};
use crate::model::DigestSignature;
use crate::pipeline::source::{LocalListing, SourceObject};
use crate::trail::notification::{Announced, announce};
use anyhow::{Context as _, anyhow};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Objects on their way at a time.
const AT_ONCE: usize = 16;

/// Objects in a second, at least: one in a quarter of an hour.
const RATE_MIN: f64 = 0.001;

/// Where a trail goes.
pub struct Feed {
    bucket: String,
    prefix: String,
    queue: Option<SqsQueue>,
    s3: S3Objects,
    /// Objects in a second, at most.
    rate: Option<f64>,
}

impl Feed {
    /// A feed to `s3://bucket/prefix`, and to the queue of that URL.
    ///
    /// # Errors
    /// When the place is none.
    pub async fn new(to: &str, queue: Option<&str>, rate: Option<f64>) -> anyhow::Result<Feed> {
        let no_place = || UsageError(format!("--to `{to}` is no place; write s3://BUCKET/PREFIX"));
        let (bucket, prefix) = split_place(to).ok_or_else(no_place)?;
        let prefix = match prefix {
            "" => String::new(),
            folder => format!("{}/", folder.trim_end_matches('/')),
        };
        if rate.is_some_and(|rate| !(rate.is_finite() && rate >= RATE_MIN)) {
            return Err(UsageError(format!("--rate takes a number, at least {RATE_MIN}")).into());
        }
        let config = load_config(queue.and_then(region_of)).await;
        Ok(Feed {
            bucket: bucket.to_owned(),
            prefix,
            queue: queue.map(|url| SqsQueue::new(&config, url)),
            s3: S3Objects::new(&config),
            rate,
        })
    }

    /// Puts everything below `out/trail`; tells how many objects that were.
    ///
    /// # Errors
    /// When a file cannot be read, or a service refuses.
    pub async fn put_all(&self, out: &Path) -> anyhow::Result<u64> {
        let trail = out.join("trail");
        let listing = LocalListing::of(&[trail.display().to_string()])?;
        let bar = ProgressBar::new(listing.totals.objects);
        let mut objects = Vec::new();
        listing.each(|object| {
            objects.push(object);
            true
        });
        let signatures = std::fs::read(out.join("digest-keys/signatures.json"))
            .context("read the digests' signatures")?;
        let signatures: Value = serde_json::from_slice(&signatures)?;
        let began = Instant::now();
        let puts = (0_u32..).zip(&objects).map(|(place, object)| {
            let due = self
                .rate
                .map(|rate| began + Duration::from_secs_f64(f64::from(place) / rate));
            let signature = signature_of(&signatures, &object.key);
            let bar = &bar;
            async move {
                if let Some(due) = due {
                    tokio::time::sleep_until(due).await;
                }
                self.put(object, signature).await?;
                bar.inc(1);
                anyhow::Ok(())
            }
        });
        stream::iter(puts)
            .buffered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        bar.finish_and_clear();
        Ok(objects.len() as u64)
    }

    async fn put(
        &self,
        object: &SourceObject,
        signature: Option<DigestSignature>,
    ) -> anyhow::Result<()> {
        let bytes = tokio::fs::read(&object.path)
            .await
            .with_context(|| format!("read {}", object.path.display()))?;
        let key = format!("{}{}", self.prefix, object.key);
        let announced = Announced {
            bucket: self.bucket.clone(),
            key: key.clone(),
            bytes: Some(bytes.len() as u64),
            event_time: Some(now()),
            ..Announced::default()
        };
        self.s3
            .put(&self.bucket, &key, bytes, signature)
            .await
            .map_err(|told| anyhow!("put s3://{}/{key}: {told}", self.bucket))?;
        if let Some(queue) = &self.queue {
            queue.send(announce(&announced)).await?;
        }
        Ok(())
    }
}

/// What `signatures.json` holds of a digest.
fn signature_of(signatures: &Value, key: &str) -> Option<DigestSignature> {
    let of_digest = signatures.get(key)?;
    let text = |name: &str| of_digest.get(name)?.as_str().map(str::to_owned);
    Some(DigestSignature {
        signature: text("signature"),
        algorithm: text("signature-algorithm"),
        backfill_generated_at: None,
    })
}
