//! Cedar's names for what bricktrail talks about: actions, groups, entity types.
//!
//! An event name that S3 is known to log is an action of that name, in the group
//! of its operation. Any other name, for S3 keeps adding calls, is judged as its
//! group: a rule on `Action::"write"` holds for writes that nobody has heard of.
//!
//! INVARIANT (by name): the action, and whether the resource is an object, a
//! bucket or an account, follow from the event's name and operation alone.

use super::error::PolicyError;
use super::mentions::EntityType;
use crate::model::Operation;
use cedar_policy::{Entity, EntityId, EntityTypeName, EntityUid};
use hashbrown::HashMap;
use std::collections::{BTreeSet, HashSet};

/// What a request is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Object,
    Bucket,
    Account,
}

/// Event names by operation and level (facts: S3 user guide, CloudTrail events).
#[rustfmt::skip]
const EVENTS: &[(Operation, Level, &[&str])] = &[
    (Operation::Read, Level::Object, &["GetObject", "HeadObject", "SelectObjectContent", "GetObjectTorrent", "GetObjectAcl", "GetObjectAttributes", "GetObjectTagging", "GetObjectLegalHold", "GetObjectRetention", "GetObjectAnnotation", "ListObjectAnnotations"]),
    (Operation::List, Level::Object, &["ListParts"]),
    (Operation::Write, Level::Object, &["PutObject", "POST Object", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "CopyObject", "AbortMultipartUpload", "RestoreObject", "PutObjectTagging", "DeleteObjectTagging", "PutObjectAnnotation", "DeleteObjectAnnotation"]),
    (Operation::Delete, Level::Object, &["DeleteObject"]),
    (Operation::Permission, Level::Object, &["PutObjectAcl", "PutObjectLegalHold", "PutObjectRetention", "UpdateObjectEncryption"]),
    (Operation::Other, Level::Object, &["InitiateReplication", "OPTIONS object", "Presign", "WriteGetObjectResponse"]),
    (Operation::List, Level::Bucket, &["ListObjects", "ListObjectsV2", "ListObjectVersions", "HeadBucket"]),
    (Operation::Delete, Level::Bucket, &["DeleteObjects"]),
    (Operation::Permission, Level::Bucket, &["CreateBucket", "CreateBucketMetadataConfiguration", "CreateBucketMetadataTableConfiguration", "DeleteBucket", "DeleteBucketAnalyticsConfiguration", "DeleteBucketCors", "DeleteBucketEncryption", "DeleteBucketIntelligentTieringConfiguration", "DeleteBucketInventoryConfiguration", "DeleteBucketLifecycle", "DeleteBucketMetadataConfiguration", "DeleteBucketMetadataTableConfiguration", "DeleteBucketMetricsConfiguration", "DeleteBucketOwnershipControls", "DeleteBucketPolicy", "DeleteBucketPublicAccessBlock", "DeleteBucketReplication", "DeleteBucketTagging", "PutAccelerateConfiguration", "PutBucketAcl", "PutBucketAnalyticsConfiguration", "PutBucketCors", "PutBucketEncryption", "PutBucketIntelligentTieringConfiguration", "PutBucketInventoryConfiguration", "PutBucketLifecycle", "PutBucketLogging", "PutBucketMetricsConfiguration", "PutBucketNotification", "PutBucketObjectLockConfiguration", "PutBucketOwnershipControls", "PutBucketPolicy", "PutBucketPublicAccessBlock", "PutBucketReplication", "PutBucketRequestPayment", "PutBucketTagging", "PutBucketVersioning", "PutBucketWebsite", "UpdateBucketMetadataInventoryTableConfiguration", "UpdateBucketMetadataJournalTableConfiguration"]),
    (Operation::Other, Level::Bucket, &["CreateSession", "GetAccelerateConfiguration", "GetBucketAcl", "GetBucketAnalyticsConfiguration", "GetBucketCors", "GetBucketEncryption", "GetBucketIntelligentTieringConfiguration", "GetBucketInventoryConfiguration", "GetBucketLifecycle", "GetBucketLocation", "GetBucketLogging", "GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration", "GetBucketMetricsConfiguration", "GetBucketNotification", "GetBucketObjectLockConfiguration", "GetBucketOwnershipControls", "GetBucketPolicy", "GetBucketPolicyStatus", "GetBucketPublicAccessBlock", "GetBucketReplication", "GetBucketRequestPayment", "GetBucketTagging", "GetBucketVersioning", "GetBucketWebsite"]),
    (Operation::Permission, Level::Account, &["PutAccountPublicAccessBlock", "DeleteAccountPublicAccessBlock"]),
    (Operation::Other, Level::Account, &["GetAccountPublicAccessBlock", "ListAccessPoints", "ListBuckets"]),
];

/// Returns every event name that the schema has an action for, with its operation.
pub fn known_events() -> impl Iterator<Item = (&'static str, Operation)> {
    EVENTS
        .iter()
        .flat_map(|&(operation, _, names)| names.iter().map(move |&name| (name, operation)))
}

/// The events in a group of actions, by its name.
pub(super) fn events_in(group: &str) -> impl Iterator<Item = &'static str> {
    let events = EVENTS.iter();
    let events = events.filter(move |(operation, ..)| operation.as_str() == group);
    events.flat_map(|(.., names)| names.iter().copied())
}

/// The actions that requests can have where rules name these, with the groups: events
/// that no rule names are one action for each group and kind of resource, the first of
/// them, as rules cannot tell them apart but by `context.event_name`.
pub(super) fn told_apart(named: &BTreeSet<String>) -> HashSet<&'static str> {
    let events = EVENTS.iter().flat_map(|(.., names)| {
        let is_told = |name: &&&str| named.contains(**name);
        let told = names.iter().filter(is_told);
        told.chain(names.iter().find(|name| !is_told(name)))
    });
    let groups = Operation::ALL.into_iter().map(Operation::as_str);
    events.copied().chain(groups).collect()
}

/// An action as a request and its store of entities need it.
pub(super) struct Action {
    /// Of a group, only a default: an event of an unknown name tells its own.
    level: Level,
    pub uid: EntityUid,
    /// The action with its group above it.
    pub entity: Entity,
}

impl Action {
    pub(super) fn name(&self) -> &str {
        self.uid.id().unescaped()
    }
}

/// Every name that a request can need, made once.
pub(super) struct Vocabulary {
    user: EntityTypeName,
    service_principal: EntityTypeName,
    aws_identity: EntityTypeName,
    unattributed: EntityTypeName,
    account: EntityTypeName,
    bucket: EntityTypeName,
    object: EntityTypeName,
    dataset: EntityTypeName,
    workspace: EntityTypeName,
    job: EntityTypeName,
    cluster: EntityTypeName,
    /// The groups that the rules name, in the order of the policy's interest.
    member_of: Vec<EntityUid>,
    actions: HashMap<&'static str, Action>,
    /// The groups, for events that have no action of their own.
    groups: HashMap<&'static str, Action>,
}

impl Vocabulary {
    /// `groups` are those that rules name; `named` the actions, of which only those that
    /// are [`told_apart`] are kept. `None` keeps all apart.
    pub(super) fn new(
        groups: &[String],
        named: Option<&BTreeSet<String>>,
    ) -> Result<Vocabulary, PolicyError> {
        let group_type = type_name("Group")?;
        let action_type = type_name("Action")?;
        let action_uid = |name: &str| uid(&action_type, name);
        let mut actions = HashMap::new();
        for &(operation, level, names) in EVENTS {
            let group = action_uid(operation.as_str());
            let is_named = |name: &str| named.is_none_or(|named| named.contains(name));
            let one_of_others = names.iter().find(|name| !is_named(name));
            for name in names {
                let stands_for = one_of_others.filter(|_| !is_named(name)).unwrap_or(name);
                let uid = action_uid(stands_for);
                let parents = HashSet::from([group.clone()]);
                let entity = Entity::new_no_attrs(uid.clone(), parents);
                actions.insert(*name, Action { level, uid, entity });
            }
        }
        let member_of = groups.iter();
        let groups = Operation::ALL
            .into_iter()
            .map(|operation| {
                let uid = action_uid(operation.as_str());
                let entity = Entity::new_no_attrs(uid.clone(), HashSet::new());
                let level = Level::Bucket;
                (operation.as_str(), Action { level, uid, entity })
            })
            .collect();
        Ok(Vocabulary {
            user: type_name("User")?,
            service_principal: type_name("ServicePrincipal")?,
            aws_identity: type_name("AwsIdentity")?,
            unattributed: type_name("Unattributed")?,
            account: type_name("Account")?,
            bucket: type_name("Bucket")?,
            object: type_name("Object")?,
            dataset: type_name("Dataset")?,
            workspace: type_name("Workspace")?,
            job: type_name("Job")?,
            cluster: type_name("Cluster")?,
            member_of: member_of.map(|name| uid(&group_type, name)).collect(),
            actions,
            groups,
        })
    }

    /// Returns the action of an event, its own, else its group's, and what the
    /// event is addressed to; `None` never happens, as every operation is a group.
    pub(super) fn action(
        &self,
        event_name: &str,
        operation: Operation,
    ) -> Option<(&Action, Level)> {
        if let Some(action) = self.actions.get(event_name) {
            return Some((action, action.level));
        }
        let group = self.groups.get(operation.as_str())?;
        Some((group, level_by_name(event_name)))
    }

    /// An entity by type and name; an object's name is its URL.
    pub(super) fn entity(&self, of: EntityType, name: &str) -> EntityUid {
        let type_name = match of {
            EntityType::User => &self.user,
            EntityType::ServicePrincipal => &self.service_principal,
            EntityType::AwsIdentity => &self.aws_identity,
            EntityType::Unattributed => &self.unattributed,
            EntityType::Account => &self.account,
            EntityType::Bucket => &self.bucket,
            EntityType::Object => &self.object,
            EntityType::Dataset => &self.dataset,
            EntityType::Workspace => &self.workspace,
            EntityType::Job => &self.job,
            EntityType::Cluster => &self.cluster,
        };
        uid(type_name, name)
    }

    /// A group that the rules name, by its place among them.
    pub(super) fn group(&self, place: u32) -> Option<&EntityUid> {
        self.member_of.get(usize::try_from(place).ok()?)
    }

    /// An object by bucket and key; with "" for what no rule tells apart.
    pub(super) fn object(&self, bucket: &str, key: &str) -> EntityUid {
        self.entity(EntityType::Object, &format!("s3://{bucket}/{key}"))
    }
}

/// What an event of a name that is not in the table is addressed to.
fn level_by_name(event_name: &str) -> Level {
    if event_name.contains("Object") && !event_name.starts_with("List") {
        Level::Object
    } else if event_name.contains("Account") {
        Level::Account
    } else {
        Level::Bucket
    }
}

fn uid(type_name: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(type_name.clone(), EntityId::new(id))
}

fn type_name(name: &str) -> Result<EntityTypeName, PolicyError> {
    name.parse()
        .map_err(|error: cedar_policy::ParseErrors| PolicyError::BuiltIn {
            message: error.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rules::schema;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_of_events_and_the_schema_have_the_same_actions_in_the_same_groups() {
        let schema = schema().unwrap();
        let in_schema: BTreeSet<String> = schema
            .action_entities()
            .unwrap()
            .iter()
            .map(|action| action.uid().to_string())
            .collect();
        let vocabulary = Vocabulary::new(&[], None).unwrap();
        let in_table: BTreeSet<String> = vocabulary
            .actions
            .values()
            .chain(vocabulary.groups.values())
            .map(|action| action.uid.to_string())
            .collect();
        assert_eq!(in_table, in_schema);

        let hierarchy = schema.action_entities().unwrap();
        for (name, operation) in known_events() {
            let (action, level) = vocabulary.action(name, Operation::Other).unwrap();
            let group = vocabulary.groups.get(operation.as_str()).unwrap();
            assert!(hierarchy.is_ancestor_of(&group.uid, &action.uid), "{name}");
            let resources: Vec<String> = schema
                .resources_for_action(&action.uid)
                .unwrap()
                .map(ToString::to_string)
                .collect();
            assert_eq!(resources, [format!("{level:?}")], "{name}");
        }
    }

    #[test]
    fn an_unknown_event_is_its_groups_action() {
        let vocabulary = Vocabulary::new(&[], None).unwrap();
        let (action, level) = vocabulary.action("RenameObject", Operation::Write).unwrap();
        assert_eq!(action.uid.to_string(), r#"Action::"write""#);
        assert_eq!(level, Level::Object);
        let (action, level) = vocabulary
            .action("PutBucketCurfew", Operation::Permission)
            .unwrap();
        assert_eq!(action.uid.to_string(), r#"Action::"permission""#);
        assert_eq!(level, Level::Bucket);
    }
}
