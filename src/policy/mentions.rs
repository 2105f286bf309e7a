//! Finds out which inputs the loaded rules can tell apart.
//!
//! An access has some sixty inputs, most of them different in nearly every
//! session; a rule looks at a handful. What no rule mentions stays out of the
//! request, so that few distinct requests remain.
//!
//! INVARIANT (only what is mentioned): an input whose mention is missing never
//! enters a request. A mention that is missing here can make a rule miss its
//! input, but can never make one verdict stand for accesses that differ.
//!
//! Read from Cedar's JSON form, by names wherever they stand: rather too much
//! than too little. A form that is not recognised mentions everything.

use serde_json::Value as Json;
use std::slice;

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $type { $($variant,)* }

        impl $type {
            pub const ALL: &[$type] = &[$($type::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            fn parse(name: &str) -> Option<$type> {
                $type::ALL.iter().copied().find(|known| known.as_str() == name)
            }

            const fn bit(self) -> u128 {
                1 << self as u8
            }
        }
    };
}

names! {
    /// An attribute of the schema; two that share a name are one.
    Attribute {
        // Of `context`.
        EventName "event_name",
        Outcome "outcome",
        AccessPath "access_path",
        Credential "credential",
        IdentityType "identity_type",
        RoleArn "role_arn",
        SessionName "session_name",
        SourceIdentity "source_identity",
        UserAgent "user_agent",
        InvokedBy "invoked_by",
        AwsServiceInvoked "aws_service_invoked",
        Presigned "presigned",
        SessionAgeHours "session_age_hours",
        SessionAgeLimitExceeded "session_age_limit_exceeded",
        Network "network",
        Tls "tls",
        Sse "sse",
        KmsKeyArn "kms_key_arn",
        KmsKeyAccountId "kms_key_account_id",
        CallerAccountId "caller_account_id",
        OwnAccountIds "own_account_ids",
        ForeignAccount "foreign_account",
        WorkspaceId "workspace_id",
        ClusterId "cluster_id",
        JobId "job_id",
        JobRunId "job_run_id",
        TaskKey "task_key",
        Confidence "confidence",
        UnattributedReason "unattributed_reason",
        ErrorCode "error_code",
        ListPrefix "list_prefix",
        VersionId "version_id",
        CopySource "copy_source",
        CopySourceBucket "copy_source_bucket",
        CopySourceDataset "copy_source_dataset",
        CopySourceSensitivity "copy_source_sensitivity",
        CopyDestinationAccountId "copy_destination_account_id",
        Hour "hour",
        Weekday "weekday",
        Settled "settled",
        // Of `context.network`.
        SourceIp "source_ip",
        Kind "kind",
        VpcEndpointId "vpc_endpoint_id",
        InsideKnownNetworks "inside_known_networks",
        OutsideKnownNetworks "outside_known_networks",
        // Of `context.confidence`.
        Session "session",
        Workspace "workspace",
        Cluster "cluster",
        Job "job",
        Task "task",
        Principal "principal",
        // Of the resource.
        Key "key",
        Bucket "bucket",
        AccountId "account_id",
        Region "region",
        Dataset "dataset",
        Sensitivity "sensitivity",
        Owner "owner",
        // Of principals.
        Active "active",
        // Of job, cluster and workspace.
        Name "name",
        RunAs "run_as",
        Creator "creator",
        Source "source",
        Dedicated "dedicated",
    }
}

names! {
    /// A type of principals, of resources, or of what these lie in.
    EntityType {
        User "User",
        ServicePrincipal "ServicePrincipal",
        AwsIdentity "AwsIdentity",
        Unattributed "Unattributed",
        Account "Account",
        Bucket "Bucket",
        Object "Object",
        Dataset "Dataset",
        Workspace "Workspace",
        Job "Job",
        Cluster "Cluster",
    }
}

/// What the loaded rules mention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mentions {
    attributes: u128,
    /// Those of which more is seen than whether they are there.
    values: u128,
    /// The types whose entities are told apart by name.
    names: u128,
    /// Whether principals are told apart by their type.
    principal_types: bool,
    /// Whether they are told apart by their groups.
    groups: bool,
    /// Whether the tags of jobs and clusters are seen.
    tags: bool,
}

/// Attributes that follow from who was found, and not from what AWS recorded.
const FOUND: [Attribute; 15] = [
    Attribute::WorkspaceId,
    Attribute::ClusterId,
    Attribute::JobId,
    Attribute::JobRunId,
    Attribute::TaskKey,
    Attribute::UnattributedReason,
    Attribute::Workspace,
    Attribute::Cluster,
    Attribute::Job,
    Attribute::Session,
    Attribute::Task,
    Attribute::Principal,
    Attribute::Active,
    Attribute::RunAs,
    Attribute::Settled,
];

const PRINCIPALS: [EntityType; 4] = [
    EntityType::User,
    EntityType::ServicePrincipal,
    EntityType::AwsIdentity,
    EntityType::Unattributed,
];

const WORKLOADS: [EntityType; 3] = [EntityType::Workspace, EntityType::Job, EntityType::Cluster];

/// What an expression is used for by the one around it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// As the left of `.` or `has`: only the attribute is seen.
    Left,
    /// As the left of `is`: only its type is seen.
    Type,
    /// As a side of `==`, `!=` or `in`: of an entity is seen what the entities
    /// that it is compared with can be, and those are literals.
    Compared,
    /// In any other way.
    Whole,
}

impl Mentions {
    /// Everything.
    pub(super) const ALL: Mentions = Mentions {
        attributes: u128::MAX,
        values: u128::MAX,
        names: u128::MAX,
        principal_types: true,
        groups: true,
        tags: true,
    };

    /// All that one or the other mentions.
    #[must_use]
    pub(super) fn and(self, other: Mentions) -> Mentions {
        Mentions {
            attributes: self.attributes | other.attributes,
            values: self.values | other.values,
            names: self.names | other.names,
            principal_types: self.principal_types || other.principal_types,
            groups: self.groups || other.groups,
            tags: self.tags || other.tags,
        }
    }

    /// What one policy, in Cedar's JSON form, mentions.
    pub(super) fn of_policy(policy: &Json) -> Mentions {
        let mut mentions = Mentions::default();
        match mentions.policy(policy) {
            Some(()) => mentions,
            None => Mentions::ALL,
        }
    }

    /// Whether an attribute is mentioned.
    pub(super) fn has(self, attribute: Attribute) -> bool {
        self.attributes & attribute.bit() != 0
    }

    /// Whether the value of an attribute is seen, and not only that it is there.
    pub(super) fn reads(self, attribute: Attribute) -> bool {
        self.values & attribute.bit() != 0
    }

    /// Whether entities of a type are told apart by name.
    pub(super) fn names(self, of: EntityType) -> bool {
        self.names & of.bit() != 0
    }

    /// Whether principals are told apart by their type, at least.
    pub(super) fn principal_types(self) -> bool {
        self.principal_types
            || self.groups
            || self.has(Attribute::Active)
            || PRINCIPALS.into_iter().any(|of| self.names(of))
    }

    /// Whether principals are told apart by their groups.
    pub(super) fn groups(self) -> bool {
        self.groups
    }

    /// Whether the tags of jobs and clusters are seen.
    pub(super) fn tags(self) -> bool {
        self.tags
    }

    /// Whether anything is seen of who or what was found to stand behind an access.
    pub(super) fn who_was_found(self) -> bool {
        self.principal_types()
            || self.tags
            || WORKLOADS.into_iter().any(|of| self.names(of))
            || FOUND.into_iter().any(|attribute| self.has(attribute))
    }

    /// Whether anything is seen of the job, of the cluster, of the workspace beside
    /// their ids.
    pub(super) fn of_workload(self) -> [bool; 3] {
        let of_all = self.tags || self.has(Attribute::Name);
        let of_job = self.has(Attribute::RunAs) || self.has(Attribute::Creator);
        let of_cluster = self.has(Attribute::Source) || self.has(Attribute::Dedicated);
        [
            self.has(Attribute::Job) && (of_all || of_job),
            self.has(Attribute::Cluster) && (of_all || of_cluster),
            self.has(Attribute::Workspace) && self.has(Attribute::Name),
        ]
    }

    /// Reads a policy; `None`, as below, for a form that is not recognised.
    fn policy(&mut self, policy: &Json) -> Option<()> {
        for variable in ["principal", "action", "resource"] {
            let scope = policy.get(variable)?;
            match scope.get("op")?.as_str()? {
                "All" | "==" | "in" => {}
                "is" => self.variable(variable, Use::Type)?,
                _ => return None,
            }
            self.literals(scope)?;
        }
        for condition in policy.get("conditions")?.as_array()? {
            self.expression(condition.get("body")?, Use::Whole)?;
        }
        Some(())
    }

    fn expression(&mut self, expression: &Json, used: Use) -> Option<()> {
        let mut fields = expression.as_object()?.iter();
        let (operator, body) = fields.next()?;
        if fields.next().is_some() {
            return None;
        }
        match operator.as_str() {
            "Value" => self.literals(body),
            "Var" => self.variable(body.as_str()?, used),
            "." => {
                let name = body.get("attr")?.as_str()?;
                self.attribute(name, used);
                if let Some(attribute) = Attribute::parse(name) {
                    self.values |= attribute.bit();
                }
                self.expression(body.get("left")?, Use::Left)
            }
            "has" => {
                // `has network.kind` is a list of names.
                let path = body.get("attr")?;
                let names = path.as_array().map_or(slice::from_ref(path), Vec::as_slice);
                for name in names {
                    self.attribute(name.as_str()?, Use::Left);
                }
                self.expression(body.get("left")?, Use::Left)
            }
            "is" => {
                let left = body.get("left")?;
                self.expression(left, Use::Type)?;
                match body.get("in") {
                    Some(above) => {
                        self.expression(left, Use::Compared)?;
                        self.expression(above, Use::Compared)
                    }
                    None => Some(()),
                }
            }
            "==" | "!=" | "in" => self.parts(body, &["left", "right"], Use::Compared),
            "hasTag" | "getTag" => {
                self.tags = true;
                self.expression(body.get("left")?, Use::Left)?;
                self.expression(body.get("right")?, Use::Whole)
            }
            "&&" | "||" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "contains"
            | "containsAll" | "containsAny" => self.parts(body, &["left", "right"], Use::Whole),
            "!" | "neg" | "isEmpty" => self.parts(body, &["arg"], Use::Whole),
            "like" => self.parts(body, &["left"], Use::Whole),
            "if-then-else" => self.parts(body, &["if", "then", "else"], Use::Whole),
            "Record" => {
                let mut values = body.as_object()?.values();
                values.try_for_each(|value| self.expression(value, Use::Whole))
            }
            // Sets, and functions as `ip` or `isInRange`, which see only their arguments.
            _ => {
                let mut items = body.as_array()?.iter();
                items.try_for_each(|item| self.expression(item, Use::Whole))
            }
        }
    }

    fn parts(&mut self, body: &Json, names: &[&str], used: Use) -> Option<()> {
        let mut names = names.iter();
        names.try_for_each(|name| self.expression(body.get(name)?, used))
    }

    fn variable(&mut self, variable: &str, used: Use) -> Option<()> {
        match (variable, used) {
            ("principal", Use::Type) => self.principal_types = true,
            ("principal", Use::Whole) => {
                self.groups = true;
                PRINCIPALS.into_iter().for_each(|of| self.add_names(of));
            }
            // The key of an object is seen by a literal only.
            ("resource", Use::Whole) => {
                let above = [EntityType::Account, EntityType::Bucket, EntityType::Dataset];
                above.into_iter().for_each(|of| self.add_names(of));
            }
            ("context", Use::Type | Use::Compared | Use::Whole) => {
                self.add_range(Attribute::EventName, Attribute::Principal);
                WORKLOADS.into_iter().for_each(|of| self.add_names(of));
            }
            // The action is in every request, and with it the resource's type.
            ("principal" | "resource" | "context" | "action", _) => {}
            _ => return None,
        }
        Some(())
    }

    /// Adds an attribute by name, of whatever value; an unknown one is that of a
    /// record that the rule makes itself.
    fn attribute(&mut self, name: &str, used: Use) {
        let Some(attribute) = Attribute::parse(name) else {
            return;
        };
        self.attributes |= attribute.bit();
        let is_whole = used == Use::Whole;
        match attribute {
            _ if used == Use::Left => {}
            // What is compared may lie in it, without a literal.
            Attribute::Workspace if used != Use::Type => self.add_names(EntityType::Workspace),
            Attribute::Job if is_whole => self.add_names(EntityType::Job),
            Attribute::Cluster if is_whole => self.add_names(EntityType::Cluster),
            Attribute::Network => {
                self.add_range(Attribute::SourceIp, Attribute::OutsideKnownNetworks);
            }
            Attribute::Confidence => self.add_range(Attribute::Session, Attribute::Principal),
            _ => {}
        }
    }

    /// Adds the types of the entities that a JSON value names.
    fn literals(&mut self, value: &Json) -> Option<()> {
        match value {
            Json::Object(fields) => {
                match fields.get("type").and_then(Json::as_str) {
                    None | Some("Action") => {}
                    Some("Group") => self.groups = true,
                    Some(name) => self.add_names(EntityType::parse(name)?),
                }
                fields.values().try_for_each(|value| self.literals(value))
            }
            Json::Array(items) => items.iter().try_for_each(|item| self.literals(item)),
            _ => Some(()),
        }
    }

    fn add_names(&mut self, of: EntityType) {
        self.names |= of.bit();
    }

    /// Adds the attributes from one to another, in the order of the schema.
    fn add_range(&mut self, first: Attribute, last: Attribute) {
        let of_range = Attribute::ALL
            .iter()
            .filter(|&&attribute| attribute >= first && attribute <= last);
        of_range.for_each(|attribute| {
            self.attributes |= attribute.bit();
            self.values |= attribute.bit();
        });
    }
}

#[cfg(test)]
impl Mentions {
    /// Mentions by their bits, for random ones.
    pub(super) fn from_bits(attributes: u128, names: u128, principal_types: bool) -> Mentions {
        Mentions {
            attributes,
            values: attributes,
            names,
            principal_types,
            groups: false,
            tags: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::rules::SCHEMA;
    use expect_test::{Expect, expect};

    fn of(condition: &str) -> Mentions {
        let text = if condition.contains("permit") {
            condition.to_owned()
        } else {
            format!("permit (principal, action, resource) when {{ {condition} }};")
        };
        let policy: cedar_policy::Policy = text.parse().unwrap();
        Mentions::of_policy(&policy.to_json().unwrap())
    }

    #[track_caller]
    fn check(condition: &str, expect: Expect) {
        let mentions = of(condition);
        if mentions == Mentions::ALL {
            expect.assert_eq("everything");
            return;
        }
        let mut names: Vec<&str> = Vec::new();
        let attributes = Attribute::ALL.iter();
        names.extend(
            attributes
                .filter(|it| mentions.has(**it))
                .map(|it| it.as_str()),
        );
        let types = EntityType::ALL.iter();
        names.extend(
            types
                .filter(|it| mentions.names(**it))
                .map(|it| it.as_str()),
        );
        for (is_seen, name) in [
            (mentions.principal_types(), "principal-types"),
            (mentions.groups(), "groups"),
            (mentions.tags(), "tags"),
        ] {
            if is_seen {
                names.push(name);
            }
        }
        expect.assert_eq(&names.join(" "));
    }

    #[test]
    fn every_attribute_of_the_schema_has_a_name_here_and_no_other() {
        let declared = |line: &str| {
            let (name, _) = line.trim().split_once(": ")?;
            let name = name.trim_end_matches('?');
            let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            (plain && line.ends_with(',')).then(|| name.to_owned())
        };
        let (attributes, _) = SCHEMA.split_once("// What was done").unwrap();
        let schema: std::collections::BTreeSet<String> =
            attributes.lines().filter_map(declared).collect();
        let here = Attribute::ALL.iter().map(|it| it.as_str().to_owned());
        assert_eq!(here.collect::<std::collections::BTreeSet<_>>(), schema);
        assert!(Attribute::ALL.len() <= 128);
    }

    #[test]
    fn a_rule_without_conditions_mentions_nothing() {
        check("permit (principal, action, resource);", expect![""]);
        check(
            r#"permit (principal, action in Action::"read", resource is Object);"#,
            expect![""],
        );
    }

    #[test]
    fn an_attribute_is_mentioned_by_name() {
        check(
            r#"context has sse && context.sse == "SSE_S3""#,
            expect!["sse"],
        );
        check(
            r#"["1.1"].contains(context.tls) || !context.presigned"#,
            expect!["presigned tls"],
        );
        check(
            r#"resource has region && resource.region like "eu-*""#,
            expect!["region"],
        );
        check("{a: context.sse}.a == \"x\"", expect!["sse"]);
    }

    #[test]
    fn a_nested_record_is_mentioned_by_part_or_whole() {
        check(
            r#"context.network has kind && context.network.kind == "public""#,
            expect!["network kind"],
        );
        check(
            r#"context has network.source_ip && context.network.source_ip.isInRange(ip("10.0.0.0/8"))"#,
            expect!["network source_ip"],
        );
        check(
            "[context.network].contains(context.network)",
            expect![
                "network source_ip kind vpc_endpoint_id inside_known_networks outside_known_networks"
            ],
        );
        check(
            "(if context.presigned then context.confidence else context.confidence).job == \"exact\"",
            expect!["presigned confidence session workspace cluster job task principal"],
        );
    }

    #[test]
    fn the_context_as_one_value_mentions_all_of_it() {
        let mentions = of("[context].contains(context)");
        for attribute in Attribute::ALL {
            let of_resource = *attribute >= Attribute::Key;
            assert_eq!(mentions.has(*attribute), !of_resource, "{attribute:?}");
        }
        assert_eq!(of("context == context"), mentions);
    }

    #[test]
    fn principals_are_told_apart_by_type_or_by_name() {
        check("principal is User", expect!["principal-types"]);
        check(
            "permit (principal is AwsIdentity, action, resource);",
            expect!["principal-types"],
        );
        check(
            r#"permit (principal == User::"a", action, resource);"#,
            expect!["User principal-types"],
        );
        check(
            r#"[User::"a"].contains(principal)"#,
            expect!["User ServicePrincipal AwsIdentity Unattributed principal-types groups"],
        );
        check(
            r#"permit (principal in Group::"g", action, resource);"#,
            expect!["principal-types groups"],
        );
        check(
            "principal has active && !principal.active",
            expect!["active principal-types"],
        );
    }

    #[test]
    fn a_workload_is_seen_by_attribute_tag_or_name() {
        check(
            r#"context has job && context.job has run_as && context.job.run_as == "x""#,
            expect!["job run_as"],
        );
        check(
            r#"context has cluster && context.cluster.hasTag("team") && context.cluster.getTag("team") == "ml""#,
            expect!["cluster tags"],
        );
        check(r#"context.job == Job::"1/77""#, expect!["job Job"]);
        check(r#"context.job in Workspace::"1""#, expect!["job Workspace"]);
        check(r#"[context.job].contains(Job::"1/77")"#, expect!["job Job"]);
        check(
            "context.job in context.workspace",
            expect!["workspace job Workspace"],
        );
    }

    #[test]
    fn that_an_attribute_is_there_is_told_from_its_value() {
        let mentions = of(r#"context has job_id && context has tls && context.tls == "1.1""#);
        assert!(mentions.has(Attribute::JobId) && !mentions.reads(Attribute::JobId));
        assert!(mentions.has(Attribute::Tls) && mentions.reads(Attribute::Tls));
        assert!(of("[context].contains(context)").reads(Attribute::JobId));
    }

    #[test]
    fn what_was_found_is_told_from_what_was_recorded() {
        for (condition, is_found) in [
            ("context.presigned", false),
            ("resource in Dataset::\"d\"", false),
            ("context.confidence.principal == \"exact\"", true),
            ("principal in Group::\"g\"", true),
            ("principal is User", true),
            ("context has job_id", true),
            ("context has cluster && context.cluster.hasTag(\"x\")", true),
        ] {
            assert_eq!(of(condition).who_was_found(), is_found, "{condition}");
        }
    }

    #[test]
    fn resources_are_told_apart_by_the_types_they_are_compared_with() {
        check(r#"resource in Dataset::"d""#, expect!["Dataset"]);
        check(r#"resource is Object in Bucket::"b""#, expect!["Bucket"]);
        check(
            r#"permit (principal, action, resource is Object in Account::"1");"#,
            expect!["Account"],
        );
        check(r#"resource == Object::"s3://b/k""#, expect!["Object"]);
        check(
            r#"[Object::"s3://b/k"].contains(resource)"#,
            expect!["Account Bucket Object Dataset"],
        );
        check(
            r#"Bucket::"b" has region && Bucket::"b".region == "x""#,
            expect!["region Bucket"],
        );
    }

    #[test]
    fn what_is_not_recognised_mentions_everything() {
        check(r#"resource == Shelf::"x""#, expect!["everything"]);
    }
}
