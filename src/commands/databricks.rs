//! Databricks exports into the lake, before a scan, and what is said of it.

use super::output::{self, grouped};
use crate::databricks::{ExportReport, SourceReport, read_exports};
use crate::lake::Lake;
use crate::lake::databricks::{Added, import_databricks};
use crate::lake::databricks_tables::ImportedSource;
use crate::model::UtcMicros;
use crate::model::databricks::SourceWatermark;
use std::fmt::Write as _;

/// Faults shown one by one for each source; the lake holds a hundred.
const FAULTS_SHOWN_MAX: usize = 5;

/// What an import read and added.
pub struct Import {
    place: String,
    report: ExportReport,
    added: Added,
}

/// Reads the exports and adds to the lake what it does not have; warns at once of
/// what cannot be read at all.
pub async fn import(lake: &Lake, place: &str, now: UtcMicros) -> anyhow::Result<Import> {
    let (facts, report) = read_exports(place, now).await?;
    for warning in warnings(place, &report) {
        output::to_stderr(&format!("warning: {warning}"));
    }
    let sources = report
        .sources
        .iter()
        .map(|source| imported(source, now))
        .collect();
    let added = import_databricks(lake, facts, sources, now).await?;
    Ok(Import {
        place: place.to_owned(),
        report,
        added,
    })
}

fn imported(source: &SourceReport, now: UtcMicros) -> ImportedSource {
    let watermark = source.watermark(now);
    ImportedSource {
        was_read: watermark.is_some(),
        watermark: watermark.unwrap_or_else(|| SourceWatermark {
            source: source.source.clone(),
            newest: None,
            read_at: now,
            rows: source.rows,
            bad: source.bad(),
        }),
        faults: source.faults.iter().map(ToString::to_string).collect(),
    }
}

fn warnings(place: &str, report: &ExportReport) -> Vec<String> {
    let mut warnings = Vec::new();
    if report.sources.is_empty() {
        warnings.push(format!(
            "`{place}` holds no Databricks export; it should hold folders and files such as \
             `system.access.audit/`, `scim/users.json` (see docs/configuration.md)"
        ));
    }
    for source in &report.sources {
        if source.is_unreadable() {
            let first = source.faults.first();
            let first = first.map_or_else(String::new, ToString::to_string);
            warnings.push(format!(
                "export `{}` could not be read at all and counts as missing: {first}",
                source.source
            ));
        }
        warnings.extend(source.warnings.iter().cloned());
    }
    warnings
}

impl Import {
    /// A paragraph for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let report = &self.report;
        line(
            &mut out,
            format_args!("Databricks  exports of {}", self.place),
        );
        for source in &report.sources {
            let until = match (source.newest, source.snapshot_at) {
                (Some(newest), _) if source.bad_files > 0 => {
                    format!("until {newest}, with gaps")
                }
                (Some(newest), _) => format!("until {newest}"),
                (None, Some(at)) => format!("as of {at}"),
                (None, None) => "nothing known".to_owned(),
            };
            line(
                &mut out,
                format_args!(
                    "  {:>14}  {:<39} {until}{}",
                    grouped(source.rows),
                    source.source,
                    bad(source)
                ),
            );
            for fault in source.faults.iter().take(FAULTS_SHOWN_MAX) {
                line(&mut out, format_args!("                    {fault}"));
            }
            if source.bad() > FAULTS_SHOWN_MAX as u64 {
                line(
                    &mut out,
                    format_args!("                    … SELECT faults FROM databricks_watermarks"),
                );
            }
        }
        if !report.missing.is_empty() {
            let missing = report.missing.join(", ");
            line(&mut out, format_args!("  not there: {missing}"));
        }
        if !report.ignored.is_empty() {
            let ignored = report.ignored.join(", ");
            line(
                &mut out,
                format_args!("  passed over, no export by that name: {ignored}"),
            );
        }
        let added: Vec<String> = self
            .added
            .iter()
            .map(|(table, rows)| format!("{table} {}", grouped(*rows)))
            .collect();
        let added = match added.is_empty() {
            true => "nothing new".to_owned(),
            false => added.join(", "),
        };
        line(&mut out, format_args!("  rows added: {added}"));
        line(&mut out, format_args!(""));
        out
    }

    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        let source = |source: &SourceReport| {
            serde_json::json!({
                "source": source.source,
                "files": source.files,
                "rows": source.rows,
                "bad_rows": source.bad_rows,
                "bad_values": source.bad_values,
                "bad_files": source.bad_files,
                "newest": source.newest.map(|at| at.to_string()),
                "snapshot_at": source.snapshot_at.map(|at| at.to_string()),
                "faults": source.faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        };
        serde_json::json!({
            "place": self.place,
            "sources": self.report.sources.iter().map(source).collect::<Vec<_>>(),
            "missing": self.report.missing,
            "ignored": self.report.ignored,
            "warnings": warnings(&self.place, &self.report),
            "rows_added": self.added.iter()
                .map(|(table, rows)| ((*table).to_owned(), (*rows).into()))
                .collect::<serde_json::Map<String, serde_json::Value>>(),
        })
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    if out.write_fmt(text).is_ok() {
        out.push('\n');
    }
}

/// What was bad, in words; empty for nothing.
fn bad(source: &SourceReport) -> String {
    let counts = [
        (source.bad_rows, "bad rows"),
        (source.bad_values, "bad values"),
        (source.bad_files, "bad files"),
    ];
    counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!(", {} {what}", grouped(*n)))
        .collect()
}
