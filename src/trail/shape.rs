//! Reads a record by the shape it shares with records before it.
//!
//! CloudTrail writes the records of one kind with the same members in the same
//! order: what differs are the values between them. So the text between values
//! is learned once ([`learn`]), as a tree of literals; a later record that
//! follows the tree is read by comparing literals and finding the ends of
//! values, several times faster than making a tape of it and walking that.
//!
//! The objects that vary on their own (identity, parameters, answer, resources)
//! have trees of their own, so that shapes add up instead of multiplying. Most
//! identities are repeated byte for byte within an object: they are recognised
//! whole, with the number under which the principal is kept.
//!
//! INVARIANT (same fields): a record read by shape is valid JSON and has the
//! fields that [`Fields::read`] would find: every byte of it was either compared
//! with a literal of a valid record or checked as a value, and values lie where
//! that record had a value of the same kind. Whatever is not plainly so (an
//! escape, a control character, a number in exponent form) is not read by shape.
//! Property tests compare both ways.
//!
//! INVARIANT (bounded): the trees hold at most [`LITERAL_BYTES_MAX`] and
//! [`NODES_MAX`]; a shape is learned when it is met for the second time, and
//! when the trees are full they are forgotten and learned anew.

mod learn;

use super::fields::{Count, Fields, Place, Presence, ResourceText, Text};
use super::tape::whole;
use hashbrown::HashMap;
use std::hash::BuildHasher as _;
use std::ops::Range;

/// Text of all literals, in bytes; some 200 shapes of 1 kB.
const LITERAL_BYTES_MAX: usize = 256 * 1024;
const NODES_MAX: usize = 16 * 1024;
/// Ways on from one place; above it, trying them costs more than a tape.
const EDGES_MAX: usize = 24;
/// Bytes by which an identity is looked up: they reach to the session's name.
/// A shorter one is cheap to read anew.
const IDENTITY_HEAD_BYTES: usize = 96;
/// Shapes remembered as met once.
const MET_SLOTS: usize = 1024;

/// Objects with a tree of their own.
const BLOCKS: [Place; 7] = [
    Place::Record,
    Place::UserIdentity,
    Place::RequestParameters,
    Place::ResponseElements,
    Place::AdditionalEventData,
    Place::Resources,
    Place::TlsDetails,
];

/// The number of the tree of that place, one set for records of S3 and one for
/// all others: what S3 asks and answers is not tried on them.
fn root(place: Place, of_s3: bool) -> Option<usize> {
    let number = BLOCKS.iter().position(|block| *block == place)?;
    Some(number + if of_s3 { BLOCKS.len() } else { 0 })
}

fn is_s3(event_source: &str) -> bool {
    event_source.starts_with("s3")
}

/// Whether two texts of one length, more than a word, are equal. Word by word:
/// most literals are short, and a call to compare them would cost more.
#[inline]
fn same_words(a: &[u8], b: &[u8]) -> bool {
    let words = |text: &[u8]| text.as_chunks::<HEAD_BYTES>().0.len();
    debug_assert!(words(a) == words(b) && words(a) > 0);
    a.as_chunks::<HEAD_BYTES>()
        .0
        .iter()
        .zip(b.as_chunks::<HEAD_BYTES>().0)
        .all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && a.last_chunk::<HEAD_BYTES>() == b.last_chunk::<HEAD_BYTES>()
}

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Nothing,
    Text(Text),
    Count(Count),
    Resource(u8, ResourceText),
}

/// What follows a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// A string: its quote ends the literal, its closing quote begins the next.
    Text(Slot),
    Number(Slot),
    /// An object or array with a tree of its own, after its opening bracket.
    Block(Place),
    /// The closing bracket of the block ended the literal.
    End,
}

/// A way on: the literal, what follows it, and the place after that.
#[derive(Clone, Copy)]
struct Edge {
    /// The first bytes of the literal, and which bits of them it has: most ways
    /// that lead elsewhere differ there already.
    head: u64,
    mask: u64,
    literal: (u32, u32),
    then: Then,
    next: u32,
}

/// Bytes of a literal's head.
const HEAD_BYTES: usize = 8;

/// The first bytes of a text as a number; past its end, zeros, which no literal
/// holds.
#[inline]
fn head_of(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(head) => u64::from_le_bytes(*head),
        None => text
            .iter()
            .rev()
            .fold(0, |head, byte| (head << 8) | u64::from(*byte)),
    }
}

impl Edge {
    fn new(literal: &[u8], place: (u32, u32), then: Then, next: u32) -> Edge {
        let spare = HEAD_BYTES.saturating_sub(literal.len()) as u32 * 8;
        let mask = u64::MAX.checked_shr(spare).unwrap_or(0);
        Edge {
            head: head_of(literal) & mask,
            mask,
            literal: place,
            then,
            next,
        }
    }

    fn len(&self) -> usize {
        (self.literal.1 - self.literal.0) as usize
    }

    /// Whether the text goes on with this literal, and with a digit where a
    /// number follows.
    #[inline]
    fn fits(&self, literals: &[u8], rest: &[u8], head: u64) -> bool {
        if (head ^ self.head) & self.mask != 0 {
            return false;
        }
        let len = self.len();
        if len > HEAD_BYTES {
            let (start, end) = self.literal;
            let literal = literals.get(start as usize..end as usize);
            let there = rest.get(..len);
            let same = literal
                .zip(there)
                .is_some_and(|(literal, there)| same_words(literal, there));
            if !same {
                return false;
            }
        }
        let number = || matches!(rest.get(len), Some(b'-' | b'0'..=b'9'));
        !matches!(self.then, Then::Number(_)) || number()
    }
}

/// The shapes known.
pub struct Shapes {
    /// Ways on from each place, the likeliest first. The first nodes are roots.
    nodes: Vec<Vec<Edge>>,
    literals: Vec<u8>,
    /// Hashes of shapes met once.
    met: Vec<u64>,
    /// Identities of the text at hand, by the hash of their heads; of two with
    /// one head, the later.
    identities: HashMap<u64, KnownIdentity, foldhash::fast::FixedState>,
}

/// An identity met before in the same text.
#[derive(Clone, Copy)]
struct KnownIdentity {
    start: usize,
    end: usize,
    caller: Caller,
}

/// What is kept of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Number of the principal in the access log.
    pub principal: u32,
    /// Whether no AWS service made the call.
    pub direct: bool,
}

/// Who a record read by shape names.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The caller of an earlier record; the fields of the identity are empty.
    Known(Caller),
    /// Where the identity stands in the text; its fields are filled in.
    At(Range<usize>),
    /// There is none.
    Missing,
}

/// A record that was read by shape.
#[derive(Debug)]
pub struct Matched {
    /// The place after the record.
    pub end: usize,
    pub identity: Identity,
}

impl Default for Shapes {
    fn default() -> Self {
        Shapes {
            nodes: vec![Vec::new(); BLOCKS.len() * 2],
            literals: Vec::new(),
            met: vec![0; MET_SLOTS],
            identities: HashMap::default(),
        }
    }
}

impl Shapes {
    /// Forgets the identities: another text, or another access log, begins.
    pub fn begin(&mut self) {
        self.identities.clear();
    }

    /// Remembers the identity at that place of the text.
    pub fn remember(&mut self, text: &str, at: Range<usize>, caller: Caller) {
        if at.len() < IDENTITY_HEAD_BYTES {
            return;
        }
        if let Some(head) = identity_head(text, at.start) {
            let known = KnownIdentity {
                start: at.start,
                end: at.end,
                caller,
            };
            self.identities.insert(head, known);
        }
    }

    /// Reads the record that begins at `at`, if it has a known shape. Otherwise
    /// `fields` are left as they may be.
    pub fn read<'a>(
        &mut self,
        text: &'a str,
        at: usize,
        fields: &mut Fields<'a>,
    ) -> Option<Matched> {
        if text.as_bytes().get(at) != Some(&b'{') {
            return None;
        }
        fields.clear();
        let mut walk = Walk {
            text,
            fields,
            of_s3: false,
            identity: Identity::Missing,
        };
        let end = self.follow(&mut walk, Place::Record, at + 1)?;
        Some(Matched {
            end,
            identity: walk.identity,
        })
    }

    /// Follows the tree of a block from after its opening bracket; returns the
    /// place after its closing one.
    fn follow(&mut self, walk: &mut Walk<'_, '_>, place: Place, at: usize) -> Option<usize> {
        let mut node = root(place, walk.of_s3)?;
        let mut at = at;
        loop {
            let rest = walk.text.as_bytes().get(at..)?;
            let edges = self.nodes.get(node)?;
            let head = head_of(rest);
            let found = edges
                .iter()
                .position(|edge| edge.fits(&self.literals, rest, head))?;
            let edge = *edges.get(found)?;
            if found > 0
                && let Some(edges) = self.nodes.get_mut(node)
            {
                edges.swap(found, found - 1);
            }
            at += edge.len();
            at = match edge.then {
                Then::End => return Some(at),
                Then::Text(slot) => walk.text(at, slot)?,
                Then::Number(slot) => walk.number(at, slot)?,
                Then::Block(Place::UserIdentity) => self.identity(walk, at)?,
                Then::Block(place) => {
                    if place == Place::TlsDetails {
                        walk.fields.set_present(Presence::TlsDetails);
                    }
                    self.follow(walk, place, at)?
                }
            };
            node = edge.next as usize;
        }
    }

    /// Reads the identity, whole if it was met before.
    fn identity(&mut self, walk: &mut Walk<'_, '_>, at: usize) -> Option<usize> {
        let known = identity_head(walk.text, at).and_then(|head| self.identities.get(&head));
        if let Some(known) = known {
            let end = at + (known.end - known.start);
            let bytes = walk.text.as_bytes();
            if bytes.get(at..end) == bytes.get(known.start..known.end) {
                walk.identity = Identity::Known(known.caller);
                return Some(end);
            }
        }
        let end = self.follow(walk, Place::UserIdentity, at)?;
        walk.identity = Identity::At(at..end);
        Some(end)
    }
}

/// The hash of the first bytes of the identity at `at`.
fn identity_head(text: &str, at: usize) -> Option<u64> {
    let head = text.as_bytes().get(at..at + IDENTITY_HEAD_BYTES)?;
    Some(foldhash::fast::FixedState::default().hash_one(head))
}

/// A record being read.
struct Walk<'w, 'a> {
    text: &'a str,
    fields: &'w mut Fields<'a>,
    of_s3: bool,
    identity: Identity,
}

impl Walk<'_, '_> {
    /// Takes the string at `at`; returns the place of its closing quote.
    #[inline]
    fn text(&mut self, at: usize, slot: Slot) -> Option<usize> {
        let end = string_end(self.text.as_bytes(), at)?;
        match slot {
            Slot::Nothing => {}
            Slot::Text(text) => {
                let value = self.text.get(at..end)?;
                if text == Text::EventSource {
                    self.of_s3 = is_s3(value);
                }
                self.fields.set(text, value);
            }
            Slot::Resource(item, text) => {
                self.fields
                    .set_resource(item, text, self.text.get(at..end)?);
            }
            // A count written as text is rare; its tape tells how it is read.
            Slot::Count(_) => return None,
        }
        Some(end)
    }

    /// Takes the number at `at`; returns the place after it.
    #[inline]
    fn number(&mut self, at: usize, slot: Slot) -> Option<usize> {
        let (end, value) = number(self.text, at)?;
        if let Slot::Count(count) = slot {
            self.fields.set_count(count, value);
            if count == Count::BytesOut {
                self.fields.set_present(Presence::BytesOut);
            }
        }
        Some(end)
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The place of the quote that ends the string at `at`; `None` where an escape
/// or a control character comes first.
#[inline]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // Eight bytes at a time: the high bit of each byte that equals the quote
        // or the backslash, or is below a blank. A borrow can only reach bytes
        // above the first that is found, so the first is right.
        let word = u64::from_le_bytes(*chunk);
        let equal = |byte: u8| {
            let diff = word ^ (ONES * u64::from(byte));
            diff.wrapping_sub(ONES) & !diff
        };
        let below = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (equal(b'"') | equal(b'\\') | below) & HIGHS;
        if found != 0 {
            let place = at + (found.trailing_zeros() / 8) as usize;
            return (bytes.get(place) == Some(&b'"')).then_some(place);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let found = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (rest.get(found) == Some(&b'"')).then_some(at + found)
}

/// The place after the number at `at`, and the whole number it stands for;
/// `None` where it is not written plainly.
fn number(text: &str, at: usize) -> Option<(usize, Option<i64>)> {
    /// Any integer of so many digits fits an `i64` and is exact as a float.
    const DIGITS_MAX: usize = 15;
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let first = at + usize::from(bytes.get(at) == Some(&b'-'));
    let count = digits(first);
    if count == 0 || count > DIGITS_MAX || (count > 1 && bytes.get(first) == Some(&b'0')) {
        return None;
    }
    let end = first + count;
    match bytes.get(end) {
        Some(b'.') => {
            let count = digits(end + 1);
            if count == 0 || count > DIGITS_MAX {
                return None;
            }
            let end = end + 1 + count;
            if matches!(bytes.get(end), Some(b'e' | b'E')) {
                return None;
            }
            Some((end, text.get(at..end)?.parse().ok().and_then(whole)))
        }
        Some(b'e' | b'E') => None,
        _ => Some((end, Some(text.get(at..end)?.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_string_ends_at_its_quote_and_not_behind_an_escape() {
        assert_eq!(string_end(b"\"", 0), Some(0));
        assert_eq!(string_end(b"abcdefgh\"", 0), Some(8));
        assert_eq!(string_end(b"abcdefghijk\"lm", 3), Some(11));
        assert_eq!(string_end(b"ab\\\"cdefghij\"", 0), None);
        assert_eq!(string_end(b"ab\ncdefghij\"", 0), None);
        assert_eq!(string_end("ä\u{7f}ö\u{80}xyz\"".as_bytes(), 0), Some(10));
        assert_eq!(string_end(b"abcdefghijk", 0), None);
    }

    #[test]
    fn numbers_are_read_as_json_writes_them() {
        let read = |text: &str| number(text, 0);
        assert_eq!(read("0,"), Some((1, Some(0))));
        assert_eq!(read("-12}"), Some((3, Some(-12))));
        assert_eq!(read("1462.0}"), Some((6, Some(1462))));
        assert_eq!(
            read("999999999999999]"),
            Some((15, Some(999_999_999_999_999)))
        );
        for odd in [
            "",
            "-",
            "01",
            "1.",
            ".5",
            "1e3",
            "1.5E2",
            "1234567890123456",
            "x",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn string_ends_are_those_of_a_byte_by_byte_search(
            text in "[ -~\u{1}\n\u{e9}\u{20ac}]{0,40}", at in 0_usize..8
        ) {
            let bytes = text.as_bytes();
            let slow = bytes
                .iter()
                .enumerate()
                .skip(at)
                .find(|(_, byte)| matches!(byte, b'"' | b'\\' | 0..0x20))
                .filter(|(_, byte)| **byte == b'"')
                .map(|(place, _)| place);
            prop_assert_eq!(string_end(bytes, at), slow);
        }
    }
}
