//! One row of a result, its cells found by name and read as text.
//!
//! A column that the table does not have reads like NULL: an older lake is
//! explained as far as it goes.

use crate::model::UtcMicros;
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StructArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::context::SessionContext;
use std::collections::BTreeMap;

/// The rows of a query over the lake.
///
/// # Errors
/// When the query cannot be planned or run.
pub async fn rows(context: &SessionContext, sql: &str) -> datafusion::error::Result<Vec<Cells>> {
    let batches = context.sql(sql).await?.collect().await?;
    Ok(Cells::each(&batches).collect())
}

/// A row that is kept: a batch of one row, and its flat cells as text.
#[derive(Clone)]
pub struct Cells {
    batch: RecordBatch,
    texts: BTreeMap<String, String>,
}

impl Cells {
    /// Takes the row out of the batch; `None` if it has no such row.
    pub fn of(batch: &RecordBatch, row: usize) -> Option<Cells> {
        if row >= batch.num_rows() {
            return None;
        }
        let batch = batch.slice(row, 1);
        let texts = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .filter(|(field, _)| !field.data_type().is_nested())
            .filter_map(|(field, column)| Some((field.name().clone(), shown(column)?)))
            .collect();
        Some(Cells { batch, texts })
    }

    /// The rows of the batches, one by one.
    pub fn each(batches: &[RecordBatch]) -> impl Iterator<Item = Cells> {
        batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).filter_map(|row| Cells::of(batch, row)))
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// A flat cell; `None` for NULL.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    pub fn owned(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned()
    }

    pub fn time(&self, name: &str) -> Option<UtcMicros> {
        let times = self
            .column(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()?;
        times.iter().next().flatten().map(UtcMicros)
    }

    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// A count; 0 for NULL.
    pub fn count(&self, name: &str) -> u64 {
        let number = self.number(name).unwrap_or(0);
        u64::try_from(number).unwrap_or(0)
    }

    pub fn truth(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A list of texts; NULL and a missing column are empty ones.
    pub fn list(&self, name: &str) -> Vec<String> {
        let Some(items) = self.items(name) else {
            return Vec::new();
        };
        texts_of(&items).into_iter().flatten().collect()
    }

    /// The named members of each struct in a list.
    pub fn structs<const N: usize>(
        &self,
        name: &str,
        members: [&str; N],
    ) -> Vec<[Option<String>; N]> {
        let items = self.items(name);
        let Some(items) = items.as_ref().and_then(|items| items.as_struct_opt()) else {
            return Vec::new();
        };
        let member = |items: &StructArray, name: &str| items.column_by_name(name).map(texts_of);
        let columns = members.map(|name| member(items, name).unwrap_or_default());
        (0..items.len())
            .map(|i| std::array::from_fn(|member| columns.get(member)?.get(i).cloned().flatten()))
            .collect()
    }

    /// A cell of any type as one text, for comparing; "" for NULL.
    pub fn shown(&self, name: &str) -> String {
        self.column(name).and_then(shown).unwrap_or_default()
    }

    fn column(&self, name: &str) -> Option<&ArrayRef> {
        self.batch.column_by_name(name)
    }

    fn items(&self, name: &str) -> Option<ArrayRef> {
        let lists = self.column(name)?.as_list_opt::<i32>()?;
        (!lists.is_empty() && lists.is_valid(0)).then(|| lists.value(0))
    }
}

/// The first cell of a column; `None` for NULL.
fn shown(column: &ArrayRef) -> Option<String> {
    if column.is_empty() || column.is_null(0) {
        return None;
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).ok()?;
    Some(formatter.value(0).to_string())
}

fn texts_of(column: &ArrayRef) -> Vec<Option<String>> {
    let options = FormatOptions::default();
    let Ok(formatter) = ArrayFormatter::try_new(column, &options) else {
        return Vec::new();
    };
    (0..column.len())
        .map(|i| (!column.is_null(i)).then(|| formatter.value(i).to_string()))
        .collect()
}
