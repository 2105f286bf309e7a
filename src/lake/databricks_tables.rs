//! The tables of what Databricks records: for each, one list of columns from
//! which its schema is made, its rows are written and read back.

use super::columns::{Column, Values, column};
use super::rows::pairs_at;
use crate::model::UtcMicros;
use crate::model::databricks::{
    Cluster, ClusterAccess, ClusterNode, CommandRun, ExternalLocation, GroupChange, InstanceEvent,
    Job, JobRun, Lineage, NodeSource, ScimEntry, ScimKind, ShareQuery, SourceWatermark, Statement,
    StorageCredential, TaskRun, TaskRunSource, Vend, VendOperation, Workspace,
};
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

/// A column of a table whose rows are read back as facts.
pub struct Stored<R> {
    pub column: Column<R>,
    /// Sets what the column holds.
    pub set: fn(&mut R, Held<'_>),
}

/// A value of a table, as it was written; missing columns read as NULL.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    pub array: Option<&'a ArrayRef>,
    pub row: usize,
}

impl Held<'_> {
    fn text(self) -> Option<String> {
        let texts = self.array?.as_string_opt::<i32>()?;
        texts
            .is_valid(self.row)
            .then(|| texts.value(self.row).to_owned())
    }

    fn time(self) -> Option<UtcMicros> {
        let times = self.array?.as_primitive_opt::<TimestampMicrosecondType>()?;
        times
            .is_valid(self.row)
            .then(|| UtcMicros(times.value(self.row)))
    }

    fn int(self) -> Option<i64> {
        let numbers = self.array?.as_primitive_opt::<Int64Type>()?;
        numbers.is_valid(self.row).then(|| numbers.value(self.row))
    }

    fn flag(self) -> Option<bool> {
        let flags = self.array?.as_boolean_opt()?;
        flags.is_valid(self.row).then(|| flags.value(self.row))
    }

    fn pairs(self) -> Vec<(String, String)> {
        self.array
            .map_or_else(Vec::new, |array| pairs_at(array, self.row))
    }

    fn texts(self) -> Vec<String> {
        let lists = self.array.and_then(|array| array.as_list_opt::<i32>());
        let Some(items) = lists
            .filter(|lists| lists.is_valid(self.row))
            .map(|lists| lists.value(self.row))
        else {
            return Vec::new();
        };
        let texts = items.as_string_opt::<i32>();
        texts
            .into_iter()
            .flatten()
            .flatten()
            .map(str::to_owned)
            .collect()
    }
}

/// A closed set that a column holds as words.
trait Word: Sized {
    fn word(&self) -> Option<&'static str>;
    fn of(word: Option<&str>) -> Self;
}

macro_rules! words {
    ($($kind:ty { $($variant:ident = $word:expr),+; else $other:ident })+) => {$(
        impl Word for $kind {
            fn word(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            fn of(word: Option<&str>) -> Self {
                $(if word.is_some() && word == $word {
                    return Self::$variant;
                })+
                Self::$other
            }
        }
    )+};
}

words! {
    NodeSource { NodeTimeline = Some("node_timeline"), ClustersApi = Some("clusters_api"); else NodeTimeline }
    ClusterAccess { Dedicated = Some("dedicated"), Shared = Some("shared"); else Shared }
    TaskRunSource { Timeline = Some("timeline"), Audit = Some("audit"); else Timeline }
    VendOperation { Read = Some("read"), Write = Some("write"), Unknown = None; else Unknown }
    ScimKind {
        User = Some("user"), ServicePrincipal = Some("service_principal"), Group = Some("group");
        else User
    }
}

fn count(n: u64) -> Option<i64> {
    i64::try_from(n).ok()
}

/// A column: its name, the kind of its value, the member of the fact.
macro_rules! stored {
    ($($name:literal: $kind:ident $($member:ident).+;)+) => {
        vec![$(stored!(@ $kind, $name, $($member).+)),+]
    };
    (@ id, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Text(|r| Some(&r.$($m).+)),
            |r, held| r.$($m).+ = held.text().unwrap_or_default())
    };
    (@ text, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Text(|r| r.$($m).+.as_deref()), |r, held| r.$($m).+ = held.text())
    };
    (@ at, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Time(|r| Some(r.$($m).+)),
            |r, held| r.$($m).+ = held.time().unwrap_or_default())
    };
    (@ time, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Time(|r| r.$($m).+), |r, held| r.$($m).+ = held.time())
    };
    (@ int, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Int64(|r| r.$($m).+), |r, held| r.$($m).+ = held.int())
    };
    (@ count, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Int64(|r| count(r.$($m).+)),
            |r, held| r.$($m).+ = held.int().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    };
    (@ flag, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Bool(|r| Some(r.$($m).+)),
            |r, held| r.$($m).+ = held.flag().unwrap_or(false))
    };
    (@ maybe, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Bool(|r| r.$($m).+), |r, held| r.$($m).+ = held.flag())
    };
    (@ texts, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Texts(|r, each| r.$($m).+.iter().for_each(|t| each(t))),
            |r, held| r.$($m).+ = held.texts())
    };
    (@ pairs, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Structs(&["key", "value"], |r, each| {
            for (key, value) in &r.$($m).+ {
                each(&[Some(key), Some(value)]);
            }
        }), |r, held| r.$($m).+ = held.pairs())
    };
    (@ word, $name:literal, $($m:ident).+) => {
        stored!(@@ $name, Values::Text(|r| r.$($m).+.word()),
            |r, held| r.$($m).+ = Word::of(held.text().as_deref()))
    };
    (@@ $name:literal, $values:expr, $set:expr) => {
        Stored { column: column($name, $values), set: $set }
    };
}

/// A fact that has a table of its own.
pub trait Table: Default + 'static {
    const NAME: &'static str;

    fn columns() -> Vec<Stored<Self>>;
}

/// What was read of one export: its watermark and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportedSource {
    pub watermark: SourceWatermark,
    /// Whether anything of it could be read; if not, there is no watermark.
    pub was_read: bool,
    /// Places and reasons, the first hundred.
    pub faults: Vec<String>,
}

macro_rules! tables {
    ($($name:literal of $fact:ty { $($columns:tt)+ })+) => {
        /// Names of all tables here.
        pub const TABLES: &[&str] = &[$($name),+];

        $(impl Table for $fact {
            const NAME: &'static str = $name;

            fn columns() -> Vec<Stored<$fact>> {
                stored! { $($columns)+ }
            }
        })+
    };
}

tables! {
    "databricks_instance_events" of InstanceEvent {
        "workspace_id": id workspace_id;
        "instance_id": id instance_id;
        "event_time": at at;
        "state": id state;
        "cluster_id": text cluster_id;
        "instance_pool_id": text instance_pool_id;
    }
    "databricks_cluster_nodes" of ClusterNode {
        "workspace_id": text workspace_id;
        "cluster_id": id cluster_id;
        "instance_id": id instance_id;
        "start_time": at start;
        "end_time": time end;
        "host_private_ip": text host_private_ip;
        "private_ip": text private_ip;
        "source": word source;
    }
    "databricks_clusters" of Cluster {
        "workspace_id": text workspace_id;
        "cluster_id": id cluster_id;
        "changed_at": at changed_at;
        "created_at": time created_at;
        "deleted_at": time deleted_at;
        "cluster_name": text cluster_name;
        "owned_by": text owned_by;
        "cluster_source": text cluster_source;
        "access": word access;
        "single_user_name": text single_user_name;
        "instance_pool_id": text instance_pool_id;
        "instance_profile_arn": text instance_profile_arn;
        "tags": pairs tags;
    }
    "databricks_jobs" of Job {
        "workspace_id": id workspace_id;
        "job_id": id job_id;
        "changed_at": at changed_at;
        "deleted_at": time deleted_at;
        "name": text name;
        "run_as": text run_as;
        "creator_id": text creator_id;
        "tags": pairs tags;
    }
    "databricks_job_runs" of JobRun {
        "workspace_id": id workspace_id;
        "job_id": id job_id;
        "job_run_id": id job_run_id;
        "start_time": at start;
        "end_time": time end;
        "run_type": text run_type;
        "compute_ids": texts compute_ids;
    }
    "databricks_task_runs" of TaskRun {
        "workspace_id": id workspace_id;
        "job_id": id job_id;
        "job_run_id": text job_run_id;
        "task_run_id": id task_run_id;
        "task_key": text task_key;
        "start_time": at start;
        "end_time": time end;
        "compute_ids": texts compute_ids;
        "source": word source;
        "source_ids": texts source_ids;
    }
    "databricks_vends" of Vend {
        "source_id": id source_id;
        "event_time": at at;
        "workspace_id": text workspace_id;
        "metastore_id": text metastore_id;
        "actor": text actor;
        "run_by": text run_by;
        "operation": word operation;
        "location": text location;
        "table_full_name": text table_full_name;
        "table_id": text table_id;
        "volume_id": text volume_id;
        "status_code": int status_code;
        "recipient_name": text recipient_name;
        "share_name": text share_name;
        "source_ip": text source_ip;
        "user_agent": text user_agent;
        "access_key_id": text access_key_id;
        "cluster_id": text cluster_id;
    }
    "databricks_commands" of CommandRun {
        "source_id": id source_id;
        "event_time": at at;
        "workspace_id": text workspace_id;
        "cluster_id": id cluster_id;
        "actor": id actor;
        "run_by": text run_by;
    }
    "databricks_share_queries" of ShareQuery {
        "source_id": id source_id;
        "event_time": at at;
        "workspace_id": text workspace_id;
        "recipient": text recipient;
        "share_name": text share_name;
        "table_name": text table_name;
        "table_id": text table_id;
        "path": text path;
    }
    "databricks_group_changes" of GroupChange {
        "source_id": id source_id;
        "event_time": at at;
        "added": flag added;
        "group_id": text group_id;
        "group_name": text group_name;
        "member": id member;
    }
    "databricks_statements" of Statement {
        "statement_id": id statement_id;
        "workspace_id": id workspace_id;
        "start_time": at start;
        "end_time": time end;
        "executed_by": text executed_by;
        "executed_as": text executed_as;
        "warehouse_id": text warehouse_id;
        "compute_type": text compute_type;
        "job_id": text job_id;
        "job_run_id": text job_run_id;
        "task_key": text task_key;
        "task_run_id": text task_run_id;
        "read_files": int read_files;
        "written_files": int written_files;
        "from_result_cache": flag from_result_cache;
    }
    "databricks_lineage" of Lineage {
        "source_id": id source_id;
        "event_time": at at;
        "workspace_id": id workspace_id;
        "metastore_id": text metastore_id;
        "entity_type": text entity_type;
        "entity_id": text entity_id;
        "entity_run_id": text entity_run_id;
        "source_path": text source_path;
        "target_path": text target_path;
        "source_table": text source_table;
        "target_table": text target_table;
        "created_by": text created_by;
        "statement_id": text statement_id;
        "job_id": text job_id;
        "job_run_id": text job_run_id;
    }
    "databricks_scim" of ScimEntry {
        "kind": word kind;
        "id": id id;
        "name": text name;
        "display_name": text display_name;
        "active": maybe active;
        "members": texts members;
        "seen_at": at seen_at;
    }
    "databricks_storage_credentials" of StorageCredential {
        "id": id id;
        "name": id name;
        "metastore_id": text metastore_id;
        "role_arn": text role_arn;
        "external_id": text external_id;
        "created_at": time created_at;
        "updated_at": time updated_at;
        "seen_at": at seen_at;
    }
    "databricks_external_locations" of ExternalLocation {
        "name": id name;
        "url": id url;
        "credential_id": text credential_id;
        "credential_name": text credential_name;
        "metastore_id": text metastore_id;
        "read_only": flag read_only;
        "fallback": flag fallback;
        "created_at": time created_at;
        "updated_at": time updated_at;
        "seen_at": at seen_at;
    }
    "databricks_workspaces" of Workspace {
        "workspace_id": id workspace_id;
        "name": text name;
        "url": text url;
    }
    "databricks_watermarks" of ImportedSource {
        "source": id watermark.source;
        "newest": time watermark.newest;
        "read_at": at watermark.read_at;
        "rows": count watermark.rows;
        "bad": count watermark.bad;
        "was_read": flag was_read;
        "faults": texts faults;
    }
}
