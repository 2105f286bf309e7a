//! Takes rows of other dates out of the lake, for which a row of the date that is
//! being settled stands.
//!
//! INVARIANT (never lost): a row goes only in a commit before which a row that
//! stands for it belongs to `s3_access`, in a file that is still there when the
//! commit is made. What only an amendment stands for stays until that has become a
//! row. Only settled rows go this way: one that is provisional goes when its own
//! date is settled.

use crate::lake::data_file::EncodedFile;
use crate::lake::error::LakeError;
use crate::lake::settle::bits::{Bits, Place};
use crate::lake::settle::copies::{Dropped, FileSurvey, Survey, Tie};
use crate::lake::settle::elsewhere::Guest;
use crate::lake::settle::files::{DateFile, Tables};
use crate::lake::settle::keep::Keeper;
use deltalake::kernel::Remove;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows that stand for one another in a row, at most: a longer chain stays.
const CHAIN_MAX: usize = 64;

/// What one other date loses.
#[derive(Debug, Default)]
pub struct Yielded {
    pub date: i32,
    /// The rows that go, by the number of the guest's file.
    rows: BTreeMap<usize, Bits>,
    pub dropped: Dropped,
    /// Files, by number, that hold the rows which stand for them.
    relied_on: BTreeSet<usize>,
}

/// What the first of the other dates loses that lose anything; `None` if none does.
pub fn yielded(survey: &Survey, guests: &[Guest]) -> Option<Yielded> {
    let mut by_date: BTreeMap<i32, HashMap<Place, &Tie>> = BTreeMap::new();
    for tie in &survey.ties {
        let guest = survey
            .guest_of(tie.loser)
            .and_then(|guest| guests.get(guest));
        let file = survey.file(tie.loser.file());
        if let Some(guest) = guest
            && file.is_some_and(FileSurvey::is_settled)
        {
            by_date
                .entry(guest.date)
                .or_default()
                .insert(tie.loser, tie);
        }
    }
    let of_date = |(date, ties): (i32, HashMap<Place, &Tie>)| {
        let mut yielded = Yielded {
            date,
            ..Yielded::default()
        };
        for tie in ties
            .values()
            .filter(|tie| ends_in_a_row(survey, tie, &ties))
        {
            let Some(file) = survey.guest_of(tie.loser) else {
                continue;
            };
            if yielded
                .rows
                .entry(file)
                .or_default()
                .insert(tie.loser.row())
            {
                yielded.dropped.count(tie.why);
            }
            yielded.relied_on.insert(tie.winner.file());
        }
        (!yielded.rows.is_empty()).then_some(yielded)
    };
    by_date.into_iter().find_map(of_date)
}

/// Whether what stands for it is a row of the table; where that goes as well, what
/// stands for that, and so on.
fn ends_in_a_row(survey: &Survey, tie: &Tie, going: &HashMap<Place, &Tie>) -> bool {
    let mut at = tie;
    for _ in 0..CHAIN_MAX {
        match going.get(&at.winner) {
            Some(next) => at = next,
            None => {
                let file = survey.file(at.winner.file());
                return file.is_some_and(|file| !file.amends);
            }
        }
    }
    false
}

impl Yielded {
    /// The guests whose files are written anew.
    pub fn files<'g>(&self, guests: &'g [Guest]) -> Vec<(usize, &'g DateFile)> {
        let files = self.rows.keys();
        files
            .filter_map(|number| Some((*number, &guests.get(*number)?.file)))
            .collect()
    }

    /// Encodes what stays of a guest's file; `None` if nothing does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keep(
        &self,
        number: usize,
        file: &DateFile,
        (survey, tables): (&Survey, &Tables),
    ) -> Result<Option<EncodedFile>, LakeError> {
        let mut of_file = survey.guests.get(number).cloned().unwrap_or_default();
        of_file.dropped = self.rows.get(&number).cloned().unwrap_or_default();
        let unreadable = |error| tables.unreadable(file, error);
        let mut keeper = Keeper::new(&super::lane::file_writer()).map_err(unreadable)?;
        keeper
            .add(file.open(tables)?, &of_file)
            .map_err(unreadable)?;
        keeper.finish((self.date, file.verdict)).map_err(unreadable)
    }

    /// The files that must still be there for the rows to go.
    pub fn relies_on(&self, files: &[DateFile], guests: &[Guest]) -> Vec<Remove> {
        let relied = self.relied_on.iter().filter(|number| {
            let guest = number.checked_sub(files.len());
            guest.is_none_or(|guest| !self.rows.contains_key(&guest))
        });
        relied
            .filter_map(|number| remove_of(*number, files, guests))
            .collect()
    }
}

/// The files of other dates that must still be there for the date's own rows to go.
pub fn relied_on(survey: &Survey, files: &[DateFile], guests: &[Guest]) -> Vec<Remove> {
    let own = survey
        .ties
        .iter()
        .filter(|tie| survey.guest_of(tie.loser).is_none());
    let winners: BTreeSet<usize> = own.map(|tie| tie.winner.file()).collect();
    winners
        .into_iter()
        .filter_map(|number| remove_of(number, files, guests))
        .collect()
}

fn remove_of(number: usize, files: &[DateFile], guests: &[Guest]) -> Option<Remove> {
    let guest = || guests.get(number.checked_sub(files.len())?);
    let file = files
        .get(number)
        .or_else(|| guest().map(|guest| &guest.file));
    file.map(|file| file.file.remove.clone())
}
