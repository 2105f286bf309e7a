//! Who, pure: from an access and the facts known to an attribution. Layer 2.
//!
//! In order: `link` finds the STS event that issued the credential
//! (`sessions` of `call`s, by `postings`) and follows it to its origin
//! (`trace`); `classify` tells the access path; `instances` and their
//! `tags` tell cluster and job, `root_bucket` the workspace; `attribute`
//! puts the levels together and `reason` says why nobody is named. The facts
//! stand in one value, the [`IdentityIndex`].
//!
//! This part uses what CloudTrail alone proves. It names no person: an AWS
//! record holds none. Databricks' audit log, system tables and SCIM come as
//! further sources of the index and further steps after these.
//!
//! INVARIANT (no guess): a level is named only by a chain of identifiers or by
//! the one candidate there is; candidates are listed, never picked from. A role
//! session's name is no person, and an instance only while no STS record says
//! otherwise; a user agent and an `assumed-role` ARN identify nobody.
//!
//! | access path | why no principal is named |
//! |---|---|
//! | any, by a pre-signed URL | `external`: whoever has the URL reads; its signer's path stays |
//! | `aws_service`, `static_key` | `not_databricks` |
//! | `instance_profile`, `assumed_by_instance` | `not_databricks` if the instance was seen launched without Databricks' tag, else `late`: the tables that name runs and users have not been read up to this event |
//! | `unity_catalog` | `late` (the audit log has not been read); `no_sts` without its STS event |
//! | `databricks_platform` | `platform` |
//! | `other_role`, another account or issued to one | `external` |
//! | `other_role`, issued to a user or service here; root, federated user | `not_databricks` |
//! | `other_role`, of a session that was Databricks' | `path_unsupported` |
//! | `other_role`, its STS event or one before it missing or not single | `no_sts`; `fields_omitted` where the record has nothing to join by |
//! | `anonymous` | `external` |
//! | `unknown` | `fields_omitted` without identity type, else `not_databricks` |

mod activity;
mod ask;
mod attribute;
mod aws;
mod call;
mod catalog;
mod classify;
mod clusters;
mod corroborate;
mod databricks;
mod hosts;
mod index;
mod instances;
mod known_facts;
mod levels;
mod link;
mod names;
mod network;
mod nodes;
mod people;
mod place;
mod postings;
mod reason;
mod root_bucket;
mod runs;
mod sessions;
mod settings;
mod shares;
mod tags;
mod timeline;
mod trace;
mod unity_catalog;
mod vend_claim;
mod vends;
mod watermarks;
mod work;

#[cfg(test)]
mod tests;

pub use attribute::{Answer, attribute, attribute_within};
pub use classify::credential;
pub use databricks::{DatabricksAccount, DatabricksIds};
pub use index::IdentityIndex;
pub use place::Place;
pub use settings::IdentitySettings;
pub use watermarks::FactSource;
