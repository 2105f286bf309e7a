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
//! [`Facts::write_who`] and [`Facts::write_request`] write all of them.

use super::facts::{Facts, Terms};
use super::mentions::{Attribute, EntityType, Mentions};
use super::principals::{Named, write_all};
use super::values::{Attributes, write_optional, write_text};
use super::vocabulary::{Action, Level, Vocabulary};
use super::workload::Workloads;
use cedar_policy::{Context, Entities, Entity, EntityUid, RestrictedExpression};
use std::collections::{HashMap, HashSet};

/// What a request is made of: the facts that the rules can tell apart.
pub(super) struct Inputs<'a> {
    principals: Vec<Named<'a>>,
    /// There are candidates beside those principals.
    pub has_more_candidates: bool,
    /// Nobody was found so far, and somebody may be.
    pub awaits_principal: bool,
    workloads: Workloads<'a>,
    action: &'a Action,
    level: Level,
    resource: Resource<'a>,
    context: Attributes<'a>,
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

/// What several principals have in common; a name only where rules tell names apart.
#[derive(Default)]
pub(super) struct Shared<'a> {
    pub of: Option<EntityType>,
    pub name: Option<&'a str>,
    pub groups: Option<&'a [u32]>,
    pub active: Option<bool>,
}

/// A request to Cedar, but for its principal.
pub(super) struct Question {
    pub action: EntityUid,
    pub resource: EntityUid,
    pub context: Context,
    /// All but the principal.
    pub entities: Vec<Entity>,
}

/// What a fault of ours, or of Cedar's constructors, is reported with.
pub(super) type Fault = Box<dyn std::error::Error>;

impl<'a> Facts<'a> {
    /// Collects what the rules can tell apart; `None` if the operation has no
    /// action.
    pub(super) fn inputs(&self, terms: Terms<'a>) -> Option<Inputs<'a>> {
        let Terms {
            vocabulary,
            mentions,
            ..
        } = terms;
        let (action, level) = vocabulary.action(self.access.event_name, self.access.operation)?;
        Some(Inputs {
            principals: self.principals(mentions),
            has_more_candidates: self.has_more_candidates(mentions),
            awaits_principal: self.awaits_principal(),
            workloads: self.workloads(mentions),
            action,
            level,
            resource: self.resource(level, mentions),
            context: self.who(terms).and(self.request(terms)),
        })
    }

    /// Collects the resource and what it lies in.
    fn resource(&self, level: Level, mentions: Mentions) -> Resource<'a> {
        let mut resource = self.place(level, mentions);
        resource.object_key = self.named_key(mentions);
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
    pub(super) fn write_who(&self, terms: Terms<'a>, out: &mut Vec<u8>) {
        let mentions = terms.mentions;
        write_all(&self.principals(mentions), out);
        out.push(u8::from(self.has_more_candidates(mentions)));
        self.write_where(terms, out);
    }

    /// Writes the same but for the principals.
    pub(super) fn write_where(&self, terms: Terms<'a>, out: &mut Vec<u8>) {
        let mentions = terms.mentions;
        self.workloads(mentions).write(out);
        // Whatever the request's level will be; an object's place is its bucket's.
        for level in [Level::Account, Level::Bucket] {
            self.place(level, mentions).write(out);
        }
        self.who(terms).write(out);
    }

    /// Writes what the rules can tell of the request: what was asked for, how AWS
    /// answered, when, and how old the session was then; and whether somebody may
    /// still be found. Nothing of it, if the operation has no action.
    pub(super) fn write_request(&self, terms: Terms<'a>, out: &mut Vec<u8>) {
        let Some((action, level)) = terms
            .vocabulary
            .action(self.access.event_name, self.access.operation)
        else {
            return;
        };
        out.push(level as u8);
        out.push(u8::from(self.awaits_principal()));
        write_text(action.name(), out);
        write_text(self.named_key(terms.mentions), out);
        let mut request = self.request(terms);
        if level == Level::Object {
            request.text(Attribute::Key, self.access.object_key);
        }
        request.write(out);
    }

    /// The object key, if rules name objects.
    fn named_key(&self, mentions: Mentions) -> &'a str {
        let key = self.access.object_key;
        key.filter(|_| mentions.names(EntityType::Object))
            .unwrap_or("")
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
    /// The attributes of context and resource.
    pub(super) fn attributes(&self) -> [&Attributes<'_>; 2] {
        [&self.context, &self.resource.attributes]
    }

    /// Those of job, cluster and workspace, each with the attribute that names it.
    pub(super) fn workload_attributes(&self) -> impl Iterator<Item = (Attribute, &Attributes<'_>)> {
        self.workloads.attributes()
    }

    /// What all the principals have in common.
    pub(super) fn shared_principal(&self) -> Shared<'_> {
        let Some(first) = self.principals.first() else {
            return Shared::default();
        };
        let all = |alike: fn(&Named<'_>, &Named<'_>) -> bool| {
            self.principals.iter().all(|other| alike(first, other))
        };
        Shared {
            of: all(|a, b| a.of == b.of).then_some(first.of),
            name: all(|a, b| a.name == b.name).then_some(first.name),
            groups: all(|a, b| a.groups == b.groups).then_some(first.groups),
            active: all(|a, b| a.active == b.active)
                .then_some(first.active)
                .flatten(),
        }
    }

    /// The dataset and the bucket that the resource lies in, as far as rules name such.
    pub(super) fn lies_in(&self) -> [(EntityType, Option<&str>); 2] {
        let bucket = Some(self.resource.bucket).filter(|name| !name.is_empty());
        [
            (EntityType::Dataset, self.resource.dataset),
            (EntityType::Bucket, bucket),
        ]
    }

    /// Puts the inputs into Cedar's terms.
    pub(super) fn question(&self, terms: Terms<'_>) -> Result<Question, Fault> {
        let vocabulary = terms.vocabulary;
        let (resource, mut entities) = self.entities(vocabulary)?;
        entities.push(self.action.entity.clone());
        let mut context = self.context.expressions()?;
        self.workloads
            .put(vocabulary, &mut context, &mut entities)?;
        Ok(Question {
            action: self.action.uid.clone(),
            resource,
            context: Context::from_pairs(context)?,
            entities,
        })
    }

    /// Whom the access is judged as.
    pub(super) fn principals(&self) -> &[Named<'_>] {
        &self.principals
    }

    /// The name of the dataset, if rules name datasets, and of the action.
    pub(super) fn about(&self) -> (Option<&str>, &str) {
        (self.resource.dataset, self.action.name())
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

impl Question {
    /// The question of one principal: who that is, and all entities.
    pub(super) fn of(
        &self,
        principal: Named<'_>,
        vocabulary: &Vocabulary,
    ) -> Result<(EntityUid, Entities), Fault> {
        let groups = principal.groups.iter();
        let parents = groups.filter_map(|place| vocabulary.group(*place));
        let active = principal
            .active
            .map(|active| ("active".to_owned(), RestrictedExpression::new_bool(active)));
        let entity = Entity::new(
            vocabulary.entity(principal.of, principal.name),
            active.into_iter().collect::<HashMap<_, _>>(),
            parents.cloned().collect(),
        )?;
        let uid = entity.uid();
        let entities = self.entities.iter().cloned().chain([entity]);
        Ok((uid, Entities::from_entities(entities, None)?))
    }
}
