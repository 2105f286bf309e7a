//! What one CloudTrail record is, and who and where it speaks of.
//!
//! Routes a record by its fields, and gives the groups that repeat from record
//! to record: principal, client, account. What the request named is in
//! [`super::request`].
//!
//! INVARIANT (tolerant): only what a row cannot be without makes a record bad:
//! being an object, an event source, an event time, a known major version.
//!
//! Absent on purpose: the record's raw text. Request parameters can hold
//! secrets and grow without bound; a row names its object, ETag and record
//! index instead, where the signed original stands.

use super::fields::{Fields, Presence, Text};
use crate::model::{Client, Outcome, Principal, Target, Tls, UtcMicros};

/// What a record is to bricktrail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    S3 {
        event_time: UtcMicros,
    },
    Sts {
        event_time: UtcMicros,
    },
    Ec2 {
        event_time: UtcMicros,
    },
    /// Any other service's event; counted.
    Other {
        event_time: Option<UtcMicros>,
    },
    Bad(BadRecord),
}

/// Why a record cannot become a row or be counted as another service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BadRecord {
    NotAnObject,
    NoEventSource,
    NoEventTime,
    /// A major version this program does not know; its fields may mean other things.
    EventVersion,
    /// Bytes between two records that are no JSON value.
    InvalidJson,
    /// Far more bytes than CloudTrail writes for an event.
    TooLarge,
}

impl BadRecord {
    pub fn as_str(self) -> &'static str {
        match self {
            BadRecord::NotAnObject => "not_an_object",
            BadRecord::NoEventSource => "no_event_source",
            BadRecord::NoEventTime => "no_event_time",
            BadRecord::EventVersion => "unknown_event_version",
            BadRecord::InvalidJson => "invalid_json",
            BadRecord::TooLarge => "record_too_large",
        }
    }
}

/// Routes one record, an object, by its fields.
pub fn route(f: &Fields<'_>) -> Route {
    let Some(event_source) = f.get(Text::EventSource) else {
        return Route::Bad(BadRecord::NoEventSource);
    };
    let event_time = f.get(Text::EventTime).and_then(UtcMicros::parse_iso);
    let event_name = f.get(Text::EventName);
    let to: fn(UtcMicros) -> Route = match event_source {
        // Insights, summaries and VPC endpoint records carry the event source
        // they speak of; they are no accesses.
        _ if matches!(
            f.get(Text::EventCategory),
            Some("Insight" | "Aggregated" | "NetworkActivity")
        ) =>
        {
            return Route::Other { event_time };
        }
        "s3.amazonaws.com" | "s3express.amazonaws.com" | "s3-outposts.amazonaws.com" => {
            |event_time| Route::S3 { event_time }
        }
        "sts.amazonaws.com" if is_issue(event_name) => |event_time| Route::Sts { event_time },
        "ec2.amazonaws.com"
            if is_instance_event(event_name) && f.get(Text::ErrorCode).is_none() =>
        {
            |event_time| Route::Ec2 { event_time }
        }
        _ => return Route::Other { event_time },
    };
    let Some(event_time) = event_time else {
        return Route::Bad(BadRecord::NoEventTime);
    };
    if version(f).0.is_some_and(|major| major != 1) {
        return Route::Bad(BadRecord::EventVersion);
    }
    to(event_time)
}

/// Major and minor version. A new minor only adds members (CloudTrail user
/// guide); a new major may rename them. Text that is no version says nothing.
fn version(f: &Fields<'_>) -> (Option<u32>, Option<u32>) {
    let number = |part: &str| part.parse::<u32>().ok();
    let mut parts = f.get(Text::EventVersion).unwrap_or_default().split('.');
    (parts.next().and_then(number), parts.next().and_then(number))
}

fn is_issue(event_name: Option<&str>) -> bool {
    matches!(
        event_name,
        Some(
            "AssumeRole"
                | "AssumeRoleWithSAML"
                | "AssumeRoleWithWebIdentity"
                | "AssumeRoot"
                | "GetSessionToken"
                | "GetFederationToken"
        )
    )
}

fn is_instance_event(event_name: Option<&str>) -> bool {
    matches!(
        event_name,
        Some("RunInstances" | "CreateFleet" | "CreateTags" | "DeleteTags" | "TerminateInstances")
    )
}

/// The principal as AWS saw it.
pub fn principal<'a>(f: &Fields<'a>) -> Principal<&'a str> {
    let identity_type = f.get(Text::IdentityType);
    let (arn, principal_id) = (f.get(Text::Arn), f.get(Text::PrincipalId));
    // A role session without an ARN still carries its name behind the role's
    // id, also where another account's session is shown as `AWSAccount`.
    let role_session = matches!(identity_type, Some("AssumedRole" | "AWSAccount"));
    let session_name = arn.and_then(session_name_of_arn).or_else(|| {
        let (_, session) = principal_id.filter(|_| role_session)?.split_once(':')?;
        (!session.is_empty()).then_some(session)
    });
    Principal {
        identity_type,
        principal_id,
        arn,
        account_id: f.get(Text::AccountId),
        user_name: f.get(Text::UserName),
        access_key_id: f.get(Text::AccessKeyId),
        invoked_by: f.get(Text::InvokedBy),
        session_issuer_arn: f.get(Text::IssuerArn),
        session_issuer_account_id: f.get(Text::IssuerAccountId),
        session_name,
        session_issued_at: f.get(Text::CreationDate).and_then(UtcMicros::parse_iso),
        source_identity: f.get(Text::SourceIdentity),
        in_scope_issuer_type: f.get(Text::ScopeIssuerType),
        in_scope_issued_to: f.get(Text::ScopeIssuedTo),
        ec2_role_delivery: f.get(Text::Ec2RoleDelivery),
    }
}

/// Where the request came from and how it was sent; `direct` tells that no AWS
/// service made the call.
pub fn client<'a>(f: &Fields<'a>, direct: bool) -> Client<&'a str> {
    let source_ip = f.get(Text::SourceIp);
    let plaintext = f.is_present(Presence::BytesOut)
        && f.get(Text::CipherSuite).is_none()
        && !f.is_present(Presence::TlsDetails)
        && direct
        && version(f).1.is_some_and(|minor| minor >= 8)
        && source_ip.is_some_and(|ip| ip.parse::<std::net::IpAddr>().is_ok());
    Client {
        source_ip,
        user_agent: f.get(Text::UserAgent),
        vpc_endpoint_id: f
            .get(Text::VpcEndpointId)
            .or(f.get(Text::AdditionalVpcEndpointId)),
        tls: Tls {
            version: f.get(Text::TlsVersion),
            plaintext,
        },
        auth_method: f.get(Text::AuthMethod),
    }
}

/// `recipientAccountId` (else the account in the object's key) and region.
pub fn account_and_region<'a>(f: &Fields<'a>, key_account: Option<&'a str>) -> Target<&'a str> {
    Target {
        aws_account_id: f.get(Text::RecipientAccountId).or(key_account),
        aws_region: f.get(Text::AwsRegion),
        bucket: None,
        bucket_account_id: None,
    }
}

/// How AWS answered (facts: S3 and VPC endpoint codes of refusal).
pub fn outcome(error_code: Option<&str>) -> Outcome {
    match error_code {
        None => Outcome::Ok,
        Some("AccessDenied" | "Client.UnauthorizedOperation" | "VpceAccessDenied") => {
            Outcome::Denied
        }
        Some(_) => Outcome::Error,
    }
}

/// The session name of `arn:<partition>:sts::<account>:assumed-role/<role>/<session>`.
fn session_name_of_arn(arn: &str) -> Option<&str> {
    let resource = arn.splitn(6, ':').nth(5)?;
    let (_, session) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (!session.is_empty()).then_some(session)
}
