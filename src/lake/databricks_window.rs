//! Reads of what Databricks records only what can matter for some dates.
//!
//! Runs, statements, vends, commands, lineage and shares grow with every day; what is
//! far from the dates in work is left in the lake. The rest is read whole: inventories,
//! and what is told of instances, for an instance lives long, and whether a pool lends
//! it or an address is the host's follows from all of its history.
//!
//! What is read is chosen by the time of the *thing*, not of the row: rows of one run
//! or statement are read all or none, or a run would look open whose last slice was
//! left out. So the tables are gone through twice: for the times of all things (some
//! 50 bytes each), then for the rows.
//!
//! INVARIANT (same answers): for an access on these dates an index of these facts
//! answers as one of all facts would. Beside what is near, a row is read that teaches
//! what holds at all times: where a table lies, which locations there are, when the
//! first vend was seen.
//!
//! Deliberately absent: clusters that nothing but a run more than [`DAYS_BEFORE`]
//! days away tells the workspace of, and jobs of a job cluster that works on for so
//! long after its run. Files are not skipped, for the log tells no times of these
//! tables' rows.

use super::databricks::{for_each_row, read_watermarks, whole};
use super::databricks_tables::Table;
use super::error::LakeError;
use crate::model::UtcMicros;
use crate::model::databricks::{
    CommandRun, DatabricksFacts, JobRun, Lineage, ShareQuery, Statement, TaskRun, TaskRunSource,
    Vend,
};
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hash};
use std::ops::RangeInclusive;
use url::Url;

/// A session lives 36 hours at most, and so long the one may have lived that called
/// for it; a vend or run of the first may matter for the second.
pub const DAYS_BEFORE: i64 = 4;
/// A pre-signed URL holds for a week at most (604,800 s), and the query that it was
/// signed for lies before that.
const SHARE_DAYS_BEFORE: i64 = 8;
/// Lineage comes an hour after its access, slices of runs as much.
const DAYS_AFTER: i64 = 1;

const DAY_SECS: i64 = 24 * 3600;

/// The times whose facts are read, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    from: UtcMicros,
    until: UtcMicros,
}

impl Reach {
    /// What can matter for accesses on these dates.
    pub fn of(dates: RangeInclusive<i32>) -> Reach {
        let (first, last) = dates.into_inner();
        let ends = UtcMicros::of_date(last.saturating_add(1));
        Reach {
            from: UtcMicros::of_date(first).plus_seconds(-DAYS_BEFORE * DAY_SECS),
            until: ends.plus_seconds(DAYS_AFTER * DAY_SECS),
        }
    }

    /// The same, but from so many days before the dates on.
    fn starting_days_before(self, days: i64) -> Reach {
        Reach {
            from: self.from.plus_seconds((DAYS_BEFORE - days) * DAY_SECS),
            ..self
        }
    }

    fn meets(&self, from: UtcMicros, until: UtcMicros) -> bool {
        from <= self.until && until >= self.from
    }
}

/// Loads the facts within reach, joined; empty for a lake without imports.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_databricks_within(url: &Url, reach: Reach) -> Result<DatabricksFacts, LakeError> {
    // A job's run and its tasks stand or fall together.
    let mut runs = Things::default();
    runs.see::<TaskRun>(url).await?;
    runs.see::<JobRun>(url).await?;
    let mut statements = Things::default();
    statements.see::<Statement>(url).await?;
    let facts = DatabricksFacts {
        instance_events: whole(url).await?,
        nodes: whole(url).await?,
        clusters: whole(url).await?,
        jobs: whole(url).await?,
        job_runs: runs.within(url, reach).await?,
        task_runs: runs.within(url, reach).await?,
        vends: Things::default().within::<Vend>(url, reach).await?,
        commands: Things::default().within::<CommandRun>(url, reach).await?,
        share_queries: Things::default()
            .within::<ShareQuery>(url, reach.starting_days_before(SHARE_DAYS_BEFORE))
            .await?,
        group_changes: whole(url).await?,
        statements: statements.within(url, reach).await?,
        lineage: Things::default().within::<Lineage>(url, reach).await?,
        scim: whole(url).await?,
        storage_credentials: whole(url).await?,
        external_locations: whole(url).await?,
        workspaces: whole(url).await?,
        watermarks: read_watermarks(url).await?,
    };
    Ok(facts.joined())
}

/// What one row tells of the time of its thing.
struct Told {
    thing: u64,
    /// Things of one group are read together.
    group: Option<u64>,
    from: UtcMicros,
    /// `None` where this row knows no end.
    until: Option<UtcMicros>,
    /// A thing is over when every kind of row that tells of it says so.
    kind: usize,
}

/// A fact of which only what is near is read.
trait Dated: Table {
    /// The columns that [`Dated::told`] needs, where rows of one thing lie apart.
    const TIMES: &'static [&'static str] = &[];

    fn told(&self) -> Told;

    /// Whether it counts where the first of all is asked for.
    fn may_be_first(&self) -> bool {
        false
    }

    /// What it teaches of all times, if anything: one row of each lesson is read.
    fn lesson(&self) -> Option<u64> {
        None
    }
}

fn number(of: impl Hash) -> u64 {
    FixedState::with_seed(0x6272_6963).hash_one(of)
}

/// A thing that was over in a moment.
fn moment(id: impl Hash, at: UtcMicros) -> Told {
    Told {
        thing: number(id),
        group: None,
        from: at,
        until: Some(at),
        kind: 0,
    }
}

impl Dated for TaskRun {
    const TIMES: &'static [&'static str] = &[
        "workspace_id",
        "job_id",
        "job_run_id",
        "task_run_id",
        "start_time",
        "end_time",
        "source",
    ];

    fn told(&self) -> Told {
        let job_run = self.job_run_id.as_deref();
        Told {
            thing: number((&self.workspace_id, &self.job_id, &self.task_run_id)),
            group: job_run.map(|job_run| number((&self.workspace_id, job_run))),
            from: self.start,
            until: self.end,
            kind: match self.source {
                TaskRunSource::Timeline => 0,
                TaskRunSource::Audit => 1,
            },
        }
    }
}

impl Dated for JobRun {
    const TIMES: &'static [&'static str] = &[
        "workspace_id",
        "job_id",
        "job_run_id",
        "start_time",
        "end_time",
    ];

    fn told(&self) -> Told {
        Told {
            thing: number((&self.workspace_id, &self.job_id, "run", &self.job_run_id)),
            group: Some(number((&self.workspace_id, self.job_run_id.as_str()))),
            from: self.start,
            until: self.end,
            kind: 0,
        }
    }
}

impl Dated for Statement {
    const TIMES: &'static [&'static str] = &["statement_id", "start_time", "end_time"];

    fn told(&self) -> Told {
        Told {
            thing: number(&self.statement_id),
            group: None,
            from: self.start,
            until: self.end,
            kind: 0,
        }
    }
}

impl Dated for Vend {
    fn told(&self) -> Told {
        moment(&self.source_id, self.at)
    }

    /// A vend that failed is none.
    fn may_be_first(&self) -> bool {
        self.status_code.is_none_or(|status| status == 200)
    }

    fn lesson(&self) -> Option<u64> {
        Some(number((
            self.status_code,
            &self.location,
            &self.table_id,
            &self.volume_id,
            &self.table_full_name,
            self.access_key_id.is_some(),
        )))
    }
}

impl Dated for CommandRun {
    fn told(&self) -> Told {
        moment(&self.source_id, self.at)
    }
}

impl Dated for ShareQuery {
    fn told(&self) -> Told {
        moment(&self.source_id, self.at)
    }

    fn lesson(&self) -> Option<u64> {
        Some(number((&self.path, &self.table_id, &self.table_name)))
    }
}

impl Dated for Lineage {
    fn told(&self) -> Told {
        moment(&self.source_id, self.at)
    }

    fn lesson(&self) -> Option<u64> {
        Some(number((&self.source_path, &self.target_path)))
    }
}

/// What rows of one kind tell of the end of a thing.
#[derive(Clone, Copy, Default)]
enum End {
    /// There is no such row.
    #[default]
    Untold,
    Open,
    At(UtcMicros),
}

#[derive(Clone, Copy)]
struct Lasting {
    from: UtcMicros,
    ends: [End; 2],
    group: Option<u64>,
}

impl Lasting {
    fn until(&self) -> UtcMicros {
        let ends = self.ends.iter().filter_map(|end| match end {
            End::Untold => None,
            End::Open => Some(UtcMicros::MAX),
            End::At(at) => Some(*at),
        });
        ends.max().unwrap_or(UtcMicros::MAX)
    }
}

/// The times of things whose rows may lie apart.
#[derive(Default)]
struct Things(HashMap<u64, Lasting, FixedState>);

impl Things {
    async fn see<R: Dated>(&mut self, url: &Url) -> Result<(), LakeError> {
        for_each_row::<R>(url, R::TIMES, |row| {
            let told = row.told();
            let thing = self.0.entry(told.thing).or_insert(Lasting {
                from: told.from,
                ends: [End::Untold; 2],
                group: None,
            });
            thing.from = thing.from.min(told.from);
            thing.group = thing.group.or(told.group);
            if let Some(end) = thing.ends.get_mut(told.kind) {
                *end = match (*end, told.until) {
                    (End::At(known), Some(until)) => End::At(known.max(until)),
                    (End::At(known), None) => End::At(known),
                    (_, Some(until)) => End::At(until),
                    (_, None) => End::Open,
                };
            }
        })
        .await
    }

    /// Reads the rows of what is within reach, and one of each lesson.
    async fn within<R: Dated>(&self, url: &Url, reach: Reach) -> Result<Vec<R>, LakeError> {
        let near = self.0.values();
        let near = near.filter(|thing| reach.meets(thing.from, thing.until()));
        let groups: HashSet<u64> = near.filter_map(|thing| thing.group).collect();
        let mut lessons: HashSet<u64> = HashSet::new();
        let (mut found, mut first): (Vec<R>, Option<R>) = (Vec::new(), None);
        for_each_row::<R>(url, &[], |row| {
            let told = row.told();
            let (from, until, group) = match self.0.get(&told.thing) {
                Some(thing) => (thing.from, thing.until(), thing.group),
                None => (told.from, told.until.unwrap_or(UtcMicros::MAX), told.group),
            };
            let is_near =
                reach.meets(from, until) || group.is_some_and(|group| groups.contains(&group));
            let lesson = row.lesson();
            if is_near || lesson.is_some_and(|lesson| lessons.insert(lesson)) {
                found.push(row);
            } else if row.may_be_first()
                && first.as_ref().is_none_or(|first| from < first.told().from)
            {
                first = Some(row);
            }
        })
        .await?;
        let counting = found.iter().filter(|row| row.may_be_first());
        let starts = counting.map(|row| row.told().from).min();
        found.extend(first.filter(|first| starts.is_none_or(|starts| first.told().from < starts)));
        Ok(found)
    }
}
