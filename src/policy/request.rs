//! Puts an access into Cedar's terms: action, resource, entities, context.
//!
//! What a record leaves out is left out here; nothing is made up for it. The
//! types are those of `schema.cedarschema`; a test validates generated requests
//! against it, so that none is validated when it is judged.
//!
//! In two steps: [`Facts::inputs`] collects plain values, of the inputs that rules
//! mention; [`Inputs::question`] makes Cedar's request of them when it is needed.
//!
//! INVARIANT (same inputs, same answer): the request is made of [`Inputs`] alone, and
//! [`Facts::write_who`] and [`write_request`] write all of them.

use super::context::request;
use super::mentions::{Attribute, EntityType, Mentions};
use super::settings::Settings;
use super::values::{Attributes, END, write_optional, write_text};
use super::vocabulary::{Action, Level, Vocabulary};
use crate::model::{
    AccessEvent, Attribution, Credential, Dataset, PrincipalKind, TimeSpan, UtcMicros,
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
            context: self
                .who(settings, mentions)
                .and(request(self.access, settings, mentions)),
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
        let mut resource = self.place(level, mentions);
        resource.object_key = named_key(self.access, mentions);
        if level == Level::Object {
            resource
                .attributes
                .text(Attribute::Key, self.access.object_key);
        }
        resource
    }

    /// The resource without its key.
    fn place(&self, level: Level, mentions: Mentions) -> Resource<'a> {
        let target = self.access.target;
        let mut account = target.bucket_account_id.as_deref();
        let bucket = target.bucket.as_deref().unwrap_or("");
        let mut attributes = Attributes::new(mentions);
        match level {
            Level::Account => {
                account = account.or(target.aws_account_id.as_deref());
                attributes.text(Attribute::AccountId, account);
            }
            Level::Bucket | Level::Object => self.add_place(&mut attributes),
        }
        let told = |of: EntityType, name: Option<&'a str>| name.filter(|_| mentions.names(of));
        let dataset = self.dataset.map(|dataset| dataset.name.as_str());
        Resource {
            account: told(EntityType::Account, account),
            dataset: told(EntityType::Dataset, dataset),
            bucket: told(EntityType::Bucket, Some(bucket)).unwrap_or(""),
            object_bucket: told(EntityType::Object, Some(bucket)).unwrap_or(""),
            object_key: "",
            attributes,
        }
    }

    /// Writes what the rules can tell of who asked, from where, for which place: of
    /// everything but the request itself.
    pub(super) fn write_who(&self, settings: &Settings, mentions: Mentions, out: &mut Vec<u8>) {
        for principal in self.principals(mentions) {
            out.push(principal.of as u8);
            write_text(principal.name, out);
        }
        out.push(END);
        // Whatever the request's level will be; an object's place is its bucket's.
        for level in [Level::Account, Level::Bucket] {
            self.place(level, mentions).write(out);
        }
        self.who(settings, mentions).write(out);
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
}

/// The object key, if rules name objects.
fn named_key<'a>(access: &AccessEvent<'a>, mentions: Mentions) -> &'a str {
    let key = access.object_key;
    key.filter(|_| mentions.names(EntityType::Object))
        .unwrap_or("")
}

/// Writes what the rules can tell of the request: what was asked for, how AWS
/// answered, and how old the session was then. Nothing, if the operation has no
/// action.
pub(super) fn write_request(
    access: &AccessEvent<'_>,
    vocabulary: &Vocabulary,
    settings: &Settings,
    mentions: Mentions,
    out: &mut Vec<u8>,
) {
    let Some((action, level)) = vocabulary.action(access.event_name, access.operation) else {
        return;
    };
    out.push(level as u8);
    write_text(action.name(), out);
    write_text(named_key(access, mentions), out);
    let mut request = request(access, settings, mentions);
    if level == Level::Object {
        request.text(Attribute::Key, access.object_key);
    }
    request.write(out);
}

impl Resource<'_> {
    /// Writes the place, but not the key in it.
    fn write(&self, out: &mut Vec<u8>) {
        let Resource {
            account,
            dataset,
            bucket,
            object_bucket,
            object_key: _,
            attributes,
        } = self;
        write_optional(*account, out);
        write_optional(*dataset, out);
        write_text(bucket, out);
        write_text(object_bucket, out);
        attributes.write(out);
    }
}

impl Inputs<'_> {
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
