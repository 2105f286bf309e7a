//! What the lake holds already: source objects, and copies of events.
//!
//! INVARIANT (objects once): an object whose place and ETag stand in
//! `log_objects` is not read again; one whose bytes stand there under another
//! place is a copy.
//!
//! Only 128-bit digests of these are held: a million objects take about 40 MB.
//! Copies of *events* are recognised within a bounded reach, this commit and
//! the most recent rows; those further apart are left to `settle`.

use crate::model::{Ec2Instance, Principal, StsSession};
use crate::trail::access_log::CopyId;
use crate::trail::event_id::{CopyKey, copy_key_of_row, guid_bytes, read_content_id};
use crate::trail::inflate::sha256;
use hashbrown::{HashMap, HashSet};

/// Keys of copies remembered, at least; about 34 bytes each, two generations.
///
/// Two trails deliver one event minutes apart; that many S3 events are several
/// minutes of the largest trails and days of a common one. Just under what fits
/// a table of 2^19 slots.
pub const COPY_REACH: usize = 450_000;

/// Copies from which on there is room for all at once: growing step by step
/// would move them again and again.
const GROWN_FROM: usize = 50_000;

/// The source objects that were committed, whatever their fate.
#[derive(Default)]
pub struct Ledger {
    objects: HashSet<CopyKey, foldhash::fast::FixedState>,
    contents: HashSet<CopyKey, foldhash::fast::FixedState>,
}

fn object_key(uri: &str, version_id: Option<&str>, etag: Option<&str>) -> CopyKey {
    let mut text = Vec::with_capacity(uri.len() + 64);
    for part in [Some(uri), version_id, etag] {
        text.extend_from_slice(part.unwrap_or_default().as_bytes());
        text.push(0);
    }
    first_half(&sha256(&text))
}

fn first_half(hash: &[u8; 32]) -> CopyKey {
    hash.first_chunk::<16>().copied().unwrap_or_default()
}

impl Ledger {
    /// Notes an object; `content` is the hash of bytes that were committed.
    pub fn note(
        &mut self,
        uri: &str,
        version_id: Option<&str>,
        etag: Option<&str>,
        content: Option<&[u8; 32]>,
    ) {
        self.objects.insert(object_key(uri, version_id, etag));
        if let Some(hash) = content {
            self.contents.insert(first_half(hash));
        }
    }

    pub fn has_object(&self, uri: &str, version_id: Option<&str>, etag: Option<&str>) -> bool {
        self.objects.contains(&object_key(uri, version_id, etag))
    }

    /// Whether an object of these bytes was committed.
    pub fn has_content(&self, sha256: &[u8; 32]) -> bool {
        self.contents.contains(&first_half(sha256))
    }

    pub fn objects(&self) -> usize {
        self.objects.len()
    }
}

/// Whether an access is a copy of one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Never seen within reach: a new row.
    New,
    /// The same event again, or its twin in another account.
    Copy,
    /// A twin that says more of the caller than the row with that number.
    RicherTwin { row: u64 },
}

/// A row that was kept, as far as copies of it have to be told.
#[derive(Clone, Copy)]
struct Kept {
    row: u64,
    account: u32,
    richness: u8,
}

type KeptByKey = HashMap<CopyKey, Kept, foldhash::fast::FixedState>;

/// Recognises copies of events within its reach.
///
/// Rows are numbered in the order in which they are kept.
pub struct CopyFilter {
    next_row: u64,
    recent: KeptByKey,
    older: KeptByKey,
}

impl Default for CopyFilter {
    fn default() -> Self {
        CopyFilter {
            // 0 stands for every row of the lake.
            next_row: 1,
            recent: KeptByKey::default(),
            older: KeptByKey::default(),
        }
    }
}

impl CopyFilter {
    /// The number that the next new row gets.
    pub fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Looks the access up and, unless it is a copy, remembers it as a row.
    ///
    /// A row can be replaced by a richer twin only while it is not committed:
    /// from `first_row` on. After that the first copy stays.
    pub fn check(&mut self, id: &CopyId<'_>, first_row: u64) -> Seen {
        if self.find(&id.key).is_some() {
            return Seen::Copy;
        }
        let kept = Kept {
            row: self.next_row,
            account: account_number(id.account_id),
            richness: id.richness,
        };
        let twin = id
            .shared_event_id
            .map(|shared| shared_key(shared, id.event_name));
        // A twin is the other account's copy; an equal shared id within one
        // account is something else and stays.
        let other = twin
            .and_then(|key| self.find(&key))
            .filter(|other| other.account != kept.account);
        let replaceable = |other: &Kept| other.row >= first_row && other.richness < kept.richness;
        if other.as_ref().is_some_and(|other| !replaceable(other)) {
            return Seen::Copy;
        }
        self.next_row += 1;
        self.insert(id.key, kept);
        if let Some(key) = twin {
            self.insert(key, kept);
        }
        other.map_or(Seen::New, |other| Seen::RicherTwin { row: other.row })
    }

    /// Remembers a row that stands in the lake already.
    pub fn note(
        &mut self,
        event_id: &str,
        content_id: Option<&str>,
        event_name: &str,
        account_id: Option<&str>,
        shared_event_id: Option<&str>,
        richness: u8,
    ) {
        let kept = Kept {
            row: 0,
            account: account_number(account_id),
            richness,
        };
        if let Some(key) = copy_key_of_row(event_id, content_id, account_id) {
            self.insert(key, kept);
        }
        if let Some(shared) = shared_event_id {
            self.insert(shared_key(shared, event_name), kept);
        }
    }

    fn find(&self, key: &CopyKey) -> Option<Kept> {
        self.recent
            .get(key)
            .or_else(|| self.older.get(key))
            .copied()
    }

    fn insert(&mut self, key: CopyKey, kept: Kept) {
        if self.recent.len() >= COPY_REACH {
            // The older generation's room is used again: a table that grows
            // step by step touches twice its size.
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        } else if self.recent.len() == self.recent.capacity() && self.recent.len() >= GROWN_FROM {
            self.recent.reserve(COPY_REACH - self.recent.len());
        }
        self.recent.insert(key, kept);
    }
}

/// Keys of identity facts remembered, at least; about 17 bytes each, two
/// generations. Facts are a few in a hundred records.
const FACT_REACH: usize = 100_000;

/// Recognises copies of identity facts within its reach: of one STS event in one
/// account, of what one EC2 event says of one instance. The copies that two
/// accounts get of one event differ and stay.
#[derive(Default)]
pub struct FactFilter {
    recent: HashSet<CopyKey, foldhash::fast::FixedState>,
    older: HashSet<CopyKey, foldhash::fast::FixedState>,
}

impl FactFilter {
    /// A filter that knows these facts.
    pub fn of(sessions: &[StsSession], instances: &[Ec2Instance]) -> FactFilter {
        let mut filter = FactFilter::default();
        for session in sessions {
            filter.is_new_session(session);
        }
        for instance in instances {
            filter.is_new_instance(instance);
        }
        filter
    }

    /// Whether the session is none that was seen before; remembers it.
    pub fn is_new_session(&mut self, session: &StsSession) -> bool {
        // Only what a row keeps: it must tell the same of its session.
        let content = || {
            let caller = Principal {
                user_name: None,
                session_issuer_account_id: None,
                source_identity: None,
                ec2_role_delivery: None,
                ..session.caller.clone()
            };
            let session = StsSession {
                source_uri: String::new(),
                caller,
                ..session.clone()
            };
            format!("{session:?}")
        };
        let account = session.aws_account_id.as_deref();
        self.is_new("sts", &session.event_id, account, "", content)
    }

    /// Whether the fact is none that was seen before; remembers it.
    pub fn is_new_instance(&mut self, instance: &Ec2Instance) -> bool {
        let content = || {
            let instance = Ec2Instance {
                source_uri: String::new(),
                ..instance.clone()
            };
            format!("{instance:?}")
        };
        let account = instance.aws_account_id.as_deref();
        let id = &instance.instance_id;
        self.is_new("ec2", &instance.event_id, account, id, content)
    }

    /// An event id that is a placeholder tells nothing; then the content does.
    fn is_new(
        &mut self,
        table: &str,
        event_id: &str,
        account_id: Option<&str>,
        instance_id: &str,
        content: impl Fn() -> String,
    ) -> bool {
        let is_id = guid_bytes(event_id).is_some() || read_content_id(event_id).is_some();
        let content = if is_id { String::new() } else { content() };
        let account_id = account_id.unwrap_or_default();
        let parts = [table, event_id, account_id, instance_id, &content];
        let key = first_half(&sha256(parts.join("\0").as_bytes()));
        if self.recent.contains(&key) || self.older.contains(&key) {
            return false;
        }
        if self.recent.len() >= FACT_REACH {
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
        }
        self.recent.insert(key)
    }
}

/// Tells accounts apart well enough for two copies of one event.
fn account_number(account_id: Option<&str>) -> u32 {
    crc(account_id.unwrap_or_default().as_bytes())
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// A shared id lives in another space than event ids, and belongs to one kind
/// of event.
fn shared_key(shared_event_id: &str, event_name: &str) -> CopyKey {
    let mut key = guid_bytes(shared_event_id)
        .unwrap_or_else(|| first_half(&sha256(shared_event_id.as_bytes())));
    let name = crc(event_name.as_bytes()).to_le_bytes();
    for (byte, mixed) in key.iter_mut().rev().zip(name.into_iter().chain([0x5a])) {
        *byte ^= mixed;
    }
    key
}
