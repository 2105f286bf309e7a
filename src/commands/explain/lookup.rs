//! Reads what the lake holds about one event.
//!
//! Values go into filters as values, never into the text of a query: an event
//! id comes from the command line, and every other id from a log.

use super::super::cells::Cells;
use super::evidence::Facts;
use crate::lake::rows::{instance_at, session_at};
use crate::model::{AccessEvent, Principal, StsSession, UtcMicros};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::functions_nested::expr_fn::cardinality;
use datafusion::prelude::{Expr, col, lit};
use std::collections::BTreeSet;

/// Steps back from session to session; attribution follows no more of them.
const STEPS_MAX: usize = 10;

/// Facts read for one event. A handful is usual; only a redacted trail, where
/// one key stands for all, has more, and then no link is unique anyhow.
const FACTS_MAX: usize = 20_000;

/// Around a session's creation, in seconds: wider than attribution looks.
const CREATION_SLACK_SECS: i64 = 5;

/// Around the life of a vended session: vended keys live an hour, and the vends
/// within it have their own sessions within minutes.
const NEIGHBOUR_SECS: i64 = 2 * 3600;

pub struct Lookup {
    context: SessionContext,
}

/// What sessions are looked for by.
#[derive(Default, PartialEq, Eq, Clone)]
struct Wanted {
    keys: BTreeSet<String>,
    event_ids: BTreeSet<String>,
    shared_ids: BTreeSet<String>,
}

impl Lookup {
    pub fn new(context: SessionContext) -> Lookup {
        Lookup { context }
    }

    /// The rows of that event: several, where several accounts got a copy; the one
    /// that corrects it, where it was corrected.
    pub async fn rows_of(&self, event_id: &str) -> Result<Vec<Cells>> {
        let mut rows = self
            .select(
                "s3_access",
                col("event_id")
                    .eq(lit(event_id))
                    .or(col("original_event_id").eq(lit(event_id))),
            )
            .await?;
        rows.sort_by_cached_key(|row| (row.owned("aws_account_id"), row.owned("source_uri")));
        Ok(rows)
    }

    pub async fn count_events(&self) -> Result<u64> {
        if !self.context.table_exist("s3_access")? {
            return Ok(0);
        }
        let count = self.context.table("s3_access").await?.count().await?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// The source object's row in `log_objects`.
    pub async fn object_of(&self, row: &Cells) -> Result<Option<Cells>> {
        let Some(uri) = row.text("source_uri") else {
            return Ok(None);
        };
        let mut objects = self.select("log_objects", col("uri").eq(lit(uri))).await?;
        // The same place may have been read again after it was written anew.
        let etag = row.text("source_etag");
        objects.sort_by_key(|object| {
            (
                object.text("etag") != etag,
                object.text("status") != Some("committed"),
            )
        });
        Ok(objects.into_iter().next())
    }

    /// Every session and instance fact that the event's attribution can rest on.
    pub async fn facts_around(&self, row: &Cells, access: &AccessEvent<'_>) -> Result<Facts> {
        let mut sessions = self.sessions_around(row, access.principal).await?;
        let is_vended = row.text("access_path") == Some("unity_catalog");
        if is_vended {
            self.add_neighbours(row, access.event_time, &mut sessions)
                .await?;
            self.add_policy_lessons(&mut sessions).await?;
        }
        let mut ids: BTreeSet<String> = row.owned("instance_id").into_iter().collect();
        ids.extend(instances_named_by(access.principal));
        for session in &sessions {
            ids.extend(session.role_session_name.clone());
            ids.extend(instances_named_by(&session.caller));
        }
        if let Some(source_ip) = access.client.source_ip.as_ref().filter(|_| is_vended) {
            let nodes = self
                .select(
                    "ec2_instances",
                    col("private_ip").eq(lit(source_ip.as_str())),
                )
                .await?;
            ids.extend(nodes.iter().filter_map(|node| node.owned("instance_id")));
        }
        ids.retain(|id| id.starts_with("i-"));
        let evidence = row.list("attribution_evidence");
        let filter = any_of("instance_id", &ids).or(any_of("event_id", &evidence));
        let instances = self.select("ec2_instances", filter).await?;
        Ok(Facts {
            sessions,
            instances: instances
                .iter()
                .map(|row| instance_at(row.batch(), 0))
                .collect(),
        })
    }

    /// Adds the other sessions of the role: that a vend has one of its own is why it
    /// is no candidate for this key.
    async fn add_neighbours(
        &self,
        row: &Cells,
        at: UtcMicros,
        sessions: &mut Vec<StsSession>,
    ) -> Result<()> {
        let mut roles: BTreeSet<String> = row.owned("role_arn").into_iter().collect();
        roles.extend(
            sessions
                .iter()
                .filter_map(|session| session.role_arn.clone()),
        );
        let from = row.time("session_issued_at").unwrap_or(at);
        let filter = any_of("role_arn", &roles).and(col("issued_at").between(
            time(from.plus_seconds(-NEIGHBOUR_SECS)),
            time(at.plus_seconds(NEIGHBOUR_SECS)),
        ));
        for found in self.select("sts_sessions", filter).await? {
            let session = session_at(found.batch(), 0);
            let is_known = |known: &StsSession| {
                known.event_id == session.event_id && known.aws_account_id == session.aws_account_id
            };
            if !sessions.iter().any(is_known) {
                sessions.push(session);
            }
        }
        Ok(())
    }

    /// Adds a session of each of their accounts whose records show session policies:
    /// that one shows none then means something.
    async fn add_policy_lessons(&self, sessions: &mut Vec<StsSession>) -> Result<()> {
        let accounts: BTreeSet<String> = sessions
            .iter()
            .filter_map(|session| session.aws_account_id.clone())
            .collect();
        for account in accounts {
            let filter = col("aws_account_id")
                .eq(lit(account))
                .and(col("caller_type").eq(lit("AWSAccount")))
                .and(cardinality(col("policy_prefixes")).gt(lit(0_u64)));
            let found = self.select("sts_sessions", filter).await?;
            let mut found = found.iter().map(|row| session_at(row.batch(), 0));
            sessions.extend(found.find(StsSession::shows_policy));
        }
        Ok(())
    }

    /// The sessions that the access may be of, and those before them.
    async fn sessions_around(&self, row: &Cells, principal: &Principal) -> Result<Vec<StsSession>> {
        let mut wanted = Wanted::default();
        wanted.keys.extend(principal.access_key_id.clone());
        wanted.event_ids.extend(row.list("attribution_evidence"));
        let created = created_near(principal);
        let mut sessions = Vec::new();
        for _ in 0..STEPS_MAX {
            let mut filter = any_of("access_key_id", &wanted.keys)
                .or(any_of("event_id", &wanted.event_ids))
                .or(any_of("shared_event_id", &wanted.shared_ids));
            if let Some(created) = &created {
                filter = filter.or(created.clone());
            }
            let found = self.select("sts_sessions", filter).await?;
            sessions = found
                .iter()
                .map(|row| session_at(row.batch(), 0))
                .collect::<Vec<_>>();
            let mut next = wanted.clone();
            for session in &sessions {
                next.keys.extend(session.access_key_id.clone());
                next.keys.extend(session.caller.access_key_id.clone());
                next.event_ids.insert(session.event_id.clone());
                next.shared_ids.extend(session.shared_event_id.clone());
            }
            next.keys.remove("");
            next.shared_ids.remove("");
            if next == wanted {
                break;
            }
            wanted = next;
        }
        Ok(sessions)
    }

    async fn select(&self, table: &str, filter: Expr) -> Result<Vec<Cells>> {
        if !self.context.table_exist(table)? {
            return Ok(Vec::new());
        }
        let frame = self.context.table(table).await?.filter(filter)?;
        let batches = frame.limit(0, Some(FACTS_MAX))?.collect().await?;
        Ok(Cells::each(&batches).collect())
    }
}

fn any_of<'a>(column: &str, values: impl IntoIterator<Item = &'a String>) -> Expr {
    let values: Vec<Expr> = values
        .into_iter()
        .map(|value| lit(value.as_str()))
        .collect();
    if values.is_empty() {
        return lit(false);
    }
    col(column).in_list(values, false)
}

/// Sessions of the same name that were issued when this one was created.
fn created_near(principal: &Principal) -> Option<Expr> {
    let (name, at) = (
        principal.session_name.as_deref()?,
        principal.session_issued_at?,
    );
    let (from, until) = (
        at.plus_seconds(-CREATION_SLACK_SECS),
        at.plus_seconds(CREATION_SLACK_SECS),
    );
    Some(
        col("role_session_name")
            .eq(lit(name))
            .and(col("issued_at").between(time(from), time(until))),
    )
}

fn time(at: UtcMicros) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(
        Some(at.0),
        Some("UTC".into()),
    ))
}

fn instances_named_by(principal: &Principal) -> impl Iterator<Item = String> {
    let in_scope = principal
        .in_scope_issued_to
        .as_deref()
        .and_then(|arn| arn.rsplit('/').next());
    let named = principal.session_name.as_deref();
    [in_scope.map(str::to_owned), named.map(str::to_owned)]
        .into_iter()
        .flatten()
}
