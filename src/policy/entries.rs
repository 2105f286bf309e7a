//! Reads the TOML files of a policy, each a list of entries of one kind.
//!
//! `[[dataset]]`, `[[exception]]`, `[[test]]`: an entry that cannot be read does not hide
//! what is wrong with the others, nor does one of its fields hide another's. What is
//! wrong comes with its place, in bytes, once each.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

/// The entries of a file that could be read.
#[derive(Debug)]
pub(super) struct Entries<T> {
    pub list: Vec<T>,
    /// None was left out.
    pub is_whole: bool,
}

impl<T: DeserializeOwned> Entries<T> {
    /// Reads the `[[name]]` entries of a file, each with the `required` fields at least;
    /// everything else in it is a fault.
    pub fn read(
        file: &str,
        text: &str,
        (name, required): (&str, &[&str]),
        fault: &mut impl FnMut(usize, String),
    ) -> Entries<T> {
        let (document, broken) = DeTable::parse_recoverable(text);
        let mut faults = Vec::new();
        let mut list = Vec::new();
        let broken: Vec<(usize, String)> = broken.iter().map(told).collect();
        for (key, value) in document.into_inner() {
            if key.get_ref() != name {
                let message = format!("`{}` is unknown here; write `[[{name}]]`", key.get_ref());
                faults.push((key.span().start, message));
                continue;
            }
            let start = value.span().start;
            let DeValue::Array(entries) = value.into_inner() else {
                faults.push((start, format!("`{name}` is a list; write `[[{name}]]`")));
                continue;
            };
            let starts: Vec<usize> = entries.iter().map(|entry| entry.span().start).collect();
            for (index, entry) in entries.into_iter().enumerate() {
                let from = entry.span().start;
                let until = starts.get(index + 1).copied().unwrap_or(text.len() + 1);
                // What is missing in it may stand where the text is broken.
                if broken.iter().any(|(at, _)| (from..until).contains(at)) {
                    continue;
                }
                list.extend(read_one(entry, required, &mut faults));
            }
        }
        faults.extend(broken);
        faults.sort();
        faults.dedup();
        let is_whole = faults.is_empty();
        for (at, message) in faults {
            let remedy = format!("see the example in the documentation of {file}");
            fault(at, format!("{message}; {remedy}"));
        }
        Entries { list, is_whole }
    }
}

/// Reads one entry; every field that is wrong in it is told.
fn read_one<T: DeserializeOwned>(
    mut entry: Spanned<DeValue<'_>>,
    required: &[&str],
    faults: &mut Vec<(usize, String)>,
) -> Option<T> {
    let at = entry.span().start;
    if let DeValue::Table(fields) = entry.get_ref() {
        // The reader tells of the first alone.
        for field in required
            .iter()
            .filter(|field| !fields.contains_key(**field))
        {
            faults.push((at, format!("missing field `{field}`")));
        }
    }
    let mut left_out: Vec<String> = Vec::new();
    loop {
        let error = match T::deserialize(ValueDeserializer::from(entry.clone())) {
            Ok(read) => return left_out.is_empty().then_some(read),
            Err(error) => error,
        };
        let (at, message) = told(&error);
        let is_told = required
            .iter()
            .any(|field| message == format!("missing field `{field}`"));
        if !is_told {
            faults.push((at, message));
        }
        let wrong = match entry.get_ref() {
            DeValue::Table(fields) => fields.iter().find_map(|(key, value)| {
                let holds = key.span().contains(&at) || value.span().contains(&at);
                holds.then(|| key.get_ref().to_string())
            }),
            _ => None,
        };
        match (entry.get_mut(), wrong) {
            (DeValue::Table(fields), Some(field)) => {
                fields.remove(field.as_str());
                left_out.push(field);
            }
            _ => return None,
        }
    }
}

/// The place of a fault, and what is wrong; the parser lists what it expected on
/// further lines.
fn told(error: &Error) -> (usize, String) {
    let at = error.span().map_or(0, |span| span.start);
    (at, error.message().replace('\n', "; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read to be shown")]
    struct Entry {
        name: String,
        size: u32,
        tags: Option<Vec<String>>,
    }

    const ENTRY: (&str, &[&str]) = ("entry", &["name", "size"]);

    #[track_caller]
    fn check(text: &str, expect: Expect) {
        let mut faults = Vec::new();
        let entries = Entries::<Entry>::read("x.toml", text, ENTRY, &mut |at, message| {
            let line = 1 + text[..at].matches('\n').count();
            let message = message.replace("; see the example in the documentation of x.toml", "");
            faults.push(format!("{line}: {message}\n"));
        });
        assert_eq!(entries.is_whole, faults.is_empty());
        let names: Vec<&str> = entries.list.iter().map(|entry| &*entry.name).collect();
        expect.assert_eq(&format!("{names:?}\n{}", faults.concat()));
    }

    #[test]
    fn sound_entries_are_read() {
        let sound = "[[entry]]\nname = \"a\"\nsize = 1\n[[entry]]\nname = \"b\"\nsize = 2\ntags = [\"x\"]\n";
        check(
            sound,
            expect![[r#"
            ["a", "b"]
        "#]],
        );
        check(
            "",
            expect![[r#"
            []
        "#]],
        );
        check(
            "entry = [{ name = \"a\", size = 1 }]",
            expect![[r#"
            ["a"]
        "#]],
        );
    }

    #[test]
    fn each_entry_and_each_field_tells_its_own_fault() {
        check(
            "[[entry]]\nname = 1\nsiz = 2\nsize = \"x\"\ntags = [1]\n[[entry]]\nname = \"b\"\n[[entry]]\nname = \"c\"\nsize = 3\n",
            expect![[r#"
                ["c"]
                2: invalid type: integer `1`, expected a string
                3: unknown field `siz`, expected one of `name`, `size`, `tags`
                4: invalid type: string "x", expected u32
                5: invalid type: integer `1`, expected a string
                6: missing field `size`
            "#]],
        );
    }

    #[test]
    fn every_missing_field_is_told_beside_a_wrong_one() {
        check(
            "[[entry]]\ntags = []\n[[entry]]\nname = 1\n",
            expect![[r#"
            []
            1: missing field `name`
            1: missing field `size`
            3: missing field `size`
            4: invalid type: integer `1`, expected a string
        "#]],
        );
    }

    #[test]
    fn a_broken_line_hides_neither_the_next_one_nor_other_entries() {
        check(
            "[[entry]]\nname = \"a\nsize = 1\n[[entry]]\nname = 1\nsize = 2\n[[entry]]\nname = \"c\"\nsize = = 3\n[[entry]]\nname = \"d\"\nsize = 4\n",
            expect![[r#"
                ["d"]
                2: invalid basic string, expected `"`
                5: invalid type: integer `1`, expected a string
                9: extra `=`, expected nothing
                9: unexpected key or value, expected newline, `#`
            "#]],
        );
    }

    #[test]
    fn what_is_no_entry_is_a_fault() {
        check(
            "more = 1\n[entry]\nname = \"a\"\n[[entries]]\nname = \"b\"\n",
            expect![[r#"
                []
                1: `more` is unknown here; write `[[entry]]`
                2: `entry` is a list; write `[[entry]]`
                4: `entries` is unknown here; write `[[entry]]`
            "#]],
        );
    }
}
