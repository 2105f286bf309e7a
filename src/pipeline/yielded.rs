//! Takes rows out of files that are not settled now, for which a row that is stands.
//!
//! The files are those of guests: of other dates, or of the date itself and not due.
//!
//! INVARIANT (one commit): a row goes in the commit in which what stands for it
//! becomes a row, or after it: an event that had one row has one at every instant.
//!
//! INVARIANT (never lost): what stands for a row that goes is in that commit, or in a
//! file that is still there when it is made.
//!
//! A provisional row for which a row stands already is left for the day when its own
//! file is settled: that is written anew then in any case.

use crate::lake::data_file::{EncodedFile, Partition};
use crate::lake::error::LakeError;
use crate::lake::settle::bits::{Bits, Place};
use crate::lake::settle::copies::{Dropped, FileSurvey, Survey, Tie};
use crate::lake::settle::elsewhere::Guest;
use crate::lake::settle::files::{DateFile, Holder, Tables};
use crate::lake::settle::keep::Keeper;
use deltalake::kernel::Remove;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows that stand for one another in a row, at most: a longer chain stays.
const CHAIN_MAX: usize = 64;

/// What guests lose.
#[derive(Debug, Default)]
pub struct Yielded {
    /// The rows that go, by the number of the guest's file.
    rows: BTreeMap<usize, Bits>,
    pub dropped: Dropped,
    /// Files, by number, that hold the rows which stand for them.
    relied_on: BTreeSet<usize>,
}

/// Which rows of guests go.
pub fn yielded(survey: &Survey) -> Yielded {
    let of_guests = survey.ties.iter().filter_map(|tie| {
        let guest = survey.guest_of(tie.loser)?;
        Some((tie.loser, (guest, tie)))
    });
    let ties: HashMap<Place, (usize, &Tie)> = of_guests.collect();
    let mut yielded = Yielded::default();
    for (guest, tie) in ties.values() {
        let settled = survey
            .guests
            .get(*guest)
            .is_some_and(FileSurvey::is_settled);
        let goes = match standing_for(survey, tie, &ties) {
            Some(Standing::Row) => settled,
            Some(Standing::Amendment) => true,
            None => false,
        };
        if goes {
            let rows = yielded.rows.entry(*guest).or_default();
            if rows.insert(tie.loser.row()) {
                yielded.dropped.count(tie.why);
            }
            yielded.relied_on.insert(tie.winner.file());
        }
    }
    yielded
}

/// What stands for a row.
enum Standing {
    Row,
    /// Something that becomes a row with the date's commit.
    Amendment,
}

/// What stands for it in the end: for what stands for it may go as well.
fn standing_for(
    survey: &Survey,
    tie: &Tie,
    ties: &HashMap<Place, (usize, &Tie)>,
) -> Option<Standing> {
    let mut at = tie;
    for _ in 0..CHAIN_MAX {
        match ties.get(&at.winner) {
            Some((_, next)) => at = next,
            None => {
                let file = survey.file(at.winner.file())?;
                return match file.amends {
                    true if file.is_taken(at.winner.row()) => Some(Standing::Amendment),
                    // For it stands another record of the date.
                    true if file.dropped.has(at.winner.row()) => Some(Standing::Amendment),
                    true => None,
                    false => Some(Standing::Row),
                };
            }
        }
    }
    None
}

impl Yielded {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The numbers of the guests whose files are written anew.
    pub fn numbers(&self) -> Vec<usize> {
        self.rows.keys().copied().collect()
    }

    /// The guests whose files are written anew.
    pub fn files<'g>(&self, guests: &'g [Guest]) -> impl Iterator<Item = &'g Guest> {
        self.rows.keys().filter_map(|number| guests.get(*number))
    }

    /// Encodes what stays of a guest's file, unchanged; `None` if nothing does.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn keep(
        &self,
        number: usize,
        guests: &[Guest],
        tables: &Tables,
    ) -> Result<Option<EncodedFile>, LakeError> {
        let Some(guest) = guests.get(number) else {
            return Ok(None);
        };
        let file = &guest.file;
        let unreadable = |error| tables.unreadable(file, error);
        let mut keeper = Keeper::new(&super::lane::file_writer()).map_err(unreadable)?;
        let goes = self.rows.get(&number);
        let stays = |row: usize| goes.is_none_or(|rows| !rows.has(row));
        keeper.add(file.open(tables)?, stays).map_err(unreadable)?;
        let partition = Partition::of(guest.date, file.verdict);
        let partition = match file.is_named_settled() {
            true => partition.settled(),
            false => partition,
        };
        keeper.finish(partition).map_err(unreadable)
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

/// The files of guests that must still be there for the date's own rows to go.
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
    // What amends becomes a row of this commit.
    let file = file.filter(|file| file.holder == Holder::Access);
    file.map(|file| file.file.remove.clone())
}
