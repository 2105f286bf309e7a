//! The closing summary of a scan: for a person, or for a program.

use super::health::percent;
use super::output::grouped;
use super::page::Page;
use crate::model::{AccessPath, Confidence, ObjectStatus, Verdict};
use crate::pipeline::report::{LEVELS, Report};
use bytesize::ByteSize;

use std::time::Duration;

/// What happened, in four paragraphs whose numbers add up.
pub fn text(report: &Report, lake: &str, took: Duration) -> String {
    let mut out = String::new();
    if report.objects.is_empty() && report.objects_known > 0 {
        let known = grouped(report.objects_known);
        line(
            &mut out,
            format_args!("Nothing new: all {known} objects are in the lake already."),
        );
        line(&mut out, format_args!("Lake: {lake}"));
        return out;
    }
    if report.objects.is_empty() {
        line(
            &mut out,
            format_args!("Nothing found: the sources hold no files."),
        );
        return out;
    }
    objects(report, took, &mut out);
    records(report, &mut out);
    attribution(report, &mut out);
    verdicts(report, &mut out);
    line(&mut out, format_args!(""));
    line(&mut out, format_args!("Lake: {lake}"));
    if report.counts.rows_written > 0 {
        line(
            &mut out,
            format_args!(
                "Next: bricktrail --lake '{lake}' query --sql \
                 'SELECT rule, bucket, principal_arn, count(*) AS events FROM violations \
                 GROUP BY ALL ORDER BY events DESC'"
            ),
        );
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.push_str(&text.to_string());
    out.push('\n');
}

fn objects(report: &Report, took: Duration, out: &mut String) {
    let total: u64 = report.objects.values().sum();
    let rate = report.raw_bytes as f64 / took.as_secs_f64().max(0.001);
    line(
        out,
        format_args!(
            "Objects   {} read in {:.1} s: {} stored, {} inflated ({}/s)",
            grouped(total),
            took.as_secs_f64(),
            ByteSize::b(report.compressed_bytes),
            ByteSize::b(report.raw_bytes),
            ByteSize::b(rate as u64),
        ),
    );
    for status in ObjectStatus::ALL {
        let n = report.objects_of(status);
        if n == 0 && status != ObjectStatus::Committed {
            continue;
        }
        let reasons: Vec<String> = report
            .reasons
            .iter()
            .filter(|((of, _), _)| *of == status)
            .map(|((_, reason), n)| format!("{reason} {}", grouped(*n)))
            .collect();
        let reasons = if reasons.is_empty() {
            String::new()
        } else {
            format!("  ({})", reasons.join(", "))
        };
        line(
            out,
            format_args!("  {:>14}  {}{reasons}", grouped(n), status.as_str()),
        );
    }
    if report.objects_known > 0 {
        line(
            out,
            format_args!(
                "  {:>14}  in the lake already, not read again",
                grouped(report.objects_known)
            ),
        );
    }
    for (uri, reason) in &report.quarantined {
        line(out, format_args!("  quarantined: {uri}"));
        line(out, format_args!("               {reason}"));
    }
    let quarantined = report.objects_of(ObjectStatus::Quarantined);
    if quarantined > report.quarantined.len() as u64 {
        line(
            out,
            format_args!(
                "  … and more: SELECT uri, reason FROM log_objects WHERE status = 'quarantined'"
            ),
        );
    }
}

fn records(report: &Report, out: &mut String) {
    let counts = &report.counts;
    line(out, format_args!(""));
    line(out, format_args!("Records   {}", grouped(counts.records)));
    for (n, what) in [
        (counts.rows_written, "S3 events written to s3_access"),
        (counts.duplicates, "copies of S3 events, kept out"),
        (counts.not_s3, "events of other services"),
        (counts.bad, "bad records, listed in log_objects.bad_records"),
    ] {
        line(out, format_args!("  {:>14}  {what}", grouped(n)));
    }
    if counts.event_ids_made > 0 {
        line(
            out,
            format_args!(
                "  {:>14}  S3 events without an eventID, which got one from their content",
                grouped(counts.event_ids_made)
            ),
        );
    }
    line(
        out,
        format_args!(
            "  learned on the way: {} STS sessions, {} facts on EC2 instances{}",
            grouped(report.sts_sessions),
            grouped(report.ec2_instances),
            match report.fact_copies {
                0 => String::new(),
                copies => format!("; {} copies of them kept out", grouped(copies)),
            }
        ),
    );
}

fn attribution(report: &Report, out: &mut String) {
    if report.paths.is_empty() {
        return;
    }
    line(out, format_args!(""));
    line(
        out,
        format_args!(
            "Who       how S3 was reached, and rows whose level is known (exact or strong)"
        ),
    );
    line(
        out,
        format_args!(
            "  {:>14}  {:<20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "rows", "access path", LEVELS[0], LEVELS[1], LEVELS[2], LEVELS[3], LEVELS[4], LEVELS[5]
        ),
    );
    for (path, counts) in &report.paths {
        let known = counts.by_level.map(|level| {
            let [exact, strong, ambiguous, _] = level;
            match (exact + strong, ambiguous) {
                (0, 0) => "-".to_owned(),
                (known, 0) => grouped(known),
                (known, ambiguous) => format!("{}+{}?", grouped(known), grouped(ambiguous)),
            }
        });
        let [session, workspace, cluster, job, task, principal] = known;
        line(
            out,
            format_args!(
                "  {:>14}  {:<20} {session:>9} {workspace:>9} {cluster:>9} {job:>9} {task:>9} {principal:>9}",
                grouped(counts.rows),
                AccessPath::as_str(*path),
            ),
        );
    }
    let mut reasons = std::collections::BTreeMap::new();
    for counts in report.paths.values() {
        for (reason, n) in &counts.reasons {
            *reasons.entry(reason.as_str()).or_insert(0_u64) += n;
        }
    }
    if !reasons.is_empty() {
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(reason, n)| format!("{reason} {}", grouped(*n)))
            .collect();
        line(
            out,
            format_args!("  no principal because: {}", reasons.join(", ")),
        );
    }
    health(report, out);
}

/// How many have a person, and what would raise that most.
fn health(report: &Report, out: &mut String) {
    let (mut rows, mut named, mut several) = (0, 0, 0);
    let mut gaps = std::collections::BTreeMap::new();
    for counts in report.paths.values() {
        let [.., [exact, strong, ambiguous, _]] = counts.by_level;
        rows += counts.rows;
        named += exact + strong;
        several += ambiguous;
        for (reason, n) in &counts.reasons {
            if reason.advice().is_gap {
                *gaps.entry(*reason).or_insert(0_u64) += n;
            }
        }
    }
    let mut page = Page::default();
    page.line(format_args!(
        "  principal known for {} of {} ({} %), one of several for {} ({} %)",
        grouped(named),
        grouped(rows),
        percent(named, rows),
        grouped(several),
        percent(several, rows),
    ));
    if let Some((reason, n)) = gaps.into_iter().max_by_key(|(_, n)| *n) {
        let advice = reason.advice();
        page.wrapped(
            "  ",
            &format!(
                "largest gap: {} {}; to mend it: {} (more: bricktrail health)",
                reason.as_str(),
                grouped(n),
                advice.mend
            ),
        );
    }
    out.push_str(&page.into_text());
}

fn verdicts(report: &Report, out: &mut String) {
    if report.verdicts.is_empty() {
        return;
    }
    line(out, format_args!(""));
    line(out, format_args!("Verdicts"));
    for verdict in Verdict::ALL {
        let n = report.verdicts.get(&verdict).copied().unwrap_or(0);
        line(
            out,
            format_args!("  {:>14}  {}", grouped(n), verdict.as_str()),
        );
    }
    let mut rules: Vec<_> = report.rules.iter().collect();
    rules.sort_by(|a, b| (b.1.severity, b.1.rows, a.0).cmp(&(a.1.severity, a.1.rows, b.0)));
    if !rules.is_empty() {
        line(
            out,
            format_args!("  by rule (an event may violate several):"),
        );
    }
    for (rule, counts) in rules {
        line(
            out,
            format_args!(
                "  {:>14}  {:<8}  {rule}{}{}",
                grouped(counts.rows),
                counts.severity.as_str(),
                match counts.excepted {
                    0 => String::new(),
                    rows => format!("  ({} under an exception)", grouped(rows)),
                },
                match counts.failed {
                    0 => String::new(),
                    rows => format!("  FAILED TO EVALUATE on {}: undetermined", grouped(rows)),
                }
            ),
        );
    }
}

/// The same numbers as one JSON object; `databricks` is what was imported before.
pub fn json(
    report: &Report,
    lake: &str,
    took: Duration,
    databricks: Option<serde_json::Value>,
) -> String {
    let counts = &report.counts;
    let status = |status: ObjectStatus| report.objects_of(status);
    let by_level = |levels: &[[u64; 4]; 6]| -> serde_json::Map<String, serde_json::Value> {
        LEVELS
            .iter()
            .zip(levels)
            .map(|(level, counts)| {
                let counts: serde_json::Map<_, _> = Confidence::ALL
                    .iter()
                    .zip(counts)
                    .map(|(confidence, n)| (confidence.as_str().to_owned(), (*n).into()))
                    .collect();
                ((*level).to_owned(), counts.into())
            })
            .collect()
    };
    let paths: serde_json::Map<_, _> = report
        .paths
        .iter()
        .map(|(path, counts)| {
            let value = serde_json::json!({
                "rows": counts.rows,
                "confidence": by_level(&counts.by_level),
                "unattributed": counts.reasons.iter()
                    .map(|(reason, n)| (reason.as_str().to_owned(), (*n).into()))
                    .collect::<serde_json::Map<String, serde_json::Value>>(),
            });
            (AccessPath::as_str(*path).to_owned(), value)
        })
        .collect();
    let value = serde_json::json!({
        "lake": lake,
        "seconds": took.as_secs_f64(),
        "objects": {
            "committed": status(ObjectStatus::Committed),
            "duplicate": status(ObjectStatus::Duplicate),
            "ignored": status(ObjectStatus::Ignored),
            "quarantined": status(ObjectStatus::Quarantined),
            "known": report.objects_known,
        },
        "bytes": { "stored": report.compressed_bytes, "inflated": report.raw_bytes },
        "records": {
            "total": counts.records,
            "rows_written": counts.rows_written,
            "duplicates": counts.duplicates,
            "not_s3": counts.not_s3,
            "bad": counts.bad,
            "event_ids_made": counts.event_ids_made,
        },
        "learned": {
            "sts_sessions": report.sts_sessions,
            "ec2_instances": report.ec2_instances,
            "copies": report.fact_copies,
        },
        "attribution": paths,
        "verdicts": Verdict::ALL.iter()
            .map(|v| (v.as_str().to_owned(), report.verdicts.get(v).copied().unwrap_or(0).into()))
            .collect::<serde_json::Map<String, serde_json::Value>>(),
        "rules": report.rules.iter()
            .map(|(rule, counts)| (rule.clone(), counts.rows.into()))
            .collect::<serde_json::Map<String, serde_json::Value>>(),
        "excepted": report.rules.values().map(|counts| counts.excepted).sum::<u64>(),
        "rules_failed": report.rules.iter()
            .filter(|(_, counts)| counts.failed > 0)
            .map(|(rule, counts)| (rule.clone(), counts.failed.into()))
            .collect::<serde_json::Map<String, serde_json::Value>>(),
        "commits": report.commits,
        "databricks": databricks,
    });
    format!("{value:#}\n")
}
