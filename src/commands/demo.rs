//! `demo`: a made-up organisation, scanned and settled, and a page that tells a
//! newcomer in a minute what bricktrail knows of it.
//!
//! It does what a user would do: `simulate`, `scan` with exports and policy,
//! `settle`, then queries. `story` asks the lake, `text` writes the page.
//!
//! INVARIANT (nothing made up here): every figure and name of the page comes from
//! the lake, by the queries that ship with the program.
//! INVARIANT (only ours): it writes into a new folder, or one that is empty.

mod story;
mod text;

use super::health::Figures;
use super::{Common, UsageError, databricks, output, scan, settle, simulate};
use crate::config::{Config, Overrides};
use crate::lake::{Lake, sql};
use crate::model::UtcMicros;
use crate::pipeline::scan::ScanJob;
use crate::pipeline::settle::SettleJob;
use crate::pipeline::source::LocalListing;
use crate::simulate::{DAYS_MAX, EVENTS_MAX, SEED, Settings};
use anyhow::Context as _;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use story::Story;

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct DemoArguments {
    /// Folder to write into and keep; must be empty or not there yet [default: a new one for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// S3 requests of the organisation
    #[arg(long, value_name = "N", default_value_t = 20_000,
          value_parser = clap::value_parser!(u64).range(1..=EVENTS_MAX))]
    events: u64,
    /// Days that they spread over
    #[arg(long, value_name = "D", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// The same seed gives the same page
    #[arg(long, value_name = "S", default_value_t = SEED)]
    seed: u64,
}

const AFTER_HELP: &str =
    "Everything happens in one folder, which stays, so that the commands on the \
page work; delete it when you are done. Nothing is sent anywhere. The options --config and --lake \
play no part.

Examples:
  bricktrail demo
  bricktrail demo --keep ./demo --seed 42";

/// No clock before this counts: the organisation lived until 2026-10-07 or later, and
/// on a clock behind that, its last sources would look as if they were still to come.
const NOT_BEFORE: UtcMicros = UtcMicros(1_792_454_400_000_000);

/// The parts of the demo's folder.
struct Places {
    world: PathBuf,
    lake: PathBuf,
    config: PathBuf,
}

pub async fn run(_common: &Common, arguments: DemoArguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let (dir, is_temporary) = match arguments.keep {
        Some(dir) => (own_folder(dir)?, false),
        None => (temporary_folder()?, true),
    };
    let places = Places {
        world: dir.join("organisation"),
        lake: dir.join("lake"),
        config: dir.join("bricktrail.toml"),
    };
    let settings = Settings {
        events: arguments.events,
        days: arguments.days,
        seed: arguments.seed,
    };
    let step = |what: &str| {
        let seconds = started.elapsed().as_secs_f64();
        output::to_stderr(&format!("{seconds:>6.1} s  {what}"));
    };
    step(&format!(
        "simulating {} requests of an organisation into {}",
        output::grouped(settings.events),
        dir.display()
    ));
    simulate::write(settings, &places.world, false).await?;
    let config = configure(&places)?;
    step("scanning its CloudTrail logs, with its Databricks exports and policy");
    scan_all(&config, &places).await?;
    step("settling");
    settle(&config).await?;
    step("asking the lake");
    let context = sql::session(&config.lake).await?;
    let story = Story::of(&context).await.context("ask the lake")?;
    let figures = Figures::of(&context).await.context("ask the lake")?;
    step("done");
    let program = text::Program::called(&places.config, &places.lake);
    let page = text::text(&story, &figures, &program, &dir, is_temporary);
    output::to_stdout(page.as_bytes()).context("write the page")?;
    Ok(ExitCode::SUCCESS)
}

/// Attributes and judges everything again: the simulated exports are complete, which
/// only their maker can state, since what is over writes no rows that would tell.
async fn settle(config: &Config) -> anyhow::Result<()> {
    let policy = scan::load_policy(config.policy_dir.as_deref(), &config.policy)?;
    let job = SettleJob {
        as_of: Some(now()),
        ..SettleJob::new(Arc::new(policy), config.identity.clone(), now)
    };
    let mut lake = Lake::open(&config.lake).await?;
    let bar = Arc::new(settle::Bar::default());
    let outcome = crate::pipeline::settle::settle(&mut lake, job, bar.clone()).await;
    bar.finish();
    outcome?;
    Ok(())
}

/// The folder to keep, made if need be. Only an empty one: a lake that holds other
/// events would tell another story.
fn own_folder(dir: PathBuf) -> anyhow::Result<PathBuf> {
    let unusable = |error: std::io::Error| UsageError(format!("`{}`: {error}", dir.display()));
    std::fs::create_dir_all(&dir).map_err(unusable)?;
    if std::fs::read_dir(&dir).map_err(unusable)?.next().is_some() {
        return Err(UsageError(format!(
            "`{}` is not empty; give --keep a folder that is empty or not there yet",
            dir.display()
        ))
        .into());
    }
    Ok(dir)
}

/// A new folder that nobody else can have prepared.
fn temporary_folder() -> anyhow::Result<PathBuf> {
    let name = uuid::Uuid::new_v4().simple().to_string();
    let name = name.get(..8).unwrap_or(&name);
    let dir = std::env::temp_dir().join(format!("bricktrail-demo-{name}"));
    std::fs::create_dir(&dir).with_context(|| format!("create `{}`", dir.display()))?;
    Ok(dir)
}

/// Writes the configuration that the commands of the page use, and reads it as they
/// will: what the organisation's operator states, and where everything is.
fn configure(places: &Places) -> anyhow::Result<Config> {
    let stated = places.world.join("bricktrail.toml");
    let stated =
        std::fs::read_to_string(&stated).with_context(|| format!("read `{}`", stated.display()))?;
    // A text of JSON is one of TOML too.
    let absolute = |path: &Path| -> anyhow::Result<serde_json::Value> {
        let path = std::path::absolute(path).context("find the working directory")?;
        Ok(path.display().to_string().into())
    };
    let text = format!(
        "lake = {}\n\n[policy]\ndir = {}\n\n[databricks]\ndir = {}\n\n{stated}",
        absolute(&places.lake)?,
        absolute(&places.world.join("policy"))?,
        absolute(&places.world.join("databricks"))?,
    );
    std::fs::write(&places.config, text)
        .with_context(|| format!("write `{}`", places.config.display()))?;
    Ok(Config::load(Some(&places.config), Overrides::default())?)
}

async fn scan_all(config: &Config, places: &Places) -> anyhow::Result<()> {
    let policy = scan::load_policy(config.policy_dir.as_deref(), &config.policy)?;
    let trail = places.world.join("trail").display().to_string();
    let listing = LocalListing::of(&[trail])?;
    let mut lake = Lake::open(&config.lake).await?;
    if let Some(exports) = &config.databricks_dir {
        databricks::import(&lake, exports, now()).await?;
    }
    let job = ScanJob {
        listing,
        policy: Arc::new(policy),
        identity: config.identity.clone(),
        limits: config.limits.clone(),
        now,
    };
    let bar = Arc::new(scan::Bar::default());
    let outcome = crate::pipeline::scan::scan(&mut lake, job, bar.clone()).await;
    bar.finish();
    outcome?;
    Ok(())
}

fn now() -> UtcMicros {
    scan::now().max(NOT_BEFORE)
}
