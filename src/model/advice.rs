//! What an attribution that stops short means, and what would mend it.
//!
//! One table for all who say it: `scan`, `health`, `explain`, the demo and
//! docs/attribution.md, which a test compares with this file.
//!
//! INVARIANT (every doubt has advice): a reason or a doubt without words does not
//! compile.

use super::attribution::UnattributedReason;

/// What it means that a person is not named, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    pub means: &'static str,
    pub mend: &'static str,
    /// Whether a better record would name somebody; else there is nobody to name,
    /// or nobody that AWS and Databricks could know.
    pub is_gap: bool,
}

/// Why several people remain: the token of `queries/ambiguous-principals.sql`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    Conflict,
    NoSession,
    SessionReuse,
    DedicatedGroup,
    SharedCluster,
    SeveralVends,
    SeveralRuns,
}

impl UnattributedReason {
    pub const ALL: [UnattributedReason; 12] = [
        UnattributedReason::Late,
        UnattributedReason::NoSts,
        UnattributedReason::NoVend,
        UnattributedReason::ServiceVend,
        UnattributedReason::OutsideRetention,
        UnattributedReason::PathUnsupported,
        UnattributedReason::SharedCluster,
        UnattributedReason::Serverless,
        UnattributedReason::Platform,
        UnattributedReason::External,
        UnattributedReason::NotDatabricks,
        UnattributedReason::FieldsOmitted,
    ];

    /// Reads the token of the tables.
    pub fn of_token(token: &str) -> Option<UnattributedReason> {
        UnattributedReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == token)
    }

    /// Returns what the reason means, and what would mend it.
    pub fn advice(self) -> Advice {
        match self {
            UnattributedReason::Late => Advice {
                means: "a source that should hold the fact has not been read up to this event",
                mend: "import Databricks' audit log, system tables (schemas access, compute, lakeflow, \
                       query) and SCIM up to this event, for CloudTrail names no person",
                is_gap: true,
            },
            UnattributedReason::NoSts => Advice {
                means: "the STS event that issued this key, or one before it, is not in the lake",
                mend: "record management events of all regions (an organisation trail), and scan the \
                       hours before the session was issued, in the account that owns the role too",
                is_gap: true,
            },
            UnattributedReason::NoVend => Advice {
                means: "no vend of Unity Catalog fits this key",
                mend: "enable the system schema access and the verbose audit log, and export all \
                       workspaces of the metastore; if they are complete, find out who assumed the role",
                is_gap: true,
            },
            UnattributedReason::ServiceVend => Advice {
                means: "Databricks vended the key to one of its own services, for somebody it does \
                        not name",
                mend: "enable query history and lineage; use dedicated or job clusters for sensitive \
                       paths, and an S3 gateway endpoint, so that the node's address names the cluster",
                is_gap: true,
            },
            UnattributedReason::OutsideRetention => Advice {
                means: "no source reaches back to this event, none holds the instance, run or right in \
                        question, or the one that would was never imported",
                mend: "import what `bricktrail health` names as never read (Databricks' audit log, \
                       system tables of the schemas access, compute, lakeflow and query, SCIM) before \
                       its retention ends, then `settle --again`; for instances of pools enable \
                       system.compute.instance_events, their tags name no cluster",
                is_gap: true,
            },
            UnattributedReason::PathUnsupported => Advice {
                means: "a session that was Databricks' was turned into one of another role; that path \
                        is not followed",
                mend: "let workloads use the vended role itself, or a role of their own without \
                       chaining",
                is_gap: true,
            },
            UnattributedReason::SharedCluster => Advice {
                means: "several people may have used the cluster, and AWS sees one identity for all",
                mend: "enable the verbose audit log, which tells who ran commands; use dedicated or \
                       job clusters for sensitive paths, or Unity Catalog instead of an instance profile",
                is_gap: true,
            },
            UnattributedReason::Serverless => Advice {
                means: "serverless compute has no instance that AWS would name",
                mend: "enable query history and lineage, which tell what ran",
                is_gap: true,
            },
            UnattributedReason::Platform => Advice {
                means: "Databricks' own platform acted; no person did",
                mend: "nothing needs mending; the workspace is named where the key tells it",
                is_gap: false,
            },
            UnattributedReason::External => Advice {
                means: "someone outside acted: another account, an anonymous reader, the holder of a \
                        pre-signed URL, or of a machine's key away from the machine",
                mend: "avoid public objects and pre-signed URLs; grant other accounts a role of yours \
                       with a session name or source identity for each person",
                is_gap: false,
            },
            UnattributedReason::NotDatabricks => Advice {
                means: "an AWS identity that has nothing to do with Databricks; AWS's own name for it \
                        stands in principal_arn",
                mend: "nothing is missing; replace static keys by roles, whose sessions tell who \
                       assumed them",
                is_gap: false,
            },
            UnattributedReason::FieldsOmitted => Advice {
                means: "CloudTrail left out the fields that would tell",
                mend: "look for the copy of the event in the caller's account, which may say more",
                is_gap: true,
            },
        }
    }
}

impl Doubt {
    pub const ALL: [Doubt; 7] = [
        Doubt::Conflict,
        Doubt::NoSession,
        Doubt::SessionReuse,
        Doubt::DedicatedGroup,
        Doubt::SharedCluster,
        Doubt::SeveralVends,
        Doubt::SeveralRuns,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Doubt::Conflict => "conflict",
            Doubt::NoSession => "no_session",
            Doubt::SessionReuse => "session_reuse",
            Doubt::DedicatedGroup => "dedicated_group",
            Doubt::SharedCluster => "shared_cluster",
            Doubt::SeveralVends => "several_vends",
            Doubt::SeveralRuns => "several_runs",
        }
    }

    /// Reads the token of the query.
    pub fn of_token(token: &str) -> Option<Doubt> {
        Doubt::ALL.into_iter().find(|doubt| doubt.as_str() == token)
    }

    /// Returns what the doubt means, and what would dispel it.
    pub fn advice(self) -> Advice {
        let (means, mend) = match self {
            Doubt::Conflict => (
                "sources exclude each other, so every candidate is listed and none chosen",
                "have one of the events explained; import both sources anew up to the event, and \
                 consider that the credential was used where it does not belong",
            ),
            Doubt::NoSession => (
                "the STS event that issued the key is missing or not single, so one vend is no proof",
                "record management events of all regions (an organisation trail), and scan the hours \
                 before the session was issued",
            ),
            Doubt::SessionReuse => (
                "a later vend has no session of its own and may have been given this key as well",
                "make one storage credential per data domain; enable lineage and query history",
            ),
            Doubt::DedicatedGroup => (
                "the cluster is dedicated to a group; any member may have used it",
                "enable the verbose audit log, which tells who ran commands, or dedicate clusters to \
                 one person each",
            ),
            Doubt::SharedCluster => (
                "several people ran commands on the cluster within half an hour",
                "use dedicated or job clusters for sensitive paths, or Unity Catalog instead of an \
                 instance profile",
            ),
            Doubt::SeveralVends => (
                "Unity Catalog vended the place to several within a minute, or not surely to one",
                "route workspaces through an S3 gateway endpoint, so that addresses tell the node; \
                 enable lineage and query history; make one storage credential per data domain",
            ),
            Doubt::SeveralRuns => (
                "runs with the rights of several were under way, or those of the only one are not sure",
                "give each job a cluster and a service principal of its own, and import jobs and SCIM \
                 as they were at the time",
            ),
        };
        Advice {
            means,
            mend,
            is_gap: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../docs/attribution.md");
    const QUERY: &str = include_str!("../../queries/ambiguous-principals.sql");

    fn row(token: &str, advice: Advice) -> String {
        format!("| `{token}` | {} | {} |\n", advice.means, advice.mend)
    }

    #[test]
    fn every_reason_has_advice_that_the_docs_give_too() {
        for reason in UnattributedReason::ALL {
            let advice = reason.advice();
            assert!(!advice.means.is_empty() && !advice.mend.is_empty());
            let row = row(reason.as_str(), advice);
            assert!(DOCS.contains(&row), "docs/attribution.md lacks: {row}");
            assert_eq!(UnattributedReason::of_token(reason.as_str()), Some(reason));
        }
        let mut tokens = UnattributedReason::ALL.map(UnattributedReason::as_str);
        tokens.sort_unstable();
        assert!(
            tokens.is_sorted_by(|a, b| a < b),
            "a token twice: {tokens:?}"
        );
    }

    #[test]
    fn every_doubt_has_advice_that_the_docs_give_too_and_the_query_finds_it() {
        for doubt in Doubt::ALL {
            let row = row(doubt.as_str(), doubt.advice());
            assert!(DOCS.contains(&row), "docs/attribution.md lacks: {row}");
            assert!(QUERY.contains(&format!("'{}'", doubt.as_str())));
            assert_eq!(Doubt::of_token(doubt.as_str()), Some(doubt));
        }
    }
}
