//! Plays those whose access has no Databricks job or person behind it:
//! Databricks' own platform, other roles and machines, static keys, people of
//! the AWS console, AWS services, recipients of shares, and nobody at all.

use super::org::{Role, TableKind, Workspace, place};
use super::play::{
    Activity, Caller, DatedFact, Fact, Mix, RoleSession, SessionPolicy, Sharing, Signer, agent,
};
use super::random::Random;
use super::scenario::{Scenario, Truth};
use super::stage::{Stage, location, weight};
use super::text::{HOUR, MINUTE};
use std::ops::Range;
use std::sync::Arc;

/// What the activities of outsiders have in common.
struct Plan<'w> {
    workspace: &'w Workspace,
    scenario: Scenario,
    signer: Signer,
    span: Range<i64>,
    /// Of an hour's work of a cluster, in percent.
    share: u64,
    bucket: &'w Arc<str>,
    prefix: &'w str,
    mix: Mix,
    source_ip: String,
    user_agent: &'static str,
}

pub(super) fn play(stage: &mut Stage<'_>) {
    for number in 0..stage.org.workspaces.len() {
        let Some(workspace) = stage.workspace(number) else {
            continue;
        };
        let mut random = stage.random("outsiders", &[number as u64]);
        let random = &mut random;
        other_instance(stage, workspace, random);
        for hour in 0..stage.org.size.days * 24 {
            let from = super::org::START + hour * HOUR;
            let span = from..from + HOUR;
            root_bucket(stage, workspace, span.clone(), random);
            static_key(stage, workspace, span.clone(), random);
            services(stage, workspace, span.clone(), random);
            anonymous(stage, workspace, span.clone(), random);
            if hour % 4 == 1 {
                log_delivery(stage, workspace, from + 10 * MINUTE, random);
                airflow(stage, workspace, span.clone(), random);
                outposts(stage, workspace, span.clone(), random);
            }
            if (8..18).contains(&(hour % 24)) {
                if hour % 3 == 0 {
                    console(stage, workspace, span.clone(), random);
                }
                sharing(stage, number, workspace, span, random);
            }
        }
    }
}

fn act(stage: &mut Stage<'_>, plan: Plan<'_>) {
    let location = location(plan.workspace, plan.bucket, plan.prefix);
    let truth = Truth {
        // The platform works for a workspace; nobody else here has one.
        workspace_id: (plan.scenario == Scenario::RootBucket).then(|| plan.workspace.id.clone()),
        ..Truth::of(plan.scenario)
    };
    stage.act(Activity {
        truth,
        signer: plan.signer,
        place: plan.workspace.place,
        twin: None,
        weight: weight(&plan.span) * plan.share / 100,
        span: plan.span,
        fixed: None,
        location,
        writes: false,
        mix: plan.mix,
        source_ip: plan.source_ip,
        vpc_endpoint: None,
        user_agent: plan.user_agent,
    });
}

fn root_bucket(
    stage: &mut Stage<'_>,
    workspace: &Workspace,
    span: Range<i64>,
    random: &mut Random,
) {
    let mut named = stage.random("control plane", &[]);
    let principal_id = format!(
        "{}:{}",
        named.aws_id("AROA", 17),
        "databricks-control-plane"
    );
    let region = place(workspace.place).region;
    let folder = match random.below(3) {
        0 => format!("{region}-prod/{}", workspace.id),
        1 => format!("{region}-prod/{}.jobs", workspace.id),
        _ => format!("ephemeral/{region}-prod/{}", workspace.id),
    };
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::RootBucket,
            signer: Signer::Platform { principal_id },
            span,
            share: 60,
            bucket: &workspace.buckets.root,
            prefix: &folder,
            mix: Mix::RootBucket,
            source_ip: format!("203.0.113.{}", 40 + random.below(10)),
            user_agent: agent::UC,
        },
    );
}

/// Databricks assumes the organisation's own role to deliver its audit log.
fn log_delivery(stage: &mut Stage<'_>, workspace: &Workspace, at: i64, random: &mut Random) {
    let mut named = stage.random("log delivery", &[]);
    let principal_id = format!("{}:{}", named.aws_id("AROA", 17), "usage-delivery");
    let source_ip = format!("203.0.113.{}", 60 + random.below(4));
    let session = issue(
        stage,
        workspace,
        Caller::Databricks { principal_id },
        RoleSession {
            role: workspace.roles.log_delivery.clone(),
            name: "SaasUsageDeliveryRole".to_owned(),
            key: random.aws_id("ASIA", 16),
            issued: at,
            expires: at + HOUR,
            in_scope_of: None,
            is_delivered: false,
        },
        &source_ip,
    );
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::LogDelivery,
            signer: Signer::Session(session),
            span: at + 2..at + 20 * MINUTE,
            share: 20,
            bucket: &workspace.buckets.logs,
            prefix: &format!("databricks-audit/workspaceId={}", workspace.id),
            mix: Mix::Deliver,
            source_ip,
            user_agent: agent::UC,
        },
    );
}

fn issue(
    stage: &mut Stage<'_>,
    workspace: &Workspace,
    caller: Caller,
    session: RoleSession,
    source_ip: &str,
) -> Arc<RoleSession> {
    let session = Arc::new(session);
    let external_id =
        matches!(caller, Caller::Databricks { .. }).then(|| stage.org.account_id.clone());
    stage.play.facts.push(DatedFact {
        at: session.issued,
        place: workspace.place,
        fact: Fact::Issue {
            session: session.clone(),
            caller,
            policy: None,
            external_id,
            source_ip: source_ip.to_owned(),
        },
    });
    session
}

/// An IAM user with a long-term key.
pub(super) fn user(stage: &Stage<'_>, workspace: &Workspace, number: u64) -> Signer {
    let account = place(workspace.place).account;
    let mut named = stage.random(&format!("iam user {}", workspace.name), &[number]);
    Signer::User {
        account,
        name: format!("svc-{}-{number}", workspace.name),
        id: named.aws_id("AIDA", 17),
        key: named.aws_id("AKIA", 16),
    }
}

fn static_key(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    let signer = user(stage, workspace, random.below(3));
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::StaticKey,
            signer,
            span,
            share: 15,
            bucket: &workspace.buckets.raw,
            prefix: "exchange/inbound",
            mix: Mix::Etl,
            source_ip: format!("192.0.2.{}", 40 + random.below(6)),
            user_agent: agent::CLI,
        },
    );
}

fn services(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    let service = random.text(&[
        "delivery.logs.amazonaws.com",
        "cloudtrail.amazonaws.com",
        "config.amazonaws.com",
    ]);
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::AwsService,
            signer: Signer::Service(service),
            span,
            share: 12,
            bucket: &workspace.buckets.logs,
            prefix: "AWSLogs",
            mix: Mix::Deliver,
            source_ip: service.to_owned(),
            user_agent: service,
        },
    );
}

fn anonymous(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::Anonymous,
            signer: Signer::Anonymous,
            span,
            share: 6,
            bucket: &workspace.buckets.public,
            prefix: "assets",
            mix: Mix::Read,
            source_ip: format!("192.0.2.{}", 100 + random.below(120)),
            user_agent: agent::BROWSER,
        },
    );
}

fn airflow(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    let source_ip = format!("10.8.{}.{}", workspace.place, 4 + random.below(40));
    let name = format!("botocore-session-{}", 1_791_000_000 + random.below(900_000));
    let role = workspace.roles.airflow.clone();
    let session = assumed_from_afar(
        stage,
        workspace,
        (role, name),
        (span.start, &source_ip),
        random,
    );
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::OtherRole,
            signer: Signer::Session(session),
            span: span.start + 2..span.end,
            share: 40,
            bucket: &workspace.buckets.raw,
            prefix: "airflow/staging",
            mix: Mix::Etl,
            source_ip,
            user_agent: agent::BOTO,
        },
    );
}

/// An hour of a role, issued to a workload that is none of Databricks'.
fn assumed_from_afar(
    stage: &mut Stage<'_>,
    workspace: &Workspace,
    (role, name): (Arc<Role>, String),
    (issued, source_ip): (i64, &str),
    random: &mut Random,
) -> Arc<RoleSession> {
    let session = RoleSession {
        role,
        name,
        key: random.aws_id("ASIA", 16),
        issued,
        expires: issued + HOUR,
        in_scope_of: None,
        is_delivered: false,
    };
    issue(stage, workspace, Caller::WebIdentity, session, source_ip)
}

/// An application beside an Outpost reads what is stored on it.
fn outposts(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    let source_ip = format!("10.9.{}.{}", workspace.place, 4 + random.below(40));
    let name = format!("outpost-{}", random.below(900_000));
    let role = workspace.roles.backend.clone();
    let session = assumed_from_afar(
        stage,
        workspace,
        (role, name),
        (span.start, &source_ip),
        random,
    );
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::OutpostsApplication,
            signer: Signer::Session(session),
            span: span.start + 2..span.end,
            share: 20,
            bucket: &workspace.buckets.raw,
            prefix: "plant/readings",
            mix: Mix::Gets,
            source_ip,
            user_agent: agent::BOTO,
        },
    );
}

/// Someone signs in through the identity provider and looks around.
pub(super) fn sign_in(
    stage: &mut Stage<'_>,
    workspace: &Workspace,
    at: i64,
    random: &mut Random,
) -> Option<(Arc<RoleSession>, String)> {
    let user = random.pick(&workspace.users)?.name.to_string();
    let source_ip = format!("192.0.2.{}", 60 + random.below(20));
    let session = issue(
        stage,
        workspace,
        Caller::Saml { user: user.clone() },
        RoleSession {
            role: workspace.roles.sso.clone(),
            name: user,
            key: random.aws_id("ASIA", 16),
            issued: at,
            expires: at + HOUR,
            in_scope_of: None,
            is_delivered: false,
        },
        &source_ip,
    );
    Some((session, source_ip))
}

fn console(stage: &mut Stage<'_>, workspace: &Workspace, span: Range<i64>, random: &mut Random) {
    let Some((session, source_ip)) = sign_in(stage, workspace, span.start, random) else {
        return;
    };
    act(
        stage,
        Plan {
            workspace,
            scenario: Scenario::SsoHuman,
            signer: Signer::Session(session),
            span: span.start + 5..span.end,
            share: 10,
            bucket: &workspace.buckets.raw,
            prefix: "feeds/web",
            mix: Mix::Read,
            source_ip,
            user_agent: agent::BROWSER,
        },
    );
}

/// A machine of another team: an instance, but none of Databricks'.
fn other_instance(stage: &mut Stage<'_>, workspace: &Workspace, random: &mut Random) {
    let id: Arc<str> = random.ec2_id("i").into();
    let ip = format!("10.9.{}.{}", workspace.place, 4 + random.below(200));
    let start = super::org::START + 20 * MINUTE;
    stage.play.facts.push(DatedFact {
        at: start,
        place: workspace.place,
        fact: Fact::LaunchOther {
            id: id.clone(),
            ip: ip.clone(),
            role: workspace.roles.backend.clone(),
        },
    });
    let region = place(workspace.place).region;
    let account = place(workspace.place).account;
    let mut issued = start + MINUTE;
    while issued < stage.org.size.end() {
        let session = issue(
            stage,
            workspace,
            Caller::Ec2,
            RoleSession {
                role: workspace.roles.backend.clone(),
                name: id.to_string(),
                key: random.aws_id("ASIA", 16),
                issued,
                expires: issued + 6 * HOUR,
                in_scope_of: Some(format!("arn:aws:ec2:{region}:{account}:instance/{id}")),
                is_delivered: true,
            },
            "ec2.amazonaws.com",
        );
        let until = (issued + 5 * HOUR).min(stage.org.size.end());
        act(
            stage,
            Plan {
                workspace,
                scenario: Scenario::OtherInstance,
                signer: Signer::Session(session),
                span: issued + 2..until,
                share: 8,
                bucket: &workspace.buckets.raw,
                prefix: "exchange/outbound",
                mix: Mix::Etl,
                source_ip: ip.clone(),
                user_agent: agent::BOTO,
            },
        );
        issued += 5 * HOUR;
    }
}

/// Databricks signs URLs of a shared table; a recipient elsewhere reads them.
fn sharing(
    stage: &mut Stage<'_>,
    number: usize,
    workspace: &Workspace,
    span: Range<i64>,
    random: &mut Random,
) {
    let Some(table) = workspace
        .tables
        .iter()
        .find(|table| table.kind == TableKind::External)
    else {
        return;
    };
    let at = span.start + random.between(0, 20 * MINUTE);
    let session = Arc::new(RoleSession {
        role: workspace.roles.storage.clone(),
        name: "databricks-sharing".to_owned(),
        key: random.aws_id("ASIA", 16),
        issued: at,
        expires: at + HOUR,
        in_scope_of: None,
        is_delivered: false,
    });
    let mut named = stage.random("sharing", &[]);
    stage.play.facts.push(DatedFact {
        at,
        place: workspace.place,
        fact: Fact::Issue {
            session: session.clone(),
            caller: Caller::Databricks {
                principal_id: format!("{}:sharing", named.aws_id("AROA", 17)),
            },
            policy: Some(SessionPolicy {
                location: table.location.clone(),
                writes: false,
            }),
            external_id: Some(stage.org.account_id.clone()),
            source_ip: format!("203.0.113.{}", 10 + random.below(20)),
        },
    });
    stage.play.sharing.push(Sharing {
        workspace: number,
        at: at + 2,
        table: table.clone(),
    });
    // The URLs are signed within moments, and live an hour.
    let span = at + 4..at + 50 * MINUTE;
    stage.act(Activity {
        truth: Truth {
            workspace_id: Some(workspace.id.clone()),
            ..Truth::of(Scenario::SharingPresigned)
        },
        signer: Signer::Session(session),
        place: workspace.place,
        twin: None,
        weight: weight(&span) / 20,
        span,
        fixed: None,
        location: table.location.clone(),
        writes: false,
        mix: Mix::Presigned,
        source_ip: format!("192.0.2.{}", 230 + random.below(12)),
        vpc_endpoint: None,
        user_agent: agent::SHARING,
    });
}
