//! Values of Arrow arrays as cells: what Parquet files and Delta tables hold.
//!
//! Spark writes one column in several physical types over the years (dictionary,
//! view and large texts, timestamps of every unit, with and without a zone); a
//! timestamp without a zone is UTC, as in the system tables.

use super::cell::Cell;
use crate::model::UtcMicros;
use arrow::array::{Array, ArrayRef, AsArray as _};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The value of that row.
pub fn cell_at(array: &dyn Array, row: usize) -> Cell {
    if row >= array.len() || array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Null => Cell::Null,
        DataType::Boolean => Cell::Bool(array.as_boolean().value(row)),
        DataType::Int8 => Cell::Int(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Int(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => Cell::Int(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => Cell::Int(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Cell::Int(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => Cell::Int(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => {
            let number = array.as_primitive::<UInt64Type>().value(row);
            i64::try_from(number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Int)
        }
        DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).to_owned()),
        DataType::Timestamp(unit, _) => Cell::Time(timestamp(array, *unit, row)),
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            Cell::Time(UtcMicros(days * MICROS_PER_DAY))
        }
        DataType::Date64 => {
            let millis = array.as_primitive::<Date64Type>().value(row);
            Cell::Time(UtcMicros(millis.saturating_mul(1000)))
        }
        DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref()),
        DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref()),
        DataType::Struct(fields) => {
            let members = array.as_struct();
            let member = |(field, column): (&FieldRef, &ArrayRef)| {
                (field.name().clone(), cell_at(column, row))
            };
            Cell::Members(fields.iter().zip(members.columns()).map(member).collect())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let [keys, values] = entries.columns() else {
                return Cell::Other("map");
            };
            let entry = |i| match cell_at(keys, i) {
                Cell::Text(key) => Some((key, cell_at(values, i))),
                _ => None,
            };
            Cell::Members((0..entries.len()).filter_map(entry).collect())
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            match cell_at(dictionary.keys(), row) {
                Cell::Int(key) => usize::try_from(key)
                    .map_or(Cell::Null, |key| cell_at(dictionary.values().as_ref(), key)),
                _ => Cell::Null,
            }
        }
        DataType::Decimal128(_, 0) => Cell::Text(
            array
                .as_primitive::<Decimal128Type>()
                .value(row)
                .to_string(),
        ),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Cell::Other("binary"),
        DataType::Decimal128(..) | DataType::Decimal256(..) => Cell::Other("decimal"),
        _ => Cell::Other("unknown"),
    }
}

fn list(items: &dyn Array) -> Cell {
    Cell::List((0..items.len()).map(|i| cell_at(items, i)).collect())
}

fn timestamp(array: &dyn Array, unit: TimeUnit, row: usize) -> UtcMicros {
    UtcMicros(match unit {
        TimeUnit::Second => array
            .as_primitive::<TimestampSecondType>()
            .value(row)
            .saturating_mul(1_000_000),
        TimeUnit::Millisecond => array
            .as_primitive::<TimestampMillisecondType>()
            .value(row)
            .saturating_mul(1000),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
        TimeUnit::Nanosecond => array
            .as_primitive::<TimestampNanosecondType>()
            .value(row)
            .div_euclid(1000),
    })
}
