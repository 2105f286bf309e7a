//! The integration tests, one binary: linking DataFusion once is slow enough.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where something is not as expected"
)]

#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/house.rs"]
mod house;
#[path = "it/kill.rs"]
mod kill;
#[path = "it/parse.rs"]
mod parse;
#[path = "it/scan.rs"]
mod scan;
#[path = "it/simulate.rs"]
mod simulate;
#[path = "it/twin.rs"]
mod twin;
#[path = "it/world.rs"]
mod world;
