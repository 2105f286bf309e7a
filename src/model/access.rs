//! An S3 access as CloudTrail recorded it: who called, from where, on what.
//!
//! What repeats from event to event is grouped (`Principal`, `Client`,
//! `Target`), because decisions repeat with it: a log object of thousands of
//! events holds a handful of each, and attribution and judgement are made once
//! for each combination instead of once for each event.

use super::time::UtcMicros;
use hashbrown::Equivalent;
use std::hash::Hash;

/// The principal as AWS saw it: what `userIdentity` says, nothing inferred.
///
/// Source: CloudTrail user guide, userIdentity element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Principal<S = String> {
    pub identity_type: Option<S>,
    /// `<AROA id>:<session name>` for a role session.
    pub principal_id: Option<S>,
    pub arn: Option<S>,
    pub account_id: Option<S>,
    pub user_name: Option<S>,
    /// `ASIA…` temporary, `AKIA…` long-term; AWS's samples print `AKIA` for both.
    pub access_key_id: Option<S>,
    /// DNS name of the AWS service that made the call.
    pub invoked_by: Option<S>,
    /// `sessionContext.sessionIssuer.arn`: keeps the role's path, unlike `arn`.
    pub session_issuer_arn: Option<S>,
    pub session_issuer_account_id: Option<S>,
    /// Last segment of an `assumed-role` ARN, else what follows the role's id in
    /// `principal_id`.
    pub session_name: Option<S>,
    /// `sessionContext.attributes.creationDate`.
    pub session_issued_at: Option<UtcMicros>,
    pub source_identity: Option<S>,
    /// `inScopeOf.issuerType`, since eventVersion 1.11.
    pub in_scope_issuer_type: Option<S>,
    /// `inScopeOf.credentialsIssuedTo`, an ARN.
    pub in_scope_issued_to: Option<S>,
    /// `sessionContext.ec2RoleDelivery`: "1.0" IMDSv1, "2.0" IMDSv2.
    pub ec2_role_delivery: Option<S>,
}

/// Where the request came from and how it was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Client<S = String> {
    /// An address, a service's DNS name, or `AWS Internal`; kept as text.
    pub source_ip: Option<S>,
    pub user_agent: Option<S>,
    pub vpc_endpoint_id: Option<S>,
    pub tls: Tls<S>,
    /// `AuthHeader` or `QueryString`.
    pub auth_method: Option<S>,
}

/// What the record says of the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tls<S = String> {
    /// `tlsDetails.tlsVersion`, for example `TLSv1.3`.
    pub version: Option<S>,
    /// No TLS at all: a direct request that transferred data, whose record
    /// (eventVersion 1.08 or later, which has `tlsDetails`) shows neither
    /// `tlsDetails` nor a `CipherSuite` \[inf\].
    pub plaintext: bool,
}

/// TLS versions in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// Plain HTTP.
    None,
    Ssl,
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

impl<S: AsRef<str>> Tls<S> {
    /// The version, where the record tells one that is known.
    pub fn known_version(&self) -> Option<TlsVersion> {
        if self.plaintext {
            return Some(TlsVersion::None);
        }
        match self.version.as_ref()?.as_ref() {
            "TLSv1.3" => Some(TlsVersion::V1_3),
            "TLSv1.2" => Some(TlsVersion::V1_2),
            "TLSv1.1" => Some(TlsVersion::V1_1),
            "TLSv1" | "TLSv1.0" => Some(TlsVersion::V1_0),
            "SSLv3" | "SSLv2" => Some(TlsVersion::Ssl),
            _ => None,
        }
    }
}

/// The account, region and bucket that the request addressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Target<S = String> {
    /// `recipientAccountId`, else the account in the object key.
    pub aws_account_id: Option<S>,
    pub aws_region: Option<S>,
    pub bucket: Option<S>,
    /// Account of the `AWS::S3::Bucket` in `resources[]`.
    pub bucket_account_id: Option<S>,
}

impl Principal<&str> {
    pub fn to_owned(&self) -> Principal {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Principal {
            identity_type: own(self.identity_type),
            principal_id: own(self.principal_id),
            arn: own(self.arn),
            account_id: own(self.account_id),
            user_name: own(self.user_name),
            access_key_id: own(self.access_key_id),
            invoked_by: own(self.invoked_by),
            session_issuer_arn: own(self.session_issuer_arn),
            session_issuer_account_id: own(self.session_issuer_account_id),
            session_name: own(self.session_name),
            session_issued_at: self.session_issued_at,
            source_identity: own(self.source_identity),
            in_scope_issuer_type: own(self.in_scope_issuer_type),
            in_scope_issued_to: own(self.in_scope_issued_to),
            ec2_role_delivery: own(self.ec2_role_delivery),
        }
    }
}

impl Principal<&str> {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        sum_of(&[
            self.identity_type,
            self.principal_id,
            self.arn,
            self.account_id,
            self.user_name,
            self.access_key_id,
            self.invoked_by,
            self.session_issuer_arn,
            self.session_issuer_account_id,
            self.session_name,
            self.source_identity,
            self.in_scope_issuer_type,
            self.in_scope_issued_to,
            self.ec2_role_delivery,
        ])
    }
}

impl Client<&str> {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        sum_of(&[
            self.source_ip,
            self.user_agent,
            self.vpc_endpoint_id,
            self.tls.version,
            self.auth_method,
        ])
    }
}

impl Target<&str> {
    /// Bytes of its texts.
    pub fn text_bytes(&self) -> usize {
        sum_of(&[
            self.aws_account_id,
            self.aws_region,
            self.bucket,
            self.bucket_account_id,
        ])
    }
}

fn sum_of(texts: &[Option<&str>]) -> usize {
    texts.iter().flatten().map(|text| text.len()).sum()
}

impl Principal {
    pub fn as_refs(&self) -> Principal<&str> {
        Principal {
            identity_type: self.identity_type.as_deref(),
            principal_id: self.principal_id.as_deref(),
            arn: self.arn.as_deref(),
            account_id: self.account_id.as_deref(),
            user_name: self.user_name.as_deref(),
            access_key_id: self.access_key_id.as_deref(),
            invoked_by: self.invoked_by.as_deref(),
            session_issuer_arn: self.session_issuer_arn.as_deref(),
            session_issuer_account_id: self.session_issuer_account_id.as_deref(),
            session_name: self.session_name.as_deref(),
            session_issued_at: self.session_issued_at,
            source_identity: self.source_identity.as_deref(),
            in_scope_issuer_type: self.in_scope_issuer_type.as_deref(),
            in_scope_issued_to: self.in_scope_issued_to.as_deref(),
            ec2_role_delivery: self.ec2_role_delivery.as_deref(),
        }
    }
}

impl Client<&str> {
    pub fn to_owned(&self) -> Client {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Client {
            source_ip: own(self.source_ip),
            user_agent: own(self.user_agent),
            vpc_endpoint_id: own(self.vpc_endpoint_id),
            tls: Tls {
                version: own(self.tls.version),
                plaintext: self.tls.plaintext,
            },
            auth_method: own(self.auth_method),
        }
    }
}

impl Client {
    pub fn as_refs(&self) -> Client<&str> {
        Client {
            source_ip: self.source_ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
            vpc_endpoint_id: self.vpc_endpoint_id.as_deref(),
            tls: Tls {
                version: self.tls.version.as_deref(),
                plaintext: self.tls.plaintext,
            },
            auth_method: self.auth_method.as_deref(),
        }
    }
}

impl Target<&str> {
    pub fn to_owned(&self) -> Target {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Target {
            aws_account_id: own(self.aws_account_id),
            aws_region: own(self.aws_region),
            bucket: own(self.bucket),
            bucket_account_id: own(self.bucket_account_id),
        }
    }
}

impl Target {
    pub fn as_refs(&self) -> Target<&str> {
        Target {
            aws_account_id: self.aws_account_id.as_deref(),
            aws_region: self.aws_region.as_deref(),
            bucket: self.bucket.as_deref(),
            bucket_account_id: self.bucket_account_id.as_deref(),
        }
    }
}

// A borrowed group finds its kept twin without an allocation; derived `Hash`
// gives both the same hash, because `str` and `String` hash alike.
impl Equivalent<Principal> for Principal<&str> {
    fn equivalent(&self, key: &Principal) -> bool {
        *self == key.as_refs()
    }
}
impl Equivalent<Client> for Client<&str> {
    fn equivalent(&self, key: &Client) -> bool {
        *self == key.as_refs()
    }
}
impl Equivalent<Target> for Target<&str> {
    fn equivalent(&self, key: &Target) -> bool {
        *self == key.as_refs()
    }
}

/// One S3 event, borrowed from wherever it is kept.
///
/// Every field but the first three may be missing: real records do (see
/// CONTRIBUTING.md for the shapes met).
#[derive(Clone, Copy, Debug)]
pub struct AccessEvent<'a> {
    pub event_id: &'a str,
    /// Completion of the request, whole seconds, clock of the serving host.
    pub event_time: UtcMicros,
    pub event_name: &'a str,
    pub operation: Operation,
    pub outcome: Outcome,
    pub error_code: Option<&'a str>,
    pub error_message: Option<&'a str>,
    pub object_key: Option<&'a str>,
    pub list_prefix: Option<&'a str>,
    pub version_id: Option<&'a str>,
    /// `x-amz-copy-source` as sent: `bucket/key`, URL-encoded.
    pub copy_source: Option<&'a str>,
    pub bytes_in: Option<i64>,
    pub bytes_out: Option<i64>,
    /// `SSE_S3`, `SSE_KMS`, `DSSE_KMS`, `SSE_C`, or what S3 wrote if none of these.
    pub sse: Option<&'a str>,
    pub kms_key_arn: Option<&'a str>,
    pub presigned: bool,
    /// When the URL was signed (`X-Amz-Date`), which may be days before it was used.
    /// Only of a pre-signed one.
    pub signed_at: Option<UtcMicros>,
    pub request_id: Option<&'a str>,
    pub shared_event_id: Option<&'a str>,
    /// First half of the SHA-256 of the record's content, where its eventID is
    /// missing or no GUID and so does not tell it from others.
    pub content_id: Option<[u8; 16]>,
    pub principal: &'a Principal,
    pub client: &'a Client,
    pub target: &'a Target,
}

/// What an access asked for, and how AWS answered: less than the whole, for
/// decisions that look at nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub operation: Operation,
    pub outcome: Outcome,
    pub bucket: Option<&'a str>,
    pub object_key: Option<&'a str>,
    pub list_prefix: Option<&'a str>,
}

impl<'a> AccessEvent<'a> {
    pub fn asked(&self) -> Asked<'a> {
        Asked {
            operation: self.operation,
            outcome: self.outcome,
            bucket: self.target.bucket.as_deref(),
            object_key: self.object_key,
            list_prefix: self.list_prefix,
        }
    }
}

/// What an S3 event does to data, by event name (facts-identity 3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Read,
    List,
    Write,
    Delete,
    Permission,
    Other,
}

/// How AWS answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Ok,
    Denied,
    Error,
}

/// What kind of credential signed the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    Temporary,
    Static,
    Service,
    Anonymous,
    Unknown,
}

impl Operation {
    pub const ALL: [Operation; 6] = [
        Operation::Read,
        Operation::List,
        Operation::Write,
        Operation::Delete,
        Operation::Permission,
        Operation::Other,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Write => "write",
            Operation::Delete => "delete",
            Operation::Permission => "permission",
            Operation::Other => "other",
        }
    }
}

impl Outcome {
    pub const ALL: [Outcome; 3] = [Outcome::Ok, Outcome::Denied, Outcome::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Denied => "denied",
            Outcome::Error => "error",
        }
    }
}

impl Credential {
    pub const ALL: [Credential; 5] = [
        Credential::Temporary,
        Credential::Static,
        Credential::Service,
        Credential::Anonymous,
        Credential::Unknown,
    ];

    pub fn parse(text: &str) -> Option<Credential> {
        let mut credentials = Credential::ALL.into_iter();
        credentials.find(|credential| credential.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Credential::Temporary => "temporary",
            Credential::Static => "static",
            Credential::Service => "service",
            Credential::Anonymous => "anonymous",
            Credential::Unknown => "unknown",
        }
    }
}
