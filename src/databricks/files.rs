//! Files of an export: found, told apart by name, read row by row.
//!
//! Bounded: a line, a batch of rows or an entry is held at a time, never a file.

use super::report::{Place, SourceReport};
use super::row::{Columns, JsonRow, Row, arrays_of, json_problem};
use crate::model::UtcMicros;
use arrow::array::RecordBatch;
use flate2::bufread::MultiGzDecoder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeSeed as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Longest line that is held; an audit event is a few kilobytes, and a file
/// without line breaks must not fill the memory.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Rows of a Parquet file decoded at a time: with the widest needed columns
/// (request parameters) a few megabytes.
const BATCH_ROWS: usize = 2048;

/// The folder of rows whose partition column is NULL.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Takes a row and says at what time its event was.
pub type Take<'t> = &'t mut dyn FnMut(&Row<'_>) -> Result<Option<UtcMicros>, String>;

/// A file of an export.
pub struct ExportFile {
    pub path: PathBuf,
    /// Below the place of the exports, with `/`.
    pub name: String,
    /// `name=value` folders above it.
    pub folder_values: Vec<(String, String)>,
}

/// The files below a folder, by name. Hidden ones and those that begin with `_`
/// are Spark's own.
pub fn files_below(folder: &Path, name: &str, report: &mut SourceReport) -> Vec<ExportFile> {
    let mut files = Vec::new();
    let mut waiting = vec![(folder.to_owned(), name.to_owned(), Vec::new())];
    while let Some((folder, name, values)) = waiting.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                report.bad_file(&name, format!("cannot be listed: {error}"));
                continue;
            }
        };
        for entry in entries.filter_map(Result::ok) {
            let own = entry.file_name().to_string_lossy().into_owned();
            if own.starts_with(['_', '.']) {
                continue;
            }
            let path = entry.path();
            let below = format!("{name}/{own}");
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if is_link && path.is_dir() {
                // It may lead back here.
                let reason = "link to a folder, not followed; put the folder itself there";
                report.bad_file(&below, reason.to_owned());
            } else if path.is_dir() {
                let mut values: Vec<(String, String)> = values.clone();
                if let Some((column, value)) = own.split_once('=').filter(|v| v.1 != HIVE_NULL) {
                    values.push((column.to_owned(), value.to_owned()));
                }
                waiting.push((path, below, values));
            } else {
                files.push(ExportFile {
                    path,
                    name: below,
                    folder_values: values.clone(),
                });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// Reads the rows of a file of a table, by the format that its name tells.
pub fn read_rows(file: &ExportFile, columns: Columns, report: &mut SourceReport, take: Take<'_>) {
    let name = file.name.to_ascii_lowercase();
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with(".parquet") {
        read_parquet(file, columns, report, take);
    } else if [".json", ".jsonl", ".ndjson"]
        .iter()
        .any(|end| bare.ends_with(end))
    {
        read_lines(file, columns, report, take);
    } else {
        let reason = "kind of file not read; export Parquet or JSON lines (`.parquet`, `.json`, \
                      `.jsonl`, plain or `.gz`)";
        report.bad_file(&file.name, reason.to_owned());
    }
}

/// Shows a row to its reader and counts what became of it.
pub fn take_row(
    row: &Row<'_>,
    file: &str,
    place: Place,
    report: &mut SourceReport,
    take: Take<'_>,
) -> Option<UtcMicros> {
    match take(row) {
        Ok(at) => {
            report.rows += 1;
            for reason in row.take_bad_values() {
                report.bad_value(file, place, reason);
            }
            at
        }
        Err(reason) => {
            report.bad_row(file, place, reason);
            None
        }
    }
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    let file = BufReader::with_capacity(128 * 1024, File::open(path)?);
    let gzip = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    Ok(if gzip {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

fn read_lines(file: &ExportFile, columns: Columns, report: &mut SourceReport, take: Take<'_>) {
    let mut lines = match open(&file.path) {
        Ok(lines) => lines,
        Err(error) => return report.bad_file(&file.name, format!("cannot be opened: {error}")),
    };
    let mut line = Vec::new();
    let mut number = 0;
    let mut failed = false;
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                let reason = format!(
                    "cannot be read from line {number} on ({error}); the lines before it are used; \
                     copy the file again"
                );
                report.bad_file(&file.name, reason);
                failed = true;
                break;
            }
        }
        let place = Place::Line(number);
        if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            report.bad_row(&file.name, place, "line longer than 16 MiB".to_owned());
            if let Err(error) = skip_line(&mut lines) {
                report.bad_file(&file.name, format!("cannot be read further: {error}"));
                failed = true;
                break;
            }
            continue;
        }
        let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let mut json = serde_json::Deserializer::from_slice(text);
        let cells = JsonRow(columns)
            .deserialize(&mut json)
            .and_then(|cells| json.end().map(|()| cells));
        match cells {
            Ok(cells) => {
                let row = Row::of_json(columns, cells, &file.folder_values);
                let at = take_row(&row, &file.name, place, report, take);
                report.newest = report.newest.max(at);
            }
            Err(error) => report.bad_row(&file.name, place, json_problem(&error)),
        }
    }
    report.files += u64::from(!failed || number > 1);
}

fn skip_line(lines: &mut dyn BufRead) -> std::io::Result<()> {
    loop {
        let held = lines.fill_buf()?;
        if held.is_empty() {
            return Ok(());
        }
        let (used, done) = match memchr::memchr(b'\n', held) {
            Some(at) => (at + 1, true),
            None => (held.len(), false),
        };
        lines.consume(used);
        if done {
            return Ok(());
        }
    }
}

fn read_parquet(file: &ExportFile, columns: Columns, report: &mut SourceReport, take: Take<'_>) {
    let refuse = |error: &dyn std::fmt::Display| {
        format!("no readable Parquet file ({error}); copy or export it again")
    };
    let opened = File::open(&file.path)
        .map_err(|error| format!("cannot be opened: {error}"))
        .and_then(|opened| {
            guarded(|| ParquetRecordBatchReaderBuilder::try_new(opened))
                .map_err(|error| refuse(&error))
        });
    let builder = match opened {
        Ok(builder) => builder,
        Err(reason) => return report.bad_file(&file.name, reason),
    };
    let wanted: Vec<usize> = builder
        .parquet_schema()
        .root_schema()
        .get_fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| {
            columns
                .iter()
                .any(|column| super::cell::same_name(column, field.name()))
        })
        .map(|(place, _)| place)
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = guarded(|| {
        builder
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
    });
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return report.bad_file(&file.name, refuse(&error)),
    };
    let mut first_row = 1;
    loop {
        match guarded(|| reader.next().transpose()) {
            Ok(Some(batch)) => {
                take_batch(&batch, file, first_row, columns, report, take);
                first_row += batch.num_rows() as u64;
            }
            Ok(None) => break,
            Err(error) => {
                let reason = format!(
                    "cannot be read from row {first_row} on ({error}); the rows before it are \
                     used; copy or export it again"
                );
                report.bad_file(&file.name, reason);
                if first_row == 1 {
                    return;
                }
                break;
            }
        }
    }
    report.files += 1;
}

/// Shows the rows of a batch to the reader.
pub fn take_batch(
    batch: &RecordBatch,
    file: &ExportFile,
    first_row: u64,
    columns: Columns,
    report: &mut SourceReport,
    take: Take<'_>,
) {
    let arrays = arrays_of(columns, batch);
    for (i, number) in (0..batch.num_rows()).zip(first_row..) {
        let row = Row::of_arrow(columns, &arrays, i, &file.folder_values);
        let at = take_row(&row, &file.name, Place::Row(number), report, take);
        report.newest = report.newest.max(at);
    }
}

/// Runs a step of the Parquet reader. Damaged pages can make it panic rather
/// than fail; for an import both are a file that cannot be read.
fn guarded<T, E: std::fmt::Display>(step: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("damaged".to_owned()),
    }
}

/// Opens a REST answer, plain or gzip.
pub fn open_document(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    open(path)
}

/// When the file was written: what it holds was true then.
pub fn written_at(path: &Path) -> Option<UtcMicros> {
    let modified = path.metadata().ok()?.modified().ok()?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok().map(UtcMicros)
}
