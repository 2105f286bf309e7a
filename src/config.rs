//! Configuration: what the file says, then what is true.
//!
//! [`RawConfig`] is the file `bricktrail.toml` as written, every key optional;
//! [`Config`] is complete and checked. Command-line options win over the file,
//! the file over the defaults, and with neither everything works.

use crate::aws::objects::split_place;
use crate::identity::IdentitySettings;
use crate::lake::vacuum::RETENTION_DAYS_MIN;
use crate::model::network::Cidr;
use crate::pipeline::allowed::{AllowList, AllowedBucket};
use crate::pipeline::limits::Limits;
use crate::policy::PolicySettings;
use bytesize::ByteSize;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file looked for when none is named.
pub const DEFAULT_FILE: &str = "bricktrail.toml";
const DEFAULT_LAKE: &str = "./lake";

/// The configuration file, as written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    lake: Option<String>,
    policy: RawPolicy,
    databricks: RawDatabricks,
    identity: RawIdentity,
    network: RawNetwork,
    accounts: RawAccounts,
    scan: RawScan,
    run: RawRun,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPolicy {
    dir: Option<PathBuf>,
    #[serde(deserialize_with = "duration")]
    session_age_max: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawDatabricks {
    dir: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawIdentity {
    databricks_account_ids: Vec<String>,
    log_delivery_roles: Vec<String>,
    storage_credential_roles: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNetwork {
    known_networks: Vec<String>,
    known_vpc_endpoints: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAccounts {
    own: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawScan {
    threads: Option<usize>,
    in_flight_bytes_max: Option<ByteSize>,
    commit_bytes: Option<ByteSize>,
    commit_objects: Option<usize>,
    #[serde(deserialize_with = "duration")]
    commit_interval: Option<Duration>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRun {
    queue: Option<String>,
    region: Option<String>,
    listen: Option<SocketAddr>,
    allow: Vec<RawAllowed>,
    #[serde(deserialize_with = "duration")]
    visibility_timeout: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    grace: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    patience: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    settle_interval: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    keep_replaced: Option<Duration>,
    threads: Option<usize>,
    in_flight_bytes_max: Option<ByteSize>,
    commit_bytes: Option<ByteSize>,
    commit_objects: Option<usize>,
    #[serde(deserialize_with = "duration")]
    commit_interval: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllowed {
    bucket: String,
    owner: Option<String>,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    accounts: Vec<String>,
}

fn duration<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map(Some)
        .map_err(|error| serde::de::Error::custom(format!("{error}; write for example `15m`")))
}

/// What is true.
#[derive(Clone, Debug)]
pub struct Config {
    pub lake: String,
    /// Directory of the policy; the built-in starter policy if there is none.
    pub policy_dir: Option<PathBuf>,
    pub policy: PolicySettings,
    /// Directory of Databricks exports that a scan reads first, unless it names another.
    pub databricks_dir: Option<String>,
    pub identity: IdentitySettings,
    pub limits: Limits,
    pub run: RunConfig,
}

/// What the worker is told.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// URL of the queue.
    pub queue: Option<String>,
    /// Region of the queue, where its URL does not name it.
    pub region: Option<String>,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    pub allowed: AllowList,
    /// For how long a message is hidden from other workers at a time.
    pub visibility_timeout: Duration,
    /// How long the worker may take to finish what is in flight, once told to stop.
    pub grace: Duration,
    /// For how long a commit that fails is tried again.
    pub patience: Duration,
    /// How often rows are settled; not at all if there is none.
    pub settle_interval: Option<Duration>,
    /// For how long files are kept that settling replaced; for ever if there is none.
    pub keep_replaced: Option<Duration>,
    pub limits: Limits,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("read configuration `{file}`: {source}")]
    Unreadable {
        file: String,
        source: std::io::Error,
    },
    #[error("configuration `{file}`: {source}")]
    Invalid {
        file: String,
        source: Box<toml::de::Error>,
    },
    #[error("configuration key `{key}`: {problem}")]
    Value { key: &'static str, problem: String },
}

/// Options of the command line that stand in the file too.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub lake: Option<String>,
    pub policy_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the named file, or the default one if there is one.
    ///
    /// # Errors
    /// When a named file is missing, or a value is wrong.
    pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Config, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let name = || path.display().to_string();
        let raw = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|source| ConfigError::Invalid {
                file: name(),
                source: Box::new(source),
            })?,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                RawConfig::default()
            }
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    file: name(),
                    source,
                });
            }
        };
        raw.complete(overrides)
    }
}

impl RawConfig {
    fn complete(self, overrides: Overrides) -> Result<Config, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut limits = Limits::for_cores(self.scan.threads.unwrap_or(cores));
        if let Some(size) = self.scan.in_flight_bytes_max {
            limits.in_flight_bytes_max = size.as_u64();
        }
        if let Some(size) = self.scan.commit_bytes {
            limits.commit_bytes = size.as_u64();
        }
        if let Some(objects) = self.scan.commit_objects {
            limits.commit_objects = objects.max(1);
        }
        if let Some(interval) = self.scan.commit_interval {
            limits.commit_interval = interval;
        }
        check_room(&limits, ["scan.commit_bytes", "scan.in_flight_bytes_max"])?;
        let run = self.run.complete(cores)?;
        let known_networks = ranges(&self.network.known_networks)?;
        let mut policy = PolicySettings {
            known_networks: self.network.known_networks,
            known_vpc_endpoints: self.network.known_vpc_endpoints.clone(),
            own_account_ids: self.accounts.own,
            ..PolicySettings::default()
        };
        if let Some(age) = self.policy.session_age_max {
            policy.session_age_max_hours = whole_hours(age)?;
        }
        Ok(Config {
            lake: overrides
                .lake
                .or(self.lake)
                .unwrap_or_else(|| DEFAULT_LAKE.to_owned()),
            policy_dir: overrides.policy_dir.or(self.policy.dir),
            policy,
            databricks_dir: self.databricks.dir,
            identity: IdentitySettings {
                databricks_account_ids: self.identity.databricks_account_ids,
                log_delivery_roles: self.identity.log_delivery_roles,
                storage_credential_roles: self.identity.storage_credential_roles,
                compute_vpc_endpoints: self.network.known_vpc_endpoints,
                known_networks,
            },
            limits,
            run,
        })
    }
}

/// Hides a message at a time: three heartbeats, any of which may be missed twice.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(300);

/// What a worker takes for [`Limits::commit_interval`].
const COMMIT_INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(3600);

/// What Kubernetes and ECS give a process by default is 30 seconds.
const GRACE: Duration = Duration::from_secs(25);

/// A store that is away for longer is somebody's business.
const PATIENCE: Duration = Duration::from_secs(120);

const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);

/// A worker waits for a network: more in flight than a scan needs keeps it busy.
const RUN_IN_FLIGHT_BYTES: u64 = 256 * 1024 * 1024;

impl RawRun {
    fn complete(self, cores: usize) -> Result<RunConfig, ConfigError> {
        let mut limits = Limits::for_cores(self.threads.unwrap_or(cores));
        limits.in_flight_bytes_max = match self.in_flight_bytes_max {
            Some(size) => size.as_u64(),
            None => RUN_IN_FLIGHT_BYTES,
        };
        if let Some(size) = self.commit_bytes {
            limits.commit_bytes = size.as_u64();
        }
        if let Some(objects) = self.commit_objects {
            limits.commit_objects = objects.max(1);
        }
        if let Some(interval) = self.commit_interval {
            if !COMMIT_INTERVALS.contains(&interval) {
                return Err(ConfigError::Value {
                    key: "run.commit_interval",
                    problem: "10 milliseconds at least, an hour at most".to_owned(),
                });
            }
            limits.commit_interval = interval;
        }
        check_room(&limits, ["run.commit_bytes", "run.in_flight_bytes_max"])?;
        let visibility_timeout = self.visibility_timeout.unwrap_or(VISIBILITY_TIMEOUT);
        let (least, most) = (Duration::from_secs(10), crate::aws::queue::HIDDEN_MAX);
        if visibility_timeout < least || visibility_timeout > most {
            return Err(ConfigError::Value {
                key: "run.visibility_timeout",
                problem: "SQS hides a message for 12 hours at most, and less than 10 seconds is \
                          too little to be renewed in; write for example `5m`"
                    .to_owned(),
            });
        }
        let keep_replaced = self.keep_replaced.filter(|keep| !keep.is_zero());
        let least = Duration::from_secs(RETENTION_DAYS_MIN.unsigned_abs() * 86_400);
        if keep_replaced.is_some_and(|keep| keep < least) {
            return Err(ConfigError::Value {
                key: "run.keep_replaced",
                problem: format!(
                    "files that a writer is about to commit could be deleted after less than \
                     {RETENTION_DAYS_MIN} days; write for example `90d`"
                ),
            });
        }
        let allowed = self.allow.into_iter().map(|allowed| AllowedBucket {
            bucket: allowed.bucket,
            owner: allowed.owner,
            prefixes: allowed.prefixes,
            accounts: allowed.accounts,
        });
        Ok(RunConfig {
            queue: self.queue,
            region: self.region,
            listen: self.listen.unwrap_or(LISTEN),
            allowed: AllowList(allowed.collect()),
            visibility_timeout,
            grace: self.grace.unwrap_or(GRACE),
            patience: self.patience.unwrap_or(PATIENCE),
            settle_interval: self.settle_interval.filter(|interval| !interval.is_zero()),
            keep_replaced,
            limits,
        })
    }
}

impl RunConfig {
    /// Reads `s3://bucket/prefix`.
    ///
    /// # Errors
    /// When it is written otherwise.
    pub fn read_allowed(place: &str) -> Result<AllowedBucket, ConfigError> {
        let (bucket, prefix) = split_place(place).ok_or_else(|| ConfigError::Value {
            key: "--allow",
            problem: format!("`{place}` names no bucket; write it like `s3://bucket/prefix/`"),
        })?;
        let prefixes = (!prefix.is_empty()).then(|| prefix.to_owned());
        Ok(AllowedBucket {
            bucket: bucket.to_owned(),
            prefixes: prefixes.into_iter().collect(),
            ..AllowedBucket::default()
        })
    }
}

/// A commit must leave room to read.
fn check_room(
    limits: &Limits,
    [commit_bytes, in_flight]: [&'static str; 2],
) -> Result<(), ConfigError> {
    if limits.commit_bytes.saturating_mul(2) <= limits.in_flight_bytes_max {
        return Ok(());
    }
    Err(ConfigError::Value {
        key: commit_bytes,
        problem: format!(
            "{} is more than half of `{in_flight}` ({}), so that nothing could be read while a \
             commit is written; make it smaller",
            ByteSize::b(limits.commit_bytes),
            ByteSize::b(limits.in_flight_bytes_max)
        ),
    })
}

fn ranges(texts: &[String]) -> Result<Vec<Cidr>, ConfigError> {
    let range = |text: &String| {
        Cidr::parse(text).ok_or_else(|| ConfigError::Value {
            key: "network.known_networks",
            problem: format!("`{text}` is no address range; write it like `10.0.0.0/8`"),
        })
    };
    texts.iter().map(range).collect()
}

/// Policies see a session's age in whole hours, so its limit is one too.
fn whole_hours(age: Duration) -> Result<u32, ConfigError> {
    let seconds = age.as_secs();
    match u32::try_from(seconds / 3600) {
        Ok(hours) if seconds.is_multiple_of(3600) && hours > 0 => Ok(hours),
        _ => Err(ConfigError::Value {
            key: "policy.session_age_max",
            problem: format!(
                "`{}` is not a whole number of hours; write for example `12h`",
                humantime::format_duration(age)
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        raw.complete(Overrides::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_a_whole_configuration() {
        let config = complete("").unwrap();
        assert_eq!(config.lake, DEFAULT_LAKE);
        assert_eq!(config.policy_dir, None);
    }

    #[test]
    fn sizes_and_durations_are_written_with_units() {
        let config = complete(
            "[scan]\nin_flight_bytes_max = \"64 MiB\"\ncommit_bytes = \"8 MiB\"\ncommit_interval = \"15m\"",
        )
        .unwrap();
        assert_eq!(config.limits.in_flight_bytes_max, 64 << 20);
        assert_eq!(config.limits.commit_interval, Duration::from_secs(900));
    }

    #[test]
    fn a_misspelt_key_is_refused_by_name() {
        let error = complete("[scan]\ncommit_byte = \"8 MiB\"").unwrap_err();
        assert!(error.contains("commit_byte"), "{error}");
    }

    #[test]
    fn a_commit_must_leave_room_to_read() {
        let error = complete("[scan]\nin_flight_bytes_max = \"16 MiB\"\ncommit_bytes = \"9 MiB\"")
            .unwrap_err();
        assert!(error.contains("scan.commit_bytes"), "{error}");
    }

    #[test]
    fn a_network_is_a_range_and_attribution_knows_it() {
        let config = complete("[network]\nknown_networks = [\"10.0.0.0/8\"]").unwrap();
        assert_eq!(
            config.identity.known_networks,
            [Cidr::parse("10.0.0.0/8").unwrap()]
        );
        let error = complete("[network]\nknown_networks = [\"10.0.0.0/40\"]").unwrap_err();
        assert!(error.contains("network.known_networks"), "{error}");
        assert!(error.contains("10.0.0.0/40"), "{error}");
    }

    #[test]
    fn a_session_age_is_whole_hours() {
        assert_eq!(
            complete("[policy]\nsession_age_max = \"36h\"")
                .unwrap()
                .policy
                .session_age_max_hours,
            36
        );
        assert!(complete("[policy]\nsession_age_max = \"90m\"").is_err());
    }
}
