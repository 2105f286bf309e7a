//! Takes up a changed policy while the worker runs, if it is sound; keeps the old one
//! otherwise, and says so.

use crate::commands::{last_policy, scan};
use crate::pipeline::commit::Change;
use crate::pipeline::meters::Meters;
use crate::policy::{Policy, PolicyError, PolicyErrors, PolicyFile, PolicySettings};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use url::Url;

/// How often the directory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// The policy in use; clones share it.
#[derive(Clone)]
pub struct InUse(Arc<Mutex<Arc<Policy>>>);

impl InUse {
    pub fn new(policy: Arc<Policy>) -> InUse {
        InUse(Arc::new(Mutex::new(policy)))
    }

    pub fn now(&self) -> Arc<Policy> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, policy: Arc<Policy>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }
}

/// Watches the directory of the policy.
pub async fn watch(
    dir: PathBuf,
    settings: PolicySettings,
    lake: Url,
    in_use: InUse,
    changes: mpsc::Sender<Change>,
    meters: Arc<Meters>,
) {
    let mut seen = sorted(in_use.now().files().to_vec());
    let mut waiting = None;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let files = match scan::policy_files(Some(&dir)) {
            Ok(files) => sorted(files),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the policy cannot be read; the one in use stays"
                );
                continue;
            }
        };
        if files == seen {
            continue;
        }
        let loaded = load(&dir, &settings, &lake).await;
        if let Err(error) = loaded.as_ref()
            && may_become_sound(error)
        {
            // Asked again each time; each reason is told once.
            let error = format!("{error:#}");
            if waiting.as_ref() != Some(&error) {
                tracing::warn!(
                    error,
                    "the changed policy cannot be used yet; the one in use stays"
                );
                let label = [("outcome", "waiting".to_owned())];
                meters.policy_reloads.get_or_create(&label).inc();
                waiting = Some(error);
            }
            continue;
        }
        (seen, waiting) = (files, None);
        let outcome = match loaded {
            Ok(policy) => {
                let policy = Arc::new(policy);
                tracing::info!(
                    policy_version = policy.version(),
                    "a changed policy is in use"
                );
                in_use.set(policy.clone());
                if changes.send(Change::Policy(policy)).await.is_err() {
                    return;
                }
                "taken_up"
            }
            Err(error) => {
                let version = in_use.now().version().to_owned();
                tracing::error!(
                    policy_version = version,
                    error = format!("{error:#}"),
                    "the changed policy is not sound; the one in use stays"
                );
                "refused"
            }
        };
        let label = [("outcome", outcome.to_owned())];
        meters.policy_reloads.get_or_create(&label).inc();
    }
}

/// Whether it may become sound as it is: files or lake could not be read, or SCIM does not
/// show the groups yet that it names, or shows them in a circle.
fn may_become_sound(error: &anyhow::Error) -> bool {
    let mut faults = error.chain().filter_map(|cause| cause.downcast_ref());
    faults.all(|faults: &PolicyErrors| {
        let mut list = faults.list().iter();
        list.all(|fault| {
            matches!(
                fault,
                PolicyError::Group { .. } | PolicyError::Groups { .. }
            )
        })
    })
}

async fn load(dir: &Path, settings: &PolicySettings, lake: &Url) -> anyhow::Result<Policy> {
    let policy = scan::load_policy(Some(dir), settings)?;
    last_policy::check_groups(&policy, lake).await?;
    Ok(policy)
}

fn sorted(mut files: Vec<PolicyFile>) -> Vec<PolicyFile> {
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}
