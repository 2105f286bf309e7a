//! `policy suggest`: permits that would cover what was seen, and grants nobody used.

use super::super::cells::{self, Cells};
use super::super::output::{self, grouped};
use super::super::{Common, UsageError, last_policy};
use super::Format;
use crate::identity::GroupHistory;
use crate::lake::databricks::{read_locations, read_workloads};
use crate::lake::queries::OBSERVED_ACCESS;
use crate::lake::replay::each_path;
use crate::lake::settle::files::{Holder, Tables};
use crate::lake::{Lake, sql};
use crate::model::{Interest, Operation, PrincipalKind};
use crate::policy::{Grantee, Observed, Suggestion, User, suggest};
use anyhow::Context as _;
use clap::Args;
use datafusion::execution::context::SessionContext;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct SuggestArguments {
    /// Permits a group where at least so many per cent of its members did the like; others are
    /// permitted by name
    #[arg(long, value_name = "PERCENT", default_value_t = 50,
          value_parser = clap::value_parser!(u64).range(1..=100))]
    group_share: u64,
    /// How to write the suggestion: as Cedar text, or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "Reads the settled history of access that S3 answered and that is attributed \
(exact or strong), by the datasets that it was judged with. What should not have happened is in the \
draft too, with its count: review it before you use it. Access with long-term keys, by nobody known, \
or anonymous, is never suggested; it is listed with its count.

At the end stand the groups, external locations and storage credentials that nobody used.

Examples:
  bricktrail policy suggest > ./policy/suggested.cedar
  bricktrail policy suggest --group-share 80
  bricktrail policy suggest --format json | jq '.unused'";

/// What was seen on datasets and no permit is suggested for.
const LEFT_OUT: &str = "SELECT dataset, access_path, coalesce(unattributed_reason, principal_confidence) \
     AS why, count(*) AS events FROM s3_access WHERE settled AND outcome = 'ok' AND dataset IS NOT NULL \
     AND principal_confidence NOT IN ('exact', 'strong') \
     AND access_path NOT IN ('aws_service', 'databricks_platform') \
     AND (access_path <> 'other_role' OR role_arn IS NULL) \
     GROUP BY 1, 2, 3 ORDER BY dataset, events DESC, access_path, why";

const PROVISIONAL: &str = "SELECT count(*) AS events FROM s3_access WHERE NOT settled";

const ROLES: &str =
    "SELECT DISTINCT role_arn FROM s3_access WHERE role_arn IS NOT NULL AND outcome = 'ok'";

struct Draft {
    suggestions: Vec<Suggestion>,
    left_out: Vec<(String, String, String, u64)>,
    provisional: u64,
    unused: Vec<(&'static str, String, String)>,
}

pub async fn run(common: &Common, arguments: SuggestArguments) -> anyhow::Result<ExitCode> {
    let config = common.config(None)?;
    last_policy::check_lake(&config.lake)?;
    let lake = Lake::open(&config.lake).await?;
    let context = sql::session(&config.lake).await?;
    let observed = observed(&context).await.context("read what was seen")?;
    let people = Interest {
        active: true,
        ..Interest::default()
    };
    let facts = read_workloads(lake.url(), &people).await?;
    let history = GroupHistory::of(facts.scim, facts.group_changes);
    let groups = history.members();
    let draft = Draft {
        suggestions: suggest(
            &observed,
            &groups,
            arguments.group_share,
            |group, seen, at| history.is_member(group, seen, at),
        ),
        left_out: left_out(&context).await.context("read what was seen")?,
        provisional: number(&context, PROVISIONAL).await?,
        unused: unused(&lake, &context, &observed, &groups).await?,
    };
    if draft.suggestions.is_empty() && draft.left_out.is_empty() {
        return Err(UsageError(format!(
            "`{}` has no settled access to a dataset; name your datasets in the policy's \
             datasets.toml, scan with it, and run `bricktrail settle`{}",
            config.lake,
            match draft.provisional {
                0 => String::new(),
                rows => format!(" ({} rows are not settled)", grouped(rows)),
            }
        ))
        .into());
    }
    let text = match arguments.format {
        Format::Text => draft.text(arguments.group_share),
        Format::Json => format!("{:#}\n", draft.json()),
    };
    output::to_stdout(text.as_bytes()).context("write the suggestion")?;
    Ok(ExitCode::SUCCESS)
}

fn count(row: &Cells) -> u64 {
    row.number("events")
        .and_then(|count| u64::try_from(count).ok())
        .unwrap_or(0)
}

async fn number(context: &SessionContext, sql: &str) -> anyhow::Result<u64> {
    let rows = cells::rows(context, sql).await?;
    Ok(rows.first().map_or(0, count))
}

async fn observed(context: &SessionContext) -> anyhow::Result<Vec<Observed>> {
    let rows = cells::rows(context, OBSERVED_ACCESS.sql).await?;
    let each = rows.iter().filter_map(|row| {
        let kind = row.text("principal_kind").and_then(PrincipalKind::parse);
        let by = match (
            row.owned("principal"),
            row.owned("role_arn"),
            row.text("access_path"),
        ) {
            (Some(name), ..) => {
                let by_shape = match name.contains('@') {
                    true => PrincipalKind::User,
                    false => PrincipalKind::ServicePrincipal,
                };
                User::Principal(name, kind.unwrap_or(by_shape))
            }
            (None, Some(arn), Some("other_role")) => User::Role(arn),
            (None, _, Some(path)) if path != "other_role" => User::Path(path.to_owned()),
            (None, ..) => return None,
        };
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| row.text("operation") == Some(operation.as_str()))?;
        Some(Observed {
            dataset: row.owned("dataset")?,
            operation,
            by,
            events: count(row),
            first: row.time("first_seen")?,
            last: row.time("last_seen")?,
        })
    });
    Ok(each.collect())
}

async fn left_out(context: &SessionContext) -> anyhow::Result<Vec<(String, String, String, u64)>> {
    let rows = cells::rows(context, LEFT_OUT).await?;
    let each = rows.iter().map(|row| {
        let text = |name: &str| row.owned(name).unwrap_or_default();
        (
            text("dataset"),
            text("access_path"),
            text("why"),
            count(row),
        )
    });
    Ok(each.collect())
}

/// What is granted and nobody used: kind, name, and what it is of.
async fn unused(
    lake: &Lake,
    context: &SessionContext,
    observed: &[Observed],
    groups: &BTreeMap<String, BTreeSet<String>>,
) -> anyhow::Result<Vec<(&'static str, String, String)>> {
    let mut unused = Vec::new();
    let users: BTreeSet<&str> = observed
        .iter()
        .filter_map(|seen| match &seen.by {
            User::Principal(name, _) => Some(name.as_str()),
            User::Role(_) | User::Path(_) => None,
        })
        .collect();
    for (group, members) in groups {
        if !members.is_empty() && members.iter().all(|name| !users.contains(name.as_str())) {
            let of = format!("{} members, none of whom used a dataset", members.len());
            unused.push(("group", group.clone(), of));
        }
    }
    let (locations, credentials) = read_locations(lake.url()).await?;
    let roles = cells::rows(context, ROLES).await.context("read roles")?;
    let roles: BTreeSet<&str> = roles
        .iter()
        .filter_map(|row| row.text("role_arn"))
        .collect();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for credential in &credentials {
        if let Some(role) = &credential.role_arn
            && !roles.contains(role.as_str())
            && told.insert(&credential.name)
        {
            unused.push(("storage credential", credential.name.clone(), role.clone()));
        }
    }
    let paths: BTreeMap<&str, &str> = locations
        .iter()
        .filter_map(|location| {
            let path = location.url.split_once("://")?.1.trim_end_matches('/');
            Some((path, location.name.as_str()))
        })
        .collect();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let tables = Tables::of(lake);
    for file in tables.dates().into_values().flatten() {
        if used.len() < paths.len() && file.holder == Holder::Access {
            each_path(&tables, &file, |bucket, key| {
                let whole = format!("{bucket}/{key}");
                let mut path = whole.trim_end_matches('/');
                loop {
                    if let Some((path, _)) = paths.get_key_value(path) {
                        used.insert(path);
                    }
                    match path.rsplit_once('/') {
                        Some((outer, _)) => path = outer,
                        None => break,
                    }
                }
            })?;
        }
    }
    for (path, name) in &paths {
        if !used.contains(path) {
            unused.push((
                "external location",
                (*name).to_owned(),
                format!("s3://{path}"),
            ));
        }
    }
    unused.sort();
    Ok(unused)
}

impl Draft {
    fn text(&self, share: u64) -> String {
        let mut text = format!(
            "// Permits that cover the settled, attributed access to datasets in the lake. A draft:\n\
             // take out what should not have happened. A group is permitted where at least {share} %\n\
             // of its members did the like.\n"
        );
        if self.provisional > 0 {
            text.push_str(&format!(
                "// {} rows are not settled yet and are left out.\n",
                grouped(self.provisional)
            ));
        }
        for suggestion in &self.suggestions {
            text.push('\n');
            text.push_str(&suggestion.to_cedar());
        }
        if !self.left_out.is_empty() {
            text.push_str("\n// Not permitted: nobody in particular did it, or with a credential of long life.\n");
            for (dataset, path, why, events) in &self.left_out {
                let events = grouped(*events);
                comment(
                    &mut text,
                    &format!("{events:>10} events on {dataset} by {path} ({why})"),
                );
            }
        }
        if !self.unused.is_empty() {
            text.push_str("\n// Granted, and used by nobody in this time:\n");
            for (kind, name, of) in &self.unused {
                comment(&mut text, &format!("{kind} `{name}`: {of}"));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let permits = self.suggestions.iter().map(|it| {
            let (kind, to) = match &it.to {
                Grantee::Group(name, _) => ("group", name),
                Grantee::User(User::Principal(name, PrincipalKind::User)) => ("user", name),
                Grantee::User(User::Principal(name, PrincipalKind::ServicePrincipal)) => {
                    ("service_principal", name)
                }
                Grantee::User(User::Role(arn)) => ("role", arn),
                Grantee::User(User::Path(path)) => ("access_path", path),
            };
            let operations = it.operations.iter().map(|operation| operation.as_str());
            json!({
                "id": it.id,
                "dataset": it.dataset,
                "to": { "kind": kind, "name": to },
                "operations": operations.collect::<Vec<_>>(),
                "events": it.events,
                "principals": it.principals,
                "first_seen": it.first.to_string(),
                "last_seen": it.last.to_string(),
                "cedar": it.to_cedar(),
            })
        });
        let left_out = self.left_out.iter().map(|(dataset, path, why, events)| {
            json!({ "dataset": dataset, "access_path": path, "why": why, "events": events })
        });
        let unused = self
            .unused
            .iter()
            .map(|(kind, name, of)| json!({ "kind": kind, "name": name, "of": of }));
        json!({
            "permits": permits.collect::<Vec<_>>(),
            "left_out": left_out.collect::<Vec<_>>(),
            "provisional": self.provisional,
            "unused": unused.collect::<Vec<_>>(),
        })
    }
}

/// Adds a line that stays a comment, whatever names it holds.
fn comment(text: &mut String, line: &str) {
    text.push_str("//   ");
    text.extend(line.chars().map(|c| if c.is_control() { ' ' } else { c }));
    text.push('\n');
}
