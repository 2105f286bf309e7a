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
use crate::trail::event_id::{CopyKey, copy_key, copy_key_of_row, guid_bytes, read_content_id};
use crate::trail::hash::sha256;
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

/// Stands where an object's place stands; no place is called so.
const NOTIFICATION: &str = "notification";

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

    /// Notes a message, or a record of one, that named no object.
    pub fn note_notification(&mut self, id: &str) {
        self.objects
            .insert(object_key(NOTIFICATION, Some(id), None));
    }

    pub fn has_notification(&self, id: &str) -> bool {
        self.objects
            .contains(&object_key(NOTIFICATION, Some(id), None))
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
    /// The same event again, or its twin in another account that tells less.
    Copy,
    /// It takes the place of the row with that number, which is not committed yet
    /// and tells less; `amends` if that row amends one itself.
    Better { row: u64, amends: bool },
    /// It tells more than a row that is committed already.
    Amends,
}

/// Orders the records of one event: of those that belong together, the one of the
/// highest rank stands for the event.
///
/// INVARIANT (content, not arrival): a correction stands before what it corrects,
/// then who says more of the caller, then the smaller account; nothing of it depends
/// on what came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyRank(u64);

impl CopyRank {
    /// An account id has twelve digits, which fit 40 bits.
    const ACCOUNT: u64 = (1 << 40) - 1;
    const CORRECTION: u64 = 1 << 42;

    /// `richness` tells how much is said of the caller, from 0 to 3.
    pub fn of(corrects: bool, richness: u8, account_id: Option<&str>) -> CopyRank {
        let account_id = account_id.unwrap_or_default();
        let number = account_id
            .parse()
            .unwrap_or_else(|_| u64::from(crc(account_id.as_bytes())) | (1 << 39));
        let correction = if corrects { Self::CORRECTION } else { 0 };
        let richness = u64::from(richness & 3) << 40;
        CopyRank(correction | richness | (!number & Self::ACCOUNT))
    }

    pub fn is_correction(self) -> bool {
        self.0 & Self::CORRECTION != 0
    }

    pub fn same_account(self, other: CopyRank) -> bool {
        (self.0 ^ other.0) & Self::ACCOUNT == 0
    }
}

/// The key of a record itself: a correction may bear the id of what it corrects,
/// and is no copy of it.
pub fn own_key(mut key: CopyKey, corrects: bool) -> CopyKey {
    if corrects {
        key.iter_mut().for_each(|byte| *byte ^= 0xa7);
    }
    key
}

/// A record that was kept, as far as copies of it have to be told.
#[derive(Clone, Copy)]
struct Kept {
    /// Its number, and whether it amends a row: the highest bit.
    row: u64,
    rank: CopyRank,
}

impl Kept {
    const AMENDS: u64 = 1 << 63;

    fn amends(self) -> bool {
        self.row & Self::AMENDS != 0
    }

    fn number(self) -> u64 {
        self.row & !Self::AMENDS
    }
}

/// A row of the lake, as far as copies of it have to be told.
#[derive(Clone, Copy, Default)]
pub struct RowId<'a> {
    pub event_id: &'a str,
    pub content_id: Option<&'a str>,
    pub event_name: &'a str,
    pub account_id: Option<&'a str>,
    pub shared_event_id: Option<&'a str>,
    pub original_event_id: Option<&'a str>,
    pub richness: u8,
}

/// What tells copies of one event apart, by the keys they have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyKeys {
    /// Its own, which copies of the record share; `None` where only the content of
    /// the record could tell.
    pub own: Option<CopyKey>,
    /// That of the event it is a record of, not a correction.
    pub plain: Option<CopyKey>,
    pub corrects: Option<CopyKey>,
    /// What twins in several accounts share.
    pub shared: Option<CopyKey>,
    pub rank: CopyRank,
}

impl RowId<'_> {
    pub fn keys(&self) -> CopyKeys {
        let original = self.original_event_id.and_then(guid_bytes);
        let corrects = original.map(|id| copy_key(Some(id), None, self.account_id));
        let plain = copy_key_of_row(self.event_id, self.content_id, self.account_id);
        CopyKeys {
            own: plain.map(|key| own_key(key, corrects.is_some())),
            plain,
            corrects,
            shared: self
                .shared_event_id
                .map(|shared| shared_key(shared, self.event_name)),
            rank: CopyRank::of(corrects.is_some(), self.richness, self.account_id),
        }
    }
}

type KeptByKey = HashMap<CopyKey, Kept, foldhash::fast::FixedState>;

/// Recognises copies of events within its reach.
///
/// Rows are numbered in the order in which they are kept.
pub struct CopyFilter {
    next_row: u64,
    /// The first row of the batch at hand, and what its rows were put in the place of.
    batch_row: u64,
    replaced: Vec<(CopyKey, Kept)>,
    recent: KeptByKey,
    older: KeptByKey,
}

impl Default for CopyFilter {
    fn default() -> Self {
        CopyFilter {
            // 0 stands for every row of the lake.
            next_row: 1,
            batch_row: 1,
            replaced: Vec::new(),
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

    /// What is checked from now on belongs to a new batch, and the last one is committed.
    pub fn begin_batch(&mut self) {
        self.batch_row = self.next_row;
        self.replaced.clear();
    }

    /// Forgets the batch: it was not committed. What went beyond the reach meanwhile
    /// does not come back; `settle` finds copies of it.
    pub fn forget_batch(&mut self) {
        let first = self.batch_row;
        for kept in [&mut self.recent, &mut self.older] {
            kept.retain(|_, kept| kept.number() < first);
        }
        for (key, kept) in std::mem::take(&mut self.replaced).into_iter().rev() {
            self.recent.insert(key, kept);
        }
        self.next_row = first;
    }

    /// Looks the access up and, unless it is a copy, remembers it as a row.
    ///
    /// A row can be replaced by one of higher rank only while it is not committed:
    /// from `first_row` on. After that the other amends it.
    pub fn check(&mut self, id: &CopyId<'_>, first_row: u64) -> Seen {
        let is_correction = id.corrects.is_some();
        let own = own_key(id.key, is_correction);
        if self.find(&own).is_some() {
            return Seen::Copy;
        }
        let rank = CopyRank::of(is_correction, id.richness, id.account_id);
        let shared = id
            .shared_event_id
            .map(|shared| shared_key(shared, id.event_name));
        // A twin is the other account's copy; an equal shared id within one
        // account is something else and stays.
        let twin = || {
            self.find(&shared?)
                .filter(|other| !other.rank.same_account(rank))
        };
        let other = id.corrects.and_then(|key| self.find(&key)).or_else(twin);
        let seen = match other {
            None => Seen::New,
            Some(other) if !is_correction && other.rank > rank => return Seen::Copy,
            // Of two corrections the lake keeps both until it is settled.
            Some(other) if is_correction && other.rank.is_correction() => Seen::Amends,
            Some(other) if other.number() >= first_row => Seen::Better {
                row: other.number(),
                amends: other.amends(),
            },
            Some(_) => Seen::Amends,
        };
        let amends = matches!(seen, Seen::Amends | Seen::Better { amends: true, .. });
        let flag = if amends { Kept::AMENDS } else { 0 };
        let kept = Kept {
            row: self.next_row | flag,
            rank,
        };
        self.next_row += 1;
        self.insert(own, kept);
        for key in [id.corrects, shared].into_iter().flatten() {
            self.insert_better(key, kept);
        }
        seen
    }

    /// Remembers a row that stands in the lake already.
    pub fn note(&mut self, row: &RowId<'_>) {
        let keys = row.keys();
        let kept = Kept {
            row: 0,
            rank: keys.rank,
        };
        if let Some(key) = keys.own {
            self.insert(key, kept);
        }
        for key in [keys.corrects, keys.shared].into_iter().flatten() {
            self.insert_better(key, kept);
        }
    }

    /// What several records share tells of the one of highest rank.
    fn insert_better(&mut self, key: CopyKey, kept: Kept) {
        if self.find(&key).is_none_or(|known| known.rank <= kept.rank) {
            self.insert(key, kept);
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
        let before = self.recent.insert(key, kept);
        if let Some(before) = before.filter(|before| before.number() < self.batch_row) {
            self.replaced.push((key, before));
        }
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
    /// Of the batch at hand.
    batch: Vec<CopyKey>,
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

    /// What is asked from now on belongs to a new batch, and the last one is committed.
    pub fn begin_batch(&mut self) {
        self.batch.clear();
    }

    /// Forgets the batch: it was not committed.
    pub fn forget_batch(&mut self) {
        for key in self.batch.drain(..) {
            self.recent.remove(&key);
            self.older.remove(&key);
        }
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
        self.batch.push(key);
        self.recent.insert(key)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An event: its own key, and one that it may share with others.
    #[derive(Clone, Copy, Debug)]
    struct Event {
        key: u8,
        shared: Option<u8>,
        account: u8,
        richness: u8,
    }

    const SHARED: [&str; 3] = ["shared-a", "shared-b", "shared-c"];
    const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];

    impl Event {
        fn check(self, filter: &mut CopyFilter, first_row: u64) -> Seen {
            let mut key = CopyKey::default();
            key[0] = self.key;
            key[1] = self.account;
            let id = CopyId {
                key,
                corrects: None,
                shared_event_id: self.shared.map(|shared| SHARED[usize::from(shared)]),
                event_name: "GetObject",
                account_id: Some(ACCOUNTS[usize::from(self.account)]),
                richness: self.richness,
            };
            filter.check(&id, first_row)
        }
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let event = (0_u8..12, proptest::option::of(0_u8..3), 0_u8..2, 0_u8..4);
        let event = event.prop_map(|(key, shared, account, richness)| Event {
            key,
            shared,
            account,
            richness,
        });
        proptest::collection::vec(event, 0..20)
    }

    fn batch(filter: &mut CopyFilter, events: &[Event]) -> Vec<Seen> {
        let first_row = filter.next_row();
        let seen = events.iter().map(|event| event.check(filter, first_row));
        seen.collect()
    }

    proptest! {
        /// The slow, obvious twin: a filter that never saw the batch.
        #[test]
        fn a_batch_that_is_forgotten_was_never_there(
            before in events(),
            lost in events(),
            after in events(),
        ) {
            let (mut filter, mut twin) = (CopyFilter::default(), CopyFilter::default());
            for filter in [&mut filter, &mut twin] {
                filter.begin_batch();
                batch(filter, &before);
                filter.begin_batch();
            }
            batch(&mut filter, &lost);
            filter.forget_batch();
            prop_assert_eq!(batch(&mut filter, &after), batch(&mut twin, &after));
        }
    }

    #[test]
    fn a_fact_of_a_batch_that_is_forgotten_is_new_again() {
        let instance = |event_id: &str| Ec2Instance {
            event_id: event_id.to_owned(),
            instance_id: "i-1".to_owned(),
            ..Ec2Instance::default()
        };
        let (one, other) = (instance("event-1"), instance("event-2"));
        let mut filter = FactFilter::of(&[], std::slice::from_ref(&one));
        filter.begin_batch();
        assert!(filter.is_new_instance(&other));
        filter.forget_batch();
        assert!(!filter.is_new_instance(&one));
        assert!(filter.is_new_instance(&other));
        assert!(!filter.is_new_instance(&other));
    }
}
