//! Texts that rules compare with what has few values: a text that is none of them never
//! matches, and the rule is silently dead.
//!
//! Found by comparing in place, `context.outcome == "ok"` or
//! `["ok", "denied"].contains(context.outcome)`; texts that are made in another way are
//! not seen.

use super::facts::WEEKDAYS;
use super::mentions::Attribute;
use super::nearest;
use super::vocabulary::known_events;
use crate::model::{AccessPath, Confidence, Credential, Outcome, UnattributedReason};
use serde_json::Value as Json;

/// The texts that a rule compares, each with what it is compared with.
pub(super) fn compared(rule: &Json) -> Vec<(Attribute, &str)> {
    let mut found = Vec::new();
    collect(rule, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect<'j>(json: &'j Json, found: &mut Vec<(Attribute, &'j str)>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(fields) => {
            for (operator, body) in fields {
                let sides = [&body["left"], &body["right"]];
                match operator.as_str() {
                    "==" | "!=" => {
                        for (one, other) in [(sides[0], sides[1]), (sides[1], sides[0])] {
                            found.extend(attribute(one).zip(text(other)));
                        }
                    }
                    "contains" => {
                        let items = sides[0]["Set"].as_array();
                        let texts = items.into_iter().flatten().filter_map(text);
                        if let Some(attribute) = attribute(sides[1]) {
                            found.extend(texts.map(|text| (attribute, text)));
                        }
                    }
                    _ => {}
                }
                collect(body, found);
            }
        }
        _ => {}
    }
}

fn attribute(json: &Json) -> Option<Attribute> {
    let name = json.pointer("/./attr")?.as_str()?;
    Attribute::ALL
        .iter()
        .copied()
        .find(|it| it.as_str() == name)
}

fn text(json: &Json) -> Option<&str> {
    json["Value"].as_str()
}

/// What is wrong with a text, where an attribute can only have certain ones; `datasets`
/// are the names of the policy's, where all are known.
pub(super) fn fault(attribute: Attribute, text: &str, datasets: Option<&[&str]>) -> Option<String> {
    use Attribute as A;
    let known: Vec<&str> = match attribute {
        A::AccessPath => AccessPath::ALL.map(AccessPath::as_str).to_vec(),
        A::Credential => Credential::ALL.map(Credential::as_str).to_vec(),
        A::Outcome => Outcome::ALL.map(Outcome::as_str).to_vec(),
        A::UnattributedReason => UnattributedReason::ALL
            .map(UnattributedReason::as_str)
            .to_vec(),
        A::Weekday => WEEKDAYS.to_vec(),
        A::Session | A::Workspace | A::Cluster | A::Job | A::Task | A::Principal => {
            Confidence::ALL.map(Confidence::as_str).to_vec()
        }
        A::Dataset | A::CopySourceDataset => datasets?.to_vec(),
        _ => return None,
    };
    if known.contains(&text) {
        return None;
    }
    let name = attribute.as_str();
    Some(match attribute {
        A::Dataset | A::CopySourceDataset if known.is_empty() => format!(
            "`{name}` is compared with `{text}`, and the policy has no datasets.toml, or an empty \
             one; define the dataset there"
        ),
        _ => format!(
            "`{name}` is never `{text}`, so that comparing the two decides nothing{}",
            nearest::hint(text, &known)
        ),
    })
}

/// What is probably wrong with a text, though it may be meant: S3 has new calls, and
/// sensitivities are the author's own.
pub(super) fn doubt(attribute: Attribute, text: &str, sensitivities: &[&str]) -> Option<String> {
    let name = attribute.as_str();
    match attribute {
        Attribute::Sensitivity | Attribute::CopySourceSensitivity
            if !sensitivities.contains(&text) =>
        {
            Some(format!(
                "compares `{name}` with `{text}`, which no dataset of datasets.toml has{}",
                nearest::hint(text, sensitivities)
            ))
        }
        Attribute::EventName => {
            let events: Vec<&str> = known_events().map(|(name, _)| name).collect();
            (!events.contains(&text)).then(|| {
                format!(
                    "compares `{name}` with `{text}`, which S3 is not known to log{}",
                    nearest::hint(text, &events)
                )
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cedar_policy::{Policy, PolicyId};

    #[test]
    fn compared_texts_are_found_in_place() {
        let rule = r#"permit (principal, action, resource) when {
            context.outcome == "ok" && "iam" != context.access_path
            && !["monday", "noday"].contains(context.weekday)
            && (if context.hour > 3 then resource.dataset == "a" else context.confidence.job == "exact")
            && context.user_agent like "x*"
        };"#;
        let policy = Policy::parse(Some(PolicyId::new("r")), rule).unwrap();
        let json = policy.to_json().unwrap();
        let found = compared(&json);
        let found = found
            .iter()
            .map(|(of, text)| format!("{} {text}", of.as_str()));
        let mut found: Vec<String> = found.collect();
        found.sort();
        assert_eq!(
            found,
            [
                "access_path iam",
                "dataset a",
                "job exact",
                "outcome ok",
                "weekday monday",
                "weekday noday"
            ]
        );
    }

    #[test]
    fn a_text_that_never_is_one_is_a_fault_and_the_nearest_is_told() {
        for (attribute, text, told) in [
            (Attribute::Outcome, "ok", None),
            (Attribute::Outcome, "refused", Some("there are")),
            (
                Attribute::AccessPath,
                "unity_catlog",
                Some("did you mean `unity_catalog`?"),
            ),
            (
                Attribute::Dataset,
                "payrol",
                Some("did you mean `payroll`?"),
            ),
            (Attribute::Weekday, "Monday", Some("did you mean `monday`?")),
            (Attribute::UserAgent, "anything", None),
        ] {
            let fault = fault(attribute, text, Some(&["payroll"]));
            assert_eq!(fault.is_some(), told.is_some(), "{fault:?}");
            if let Some(told) = told {
                assert!(fault.unwrap().contains(told), "{text}");
            }
        }
        assert!(
            doubt(Attribute::EventName, "GetObjct", &[])
                .unwrap()
                .contains("`GetObject`")
        );
        assert_eq!(doubt(Attribute::EventName, "GetObject", &[]), None);
        assert!(doubt(Attribute::Sensitivity, "restrictd", &["restricted"]).is_some());
    }
}
