//! Exports as they are met, a small folder for each claim: one file of rows in,
//! facts and report out.

mod audit;
mod bad;
mod documents;
mod tables;

use super::{ExportReport, SourceReport, read_exports};
use crate::model::UtcMicros;
use crate::model::databricks::DatabricksFacts;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use tempfile::TempDir;

/// The clock of these tests: 2026-11-24T00:00:00Z.
const NOW: UtcMicros = UtcMicros(1_795_478_400_000_000);

/// A folder of exports, gone when dropped.
struct Exports(TempDir);

impl Exports {
    fn new() -> Exports {
        Exports(tempfile::tempdir().unwrap())
    }

    fn of(name: &str, text: &str) -> Exports {
        let exports = Exports::new();
        exports.put(name, text.as_bytes());
        exports
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn read(&self) -> (DatabricksFacts, ExportReport) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let place = self.0.path().to_str().unwrap();
        runtime.block_on(read_exports(place, NOW)).unwrap()
    }

    fn facts(&self) -> DatabricksFacts {
        let (facts, report) = self.read();
        for source in &report.sources {
            assert_eq!(source.bad(), 0, "{:?}", source.faults);
        }
        facts
    }
}

/// The only source of the report.
#[track_caller]
fn only(report: ExportReport) -> SourceReport {
    let [source] = <[SourceReport; 1]>::try_from(report.sources).unwrap();
    source
}

#[track_caller]
fn at(text: &str) -> UtcMicros {
    UtcMicros::parse_iso(text).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
