//! Answers of a policy's rules that are kept: each rule's by what it sees of a principal
//! and of the request, so that an access asks of those rules only for which something
//! that they look at is new.

use super::mentions::EntityType;
use hashbrown::HashMap;
use std::sync::Arc;

/// Bytes of answers kept before everything is forgotten.
const ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What an answer takes beside its key.
const ANSWER_BYTES: usize = 64;
/// Lists of rules kept, likewise.
const LISTS_MAX: usize = 4_096;

/// What the rules of one policy said; to be used with that policy only.
#[derive(Default)]
pub struct Answers {
    /// By the rule, and what it sees of a principal and of all the rest.
    given: HashMap<Vec<u8>, Said, foldhash::fast::FixedState>,
    /// What these take.
    bytes: usize,
    /// The rules that may hold, by what their scopes are told apart by.
    about: HashMap<About, Arc<[usize]>, foldhash::fast::FixedState>,
}

/// What a rule says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Holds,
    DoesNotHold,
    /// It could not be evaluated; why.
    Failed(Arc<str>),
}

/// Type of the principal, dataset and action.
pub(super) type About = (EntityType, Option<String>, String);

impl Answers {
    pub(super) fn given(&self, key: &[u8]) -> Option<Said> {
        self.given.get(key).cloned()
    }

    pub(super) fn keep(&mut self, key: &[u8], said: Said) {
        if self.bytes >= ANSWERS_BYTES_MAX {
            self.given.clear();
            self.bytes = 0;
        }
        self.bytes += key.len() + ANSWER_BYTES;
        self.given.insert(key.to_vec(), said);
    }

    /// The numbers of the rules that may hold.
    pub(super) fn about(
        &mut self,
        about: About,
        make: impl FnOnce() -> Vec<usize>,
    ) -> Arc<[usize]> {
        if self.about.len() >= LISTS_MAX && !self.about.contains_key(&about) {
            self.about.clear();
        }
        let rules = self.about.entry(about).or_insert_with(|| make().into());
        rules.clone()
    }
}
