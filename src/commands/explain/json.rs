//! The explanation for a program: one object, its members as in the tables.

use super::super::cells::Cells;
use super::again::Part;
use super::databricks::Record;
use super::evidence::Evidence;
use super::record::Basis;
use super::{Explanation, words};
use crate::model::{Ec2Instance, StsSession};
use crate::policy::Effect;
use anyhow::Context as _;
use serde_json::{Value, json};

/// All rows of the event, in one object.
///
/// # Errors
/// When a row cannot be written as JSON, which would be a defect.
pub fn json(explanations: &[Explanation]) -> anyhow::Result<String> {
    let rows: Vec<Value> = explanations
        .iter()
        .map(of_row)
        .collect::<anyhow::Result<_>>()?;
    Ok(format!("{:#}\n", json!({ "rows": rows })))
}

fn of_row(explanation: &Explanation) -> anyhow::Result<Value> {
    let again = &explanation.again;
    let reason = explanation.row.text("unattributed_reason").map(|token| {
        let reason = words::reason(token);
        json!({ "reason": token, "means": reason.means, "to_mend_it": reason.mend })
    });
    let doubt = words::doubt(&explanation.row).map(|doubt| {
        let advice = doubt.advice();
        json!({ "doubt": doubt.as_str(), "means": advice.means, "to_mend_it": advice.mend })
    });
    let (from, because) = match &explanation.basis {
        Basis::Original => ("original_record", None),
        Basis::Row(why) => ("stored_row", Some(why)),
    };
    Ok(json!({
        "stored": members(&explanation.row)?,
        "unattributed": reason,
        "ambiguous": doubt,
        "evidence": explanation.evidence.iter().map(evidence).collect::<Vec<_>>(),
        "considered": explanation.considered.iter()
            .map(|other| json!({ "what": other.what, "fell_out_because": other.because }))
            .collect::<Vec<_>>(),
        "at_work": explanation.at_work,
        "log_object": explanation.object.as_ref().map(members).transpose()?,
        "decided_again": {
            "from": from,
            "because": because,
            "policy_version": explanation.policy_version,
            "same_policy": explanation.row.text("policy_version")
                == Some(explanation.policy_version.as_str()),
            "same_record": again.agrees_on(Part::Record),
            "same_attribution": again.agrees_on(Part::Attribution),
            "same_verdict": again.agrees_on(Part::Verdict),
            "differences": again.differences.iter().map(|d| json!({
                "part": d.part.as_str(),
                "column": d.column,
                "stored": d.stored,
                "today": d.today,
            })).collect::<Vec<_>>(),
            "row": members(&again.row)?,
        },
        "rules": explanation.rules.iter().map(|rule| json!({
            "rule": &*rule.id,
            "effect": match rule.effect { Effect::Permit => "permit", Effect::Forbid => "forbid" },
            "severity": rule.severity.as_str(),
            "control": rule.control.as_deref(),
            "violated": again.row.structs("violations", ["rule"]).iter()
                .any(|[violated]| violated.as_deref() == Some(&*rule.id)),
        })).collect::<Vec<_>>(),
        "dataset_owner": explanation.dataset_owner,
    }))
}

/// The cells of a row by name; NULL is left out.
fn members(row: &Cells) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut bytes);
    writer.write(row.batch()).context("write a row as JSON")?;
    writer.finish().context("write a row as JSON")?;
    drop(writer);
    serde_json::from_slice(&bytes).context("write a row as JSON")
}

fn evidence(piece: &Evidence) -> Value {
    json!({
        "event_id": piece.event_id,
        "sts_sessions": piece.sessions.iter().map(session).collect::<Vec<_>>(),
        "ec2_instances": piece.instances.iter().map(instance).collect::<Vec<_>>(),
        "databricks": piece.records.iter().map(record).collect::<Vec<_>>(),
    })
}

fn record(record: &Record) -> Value {
    let says = record.says.iter();
    json!({
        "what": record.what,
        "at": record.at.map(|at| at.to_string()),
        "says": says.map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect::<serde_json::Map<String, Value>>(),
    })
}

fn session(session: &StsSession) -> Value {
    json!({
        "event_name": session.event_name,
        "issued_at": session.issued_at.to_string(),
        "expires_at": session.expires_at.map(|at| at.to_string()),
        "aws_account_id": session.aws_account_id,
        "access_key_id": session.access_key_id,
        "role_arn": session.role_arn,
        "role_session_name": session.role_session_name,
        "external_id": session.external_id,
        "source_identity": session.source_identity,
        "caller_type": session.caller.identity_type,
        "caller_arn": session.caller.arn,
        "caller_account_id": session.caller.account_id,
        "caller_access_key_id": session.caller.access_key_id,
        "caller_invoked_by": session.caller.invoked_by,
        "caller_ip": session.caller_ip,
        "policy_prefixes": session.policy_prefixes,
        "policy_actions": session.policy_actions,
        "source_uri": session.source_uri,
    })
}

fn instance(instance: &Ec2Instance) -> Value {
    let tags = instance
        .tags
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": value }));
    json!({
        "event_name": instance.event_name,
        "event_time": instance.event_time.to_string(),
        "aws_account_id": instance.aws_account_id,
        "instance_id": instance.instance_id,
        "private_ip": instance.private_ip,
        "instance_profile_arn": instance.instance_profile_arn,
        "tags": tags.collect::<Vec<_>>(),
        "source_uri": instance.source_uri,
    })
}
