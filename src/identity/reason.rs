//! Why no person or service principal is named: the table of the module's
//! introduction, as code.

use super::aws::{filled, is_role_session};
use super::classify::Class;
use super::link::Link;
use super::tags::Vendor;
use super::trace::End;
use crate::model::{AccessEvent, AccessPath, Confidence, TimeSpan, UnattributedReason, UtcMicros};

/// Tells why the principal of an access is unknown, and over which event times
/// the same is true.
///
/// INVARIANT (absence is late first): that an STS event is missing means nothing
/// until the watermark of STS events has passed the access, which came after it.
pub(super) fn reason(
    access: &AccessEvent<'_>,
    class: &Class<'_>,
    link: &Link<'_>,
    vendor: Vendor,
    sts_until: UtcMicros,
) -> (UnattributedReason, TimeSpan) {
    let reason = settled_reason(access, class, link, vendor);
    if reason != UnattributedReason::NoSts {
        return (reason, TimeSpan::ALWAYS);
    }
    if access.event_time > sts_until {
        let from = UtcMicros(sts_until.0.saturating_add(1));
        let span = TimeSpan {
            from,
            ..TimeSpan::ALWAYS
        };
        return (UnattributedReason::Late, span);
    }
    let span = TimeSpan {
        until: sts_until,
        ..TimeSpan::ALWAYS
    };
    (reason, span)
}

/// What stands for `late` in an access that is settled, and over which event times
/// it does.
///
/// INVARIANT (settled is not late): a row is settled once every source that was read
/// has passed it. What is still missing then is told by sources that were never
/// read, and no time brings it.
pub(super) fn unless_settled(
    reason: UnattributedReason,
    at: UtcMicros,
    settled_until: UtcMicros,
) -> (UnattributedReason, TimeSpan) {
    if reason != UnattributedReason::Late {
        return (reason, TimeSpan::ALWAYS);
    }
    if at <= settled_until {
        let span = TimeSpan {
            until: settled_until,
            ..TimeSpan::ALWAYS
        };
        return (UnattributedReason::OutsideRetention, span);
    }
    let from = UtcMicros(settled_until.0.saturating_add(1));
    let span = TimeSpan {
        from,
        ..TimeSpan::ALWAYS
    };
    (UnattributedReason::Late, span)
}

/// The reason where all STS events are known.
fn settled_reason(
    access: &AccessEvent<'_>,
    class: &Class<'_>,
    link: &Link<'_>,
    vendor: Vendor,
) -> UnattributedReason {
    let linked = link.confidence != Confidence::None;
    match class.path {
        AccessPath::AwsService => UnattributedReason::NotDatabricks,
        AccessPath::Anonymous => UnattributedReason::External,
        _ if access.presigned => UnattributedReason::External,
        AccessPath::DatabricksPlatform => UnattributedReason::Platform,
        AccessPath::InstanceProfile | AccessPath::AssumedByInstance => match vendor {
            Vendor::Other => UnattributedReason::NotDatabricks,
            Vendor::Databricks | Vendor::Unknown => UnattributedReason::Late,
        },
        AccessPath::UnityCatalog if linked => UnattributedReason::Late,
        AccessPath::UnityCatalog => UnattributedReason::NoSts,
        AccessPath::StaticKey => UnattributedReason::NotDatabricks,
        AccessPath::OtherRole => other_role(access, link),
        AccessPath::Unknown => match access.principal.identity_type.as_deref() {
            None | Some("Unknown" | "") => UnattributedReason::FieldsOmitted,
            Some(_) => UnattributedReason::NotDatabricks,
        },
    }
}

fn other_role(access: &AccessEvent<'_>, link: &Link<'_>) -> UnattributedReason {
    let principal = access.principal;
    if principal.identity_type.as_deref() == Some("AWSAccount") {
        return UnattributedReason::External;
    }
    if let Some(trace) = link.sole() {
        return match trace.end {
            End::Foreign => UnattributedReason::External,
            End::Local => UnattributedReason::NotDatabricks,
            // Databricks' session, turned into one of a role of another kind.
            End::Databricks | End::LogDelivery => UnattributedReason::PathUnsupported,
            // Whether an instance stands behind it takes a key to prove.
            End::Delivered { .. } | End::CalledByInstance { .. } | End::Unrecorded => {
                UnattributedReason::NoSts
            }
            End::Untold => UnattributedReason::FieldsOmitted,
        };
    }
    if !is_role_session(principal) {
        return UnattributedReason::NotDatabricks;
    }
    let has_key = filled(principal.access_key_id.as_deref()).is_some();
    // Without a key and (through an AWS service, or without a creation date)
    // there is nothing to join an STS event by.
    let has_creation = principal.session_issued_at.is_some()
        && filled(principal.session_issuer_arn.as_deref()).is_some()
        && filled(principal.invoked_by.as_deref()).is_none();
    if has_key || has_creation {
        UnattributedReason::NoSts
    } else {
        UnattributedReason::FieldsOmitted
    }
}
