//! Attribution health for people: coverage, reasons, doubts, sources.

use super::super::output::grouped;
use super::super::page::Page;
use super::figures::{Cause, Coverage, Figures};
use crate::model::UtcMicros;
use std::collections::BTreeMap;

/// The levels as they are asked for, in their order.
const LEVELS: [&str; 6] = [
    "session",
    "workspace",
    "cluster",
    "job",
    "task",
    "principal",
];

pub fn text(figures: &Figures) -> String {
    let mut page = Page::default();
    if figures.events == 0 {
        page.line(format_args!("The lake holds no S3 event yet."));
        return page.into_text();
    }
    let settled = match figures.settled {
        0 => "none settled".to_owned(),
        settled if settled == figures.events => "all settled".to_owned(),
        settled => format!("{} settled", grouped(settled)),
    };
    page.line(format_args!(
        "Attribution of {} S3 events, {} to {}, {settled}",
        grouped(figures.events),
        shown(figures.first),
        shown(figures.last),
    ));
    coverage(figures, &mut page);
    section(
        "Nobody named",
        figures.nobody(),
        figures,
        &figures.reasons,
        &mut page,
    );
    section(
        "Several remain",
        figures.ambiguous(),
        figures,
        &figures.doubts,
        &mut page,
    );
    sources(figures, &mut page);
    page.into_text()
}

/// Percent with one decimal, by integers, so that a share of 0.04 is no 0.0 %.
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole.max(1));
    match tenths {
        0 if part > 0 => "<0.1".to_owned(),
        1000 if part < whole => ">99.9".to_owned(),
        tenths => format!("{}.{}", tenths / 10, tenths % 10),
    }
}

fn coverage(figures: &Figures, page: &mut Page) {
    page.section(
        "Percent of events whose level is known (exact or strong), and behind + those between several",
    );
    let mut header = format!("{:>12}  {:<20}", "events", "access path");
    for level in LEVELS {
        header.push_str(&format!(" {level:>10}"));
    }
    page.line(format_args!("{header}"));
    let mut paths: BTreeMap<&str, Vec<&Coverage>> = BTreeMap::new();
    for level in &figures.coverage {
        paths.entry(&level.access_path).or_default().push(level);
    }
    let mut paths: Vec<(&str, Vec<&Coverage>)> = paths.into_iter().collect();
    paths.sort_by_key(|(_, levels)| std::cmp::Reverse(levels.first().map_or(0, |l| l.events)));
    for (path, levels) in &paths {
        coverage_line(path, levels, page);
    }
    let all: Vec<&Coverage> = figures.coverage.iter().collect();
    coverage_line("all", &all, page);
    page.line(format_args!(
        "  A level that an access does not have, like the job of a person's notebook, counts as not known."
    ));
}

fn coverage_line(path: &str, levels: &[&Coverage], page: &mut Page) {
    let mut line = String::new();
    let mut rows = 0;
    for level in LEVELS {
        let of_level = || levels.iter().filter(|l| l.level == level);
        let events: u64 = of_level().map(|l| l.events).sum();
        let known: u64 = of_level().map(|l| l.exact + l.strong).sum();
        let several: u64 = of_level().map(|l| l.ambiguous).sum();
        rows = events;
        let cell = match (known, several) {
            (0, 0) => "-".to_owned(),
            (known, 0) => percent(known, events),
            (known, several) => {
                format!("{}+{}", percent(known, events), percent(several, events))
            }
        };
        line.push_str(&format!(" {cell:>10}"));
    }
    page.line(format_args!("{:>12}  {path:<20}{line}", grouped(rows)));
}

fn section(title: &str, events: u64, figures: &Figures, causes: &[Cause], page: &mut Page) {
    let share = percent(events, figures.events);
    page.section(&format!("{title}: {} events, {share} %", grouped(events)));
    for cause in causes {
        let lead = format!("{:>12}  {:<17} ", grouped(cause.events), cause.token);
        let means = cause
            .advice
            .map_or("not known to this version", |a| a.means);
        page.wrapped(&lead, means);
        let indent = " ".repeat(14);
        let paths: Vec<String> = cause
            .by_path
            .iter()
            .map(|(path, events)| format!("{path} {}", grouped(*events)))
            .collect();
        let sensitive = match cause.sensitive_events {
            0 => String::new(),
            events => format!("; {} on restricted or confidential data", grouped(events)),
        };
        page.wrapped(&indent, &format!("in {}{sensitive}", paths.join(", ")));
        if let Some(advice) = cause.advice {
            page.wrapped(&format!("{indent}mend: "), advice.mend);
        }
        page.line(format_args!("{indent}e.g. {}", cause.example_event_id));
    }
}

fn sources(figures: &Figures, page: &mut Page) {
    page.section("Up to when each source was read");
    page.line(format_args!(
        "  {:<40} {}",
        "CloudTrail",
        shown(figures.last)
    ));
    for source in &figures.sources {
        let until = source.newest.or(source.read_at);
        page.line(format_args!("  {:<40} {}", source.name, shown(until)));
    }
    if !figures.missing.is_empty() {
        page.wrapped(
            "  never read: ",
            &format!(
                "{}; import them with scan --databricks{}",
                figures.missing.join(", "),
                match figures.settled {
                    0 => "",
                    _ => ", then settle --again",
                }
            ),
        );
    }
}

fn shown(at: Option<UtcMicros>) -> String {
    at.map_or_else(|| "unknown".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_small_share_is_not_none_and_a_large_one_is_not_all() {
        assert_eq!(percent(0, 1000), "0.0");
        assert_eq!(percent(1, 100_000), "<0.1");
        assert_eq!(percent(125, 1000), "12.5");
        assert_eq!(percent(99_999, 100_000), ">99.9");
        assert_eq!(percent(1000, 1000), "100.0");
        assert_eq!(percent(0, 0), "0.0");
    }
}
