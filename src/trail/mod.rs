//! CloudTrail, pure: from stored bytes to accesses and identity facts. Layer 2.
//!
//! In order: [`key`] says what an object claims to be, [`inflate`] gives the
//! bytes that AWS signed, [`log`] finds the records ([`split`], [`tape`]) and
//! routes each ([`record`]): S3 events into an [`access_log`], STS and EC2
//! events into [`facts`].

pub mod access_log;
pub mod event_id;
pub mod expiration;
pub mod facts;
pub mod inflate;
pub mod key;
pub mod log;
pub mod record;
pub mod session_policy;
pub mod split;
pub mod tape;

pub use access_log::AccessLog;
pub use log::{Content, LogReader, Origin, ParsedLog};
