//! What runs when: clusters, their instances, job runs and their tasks.
//!
//! Three kinds of clusters: one for each run of a job (on machines of its own,
//! or on those of a pool, which serve one cluster after another), and those of
//! people, which start in the morning and stop at night.
//!
//! INVARIANT (one place at a time): an instance is on one cluster at a time,
//! and an address belongs to one instance at a time; both are used again.

use super::org::{Organisation, START, Workspace};
use super::random::Random;
use super::scenario::Scenario;
use super::text::{DAY, HOUR, MINUTE, date};
use std::ops::Range;
use std::sync::Arc;

/// How a cluster separates its users, in the words of the Clusters API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Dedicated,
    Standard,
    Passthrough,
}

pub(super) struct Cluster {
    pub workspace: usize,
    pub id: Arc<str>,
    pub name: String,
    /// The run it was made for; `None` for clusters of people.
    pub run: Option<usize>,
    pub mode: Mode,
    /// Number of its owner among the workspace's users.
    pub owner: usize,
    /// A user, a group or a service principal.
    pub single_user: Option<Arc<str>>,
    /// Whether its machines carry an instance profile, and whose.
    pub profile: Option<Profile>,
    pub pool: bool,
    pub scenario: Scenario,
    pub span: Range<i64>,
    pub placements: Vec<Placement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Etl,
    Interactive,
}

/// An instance's time on a cluster.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub instance: usize,
    pub span: Range<i64>,
    pub driver: bool,
}

pub(super) struct Instance {
    pub workspace: usize,
    pub id: Arc<str>,
    pub ip: String,
    pub span: Range<i64>,
    pub profile: Option<Profile>,
    pub pool: bool,
    /// The cluster it was launched for; none for a pool's.
    pub cluster: Option<usize>,
    /// Whether a key's delivery to it is recorded.
    pub is_delivery_recorded: bool,
}

pub(super) struct Job {
    pub workspace: usize,
    pub id: Arc<str>,
    pub name: String,
    pub scenario: Scenario,
    /// Numbers among the workspace's services and users.
    pub run_as: usize,
    pub creator: usize,
}

pub(super) struct Run {
    pub job: usize,
    pub id: Arc<str>,
    pub span: Range<i64>,
    pub tasks: Vec<Task>,
    /// `None` on serverless compute.
    pub cluster: Option<usize>,
}

pub(super) struct Task {
    pub key: &'static str,
    pub id: Arc<str>,
    pub span: Range<i64>,
}

/// Everything that runs.
#[derive(Default)]
pub(super) struct Compute {
    pub clusters: Vec<Cluster>,
    pub instances: Vec<Instance>,
    pub jobs: Vec<Job>,
    pub runs: Vec<Run>,
}

/// The jobs of a workspace: what each plays, its period and length in minutes.
const JOBS: [(Scenario, i64, i64); 16] = [
    (Scenario::JobCluster, 120, 40),
    (Scenario::JobCluster, 240, 70),
    (Scenario::JobClusterSessionName, 180, 35),
    (Scenario::JobParallelTasks, 240, 50),
    (Scenario::JobSequentialTasks, 300, 60),
    (Scenario::PoolCluster, 90, 30),
    (Scenario::UcJobCluster, 120, 45),
    (Scenario::RoleChain, 360, 30),
    (Scenario::JobLongRun, 1440, 260),
    (Scenario::JobClusterNoSts, 720, 25),
    (Scenario::UcServerlessJob, 180, 30),
    (Scenario::JobSharedId, 360, 30),
    (Scenario::JobAllPurpose, 150, 40),
    (Scenario::JobOldRecords, 300, 30),
    (Scenario::JobAccessPoint, 360, 30),
    (Scenario::JobDirectoryBucket, 360, 30),
];

/// Of the id that a job of the first and one of the second workspace share.
const SHARED_JOB_ID: &str = "620015532871044";

impl Compute {
    pub(super) fn of(org: &Organisation) -> Compute {
        let mut compute = Compute::default();
        for (number, workspace) in org.workspaces.iter().enumerate() {
            let mut maker = Maker {
                org,
                workspace,
                number,
                random: Random::of(org.size.seed, "compute", &[number as u64]),
                pool: Vec::new(),
                addresses: Vec::new(),
                all_purpose: Vec::new(),
                made: &mut compute,
            };
            for unit in 0..org.size.units {
                for (scenario, period, length) in JOBS {
                    // One job of the first and one of the second workspace.
                    if scenario == Scenario::JobSharedId && (unit > 0 || number > 1) {
                        continue;
                    }
                    maker.job(scenario, period * MINUTE, length * MINUTE);
                }
            }
            // Only the team's workspace looks across the border.
            if workspace.roles.etl.account != super::org::LAKE_ACCOUNT {
                maker.job(Scenario::JobCrossAccount, 180 * MINUTE, 30 * MINUTE);
            }
            maker.run_all();
            maker.clusters_of_people();
        }
        compute
    }
}

struct Maker<'o> {
    org: &'o Organisation,
    workspace: &'o Workspace,
    number: usize,
    random: Random,
    /// Machines of the pool: instance, and since when it is free.
    pool: Vec<(usize, i64)>,
    /// Addresses and since when they are free.
    addresses: Vec<(String, i64)>,
    /// Jobs and the clusters that they share with nobody, though they could.
    all_purpose: Vec<(usize, usize)>,
    made: &'o mut Compute,
}

struct Planned {
    job: usize,
    at: i64,
    length: i64,
}

impl Maker<'_> {
    fn job(&mut self, scenario: Scenario, period: i64, length: i64) {
        let services = self.workspace.services.len() as u64;
        let id = match scenario {
            Scenario::JobSharedId => SHARED_JOB_ID.to_owned(),
            _ => format!(
                "{}",
                100_000_000_000_000 + self.random.below(800_000_000_000_000)
            ),
        };
        let count = self.made.jobs.len();
        self.made.jobs.push(Job {
            workspace: self.number,
            id: id.into(),
            name: format!("{} {} {}", self.workspace.name, scenario.as_str(), count),
            scenario,
            run_as: usize::try_from(self.random.below(services)).unwrap_or_default(),
            creator: usize::try_from(self.random.below(8)).unwrap_or_default(),
        });
        // Rare ones, too, run on the first day.
        let mut at = START + self.random.between(0, period.min(8 * HOUR));
        // Jobs without machines work on until the exports are taken.
        let end = match scenario {
            Scenario::UcServerlessJob => self.org.size.exported(),
            _ => self.org.size.end(),
        };
        while at + length + 30 * MINUTE < end {
            let length = length + self.random.between(0, length / 4 + 1);
            self.made.runs.push(Run {
                job: count,
                id: format!(
                    "{}",
                    400_000_000_000_000 + self.random.below(500_000_000_000_000)
                )
                .into(),
                span: at..at + length,
                tasks: Vec::new(),
                cluster: None,
            });
            at += period + self.random.between(0, 4 * MINUTE);
        }
    }

    /// Gives the workspace's runs their clusters and tasks, in order of time:
    /// the pool's machines go from one to the next.
    fn run_all(&mut self) {
        let number = self.number;
        let mut planned: Vec<(usize, Planned)> = self
            .made
            .runs
            .iter()
            .enumerate()
            .filter(|(_, run)| {
                self.made
                    .jobs
                    .get(run.job)
                    .is_some_and(|job| job.workspace == number)
            })
            .map(|(index, run)| {
                let planned = Planned {
                    job: run.job,
                    at: run.span.start,
                    length: run.span.end - run.span.start,
                };
                (index, planned)
            })
            .collect();
        planned.sort_by_key(|(index, planned)| (planned.at, *index));
        for (index, planned) in planned {
            self.run(index, &planned);
        }
    }

    fn run(&mut self, index: usize, planned: &Planned) {
        let Some(job) = self.made.jobs.get(planned.job) else {
            return;
        };
        let (scenario, creator) = (job.scenario, job.creator);
        let run_as = self
            .workspace
            .services
            .get(job.run_as)
            .map(|service| service.name.clone());
        let job_id = job.id.clone();
        let Some(run_id) = self.made.runs.get(index).map(|run| run.id.clone()) else {
            return;
        };
        let span = planned.at..planned.at + planned.length;
        let tasks = self.tasks(scenario, &span);
        let is_own = !matches!(
            scenario,
            Scenario::UcServerlessJob | Scenario::JobAllPurpose
        );
        let shared =
            (scenario == Scenario::JobAllPurpose).then(|| self.all_purpose(planned.job, creator));
        let cluster = is_own.then(|| {
            let pool = scenario == Scenario::PoolCluster;
            let id = self.cluster_id(span.start);
            // Machines are up some minutes before the run's work.
            let lives = span.start - 3 * MINUTE..span.end + MINUTE;
            let number = self.made.clusters.len();
            let count = 2 + self.random.below(2);
            let profile = (scenario != Scenario::UcJobCluster).then_some(Profile::Etl);
            let placements = (0..count)
                .filter_map(|n| {
                    let instance = if pool {
                        self.of_pool(&lives)?
                    } else {
                        let recorded = scenario != Scenario::JobClusterNoSts;
                        self.launch(&lives, profile, Some(number), recorded)
                    };
                    Some(Placement {
                        instance,
                        span: lives.clone(),
                        driver: n == 0,
                    })
                })
                .collect();
            self.made.clusters.push(Cluster {
                workspace: self.number,
                id,
                name: format!("job-{job_id}-run-{run_id}-main"),
                run: Some(index),
                mode: Mode::Dedicated,
                owner: creator,
                single_user: run_as,
                profile,
                pool,
                scenario,
                span: lives,
                placements,
            });
            number
        });
        if let Some(run) = self.made.runs.get_mut(index) {
            run.tasks = tasks;
            run.cluster = cluster.or(shared);
        }
    }

    /// The cluster of a job that has none of its own: made once, up around the clock.
    fn all_purpose(&mut self, job: usize, owner: usize) -> usize {
        if let Some((_, cluster)) = self.all_purpose.iter().find(|(of, _)| *of == job) {
            return *cluster;
        }
        let number = self.made.clusters.len();
        self.all_purpose.push((job, number));
        let made = START - 20 * DAY + 61 * self.random.between(0, 9000);
        let id = self.cluster_id(made);
        let mut placements = Vec::new();
        for day in 0..self.org.size.days {
            let from = START + day * DAY + 10 * MINUTE;
            let lives = from..from + DAY - 20 * MINUTE;
            for n in 0..2 {
                let instance = self.launch(&lives, Some(Profile::Etl), Some(number), true);
                placements.push(Placement {
                    instance,
                    span: lives.clone(),
                    driver: n == 0,
                });
            }
        }
        self.made.clusters.push(Cluster {
            workspace: self.number,
            id,
            name: format!("{} jobs", self.workspace.name),
            run: None,
            mode: Mode::Standard,
            owner,
            single_user: None,
            profile: Some(Profile::Etl),
            pool: false,
            scenario: Scenario::JobAllPurpose,
            span: START..self.org.size.end(),
            placements,
        });
        number
    }

    /// Parallel tasks share the whole time; those in sequence are apart by more
    /// than the slack that joins allow.
    fn tasks(&mut self, scenario: Scenario, span: &Range<i64>) -> Vec<Task> {
        let middle = span.start + (span.end - span.start) / 2;
        let spans = match scenario {
            Scenario::JobParallelTasks => vec![("extract", span.clone()), ("load", span.clone())],
            Scenario::JobSequentialTasks => vec![
                ("extract", span.start..middle - 4 * MINUTE),
                ("load", middle + 4 * MINUTE..span.end),
            ],
            _ => vec![("main", span.clone())],
        };
        spans
            .into_iter()
            .map(|(key, span)| Task {
                key,
                id: format!(
                    "{}",
                    900_000_000_000_000 + self.random.below(90_000_000_000_000)
                )
                .into(),
                span,
            })
            .collect()
    }

    fn clusters_of_people(&mut self) {
        let plans = [
            (
                Scenario::SharedClusterTwoUsers,
                Mode::Standard,
                Some(Profile::Interactive),
            ),
            (
                Scenario::SharedClusterOneUser,
                Mode::Standard,
                Some(Profile::Interactive),
            ),
            (Scenario::UcSharedCluster, Mode::Standard, None),
            (
                Scenario::DedicatedCluster,
                Mode::Dedicated,
                Some(Profile::Interactive),
            ),
            (
                Scenario::DedicatedGroup,
                Mode::Dedicated,
                Some(Profile::Interactive),
            ),
            (
                Scenario::DedicatedGroupChange,
                Mode::Dedicated,
                Some(Profile::Interactive),
            ),
            (
                Scenario::Passthrough,
                Mode::Passthrough,
                Some(Profile::Interactive),
            ),
        ];
        for unit in 0..self.org.size.units {
            for (n, (scenario, mode, profile)) in plans.into_iter().enumerate() {
                let owner = n + usize::try_from(unit).unwrap_or_default() * 3;
                let single_user = match scenario {
                    Scenario::DedicatedCluster => self
                        .workspace
                        .users
                        .get(owner)
                        .map(|user| user.name.clone()),
                    Scenario::DedicatedGroup => Some(group_name(self.workspace).into()),
                    Scenario::DedicatedGroupChange => {
                        Some(changed_group_name(self.workspace).into())
                    }
                    _ => None,
                };
                let made = START - 30 * DAY + 97 * self.random.between(0, 9000);
                let id = self.cluster_id(made);
                let number = self.made.clusters.len();
                let mut placements = Vec::new();
                for day in 0..self.org.size.days {
                    let morning =
                        START + day * DAY + 6 * HOUR + self.random.between(0, 30 * MINUTE);
                    let lives = morning..morning + 14 * HOUR;
                    for n in 0..2 {
                        let instance = self.launch(&lives, profile, Some(number), true);
                        placements.push(Placement {
                            instance,
                            span: lives.clone(),
                            driver: n == 0,
                        });
                    }
                }
                self.made.clusters.push(Cluster {
                    workspace: self.number,
                    id,
                    name: format!("{} {}", scenario.as_str().replace('_', " "), unit),
                    run: None,
                    mode,
                    owner,
                    single_user,
                    profile,
                    pool: false,
                    scenario,
                    span: START..self.org.size.end(),
                    placements,
                });
            }
        }
    }

    fn cluster_id(&mut self, at: i64) -> Arc<str> {
        // `MMDD-HHMMSS-xxxxxxxx`, of the time it was made.
        let day = date(at).replace('-', "");
        let day = day.get(4..).unwrap_or_default().to_owned();
        let second = at.rem_euclid(DAY);
        format!(
            "{day}-{:02}{:02}{:02}-{}",
            second / HOUR,
            second / MINUTE % 60,
            second % 60,
            self.random.alphanumeric(8).to_lowercase()
        )
        .into()
    }

    fn launch(
        &mut self,
        lives: &Range<i64>,
        profile: Option<Profile>,
        cluster: Option<usize>,
        is_delivery_recorded: bool,
    ) -> usize {
        let number = self.made.instances.len();
        let ip = self.address(lives);
        self.made.instances.push(Instance {
            workspace: self.number,
            id: self.random.ec2_id("i").into(),
            ip,
            span: lives.start - 2 * MINUTE..lives.end + MINUTE,
            profile,
            pool: cluster.is_none(),
            cluster,
            is_delivery_recorded,
        });
        number
    }

    /// A machine of the pool that is free, or a new one.
    fn of_pool(&mut self, lives: &Range<i64>) -> Option<usize> {
        let end = self.org.size.end();
        let free = self
            .pool
            .iter_mut()
            .find(|(_, since)| *since <= lives.start);
        if let Some((instance, since)) = free {
            // Between two clusters it idles for at least as long as clocks differ.
            *since = lives.end + 20;
            return Some(*instance);
        }
        // Pools keep their machines.
        let stays = lives.start - MINUTE..end;
        let instance = self.launch(&stays, Some(Profile::Etl), None, true);
        self.pool.push((instance, lives.end + 20));
        Some(instance)
    }

    /// An address that is free, the one that was freed last first: that is what
    /// makes small networks give one address to two clusters within an hour.
    fn address(&mut self, lives: &Range<i64>) -> String {
        let (from, until) = (lives.start - 2 * MINUTE, lives.end + 2 * MINUTE);
        let free = self
            .addresses
            .iter_mut()
            .filter(|(_, since)| *since <= from)
            .max_by_key(|(_, since)| *since);
        if let Some((address, since)) = free {
            *since = until;
            return address.clone();
        }
        let n = self.addresses.len() + 10;
        let address = format!("{}.{}.{}", self.workspace.network, n / 250, n % 250 + 4);
        self.addresses.push((address.clone(), until));
        address
    }
}

/// The group of which one leaves and another joins on the first day.
pub(super) fn changed_group_name(workspace: &Workspace) -> String {
    format!("{}-reviewers", workspace.name)
}

/// The group that a dedicated cluster belongs to.
pub(super) fn group_name(workspace: &Workspace) -> String {
    format!("{}-researchers", workspace.name)
}
