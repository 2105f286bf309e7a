//! Makes the objects of the trail, side by side, and writes them.
//!
//! INVARIANT (order): objects are made by many threads and handed on in their
//! own order, a block at a time, so that the truth and the digests are the same
//! bytes on every machine. A block bounds what is held: its objects' rows.

use super::compute::Compute;
use super::delivery::{Item, Object};
use super::facts;
use super::org::Organisation;
use super::play::Play;
use super::records::{self, Which, time_of};
use super::truth::TruthRow;
use super::{SimulateError, Watch};
use crate::trail::hash::sha256;
use flate2::Compression;
use flate2::write::GzEncoder;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use std::io::Write as _;
use std::path::Path;

/// Objects made before their rows are handed on; some hundred MB of the largest.
const BLOCK: usize = 48;

/// Deflate level: the lowest that brings a gzip ratio like CloudTrail's. The
/// bytes follow from it and from flate2's version.
const LEVEL: u32 = 2;

/// Everything the objects are made of.
pub(super) struct World<'w> {
    pub org: &'w Organisation,
    pub compute: &'w Compute,
    pub play: &'w Play,
}

/// What a digest says of an object.
pub(super) struct Written {
    pub trail: usize,
    pub label: i64,
    pub key: String,
    pub sha256: [u8; 32],
    pub newest: i64,
    pub oldest: i64,
}

/// What one object came to.
struct Made {
    rows: Vec<TruthRow>,
    written: Written,
    raw_bytes: u64,
    stored_bytes: u64,
    records: u64,
}

/// What the trail holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrailTotals {
    pub objects: u64,
    pub records: u64,
    pub s3_events: u64,
    pub raw_bytes: u64,
    pub stored_bytes: u64,
}

/// Writes all objects below `dir`; hands the truth of each on, in order.
pub(super) fn write_objects(
    world: &World<'_>,
    objects: &[Object],
    dir: &Path,
    watch: &dyn Watch,
    mut truth: impl FnMut(&[TruthRow]) -> Result<(), SimulateError>,
) -> Result<(TrailTotals, Vec<Written>), SimulateError> {
    let mut totals = TrailTotals::default();
    let mut written = Vec::with_capacity(objects.len());
    for block in objects.chunks(BLOCK) {
        let made: Vec<Result<Made, SimulateError>> = block
            .par_iter()
            .map(|object| {
                let made = write_object(world, object, dir)?;
                watch.wrote(made.raw_bytes);
                Ok(made)
            })
            .collect();
        for made in made {
            let made = made?;
            truth(&made.rows)?;
            totals.objects += 1;
            totals.records += made.records;
            totals.s3_events += made.rows.len() as u64;
            totals.raw_bytes += made.raw_bytes;
            totals.stored_bytes += made.stored_bytes;
            written.push(made.written);
        }
    }
    Ok((totals, written))
}

fn write_object(world: &World<'_>, object: &Object, dir: &Path) -> Result<Made, SimulateError> {
    let seed = world.org.size.seed;
    let mut raw = String::with_capacity(object.items.len() * 1900 + 64);
    raw.push_str("{\"Records\":[");
    let mut rows = Vec::with_capacity(object.items.len());
    let mut scratch = Vec::new();
    let (mut newest, mut oldest) = (i64::MIN, i64::MAX);
    let mut records = 0;
    for item in &object.items {
        let at = match *item {
            Item::Fact(number) => {
                let Some(fact) = usize::try_from(number)
                    .ok()
                    .and_then(|number| world.play.facts.get(number))
                else {
                    continue;
                };
                facts::write(world.org, world.compute, u64::from(number), fact, &mut raw);
                records += 1;
                fact.at
            }
            Item::Event {
                activity: index,
                number,
                copy,
                deliveries,
            } => {
                let Some(activity) = usize::try_from(index)
                    .ok()
                    .and_then(|index| world.play.activities.get(index))
                else {
                    continue;
                };
                let which = Which {
                    seed,
                    activity: u64::from(index),
                    number: u64::from(number),
                    copy,
                };
                records::write(which, activity, &mut raw, &mut scratch);
                records += scratch.len() as u64;
                // A redelivery is the same event: no row of its own.
                if deliveries > 0 {
                    rows.extend(scratch.drain(..).map(|mut row: TruthRow| {
                        row.deliveries = i32::from(deliveries);
                        row
                    }));
                }
                scratch.clear();
                time_of(seed, activity, which.activity, which.number)
            }
        };
        newest = newest.max(at);
        oldest = oldest.min(at);
    }
    raw.pop();
    raw.push_str("]}");
    let path = dir.join(&object.key);
    let stored = gzip(raw.as_bytes()).and_then(|stored| {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, &stored)?;
        Ok(stored.len())
    });
    let stored = stored.map_err(|source| SimulateError::write(&path, source))?;
    Ok(Made {
        rows,
        written: Written {
            trail: object.trail,
            label: object.label,
            key: object.key.clone(),
            sha256: sha256(raw.as_bytes()),
            newest,
            oldest,
        },
        raw_bytes: raw.len() as u64,
        stored_bytes: stored as u64,
        records,
    })
}

pub(super) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let room = bytes.len() / 6 + 64;
    let mut encoder = GzEncoder::new(Vec::with_capacity(room), Compression::new(LEVEL));
    encoder.write_all(bytes)?;
    encoder.finish()
}
