//! What the page tells, asked of the lake.

use super::super::cells::{Cells, rows};
use crate::lake::queries::{DATASET_USERS, OUT_OF_POLICY};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;

/// The figures of the page, each as a query answers it.
#[derive(Debug, Default)]
pub struct Story {
    pub objects: u64,
    pub records: u64,
    /// The most sensitive first.
    pub datasets: Vec<DatasetStory>,
    /// Events on what no dataset holds.
    pub elsewhere: u64,
    pub out_of_policy: u64,
    /// The most severe first.
    pub rules: Vec<RuleStory>,
}

/// Who reached a dataset.
#[derive(Debug)]
pub struct DatasetStory {
    pub name: String,
    pub sensitivity: String,
    pub events: u64,
    /// Events whose person or service principal is exact or strong.
    pub named: u64,
    pub ambiguous: u64,
    pub people: u64,
    pub jobs: u64,
    pub out_of_policy: u64,
    /// The busiest job and the busiest person.
    pub busiest: Vec<Actor>,
}

/// A person, or a job with whose rights it ran.
#[derive(Debug)]
pub struct Actor {
    pub dataset: String,
    pub principal: String,
    pub job: Option<String>,
    pub confidence: String,
    pub access_path: String,
    pub events: u64,
}

/// A rule that was violated, with the event in which the actor is known best.
#[derive(Debug)]
pub struct RuleStory {
    pub rule: String,
    pub severity: String,
    pub control: String,
    pub reason: String,
    pub events: u64,
    pub example: Option<Example>,
}

#[derive(Debug)]
pub struct Example {
    pub event_id: String,
    pub actor: String,
    /// `None` where only AWS's name of the actor is known.
    pub confidence: Option<String>,
    pub did: String,
}

const TOTALS: &str = "SELECT \
     (SELECT count(*) FROM log_objects WHERE status = 'committed') AS objects, \
     (SELECT sum(records) FROM log_objects) AS records, \
     (SELECT count(*) FROM s3_access WHERE verdict = 'out_of_policy') AS out_of_policy, \
     (SELECT count(*) FROM s3_access WHERE dataset IS NULL) AS elsewhere";

const EXAMPLES: &str = "SELECT * FROM (
  SELECT rule, event_id, event_name, principal, principal_confidence, principal_candidates,
    coalesce(principal_arn, identity_type) AS aws_principal, access_path, source_ip,
    bucket, dataset,
    row_number() OVER (PARTITION BY rule ORDER BY
      CASE principal_confidence WHEN 'exact' THEN 0 WHEN 'strong' THEN 1 WHEN 'ambiguous' THEN 2 ELSE 3 END,
      event_time, event_id) AS place
  FROM violations) AS ranked
WHERE place = 1";

fn datasets_sql() -> String {
    let users = DATASET_USERS.sql;
    format!(
        "WITH users AS ({users}),
summed AS (SELECT dataset, max(sensitivity) AS sensitivity, cast(sum(events) AS bigint) AS events,
    cast(sum(CASE WHEN principal_confidence IN ('exact', 'strong') THEN events ELSE 0 END) AS bigint) AS named,
    cast(sum(CASE WHEN principal_confidence = 'ambiguous' THEN events ELSE 0 END) AS bigint) AS ambiguous,
    count(DISTINCT CASE WHEN principal_kind = 'user' THEN principal END) AS people,
    count(DISTINCT CASE WHEN job_id IS NOT NULL THEN concat(workspace_id, '/', job_id) END) AS jobs,
    cast(sum(out_of_policy) AS bigint) AS out_of_policy
  FROM users WHERE dataset IS NOT NULL GROUP BY dataset)
SELECT * FROM summed
ORDER BY CASE sensitivity WHEN 'restricted' THEN 0 WHEN 'confidential' THEN 1 WHEN 'internal' THEN 2 ELSE 3 END,
  events DESC, dataset"
    )
}

fn actors_sql() -> String {
    let users = DATASET_USERS.sql;
    format!(
        "WITH users AS ({users}),
job_names AS (SELECT workspace_id, job_id, max(name) AS job_name FROM databricks_jobs GROUP BY workspace_id, job_id),
display AS (SELECT name, max(display_name) AS display_name FROM databricks_scim
  WHERE kind = 'service_principal' GROUP BY name),
ranked AS (SELECT *, row_number() OVER (PARTITION BY dataset, job_id IS NULL
    ORDER BY events DESC, principal, workspace_id, job_id, access_path) AS place
  FROM users
  WHERE dataset IS NOT NULL AND principal IS NOT NULL AND (job_id IS NOT NULL OR principal_kind = 'user'))
SELECT ranked.dataset, coalesce(display.display_name, ranked.principal) AS principal,
  coalesce(job_names.job_name, ranked.job_id) AS job, ranked.principal_confidence, ranked.access_path, ranked.events
FROM ranked
LEFT JOIN job_names ON ranked.workspace_id = job_names.workspace_id AND ranked.job_id = job_names.job_id
LEFT JOIN display ON ranked.principal = display.name
WHERE ranked.place = 1
ORDER BY ranked.dataset, ranked.job_id IS NULL"
    )
}

impl Story {
    /// Asks the lake, which holds Databricks' facts too.
    ///
    /// # Errors
    /// When a table is missing or cannot be read.
    pub async fn of(context: &SessionContext) -> Result<Story> {
        let mut story = Story::default();
        if let Some(row) = rows(context, TOTALS).await?.first() {
            story.objects = row.count("objects");
            story.records = row.count("records");
            story.out_of_policy = row.count("out_of_policy");
            story.elsewhere = row.count("elsewhere");
        }
        let actors = rows(context, &actors_sql()).await?;
        let mut actors: Vec<Actor> = actors.iter().map(Actor::of).collect();
        for row in rows(context, &datasets_sql()).await? {
            let name = row.owned("dataset").unwrap_or_default();
            let busiest = actors.extract_if(.., |actor| actor.dataset == name);
            story.datasets.push(DatasetStory {
                busiest: busiest.collect(),
                name,
                sensitivity: row.owned("sensitivity").unwrap_or_default(),
                events: row.count("events"),
                named: row.count("named"),
                ambiguous: row.count("ambiguous"),
                people: row.count("people"),
                jobs: row.count("jobs"),
                out_of_policy: row.count("out_of_policy"),
            });
        }
        let examples = rows(context, EXAMPLES).await?;
        for row in rows(context, OUT_OF_POLICY.sql).await? {
            let text = |name: &str| row.owned(name).unwrap_or_default();
            let rule = text("rule");
            let example = examples.iter().find(|e| e.text("rule") == Some(&rule));
            story.rules.push(RuleStory {
                example: example.map(Example::of),
                rule,
                severity: text("severity"),
                control: text("control"),
                reason: without_facts(&text("reason")).to_owned(),
                events: row.count("events"),
            });
        }
        Ok(story)
    }
}

impl Actor {
    fn of(row: &Cells) -> Actor {
        let text = |name: &str| row.owned(name).unwrap_or_default();
        Actor {
            dataset: text("dataset"),
            principal: text("principal"),
            job: row.owned("job"),
            confidence: text("principal_confidence"),
            access_path: text("access_path"),
            events: row.count("events"),
        }
    }
}

impl Example {
    fn of(row: &Cells) -> Example {
        let candidates = row.list("principal_candidates");
        let confidence = row.owned("principal_confidence");
        let (actor, confidence) = match row.text("principal") {
            Some(principal) => (principal.to_owned(), confidence),
            None if !candidates.is_empty() => (candidates.join(" or "), confidence),
            None => (aws_name(row), None),
        };
        let event = row.text("event_name").unwrap_or("access");
        let bucket = row.text("bucket").unwrap_or("no bucket");
        let did = match row.text("dataset") {
            Some(dataset) => format!("{event} on {dataset} in {bucket}"),
            None => format!("{event} on {bucket}"),
        };
        Example {
            event_id: row.owned("event_id").unwrap_or_default(),
            actor,
            confidence,
            did,
        }
    }
}

/// What AWS calls the actor, without the account: `user/etl`, `assumed-role/etl/run-1`.
fn aws_name(row: &Cells) -> String {
    let from = row.text("source_ip").unwrap_or("an unknown address");
    if row.text("access_path") == Some("anonymous") {
        return format!("nobody signed; from {from}");
    }
    match row.text("aws_principal") {
        Some(arn) => arn
            .rsplit_once(':')
            .map_or(arn, |(_, name)| name)
            .to_owned(),
        None => format!("somebody at {from}"),
    }
}

/// A reason without the facts of one event, which stand in brackets at its end.
fn without_facts(reason: &str) -> &str {
    let facts = reason.ends_with(']').then(|| reason.rfind(" [")).flatten();
    facts.and_then(|at| reason.get(..at)).unwrap_or(reason)
}
