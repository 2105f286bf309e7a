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
#[path = "it/cloud.rs"]
mod cloud;
#[path = "it/compact.rs"]
mod compact;
#[path = "it/compose.rs"]
mod compose;
#[path = "it/copies.rs"]
mod copies;
#[path = "it/demo.rs"]
mod demo;
#[path = "it/docs.rs"]
mod docs;
#[path = "it/durable.rs"]
mod durable;
#[path = "it/exam.rs"]
mod exam;
#[path = "it/export_formats.rs"]
mod export_formats;
#[path = "it/exports.rs"]
mod exports;
#[path = "it/grade.rs"]
mod grade;
#[path = "it/house.rs"]
mod house;
#[path = "it/kill.rs"]
mod kill;
#[path = "it/memory.rs"]
mod memory;
#[path = "it/parse.rs"]
mod parse;
#[path = "it/policy.rs"]
mod policy;
#[path = "it/real_servers.rs"]
mod real_servers;
#[path = "it/refused.rs"]
mod refused;
#[path = "it/scan.rs"]
mod scan;
#[path = "it/scan_s3.rs"]
mod scan_s3;
#[path = "it/scene.rs"]
mod scene;
#[path = "it/services.rs"]
mod services;
#[path = "it/settle.rs"]
mod settle;
#[path = "it/settle_dates.rs"]
mod settle_dates;
#[path = "it/settle_kill.rs"]
mod settle_kill;
#[path = "it/settle_order.rs"]
mod settle_order;
#[path = "it/settle_window.rs"]
mod settle_window;
#[path = "it/simulate.rs"]
mod simulate;
#[path = "it/soak.rs"]
mod soak;
#[path = "it/troubles.rs"]
mod troubles;
#[path = "it/twin.rs"]
mod twin;
#[path = "it/verdicts.rs"]
mod verdicts;
#[path = "it/who.rs"]
mod who;
#[path = "it/worker.rs"]
mod worker;
#[path = "it/world.rs"]
mod world;
