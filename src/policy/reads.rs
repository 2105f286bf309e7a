//! Finds out which per-event inputs the loaded policies can see.
//!
//! A verdict is made once for each combination of what it depends on. Most
//! inputs repeat; those listed in [`Reads`] are different in nearly every event
//! and would defeat the cache, so they take part only where a policy asks.
//!
//! INVARIANT (only what is read): an input whose flag is false never enters a
//! request. A flag that is missing here can make a rule miss its input, but can
//! never make one verdict stand for accesses that differ.

use serde_json::Value;

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

impl Reads {
    /// Whether no per-event input is read.
    pub fn is_none(self) -> bool {
        self == Reads::default()
    }

    /// Adds what one policy, in Cedar's JSON form, mentions.
    ///
    /// Counted by the name of the attribute wherever it is asked for, of whatever
    /// value: rather too much than too little.
    pub(super) fn add_policy(&mut self, policy: &Value) {
        match policy {
            Value::Object(fields) => {
                if let Some(attribute) = fields.get("attr").and_then(Value::as_str) {
                    self.add_attribute(attribute);
                    // `context.x` asks for x, not for the context as a whole.
                    if fields.get("left").is_some_and(is_context) {
                        return;
                    }
                }
                // An entity literal; `is Object` has an `entity_type` instead, and
                // whether the resource is one follows from the event's name.
                if fields.get("type").and_then(Value::as_str) == Some("Object") {
                    self.object_key = true;
                }
                if is_context(policy) {
                    self.add_context();
                }
                fields.values().for_each(|value| self.add_policy(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_policy(item)),
            _ => {}
        }
    }

    fn add_attribute(&mut self, attribute: &str) {
        match attribute {
            "key" => self.object_key = true,
            "list_prefix" => self.list_prefix = true,
            "version_id" => self.version_id = true,
            "copy_source" | "copy_source_bucket" => self.copy_source = true,
            "error_code" => self.error_code = true,
            _ => {}
        }
    }

    /// The context used as one value, so that any of its attributes may matter.
    fn add_context(&mut self) {
        self.list_prefix = true;
        self.version_id = true;
        self.copy_source = true;
        self.error_code = true;
    }
}

fn is_context(expression: &Value) -> bool {
    expression.get("Var").and_then(Value::as_str) == Some("context")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(policy: &str, expect: Expect) {
        let policy: cedar_policy::Policy = policy.parse().unwrap();
        let mut reads = Reads::default();
        reads.add_policy(&policy.to_json().unwrap());
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
