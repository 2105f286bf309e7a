//! One value of an export, whichever format it stood in, and its reading as an
//! id, an instant, a flag, a member.
//!
//! Exports disagree on types (`workspace_id` is text or a number, `user_identity`
//! a struct or JSON text, `request_params` a map or a struct, an instant a
//! timestamp, ISO text or epoch milliseconds) and on spelling (`status_code` in
//! tables, `statusCode` in delivery files). So a value is read by what is wanted
//! of it, and names are compared without case and underscores.
//!
//! An empty text and an absent member are the same thing in these APIs: `None`.

use crate::model::UtcMicros;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest part of a value that a reason quotes.
const QUOTED_CHARS_MAX: usize = 40;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(UtcMicros),
    List(Vec<Cell>),
    /// A struct, a map or a JSON object.
    Members(Vec<(String, Cell)>),
    /// A type that nothing is read from, by its name.
    Other(&'static str),
}

/// Whether two names are one, apart from case and underscores.
pub fn same_name(a: &str, b: &str) -> bool {
    fn plain(name: &str) -> impl Iterator<Item = u8> {
        name.bytes()
            .filter(|byte| *byte != b'_')
            .map(|byte| byte.to_ascii_lowercase())
    }
    plain(a).eq(plain(b))
}

impl Cell {
    /// The value as an id or other text; numbers are written out.
    ///
    /// # Errors
    /// When it is neither text nor a number, in words.
    pub fn text(&self) -> Result<Option<Cow<'_, str>>, String> {
        match self {
            Cell::Null => Ok(None),
            Cell::Text(text) => {
                let text = text.trim();
                Ok((!text.is_empty()).then_some(Cow::Borrowed(text)))
            }
            Cell::Int(number) => Ok(Some(Cow::Owned(number.to_string()))),
            // Ids pass through tools that know only floats.
            Cell::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
                Ok(Some(Cow::Owned(format!("{number:.0}"))))
            }
            other => Err(format!("is no text: {}", other.quoted())),
        }
    }

    /// # Errors
    /// When it is no instant of 1970 to 9999.
    pub fn time(&self) -> Result<Option<UtcMicros>, String> {
        let time = match self {
            Cell::Null => return Ok(None),
            Cell::Time(at) => sane(*at),
            Cell::Int(number) => from_epoch(*number),
            Cell::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
                from_epoch(*number as i64)
            }
            Cell::Text(text) if text.trim().is_empty() => return Ok(None),
            Cell::Text(text) => from_text(text.trim()),
            _ => None,
        };
        time.map(Some)
            .ok_or_else(|| format!("is no time: {}", self.quoted()))
    }

    /// # Errors
    /// When it is no whole number.
    pub fn int(&self) -> Result<Option<i64>, String> {
        let number = match self {
            Cell::Null => return Ok(None),
            Cell::Int(number) => Some(*number),
            Cell::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => {
                Some(*number as i64)
            }
            Cell::Text(text) if text.trim().is_empty() => return Ok(None),
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .map(Some)
            .ok_or_else(|| format!("is no whole number: {}", self.quoted()))
    }

    /// # Errors
    /// When it is no flag.
    pub fn flag(&self) -> Result<Option<bool>, String> {
        match self {
            Cell::Null => Ok(None),
            Cell::Bool(flag) => Ok(Some(*flag)),
            Cell::Int(0) => Ok(Some(false)),
            Cell::Int(1) => Ok(Some(true)),
            Cell::Text(text) => match text.trim() {
                "" => Ok(None),
                flag if flag.eq_ignore_ascii_case("true") => Ok(Some(true)),
                flag if flag.eq_ignore_ascii_case("false") => Ok(Some(false)),
                _ => Err(format!("is no flag: {}", self.quoted())),
            },
            _ => Err(format!("is no flag: {}", self.quoted())),
        }
    }

    /// A member of a struct, a map or JSON text; NULL where there is none.
    pub fn member(&self, name: &str) -> Cow<'_, Cell> {
        match self.opened() {
            Cow::Borrowed(Cell::Members(members)) => members
                .iter()
                .find(|(held, _)| same_name(held, name))
                .map_or(Cow::Owned(Cell::Null), |(_, cell)| Cow::Borrowed(cell)),
            Cow::Owned(Cell::Members(members)) => members
                .into_iter()
                .find(|(held, _)| same_name(held, name))
                .map_or(Cow::Owned(Cell::Null), |(_, cell)| Cow::Owned(cell)),
            _ => Cow::Owned(Cell::Null),
        }
    }

    /// The first of these members that says anything.
    pub fn first_text(&self, names: &[&str]) -> Option<String> {
        let opened = self.opened();
        names.iter().find_map(|name| {
            let cell = opened.member(name);
            let text = cell.text().ok().flatten()?;
            Some(text.into_owned())
        })
    }

    /// The texts of a list, or of JSON text that holds one; a single text is a
    /// list of one.
    ///
    /// # Errors
    /// When it is no list of texts.
    pub fn texts(&self) -> Result<Vec<String>, String> {
        let opened = self.opened();
        match opened.as_ref() {
            Cell::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    texts.extend(item.text()?.map(Cow::into_owned));
                }
                Ok(texts)
            }
            other => Ok(other
                .text()
                .map_err(|_| format!("is no list: {}", other.quoted()))?
                .map(Cow::into_owned)
                .into_iter()
                .collect()),
        }
    }

    pub fn items(&self) -> Vec<Cell> {
        match self.opened().into_owned() {
            Cell::List(items) => items,
            _ => Vec::new(),
        }
    }

    pub fn is_null(&self) -> bool {
        *self == Cell::Null
    }

    /// The value, or what its text holds if that is a JSON object or list.
    pub fn opened(&self) -> Cow<'_, Cell> {
        if let Cell::Text(text) = self
            && text.trim_start().starts_with(['{', '['])
            && let Ok(cell) = serde_json::from_str::<Cell>(text)
        {
            return Cow::Owned(cell);
        }
        Cow::Borrowed(self)
    }

    /// The value for a reason: short, and of nested values only their kind, for
    /// parameters of requests may hold what nobody should read in a report.
    fn quoted(&self) -> String {
        match self {
            Cell::Null => "NULL".to_owned(),
            Cell::Bool(flag) => format!("`{flag}`"),
            Cell::Int(number) => format!("`{number}`"),
            Cell::Float(number) => format!("`{number}`"),
            Cell::Text(text) => {
                let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
                format!("`{short}`")
            }
            Cell::Time(at) => format!("`{at}`"),
            Cell::List(_) => "a list".to_owned(),
            Cell::Members(_) => "a struct".to_owned(),
            Cell::Other(kind) => format!("a value of type {kind}"),
        }
    }
}

fn sane(at: UtcMicros) -> Option<UtcMicros> {
    const YEAR_10000: i64 = 253_402_300_800_000_000;
    (0..YEAR_10000).contains(&at.0).then_some(at)
}

/// An epoch in seconds, milliseconds or microseconds, told apart by size: each
/// range covers 1973 to 5138.
fn from_epoch(number: i64) -> Option<UtcMicros> {
    let micros = match number {
        100_000_000..100_000_000_000 => number.checked_mul(1_000_000)?,
        100_000_000_000..100_000_000_000_000 => number.checked_mul(1000)?,
        100_000_000_000_000.. => number,
        _ => return None,
    };
    sane(UtcMicros(micros))
}

/// ISO 8601 with `T` or a space, with an offset, `Z`, `UTC` or none of them
/// (UTC), a date alone, or an epoch written as text.
fn from_text(text: &str) -> Option<UtcMicros> {
    use chrono::{DateTime, NaiveDate, NaiveDateTime};
    if let Some(at) = UtcMicros::parse_iso(text) {
        return Some(at);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return from_epoch(text.parse().ok()?);
    }
    let bare = ["UTC", "Z"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))
        .unwrap_or(text)
        .trim_end();
    for separator in ["T", " "] {
        let form = format!("%Y-%m-%d{separator}%H:%M:%S%.f");
        if let Ok(at) = NaiveDateTime::parse_from_str(bare, &form) {
            return sane(UtcMicros::from_datetime(at.and_utc()));
        }
        if let Ok(at) = DateTime::parse_from_str(bare, &format!("{form}%#z")) {
            return sane(UtcMicros::from_datetime(at.to_utc()));
        }
    }
    let date = NaiveDate::parse_from_str(bare, "%Y-%m-%d").ok()?;
    sane(UtcMicros::from_datetime(
        date.and_hms_opt(0, 0, 0)?.and_utc(),
    ))
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Cell, E> {
        Ok(Cell::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Cell, E> {
        Ok(Cell::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Cell, E> {
        Ok(i64::try_from(number).map_or_else(|_| Cell::Text(number.to_string()), Cell::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Cell, E> {
        Ok(Cell::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Cell, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Cell::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Cell, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = members.next_entry()? {
            list.push(member);
        }
        Ok(Cell::Members(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> Cell {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check_time(json: &str, expect: &str) {
        let time = cell(json).time().unwrap().unwrap();
        assert_eq!(time.to_string(), expect, "{json}");
    }

    #[test]
    fn an_instant_may_be_written_in_many_ways() {
        for (json, expect) in [
            ("\"2026-03-27T17:08:37Z\"", "2026-03-27T17:08:37Z"),
            (
                "\"2026-03-27T17:08:37.123Z\"",
                "2026-03-27T17:08:37.123000Z",
            ),
            (
                "\"2026-03-27T17:08:37.123+00:00\"",
                "2026-03-27T17:08:37.123000Z",
            ),
            ("\"2026-03-27T17:08:37+0200\"", "2026-03-27T15:08:37Z"),
            ("\"2026-03-27 17:08:37\"", "2026-03-27T17:08:37Z"),
            (
                "\"2026-03-27 17:08:37.5 UTC\"",
                "2026-03-27T17:08:37.500000Z",
            ),
            ("\"2026-03-27T17:08:37\"", "2026-03-27T17:08:37Z"),
            ("\"2026-03-27\"", "2026-03-27T00:00:00Z"),
            ("1774631317123", "2026-03-27T17:08:37.123000Z"),
            ("\"1774631317123\"", "2026-03-27T17:08:37.123000Z"),
            ("1774631317", "2026-03-27T17:08:37Z"),
            ("1774631317123456", "2026-03-27T17:08:37.123456Z"),
            ("1774631317123.0", "2026-03-27T17:08:37.123000Z"),
        ] {
            check_time(json, expect);
        }
    }

    #[test]
    fn what_is_no_instant_is_said_so_and_nothing_is_null() {
        for json in [
            "\"yesterday\"",
            "true",
            "12",
            "-5",
            "[]",
            "\"9999999-01-01\"",
            "1e300",
        ] {
            assert!(cell(json).time().is_err(), "{json}");
        }
        assert_eq!(cell("\"\"").time(), Ok(None));
        assert_eq!(cell("null").time(), Ok(None));
    }

    #[test]
    fn an_id_may_be_a_number_and_an_empty_text_is_none() {
        assert_eq!(
            cell("1234567890123456").text().unwrap().unwrap(),
            "1234567890123456"
        );
        assert_eq!(
            cell("1234567890123456.0").text().unwrap().unwrap(),
            "1234567890123456"
        );
        assert_eq!(
            cell("18446744073709551615").text().unwrap().unwrap(),
            "18446744073709551615"
        );
        assert_eq!(cell("\" \"").text(), Ok(None));
        assert!(cell("{}").text().is_err());
    }

    #[test]
    fn a_member_is_found_in_a_struct_and_in_json_text_under_either_spelling() {
        for json in [
            r#"{"status_code": 200}"#,
            r#"{"statusCode": 200}"#,
            r#""{\"statusCode\": 200}""#,
        ] {
            assert_eq!(
                cell(json).member("status_code").int(),
                Ok(Some(200)),
                "{json}"
            );
        }
        assert!(cell("\"{broken\"").member("a").is_null());
    }

    #[test]
    fn a_reason_never_quotes_what_is_inside_a_struct() {
        let error = cell(r#"{"commandText": "secret"}"#).text().unwrap_err();
        assert_eq!(error, "is no text: a struct");
    }
}
