//! Storage locations: how they are written, compared, and found from a key.
//!
//! A location is `bucket/folder/folder`, compared on whole segments with case
//! kept: `sales/ord` does not hold `sales/orders`. `s3`, `s3a` and `s3n` are one
//! scheme; slashes at either end say nothing.

use super::names::{Name, Names};
use super::root_bucket::workspace_of_key;
use crate::model::{Asked, Operation, Outcome};
use hashbrown::HashSet;

/// Returns a location without scheme and outer slashes; `None` for another scheme
/// or no bucket.
pub(super) fn location(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let is_s3 = ["s3", "s3a", "s3n"]
        .iter()
        .any(|s3| scheme.eq_ignore_ascii_case(s3));
    let rest = rest.trim_matches('/');
    (is_s3 && !rest.is_empty()).then(|| rest.to_owned())
}

/// Whether a location is the other or lies above it.
pub(super) fn holds(location: &str, other: &str) -> bool {
    other
        .strip_prefix(location)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The location and all above it, the longest first.
pub(super) fn upwards(location: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(location), |inner| {
        inner.rsplit_once('/').map(|(outer, _)| outer)
    })
}

/// The segments that are UUIDs: managed tables and volumes lie under theirs.
pub(super) fn uuids(location: &str) -> impl Iterator<Item = &str> {
    location.split('/').filter(|segment| is_uuid(segment))
}

pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// What the object key (or list prefix) and the kind of an access decide of its
/// attribution: accesses that are alike otherwise and have equal places have equal
/// answers.
///
/// There are as many as known locations, not as many as keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The innermost known location.
    pub(super) location: Name,
    /// The known table or volume whose UUID is a segment.
    pub(super) uuid: Name,
    pub(super) direction: Direction,
    /// S3 refused it: the key may be for any other place.
    pub(super) is_refused: bool,
    /// Addressed to a bucket as a whole.
    pub(super) is_bucket: bool,
    workspace: Option<(u64, u8)>,
}

/// What an access did to data, as far as a vended key's operation can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Read,
    Write,
    /// Refused, or neither: any key may have been used.
    Other,
}

impl Direction {
    fn of(asked: &Asked<'_>) -> Direction {
        match (asked.operation, asked.outcome) {
            (Operation::Read | Operation::List, Outcome::Ok | Outcome::Error) => Direction::Read,
            (Operation::Write | Operation::Delete, Outcome::Ok) => Direction::Write,
            _ => Direction::Other,
        }
    }
}

/// The locations and table ids that facts name.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    locations: HashSet<Name>,
    buckets: HashSet<String>,
    ids: HashSet<Name>,
}

impl Places {
    pub fn add_location(&mut self, location: Name, names: &Names) {
        if !location.is_none() && self.locations.insert(location) {
            let bucket = names.text(location).split('/').next().unwrap_or_default();
            if !self.buckets.contains(bucket) {
                self.buckets.insert(bucket.to_owned());
            }
        }
    }

    pub fn add_id(&mut self, id: Name) {
        if !id.is_none() {
            self.ids.insert(id);
        }
    }

    /// Tells the place of an access.
    pub fn of(&self, asked: &Asked<'_>, names: &Names) -> Place {
        let mut place = Place {
            location: Name::NONE,
            uuid: Name::NONE,
            direction: Direction::of(asked),
            is_refused: asked.outcome == Outcome::Denied,
            is_bucket: false,
            workspace: None,
        };
        let key = asked.object_key.or(asked.list_prefix);
        let Some(key) = key.filter(|key| !key.is_empty()) else {
            place.is_bucket = true;
            return place;
        };
        if let Some(workspace) = asked.object_key.and_then(workspace_of_key) {
            let digits = u8::try_from(workspace.len()).unwrap_or(u8::MAX);
            place.workspace = workspace.parse().ok().map(|id| (id, digits));
        }
        let Some(bucket) = asked.bucket else {
            return place;
        };
        if !self.ids.is_empty() {
            place.uuid = uuids(key)
                .filter_map(|uuid| names.find(uuid))
                .find(|id| self.ids.contains(id))
                .unwrap_or(Name::NONE);
        }
        if self.buckets.contains(bucket) {
            let path = format!("{bucket}/{}", key.trim_matches('/'));
            place.location = upwards(path.trim_end_matches('/'))
                .filter_map(|outer| names.find(outer))
                .find(|location| self.locations.contains(location))
                .unwrap_or(Name::NONE);
        }
        place
    }

    /// The known locations that hold the given one.
    pub fn holding<'a>(
        &'a self,
        location: &'a str,
        names: &'a Names,
    ) -> impl Iterator<Item = Name> + 'a {
        upwards(location)
            .filter_map(|outer| names.find(outer))
            .filter(|location| self.locations.contains(location))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_compared_on_whole_segments() {
        for (url, expect) in [
            ("s3://lake/sales/", Some("lake/sales")),
            ("S3A://lake//sales", Some("lake//sales")),
            ("s3n://lake", Some("lake")),
            ("s3://", None),
            ("dbfs:/mnt/x", None),
            ("abfss://lake@x/y", None),
        ] {
            assert_eq!(location(url).as_deref(), expect, "{url}");
        }
        assert!(holds("lake/sales", "lake/sales/orders"));
        assert!(holds("lake/sales", "lake/sales"));
        assert!(!holds("lake/sales/ord", "lake/sales/orders"));
        assert!(!holds("lake/Sales", "lake/sales"));
        assert_eq!(upwards("a/b/c").collect::<Vec<_>>(), ["a/b/c", "a/b", "a"]);
    }

    #[test]
    fn a_uuid_is_a_whole_segment() {
        let id = "5c1cf5a4-87b9-4cc2-9770-d10b894b0000";
        let path = format!("lake/tables/{id}/part-{id}.parquet");
        assert_eq!(uuids(&path).collect::<Vec<_>>(), [id]);
        assert!(!is_uuid("5c1cf5a4-87b9-4cc2-9770-d10b894b000x"));
    }
}
