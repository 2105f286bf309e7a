//! What Databricks would export of the same days: system tables, audit-log
//! files, Unity Catalog's inventory, the Clusters API, SCIM.
//!
//! Paths and columns are those that docs/simulate.md lists. Times are Databricks':
//! its clock differs from AWS's by seconds. The traps are real ones: UC rows at
//! account level, numeric `run_as`, hourly slices, both spellings of a vend,
//! rows that come late or twice.

mod audit;
mod catalog;
mod clusters;
pub(super) mod compute;
mod lakeflow;
mod queries;
mod row;
mod scim;
mod table;

use super::SimulateError;
use super::write::World;
use serde_json::Value;
use std::path::Path;

/// Writes every export below `dir`; tells how many rows the tables have.
pub(super) fn write(world: &World<'_>, dir: &Path) -> Result<u64, SimulateError> {
    let mut rows = audit::write(world, dir)?;
    rows += clusters::write(world, dir)?;
    rows += compute::write(world, dir)?;
    rows += lakeflow::write(world, dir)?;
    rows += queries::write(world, dir)?;
    catalog::write(world, dir)?;
    scim::write(world, dir)?;
    Ok(rows)
}

/// Writes a file of a REST answer.
fn answer(dir: &Path, name: &str, value: &Value) -> Result<(), SimulateError> {
    let mut text = format!("{value:#}");
    text.push('\n');
    file(&dir.join(name), text.as_bytes())
}

/// Writes a file and the folders above it.
pub(super) fn file(path: &Path, bytes: &[u8]) -> Result<(), SimulateError> {
    let written = match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    };
    written
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|source| SimulateError::write(path, source))
}
