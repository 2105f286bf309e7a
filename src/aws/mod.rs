//! The outside, as AWS gives it: a queue of notifications, buckets of log objects.
//! Layer 3.
//!
//! [`queue`] and [`objects`] are the borders, traits with their errors; [`sqs`] and
//! [`s3`] stand behind them, made by [`client`], and [`memory`] holds their twins,
//! which answer from memory. Twin and service pass the same tests.
//!
//! Deliberately absent: retries over a message's life, acknowledgement, what a body
//! says. Those are matters of the pipeline and of [`crate::trail::notification`].

pub mod client;
pub mod memory;
pub mod objects;
pub mod queue;
pub mod s3;
pub mod sqs;
