//! Identity facts that CloudTrail itself records: issued sessions, instances.

use super::time::UtcMicros;

/// A session that STS issued, or refused to issue. Never holds its token.
///
/// Source: IAM user guide, CloudTrail integration; facts-identity section 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StsSession {
    pub event_id: String,
    /// `AssumeRole`, `AssumeRoleWithSAML`, `AssumeRoleWithWebIdentity`,
    /// `GetSessionToken`, `GetFederationToken`, `AssumeRoot`.
    pub event_name: String,
    /// Time of issue; the `creationDate` of later calls equals it to the second.
    pub issued_at: UtcMicros,
    /// `None` when the record shows no expiration.
    pub expires_at: Option<UtcMicros>,
    /// Recipient of this copy of the record.
    pub aws_account_id: Option<String>,
    pub aws_region: Option<String>,
    /// The key that was issued; `None` for a refused call.
    pub access_key_id: Option<String>,
    pub role_arn: Option<String>,
    pub role_session_name: Option<String>,
    /// `<AROA id>:<session name>`.
    pub assumed_role_id: Option<String>,
    pub external_id: Option<String>,
    pub source_identity: Option<String>,
    /// The caller, as `userIdentity` names it in this copy.
    pub caller: super::access::Principal,
    pub caller_ip: Option<String>,
    /// `s3://bucket/prefix` patterns that the inline session policy allows.
    pub policy_prefixes: Vec<String>,
    /// Actions that the inline session policy allows.
    pub policy_actions: Vec<String>,
    pub error_code: Option<String>,
    pub shared_event_id: Option<String>,
    pub source_uri: String,
}

impl StsSession {
    /// Whether it is the role owner's record of another account's call, and shows its
    /// session policy: then the account's records show them where there are any.
    pub fn shows_policy(&self) -> bool {
        self.caller.identity_type.as_deref() == Some("AWSAccount")
            && !self.policy_prefixes.is_empty()
            && self.error_code.is_none()
    }
}

/// What one EC2 event said of one instance: launch, tags, or termination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ec2Instance {
    pub instance_id: String,
    pub event_id: String,
    /// `RunInstances`, `CreateFleet`, `CreateTags`, `DeleteTags`, `TerminateInstances`.
    pub event_name: String,
    pub event_time: UtcMicros,
    pub aws_account_id: Option<String>,
    pub aws_region: Option<String>,
    pub private_ip: Option<String>,
    pub instance_profile_arn: Option<String>,
    /// Tags that this event set, in the order of the record.
    pub tags: Vec<(String, String)>,
    pub source_uri: String,
}
