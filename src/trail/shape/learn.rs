//! Learns the shape of a record that was read from its tape.
//!
//! The record is walked once more, as text: literals and values alternate, and
//! each object with a tree of its own becomes a chain of its own. A record met
//! for the first time leaves only a hash; the second of its shape is learned.
//!
//! Deliberately not learned, so that such records are always read from their
//! tapes: a member that matters and stands twice, a name with an escape, a
//! value that matters and is of an unusual kind, more than a few resources.

use super::super::fields::{Member, Place, Text, member, presence};
use super::{
    BLOCKS, EDGES_MAX, Edge, LITERAL_BYTES_MAX, NODES_MAX, Shapes, Slot, Then, is_s3, root,
    string_end,
};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};
use std::ops::Range;

/// Objects within objects; deeper ones are left to the tape.
const DEPTH_MAX: usize = 32;
/// Items of `resources` that a shape may have.
const RESOURCES_MAX: u8 = 8;

/// A literal and what follows it.
struct Step {
    literal: Range<usize>,
    then: Then,
}

/// The steps of one block.
struct Chain {
    root: usize,
    steps: Vec<Step>,
}

impl Shapes {
    /// Learns the shape of a record that is known to be valid JSON, unless it is
    /// met for the first time or cannot be learned.
    pub fn learn(&mut self, record: &str) {
        let mut learner = Learner {
            bytes: record.as_bytes(),
            text: record,
            at: 0,
            of_s3: false,
            depth: 0,
            seen: Vec::new(),
            chains: Vec::new(),
        };
        if learner.block(Place::Record, b'{').is_none() || learner.at != record.len() {
            return;
        }
        let chains = learner.chains;
        if !self.is_met_again(record, &chains) {
            return;
        }
        if self.literals.len() + record.len() > LITERAL_BYTES_MAX || self.nodes.len() > NODES_MAX {
            self.nodes = vec![Vec::new(); BLOCKS.len() * 2];
            self.literals.clear();
        }
        for chain in &chains {
            self.add(record, chain);
        }
    }

    fn is_met_again(&mut self, record: &str, chains: &[Chain]) -> bool {
        let mut hasher = foldhash::fast::FixedState::default().build_hasher();
        for chain in chains {
            chain.root.hash(&mut hasher);
            for step in &chain.steps {
                record.get(step.literal.clone()).hash(&mut hasher);
            }
        }
        let hash = hasher.finish();
        let slots = self.met.len() as u64;
        let Some(slot) = usize::try_from(hash % slots)
            .ok()
            .and_then(|slot| self.met.get_mut(slot))
        else {
            return false;
        };
        let again = *slot == hash;
        *slot = hash;
        again
    }

    fn add(&mut self, record: &str, chain: &Chain) {
        let mut node = chain.root;
        for step in &chain.steps {
            let Some(literal) = record.as_bytes().get(step.literal.clone()) else {
                return;
            };
            let known = self.nodes.get(node).and_then(|edges| {
                edges.iter().find(|edge| {
                    let (start, end) = edge.literal;
                    edge.then == step.then
                        && self.literals.get(start as usize..end as usize) == Some(literal)
                })
            });
            if let Some(edge) = known {
                node = edge.next as usize;
                continue;
            }
            let next = self.nodes.len();
            let start = self.literals.len();
            let numbers = [start, start + literal.len(), next].map(u32::try_from);
            let [Ok(start), Ok(end), Ok(number)] = numbers else {
                return;
            };
            let Some(edges) = self.nodes.get_mut(node) else {
                return;
            };
            if edges.len() >= EDGES_MAX {
                return;
            }
            edges.push(Edge::new(literal, (start, end), step.then, number));
            self.literals.extend_from_slice(literal);
            self.nodes.push(Vec::new());
            node = next;
        }
    }
}

struct Learner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    of_s3: bool,
    depth: usize,
    /// Members that matter and were met.
    seen: Vec<Member>,
    chains: Vec<Chain>,
}

/// A block under way: its steps so far, and where its literal began.
struct Open {
    steps: Vec<Step>,
    from: usize,
}

impl Open {
    fn close(&mut self, to: usize, then: Then) {
        self.steps.push(Step {
            literal: self.from..to,
            then,
        });
        self.from = to;
    }
}

impl<'a> Learner<'a> {
    /// Walks a block with a tree of its own from its opening bracket, and keeps
    /// its chain.
    fn block(&mut self, place: Place, bracket: u8) -> Option<()> {
        let root = root(place, self.of_s3)?;
        self.expect(bracket)?;
        let mut open = Open {
            steps: Vec::new(),
            from: self.at,
        };
        match bracket {
            b'{' => self.members(place, &mut open)?,
            _ => self.items(place, &mut open)?,
        }
        open.close(self.at, Then::End);
        self.chains.push(Chain {
            root,
            steps: open.steps,
        });
        Some(())
    }

    /// Walks the members of an object up to and over its closing bracket.
    fn members(&mut self, place: Place, open: &mut Open) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        loop {
            match self.next()? {
                b'}' => {
                    self.at += 1;
                    self.depth -= 1;
                    return Some(());
                }
                b',' => self.at += 1,
                b'"' => {
                    let end = string_end(self.bytes, self.at + 1)?;
                    let name = self.text.get(self.at + 1..end)?;
                    self.at = end + 1;
                    self.next()?;
                    self.expect(b':')?;
                    self.next()?;
                    self.member(member(place, name), open)?;
                }
                _ => return None,
            }
        }
    }

    fn member(&mut self, member: Member, open: &mut Open) -> Option<()> {
        if member != Member::Nothing {
            if self.seen.contains(&member) {
                return None;
            }
            self.seen.push(member);
        }
        let first = *self.bytes.get(self.at)?;
        match member {
            Member::Holds(place) => match (first, super::root(place, false)) {
                (b'{' | b'[', Some(_)) if (first == b'[') == (place == Place::Resources) => {
                    open.close(self.at + 1, Then::Block(place));
                    self.block(place, first)?;
                    open.from = self.at;
                    Some(())
                }
                (b'{', None) => {
                    self.at += 1;
                    self.members(place, open)
                }
                // Its presence alone says something; leave that to the tape.
                _ if presence(member).is_some() => None,
                (b'{' | b'[', _) => None,
                _ => self.value(Slot::Nothing, open),
            },
            Member::Text(text) => self.value(Slot::Text(text), open),
            Member::TextOrSingle(text) => self.text_or_single(text, open),
            Member::ResourceText(item, text) => self.value(Slot::Resource(item, text), open),
            Member::Count(count) => match first {
                b'-' | b'0'..=b'9' => self.value(Slot::Count(count), open),
                _ => None,
            },
            Member::Nothing => self.value(Slot::Nothing, open),
        }
    }

    /// A text, or an array with one text; the brackets belong to the literals.
    fn text_or_single(&mut self, text: Text, open: &mut Open) -> Option<()> {
        if self.bytes.get(self.at) != Some(&b'[') {
            return self.value(Slot::Text(text), open);
        }
        self.at += 1;
        if self.next()? != b'"' {
            return None;
        }
        self.value(Slot::Text(text), open)?;
        self.next()?;
        self.expect(b']')
    }

    /// Walks the items of an array up to and over its closing bracket.
    fn items(&mut self, place: Place, open: &mut Open) -> Option<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut item = 0_u8;
        loop {
            match self.next()? {
                b']' => {
                    self.at += 1;
                    self.depth -= 1;
                    return Some(());
                }
                b',' => self.at += 1,
                b'{' if place == Place::Resources => {
                    if item >= RESOURCES_MAX {
                        return None;
                    }
                    self.at += 1;
                    self.members(Place::Resource(item), open)?;
                    item += 1;
                }
                _ if place == Place::Resources => return None,
                _ => self.value(Slot::Nothing, open)?,
            }
        }
    }

    /// Walks a value; a text or number goes into `slot`.
    fn value(&mut self, slot: Slot, open: &mut Open) -> Option<()> {
        match self.next()? {
            b'"' => {
                self.at += 1;
                open.close(self.at, Then::Text(slot));
                let end = self.any_string_end()?;
                if slot == Slot::Text(Text::EventSource) {
                    self.of_s3 = is_s3(self.text.get(self.at..end)?);
                }
                (self.at, open.from) = (end + 1, end);
                Some(())
            }
            b'-' | b'0'..=b'9' => {
                open.close(self.at, Then::Number(number_slot(slot)));
                while matches!(
                    self.bytes.get(self.at),
                    Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                ) {
                    self.at += 1;
                }
                open.from = self.at;
                Some(())
            }
            b'{' => {
                self.at += 1;
                self.members(Place::Elsewhere, open)
            }
            b'[' => {
                self.at += 1;
                self.items(Place::Elsewhere, open)
            }
            // `true`, `false`, `null` belong to the literal.
            _ => {
                while self.bytes.get(self.at).is_some_and(u8::is_ascii_lowercase) {
                    self.at += 1;
                }
                Some(())
            }
        }
    }

    /// The closing quote of the string at `at`, escapes allowed.
    fn any_string_end(&self) -> Option<usize> {
        let mut at = self.at;
        loop {
            match self.bytes.get(at)? {
                b'"' => return Some(at),
                b'\\' => at += 2,
                _ => at += 1,
            }
        }
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }
}

/// Texts are never numbers.
fn number_slot(slot: Slot) -> Slot {
    match slot {
        Slot::Count(_) => slot,
        _ => Slot::Nothing,
    }
}
