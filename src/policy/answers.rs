//! Answers of a policy that are kept: each principal's by what the policy sees of it and
//! of the request, so that an access with fifty candidates asks of those only that are
//! new in these circumstances.

use super::judge::Answer;
use super::mentions::EntityType;
use cedar_policy::PolicySet;
use hashbrown::HashMap;
use std::sync::Arc;

/// Answers kept before everything is forgotten: some tens of MB.
const ANSWERS_MAX: usize = 200_000;
/// Sets of rules kept, likewise.
const SLICES_MAX: usize = 4_096;

/// The answers that one policy gave; to be used with that policy only.
#[derive(Default)]
pub struct Answers {
    /// By what is seen of a principal and of all the rest.
    given: HashMap<Vec<u8>, Answer, foldhash::fast::FixedState>,
    /// The rules that may hold, by what their scopes are told apart by.
    slices: HashMap<About, Arc<Slice>, foldhash::fast::FixedState>,
}

/// Type of the principal, dataset and action.
pub(super) type About = (EntityType, Option<String>, String);

/// The rules that may hold for some requests.
pub(super) struct Slice {
    pub set: PolicySet,
    /// Places of the groups that they name, sorted.
    pub groups: Vec<u32>,
}

impl Answers {
    pub(super) fn given(&self, key: &[u8]) -> Option<Answer> {
        self.given.get(key).cloned()
    }

    pub(super) fn keep(&mut self, key: &[u8], answer: Answer) {
        if self.given.len() >= ANSWERS_MAX {
            self.given.clear();
        }
        self.given.insert(key.to_vec(), answer);
    }

    pub(super) fn slice(&mut self, about: About, make: impl FnOnce() -> Slice) -> Arc<Slice> {
        if self.slices.len() >= SLICES_MAX && !self.slices.contains_key(&about) {
            self.slices.clear();
        }
        let slice = self.slices.entry(about).or_insert_with(|| Arc::new(make()));
        slice.clone()
    }
}
