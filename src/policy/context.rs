//! The context of a request: who asked and from where, what was asked for and how
//! AWS answered.
//!
//! In two halves. What follows from the session, the client, the place and the
//! attribution is the same for many requests, and is worked out once for them.

use super::facts::{Facts, Terms, WEEKDAYS, hour, session_age_hours, weekday};
use super::mentions::{Attribute as A, Mentions};
use super::settings::{Settings, is_account_id};
use super::values::{Attributes, Value};
use crate::model::network::{Place, Source};
use crate::model::{AccessPath, Attribution, Credential, Dataset, TlsVersion};
use percent_encoding::percent_decode_str;

impl<'a> Facts<'a> {
    /// Who asked, from where, and who that was.
    pub(super) fn who(&self, terms: Terms<'a>) -> Attributes<'a> {
        let Terms {
            settings, mentions, ..
        } = terms;
        let Facts {
            access,
            attribution,
            credential,
            ..
        } = *self;
        let principal = access.principal;
        let caller_account = || {
            principal
                .account_id
                .as_deref()
                .or(principal.session_issuer_account_id.as_deref())
                .filter(|id| is_account_id(id))
        };
        let mut who = Attributes::new(mentions);
        who.text(A::AccessPath, Some(attribution.access_path.as_str()));
        who.text(A::Credential, Some(credential.as_str()));
        who.text(A::IdentityType, principal.identity_type.as_deref());
        who.text(A::RoleArn, principal.session_issuer_arn.as_deref());
        who.text(A::SessionName, principal.session_name.as_deref());
        who.text(A::SourceIdentity, principal.source_identity.as_deref());
        who.text(A::UserAgent, access.client.user_agent.as_deref());
        who.text(A::InvokedBy, principal.invoked_by.as_deref());
        who.truth(A::AwsServiceInvoked, || self.is_aws_service());
        who.truth(A::Presigned, || access.presigned);
        who.put(A::Network, || {
            Some(Value::Record(self.network(settings, mentions)))
        });
        who.put(A::Tls, || {
            let version = access.client.tls.known_version()?;
            Some(Value::Text(tls_text(version)))
        });
        who.put(A::CallerAccountId, || caller_account().map(Value::Text));
        who.put(A::OwnAccountIds, || {
            Some(Value::Setting(&settings.own_account_ids))
        });
        who.truth(A::ForeignAccount, || {
            caller_account().is_some_and(|id| settings.is_foreign(id))
        });
        who.text(A::WorkspaceId, attribution.workspace_id.as_deref());
        who.text(A::ClusterId, attribution.cluster_id.as_deref());
        who.text(A::JobId, attribution.job_id.as_deref());
        who.text(A::JobRunId, attribution.job_run_id.as_deref());
        who.text(A::TaskKey, attribution.task_key.as_deref());
        who.put(A::Confidence, || {
            Some(Value::Record(confidences(attribution, mentions)))
        });
        let unattributed = attribution
            .unattributed_reason
            .map(|reason| reason.as_str());
        who.text(A::UnattributedReason, unattributed);
        who
    }

    /// Whether an AWS service made the call, for itself or on someone's behalf.
    fn is_aws_service(&self) -> bool {
        self.attribution.access_path == AccessPath::AwsService
            || self.credential == Credential::Service
            || self.access.principal.invoked_by.is_some()
    }

    fn network(&self, settings: &Settings, mentions: Mentions) -> Attributes<'a> {
        let client = self.access.client;
        let source = client.source_ip.as_deref().map(Source::parse);
        let vpc_endpoint_id = client.vpc_endpoint_id.as_deref();
        let place = settings.networks.place(source, vpc_endpoint_id);
        let mut network = Attributes::new(mentions);
        network.put(A::SourceIp, || {
            source.and_then(Source::address).map(Value::Address)
        });
        network.text(A::Kind, source.map(Source::kind));
        network.text(A::VpcEndpointId, vpc_endpoint_id);
        network.truth(A::InsideKnownNetworks, || place == Place::Inside);
        network.truth(A::OutsideKnownNetworks, || place == Place::Outside);
        network
    }

    /// What was asked for, how AWS answered, when, and how old the session was then.
    pub(super) fn request(&self, terms: Terms<'a>) -> Attributes<'a> {
        let access = self.access;
        let settings = terms.settings;
        let age = || session_age_hours(access);
        let mut request = Attributes::new(terms.mentions);
        request.text(A::EventName, Some(access.event_name));
        request.text(A::Outcome, Some(access.outcome.as_str()));
        request.put(A::SessionAgeHours, || {
            age().map(|age| Value::Long(i64::from(age)))
        });
        request.truth(A::SessionAgeLimitExceeded, || {
            age().is_some_and(|age| age > settings.session_age_max_hours)
        });
        request.text(A::Sse, access.sse);
        request.text(A::KmsKeyArn, access.kms_key_arn);
        request.put(A::KmsKeyAccountId, || {
            access.kms_key_arn.and_then(arn_account).map(Value::Text)
        });
        request.text(A::ErrorCode, access.error_code);
        request.text(A::ListPrefix, access.list_prefix);
        request.text(A::VersionId, access.version_id);
        request.text(A::CopySource, access.copy_source);
        request.put(A::CopySourceBucket, || {
            access
                .copy_source
                .and_then(copy_source_bucket)
                .map(Value::Text)
        });
        let copied = || {
            access
                .copy_source
                .and_then(|source| copied_dataset(source, terms))
        };
        request.put(A::CopySourceDataset, || Some(Value::Text(&copied()?.name)));
        request.put(A::CopySourceSensitivity, || {
            copied()?.sensitivity.as_deref().map(Value::Text)
        });
        request.put(A::CopyDestinationAccountId, || {
            let account = access.target.bucket_account_id.as_deref();
            account
                .filter(|_| access.copy_source.is_some())
                .map(Value::Text)
        });
        request.put(A::Hour, || {
            Some(Value::Long(i64::from(hour(access.event_time))))
        });
        request.put(A::Weekday, || {
            let day = WEEKDAYS.get(usize::from(weekday(access.event_time)))?;
            Some(Value::Text(day))
        });
        request.truth(A::Settled, || self.settled);
        request
    }
}

/// The dataset that the source of a copy lies in. It is sent URL-encoded, and a version
/// may be asked for behind it.
fn copied_dataset<'a>(source: &str, terms: Terms<'a>) -> Option<&'a Dataset> {
    let source = source
        .split_once("?versionId=")
        .map_or(source, |(source, _)| source);
    let source = percent_decode_str(source).decode_utf8().ok()?;
    let source = source.strip_prefix('/').unwrap_or(&source);
    if source.starts_with("arn:") {
        return None;
    }
    let (bucket, key) = source.split_once('/')?;
    let datasets = terms.datasets;
    datasets.get(datasets.find(bucket, Some(key))?)
}

fn confidences(attribution: &Attribution, mentions: Mentions) -> Attributes<'static> {
    let mut levels = Attributes::new(mentions);
    for (attribute, level) in [
        (A::Session, attribution.session_confidence),
        (A::Workspace, attribution.workspace_confidence),
        (A::Cluster, attribution.cluster_confidence),
        (A::Job, attribution.job_confidence),
        (A::Task, attribution.task_confidence),
        (A::Principal, attribution.principal_confidence),
    ] {
        levels.text(attribute, Some(level.as_str()));
    }
    levels
}

fn tls_text(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::None => "none",
        TlsVersion::Ssl => "ssl",
        TlsVersion::V1_0 => "1.0",
        TlsVersion::V1_1 => "1.1",
        TlsVersion::V1_2 => "1.2",
        TlsVersion::V1_3 => "1.3",
    }
}

/// The account in an ARN: `arn:partition:service:region:account:resource`.
fn arn_account(arn: &str) -> Option<&str> {
    arn.split(':').nth(4).filter(|id| is_account_id(id))
}

/// The bucket of a copy's source: `bucket/key`, maybe with a leading slash, maybe
/// with its first slash encoded. An access point's ARN names no bucket.
fn copy_source_bucket(source: &str) -> Option<&str> {
    let source = source.strip_prefix('/').unwrap_or(source);
    let bucket = source.split(['/', '%']).next()?;
    (!bucket.is_empty() && !bucket.starts_with("arn:")).then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_key_is_in_its_arn() {
        let account = arn_account("arn:aws:kms:eu-west-1:111122223333:key/1a2b");
        assert_eq!(account, Some("111122223333"));
        assert_eq!(arn_account("alias/lake"), None);
    }

    #[test]
    fn the_bucket_of_a_copy_source_ends_at_the_first_slash() {
        for (source, bucket) in [
            ("lake/a/b", Some("lake")),
            ("/lake/a", Some("lake")),
            ("lake%2Fa%2Fb", Some("lake")),
            ("%2Flake/a", None),
            (
                "arn:aws:s3:eu-west-1:111122223333:accesspoint/x/object/k",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(copy_source_bucket(source), bucket, "{source}");
        }
    }
}
