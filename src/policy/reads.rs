//! Tells which per-event inputs the loaded policies can see.
//!
//! A verdict is made once for each combination of what it depends on. Most
//! inputs repeat; those listed in [`Reads`] are different in nearly every event
//! and would defeat the cache, so they take part only where a policy asks.

use super::mentions::{Attribute, EntityType, Mentions};

/// The per-event inputs that the loaded policies can read.
///
/// The cache key of a judgement includes the value of each that is true, beyond
/// what it always includes (see [`Policy::judge`](super::Policy::judge)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reads {
    pub object_key: bool,
    pub list_prefix: bool,
    pub version_id: bool,
    pub copy_source: bool,
    pub error_code: bool,
}

/// What follows from the source of a copy.
const COPIES: [Attribute; 5] = [
    Attribute::CopySource,
    Attribute::CopySourceBucket,
    Attribute::CopySourceDataset,
    Attribute::CopySourceSensitivity,
    Attribute::CopyDestinationAccountId,
];

impl Reads {
    /// Whether no per-event input is read.
    pub fn is_none(self) -> bool {
        self == Reads::default()
    }

    pub(super) fn of(mentions: Mentions) -> Reads {
        Reads {
            object_key: mentions.has(Attribute::Key) || mentions.names(EntityType::Object),
            list_prefix: mentions.has(Attribute::ListPrefix),
            version_id: mentions.has(Attribute::VersionId),
            copy_source: COPIES.into_iter().any(|attribute| mentions.has(attribute)),
            error_code: mentions.has(Attribute::ErrorCode),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(policy: &str, expect: Expect) {
        let policy: cedar_policy::Policy = policy.parse().unwrap();
        let mentions = Mentions::of_policy(&policy.to_json().unwrap());
        let reads = Reads::of(mentions);
        let mut names = Vec::new();
        for (read, name) in [
            (reads.object_key, "object_key"),
            (reads.list_prefix, "list_prefix"),
            (reads.version_id, "version_id"),
            (reads.copy_source, "copy_source"),
            (reads.error_code, "error_code"),
        ] {
            if read {
                names.push(name);
            }
        }
        expect.assert_eq(&names.join(" "));
    }

    #[test]
    fn a_rule_on_circumstances_reads_nothing_per_event() {
        check(
            r#"forbid (principal, action, resource in Bucket::"b") when { context.presigned };"#,
            expect![""],
        );
    }

    #[test]
    fn a_key_is_read_by_attribute_or_by_literal() {
        check(
            r#"permit (principal, action, resource) when { resource has key && resource.key like "a/*" };"#,
            expect!["object_key"],
        );
        check(
            r#"permit (principal, action, resource == Object::"s3://b/k");"#,
            expect!["object_key"],
        );
        check(
            r#"permit (principal, action, resource) when { [Object::"s3://b/k"].contains(resource) };"#,
            expect!["object_key"],
        );
    }

    #[test]
    fn the_type_of_the_resource_does_not_read_its_key() {
        check(
            r#"permit (principal, action, resource is Object);"#,
            expect![""],
        );
        check(
            r#"permit (principal, action, resource) when { resource is Object in Bucket::"b" };"#,
            expect![""],
        );
    }

    #[test]
    fn the_context_as_one_value_reads_all_of_it() {
        check(
            r#"permit (principal, action, resource) when { [context].contains(context) };"#,
            expect!["list_prefix version_id copy_source error_code"],
        );
    }

    #[test]
    fn has_reads_as_well() {
        check(
            r#"permit (principal, action, resource) when { context has version_id } unless { context has copy_source_bucket };"#,
            expect!["version_id copy_source"],
        );
    }
}
