//! Motion: where decisions and the world meet. Layer 4.
//!
//! [`source`] lists objects, [`route`] says what a name is, [`budget`] bounds what is in flight, [`process`]
//! makes accesses of an object, [`decide`] asks identity and policy, [`batch`]
//! makes rows of accesses, [`scan`] runs them all, [`report`] counts, [`used_logs`]
//! saves memory from being asked for anew.

pub mod batch;
pub mod budget;
pub mod decide;
pub mod process;
pub mod report;
pub mod route;
pub mod scan;
pub mod source;
mod used_logs;
