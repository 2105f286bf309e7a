//! Plays the regular part: compute at work, and those who have nothing to do
//! with Databricks. Vending has a file of its own, attackers too.
//!
//! Steps: keys are delivered to instances; runs and people's clusters work with
//! them; Unity Catalog vends; others come and go; attackers strike.

use super::compute::{Cluster, Compute, Profile, Run, Task};
use super::org::{Location, Organisation, Principal, Role, Workspace, place};
use super::play::{
    Activity, Caller, Command, DatedFact, Fact, Mix, Play, RoleSession, Signer, agent,
};
use super::random::Random;
use super::scenario::{Scenario, Truth};
use super::shapes::Shape;
use super::text::{DAY, HOUR, MINUTE};
use std::ops::Range;
use std::sync::Arc;

/// A key of EC2 lives some six hours; a new one is delivered before it ends.
const KEY_LIFE: i64 = 6 * HOUR;
const KEY_RENEWED: i64 = 5 * HOUR + 20 * MINUTE;
/// Nothing is done closer to a cluster's ends than clocks may differ.
const MARGIN: i64 = 15;

pub(super) struct Stage<'o> {
    pub org: &'o Organisation,
    pub compute: &'o Compute,
    pub play: Play,
    /// Keys of each instance, oldest first.
    pub keys: Vec<Vec<Arc<RoleSession>>>,
}

/// Everything that happens in the organisation.
pub(super) fn play(org: &Organisation, compute: &Compute) -> Play {
    let mut stage = Stage {
        org,
        compute,
        play: Play::default(),
        keys: Vec::new(),
    };
    stage.deliver_keys();
    stage.launch_and_terminate();
    stage.work_of_runs();
    stage.work_of_people();
    super::vending::play(&mut stage);
    super::outsiders::play(&mut stage);
    super::attackers::play(&mut stage);
    stage.play
}

impl<'o> Stage<'o> {
    pub(super) fn random(&self, purpose: &str, numbers: &[u64]) -> Random {
        Random::of(self.org.size.seed, purpose, numbers)
    }

    pub(super) fn workspace(&self, number: usize) -> Option<&'o Workspace> {
        self.org.workspaces.get(number)
    }

    fn deliver_keys(&mut self) {
        for (number, instance) in self.compute.instances.iter().enumerate() {
            let mut keys = Vec::new();
            let role = instance
                .profile
                .zip(self.workspace(instance.workspace))
                .map(|(profile, workspace)| role_of(workspace, profile));
            let (Some(role), Some(workspace)) = (role, self.workspace(instance.workspace)) else {
                self.keys.push(keys);
                continue;
            };
            let mut random = self.random("instance keys", &[number as u64]);
            let region = place(workspace.place).region;
            let scenario = instance
                .cluster
                .and_then(|cluster| self.compute.clusters.get(cluster))
                .map(|cluster| cluster.scenario);
            // Whether S3 events carry the scope is not documented: most do here.
            let in_scope = !matches!(
                scenario,
                Some(
                    Scenario::JobClusterSessionName
                        | Scenario::JobClusterNoSts
                        // The scope came with version 1.11.
                        | Scenario::JobOldRecords
                )
            );
            let mut issued = instance.span.start + 40;
            while issued < instance.span.end {
                let session = Arc::new(RoleSession {
                    role: role.clone(),
                    name: instance.id.to_string(),
                    key: random.aws_id("ASIA", 16),
                    issued,
                    expires: issued + KEY_LIFE,
                    in_scope_of: in_scope.then(|| {
                        format!(
                            "arn:aws:ec2:{region}:{}:instance/{}",
                            role.account, instance.id
                        )
                    }),
                    is_delivered: true,
                });
                if instance.is_delivery_recorded {
                    self.play.facts.push(DatedFact {
                        at: issued,
                        place: workspace.place,
                        fact: Fact::Issue {
                            session: session.clone(),
                            caller: Caller::Ec2,
                            policy: None,
                            external_id: None,
                            source_ip: "ec2.amazonaws.com".to_owned(),
                        },
                    });
                }
                keys.push(session);
                issued += KEY_RENEWED;
            }
            self.keys.push(keys);
        }
    }

    /// One `RunInstances` for each start of a cluster, one for each machine of a
    /// pool.
    fn launch_and_terminate(&mut self) {
        let mut starts: Vec<(i64, i64, usize, Vec<usize>)> = Vec::new();
        for (number, instance) in self.compute.instances.iter().enumerate() {
            let same = starts.last_mut().filter(|(from, _, workspace, members)| {
                *from == instance.span.start
                    && *workspace == instance.workspace
                    && instance.cluster.is_some()
                    && members
                        .last()
                        .and_then(|last| self.compute.instances.get(*last))
                        .is_some_and(|last| last.cluster == instance.cluster)
            });
            match same {
                Some((_, _, _, members)) => members.push(number),
                None => starts.push((
                    instance.span.start,
                    instance.span.end,
                    instance.workspace,
                    vec![number],
                )),
            }
        }
        for (from, until, workspace, instances) in starts {
            let Some(place) = self.workspace(workspace).map(|workspace| workspace.place) else {
                continue;
            };
            let terminate = Fact::Terminate {
                instances: instances.clone(),
            };
            let launch = Fact::Launch { instances };
            for (at, fact) in [(from, launch), (until, terminate)] {
                self.play.facts.push(DatedFact { at, place, fact });
            }
        }
    }

    fn work_of_runs(&mut self) {
        let compute = self.compute;
        for (number, run) in compute.runs.iter().enumerate() {
            let Some(job) = compute.jobs.get(run.job) else {
                continue;
            };
            let Some(cluster) = run
                .cluster
                .and_then(|cluster| compute.clusters.get(cluster))
            else {
                continue;
            };
            // Its S3 access is vended.
            if job.scenario == Scenario::UcJobCluster {
                continue;
            }
            for (n, task) in run.tasks.iter().enumerate() {
                let mut random = self.random("run", &[number as u64, n as u64]);
                let truth = self.truth_of_run(run, task, cluster);
                if job.scenario == Scenario::RoleChain {
                    self.chain(cluster, truth, task.span.clone(), None, &mut random);
                } else {
                    self.work_on(cluster, truth, &task.span, &mut random);
                }
            }
        }
    }

    pub(super) fn truth_of_run(&self, run: &Run, task: &Task, cluster: &Cluster) -> Truth {
        let Some((job, workspace)) = self
            .compute
            .jobs
            .get(run.job)
            .and_then(|job| Some((job, self.workspace(job.workspace)?)))
        else {
            return Truth::of(cluster.scenario);
        };
        let run_as = workspace.services.get(job.run_as);
        Truth {
            workspace_id: Some(workspace.id.clone()),
            cluster_id: Some(cluster.id.clone()),
            job_id: Some(job.id.clone()),
            job_run_id: Some(run.id.clone()),
            task_key: Some(task.key.into()),
            task_run_id: Some(task.id.clone()),
            principal: run_as.map(|run_as| run_as.name.clone()),
            principal_kind: run_as.map(|run_as| run_as.kind),
            ..Truth::of(job.scenario)
        }
    }

    /// The cluster's machines read and write with their own keys.
    pub(super) fn work_on(
        &mut self,
        cluster: &Cluster,
        truth: Truth,
        span: &Range<i64>,
        random: &mut Random,
    ) {
        let Some(workspace) = self.workspace(cluster.workspace) else {
            return;
        };
        let (feeds, twin) = match truth.scenario {
            Scenario::JobCrossAccount => (
                self.workspace(0)
                    .map_or(&workspace.feeds, |lake| &lake.feeds),
                Some(super::org::LAKE_WEST),
            ),
            _ => (&workspace.feeds, None),
        };
        for placement in &cluster.placements {
            let Some(feed) = random.pick(feeds) else {
                continue;
            };
            for key in self
                .keys
                .get(placement.instance)
                .cloned()
                .unwrap_or_default()
            {
                // A key is used from its delivery until the next one.
                let until = key.issued + KEY_RENEWED;
                let span = overlap(
                    span,
                    &(placement.span.start + MARGIN..placement.span.end - MARGIN),
                    &(key.issued + 2..until),
                );
                let Some(instance) = self.compute.instances.get(placement.instance) else {
                    continue;
                };
                self.act(Activity {
                    truth: truth.clone(),
                    signer: Signer::Session(key),
                    place: workspace.place,
                    twin,
                    weight: weight(&span),
                    span,
                    fixed: None,
                    location: feed.clone(),
                    writes: twin.is_none()
                        && random.chance(600)
                        && Shape::of(truth.scenario) == Shape::Bucket,
                    mix: Mix::Etl,
                    source_ip: instance.ip.clone(),
                    vpc_endpoint: Some(workspace.vpc_endpoint),
                    user_agent: agent::SPARK,
                });
            }
        }
    }

    /// The cluster's driver assumes a role for data and works with that.
    fn chain(
        &mut self,
        cluster: &Cluster,
        truth: Truth,
        span: Range<i64>,
        name: Option<&str>,
        random: &mut Random,
    ) {
        let Some(workspace) = self.workspace(cluster.workspace) else {
            return;
        };
        let at = span.start + MARGIN;
        let Some((placement, key)) = cluster.placements.iter().find_map(|placement| {
            let alive = placement.driver && placement.span.contains(&at);
            let keys = self.keys.get(placement.instance)?;
            let key = keys.iter().rev().find(|key| key.issued < at)?;
            alive.then(|| (placement, key.clone()))
        }) else {
            return;
        };
        let Some((instance, feed)) = self
            .compute
            .instances
            .get(placement.instance)
            .zip(random.pick(&workspace.feeds))
        else {
            return;
        };
        let session = Arc::new(RoleSession {
            role: workspace.roles.data.clone(),
            name: name.map_or_else(|| format!("etl-{}", random.below(1_000_000)), str::to_owned),
            key: random.aws_id("ASIA", 16),
            issued: at,
            expires: at + HOUR,
            in_scope_of: None,
            is_delivered: false,
        });
        self.play.facts.push(DatedFact {
            at,
            place: workspace.place,
            fact: Fact::Issue {
                session: session.clone(),
                caller: Caller::Session(key),
                policy: None,
                external_id: None,
                source_ip: instance.ip.clone(),
            },
        });
        let span = at + 2
            ..(span.end - MARGIN)
                .min(at + 55 * MINUTE)
                .min(placement.span.end - MARGIN);
        self.act(Activity {
            truth,
            signer: Signer::Session(session),
            place: workspace.place,
            twin: None,
            weight: weight(&span),
            span,
            fixed: None,
            location: feed.clone(),
            writes: true,
            mix: Mix::Etl,
            source_ip: instance.ip.clone(),
            vpc_endpoint: Some(workspace.vpc_endpoint),
            user_agent: agent::OLD_SPARK,
        });
    }

    /// People work from nine to five on the clusters that carry a profile.
    fn work_of_people(&mut self) {
        let compute = self.compute;
        for (number, cluster) in compute.clusters.iter().enumerate() {
            if cluster.run.is_some() || cluster.scenario == Scenario::JobAllPurpose {
                continue;
            }
            let Some(workspace) = self.workspace(cluster.workspace) else {
                continue;
            };
            let mut random = self.random("people", &[number as u64]);
            let users = users_of(cluster, workspace);
            for day in 0..self.org.size.days {
                let morning = super::org::START + day * DAY + 8 * HOUR;
                let evening = morning + 10 * HOUR;
                if !matches!(
                    cluster.scenario,
                    Scenario::DedicatedCluster
                        | Scenario::DedicatedGroup
                        | Scenario::DedicatedGroupChange
                ) {
                    for &user in &users {
                        self.commands(number, user, morning..evening, &mut random);
                    }
                }
                // Each hour someone is at work; vended access is played elsewhere.
                if cluster.profile.is_none() {
                    continue;
                }
                for hour in 1..9 {
                    let here = match cluster.scenario {
                        Scenario::DedicatedGroupChange => {
                            changed_members(morning + hour * HOUR).to_vec()
                        }
                        _ => users.clone(),
                    };
                    let Some((&user, span)) = random.pick(&here).map(|user| {
                        let from = morning + hour * HOUR + random.clone().between(0, 20 * MINUTE);
                        (user, from..from + 35 * MINUTE)
                    }) else {
                        continue;
                    };
                    let truth = truth_of_person(cluster, workspace, user);
                    match cluster.scenario {
                        Scenario::Passthrough => {
                            let name = truth.principal.clone();
                            self.chain(cluster, truth, span, name.as_deref(), &mut random);
                        }
                        _ => self.work_on(cluster, truth, &span, &mut random),
                    }
                }
            }
        }
    }

    fn commands(&mut self, cluster: usize, user: usize, day: Range<i64>, random: &mut Random) {
        let mut at = day.start + random.between(0, 5 * MINUTE);
        while at < day.end {
            self.play.commands.push(Command { cluster, user, at });
            at += random.between(4 * MINUTE, 14 * MINUTE);
        }
    }

    /// Notes an activity, unless there is no time for it.
    pub(super) fn act(&mut self, activity: Activity) {
        if activity.span.start < activity.span.end {
            self.play.activities.push(activity);
        }
    }
}

pub(super) fn role_of(workspace: &Workspace, profile: Profile) -> Arc<Role> {
    match profile {
        Profile::Etl => workspace.roles.etl.clone(),
        Profile::Interactive => workspace.roles.interactive.clone(),
    }
}

/// Who works on a cluster of people, as numbers among the workspace's users.
pub(super) fn users_of(cluster: &Cluster, workspace: &Workspace) -> Vec<usize> {
    let users = match cluster.scenario {
        Scenario::SharedClusterTwoUsers => vec![0, 2],
        Scenario::SharedClusterOneUser => vec![4],
        Scenario::UcSharedCluster => vec![2, 3],
        Scenario::DedicatedGroup => group_members().to_vec(),
        Scenario::Passthrough => vec![1, 5],
        _ => vec![cluster.owner],
    };
    users
        .into_iter()
        .filter(|user| *user < workspace.users.len())
        .collect()
}

/// When one of the reviewers leaves the group, and another joins it.
pub(super) const GROUP_CHANGES: i64 = super::org::START + 12 * HOUR - 2 * MINUTE;
/// Who leaves then, and who joins.
pub(super) const LEAVES: usize = 6;
pub(super) const JOINS: usize = 7;

/// The reviewers at a time.
pub(super) fn changed_members(at: i64) -> [usize; 3] {
    match at < GROUP_CHANGES {
        true => [0, 2, LEAVES],
        false => [0, 2, JOINS],
    }
}

/// The researchers: two of them directly, one through a group inside.
pub(super) fn group_members() -> [usize; 3] {
    [1, 3, 5]
}

pub(super) fn truth_of_person(cluster: &Cluster, workspace: &Workspace, user: usize) -> Truth {
    Truth {
        workspace_id: Some(workspace.id.clone()),
        cluster_id: Some(cluster.id.clone()),
        ..truth_of(cluster.scenario, workspace, workspace.users.get(user))
    }
}

pub(super) fn truth_of(
    scenario: Scenario,
    workspace: &Workspace,
    principal: Option<&Principal>,
) -> Truth {
    Truth {
        workspace_id: Some(workspace.id.clone()),
        principal: principal.map(|principal| principal.name.clone()),
        principal_kind: principal.map(|principal| principal.kind),
        ..Truth::of(scenario)
    }
}

pub(super) fn weight(span: &Range<i64>) -> u64 {
    u64::try_from(span.end - span.start).unwrap_or_default()
}

fn overlap(a: &Range<i64>, b: &Range<i64>, c: &Range<i64>) -> Range<i64> {
    a.start.max(b.start).max(c.start)..a.end.min(b.end).min(c.end)
}

/// A location of its own for those who need one.
pub(super) fn location(workspace: &Workspace, bucket: &Arc<str>, prefix: &str) -> Arc<Location> {
    Arc::new(Location {
        bucket: bucket.clone(),
        prefix: prefix.to_owned(),
        owner: place(workspace.place).account,
        region: place(workspace.place).region,
    })
}
