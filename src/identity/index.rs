//! All identity facts known, as one value.

use super::aws::filled;
use super::instances::Instances;
use super::sessions::Sessions;
use super::settings::{IdentitySettings, Known};
use crate::model::{Ec2Instance, Principal, StsSession, UtcMicros};
use std::sync::Arc;

/// The facts that attribution looks things up in.
///
/// A value: built, swapped, never mutated under a reader. A clone shares the
/// sessions and copies only their index.
///
/// INVARIANT (order is nothing): the same facts give the same answers,
/// whichever order and grouping they came in.
#[derive(Clone, Debug)]
pub struct IdentityIndex {
    known: Arc<Known>,
    sessions: Sessions,
    instances: Instances,
    /// Event time up to which every STS event is believed to be known.
    sts_until: UtcMicros,
}

impl IdentityIndex {
    /// Returns an index that knows the settings and no facts yet, and takes what
    /// it is given for complete.
    pub fn new(settings: IdentitySettings) -> IdentityIndex {
        IdentityIndex {
            known: Arc::new(Known::new(settings)),
            sessions: Sessions::default(),
            instances: Instances::default(),
            sts_until: UtcMicros::MAX,
        }
    }

    /// Returns the index with a watermark: STS events after `until` may still
    /// come, so that nothing follows from their absence.
    #[must_use]
    pub fn with_sts_until(self, until: UtcMicros) -> IdentityIndex {
        IdentityIndex {
            sts_until: until,
            ..self
        }
    }

    /// Returns the index with these facts as well. Facts it has already change
    /// nothing.
    #[must_use]
    pub fn with(mut self, sessions: Vec<StsSession>, instances: Vec<Ec2Instance>) -> IdentityIndex {
        for session in sessions {
            self.sessions.add(Arc::new(session));
        }
        self.instances.add(instances);
        self
    }

    /// Returns the index without sessions that expired, and instances that
    /// terminated, before `before`: bounds memory on long backfills.
    ///
    /// Answers for accesses at or after `before` stay as they are, as far as
    /// they rest on an access key: an expired session stays while another one
    /// stands on it. M2 no longer finds what has expired.
    #[must_use]
    pub fn without_older_than(self, before: UtcMicros) -> IdentityIndex {
        IdentityIndex {
            known: self.known,
            sessions: self.sessions.without_older_than(before),
            instances: self.instances.without_older_than(before),
            sts_until: self.sts_until,
        }
    }

    /// Returns how many sessions are known; copies of one STS call count once,
    /// and refused calls not at all.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Returns how many instances are known.
    pub fn instances(&self) -> usize {
        self.instances.len()
    }

    /// Returns the session that issued the principal's access key (M1 only), as
    /// the copy of its record that tells most of the caller. `None` if no STS
    /// event issued it, or if the trail names the key twice.
    pub fn session_of(&self, principal: &Principal, at: UtcMicros) -> Option<&StsSession> {
        let key = filled(principal.access_key_id.as_deref())?;
        match self.sessions.issued(key, at).0.as_slice() {
            [call] => Some(call.session()),
            _ => None,
        }
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    pub(super) fn sts_until(&self) -> UtcMicros {
        self.sts_until
    }

    pub(super) fn issued_sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn ec2_instances(&self) -> &Instances {
        &self.instances
    }
}
