//! bricktrail attributes S3 access in CloudTrail logs to Databricks jobs and
//! people, judges it by policy, and writes Delta tables.
//!
//! ```text
//! notification -> object -> one gzip member, hashed as it inflates -> records -> accesses
//!        -> attribution -> verdict -> rows -> one Delta commit
//! ```
//!
//! The first folder is the layer; a file names only what has a smaller number.
//!
//! 1. [`model`] holds the nouns.
//! 2. [`trail`], [`identity`], [`policy`]: decisions, pure. No IO, no clock, no
//!    `async`: bytes, nouns and `now` in, nouns out.
//! 3. [`lake`] holds tables, their commits, SQL over them; [`databricks`] reads
//!    exports of Databricks; [`aws`] is queue and buckets.
//! 4. [`pipeline`] is motion; the only place where decisions and the world meet.
//! 5. [`commands`] has one file per command, and the command line itself;
//!    [`simulate`] is the synthetic organisation.
//!
//! [`config`] stands beside the layers: it fills in their settings.
//!
//! What holds everywhere: every object and record is accounted for, with a
//! reason where it became no row; rows and ledger change in one commit; a claim
//! of attribution carries its confidence and evidence, and "unknown" beats a
//! guess.

pub mod aws;
pub mod commands;
pub mod config;
pub mod databricks;
pub mod identity;
pub mod lake;
pub mod model;
pub mod pipeline;
pub mod policy;
pub mod simulate;
pub mod trail;
