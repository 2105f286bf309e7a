//! CloudTrail, pure: from stored bytes to accesses and identity facts. Layer 2.
//!
//! In order: [`notification`] says what arrived, [`key`] what an object claims to be, [`inflate`] gives the
//! bytes that AWS signed, and [`hash`] what it signed of them; [`log`] walks through
//! the records ([`frame`]), finds the [`fields`] of each by its [`shape`] or its
//! [`tape`], and routes it ([`record`], [`request`], [`operation`]): S3 events into
//! an [`access_log`], STS and EC2 events into [`facts`].

pub mod access_log;
pub mod event_id;
pub mod expiration;
pub mod facts;
pub mod fields;
pub mod frame;
pub mod hash;
pub mod inflate;
pub mod key;
pub mod log;
pub mod notification;
pub mod operation;
pub mod record;
pub mod request;
pub mod session_policy;
pub mod shape;
pub mod tape;

pub use access_log::AccessLog;
pub use log::{Content, LogReader, Origin, ParsedLog};
