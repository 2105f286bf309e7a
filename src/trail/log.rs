//! Turns the inflated bytes of a log object into accesses and identity facts.
//!
//! The array of records is walked once. A record of a shape met before is read
//! where it stands ([`super::shape`]); any other is copied, parsed with
//! simd-json in place, and read from its tape. What cannot be read is a fact, not
//! an error: it is listed with its place and reason, and its neighbours are read.
//!
//! INVARIANT (records add up): `records == accesses + not_s3 + rejects`, each
//! record in exactly one of them.
//!
//! Deliberately not here: dropping copies, attribution, verdicts. They need
//! more than one object.

use super::access_log::{AccessLog, Addendum, LogSize, NewAccess};
use super::event_id::{CopyKey, content_hash, copy_key, event_id, guid_bytes, made_event_id};
use super::facts;
use super::fields::{Fields, Text};
use super::frame::{Unbalanced, each_records_array, ends_item, next_item, value_end};
use super::operation::operation;
use super::record::{self, BadRecord, Route};
use super::request::S3Request;
use super::shape::{Caller, Identity, Shapes};
use super::tape::Value;
use crate::model::{Ec2Instance, StsSession, UtcMicros};
use serde::Deserialize;
use serde::de::IgnoredAny;
use simd_json::{Buffers, INPUT_PADDING, Tape};

/// Largest record that is read, in bytes; above it, the record is rejected.
///
/// CloudTrail's own limit is 256 KB an event. A tape takes some ten times its
/// text, so that a record of this size stays within the memory of a worker.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most that may be held of one object, in bytes; above it, quarantine.
///
/// A log of records as AWS writes them holds a fifth of its inflated bytes. Only
/// one that is made of next to empty records, which no S3 event is, gets here.
pub const LOG_HELD_BYTES_MAX: usize = 96 * 1024 * 1024;

/// Inflated bytes after which a giant's room is made for all of it at once, by
/// what it held so far.
const ROOM_AFTER_BYTES: usize = 8 * 1024 * 1024;

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

impl From<Unbalanced> for Unrecognised {
    fn from(_: Unbalanced) -> Unrecognised {
        Unrecognised::InvalidJson
    }
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

/// Reads log objects one after another, with buffers and shapes that it keeps.
pub struct LogReader {
    /// `None` reads every record from its tape: the slow, obvious way.
    shapes: Option<Shapes>,
    tapes: Tapes,
    /// How much the last log held.
    last: LogSize,
    /// A log that nobody reads any more, to be filled anew.
    used: Option<AccessLog>,
    records_by_shape: u64,
}

impl Default for LogReader {
    fn default() -> Self {
        LogReader {
            shapes: Some(Shapes::default()),
            ..LogReader::by_tape()
        }
    }
}

impl LogReader {
    /// A reader that learns no shapes, to compare with.
    pub fn by_tape() -> LogReader {
        LogReader {
            shapes: None,
            tapes: Tapes {
                buffers: Buffers::new(RECORD_CAPACITY),
                tape: Tape::null(),
                record: Vec::with_capacity(RECORD_CAPACITY + INPUT_PADDING),
            },
            last: LogSize::default(),
            used: None,
            records_by_shape: 0,
        }
    }

    /// Records read by shape so far, in all objects.
    pub fn records_by_shape(&self) -> u64 {
        self.records_by_shape
    }

    /// Reads a log object from its inflated bytes.
    pub fn read(&mut self, raw: &[u8], origin: Origin<'_>) -> Content {
        let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
        // Bytes that are no UTF-8 belong to some record: it is found, and
        // rejected, when all are read from their tapes.
        let text = simdutf8::basic::from_utf8(raw).ok();
        let mut log = ParsedLog::default();
        let arrays = each_records_array(raw, |first| {
            log = ParsedLog {
                accesses: self.empty_log(raw.len()),
                ..ParsedLog::default()
            };
            self.read_records(raw, text, first, origin, &mut log)
        });
        match arrays {
            Ok(0) => classify(raw),
            Ok(_) => {
                log.accesses.shrink();
                self.last = log.accesses.size();
                Content::Log(Box::new(log))
            }
            Err(unrecognised) => Content::Unrecognised(unrecognised),
        }
    }

    /// Takes a log that nobody reads any more, if it has none: the next one gets
    /// its room.
    pub fn reuse(&mut self, used: impl FnOnce() -> Option<AccessLog>) {
        if self.used.is_none() {
            self.used = used();
        }
    }

    /// An empty log with room for as much as the last one held: objects of one
    /// trail resemble each other, and growing step by step costs more than reading.
    fn empty_log(&mut self, raw_bytes: usize) -> AccessLog {
        let mut log = self.used.take().unwrap_or_default();
        log.clear();
        log.make_room(self.last.at_most(raw_bytes));
        log
    }

    /// Reads the items of an array; returns the place after it.
    fn read_records(
        &mut self,
        raw: &[u8],
        text: Option<&str>,
        first: usize,
        origin: Origin<'_>,
        log: &mut ParsedLog,
    ) -> Result<usize, Unrecognised> {
        let mut fields = Fields::default();
        if let Some(shapes) = &mut self.shapes {
            shapes.begin();
        }
        let mut at = first;
        let mut room_at = first.saturating_add(ROOM_AFTER_BYTES);
        loop {
            if log.bytes_used() > LOG_HELD_BYTES_MAX {
                return Err(Unrecognised::HoldsTooMuch);
            }
            if at > room_at {
                log.make_room(raw.len() / at + 1);
                room_at = usize::MAX;
            }
            let (start, is_item) = next_item(raw, at)?;
            if !is_item {
                return Ok(start);
            }
            let by_shape = self.shapes.as_mut().zip(text).and_then(|(shapes, text)| {
                log.read_by_shape(shapes, text, start, &mut fields, origin)
            });
            at = match by_shape {
                Some(end) => {
                    self.records_by_shape += 1;
                    end
                }
                None => {
                    let end = value_end(raw, start)?;
                    if end == start {
                        return Err(Unrecognised::InvalidJson);
                    }
                    let record = raw.get(start..end).unwrap_or_default();
                    self.read_by_tape(record, origin, log);
                    end
                }
            };
            ends_item(raw, at)?;
            log.records += 1;
        }
    }

    fn read_by_tape(&mut self, record: &[u8], origin: Origin<'_>, log: &mut ParsedLog) {
        if record.len() > RECORD_BYTES_MAX {
            log.reject(BadRecord::TooLarge);
            return;
        }
        let read = self
            .tapes
            .with_tape(record, |value| log.take_value(value, origin));
        match (read, &mut self.shapes) {
            (None, _) => log.reject(BadRecord::InvalidJson),
            (Some(true), Some(shapes)) => {
                if let Ok(record) = str::from_utf8(record) {
                    shapes.learn(record);
                }
            }
            _ => {}
        }
    }
}

/// What most records fit into.
const RECORD_CAPACITY: usize = 16 * 1024;

/// A record's copy and its tape.
struct Tapes {
    buffers: Buffers,
    tape: Tape<'static>,
    record: Vec<u8>,
}

impl Tapes {
    /// Parses a copy of the record and shows its root to `read`; `None` if it is
    /// no JSON.
    fn with_tape<R>(&mut self, record: &[u8], read: impl FnOnce(Value<'_, '_>) -> R) -> Option<R> {
        self.record.clear();
        self.record.extend_from_slice(record);
        self.record.resize(record.len() + INPUT_PADDING, 0);
        let mut tape = std::mem::replace(&mut self.tape, Tape::null()).reset();
        let parsed = simd_json::fill_tape_padded(
            &mut self.record,
            record.len(),
            &mut self.buffers,
            &mut tape,
        );
        let result = parsed.is_ok().then(|| read(Value::root(&tape)));
        self.tape = tape.reset();
        if self.record.capacity() > RECORD_BYTES_MAX / 8 {
            *self = LogReader::by_tape().tapes;
        }
        result
    }
}

/// Members that tell what an object without an array of records is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Frame {
    #[serde(rename = "Records")]
    records: There,
    #[serde(rename = "digestEndTime")]
    digest_end_time: There,
    #[serde(rename = "digestS3Object")]
    digest_s3_object: There,
}

/// Whether a member is there, whatever its value.
#[derive(Default)]
struct There(bool);

impl<'de> Deserialize<'de> for There {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<There, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| There(true))
    }
}

/// What an object is that has no array of records.
fn classify(raw: &[u8]) -> Content {
    let unrecognised = match serde_json::from_slice::<Frame>(raw) {
        Ok(frame) if frame.records.0 => Unrecognised::RecordsNotAnArray,
        Ok(frame) if frame.digest_end_time.0 && frame.digest_s3_object.0 => return Content::Digest,
        Ok(_) => Unrecognised::RecordsMissing,
        // A text or number, or members that stand twice.
        Err(_) if serde_json::from_slice::<IgnoredAny>(raw).is_ok() => Unrecognised::RecordsMissing,
        Err(_) => Unrecognised::InvalidJson,
    };
    Content::Unrecognised(unrecognised)
}

/// What identifies an event: its id as text, and the GUID that is or, for want
/// of one, its content.
struct EventId<'a> {
    text: &'a str,
    guid: Option<CopyKey>,
    content: Option<&'a [u8; 32]>,
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

    /// Makes room for that many times what is held, once: a log that grew step by
    /// step would hold twice and thrice of it on the way.
    fn make_room(&mut self, times: usize) {
        let LogSize { rows, text_bytes } = self.accesses.size();
        self.accesses.make_room(LogSize {
            rows: (rows * times).min(ROWS_ROOM_MAX),
            text_bytes: (text_bytes * times).min(LOG_HELD_BYTES_MAX / 2),
        });
    }

    /// Reads the record at `at` by its shape; returns the place after it. `None`
    /// where it has none that is known, or needs its tape: for an identity fact,
    /// or for the hash of its content.
    fn read_by_shape<'a>(
        &mut self,
        shapes: &mut Shapes,
        text: &'a str,
        at: usize,
        fields: &mut Fields<'a>,
        origin: Origin<'_>,
    ) -> Option<usize> {
        let matched = shapes.read(text, at, fields)?;
        if matched.end - at > RECORD_BYTES_MAX {
            return None;
        }
        match record::route(fields) {
            Route::S3 { event_time } => {
                let event_id = fields.get(Text::EventId)?;
                let guid = guid_bytes(event_id)?;
                let caller = match matched.identity {
                    Identity::Known(caller) => caller,
                    Identity::At(place) => {
                        let caller = self.caller(fields);
                        shapes.remember(text, place, caller);
                        caller
                    }
                    Identity::Missing => self.caller(fields),
                };
                let id = EventId {
                    text: event_id,
                    guid: Some(guid),
                    content: None,
                };
                self.take_access(fields, event_time, caller, id, origin);
                self.saw(event_time);
            }
            Route::Other { event_time } => {
                self.not_s3 += 1;
                if let Some(at) = event_time {
                    self.saw(at);
                }
            }
            Route::Bad(reason) => self.reject(reason),
            Route::Sts { .. } | Route::Ec2 { .. } => return None,
        }
        Some(matched.end)
    }

    /// Takes a record from its tape; tells whether its shape is worth learning.
    fn take_value(&mut self, value: Value<'_, '_>, origin: Origin<'_>) -> bool {
        if !value.is_object() {
            self.reject(BadRecord::NotAnObject);
            return false;
        }
        let fields = &Fields::read(value);
        match record::route(fields) {
            Route::S3 { event_time } => {
                let caller = self.caller(fields);
                let id = fields.get(Text::EventId);
                let guid = id.and_then(guid_bytes);
                let content = guid.is_none().then(|| content_hash(value));
                let made;
                let event_id = match id {
                    Some(id) => id,
                    None => {
                        self.event_ids_made += 1;
                        made = made_event_id(content.as_ref());
                        &made
                    }
                };
                let id = EventId {
                    text: event_id,
                    guid,
                    content: content.as_ref(),
                };
                self.take_access(fields, event_time, caller, id, origin);
                self.saw(event_time);
                guid.is_some()
            }
            Route::Sts { event_time } => {
                self.saw(event_time);
                self.not_s3 += 1;
                let id = event_id(fields.get(Text::EventId), value);
                let session = facts::sts_session(fields, value, id, event_time, origin.source_uri);
                self.sts_sessions.push(session);
                false
            }
            Route::Ec2 { event_time } => {
                self.saw(event_time);
                self.not_s3 += 1;
                let id = event_id(fields.get(Text::EventId), value);
                self.ec2_instances.extend(facts::ec2_instances(
                    fields,
                    value,
                    &id,
                    event_time,
                    origin.source_uri,
                ));
                false
            }
            Route::Other { event_time } => {
                self.not_s3 += 1;
                if let Some(at) = event_time {
                    self.saw(at);
                }
                true
            }
            Route::Bad(reason) => {
                self.reject(reason);
                false
            }
        }
    }

    fn caller(&mut self, fields: &Fields<'_>) -> Caller {
        let principal = record::principal(fields);
        Caller {
            direct: principal.invoked_by.is_none() && principal.identity_type != Some("AWSService"),
            principal: self.accesses.principal(&principal),
        }
    }

    fn take_access(
        &mut self,
        fields: &Fields<'_>,
        event_time: UtcMicros,
        caller: Caller,
        event_id: EventId<'_>,
        origin: Origin<'_>,
    ) {
        let request = S3Request::of(fields);
        let mut target = record::account_and_region(fields, origin.account_id);
        target.bucket = request.bucket;
        target.bucket_account_id = request.bucket_account_id;
        let event_name = fields.get(Text::EventName);
        let error_code = fields.get(Text::ErrorCode);
        self.accesses.push(&NewAccess {
            event_id: event_id.text,
            event_time,
            event_name,
            operation: operation(event_name.unwrap_or_default()),
            outcome: record::outcome(error_code),
            error_code,
            error_message: fields.get(Text::ErrorMessage),
            request,
            request_id: fields.get(Text::RequestId),
            shared_event_id: fields.get(Text::SharedEventId),
            principal: caller.principal,
            client: record::client(fields, caller.direct),
            target,
            source_index: u32::try_from(self.records).unwrap_or(u32::MAX),
            copy_key: copy_key(event_id.guid, event_id.content, target.aws_account_id),
            by_content: event_id.guid.is_none(),
            addendum: fields.get(Text::AddendumReason).map(|reason| Addendum {
                reason,
                original_event_id: fields.get(Text::AddendumOriginalEventId),
            }),
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
