//! Turns the inflated bytes of a log object into accesses and identity facts.
//!
//! Steps: tape of the whole object (or of slices of a large one), then each
//! record is routed once. What cannot be read is a fact, not an error: it is
//! listed with its place and reason, and its neighbours are read.
//!
//! INVARIANT (records add up): `records == accesses + not_s3 + rejects`, each
//! record in exactly one of them.
//!
//! Deliberately not here: dropping copies, attribution, verdicts. They need
//! more than one object.

use super::access_log::{AccessLog, LogSize, NewAccess};
use super::event_id::{content_hash, copy_key, event_id, guid_bytes, made_event_id};
use super::facts;
use super::record::{self, BadRecord, Fields, Record};
use super::split::{SplitError, split_records};
use super::tape::Value;
use crate::model::{Ec2Instance, StsSession, UtcMicros};
use simd_json::{Buffers, INPUT_PADDING, Tape};
use std::ops::Range;

/// Objects above this many inflated bytes are parsed slice by slice.
///
/// The tape of a slice then stays near the CPU: parsing 20 MB in one piece is
/// half as fast as in 5 MB pieces.
const SLICE_BYTES: usize = 4 * 1024 * 1024;
const WHOLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most that may be held of one object, in bytes; above it, quarantine.
///
/// A log of records as AWS writes them holds a fifth of its inflated bytes. Only
/// one that is made of next to empty records, which no S3 event is, gets here.
pub const LOG_HELD_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Rows that room is made for at once.
const ROWS_ROOM_MAX: usize = 512 * 1024;

/// What a session or an instance fact takes, with its texts.
const FACT_BYTES: usize = 1536;

/// Rejects listed by place; beyond them only the count goes on.
pub const REJECTS_LISTED_MAX: usize = 100;

/// A record that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    pub record_index: u32,
    pub reason: BadRecord,
}

/// What one log object held.
#[derive(Default)]
pub struct ParsedLog {
    pub accesses: AccessLog,
    pub sts_sessions: Vec<StsSession>,
    pub ec2_instances: Vec<Ec2Instance>,
    /// The first [`REJECTS_LISTED_MAX`] bad records; `bad` counts all.
    pub rejects: Vec<Reject>,
    pub records: u64,
    pub not_s3: u64,
    pub bad: u64,
    /// S3 events without an eventID, which got one from their content.
    pub event_ids_made: u64,
    pub first_event_time: Option<UtcMicros>,
    pub last_event_time: Option<UtcMicros>,
}

/// What an object turned out to be once its content was looked at.
pub enum Content {
    Log(Box<ParsedLog>),
    /// A digest file, whatever its key said.
    Digest,
    /// Nothing bricktrail knows; never to be taken for an empty log.
    Unrecognised(Unrecognised),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecognised {
    /// Not JSON, or cut off.
    InvalidJson,
    /// JSON without a member `Records`.
    RecordsMissing,
    RecordsNotAnArray,
    /// What it holds takes more memory than one object may.
    HoldsTooMuch,
}

impl Unrecognised {
    /// Whether it is JSON for certain, and no log.
    pub fn is_json(self) -> bool {
        matches!(
            self,
            Unrecognised::RecordsMissing | Unrecognised::RecordsNotAnArray
        )
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Unrecognised::InvalidJson => "invalid_json",
            Unrecognised::RecordsMissing => "records_missing",
            Unrecognised::RecordsNotAnArray => "records_not_an_array",
            Unrecognised::HoldsTooMuch => "holds_too_much",
        }
    }
}

/// Where a log object came from, as far as its rows depend on it.
#[derive(Clone, Copy)]
pub struct Origin<'o> {
    pub source_uri: &'o str,
    /// Account of the object key, for records without `recipientAccountId`.
    pub account_id: Option<&'o str>,
}

/// Reads log objects one after another, with buffers that it keeps.
pub struct LogReader {
    buffers: Buffers,
    tape: Tape<'static>,
    /// How much the last log held.
    last: LogSize,
}

impl Default for LogReader {
    fn default() -> Self {
        LogReader {
            buffers: Buffers::new(SLICE_BYTES),
            tape: Tape::null(),
            last: LogSize::default(),
        }
    }
}

/// How an object is cut for parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Whole, or in slices of many records: one bad byte fails the object.
    Coarse,
    /// Record by record, slower: a bad record fails alone.
    ByRecord,
}

impl LogReader {
    /// Reads a log object. `raw` is left scrambled: strings are unescaped in
    /// place, so a second reading needs the bytes anew. On
    /// [`Unrecognised::InvalidJson`] after [`Cut::Coarse`], do that with
    /// [`Cut::ByRecord`].
    pub fn read(&mut self, raw: &mut Vec<u8>, origin: Origin<'_>, cut: Cut) -> Content {
        if raw.starts_with(b"\xef\xbb\xbf") {
            raw.drain(..3);
        }
        let len = raw.len();
        raw.resize(len + INPUT_PADDING, 0);
        let mut log = ParsedLog {
            accesses: AccessLog::with_room_like(self.last.at_most(len)),
            ..ParsedLog::default()
        };
        let outcome = match cut {
            Cut::Coarse if len <= WHOLE_BYTES_MAX => self.read_whole(raw, len, origin, &mut log),
            Cut::Coarse => self.read_slices(raw, len, origin, SLICE_BYTES, &mut log),
            Cut::ByRecord => self.read_slices(raw, len, origin, 0, &mut log),
        };
        raw.truncate(len);
        match outcome {
            Ok(Kind::Log) => {
                log.accesses.shrink();
                self.last = log.accesses.size();
                Content::Log(Box::new(log))
            }
            Ok(Kind::Digest) => Content::Digest,
            Err(unrecognised) => Content::Unrecognised(unrecognised),
        }
    }

    fn read_whole(
        &mut self,
        raw: &mut [u8],
        len: usize,
        origin: Origin<'_>,
        log: &mut ParsedLog,
    ) -> Result<Kind, Unrecognised> {
        self.with_tape(raw, len, |root| {
            if root.is_array() {
                log.take_records(root, origin);
                return Ok(Kind::Log);
            }
            match root.get("Records") {
                Some(records) if records.is_array() => {
                    log.take_records(records, origin);
                    Ok(Kind::Log)
                }
                Some(_) => Err(Unrecognised::RecordsNotAnArray),
                None if is_digest(root) => Ok(Kind::Digest),
                None => Err(Unrecognised::RecordsMissing),
            }
        })
        .unwrap_or(Err(Unrecognised::InvalidJson))
    }

    /// Reads runs of records of about `slice_bytes`; 0 means one at a time,
    /// and then a record that is no JSON is rejected alone.
    fn read_slices(
        &mut self,
        raw: &mut [u8],
        len: usize,
        origin: Origin<'_>,
        slice_bytes: usize,
        log: &mut ParsedLog,
    ) -> Result<Kind, Unrecognised> {
        let text = raw.get(..len).unwrap_or_default();
        let records = split_records(text).map_err(|error| match error {
            // Read record by record because the whole is no JSON.
            SplitError::NoRecords if slice_bytes > 0 => Unrecognised::RecordsMissing,
            SplitError::NoRecords | SplitError::Unbalanced => Unrecognised::InvalidJson,
            SplitError::TooMany => Unrecognised::HoldsTooMuch,
        })?;
        log.accesses.make_room(LogSize {
            rows: records.len().min(ROWS_ROOM_MAX),
            text_bytes: 0,
        });
        let mut rest = records.as_slice();
        let mut is_first = true;
        while let Some(first) = rest.first() {
            let run = rest
                .iter()
                .position(|record| record.end - first.start > slice_bytes)
                .unwrap_or(rest.len())
                .max(1);
            let (slice, later) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            rest = later;
            let end = slice.last().map_or(first.end, |last| last.end);
            let parsed = self.with_brackets(raw, first.start..end, |items| {
                log.take_records(items, origin);
            });
            if parsed.is_none() {
                if slice_bytes > 0 {
                    return Err(Unrecognised::InvalidJson);
                }
                log.reject(BadRecord::InvalidJson);
                log.records += 1;
            }
            if log.bytes_used() > LOG_HELD_BYTES_MAX {
                return Err(Unrecognised::HoldsTooMuch);
            }
            if std::mem::take(&mut is_first) && end > 0 {
                // The rest is as the first run was, and a little more.
                let text_bytes = log.accesses.size().text_bytes * (len / end + 1);
                log.accesses.make_room(LogSize {
                    rows: 0,
                    text_bytes: text_bytes.min(LOG_HELD_BYTES_MAX / 2),
                });
            }
        }
        Ok(Kind::Log)
    }

    /// Parses a run of records as an array, by writing brackets over the bytes
    /// around it, which belong to no record.
    fn with_brackets(
        &mut self,
        raw: &mut [u8],
        run: Range<usize>,
        read: impl FnOnce(Value<'_, '_>),
    ) -> Option<()> {
        let start = run.start.checked_sub(1)?;
        *raw.get_mut(start)? = b'[';
        *raw.get_mut(run.end)? = b']';
        let slice = raw.get_mut(start..)?;
        self.with_tape(slice, run.end + 1 - start, read)
    }

    /// Parses `text[..len]` and shows the root to `read`; `None` if it is no JSON.
    fn with_tape<R>(
        &mut self,
        text: &mut [u8],
        len: usize,
        read: impl FnOnce(Value<'_, '_>) -> R,
    ) -> Option<R> {
        let mut tape = std::mem::replace(&mut self.tape, Tape::null()).reset();
        let parsed = simd_json::fill_tape_padded(text, len, &mut self.buffers, &mut tape);
        let result = parsed.is_ok().then(|| read(Value::root(&tape)));
        self.tape = tape.reset();
        result
    }
}

enum Kind {
    Log,
    Digest,
}

fn is_digest(root: Value<'_, '_>) -> bool {
    root.get("digestEndTime").is_some() && root.get("digestS3Object").is_some()
}

impl ParsedLog {
    /// Bytes held, about.
    pub fn bytes(&self) -> usize {
        self.accesses.bytes() + self.fact_bytes()
    }

    /// Bytes held, without room that is still empty.
    fn bytes_used(&self) -> usize {
        self.accesses.bytes_used() + self.fact_bytes()
    }

    fn fact_bytes(&self) -> usize {
        (self.sts_sessions.len() + self.ec2_instances.len()) * FACT_BYTES
    }

    fn take_records(&mut self, records: Value<'_, '_>, origin: Origin<'_>) {
        for value in records.items() {
            self.take_record(value, origin);
            self.records += 1;
        }
    }

    fn take_record(&mut self, value: Value<'_, '_>, origin: Origin<'_>) {
        match record::read(value) {
            Record::S3(fields) => {
                self.saw(fields.event_time);
                self.take_access(value, &fields, origin);
            }
            Record::Sts(fields) => {
                self.saw(fields.event_time);
                self.not_s3 += 1;
                let id = event_id(&fields, value);
                self.sts_sessions
                    .push(facts::sts_session(&fields, id, origin.source_uri));
            }
            Record::Ec2(fields) => {
                self.saw(fields.event_time);
                self.not_s3 += 1;
                let id = event_id(&fields, value);
                self.ec2_instances
                    .extend(facts::ec2_instances(&fields, &id, origin.source_uri));
            }
            Record::Other { event_time } => {
                self.not_s3 += 1;
                if let Some(at) = event_time {
                    self.saw(at);
                }
            }
            Record::Bad(reason) => self.reject(reason),
        }
    }

    fn take_access(&mut self, value: Value<'_, '_>, fields: &Fields<'_, '_>, origin: Origin<'_>) {
        let additional = fields.additional();
        let request = fields.s3_request(&additional);
        let principal = fields.principal();
        let mut target = fields.account_and_region();
        target.aws_account_id = target.aws_account_id.or(origin.account_id);
        target.bucket = request.bucket();
        target.bucket_account_id = request.bucket_account_id;
        let guid = fields.event_id.and_then(guid_bytes);
        let content = guid.is_none().then(|| content_hash(value));
        let made;
        let event_id = match (fields.event_id, &content) {
            (Some(id), _) => id,
            (None, hash) => {
                self.event_ids_made += 1;
                made = made_event_id(hash.as_ref());
                &made
            }
        };
        let event_name = fields.event_name;
        self.accesses.push(&NewAccess {
            event_id,
            event_time: fields.event_time,
            event_name,
            operation: record::operation(event_name.unwrap_or_default()),
            outcome: fields.outcome(),
            error_code: fields.error_code,
            error_message: fields.error_message,
            object_key: request.object_key(),
            list_prefix: request.list_prefix,
            version_id: request.version_id,
            copy_source: request.copy_source,
            bytes_in: request.bytes_in,
            bytes_out: request.bytes_out,
            sse: request.sse,
            kms_key_arn: request.kms_key_arn,
            presigned: request.presigned,
            request_id: fields.request_id,
            shared_event_id: fields.shared_event_id,
            principal,
            client: fields.client(&principal, &additional),
            target,
            source_index: u32::try_from(self.records).unwrap_or(u32::MAX),
            copy_key: copy_key(guid, content.as_ref(), target.aws_account_id),
            by_content: guid.is_none(),
        });
    }

    fn reject(&mut self, reason: BadRecord) {
        self.bad += 1;
        if self.rejects.len() < REJECTS_LISTED_MAX {
            self.rejects.push(Reject {
                record_index: u32::try_from(self.records).unwrap_or(u32::MAX),
                reason,
            });
        }
    }

    fn saw(&mut self, at: UtcMicros) {
        self.first_event_time = Some(self.first_event_time.map_or(at, |first| first.min(at)));
        self.last_event_time = Some(self.last_event_time.map_or(at, |last| last.max(at)));
    }
}
