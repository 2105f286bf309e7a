//! Finds the dataset that a location belongs to.
//!
//! `datasets.toml` names datasets and their locations:
//!
//! ```toml
//! [[dataset]]
//! name = "payroll"
//! sensitivity = "restricted"
//! owner = "hr@example.com"
//! locations = ["s3://lake/payroll/"]
//! ```
//!
//! A location is a path: it holds what lies at or below it, segment by segment,
//! so `s3://lake/pay` does not hold `s3://lake/payroll/x`. Of nested locations
//! the longest wins.
//!
//! INVARIANT (no allocation): finding a dataset is done for every event and looks
//! only at slices of the key; its cost grows with the depth of the key and not
//! with the number of locations.

use super::entries::Entries;
use super::error::{PolicyError, line_of};
use crate::model::Dataset;
use hashbrown::HashMap;
use serde::Deserialize;
use std::collections::BTreeSet;
use toml::Spanned;

/// The datasets, in the order of the file, and their locations.
#[derive(Debug, Default)]
pub(super) struct Datasets {
    list: Vec<Dataset>,
    /// Path below the bucket (no slash at its end, "" for all of it) to index, by bucket.
    buckets: HashMap<String, HashMap<String, u32>>,
    lines: Vec<usize>,
    locations: Vec<Location>,
    is_partial: bool,
}

/// A location, as the file gives it.
#[derive(Debug)]
pub(super) struct Location {
    dataset: u32,
    pub bucket: String,
    /// Below the bucket, without a slash at its end.
    pub path: String,
    pub line: usize,
}

/// The name of an entry, and what each has.
const ENTRY: (&str, &[&str]) = ("dataset", &["name", "locations"]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    sensitivity: Option<String>,
    owner: Option<String>,
    locations: Vec<Spanned<String>>,
}

impl Datasets {
    /// Reads `datasets.toml`; every fault in it is told.
    pub(super) fn parse(file: &str, text: &str, faults: &mut Vec<PolicyError>) -> Datasets {
        let mut fault = |offset: usize, message: String| {
            faults.push(PolicyError::Datasets {
                file: file.to_owned(),
                line: line_of(text, offset),
                message,
            });
        };
        let mut datasets = Datasets::default();
        let entries = Entries::<Entry>::read(file, text, ENTRY, &mut fault);
        datasets.is_partial = !entries.is_whole;
        for entry in entries.list {
            let start = entry.name.span().start;
            let Ok(index) = u32::try_from(datasets.list.len()) else {
                fault(start, "too many datasets".to_owned());
                break;
            };
            let name = entry.name.get_ref();
            if name.is_empty() {
                let message = "the dataset has an empty `name`; give it one";
                fault(start, message.to_owned());
            }
            if datasets.list.iter().any(|other| other.name == *name) {
                fault(
                    start,
                    format!(
                        "dataset `{name}` is defined twice; merge their locations or rename one"
                    ),
                );
            }
            for location in &entry.locations {
                let offset = location.span().start;
                let line = line_of(text, offset);
                if let Err(message) = datasets.add_location(location.get_ref(), name, (index, line))
                {
                    fault(offset, message);
                }
            }
            datasets.lines.push(line_of(text, start));
            datasets.list.push(Dataset {
                name: entry.name.into_inner(),
                sensitivity: entry.sensitivity,
                owner: entry.owner,
            });
        }
        datasets
    }

    fn add_location(
        &mut self,
        text: &str,
        name: &str,
        (index, line): (u32, usize),
    ) -> Result<(), String> {
        let (bucket, path) = parse_location(text).ok_or_else(|| {
            format!(
                "`{text}` is no location; write it like `s3://bucket/prefix/`, without wildcards"
            )
        })?;
        let paths = self.buckets.entry(bucket.to_owned()).or_default();
        match paths.insert(path.to_owned(), index) {
            Some(other) if other != index => {
                let other = self.get(other).map_or("", |other| other.name.as_str());
                Err(format!(
                    "location `{text}` of dataset `{name}` already belongs to dataset `{other}`; remove one of the two"
                ))
            }
            _ => {
                self.locations.push(Location {
                    dataset: index,
                    bucket: bucket.to_owned(),
                    path: path.to_owned(),
                    line,
                });
                Ok(())
            }
        }
    }

    /// The datasets with the lines where they begin.
    pub(super) fn with_lines(&self) -> impl Iterator<Item = (&Dataset, usize)> {
        self.list.iter().zip(self.lines.iter().copied())
    }

    /// Locations that lie in one of another dataset, with that dataset.
    pub(super) fn nested(&self) -> impl Iterator<Item = (&Location, &Dataset, &Dataset)> {
        self.locations.iter().filter_map(|inner| {
            let (parent, _) = inner.path.rsplit_once('/').unwrap_or(("", &inner.path));
            let above = (!inner.path.is_empty())
                .then(|| self.find(&inner.bucket, Some(parent)))
                .flatten()?;
            let (inner_dataset, outer) = (self.get(inner.dataset)?, self.get(above)?);
            (inner.dataset != above).then_some((inner, inner_dataset, outer))
        })
    }

    pub(super) fn get(&self, index: u32) -> Option<&Dataset> {
        self.list.get(usize::try_from(index).ok()?)
    }

    /// Whether datasets are missing here that the file may define.
    pub(super) fn is_partial(&self) -> bool {
        self.is_partial
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|dataset| dataset.name.as_str())
    }

    /// The index of the dataset of that name.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        let index = self.list.iter().position(|dataset| dataset.name == name)?;
        u32::try_from(index).ok()
    }

    /// Whether the other finds datasets of the same names everywhere.
    pub(super) fn finds_like(&self, other: &Datasets) -> bool {
        let places = |of: &Datasets| -> BTreeSet<(String, String, String)> {
            let each = of.locations.iter();
            let place = each.filter_map(|location| {
                let name = of.get(location.dataset)?.name.clone();
                Some((location.bucket.clone(), location.path.clone(), name))
            });
            place.collect()
        };
        places(self) == places(other)
    }

    pub(super) fn has_bucket(&self, bucket: &str) -> bool {
        self.buckets.contains_key(bucket)
    }

    /// Finds the dataset with the longest location that holds the key.
    pub(super) fn find(&self, bucket: &str, key: Option<&str>) -> Option<u32> {
        let paths = self.buckets.get(bucket)?;
        let mut path = key.unwrap_or("");
        loop {
            if let Some(&index) = paths.get(path) {
                return Some(index);
            }
            if path.is_empty() {
                return None;
            }
            path = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

/// Splits a location into bucket and path; Spark writes `s3a` and `s3n` for `s3`.
fn parse_location(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    if !["s3", "s3a", "s3n"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
    let sound = !bucket.is_empty() && !text.contains(['*', '?']);
    sound.then(|| (bucket, path.strip_suffix('/').unwrap_or(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const NESTED: &str = r#"
        [[dataset]]
        name = "lake"
        locations = ["s3://lake/", "s3://other"]

        [[dataset]]
        name = "payroll"
        sensitivity = "restricted"
        owner = "hr@example.com"
        locations = ["s3a://lake/hr/payroll/", "S3N://vault/pay"]

        [[dataset]]
        name = "empty"
        locations = []
    "#;

    #[track_caller]
    fn check(text: &str, expect: Expect) {
        let mut faults = Vec::new();
        Datasets::parse("datasets.toml", text, &mut faults);
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        expect.assert_eq(&texts.join("\n"));
    }

    #[test]
    fn the_longest_location_on_whole_segments_wins() {
        let mut faults = Vec::new();
        let datasets = Datasets::parse("datasets.toml", NESTED, &mut faults);
        assert_eq!(faults, []);
        let find = |bucket: &str, key: Option<&str>| {
            let index = datasets.find(bucket, key)?;
            Some(datasets.get(index)?.name.clone())
        };
        for (bucket, key, name) in [
            ("lake", Some("hr/payroll/2026/x.parquet"), Some("payroll")),
            ("lake", Some("hr/payroll/"), Some("payroll")),
            ("lake", Some("hr/payroll"), Some("payroll")),
            ("lake", Some("hr/payroll2/x"), Some("lake")),
            ("lake", Some("hr/"), Some("lake")),
            ("lake", Some(""), Some("lake")),
            ("lake", None, Some("lake")),
            ("lake", Some("//hr"), Some("lake")),
            ("other", Some("a"), Some("lake")),
            ("vault", Some("pay/x"), Some("payroll")),
            ("vault", Some("payroll/x"), None),
            ("vault", None, None),
            ("nowhere", Some("hr/payroll/x"), None),
        ] {
            assert_eq!(find(bucket, key).as_deref(), name, "{bucket} {key:?}");
        }
    }

    #[test]
    fn datasets_find_alike_whatever_else_is_said_of_them() {
        let parse = |text: &str| Datasets::parse("datasets.toml", text, &mut Vec::new());
        let known = parse(NESTED);
        for (from, to, alike) in [
            ("", "", true),
            ("restricted", "public", true),
            ("s3a://lake/hr/payroll/", "s3://lake/hr/payroll", true),
            ("name = \"empty\"", "name = \"bare\"", true),
            ("hr/payroll", "hr/pay", false),
            ("name = \"payroll\"", "name = \"wages\"", false),
            (", \"s3://other\"", "", false),
            ("s3://lake/", "s3://pond/", false),
        ] {
            let other = parse(&NESTED.replacen(from, to, 1));
            assert_eq!(known.finds_like(&other), alike, "{from} -> {to}");
        }
        assert!(!known.finds_like(&Datasets::default()));
    }

    #[test]
    fn a_location_in_that_of_another_dataset_is_told() {
        let datasets = Datasets::parse("datasets.toml", NESTED, &mut Vec::new());
        let nested = datasets.nested().map(|(location, inner, outer)| {
            format!("{} {} in {}", location.path, inner.name, outer.name)
        });
        assert_eq!(nested.collect::<Vec<_>>(), ["hr/payroll payroll in lake"]);
    }

    #[test]
    fn all_faults_are_told() {
        check(
            "[[dataset]]\nname = \"\"\nlocations = [\"x\"]\n[[dataset]]\nname = \"a\"\nlocations = [\"y\"]\n",
            expect![[r"
                policy file `datasets.toml`, line 2: the dataset has an empty `name`; give it one
                policy file `datasets.toml`, line 3: `x` is no location; write it like `s3://bucket/prefix/`, without wildcards
                policy file `datasets.toml`, line 6: `y` is no location; write it like `s3://bucket/prefix/`, without wildcards"]],
        );
    }

    #[test]
    fn a_location_has_one_dataset() {
        check(
            r#"
[[dataset]]
name = "a"
locations = ["s3://lake/x/"]
[[dataset]]
name = "b"
locations = [
  "s3://lake/y/",
  "s3a://lake/x",
]
"#,
            expect![
                "policy file `datasets.toml`, line 9: location `s3a://lake/x` of dataset `b` already belongs to dataset `a`; remove one of the two"
            ],
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        check(
            "[[dataset]]\nname = \"a\"\nsensitivty = \"x\"\nlocations = []\n",
            expect![
                "policy file `datasets.toml`, line 3: unknown field `sensitivty`, expected one of `name`, `sensitivity`, `owner`, `locations`; see the example in the documentation of datasets.toml"
            ],
        );
    }

    #[test]
    fn a_dataset_has_a_name_of_its_own() {
        check(
            "[[dataset]]\nname = \"a\"\nlocations = []\n[[dataset]]\nname = \"a\"\nlocations = []\n",
            expect![
                "policy file `datasets.toml`, line 5: dataset `a` is defined twice; merge their locations or rename one"
            ],
        );
        check(
            "[[dataset]]\nlocations = []\n",
            expect![
                "policy file `datasets.toml`, line 1: missing field `name`; see the example in the documentation of datasets.toml"
            ],
        );
    }

    #[test]
    fn a_location_is_an_s3_prefix_without_wildcards() {
        check(
            "[[dataset]]\nname = \"a\"\nlocations = [\"s3://lake/*.csv\"]\n",
            expect![
                "policy file `datasets.toml`, line 3: `s3://lake/*.csv` is no location; write it like `s3://bucket/prefix/`, without wildcards"
            ],
        );
        check(
            "[[dataset]]\nname = \"a\"\nlocations = [\"/mnt/lake\"]\n",
            expect![
                "policy file `datasets.toml`, line 3: `/mnt/lake` is no location; write it like `s3://bucket/prefix/`, without wildcards"
            ],
        );
    }
}
