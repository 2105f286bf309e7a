//! Who and what there is: accounts, workspaces, people, roles, places in S3.
//!
//! A fictional company, Northwind, with the account numbers of AWS's own
//! documentation. Two accounts: the lake's, with most workspaces, and that of a
//! team with a workspace of its own that reads the lake across the border.
//!
//! Its size follows from the load: [`Size::units`] multiplies people, tables
//! and jobs, so that a long trail is not the same ten jobs a million times.

use super::random::Random;
use super::text::{DAY, put};
use crate::model::PrincipalKind;
use std::sync::Arc;

/// 2026-10-05T00:00:00Z, a Monday: the first instant of every simulation.
pub(super) const START: i64 = 1_791_158_400;

pub(super) const LAKE_ACCOUNT: &str = "111122223333";
pub(super) const TEAM_ACCOUNT: &str = "444455556666";
pub(super) const FOREIGN_ACCOUNT: &str = "777788889999";
/// Databricks' control plane: terraform-provider-databricks, `aws/constants.go`.
pub(super) const DATABRICKS_ACCOUNT: &str = "414351767826";
pub(super) const UC_MASTER_ROLE: &str =
    "arn:aws:iam::414351767826:role/unity-catalog-prod-UCMasterRole-14S5ZJVKOTYTL";

/// Who acts in a location's name in CloudTrail: an account in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub account: &'static str,
    pub region: &'static str,
}

/// The places that have a trail; the last is where global STS calls go.
pub(super) const PLACES: [Place; 4] = [
    Place {
        account: LAKE_ACCOUNT,
        region: "us-west-2",
    },
    Place {
        account: LAKE_ACCOUNT,
        region: "eu-west-1",
    },
    Place {
        account: TEAM_ACCOUNT,
        region: "us-west-2",
    },
    Place {
        account: LAKE_ACCOUNT,
        region: "us-east-1",
    },
];
pub(super) const LAKE_WEST: usize = 0;
pub(super) const LAKE_EU: usize = 1;
pub(super) const TEAM_WEST: usize = 2;
pub(super) const LAKE_EAST: usize = 3;

pub(super) fn place(number: usize) -> Place {
    let [first, ..] = PLACES;
    PLACES.get(number).copied().unwrap_or(first)
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub seed: u64,
    pub days: i64,
    /// Multiplies people, tables and jobs.
    pub units: u64,
}

/// How long after the trail's end the exports are taken, in days: by then all of the
/// trail is delivered, and Databricks' tables tell of every hour that it holds.
const EXPORTED_AFTER: i64 = 3;

impl Size {
    pub(super) fn end(self) -> i64 {
        START + self.days * DAY
    }

    /// When the exports are taken; the organisation works on until then.
    pub(super) fn exported(self) -> i64 {
        self.end() + EXPORTED_AFTER * DAY
    }
}

pub(super) struct Workspace {
    pub id: Arc<str>,
    pub name: &'static str,
    pub place: usize,
    /// The first two numbers of its network's addresses.
    pub network: &'static str,
    pub vpc_endpoint: &'static str,
    /// How far Databricks' clock is ahead of AWS's, in milliseconds.
    pub clock_skew_millis: i64,
    pub users: Vec<Principal>,
    pub services: Vec<Principal>,
    pub roles: Roles,
    pub buckets: Buckets,
    /// External tables and paths that Unity Catalog governs.
    pub tables: Vec<Table>,
    /// Where jobs without Unity Catalog read and write.
    pub feeds: Vec<Arc<Location>>,
}

/// A user or service principal.
#[derive(Clone, Debug)]
pub(super) struct Principal {
    pub kind: PrincipalKind,
    /// The e-mail address, or the application id.
    pub name: Arc<str>,
    /// Databricks' numeric id, which `run_as` and `creator_id` hold.
    pub number: String,
    pub display: String,
    /// Deleted people are in no SCIM answer any more.
    pub deleted: bool,
}

/// An IAM role.
#[derive(Debug)]
pub(super) struct Role {
    pub account: &'static str,
    /// Empty, or ending in `/`.
    pub path: &'static str,
    pub name: String,
    /// `AROA…`.
    pub id: String,
}

impl Role {
    pub(super) fn arn(&self) -> String {
        format!(
            "arn:aws:iam::{}:role/{}{}",
            self.account, self.path, self.name
        )
    }

    fn new(size: Size, account: &'static str, path: &'static str, name: String) -> Arc<Role> {
        let mut random = Random::of(size.seed, &format!("role {account} {name}"), &[]);
        Arc::new(Role {
            account,
            path,
            id: random.aws_id("AROA", 17),
            name,
        })
    }
}

pub(super) struct Roles {
    /// Of the clusters' instance profiles: jobs, and people.
    pub etl: Arc<Role>,
    pub interactive: Arc<Role>,
    /// What an instance assumes for data.
    pub data: Arc<Role>,
    /// What Databricks manages instances with.
    pub cross_account: Arc<Role>,
    /// Behind the storage credentials.
    pub storage: Arc<Role>,
    pub sso: Arc<Role>,
    pub airflow: Arc<Role>,
    pub backend: Arc<Role>,
    pub log_delivery: Arc<Role>,
}

pub(super) struct Buckets {
    pub raw: Arc<str>,
    pub curated: Arc<str>,
    pub managed: Arc<str>,
    pub root: Arc<str>,
    pub logs: Arc<str>,
    pub public: Arc<str>,
}

/// A path in a bucket.
#[derive(Debug)]
pub(super) struct Location {
    pub bucket: Arc<str>,
    /// Without a slash at its end.
    pub prefix: String,
    pub owner: &'static str,
    pub region: &'static str,
}

impl Location {
    pub(super) fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// What Unity Catalog vends for.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub kind: TableKind,
    pub full_name: String,
    /// Table or volume id.
    pub id: String,
    pub location: Arc<Location>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    External,
    /// Its id stands in its path.
    Managed,
    /// Its id stands in its path; a vend tells no location.
    Volume,
    /// A path that is no table.
    Path,
}

/// Everybody and everything.
pub(super) struct Organisation {
    pub size: Size,
    /// Databricks' account id; also the external id of the storage credentials.
    pub account_id: String,
    /// One for each region: west, and the other.
    pub metastore_ids: [String; 2],
    pub workspaces: Vec<Workspace>,
}

const FIRST_NAMES: [&str; 16] = [
    "ana", "bela", "chen", "dana", "emil", "farah", "goran", "hana", "ivo", "june", "kofi", "lena",
    "mateo", "nora", "omar", "petra",
];
const LAST_NAMES: [&str; 8] = [
    "weber", "okafor", "silva", "tanaka", "novak", "haddad", "larsen", "moreau",
];
const DOMAINS: [&str; 6] = ["sales", "finance", "customers", "payroll", "web", "supply"];
const TABLES: [&str; 5] = ["orders", "events", "accounts", "daily_totals", "history"];

impl Organisation {
    pub(super) fn of(size: Size) -> Organisation {
        let mut random = Random::of(size.seed, "organisation", &[]);
        let account_id = random.uuid();
        let metastore_ids = [random.uuid(), random.uuid()];
        let plans = [
            (
                "analytics",
                LAKE_WEST,
                "10.21",
                "vpce-0f1e2d3c4b5a69788",
                1_400,
            ),
            (
                "science",
                TEAM_WEST,
                "10.31",
                "vpce-0a9b8c7d6e5f40312",
                -2_100,
            ),
            ("emea", LAKE_EU, "10.41", "vpce-01234567abcdef089", 300),
        ];
        let workspaces = plans
            .into_iter()
            .enumerate()
            .map(|(number, (name, place, network, vpc_endpoint, skew))| {
                let mut random = Random::of(size.seed, "workspace", &[number as u64]);
                let roles = Roles::of(size, name, place);
                let buckets = Buckets::of(name, place);
                let (users, services) = people(size, number, &mut random);
                Workspace {
                    id: format!(
                        "{}",
                        1_000_000_000_000_000 + random.below(8_000_000_000_000_000)
                    )
                    .into(),
                    name,
                    place,
                    network,
                    vpc_endpoint,
                    clock_skew_millis: skew,
                    users,
                    services,
                    tables: tables(size, name, place, &buckets, &mut random),
                    feeds: feeds(size, name, place, &buckets),
                    roles,
                    buckets,
                }
            })
            .collect();
        Organisation {
            size,
            account_id,
            metastore_ids,
            workspaces,
        }
    }

    /// The metastore of the workspace's region.
    pub(super) fn metastore(&self, workspace: &Workspace) -> &str {
        let [west, other] = &self.metastore_ids;
        match workspace.place {
            LAKE_EU => other,
            _ => west,
        }
    }
}

impl Roles {
    fn of(size: Size, workspace: &str, at: usize) -> Roles {
        let account = place(at).account;
        let role = |path, name: &str| Role::new(size, account, path, format!("{workspace}-{name}"));
        Roles {
            etl: role("", "etl-profile"),
            interactive: role("", "cluster-profile"),
            data: role("", "data-access"),
            cross_account: role("databricks/", "cross-account"),
            storage: role("databricks/", "uc-storage"),
            sso: Role::new(
                size,
                account,
                "aws-reserved/sso.amazonaws.com/",
                "AWSReservedSSO_DataAdmin_0f1e2d3c4b5a6978".to_owned(),
            ),
            airflow: role("", "airflow"),
            backend: role("", "backend-service"),
            log_delivery: role("databricks/", "log-delivery"),
        }
    }
}

impl Buckets {
    fn of(workspace: &str, at: usize) -> Buckets {
        let region = place(at).region;
        let bucket = |what: &str| -> Arc<str> { format!("northwind-{workspace}-{what}").into() };
        Buckets {
            raw: bucket("raw"),
            curated: bucket("curated"),
            managed: bucket("managed"),
            root: format!("northwind-{workspace}-root-{region}").into(),
            logs: bucket("logs"),
            public: bucket("site-assets"),
        }
    }
}

fn people(size: Size, workspace: usize, random: &mut Random) -> (Vec<Principal>, Vec<Principal>) {
    let mut users = Vec::new();
    // The last one is deleted.
    for n in 0..9 + 3 * size.units {
        let first = random.text(&FIRST_NAMES);
        let last = random.text(&LAST_NAMES);
        // One number for each workspace and person, so that no two are alike.
        let unique = 100 * n + workspace as u64;
        users.push(Principal {
            kind: PrincipalKind::User,
            name: format!("{first}.{last}{unique}@northwind.example").into(),
            number: format!("{}", 4_400_000_000_000 + 7_919 * unique),
            display: format!("{first} {last}"),
            deleted: n == 8 + 3 * size.units,
        });
    }
    let mut services = Vec::new();
    for n in 0..4 + size.units {
        services.push(Principal {
            kind: PrincipalKind::ServicePrincipal,
            name: random.uuid().into(),
            number: format!(
                "{}",
                8_800_000_000_000 + 104_729 * (100 * n + workspace as u64)
            ),
            display: format!("sp-{n}"),
            deleted: false,
        });
    }
    (users, services)
}

fn tables(
    size: Size,
    workspace: &str,
    at: usize,
    buckets: &Buckets,
    random: &mut Random,
) -> Vec<Table> {
    let location = |bucket: &Arc<str>, prefix: String| {
        Arc::new(Location {
            bucket: bucket.clone(),
            prefix,
            owner: place(at).account,
            region: place(at).region,
        })
    };
    let catalog_id = random.uuid();
    let mut tables = Vec::new();
    for n in 0..10 * (1 + size.units) {
        for (kind, root) in [
            (TableKind::External, "tables"),
            (TableKind::Managed, "managed"),
            (TableKind::Volume, "files"),
            (TableKind::Path, "landing"),
        ] {
            // Volumes and paths are fewer.
            if kind != TableKind::External && n % 3 != 0 {
                continue;
            }
            let (domain, name) = (random.text(&DOMAINS), random.text(&TABLES));
            let id = random.uuid();
            let full_name = format!("{workspace}.{domain}.{name}_{root}_{n}");
            let place = match kind {
                TableKind::External => location(&buckets.curated, format!("{domain}/{name}_{n}")),
                TableKind::Path => location(&buckets.curated, format!("landing/{domain}_{n}")),
                TableKind::Managed => location(
                    &buckets.managed,
                    format!("__unitystorage/catalogs/{catalog_id}/tables/{id}"),
                ),
                TableKind::Volume => location(
                    &buckets.managed,
                    format!("__unitystorage/catalogs/{catalog_id}/volumes/{id}"),
                ),
            };
            tables.push(Table {
                kind,
                full_name,
                id,
                location: place,
            });
        }
    }
    tables
}

fn feeds(size: Size, workspace: &str, at: usize, buckets: &Buckets) -> Vec<Arc<Location>> {
    let mut feeds = Vec::new();
    for n in 0..6 * (1 + size.units) {
        let domain = DOMAINS
            .get(usize::try_from(n % 6).unwrap_or_default())
            .copied()
            .unwrap_or_default();
        let mut prefix = String::new();
        put(
            &mut prefix,
            format_args!("feeds/{domain}/{workspace}_{n:03}"),
        );
        feeds.push(Arc::new(Location {
            bucket: buckets.raw.clone(),
            prefix,
            owner: place(at).account,
            region: place(at).region,
        }));
    }
    feeds
}
