//! Reads arbitrary bytes as a stored log object, by shape and by tape.
//!
//! Holds: nothing panics; each record is in exactly one list; both ways of
//! reading find the same accesses.
#![no_main]

#[path = "../../src/model/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the parser is exercised")]
mod model;
#[path = "../../src/trail/mod.rs"]
#[allow(dead_code, unused_imports, reason = "only the parser is exercised")]
mod trail;

use libfuzzer_sys::fuzz_target;
use trail::inflate::{InflateLimits, Inflater};
use trail::log::{Content, LogReader, Origin, ParsedLog};

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
    let by_tape = LogReader::by_tape().read(&raw, origin);
    let mut reader = LogReader::default();
    // A shape is learned when it is met for the second time.
    for _ in 0..3 {
        match (&by_tape, reader.read(&raw, origin)) {
            (Content::Log(tape), Content::Log(shape)) => {
                check(&shape);
                assert_eq!(tape.records, shape.records);
                assert_eq!(tape.rejects, shape.rejects);
                assert_eq!(tape.not_s3, shape.not_s3);
                assert_eq!(tape.accesses.len(), shape.accesses.len());
                for place in 0..tape.accesses.len() {
                    let [a, b] = [&tape, &shape].map(|log| format!("{:?}", log.accesses.get(place)));
                    assert_eq!(a, b);
                }
            }
            (Content::Digest, Content::Digest) => {}
            (Content::Unrecognised(a), Content::Unrecognised(b)) => assert_eq!(*a, b),
            _ => panic!("by shape and by tape the object is something else"),
        }
    }
});
