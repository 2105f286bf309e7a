//! Reads arbitrary bytes as a stored log object, whole and record by record.
//!
//! Holds: nothing panics; each record is in exactly one list; what parses as a
//! whole parses the same record by record.
#![no_main]

#[path = "../../src/model/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the parser is exercised")]
mod model;
#[path = "../../src/trail/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the parser is exercised")]
mod trail;

use libfuzzer_sys::fuzz_target;
use trail::inflate::{InflateLimits, Inflater};
use trail::log::{Content, Cut, LogReader, Origin, ParsedLog};

fn check(log: &ParsedLog) {
    assert_eq!(
        log.records,
        log.accesses.len() as u64 + log.not_s3 + log.bad
    );
    for place in 0..log.accesses.len() {
        assert!(log.accesses.get(place).is_some());
        assert!(log.accesses.copy_of(place).is_some());
    }
}

fuzz_target!(|stored: &[u8]| {
    let limits = InflateLimits {
        raw_bytes_max: 4 << 20,
        ratio_max: 200,
    };
    let mut raw = Vec::new();
    if Inflater::new().inflate(stored, &limits, &mut raw).is_err() {
        return;
    }
    let origin = Origin {
        source_uri: "file:///fuzz",
        account_id: Some("111122223333"),
    };
    let mut reader = LogReader::default();
    let coarse = reader.read(&mut raw.clone(), origin, Cut::Coarse);
    let by_record = reader.read(&mut raw, origin, Cut::ByRecord);
    if let Content::Log(log) = &by_record {
        check(log);
    }
    if let Content::Log(log) = &coarse {
        check(log);
        let Content::Log(again) = &by_record else {
            panic!("a log as a whole is no log record by record");
        };
        assert_eq!(log.records, again.records);
        assert_eq!(log.accesses.len(), again.accesses.len());
    }
});
