//! A row's value as bytes, whatever its type: what dictionaries compare and
//! pages hold.

use crate::lake::columns::Values;

/// How values stand in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Physical {
    /// Their length comes first.
    Text,
    Int32,
    Int64,
    /// One bit; there are no dictionaries of these.
    Bool,
}

impl Physical {
    pub fn of<R>(values: &Values<R>) -> Physical {
        match values {
            Values::Text(_) | Values::MadeText(_) | Values::Texts(_) | Values::Structs(..) => {
                Physical::Text
            }
            Values::Int32(_) | Values::Date(_) => Physical::Int32,
            Values::Int64(_) | Values::Time(_) => Physical::Int64,
            Values::Bool(_) => Physical::Bool,
        }
    }

    /// Bytes before a value in the PLAIN encoding.
    pub fn prefix_len(self) -> usize {
        match self {
            Physical::Text => size_of::<u32>(),
            _ => 0,
        }
    }

    /// Appends a value in the PLAIN encoding.
    pub fn plain(self, value: &[u8], out: &mut Vec<u8>) {
        if self == Physical::Text {
            // A text is part of a log object, which is capped far below 4 GiB.
            let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_le_bytes());
        }
        out.extend_from_slice(value);
    }
}

/// Shows the row's value to `see`; `None` is NULL, and a list has no single one.
pub fn single<R, T>(values: &Values<R>, row: &R, see: impl FnOnce(Option<&[u8]>) -> T) -> T {
    match values {
        Values::Text(of) => see(of(row).map(str::as_bytes)),
        Values::MadeText(of) => see(of(row).as_deref().map(str::as_bytes)),
        Values::Int32(of) | Values::Date(of) => see(of(row)
            .map(i32::to_le_bytes)
            .as_ref()
            .map(<[u8; 4]>::as_slice)),
        Values::Int64(of) => see(of(row)
            .map(i64::to_le_bytes)
            .as_ref()
            .map(<[u8; 8]>::as_slice)),
        Values::Time(of) => see(of(row)
            .map(|at| at.0.to_le_bytes())
            .as_ref()
            .map(<[u8; 8]>::as_slice)),
        Values::Bool(of) => see(of(row)
            .map(|is| [u8::from(is)])
            .as_ref()
            .map(<[u8; 1]>::as_slice)),
        Values::Texts(_) | Values::Structs(..) => see(None),
    }
}
