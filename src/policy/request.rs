//! Puts an access into Cedar's terms: action, resource, entities, context.
//!
//! What a record leaves out is left out here; nothing is made up for it. The
//! types are those of `schema.cedarschema`; a test validates generated requests
//! against it, so that none is validated when it is judged.

use super::network::{Place, Source};
use super::reads::Reads;
use super::settings::{Settings, is_account_id};
use super::vocabulary::{Action, Level, Vocabulary};
use crate::model::{
    AccessEvent, AccessPath, Attribution, Confidence, Credential, Dataset, PrincipalKind,
    TlsVersion,
};
use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression};
use std::collections::{HashMap, HashSet};

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

/// All that a judgement rests on.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub access: &'a AccessEvent<'a>,
    pub attribution: &'a Attribution,
    pub credential: Credential,
    pub dataset: Option<&'a Dataset>,
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

impl Facts<'_> {
    /// Returns whom the access is judged as: the attributed principal, every
    /// candidate if there are several, else whom AWS names.
    pub(super) fn principals(&self, vocabulary: &Vocabulary) -> Vec<EntityUid> {
        let attribution = self.attribution;
        if let Some(name) = &attribution.principal {
            return vec![match attribution.principal_kind {
                Some(PrincipalKind::User) => vocabulary.user(name),
                Some(PrincipalKind::ServicePrincipal) => vocabulary.service_principal(name),
                None => by_shape(vocabulary, name),
            }];
        }
        if !attribution.principal_candidates.is_empty() {
            let candidates = attribution.principal_candidates.iter();
            return candidates.map(|name| by_shape(vocabulary, name)).collect();
        }
        let principal = &self.access.principal;
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
            Some(name) => vocabulary.aws_identity(name),
            None => vocabulary.unattributed(),
        }]
    }

    /// Puts the access into Cedar's terms.
    pub(super) fn question(
        &self,
        vocabulary: &Vocabulary,
        settings: &Settings,
        reads: Reads,
    ) -> Result<Question, Fault> {
        let action = vocabulary
            .action(self.access.event_name, self.access.operation)
            .ok_or("the operation has no action")?;
        let (resource, mut entities) = self.resource(&action, vocabulary, reads)?;
        entities.push(action.entity);
        Ok(Question {
            action: action.uid,
            resource,
            context: self.context(settings, reads)?,
            entities: Entities::from_entities(entities, None)?,
        })
    }

    /// Returns the resource and the entities that say what it lies in.
    fn resource(
        &self,
        action: &Action,
        vocabulary: &Vocabulary,
        reads: Reads,
    ) -> Result<(EntityUid, Vec<Entity>), Fault> {
        let target = self.access.target;
        let account = target.bucket_account_id.as_deref();
        let bucket_name = target.bucket.as_deref().unwrap_or("");
        let bucket = vocabulary.bucket(bucket_name);
        let dataset = self
            .dataset
            .map(|dataset| vocabulary.dataset(&dataset.name));
        let account_uid = account.map(|id| vocabulary.account(id));

        let mut attributes = Attributes::default();
        match action.level {
            Level::Account => {
                let account = account.or(target.aws_account_id.as_deref());
                attributes.text("account_id", account);
                let uid = vocabulary.account(account.unwrap_or(""));
                let entity = Entity::new(uid.clone(), attributes.0, HashSet::new())?;
                Ok((uid, vec![entity]))
            }
            Level::Bucket => {
                self.add_place(&mut attributes);
                let parents = dataset.into_iter().chain(account_uid).collect();
                let entity = Entity::new(bucket.clone(), attributes.0, parents)?;
                Ok((bucket, vec![entity]))
            }
            Level::Object => {
                self.add_place(&mut attributes);
                let key = self.access.object_key.filter(|_| reads.object_key);
                attributes.text("key", key);
                let uid = vocabulary.object(bucket_name, key.unwrap_or(""));
                let above = account_uid.into_iter().collect();
                let bucket_entity = Entity::new_no_attrs(bucket.clone(), above);
                let parents = dataset.into_iter().chain([bucket]).collect();
                let entity = Entity::new(uid.clone(), attributes.0, parents)?;
                Ok((uid, vec![entity, bucket_entity]))
            }
        }
    }

    fn add_place(&self, attributes: &mut Attributes) {
        let target = self.access.target;
        attributes.text("bucket", target.bucket.as_deref());
        attributes.text("account_id", target.bucket_account_id.as_deref());
        attributes.text("region", target.aws_region.as_deref());
        if let Some(dataset) = self.dataset {
            attributes.text("dataset", Some(&dataset.name));
            attributes.text("sensitivity", dataset.sensitivity.as_deref());
            attributes.text("owner", dataset.owner.as_deref());
        }
    }

    fn context(&self, settings: &Settings, reads: Reads) -> Result<Context, Fault> {
        let Facts {
            access,
            attribution,
            credential,
            ..
        } = *self;
        let principal = access.principal;
        let caller_account = principal
            .account_id
            .as_deref()
            .or(principal.session_issuer_account_id.as_deref())
            .filter(|id| is_account_id(id));
        let age = session_age_hours(access);

        let mut context = Attributes::default();
        context.text("event_name", Some(access.event_name));
        context.text("outcome", Some(access.outcome.as_str()));
        context.text("access_path", Some(attribution.access_path.as_str()));
        context.text("credential", Some(credential.as_str()));
        context.text("identity_type", principal.identity_type.as_deref());
        context.text("role_arn", principal.session_issuer_arn.as_deref());
        context.text("session_name", principal.session_name.as_deref());
        context.text("source_identity", principal.source_identity.as_deref());
        context.text("user_agent", access.client.user_agent.as_deref());
        context.text("invoked_by", principal.invoked_by.as_deref());
        context.truth("aws_service_invoked", self.is_aws_service());
        context.truth("presigned", access.presigned);
        if let Some(age) = age {
            let age = RestrictedExpression::new_long(i64::from(age));
            context.put("session_age_hours", age);
        }
        let too_old = age.is_some_and(|age| age > settings.session_age_max_hours);
        context.truth("session_age_limit_exceeded", too_old);
        context.put("network", self.network(settings)?);
        context.text("tls", access.client.tls.known_version().map(tls_text));
        context.text("sse", access.sse);
        context.text("kms_key_arn", access.kms_key_arn);
        let kms_key_account = access.kms_key_arn.and_then(arn_account);
        context.text("kms_key_account_id", kms_key_account);
        context.text("caller_account_id", caller_account);
        let own = settings.own_account_ids.iter().cloned();
        let own = RestrictedExpression::new_set(own.map(RestrictedExpression::new_string));
        context.put("own_account_ids", own);
        let foreign = caller_account.is_some_and(|id| settings.is_foreign(id));
        context.truth("foreign_account", foreign);
        context.text("workspace_id", attribution.workspace_id.as_deref());
        context.text("cluster_id", attribution.cluster_id.as_deref());
        context.text("job_id", attribution.job_id.as_deref());
        context.text("job_run_id", attribution.job_run_id.as_deref());
        context.text("task_key", attribution.task_key.as_deref());
        context.put("confidence", confidences(attribution)?);
        let unattributed = attribution
            .unattributed_reason
            .map(|reason| reason.as_str());
        context.text("unattributed_reason", unattributed);

        // Per event: relies on INVARIANT (only what is read).
        context.text("error_code", access.error_code.filter(|_| reads.error_code));
        context.text(
            "list_prefix",
            access.list_prefix.filter(|_| reads.list_prefix),
        );
        context.text("version_id", access.version_id.filter(|_| reads.version_id));
        let copy_source = access.copy_source.filter(|_| reads.copy_source);
        context.text("copy_source", copy_source);
        context.text(
            "copy_source_bucket",
            copy_source.and_then(copy_source_bucket),
        );
        Ok(Context::from_pairs(context.0)?)
    }

    /// Whether an AWS service made the call, for itself or on someone's behalf.
    fn is_aws_service(&self) -> bool {
        self.attribution.access_path == AccessPath::AwsService
            || self.credential == Credential::Service
            || self.access.principal.invoked_by.is_some()
    }

    fn network(&self, settings: &Settings) -> Result<RestrictedExpression, Fault> {
        let client = self.access.client;
        let source = client.source_ip.as_deref().map(Source::parse);
        let vpc_endpoint_id = client.vpc_endpoint_id.as_deref();
        let place = settings.networks.place(source, vpc_endpoint_id);
        let mut network = Attributes::default();
        if let Some(address) = source.and_then(Source::address) {
            let address = RestrictedExpression::new_ip(address.to_string());
            network.put("source_ip", address);
        }
        network.text("kind", source.map(Source::kind));
        network.text("vpc_endpoint_id", vpc_endpoint_id);
        network.truth("inside_known_networks", place == Place::Inside);
        network.truth("outside_known_networks", place == Place::Outside);
        Ok(RestrictedExpression::new_record(network.0)?)
    }
}

/// Attributes by name; an unknown one is absent.
#[derive(Default)]
struct Attributes(HashMap<String, RestrictedExpression>);

impl Attributes {
    fn put(&mut self, name: &str, value: RestrictedExpression) {
        self.0.insert(name.to_owned(), value);
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(name, RestrictedExpression::new_string(value.to_owned()));
        }
    }

    fn truth(&mut self, name: &str, value: bool) {
        self.put(name, RestrictedExpression::new_bool(value));
    }
}

fn confidences(attribution: &Attribution) -> Result<RestrictedExpression, Fault> {
    let mut levels = Attributes::default();
    let mut put = |name, level: Confidence| levels.text(name, Some(level.as_str()));
    put("session", attribution.session_confidence);
    put("workspace", attribution.workspace_confidence);
    put("cluster", attribution.cluster_confidence);
    put("job", attribution.job_confidence);
    put("task", attribution.task_confidence);
    put("principal", attribution.principal_confidence);
    Ok(RestrictedExpression::new_record(levels.0)?)
}

/// A principal of Databricks whose kind is not recorded: people have e-mail
/// addresses, service principals application ids.
fn by_shape(vocabulary: &Vocabulary, name: &str) -> EntityUid {
    if name.contains('@') {
        vocabulary.user(name)
    } else {
        vocabulary.service_principal(name)
    }
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
