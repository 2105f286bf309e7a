//! One object, from stored bytes to what it holds: fetch, inflate, hash, parse.
//!
//! Every object ends with a fate and a reason; nothing here fails.

use super::budget::Reservation;
use super::route::{Route, route};
use super::source::SourceObject;
use crate::model::{ObjectCounts, ObjectStatus, UtcMicros};
use crate::trail::inflate::{InflateLimits, Inflated, Inflater, sha256};
use crate::trail::key::LogKind;
use crate::trail::log::{Content, Cut, LogReader, Origin, ParsedLog, Unrecognised};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Largest object read, in bytes, stored or inflated; above it, quarantine.
///
/// CloudTrail's own limit is 50 MB compressed. One such object fits the memory
/// that a scan may take, whatever else is in flight.
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

/// What is reserved for an object before it is fetched, in bytes: stored and
/// inflated bytes together, by a usual ratio.
pub fn bytes_expected(object: &SourceObject) -> u64 {
    match route(&object.key, &object.path) {
        Route::Read { .. } if object.bytes <= LOG_OBJECT_BYTES_MAX => {
            object.bytes + (object.bytes * 12).min(LOG_OBJECT_BYTES_MAX)
        }
        _ => 0,
    }
}

/// Processes objects one after another, with buffers that it keeps.
pub struct Processor {
    /// Held while a giant is in memory, so that there is only one at a time.
    giants: Arc<Mutex<()>>,
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

impl Processor {
    /// A processor that shares `giants` with those beside it.
    pub fn new(giants: Arc<Mutex<()>>) -> Processor {
        Processor {
            giants,
            inflater: Inflater::new(),
            reader: LogReader::default(),
            stored: Vec::new(),
            raw: Vec::with_capacity(RAW_BUFFER_BYTES),
        }
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
        let facts = done.log.sts_sessions.len() + done.log.ec2_instances.len();
        done.reservation
            .shrink_to((done.log.accesses.bytes() + facts * 1024 + 1024) as u64);
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
        let giants = self.giants.clone();
        let _alone =
            is_giant(&self.stored).then(|| giants.lock().unwrap_or_else(PoisonError::into_inner));
        self.parse(done, is_log, account_id);
        if self.raw.capacity() > RAW_BUFFER_KEPT {
            self.raw = Vec::with_capacity(RAW_BUFFER_BYTES);
        }
        if self.stored.capacity() > RAW_BUFFER_KEPT {
            self.stored = Vec::new();
        }
    }

    /// Inflates, hashes and parses the stored bytes.
    fn parse(&mut self, done: &mut Processed, is_log: bool, account_id: Option<&str>) {
        let limits = InflateLimits {
            raw_bytes_max: LOG_OBJECT_BYTES_MAX,
            ratio_max: INFLATE_RATIO_MAX,
        };
        let inflated = match self.inflater.inflate(&self.stored, &limits, &mut self.raw) {
            Ok(inflated) => inflated,
            Err(error) => {
                done.reason = Some(format!("{}: {error}", error.reason()));
                return;
            }
        };
        done.raw_bytes = Some(self.raw.len() as u64);
        done.sha256 = Some(sha256(&self.raw));
        let origin = Origin {
            source_uri: &done.object.uri,
            account_id,
        };
        let mut content = self.reader.read(&mut self.raw, origin, Cut::Coarse);
        if matches!(content, Content::Unrecognised(Unrecognised::InvalidJson))
            && self
                .inflater
                .inflate(&self.stored, &limits, &mut self.raw)
                .is_ok()
        {
            content = self.reader.read(&mut self.raw, origin, Cut::ByRecord);
        }
        match content {
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
                let foreign = !is_log && why != Unrecognised::InvalidJson;
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
    File::open(path)?.read_to_end(stored)?;
    Ok(())
}

/// Whether the object may inflate to more than the buffers are made for: by the
/// length in its trailer, and where that is less than is stored, it lies.
fn is_giant(stored: &[u8]) -> bool {
    let length = stored
        .last_chunk::<4>()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    stored.starts_with(&[0x1f, 0x8b]) && (length > RAW_BUFFER_KEPT || length < stored.len())
}
