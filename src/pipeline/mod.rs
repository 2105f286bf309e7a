//! Motion: where decisions and the world meet. Layer 4.
//!
//! [`source`] lists objects, [`route`] says what a name is, [`budget`] bounds what is in flight, [`process`]
//! makes accesses of an object, [`decide`] asks identity and policy, [`batch`]
//! makes rows of accesses, [`scan`] runs them all, [`report`] counts, [`used_logs`]
//! saves memory from being asked for anew. [`settle`] decides rows of the lake again
//! once [`horizon`] says that all is known, [`settle_date`] by date, in a [`lane`]; rows
//! of other dates go that have [`yielded`]; a [`settle_report`] tells what changed.
//! [`backtest`] judges the rows of the lake by another policy.

pub mod backtest;
pub mod batch;
pub mod budget;
pub mod decide;
pub mod horizon;
mod lane;
pub mod process;
pub mod report;
pub mod route;
pub mod scan;
pub mod settle;
mod settle_date;
pub mod settle_report;
pub mod source;
mod used_logs;
mod yielded;
