//! Properties over small random worlds of Databricks' facts, where ids, names and
//! times collide often: order is nothing, spans and places are true, and a level is
//! named as it is sure.

use super::super::attribute_within;
use super::lake_facts::*;
use super::*;
use crate::model::{
    Cluster, DatabricksFacts, ExternalLocation, GroupChange, Job, Method, ShareQuery,
    StorageCredential, TaskRun, TaskRunSource, UnattributedReason, Vend, VendOperation,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const CLUSTERS: [&str; 2] = ["c1", "c2"];
const WORKSPACES: [&str; 2] = ["w1", "w2"];
const WHOM: [&str; 7] = [ANN, BOB, ETL, "System-User", "etl", "1", "nameless"];
const PATHS: [&str; 4] = [
    "s3://lake/sales",
    "s3://lake/sales/orders",
    "s3://lake/tables/5c1cf5a4-87b9-4cc2-9770-d10b894b0001",
    "s3://lake",
];
const TABLE: &str = "5c1cf5a4-87b9-4cc2-9770-d10b894b0001";
const IPS: [&str; 2] = ["10.0.1.10", "10.0.1.11"];
const IDS: [&str; 4] = ["1", "2", "3", "4"];

/// Seconds near enough to each other that windows and slacks are crossed.
fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![-90_i64..200, -4_i64..9, Just(1700), Just(3500), Just(3700)]
}

pub(super) fn one_fact() -> impl Strategy<Value = DatabricksFacts> {
    let none = DatabricksFacts::default;
    let pick = |of: &'static [&'static str]| select(of);
    let events = (
        seconds(),
        0..4_usize,
        pick(&CLUSTERS),
        pick(&WORKSPACES),
        any::<bool>(),
    )
        .prop_map(move |(when, kind, cluster, workspace, pool)| {
            let mut event = match kind {
                0 => state(when, "INSTANCE_READY"),
                1 => state(when, "INSTANCE_TERMINATED"),
                _ => placed(when, cluster),
            };
            event.workspace_id = workspace.to_owned();
            event.instance_pool_id = pool.then(|| "p".to_owned());
            DatabricksFacts {
                instance_events: vec![event],
                ..none()
            }
        });
    let nodes = (
        seconds(),
        0_i64..300,
        pick(&CLUSTERS),
        pick(&IPS),
        0..4_usize,
    )
        .prop_map(move |(from, life, cluster, ip, kind)| {
            let mut found = if kind == 0 {
                live(cluster, from)
            } else {
                node(cluster, from, from + life)
            };
            found.host_private_ip = (kind == 0).then(|| ip.to_owned());
            found.private_ip = (kind < 3).then(|| ip.to_owned());
            DatabricksFacts {
                nodes: vec![found],
                ..none()
            }
        });
    let clusters = (
        seconds(),
        pick(&CLUSTERS),
        option::of(pick(&WHOM)),
        0..3_usize,
    )
        .prop_map(move |(when, id, user, kind)| {
            let row = match (user, kind) {
                (Some(user), _) => dedicated(id, user),
                (None, 0) => cluster(id, "JOB"),
                (None, _) => cluster(id, "UI"),
            };
            DatabricksFacts {
                clusters: vec![Cluster {
                    changed_at: at(when),
                    ..row
                }],
                ..none()
            }
        });
    let runs = (
        (pick(&["7", "8"]), pick(&IDS), pick(&IDS), pick(&CLUSTERS)),
        (
            seconds(),
            option::of(0_i64..300),
            any::<bool>(),
            pick(&WORKSPACES),
        ),
    )
        .prop_map(
            move |((job, run, id, cluster), (from, life, audit, workspace))| {
                let found = TaskRun {
                    end: life.map(|life| at(from + life)),
                    workspace_id: workspace.to_owned(),
                    source: if audit {
                        TaskRunSource::Audit
                    } else {
                        TaskRunSource::Timeline
                    },
                    ..task(job, run, id, cluster, from, 0)
                };
                DatabricksFacts {
                    task_runs: vec![found],
                    ..none()
                }
            },
        );
    let job_runs = (pick(&["7", "8"]), pick(&IDS), seconds(), 0_i64..300).prop_map(
        move |(job, run, from, life)| {
            let mut found = job_run(job, run, from, from + life);
            found.compute_ids = vec!["c1".to_owned()];
            DatabricksFacts {
                job_runs: vec![found],
                ..none()
            }
        },
    );
    let jobs = (pick(&["7", "8"]), pick(&WHOM), seconds()).prop_map(move |(id, whom, when)| {
        DatabricksFacts {
            jobs: vec![Job {
                changed_at: at(when),
                ..job(id, whom)
            }],
            ..none()
        }
    });
    let vends = (
        (pick(&IDS), seconds(), pick(&WHOM), option::of(pick(&PATHS))),
        (
            any::<bool>(),
            option::weighted(0.3, Just(TABLE)),
            pick(&WORKSPACES),
        ),
        (
            option::weighted(0.1, pick(&["ASIA1", "ASIA2"])),
            option::weighted(0.1, pick(&CLUSTERS)),
            option::weighted(0.1, Just("partner")),
        ),
    )
        .prop_map(
            move |(
                (id, when, actor, path),
                (write, table, workspace),
                (key, cluster, recipient),
            )| {
                let own = |text: Option<&str>| text.map(str::to_owned);
                DatabricksFacts {
                    vends: vec![Vend {
                        location: own(path),
                        table_id: own(table),
                        workspace_id: some(workspace),
                        access_key_id: own(key),
                        cluster_id: own(cluster),
                        recipient_name: own(recipient),
                        operation: if write {
                            VendOperation::Write
                        } else {
                            VendOperation::Read
                        },
                        ..vend(id, when, actor, "")
                    }],
                    ..none()
                }
            },
        );
    let commands = (pick(&IDS), seconds(), pick(&CLUSTERS), pick(&WHOM)).prop_map(
        move |(id, when, cluster, whom)| DatabricksFacts {
            commands: vec![command(id, when, cluster, whom)],
            ..none()
        },
    );
    let rows = (
        (pick(&IDS), seconds(), pick(&PATHS), pick(&WHOM)),
        (
            option::of(pick(&IDS)),
            option::of(pick(&["7", "8"])),
            any::<bool>(),
        ),
    )
        .prop_map(move |((id, when, path, whom), (statement, job, target))| {
            let mut row = lineage(id, when, path, whom);
            if target {
                row.target_path = row.source_path.take();
            }
            row.statement_id = statement.map(str::to_owned);
            row.job_id = job.map(str::to_owned);
            row.job_run_id = job.map(|_| id.to_owned());
            DatabricksFacts {
                lineage: vec![row],
                ..none()
            }
        });
    let statements =
        (pick(&IDS), seconds(), 0_i64..120, pick(&WHOM)).prop_map(move |(id, from, life, whom)| {
            DatabricksFacts {
                statements: vec![statement(id, from, from + life, whom)],
                ..none()
            }
        });
    let shares = (seconds(), pick(&PATHS)).prop_map(move |(when, path)| DatabricksFacts {
        share_queries: vec![ShareQuery {
            source_id: "audit:share".to_owned(),
            at: at(when),
            path: some(path),
            ..ShareQuery::default()
        }],
        ..none()
    });
    let scim = (
        0..3_usize,
        pick(&["1", "2", "3"]),
        pick(&[ANN, BOB, ETL]),
        prop_oneof![Just(0_i64), Just(100)],
    )
        .prop_map(move |(kind, id, name, when)| {
            let mut entry = match kind {
                0 => scim(crate::model::ScimKind::User, id, name),
                1 => scim(crate::model::ScimKind::ServicePrincipal, id, name),
                _ => group("10", "etl", &[id, "10"]),
            };
            entry.seen_at = at(when);
            DatabricksFacts {
                scim: vec![entry],
                ..none()
            }
        });
    let changes = (pick(&IDS), seconds(), any::<bool>(), pick(&WHOM)).prop_map(
        move |(id, when, added, member)| DatabricksFacts {
            group_changes: vec![GroupChange {
                source_id: id.to_owned(),
                at: at(when),
                added,
                group_id: None,
                group_name: some("etl"),
                member: member.to_owned(),
            }],
            ..none()
        },
    );
    let credentials = (
        pick(&IDS),
        select(&[UC_ROLE, APP_ROLE][..]),
        seconds(),
        pick(&["m1", "m2"]),
    )
        .prop_map(move |(id, role, when, metastore)| DatabricksFacts {
            storage_credentials: vec![StorageCredential {
                id: id.to_owned(),
                role_arn: some(role),
                metastore_id: some(metastore),
                seen_at: at(when),
                ..StorageCredential::default()
            }],
            external_locations: vec![ExternalLocation {
                url: "s3://lake/sales".to_owned(),
                credential_id: some(id),
                ..ExternalLocation::default()
            }],
            ..none()
        });
    let marks = prop_oneof![Just(0_i64), Just(10_000), Just(100 * 86_400)].prop_map(move |when| {
        DatabricksFacts {
            watermarks: watermarks(when),
            ..none()
        }
    });
    prop_oneof![
        3 => events, 2 => nodes, 2 => clusters, 4 => runs, 1 => job_runs, 2 => jobs, 5 => vends,
        2 => commands, 2 => rows, 2 => statements, 1 => shares, 2 => scim, 1 => changes,
        1 => credentials, 2 => marks,
    ]
}

fn sts() -> impl Strategy<Value = StsSession> {
    (
        select(&["ASIA1", "ASIA2", ""][..]),
        select(&["sts1", "sts2", "sts3"][..]),
        0_i64..100,
        vec(select(&PATHS[..]), 0..2),
        option::of(any::<bool>()),
        (
            option::of(select(&["111122223333", "444455556666"][..])),
            any::<bool>(),
        ),
    )
        .prop_map(
            |(key, id, when, paths, writes, (account_id, request))| StsSession {
                aws_account_id: account_id.map(str::to_owned),
                external_id: request.then(|| "7b1d".to_owned()),
                issued_at: at(when),
                expires_at: Some(at(when + 3600)),
                policy_prefixes: paths.iter().map(ToString::to_string).collect(),
                policy_actions: writes
                    .map(|writes| if writes { "s3:PutO*" } else { "s3:GetO*" }.to_owned())
                    .into_iter()
                    .collect(),
                ..issued(id, UC_ROLE, "databricks", key, account(DATABRICKS))
            },
        )
}

fn launch() -> impl Strategy<Value = Ec2Instance> {
    (
        seconds(),
        select(&CLUSTERS[..]),
        select(&IPS[..]),
        0..4_usize,
    )
        .prop_map(|(when, cluster, ip, kind)| {
            let tags = [
                ("Vendor", "Databricks"),
                ("ClusterId", cluster),
                ("JobId", "7"),
            ];
            let (name, tags) = match kind {
                0 => ("TerminateInstances", &tags[..0]),
                1 => ("RunInstances", &tags[..]),
                2 => ("RunInstances", &tags[..2]),
                _ => ("RunInstances", &tags[..1]),
            };
            Ec2Instance {
                private_ip: some(ip),
                ..ec2("ec2", name, when, tags)
            }
        })
}

fn asked() -> impl Strategy<Value = (Asked, bool)> {
    (
        (
            0..4_usize,
            seconds(),
            select(&["ASIA1", "ASIA2", "ASIA3"][..]),
        ),
        (
            option::of(select(
                &[
                    "sales/orders/a",
                    "sales/b",
                    "tables/5c1cf5a4-87b9-4cc2-9770-d10b894b0001/x",
                    "z",
                ][..],
            )),
            option::of(select(&["10.0.1.10", "10.0.1.11", "52.1.2.3"][..])),
            prop::bool::weighted(0.1),
            any::<bool>(),
        ),
    )
        .prop_map(|((kind, when, key), (object, ip, presigned, writes))| {
            let principal = match kind {
                0 => in_scope(role_session(PROFILE_ROLE, "x", key), INSTANCE),
                1 => role_session(PROFILE_ROLE, INSTANCE, key),
                _ => role_session(UC_ROLE, "databricks", key),
            };
            let mut asked = Asked::of(principal).at(when);
            asked.object_key = object.map(str::to_owned);
            asked.target.bucket = some("lake");
            asked.client.source_ip = ip.map(str::to_owned);
            asked.presigned = presigned;
            // Of a URL that is used for as long as it lives.
            asked.signed_at = (presigned && writes).then(|| at(0));
            (asked, writes)
        })
}

pub(super) fn all_of(facts: &[DatabricksFacts]) -> DatabricksFacts {
    let mut all = DatabricksFacts::default();
    for fact in facts.iter().cloned() {
        all.instance_events.extend(fact.instance_events);
        all.nodes.extend(fact.nodes);
        all.clusters.extend(fact.clusters);
        all.jobs.extend(fact.jobs);
        all.job_runs.extend(fact.job_runs);
        all.task_runs.extend(fact.task_runs);
        all.vends.extend(fact.vends);
        all.commands.extend(fact.commands);
        all.share_queries.extend(fact.share_queries);
        all.group_changes.extend(fact.group_changes);
        all.statements.extend(fact.statements);
        all.lineage.extend(fact.lineage);
        all.scim.extend(fact.scim);
        all.storage_credentials.extend(fact.storage_credentials);
        all.external_locations.extend(fact.external_locations);
        all.watermarks.extend(fact.watermarks);
    }
    all
}

fn access<'a>(asked: &'a Asked, writes: bool) -> AccessEvent<'a> {
    AccessEvent {
        operation: if writes {
            Operation::Write
        } else {
            Operation::Read
        },
        ..asked.access()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_and_grouping_of_facts_change_nothing(
        facts in vec(one_fact(), 0..30),
        shuffle in vec(any::<Index>(), 30),
        sessions in vec(sts(), 0..4),
        launches in vec(launch(), 0..3),
        asked in vec(asked(), 1..6),
        cut in any::<Index>(),
    ) {
        let whole = configured(&sessions, &launches).with_databricks(all_of(&facts));
        let mut shuffled = facts.clone();
        for (place, with) in shuffle.iter().enumerate().take(facts.len()) {
            shuffled.swap(place, with.index(facts.len()));
        }
        let (first, second) = shuffled.split_at(cut.index(facts.len() + 1));
        let mut parts = configured(&[], &[]).with_databricks(all_of(first));
        parts = parts.with(sessions.clone(), launches.clone());
        for fact in second {
            parts = parts.with_databricks(fact.clone());
        }
        parts = parts.with_databricks(all_of(first));
        for (asked, writes) in &asked {
            let access = access(asked, *writes);
            prop_assert_eq!(
                attribute(&access, &whole),
                attribute(&access, &parts)
            );
        }
    }

    #[test]
    fn an_answer_holds_over_its_span_and_for_its_place(
        facts in vec(one_fact(), 0..30),
        sessions in vec(sts(), 0..4),
        launches in vec(launch(), 0..3),
        (first, writes) in asked(),
        others in vec((asked(), seconds()), 20),
        settled_until in option::of(seconds()),
    ) {
        let mut index = configured(&sessions, &launches).with_databricks(all_of(&facts));
        if let Some(until) = settled_until {
            index = index.with_settled_until(at(until));
        }
        let answer = attribute_within(&access(&first, writes), &index);
        prop_assert!(answer.span.contains(first.at));
        let edges = [answer.span.from, answer.span.until];
        let times = others.iter().map(|(_, when)| at(*when)).chain(edges).chain([first.at]);
        for time in times.filter(|time| answer.span.contains(*time)) {
            let keys = others.iter().map(|((other, w), _)| (other.object_key.clone(), *w));
            for (object_key, w) in keys.chain([(first.object_key.clone(), writes)]) {
                let then = Asked { at: time, object_key, ..first.clone() };
                let then = access(&then, w);
                if answer.place.is_none_or(|place| place == index.place_of(&then.asked())) {
                    prop_assert_eq!(
                        &answer.attribution,
                        &attribute(&then, &index),
                        "at {} {:?}", time, then.object_key
                    );
                }
            }
        }
    }

    #[test]
    fn a_level_is_named_as_it_is_sure_and_every_none_has_a_reason(
        facts in vec(one_fact(), 0..30),
        sessions in vec(sts(), 0..4),
        launches in vec(launch(), 0..3),
        (asked, writes) in asked(),
    ) {
        let index = configured(&sessions, &launches).with_databricks(all_of(&facts));
        let answer = attribute(&access(&asked, writes), &index);
        for (id, confidence) in [
            (&answer.workspace_id, answer.workspace_confidence),
            (&answer.cluster_id, answer.cluster_confidence),
            (&answer.job_id, answer.job_confidence),
            (&answer.task_run_id, answer.task_confidence),
            (&answer.principal, answer.principal_confidence),
        ] {
            prop_assert_eq!(id.is_some(), matches!(confidence.as_str(), "exact" | "strong"));
        }
        prop_assert!(answer.task_confidence <= answer.job_confidence);
        let is_none = answer.principal_confidence.as_str() == "none";
        prop_assert_eq!(answer.unattributed_reason.is_some(), is_none);
        let settled = attribute(&access(&asked, writes), &index.with_settled_until(asked.at));
        prop_assert!(settled.unattributed_reason != Some(UnattributedReason::Late));
        let same = crate::model::Attribution { unattributed_reason: answer.unattributed_reason, ..settled };
        prop_assert_eq!(same, answer.clone(), "the reason alone may differ");
        let is_ambiguous = answer.principal_confidence.as_str() == "ambiguous";
        prop_assert_eq!(!answer.principal_candidates.is_empty(), is_ambiguous);
        prop_assert!(answer.principal.as_deref() != Some("System-User"));
        prop_assert_eq!(answer.principal.is_some(), answer.principal_kind.is_some());
        prop_assert!(answer.job_run_id.is_none() || answer.job_id.is_some());
        if answer.methods.contains(&Method::Conflict) {
            prop_assert!([answer.cluster_confidence, answer.job_confidence, answer.principal_confidence, answer.workspace_confidence]
                .iter().any(|level| level.as_str() == "ambiguous"));
        }
        let mut evidence = answer.evidence.clone();
        evidence.sort();
        evidence.dedup();
        prop_assert_eq!(evidence.len(), answer.evidence.len());
    }
}
