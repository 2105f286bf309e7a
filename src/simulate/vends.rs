//! Who asks Unity Catalog, and when: people, shared clusters, jobs, compute
//! itself, and the odd ones. How a vend goes is the matter of [`super::vending`].

use super::compute::Cluster;
use super::org::{Principal, TableKind};
use super::play::{Activity, DatedFact, Fact, Lineage, Mix, Signer, Statement, Vend, agent};
use super::scenario::{Scenario, Truth};
use super::stage::{truth_of, truth_of_person, users_of, weight};
use super::text::{DAY, HOUR, MINUTE};
use super::vending::{Asked, KEY_LIFE, LINEAGE, NO_STS, SERVICE, TWO, Vending};

impl Vending<'_, '_> {
    /// Everything that is asked for in the workspace.
    pub(super) fn play(&mut self) {
        self.people();
        self.shared_clusters();
        self.jobs();
        self.two_at_once();
        self.services();
        self.oddities();
        self.afterwards();
    }

    /// Somebody queries on until the exports are taken, which the trail does not see.
    fn afterwards(&mut self) {
        let mut at = self.stage.org.size.end() + HOUR;
        while at < self.stage.org.size.exported() {
            let Some(table) = self.usual_table() else {
                return;
            };
            let seconds = self.random.between(2, 400);
            self.stage.play.statements.push(Statement {
                workspace: self.number,
                user: 2,
                at,
                seconds,
            });
            self.stage.play.lineage.push(Lineage {
                workspace: self.number,
                user: 2,
                at: at + seconds,
                table: table.clone(),
                notebook: false,
            });
            at += 4 * HOUR;
        }
    }

    /// People on SQL warehouses and with engines of their own.
    fn people(&mut self) {
        let count = self.workspace.users.len();
        let plans = [
            (Scenario::UcUser, 5),
            (Scenario::UcSelfAssumed, 2),
            (Scenario::UcPath, 1),
            (Scenario::UcManagedTable, 2),
            (Scenario::UcExternalEngine, 1),
            (Scenario::UcDeletedUser, 1),
        ];
        for day in 0..self.stage.org.size.days {
            for hour in 6..20 {
                let at = super::org::START + day * DAY + hour * HOUR;
                for _ in 0..self.stage.org.size.units {
                    for (scenario, times) in plans {
                        for _ in 0..times {
                            self.person(scenario, at, count);
                        }
                    }
                }
                self.volume(at);
            }
        }
    }

    fn person(&mut self, scenario: Scenario, hour: i64, users: usize) {
        let number = match scenario {
            Scenario::UcDeletedUser => users - 1,
            // 1, 6 and 7 have parts of their own.
            _ => match self.random.pick(&[2, 3, 4, 5, 8, 9, 10]) {
                Some(number) => *number,
                None => return,
            },
        };
        let kind = match scenario {
            Scenario::UcPath => TableKind::Path,
            Scenario::UcManagedTable => TableKind::Managed,
            _ => TableKind::External,
        };
        let tables = self.tables(kind, &[0, 1, 2, 3, 4, 5]);
        let (Some(user), Some(table)) = (
            self.workspace.users.get(number),
            self.random.pick(&tables).copied(),
        ) else {
            return;
        };
        let at = hour + self.random.between(0, 52 * MINUTE);
        let at = self.moment(table, at);
        let (user_agent, source_ip) = if scenario == Scenario::UcExternalEngine {
            (
                agent::DUCKDB,
                format!("192.0.2.{}", 20 + self.random.below(9)),
            )
        } else {
            (agent::SPARK, self.serverless_ip())
        };
        let asked = Asked {
            scenario,
            principal: Some(user),
            table,
            writes: scenario == Scenario::UcPath || self.random.chance(150),
            at,
            audit_delay_millis: 0,
            user_agent,
            source_ip,
        };
        let session = self.vend(&asked);
        if scenario == Scenario::UcUser || scenario == Scenario::UcSelfAssumed {
            let seconds = self.random.between(2, 400);
            self.stage.play.statements.push(Statement {
                workspace: self.number,
                user: number,
                at,
                seconds,
            });
            self.stage.play.lineage.push(Lineage {
                workspace: self.number,
                user: number,
                at: at + seconds,
                table: table.clone(),
                notebook: false,
            });
        }
        let truth = truth_of(scenario, self.workspace, Some(user));
        self.use_remotely(&asked, session, truth);
    }

    /// A volume's vend has its minute to itself; the workspaces take turns.
    fn volume(&mut self, hour: i64) {
        let volumes = self.tables(TableKind::Volume, &[]);
        let (Some(user), Some(table)) = (
            self.workspace.users.get(5),
            self.random.pick(&volumes).copied(),
        ) else {
            return;
        };
        let turn = i64::try_from(self.number % 3).unwrap_or_default();
        let asked = Asked {
            scenario: Scenario::UcVolume,
            principal: Some(user),
            table,
            writes: false,
            at: hour + 54 * MINUTE + 30 + turn * 105,
            audit_delay_millis: 0,
            user_agent: agent::SPARK,
            source_ip: self.serverless_ip(),
        };
        let session = self.vend(&asked);
        let truth = truth_of(Scenario::UcVolume, self.workspace, Some(user));
        self.use_remotely(&asked, session, truth);
    }

    /// Users of standard clusters ask for themselves; their machine's address
    /// says which cluster it was.
    fn shared_clusters(&mut self) {
        let compute = self.stage.compute;
        for cluster in &compute.clusters {
            if cluster.scenario != Scenario::UcSharedCluster || cluster.workspace != self.number {
                continue;
            }
            let users = users_of(cluster, self.workspace);
            for day in 0..self.stage.org.size.days {
                for hour in 9..17 {
                    let at = super::org::START + day * DAY + hour * HOUR;
                    for &user in &users {
                        let truth = truth_of_person(cluster, self.workspace, user);
                        let principal = self.workspace.users.get(user);
                        self.on_cluster(cluster, truth, principal, at, at + 50 * MINUTE);
                    }
                }
            }
        }
    }

    /// One key on each machine of the cluster that is asked for in the window.
    fn on_cluster(
        &mut self,
        cluster: &Cluster,
        truth: Truth,
        principal: Option<&Principal>,
        from: i64,
        until: i64,
    ) {
        let Some(table) = self.usual_table() else {
            return;
        };
        let at = self.random.between(from, from + 10 * MINUTE);
        let at = self.moment(table, at);
        let Some(placement) = cluster
            .placements
            .iter()
            .find(|placement| placement.driver && placement.span.contains(&at))
        else {
            return;
        };
        let Some(instance) = self.stage.compute.instances.get(placement.instance) else {
            return;
        };
        let asked = Asked {
            scenario: truth.scenario,
            principal,
            table,
            writes: self.random.chance(400),
            at,
            audit_delay_millis: 0,
            user_agent: agent::SPARK,
            source_ip: instance.ip.clone(),
        };
        if at + 3 * MINUTE >= until.min(placement.span.end) {
            return;
        }
        let session = self.vend(&asked);
        let until = until
            .min(placement.span.end - 15)
            .min(asked.at + KEY_LIFE - MINUTE);
        let span = asked.at + 2..until;
        self.stage.act(Activity {
            truth,
            signer: Signer::Session(session),
            place: self.workspace.place,
            twin: None,
            weight: weight(&span) * 3 / 2,
            span,
            fixed: None,
            location: table.location.clone(),
            writes: asked.writes,
            mix: if asked.writes { Mix::Etl } else { Mix::Read },
            source_ip: asked.source_ip,
            vpc_endpoint: Some(self.workspace.vpc_endpoint),
            user_agent: asked.user_agent,
        });
    }

    /// Jobs ask as the service principal they run as.
    fn jobs(&mut self) {
        let compute = self.stage.compute;
        for run in &compute.runs {
            let Some(job) = compute.jobs.get(run.job) else {
                continue;
            };
            // What is done after the trail's end only Databricks' tables tell.
            if job.workspace != self.number || run.span.end > self.stage.org.size.end() {
                continue;
            }
            let service = self.workspace.services.get(job.run_as);
            let Some(task) = run.tasks.first() else {
                continue;
            };
            match (
                job.scenario,
                run.cluster.and_then(|n| compute.clusters.get(n)),
            ) {
                (Scenario::UcJobCluster, Some(cluster)) => {
                    for _ in 0..3 {
                        let truth = self.stage.truth_of_run(run, task, cluster);
                        self.on_cluster(cluster, truth, service, task.span.start, task.span.end);
                    }
                }
                (Scenario::UcServerlessJob, _) => {
                    let Some(table) = self.usual_table() else {
                        continue;
                    };
                    let at = self.moment(table, task.span.start + 10);
                    if at + MINUTE > task.span.end {
                        continue;
                    }
                    let asked = Asked {
                        scenario: job.scenario,
                        principal: service,
                        table,
                        writes: true,
                        at,
                        audit_delay_millis: 0,
                        user_agent: agent::SPARK,
                        source_ip: self.serverless_ip(),
                    };
                    let session = self.vend(&asked);
                    let truth = Truth {
                        job_id: Some(job.id.clone()),
                        job_run_id: Some(run.id.clone()),
                        task_key: Some(task.key.into()),
                        task_run_id: Some(task.id.clone()),
                        ..truth_of(job.scenario, self.workspace, service)
                    };
                    self.use_until(&asked, session, truth, task.span.end);
                }
                _ => {}
            }
        }
    }

    /// Two people ask for one table within a minute.
    fn two_at_once(&mut self) {
        let tables = self.tables(TableKind::External, &[TWO]);
        for day in 0..self.stage.org.size.days {
            for hour in [7, 9, 11, 13, 15, 17] {
                for table in &tables {
                    let at = super::org::START + day * DAY + hour * HOUR;
                    let at = at + self.random.between(0, 30 * MINUTE);
                    let at = self.moment(table, at);
                    let gap = self.random.between(8, 45);
                    for (user, at) in [(6, at), (7, at + gap)] {
                        let Some(user) = self.workspace.users.get(user) else {
                            continue;
                        };
                        let asked = Asked {
                            scenario: Scenario::UcTwoPrincipals,
                            principal: Some(user),
                            table,
                            writes: false,
                            at,
                            audit_delay_millis: 0,
                            user_agent: agent::SPARK,
                            source_ip: self.serverless_ip(),
                        };
                        let session = self.vend(&asked);
                        let truth = truth_of(Scenario::UcTwoPrincipals, self.workspace, Some(user));
                        self.use_remotely(&asked, session, truth);
                    }
                }
            }
        }
    }

    /// Compute asks as itself: `System-User`. Lineage may still tell who it was.
    fn services(&mut self) {
        for (scenario, digit) in [
            (Scenario::UcServiceVend, SERVICE),
            (Scenario::UcServiceVendLineage, LINEAGE),
        ] {
            let tables = self.tables(TableKind::External, &[digit]);
            for day in 0..self.stage.org.size.days {
                for hour in [8, 11, 14, 17] {
                    for table in &tables {
                        let at = super::org::START + day * DAY + hour * HOUR;
                        let at = at + self.random.between(0, 20 * MINUTE);
                        let at = self.moment(table, at);
                        let number = match self.random.pick(&[2, 3, 4, 5]) {
                            Some(number) => *number,
                            None => continue,
                        };
                        let asked = Asked {
                            scenario,
                            principal: None,
                            table,
                            writes: false,
                            at,
                            audit_delay_millis: 0,
                            user_agent: "Databricks-Service/driver",
                            source_ip: self.serverless_ip(),
                        };
                        let session = self.vend(&asked);
                        if scenario == Scenario::UcServiceVendLineage {
                            // After the last read, and within an hour of the first.
                            self.stage.play.lineage.push(Lineage {
                                workspace: self.number,
                                user: number,
                                at: at + 20 * MINUTE,
                                table: (*table).clone(),
                                notebook: true,
                            });
                        }
                        let truth =
                            truth_of(scenario, self.workspace, self.workspace.users.get(number));
                        let span = at + 2..at + 19 * MINUTE;
                        self.stage.act(Activity {
                            truth,
                            signer: Signer::Session(session),
                            place: self.workspace.place,
                            twin: None,
                            weight: weight(&span) / 2,
                            span,
                            fixed: None,
                            location: table.location.clone(),
                            writes: false,
                            mix: Mix::Read,
                            source_ip: asked.source_ip,
                            vpc_endpoint: None,
                            user_agent: agent::SPARK,
                        });
                    }
                }
            }
        }
    }

    /// An audit row far from its key, a key that no STS event tells of, refused
    /// vends, and the probe of a new location.
    fn oddities(&mut self) {
        let tables = self.tables(TableKind::External, &[NO_STS]);
        let Some(user) = self.workspace.users.get(1) else {
            return;
        };
        for day in 0..self.stage.org.size.days {
            for (scenario, hour, delay) in [
                (Scenario::UcVendTooLate, 8, 95_000),
                (Scenario::UcNoSts, 10, 24_000),
                (Scenario::UcVendTooLate, 13, 84_000),
                (Scenario::UcNoSts, 15, 38_000),
            ] {
                let Some(table) = self.random.pick(&tables).copied() else {
                    continue;
                };
                let at = super::org::START + day * DAY + hour * HOUR;
                let at = at + self.random.between(0, 30 * MINUTE);
                let asked = Asked {
                    scenario,
                    principal: Some(user),
                    table,
                    writes: false,
                    at: self.moment(table, at),
                    audit_delay_millis: delay,
                    user_agent: agent::SPARK,
                    source_ip: self.serverless_ip(),
                };
                let session = self.vend(&asked);
                let truth = truth_of(scenario, self.workspace, Some(user));
                self.use_remotely(&asked, session, truth);
            }
            self.refused(day);
            self.probe(day);
        }
    }

    /// Refused vends issue no key.
    fn refused(&mut self, day: i64) {
        for n in 0..12 {
            let (Some(user), Some(table)) = (self.workspace.users.get(5), self.usual_table())
            else {
                return;
            };
            let at = super::org::START + day * DAY + (7 + n) * HOUR + 11 * MINUTE;
            self.stage.play.vends.push(Vend {
                workspace: self.number,
                at_millis: at * 1000 + self.random.between(0, 999),
                principal: Some(user.clone()),
                table: table.clone(),
                writes: true,
                user_agent: agent::SPARK,
                source_ip: "198.51.100.100".to_owned(),
                plural: false,
                denied: true,
            });
        }
    }

    fn probe(&mut self, day: i64) {
        let at = super::org::START + day * DAY + 12 * HOUR + self.random.between(0, HOUR / 2);
        let session = self.session(at);
        let caller = self.databricks();
        let location = super::stage::location(
            self.workspace,
            &self.workspace.buckets.curated,
            &format!("new_location_{day}"),
        );
        let external_id = self.stage.org.account_id.clone();
        let source_ip = format!("203.0.113.{}", 10 + self.random.below(20));
        self.stage.play.facts.push(DatedFact {
            at,
            place: self.workspace.place,
            fact: Fact::Issue {
                session: session.clone(),
                caller,
                policy: None,
                external_id: Some(external_id),
                source_ip: source_ip.clone(),
            },
        });
        self.stage.act(Activity {
            truth: Truth {
                workspace_id: Some(self.workspace.id.clone()),
                ..Truth::of(Scenario::UcLocationProbe)
            },
            signer: Signer::Session(session),
            place: self.workspace.place,
            twin: None,
            span: at + 1..at + 9,
            weight: 0,
            fixed: Some(6),
            location,
            writes: true,
            mix: Mix::Probe,
            source_ip,
            vpc_endpoint: None,
            user_agent: agent::UC,
        });
    }
}
