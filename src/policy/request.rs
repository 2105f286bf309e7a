//! Puts an access into Cedar's terms: action, resource, entities, context.
//!
//! What a record leaves out is left out here; nothing is made up for it. The
//! types are those of `schema.cedarschema`; a test validates generated requests
//! against it, so that none is validated when it is judged.
//!
//! In two steps: [`Facts::inputs`] collects plain values, of the inputs that rules
//! mention; [`Inputs::question`] makes Cedar's request of them when it is needed.
//!
//! INVARIANT (same inputs, same answer): the request is made of [`Inputs`] alone,
//! and [`Inputs::write`] writes all of them.

use super::mentions::{Attribute, EntityType, Mentions};
use super::settings::{Settings, is_account_id};
use super::values::{Attributes, Value, write_optional, write_text};
use super::vocabulary::{Action, Level, Vocabulary};
use crate::model::network::{Place, Source};
use crate::model::{
    AccessEvent, AccessPath, Attribution, Credential, Dataset, PrincipalKind, TimeSpan, TlsVersion,
    UtcMicros,
};
use cedar_policy::{Context, Entities, Entity, EntityUid};
use std::collections::HashSet;

/// An hour, in microseconds.
const HOUR_MICROS: i64 = 3_600_000_000;

/// Returns the whole hours between the session's issue and the event, the only
/// form in which policies see the age of a session.
///
/// `None` when the record tells no issue. A clock that ran behind gives 0.
pub fn session_age_hours(access: &AccessEvent<'_>) -> Option<u32> {
    let issued_at = access.principal.session_issued_at?;
    let age = access.event_time.0.saturating_sub(issued_at.0).max(0);
    Some(u32::try_from(age / HOUR_MICROS).unwrap_or(u32::MAX))
}

/// Returns the times at which [`session_age_hours`] gives the same for the same
/// principal.
pub fn session_age_span(access: &AccessEvent<'_>) -> TimeSpan {
    let (Some(issued_at), Some(hours)) = (
        access.principal.session_issued_at,
        session_age_hours(access),
    ) else {
        return TimeSpan::ALWAYS;
    };
    let after = |hours: i64| {
        let age = hours.checked_mul(HOUR_MICROS)?;
        issued_at.0.checked_add(age)
    };
    let hours = i64::from(hours);
    TimeSpan {
        from: after(hours)
            .filter(|_| hours > 0)
            .map_or(UtcMicros::MIN, UtcMicros),
        until: after(hours + 1).map_or(UtcMicros::MAX, |end| UtcMicros(end.saturating_sub(1))),
    }
}

/// All that a judgement rests on.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub access: &'a AccessEvent<'a>,
    pub attribution: &'a Attribution,
    pub credential: Credential,
    pub dataset: Option<&'a Dataset>,
}

/// What a request is made of: the facts that the rules can tell apart.
pub(super) struct Inputs<'a> {
    principals: Vec<Named<'a>>,
    action: &'a Action,
    level: Level,
    resource: Resource<'a>,
    context: Attributes<'a>,
}

/// A principal: its type and its name, "" where no rule tells the names apart.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Named<'a> {
    of: EntityType,
    name: &'a str,
}

/// The resource and what it lies in: "" and `None` where no rule tells them apart.
struct Resource<'a> {
    account: Option<&'a str>,
    dataset: Option<&'a str>,
    bucket: &'a str,
    object_bucket: &'a str,
    object_key: &'a str,
    attributes: Attributes<'a>,
}

/// A request to Cedar, but for its principal.
pub(super) struct Question {
    pub action: EntityUid,
    pub resource: EntityUid,
    pub context: Context,
    pub entities: Entities,
}

/// What a fault of ours, or of Cedar's constructors, is reported with.
pub(super) type Fault = Box<dyn std::error::Error>;

impl<'a> Facts<'a> {
    /// Collects what the rules can tell apart; `None` if the operation has no
    /// action.
    pub(super) fn inputs(
        &self,
        vocabulary: &'a Vocabulary,
        settings: &'a Settings,
        mentions: Mentions,
    ) -> Option<Inputs<'a>> {
        let (action, level) = vocabulary.action(self.access.event_name, self.access.operation)?;
        Some(Inputs {
            principals: self.principals(mentions),
            action,
            level,
            resource: self.resource(level, mentions),
            context: self.context(settings, mentions),
        })
    }

    /// Returns whom the access is judged as: the attributed principal, every
    /// candidate if there are several, else whom AWS names.
    fn principals(&self, mentions: Mentions) -> Vec<Named<'a>> {
        let told = |principal: Named<'a>| {
            if mentions.names(principal.of) {
                principal
            } else {
                Named {
                    name: "",
                    ..principal
                }
            }
        };
        let attribution = self.attribution;
        if !mentions.principal_types() {
            return vec![Named {
                of: EntityType::Unattributed,
                name: "",
            }];
        }
        if let Some(name) = attribution.principal.as_deref() {
            return vec![told(match attribution.principal_kind {
                Some(PrincipalKind::User) => Named {
                    of: EntityType::User,
                    name,
                },
                Some(PrincipalKind::ServicePrincipal) => Named {
                    of: EntityType::ServicePrincipal,
                    name,
                },
                None => by_shape(name),
            })];
        }
        if !attribution.principal_candidates.is_empty() {
            let candidates = attribution.principal_candidates.iter();
            let mut principals: Vec<Named<'a>> =
                candidates.map(|name| told(by_shape(name))).collect();
            principals.dedup();
            return principals;
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
        vec![told(match name {
            Some(name) => Named {
                of: EntityType::AwsIdentity,
                name,
            },
            None => Named {
                of: EntityType::Unattributed,
                name: "unknown",
            },
        })]
    }

    /// Collects the resource and what it lies in.
    fn resource(&self, level: Level, mentions: Mentions) -> Resource<'a> {
        let target = self.access.target;
        let mut account = target.bucket_account_id.as_deref();
        let bucket = target.bucket.as_deref().unwrap_or("");
        let mut attributes = Attributes::new(mentions);
        match level {
            Level::Account => {
                account = account.or(target.aws_account_id.as_deref());
                attributes.text(Attribute::AccountId, account);
            }
            Level::Bucket => self.add_place(&mut attributes),
            Level::Object => {
                self.add_place(&mut attributes);
                attributes.text(Attribute::Key, self.access.object_key);
            }
        }
        let told = |of: EntityType, name: Option<&'a str>| name.filter(|_| mentions.names(of));
        let dataset = self.dataset.map(|dataset| dataset.name.as_str());
        Resource {
            account: told(EntityType::Account, account),
            dataset: told(EntityType::Dataset, dataset),
            bucket: told(EntityType::Bucket, Some(bucket)).unwrap_or(""),
            object_bucket: told(EntityType::Object, Some(bucket)).unwrap_or(""),
            object_key: told(EntityType::Object, self.access.object_key).unwrap_or(""),
            attributes,
        }
    }

    fn add_place(&self, attributes: &mut Attributes<'a>) {
        let target = self.access.target;
        attributes.text(Attribute::Bucket, target.bucket.as_deref());
        attributes.text(Attribute::AccountId, target.bucket_account_id.as_deref());
        attributes.text(Attribute::Region, target.aws_region.as_deref());
        if let Some(dataset) = self.dataset {
            attributes.text(Attribute::Dataset, Some(&dataset.name));
            attributes.text(Attribute::Sensitivity, dataset.sensitivity.as_deref());
            attributes.text(Attribute::Owner, dataset.owner.as_deref());
        }
    }

    fn context(&self, settings: &'a Settings, mentions: Mentions) -> Attributes<'a> {
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
        let age = || session_age_hours(access);

        use Attribute as A;
        let mut context = Attributes::new(mentions);
        context.text(A::EventName, Some(access.event_name));
        context.text(A::Outcome, Some(access.outcome.as_str()));
        context.text(A::AccessPath, Some(attribution.access_path.as_str()));
        context.text(A::Credential, Some(credential.as_str()));
        context.text(A::IdentityType, principal.identity_type.as_deref());
        context.text(A::RoleArn, principal.session_issuer_arn.as_deref());
        context.text(A::SessionName, principal.session_name.as_deref());
        context.text(A::SourceIdentity, principal.source_identity.as_deref());
        context.text(A::UserAgent, access.client.user_agent.as_deref());
        context.text(A::InvokedBy, principal.invoked_by.as_deref());
        context.truth(A::AwsServiceInvoked, || self.is_aws_service());
        context.truth(A::Presigned, || access.presigned);
        context.put(A::SessionAgeHours, || {
            age().map(|age| Value::Long(i64::from(age)))
        });
        context.truth(A::SessionAgeLimitExceeded, || {
            age().is_some_and(|age| age > settings.session_age_max_hours)
        });
        context.put(A::Network, || {
            Some(Value::Record(self.network(settings, mentions)))
        });
        context.put(A::Tls, || {
            let version = access.client.tls.known_version()?;
            Some(Value::Text(tls_text(version)))
        });
        context.text(A::Sse, access.sse);
        context.text(A::KmsKeyArn, access.kms_key_arn);
        context.put(A::KmsKeyAccountId, || {
            access.kms_key_arn.and_then(arn_account).map(Value::Text)
        });
        context.put(A::CallerAccountId, || caller_account().map(Value::Text));
        context.put(A::OwnAccountIds, || {
            Some(Value::Setting(&settings.own_account_ids))
        });
        context.truth(A::ForeignAccount, || {
            caller_account().is_some_and(|id| settings.is_foreign(id))
        });
        context.text(A::WorkspaceId, attribution.workspace_id.as_deref());
        context.text(A::ClusterId, attribution.cluster_id.as_deref());
        context.text(A::JobId, attribution.job_id.as_deref());
        context.text(A::JobRunId, attribution.job_run_id.as_deref());
        context.text(A::TaskKey, attribution.task_key.as_deref());
        context.put(A::Confidence, || {
            Some(Value::Record(confidences(attribution, mentions)))
        });
        let unattributed = attribution
            .unattributed_reason
            .map(|reason| reason.as_str());
        context.text(A::UnattributedReason, unattributed);
        context.text(A::ErrorCode, access.error_code);
        context.text(A::ListPrefix, access.list_prefix);
        context.text(A::VersionId, access.version_id);
        context.text(A::CopySource, access.copy_source);
        context.put(A::CopySourceBucket, || {
            access
                .copy_source
                .and_then(copy_source_bucket)
                .map(Value::Text)
        });
        context
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
        network.put(Attribute::SourceIp, || {
            source.and_then(Source::address).map(Value::Address)
        });
        network.text(Attribute::Kind, source.map(Source::kind));
        network.text(Attribute::VpcEndpointId, vpc_endpoint_id);
        network.truth(Attribute::InsideKnownNetworks, || place == Place::Inside);
        network.truth(Attribute::OutsideKnownNetworks, || place == Place::Outside);
        network
    }
}

impl Inputs<'_> {
    /// Writes the inputs; no two different ones give the same bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Inputs {
            principals,
            action,
            level,
            resource,
            context,
        } = self;
        out.push(*level as u8);
        write_text(action.name(), out);
        let Resource {
            account,
            dataset,
            bucket,
            object_bucket,
            object_key,
            attributes,
        } = resource;
        write_optional(*account, out);
        write_optional(*dataset, out);
        write_text(bucket, out);
        write_text(object_bucket, out);
        write_text(object_key, out);
        attributes.write(out);
        context.write(out);
        // Last, so that their number needs no writing.
        for principal in principals {
            out.push(principal.of as u8);
            write_text(principal.name, out);
        }
    }

    /// Returns whom the access is judged as.
    pub(super) fn principals(&self, vocabulary: &Vocabulary) -> Vec<EntityUid> {
        self.principals
            .iter()
            .map(|principal| vocabulary.entity(principal.of, principal.name))
            .collect()
    }

    /// Puts the inputs into Cedar's terms.
    pub(super) fn question(&self, vocabulary: &Vocabulary) -> Result<Question, Fault> {
        let (resource, mut entities) = self.entities(vocabulary)?;
        entities.push(self.action.entity.clone());
        Ok(Question {
            action: self.action.uid.clone(),
            resource,
            context: Context::from_pairs(self.context.expressions()?)?,
            entities: Entities::from_entities(entities, None)?,
        })
    }

    /// Returns the resource and the entities that say what it lies in.
    fn entities(&self, vocabulary: &Vocabulary) -> Result<(EntityUid, Vec<Entity>), Fault> {
        let Resource {
            account,
            dataset,
            bucket,
            object_bucket,
            object_key,
            ..
        } = self.resource;
        let attributes = self.resource.attributes.expressions()?;
        let account_uid = account.map(|id| vocabulary.entity(EntityType::Account, id));
        let bucket = vocabulary.entity(EntityType::Bucket, bucket);
        let dataset = dataset.map(|name| vocabulary.entity(EntityType::Dataset, name));
        match self.level {
            Level::Account => {
                let uid = vocabulary.entity(EntityType::Account, account.unwrap_or(""));
                let entity = Entity::new(uid.clone(), attributes, HashSet::new())?;
                Ok((uid, vec![entity]))
            }
            Level::Bucket => {
                let parents = dataset.into_iter().chain(account_uid).collect();
                let entity = Entity::new(bucket.clone(), attributes, parents)?;
                Ok((bucket, vec![entity]))
            }
            Level::Object => {
                let uid = vocabulary.object(object_bucket, object_key);
                let above = account_uid.into_iter().collect();
                let bucket_entity = Entity::new_no_attrs(bucket.clone(), above);
                let parents = dataset.into_iter().chain([bucket]).collect();
                let entity = Entity::new(uid.clone(), attributes, parents)?;
                Ok((uid, vec![entity, bucket_entity]))
            }
        }
    }
}

fn confidences(attribution: &Attribution, mentions: Mentions) -> Attributes<'static> {
    let mut levels = Attributes::new(mentions);
    for (attribute, level) in [
        (Attribute::Session, attribution.session_confidence),
        (Attribute::Workspace, attribution.workspace_confidence),
        (Attribute::Cluster, attribution.cluster_confidence),
        (Attribute::Job, attribution.job_confidence),
        (Attribute::Task, attribution.task_confidence),
        (Attribute::Principal, attribution.principal_confidence),
    ] {
        levels.text(attribute, Some(level.as_str()));
    }
    levels
}

/// A principal of Databricks whose kind is not recorded: people have e-mail
/// addresses, service principals application ids.
fn by_shape(name: &str) -> Named<'_> {
    let of = if name.contains('@') {
        EntityType::User
    } else {
        EntityType::ServicePrincipal
    };
    Named { of, name }
}

fn is_anonymous(name: &str) -> bool {
    name.is_empty() || name == "anonymous" || name == "ANONYMOUS_PRINCIPAL"
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
