//! A multimap from a text to the places where it stands, without the texts.
//!
//! The texts already live in the sessions; a posting keeps a hash and a place
//! (16 bytes), and asks the caller whether the place really holds the text.
//! Places of one text form a list, so that a text which is everywhere (a
//! redacted access key) costs its own lookups time, but not others'.

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::{BuildHasher, Hash};

/// End of a list.
const END: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    hash: u64,
    place: u32,
    next: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Postings {
    hasher: DefaultHashBuilder,
    heads: HashTable<u32>,
    nodes: Vec<Node>,
}

impl Postings {
    /// Notes that `text` stands at `place`; `holds` tells whether an earlier
    /// place holds the same text.
    pub fn insert(&mut self, text: impl Hash, place: u32, holds: impl Fn(u32) -> bool) {
        let hash = self.hasher.hash_one(text);
        // Four thousand million sessions do not fit in memory before this.
        let Some(node) = u32::try_from(self.nodes.len()).ok().filter(|n| *n != END) else {
            return;
        };
        let nodes = &self.nodes;
        let same =
            |head: &u32| node_at(nodes, *head).is_some_and(|n| n.hash == hash && holds(n.place));
        let rehash = |head: &u32| node_at(nodes, *head).map_or(0, |n| n.hash);
        let next = match self.heads.entry(hash, same, rehash) {
            Entry::Occupied(mut head) => std::mem::replace(head.get_mut(), node),
            Entry::Vacant(free) => {
                free.insert(node);
                END
            }
        };
        self.nodes.push(Node { hash, place, next });
    }

    /// Returns the places of `text`, the newest first; a place may come twice.
    pub fn find(&self, text: impl Hash, holds: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
        let hash = self.hasher.hash_one(text);
        let head = self.heads.find(hash, |head| {
            node_at(&self.nodes, *head).is_some_and(|n| n.hash == hash && holds(n.place))
        });
        let first = head.and_then(|head| node_at(&self.nodes, *head));
        std::iter::successors(first, |node| node_at(&self.nodes, node.next)).map(|n| n.place)
    }
}

fn node_at(nodes: &[Node], at: u32) -> Option<Node> {
    nodes.get(usize::try_from(at).ok()?).copied()
}
