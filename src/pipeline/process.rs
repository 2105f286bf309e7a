//! One object, from stored bytes to what it holds: fetch, inflate, hash, parse.
//!
//! Every object ends with a fate and a reason; nothing here fails.

use super::budget::Reservation;
use super::route::{Route, route};
use super::source::SourceObject;
use crate::model::{ObjectCounts, ObjectStatus, UtcMicros};
use crate::trail::AccessLog;
use crate::trail::inflate::{
    InflateError, InflateLimits, Inflated, Inflater, raw_bytes_promised, sha256,
};
use crate::trail::key::LogKind;
use crate::trail::log::{Content, LogReader, Origin, ParsedLog};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// Largest object read, in bytes, stored or inflated; above it, quarantine.
///
/// CloudTrail's own limit is 50 MB compressed. One such object fits the memory
/// that a scan may take, with nothing else beside it: it is read alone.
pub const LOG_OBJECT_BYTES_MAX: u64 = 160 * 1024 * 1024;

/// Inflated bytes for one stored byte, above the first MiB; logs reach 8 to 20.
const INFLATE_RATIO_MAX: u32 = 200;

/// An object and what became of it.
pub struct Processed {
    /// Place in the listing.
    pub seq: u64,
    pub object: SourceObject,
    pub kind: &'static str,
    pub status: ObjectStatus,
    pub reason: Option<String>,
    pub raw_bytes: Option<u64>,
    pub sha256: Option<[u8; 32]>,
    pub log: ParsedLog,
    pub fetched_at: UtcMicros,
    /// The memory that this value takes, paid for until it is dropped.
    pub reservation: Reservation,
}

impl Processed {
    /// Counts known before copies are dropped.
    pub fn counts(&self) -> ObjectCounts {
        ObjectCounts {
            records: self.log.records,
            s3_events: self.log.accesses.len() as u64,
            rows_written: 0,
            not_s3: self.log.not_s3,
            duplicates: 0,
            bad: self.log.bad,
            event_ids_made: self.log.event_ids_made,
        }
    }
}

/// What one object may become.
const INFLATE_LIMITS: InflateLimits = InflateLimits {
    raw_bytes_max: LOG_OBJECT_BYTES_MAX,
    ratio_max: INFLATE_RATIO_MAX,
};

/// Below this it is not worth opening a file to learn how much less it takes.
const PEEK_BYTES_MIN: u64 = 2 * 1024 * 1024;

/// What is reserved for an object before it is fetched, in bytes: the most that
/// a sound object of its stored size and trailer takes while it is read.
pub fn bytes_expected(object: &SourceObject) -> u64 {
    if object.bytes > LOG_OBJECT_BYTES_MAX || object.unreadable.is_some() {
        return 0;
    }
    let Route::Read { .. } = route(&object.key, &object.path) else {
        return 0;
    };
    let any = bytes_needed(object.bytes, INFLATE_LIMITS.output_max(object.bytes));
    if any <= PEEK_BYTES_MIN {
        return any;
    }
    // What cannot be peeked at cannot be fetched either; the worker says why.
    peek(&object.path).map_or(PEEK_BYTES_MIN, |(first, last)| {
        let raw = raw_bytes_promised(object.bytes, first, last, &INFLATE_LIMITS);
        bytes_needed(object.bytes, raw)
    })
}

/// Stored bytes, inflated ones, and the accesses made of them: a fifth in usual
/// logs. Those that take more are counted once they are made.
fn bytes_needed(stored: u64, raw: u64) -> u64 {
    stored + raw + raw / 5
}

/// The first two and the last four bytes of a file.
fn peek(path: &Path) -> std::io::Result<([u8; 2], [u8; 4])> {
    let (mut first, mut last) = ([0; 2], [0; 4]);
    let mut file = File::open(path)?;
    file.read_exact(&mut first)?;
    file.seek(SeekFrom::End(-4))?;
    file.read_exact(&mut last)?;
    Ok((first, last))
}

/// Processes objects one after another, with buffers that it keeps.
pub struct Processor {
    inflater: Inflater,
    reader: LogReader,
    stored: Vec<u8>,
    raw: Vec<u8>,
}

/// Room for inflated bytes from the start: most objects fit, and none of them
/// makes the buffer move.
const RAW_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// A buffer that grew beyond this for one giant is given back after it.
const RAW_BUFFER_KEPT: usize = 16 * 1024 * 1024;

/// What a [`Processed`] takes beside its log.
const PROCESSED_BYTES: usize = 1024;

const CHANGED: &str = "it changed while it was read";

impl Default for Processor {
    fn default() -> Processor {
        Processor {
            inflater: Inflater::new(),
            reader: LogReader::default(),
            stored: Vec::new(),
            raw: Vec::with_capacity(RAW_BUFFER_BYTES),
        }
    }
}

impl Processor {
    /// Takes a log that nobody reads any more: see [`LogReader::reuse`].
    pub fn reuse(&mut self, used: impl FnOnce() -> Option<AccessLog>) {
        self.reader.reuse(used);
    }

    /// Reads the object and says what became of it.
    pub fn process(
        &mut self,
        seq: u64,
        object: SourceObject,
        reservation: Reservation,
        now: UtcMicros,
    ) -> Processed {
        let mut done = Processed {
            seq,
            object,
            kind: LogKind::Other.as_str(),
            status: ObjectStatus::Quarantined,
            reason: None,
            raw_bytes: None,
            sha256: None,
            log: ParsedLog::default(),
            fetched_at: now,
            reservation,
        };
        match route(&done.object.key, &done.object.path) {
            Route::Done {
                kind,
                status,
                reason,
            } => {
                done.kind = kind;
                done.status = status;
                done.reason = Some(reason);
            }
            Route::Read {
                is_log,
                account_id,
                kind,
            } => {
                done.kind = kind;
                self.read(&mut done, is_log, account_id.as_deref());
            }
        }
        if let Some(reason) = &done.object.unreadable {
            done.status = ObjectStatus::Quarantined;
            done.reason = Some(format!("unreadable: {reason}"));
        }
        done.reservation
            .settle((done.log.bytes() + PROCESSED_BYTES) as u64);
        done
    }

    fn read(&mut self, done: &mut Processed, is_log: bool, account_id: Option<&str>) {
        if done.object.unreadable.is_some() {
            return;
        }
        if done.object.bytes > LOG_OBJECT_BYTES_MAX {
            done.reason = Some(format!(
                "too_large: {} bytes stored, more than {LOG_OBJECT_BYTES_MAX}",
                done.object.bytes
            ));
            return;
        }
        if let Err(error) = fetch(&done.object.path, &mut self.stored) {
            done.object.unreadable = Some(error.to_string());
            return;
        }
        let grown = self.stored.len() as u64 != done.object.bytes;
        if grown || !done.reservation.covers(bytes_needed_by(&self.stored)) {
            done.object.unreadable = Some(CHANGED.to_owned());
            return;
        }
        self.parse(done, is_log, account_id);
        if self.raw.capacity() > RAW_BUFFER_KEPT {
            self.raw = Vec::with_capacity(RAW_BUFFER_BYTES);
        }
        if self.stored.capacity() > RAW_BUFFER_KEPT {
            self.stored = Vec::new();
        }
    }

    /// Inflates the stored bytes, which are gone then if they were many.
    fn inflate(&mut self) -> Result<Inflated, InflateError> {
        if !is_gzip(&self.stored) && !self.stored.is_empty() {
            // Plain: the stored bytes are the raw ones, and not to be held twice.
            std::mem::swap(&mut self.stored, &mut self.raw);
            self.stored.clear();
            return Ok(Inflated::Plain);
        }
        let inflated = self
            .inflater
            .inflate(&self.stored, &INFLATE_LIMITS, &mut self.raw);
        if self.stored.capacity() > RAW_BUFFER_KEPT {
            self.stored = Vec::new();
        }
        inflated
    }

    /// Inflates, hashes and parses the stored bytes.
    fn parse(&mut self, done: &mut Processed, is_log: bool, account_id: Option<&str>) {
        let inflated = match self.inflate() {
            Ok(inflated) => inflated,
            Err(error) => {
                done.reason = Some(format!("{}: {error}", error.reason()));
                return;
            }
        };
        let hash = sha256(&self.raw);
        done.raw_bytes = Some(self.raw.len() as u64);
        done.sha256 = Some(hash);
        let origin = Origin {
            source_uri: &done.object.uri,
            account_id,
        };
        match self.reader.read(&self.raw, origin) {
            Content::Log(log) => {
                done.kind = if done.kind == LogKind::Other.as_str() {
                    LogKind::Log.as_str()
                } else {
                    done.kind
                };
                done.status = ObjectStatus::Committed;
                done.log = *log;
                if matches!(inflated, Inflated::Plain) {
                    done.reason = Some("plain_json: stored without compression".to_owned());
                }
            }
            Content::Digest => {
                done.kind = LogKind::Digest.as_str();
                done.status = ObjectStatus::Ignored;
                done.reason = Some("digest: counted, not parsed; it holds no events".to_owned());
            }
            Content::Unrecognised(why) => {
                // JSON that is no log, under a name that promises none, is
                // someone else's file; anything else may be a damaged log.
                let foreign = !is_log && why.is_json();
                done.status = if foreign {
                    ObjectStatus::Ignored
                } else {
                    ObjectStatus::Quarantined
                };
                done.reason = Some(why.as_str().to_owned());
            }
        }
    }
}

/// Reads the stored bytes into the buffer, cleared first.
fn fetch(path: &Path, stored: &mut Vec<u8>) -> std::io::Result<()> {
    stored.clear();
    let file = File::open(path)?;
    let bytes = file.metadata()?.len().min(LOG_OBJECT_BYTES_MAX + 1);
    // Plain bytes are parsed where they lie; then there is room to pad them.
    stored.reserve_exact(usize::try_from(bytes).unwrap_or(usize::MAX) + 64);
    // A file may grow; it is too large then, or no longer what was listed.
    file.take(LOG_OBJECT_BYTES_MAX + 1).read_to_end(stored)?;
    Ok(())
}

fn is_gzip(stored: &[u8]) -> bool {
    stored.starts_with(&[0x1f, 0x8b]) || stored == [0x1f]
}

/// What [`bytes_expected`] expected, by the bytes themselves.
fn bytes_needed_by(stored: &[u8]) -> u64 {
    let first = stored.first_chunk().copied().unwrap_or_default();
    let last = stored.last_chunk().copied().unwrap_or_default();
    let bytes = stored.len() as u64;
    let raw = raw_bytes_promised(bytes, first, last, &INFLATE_LIMITS);
    bytes_needed(bytes, raw)
}
