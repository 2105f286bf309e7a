//! The page: at most sixty lines of a hundred columns, for somebody who has never
//! seen bricktrail before.

use super::super::health::{Cause, Figures};
use super::super::output::grouped;
use super::super::page::Page;
use super::story::{Actor, DatasetStory, RuleStory, Story};
use std::path::{Path, PathBuf};

/// Rules shown; the query that the page names lists the rest.
const RULES_SHOWN_MAX: usize = 5;
/// Gaps and doubts shown, likewise.
const CAUSES_SHOWN_MAX: usize = 3;
/// Datasets whose busiest actors are shown.
const DATASETS_SHOWN_MAX: usize = 3;

/// How the commands of the page begin, so that they can be pasted as they stand.
pub struct Program(String);

impl Program {
    /// As this process was called, with the demo's configuration.
    pub fn called(config: &Path, lake: &Path) -> Program {
        let name = std::env::args_os().next();
        let name = name.map_or_else(|| PathBuf::from("bricktrail"), PathBuf::from);
        let mut begins = format!("{} --config {}", quoted(&name), quoted(config));
        // The variable would win over the configuration's lake.
        if std::env::var_os("BRICKTRAIL_LAKE").is_some() {
            begins.push_str(&format!(" --lake {}", quoted(lake)));
        }
        Program(begins)
    }

    fn runs(&self, what: &str) -> String {
        format!("{} {what}", self.0)
    }
}

/// The path as a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@".contains(c);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

pub fn text(
    story: &Story,
    figures: &Figures,
    program: &Program,
    dir: &Path,
    is_temporary: bool,
) -> String {
    let mut page = Page::default();
    head(story, figures, &mut page);
    datasets(story, &mut page);
    rules(story, figures, program, &mut page);
    gaps(figures, &mut page);
    next(figures, program, dir, is_temporary, &mut page);
    page.into_text()
}

fn head(story: &Story, figures: &Figures, page: &mut Page) {
    let day = |at: Option<crate::model::UtcMicros>| {
        let text = at.map(|at| at.to_string()).unwrap_or_default();
        text.get(..10).unwrap_or_default().to_owned()
    };
    page.wrapped(
        "",
        &format!(
            "Northwind, a made-up company, {} to {}: {} S3 events in {} objects of CloudTrail. \
             AWS names a role, a key or a machine; this is who bricktrail found behind them.",
            day(figures.first),
            day(figures.last),
            grouped(figures.events),
            grouped(story.objects),
        ),
    );
}

fn datasets(story: &Story, page: &mut Page) {
    page.section("WHO TOUCHED WHICH DATASET");
    page.line(format_args!(
        "  {:<10} {:<13} {:>7}  {:>7}  {:>8}  {:>7}  {:>7}  {:>6}  {:>13}",
        "dataset",
        "sensitivity",
        "events",
        "named",
        "several",
        "nobody",
        "people",
        "jobs",
        "out of policy"
    ));
    for dataset in &story.datasets {
        let nobody = dataset.events - (dataset.named + dataset.ambiguous).min(dataset.events);
        page.line(format_args!(
            "  {:<10} {:<13} {:>7}  {:>7}  {:>8}  {:>7}  {:>7}  {:>6}  {:>13}",
            dataset.name,
            dataset.sensitivity,
            grouped(dataset.events),
            grouped(dataset.named),
            grouped(dataset.ambiguous),
            grouped(nobody),
            grouped(dataset.people),
            grouped(dataset.jobs),
            grouped(dataset.out_of_policy),
        ));
    }
    page.line(format_args!(
        "  Most active there, a job and a person each:"
    ));
    for dataset in story.datasets.iter().take(DATASETS_SHOWN_MAX) {
        for actor in &dataset.busiest {
            busiest(dataset, actor, page);
        }
    }
}

fn busiest(dataset: &DatasetStory, actor: &Actor, page: &mut Page) {
    let who = match &actor.job {
        Some(job) => format!("job `{job}`, run as {}", actor.principal),
        None => actor.principal.clone(),
    };
    page.line(format_args!(
        "  {:<10} {:>5}  {who:<52} {:<9} {}",
        dataset.name,
        grouped(actor.events),
        actor.confidence,
        actor.access_path,
    ));
}

fn rules(story: &Story, figures: &Figures, program: &Program, page: &mut Page) {
    page.section(&format!(
        "OUT OF POLICY: {} of {} events",
        grouped(story.out_of_policy),
        grouped(figures.events)
    ));
    for rule in story.rules.iter().take(RULES_SHOWN_MAX) {
        let RuleStory {
            rule: id,
            severity,
            control,
            reason,
            events,
            example,
        } = rule;
        page.wrapped(
            &format!("  {severity:<8} {:>5}  ", grouped(*events)),
            &format!("{id} ({control}): {reason}"),
        );
        if let Some(example) = example {
            let sure = example.confidence.as_ref();
            let sure = sure.map_or_else(String::new, |sure| format!(" ({sure})"));
            let event_id = &example.event_id;
            // Role and session say enough.
            let actor = &example.actor;
            let actor = actor.strip_prefix("assumed-role/").unwrap_or(actor);
            page.wrapped(&format!("{:12}{event_id}  ", ""), &format!("{actor}{sure}"));
        }
    }
    if let Some(more) = story.rules.len().checked_sub(RULES_SHOWN_MAX)
        && more > 0
    {
        page.line(format_args!(
            "  and {more} more, of lower severity or fewer events"
        ));
    }
    let known = |rule: &&RuleStory| {
        let example = rule.example.as_ref();
        example.is_some_and(|example| example.confidence.is_some())
    };
    let shown = || story.rules.iter().take(RULES_SHOWN_MAX);
    let example = shown().find(known).or_else(|| shown().next());
    if let Some(example) = example.and_then(|rule| rule.example.as_ref()) {
        page.wrapped(
            "  ",
            &format!(
                "Why was it flagged, who was it, how is that known? {}:",
                example.did
            ),
        );
        let command = program.runs(&format!("explain {}", example.event_id));
        page.line(format_args!("    {command}"));
    }
}

fn gaps(figures: &Figures, page: &mut Page) {
    page.section(&format!(
        "NOT KNOWN: {} events have no person, {} lie between several",
        grouped(figures.nobody()),
        grouped(figures.ambiguous())
    ));
    let mut open: Vec<&Cause> = figures.reasons.iter().filter(|r| r.is_gap()).collect();
    open.extend(&figures.doubts);
    open.sort_by_key(|cause| std::cmp::Reverse(cause.events));
    for cause in open.iter().take(CAUSES_SHOWN_MAX) {
        let Some(advice) = cause.advice else {
            continue;
        };
        let lead = format!("  {:>6}  {}: ", grouped(cause.events), cause.token);
        page.wrapped(&lead, advice.means);
        page.wrapped("          ", &format!("to mend it: {}", advice.mend));
    }
    let none: Vec<String> = figures
        .reasons
        .iter()
        .filter(|reason| !reason.is_gap())
        .map(|reason| format!("{} {}", reason.token, grouped(reason.events)))
        .collect();
    if !none.is_empty() {
        page.wrapped(
            "  ",
            &format!(
                "No gaps, for nobody of Databricks acted: {}",
                none.join(", ")
            ),
        );
    }
}

fn next(figures: &Figures, program: &Program, dir: &Path, is_temporary: bool, page: &mut Page) {
    let settled = match figures.settled {
        0 => "provisional".to_owned(),
        settled if settled == figures.events => "settled".to_owned(),
        settled => format!("{} settled", grouped(settled)),
    };
    page.section(&format!(
        "WHERE IT IS: Delta tables in {} ({settled}). Ask them:",
        dir.join("lake").display()
    ));
    for what in [
        "query --name dataset-users",
        "query --name out-of-policy",
        "health",
        "policy suggest",
    ] {
        page.line(format_args!("  {}", program.runs(what)));
    }
    page.line(format_args!(
        "Your own logs: bricktrail scan --databricks EXPORTS TRAIL (see README.md)."
    ));
    if is_temporary {
        page.line(format_args!("Done? rm -r {}", quoted(dir)));
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use std::path::Path;

    #[test]
    fn a_path_with_a_space_can_be_pasted() {
        assert_eq!(quoted(Path::new("/tmp/a-1/x.toml")), "/tmp/a-1/x.toml");
        assert_eq!(quoted(Path::new("/tmp/it's a/x")), r"'/tmp/it'\''s a/x'");
    }
}
