//! Stored rows as a policy sees them, alike ones together.
//!
//! A policy looks at few of a row's columns, and equal values of those give equal
//! judgements. So only these columns are read, rows are told apart by the numbers of
//! their dictionaries, and a row is made an access again only if none like it came
//! before: what is left to do for most of the rows is to count them.

use super::error::LakeError;
use super::rows::text_at;
use super::settle::accesses::{confidence_of, operation_of, outcome_of, path_of};
use super::settle::files::{DateFile, Tables};
use super::settle::reader::{self, Texts, time_at, truth_at};
use crate::model::{
    AccessEvent, Attribution, CANDIDATES_MAX, Client, Credential, Outcome, Principal,
    PrincipalKind, Target, TimeSpan, Tls, UnattributedReason, UtcMicros,
};
use crate::policy::age_hours;
use arrow::array::{Array as _, ArrayRef, AsArray as _, ListArray, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::fs::File;
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

/// Rows of a batch: the more there are, the more of them are alike.
const BATCH_ROWS: usize = 64 * 1024;

/// A data file of rows, opened once for all that is read of it.
pub struct StoredRows<'t> {
    tables: &'t Tables,
    file: &'t DateFile,
    opened: File,
}

impl<'t> StoredRows<'t> {
    /// # Errors
    /// When the file is not there.
    pub fn open(tables: &'t Tables, file: &'t DateFile) -> Result<StoredRows<'t>, LakeError> {
        Ok(StoredRows {
            tables,
            file,
            opened: file.open(tables)?,
        })
    }

    fn unreadable(&self, cause: impl std::fmt::Display) -> LakeError {
        self.tables.unreadable(self.file, cause)
    }

    fn batches(
        &self,
        columns: &[&str],
    ) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>>, LakeError> {
        let opened = self.opened.try_clone();
        let opened = opened.map_err(|error| self.unreadable(error))?;
        let batches = reader::open_in(BATCH_ROWS, opened, columns);
        let batches = batches.map_err(|error| self.unreadable(error))?;
        Ok(batches.map(|batch| batch.map_err(|error| self.unreadable(error))))
    }

    /// Whether each row was judged by one of these policies.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn are_all_judged_by(&self, versions: &BTreeSet<String>) -> Result<bool, LakeError> {
        for batch in self.batches(&["policy_version"])? {
            let batch = batch?;
            let texts = Texts::of(&batch, "policy_version");
            let mut known = i32::MIN;
            for row in 0..batch.num_rows() {
                let number = texts.number(row);
                if number == known {
                    continue;
                }
                if !texts.at(row).is_some_and(|text| versions.contains(text)) {
                    return Ok(false);
                }
                known = number;
            }
        }
        Ok(true)
    }
}

/// Replays rows, told apart by these columns, and by the number that
/// `locate` gives for bucket and key, or prefix; of the session's issue its age in hours is
/// told. `decide` is given a row that is like none
/// before it, and says which number it goes by and for which times rows alike do; `count`
/// is given the number of each row with its place in the file and its time. Answers how
/// many rows there were.
///
/// # Errors
/// When the file cannot be read.
pub fn replay(
    stored: &StoredRows<'_>,
    (columns, told): (&[&str], Told),
    locate: impl Fn(Option<&str>, Option<&str>) -> i32,
    mut decide: impl FnMut(&StoredAccess) -> (u32, TimeSpan),
    mut count: impl FnMut(u32, usize, UtcMicros),
) -> Result<u64, LakeError> {
    let mut first_row = 0;
    for batch in stored.batches(columns)? {
        let batch = batch?;
        let mut rows = Rows::of(&batch, told);
        let mut known: HashMap<Vec<i32>, Vec<(TimeSpan, u32)>, foldhash::fast::FixedState> =
            HashMap::default();
        let mut key = Vec::new();
        let mut last: Option<(Vec<i32>, TimeSpan, u32)> = None;
        for row in 0..batch.num_rows() {
            let at = time_at(rows.event_time, row).unwrap_or_default();
            rows.key(row, at, &mut key);
            key.push(locate(rows.of.bucket.at(row), rows.path(row)));
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

macro_rules! text_columns {
    ($($name:ident)*) => {
        /// The text columns of a batch that a row is made an access of, found once.
        struct TextColumns<'b> { $($name: Texts<'b>,)* }

        impl<'b> TextColumns<'b> {
            fn of(batch: &'b RecordBatch) -> TextColumns<'b> {
                TextColumns { $($name: Texts::of(batch, stringify!($name)),)* }
            }
        }
    };
}

text_columns! {
    event_name operation outcome error_code object_key list_prefix
    version_id copy_source sse kms_key_arn identity_type principal_id
    principal_arn principal_account_id user_name invoked_by role_arn role_account_id
    session_name source_identity source_ip user_agent vpc_endpoint_id tls_version
    aws_account_id aws_region bucket bucket_account_id access_path session_confidence
    workspace_id workspace_confidence cluster_id cluster_confidence job_id job_run_id
    job_confidence task_key task_confidence principal principal_kind principal_confidence
    unattributed_reason credential dataset
}

/// The columns of a batch, as far as they were read.
struct Rows<'b> {
    of: TextColumns<'b>,
    presigned: Option<&'b ArrayRef>,
    plaintext: Option<&'b ArrayRef>,
    settled: Option<&'b ArrayRef>,
    session_issued_at: Option<&'b ArrayRef>,
    candidates: Option<&'b ListArray>,
    violations: Option<&'b ListArray>,
    event_time: Option<&'b ArrayRef>,
    texts: Vec<Texts<'b>>,
    /// Names of callers, of which in a role's sessions only their presence counts.
    names: Vec<Texts<'b>>,
    truths: Vec<&'b ArrayRef>,
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
        let range = items_of(self.list, row);
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
        let list = |name: &str| batch.column_by_name(name)?.as_list_opt();
        let mut rows = Rows {
            of: TextColumns::of(batch),
            presigned: batch.column_by_name("presigned"),
            plaintext: batch.column_by_name("plaintext"),
            settled: batch.column_by_name("settled"),
            session_issued_at: batch.column_by_name("session_issued_at"),
            candidates: list("principal_candidates"),
            violations: list("violations"),
            names: Vec::new(),
            event_time: batch.column_by_name("event_time"),
            texts: Vec::new(),
            truths: Vec::new(),
            lists: Vec::new(),
        };
        let schema = batch.schema_ref();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            match field.data_type() {
                DataType::Boolean => rows.truths.push(column),
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

    /// What tells a row of that time from others of the batch, but for the time itself.
    fn key(&mut self, row: usize, at: UtcMicros, key: &mut Vec<i32>) {
        key.clear();
        key.extend(self.texts.iter().map(|texts| texts.number(row)));
        let is_role = self.of.role_arn.at(row).is_some();
        key.extend(self.names.iter().map(|names| match names.at(row) {
            Some(name) if is_role && !name.is_empty() => i32::MAX,
            _ => names.number(row),
        }));
        for truths in &self.truths {
            key.push(i32::from(truth_at(Some(truths), row)));
        }
        // A policy sees no more of a session's issue than its age.
        let age = time_at(self.session_issued_at, row).map(|issued_at| age_hours(issued_at, at));
        key.push(age.map_or(-1, |hours| i32::try_from(hours).unwrap_or(i32::MAX)));
        key.extend(self.lists.iter_mut().map(|lists| lists.number(row)));
    }

    /// The key, or the prefix of a list.
    fn path(&self, row: usize) -> Option<&'b str> {
        self.of
            .object_key
            .at(row)
            .or_else(|| self.of.list_prefix.at(row))
    }

    fn stored(&self, row: usize) -> StoredAccess {
        let of = &self.of;
        let text = |texts: &Texts<'b>| texts.at(row).map(str::to_owned);
        let truth = |column: Option<&ArrayRef>| truth_at(column, row);
        let confidence = |texts: &Texts<'b>| confidence_of(texts.at(row));
        let principal_candidates = self.listed_candidates(row);
        let listed = principal_candidates.len();
        // A row does not tell how many more there were.
        let candidates = listed + usize::from(listed >= CANDIDATES_MAX);
        StoredAccess {
            event_time: time_at(self.event_time, row).unwrap_or_default(),
            event_name: text(&of.event_name).unwrap_or_default(),
            operation: text(&of.operation).unwrap_or_default(),
            outcome: text(&of.outcome).unwrap_or_default(),
            error_code: text(&of.error_code),
            object_key: text(&of.object_key),
            list_prefix: text(&of.list_prefix),
            version_id: text(&of.version_id),
            copy_source: text(&of.copy_source),
            sse: text(&of.sse),
            kms_key_arn: text(&of.kms_key_arn),
            presigned: truth(self.presigned),
            principal: Principal {
                identity_type: text(&of.identity_type),
                principal_id: text(&of.principal_id),
                arn: text(&of.principal_arn),
                account_id: text(&of.principal_account_id),
                user_name: text(&of.user_name),
                invoked_by: text(&of.invoked_by),
                session_issuer_arn: text(&of.role_arn),
                session_issuer_account_id: text(&of.role_account_id),
                session_name: text(&of.session_name),
                source_identity: text(&of.source_identity),
                session_issued_at: time_at(self.session_issued_at, row),
                ..Principal::default()
            },
            client: Client {
                source_ip: text(&of.source_ip),
                user_agent: text(&of.user_agent),
                vpc_endpoint_id: text(&of.vpc_endpoint_id),
                tls: Tls {
                    version: text(&of.tls_version),
                    plaintext: truth(self.plaintext),
                },
                auth_method: None,
            },
            target: Target {
                aws_account_id: text(&of.aws_account_id),
                aws_region: text(&of.aws_region),
                bucket: text(&of.bucket),
                bucket_account_id: text(&of.bucket_account_id),
            },
            attribution: Attribution {
                access_path: path_of(of.access_path.at(row)),
                session_confidence: confidence(&of.session_confidence),
                workspace_id: text(&of.workspace_id),
                workspace_confidence: confidence(&of.workspace_confidence),
                cluster_id: text(&of.cluster_id),
                cluster_confidence: confidence(&of.cluster_confidence),
                job_id: text(&of.job_id),
                job_run_id: text(&of.job_run_id),
                job_confidence: confidence(&of.job_confidence),
                task_key: text(&of.task_key),
                task_confidence: confidence(&of.task_confidence),
                principal: text(&of.principal),
                principal_kind: of.principal_kind.at(row).and_then(PrincipalKind::parse),
                principal_confidence: confidence(&of.principal_confidence),
                principal_candidate_count: u32::try_from(candidates).unwrap_or(u32::MAX),
                principal_candidates,
                unattributed_reason: of
                    .unattributed_reason
                    .at(row)
                    .and_then(UnattributedReason::parse),
                ..Attribution::default()
            },
            credential: of
                .credential
                .at(row)
                .and_then(Credential::parse)
                .unwrap_or(Credential::Unknown),
            settled: truth(self.settled),
            dataset: text(&of.dataset),
            violated: self.violated(row),
        }
    }

    fn listed_candidates(&self, row: usize) -> Vec<String> {
        let Some(list) = self.candidates.filter(|list| list.is_valid(row)) else {
            return Vec::new();
        };
        let texts = list.values().as_string_opt::<i32>();
        items_of(list, row)
            .filter_map(|at| text_at(texts, at).map(str::to_owned))
            .collect()
    }

    fn violated(&self, row: usize) -> Vec<StoredViolation> {
        let Some(list) = self.violations.filter(|list| list.is_valid(row)) else {
            return Vec::new();
        };
        let members = list.values().as_struct_opt();
        let [rules, severities, exceptions] = STORED.map(|name| {
            let texts = members.and_then(|members| members.column_by_name(name));
            texts.and_then(|texts| texts.as_string_opt::<i32>())
        });
        let owned = |texts, at| text_at(texts, at).map(str::to_owned);
        let each = items_of(list, row).map(|at| StoredViolation {
            rule: owned(rules, at).unwrap_or_default(),
            severity: owned(severities, at).unwrap_or_default(),
            exception: owned(exceptions, at),
        });
        each.collect()
    }
}

/// Places of the items of one list among those of all.
fn items_of(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    let bound = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok());
    bound(row).unwrap_or(0)..bound(row + 1).unwrap_or(0)
}
