//! The files that a date consists of, and which dates have something to settle.

use crate::lake::data_file::SETTLED;
use crate::lake::delta::{LakeTable, TableFile};
use crate::lake::error::LakeError;
use crate::lake::store::Lake;
use crate::model::{UtcMicros, Verdict};
use std::collections::BTreeMap;
use std::fs::File;

/// Which table a file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Access,
    /// `s3_amendments`.
    Amendments,
}

/// A file whose rows are of one date.
#[derive(Clone, Debug)]
pub struct DateFile {
    pub holder: Holder,
    pub file: TableFile,
    pub verdict: Verdict,
}

impl DateFile {
    /// Whether its name promises settled rows only: then it need not be opened to
    /// know that there is nothing to settle.
    pub fn is_named_settled(&self) -> bool {
        let name = self.file.path.rsplit('/').next().unwrap_or_default();
        self.holder == Holder::Access && name.starts_with(SETTLED)
    }

    /// Whether a row of it may be of that time or earlier.
    pub fn may_begin_by(&self, until: UtcMicros) -> bool {
        self.file
            .stats
            .first_event
            .is_none_or(|first| first <= until)
    }

    /// Whether every row of it is of that time or earlier, for certain.
    pub fn ends_by(&self, until: UtcMicros) -> bool {
        self.file.stats.last_event.is_some_and(|last| last <= until)
    }

    /// # Errors
    /// When the file is not there.
    pub fn open(&self, lake: &Tables) -> Result<File, LakeError> {
        match self.holder {
            Holder::Access => lake.access.open(&self.file),
            Holder::Amendments => lake.amendments.open(&self.file),
        }
    }
}

/// Both tables, at one version each.
#[derive(Clone)]
pub struct Tables {
    access: LakeTable,
    amendments: LakeTable,
}

impl Tables {
    pub fn of(lake: &Lake) -> Tables {
        Tables {
            access: lake.s3_access().clone(),
            amendments: lake.s3_amendments().clone(),
        }
    }

    /// The table of the rows, to write to.
    pub fn access(&self) -> &LakeTable {
        &self.access
    }

    /// What a file that cannot be read is reported with.
    pub fn unreadable(&self, file: &DateFile, cause: impl std::fmt::Display) -> LakeError {
        let table = match file.holder {
            Holder::Access => &self.access,
            Holder::Amendments => &self.amendments,
        };
        let cause = format!("{}: {cause}", file.file.path);
        LakeError::read(table.name, table.url(), cause)
    }

    /// All files by date, in days since the epoch: those of `s3_access` first, each
    /// table's in the order of their events.
    pub fn dates(&self) -> BTreeMap<i32, Vec<DateFile>> {
        let mut dates: BTreeMap<i32, Vec<DateFile>> = BTreeMap::new();
        for (holder, table) in [
            (Holder::Access, &self.access),
            (Holder::Amendments, &self.amendments),
        ] {
            let mut files = table.files();
            files.sort_by(|a, b| {
                let key = |file: &TableFile| (verdict_of(file), file.stats.first_event);
                (key(a), &a.path).cmp(&(key(b), &b.path))
            });
            for file in files {
                let value = file.partition_values.get("event_date").cloned().flatten();
                let Some(date) = value.as_deref().and_then(read_date) else {
                    continue;
                };
                dates.entry(date).or_default().push(DateFile {
                    holder,
                    verdict: verdict_of(&file),
                    file,
                });
            }
        }
        dates
    }
}

fn verdict_of(file: &TableFile) -> Verdict {
    let value = file.partition_values.get("verdict").cloned().flatten();
    Verdict::ALL
        .into_iter()
        .find(|verdict| value.as_deref() == Some(verdict.as_str()))
        .unwrap_or(Verdict::Undetermined)
}

/// Reads `2026-03-27` as days since the epoch.
pub fn read_date(text: &str) -> Option<i32> {
    UtcMicros::parse_iso(&format!("{text}T00:00:00Z")).map(UtcMicros::date)
}
