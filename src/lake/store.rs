//! The lake: what is committed together, and how an interrupted commit ends.
//!
//! A batch changes several tables, and Delta commits one table at a time. So
//! the batch has one point of truth, the commit to `s3_access`: its commitInfo
//! carries, beside the rows, the add actions of the other tables' files, which
//! are already written by then. Rolling forward applies them: right after the
//! commit, or, when a process died in between, by whoever opens the lake next.
//! Each application records the `s3_access` version it came from as a Delta
//! transaction, so none is applied twice.
//!
//! INVARIANT (one commit): the ledger of source objects changes in the same
//! Delta commit as the rows of those objects.
//!
//! INVARIANT (durable first): once that commit stands, nothing later turns
//! success into failure; a failed roll-forward is tried again.

use super::columns::{Column, schema};
use super::data_file::{EncodedFile, FileWriter};
use super::delta::{CONFLICTS_MAX, CommitOutcome, LakeTable, member_of_info};
use super::error::LakeError;
use super::fact_tables::{self, DigestObject, LogObject, Notification};
use super::s3_access;
use crate::model::{Ec2Instance, StsSession, UtcMicros};
use arrow::datatypes::{Field, Schema, SchemaRef};
use deltalake::kernel::{Add, Remove};
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// Application id of the roll-forward, and the member of commitInfo it reads.
const ROLL_FORWARD: &str = "bricktrail.s3_access";

/// Tables that follow `s3_access`, in the order in which they are rolled
/// forward: the ledger last, so that its version means all are done.
const FOLLOWERS: [&str; 6] = [
    "sts_sessions",
    "ec2_instances",
    "s3_amendments",
    "notifications",
    "digest_objects",
    "log_objects",
];

/// Member of what is rolled forward: files that go, by table.
const REMOVED: &str = "removed";

/// Member of commitInfo that marks a rewrite.
const SETTLE: &str = "bricktrail.settle";

/// Everything that one commit makes visible.
#[derive(Default)]
pub struct LakeBatch {
    pub access_files: Vec<EncodedFile>,
    /// Records that tell more of an event than the row that stands for it.
    pub amendment_files: Vec<EncodedFile>,
    pub log_objects: Vec<LogObject>,
    pub sts_sessions: Vec<StsSession>,
    pub ec2_instances: Vec<Ec2Instance>,
    pub notifications: Vec<Notification>,
    pub digests: Vec<DigestObject>,
}

impl LakeBatch {
    /// Whether a commit of it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.access_files.is_empty()
            && self.amendment_files.is_empty()
            && self.log_objects.is_empty()
            && self.sts_sessions.is_empty()
            && self.ec2_instances.is_empty()
            && self.notifications.is_empty()
            && self.digests.is_empty()
    }
}

/// Files of a batch, in their tables' folders, not committed yet.
#[derive(Default)]
struct Written {
    accesses: Vec<Add>,
    /// In the order of [`FOLLOWERS`].
    followers: [Vec<Add>; 6],
}

/// What a version of `s3_access` changed.
pub enum Committed {
    /// New files, by the name of their table.
    Batch(Vec<(String, String)>),
    /// Files in the place of others, with the same rows.
    Rewrite,
}

/// Files of `s3_access` that take the place of others, all in one commit.
#[derive(Clone, Default)]
pub struct Rewrite {
    /// Written already.
    pub adds: Vec<Add>,
    pub removes: Vec<Remove>,
    /// Files of `s3_amendments` whose records stand in the new files, or need not.
    pub amended: Vec<Remove>,
    /// Files of `s3_access` that stay, and must be there when the commit is made:
    /// rows that go have theirs there.
    pub relies_on: Vec<Remove>,
    /// What the log shall tell of it, for people.
    pub summary: serde_json::Value,
}

/// What became of an attempt to rewrite.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RewriteOutcome {
    Rewritten {
        version: u64,
    },
    /// Another writer replaced a file that was to go, or that must stay; nothing
    /// changed.
    Outdated,
}

/// The open lake.
pub struct Lake {
    url: Url,
    s3_access: LakeTable,
    followers: [LakeTable; 6],
    pub(super) policy_versions: LakeTable,
    pub(super) exceptions: LakeTable,
    /// The last `s3_access` version known to be rolled forward.
    rolled_to: u64,
}

/// Reads a lake's location: a directory, or a URL.
///
/// # Errors
/// When it is a URL of a kind that is not supported.
pub fn lake_url(location: &str) -> Result<Url, LakeError> {
    let fail = |detail: String| LakeError::Location {
        location: location.to_owned(),
        detail,
    };
    if location.contains("://") {
        let url = Url::parse(location).map_err(|error| fail(error.to_string()))?;
        return match (url.scheme(), url.host_str()) {
            ("file", _) => Ok(with_slash(url)),
            ("s3", Some(_)) => {
                register_stores();
                Ok(with_slash(url))
            }
            ("s3", None) => Err(fail("it names no bucket".to_owned())),
            (scheme, _) => Err(fail(format!(
                "`{scheme}://` is not supported; give a directory or `s3://bucket/prefix`"
            ))),
        };
    }
    let path = std::path::absolute(Path::new(location)).map_err(|error| fail(error.to_string()))?;
    Url::from_directory_path(&path)
        .map(with_slash)
        .map_err(|()| fail("not a path".to_owned()))
}

/// Tells delta-rs what `s3://` means; once, however often.
fn register_stores() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| deltalake::aws::register_handlers(None));
}

fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

/// Columns of `s3_access` in the order a reader sees them.
pub fn s3_access_schema() -> SchemaRef {
    let mut fields: Vec<Field> = s3_access::columns()
        .iter()
        .map(|column| Field::new(column.name, column.data_type(), true))
        .collect();
    fields.extend(
        s3_access::partition_columns()
            .iter()
            .map(|column| Field::new(column.name, column.data_type(), true)),
    );
    Arc::new(Schema::new(fields))
}

impl Lake {
    /// Opens the lake, creating what is missing, and completes what a process
    /// that died left half done.
    ///
    /// # Errors
    /// When a table cannot be opened, created or rolled forward.
    pub async fn open(location: &str) -> Result<Lake, LakeError> {
        let url = lake_url(location)?;
        if let Ok(path) = url.to_file_path() {
            std::fs::create_dir_all(&path)
                .map_err(|error| LakeError::write("s3_access", &url, error))?;
        }
        let partitions: Vec<&str> = s3_access::partition_columns()
            .iter()
            .map(|column| column.name)
            .collect();
        let table = async |name: &'static str, schema: SchemaRef, partitions: &[&str]| {
            LakeTable::open_or_create(name, table_url(&url, name)?, schema, partitions).await
        };
        let s3_access = table("s3_access", s3_access_schema(), &partitions).await?;
        let followers = [
            table("sts_sessions", schema(&fact_tables::sts_sessions()), &[]).await?,
            table("ec2_instances", schema(&fact_tables::ec2_instances()), &[]).await?,
            table("s3_amendments", s3_access_schema(), &partitions).await?,
            table("notifications", schema(&fact_tables::notifications()), &[]).await?,
            table(
                "digest_objects",
                schema(&fact_tables::digest_objects()),
                &[],
            )
            .await?,
            table("log_objects", schema(&fact_tables::log_objects()), &[]).await?,
        ];
        let policy_versions = table(
            "policy_versions",
            schema(&fact_tables::policy_versions()),
            &[],
        )
        .await?;
        let exceptions = table("exceptions", schema(&fact_tables::exceptions()), &[]).await?;
        let [.., ledger] = &followers;
        let rolled_to = ledger.transaction_version(ROLL_FORWARD).await?.unwrap_or(0);
        let mut lake = Lake {
            url,
            s3_access,
            followers,
            policy_versions,
            exceptions,
            rolled_to,
        };
        lake.roll_forward().await?;
        Ok(lake)
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn tables(&self) -> impl Iterator<Item = &LakeTable> {
        std::iter::once(&self.s3_access)
            .chain(&self.followers)
            .chain([&self.policy_versions, &self.exceptions])
    }

    pub fn s3_access(&self) -> &LakeTable {
        &self.s3_access
    }

    pub fn s3_amendments(&self) -> &LakeTable {
        let [_, _, amendments, ..] = &self.followers;
        amendments
    }

    /// Commits the batch, once. After [`CommitOutcome::Conflict`] nothing of it
    /// is visible, and the lake shows what the other writer committed.
    ///
    /// # Errors
    /// When files or log cannot be written; then nothing of it is visible. Files
    /// stay where the outcome is in doubt: what the log may name is not deleted.
    pub async fn commit(
        &mut self,
        batch: LakeBatch,
        now: UtcMicros,
    ) -> Result<CommitOutcome, LakeError> {
        let mut written = Written::default();
        if let Err(error) = self.write(batch, now, &mut written).await {
            self.discard(&written).await;
            return Err(error);
        }
        let followed: serde_json::Map<String, serde_json::Value> = FOLLOWERS
            .iter()
            .zip(&written.followers)
            .map(|(name, adds)| ((*name).to_owned(), serde_json::json!(adds)))
            .collect();
        let metadata = vec![(ROLL_FORWARD.to_owned(), followed.into())];
        let adds = written.accesses.clone();
        let outcome = self.s3_access.append(adds, &[], metadata).await?;
        match outcome {
            CommitOutcome::Committed { version } => {
                if let Err(error) = self.roll_forward().await {
                    tracing::warn!(version, %error, "tables beside s3_access lag behind; the next commit tries again");
                }
            }
            CommitOutcome::Conflict { .. } => {
                self.discard(&written).await;
                self.roll_forward().await?;
            }
        }
        Ok(outcome)
    }

    /// Writes the batch's files; `written` names those that are there, also
    /// when one fails.
    async fn write(
        &self,
        batch: LakeBatch,
        now: UtcMicros,
        written: &mut Written,
    ) -> Result<(), LakeError> {
        let [sts, ec2, amendments, notes, digests, ledger] = &self.followers;
        let [
            sts_adds,
            ec2_adds,
            amendment_adds,
            note_adds,
            digest_adds,
            ledger_adds,
        ] = &mut written.followers;
        *sts_adds = write_rows(sts, &fact_tables::sts_sessions(), batch.sts_sessions, now).await?;
        *ec2_adds =
            write_rows(ec2, &fact_tables::ec2_instances(), batch.ec2_instances, now).await?;
        *note_adds = write_rows(
            notes,
            &fact_tables::notifications(),
            batch.notifications,
            now,
        )
        .await?;
        let columns = fact_tables::digest_objects();
        *digest_adds = write_rows(digests, &columns, batch.digests, now).await?;
        *ledger_adds =
            write_rows(ledger, &fact_tables::log_objects(), batch.log_objects, now).await?;
        for file in batch.amendment_files {
            amendment_adds.push(amendments.write(file, now).await?);
        }
        for file in batch.access_files {
            written
                .accesses
                .push(self.s3_access.write(file, now).await?);
        }
        Ok(())
    }

    /// Puts files in the place of others, in one commit, whoever appends meanwhile.
    ///
    /// # Errors
    /// When the log cannot be read or written, or other writers come first again
    /// and again. Then nothing changed, and the new files belong to no table.
    pub async fn rewrite(&mut self, rewrite: Rewrite) -> Result<RewriteOutcome, LakeError> {
        let mut followed = serde_json::Map::new();
        let amendments = self.s3_amendments().name;
        followed.insert(
            REMOVED.to_owned(),
            serde_json::json!({ amendments: rewrite.amended }),
        );
        for _ in 0..CONFLICTS_MAX {
            if !self.s3_access.has_all(&rewrite.removes)
                || !self.s3_access.has_all(&rewrite.relies_on)
                || !self.s3_amendments().has_all(&rewrite.amended)
            {
                return Ok(RewriteOutcome::Outdated);
            }
            let metadata = vec![
                (ROLL_FORWARD.to_owned(), followed.clone().into()),
                (SETTLE.to_owned(), rewrite.summary.clone()),
            ];
            let (adds, removes) = (rewrite.adds.clone(), rewrite.removes.clone());
            let outcome = self.s3_access.replace(adds, removes, &[], metadata).await?;
            match outcome {
                CommitOutcome::Committed { version } => {
                    if let Err(error) = self.roll_forward().await {
                        tracing::warn!(version, %error, "tables beside s3_access lag behind; the next commit tries again");
                    }
                    return Ok(RewriteOutcome::Rewritten { version });
                }
                // Appends touch none of these files; whether another rewrite did
                // shows above.
                CommitOutcome::Conflict { .. } => self.roll_forward().await?,
            }
        }
        let table = &self.s3_access;
        Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
    }

    /// Brings every table up to what others committed.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        self.s3_access.refresh().await?;
        for table in &mut self.followers {
            table.refresh().await?;
        }
        self.roll_forward().await
    }

    /// What that version of `s3_access` changed; `None` where the log does not reach
    /// back so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn committed(&self, version: u64) -> Result<Option<Committed>, LakeError> {
        let Some(actions) = self.s3_access.actions(version).await? else {
            return Ok(None);
        };
        let infos = || actions.iter().filter_map(|action| action.get("commitInfo"));
        if infos().any(|info| info.get(SETTLE).is_some()) {
            return Ok(Some(Committed::Rewrite));
        }
        let adds = actions.iter().filter_map(|action| action.get("add"));
        let mut files: Vec<(String, String)> = adds
            .filter_map(|add| path_of(add, self.s3_access.name))
            .collect();
        for followed in infos().filter_map(|info| info.get(ROLL_FORWARD)) {
            for name in FOLLOWERS {
                let adds = followed.get(name).and_then(serde_json::Value::as_array);
                let adds = adds.into_iter().flatten();
                files.extend(adds.filter_map(|add| path_of(add, name)));
            }
        }
        Ok(Some(Committed::Batch(files)))
    }

    async fn discard(&self, written: &Written) {
        self.s3_access.discard(&written.accesses).await;
        for (table, adds) in self.followers.iter().zip(&written.followers) {
            table.discard(adds).await;
        }
    }

    /// Applies what commits to `s3_access` hold for the other tables.
    async fn roll_forward(&mut self) -> Result<(), LakeError> {
        for version in self.rolled_to + 1..=self.s3_access.version() {
            let Some(actions) = self.s3_access.actions(version).await? else {
                self.must_be_rolled(version).await?;
                self.rolled_to = version;
                continue;
            };
            let Some(followed) = member_of_info(&actions, ROLL_FORWARD) else {
                self.rolled_to = version;
                continue;
            };
            for table in &mut self.followers {
                let adds: Vec<Add> = held_for(table, followed.get(table.name))?;
                let removed = followed.get(REMOVED).and_then(|all| all.get(table.name));
                let removes: Vec<Remove> = held_for(table, removed)?;
                apply_once(table, adds, removes, version).await?;
            }
            self.rolled_to = version;
        }
        Ok(())
    }

    /// Of a version that the log has forgotten: others did what it holds, long ago. The
    /// ledger follows each version last.
    async fn must_be_rolled(&mut self, version: u64) -> Result<(), LakeError> {
        let [.., ledger] = &mut self.followers;
        ledger.refresh().await?;
        let applied = ledger.transaction_version(ROLL_FORWARD).await?;
        match applied.is_some_and(|applied| applied >= version) {
            true => Ok(()),
            false => Err(self.s3_access.forgotten(version)),
        }
    }
}

fn path_of(add: &serde_json::Value, table: &str) -> Option<(String, String)> {
    let path = add.get("path")?.as_str()?;
    // Delta writes paths as in a URL.
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    Some((table.to_owned(), path.into_owned()))
}

/// The actions that a commit holds for a table.
fn held_for<A: serde::de::DeserializeOwned>(
    table: &LakeTable,
    held: Option<&serde_json::Value>,
) -> Result<Vec<A>, LakeError> {
    held.cloned()
        .map(serde_json::from_value::<Vec<A>>)
        .transpose()
        .map_err(|source| LakeError::read(table.name, table.url(), source))
        .map(Option::unwrap_or_default)
}

/// Commits the actions to a following table, unless that was done before.
async fn apply_once(
    table: &mut LakeTable,
    adds: Vec<Add>,
    removes: Vec<Remove>,
    version: u64,
) -> Result<(), LakeError> {
    if adds.is_empty() && removes.is_empty() && !is_ledger(table) {
        return Ok(());
    }
    for _ in 0..CONFLICTS_MAX {
        let applied = table.transaction_version(ROLL_FORWARD).await?;
        if applied.is_some_and(|applied| applied >= version) {
            return Ok(());
        }
        let outcome = table
            .replace(
                adds.clone(),
                removes.clone(),
                &[(ROLL_FORWARD, version)],
                Vec::new(),
            )
            .await?;
        if let CommitOutcome::Committed { .. } = outcome {
            return Ok(());
        }
    }
    Err(LakeError::contended(table.name, table.url(), CONFLICTS_MAX))
}

fn is_ledger(table: &LakeTable) -> bool {
    FOLLOWERS.last() == Some(&table.name)
}

pub(super) fn table_url(lake: &Url, name: &'static str) -> Result<Url, LakeError> {
    lake.join(&format!("{name}/"))
        .map_err(|error| LakeError::open(name, lake, error))
}

/// Writes rows as one file of an unpartitioned table; none for no rows.
pub(super) async fn write_rows<R>(
    table: &LakeTable,
    columns: &[Column<R>],
    rows: Vec<R>,
    now: UtcMicros,
) -> Result<Vec<Add>, LakeError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let writer = FileWriter::new(schema(columns), &[], &[]);
    let mut rows = rows.into_iter();
    let (bytes, count) = writer
        .encode(columns, |block, most| {
            block.extend(rows.by_ref().take(most))
        })
        .map_err(|source| LakeError::encode(table.name, source))?;
    let file = EncodedFile::unpartitioned(bytes, count);
    Ok(vec![table.write(file, now).await?])
}
