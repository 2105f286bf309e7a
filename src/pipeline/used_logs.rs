//! Access logs whose rows are committed: their room is used again.
//!
//! Fresh memory is the system's to find, to clear and to take back; with room
//! that goes round between committer and workers a scan needs little of it.
//!
//! INVARIANT (bounded): at most [`BYTES_MAX`] are kept, none of a giant, and
//! nothing while an object needs all the memory there is.

use crate::trail::AccessLog;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of all logs kept: those of one commit.
const BYTES_MAX: usize = 28 * 1024 * 1024;

/// Bytes of a log above which it is not kept.
const LOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Logs, shared by committer and workers.
#[derive(Clone, Default)]
pub struct UsedLogs(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    logs: Vec<AccessLog>,
    bytes: usize,
}

impl UsedLogs {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Whatever stands in it is fit to be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn give(&self, log: AccessLog) {
        let bytes = log.bytes();
        let mut kept = self.lock();
        if log.is_empty() || bytes > LOG_BYTES_MAX || kept.bytes + bytes > BYTES_MAX {
            return;
        }
        kept.bytes += bytes;
        kept.logs.push(log);
    }

    /// A log as it was given, not emptied.
    pub fn take(&self) -> Option<AccessLog> {
        let mut kept = self.lock();
        let log = kept.logs.pop()?;
        kept.bytes = kept.bytes.saturating_sub(log.bytes());
        Some(log)
    }

    /// Gives all memory back.
    pub fn free(&self) {
        *self.lock() = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trail::{Content, LogReader, Origin};

    fn log_of(rows: usize) -> AccessLog {
        let record = r#"{"eventVersion":"1.09","eventTime":"2026-09-22T10:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","eventID":"2ad4cbf1-2b0e-4f3b-9b5e-0a1b2c3d4e5f"}"#;
        let raw = format!("{{\"Records\":[{}]}}", vec![record; rows].join(","));
        let origin = Origin {
            source_uri: "file:///log",
            account_id: None,
        };
        match LogReader::default().read(raw.as_bytes(), origin) {
            Content::Log(log) => log.accesses,
            _ => AccessLog::default(),
        }
    }

    #[test]
    fn what_is_given_is_taken_once() {
        let used = UsedLogs::default();
        used.give(log_of(3));
        used.give(AccessLog::default());
        assert_eq!(used.take().map(|log| log.len()), Some(3));
        assert!(used.take().is_none());
        assert_eq!(used.lock().bytes, 0);
    }

    #[test]
    fn a_log_filled_anew_holds_nothing_of_before() {
        let mut log = log_of(3);
        log.clear();
        assert_eq!((log.len(), log.bytes_used()), (0, 0));
        assert_eq!((log.principals().count(), log.names().count()), (0, 0));
        assert!(log.bytes() > 0);
    }

    #[test]
    fn giants_and_what_is_too_much_are_not_kept() {
        let used = UsedLogs::default();
        used.give(log_of(100_000));
        assert!(used.take().is_none());
        for _ in 0..60 {
            used.give(log_of(5_000));
        }
        let kept = used.lock().logs.len();
        assert!((1..60).contains(&kept), "{kept}");
        used.free();
        assert!(used.take().is_none());
    }
}
