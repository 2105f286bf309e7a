//! All identity facts known, as one value.

use super::aws::filled;
use super::instances::Instances;
use super::known_facts::{Databricks, Roles};
use super::place::Place;
use super::sessions::Sessions;
use super::settings::{IdentitySettings, Known};
use super::watermarks::FactSource;
use crate::model::{
    Asked, DatabricksFacts, Ec2Instance, ExternalLocation, Principal, StsSession, UtcMicros,
};
use std::sync::Arc;

/// The facts that attribution looks things up in.
///
/// A value: built, swapped, never mutated under a reader. A clone shares the texts
/// of sessions and all facts of Databricks, and copies the rest.
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
    /// Event time up to which nothing is waited for any more.
    settled_until: UtcMicros,
    databricks: Databricks,
}

impl IdentityIndex {
    /// Returns an index that knows the settings and no facts yet, and takes what
    /// it is given for complete.
    pub fn new(settings: IdentitySettings) -> IdentityIndex {
        IdentityIndex {
            known: Arc::new(Known::new(settings)),
            sessions: Sessions::default(),
            instances: Instances::default(),
            databricks: Databricks::default(),
            sts_until: UtcMicros::MAX,
            settled_until: UtcMicros::MIN,
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

    /// Returns the index with the horizon of a settle: of accesses up to `until`
    /// everything is known that will be, so that none of them is late. What only a
    /// source that was never read would tell is out of reach for them.
    #[must_use]
    pub fn with_settled_until(self, until: UtcMicros) -> IdentityIndex {
        IdentityIndex {
            settled_until: until,
            ..self
        }
    }

    /// Returns the index with these facts as well. Facts it has already change
    /// nothing.
    #[must_use]
    pub fn with(mut self, sessions: Vec<StsSession>, instances: Vec<Ec2Instance>) -> IdentityIndex {
        for session in sessions {
            self.sessions.add(session);
        }
        let addressed: Vec<String> = instances
            .iter()
            .filter(|instance| instance.private_ip.is_some())
            .map(|instance| instance.instance_id.clone())
            .collect();
        self.instances.add(instances);
        for instance_id in &addressed {
            self.databricks
                .learn_addresses(instance_id, &self.instances);
        }
        self
    }

    /// Returns the index with these facts of Databricks as well.
    #[must_use]
    pub fn with_databricks(mut self, facts: DatabricksFacts) -> IdentityIndex {
        self.databricks.add(facts, &self.instances);
        self
    }

    /// Returns the index that believes every source of Databricks that was read
    /// complete up to `at`, whatever its newest row is.
    #[must_use]
    pub fn as_of(mut self, at: UtcMicros) -> IdentityIndex {
        self.databricks.set_as_of(at);
        self
    }

    /// Returns up to when a source of Databricks is believed complete; `None` if it
    /// was never read, and the end of time for an inventory that was.
    pub fn complete_until(&self, source: FactSource) -> Option<UtcMicros> {
        self.databricks.watermarks.of(source)
    }

    /// Returns the external location of Unity Catalog that governs a path, as it
    /// was at `at`; its `fallback` tells whether a cluster's own credentials may
    /// reach it.
    pub fn external_location(
        &self,
        bucket: &str,
        key: &str,
        at: UtcMicros,
    ) -> Option<&ExternalLocation> {
        let path = format!("{bucket}/{}", key.trim_matches('/'));
        let path = path.trim_end_matches('/');
        self.databricks.catalog.external_location(path, at)
    }

    /// Tells what the object key and the operation of an access decide of its
    /// attribution. Costs a fraction of a microsecond.
    pub fn place_of(&self, asked: &Asked<'_>) -> Place {
        self.databricks.places.of(asked, &self.databricks.names)
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
            settled_until: self.settled_until,
            databricks: self.databricks,
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
    pub fn session_of(&self, principal: &Principal, at: UtcMicros) -> Option<StsSession> {
        let key = filled(principal.access_key_id.as_deref())?;
        match self.sessions.issued(key, at).0.as_slice() {
            [call] => Some(call.session().session()),
            _ => None,
        }
    }

    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    pub(super) fn sts_until(&self) -> UtcMicros {
        self.sts_until
    }

    pub(super) fn settled_until(&self) -> UtcMicros {
        self.settled_until
    }

    pub(super) fn issued_sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(super) fn ec2_instances(&self) -> &Instances {
        &self.instances
    }

    pub(super) fn databricks(&self) -> &Databricks {
        &self.databricks
    }

    /// The roles that are storage credentials at a time.
    pub(super) fn roles(&self, at: UtcMicros) -> Roles<'_> {
        Roles {
            known: &self.known,
            catalog: &self.databricks.catalog,
            at,
        }
    }
}
