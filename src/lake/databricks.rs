//! What Databricks records, in the lake: imports add what is new, later runs read
//! it back.
//!
//! Each table is one Delta commit, tried again on a conflict after reading what
//! the other writer added. A row is written only if it adds to what the table's
//! rows say together (`model::databricks_join`), so a repeated import writes
//! nothing, and one that was killed between two tables is completed by the next.
//!
//! INVARIANT (facts join): rows are never changed; the fact of a thing is what
//! all its rows say together. SQL that counts runs or nodes groups by their id.
//!
//! The tables are made by the first import. They are no part of the commits to
//! `s3_access`: identity may be ahead of or behind the trail, which watermarks say.

use super::columns::schema;
use super::data_file::{EncodedFile, FileWriter};
use super::databricks_tables::{Held, ImportedSource, Stored, Table};
use super::delta::{CommitOutcome, LakeTable};
use super::error::LakeError;
use super::sql;
use super::store::Lake;
use crate::model::databricks::{
    DatabricksFacts, ExternalLocation, ScimEntry, SourceWatermark, StorageCredential,
};
use crate::model::databricks_join::{Fact, join_all};
use crate::model::{Interest, UtcMicros};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::StreamExt as _;
use std::cmp::Ordering;
use url::Url;

/// Rows that an import added, by table.
pub type Added = Vec<(&'static str, u64)>;

/// Adds to the lake what it does not have yet.
///
/// `sources` says what was read of each export; it becomes the watermarks.
///
/// # Errors
/// When a table cannot be read or written; the tables before it are committed,
/// and the same import again completes it.
pub async fn import_databricks(
    lake: &Lake,
    facts: DatabricksFacts,
    sources: Vec<ImportedSource>,
    now: UtcMicros,
) -> Result<Added, LakeError> {
    let url = lake.url();
    let mut added = Added::new();
    let mut note = |name, rows| {
        if rows > 0 {
            added.push((name, rows));
        }
    };
    macro_rules! add {
        ($($rows:expr),+ $(,)?) => {$({
            let (name, rows) = add_rows(url, $rows, now).await?;
            note(name, rows);
        })+};
    }
    add!(
        facts.instance_events,
        facts.nodes,
        facts.clusters,
        facts.jobs,
        facts.job_runs,
        facts.task_runs,
        facts.vends,
        facts.commands,
        facts.share_queries,
        facts.group_changes,
        facts.statements,
        facts.lineage,
        facts.scim,
        facts.storage_credentials,
        facts.external_locations,
        facts.workspaces,
    );
    // Last: a watermark says that what it covers is here.
    let (name, rows) = add_sources(url, sources, now).await?;
    note(name, rows);
    Ok(added)
}

/// Loads what all imports brought, joined; empty for a lake without imports.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_databricks(url: &Url) -> Result<DatabricksFacts, LakeError> {
    let facts = DatabricksFacts {
        instance_events: whole(url).await?,
        nodes: whole(url).await?,
        clusters: whole(url).await?,
        jobs: whole(url).await?,
        job_runs: whole(url).await?,
        task_runs: whole(url).await?,
        vends: whole(url).await?,
        commands: whole(url).await?,
        share_queries: whole(url).await?,
        group_changes: whole(url).await?,
        statements: whole(url).await?,
        lineage: whole(url).await?,
        scim: whole(url).await?,
        storage_credentials: whole(url).await?,
        external_locations: whole(url).await?,
        workspaces: whole(url).await?,
        watermarks: read_watermarks(url).await?,
    };
    Ok(facts.joined())
}

/// Loads what SCIM showed; empty for a lake without imports.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_scim(url: &Url) -> Result<Vec<ScimEntry>, LakeError> {
    whole(url).await
}

/// Loads what is asked of workloads beside who they were: people, groups, jobs,
/// clusters, workspaces.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_workloads(url: &Url, interest: &Interest) -> Result<DatabricksFacts, LakeError> {
    let mut facts = DatabricksFacts::default();
    if interest.is_none() {
        return Ok(facts);
    }
    facts.scim = whole(url).await?;
    facts.group_changes = whole(url).await?;
    if interest.job {
        facts.jobs = whole(url).await?;
    }
    if interest.cluster {
        facts.clusters = whole(url).await?;
    }
    if interest.workspace {
        facts.workspaces = whole(url).await?;
    }
    Ok(facts.joined())
}

/// Loads the external locations and storage credentials of Unity Catalog.
///
/// # Errors
/// When a table cannot be read.
pub async fn read_locations(
    url: &Url,
) -> Result<(Vec<ExternalLocation>, Vec<StorageCredential>), LakeError> {
    Ok((whole(url).await?, whole(url).await?))
}

/// Loads up to when each source was read.
///
/// # Errors
/// When the table cannot be read.
pub async fn read_watermarks(url: &Url) -> Result<Vec<SourceWatermark>, LakeError> {
    let sources: Vec<ImportedSource> = whole(url).await?;
    let read = sources.into_iter().filter(|source| source.was_read);
    let mut watermarks: Vec<SourceWatermark> = read.map(|source| source.watermark).collect();
    join_all(&mut watermarks);
    Ok(watermarks)
}

/// What changes with each import; `None` for a lake without any.
///
/// # Errors
/// When the table cannot be read.
pub async fn import_version(url: &Url) -> Result<Option<u64>, LakeError> {
    let table = load::<ImportedSource>(url).await?;
    Ok(table.and_then(|table| table.version()))
}

/// A fact, and whether the lake's rows say it already.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Tagged<F> {
    fact: F,
    held: bool,
}

impl<F: Fact> Fact for Tagged<F> {
    fn order(&self, other: &Self) -> Ordering {
        self.fact.order(&other.fact)
    }

    fn is_joined_by(&self, later: &Self) -> bool {
        self.fact.is_joined_by(&later.fact)
    }

    fn join(&mut self, later: Self) {
        let both = self.held && later.held;
        let before = self.held.then(|| self.fact.clone());
        let new = later.held.then(|| later.fact.clone());
        self.fact.join(later.fact);
        let joined = Some(&self.fact);
        self.held = both || before.as_ref() == joined || new.as_ref() == joined;
    }

    fn is_delivered(&self) -> bool {
        self.fact.is_delivered()
    }

    fn content(&self) -> Self {
        Tagged {
            fact: self.fact.content(),
            held: false,
        }
    }
}

/// Of the joined facts, those that the held rows do not say.
fn lacking<F: Fact>(mut held: Vec<F>, new: Vec<F>) -> Vec<F> {
    join_all(&mut held);
    let mut all: Vec<Tagged<F>> = Vec::with_capacity(held.len() + new.len());
    all.extend(held.into_iter().map(|fact| Tagged { fact, held: true }));
    all.extend(new.into_iter().map(|fact| Tagged { fact, held: false }));
    join_all(&mut all);
    all.into_iter()
        .filter(|tagged| !tagged.held)
        .map(|tagged| tagged.fact)
        .collect()
}

async fn add_rows<F: Fact + Table>(
    lake: &Url,
    mut new: Vec<F>,
    now: UtcMicros,
) -> Result<(&'static str, u64), LakeError> {
    let mut table = open_or_create::<F>(lake).await?;
    loop {
        if new.is_empty() {
            return Ok((F::NAME, 0));
        }
        new = lacking(rows_of(&table.as_delta_table()).await?, new);
        if append(&mut table, &new, now).await? {
            return Ok((F::NAME, new.len() as u64));
        }
    }
}

/// A source's row is written unless one says the same of it, apart from when a
/// table was read.
async fn add_sources(
    lake: &Url,
    mut new: Vec<ImportedSource>,
    now: UtcMicros,
) -> Result<(&'static str, u64), LakeError> {
    let mut table = open_or_create::<ImportedSource>(lake).await?;
    loop {
        let held: Vec<ImportedSource> = rows_of(&table.as_delta_table()).await?;
        new.retain(|source| !held.iter().any(|held| says_the_same(held, source)));
        if new.is_empty() || append(&mut table, &new, now).await? {
            return Ok((ImportedSource::NAME, new.len() as u64));
        }
    }
}

fn says_the_same(held: &ImportedSource, new: &ImportedSource) -> bool {
    let (a, b) = (&held.watermark, &new.watermark);
    // A damaged stream has no newest time either, and the time of reading tells nothing.
    let is_snapshot = b.newest.is_none() && new.was_read && b.bad == 0;
    a.source == b.source
        && a.newest == b.newest
        && held.was_read == new.was_read
        && (!is_snapshot || a.read_at == b.read_at)
        && (a.rows, a.bad) == (b.rows, b.bad)
        && held.faults == new.faults
}

async fn open_or_create<R: Table>(lake: &Url) -> Result<LakeTable, LakeError> {
    let columns: Vec<_> = R::columns().into_iter().map(|each| each.column).collect();
    LakeTable::open_or_create(R::NAME, table_url(lake, R::NAME)?, schema(&columns), &[]).await
}

/// Writes the rows as one file in one commit; false if another writer came first.
async fn append<R: Table + Clone>(
    table: &mut LakeTable,
    rows: &[R],
    now: UtcMicros,
) -> Result<bool, LakeError> {
    if rows.is_empty() {
        return Ok(true);
    }
    let columns: Vec<_> = R::columns().into_iter().map(|each| each.column).collect();
    let writer = FileWriter::new(schema(&columns), &[], &[]);
    let mut blocks = rows.iter();
    let (bytes, count) = writer
        .encode(&columns, |block, most| {
            block.extend(blocks.by_ref().take(most).cloned());
        })
        .map_err(|source| LakeError::encode(R::NAME, source))?;
    let file = EncodedFile::unpartitioned(bytes, count);
    let adds = vec![table.write(file, now).await?];
    match table.append(adds.clone(), &[], Vec::new()).await? {
        CommitOutcome::Committed { .. } => Ok(true),
        CommitOutcome::Conflict { .. } => {
            table.discard(&adds).await;
            Ok(false)
        }
    }
}

/// The rows of the table, if the lake has it.
pub(super) async fn whole<R: Table>(lake: &Url) -> Result<Vec<R>, LakeError> {
    let mut rows = Vec::new();
    for_each_row(lake, &[], |row| rows.push(row)).await?;
    Ok(rows)
}

/// Shows each row of the table, if the lake has it, with these columns or, if none is
/// named, all.
pub(super) async fn for_each_row<R: Table>(
    lake: &Url,
    only: &[&str],
    show: impl FnMut(R),
) -> Result<(), LakeError> {
    match load::<R>(lake).await? {
        Some(table) => show_rows(&table, only, show).await,
        None => Ok(()),
    }
}

/// The table at its newest version, if the lake has it.
async fn load<R: Table>(lake: &Url) -> Result<Option<DeltaTable>, LakeError> {
    let url = table_url(lake, R::NAME)?;
    let fail = |source| LakeError::open(R::NAME, &url, source);
    let mut table = DeltaTableBuilder::from_url(url.clone())
        .and_then(DeltaTableBuilder::build)
        .map_err(fail)?;
    if !table.verify_deltatable_existence().await.map_err(fail)? {
        return Ok(None);
    }
    table.load().await.map_err(fail)?;
    Ok(Some(table))
}

async fn rows_of<R: Table>(table: &DeltaTable) -> Result<Vec<R>, LakeError> {
    let mut rows = Vec::new();
    show_rows(table, &[], |row| rows.push(row)).await?;
    Ok(rows)
}

async fn show_rows<R: Table>(
    table: &DeltaTable,
    only: &[&str],
    mut show: impl FnMut(R),
) -> Result<(), LakeError> {
    let url = table.table_url();
    let fail = |error: datafusion::error::DataFusionError| LakeError::read(R::NAME, url, error);
    let context = sql::new_session();
    sql::register(&context, R::NAME, table).await?;
    let mut frame = context.table(R::NAME).await.map_err(fail)?;
    let mut columns = R::columns();
    for Stored { column, .. } in &columns {
        let found = frame
            .schema()
            .as_arrow()
            .field_with_name(column.name)
            .cloned();
        if !found.is_ok_and(|field| is_of_type(field.data_type(), &column.data_type())) {
            return Err(LakeError::Schema {
                table: R::NAME,
                url: url.to_string(),
                column: column.name.to_owned(),
            });
        }
    }
    if !only.is_empty() {
        frame = frame.select_columns(only).map_err(fail)?;
        columns.retain(|each| only.contains(&each.column.name));
    }
    let mut batches = frame.execute_stream().await.map_err(fail)?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.next().await {
        read_batch(&batch.map_err(fail)?, &columns, &mut rows);
        rows.drain(..).for_each(&mut show);
    }
    Ok(())
}

fn is_of_type(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (DataType::Timestamp(a, _), DataType::Timestamp(b, _)) => a == b,
        (DataType::List(a), DataType::List(b)) => a.data_type() == b.data_type(),
        _ => found == wanted,
    }
}

fn read_batch<R: Table>(batch: &RecordBatch, columns: &[Stored<R>], rows: &mut Vec<R>) {
    let from = rows.len();
    rows.resize_with(from + batch.num_rows(), R::default);
    for Stored { column, set } in columns {
        let array = batch.column_by_name(column.name);
        for (row, fact) in rows.iter_mut().skip(from).enumerate() {
            set(fact, Held { array, row });
        }
    }
}

fn table_url(lake: &Url, name: &'static str) -> Result<Url, LakeError> {
    lake.join(&format!("{name}/"))
        .map_err(|error| LakeError::open(name, lake, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::databricks::TaskRun;

    fn run(start: i64, end: Option<i64>) -> TaskRun {
        TaskRun {
            task_run_id: "9".to_owned(),
            start: UtcMicros::from_seconds(start),
            end: end.map(UtcMicros::from_seconds),
            ..TaskRun::default()
        }
    }

    #[test]
    fn a_row_is_lacking_only_if_it_adds_to_what_the_rows_say_together() {
        let held = vec![run(10, None), run(20, Some(30))];
        for known in [run(10, Some(30)), run(15, None), run(30, Some(30))] {
            assert_eq!(lacking(held.clone(), vec![known]), []);
        }
        let longer = run(25, Some(40));
        assert_eq!(lacking(held.clone(), vec![longer]), [run(10, Some(40))]);
        let other = TaskRun {
            task_run_id: "8".to_owned(),
            ..run(1, None)
        };
        assert_eq!(lacking(held, vec![other.clone()]), [other]);
    }

    #[test]
    fn columns_are_named_once_in_each_table() {
        fn check<R: Table>() {
            let mut names: Vec<_> = R::columns().iter().map(|each| each.column.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(names.len(), count, "{}", R::NAME);
        }
        check::<crate::model::databricks::Vend>();
        check::<crate::model::databricks::Statement>();
        check::<ImportedSource>();
    }
}
