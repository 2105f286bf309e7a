//! A table's columns, each with its name, its type and where its value comes
//! from: the schema and the rows are made from the same list, so they cannot
//! disagree.

use crate::model::UtcMicros;
use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Hands each text of a row's list to its second argument.
pub type EachText<R> = fn(&R, &mut dyn FnMut(&str));

/// Hands the members of each struct of a row's list to its second argument.
pub type EachStruct<R> = fn(&R, &mut dyn FnMut(&[Option<&str>]));

/// Where the values of a column come from; `None` is NULL.
pub enum Values<R> {
    Text(for<'a> fn(&'a R) -> Option<&'a str>),
    /// Text that has to be made for each row.
    MadeText(fn(&R) -> Option<String>),
    Int32(fn(&R) -> Option<i32>),
    Int64(fn(&R) -> Option<i64>),
    Bool(fn(&R) -> Option<bool>),
    Time(fn(&R) -> Option<UtcMicros>),
    /// Days since the epoch.
    Date(fn(&R) -> Option<i32>),
    /// A list of texts.
    Texts(EachText<R>),
    /// A list of structs of texts, their members in the order of the names.
    Structs(&'static [&'static str], EachStruct<R>),
}

/// What the value of a column follows from: rows of one batch that have the part
/// in common have the value in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Nothing shared: the row itself.
    Row,
    /// The object it was read from.
    Source,
    Batch,
    Principal,
    Client,
    Target,
    /// What was asked for, how, and how AWS answered.
    Request,
    /// Who it was, as far as that was worked out.
    Attribution,
    Dataset,
    Judgement,
}

/// One column of a table whose rows are of type `R`.
pub struct Column<R> {
    pub name: &'static str,
    pub part: Part,
    pub values: Values<R>,
}

/// Abbreviates a column in the tables' lists.
pub fn column<R>(name: &'static str, values: Values<R>) -> Column<R> {
    shared(Part::Row, name, values)
}

/// A column whose value follows from a part of the row.
pub fn shared<R>(part: Part, name: &'static str, values: Values<R>) -> Column<R> {
    Column { name, part, values }
}

impl<R> Column<R> {
    pub fn data_type(&self) -> DataType {
        match &self.values {
            Values::Text(_) | Values::MadeText(_) => DataType::Utf8,
            Values::Int32(_) => DataType::Int32,
            Values::Int64(_) => DataType::Int64,
            Values::Bool(_) => DataType::Boolean,
            Values::Time(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Values::Date(_) => DataType::Date32,
            Values::Texts(_) => DataType::List(Arc::new(item(DataType::Utf8))),
            Values::Structs(names, _) => {
                DataType::List(Arc::new(item(DataType::Struct(struct_fields(names)))))
            }
        }
    }

    fn build(&self, rows: &[R]) -> ArrayRef {
        match &self.values {
            Values::Text(value) => {
                let mut b = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
                for row in rows {
                    b.append_option(value(row));
                }
                Arc::new(b.finish())
            }
            Values::MadeText(value) => {
                let mut b = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
                for row in rows {
                    b.append_option(value(row));
                }
                Arc::new(b.finish())
            }
            Values::Int32(value) => {
                let mut b = Int32Builder::with_capacity(rows.len());
                rows.iter().for_each(|row| b.append_option(value(row)));
                Arc::new(b.finish())
            }
            Values::Int64(value) => {
                let mut b = Int64Builder::with_capacity(rows.len());
                rows.iter().for_each(|row| b.append_option(value(row)));
                Arc::new(b.finish())
            }
            Values::Bool(value) => {
                let mut b = BooleanBuilder::with_capacity(rows.len());
                rows.iter().for_each(|row| b.append_option(value(row)));
                Arc::new(b.finish())
            }
            Values::Time(value) => {
                let mut b =
                    TimestampMicrosecondBuilder::with_capacity(rows.len()).with_timezone("UTC");
                rows.iter()
                    .for_each(|row| b.append_option(value(row).map(|at| at.0)));
                Arc::new(b.finish())
            }
            Values::Date(value) => {
                let mut b = Date32Builder::with_capacity(rows.len());
                rows.iter().for_each(|row| b.append_option(value(row)));
                Arc::new(b.finish())
            }
            Values::Texts(each) => {
                let mut b = ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8));
                for row in rows {
                    each(row, &mut |text| b.values().append_value(text));
                    b.append(true);
                }
                Arc::new(b.finish())
            }
            Values::Structs(names, each) => build_structs(names, rows, *each),
        }
    }
}

fn build_structs<R>(names: &'static [&'static str], rows: &[R], each: EachStruct<R>) -> ArrayRef {
    let fields = struct_fields(names);
    let builder = StructBuilder::from_fields(fields.clone(), 0);
    let mut b = ListBuilder::new(builder).with_field(item(DataType::Struct(fields)));
    for row in rows {
        each(row, &mut |members| {
            let item = b.values();
            for i in 0..names.len() {
                if let Some(member) = item.field_builder::<StringBuilder>(i) {
                    member.append_option(members.get(i).copied().flatten());
                }
            }
            item.append(true);
        });
        b.append(true);
    }
    Arc::new(b.finish())
}

fn item(data_type: DataType) -> Field {
    Field::new("element", data_type, true)
}

fn struct_fields(names: &[&str]) -> Fields {
    names
        .iter()
        .map(|name| Field::new(*name, DataType::Utf8, true))
        .collect()
}

/// The Arrow schema of a list of columns; every column is nullable.
pub fn schema<R>(columns: &[Column<R>]) -> SchemaRef {
    Arc::new(Schema::new(
        columns
            .iter()
            .map(|column| Field::new(column.name, column.data_type(), true))
            .collect::<Vec<_>>(),
    ))
}

/// The rows as a record batch of that schema.
pub fn batch<R>(
    schema: &SchemaRef,
    columns: &[Column<R>],
    rows: &[R],
) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_new(
        schema.clone(),
        columns.iter().map(|column| column.build(rows)).collect(),
    )
}
