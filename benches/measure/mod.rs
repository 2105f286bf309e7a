//! Clocks of the kernel, and the floor that every figure is compared with.
//!
//! CPU time, not wall time: a machine that does something else meanwhile makes
//! wall time long, and CPU time only a little longer.

use bricktrail::trail::inflate::{InflateLimits, Inflater};
use simd_json::{Buffers, INPUT_PADDING, Tape};
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

/// Fits every object of the corpus.
pub const LIMITS: InflateLimits = InflateLimits {
    raw_bytes_max: 160 * 1024 * 1024,
    ratio_max: 200,
};

/// Seconds on the CPU that were spent on one stage, summed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage(pub f64);

impl Stage {
    /// Runs a part of the stage on this thread.
    ///
    /// Counts the wall time without the time that the thread waited for a CPU:
    /// the kernel's own count of CPU time moves in ticks of 4 ms only, as long
    /// as one object takes.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (waited, started) = (waited_for_cpu(), Instant::now());
        let result = work();
        let wall = started.elapsed().as_secs_f64();
        self.0 += (wall - (waited_for_cpu() - waited)).max(0.0);
        result
    }
}

/// Seconds that this thread was ready to run and did not: the second number of
/// `schedstat`, in nanoseconds.
fn waited_for_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    let nanoseconds: u64 = text
        .split_whitespace()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .expect("nanoseconds");
    nanoseconds as f64 / 1e9
}

/// Objects read ahead for the floor: reading them is not part of it.
const AHEAD: usize = 32;

/// Measures what inflating and scanning JSON cost, whatever is made of it
/// afterwards: one thread, one call to inflate each object, one tape of its
/// bytes; all buffers are kept.
pub fn floor(paths: &[PathBuf]) -> Stage {
    let mut floor = Stage::default();
    let mut inflater = Inflater::new();
    let mut raw = Vec::new();
    let mut tapes = Tapes::default();
    for paths in paths.chunks(AHEAD) {
        let objects: Vec<Vec<u8>> = paths
            .iter()
            .map(|path| fs::read(path).expect("read an object"))
            .collect();
        floor.time(|| {
            for stored in &objects {
                inflater
                    .inflate(stored, &LIMITS, &mut raw)
                    .expect("a sound object");
                tapes.fill(&mut raw);
            }
        });
    }
    floor
}

/// Makes tapes in buffers that it keeps.
pub struct Tapes {
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Tapes {
    fn default() -> Self {
        Tapes {
            buffers: Buffers::default(),
            tape: Tape::null(),
        }
    }
}

impl Tapes {
    /// Makes the tape of an inflated object; leaves its bytes scrambled.
    pub fn fill(&mut self, raw: &mut Vec<u8>) {
        let len = raw.len();
        raw.resize(len + INPUT_PADDING, 0);
        let mut tape = std::mem::replace(&mut self.tape, Tape::null()).reset();
        simd_json::fill_tape_padded(raw, len, &mut self.buffers, &mut tape)
            .expect("an object of JSON");
        black_box(&tape);
        self.tape = tape.reset();
    }
}
