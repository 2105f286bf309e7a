//! Identity facts that records hold on the way: issued sessions, instances.
//!
//! Source: IAM user guide, "Logging IAM and AWS STS API calls"; EC2 records as
//! seen in public trails. `responseElements.credentials.sessionToken` stands in
//! the record in clear; it is never read here, so it cannot be stored.

use super::expiration::parse_expiration;
use super::fields::{Fields, Text};
use super::record;
use super::session_policy::parse_session_policy;
use super::tape::Value;
use crate::model::{Ec2Instance, StsSession, UtcMicros};

fn own(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

fn text<'a>(block: Option<Value<'_, 'a>>, name: &str) -> Option<&'a str> {
    block
        .and_then(|block| block.get(name))
        .and_then(Value::text)
}

/// The session that an STS event issued, or refused to.
pub fn sts_session(
    f: &Fields<'_>,
    record: Value<'_, '_>,
    event_id: String,
    issued_at: UtcMicros,
    source_uri: &str,
) -> StsSession {
    let request = record.get("requestParameters");
    let response = record.get("responseElements");
    let credentials = response.and_then(|r| r.get("credentials"));
    let assumed = response.and_then(|r| r.get("assumedRoleUser"));
    let policy = text(request, "policy").and_then(parse_session_policy);
    let principal = record::principal(f);
    // GetSessionToken and GetFederationToken issue for the caller itself.
    let role_arn = text(request, "roleArn").or_else(|| {
        let role = f.resources().iter().find(|r| r.kind == "AWS::IAM::Role");
        role.map(|role| role.arn).filter(|arn| !arn.is_empty())
    });
    let (policy_prefixes, policy_actions) =
        policy.map_or_else(Default::default, |p| (p.prefixes, p.actions));
    StsSession {
        event_id,
        event_name: f.get(Text::EventName).unwrap_or_default().to_owned(),
        issued_at,
        expires_at: text(credentials, "expiration").and_then(parse_expiration),
        aws_account_id: own(f.get(Text::RecipientAccountId)),
        aws_region: own(f.get(Text::AwsRegion)),
        access_key_id: own(text(credentials, "accessKeyId")),
        role_arn: own(role_arn),
        role_session_name: own(text(request, "roleSessionName")
            .or_else(|| text(assumed, "assumedRoleId").and_then(|id| Some(id.split_once(':')?.1)))),
        assumed_role_id: own(text(assumed, "assumedRoleId")),
        external_id: own(text(request, "externalId")),
        source_identity: own(
            text(request, "sourceIdentity").or_else(|| text(response, "sourceIdentity"))
        ),
        caller: principal.to_owned(),
        caller_ip: own(f.get(Text::SourceIp)),
        policy_prefixes,
        policy_actions,
        error_code: own(f.get(Text::ErrorCode)),
        shared_event_id: own(f.get(Text::SharedEventId)),
        source_uri: source_uri.to_owned(),
    }
}

/// What an EC2 event said of each instance it names.
pub fn ec2_instances(
    f: &Fields<'_>,
    record: Value<'_, '_>,
    event_id: &str,
    event_time: UtcMicros,
    source_uri: &str,
) -> Vec<Ec2Instance> {
    let request = record.get("requestParameters");
    let response = record.get("responseElements");
    let base = |instance_id: &str| Ec2Instance {
        instance_id: instance_id.to_owned(),
        event_id: event_id.to_owned(),
        event_name: f.get(Text::EventName).unwrap_or_default().to_owned(),
        event_time,
        aws_account_id: own(f.get(Text::RecipientAccountId)),
        aws_region: own(f.get(Text::AwsRegion)),
        private_ip: None,
        instance_profile_arn: None,
        tags: Vec::new(),
        source_uri: source_uri.to_owned(),
    };
    match f.get(Text::EventName) {
        Some("RunInstances" | "CreateFleet") => {
            let requested = requested_tags(request);
            let from_response = set(response, "instancesSet")
                .into_iter()
                .flat_map(Value::items)
                .filter_map(|item| {
                    let mut instance = base(item.get("instanceId").and_then(Value::text)?);
                    instance.private_ip = own(text(Some(item), "privateIpAddress"));
                    instance.instance_profile_arn =
                        own(text(item.get("iamInstanceProfile"), "arn"));
                    instance.tags = tags_of(set(Some(item), "tagSet"));
                    for tag in &requested {
                        if !instance.tags.iter().any(|(key, _)| *key == tag.0) {
                            instance.tags.push(tag.clone());
                        }
                    }
                    Some(instance)
                });
            from_response
                .chain(fleet_instances(f, response, &requested, &base))
                .collect()
        }
        Some("CreateTags" | "DeleteTags") => {
            let tags = tags_of(set(request, "tagSet"));
            set(request, "resourcesSet")
                .into_iter()
                .flat_map(Value::items)
                .filter_map(|item| item.get("resourceId").and_then(Value::text))
                .filter(|id| id.starts_with("i-"))
                .map(|id| Ec2Instance {
                    tags: tags.clone(),
                    ..base(id)
                })
                .collect()
        }
        Some("TerminateInstances") => set(request, "instancesSet")
            .into_iter()
            .flat_map(Value::items)
            .filter_map(|item| item.get("instanceId").and_then(Value::text))
            .map(base)
            .collect(),
        _ => Vec::new(),
    }
}

/// The items of the set of that name.
fn set<'t, 'a>(block: Option<Value<'t, 'a>>, name: &str) -> Option<Value<'t, 'a>> {
    block?.get(name)?.get("items")
}

/// Tags that the request asked for on instances.
fn requested_tags(request: Option<Value<'_, '_>>) -> Vec<(String, String)> {
    request
        .and_then(|request| request.get("tagSpecificationSet"))
        .and_then(|set| set.get("items"))
        .into_iter()
        .flat_map(Value::items)
        .filter(|item| item.get("resourceType").and_then(Value::text) == Some("instance"))
        .flat_map(|item| tags_of(item.get("tags")))
        .collect()
}

/// `CreateFleet` answers with ids only, in `fleetInstanceSet` or, as the API
/// reference shows it, `instances` \[inf\].
fn fleet_instances(
    f: &Fields<'_>,
    response: Option<Value<'_, '_>>,
    requested: &[(String, String)],
    base: &impl Fn(&str) -> Ec2Instance,
) -> Vec<Ec2Instance> {
    if f.get(Text::EventName) != Some("CreateFleet") {
        return Vec::new();
    }
    let Some(response) = response else {
        return Vec::new();
    };
    let response = response.get("CreateFleetResponse").unwrap_or(response);
    ["fleetInstanceSet", "instances", "fleetInstances"]
        .iter()
        .filter_map(|name| response.get(name))
        .flat_map(|set| set.get("items").unwrap_or(set).items())
        .flat_map(|item| {
            let ids = item.get("instanceIds");
            ids.and_then(|ids| ids.get("items"))
                .or(ids)
                .into_iter()
                .flat_map(Value::items)
        })
        .filter_map(Value::text)
        .map(|id| Ec2Instance {
            tags: requested.to_vec(),
            ..base(id)
        })
        .collect()
}

/// Tags as `[{key, value}, …]`; a tag without a value is an empty one.
fn tags_of(items: Option<Value<'_, '_>>) -> Vec<(String, String)> {
    items
        .into_iter()
        .flat_map(Value::items)
        .filter_map(|tag| {
            let key = tag.get("key").and_then(Value::text)?;
            let value = tag.get("value").and_then(Value::text).unwrap_or_default();
            Some((key.to_owned(), value.to_owned()))
        })
        .collect()
}
