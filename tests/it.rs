//! The integration tests, one binary: linking DataFusion once is slow enough.

#[path = "it/house.rs"]
mod house;
#[path = "it/parse.rs"]
mod parse;
#[path = "it/scan.rs"]
mod scan;
#[path = "it/twin.rs"]
mod twin;
#[path = "it/world.rs"]
mod world;
