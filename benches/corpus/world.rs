//! Who acts in the corpus: two accounts, two regions, two days; clusters of
//! instances behind instance profiles, Unity Catalog roles, tables, IAM users.

use super::random::Random;
use std::ops::Range;

/// An account in a region: objects are written for one of them.
pub const PLACES: usize = 4;

const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

/// Seconds of events: just short of two days, so that what happens last is
/// still delivered on the second.
const SPAN_SECS: u64 = 2 * 86_400 - 600;
const DELIVERY_SECS: u64 = 300;

/// Clusters of each place, beside one that lives all the time.
const CLUSTERS_MAX: usize = 30;

/// Tables of each account, and data files of each table in use.
pub const TABLES: u64 = 48;
pub const UC_ROLES: u64 = 6;

/// Sessions that Unity Catalog issues for each object.
pub const UC_SESSIONS: u64 = 24;

pub const USER_AGENTS: [&str; 5] = [
    "[aws-sdk-java/1.12.638 Linux/5.15.0]",
    "[aws-sdk-java/1.12.390 Linux/5.15.0]",
    "[aws-sdk-cpp/1.11.321 Linux/5.15.0]",
    "[aws-sdk-java/2.25.11 Linux/5.15.0]",
    "[Boto3/1.34.39 Botocore/1.34.39]",
];

pub struct World {
    pub objects: usize,
    /// Seconds of events of one object.
    step: u64,
    clusters: Vec<Cluster>,
}

/// A Databricks cluster on instances of its own.
pub struct Cluster {
    place: usize,
    pub id: String,
    pub creator: String,
    /// A job cluster carries the id of its job.
    pub job_id: Option<u64>,
    pub role: String,
    pub role_id: String,
    pub user_agent: &'static str,
    pub vpc_endpoint_id: String,
    pub launched: u64,
    pub ends: u64,
    pub instances: Vec<Instance>,
}

pub struct Instance {
    pub id: String,
    pub private_ip: String,
    /// Issue of its first session key; the others follow hourly.
    pub first_issue: u64,
    seed: u64,
}

/// A key of a session, and since when.
pub struct Key {
    pub id: String,
    pub issued: u64,
}

/// A session that Unity Catalog issued.
pub struct Vended {
    pub role: u64,
    pub key: Key,
    /// The one that was reported of hosted Unity Catalog: it names nobody.
    pub session_name: &'static str,
    pub table: Table,
    pub writes: bool,
    pub source_ip: String,
}

/// Where a table lies.
pub struct Table {
    pub bucket: String,
    pub prefix: String,
    pub is_delta: bool,
    number: u64,
}

impl World {
    pub fn of(objects: usize) -> World {
        let steps = objects.div_ceil(PLACES) as u64;
        let clusters_each = (objects * CLUSTERS_MAX / 205).clamp(2, CLUSTERS_MAX);
        let clusters = (0..PLACES)
            .flat_map(|place| (0..=clusters_each).map(move |n| Cluster::of(place, n)))
            .collect();
        World {
            objects,
            step: SPAN_SECS / steps,
            clusters,
        }
    }

    pub fn account(&self, object: usize) -> &'static str {
        ACCOUNTS[object % PLACES / 2]
    }

    pub fn region(&self, object: usize) -> &'static str {
        REGIONS[object % PLACES % 2]
    }

    /// Seconds since the beginning at which the object's events happen.
    pub fn window(&self, object: usize) -> Range<u64> {
        let start = (object / PLACES) as u64 * self.step;
        start..start + self.step
    }

    /// The key below the log bucket, as CloudTrail writes it.
    pub fn key(&self, object: usize) -> String {
        let (account, region) = (self.account(object), self.region(object));
        let delivered = self.window(object).end + DELIVERY_SECS;
        let (day, minute) = (first_day(delivered), delivered % 86_400 / 60);
        let mut unique = String::new();
        Random::of(&[1, object as u64]).base36(16, &mut unique);
        format!(
            "AWSLogs/{account}/CloudTrail/{region}/2026/09/{day:02}/{account}_CloudTrail_{region}_202609{day:02}T{:02}{:02}Z_{unique}.json.gz",
            minute / 60,
            minute % 60,
        )
    }

    pub fn clusters(&self, object: usize) -> impl Iterator<Item = &Cluster> {
        self.clusters
            .iter()
            .filter(move |cluster| cluster.place == object % PLACES)
    }

    /// The session of that number among those issued in the object's time.
    pub fn vended(&self, object: usize, number: u64) -> Vended {
        let mut random = Random::of(&[4, object as u64, number]);
        let window = self.window(object);
        let issued = window.start + random.below((window.end - window.start).saturating_sub(120));
        Vended {
            role: random.below(UC_ROLES),
            key: Key {
                id: random.aws_id("ASIA", 16),
                issued,
            },
            session_name: "databricks",
            table: self.table(object, random.skewed(TABLES)),
            writes: random.chance(30),
            // Serverless compute leaves through few addresses.
            source_ip: format!("203.0.113.{}", 10 + random.below(40)),
        }
    }

    /// A table of the object's account and region.
    pub fn table(&self, object: usize, number: u64) -> Table {
        const DATABASES: [&str; 6] = [
            "sales",
            "finance",
            "clickstream",
            "inventory",
            "hr",
            "features",
        ];
        const TABLES: [&str; 8] = [
            "orders",
            "customers",
            "events_bronze",
            "events_silver",
            "daily_metrics",
            "transactions",
            "sessions",
            "dim_product",
        ];
        let number = number + 1000 * (object % PLACES) as u64;
        let local = number % 1000;
        let database = DATABASES[local as usize % DATABASES.len()];
        Table {
            bucket: format!(
                "acme-{}{}",
                ["raw", "silver", "gold"][local as usize % 3],
                object % PLACES
            ),
            prefix: format!(
                "warehouse/{database}/{}",
                TABLES[local as usize / DATABASES.len() % TABLES.len()]
            ),
            is_delta: !local.is_multiple_of(4),
            number,
        }
    }
}

impl Cluster {
    fn of(place: usize, number: usize) -> Cluster {
        let mut random = Random::of(&[2, place as u64, number as u64]);
        let (launched, lives) = match number {
            0 => (0, SPAN_SECS),
            1..=4 => (random.below(1800), 3600 * (4 + random.below(12))),
            _ => (
                random.below(SPAN_SECS - 7200),
                3600 * (4 + random.below(16)),
            ),
        };
        let stamp = 22 * 86_400 + launched;
        let id = format!(
            "09{}-{:02}{:02}{:02}-{}",
            stamp / 86_400,
            launched / 3600 % 24,
            launched / 60 % 60,
            launched % 60,
            random.aws_id("", 8).to_ascii_lowercase()
        );
        let role = random.below(4);
        let instances = (0..4 + random.below(9))
            .map(|_| Instance::of(launched, &mut random))
            .collect();
        Cluster {
            place,
            id,
            creator: format!("user{:02}@acme.example", random.below(40)),
            job_id: random
                .chance(60)
                .then(|| 100_000_000_000 + random.below(899_999_999_999)),
            role: format!("dbx-{}", ["etl", "bi", "ml", "adhoc"][role as usize]),
            // A role is the account's, not the region's.
            role_id: Random::of(&[5, place as u64 / 2, role]).aws_id("AROA", 17),
            user_agent: USER_AGENTS[random.below(3) as usize],
            vpc_endpoint_id: format!("vpce-{:017x}", Random::of(&[6, place as u64]).next() >> 4),
            launched,
            ends: launched + lives,
            instances,
        }
    }

    /// When of the window its instances work; `None` if there is hardly any.
    pub fn alive_in(&self, window: &Range<u64>) -> Option<Range<u64>> {
        let alive = window.start.max(self.launched + 120)..window.end.min(self.ends);
        (alive.start + 30 < alive.end).then_some(alive)
    }
}

impl Instance {
    fn of(launched: u64, random: &mut Random) -> Instance {
        Instance {
            id: format!("i-{:017x}", random.next() >> 4 | 1 << 59),
            private_ip: format!(
                "10.{}.{}.{}",
                20 + random.below(4),
                random.below(64),
                4 + random.below(250)
            ),
            first_issue: launched + 20 + random.below(60),
            seed: random.next(),
        }
    }

    /// The key that its metadata service gives out at that time.
    pub fn key_at(&self, at: u64) -> Key {
        let hour = at.saturating_sub(self.first_issue) / 3600;
        Key {
            id: Random::of(&[self.seed, hour]).aws_id("ASIA", 16),
            issued: self.first_issue + hour * 3600,
        }
    }

    /// When keys are issued within the window.
    pub fn issues_in(&self, window: &Range<u64>, ends: u64) -> impl Iterator<Item = u64> {
        let (window, first) = (window.clone(), self.first_issue);
        (0..)
            .map(move |hour| first + hour * 3600)
            .skip_while({
                let start = window.start;
                move |at| *at < start
            })
            .take_while(move |at| *at < window.end.min(ends))
    }
}

impl Table {
    /// A data file, or an entry of the Delta log.
    pub fn key(&self, object: usize, random: &mut Random) -> String {
        if self.is_delta && random.chance(18) {
            let version = 40_000 + self.number + (object / PLACES) as u64 * 25 + random.below(25);
            return match random.below(4) {
                0 => format!("{}/_delta_log/_last_checkpoint", self.prefix),
                _ => format!("{}/_delta_log/{version:020}.json", self.prefix),
            };
        }
        // A file is opened a few times within minutes: footer, then column chunks.
        let file = random.skewed(60);
        let mut named = Random::of(&[7, self.number, object as u64, file]);
        let uuid = named.uuid_text();
        let day = 1 + named.below(22);
        if self.is_delta {
            format!("{}/part-{file:05}-{uuid}.c000.snappy.parquet", self.prefix)
        } else {
            format!(
                "{}/dt=2026-09-{day:02}/part-{file:05}-{uuid}.c000.snappy.parquet",
                self.prefix
            )
        }
    }
}

/// The day of the month; the corpus begins on the 22nd of September 2026.
pub fn first_day(at: u64) -> u64 {
    22 + at / 86_400
}

/// A time as CloudTrail writes it.
pub fn iso(at: u64) -> String {
    format!(
        "2026-09-{:02}T{:02}:{:02}:{:02}Z",
        first_day(at),
        at / 3600 % 24,
        at / 60 % 60,
        at % 60
    )
}

/// An expiry as STS writes it.
pub fn human(at: u64) -> String {
    let hour = at / 3600 % 24;
    format!(
        "Sep {}, 2026, {}:{:02}:{:02} {}",
        first_day(at),
        if hour.is_multiple_of(12) {
            12
        } else {
            hour % 12
        },
        at / 60 % 60,
        at % 60,
        if hour < 12 { "AM" } else { "PM" }
    )
}
