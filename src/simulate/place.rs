//! Makes the output folder ready, and refuses to touch what is not ours.
//!
//! INVARIANT (only ours): nothing is deleted but the names that a simulation
//! writes, in a folder whose marker says that a simulation made it.

use super::{Settings, SimulateError};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Says what was simulated; there before anything else is written, so that an
/// interrupted simulation can be made again.
const MARKER: &str = "simulation.json";

/// What a simulation writes beside the marker.
const OURS: [&str; 6] = [
    "trail",
    "databricks",
    "policy",
    "digest-keys",
    "truth.parquet",
    "bricktrail.toml",
];

/// Creates the folder, or empties it of an earlier simulation if `force` says so.
///
/// # Errors
/// When it holds something and may not be emptied, or cannot be written.
pub fn prepare(out: &Path, settings: &Settings, force: bool) -> Result<(), SimulateError> {
    let write = |source| SimulateError::write(out, source);
    fs::create_dir_all(out).map_err(write)?;
    let is_empty = fs::read_dir(out).map_err(write)?.next().is_none();
    if !is_empty {
        let refuse = |advice| SimulateError::NotEmpty {
            path: out.to_owned(),
            advice,
        };
        if !out.join(MARKER).is_file() {
            return Err(refuse("give a folder that is empty or not there yet"));
        }
        if !force {
            return Err(refuse(
                "it holds an earlier simulation: give another folder, or --force to replace it",
            ));
        }
        for name in OURS {
            let path = out.join(name);
            let removed = match fs::remove_dir_all(&path) {
                Err(error) if error.kind() == ErrorKind::NotADirectory => fs::remove_file(&path),
                outcome => outcome,
            };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(SimulateError::write(&path, error));
                }
                _ => {}
            }
        }
    }
    let text = format!(
        "{{\"made_by\":\"bricktrail simulate\",\"events\":{},\"days\":{},\"seed\":{}}}\n",
        settings.events, settings.days, settings.seed
    );
    let marker = out.join(MARKER);
    fs::write(&marker, text).map_err(|source| SimulateError::write(&marker, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        events: 1,
        days: 1,
        seed: 1,
    };

    #[test]
    fn a_folder_with_something_else_in_it_is_never_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "").unwrap();
        for force in [false, true] {
            let refused = prepare(dir.path(), &SETTINGS, force).unwrap_err();
            assert!(refused.to_string().contains("is not empty"), "{refused}");
        }
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn an_earlier_simulation_is_replaced_only_by_force_and_nothing_else_goes() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), &SETTINGS, false).unwrap();
        fs::create_dir(dir.path().join("trail")).unwrap();
        fs::write(dir.path().join("truth.parquet"), "").unwrap();
        fs::write(dir.path().join("notes.txt"), "").unwrap();
        let refused = prepare(dir.path(), &SETTINGS, false).unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
        prepare(dir.path(), &SETTINGS, true).unwrap();
        assert!(!dir.path().join("trail").exists());
        assert!(!dir.path().join("truth.parquet").exists());
        assert!(dir.path().join("notes.txt").exists());
    }
}
