//! What `settle` reads of the lake: files of a date, copies among them, rows.
//!
//! In order: [`files`] lists what a date consists of; [`elsewhere`] adds rows of other
//! dates that may be of the same events; [`copies`] finds the records of one event
//! among all of them, by their keys alone, with [`corrections`] saying which of
//! several counts; [`reader`] opens a file for some columns; [`accesses`] makes
//! accesses of rows, to be decided again; [`keep`] writes anew, unchanged, what of
//! settled files stays.
//!
//! Nothing here holds more than a bounded part of a date: how large a date is
//! only tells how often its keys are read.

pub mod accesses;
pub mod bits;
pub mod copies;
pub mod corrections;
pub mod elsewhere;
pub mod files;
pub mod keep;
pub mod reader;
