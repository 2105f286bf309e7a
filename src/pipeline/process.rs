//! Objects, from stored bytes to what they hold: fetch, inflate, hash, parse.
//!
//! Every object ends with a fate and a reason; nothing here fails. Two are taken
//! at a time where there are two: hashing them in turns is faster than one after
//! the other.

use super::budget::Reservation;
use super::lease::Share;
use super::route::{Promised, Route, route};
use super::source::SourceObject;
use crate::model::{ObjectCounts, ObjectStatus, UtcMicros};
use crate::trail::AccessLog;
use crate::trail::hash::{sha256, sha256_of_two};
use crate::trail::inflate::{InflateError, InflateLimits, Inflated, Inflater, raw_bytes_promised};
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
    /// The whole of it, if it is a digest.
    pub digest: Option<String>,
    pub fetched_at: UtcMicros,
    /// The memory that this value takes, paid for until it is dropped.
    pub reservation: Reservation,
    /// Of the message that announced it.
    pub share: Option<Share>,
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

/// An object that was assigned: its place in the listing, and the memory set aside
/// for it.
pub struct AssignedObject {
    pub seq: u64,
    pub object: SourceObject,
    pub reservation: Reservation,
    pub stored: Stored,
    /// Why it is not to be read at all: a stable token, then a detail after a colon.
    pub refused: Option<String>,
    pub share: Option<Share>,
}

/// Where an object's bytes are.
pub enum Stored {
    /// In the file at its path.
    File,
    Here(Vec<u8>),
    /// They are not to be read, or were not to be had; the object says why.
    Nowhere,
}

/// Processes objects, one or two at a time, with buffers that it keeps.
#[derive(Default)]
pub struct Processor {
    inflater: Inflater,
    reader: LogReader,
    stored: Vec<u8>,
    /// Inflated bytes of the objects at hand.
    raw: [Vec<u8>; 2],
}

/// Room for inflated bytes from the first: most objects fit, and none of them makes
/// the buffer move.
const RAW_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// A buffer that grew beyond this for one giant is given back after it.
const RAW_BUFFER_KEPT: usize = 12 * 1024 * 1024;

/// What a [`Processed`] takes beside its log.
const PROCESSED_BYTES: usize = 1024;

const CHANGED: &str = "it changed while it was read";

/// An object whose bytes are there or never will be.
struct Opened {
    done: Processed,
    /// `None` if there is nothing to parse.
    inflated: Option<Ready>,
}

/// What is known of bytes that are ready to be parsed.
struct Ready {
    inflated: Inflated,
    promised: Promised,
    account_id: Option<String>,
}

impl Processor {
    /// Reads an object, and says what became of it. `used` gives logs that nobody
    /// reads any more: see [`LogReader::reuse`].
    pub fn process(
        &mut self,
        task: AssignedObject,
        now: UtcMicros,
        used: impl FnOnce() -> Option<AccessLog>,
    ) -> Processed {
        let opened = self.open(0, task, now);
        let hash = opened.inflated.is_some().then(|| sha256(self.raw_of(0)));
        self.finish(0, opened, hash, used)
    }

    /// Reads two objects like [`Processor::process`].
    pub fn process_two(
        &mut self,
        tasks: [AssignedObject; 2],
        now: UtcMicros,
        used: impl Fn() -> Option<AccessLog>,
    ) -> [Processed; 2] {
        let [one, other] = tasks;
        let (one, other) = (self.open(0, one, now), self.open(1, other, now));
        let hashes = match (&one.inflated, &other.inflated) {
            (Some(_), Some(_)) => sha256_of_two(self.raw_of(0), self.raw_of(1)).map(Some),
            (one, other) => [
                one.is_some().then(|| sha256(self.raw_of(0))),
                other.is_some().then(|| sha256(self.raw_of(1))),
            ],
        };
        let [hash, other_hash] = hashes;
        [
            self.finish(0, one, hash, &used),
            self.finish(1, other, other_hash, &used),
        ]
    }

    fn raw_of(&self, place: usize) -> &[u8] {
        self.raw.get(place).map(Vec::as_slice).unwrap_or_default()
    }

    /// Fetches and inflates an object into the buffer of that place.
    fn open(&mut self, place: usize, task: AssignedObject, now: UtcMicros) -> Opened {
        let AssignedObject {
            seq,
            object,
            reservation,
            stored,
            refused,
            share,
        } = task;
        let mut done = Processed {
            seq,
            object,
            kind: LogKind::Other.as_str(),
            status: ObjectStatus::Quarantined,
            reason: None,
            raw_bytes: None,
            sha256: None,
            log: ParsedLog::default(),
            digest: None,
            fetched_at: now,
            reservation,
            share,
        };
        let mut inflated = None;
        if let Some(refused) = refused {
            done.status = ObjectStatus::Ignored;
            done.reason = Some(refused);
            return Opened { done, inflated };
        }
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
                promised,
                account_id,
                kind,
            } => {
                done.kind = kind;
                inflated = self.fill(place, &mut done, stored).map(|inflated| Ready {
                    inflated,
                    promised,
                    account_id,
                });
            }
        }
        Opened { done, inflated }
    }

    fn finish(
        &mut self,
        place: usize,
        opened: Opened,
        hash: Option<[u8; 32]>,
        used: impl FnOnce() -> Option<AccessLog>,
    ) -> Processed {
        let Opened { mut done, inflated } = opened;
        if let Some(ready) = inflated {
            self.reader.reuse(used);
            done.sha256 = hash;
            self.parse(place, &mut done, &ready);
        }
        if let Some(raw) = self.raw.get_mut(place)
            && raw.capacity() > RAW_BUFFER_KEPT
        {
            *raw = Vec::new();
        }
        if self.stored.capacity() > RAW_BUFFER_KEPT {
            self.stored = Vec::new();
        }
        if let Some(reason) = &done.object.unreadable {
            done.status = ObjectStatus::Quarantined;
            done.reason = Some(reason.clone());
        }
        let digest = done.digest.as_ref().map_or(0, String::len);
        done.reservation
            .settle((done.log.bytes() + digest + PROCESSED_BYTES) as u64);
        done
    }

    /// Fetches and inflates; `None` if there is nothing to parse, and then the
    /// object says why.
    fn fill(&mut self, place: usize, done: &mut Processed, stored: Stored) -> Option<Inflated> {
        if done.object.unreadable.is_some() {
            return None;
        }
        if done.object.bytes > LOG_OBJECT_BYTES_MAX {
            done.reason = Some(format!(
                "too_large: {} bytes stored, more than {LOG_OBJECT_BYTES_MAX}",
                done.object.bytes
            ));
            return None;
        }
        match stored {
            Stored::Here(stored) => self.stored = stored,
            Stored::Nowhere => {
                done.object.unreadable = Some(unreadable(&"it was not fetched"));
                return None;
            }
            Stored::File => {
                if let Err(error) = fetch(&done.object.path, &mut self.stored) {
                    done.object.unreadable = Some(unreadable(&error));
                    return None;
                }
            }
        }
        let grown = self.stored.len() as u64 != done.object.bytes;
        if grown || !done.reservation.covers(bytes_needed_by(&self.stored)) {
            done.object.unreadable = Some(unreadable(&CHANGED));
            return None;
        }
        match self.inflate(place) {
            Ok(inflated) => Some(inflated),
            Err(error) => {
                done.reason = Some(format!("{}: {error}", error.reason()));
                None
            }
        }
    }

    /// Inflates the stored bytes, which are gone then if they were many.
    fn inflate(&mut self, place: usize) -> Result<Inflated, InflateError> {
        let [one, other] = &mut self.raw;
        let raw = match place {
            0 => one,
            _ => other,
        };
        if !is_gzip(&self.stored) && !self.stored.is_empty() {
            // Plain: the stored bytes are the raw ones, and not to be held twice.
            std::mem::swap(&mut self.stored, raw);
            self.stored.clear();
            return Ok(Inflated::Plain);
        }
        raw.clear();
        raw.reserve_exact(RAW_BUFFER_BYTES);
        let inflated = self.inflater.inflate(&self.stored, &INFLATE_LIMITS, raw);
        if self.stored.capacity() > RAW_BUFFER_KEPT {
            self.stored = Vec::new();
        }
        inflated
    }

    /// Parses the inflated bytes.
    fn parse(&mut self, place: usize, done: &mut Processed, ready: &Ready) {
        let raw = self.raw.get(place).map(Vec::as_slice).unwrap_or_default();
        done.raw_bytes = Some(raw.len() as u64);
        let origin = Origin {
            source_uri: &done.object.uri,
            account_id: ready.account_id.as_deref(),
        };
        match self.reader.read(raw, origin) {
            Content::Log(_) if ready.promised == Promised::Digest => {
                done.reason = Some("no_digest: a log under the name of a digest".to_owned());
            }
            Content::Log(log) => {
                done.kind = if done.kind == LogKind::Other.as_str() {
                    LogKind::Log.as_str()
                } else {
                    done.kind
                };
                done.status = ObjectStatus::Committed;
                done.log = *log;
                if matches!(ready.inflated, Inflated::Plain) {
                    done.reason = Some("plain_json: stored without compression".to_owned());
                }
            }
            Content::Digest => {
                done.kind = LogKind::Digest.as_str();
                match std::str::from_utf8(raw) {
                    Ok(text) => {
                        done.digest = Some(text.to_owned());
                        done.status = ObjectStatus::Ignored;
                        let kept = "digest: kept as it is; it holds no events";
                        done.reason = Some(kept.to_owned());
                    }
                    Err(error) => done.reason = Some(format!("invalid_json: digest: {error}")),
                }
            }
            Content::Unrecognised(why) => {
                // JSON that is no log, under a name that promises none, is
                // someone else's file; anything else may be a damaged log.
                let foreign = ready.promised == Promised::Anything && why.is_json();
                done.status = if foreign {
                    ObjectStatus::Ignored
                } else {
                    ObjectStatus::Quarantined
                };
                done.reason = Some(match ready.promised {
                    Promised::Digest if why.is_json() => {
                        "no_digest: JSON without the members of a digest".to_owned()
                    }
                    _ => why.as_str().to_owned(),
                });
            }
        }
    }
}

/// The reason of an object that cannot be read where it lies.
pub(super) fn unreadable(cause: &impl std::fmt::Display) -> String {
    format!("unreadable: {cause}")
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
pub(super) fn bytes_needed_by(stored: &[u8]) -> u64 {
    let first = stored.first_chunk().copied().unwrap_or_default();
    let last = stored.last_chunk().copied().unwrap_or_default();
    let bytes = stored.len() as u64;
    let raw = raw_bytes_promised(bytes, first, last, &INFLATE_LIMITS);
    bytes_needed(bytes, raw)
}
