//! Texts that repeat, each kept once and known by a number.
//!
//! Millions of facts name a few thousand workspaces, clusters and people; a
//! number takes 4 bytes where an owned text takes 48.
//!
//! Numbers follow the order of arrival, so nothing that leaves this layer may
//! follow the order of numbers: lists are sorted by text.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// The number of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(u32);

impl Name {
    /// Stands for an absent text.
    pub const NONE: Name = Name(u32::MAX);

    pub fn is_none(self) -> bool {
        self == Name::NONE
    }

    /// `None` for the absent text.
    pub fn filled(self) -> Option<Name> {
        (!self.is_none()).then_some(self)
    }
}

/// All texts, one after the other in one buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    hasher: DefaultHashBuilder,
    text: String,
    /// Where each text ends.
    ends: Vec<usize>,
    table: HashTable<u32>,
}

impl Names {
    /// Returns the number of a text, a new one if it is new; an empty text is absent.
    pub fn add(&mut self, text: &str) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        if let Some(name) = self.find(text) {
            return name;
        }
        let Some(number) = u32::try_from(self.ends.len())
            .ok()
            .filter(|number| *number != u32::MAX)
        else {
            return Name::NONE;
        };
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let (hasher, all, ends) = (&self.hasher, &self.text, &self.ends);
        self.table
            .insert_unique(hasher.hash_one(text), number, |number| {
                hasher.hash_one(at(all, ends, *number))
            });
        Name(number)
    }

    pub fn add_some(&mut self, text: Option<&str>) -> Name {
        text.map_or(Name::NONE, |text| self.add(text))
    }

    pub fn find(&self, text: &str) -> Option<Name> {
        let hash = self.hasher.hash_one(text);
        self.table
            .find(hash, |number| at(&self.text, &self.ends, *number) == text)
            .map(|number| Name(*number))
    }

    /// Returns the text; "" for the absent one.
    pub fn text(&self, name: Name) -> &str {
        at(&self.text, &self.ends, name.0)
    }

    pub fn owned(&self, name: Name) -> Option<String> {
        name.filled().map(|name| self.text(name).to_owned())
    }
}

fn at<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let Ok(place) = usize::try_from(number) else {
        return "";
    };
    let start = place
        .checked_sub(1)
        .and_then(|before| ends.get(before))
        .copied()
        .unwrap_or(0);
    ends.get(place)
        .and_then(|end| text.get(start..*end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number_and_an_empty_one_none() {
        let mut names = Names::default();
        let (a, b) = (names.add("alpha"), names.add("beta"));
        assert_eq!(names.add("alpha"), a);
        assert_ne!(a, b);
        assert_eq!((names.text(a), names.text(b)), ("alpha", "beta"));
        assert_eq!(names.find("beta"), Some(b));
        assert_eq!(names.find("gamma"), None);
        assert!(names.add("").is_none() && names.add_some(None).is_none());
        assert_eq!(names.text(Name::NONE), "");
        for number in 0..1000 {
            let name = names.add(&number.to_string());
            assert_eq!(names.text(name), number.to_string());
        }
        assert_eq!(names.text(a), "alpha");
    }
}
