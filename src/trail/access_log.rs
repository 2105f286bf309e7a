//! The S3 accesses of one log object, kept compactly until they are decided.
//!
//! A row can only be written once the session behind its key is known, and that
//! may stand in an object that comes later. So accesses wait: their own text
//! lies in one arena, what repeats (principal, client, target, short names)
//! is kept once and referred to by number. About 250 bytes an event, against
//! some 1,300 of its JSON.

use super::event_id::{CopyKey, content_of_key, copy_key, guid_bytes};
use super::request::S3Request;
use crate::model::{AccessEvent, Asked, Client, Operation, Outcome, Principal, Target, UtcMicros};
use indexmap::IndexSet;
use std::collections::BTreeMap;

/// Texts that are a row's own. They lie in the arena one after another, so their
/// lengths tell where each is; an absent one is empty.
const TEXTS: usize = 8;

/// What a principal, a client with its target, and a name take beside their
/// texts: the values themselves and their places in the sets.
const PRINCIPAL_BYTES: usize = size_of::<Principal>() + 64;
const GROUP_BYTES: usize = size_of::<Client>() + size_of::<Target>() + 2 * 64;
const NAME_BYTES: usize = size_of::<String>() + 64;
const ADDENDUM_BYTES: usize = 256;

/// A number for an absent name.
const NO_NAME: u32 = u32::MAX;
const NO_NAMES: [u32; 4] = [NO_NAME; 4];
const NO_COUNT: i64 = i64::MIN;

/// One access, ready to be kept. Everything is borrowed from the log object.
#[derive(Clone, Copy)]
pub struct NewAccess<'a> {
    pub event_id: &'a str,
    pub event_time: UtcMicros,
    pub event_name: Option<&'a str>,
    pub operation: Operation,
    pub outcome: Outcome,
    pub error_code: Option<&'a str>,
    pub error_message: Option<&'a str>,
    pub request: S3Request<'a>,
    pub request_id: Option<&'a str>,
    pub shared_event_id: Option<&'a str>,
    /// Its number, from [`AccessLog::principal`].
    pub principal: u32,
    pub client: Client<&'a str>,
    pub target: Target<&'a str>,
    pub source_index: u32,
    pub copy_key: CopyKey,
    /// Whether the copy key is made of the content, for want of a GUID.
    pub by_content: bool,
    pub addendum: Option<Addendum<&'a str>>,
}

/// Why a record was delivered late or once more (CloudTrail user guide, record
/// contents: `addendum`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Addendum<S = String> {
    /// `DELIVERY_DELAY`, `UPDATED_DATA` or `SERVICE_OUTAGE`.
    pub reason: S,
    /// The event that this record corrects; only with `UPDATED_DATA`.
    pub original_event_id: Option<S>,
}

impl Addendum {
    /// The key of the event that this record corrects; `None` if it corrects none.
    pub fn corrects(&self, account_id: Option<&str>) -> Option<CopyKey> {
        let original = self.original_event_id.as_deref().and_then(guid_bytes)?;
        Some(copy_key(Some(original), None, account_id))
    }
}

struct Row {
    event_time: UtcMicros,
    bytes_in: i64,
    bytes_out: i64,
    /// Where its texts begin in the arena, and how long they are.
    texts_at: u32,
    text_lens: [u32; TEXTS],
    event_name: u32,
    error_code: u32,
    sse: u32,
    kms_key_arn: u32,
    principal: u32,
    client: u32,
    target: u32,
    source_index: u32,
    copy_key: CopyKey,
    operation: Operation,
    outcome: Outcome,
    presigned: bool,
    by_content: bool,
}

/// The numbers under which an access's repeated parts are kept: equal numbers
/// within one log mean equal parts, so decisions can be reused by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupIds {
    pub principal: u32,
    pub client: u32,
    pub target: u32,
    pub event_name: u32,
    pub sse: u32,
    pub kms_key_arn: u32,
}

/// Accesses of one log object, in the order of its records.
#[derive(Default)]
pub struct AccessLog {
    rows: Vec<Row>,
    arena: String,
    principals: IndexSet<Principal, foldhash::fast::FixedState>,
    clients: IndexSet<Client, foldhash::fast::FixedState>,
    targets: IndexSet<Target, foldhash::fast::FixedState>,
    names: IndexSet<String, foldhash::fast::FixedState>,
    /// The names of the last row.
    names_before: [u32; 4],
    /// Client and target of each principal's last row.
    before: Vec<(u32, u32)>,
    /// Bytes of what is kept once.
    kept_once: usize,
    /// Addenda by place: a few in a million records have one.
    addenda: BTreeMap<usize, Addendum>,
    /// When pre-signed URLs were signed, by place, in order of places: few logs have
    /// many of them.
    signed: Vec<(usize, UtcMicros)>,
}

impl AccessLog {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held, to within the maps' own overhead.
    pub fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Row>()
            + self.signed.capacity() * size_of::<(usize, UtcMicros)>()
            + self.arena.capacity()
            + self.kept_once
    }

    /// Bytes in use: held, without room that is still empty.
    pub fn bytes_used(&self) -> usize {
        self.rows.len() * size_of::<Row>()
            + self.signed.len() * size_of::<(usize, UtcMicros)>()
            + self.arena.len()
            + self.kept_once
    }

    /// Makes room for so much in all: a log of many records that grew step by step
    /// would hold twice and thrice of it on the way. Room that stays empty is
    /// never touched, and given back by [`AccessLog::shrink`].
    pub fn make_room(&mut self, size: LogSize) {
        self.rows
            .reserve_exact(size.rows.saturating_sub(self.rows.len()));
        self.arena
            .reserve_exact(size.text_bytes.saturating_sub(self.arena.len()));
    }

    /// Forgets every access, and keeps the room for others: memory that was used
    /// before is at hand, fresh memory costs the system's time.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.arena.clear();
        self.principals.clear();
        self.clients.clear();
        self.targets.clear();
        self.names.clear();
        self.names_before = NO_NAMES;
        self.before.clear();
        self.kept_once = 0;
        self.addenda.clear();
        self.signed.clear();
    }

    pub fn size(&self) -> LogSize {
        LogSize {
            rows: self.rows.len(),
            text_bytes: self.arena.len(),
        }
    }

    /// Gives back the room that was reserved and not used, where it is much.
    pub fn shrink(&mut self) {
        if self.rows.capacity() > self.rows.len() / 2 * 3 + 64 {
            self.rows.shrink_to_fit();
        }
        if self.arena.capacity() > self.arena.len() / 2 * 3 + 4096 {
            self.arena.shrink_to_fit();
        }
    }

    /// The number of the principal, under which it is kept.
    pub fn principal(&mut self, principal: &Principal<&str>) -> u32 {
        let kept = self.principals.len();
        let number = intern(&mut self.principals, principal, |p| p.to_owned());
        if self.principals.len() > kept {
            self.kept_once += PRINCIPAL_BYTES + principal.text_bytes();
        }
        number
    }

    pub fn push(&mut self, access: &NewAccess<'_>) {
        let request = &access.request;
        let groups = self.groups_kept();
        let (client, target) = self.client_and_target(access);
        let (texts_at, text_lens) = self.keep([
            Some(access.event_id),
            access.error_message,
            request.object_key,
            request.list_prefix,
            request.version_id,
            request.copy_source,
            access.request_id,
            access.shared_event_id,
        ]);
        let row = Row {
            event_time: access.event_time,
            bytes_in: request.bytes_in.unwrap_or(NO_COUNT),
            bytes_out: request.bytes_out.unwrap_or(NO_COUNT),
            texts_at,
            text_lens,
            event_name: self.name(0, access.event_name),
            error_code: self.name(1, access.error_code),
            sse: self.name(2, request.sse),
            kms_key_arn: self.name(3, request.kms_key_arn),
            principal: access.principal,
            client,
            target,
            source_index: access.source_index,
            copy_key: access.copy_key,
            operation: access.operation,
            outcome: access.outcome,
            presigned: request.presigned,
            by_content: access.by_content,
        };
        if let Some(addendum) = &access.addendum {
            let addendum = Addendum {
                reason: addendum.reason.to_owned(),
                original_event_id: addendum.original_event_id.map(str::to_owned),
            };
            self.kept_once += ADDENDUM_BYTES;
            self.addenda.insert(self.rows.len(), addendum);
        }
        if let Some(at) = request.signed_at {
            self.signed.push((self.rows.len(), at));
        }
        self.rows.push(row);
        if self.groups_kept() > groups {
            self.kept_once += GROUP_BYTES + access.client.text_bytes() + access.target.text_bytes();
        }
    }

    /// The numbers of client and target. A principal mostly comes from where it
    /// came before, and asks for the same bucket.
    fn client_and_target(&mut self, access: &NewAccess<'_>) -> (u32, u32) {
        let principal = access.principal as usize;
        if self.before.len() <= principal {
            self.before.resize(principal + 1, (NO_NAME, NO_NAME));
        }
        let (client, target) = self
            .before
            .get(principal)
            .copied()
            .unwrap_or((NO_NAME, NO_NAME));
        let same_client = self
            .clients
            .get_index(client as usize)
            .is_some_and(|before| access.client == before.as_refs());
        let same_target = self
            .targets
            .get_index(target as usize)
            .is_some_and(|before| access.target == before.as_refs());
        let now = (
            match same_client {
                true => client,
                false => intern(&mut self.clients, &access.client, |c| c.to_owned()),
            },
            match same_target {
                true => target,
                false => intern(&mut self.targets, &access.target, |t| t.to_owned()),
            },
        );
        if let Some(before) = self.before.get_mut(principal) {
            *before = now;
        }
        now
    }

    fn groups_kept(&self) -> usize {
        self.clients.len() + self.targets.len()
    }

    fn keep(&mut self, texts: [Option<&str>; TEXTS]) -> (u32, [u32; TEXTS]) {
        // A log object is capped far below 4 GiB, so all fit.
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or_default();
        let start = number(self.arena.len());
        let lens = texts.map(|text| {
            let text = text.unwrap_or_default();
            self.arena.push_str(text);
            number(text.len())
        });
        (start, lens)
    }

    /// The number of a name; `field` tells what the name is of, because the name
    /// that the record before had there is the likeliest.
    fn name(&mut self, field: usize, text: Option<&str>) -> u32 {
        let Some(text) = text else { return NO_NAME };
        let before = self.names_before.get(field).copied().unwrap_or(NO_NAME);
        if self.named(before) == Some(text) {
            return before;
        }
        let kept = self.names.len();
        let number = intern(&mut self.names, text, str::to_owned);
        if self.names.len() > kept {
            self.kept_once += NAME_BYTES + text.len();
        }
        if let Some(before) = self.names_before.get_mut(field) {
            *before = number;
        }
        number
    }

    #[inline]
    fn texts(&self, row: &Row) -> [Option<&str>; TEXTS] {
        let mut at = row.texts_at as usize;
        row.text_lens.map(|len| {
            if len == 0 {
                return None;
            }
            let start = at;
            at += len as usize;
            self.arena.get(start..at)
        })
    }

    fn shared_event_id(&self, row: &Row) -> Option<&str> {
        let [before @ .., len] = row.text_lens;
        if len == 0 {
            return None;
        }
        let start = before
            .iter()
            .fold(row.texts_at as usize, |at, len| at + *len as usize);
        self.arena.get(start..start + len as usize)
    }

    fn named(&self, name: u32) -> Option<&str> {
        self.names.get_index(name as usize).map(String::as_str)
    }

    /// The access at that place; `None` past the end.
    #[inline]
    pub fn get(&self, index: usize) -> Option<AccessEvent<'_>> {
        let row = self.rows.get(index)?;
        let target = self.targets.get_index(row.target as usize)?;
        let count = |n: i64| (n != NO_COUNT).then_some(n);
        let [
            event_id,
            error_message,
            object_key,
            list_prefix,
            version_id,
            copy_source,
            request_id,
            shared_event_id,
        ] = self.texts(row);
        Some(AccessEvent {
            event_id: event_id.unwrap_or_default(),
            event_time: row.event_time,
            event_name: self.named(row.event_name).unwrap_or_default(),
            operation: row.operation,
            outcome: row.outcome,
            error_code: self.named(row.error_code),
            error_message,
            object_key,
            list_prefix,
            version_id,
            copy_source,
            bytes_in: count(row.bytes_in),
            bytes_out: count(row.bytes_out),
            sse: self.named(row.sse),
            kms_key_arn: self.named(row.kms_key_arn),
            presigned: row.presigned,
            signed_at: row.presigned.then(|| self.signed_at(index)).flatten(),
            request_id,
            shared_event_id,
            content_id: row
                .by_content
                .then(|| content_of_key(row.copy_key, target.aws_account_id.as_deref())),
            principal: self.principals.get_index(row.principal as usize)?,
            client: self.clients.get_index(row.client as usize)?,
            target,
        })
    }

    /// What tells copies apart, without building the whole access.
    pub fn copy_of(&self, index: usize) -> Option<CopyId<'_>> {
        let row = self.rows.get(index)?;
        let principal = self.principals.get_index(row.principal as usize)?;
        let account_id = self
            .targets
            .get_index(row.target as usize)
            .and_then(|target| target.aws_account_id.as_deref());
        Some(CopyId {
            key: row.copy_key,
            corrects: self
                .addendum(index)
                .and_then(|addendum| addendum.corrects(account_id)),
            shared_event_id: self.shared_event_id(row),
            event_name: self.named(row.event_name).unwrap_or_default(),
            account_id,
            richness: u8::from(principal.arn.is_some()) * 2
                + u8::from(principal.access_key_id.is_some()),
        })
    }

    /// What the access at that place asked for: operation and answer, bucket,
    /// object key and list prefix.
    pub fn asked(&self, index: usize) -> Option<Asked<'_>> {
        let row = self.rows.get(index)?;
        let target = self.targets.get_index(row.target as usize)?;
        let [event_id, error_message, key, prefix, ..] = row.text_lens.map(|len| len as usize);
        let key_at = row.texts_at as usize + event_id + error_message;
        let text = |at: usize, len: usize| {
            let text = self.arena.get(at..at + len);
            text.filter(|text| !text.is_empty())
        };
        Some(Asked {
            operation: row.operation,
            outcome: row.outcome,
            bucket: target.bucket.as_deref(),
            object_key: text(key_at, key),
            list_prefix: text(key_at + key, prefix),
        })
    }

    /// The record's addendum, where it has one.
    pub fn addendum(&self, index: usize) -> Option<&Addendum> {
        if self.addenda.is_empty() {
            return None;
        }
        self.addenda.get(&index)
    }

    pub fn event_time(&self, index: usize) -> Option<UtcMicros> {
        self.rows.get(index).map(|row| row.event_time)
    }

    /// Whether the request was pre-signed, and how AWS answered.
    pub fn how(&self, index: usize) -> Option<(bool, Outcome)> {
        self.rows.get(index).map(|row| (row.presigned, row.outcome))
    }

    /// When the pre-signed URL of the access at that place was signed.
    pub fn signed_at(&self, index: usize) -> Option<UtcMicros> {
        let found = self
            .signed
            .binary_search_by_key(&index, |(place, _)| *place);
        self.signed.get(found.ok()?).map(|(_, at)| *at)
    }

    pub fn groups(&self, index: usize) -> Option<GroupIds> {
        let row = self.rows.get(index)?;
        Some(GroupIds {
            principal: row.principal,
            client: row.client,
            target: row.target,
            event_name: row.event_name,
            sse: row.sse,
            kms_key_arn: row.kms_key_arn,
        })
    }

    /// The distinct principals, in the order of their numbers.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.principals.iter()
    }

    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter()
    }

    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter()
    }

    /// Event names, error codes, encryption kinds and keys.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.names.iter()
    }

    pub fn source_index(&self, index: usize) -> Option<u32> {
        self.rows.get(index).map(|row| row.source_index)
    }
}

/// How much a log held.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSize {
    pub rows: usize,
    pub text_bytes: usize,
}

impl LogSize {
    /// No more than an object of that many inflated bytes usually holds, so that
    /// one giant does not make room for another after it.
    pub fn at_most(self, raw_bytes: usize) -> LogSize {
        LogSize {
            rows: self.rows.min(raw_bytes / 512),
            text_bytes: self.text_bytes.min(raw_bytes / 4),
        }
    }
}

/// What tells copies of one event apart.
pub struct CopyId<'a> {
    pub key: CopyKey,
    /// The key of the event that this record corrects.
    pub corrects: Option<CopyKey>,
    pub shared_event_id: Option<&'a str>,
    pub event_name: &'a str,
    pub account_id: Option<&'a str>,
    /// How much this copy says of the caller: an ARN, then an access key.
    pub richness: u8,
}

fn intern<T, B>(
    set: &mut IndexSet<T, foldhash::fast::FixedState>,
    value: &B,
    to_owned: impl Fn(&B) -> T,
) -> u32
where
    T: std::hash::Hash + Eq,
    B: std::hash::Hash + hashbrown::Equivalent<T> + ?Sized,
{
    let index = match set.get_index_of(value) {
        Some(index) => index,
        None => set.insert_full(to_owned(value)).0,
    };
    u32::try_from(index).unwrap_or(NO_NAME)
}
