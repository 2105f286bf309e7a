//! Limits of whatever reads logs into the lake, each with its reason.

use std::time::Duration;

/// Limits of a scan or a worker.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of objects, and of what was made of them, held at any time.
    pub in_flight_bytes_max: u64,
    /// Bytes of gathered accesses that start a commit.
    pub commit_bytes: u64,
    /// Objects that start a commit: each is a row of the ledger.
    pub commit_objects: usize,
    pub commit_interval: Duration,
    pub threads: usize,
}

impl Limits {
    /// Defaults for that many cores.
    ///
    /// 64 MiB in flight, nearly half of it a commit: with the buffers of two
    /// workers and the encoder a scan stays below 400 MB.
    pub fn for_cores(threads: usize) -> Limits {
        Limits {
            in_flight_bytes_max: 64 * 1024 * 1024,
            commit_bytes: 28 * 1024 * 1024,
            commit_objects: 20_000,
            commit_interval: Duration::from_secs(60),
            threads: threads.max(1),
        }
    }
}
