//! Plants the violations, each with a label: what a detection has to find, and
//! what a program must not explain away as someone's usual work.
//!
//! Each strikes once a day in the first workspace, with a fixed number of
//! events, so that thresholds are crossed at any size of the load.

use super::org::{Location, START, TableKind, Workspace};
use super::outsiders::{sign_in, user};
use super::play::{
    Activity, Caller, DatedFact, Fact, Mix, RoleSession, SessionPolicy, Signer, Vend, agent,
};
use super::random::Random;
use super::scenario::{Scenario, Truth};
use super::stage::{Stage, location, truth_of, truth_of_person};
use super::text::{DAY, HOUR, MINUTE};
use std::ops::Range;
use std::sync::Arc;

/// What an attack needs beside its credential.
struct Attack {
    truth: Truth,
    signer: Signer,
    span: Range<i64>,
    events: u64,
    location: Arc<Location>,
    mix: Mix,
    source_ip: String,
    user_agent: &'static str,
}

pub(super) fn play(stage: &mut Stage<'_>) {
    let Some(workspace) = stage.workspace(0) else {
        return;
    };
    for day in 0..stage.org.size.days {
        let at = START + day * DAY;
        let mut random = stage.random("attackers", &[u64::try_from(day).unwrap_or_default()]);
        let random = &mut random;
        foreign_assumption(stage, workspace, at + 2 * HOUR, random);
        off_node(stage, workspace, at + 10 * HOUR);
        copy_out(stage, workspace, at + 19 * HOUR, random);
        bypass(stage, workspace, at + 11 * HOUR);
        restricted(stage, workspace, at + 3 * HOUR);
        // In the minutes of the volumes, when nobody else asks for a table.
        outside_policy(stage, workspace, at + 21 * HOUR + 55 * MINUTE, random);
        ransom(stage, workspace, at + 4 * HOUR);
        public_policy(stage, workspace, at + 22 * HOUR, random);
    }
}

fn strike(stage: &mut Stage<'_>, workspace: &Workspace, attack: Attack) {
    stage.act(Activity {
        truth: attack.truth,
        signer: attack.signer,
        place: workspace.place,
        twin: None,
        span: attack.span,
        weight: 0,
        fixed: Some(attack.events),
        location: attack.location,
        writes: false,
        mix: attack.mix,
        source_ip: attack.source_ip,
        vpc_endpoint: None,
        user_agent: attack.user_agent,
    });
}

fn curated(workspace: &Workspace, prefix: &str) -> Arc<Location> {
    location(workspace, &workspace.buckets.curated, prefix)
}

/// Another account assumes the role of the storage credential.
fn foreign_assumption(stage: &mut Stage<'_>, workspace: &Workspace, at: i64, random: &mut Random) {
    let session = Arc::new(RoleSession {
        role: workspace.roles.storage.clone(),
        name: "databricks".to_owned(),
        key: random.aws_id("ASIA", 16),
        issued: at,
        expires: at + HOUR,
        in_scope_of: None,
        is_delivered: false,
    });
    stage.play.facts.push(DatedFact {
        at,
        place: workspace.place,
        fact: Fact::Issue {
            session: session.clone(),
            caller: Caller::Foreign {
                principal_id: format!("{}:session", random.aws_id("AROA", 17)),
            },
            policy: None,
            external_id: Some(stage.org.account_id.clone()),
            source_ip: "198.51.100.7".to_owned(),
        },
    });
    let attack = Attack {
        truth: Truth::of(Scenario::ForeignAssumption),
        signer: Signer::Session(session),
        span: at + 5..at + 20 * MINUTE,
        events: 30,
        location: curated(workspace, "payroll"),
        mix: Mix::Read,
        source_ip: "198.51.100.7".to_owned(),
        user_agent: agent::BOTO,
    };
    strike(stage, workspace, attack);
}

/// The key of a cluster's machine is used from elsewhere.
fn off_node(stage: &mut Stage<'_>, workspace: &Workspace, at: i64) {
    let compute = stage.compute;
    let Some((cluster, key)) = compute.clusters.iter().find_map(|cluster| {
        let suits = cluster.workspace == 0 && cluster.scenario == Scenario::DedicatedCluster;
        let placement = cluster
            .placements
            .iter()
            .find(|placement| placement.span.contains(&at))?;
        let keys = stage.keys.get(placement.instance)?;
        let key = keys.iter().rev().find(|key| key.issued < at)?;
        suits.then(|| (cluster, key.clone()))
    }) else {
        return;
    };
    let truth = Truth {
        workspace_id: Some(workspace.id.clone()),
        cluster_id: Some(cluster.id.clone()),
        ..Truth::of(Scenario::CredentialOffNode)
    };
    let attack = Attack {
        truth,
        signer: Signer::Session(key),
        span: at..at + 15 * MINUTE,
        events: 25,
        location: location(workspace, &workspace.buckets.raw, "feeds/customers"),
        mix: Mix::Read,
        source_ip: "198.51.100.9".to_owned(),
        user_agent: agent::CLI,
    };
    strike(stage, workspace, attack);
}

fn copy_out(stage: &mut Stage<'_>, workspace: &Workspace, at: i64, random: &mut Random) {
    let Some((session, source_ip)) = sign_in(stage, workspace, at, random) else {
        return;
    };
    let attack = Attack {
        truth: Truth::of(Scenario::CopyToForeignAccount),
        signer: Signer::Session(session),
        span: at + 30..at + 12 * MINUTE,
        events: 24,
        location: curated(workspace, "customers"),
        mix: Mix::CopyOut,
        source_ip,
        user_agent: agent::CLI,
    };
    strike(stage, workspace, attack);
}

/// A cluster reads a governed path with its instance profile.
fn bypass(stage: &mut Stage<'_>, workspace: &Workspace, at: i64) {
    let compute = stage.compute;
    let Some((cluster, placement)) = compute.clusters.iter().find_map(|cluster| {
        let suits = cluster.workspace == 0 && cluster.scenario == Scenario::DedicatedCluster;
        let placement = cluster
            .placements
            .iter()
            .find(|placement| placement.span.contains(&at))?;
        suits.then_some((cluster, placement))
    }) else {
        return;
    };
    let keys = stage.keys.get(placement.instance);
    let key = keys.and_then(|keys| keys.iter().rev().find(|key| key.issued < at));
    let Some((key, instance)) = key.cloned().zip(compute.instances.get(placement.instance)) else {
        return;
    };
    let truth = Truth {
        scenario: Scenario::UcBypass,
        access_path: Scenario::UcBypass.access_path(),
        ..truth_of_person(cluster, workspace, cluster.owner)
    };
    stage.act(Activity {
        truth,
        signer: Signer::Session(key),
        place: workspace.place,
        twin: None,
        span: at..at + 15 * MINUTE,
        weight: 0,
        fixed: Some(20),
        location: curated(workspace, "finance"),
        writes: false,
        mix: Mix::Read,
        source_ip: instance.ip.clone(),
        vpc_endpoint: Some(workspace.vpc_endpoint),
        user_agent: agent::SPARK,
    });
}

fn restricted(stage: &mut Stage<'_>, workspace: &Workspace, at: i64) {
    let attack = Attack {
        truth: Truth::of(Scenario::StaticKeyRestricted),
        signer: user(stage, workspace, 0),
        span: at..at + 10 * MINUTE,
        events: 20,
        location: curated(workspace, "payroll"),
        mix: Mix::Read,
        source_ip: "192.0.2.45".to_owned(),
        user_agent: agent::CLI,
    };
    strike(stage, workspace, attack);
}

/// Someone with a key for one table tries another.
fn outside_policy(stage: &mut Stage<'_>, workspace: &Workspace, at: i64, random: &mut Random) {
    let table = workspace
        .tables
        .iter()
        .find(|table| table.kind == TableKind::External);
    let (Some(user), Some(table)) = (workspace.users.get(4), table) else {
        return;
    };
    let session = Arc::new(RoleSession {
        role: workspace.roles.storage.clone(),
        name: "databricks".to_owned(),
        key: random.aws_id("ASIA", 16),
        issued: at,
        expires: at + HOUR,
        in_scope_of: None,
        is_delivered: false,
    });
    stage.play.facts.push(DatedFact {
        at,
        place: workspace.place,
        fact: Fact::Issue {
            session: session.clone(),
            caller: Caller::Databricks {
                principal_id: format!("{}:unity-catalog", random.aws_id("AROA", 17)),
            },
            policy: Some(SessionPolicy {
                location: table.location.clone(),
                writes: false,
            }),
            external_id: Some(stage.org.account_id.clone()),
            source_ip: "203.0.113.12".to_owned(),
        },
    });
    stage.play.vends.push(Vend {
        workspace: 0,
        at_millis: at * 1000 + workspace.clock_skew_millis + 350,
        principal: Some(user.clone()),
        table: table.clone(),
        writes: false,
        user_agent: agent::DUCKDB,
        source_ip: "192.0.2.25".to_owned(),
        plural: false,
        denied: false,
    });
    let attack = Attack {
        truth: truth_of(Scenario::OutOfVendedPrefix, workspace, Some(user)),
        signer: Signer::Session(session),
        span: at + 10..at + 10 * MINUTE,
        events: 18,
        location: curated(workspace, "payroll"),
        mix: Mix::OutsidePolicy,
        source_ip: "192.0.2.25".to_owned(),
        user_agent: agent::DUCKDB,
    };
    strike(stage, workspace, attack);
}

/// Objects are encrypted with a key of the attacker's, and others deleted.
fn ransom(stage: &mut Stage<'_>, workspace: &Workspace, at: i64) {
    for (scenario, mix, events, from, length) in [
        (Scenario::SseCEncryption, Mix::SseC, 40, at, 4 * MINUTE),
        (
            Scenario::MassDelete,
            Mix::DeleteAll,
            90,
            at + 10 * MINUTE,
            20 * MINUTE,
        ),
    ] {
        let attack = Attack {
            truth: Truth::of(scenario),
            signer: user(stage, workspace, 1),
            span: from..from + length,
            events,
            location: location(workspace, &workspace.buckets.raw, "feeds/supply"),
            mix,
            source_ip: "198.51.100.13".to_owned(),
            user_agent: agent::CLI,
        };
        strike(stage, workspace, attack);
    }
}

fn public_policy(stage: &mut Stage<'_>, workspace: &Workspace, at: i64, random: &mut Random) {
    let Some((session, source_ip)) = sign_in(stage, workspace, at, random) else {
        return;
    };
    let attack = Attack {
        truth: Truth::of(Scenario::PublicBucketPolicy),
        signer: Signer::Session(session),
        span: at + 60..at + 5 * MINUTE,
        events: 1,
        location: location(workspace, &workspace.buckets.curated, ""),
        mix: Mix::PublicPolicy,
        source_ip,
        user_agent: agent::BROWSER,
    };
    strike(stage, workspace, attack);
}
