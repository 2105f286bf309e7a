//! The explanation for a person, in the order in which an auditor asks: what
//! happened, who was it and how is that known, was it allowed, does that hold
//! today, where does it stand.

use super::super::cells::Cells;
use super::super::page::{NAME, Page, listed};
use super::again::Part;
use super::databricks::Level;
use super::evidence::Evidence;
use super::record::Basis;
use super::{Explanation, words};
use crate::lake::s3_access::VIOLATION;
use crate::model::{Ec2Instance, StsSession};
use crate::policy::Effect;
use bytesize::ByteSize;

/// The levels of an attribution: name, columns that identify, confidence.
const LEVELS: [(&str, &[&str], &str); 6] = [
    ("session", &["session_event_id"], "session_confidence"),
    ("workspace", &["workspace_id"], "workspace_confidence"),
    ("cluster", &["cluster_id"], "cluster_confidence"),
    ("job", &["job_id", "job_run_id"], "job_confidence"),
    ("task", &["task_key", "task_run_id"], "task_confidence"),
    (
        "person",
        &["principal", "principal_kind"],
        "principal_confidence",
    ),
];

/// All rows of the event, one after another.
pub fn text(explanations: &[Explanation]) -> String {
    let mut page = Page::default();
    if explanations.len() > 1 {
        let n = explanations.len();
        page.line(format_args!(
            "{n} rows: copies of the event in several accounts, or of several trails"
        ));
    }
    for (i, explanation) in explanations.iter().enumerate() {
        if i > 0 || explanations.len() > 1 {
            page.line(format_args!(""));
        }
        head(&explanation.row, &mut page);
        recorded(&explanation.row, &mut page);
        who(&explanation.row, &mut page);
        chain(explanation, &mut page);
        verdict(explanation, &mut page);
        again(explanation, &mut page);
        provenance(explanation, &mut page);
    }
    page.into_text()
}

fn head(row: &Cells, page: &mut Page) {
    let text = |name: &str| row.text(name).unwrap_or("?");
    page.line(format_args!("Event {}", text("event_id")));
    page.say(
        "verdict",
        &match row.text("verdict") {
            Some(verdict) => format!("{verdict}  ({})", answer(verdict)),
            None => "none".to_owned(),
        },
    );
}

fn answer(verdict: &str) -> &'static str {
    match verdict {
        "in_policy" => "no rule forbids it",
        "out_of_policy" => "the rules below forbid it",
        _ => "candidates disagree, or a rule could not be evaluated",
    }
}

fn recorded(row: &Cells, page: &mut Page) {
    let own = |name: &str| row.owned(name);
    let with = |label: &str, name: &str| row.text(name).map(|value| format!("{label} {value}"));
    page.section("What AWS recorded");
    page.parts(
        "event",
        &[
            own("event_name").map(|name| match row.text("operation") {
                Some(operation) => format!("{name} ({operation})"),
                None => name,
            }),
            row.time("event_time").map(|at| at.to_string()),
        ],
    );
    page.parts(
        "on",
        &[
            Some(target(row)),
            with("version", "version_id"),
            with("copied from", "copy_source"),
        ],
    );
    page.parts(
        "outcome",
        &[own("outcome"), own("error_code"), own("error_message")],
    );
    page.parts("account", &[own("aws_account_id"), own("aws_region")]);
    page.parts(
        "principal",
        &[
            own("identity_type"),
            own("principal_arn"),
            with("account", "principal_account_id"),
        ],
    );
    page.parts("role", &[own("role_arn")]);
    page.parts(
        "session",
        &[
            own("session_name"),
            row.time("session_issued_at")
                .map(|at| format!("issued {at}")),
            with("source identity", "source_identity"),
        ],
    );
    page.parts(
        "credential",
        &[
            own("credential"),
            own("access_key_id"),
            with("called by", "invoked_by"),
        ],
    );
    page.parts(
        "client",
        &[own("source_ip"), own("vpc_endpoint_id"), own("user_agent")],
    );
    let plain = row.text("tls_version").is_none();
    page.parts(
        "transport",
        &[
            own("tls_version").or_else(|| plain.then(|| "TLS version not recorded".to_owned())),
            own("auth_method"),
            row.truth("presigned").then(|| match row.time("signed_at") {
                Some(at) => format!("pre-signed URL, signed {at}"),
                None => "pre-signed URL".to_owned(),
            }),
        ],
    );
    let encryption = own("sse").or_else(|| Some("not recorded".to_owned()));
    page.parts("encryption", &[encryption, own("kms_key_arn")]);
    let bytes = |name: &str, way: &str| {
        let n = row.number(name).and_then(|n| u64::try_from(n).ok())?;
        Some(format!("{} {way}", ByteSize::b(n)))
    };
    page.parts(
        "bytes",
        &[bytes("bytes_in", "in"), bytes("bytes_out", "out")],
    );
    page.parts(
        "request",
        &[own("request_id"), with("shared event", "shared_event_id")],
    );
}

fn target(row: &Cells) -> String {
    let bucket = row.text("bucket").unwrap_or("");
    match (row.text("object_key"), row.text("list_prefix")) {
        _ if bucket.is_empty() => "no bucket named".to_owned(),
        (Some(key), _) => format!("s3://{bucket}/{key}"),
        (None, Some(prefix)) => format!("s3://{bucket}/, keys beginning with `{prefix}`"),
        (None, None) => format!("bucket {bucket}"),
    }
}

fn who(row: &Cells, page: &mut Page) {
    page.section("Who it was");
    let path = row.text("access_path").unwrap_or("unknown");
    page.say(
        "access path",
        &format!("{path}: {}", words::access_path(path)),
    );
    if let Some(instance_id) = row.text("instance_id") {
        page.say("instance", instance_id);
    }
    for (level, ids, confidence) in LEVELS {
        let confidence = row.text(confidence).unwrap_or("none");
        let ids: Vec<&str> = ids.iter().filter_map(|name| row.text(name)).collect();
        let ids = match (level, ids.as_slice()) {
            ("session", [id]) => format!("issued by STS event {id}"),
            ("job" | "task", [id, run]) => format!("{id}, run {run}"),
            _ => ids.join(", "),
        };
        page.line(format_args!("  {level:<NAME$} {confidence:<10} {ids}"));
    }
    for (name, column) in [
        ("candidates", "principal_candidates"),
        ("job runs", "job_run_candidates"),
    ] {
        let candidates = row.list(column);
        if !candidates.is_empty() {
            page.say(name, &listed(&candidates));
        }
    }
    if let Some(doubt) = words::doubt(row) {
        let advice = doubt.advice();
        page.say(
            "open because",
            &format!("{}: {}", doubt.as_str(), advice.means),
        );
        page.say("to mend it", advice.mend);
    }
    if let Some(token) = row.text("unattributed_reason") {
        let reason = words::reason(token);
        page.say("no person", &format!("{token}: {}", reason.means));
        page.say("to mend it", reason.mend);
    }
    let settled = row.truth("settled");
    page.say(
        "standing",
        if settled {
            "settled"
        } else {
            "provisional: not settled yet"
        },
    );
}

fn chain(explanation: &Explanation, page: &mut Page) {
    let Explanation {
        row,
        evidence,
        considered,
        at_work,
        ..
    } = explanation;
    page.section("How that is known");
    let methods = row.list("attribution_methods");
    if methods.is_empty() && evidence.is_empty() {
        page.line(format_args!(
            "  From the record alone; no other event is needed or known."
        ));
    }
    let is_placed = methods
        .iter()
        .any(|method| words::level(method) == Level::Cluster);
    for level in [Level::Session, Level::Cluster, Level::Job, Level::Person] {
        let methods: Vec<&String> = methods
            .iter()
            .filter(|method| words::level(method) == level)
            .collect();
        let evidence = || {
            (1..)
                .zip(evidence)
                .filter(|(_, piece)| piece.level == level)
        };
        if methods.is_empty() && evidence().next().is_none() {
            continue;
        }
        page.line(format_args!("  {}", of_level(row, level, is_placed)));
        for method in methods {
            page.wrapped("  by ", &format!("{method}: {}", words::method(method)));
        }
        for (n, piece) in evidence() {
            named(n, piece, page);
        }
        if level == Level::Person {
            for person in at_work {
                page.wrapped("  at work: ", person);
            }
        }
    }
    if !considered.is_empty() {
        page.section("What was near and fell out");
        for other in considered {
            page.wrapped("  ", &format!("{}: {}", other.what, other.because));
        }
    }
}

/// The levels that a group of methods tells of, each with its confidence.
fn of_level(row: &Cells, level: Level, is_placed: bool) -> String {
    let names: &[&str] = match level {
        Level::Session => &["session"],
        Level::Cluster => &["cluster", "workspace"],
        Level::Job => &["job", "task"],
        Level::Person if is_placed => &["principal"],
        Level::Person => &["principal", "workspace"],
    };
    let is_workspace = row.text("workspace_confidence") != Some("none");
    let known: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let confidence = row.text(&format!("{name}_confidence"))?;
            let name = if *name == "principal" {
                "person"
            } else {
                *name
            };
            Some((name, confidence))
        })
        // A key's layout names the workspace and no cluster.
        .filter(|known| !is_workspace || *known != ("cluster", "none"))
        .map(|(name, confidence)| format!("{name}: {confidence}"))
        .collect();
    known.join(", ")
}

/// One record with its number, which is its place in `attribution_evidence`.
fn named(n: usize, piece: &Evidence, page: &mut Page) {
    for session in &piece.sessions {
        sts(n, session, page);
    }
    for instance in &piece.instances {
        ec2(n, instance, page);
    }
    for record in &piece.records {
        let at = record.at.map_or_else(String::new, |at| format!("{at}  "));
        page.line(format_args!("  {n}. {at}{}", record.what));
        for (name, value) in &record.says {
            if !value.is_empty() {
                page.say(&format!("   {name}"), value);
            }
        }
        page.say("   record", &piece.event_id);
    }
    if piece.sessions.is_empty() && piece.instances.is_empty() && piece.records.is_empty() {
        let id = &piece.event_id;
        match words::databricks_record(id) {
            Some(what) => page.line(format_args!(
                "  {n}. {what}, whose record is not in the lake  {id}"
            )),
            None => page.line(format_args!("  {n}. event {id}, which is not in the lake")),
        }
    }
}

fn sts(n: usize, session: &StsSession, page: &mut Page) {
    let labelled =
        |label: &str, text: &Option<String>| text.as_ref().map(|text| format!("{label} {text}"));
    page.line(format_args!(
        "  {n}. {}  {}  event {}",
        session.issued_at, session.event_name, session.event_id
    ));
    let caller = &session.caller;
    page.parts(
        "   role",
        &[
            session.role_arn.clone(),
            labelled("session", &session.role_session_name),
        ],
    );
    page.parts(
        "   issued",
        &[
            labelled("key", &session.access_key_id),
            session.expires_at.map(|at| format!("until {at}")),
        ],
    );
    page.parts(
        "   caller",
        &[
            caller.identity_type.clone(),
            caller.arn.clone().or_else(|| caller.invoked_by.clone()),
            labelled("account", &caller.account_id),
            labelled("key", &caller.access_key_id),
            caller
                .in_scope_issued_to
                .as_ref()
                .map(|arn| format!("of {arn}")),
            labelled("from", &session.caller_ip),
        ],
    );
    page.parts(
        "   with",
        &[
            labelled("external id", &session.external_id),
            labelled("source identity", &session.source_identity),
        ],
    );
    if !session.policy_prefixes.is_empty() {
        page.parts(
            "   scope",
            &[
                Some(listed(&session.policy_prefixes)),
                Some(listed(&session.policy_actions)),
            ],
        );
    }
    page.parts(
        "   account",
        &[session.aws_account_id.clone(), session.aws_region.clone()],
    );
}

fn ec2(n: usize, instance: &Ec2Instance, page: &mut Page) {
    page.line(format_args!(
        "  {n}. {}  {}  event {}",
        instance.event_time, instance.event_name, instance.event_id
    ));
    page.parts(
        "   instance",
        &[
            Some(instance.instance_id.clone()),
            instance.private_ip.clone(),
            instance.instance_profile_arn.clone(),
        ],
    );
    let tags: Vec<String> = instance
        .tags
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if !tags.is_empty() {
        page.say("   tags", &listed(&tags));
    }
    page.parts(
        "   account",
        &[instance.aws_account_id.clone(), instance.aws_region.clone()],
    );
}

fn verdict(explanation: &Explanation, page: &mut Page) {
    let row = &explanation.row;
    page.section("Whether it was allowed");
    match row.text("dataset") {
        Some(dataset) => page.parts(
            "dataset",
            &[
                Some(dataset.to_owned()),
                row.owned("sensitivity"),
                explanation
                    .dataset_owner
                    .as_ref()
                    .map(|owner| format!("owner {owner}")),
            ],
        ),
        None => page.say(
            "dataset",
            "none: no location of the policy's datasets.toml holds it",
        ),
    }
    page.parts("verdict", &[row.owned("verdict")]);
    page.parts("policy", &[row.owned("policy_version")]);
    for [rule, severity, control, reason, exception] in row.structs("violations", VIOLATION) {
        let known = |text: Option<String>| text.unwrap_or_default();
        let (severity, rule, control) = (known(severity), known(rule), known(control));
        page.line(format_args!(
            "  violates      {rule}  [{severity}]  {control}"
        ));
        page.say("", &known(reason));
        if let Some(exception) = exception {
            let says = format!("covered by exception {exception}: it does not count");
            page.say("", &says);
        }
    }
    // The rules at hand are today's; they say nothing of another policy's answer.
    if row.text("policy_version") != Some(explanation.policy_version.as_str()) {
        return;
    }
    let violated = violated(row);
    let names = |effect: Effect| -> Vec<String> {
        let rules = explanation
            .rules
            .iter()
            .filter(|rule| rule.effect == effect);
        rules
            .map(|rule| rule.id.to_string())
            .filter(|rule| !violated.contains(rule))
            .collect()
    };
    let (quiet, permits) = (names(Effect::Forbid), names(Effect::Permit));
    if !quiet.is_empty() {
        page.say("not violated", &quiet.join(", "));
    }
    if !permits.is_empty() {
        page.say("permit rules", &permits.join(", "));
    }
}

fn violated(row: &Cells) -> Vec<String> {
    row.structs("violations", ["rule"])
        .into_iter()
        .filter_map(|[rule]| rule)
        .collect()
}

fn again(explanation: &Explanation, page: &mut Page) {
    let again = &explanation.again;
    page.section("Decided again, just now");
    match &explanation.basis {
        Basis::Original => page.say(
            "from",
            "the original record: the object's bytes still have the hash that was ingested",
        ),
        Basis::Row(why) => page.say(
            "from",
            &format!("the stored row, because {why}. It holds what decisions read of it"),
        ),
    }
    let stored = explanation.row.text("policy_version");
    if stored != Some(explanation.policy_version.as_str()) {
        page.say(
            "policy",
            &format!(
                "another one: {}; the row was judged under {}. Its files stand in policy_versions; \
                 give them with --policy to judge as then",
                explanation.policy_version,
                stored.unwrap_or("none")
            ),
        );
    }
    for (part, name) in [
        (Part::Record, "record"),
        (Part::Attribution, "attribution"),
        (Part::Verdict, "verdict"),
    ] {
        if again.agrees_on(part) {
            if part != Part::Record || explanation.basis == Basis::Original {
                page.say(name, "the same as stored");
            }
            continue;
        }
        page.say(
            name,
            match part {
                Part::Record => "DIFFERS: the row does not say what the object says",
                Part::Attribution => {
                    "DIFFERS: facts that came later, or another configuration, change it"
                }
                Part::Verdict | Part::Version => "DIFFERS",
            },
        );
        for difference in again.of_part(part) {
            let rules = |row: &Cells| match violated(row).join(", ") {
                names if names.is_empty() => "none".to_owned(),
                names => names,
            };
            let (stored, today) = (rules(&explanation.row), rules(&again.row));
            // Rules by name are enough, unless only their wording changed.
            if difference.column == "violations" && stored != today {
                differs("violations", &stored, &today, page);
            } else {
                differs(
                    &difference.column,
                    &difference.stored,
                    &difference.today,
                    page,
                );
            }
        }
    }
    for difference in again.of_part(Part::Version) {
        if difference.column == "attribution_version" {
            differs(
                &difference.column,
                &difference.stored,
                &difference.today,
                page,
            );
        }
    }
}

fn differs(column: &str, stored: &str, today: &str, page: &mut Page) {
    let shown = |text: &str| {
        if text.is_empty() {
            "NULL".to_owned()
        } else {
            text.to_owned()
        }
    };
    page.line(format_args!("    {column}"));
    page.line(format_args!("      stored  {}", shown(stored)));
    page.line(format_args!("      today   {}", shown(today)));
}

fn provenance(explanation: &Explanation, page: &mut Page) {
    let row = &explanation.row;
    page.section("Where it stands");
    page.parts("object", &[row.owned("source_uri")]);
    page.parts(
        "record",
        &[row
            .owned("source_index")
            .map(|index| match &explanation.object {
                Some(object) => {
                    let of = object.text("records").unwrap_or("?");
                    format!("{index}, counted from 0, of {of}")
                }
                None => index,
            })],
    );
    page.parts("etag", &[row.owned("source_etag")]);
    match explanation
        .object
        .as_ref()
        .and_then(|object| object.text("sha256"))
    {
        Some(sha256) => page.say("sha256", &format!("{sha256}  (inflated)")),
        None => page.say("sha256", "unknown: the object has no row in log_objects"),
    }
    page.parts(
        "ingested",
        &[row.time("ingested_at").map(|at| at.to_string())],
    );
    page.parts(
        "attributed",
        &[
            row.time("attributed_at").map(|at| at.to_string()),
            row.text("attribution_version")
                .map(|version| format!("algorithm version {version}")),
        ],
    );
}
