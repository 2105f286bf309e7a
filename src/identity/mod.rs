//! Who, pure: from an access and the facts known to an attribution. Layer 2.
//!
//! In order: `link` finds the STS event that issued the credential (`sessions` of
//! `call`s, `kept` small, by `postings`) and follows it to its origin (`trace`); `classify` tells the
//! access path. Then, by path: `hosts` tells the cluster of an instance from what EC2
//! (`instances`, `tags`) and Databricks (`nodes`) know, `work` what ran there
//! (`on_cluster`, `runs`) and with whose rights (`rights`, `clusters`, `people`);
//! `unity_catalog` puts the vend of a key (`vend_claim`, `vend_fit`, `vends`,
//! `catalog`) beside the node behind its address (`network`) and, where they leave it
//! open, lineage and query history (`corroborate`, `activity`); `shares` finds the
//! query behind a pre-signed URL, `root_bucket` the workspace of a key. `levels` and
//! `attribute` put the answer together, `reason` says why nobody is named. The facts
//! stand in one value, the [`IdentityIndex`], as `timeline`s of `names`. Beside the
//! answer, `workload` tells what policies ask of it, by way of `groups`.
//!
//! INVARIANT (no guess): a level is named only by a chain of identifiers or by
//! the one candidate there is; candidates are listed, never picked from. A role
//! session's name is no person, and an instance only while no STS record says
//! otherwise; a user agent and an `assumed-role` ARN identify nobody.
//! INVARIANT (one means all were seen): the one candidate counts as the only one once
//! the source that would show another has passed the time (`watermarks`).
//! INVARIANT (conflict is shown): methods that exclude each other make a level
//! ambiguous between all they name, with the method `conflict`.
//!
//! | access path | why no principal is named |
//! |---|---|
//! | any, by a pre-signed URL | `external`: whoever has the URL reads; its signer's path stays |
//! | of an instance, from outside the known networks | `external`: the key is the cluster's, the hands are not; no job or task either |
//! | `aws_service`, `static_key` | `not_databricks` |
//! | `instance_profile`, `assumed_by_instance`, no cluster known | `not_databricks` if the instance was seen launched without Databricks' tag, or no source knows it; `late` before they have passed; `platform` if a pool held it; `outside_retention` before their first row |
//! | the same, cluster known | `late` before runs and audit log have passed; `shared_cluster` if nobody ran a command there; `outside_retention` if the run, its rights or their name are told nowhere |
//! | `unity_catalog` | `no_sts` without its STS event, once that would be known; `late` before the audit log has passed; `service_vend` if only Databricks' services asked for it; `no_vend` if nobody did; `external` if a recipient of a share did; `platform` if its record shows no session policy in an account whose records show them; `outside_retention` before the first vend known |
//! | `databricks_platform` | `platform` |
//! | `other_role`, another account or issued to one | `external` |
//! | `other_role`, issued to a user or service here; root, federated user | `not_databricks` |
//! | `other_role`, of a session that was Databricks' | `path_unsupported` |
//! | `other_role`, its STS event or one before it missing or not single | `late` until the watermark of STS events has passed, then `no_sts`; `fields_omitted` where the record has nothing to join by |
//! | `anonymous` | `external` |
//! | `unknown` | `fields_omitted` without identity type, else `not_databricks` |
//! | any, once it is settled | `outside_retention` for `late`: what would tell was never read |

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
mod groups;
mod hosts;
mod index;
mod instances;
mod kept;
mod known_facts;
mod levels;
mod link;
mod names;
mod network;
mod nodes;
mod on_cluster;
mod people;
mod place;
mod postings;
mod reason;
mod rights;
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
mod vend_fit;
mod vends;
mod watermarks;
mod work;
mod workload;

#[cfg(test)]
mod tests;

pub use attribute::{Answer, attribute, attribute_within};
pub use classify::credential;
pub use databricks::{DatabricksAccount, DatabricksIds};
pub use index::IdentityIndex;
pub use place::Place;
pub use settings::IdentitySettings;
pub use watermarks::FactSource;
pub use workload::{GroupHistory, Memberships, known_groups};
