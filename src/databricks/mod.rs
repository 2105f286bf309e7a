//! Databricks, as its exports tell of it. Layer 3: the outside, read only.
//!
//! A place holds folders and files by the names in [`EXPORTS`]; each is optional.
//! [`files`], [`delta`] and [`document`] bring rows, whatever their format; a
//! [`row::Row`] gives values by name, whatever their type ([`cell`]); one file
//! for each kind of export ([`audit`], [`clusters`], …) turns rows into facts,
//! which [`gathered`] joins as they come; [`report`] says what was read and what
//! could not be.
//!
//! Missing exports and columns, new columns, old spellings, repeated and late
//! rows are normal. What cannot be read is a fact with its place, and the rest
//! is used.
//!
//! Deliberately absent: any conclusion from several facts (that is `identity`),
//! and any writing.

mod address;
mod arrow_cell;
mod audit;
mod cell;
mod clusters;
mod delta;
mod document;
mod files;
mod gathered;
mod instance_events;
mod jobs;
mod lineage;
mod node_timeline;
mod query_history;
pub mod report;
mod row;
mod runs;
mod scim;
mod unity_catalog;
mod workspaces;

#[cfg(test)]
mod tests;

pub use report::{ExportReport, Fault, SourceReport};

use crate::model::UtcMicros;
use crate::model::databricks::{DatabricksFacts, ScimKind};
use document::Answer;
use gathered::Gathered;
use row::{Columns, Row};
use std::path::{Path, PathBuf};

/// How rows of a table become facts.
struct Reader {
    /// The columns that are read; all others are passed over.
    columns: Columns,
    /// Takes a row and gives the time of its event; an error makes the row bad.
    take: fn(&Row<'_>, &mut Gathered) -> Result<Option<UtcMicros>, String>,
}

type TakeEntry = fn(&Row<'_>, UtcMicros, &mut Gathered) -> Result<(), String>;

enum Kind {
    /// A folder of Parquet or JSON lines, or a Delta table.
    Table(Reader),
    /// A file with a REST answer.
    Answer(Answer, TakeEntry),
}

/// What is looked for, by its name below the place.
const EXPORTS: [(&str, Kind); 17] = [
    ("system.access.audit", Kind::Table(audit::READER)),
    ("auditlogs", Kind::Table(audit::READER)),
    (
        "system.compute.instance_events",
        Kind::Table(instance_events::READER),
    ),
    (
        "system.compute.node_timeline",
        Kind::Table(node_timeline::READER),
    ),
    ("system.compute.clusters", Kind::Table(clusters::READER)),
    ("system.lakeflow.jobs", Kind::Table(jobs::READER)),
    (JOB_RUN_TIMELINE, Kind::Table(runs::JOB_RUNS)),
    (JOB_TASK_RUN_TIMELINE, Kind::Table(runs::TASK_RUNS)),
    ("system.query.history", Kind::Table(query_history::READER)),
    ("system.access.table_lineage", Kind::Table(lineage::READER)),
    (
        "system.access.workspaces_latest",
        Kind::Table(workspaces::READER),
    ),
    (
        "clusters.json",
        Kind::Answer(clusters::API_ANSWER, clusters::take_api),
    ),
    (
        "unity-catalog/storage-credentials.json",
        Kind::Answer(
            unity_catalog::STORAGE_CREDENTIALS,
            unity_catalog::take_credential,
        ),
    ),
    (
        "unity-catalog/external-locations.json",
        Kind::Answer(
            unity_catalog::EXTERNAL_LOCATIONS,
            unity_catalog::take_location,
        ),
    ),
    (
        "scim/users.json",
        Kind::Answer(scim::ANSWER, |row, at, gathered| {
            scim::take(ScimKind::User, row, at, gathered)
        }),
    ),
    (
        "scim/groups.json",
        Kind::Answer(scim::ANSWER, |row, at, gathered| {
            scim::take(ScimKind::Group, row, at, gathered)
        }),
    ),
    (
        "scim/service-principals.json",
        Kind::Answer(scim::ANSWER, |row, at, gathered| {
            scim::take(ScimKind::ServicePrincipal, row, at, gathered)
        }),
    ),
];

/// The exports that are looked for, by name, in the order of the table above.
pub fn export_names() -> impl Iterator<Item = &'static str> {
    EXPORTS.iter().map(|(name, _)| *name)
}

const JOB_RUN_TIMELINE: &str = "system.lakeflow.job_run_timeline";
const JOB_TASK_RUN_TIMELINE: &str = "system.lakeflow.job_task_run_timeline";

/// Why exports cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "Databricks exports `{place}` do not exist; give the directory that holds \
         `system.access.audit` and its like"
    )]
    Missing { place: String },
    #[error(
        "Databricks exports `{place}`: reading from there is not supported yet; copy them to a \
         directory first, for example with `aws s3 sync`"
    )]
    Unsupported { place: String },
    #[error("Databricks exports `{place}` are no directory; give the one that holds them")]
    NoDirectory { place: String },
    #[error("read Databricks exports `{place}`")]
    Unreadable {
        place: String,
        source: std::io::Error,
    },
}

/// Reads all exports below the place: facts, joined and ordered, and what was
/// read of each export.
///
/// Event times after `now` do not raise a watermark: a wrong clock must not make
/// what is missing look complete.
///
/// # Errors
/// When the place itself is missing or unreadable; whatever is wrong below it
/// stands in the report.
pub async fn read_exports(
    place: &str,
    now: UtcMicros,
) -> Result<(DatabricksFacts, ExportReport), ExportError> {
    let root = root_of(place)?;
    let mut gathered = Gathered::default();
    let mut report = ExportReport::default();
    for (name, kind) in &EXPORTS {
        // Reading files blocks this thread; nothing else runs yet.
        let source = match kind {
            Kind::Table(reader) => read_table(&root, name, reader, now, &mut gathered).await,
            Kind::Answer(answer, take) => {
                read_answer(&root, name, *answer, *take, now, &mut gathered)
            }
        };
        match source {
            Some(source) => {
                match *name {
                    JOB_RUN_TIMELINE => gathered.job_runs_newest = source.newest,
                    JOB_TASK_RUN_TIMELINE => gathered.task_runs_newest = source.newest,
                    _ => {}
                }
                report.sources.push(source);
            }
            None => report.missing.push(name),
        }
    }
    report.ignored = ignored(&root);
    let mut facts = gathered.into_facts();
    facts.watermarks = report
        .sources
        .iter()
        .filter_map(|source| source.watermark(now))
        .collect();
    Ok((facts, report))
}

fn root_of(place: &str) -> Result<PathBuf, ExportError> {
    let named = || place.to_owned();
    let path = match place.strip_prefix("file://") {
        Some(path) => Path::new(path),
        None if place.contains("://") => return Err(ExportError::Unsupported { place: named() }),
        None => Path::new(place),
    };
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path.to_owned()),
        Ok(_) => Err(ExportError::NoDirectory { place: named() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ExportError::Missing { place: named() })
        }
        Err(source) => Err(ExportError::Unreadable {
            place: named(),
            source,
        }),
    }
}

async fn read_table(
    root: &Path,
    name: &str,
    reader: &Reader,
    now: UtcMicros,
    gathered: &mut Gathered,
) -> Option<SourceReport> {
    let folder = root.join(name);
    if !folder.exists() {
        return None;
    }
    let mut report = SourceReport {
        source: name.to_owned(),
        ..SourceReport::default()
    };
    let take = &mut |row: &Row<'_>| {
        let at = (reader.take)(row, gathered)?;
        Ok(at.filter(|at| *at <= now))
    };
    let mut written_at = None;
    if delta::is_delta_table(&folder) {
        delta::read_table(&folder, name, reader.columns, &mut report, take).await;
        written_at = files::written_at(&folder.join("_delta_log"));
    } else {
        for file in files::files_below(&folder, name, &mut report) {
            files::read_rows(&file, reader.columns, &mut report, take);
            written_at = written_at.max(files::written_at(&file.path));
        }
    }
    // Without event times it is a snapshot, as old as its files.
    if report.newest.is_none() && report.rows > 0 {
        report.snapshot_at = written_at.map(|at| at.min(now)).or(Some(now));
    }
    Some(report)
}

fn read_answer(
    root: &Path,
    name: &str,
    answer: Answer,
    take: TakeEntry,
    now: UtcMicros,
    gathered: &mut Gathered,
) -> Option<SourceReport> {
    let compressed = format!("{name}.gz");
    let held = [name, &compressed]
        .into_iter()
        .find(|name| root.join(name).exists())?;
    let mut report = SourceReport {
        source: name.to_owned(),
        ..SourceReport::default()
    };
    let take = &mut |row: &Row<'_>, seen_at| take(row, seen_at, gathered);
    document::read_document(&root.join(held), held, answer, now, &mut report, take);
    Some(report)
}

/// Names at the place that belong to no export, so that a misspelt folder is
/// not passed over in silence.
fn ignored(root: &Path) -> Vec<String> {
    let known = |name: &str| {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        EXPORTS
            .iter()
            .any(|(export, _)| *export == name || export.split('/').next() == Some(name))
    };
    let mut names: Vec<String> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with(['.', '_']) && !known(name))
        .collect();
    names.sort();
    names
}
