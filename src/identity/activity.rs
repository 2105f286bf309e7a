//! What people and entities were seen doing: commands on clusters (M5), queries of
//! shares (P5), lineage of paths (C3), statements (C4).

use super::names::{Name, Names};
use super::place::{Places, is_uuid, location};
use super::timeline::Timeline;
use crate::model::{CommandRun, Lineage, ShareQuery, Statement, TimeSpan, UtcMicros};
use hashbrown::HashMap;

/// Somebody ran a command on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Command {
    pub evidence: Name,
    pub workspace: Name,
    pub actor: Name,
    pub run_by: Name,
}

/// An entity read or wrote a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Traced {
    pub evidence: Name,
    pub workspace: Name,
    pub created_by: Name,
    pub statement: Name,
    pub job: Name,
    pub job_run: Name,
}

/// A statement on a warehouse or serverless compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Executed {
    pub id: Name,
    pub workspace: Name,
    pub by: Name,
    pub as_whom: Name,
    pub job: Name,
    pub job_run: Name,
    pub task_key: Name,
    pub task_run: Name,
    pub start: UtcMicros,
    pub end: UtcMicros,
}

/// A recipient queried a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shared {
    pub evidence: Name,
    pub location: Name,
    pub table: Name,
}

/// How long after a command a workspace's audit log is believed to tell of others, and how
/// long before it. Within the days around a date of which `settle` reads commands.
const VERBOSE_AFTER_SECS: i64 = 3 * 24 * 3600;
const VERBOSE_BEFORE_SECS: i64 = 24 * 3600;

#[derive(Clone, Debug, Default)]
pub(super) struct Activity {
    commands: Vec<(Name, UtcMicros, UtcMicros, Command)>,
    by_cluster: Timeline<Name, Command>,
    /// When the audit log of a workspace is known to tell of commands: it does so only
    /// where and while that is set.
    verbose: Timeline<Name, ()>,
    lineage: Vec<((Name, bool), UtcMicros, UtcMicros, Traced)>,
    by_location: Timeline<(Name, bool), Traced>,
    /// Every row, and one for each statement.
    statements: Vec<Executed>,
    executed: Vec<Executed>,
    by_statement: HashMap<Name, u32>,
    by_whom: Timeline<Name, Executed>,
    shares: Vec<((), UtcMicros, UtcMicros, Shared)>,
    by_time: Timeline<(), Shared>,
}

impl Activity {
    pub fn add_commands(&mut self, commands: &[CommandRun], names: &mut Names) {
        for command in commands {
            let kept = Command {
                evidence: names.add(&command.source_id),
                workspace: names.add_some(command.workspace_id.as_deref()),
                actor: names.add(&command.actor),
                run_by: names.add_some(command.run_by.as_deref()),
            };
            let cluster = names.add(&command.cluster_id);
            self.commands.push((cluster, command.at, command.at, kept));
        }
        self.commands.sort_unstable();
        self.commands.dedup();
        self.by_cluster = Timeline::of(self.commands.clone());
        let mut told: Vec<(Name, UtcMicros)> = self
            .commands
            .iter()
            .map(|(_, at, _, command)| (command.workspace, *at))
            .collect();
        told.sort_unstable();
        let near = |a: &(Name, UtcMicros), b: &(Name, UtcMicros)| {
            a.0 == b.0 && b.1 <= a.1.plus_seconds(VERBOSE_AFTER_SECS)
        };
        let spans = told.chunk_by(near).filter_map(|span| {
            let (first, last) = (span.first()?, span.last()?);
            let from = first.1.plus_seconds(-VERBOSE_BEFORE_SECS);
            let until = last.1.plus_seconds(VERBOSE_AFTER_SECS);
            Some((first.0, from, until, ()))
        });
        self.verbose = Timeline::of(spans.collect());
    }

    pub fn add_lineage(&mut self, rows: &[Lineage], names: &mut Names, places: &mut Places) {
        for row in rows {
            let traced = Traced {
                evidence: names.add(&row.source_id),
                workspace: names.add(&row.workspace_id),
                created_by: names.add_some(row.created_by.as_deref()),
                statement: names.add_some(row.statement_id.as_deref()),
                job: names.add_some(row.job_id.as_deref()),
                job_run: names.add_some(row.job_run_id.as_deref()),
            };
            for (path, is_target) in [(&row.source_path, false), (&row.target_path, true)] {
                if let Some(path) = path.as_deref().and_then(location) {
                    let path = names.add(&path);
                    places.add_location(path, names);
                    self.lineage
                        .push(((path, is_target), row.at, row.at, traced));
                }
            }
        }
        self.lineage.sort_unstable();
        self.lineage.dedup();
        self.by_location = Timeline::of(self.lineage.clone());
    }

    pub fn add_statements(&mut self, statements: &[Statement], names: &mut Names) {
        for statement in statements {
            // Answered from the cache, it read nothing from S3.
            if statement.from_result_cache {
                continue;
            }
            self.statements.push(Executed {
                id: names.add(&statement.statement_id),
                workspace: names.add(&statement.workspace_id),
                by: names.add_some(statement.executed_by.as_deref()),
                as_whom: names.add_some(statement.executed_as.as_deref()),
                job: names.add_some(statement.job_id.as_deref()),
                job_run: names.add_some(statement.job_run_id.as_deref()),
                task_key: names.add_some(statement.task_key.as_deref()),
                task_run: names.add_some(statement.task_run_id.as_deref()),
                start: statement.start,
                end: statement.end.unwrap_or(UtcMicros::MAX).max(statement.start),
            });
        }
        self.statements.sort_unstable();
        self.statements.dedup();
        let of_one = self.statements.chunk_by(|a, b| a.id == b.id);
        self.executed = of_one.filter_map(joined).collect();
        self.by_statement = (0_u32..)
            .zip(&self.executed)
            .map(|(number, statement)| (statement.id, number))
            .collect();
        let by_whom = self.executed.iter().flat_map(|statement| {
            let mut whom = vec![statement.as_whom, statement.by];
            whom.dedup();
            whom.retain(|name| !name.is_none());
            whom.into_iter()
                .map(|name| (name, statement.start, statement.end, *statement))
        });
        self.by_whom = Timeline::of(by_whom.collect());
    }

    pub fn add_shares(&mut self, queries: &[ShareQuery], names: &mut Names, places: &mut Places) {
        for query in queries {
            let path = query.path.as_deref().and_then(location);
            let shared = Shared {
                evidence: names.add(&query.source_id),
                location: names.add_some(path.as_deref()),
                table: names.add_some(query.table_id.as_deref().or(query.table_name.as_deref())),
            };
            places.add_location(shared.location, names);
            if query.table_id.as_deref().is_some_and(is_uuid) {
                places.add_id(shared.table);
            }
            self.shares.push(((), query.at, query.at, shared));
        }
        self.shares.sort_unstable();
        self.shares.dedup();
        self.by_time = Timeline::of(self.shares.clone());
    }

    /// Whether commands of that workspace were seen about then, so that others would show.
    pub fn shows_commands(&self, workspace: Name, at: UtcMicros, span: &mut TimeSpan) -> bool {
        !workspace.is_none() && self.verbose.at(workspace, at, 0, span).next().is_some()
    }

    pub fn commands_at<'a>(
        &'a self,
        cluster: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Command> + use<'a> {
        let items = self.by_cluster.at(cluster, at, slack, span);
        items.map(|item| &item.value)
    }

    /// What touched a location, and when, between `before` seconds before and `after` seconds
    /// after the access.
    pub fn lineage_at<'a>(
        &'a self,
        location: Name,
        is_target: bool,
        at: UtcMicros,
        (before, after): (i64, i64),
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = (UtcMicros, &'a Traced)> + use<'a> {
        // A window with its middle elsewhere is an even one around that middle.
        let (middle, slack) = ((after - before) / 2, (after + before) / 2);
        let mut moved = TimeSpan::ALWAYS;
        let key = (location, is_target);
        let items = self
            .by_location
            .at(key, at.plus_seconds(middle), slack, &mut moved);
        *span = span.intersect(TimeSpan {
            from: moved.from.plus_seconds(-middle),
            until: moved.until.plus_seconds(-middle),
        });
        items.map(|item| (item.from, &item.value))
    }

    pub fn statement(&self, id: Name) -> Option<&Executed> {
        let number = self.by_statement.get(&id)?;
        self.executed.get(usize::try_from(*number).ok()?)
    }

    pub fn statements_at<'a>(
        &'a self,
        whom: Name,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Executed> + use<'a> {
        let items = self.by_whom.at(whom, at, slack, span);
        items.map(|item| &item.value)
    }

    pub fn shares_at<'a>(
        &'a self,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Shared> + use<'a> {
        self.by_time.at((), at, slack, span).map(|item| &item.value)
    }
}

/// Joins the rows of one statement: it is written again when it has ended. Where
/// rows disagree on a name, nobody is believed.
fn joined(rows: &[Executed]) -> Option<Executed> {
    let sole = |of: fn(&Executed) -> Name| {
        let mut told = rows.iter().filter_map(|row| of(row).filled());
        let first = told.next().unwrap_or(Name::NONE);
        if told.all(|other| other == first) {
            first
        } else {
            Name::NONE
        }
    };
    Some(Executed {
        id: rows.first()?.id,
        workspace: sole(|row| row.workspace),
        by: sole(|row| row.by),
        as_whom: sole(|row| row.as_whom),
        job: sole(|row| row.job),
        job_run: sole(|row| row.job_run),
        task_key: sole(|row| row.task_key),
        task_run: sole(|row| row.task_run),
        start: rows.iter().map(|row| row.start).min()?,
        end: rows.iter().map(|row| row.end).min()?,
    })
}
