//! May they: judges an access by the organisation's policy. Layer 2, pure.
//!
//! 1. `loaded` takes the files of a policy and makes a [`Policy`] of them, with
//!    a version that stands in every row it judged; `entries` reads those in TOML.
//! 2. `datasets` names the dataset of a location, for every event; `exceptions` marks
//!    violations that somebody answers for.
//! 3. `rules` reads Cedar: annotations, and strict validation against
//!    `schema.cedarschema`; `mentions` tells which inputs they can tell apart,
//!    `reads` which of those differ from event to event.
//! 4. `request` puts `facts` of an access into Cedar's terms: whom it is judged as
//!    (`principals`), for what (`workload`), its circumstances (`context`), with
//!    `vocabulary` for its names, `settings` for what is known;
//!    `values` are its attributes before they are Cedar's.
//! 5. `judge` asks Cedar for every candidate and words the answer, with the facts that
//!    decided (`reason`). Only rules whose `scopes` may hold are asked, and `answers` are
//!    kept.
//! 6. `packs` are policies to start from; `examples` are accesses that an author expects
//!    verdicts of (`example_access` makes them accesses); `findings` are what the author
//!    probably did not mean; `suggest` drafts permits from what was seen.
//!
//! Policy means "should this workload touch this data". It is not IAM: whether
//! AWS allowed the request is its outcome, and one of the inputs.
//!
//! INVARIANT (same key, same answer): a judgement follows from the cache key that
//! [`Policy::judge`] names, and from the bytes of [`Policy::visible_who`]
//! and [`Policy::visible_request`], so that callers may keep it. Property tests hold it.

mod answers;
mod context;
mod datasets;
mod entries;
mod error;
mod example_access;
mod examples;
mod exceptions;
mod facts;
mod findings;
mod judge;
mod literals;
mod loaded;
mod mentions;
mod nearest;
mod packs;
mod principals;
mod reads;
mod reason;
mod request;
mod rules;
mod scopes;
mod settings;
mod suggest;
mod values;
mod vocabulary;
mod workload;

#[cfg(test)]
mod tests;

pub use answers::Answers;
pub use error::{PolicyError, PolicyErrors};
pub use examples::{Example, Tested};
pub use exceptions::Exception;
pub use facts::{AccessFacts, Moment, age_hours, session_age_hours, session_age_span};
pub use findings::{Finding, FindingKind};
pub use judge::Judgement;
pub use loaded::{DATASETS_FILE, Policy, PolicyFile};
pub use mentions::{Attribute, EntityType};
pub use packs::{PACKS, Pack, STARTER, pack_files, starter_files};
pub use reads::Reads;
pub use rules::{DEFAULT_DENY, Effect, RuleInfo, SCHEMA};
pub use settings::PolicySettings;
pub use suggest::{Grantee, Observed, Suggestion, User, suggest};
pub use vocabulary::known_events;
