//! A row of an export as its reader sees it: columns by name, of which those it
//! needs are there and the others were never read.
//!
//! Values of an Arrow batch become cells only when asked for, so that the many
//! audit events that nothing needs cost little.
//!
//! A needed value that is missing or unreadable makes the row bad; any other is
//! read as unknown and noted.

use super::arrow_cell::cell_at;
use super::cell::{Cell, same_name};
use crate::model::UtcMicros;
use arrow::array::{ArrayRef, RecordBatch};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

/// Names of the columns that a reader needs, each in one of its spellings.
pub type Columns = &'static [&'static str];

pub struct Row<'a> {
    columns: Columns,
    cells: Cells<'a>,
    /// `name=value` folders above the file: columns that partitioned writers
    /// leave out of it.
    folder_values: &'a [(String, String)],
    bad_values: RefCell<Vec<String>>,
}

enum Cells<'a> {
    /// In the order of `columns`.
    Json(Vec<Cell>),
    Arrow {
        arrays: &'a [Option<ArrayRef>],
        row: usize,
    },
}

impl<'a> Row<'a> {
    pub fn of_json(
        columns: Columns,
        cells: Vec<Cell>,
        folder_values: &'a [(String, String)],
    ) -> Row<'a> {
        Row {
            columns,
            cells: Cells::Json(cells),
            folder_values,
            bad_values: RefCell::default(),
        }
    }

    pub fn of_arrow(
        columns: Columns,
        arrays: &'a [Option<ArrayRef>],
        row: usize,
        folder_values: &'a [(String, String)],
    ) -> Row<'a> {
        Row {
            columns,
            cells: Cells::Arrow { arrays, row },
            folder_values,
            bad_values: RefCell::default(),
        }
    }

    /// What could not be read so far.
    pub fn take_bad_values(&self) -> Vec<String> {
        self.bad_values.take()
    }

    fn place(&self, name: &str) -> Option<usize> {
        let place = self.columns.iter().position(|column| *column == name);
        debug_assert!(
            place.is_some(),
            "`{name}` is not among the reader's columns"
        );
        place
    }

    pub fn cell(&self, name: &str) -> Cow<'_, Cell> {
        let held = match (&self.cells, self.place(name)) {
            (Cells::Json(cells), Some(place)) => cells.get(place).map(Cow::Borrowed),
            (Cells::Arrow { arrays, row }, Some(place)) => arrays
                .get(place)
                .and_then(Option::as_ref)
                .map(|array| Cow::Owned(cell_at(array.as_ref(), *row))),
            (_, None) => None,
        };
        match held {
            Some(cell) if !cell.is_null() => cell,
            _ => self
                .folder_values
                .iter()
                .find(|(column, _)| same_name(column, name))
                .map_or(Cow::Owned(Cell::Null), |(_, value)| {
                    Cow::Owned(Cell::Text(value.clone()))
                }),
        }
    }

    /// # Errors
    /// When it is missing or no text.
    pub fn need_text(&self, name: &str) -> Result<String, String> {
        match self.cell(name).text() {
            Ok(Some(text)) => Ok(text.into_owned()),
            Ok(None) => Err(format!("`{name}` is missing")),
            Err(problem) => Err(format!("`{name}` {problem}")),
        }
    }

    /// # Errors
    /// When it is missing or no instant.
    pub fn need_time(&self, name: &str) -> Result<UtcMicros, String> {
        match self.cell(name).time() {
            Ok(Some(time)) => Ok(time),
            Ok(None) => Err(format!("`{name}` is missing")),
            Err(problem) => Err(format!("`{name}` {problem}")),
        }
    }

    pub fn text(&self, name: &str) -> Option<String> {
        let cell = self.cell(name);
        let text = cell.text().map(|text| text.map(Cow::into_owned));
        self.noted(name, text).flatten()
    }

    pub fn time(&self, name: &str) -> Option<UtcMicros> {
        self.noted(name, self.cell(name).time()).flatten()
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.noted(name, self.cell(name).int()).flatten()
    }

    pub fn flag(&self, name: &str) -> Option<bool> {
        self.noted(name, self.cell(name).flag()).flatten()
    }

    /// The members of a map, sorted; those that are no text are left out.
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let cell = self.cell(name);
        let opened = cell.opened();
        let Cell::Members(members) = &*opened else {
            return Vec::new();
        };
        let texts = members.iter().filter_map(|(key, value)| {
            let value = value.text().ok()?.unwrap_or_default();
            Some((key.clone(), value.into_owned()))
        });
        let mut pairs: Vec<(String, String)> = texts.collect();
        pairs.sort();
        pairs.dedup();
        pairs
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        self.noted(name, self.cell(name).texts())
            .unwrap_or_default()
    }

    fn noted<T>(&self, name: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|problem| {
            self.bad_values
                .borrow_mut()
                .push(format!("`{name}` {problem}"))
        })
        .ok()
    }
}

/// The arrays of those columns, in their order; `None` where there is none.
pub fn arrays_of(columns: Columns, batch: &RecordBatch) -> Vec<Option<ArrayRef>> {
    let schema = batch.schema();
    columns
        .iter()
        .map(|name| {
            let place = schema
                .fields()
                .iter()
                .position(|field| same_name(field.name(), name))?;
            batch.columns().get(place).cloned()
        })
        .collect()
}

/// Reads those members of a JSON object and passes over the others.
#[derive(Clone, Copy)]
pub struct JsonRow(pub Columns);

impl<'de> DeserializeSeed<'de> for JsonRow {
    type Value = Vec<Cell>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Cell>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for JsonRow {
    type Value = Vec<Cell>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<Cell>, A::Error> {
        let mut cells = vec![Cell::Null; self.0.len()];
        while let Some(name) = members.next_key::<String>()? {
            let place = self.0.iter().position(|column| same_name(column, &name));
            match place.and_then(|place| cells.get_mut(place)) {
                // Of two spellings in one object the one that says something stands.
                Some(cell) => {
                    let value: Cell = members.next_value()?;
                    if !value.is_null() {
                        *cell = value;
                    }
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(cells)
    }
}

/// Why a text is no JSON object, without quoting it: it may hold parameters that
/// nobody should read in a report.
pub fn json_problem(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => "JSON is cut off".to_owned(),
        Category::Syntax => format!("no JSON from column {}", error.column()),
        Category::Data => "no JSON object; write one object a line".to_owned(),
        Category::Io => format!("cannot be read further: {error}"),
    }
}
