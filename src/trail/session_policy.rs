//! Reads what the inline session policy of an STS call allows on S3.
//!
//! Unity Catalog narrows each key that it vends to one path by such a policy,
//! so the policy names what was vended. It is IAM's JSON: a string or a list
//! wherever there may be several, wildcards in actions and ARNs, and literal
//! `*`, `?` and `$` written as `${*}`, `${?}` and `${$}`.
//!
//! What is read is an upper bound of what the policy *grants*: `Deny`,
//! `NotResource` and conditions other than `s3:prefix` are not weighed, and
//! whether the role itself allows it is for IAM to know. Access point ARNs,
//! which name no bucket, give no prefix.

use serde_json::Value;
use std::collections::BTreeSet;

/// Most prefixes kept of one policy. STS accepts 2,048 characters, so a real
/// policy has a few dozen; but lists of buckets and of prefixes multiply.
const PREFIXES_MAX: usize = 1024;

/// What a session policy allows on S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPolicy {
    /// `s3://bucket/prefix`, sorted, each once. A trailing `*` is cut off, and
    /// `s3://` alone stands for all of S3; a `*` elsewhere stays as it is.
    pub prefixes: Vec<String>,
    /// Sorted, each once, as written; other services' actions included.
    pub actions: Vec<String>,
}

/// Reads `requestParameters.policy`; `None` when it is no IAM policy.
pub fn parse_session_policy(text: &str) -> Option<SessionPolicy> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let mut prefixes = BTreeSet::new();
    let mut actions = BTreeSet::new();
    for statement in one_or_many(policy.get("Statement")?) {
        if statement.get("Effect").and_then(Value::as_str) != Some("Allow") {
            continue;
        }
        let allowed = || texts(statement.get("Action"));
        actions.extend(allowed().map(str::to_owned));
        // A statement of `NotAction` has no `Action`: it allows some of S3's.
        if statement.get("Action").is_none() || allowed().any(is_s3_action) {
            collect_prefixes(statement, &mut prefixes);
        }
    }
    Some(SessionPolicy {
        prefixes: prefixes.into_iter().collect(),
        actions: actions.into_iter().collect(),
    })
}

fn collect_prefixes(statement: &Value, prefixes: &mut BTreeSet<String>) {
    for resource in texts(statement.get("Resource")) {
        let Some(place) = s3_place(resource) else {
            continue;
        };
        if place.contains(['/', '*']) {
            insert(prefixes, "", open_end(place));
            continue;
        }
        // A whole bucket stands for listing it: only what the condition lets
        // through is allowed. An empty prefix is how a console opens a bucket.
        let bucket = format!("{place}/");
        for prefix in listed_prefixes(statement) {
            insert(prefixes, &bucket, prefix);
        }
    }
}

/// The bucket and key pattern of an S3 ARN of any partition, `*` for all.
fn s3_place(resource: &str) -> Option<&str> {
    if resource == "*" {
        return Some(resource);
    }
    // A key may hold colons, so only the first five separate.
    let mut parts = resource.splitn(6, ':');
    let arn = parts.next()? == "arn" && parts.next().is_some() && parts.next()? == "s3";
    let (region, account) = (parts.next()?, parts.next()?);
    let place = parts.next()?;
    (arn && region.is_empty() && account.is_empty() && !place.is_empty()).then_some(place)
}

/// Values of the conditions on `s3:prefix` that a listing has to meet.
fn listed_prefixes(statement: &Value) -> impl Iterator<Item = &str> {
    let conditions = statement.get("Condition").and_then(Value::as_object);
    conditions
        .into_iter()
        .flatten()
        .flat_map(|(operator, keys)| {
            let operator = operator
                .rsplit_once(':')
                .map_or(operator.as_str(), |(_, operator)| operator);
            let operator = operator.strip_suffix("IfExists").unwrap_or(operator);
            let like = operator == "StringLike";
            let positive = like || matches!(operator, "StringEquals" | "StringEqualsIgnoreCase");
            keys.as_object()
                .into_iter()
                .flatten()
                .filter(move |(key, _)| positive && key.eq_ignore_ascii_case("s3:prefix"))
                .flat_map(|(_, values)| texts(Some(values)))
                .filter(|value| !value.is_empty())
                .map(move |value| if like { open_end(value) } else { value })
        })
}

/// Keeps `s3://<bucket><pattern>`, up to the bound.
fn insert(prefixes: &mut BTreeSet<String>, bucket: &str, pattern: &str) {
    if prefixes.len() < PREFIXES_MAX {
        prefixes.insert(format!("s3://{bucket}{}", unescape(pattern)));
    }
}

/// A pattern without the wildcard that leaves its end open.
fn open_end(pattern: &str) -> &str {
    pattern.trim_end_matches('*')
}

/// Turns `${*}`, `${?}` and `${$}` into the characters they stand for; other
/// policy variables stay.
fn unescape(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let mut chars = after.chars();
        match (chars.next(), chars.next()) {
            (Some(literal @ ('*' | '?' | '$')), Some('}')) => {
                out.push(literal);
                rest = chars.as_str();
            }
            _ => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Whether an action is S3's; action names are case-insensitive in IAM.
fn is_s3_action(action: &str) -> bool {
    match action.split_once(':') {
        Some((service, _)) => service.eq_ignore_ascii_case("s3"),
        None => action == "*",
    }
}

/// The texts of an element that is a string or a list of strings.
fn texts(element: Option<&Value>) -> impl Iterator<Item = &str> {
    element
        .into_iter()
        .flat_map(one_or_many)
        .filter_map(Value::as_str)
}

fn one_or_many(element: &Value) -> &[Value] {
    match element {
        Value::Array(many) => many,
        one => std::slice::from_ref(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(policy: Value, prefixes: &[&str], actions: &[&str]) {
        for text in [policy.to_string(), format!("{policy:#}")] {
            let policy = parse_session_policy(&text).unwrap();
            assert_eq!(policy.prefixes, prefixes, "{text}");
            assert_eq!(policy.actions, actions, "{text}");
        }
    }

    fn allow(resource: Value) -> Value {
        json!({"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": resource}})
    }

    #[test]
    fn a_vended_path_is_read_from_objects_and_from_listing() {
        check(
            json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["s3:PutO*", "s3:GetO*"],
                 "Resource": ["arn:aws:s3:::lake/silver/t/*", "arn:aws:s3:::lake/silver/t"]},
                {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake",
                 "Condition": {"StringLike": {"s3:prefix": ["silver/t", "silver/t/", "silver/t/*"]}}},
                {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": "*",
                 "Condition": {"StringLike": {"kms:ViaService": "s3.*.amazonaws.com"}}},
            ]}),
            &["s3://lake/silver/t", "s3://lake/silver/t/"],
            &["kms:Decrypt", "s3:GetO*", "s3:ListBucket", "s3:PutO*"],
        );
    }

    #[test]
    fn several_buckets_in_any_partition_are_read() {
        check(
            allow(json!([
                "arn:aws-us-gov:s3:::b/y*",
                "arn:aws-cn:s3:::a/x:1/*",
                "arn:*:s3:::c/*",
                "arn:aws:s3:us-east-1:111122223333:accesspoint/p/object/k",
                "arn:aws:kms:us-east-1:111122223333:key/k",
                7
            ])),
            &["s3://a/x:1/", "s3://b/y", "s3://c/"],
            &["s3:*"],
        );
    }

    #[test]
    fn a_listing_counts_by_its_condition_alone() {
        let list = |condition: Value| {
            json!({"Statement": [{"Effect": "Allow", "Action": "S3:List*",
                "Resource": ["arn:aws:s3:::a", "arn:aws:s3:::b"], "Condition": condition}]})
        };
        let actions = &["S3:List*"];
        check(list(json!({})), &[], actions);
        check(
            list(json!({"StringNotLike": {"s3:prefix": "x"}})),
            &[],
            actions,
        );
        check(
            list(json!({"StringEquals": {"s3:prefix": ""}})),
            &[],
            actions,
        );
        check(
            list(json!({"StringLike": {"s3:prefix": "*"}})),
            &["s3://a/", "s3://b/"],
            actions,
        );
        check(
            list(json!({"ForAnyValue:StringEqualsIfExists": {"S3:Prefix": ["p/", "q*"]}})),
            &["s3://a/p/", "s3://a/q*", "s3://b/p/", "s3://b/q*"],
            actions,
        );
    }

    #[test]
    fn escaped_wildcards_are_plain_characters() {
        check(
            allow(json!([
                "arn:aws:s3:::b/a${*}/${$}{?}*",
                "arn:aws:s3:::b/${?}${*}",
                "arn:aws:s3:::b/${aws:username}/${"
            ])),
            &["s3://b/${aws:username}/${", "s3://b/?*", "s3://b/a*/${?}"],
            &["s3:*"],
        );
    }

    #[test]
    fn all_of_s3_is_the_shortest_prefix() {
        check(allow(json!("*")), &["s3://"], &["s3:*"]);
        check(allow(json!("arn:aws:s3:::*")), &["s3://"], &["s3:*"]);
        check(
            json!({"Statement": {"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}}),
            &["s3://"],
            &[],
        );
        check(
            json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}),
            &["s3://"],
            &["*"],
        );
        check(
            json!({"Statement": {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}}),
            &[],
            &["ec2:*"],
        );
    }

    #[test]
    fn what_is_denied_or_malformed_allows_nothing() {
        check(json!({"Statement": []}), &[], &[]);
        check(
            json!({"Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}),
            &[],
            &[],
        );
        check(
            json!({"Statement": [null, 1, "x", [], {"Action": "s3:*", "Resource": "*"}]}),
            &[],
            &[],
        );
        for text in ["", "{", "[]", "null", "\"x\"", "{}", "arn:aws:s3:::b"] {
            assert_eq!(parse_session_policy(text), None, "{text}");
        }
        assert_eq!(parse_session_policy(&"[".repeat(100_000)), None);
    }

    #[test]
    fn lists_that_multiply_stay_bounded() {
        let buckets: Vec<String> = (0..200).map(|i| format!("arn:aws:s3:::b{i}")).collect();
        let keys: Vec<String> = (0..200).map(|i| format!("p{i}/*")).collect();
        let policy = json!({"Statement": {"Effect": "Allow", "Action": "s3:ListBucket",
            "Resource": buckets, "Condition": {"StringLike": {"s3:prefix": keys}}}});
        let policy = parse_session_policy(&policy.to_string()).unwrap();
        assert_eq!(policy.prefixes.len(), PREFIXES_MAX);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = "(\\PC|Allow|s3:|\\*|\\$\\{\\*\\}|arn:aws:s3:::b/|Deny){0,4}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let key = prop::sample::select(vec![
                "Statement",
                "Effect",
                "Action",
                "Resource",
                "Condition",
                "StringLike",
                "s3:prefix",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.prop_map(str::to_owned), inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_panics_on_any_json(statement in any_json(), action in any_json(), resource in any_json(), condition in any_json()) {
            let _odd = parse_session_policy(&json!({"Statement": statement}).to_string());
            let policy = json!({"Statement": {"Effect": "Allow", "Action": action, "Resource": resource, "Condition": condition}});
            let policy = parse_session_policy(&policy.to_string()).unwrap();
            prop_assert!(policy.prefixes.is_sorted() && policy.actions.is_sorted());
            prop_assert!(policy.prefixes.iter().all(|prefix| prefix.starts_with("s3://")));
        }

        #[test]
        fn nothing_panics_on_any_text(text in "\\PC{0,60}") {
            let _policy = parse_session_policy(&text);
        }
    }
}
