//! A synthetic organisation, in the shapes of CloudTrail and Databricks, with
//! the truth of who stood behind each event. Layer 5.
//!
//! ```text
//! org -> compute -> play (stage, vending, vends, outsiders, attackers)
//!     -> delivery -> write (records, requests, shapes, facts) -> truth, digest
//!     -> exports, policy
//! ```
//!
//! 1. [`org`]: accounts, workspaces, people, roles, places in S3.
//! 2. [`compute`]: clusters, instances, runs and tasks in time.
//! 3. [`stage`] and its parts play: each [`play::Activity`] is a credential at
//!    work, each [`play::Fact`] an event of STS or EC2 that tells of it, and
//!    what Databricks would have noted is noted beside.
//! 4. [`delivery`] allots the events and says which object holds which record.
//! 5. [`write`] makes the objects, side by side, and the truth with them.
//! 6. [`exports`], [`policy`] and [`digest`] write what goes with the trail.
//!
//! INVARIANT (same seed, same bytes): everything follows from the settings
//! through [`random`]; no clock, no order of a hash map, no machine.
//! INVARIANT (never guess a field): a record holds what AWS is known to write.
//! Where it is not known, the shape with the strongest source is written; what
//! trails never hold (`eventContext`) is not.

mod attackers;
mod compute;
mod delivery;
mod digest;
pub mod exports;
mod facts;
mod identity;
mod org;
mod outsiders;
mod place;
mod play;
mod policy;
mod random;
mod records;
mod requests;
pub mod scenario;
mod shapes;
mod stage;
mod text;
mod truth;
mod vending;
mod vends;
mod write;

pub use place::prepare;
pub use write::TrailTotals;

use crate::lake::columns::{batch, schema};
use compute::Compute;
use org::{Organisation, Size};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use scenario::Scenario;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use write::World;

/// The seed of those who do not choose one.
pub const SEED: u64 = 7;

/// Most days: five years are more than any retention here.
pub const DAYS_MAX: u32 = 5 * 366;
/// Most events: each costs 16 bytes while the objects are made.
pub const EVENTS_MAX: u64 = 200_000_000;

/// What is to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// S3 requests; records are some more, for copies and batches.
    pub events: u64,
    pub days: u32,
    pub seed: u64,
}

/// Who wants to know how far it is.
pub trait Watch: Sync {
    /// So many objects will be written.
    fn starts(&self, objects: u64);
    /// One more object, of so many inflated bytes.
    fn wrote(&self, raw_bytes: u64);
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Summary {
    pub trail: TrailTotals,
    /// Rows of the truth, by scenario.
    pub scenarios: BTreeMap<Scenario, u64>,
    pub truth_rows: u64,
    pub digests: u64,
    /// Rows of the exports' tables.
    pub exported: u64,
}

/// Why a simulation could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// It holds something that is not ours to delete.
    #[error("`{}` is not empty; {advice}", path.display())]
    NotEmpty { path: PathBuf, advice: &'static str },
    #[error("write `{}`", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("encode `{}`", path.display())]
    Encode {
        path: PathBuf,
        source: parquet::errors::ParquetError,
    },
    #[error("sign the digests: {0}")]
    Sign(String),
}

impl SimulateError {
    fn write(path: &Path, source: std::io::Error) -> SimulateError {
        SimulateError::Write {
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes the organisation below `out`, which [`prepare`] has made ready.
///
/// # Errors
/// When a file cannot be written.
pub fn simulate(
    settings: Settings,
    out: &Path,
    watch: &dyn Watch,
) -> Result<Summary, SimulateError> {
    let days = settings.days.max(1);
    let size = Size {
        seed: settings.seed,
        days: i64::from(days),
        units: (settings.events / (50_000 * u64::from(days))).clamp(1, 40),
    };
    let org = Organisation::of(size);
    let compute = Compute::of(&org);
    let play = stage::play(&org, &compute);
    let objects = delivery::objects(size, &play, settings.events);
    watch.starts(objects.len() as u64);
    let world = World {
        org: &org,
        compute: &compute,
        play: &play,
    };
    let mut truth = TruthFile::create(&out.join("truth.parquet"))?;
    let (trail, written) =
        write::write_objects(&world, &objects, &out.join("trail"), watch, |rows| {
            truth.add(rows)
        })?;
    let (truth_rows, scenarios) = truth.finish()?;
    let exported = exports::write(&world, &out.join("databricks"))?;
    policy::write(&world, out)?;
    let digests = digest::write(&written, &out.join("trail"), &out.join("digest-keys"))?;
    Ok(Summary {
        trail,
        scenarios,
        truth_rows,
        digests,
        exported,
    })
}

/// `truth.parquet` while it is written.
struct TruthFile {
    path: PathBuf,
    writer: ArrowWriter<File>,
    columns: Vec<crate::lake::columns::Column<truth::TruthRow>>,
    schema: arrow::datatypes::SchemaRef,
    rows: u64,
    scenarios: BTreeMap<Scenario, u64>,
}

impl TruthFile {
    fn create(path: &Path) -> Result<TruthFile, SimulateError> {
        let columns = truth::columns();
        let schema = schema(&columns);
        let file = File::create(path).map_err(|source| SimulateError::write(path, source))?;
        let writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties())).map_err(encode(path))?;
        Ok(TruthFile {
            path: path.to_owned(),
            writer,
            columns,
            schema,
            rows: 0,
            scenarios: BTreeMap::new(),
        })
    }

    fn add(&mut self, rows: &[truth::TruthRow]) -> Result<(), SimulateError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.rows += rows.len() as u64;
        for row in rows {
            *self.scenarios.entry(row.scenario()).or_default() += 1;
        }
        let batch = batch(&self.schema, &self.columns, rows)
            .map_err(|error| encode(&self.path)(error.into()))?;
        self.writer.write(&batch).map_err(encode(&self.path))
    }

    fn finish(self) -> Result<(u64, BTreeMap<Scenario, u64>), SimulateError> {
        self.writer.close().map_err(encode(&self.path))?;
        Ok((self.rows, self.scenarios))
    }
}

fn encode(path: &Path) -> impl Fn(parquet::errors::ParquetError) -> SimulateError + '_ {
    move |source| SimulateError::Encode {
        path: path.to_owned(),
        source,
    }
}

/// How Parquet files are written here: the same bytes for the same rows.
fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("bricktrail simulate".to_owned())
        .build()
}
