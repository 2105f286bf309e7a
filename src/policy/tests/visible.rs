//! What the rules cannot tell apart is judged alike, and what they do not mention
//! changes nothing.

use super::cache_key::case;
use super::*;
use crate::model::{
    ClusterFacts, Confidence, JobFacts, Membership, UnattributedReason, WorkspaceFacts,
};
use crate::policy::Answers;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

fn text(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    option::of(select(of).prop_map(str::to_owned))
}

/// An access with every input that a rule can ask for.
pub(super) fn full_case() -> impl Strategy<Value = Case> {
    let who = (
        text(&[
            "arn:aws:iam::111122223333:role/etl",
            "arn:aws:iam::111122223333:role/x",
        ]),
        text(&["i-0c1a", "ann"]),
        text(&["ann", "bob"]),
        text(&["Spark", "aws-cli"]),
        text(&["111122223333", "999999999999"]),
        text(&["10.1.2.3", "192.168.1.2", "198.51.100.7", "2001:db8::1"]),
    );
    let what = (
        text(&["AccessDenied", "NoSuchKey"]),
        text(&["raw/x", "payroll/x", "payroll/secret/x"]),
        text(&["raw/", "payroll/"]),
        text(&["v1", "v2"]),
        text(&["lake/raw/x", "/other/x"]),
        text(&["111122223333", "999999999999"]),
        text(&["eu-west-1", "us-east-1"]),
    );
    let job = (
        text(&["w1", "w2"]),
        text(&["c1", "c2"]),
        text(&["j1", "j2"]),
        text(&["r1", "r2"]),
        text(&["t1", "t2"]),
        [(); 5].map(|()| select(&Confidence::ALL[..])),
        option::of(select(
            &[UnattributedReason::Late, UnattributedReason::Serverless][..],
        )),
    );
    let membership = (
        proptest::collection::btree_set(0..2_u32, 0..3),
        option::of(any::<bool>()),
    );
    let membership = membership.prop_map(|(groups, active)| Membership {
        groups: groups.into_iter().collect(),
        active,
    });
    let tags = || {
        let tags: [&[(&str, &str)]; 3] = [&[], &[("team", "ml")], &[("team", "etl"), ("x", "")]];
        select(tags.to_vec()).prop_map(|tags| {
            tags.iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        })
    };
    let workload = (
        proptest::collection::vec(membership, 3),
        option::of((
            text(&["nightly", "x"]),
            text(&["ann@example.com", "0b7e"]),
            tags(),
        )),
        option::of((text(&["shared", "x"]), option::of(any::<bool>()), tags())),
        option::of(text(&["prod", "dev"])),
        (any::<bool>(), 0..4_i64, 0..2_u32),
    );
    (case(), who, what, job, workload).prop_map(|(mut case, who, what, job, workload)| {
        case.workload = Workload {
            principals: workload.0,
            job: workload.1.map(|(name, run_as, tags)| JobFacts {
                name,
                run_as,
                creator: None,
                tags,
            }),
            cluster: workload.2.map(|(name, dedicated, tags)| ClusterFacts {
                name,
                source: None,
                dedicated,
                tags,
            }),
            workspace: workload.3.map(|name| WorkspaceFacts { name }),
        };
        let (settled, half_days, more_candidates) = workload.4;
        case.settled = settled;
        case.event_time = case.event_time.plus_seconds(half_days * 43_200);
        let listed = u32::try_from(case.attribution.principal_candidates.len()).unwrap();
        case.attribution.principal_candidate_count = listed + more_candidates;
        let principal = &mut case.principal;
        principal.session_issuer_arn = who.0;
        principal.session_name = who.1;
        principal.source_identity = who.2;
        principal.session_issuer_account_id = who.4;
        case.client.user_agent = who.3;
        case.client.source_ip = who.5;
        case.error_code = what.0;
        case.object_key = what.1;
        case.list_prefix = what.2;
        case.version_id = what.3;
        case.copy_source = what.4;
        case.target.bucket_account_id = what.5;
        case.target.aws_region = what.6;
        let attribution = &mut case.attribution;
        attribution.workspace_id = job.0;
        attribution.cluster_id = job.1;
        attribution.job_id = job.2;
        attribution.job_run_id = job.3;
        attribution.task_key = job.4;
        let [session, workspace, cluster, job_confidence, task] = job.5;
        attribution.session_confidence = session;
        attribution.workspace_confidence = workspace;
        attribution.cluster_confidence = cluster;
        attribution.job_confidence = job_confidence;
        attribution.task_confidence = task;
        attribution.unattributed_reason = job.6;
        case
    })
}

/// Takes one field from another access.
type Take = fn(&mut Case, &Case);

/// Every field that may be seen, by itself.
const FIELDS: &[Take] = &[
    |a, b| {
        a.event_name.clone_from(&b.event_name);
        a.operation = b.operation;
    },
    |a, b| a.outcome = b.outcome,
    |a, b| a.error_code.clone_from(&b.error_code),
    |a, b| a.object_key.clone_from(&b.object_key),
    |a, b| a.list_prefix.clone_from(&b.list_prefix),
    |a, b| a.version_id.clone_from(&b.version_id),
    |a, b| a.copy_source.clone_from(&b.copy_source),
    |a, b| a.sse.clone_from(&b.sse),
    |a, b| a.kms_key_arn.clone_from(&b.kms_key_arn),
    |a, b| a.presigned = b.presigned,
    |a, b| a.credential = b.credential,
    |a, b| a.principal.clone_from(&b.principal),
    |a, b| a.principal.arn.clone_from(&b.principal.arn),
    |a, b| a.principal.account_id.clone_from(&b.principal.account_id),
    |a, b| a.principal.invoked_by.clone_from(&b.principal.invoked_by),
    |a, b| a.principal.session_issued_at = b.principal.session_issued_at,
    |a, b| {
        let role = &b.principal.session_issuer_arn;
        a.principal.session_issuer_arn.clone_from(role);
    },
    |a, b| a.client.source_ip.clone_from(&b.client.source_ip),
    |a, b| {
        let endpoint = &b.client.vpc_endpoint_id;
        a.client.vpc_endpoint_id.clone_from(endpoint);
    },
    |a, b| a.client.tls.clone_from(&b.client.tls),
    |a, b| a.target.bucket.clone_from(&b.target.bucket),
    |a, b| {
        let account = &b.target.bucket_account_id;
        a.target.bucket_account_id.clone_from(account);
    },
    |a, b| a.target.aws_region.clone_from(&b.target.aws_region),
    |a, b| a.attribution.access_path = b.attribution.access_path,
    |a, b| {
        a.attribution.principal.clone_from(&b.attribution.principal);
        a.attribution.principal_kind = b.attribution.principal_kind;
    },
    |a, b| {
        let candidates = &b.attribution.principal_candidates;
        a.attribution.principal_candidates.clone_from(candidates);
    },
    |a, b| a.attribution.job_id.clone_from(&b.attribution.job_id),
    |a, b| a.attribution.job_confidence = b.attribution.job_confidence,
    |a, b| a.attribution.clone_from(&b.attribution),
    |a, b| a.event_time = b.event_time,
    |a, b| a.settled = b.settled,
    |a, b| a.workload.clone_from(&b.workload),
    |a, b| a.workload.principals.clone_from(&b.workload.principals),
    |a, b| a.workload.job.clone_from(&b.workload.job),
    |a, b| a.workload.cluster.clone_from(&b.workload.cluster),
];

const EXCEPTIONS: &str = r#"
[[exception]]
id = "EX-1"
rules = ["any-but"]
datasets = ["payroll"]
roles = ["arn:aws:iam::111122223333:role/etl"]
owner = "hr@example.com"
reason = "until the move"
expires = 2026-03-27
[[exception]]
id = "EX-2"
rules = ["any-but", "default-deny"]
principals = ["ann@example.com", "0b7e"]
jobs = ["w1/j1"]
owner = "hr@example.com"
reason = "later"
approved = 2026-03-28
expires = 2026-12-31
"#;

const DATASETS: &str = r#"
[[dataset]]
name = "payroll"
sensitivity = "restricted"
owner = "hr@example.com"
locations = ["s3://lake/payroll/"]

[[dataset]]
name = "raw"
locations = ["s3://lake/raw/"]
"#;

const ANY: &str = r#"@id("any") permit (principal, action, resource);"#;

/// A rule that exceptions cover.
const ANY_BUT: &str = r#"
@id("any-but") forbid (principal, action in Action::"write", resource);"#;

/// Policies that see different things, each beside a permit of everything.
const RULES: &[&str] = &[
    // Principals, by type and by name.
    r#"@id("p") forbid (principal is AwsIdentity, action, resource);"#,
    r#"@id("p") forbid (principal == User::"ann@example.com", action, resource);
       @id("q") forbid (principal, action, resource)
       when { principal is ServicePrincipal && [ServicePrincipal::"0b7e"].contains(principal) };"#,
    r#"@id("p") forbid (principal, action, resource)
       when { principal == User::"bob@example.com" || principal == AwsIdentity::"999999999999" };"#,
    // What the resource lies in.
    r#"@id("d") forbid (principal, action in Action::"read", resource in Dataset::"payroll");"#,
    r#"@id("b") forbid (principal, action, resource) when { resource is Object in Bucket::"lake" };
       @id("a") forbid (principal, action, resource) when { resource in Account::"999999999999" };"#,
    r#"@id("r") forbid (principal, action, resource) when { resource is Bucket && [Bucket::"other"].contains(resource) };"#,
    r#"@id("e") forbid (principal, action, resource)
       when { Bucket::"lake" in Account::"111122223333" };"#,
    r#"@id("l") forbid (principal, action, resource) when { resource has account_id && resource.account_id == "111122223333" };
       @id("s") forbid (principal, action, resource) when { resource has region && resource.region like "us-*" };
       @id("o") forbid (principal, action, resource) when { resource has owner };"#,
    // Whole values.
    r#"@id("c") forbid (principal, action, resource) when { [context].contains(context) };"#,
    r#"@id("n") forbid (principal, action, resource)
       when { (if context.presigned then context.network else context.network).outside_known_networks };"#,
    r#"@id("n") forbid (principal, action, resource)
       when { context.network has source_ip && context.network.source_ip.isInRange(ip("10.0.0.0/8")) };"#,
    r#"@id("j") forbid (principal, action, resource)
       when { context.confidence.job == "exact" && context has job_id && context.job_id == "j1" };"#,
    // Object keys.
    r#"@id("k") forbid (principal, action, resource) when { resource has key && resource.key like "payroll/*" };"#,
    r#"@id("k") forbid (principal, action, resource == Object::"s3://lake/raw/x");"#,
    // Groups, whether active, and what the work was for.
    r#"@id("g") forbid (principal in Group::"engineers", action, resource);
       @id("h") forbid (principal, action, resource) when { principal in [Group::"analysts", Group::"engineers"] && context.presigned };"#,
    r#"@id("i") forbid (principal is User, action, resource) when { principal has active && !principal.active };"#,
    r#"@id("j") forbid (principal, action, resource) when { context has job && context.job has run_as && context.job.run_as == "0b7e" };
       @id("k") forbid (principal, action, resource) when { context has job && context.job == Job::"w1/j1" };"#,
    r#"@id("t") forbid (principal, action, resource)
       when { context has cluster && context.cluster.hasTag("team") && context.cluster.getTag("team") == "ml" };
       @id("u") forbid (principal, action, resource) when { context has cluster && context.cluster has dedicated && context.cluster.dedicated };"#,
    r#"@id("w") forbid (principal, action, resource) when { context has workspace && context.workspace has name && context.workspace.name == "prod" };
       @id("v") forbid (principal, action, resource) when { context has job && context.job in Workspace::"w2" };"#,
    // Times, and what copies came from.
    r#"@id("s") forbid (principal, action, resource) when { context.settled && context.hour < 12 };"#,
    r#"@id("d") forbid (principal, action, resource) when { ["saturday", "sunday"].contains(context.weekday) };"#,
    r#"@id("c") forbid (principal, action, resource) when { context has copy_source_dataset && context.copy_source_dataset == "raw" };
       @id("a") forbid (principal, action, resource)
       when { context has copy_destination_account_id && !context.own_account_ids.contains(context.copy_destination_account_id) };"#,
    // Rules that fail to evaluate.
    r#"@id("f") forbid (principal, action, resource)
       when { context has session_age_hours && context.session_age_hours * 9223372036854775807 > 5 };"#,
    // The rest of the context.
    r#"@id("1") forbid (principal, action, resource) when { context has role_arn && context.role_arn like "*/etl" };
       @id("2") forbid (principal, action, resource) when { context has caller_account_id && !context.own_account_ids.contains(context.caller_account_id) };
       @id("3") forbid (principal, action, resource) when { context has kms_key_account_id && context.kms_key_account_id == "999999999999" };
       @id("4") forbid (principal, action, resource) when { context has unattributed_reason };
       @id("5") forbid (principal, action, resource) when { context has copy_source_bucket && context.copy_source_bucket == "other" };
       @id("6") forbid (principal, action, resource) when { context.event_name like "Put*" && context has error_code };
       @id("7") forbid (principal, action, resource) when { context has identity_type && context.identity_type == "IAMUser" };"#,
];

static POLICIES: LazyLock<Vec<Policy>> = LazyLock::new(|| {
    let settings = PolicySettings {
        known_networks: vec!["203.0.113.0/24".to_owned()],
        known_vpc_endpoints: vec!["vpce-1".to_owned()],
        own_account_ids: vec!["111122223333".to_owned()],
        ..PolicySettings::default()
    };
    let each = RULES.iter().map(|rules| format!("{ANY}{rules}{ANY_BUT}"));
    let starter = super::super::STARTER.map(|(_, text)| text).concat();
    // Default deny for all but members of a group.
    let denied = r#"@id("m") permit (principal in Group::"analysts", action, resource);"#;
    let denied = format!("{denied}{ANY_BUT}");
    each.chain([format!("{starter}{ANY_BUT}"), denied])
        .map(|text| {
            let files = vec![
                file("datasets.toml", DATASETS),
                file("exceptions.toml", EXCEPTIONS),
                file("a.cedar", &text),
            ];
            Policy::parse(files, &settings).unwrap()
        })
        .collect()
});

/// What the policy sees: who asked, and the request.
fn visible(policy: &Policy, case: &Case) -> [Vec<u8>; 2] {
    case.with_facts(policy, |facts| {
        let (mut who, mut request) = (Vec::new(), Vec::new());
        policy.visible_who(facts, &mut who);
        policy.visible_request(facts, &mut request);
        [who, request]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn equal_bytes_are_judged_alike(
        case in full_case(), other in full_case(), fields in proptest::collection::vec(any::<Index>(), 1..3),
    ) {
        let mut varied = case.clone();
        for field in fields {
            field.get(FIELDS)(&mut varied, &other);
        }
        for policy in &*POLICIES {
            if visible(policy, &case) == visible(policy, &varied) {
                prop_assert_eq!(case.judge(policy), varied.judge(policy));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn kept_answers_are_those_that_would_be_given(
        cases in proptest::collection::vec(full_case(), 8), fields in proptest::collection::vec(any::<Index>(), 8),
    ) {
        for policy in &*POLICIES {
            let mut answers = Answers::default();
            // Each beside a variant that shares most with it.
            for (place, field) in fields.iter().enumerate() {
                let mut varied = cases[place].clone();
                field.get(FIELDS)(&mut varied, &cases[(place + 1) % cases.len()]);
                for case in [&cases[place], &varied] {
                    let kept = case.with_facts(policy, |facts| policy.judge_with(facts, &mut answers));
                    prop_assert_eq!(kept, case.judge(policy));
                }
            }
        }
    }

    #[test]
    fn what_is_not_mentioned_changes_nothing(mut case in full_case()) {
        // Candidates that are not listed matter only where rules tell them apart.
        let listed = case.attribution.principal_candidates.len();
        case.attribution.principal_candidate_count = u32::try_from(listed).unwrap();
        for policy in &*POLICIES {
            let on_everything = case.with_facts(policy, |facts| policy.judge_on_everything(facts));
            prop_assert_eq!(case.judge(policy), on_everything);
        }
    }
}

#[test]
fn sessions_of_one_kind_look_the_same_to_the_starter_policy() {
    let one = Case::default();
    let mut other = Case::default();
    let own = |text: &str| Some(text.to_owned());
    other.principal.arn = own("arn:aws:sts::111122223333:assumed-role/etl/i-1");
    other.principal.session_name = own("i-1");
    other.client.source_ip = own("10.1.2.4");
    other.client.user_agent = own("Photon");
    other.attribution.job_run_id = own("7");
    other.object_key = own("raw/y");
    assert_eq!(visible(&STARTER, &one), visible(&STARTER, &other));
    other.client.vpc_endpoint_id = own("vpce-2");
    assert_ne!(visible(&STARTER, &one), visible(&STARTER, &other));
}

#[test]
fn an_object_that_a_rule_names_and_a_level_that_a_name_tells_are_seen() {
    let object =
        policy(r#"@id("k") permit (principal, action, resource == Object::"s3://lake/a");"#);
    let mut one = Case::default();
    let mut other = Case::default();
    one.object_key = Some("a".to_owned());
    other.object_key = Some("b".to_owned());
    assert_ne!(visible(&object, &one), visible(&object, &other));

    let level = policy(r#"@id("l") permit (principal, action, resource is Bucket);"#);
    let one = Case::event("RenameObject", Operation::Write);
    let other = Case::event("PutBucketCurfew", Operation::Write);
    assert_ne!(visible(&level, &one), visible(&level, &other));
}
