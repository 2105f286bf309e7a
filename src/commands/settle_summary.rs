//! The closing summary of a settle: what changed, for a person or for a program.

use super::output::grouped;
use crate::lake::settle::accesses::LEVELS;
use crate::lake::vacuum::Vacuumed;
use crate::model::{AccessPath, Confidence};
use crate::pipeline::horizon::HeldBy;
use crate::pipeline::settle_report::{LevelChange, SettleReport};
use bytesize::ByteSize;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What a settle did, in paragraphs.
pub fn text(report: &SettleReport, lake: &str, took: Duration) -> String {
    let mut out = String::new();
    horizon(report, &mut out);
    if report.dates == 0 {
        say(&mut out, &nothing_to_settle(report.provisional));
    } else {
        rows(report, took, &mut out);
        paths(report, &mut out);
        verdicts(report, &mut out);
    }
    say(&mut out, "");
    say(&mut out, &format!("Lake: {lake}"));
    out
}

fn nothing_to_settle(provisional: u64) -> String {
    match provisional {
        0 => "Nothing to settle: no row is provisional.".to_owned(),
        rows => format!(
            "Nothing to settle yet: {} provisional rows wait for every source to pass them, or lie\n\
             outside --from and --to.\n\
             A source tells how far it reaches by its rows; if one is complete and merely has none,\n\
             say so by --as-of TIME.",
            grouped(rows)
        ),
    }
}

fn say(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

fn number(out: &mut String, n: u64, what: &str) {
    say(out, &format!("  {:>14}  {what}", grouped(n)));
}

fn horizon(report: &SettleReport, out: &mut String) {
    let Some(horizon) = report.horizon else {
        return;
    };
    if horizon.held_by == HeldBy::AsOf {
        say(
            out,
            &format!(
                "Settles   what happened until {}, for --as-of says that all is known of it",
                horizon.at
            ),
        );
        return;
    }
    let source = horizon.held_by_name();
    if horizon.is_never() {
        say(
            out,
            &format!(
                "Settles   nothing: export `{source}` was read and holds no row yet, so it may \
                 still tell of anything; --as-of TIME says up to when to believe it complete"
            ),
        );
        return;
    }
    say(
        out,
        &format!(
            "Settles   what happened until {}, which every source has passed; the last one: {source}",
            horizon.at
        ),
    );
}

fn rows(report: &SettleReport, took: Duration, out: &mut String) {
    let rate = report.rows as f64 / took.as_secs_f64().max(0.001);
    say(
        out,
        &format!(
            "Rows      {} read in {:.1} s ({} a second), of {} {}",
            grouped(report.rows),
            took.as_secs_f64(),
            grouped(rate as u64),
            grouped(report.dates),
            if report.dates == 1 { "date" } else { "dates" },
        ),
    );
    number(out, report.settled, "settled, provisional before");
    if report.settled_again > 0 {
        number(out, report.settled_again, "settled before, decided again");
    }
    number(out, report.provisional, "provisional still");
    let dropped = report.dropped;
    number(out, dropped.copies, "copies of one record dropped");
    number(
        out,
        dropped.twins,
        "copies that another account got dropped",
    );
    number(
        out,
        dropped.corrected,
        "replaced by the record that corrects them",
    );
    if report.amended > 0 {
        number(
            out,
            report.amended,
            "taken from s3_amendments, for they tell more",
        );
    }
    say(
        out,
        &format!(
            "  files: {} of {} became {} of {}",
            grouped(report.files_before),
            ByteSize::b(report.bytes_before),
            grouped(report.files_after),
            ByteSize::b(report.bytes_after),
        ),
    );
    if report.redone > 0 {
        say(
            out,
            &format!(
                "  begun anew {} times, because another settle came first",
                report.redone
            ),
        );
    }
}

fn paths(report: &SettleReport, out: &mut String) {
    let paths = report.by_path();
    if paths.is_empty() {
        return;
    }
    say(out, "");
    say(
        out,
        &format!(
            "Who       rows whose level is known (exact or strong), +n? between several; before -> \
             settled; {} changed",
            grouped(report.attributions_changed())
        ),
    );
    let mut head = format!("  {:>14}  {:<20}", "rows", "access path");
    for level in LEVELS {
        // Writing to a text cannot fail.
        write!(head, " {level:>19}").unwrap_or_default();
    }
    say(out, &head);
    for (path, (rows, levels)) in &paths {
        let mut row = format!(
            "  {:>14}  {:<20}",
            grouped(*rows),
            AccessPath::as_str(*path)
        );
        for level in levels {
            write!(row, " {:>19}", change(level)).unwrap_or_default();
        }
        say(out, row.trim_end());
    }
    for ((before, after), rows) in report.paths_changed() {
        let (before, after) = (AccessPath::as_str(before), AccessPath::as_str(after));
        number(
            out,
            rows,
            &format!("took another path: {before} -> {after}"),
        );
    }
}

/// Known rows before and after; candidates as `+n?`.
fn change(level: &LevelChange) -> String {
    let known = |[exact, strong, ambiguous, _]: [u64; 4]| match (exact + strong, ambiguous) {
        (0, 0) => "-".to_owned(),
        (known, 0) => grouped(known),
        (known, ambiguous) => format!("{}+{}?", grouped(known), grouped(ambiguous)),
    };
    match level.before == level.after {
        true => known(level.after),
        false => format!("{} -> {}", known(level.before), known(level.after)),
    }
}

fn verdicts(report: &SettleReport, out: &mut String) {
    let changed = report.verdicts_changed();
    say(out, "");
    if changed.is_empty() {
        say(out, "Verdicts  none changed");
        return;
    }
    say(out, "Verdicts  changed");
    for ((before, after), rows) in changed {
        number(
            out,
            rows,
            &format!("{} -> {}", before.as_str(), after.as_str()),
        );
    }
}

/// What a vacuum deleted; empty if there was none.
pub fn vacuum_text(vacuumed: &[Vacuumed]) -> String {
    if vacuumed.is_empty() {
        return String::new();
    }
    let files: u64 = vacuumed.iter().map(|table| table.files).sum();
    let bytes: u64 = vacuumed.iter().map(|table| table.bytes).sum();
    let mut out = format!(
        "\nVacuum    {} files of {} deleted; what a table said before that can no longer be read\n",
        grouped(files),
        ByteSize::b(bytes)
    );
    for table in vacuumed.iter().filter(|table| table.files > 0) {
        number(
            &mut out,
            table.files,
            &format!("of {}, {}", table.table, ByteSize::b(table.bytes)),
        );
    }
    out
}

/// The same numbers as one JSON object, beside what was imported before and what a
/// vacuum deleted.
pub fn json(
    report: &SettleReport,
    lake: &str,
    took: Duration,
    (databricks, vacuumed): (Option<Value>, &[Vacuumed]),
) -> String {
    let by_confidence = |counts: &[u64; 4]| -> Map<String, Value> {
        let names = Confidence::ALL.iter().map(|of| of.as_str().to_owned());
        names.zip(counts.iter().map(|n| (*n).into())).collect()
    };
    let level = |change: &LevelChange| json!({"before": by_confidence(&change.before), "after": by_confidence(&change.after)});
    let paths: Map<String, Value> = report
        .by_path()
        .iter()
        .map(|(path, (rows, levels))| {
            let mut of_path: Map<String, Value> = LEVELS
                .iter()
                .zip(levels)
                .map(|(name, change)| ((*name).to_owned(), level(change)))
                .collect();
            of_path.insert("rows".to_owned(), (*rows).into());
            (AccessPath::as_str(*path).to_owned(), of_path.into())
        })
        .collect();
    let verdicts: Vec<Value> = report
        .verdicts_changed()
        .into_iter()
        .map(|((before, after), rows)| json!({"before": before.as_str(), "after": after.as_str(), "rows": rows}))
        .collect();
    let paths_changed: Vec<Value> = report
        .paths_changed()
        .into_iter()
        .map(|((before, after), rows)| {
            let (before, after) = (AccessPath::as_str(before), AccessPath::as_str(after));
            json!({"before": before, "after": after, "rows": rows})
        })
        .collect();
    let horizon = report.horizon.filter(|horizon| !horizon.is_never());
    let mut value = json!({
        "lake": lake,
        "seconds": took.as_secs_f64(),
        "settled_until": horizon.map(|horizon| horizon.at.to_string()),
        "held_by": report.horizon.map(|horizon| horizon.held_by_name()),
        "dates": report.dates,
        "rows": {
            "read": report.rows,
            "settled": report.settled,
            "settled_again": report.settled_again,
            "provisional": report.provisional,
            "copies_dropped": report.dropped.copies,
            "twins_dropped": report.dropped.twins,
            "corrected": report.dropped.corrected,
            "amended": report.amended,
            "attribution_changed": report.attributions_changed(),
        },
        "files": {
            "before": report.files_before,
            "after": report.files_after,
            "bytes_before": report.bytes_before,
            "bytes_after": report.bytes_after,
        },
        "redone": report.redone,
        "paths": paths,
        "paths_changed": paths_changed,
        "verdicts_changed": verdicts,
    });
    if let (Some(members), Some(databricks)) = (value.as_object_mut(), databricks) {
        members.insert("databricks".to_owned(), databricks);
    }
    if let Some(members) = value.as_object_mut().filter(|_| !vacuumed.is_empty()) {
        let tables = vacuumed.iter().map(|of| {
            let figures = json!({"files": of.files, "bytes": of.bytes});
            (of.table.to_owned(), figures)
        });
        members.insert("vacuum".to_owned(), tables.collect::<Map<_, _>>().into());
    }
    format!("{value:#}\n")
}
