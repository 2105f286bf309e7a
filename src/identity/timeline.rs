//! Things with a start and an end, grouped by a key, found by key and time.
//!
//! Sorted vectors: a lookup is a hash and a few binary searches within its group,
//! and tells over which times the same things are found.

use crate::model::{TimeSpan, UtcMicros};
use hashbrown::HashMap;
use std::hash::Hash;
use std::ops::Range;

/// A thing and its time, both ends included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<T> {
    pub from: UtcMicros,
    pub until: UtcMicros,
    /// The latest end of this item and those before it in the group: an item that
    /// lasts long is found without looking at all.
    latest: UtcMicros,
    pub value: T,
}

#[derive(Clone, Debug)]
pub(super) struct Timeline<K, T> {
    groups: HashMap<K, Range<u32>>,
    items: Vec<Item<T>>,
    /// The ends of each group's items, sorted.
    ends: Vec<UtcMicros>,
}

impl<K, T> Default for Timeline<K, T> {
    fn default() -> Timeline<K, T> {
        Timeline {
            groups: HashMap::new(),
            items: Vec::new(),
            ends: Vec::new(),
        }
    }
}

impl<K: Copy + Ord + Hash, T: Copy + Ord> Timeline<K, T> {
    /// Sorts the things by key and time; what is there twice counts once.
    pub fn of(mut things: Vec<(K, UtcMicros, UtcMicros, T)>) -> Timeline<K, T> {
        things.sort_unstable();
        things.dedup();
        let mut timeline = Timeline {
            groups: HashMap::new(),
            items: Vec::with_capacity(things.len()),
            ends: Vec::with_capacity(things.len()),
        };
        for group in things.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, ..)) = group.first() else {
                continue;
            };
            let start = timeline.items.len();
            let mut latest = UtcMicros::MIN;
            for (_, from, until, value) in group {
                latest = latest.max(*until);
                timeline.items.push(Item {
                    from: *from,
                    until: *until,
                    latest,
                    value: *value,
                });
                timeline.ends.push(*until);
            }
            if let Some(ends) = timeline.ends.get_mut(start..) {
                ends.sort_unstable();
            }
            if let (Ok(from), Ok(to)) = (u32::try_from(start), u32::try_from(timeline.items.len()))
            {
                timeline.groups.insert(*key, from..to);
            }
        }
        timeline
    }

    /// Returns everything of a key, the earliest first.
    pub fn all(&self, key: K) -> &[Item<T>] {
        self.range(key)
            .and_then(|range| self.items.get(range))
            .unwrap_or_default()
    }

    /// Returns what stands at `at`, or up to `slack` seconds before or after it;
    /// narrows `span` to the times at which the same stands.
    pub fn at<'a>(
        &'a self,
        key: K,
        at: UtcMicros,
        slack: i64,
        span: &mut TimeSpan,
    ) -> impl Iterator<Item = &'a Item<T>> + use<'a, K, T> {
        let items = self.all(key);
        let (low, high) = (at.plus_seconds(-slack), at.plus_seconds(slack));
        let next = first_not(items, |item| item.from <= high);
        let first = first_not(items, |item| item.latest < low);
        let ends = self
            .range(key)
            .and_then(|range| self.ends.get(range))
            .unwrap_or_default();
        let left = first_not(ends, |end| *end < low);
        if let Some(item) = items.get(next) {
            span.until = span.until.min(UtcMicros(
                item.from.plus_seconds(-slack).0.saturating_sub(1),
            ));
        }
        if let Some(item) = next.checked_sub(1).and_then(|last| items.get(last)) {
            span.from = span.from.max(item.from.plus_seconds(-slack));
        }
        if let Some(end) = ends.get(left) {
            span.until = span.until.min(end.plus_seconds(slack));
        }
        if let Some(end) = left.checked_sub(1).and_then(|last| ends.get(last)) {
            span.from = span
                .from
                .max(UtcMicros(end.plus_seconds(slack).0.saturating_add(1)));
        }
        items
            .get(first..next)
            .unwrap_or_default()
            .iter()
            .filter(move |item| item.until >= low)
    }

    /// Returns what stands anywhere between two times, both included.
    pub fn between(
        &self,
        key: K,
        from: UtcMicros,
        until: UtcMicros,
    ) -> impl Iterator<Item = &Item<T>> {
        let items = self.all(key);
        let next = first_not(items, |item| item.from <= until);
        let first = first_not(items, |item| item.latest < from);
        items
            .get(first..next)
            .unwrap_or_default()
            .iter()
            .filter(move |item| item.until >= from)
    }

    fn range(&self, key: K) -> Option<Range<usize>> {
        let range = self.groups.get(&key)?;
        Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
    }
}

/// Things that are looked through from the first on: in memory that no cache holds,
/// that is faster than to leap about.
const FEW: usize = 32;

/// The place of the first thing of which it is not true; all after it are like it.
fn first_not<T>(things: &[T], is: impl Fn(&T) -> bool) -> usize {
    if things.len() > FEW {
        return things.partition_point(is);
    }
    let found = things.iter().position(|thing| !is(thing));
    found.unwrap_or(things.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn at(seconds: i64) -> UtcMicros {
        UtcMicros::from_seconds(seconds)
    }

    proptest! {
        #[test]
        fn a_lookup_finds_what_a_scan_finds_and_for_as_long_as_it_says(
            things in vec((0_u8..3, 0_i64..60, 0_i64..40, 0_u8..4), 0..20),
            key in 0_u8..3,
            time in -10_i64..110,
            slack in 0_i64..8,
        ) {
            let things: Vec<_> = things
                .into_iter()
                .map(|(key, from, life, value)| (key, at(from), at(from + life), value))
                .collect();
            let timeline = Timeline::of(things.clone());
            let scan = |time: i64| {
                let mut found: Vec<_> = things
                    .iter()
                    .filter(|(k, from, until, _)| {
                        *k == key && *from <= at(time + slack) && *until >= at(time - slack)
                    })
                    .map(|(_, from, until, value)| (*from, *until, *value))
                    .collect();
                found.sort();
                found.dedup();
                found
            };
            let mut span = TimeSpan::ALWAYS;
            let found: Vec<_> = timeline
                .at(key, at(time), slack, &mut span)
                .map(|item| (item.from, item.until, item.value))
                .collect();
            prop_assert_eq!(&found, &scan(time));
            let between: Vec<_> = timeline
                .between(key, at(time - slack), at(time + slack))
                .map(|item| (item.from, item.until, item.value))
                .collect();
            prop_assert_eq!(&found, &between);
            prop_assert!(span.contains(at(time)));
            for other in (-20..130).filter(|other| span.contains(at(*other))) {
                prop_assert_eq!(&found, &scan(other), "at {}", other);
            }
        }
    }
}
