//! Stored rows as a policy sees them, alike ones together.
//!
//! A policy looks at few of a row's columns, and equal values of those give equal
//! judgements. So only these columns are read, rows are told apart by the numbers of
//! their dictionaries, and a row is made an access again only if none like it came
//! before: what is left to do for most of the rows is to count them.

use super::error::LakeError;
use super::rows::{list_at, text_at};
use super::settle::accesses::{confidence_of, halves, operation_of, outcome_of, path_of};
use super::settle::files::{DateFile, Tables};
use super::settle::reader::{self, Texts, time_at, truth_at};
use crate::model::{
    AccessEvent, Attribution, CANDIDATES_MAX, Client, Credential, Outcome, Principal,
    PrincipalKind, Target, TimeSpan, Tls, UnattributedReason, UtcMicros,
};
use arrow::array::{Array as _, ArrayRef, AsArray as _, ListArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use hashbrown::HashMap;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

/// A row of a data file as an access with its attribution, as far as its columns were
/// read.
#[derive(Clone, Debug)]
pub struct StoredAccess {
    pub event_time: UtcMicros,
    event_name: String,
    operation: String,
    outcome: String,
    error_code: Option<String>,
    pub object_key: Option<String>,
    pub list_prefix: Option<String>,
    version_id: Option<String>,
    copy_source: Option<String>,
    sse: Option<String>,
    kms_key_arn: Option<String>,
    presigned: bool,
    pub principal: Principal,
    client: Client,
    pub target: Target,
    pub attribution: Attribution,
    pub credential: Credential,
    pub settled: bool,
    /// The dataset that was found when it was judged.
    pub dataset: Option<String>,
    /// The rules that it violated then.
    pub violated: Vec<StoredViolation>,
}

/// A violation as a row holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredViolation {
    pub rule: String,
    pub severity: String,
    pub exception: Option<String>,
}

/// Its members: reasons hold facts of single accesses.
const STORED: [&str; 3] = ["rule", "severity", "exception"];

impl StoredAccess {
    pub fn access(&self) -> AccessEvent<'_> {
        AccessEvent {
            event_id: "",
            event_time: self.event_time,
            event_name: &self.event_name,
            operation: operation_of(Some(&self.operation)),
            outcome: outcome_of(Some(&self.outcome)),
            error_code: self.error_code.as_deref(),
            error_message: None,
            object_key: self.object_key.as_deref(),
            list_prefix: self.list_prefix.as_deref(),
            version_id: self.version_id.as_deref(),
            copy_source: self.copy_source.as_deref(),
            bytes_in: None,
            bytes_out: None,
            sse: self.sse.as_deref(),
            kms_key_arn: self.kms_key_arn.as_deref(),
            presigned: self.presigned,
            signed_at: None,
            request_id: None,
            shared_event_id: None,
            content_id: None,
            principal: &self.principal,
            client: &self.client,
            target: &self.target,
        }
    }
}

/// What AWS calls a caller: every session has a name of its own.
const NAMES: [&str; 3] = ["principal_arn", "principal_id", "user_name"];

/// Texts of which each row has its own, by which rows are told apart only if asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// What AWS calls the callers of role sessions; else whether it names them.
    pub names: bool,
    pub object_keys: bool,
    pub list_prefixes: bool,
}

impl Told {
    /// Whether rows are told apart by the column itself.
    fn has(self, column: &str) -> bool {
        match column {
            "object_key" => self.object_keys,
            "list_prefix" => self.list_prefixes,
            name => self.names || !NAMES.contains(&name),
        }
    }
}

/// Replays the rows of a file, told apart by these columns, and by the number that
/// `locate` gives for bucket and key, or prefix. `decide` is given a row that is like none
/// before it, and says which number it goes by and for which times rows alike do; `count`
/// is given the number of each row with its place in the file and its time. Answers how
/// many rows there were.
///
/// # Errors
/// When the file cannot be read.
pub fn replay(
    tables: &Tables,
    file: &DateFile,
    (columns, told): (&[&str], Told),
    locate: impl Fn(Option<&str>, Option<&str>) -> i32,
    mut decide: impl FnMut(&StoredAccess) -> (u32, TimeSpan),
    mut count: impl FnMut(u32, usize, UtcMicros),
) -> Result<u64, LakeError> {
    let opened = file.open(tables)?;
    let batches = reader::open(opened, columns).map_err(|error| tables.unreadable(file, error))?;
    let mut first_row = 0;
    for batch in batches {
        let batch = batch.map_err(|error| tables.unreadable(file, error))?;
        let mut rows = Rows::of(&batch, told);
        let mut known: HashMap<Vec<i32>, Vec<(TimeSpan, u32)>, foldhash::fast::FixedState> =
            HashMap::default();
        let mut key = Vec::new();
        let mut last: Option<(Vec<i32>, TimeSpan, u32)> = None;
        for row in 0..batch.num_rows() {
            rows.key(row, &mut key);
            key.push(locate(rows.bucket.at(row), rows.path(row)));
            let at = time_at(rows.event_time, row).unwrap_or_default();
            let place = first_row + row;
            if let Some((before, span, number)) = &last
                && *before == key
                && span.contains(at)
            {
                count(*number, place, at);
                continue;
            }
            let holds = |(span, _): &&(TimeSpan, u32)| span.contains(at);
            let found = known.get(key.as_slice());
            let found = found.and_then(|known| known.iter().find(holds).copied());
            let (span, number) = match found {
                Some(found) => found,
                None => {
                    let (number, span) = decide(&rows.stored(row));
                    known
                        .entry_ref(key.as_slice())
                        .or_default()
                        .push((span, number));
                    (span, number)
                }
            };
            count(number, place, at);
            last = Some((std::mem::take(&mut key), span, number));
        }
        first_row += batch.num_rows();
    }
    Ok(first_row as u64)
}

/// The event ids of some rows of a file, by their places.
///
/// # Errors
/// When the file cannot be read.
pub fn event_ids(
    tables: &Tables,
    file: &DateFile,
    places: &[usize],
) -> Result<Vec<(usize, String)>, LakeError> {
    let opened = file.open(tables)?;
    let batches =
        reader::open(opened, &["event_id"]).map_err(|error| tables.unreadable(file, error))?;
    let mut found = Vec::new();
    let mut first_row = 0;
    for batch in batches {
        let batch = batch.map_err(|error| tables.unreadable(file, error))?;
        let ids = Texts::of(&batch, "event_id");
        let end = first_row + batch.num_rows();
        for place in places
            .iter()
            .filter(|place| (first_row..end).contains(*place))
        {
            if let Some(id) = ids.at(place - first_row) {
                found.push((*place, id.to_owned()));
            }
        }
        first_row = end;
    }
    Ok(found)
}

/// Gives each bucket and key that S3 answered for to `see`, or the prefix of a list.
///
/// # Errors
/// When the file cannot be read.
pub fn each_path(
    tables: &Tables,
    file: &DateFile,
    mut see: impl FnMut(&str, &str),
) -> Result<(), LakeError> {
    let opened = file.open(tables)?;
    let columns = ["bucket", "object_key", "list_prefix", "outcome"];
    let batches = reader::open(opened, &columns).map_err(|error| tables.unreadable(file, error))?;
    for batch in batches {
        let batch = batch.map_err(|error| tables.unreadable(file, error))?;
        let [buckets, keys, prefixes, outcomes] = columns.map(|name| Texts::of(&batch, name));
        for row in 0..batch.num_rows() {
            let is_ok = outcome_of(outcomes.at(row)) == Outcome::Ok;
            if let Some(bucket) = buckets.at(row).filter(|_| is_ok) {
                see(
                    bucket,
                    keys.at(row).or_else(|| prefixes.at(row)).unwrap_or(""),
                );
            }
        }
    }
    Ok(())
}

/// The columns of a batch, as far as they were read.
struct Rows<'b> {
    batch: &'b RecordBatch,
    event_time: Option<&'b ArrayRef>,
    texts: Vec<Texts<'b>>,
    /// Names of callers, and the role, in whose sessions only their presence counts.
    names: Vec<Texts<'b>>,
    role: Texts<'b>,
    bucket: Texts<'b>,
    object_key: Texts<'b>,
    list_prefix: Texts<'b>,
    truths: Vec<&'b ArrayRef>,
    times: Vec<&'b ArrayRef>,
    lists: Vec<Lists<'b>>,
}

/// A column of lists, told apart by their texts.
struct Lists<'b> {
    list: &'b ListArray,
    /// The texts of the items; of the members of [`StoredViolation`], if they are structs.
    texts: Vec<&'b StringArray>,
    /// Rows with lists that are all different, by hashes of their texts.
    different: HashMap<u64, Vec<usize>, foldhash::fast::FixedState>,
    hasher: foldhash::fast::FixedState,
}

impl<'b> Lists<'b> {
    fn of(list: &'b ListArray) -> Lists<'b> {
        let items = list.values();
        let texts: Vec<&ArrayRef> = match items.as_struct_opt() {
            Some(members) => {
                let read = STORED.iter();
                read.filter_map(|name| members.column_by_name(name))
                    .collect()
            }
            None => vec![items],
        };
        let texts = texts.into_iter();
        Lists {
            list,
            texts: texts.filter_map(|texts| texts.as_string_opt()).collect(),
            different: HashMap::default(),
            hasher: foldhash::fast::FixedState::default(),
        }
    }

    fn texts_of(&self, row: usize) -> impl Iterator<Item = Option<&'b str>> {
        let offsets = self.list.value_offsets();
        let bound = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok());
        let range = bound(row).unwrap_or(0)..bound(row + 1).unwrap_or(0);
        let texts = self.texts.clone().into_iter();
        texts.flat_map(move |texts| {
            let range = range.clone();
            range.map(move |at| texts.is_valid(at).then(|| texts.value(at)))
        })
    }

    /// The first row of the batch that has the same list; -1 for an empty one.
    fn number(&mut self, row: usize) -> i32 {
        if self.list.is_null(row) || self.list.value_length(row) == 0 {
            return -1;
        }
        let mut hasher = self.hasher.build_hasher();
        self.list.value_length(row).hash(&mut hasher);
        self.texts_of(row).for_each(|text| text.hash(&mut hasher));
        let hash = hasher.finish();
        let same = |other: &&usize| {
            self.list.value_length(**other) == self.list.value_length(row)
                && self.texts_of(**other).eq(self.texts_of(row))
        };
        let known = self
            .different
            .get(&hash)
            .and_then(|rows| rows.iter().find(same));
        let first = known.copied().unwrap_or_else(|| {
            self.different.entry(hash).or_default().push(row);
            row
        });
        i32::try_from(first).unwrap_or(i32::MAX)
    }
}

impl<'b> Rows<'b> {
    fn of(batch: &'b RecordBatch, told: Told) -> Rows<'b> {
        let mut rows = Rows {
            batch,
            names: Vec::new(),
            role: Texts::of(batch, "role_arn"),
            bucket: Texts::of(batch, "bucket"),
            object_key: Texts::of(batch, "object_key"),
            list_prefix: Texts::of(batch, "list_prefix"),
            event_time: batch.column_by_name("event_time"),
            texts: Vec::new(),
            truths: Vec::new(),
            times: Vec::new(),
            lists: Vec::new(),
        };
        let schema = batch.schema_ref();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            match field.data_type() {
                DataType::Boolean => rows.truths.push(column),
                DataType::Timestamp(..) if field.name() != "event_time" => rows.times.push(column),
                DataType::List(_) => rows.lists.extend(column.as_list_opt().map(Lists::of)),
                DataType::Timestamp(..) => {}
                _ if !told.has(field.name()) => {
                    if NAMES.contains(&field.name().as_str()) {
                        rows.names.push(Texts::of(batch, field.name()));
                    }
                }
                _ => rows.texts.push(Texts::of(batch, field.name())),
            }
        }
        rows
    }

    /// What tells the row from others of the batch, but for its time.
    fn key(&mut self, row: usize, key: &mut Vec<i32>) {
        key.clear();
        key.extend(self.texts.iter().map(|texts| texts.number(row)));
        let is_role = self.role.at(row).is_some();
        key.extend(self.names.iter().map(|names| match names.at(row) {
            Some(name) if is_role && !name.is_empty() => i32::MAX,
            _ => names.number(row),
        }));
        for truths in &self.truths {
            key.push(i32::from(truth_at(Some(truths), row)));
        }
        for times in &self.times {
            key.extend(halves(time_at(Some(times), row).unwrap_or(UtcMicros::MIN)));
        }
        key.extend(self.lists.iter_mut().map(|lists| lists.number(row)));
    }

    /// The key, or the prefix of a list.
    fn path(&self, row: usize) -> Option<&'b str> {
        self.object_key.at(row).or_else(|| self.list_prefix.at(row))
    }

    fn text(&self, name: &str, row: usize) -> Option<String> {
        Texts::of(self.batch, name).at(row).map(str::to_owned)
    }

    fn truth(&self, name: &str, row: usize) -> bool {
        truth_at(self.batch.column_by_name(name), row)
    }

    fn stored(&self, row: usize) -> StoredAccess {
        let text = |name: &str| self.text(name, row);
        let borrowed = |name: &str| Texts::of(self.batch, name).at(row);
        let confidence = |name: &str| confidence_of(borrowed(name));
        let principal_candidates = list_at(self.batch, "principal_candidates", row);
        let listed = principal_candidates.len();
        // A row does not tell how many more there were.
        let candidates = listed + usize::from(listed >= CANDIDATES_MAX);
        StoredAccess {
            event_time: time_at(self.event_time, row).unwrap_or_default(),
            event_name: text("event_name").unwrap_or_default(),
            operation: text("operation").unwrap_or_default(),
            outcome: text("outcome").unwrap_or_default(),
            error_code: text("error_code"),
            object_key: text("object_key"),
            list_prefix: text("list_prefix"),
            version_id: text("version_id"),
            copy_source: text("copy_source"),
            sse: text("sse"),
            kms_key_arn: text("kms_key_arn"),
            presigned: self.truth("presigned", row),
            principal: Principal {
                identity_type: text("identity_type"),
                principal_id: text("principal_id"),
                arn: text("principal_arn"),
                account_id: text("principal_account_id"),
                user_name: text("user_name"),
                invoked_by: text("invoked_by"),
                session_issuer_arn: text("role_arn"),
                session_issuer_account_id: text("role_account_id"),
                session_name: text("session_name"),
                source_identity: text("source_identity"),
                session_issued_at: time_at(self.batch.column_by_name("session_issued_at"), row),
                ..Principal::default()
            },
            client: Client {
                source_ip: text("source_ip"),
                user_agent: text("user_agent"),
                vpc_endpoint_id: text("vpc_endpoint_id"),
                tls: Tls {
                    version: text("tls_version"),
                    plaintext: self.truth("plaintext", row),
                },
                auth_method: None,
            },
            target: Target {
                aws_account_id: text("aws_account_id"),
                aws_region: text("aws_region"),
                bucket: text("bucket"),
                bucket_account_id: text("bucket_account_id"),
            },
            attribution: Attribution {
                access_path: path_of(borrowed("access_path")),
                session_confidence: confidence("session_confidence"),
                workspace_id: text("workspace_id"),
                workspace_confidence: confidence("workspace_confidence"),
                cluster_id: text("cluster_id"),
                cluster_confidence: confidence("cluster_confidence"),
                job_id: text("job_id"),
                job_run_id: text("job_run_id"),
                job_confidence: confidence("job_confidence"),
                task_key: text("task_key"),
                task_confidence: confidence("task_confidence"),
                principal: text("principal"),
                principal_kind: borrowed("principal_kind").and_then(PrincipalKind::parse),
                principal_confidence: confidence("principal_confidence"),
                principal_candidate_count: u32::try_from(candidates).unwrap_or(u32::MAX),
                principal_candidates,
                unattributed_reason: borrowed("unattributed_reason")
                    .and_then(UnattributedReason::parse),
                ..Attribution::default()
            },
            credential: borrowed("credential")
                .and_then(Credential::parse)
                .unwrap_or(Credential::Unknown),
            settled: self.truth("settled", row),
            dataset: text("dataset"),
            violated: self.violated(row),
        }
    }

    fn violated(&self, row: usize) -> Vec<StoredViolation> {
        let column = self.batch.column_by_name("violations");
        let list = column.and_then(|column| column.as_list_opt::<i32>());
        let Some(items) = list
            .filter(|list| list.is_valid(row))
            .map(|list| list.value(row))
        else {
            return Vec::new();
        };
        let Some(items) = items.as_struct_opt() else {
            return Vec::new();
        };
        let [rules, severities, exceptions] = STORED.map(|name| {
            let texts = items.column_by_name(name);
            texts.and_then(|texts| texts.as_string_opt::<i32>())
        });
        let owned = |texts, at| text_at(texts, at).map(str::to_owned);
        let each = (0..items.len()).map(|at| StoredViolation {
            rule: owned(rules, at).unwrap_or_default(),
            severity: owned(severities, at).unwrap_or_default(),
            exception: owned(exceptions, at),
        });
        each.collect()
    }
}
