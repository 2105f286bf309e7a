//! REST answers in files: a JSON object with the list of entries in one member,
//! possibly several pages one after another.
//!
//! Entries are decoded one at a time, with the needed members only.

use super::cell::Cell;
use super::files::{open_document, take_row, written_at};
use super::report::{Place, SourceReport};
use super::row::{Columns, JsonRow, Row};
use crate::model::UtcMicros;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::path::Path;

/// Takes an entry of a snapshot that was taken at that time.
pub type TakeEntry<'t> = &'t mut dyn FnMut(&Row<'_>, UtcMicros) -> Result<(), String>;

/// How an answer is built.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The member that holds the entries.
    pub list: &'static str,
    /// Members of an entry.
    pub columns: Columns,
}

/// Reads the entries of all pages of the file.
pub fn read_document(
    path: &Path,
    name: &str,
    answer: Answer,
    now: UtcMicros,
    report: &mut SourceReport,
    take: TakeEntry<'_>,
) {
    let file = match open_document(path) {
        Ok(file) => file,
        Err(error) => return report.bad_file(name, format!("cannot be opened: {error}")),
    };
    let seen_at = written_at(path).map_or(now, |at| at.min(now));
    report.snapshot_at = Some(seen_at);
    let mut pages = Pages {
        name,
        answer,
        seen_at,
        report,
        take,
        entries: 0,
        total: None,
        more: false,
        found: false,
    };
    let mut json = serde_json::Deserializer::from_reader(file);
    let outcome = loop {
        if let Err(error) = (&mut pages).deserialize(&mut json) {
            break Err(error);
        }
        if json.end().is_ok() {
            break Ok(());
        }
    };
    let Pages {
        entries,
        total,
        more,
        found,
        ..
    } = pages;
    match outcome {
        Ok(()) if found => report.files += 1,
        Ok(()) => {
            let reason = format!("has no list `{}`; give the answer as it came", answer.list);
            report.bad_file(name, reason);
        }
        Err(error) => {
            let reason = format!(
                "no JSON from line {} column {} on; {entries} entries before it are used; \
                 fetch it again",
                error.line(),
                error.column()
            );
            report.files += u64::from(entries > 0);
            report.bad_file(name, reason);
        }
    }
    if let Some(total) = total.filter(|total| *total > entries) {
        report.warnings.push(format!(
            "{name} holds {entries} of {total} entries: fetch the other pages (`startIndex`) too"
        ));
    } else if more {
        report.warnings.push(format!(
            "{name} names a next page that is not there: fetch the pages (`page_token`) too"
        ));
    }
}

struct Pages<'p> {
    name: &'p str,
    answer: Answer,
    seen_at: UtcMicros,
    report: &'p mut SourceReport,
    take: TakeEntry<'p>,
    entries: u64,
    /// SCIM's `totalResults`.
    total: Option<u64>,
    /// Whether the last page has a `next_page_token`.
    more: bool,
    found: bool,
}

impl<'de> DeserializeSeed<'de> for &mut Pages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Pages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.more = false;
        while let Some(member) = members.next_key::<String>()? {
            match member.as_str() {
                list if list.eq_ignore_ascii_case(self.answer.list) => {
                    self.found = true;
                    members.next_value_seed(Entries(&mut *self))?;
                }
                "totalResults" => {
                    let total: Cell = members.next_value()?;
                    self.total = total
                        .int()
                        .ok()
                        .flatten()
                        .and_then(|n| u64::try_from(n).ok());
                }
                "next_page_token" => {
                    let token: Cell = members.next_value()?;
                    self.more = matches!(token.text(), Ok(Some(_)));
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    /// The list alone, as some tools save it.
    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<(), A::Error> {
        self.found = true;
        Entries(self).visit_seq(entries)
    }
}

struct Entries<'e, 'p>(&'e mut Pages<'p>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let pages = self.0;
        let columns = pages.answer.columns;
        while let Some(entry) = entries.next_element_seed(Entry(columns))? {
            pages.entries += 1;
            let place = Place::Entry(pages.entries);
            let Some(cells) = entry else {
                let reason = "no JSON object".to_owned();
                pages.report.bad_row(pages.name, place, reason);
                continue;
            };
            let row = Row::of_json(columns, cells, &[]);
            let seen_at = pages.seen_at;
            let take = &mut pages.take;
            take_row(&row, pages.name, place, pages.report, &mut |row| {
                take(row, seen_at).map(|()| None)
            });
        }
        Ok(())
    }
}

/// An entry, or `None` for a value that is no object.
struct Entry(Columns);

impl<'de> DeserializeSeed<'de> for Entry {
    type Value = Option<Vec<Cell>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry {
    type Value = Option<Vec<Cell>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        JsonRow(self.0).visit_map(members).map(Some)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
