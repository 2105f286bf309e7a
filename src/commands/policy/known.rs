//! The groups that a policy may name: from exports that are at hand, else from the lake.

use super::super::scan;
use crate::databricks::read_exports;
use crate::identity::known_groups;
use crate::lake::databricks::read_scim;
use crate::lake::store::lake_url;
use crate::model::{KnownGroups, ScimEntry};

/// Where groups were looked for, and what was found; `None` if SCIM was never read.
pub(super) struct Known {
    pub place: String,
    pub groups: Option<KnownGroups>,
}

/// The groups of SCIM in a directory of exports, if one is named, else in the lake.
pub(super) async fn groups(exports: Option<&str>, lake: &str) -> anyhow::Result<Known> {
    let (place, entries) = match exports {
        Some(place) => {
            let (facts, _) = read_exports(place, scan::now()).await?;
            (place.to_owned(), facts.scim)
        }
        None => (lake.to_owned(), of_lake(lake).await?),
    };
    let groups = (!entries.is_empty()).then(|| known_groups(entries));
    Ok(Known { place, groups })
}

/// What the lake knows of SCIM; nothing, where there is no lake.
async fn of_lake(lake: &str) -> anyhow::Result<Vec<ScimEntry>> {
    let url = lake_url(lake)?;
    let is_there = url.to_file_path().map_or(true, |path| path.is_dir());
    match is_there {
        true => Ok(read_scim(&url).await?),
        false => Ok(Vec::new()),
    }
}
