//! Accesses that agree in the cache key get the same judgement, and requests fit
//! the schema.

use super::visible::full_case;
use super::*;
use crate::model::{Confidence, PrincipalKind};
use crate::policy::datasets::Datasets;
use crate::policy::facts::{Facts, Terms, session_age_hours};
use crate::policy::known_events;
use crate::policy::mentions::Mentions;
use crate::policy::reads::Reads;
use crate::policy::rules::schema;
use crate::policy::settings::Settings;
use crate::policy::vocabulary::Vocabulary;
use cedar_policy::Request;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// What varies from event to event and is in no cache key unless it is read.
#[derive(Clone, Debug)]
struct PerEvent {
    id: String,
    minute: i64,
    error_code: Option<String>,
    object_key: Option<String>,
    list_prefix: Option<String>,
    version_id: Option<String>,
    copy_source: Option<String>,
    bytes_out: Option<i64>,
}

fn text(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    option::of(select(of).prop_map(str::to_owned))
}

fn per_event() -> impl Strategy<Value = PerEvent> {
    (
        "[a-f0-9]{8}",
        0..60_i64,
        text(&["AccessDenied", "NoSuchKey"]),
        text(&["raw/x", "payroll/x", "raw/secret/x", ""]),
        text(&["raw/", "payroll/", ""]),
        text(&["v1", "v2"]),
        text(&["lake/raw/x", "/other/x", "arn:aws:s3:::x"]),
        option::of(0..10_i64),
    )
        .prop_map(
            |(
                id,
                minute,
                error_code,
                object_key,
                list_prefix,
                version_id,
                copy_source,
                bytes_out,
            )| {
                PerEvent {
                    id,
                    minute,
                    error_code,
                    object_key,
                    list_prefix,
                    version_id,
                    copy_source,
                    bytes_out,
                }
            },
        )
}

fn event() -> impl Strategy<Value = (String, Operation)> {
    let known: Vec<(&str, Operation)> = known_events().collect();
    prop_oneof![
        4 => select(known).prop_map(|(name, operation)| (name.to_owned(), operation)),
        1 => (select(&["RenameObject", "PutBucketCurfew", "PutAccountX", "Etc", ""][..]),
              select(&Operation::ALL[..])).prop_map(|(name, operation)| (name.to_owned(), operation)),
    ]
}

/// An access without what varies per event.
pub(super) fn case() -> impl Strategy<Value = Case> {
    let who = (
        text(&["AssumedRole", "IAMUser", "AWSService"]),
        text(&["arn:aws:sts::111122223333:assumed-role/etl/i-0c1a", "x"]),
        text(&["111122223333", "999999999999", "anonymous"]),
        text(&["athena.amazonaws.com"]),
        option::of(-2..50_i64),
    );
    let how = (
        text(&[
            "10.1.2.3",
            "198.51.100.7",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "s3.amazonaws.com",
            "AWS Internal",
            "?",
        ]),
        text(&["vpce-1", "vpce-2"]),
        text(&["TLSv1.3", "TLSv1.1", "TLSv9"]),
        any::<bool>(),
        text(&["SSE_S3", "SSE_KMS", "SSE_C", "?"]),
        text(&["arn:aws:kms:eu-west-1:999999999999:key/1", "alias/x"]),
        any::<bool>(),
        select(&[Outcome::Ok, Outcome::Denied, Outcome::Error][..]),
    );
    let attribution = (
        select(&AccessPath::ALL[..]),
        select(
            &[
                Credential::Static,
                Credential::Temporary,
                Credential::Anonymous,
            ][..],
        ),
        option::of(select(
            &[PrincipalKind::User, PrincipalKind::ServicePrincipal][..],
        )),
        text(&["ann@example.com", "0b7e"]),
        subsequence(vec!["ann@example.com", "bob@example.com"], 0..3),
        select(&Confidence::ALL[..]),
        text(&["lake", "other"]),
    );
    (event(), who, how, attribution).prop_map(|(event, who, how, attribution)| {
        let mut case = Case::event(&event.0, event.1);
        let hour = 3600;
        case.principal = Principal {
            identity_type: who.0,
            arn: who.1,
            account_id: who.2,
            invoked_by: who.3,
            session_issued_at: who
                .4
                .map(|hours| case.event_time.plus_seconds(-hours * hour)),
            ..Principal::default()
        };
        case.client.source_ip = how.0;
        case.client.vpc_endpoint_id = how.1;
        case.client.tls = Tls {
            version: how.2,
            plaintext: how.3,
        };
        (case.sse, case.kms_key_arn, case.presigned, case.outcome) = (how.4, how.5, how.6, how.7);
        case.attribution = Attribution {
            access_path: attribution.0,
            principal_kind: attribution.2,
            principal: attribution.3,
            principal_candidates: attribution.4.into_iter().map(str::to_owned).collect(),
            principal_confidence: attribution.5,
            ..Attribution::default()
        };
        case.credential = attribution.1;
        case.target.bucket = attribution.6;
        case
    })
}

/// Puts what varies into an access, but for what `reads` says is in the key.
fn vary(case: &Case, with: &PerEvent, reads: Reads) -> Case {
    let mut case = case.clone();
    let put = |read: bool, field: &mut Option<String>, value: &Option<String>| {
        if !read {
            field.clone_from(value);
        }
    };
    put(reads.error_code, &mut case.error_code, &with.error_code);
    put(reads.object_key, &mut case.object_key, &with.object_key);
    put(reads.list_prefix, &mut case.list_prefix, &with.list_prefix);
    put(reads.version_id, &mut case.version_id, &with.version_id);
    put(reads.copy_source, &mut case.copy_source, &with.copy_source);
    case.event_id.clone_from(&with.id);
    case.request_id = Some(with.id.clone());
    case.error_message = with.error_code.clone();
    case.bytes_out = with.bytes_out;
    // Within the hour.
    let hour = case.event_time.0 - case.event_time.0.rem_euclid(3_600_000_000);
    case.event_time = UtcMicros(hour).plus_seconds(with.minute * 60);
    case
}

/// Rules that see each per-event input, alone and together.
static READERS: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let any = "@id(\"any\") permit (principal, action, resource);";
    let rules = [
        "",
        r#"@id("k") forbid (principal, action, resource) when { resource has key && resource.key like "raw/*" };"#,
        r#"@id("l") forbid (principal, action, resource) when { context has list_prefix && context.list_prefix == "raw/" };"#,
        r#"@id("v") forbid (principal, action, resource) when { context has version_id };"#,
        r#"@id("c") forbid (principal, action, resource) when { context has copy_source_bucket && context.copy_source_bucket == "other" };"#,
        r#"@id("e") forbid (principal, action, resource) when { context has error_code && context.error_code == "NoSuchKey" };"#,
        r#"@id("o") forbid (principal, action, resource is Object) unless { resource in Bucket::"lake" };"#,
        r#"@id("f") forbid (principal, action, resource) when { context has session_age_hours && context.session_age_hours * 9223372036854775807 > 0 };"#,
    ];
    let each = rules.iter().map(|rule| policy(&format!("{any}{rule}")));
    each.chain([policy(&format!("{any}{}", rules.concat()))])
        .collect()
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn equal_keys_are_judged_alike(case in case(), one in per_event(), other in per_event()) {
        for policy in READERS.iter().chain([&*STARTER]) {
            let base = vary(&case, &one, Reads::default());
            let varied = vary(&base, &other, policy.reads());
            // An issue a little after the event makes whole hours of a minute's difference.
            prop_assume!(
                session_age_hours(&base.access()) == session_age_hours(&varied.access())
            );
            prop_assert_eq!(base.judge(policy), varied.judge(policy));
        }
    }

    #[test]
    fn a_request_holds_only_what_is_read(
        case in case(), one in per_event(), other in per_event(),
        attributes in any::<u128>(), names in any::<u128>(),
    ) {
        let mentions = Mentions::from_bits(attributes, names, false);
        let reads = Reads::of(mentions);
        let base = vary(&case, &one, Reads::default());
        let varied = vary(&base, &other, reads);
        prop_assume!(session_age_hours(&base.access()) == session_age_hours(&varied.access()));
        let vocabulary = Vocabulary::new(&[], None).unwrap();
        let settings = Settings::check(&PolicySettings::default(), &mut Vec::new());
        let datasets = Datasets::default();
        let terms = Terms {
            vocabulary: &vocabulary,
            settings: &settings,
            datasets: &datasets,
            mentions,
        };
        let [base, varied] = [base, varied].map(|case| {
            let access = case.access();
            let facts = Facts {
                access: &access,
                attribution: &case.attribution,
                credential: case.credential,
                dataset: None,
                workload: &case.workload,
                settled: case.settled,
            };
            let inputs = facts.inputs(terms).unwrap();
            let question = inputs.question(terms).unwrap();
            (question.resource, question.context.to_json_value().unwrap(), question.entities)
        });
        prop_assert_eq!(base, varied);
    }

    #[test]
    fn requests_fit_the_schema(case in full_case(), with in per_event()) {
        static SCHEMA: LazyLock<cedar_policy::Schema> = LazyLock::new(|| schema().unwrap());
        let mut case = vary(&case, &with, Reads::default());
        // The schema knows an action's group; a record cannot say otherwise.
        if let Some((_, operation)) = known_events().find(|(name, _)| *name == case.event_name) {
            case.operation = operation;
        }
        let groups = ["analysts", "engineers"].map(str::to_owned);
        let vocabulary = Vocabulary::new(&groups, None).unwrap();
        let settings = PolicySettings {
            own_account_ids: vec!["111122223333".to_owned()],
            ..PolicySettings::default()
        };
        let settings = Settings::check(&settings, &mut Vec::new());
        let datasets = Datasets::default();
        let terms = Terms {
            vocabulary: &vocabulary,
            settings: &settings,
            datasets: &datasets,
            mentions: Mentions::ALL,
        };
        let dataset = crate::model::Dataset {
            name: "payroll".to_owned(),
            sensitivity: Some("restricted".to_owned()),
            owner: Some("hr@example.com".to_owned()),
        };
        let access = case.access();
        let facts = Facts {
            access: &access,
            attribution: &case.attribution,
            credential: case.credential,
            dataset: Some(&dataset),
            workload: &case.workload,
            settled: case.settled,
        };
        let inputs = facts.inputs(terms).unwrap();
        let question = inputs.question(terms).unwrap();
        for principal in inputs.principals() {
            let (principal, entities) = question.of(*principal, &vocabulary).unwrap();
            cedar_policy::Entities::from_entities(entities, Some(&SCHEMA)).unwrap();
            Request::new(
                principal,
                question.action.clone(),
                question.resource.clone(),
                question.context.clone(),
                Some(&SCHEMA),
            ).unwrap();
        }
    }
}
