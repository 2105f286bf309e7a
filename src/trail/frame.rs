//! Finds the array of records in a log object, and where each value ends.
//!
//! By brackets and quotes only: whether a record is JSON is found out when it is
//! read, so that one bad record does not cost its neighbours.

/// Why the records could not be walked through: the brackets do not match up,
/// or the text ends inside a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// Hands the place after the opening bracket of the array `Records` to `walk`,
/// which returns the place after its closing bracket; so for a top-level array,
/// as some aggregated files are written. Returns how many arrays there were:
/// where there are several, the last one counts, as for any JSON member.
pub fn each_records_array<E: From<Unbalanced>>(
    raw: &[u8],
    mut walk: impl FnMut(usize) -> Result<usize, E>,
) -> Result<usize, E> {
    let mut at = skip_blanks(raw, 0);
    if raw.get(at) == Some(&b'[') {
        let end = walk(at + 1)?;
        return ends_at(raw, end).then_some(1).ok_or(Unbalanced.into());
    }
    if raw.get(at) != Some(&b'{') {
        return Ok(0);
    }
    at += 1;
    let mut found = 0;
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
                    return Err(Unbalanced.into());
                }
                at = skip_blanks(raw, at + 1);
                if name == Some(b"Records") && raw.get(at) == Some(&b'[') {
                    at = walk(at + 1)?;
                    found += 1;
                } else {
                    at = value_end(raw, at)?;
                }
            }
            _ => return Err(Unbalanced.into()),
        }
    }
    ends_at(raw, at + 1)
        .then_some(found)
        .ok_or(Unbalanced.into())
}

/// Where the next item of an array begins, and `true`; the place after the
/// closing bracket, and `false`, where there is none.
pub fn next_item(raw: &[u8], at: usize) -> Result<(usize, bool), Unbalanced> {
    let mut at = at;
    loop {
        at = skip_blanks(raw, at);
        match raw.get(at) {
            Some(b']') => return Ok((at + 1, false)),
            Some(b',') => at += 1,
            Some(_) => return Ok((at, true)),
            None => return Err(Unbalanced),
        }
    }
}

/// Checks that an item which ends at `at` is followed by another or by the end
/// of its array.
pub fn ends_item(raw: &[u8], at: usize) -> Result<(), Unbalanced> {
    match raw.get(skip_blanks(raw, at)) {
        Some(b',' | b']') => Ok(()),
        _ => Err(Unbalanced),
    }
}

/// The place after the value at `at`, by brackets and quotes only.
pub fn value_end(raw: &[u8], at: usize) -> Result<usize, Unbalanced> {
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
            None => return Err(Unbalanced),
        }
    }
}

/// The place after the string whose quote stands at `at`.
fn string_end(raw: &[u8], at: usize) -> Result<usize, Unbalanced> {
    let mut at = at + 1;
    loop {
        let rest = raw.get(at..).ok_or(Unbalanced)?;
        let found = memchr::memchr2(b'"', b'\\', rest).ok_or(Unbalanced)?;
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

    /// The items of the records arrays, the last array's only.
    fn items(raw: &str) -> Result<Option<Vec<&str>>, Unbalanced> {
        let mut found = Vec::new();
        let bytes = raw.as_bytes();
        let arrays = each_records_array(bytes, |mut at| {
            found.clear();
            loop {
                let (start, is_item) = next_item(bytes, at)?;
                if !is_item {
                    return Ok(start);
                }
                at = value_end(bytes, start)?;
                if at == start {
                    return Err(Unbalanced);
                }
                ends_item(bytes, at)?;
                found.push(&raw[start..at]);
            }
        })?;
        Ok((arrays > 0).then_some(found))
    }

    #[test]
    fn records_are_found_among_other_members_and_blanks() {
        let raw = " {\"a\": [1,{\"Records\":[2]}], \"Records\" : [ {\"x\":\"]\\\"}\"} ,\n7, \"s\"], \"z\":null}\n";
        assert_eq!(
            items(raw),
            Ok(Some(vec!["{\"x\":\"]\\\"}\"}", "7", "\"s\""]))
        );
    }

    #[test]
    fn a_cut_text_has_no_records() {
        let whole = r#"{"Records":[{"a":"b\\"},{"c":[1,2]}]}"#;
        assert_eq!(
            items(whole).map(|items| items.map_or(0, |items| items.len())),
            Ok(2)
        );
        for cut in 1..whole.len() {
            assert!(items(&whole[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn records_of_another_type_are_none() {
        assert_eq!(items(r#"{"Records":"x"}"#), Ok(None));
        assert_eq!(items("{}"), Ok(None));
        assert_eq!(items("[]"), Ok(Some(vec![])));
        assert_eq!(items("null"), Ok(None));
    }

    #[test]
    fn the_last_of_several_arrays_counts() {
        assert_eq!(
            items(r#"{"Records":[1,2],"Records":[3]}"#),
            Ok(Some(vec!["3"]))
        );
    }

    #[test]
    fn items_without_a_byte_between_them_are_refused() {
        assert_eq!(items(r#"[{}{}]"#), Err(Unbalanced));
        assert_eq!(items(r#"[1 2]"#), Err(Unbalanced));
    }
}
