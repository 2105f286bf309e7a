//! What is done with an object, by its name alone.
//!
//! A scan and `explain` ask the same function, so that a record read again gets
//! the account that it got when it was ingested.

use crate::model::ObjectStatus;
use crate::trail::key::{self, KeyClass, LogKind};
use std::path::Path;

/// What a key promises of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promised {
    Log,
    Digest,
    Anything,
}

/// What the key alone says should be done with an object.
pub enum Route {
    /// Read it: its key is a log's, or says nothing.
    Read {
        /// What its key promises.
        promised: Promised,
        account_id: Option<String>,
        kind: &'static str,
    },
    Done {
        kind: &'static str,
        status: ObjectStatus,
        reason: String,
    },
}

/// Routes by the key below the scanned folder; where that says nothing, because
/// the scan began inside the layout, by the whole path.
pub fn route(key: &str, path: &Path) -> Route {
    let class = match key::classify(key) {
        KeyClass::Unknown => key::classify(&path.to_string_lossy()),
        class => class,
    };
    let ignored = |kind: LogKind, reason: &str| Route::Done {
        kind: kind.as_str(),
        status: ObjectStatus::Ignored,
        reason: reason.to_owned(),
    };
    let by_kind = |kind: LogKind, account_id: Option<String>| match kind {
        LogKind::Log | LogKind::NetworkActivity => Route::Read {
            promised: Promised::Log,
            account_id,
            kind: kind.as_str(),
        },
        LogKind::Digest => Route::Read {
            promised: Promised::Digest,
            account_id,
            kind: kind.as_str(),
        },
        LogKind::Insight => ignored(kind, "insight: counted, not parsed; it holds no accesses"),
        LogKind::Aggregated => ignored(
            kind,
            "aggregated: summaries of accesses, never counted as accesses",
        ),
        LogKind::OtherService | LogKind::Other => ignored(kind, "not_a_cloudtrail_key"),
    };
    match class {
        KeyClass::Cloudtrail(log_key) => by_kind(log_key.kind, Some(log_key.account_id)),
        KeyClass::OtherService { service } => {
            ignored(LogKind::OtherService, &format!("other_service: {service}"))
        }
        KeyClass::Marker => ignored(LogKind::Other, "folder_marker"),
        KeyClass::Mismatch { reason } => Route::Done {
            kind: LogKind::Log.as_str(),
            status: ObjectStatus::Quarantined,
            reason: format!("key_mismatch: {reason}"),
        },
        KeyClass::Unknown => {
            let name = key.rsplit('/').next().unwrap_or(key);
            if let Some(kind) = key::classify_file_name(name) {
                return by_kind(kind, None);
            }
            // A log may lie anywhere under any name; its content tells.
            let lower = name.to_ascii_lowercase();
            if [".json", ".json.gz", ".gz"]
                .iter()
                .any(|end| lower.ends_with(end))
            {
                Route::Read {
                    promised: Promised::Anything,
                    account_id: None,
                    kind: LogKind::Other.as_str(),
                }
            } else {
                ignored(LogKind::Other, "not_a_cloudtrail_key")
            }
        }
    }
}
