//! Finds the records of a log without parsing them: where each begins and ends.
//!
//! Two callers need it. A large object is parsed slice by slice, because the
//! tape of a whole one would take several times the object's memory and leave
//! the CPU's caches. And an object that does not parse as a whole is parsed
//! record by record, so that one bad record does not cost its neighbours.

use std::ops::Range;

/// Why no records could be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// The brackets do not match up, or the text ends inside a value.
    Unbalanced,
    /// There is no array `Records` at the top level.
    NoRecords,
    /// More than [`RECORDS_MAX`].
    TooMany,
}

/// Records of one object, at most: their places alone take 32 MiB then.
///
/// The largest object has room for so many of 80 bytes each.
const RECORDS_MAX: usize = 2 * 1024 * 1024;

/// Byte ranges of the items of the top-level array `Records` (or of a top-level
/// array itself, as some aggregated files are written).
///
/// INVARIANT (bracketed): the byte before the first item and the byte after the
/// last one, and one byte between two items, belong to no item: callers may
/// overwrite them with brackets.
pub fn split_records(raw: &[u8]) -> Result<Vec<Range<usize>>, SplitError> {
    let mut at = skip_blanks(raw, 0);
    if raw.get(at) == Some(&b'[') {
        let (items, end) = split_array(raw, at)?;
        return ends_at(raw, end)
            .then_some(items)
            .ok_or(SplitError::Unbalanced);
    }
    if raw.get(at) != Some(&b'{') {
        return Err(SplitError::NoRecords);
    }
    at += 1;
    let mut found = None;
    loop {
        at = skip_blanks(raw, at);
        match raw.get(at) {
            Some(b'}') => break,
            Some(b',') => at += 1,
            Some(b'"') => {
                let name_end = string_end(raw, at)?;
                let name = raw.get(at + 1..name_end - 1);
                at = skip_blanks(raw, name_end);
                if raw.get(at) != Some(&b':') {
                    return Err(SplitError::Unbalanced);
                }
                at = skip_blanks(raw, at + 1);
                if name == Some(b"Records") && raw.get(at) == Some(&b'[') {
                    let (items, end) = split_array(raw, at)?;
                    found = Some(items);
                    at = end;
                } else {
                    at = value_end(raw, at)?;
                }
            }
            _ => return Err(SplitError::Unbalanced),
        }
    }
    if !ends_at(raw, at + 1) {
        return Err(SplitError::Unbalanced);
    }
    found.ok_or(SplitError::NoRecords)
}

/// Items of the array whose bracket stands at `open`, and the place after it.
fn split_array(raw: &[u8], open: usize) -> Result<(Vec<Range<usize>>, usize), SplitError> {
    let mut items = Vec::new();
    let mut at = open + 1;
    loop {
        at = skip_blanks(raw, at);
        match raw.get(at) {
            Some(b']') => return Ok((items, at + 1)),
            Some(b',') => at += 1,
            Some(_) => {
                let end = value_end(raw, at)?;
                if end == at {
                    return Err(SplitError::Unbalanced);
                }
                if items.len() >= RECORDS_MAX {
                    return Err(SplitError::TooMany);
                }
                items.push(at..end);
                at = end;
                // Two items need a byte between them to be told apart.
                let next = skip_blanks(raw, at);
                if !matches!(raw.get(next), Some(b',' | b']')) {
                    return Err(SplitError::Unbalanced);
                }
            }
            None => return Err(SplitError::Unbalanced),
        }
    }
}

/// The place after the value at `at`, by brackets and quotes only.
fn value_end(raw: &[u8], at: usize) -> Result<usize, SplitError> {
    let mut depth = 0_usize;
    let mut at = at;
    loop {
        match raw.get(at) {
            Some(b'"') => {
                at = string_end(raw, at)?;
                if depth == 0 {
                    return Ok(at);
                }
            }
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
            }
            Some(b'}' | b']') if depth == 0 => return Ok(at),
            Some(b'}' | b']') => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            Some(b',' | b' ' | b'\t' | b'\r' | b'\n') if depth == 0 => return Ok(at),
            Some(_) => at += 1,
            None => return Err(SplitError::Unbalanced),
        }
    }
}

/// The place after the string whose quote stands at `at`.
fn string_end(raw: &[u8], at: usize) -> Result<usize, SplitError> {
    let mut at = at + 1;
    loop {
        let rest = raw.get(at..).ok_or(SplitError::Unbalanced)?;
        let found = memchr::memchr2(b'"', b'\\', rest).ok_or(SplitError::Unbalanced)?;
        at += found;
        match raw.get(at) {
            Some(b'"') => return Ok(at + 1),
            _ => at += 2,
        }
    }
}

fn skip_blanks(raw: &[u8], at: usize) -> usize {
    raw.get(at..)
        .and_then(|rest| {
            rest.iter()
                .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        })
        .map_or(raw.len(), |blanks| at + blanks)
}

fn ends_at(raw: &[u8], at: usize) -> bool {
    skip_blanks(raw, at) >= raw.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(raw: &str) -> Result<Vec<&str>, SplitError> {
        Ok(split_records(raw.as_bytes())?
            .into_iter()
            .map(|range| raw.get(range).unwrap_or("?"))
            .collect())
    }

    #[test]
    fn records_are_found_among_other_members_and_blanks() {
        let raw = " {\"a\": [1,{\"Records\":[2]}], \"Records\" : [ {\"x\":\"]\\\"}\"} ,\n7, \"s\"], \"z\":null}\n";
        assert_eq!(items(raw), Ok(vec!["{\"x\":\"]\\\"}\"}", "7", "\"s\""]));
    }

    #[test]
    fn a_cut_text_has_no_records() {
        let whole = r#"{"Records":[{"a":"b\\"},{"c":[1,2]}]}"#;
        assert_eq!(items(whole).map(|items| items.len()), Ok(2));
        for cut in 1..whole.len() {
            assert!(items(&whole[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn records_of_another_type_are_none() {
        assert_eq!(items(r#"{"Records":"x"}"#), Err(SplitError::NoRecords));
        assert_eq!(items("{}"), Err(SplitError::NoRecords));
        assert_eq!(items("[]"), Ok(vec![]));
        assert_eq!(items("null"), Err(SplitError::NoRecords));
    }

    #[test]
    fn items_without_a_byte_between_them_are_refused() {
        assert_eq!(items(r#"[{}{}]"#), Err(SplitError::Unbalanced));
        assert_eq!(items(r#"[1 2]"#), Err(SplitError::Unbalanced));
    }
}
