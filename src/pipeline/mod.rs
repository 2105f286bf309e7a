//! Motion: where decisions and the world meet. Layer 4.
//!
//! [`source`] lists objects, or [`intake`] takes them from a queue, with a [`lease`] on each
//! message and only what is [`allowed`]; [`route`] says what a name is, [`budget`] bounds
//! what is in flight within its [`limits`], [`process`] makes accesses of an object in one of the
//! [`stages`], [`decide`] asks identity and policy, [`batch`] makes rows of accesses,
//! [`commit`] commits them, tells the [`shared_ledger`], and has some [`patience`] with the
//! store. [`scan`] runs them all once, [`worker`] until it is stopped, with
//! its [`upkeep`] beside; what is [`listed`] in a bucket is a queue that ends; [`report`] and [`meters`] count, [`used_logs`] saves memory from
//! being asked for anew. [`settle`] decides rows of the lake again
//! once [`horizon`] says that all is known, [`settle_date`] by date, in a [`lane`]; rows
//! of other dates go that have [`yielded`]; a [`settle_report`] tells what changed.
//! [`backtest`] judges the rows of the lake by another policy, by the columns that it
//! sees ([`replayed`]).

pub mod allowed;
pub mod backtest;
pub mod batch;
pub mod budget;
pub mod commit;
pub mod decide;
pub mod horizon;
pub mod intake;
mod lane;
pub mod lease;
pub mod limits;
pub mod listed;
pub mod meters;
mod patience;
pub mod process;
mod replayed;
pub mod report;
pub mod route;
pub mod scan;
pub mod settle;
mod settle_date;
pub mod settle_report;
pub mod shared_ledger;
pub mod source;
pub mod stages;
pub mod upkeep;
mod used_logs;
pub mod worker;
mod yielded;
