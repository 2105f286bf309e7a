//! The ledger while a process works: read by whoever names objects, told by the
//! committer of what it commits.

use crate::lake::ledger::Ledger;
use crate::lake::store::LakeBatch;
use crate::model::ObjectStatus;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The objects that are known to stand in the lake, shared with whoever names objects.
#[derive(Clone, Default)]
pub struct SharedLedger(Arc<RwLock<Ledger>>);

impl SharedLedger {
    // A ledger is a set; whatever stands in it is true.

    pub fn read(&self) -> RwLockReadGuard<'_, Ledger> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Ledger> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the ledger is told once a commit stands.
pub(super) struct Noted {
    objects: Vec<NotedObject>,
    /// Their ids.
    notifications: Vec<String>,
}

struct NotedObject {
    uri: String,
    version_id: Option<String>,
    etag: Option<String>,
    content: Option<[u8; 32]>,
}

impl Noted {
    pub(super) fn of(batch: &LakeBatch) -> Noted {
        let objects = batch.log_objects.iter().map(|object| {
            let read = object.status == ObjectStatus::Committed && object.counts.records > 0;
            NotedObject {
                uri: object.uri.clone(),
                version_id: object.version_id.clone(),
                etag: object.etag.clone(),
                content: object.sha256.filter(|_| read),
            }
        });
        Noted {
            objects: objects.collect(),
            notifications: batch
                .notifications
                .iter()
                .map(|notification| notification.notification_id.clone())
                .collect(),
        }
    }

    pub(super) fn note(&self, ledger: &mut Ledger) {
        for object in &self.objects {
            let (version, etag) = (object.version_id.as_deref(), object.etag.as_deref());
            ledger.note(&object.uri, version, etag, object.content.as_ref());
        }
        for id in &self.notifications {
            ledger.note_notification(id);
        }
    }
}
