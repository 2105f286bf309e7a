//! May they: judges an access by the organisation's policy. Layer 2, pure.
//!
//! 1. `loaded` takes the files of a policy and makes a [`Policy`] of them, with
//!    a version that stands in every row it judged.
//! 2. `datasets` names the dataset of a location, for every event.
//! 3. `rules` reads Cedar: annotations, and strict validation against
//!    `schema.cedarschema`; `mentions` tells which inputs they can tell apart,
//!    `reads` which of those differ from event to event.
//! 4. `request` puts an access into Cedar's terms, `context` its circumstances, with
//!    `vocabulary` for its names, `settings` for what is known;
//!    `values` are its attributes before they are Cedar's.
//! 5. `judge` asks Cedar for every candidate and words the answer.
//!
//! Policy means "should this workload touch this data". It is not IAM: whether
//! AWS allowed the request is its outcome, and one of the inputs.
//!
//! INVARIANT (same key, same answer): a judgement follows from the cache key that
//! [`Policy::judge`] names, and from the bytes of [`Policy::visible_who`]
//! and [`Policy::visible_request`], so that callers may keep it. Property tests hold it.

mod context;
mod datasets;
mod error;
mod judge;
mod loaded;
mod mentions;
mod reads;
mod request;
mod rules;
mod settings;
mod values;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use error::PolicyError;
pub use judge::Judgement;
pub use loaded::{Policy, PolicyFile, STARTER};
pub use reads::Reads;
pub use request::{session_age_hours, session_age_span};
pub use rules::{DEFAULT_DENY, Effect, RuleInfo, SCHEMA};
pub use settings::PolicySettings;
pub use vocabulary::known_events;
