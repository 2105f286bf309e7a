//! Whom an access is judged as.
//!
//! The principal that attribution names; every candidate, if it names several; else
//! whom AWS names: `AwsIdentity` for callers that are none of Databricks', and
//! `Unattributed` for Databricks compute and vended credentials that nobody was found
//! for, as a permit for an AWS role is no permit for whoever hides behind it.

use super::facts::Facts;
use super::mentions::{Attribute, EntityType, Mentions};
use super::values::{END, write_text};
use crate::model::{AccessPath, Attribution, Membership, PrincipalKind, UnattributedReason};

/// A principal as far as the rules can tell it apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub of: EntityType,
    /// "" where no rule tells names apart.
    pub name: &'a str,
    /// Places in the policy's groups of those that it is in.
    pub groups: &'a [u32],
    pub active: Option<bool>,
}

impl<'a> Named<'a> {
    fn new(of: EntityType, name: &'a str) -> Named<'a> {
        Named {
            of,
            name,
            groups: &[],
            active: None,
        }
    }

    /// The principal as rules that mention this see it.
    fn seen(self, mentions: Mentions, membership: Option<&'a Membership>) -> Named<'a> {
        let groups = membership.map(|it| it.groups.as_slice());
        Named {
            name: if mentions.names(self.of) {
                self.name
            } else {
                ""
            },
            groups: groups.filter(|_| mentions.groups()).unwrap_or_default(),
            active: membership
                .and_then(|it| it.active)
                .filter(|_| mentions.has(Attribute::Active)),
            ..self
        }
    }

    /// The principal as one of the rules sees it, by what it mentions; `groups` are those
    /// of its groups that the rule names.
    pub(super) fn seen_by(self, mentions: Mentions, groups: &'a [u32]) -> Named<'a> {
        if !mentions.principal_types() {
            return Named::new(EntityType::Unattributed, "");
        }
        Named {
            of: self.of,
            name: if mentions.names(self.of) {
                self.name
            } else {
                ""
            },
            groups: if mentions.groups() { groups } else { &[] },
            active: self.active.filter(|_| mentions.has(Attribute::Active)),
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.push(self.of as u8);
        write_text(self.name, out);
        for group in self.groups {
            out.push(1);
            out.extend(group.to_be_bytes());
        }
        out.push(0);
        out.push(match self.active {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
    }
}

/// Writes principals; no two lists give the same bytes.
pub(super) fn write_all(principals: &[Named<'_>], out: &mut Vec<u8>) {
    for principal in principals {
        principal.write(out);
    }
    out.push(END);
}

impl<'a> Facts<'a> {
    /// Returns whom the access is judged as, by type and full name.
    pub(super) fn judged_as(&self) -> Vec<(EntityType, &'a str)> {
        let attribution = self.attribution;
        if let Some(name) = attribution.principal.as_deref() {
            return vec![match attribution.principal_kind {
                Some(PrincipalKind::User) => (EntityType::User, name),
                Some(PrincipalKind::ServicePrincipal) => (EntityType::ServicePrincipal, name),
                None => (by_shape(name), name),
            }];
        }
        if !attribution.principal_candidates.is_empty() {
            let candidates = attribution.principal_candidates.iter();
            return candidates.map(|name| (by_shape(name), &**name)).collect();
        }
        let principal = self.access.principal;
        let name = [
            &principal.arn,
            &principal.account_id,
            &principal.invoked_by,
            &principal.user_name,
            &principal.principal_id,
        ]
        .into_iter()
        .flatten()
        .find(|name| !is_anonymous(name));
        vec![match name {
            Some(name) if is_of_databricks(attribution) => (EntityType::Unattributed, name),
            Some(name) => (EntityType::AwsIdentity, name),
            None => (EntityType::Unattributed, "unknown"),
        }]
    }

    /// Returns the principals as far as rules can tell them apart, each once.
    pub(super) fn principals(&self, mentions: Mentions) -> Vec<Named<'a>> {
        if !mentions.principal_types() {
            return vec![Named::new(EntityType::Unattributed, "")];
        }
        // Of those whom AWS names nobody knows groups.
        let is_attributed = self.attribution.principal.is_some()
            || !self.attribution.principal_candidates.is_empty();
        let memberships = match is_attributed {
            true => self.workload.principals.as_slice(),
            false => &[],
        };
        let mut principals: Vec<Named<'a>> = Vec::new();
        for (place, (of, name)) in self.judged_as().into_iter().enumerate() {
            let seen = Named::new(of, name).seen(mentions, memberships.get(place));
            if !principals.contains(&seen) {
                principals.push(seen);
            }
        }
        principals
    }

    /// Whether there are more candidates than those principals, and rules tell them apart.
    pub(super) fn has_more_candidates(&self, mentions: Mentions) -> bool {
        mentions.principal_types() && self.has_unlisted_candidates()
    }

    /// Whether there are more candidates than an attribution lists.
    pub(super) fn has_unlisted_candidates(&self) -> bool {
        let listed = self.attribution.principal_candidates.len();
        self.attribution.principal.is_none()
            && self.attribution.principal_candidate_count as usize > listed
    }

    /// Whether somebody of Databricks may still be found for the access: that nobody
    /// was is judged only once it is settled.
    pub(super) fn awaits_principal(&self) -> bool {
        let attribution = self.attribution;
        let is_final = matches!(
            attribution.unattributed_reason,
            Some(
                UnattributedReason::Platform
                    | UnattributedReason::External
                    | UnattributedReason::NotDatabricks
            )
        );
        !self.settled
            && attribution.principal.is_none()
            && attribution.principal_candidates.is_empty()
            && is_of_databricks(attribution)
            && !is_final
    }
}

/// Databricks compute, or a credential that Unity Catalog vended.
fn is_of_databricks(attribution: &Attribution) -> bool {
    matches!(
        attribution.access_path,
        AccessPath::InstanceProfile | AccessPath::UnityCatalog | AccessPath::AssumedByInstance
    )
}

/// A principal of Databricks whose kind is not recorded: people have e-mail
/// addresses, service principals application ids.
fn by_shape(name: &str) -> EntityType {
    if name.contains('@') {
        EntityType::User
    } else {
        EntityType::ServicePrincipal
    }
}

fn is_anonymous(name: &str) -> bool {
    name.is_empty() || name == "anonymous" || name == "ANONYMOUS_PRINCIPAL"
}
