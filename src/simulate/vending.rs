//! Plays Unity Catalog: who asks for which table, the session that STS issues
//! for it, the audit row that tells of it, and what is read with the key.
//!
//! What tells one vend from another is time and place only, so both are planned:
//!
//! INVARIANT (one candidate): unless the scenario wants it otherwise, no other
//! principal asks for the same table within 200 seconds. Vends of volumes, whose
//! audit rows name no location, have minutes of their own.
//! INVARIANT (own tables): scenarios whose principal must stay unknown use
//! tables that no other scenario, and so no lineage, touches.

use super::org::{Principal, Table, TableKind, UC_MASTER_ROLE, Workspace};
use super::play::{
    Activity, Caller, DatedFact, Fact, Mix, RoleSession, SessionPolicy, Signer, Vend,
};
use super::random::Random;
use super::scenario::{Scenario, Truth};
use super::stage::{Stage, weight};
use super::text::{HOUR, MINUTE};
use std::collections::HashMap;
use std::sync::Arc;

/// A key that Unity Catalog vends lives an hour: role chaining allows no more.
pub(super) const KEY_LIFE: i64 = HOUR;
/// No two principals ask for one table closer to each other.
const APART: i64 = 200;

/// Tables by the last digit of their number; see the invariant above.
pub(super) const NO_STS: usize = 6;
pub(super) const SERVICE: usize = 7;
pub(super) const TWO: usize = 8;
pub(super) const LINEAGE: usize = 9;

/// How a vend goes.
pub(super) struct Asked<'a> {
    pub scenario: Scenario,
    pub principal: Option<&'a Principal>,
    pub table: &'a Table,
    pub writes: bool,
    pub at: i64,
    /// How long after the STS event the audit row is, beside the clocks' difference.
    pub audit_delay_millis: i64,
    pub user_agent: &'static str,
    pub source_ip: String,
}

pub(super) struct Vending<'s, 'o> {
    pub stage: &'s mut Stage<'o>,
    pub workspace: &'o Workspace,
    pub number: usize,
    pub random: Random,
    /// When each table was asked for.
    asked: HashMap<String, Vec<i64>>,
    tables: Vec<&'o Table>,
}

pub(super) fn play(stage: &mut Stage<'_>) {
    for number in 0..stage.org.workspaces.len() {
        let Some(workspace) = stage.workspace(number) else {
            continue;
        };
        let random = stage.random("vending", &[number as u64]);
        let mut vending = Vending {
            workspace,
            number,
            random,
            asked: HashMap::new(),
            tables: workspace.tables.iter().collect(),
            stage,
        };
        vending.play();
    }
}

impl<'o> Vending<'_, 'o> {
    /// Tables of the kind whose number ends in one of the digits.
    pub(super) fn tables(&self, kind: TableKind, digits: &[usize]) -> Vec<&'o Table> {
        self.tables
            .iter()
            .filter(|table| table.kind == kind)
            .enumerate()
            .filter(|(n, _)| kind != TableKind::External || digits.contains(&(n % 10)))
            .map(|(_, table)| *table)
            .collect()
    }

    pub(super) fn usual_table(&mut self) -> Option<&'o Table> {
        let tables = self.tables(TableKind::External, &[0, 1, 2, 3, 4, 5]);
        self.random.pick(&tables).copied()
    }

    /// The next moment at which nobody else asks for the table.
    pub(super) fn moment(&mut self, table: &Table, at: i64) -> i64 {
        let asked = self.asked.entry(table.full_name.clone()).or_default();
        let mut at = at;
        for _ in 0..200 {
            // Minutes 53 to 59 belong to volumes.
            if at.rem_euclid(HOUR) >= 53 * MINUTE {
                at += HOUR - at.rem_euclid(HOUR) + 5;
            }
            match asked.iter().find(|other| (at - **other).abs() < APART) {
                Some(other) => at = other + APART + 7,
                None => break,
            }
        }
        asked.push(at);
        at
    }

    /// STS issues a key for the table, and the audit log tells who asked.
    pub(super) fn vend(&mut self, asked: &Asked<'_>) -> Arc<RoleSession> {
        let place = self.workspace.place;
        let session = self.session(asked.at);
        let policy = SessionPolicy {
            location: asked.table.location.clone(),
            writes: asked.writes,
        };
        // Databricks calls STS in the region, or the global endpoint.
        let recorded = match self.random.below(10) {
            0..7 => place,
            _ if self.workspace.roles.storage.account == super::org::LAKE_ACCOUNT => {
                super::org::LAKE_EAST
            }
            _ => place,
        };
        if asked.scenario != Scenario::UcNoSts {
            let caller = if asked.scenario == Scenario::UcSelfAssumed {
                Caller::Session(self.master_session(asked.at, recorded))
            } else {
                self.databricks()
            };
            let external_id = self.stage.org.account_id.clone();
            let source_ip = format!("203.0.113.{}", 10 + self.random.below(20));
            self.stage.play.facts.push(DatedFact {
                at: asked.at,
                place: recorded,
                fact: Fact::Issue {
                    session: session.clone(),
                    caller,
                    policy: Some(policy),
                    external_id: Some(external_id),
                    source_ip,
                },
            });
        }
        let jitter = self.random.between(-900, 1_600);
        let plural = self.random.chance(250);
        self.stage.play.vends.push(Vend {
            workspace: self.number,
            at_millis: asked.at * 1000
                + self.workspace.clock_skew_millis
                + jitter
                + asked.audit_delay_millis,
            principal: asked.principal.cloned(),
            table: asked.table.clone(),
            writes: asked.writes,
            user_agent: asked.user_agent,
            source_ip: asked.source_ip.clone(),
            plural,
            denied: false,
        });
        session
    }

    pub(super) fn session(&mut self, at: i64) -> Arc<RoleSession> {
        // Nothing public tells what the name is; one workspace has a constant.
        let name = match self.number {
            0 => "databricks".to_owned(),
            _ => format!("uc-{}", self.random.uuid()),
        };
        Arc::new(RoleSession {
            role: self.workspace.roles.storage.clone(),
            name,
            key: self.random.aws_id("ASIA", 16),
            issued: at,
            expires: at + KEY_LIFE,
            in_scope_of: None,
            is_delivered: false,
        })
    }

    pub(super) fn databricks(&mut self) -> Caller {
        let name = UC_MASTER_ROLE.rsplit('-').next().unwrap_or_default();
        let mut random = self.stage.random("uc master role", &[]);
        let id = random.aws_id("AROA", 17);
        Caller::Databricks {
            principal_id: format!("{id}:{name}-{}", self.random.below(40)),
        }
    }

    /// The session of the role with which the role assumes itself.
    fn master_session(&mut self, at: i64, place: usize) -> Arc<RoleSession> {
        let session = self.session(at - 1);
        let caller = self.databricks();
        let external_id = self.stage.org.account_id.clone();
        self.stage.play.facts.push(DatedFact {
            at: at - 1,
            place,
            fact: Fact::Issue {
                session: session.clone(),
                caller,
                policy: None,
                external_id: Some(external_id),
                source_ip: format!("203.0.113.{}", 10 + self.random.below(20)),
            },
        });
        session
    }

    /// What is done with a vended key from a public address.
    pub(super) fn use_remotely(
        &mut self,
        asked: &Asked<'_>,
        session: Arc<RoleSession>,
        truth: Truth,
    ) {
        // Compute keeps a key until it nearly expires.
        let life = self.random.between(4 * MINUTE, KEY_LIFE - MINUTE);
        self.use_until(asked, session, truth, asked.at + life);
    }

    pub(super) fn use_until(
        &mut self,
        asked: &Asked<'_>,
        session: Arc<RoleSession>,
        truth: Truth,
        until: i64,
    ) {
        let span = asked.at + 2..until;
        let source_ip = asked.source_ip.clone();
        self.stage.act(Activity {
            truth,
            signer: Signer::Session(session),
            place: self.workspace.place,
            twin: None,
            weight: weight(&span) / 2,
            span,
            fixed: None,
            location: asked.table.location.clone(),
            writes: asked.writes,
            mix: if asked.writes { Mix::Etl } else { Mix::Read },
            source_ip,
            vpc_endpoint: None,
            user_agent: asked.user_agent,
        });
    }

    pub(super) fn serverless_ip(&mut self) -> String {
        format!("198.51.100.{}", 100 + self.random.below(60))
    }
}
