//! What became of a source object: its fate and its counts; and what signs a digest.

/// The signature of a digest, which CloudTrail keeps as metadata of the S3 object
/// (facts: CloudTrail user guide, "digest file structure").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DigestSignature {
    /// Hex.
    pub signature: Option<String>,
    pub algorithm: Option<String>,
    /// Of a digest that was made later, when that was; as CloudTrail writes it.
    pub backfill_generated_at: Option<String>,
}

/// The fate of a source object; every object seen has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectStatus {
    /// Its rows stand in the lake.
    Committed,
    /// Its bytes are those of an object that was committed before.
    Duplicate,
    /// No CloudTrail log: another kind of object, counted by kind.
    Ignored,
    /// A log that could not be read; the reason says why.
    Quarantined,
}

impl ObjectStatus {
    pub const ALL: [ObjectStatus; 4] = [
        ObjectStatus::Committed,
        ObjectStatus::Duplicate,
        ObjectStatus::Ignored,
        ObjectStatus::Quarantined,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            ObjectStatus::Committed => "committed",
            ObjectStatus::Duplicate => "duplicate",
            ObjectStatus::Ignored => "ignored",
            ObjectStatus::Quarantined => "quarantined",
        }
    }
}

/// Counts of one object's records.
///
/// INVARIANT (records add up): `records == rows_written + not_s3 + duplicates + bad`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    pub records: u64,
    /// Records of an S3 event source, bad ones not included.
    pub s3_events: u64,
    pub rows_written: u64,
    pub not_s3: u64,
    pub duplicates: u64,
    pub bad: u64,
    /// S3 events without an eventID of their own; they got one from their content.
    pub event_ids_made: u64,
}

impl ObjectCounts {
    pub fn add(&mut self, other: &ObjectCounts) {
        self.records += other.records;
        self.s3_events += other.s3_events;
        self.rows_written += other.rows_written;
        self.not_s3 += other.not_s3;
        self.duplicates += other.duplicates;
        self.bad += other.bad;
        self.event_ids_made += other.event_ids_made;
    }

    /// Whether every record is accounted for.
    pub fn add_up(&self) -> bool {
        self.records == self.rows_written + self.not_s3 + self.duplicates + self.bad
    }
}
