//! One Delta table: opened or created, appended to, read back by version.
//!
//! What delta-rs does is left to it; what it does not do is done here: it
//! neither refuses an application transaction that was committed before nor
//! tells a caller that another writer came first, so every commit is tried
//! exactly once at the next version and a conflict is an outcome, not an error.
//!
//! INVARIANT (no false failure): a commit whose entry stands in the log is a
//! success, whatever fails after it (a checkpoint) or instead of it (the store's
//! answer). Each commit carries an id of its own; where the outcome is in doubt,
//! the log tells whose commit stands there.

use super::LakeError;
use super::data_file::EncodedFile;
use crate::model::UtcMicros;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::object_store::{self, ObjectStoreExt as _};
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{
    CommitBuilder, CommitProperties, PostCommit, TransactionError,
};
use deltalake::kernel::{Action, Add, Remove, StructType, Transaction};
use deltalake::logstore::LogStoreRef;
use deltalake::operations::create::CreateBuilder;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::table::config::TablePropertiesExt as _;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, checkpoints};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use url::Url;

/// Member of commitInfo that tells whose commit it is.
const COMMIT_ID: &str = "bricktrail.commit_id";

/// Lost races in a row after which a commit is given up. Each means that another
/// writer got on; so many in a row mean that there are far too many of them.
pub const CONFLICTS_MAX: u32 = 100;

/// What became of an attempt to commit.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    Committed {
        version: u64,
    },
    /// Another writer took the version; the state has been brought up to date,
    /// nothing was written to the log.
    Conflict {
        version: u64,
    },
}

/// Versions added to a state before it is read anew.
const VERSIONS_ADDED_MAX: u64 = 32;

/// Commits of a table from one clean-up of its log to the next.
const COMMITS_UNTIL_FORGOTTEN: u64 = 32;

/// A table of the lake, at the version last seen.
#[derive(Clone)]
pub struct LakeTable {
    pub name: &'static str,
    url: Url,
    log_store: LogStoreRef,
    state: DeltaTableState,
    /// The version that the state was read at as a whole; what came since was added.
    based_on: u64,
    /// Where remote files are fetched for threads that are not its own.
    runtime: tokio::runtime::Handle,
}

impl LakeTable {
    /// Opens the table, or creates it empty.
    ///
    /// # Errors
    /// When the place cannot be read or written, or holds another table.
    pub async fn open_or_create(
        name: &'static str,
        url: Url,
        schema: SchemaRef,
        partition_columns: &[&str],
    ) -> Result<LakeTable, LakeError> {
        let open_error = |source| LakeError::open(name, &url, source);
        let mut table = DeltaTableBuilder::from_url(url.clone())
            .and_then(DeltaTableBuilder::build)
            .map_err(open_error)?;
        let exists = table
            .verify_deltatable_existence()
            .await
            .map_err(open_error)?;
        if !exists {
            let created = create(name, &table, &schema, partition_columns).await;
            match created {
                Ok(created) => table = created,
                // Another came first, or this one's answer got lost: it is there.
                Err(error) => {
                    if !table.verify_deltatable_existence().await.unwrap_or(false) {
                        return Err(open_error(error));
                    }
                    table.load().await.map_err(open_error)?;
                }
            }
        } else {
            table.load().await.map_err(open_error)?;
        }
        let opened = LakeTable::from_loaded(name, url.clone(), &table)?;
        opened.check_schema(&schema)?;
        Ok(opened)
    }

    /// Opens a table that is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn open_existing(name: &'static str, url: Url) -> Result<LakeTable, LakeError> {
        let open_error = |source| LakeError::open(name, &url, source);
        let table = DeltaTableBuilder::from_url(url.clone()).map_err(open_error)?;
        let table = table.load().await.map_err(open_error)?;
        LakeTable::from_loaded(name, url.clone(), &table)
    }

    fn from_loaded(
        name: &'static str,
        url: Url,
        table: &DeltaTable,
    ) -> Result<LakeTable, LakeError> {
        let state = table
            .snapshot()
            .map_err(|source| LakeError::open(name, &url, source))?
            .clone();
        Ok(LakeTable {
            name,
            url,
            log_store: table.log_store(),
            based_on: state.version(),
            state,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// Refuses a table that lacks a column this program writes.
    fn check_schema(&self, schema: &SchemaRef) -> Result<(), LakeError> {
        let expected: StructType = schema
            .as_ref()
            .try_into_kernel()
            .map_err(|e: arrow::error::ArrowError| LakeError::open(self.name, &self.url, e))?;
        let held = self.state.schema();
        for field in expected.fields() {
            let same = held
                .field(field.name())
                .is_some_and(|found| found.data_type() == field.data_type());
            if !same {
                return Err(LakeError::Schema {
                    table: self.name,
                    url: self.url.to_string(),
                    column: field.name().clone(),
                });
            }
        }
        Ok(())
    }

    pub fn version(&self) -> u64 {
        self.state.version()
    }

    /// The last version that `app_id` recorded with [`LakeTable::append`].
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn transaction_version(&self, app_id: &str) -> Result<Option<u64>, LakeError> {
        let version = self
            .state
            .transaction_version(self.log_store.as_ref(), app_id.to_owned())
            .await
            .map_err(|source| LakeError::read(self.name, &self.url, source))?;
        Ok(version.and_then(|version| u64::try_from(version).ok()))
    }

    /// Writes the file into the table's folder; it belongs to the table only
    /// once its add action is committed.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn write(&self, file: EncodedFile, now: UtcMicros) -> Result<Add, LakeError> {
        let path = file.new_path();
        let add = file.add_action(path.clone(), now);
        self.log_store
            .object_store(None)
            .put(&path.as_str().into(), file.bytes.into())
            .await
            .map_err(|source| LakeError::write(self.name, &self.url, source))?;
        Ok(add)
    }

    /// Deletes files that were written and will not be committed. Best effort:
    /// vacuum removes what stays.
    pub async fn discard(&self, adds: &[Add]) {
        let store = self.log_store.object_store(None);
        for add in adds {
            if let Err(error) = store.delete(&add.path.as_str().into()).await {
                tracing::debug!(path = add.path, %error, "left an uncommitted file behind");
            }
        }
    }

    /// Tries to commit at the next version, once.
    ///
    /// # Errors
    /// When the log cannot be written; then nothing of it is committed, unless
    /// the error says that the outcome cannot be told.
    pub async fn append(
        &mut self,
        adds: Vec<Add>,
        txns: &[(&str, u64)],
        metadata: Vec<(String, serde_json::Value)>,
    ) -> Result<CommitOutcome, LakeError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.commit_as(&id, adds, Vec::new(), txns, metadata).await
    }

    /// Tries to commit at the next version, once: files in the place of others.
    ///
    /// # Errors
    /// As [`LakeTable::append`].
    pub async fn replace(
        &mut self,
        adds: Vec<Add>,
        removes: Vec<Remove>,
        txns: &[(&str, u64)],
        metadata: Vec<(String, serde_json::Value)>,
    ) -> Result<CommitOutcome, LakeError> {
        let id = uuid::Uuid::new_v4().to_string();
        self.commit_as(&id, adds, removes, txns, metadata).await
    }

    async fn commit_as(
        &mut self,
        id: &str,
        adds: Vec<Add>,
        removes: Vec<Remove>,
        txns: &[(&str, u64)],
        mut metadata: Vec<(String, serde_json::Value)>,
    ) -> Result<CommitOutcome, LakeError> {
        metadata.push((COMMIT_ID.to_owned(), id.into()));
        let mut properties = CommitProperties::default()
            .with_max_retries(0)
            // See `forget_log`.
            .with_cleanup_expired_logs(Some(false))
            .with_metadata(metadata);
        for (app_id, version) in txns {
            let version = i64::try_from(*version).unwrap_or(i64::MAX);
            properties =
                properties.with_application_transaction(Transaction::new(*app_id, version));
        }
        let operation = DeltaOperation::Write {
            mode: match removes.is_empty() {
                true => SaveMode::Append,
                false => SaveMode::Overwrite,
            },
            partition_by: Some(self.state.metadata().partition_columns().to_vec()),
            predicate: None,
        };
        let commit = CommitBuilder::from(properties)
            .with_actions(
                removes
                    .into_iter()
                    .map(Action::Remove)
                    .chain(adds.into_iter().map(Action::Add))
                    .collect(),
            )
            .build(Some(&self.state), self.log_store.clone(), operation);
        // Two steps: the entry in the log, and then what follows from it.
        let entry = match commit.into_prepared_commit_future().await {
            Ok(prepared) => prepared.await,
            Err(error) => Err(error),
        };
        match entry {
            Ok(entry) => Ok(self.after_commit(entry).await),
            Err(error) => self.after_failure(id, &error).await,
        }
    }

    /// Checkpoint and new state. The commit stands, so a failure here is only
    /// logged: the next commit brings the state up to date, and a later
    /// checkpoint makes up for the one that is missing.
    async fn after_commit(&mut self, entry: PostCommit) -> CommitOutcome {
        let version = entry.version;
        match entry.await {
            Ok(committed) => self.state = committed.snapshot(),
            Err(error) => {
                tracing::warn!(table = self.name, version, %error, "committed, but without its checkpoint");
                if let Err(error) = self.refresh().await {
                    tracing::warn!(table = self.name, version, %error, "committed, but not read back yet");
                }
            }
        }
        self.rebase().await;
        self.forget_log(version).await;
        CommitOutcome::Committed { version }
    }

    /// Finds out what became of a commit that was reported as failed: the entry
    /// may stand all the same, for example when only the store's answer got lost
    /// and its second try met the first.
    async fn after_failure(
        &mut self,
        id: &str,
        failure: &DeltaTableError,
    ) -> Result<CommitOutcome, LakeError> {
        let before = self.version();
        let unknown = |table: &LakeTable, error: LakeError| {
            let detail = format!("{failure}. Whether it stands could not be told: {error}");
            LakeError::commit(table.name, &table.url, detail)
        };
        if let Err(error) = self.refresh().await {
            return Err(unknown(self, error));
        }
        for version in before + 1..=self.version() {
            match self.commit_info(version, COMMIT_ID).await {
                Ok(found) if found.as_ref().and_then(|found| found.as_str()) == Some(id) => {
                    return Ok(CommitOutcome::Committed { version });
                }
                Ok(_) => {}
                Err(error) => return Err(unknown(self, error)),
            }
        }
        if is_conflict(failure) {
            return Ok(CommitOutcome::Conflict {
                version: self.version(),
            });
        }
        Err(LakeError::commit(self.name, &self.url, failure))
    }

    /// Brings the state up to the newest version.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        self.state
            .update(self.log_store.as_ref(), None)
            .await
            .map_err(|source| LakeError::read(self.name, &self.url, source))?;
        self.rebase().await;
        Ok(())
    }

    /// Reads the state anew once many versions were added to it: delta-rs keeps what each
    /// of them added apart, and looks through all of that with the next one.
    ///
    /// INVARIANT (nothing unseen): the version stays; what others committed since shows
    /// only to who asks for it.
    async fn rebase(&mut self) {
        let version = self.version();
        if version < self.based_on.saturating_add(VERSIONS_ADDED_MAX) {
            return;
        }
        self.based_on = version;
        match DeltaTableState::try_new(self.log_store.as_ref(), Some(version)).await {
            Ok(state) => self.state = state,
            Err(error) => {
                tracing::debug!(table = self.name, version, %error, "not read anew");
            }
        }
    }

    /// Forgets old entries of the log, as the table's own rules say. That lists the whole
    /// log, so not after each commit; but whichever process makes it.
    async fn forget_log(&self, committed: u64) {
        let is_due = committed.is_multiple_of(COMMITS_UNTIL_FORGOTTEN);
        if !is_due || !self.state.table_config().enable_expired_log_cleanup() {
            return;
        }
        if let Err(error) = checkpoints::cleanup_metadata(&self.as_delta_table(), None).await {
            tracing::warn!(table = self.name, %error, "old entries of the log are not deleted");
        }
    }

    /// The actions of that version's commit, as the log holds them; `None` where it is
    /// gone.
    ///
    /// # Errors
    /// When the log cannot be read, or is no JSON.
    pub async fn actions(&self, version: u64) -> Result<Option<Vec<serde_json::Value>>, LakeError> {
        let fail = |error: String| LakeError::read(self.name, &self.url, error);
        let entry = self
            .log_store
            .read_commit_entry(version)
            .await
            .map_err(|error| fail(error.to_string()))?;
        let Some(entry) = entry else { return Ok(None) };
        let lines = entry.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(|error| fail(error.to_string())))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A member of the `commitInfo` of that version; `None` where there is none.
    ///
    /// # Errors
    /// When the commit is gone or is no JSON.
    pub async fn commit_info(
        &self,
        version: u64,
        member: &str,
    ) -> Result<Option<serde_json::Value>, LakeError> {
        match self.actions(version).await? {
            Some(actions) => Ok(member_of_info(&actions, member).cloned()),
            None => Err(self.forgotten(version)),
        }
    }

    /// The fault of a version that the log has no entry for.
    pub fn forgotten(&self, version: u64) -> LakeError {
        let gone = format!("the log has no entry for version {version}");
        LakeError::read(self.name, &self.url, gone)
    }

    /// The files of the table, in the version last seen.
    pub fn files(&self) -> Vec<TableFile> {
        let files = self.state.log_data();
        files
            .iter()
            .map(|file| TableFile {
                path: file.path().into_owned(),
                partition_values: file.partition_values_map(),
                bytes: u64::try_from(file.size()).unwrap_or_default(),
                stats: FileStats::of(file.stats().as_deref()),
                remove: file.remove_action(true),
            })
            .collect()
    }

    /// Whether all these files still belong to the table.
    pub fn has_all(&self, removes: &[Remove]) -> bool {
        let held = self.state.log_data();
        let held: HashSet<String> = held.iter().map(|file| file.path().into_owned()).collect();
        removes.iter().all(|remove| held.contains(&remove.path))
    }

    /// Opens a data file for reading.
    ///
    /// # Errors
    /// When it is not there, or cannot be fetched.
    pub fn open(&self, file: &TableFile) -> Result<File, LakeError> {
        let fail = |cause: String| LakeError::read(self.name, &self.url, cause);
        let fail_io = |error: std::io::Error| fail(format!("{}: {error}", file.path));
        match self.url.to_file_path() {
            Ok(folder) => File::open(folder.join(&file.path)).map_err(fail_io),
            Err(()) => self.download(file, fail_io),
        }
    }

    /// Fetches a file into one that is gone when it is closed: whoever reads data files
    /// reads them twice and in parts.
    fn download(
        &self,
        file: &TableFile,
        fail: impl Fn(std::io::Error) -> LakeError,
    ) -> Result<File, LakeError> {
        let (table, path) = (self.clone(), file.path.clone());
        let (send, fetched) = std::sync::mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody waits any more: then nobody needs it.
            drop(send.send(table.fetch(&path).await));
        });
        let fetched = fetched
            .recv()
            .map_err(|_| fail(std::io::Error::other("not fetched")))?;
        let bytes = fetched?.ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))?;
        let mut copy = tempfile::tempfile().map_err(&fail)?;
        copy.write_all(&bytes)
            .and_then(|()| copy.rewind())
            .map_err(&fail)?;
        Ok(copy)
    }

    /// The bytes of a data file; `None` if it is gone.
    ///
    /// # Errors
    /// When the store does not give it.
    pub async fn fetch(&self, path: &str) -> Result<Option<Bytes>, LakeError> {
        let store = self.log_store.object_store(None);
        let fail = |error| LakeError::read(self.name, &self.url, error);
        match store.get(&path.into()).await {
            Ok(found) => found.bytes().await.map(Some).map_err(fail),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fail(error)),
        }
    }

    /// The table as delta-rs and DataFusion know it.
    pub fn as_delta_table(&self) -> DeltaTable {
        let mut table = DeltaTable::new(self.log_store.clone());
        table.state = Some(self.state.clone());
        table
    }

    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// A data file that belongs to a table.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// Below the table's folder.
    pub path: String,
    pub partition_values: HashMap<String, Option<String>>,
    pub bytes: u64,
    pub stats: FileStats,
    /// The action that takes it out of the table.
    pub remove: Remove,
}

/// What the log tells of a file's rows, where it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileStats {
    pub rows: Option<u64>,
    pub first_event: Option<UtcMicros>,
    pub last_event: Option<UtcMicros>,
}

impl FileStats {
    fn of(text: Option<&str>) -> FileStats {
        let stats: serde_json::Value = text
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let time = |values: &str| {
            let text = stats.get(values)?.get("event_time")?.as_str()?;
            UtcMicros::parse_iso(text)
        };
        FileStats {
            rows: stats.get("numRecords").and_then(serde_json::Value::as_u64),
            first_event: time("minValues"),
            last_event: time("maxValues"),
        }
    }
}

fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::MaxCommitAttempts(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::VersionAlreadyExists(_)
        ),
        DeltaTableError::VersionAlreadyExists(_) => true,
        _ => false,
    }
}

async fn create(
    name: &str,
    table: &DeltaTable,
    schema: &SchemaRef,
    partition_columns: &[&str],
) -> Result<DeltaTable, DeltaTableError> {
    let schema: StructType = schema.as_ref().try_into_kernel()?;
    let created = CreateBuilder::new()
        .with_log_store(table.log_store())
        .with_table_name(name)
        .with_save_mode(SaveMode::Ignore)
        .with_columns(schema.fields().cloned())
        .with_partition_columns(partition_columns.iter().copied())
        .with_configuration(HashMap::from([(
            "delta.checkpointInterval".to_owned(),
            Some("20".to_owned()),
        )]))
        .await?;
    Ok(created)
}

/// A member of the `commitInfo` among the actions of a commit.
pub fn member_of_info<'a>(
    actions: &'a [serde_json::Value],
    member: &str,
) -> Option<&'a serde_json::Value> {
    let mut infos = actions.iter().filter_map(|action| action.get("commitInfo"));
    infos.next()?.get(member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::path::Path;
    use std::sync::Arc;

    async fn table(folder: &Path) -> LakeTable {
        let url = Url::from_directory_path(folder).unwrap();
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        LakeTable::open_or_create("log_objects", url, schema, &[])
            .await
            .unwrap()
    }

    async fn append(table: &mut LakeTable, id: &str) -> CommitOutcome {
        table
            .commit_as(id, Vec::new(), Vec::new(), &[], Vec::new())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_commit_without_its_checkpoint_is_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = table(folder.path()).await;
        // Where the checkpoint of version 19 should go, there is a folder.
        let place = "_delta_log/00000000000000000019.checkpoint.parquet";
        std::fs::create_dir(folder.path().join(place)).unwrap();
        for version in 1..=22 {
            let outcome = append(&mut table, &version.to_string()).await;
            assert_eq!(outcome, CommitOutcome::Committed { version });
            assert_eq!(table.version(), version);
        }
    }

    #[tokio::test]
    async fn a_state_that_is_read_anew_shows_no_more_than_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = table(folder.path()).await;
        let mut other = table(folder.path()).await;
        for version in 1..=VERSIONS_ADDED_MAX {
            assert_eq!(first.based_on, 0);
            let outcome = append(&mut first, &version.to_string()).await;
            assert_eq!(outcome, CommitOutcome::Committed { version });
        }
        assert_eq!(first.based_on, VERSIONS_ADDED_MAX);
        let version = VERSIONS_ADDED_MAX;
        assert_eq!(first.version(), version);
        // It is the one that sees all of them at once.
        let outcome = append(&mut other, "late").await;
        assert_eq!(outcome, CommitOutcome::Conflict { version });
        let _committed = append(&mut other, "later").await;
        first.based_on = 0;
        first.rebase().await;
        assert_eq!((first.version(), first.based_on), (version, version));
        let outcome = append(&mut first, "again").await;
        let newer = version + 1;
        assert_eq!(outcome, CommitOutcome::Conflict { version: newer });
    }

    #[tokio::test]
    async fn a_conflict_with_ones_own_commit_is_a_success() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = table(folder.path()).await;
        let mut again = table(folder.path()).await;
        let mut other = table(folder.path()).await;
        let _committed = append(&mut first, "mine").await;
        let _committed = append(&mut first, "later").await;
        // What a second try sees when the answer to the first got lost.
        let outcome = append(&mut again, "mine").await;
        assert_eq!(outcome, CommitOutcome::Committed { version: 1 });
        assert_eq!(again.version(), 2);
        let outcome = append(&mut other, "another").await;
        assert_eq!(outcome, CommitOutcome::Conflict { version: 2 });
    }

    #[tokio::test]
    async fn an_error_after_the_entry_was_written_is_a_success() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = table(folder.path()).await;
        let mut second = table(folder.path()).await;
        let failure = DeltaTableError::generic("connection closed");
        let outcome = second.after_failure("mine", &failure).await;
        assert!(outcome.is_err(), "{outcome:?}");
        let _committed = append(&mut first, "mine").await;
        let outcome = second.after_failure("mine", &failure).await.unwrap();
        assert_eq!(outcome, CommitOutcome::Committed { version: 1 });
    }
}
