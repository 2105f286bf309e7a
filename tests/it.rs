//! The integration tests, one binary: linking DataFusion once is slow enough.

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
#[path = "it/twin.rs"]
mod twin;
#[path = "it/world.rs"]
mod world;
