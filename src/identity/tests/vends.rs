//! Unity Catalog: vends, the network, lineage and history.

use super::lake_facts::*;
use super::*;
use crate::model::{
    Cluster, ClusterNode, Confidence, DatabricksFacts, ExternalLocation, Method, ShareQuery,
    StorageCredential, Vend, VendOperation,
};

const TABLE: &str = "5c1cf5a4-87b9-4cc2-9770-d10b894b0001";
const OTHER_TABLE: &str = "5c1cf5a4-87b9-4cc2-9770-d10b894b0002";

/// The session of a vend, as the role owner's copy shows it.
fn session(prefixes: &[&str], actions: &[&str]) -> StsSession {
    StsSession {
        policy_prefixes: prefixes.iter().map(ToString::to_string).collect(),
        policy_actions: actions.iter().map(ToString::to_string).collect(),
        ..issued("sts", UC_ROLE, "databricks", "ASIA1", account(DATABRICKS))
    }
}

fn sales() -> StsSession {
    session(
        &["s3://lake/sales", "s3://lake/sales/"],
        &["s3:GetO*", "s3:ListBucket"],
    )
}

fn uc() -> Asked {
    let mut asked = Asked::of(role_session(UC_ROLE, "databricks", "ASIA1")).key("sales/orders/a");
    asked.target.bucket = some("lake");
    asked
}

fn with(vends: Vec<Vend>) -> DatabricksFacts {
    DatabricksFacts { vends, ..known() }
}

fn index(facts: DatabricksFacts) -> IdentityIndex {
    configured(&[sales()], &[]).with_databricks(facts)
}

/// The answer without session and what it rests on.
#[track_caller]
fn levels(asked: &Asked, index: &IdentityIndex, expect: &str) {
    let line = line(&asked.answer(index));
    let (levels, rest) = line.split_once('[').unwrap();
    let reason = rest.rsplit_once(']').unwrap().1;
    let levels = levels.replace("session=sts:exact ", "");
    let found = format!("{}{reason}", levels.trim_end());
    let expect = format!("unity_catalog {expect}");
    assert_eq!(found.trim_end(), expect.trim_end());
}

#[test]
fn one_vend_by_a_person_is_strong() {
    let index = index(with(vec![vend("v", 1, ANN, "s3://lake/sales/")]));
    check(
        &uc(),
        &index,
        "unity_catalog session=sts:exact workspace=w1:strong principal=ann@example.com:strong \
         [M1_access_key C1_vend] [sts audit:v]",
    );
    // With the session's policy, neither key nor operation matters.
    let answer = super::super::attribute_within(&uc().access(), &index);
    assert!(answer.place.is_none());
}

#[test]
fn a_vend_fits_by_whole_segments_schemes_are_equal_and_case_counts() {
    for (location, fits) in [
        ("s3a://lake/sales", true),
        ("s3n://lake/sales/orders", true),
        ("s3://lake", true),
        ("s3://lake/sal", false),
        ("s3://lake/sales2", false),
        ("s3://lake/Sales", false),
        ("s3://other/sales", false),
    ] {
        let answer = uc().answer(&index(with(vec![vend("v", 1, ANN, location)])));
        assert_eq!(answer.principal.is_some(), fits, "{location}");
    }
}

#[test]
fn a_vend_counts_within_a_minute_and_only_if_it_succeeded() {
    let ann = |seconds| vend("v", seconds, ANN, "s3://lake/sales");
    for (seconds, fits) in [(-60, true), (60, true), (-61, false), (70, false)] {
        let answer = uc().answer(&index(with(vec![ann(seconds)])));
        assert_eq!(answer.principal.is_some(), fits, "{seconds}");
    }
    let mut failed = ann(1);
    failed.status_code = Some(403);
    levels(&uc(), &index(with(vec![failed])), "no_vend");
    levels(
        &uc(),
        &index(with(vec![vend("v", -4000, ANN, "s3://lake/x")])),
        "no_vend",
    );
}

#[test]
fn before_the_audit_log_has_passed_nothing_is_sure() {
    let facts = DatabricksFacts {
        vends: vec![vend("v", 1, ANN, "s3://lake/sales")],
        ..unread()
    };
    levels(
        &uc(),
        &index(facts),
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{ANN}}}"),
    );
    levels(&uc(), &index(unread()), "late");
}

#[test]
fn several_people_are_ambiguous_and_one_person_twice_is_not() {
    let ann = vend("a", 1, ANN, "s3://lake/sales");
    let bob = vend("b", 40, BOB, "s3://lake/sales");
    let again = vend("c", -3, ANN, "s3://lake/sales");
    levels(
        &uc(),
        &index(with(vec![ann.clone(), bob])),
        &format!("workspace=w1:strong principal=?:ambiguous people{{{ANN} {BOB}}}"),
    );
    levels(
        &uc(),
        &index(with(vec![ann.clone(), again])),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    let mut elsewhere = vend("d", 2, ANN, "s3://lake/sales");
    elsewhere.workspace_id = some("w2");
    levels(
        &uc(),
        &index(with(vec![ann, elsewhere])),
        &format!("workspace=?:ambiguous principal={ANN}:strong"),
    );
}

#[test]
fn a_session_that_writes_comes_from_no_vend_for_reading() {
    let writing = session(&["s3://lake/sales/"], &["s3:GetO*", "s3:PutO*"]);
    let index = configured(&[writing], &[]).with_databricks(with(vec![
        vend("a", 1, ANN, "s3://lake/sales"),
        Vend {
            operation: VendOperation::Write,
            ..vend("b", 2, BOB, "s3://lake/sales")
        },
    ]));
    levels(
        &uc(),
        &index,
        &format!("workspace=w1:strong principal={BOB}:strong"),
    );
}

#[test]
fn a_vend_of_a_service_names_nobody_and_makes_a_persons_unsure() {
    let service = vend("s", 1, "System-User", "s3://lake/sales");
    let ann = vend("a", 2, ANN, "s3://lake/sales");
    levels(
        &uc(),
        &index(with(vec![service.clone()])),
        "workspace=w1:strong service_vend",
    );
    levels(
        &uc(),
        &index(with(vec![service, ann])),
        &format!("workspace=w1:strong principal=?:ambiguous people{{System-User {ANN}}}"),
    );
}

#[test]
fn a_groups_vend_is_the_persons_who_ran_it() {
    let mut by = vend("v", 1, "analysts", "s3://lake/sales");
    by.run_by = some(BOB);
    levels(
        &uc(),
        &index(with(vec![by])),
        &format!("workspace=w1:strong principal={BOB}:strong"),
    );
}

#[test]
fn a_vend_without_location_is_a_candidate_that_proves_nothing() {
    let mut unplaced = vend("u", 1, BOB, "");
    unplaced.location = None;
    unplaced.table_id = some(TABLE);
    let placed = vend("a", 1, ANN, "s3://lake/sales");
    levels(
        &uc(),
        &index(with(vec![unplaced.clone()])),
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{BOB}}}"),
    );
    levels(
        &uc(),
        &index(with(vec![unplaced.clone(), placed.clone()])),
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{ANN} {BOB}}}"),
    );
    // Where another vend tells where its table lies, it is elsewhere.
    let told = Vend {
        table_id: some(TABLE),
        ..vend("t", -90_000, BOB, "s3://lake/stock")
    };
    levels(
        &uc(),
        &index(with(vec![unplaced, placed, told])),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
}

#[test]
fn the_uuid_of_a_managed_path_is_its_tables_id() {
    let path = format!("s3://lake/__unitystorage/schemas/x/tables/{TABLE}/");
    let by_id = |id: &str, actor: &str, table: &str| Vend {
        location: None,
        table_id: some(table),
        ..vend(id, 1, actor, "")
    };
    let index = configured(&[session(&[&path], &["s3:GetO*"])], &[]).with_databricks(with(vec![
        by_id("a", ANN, TABLE),
        by_id("b", BOB, OTHER_TABLE),
    ]));
    levels(
        &uc(),
        &index,
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
}

#[test]
fn a_vend_of_another_metastore_or_credential_is_none_of_this_role() {
    let credential = |id: &str, role: &str, metastore: &str| StorageCredential {
        id: id.to_owned(),
        name: id.to_owned(),
        role_arn: some(role),
        metastore_id: some(metastore),
        ..StorageCredential::default()
    };
    let location = ExternalLocation {
        name: "stock".to_owned(),
        url: "s3://lake/sales/stock".to_owned(),
        credential_id: some("other"),
        ..ExternalLocation::default()
    };
    let mut foreign = vend("b", 2, BOB, "s3://lake/sales");
    foreign.metastore_id = some("m2");
    let facts = DatabricksFacts {
        storage_credentials: vec![
            credential("cred", UC_ROLE, "m1"),
            credential("other", APP_ROLE, "m1"),
        ],
        external_locations: vec![location],
        ..with(vec![
            vend("a", 1, ANN, "s3://lake/sales"),
            foreign,
            vend("c", 2, BOB, "s3://lake/sales/stock"),
        ])
    };
    levels(
        &uc(),
        &index(facts),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
}

#[test]
fn without_its_sts_event_only_the_one_vend_within_seconds_is_strong() {
    let bare = |vends| configured(&[], &[]).with_databricks(with(vends));
    let near = vend("a", 4, ANN, "s3://lake/sales");
    let far = vend("b", 20, ANN, "s3://lake/sales");
    levels(
        &uc(),
        &bare(vec![near.clone()]),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    levels(
        &uc(),
        &bare(vec![far]),
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{ANN}}}"),
    );
    levels(&uc().key("stock/a"), &bare(vec![near]), "no_sts");
}

#[test]
fn without_a_policy_a_call_on_the_bucket_may_be_of_every_vend_in_it() {
    let no_policy = session(&[], &[]);
    let bucket = |vends| {
        let index = configured(std::slice::from_ref(&no_policy), &[]).with_databricks(with(vends));
        let mut asked = uc();
        asked.object_key = None;
        line(&asked.answer(&index))
    };
    let ann = vend("a", 1, ANN, "s3://lake/sales");
    let elsewhere = vend("b", 1, BOB, "s3://other/sales");
    let stock = vend("c", 1, BOB, "s3://lake/stock");
    let of_ann = bucket(vec![ann.clone(), elsewhere]);
    assert!(of_ann.contains("principal=?:ambiguous people{ann@example.com}"));
    let of_both = bucket(vec![ann, stock]);
    assert!(of_both.contains("people{ann@example.com bob@example.com}"));
}

#[test]
fn without_a_policy_only_the_one_vend_within_seconds_is_strong() {
    let bare = |seconds| {
        let vend = vend("a", seconds, ANN, "s3://lake/sales");
        configured(&[session(&[], &[])], &[]).with_databricks(with(vec![vend]))
    };
    levels(
        &uc(),
        &bare(5),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    levels(
        &uc(),
        &bare(6),
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{ANN}}}"),
    );
}

const OWNER: &str = "111122223333";

/// The record as the trail of an account holds it, with the parameters of the request.
fn of(account: &str, session: StsSession) -> StsSession {
    StsSession {
        aws_account_id: some(account),
        external_id: some("7b1d"),
        ..session
    }
}

/// The record of a session without policy.
fn bare() -> StsSession {
    session(&[], &[])
}

/// Another record of the account, which shows its policy.
fn shown(account: &str) -> StsSession {
    StsSession {
        event_id: "sts2".to_owned(),
        access_key_id: some("ASIA2"),
        ..of(account, sales())
    }
}

fn one() -> DatabricksFacts {
    with(vec![vend("a", 1, ANN, "s3://lake/sales")])
}

#[test]
fn where_records_of_an_account_show_no_policies_that_one_lacks_it_says_nothing() {
    let index = |sessions: &[StsSession]| configured(sessions, &[]).with_databricks(one());
    let platform = |sessions: &[StsSession]| {
        let mut bucket = uc();
        bucket.object_key = None;
        let answer = bucket.answer(&index(sessions));
        let reason = answer.unattributed_reason.map(|reason| reason.as_str());
        (reason == Some("platform"), answer.principal_candidates)
    };
    let is_platforms = (true, Vec::<String>::new());
    let is_anyones = (false, vec![ANN.to_owned()]);
    let elsewhere = shown("444455556666");
    let (bare, shown) = (|| of(OWNER, bare()), || shown(OWNER));
    assert_eq!(platform(&[bare(), shown()]), is_platforms);
    assert_eq!(platform(&[shown(), bare()]), is_platforms, "in any order");
    // None of them, another account's, or one of the account's own calls.
    assert_eq!(platform(&[bare()]), is_anyones);
    assert_eq!(platform(&[bare(), elsewhere]), is_anyones);
    let own = StsSession {
        caller: role_session(APP_ROLE, "x", "ASIA3"),
        ..shown()
    };
    assert_eq!(platform(&[bare(), own]), is_anyones);
    // The record leaves out the request, or does not tell whose trail it is from.
    let silent = StsSession {
        external_id: None,
        ..bare()
    };
    assert_eq!(platform(&[silent.clone(), shown()]), is_anyones);
    let nobodys = StsSession {
        aws_account_id: None,
        ..bare()
    };
    assert_eq!(platform(&[nobodys, shown()]), is_anyones);
    // A copy of the record in another trail tells what the first leaves out.
    let copy = StsSession {
        source_uri: "other".to_owned(),
        ..bare()
    };
    assert_eq!(platform(&[silent, shown(), copy]), is_platforms);
    // What was seen of an account is not forgotten with the record that showed it.
    let later = StsSession {
        issued_at: at(86_400),
        expires_at: Some(at(90_000)),
        ..bare()
    };
    let kept = index(&[shown(), later]).without_older_than(at(80_000));
    let mut bucket = uc().at(86_460);
    bucket.object_key = None;
    bucket.principal.session_issued_at = Some(at(86_400));
    levels(&bucket, &kept, "platform");
}

#[test]
fn a_session_without_the_policy_that_others_show_is_the_platforms() {
    let index = configured(&[of(OWNER, bare()), shown(OWNER)], &[]).with_databricks(one());
    let mut bucket = uc();
    bucket.object_key = None;
    levels(&bucket, &index, "platform");
    levels(&uc().key("new_location/probe"), &index, "platform");
    // An object of the vend's own place is no guess.
    levels(
        &uc(),
        &index,
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
}

#[test]
fn an_actor_of_no_known_kind_may_be_a_group_and_is_never_sure() {
    levels(
        &uc(),
        &index(with(vec![vend("v", 1, "analysts", "s3://lake/sales")])),
        "workspace=w1:strong principal=?:ambiguous people{analysts}",
    );
}

#[test]
fn a_later_vend_that_no_session_answers_may_have_been_given_this_key() {
    let ann = vend("a", 1, ANN, "s3://lake/sales");
    let bob = vend("b", 1200, BOB, "s3://lake/sales");
    let own = StsSession {
        issued_at: at(1201),
        expires_at: Some(at(4801)),
        event_id: "sts2".to_owned(),
        access_key_id: some("ASIA2"),
        ..sales()
    };
    let facts = with(vec![ann, bob]);
    let shared = index(facts.clone());
    let alone = format!("workspace=w1:strong principal={ANN}:strong");
    levels(&uc().at(1000), &shared, &alone);
    levels(
        &uc().at(1300),
        &shared,
        &format!("workspace=?:ambiguous principal=?:ambiguous people{{{ANN} {BOB}}}"),
    );
    assert!(
        uc().at(1300)
            .answer(&shared)
            .methods
            .contains(&Method::C1SessionReuse)
    );
    let own = configured(&[sales(), own], &[]).with_databricks(facts);
    levels(&uc().at(1300), &own, &alone);
}

#[test]
fn a_key_that_was_given_to_nobody_is_given_again_to_nobody() {
    let late = vend("b", 95, BOB, "s3://lake/sales");
    let before = vend("x", -90_000, ANN, "s3://lake/stock");
    levels(&uc().at(1300), &index(with(vec![before, late])), "no_vend");
}

#[test]
fn a_vend_that_names_the_key_is_exact_and_any_other_key_is_another() {
    let mut named = vend("a", 200, ANN, "s3://elsewhere");
    named.access_key_id = some("ASIA1");
    named.cluster_id = some("c1");
    let mut other = vend("b", 1, BOB, "s3://lake/sales");
    other.access_key_id = some("ASIA2");
    levels(
        &uc().at(300),
        &index(with(vec![named, other.clone()])),
        &format!("workspace=w1:exact cluster=c1:exact principal={ANN}:exact"),
    );
    levels(&uc(), &index(with(vec![other])), "no_vend");
}

fn host(cluster: &str, ip: &str) -> ClusterNode {
    ClusterNode {
        host_private_ip: some(ip),
        ..live(cluster, 0)
    }
}

fn from(ip: &str) -> Asked {
    let mut asked = uc();
    asked.client.source_ip = some(ip);
    asked
}

#[test]
fn vend_and_private_address_that_agree_are_strong_on_every_level() {
    let facts = DatabricksFacts {
        nodes: vec![host("c1", "10.0.1.10")],
        clusters: vec![cluster("c1", "JOB")],
        jobs: vec![job("7", "1")],
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        ..with(vec![vend("v", 1, ANN, "s3://lake/sales")])
    };
    let all = format!(
        "workspace=w1:strong cluster=c1:strong job=7:strong run=901 task=1:strong \
         principal={ANN}:strong"
    );
    levels(&from("10.0.1.10"), &index(facts.clone()), &all);
    levels(&from("::ffff:10.0.1.10"), &index(facts.clone()), &all);
    levels(
        &from("52.1.2.3"),
        &index(facts.clone()),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    // A service's vend: the network alone names it.
    let service = DatabricksFacts {
        vends: vec![vend("v", 1, "System-User", "s3://lake/sales")],
        ..facts.clone()
    };
    levels(&from("10.0.1.10"), &index(service), &all);
    // Two that exclude each other.
    let other = DatabricksFacts {
        vends: vec![vend("v", 1, BOB, "s3://lake/sales")],
        ..facts
    };
    levels(
        &from("10.0.1.10"),
        &index(other.clone()),
        &format!(
            "workspace=w1:strong cluster=c1:strong job=?:ambiguous task=?:ambiguous \
             principal=?:ambiguous runs{{901}} people{{{ANN} {BOB}}}"
        ),
    );
    assert!(
        from("10.0.1.10")
            .answer(&index(other))
            .methods
            .contains(&Method::Conflict)
    );
}

#[test]
fn the_address_of_a_cluster_that_ended_may_be_anothers() {
    let is = |rows: Vec<Cluster>, confidence: Confidence| {
        let facts = DatabricksFacts {
            nodes: vec![host("c1", "10.0.1.10")],
            clusters: rows,
            ..with(vec![vend("v", 1, ANN, "s3://lake/sales")])
        };
        let answer = from("10.0.1.10").at(300).answer(&index(facts));
        assert_eq!(answer.cluster_confidence, confidence);
    };
    let row = |seconds| Cluster {
        changed_at: at(seconds),
        ..cluster("c1", "UI")
    };
    let ended = |seconds| Cluster {
        deleted_at: Some(at(seconds)),
        ..row(seconds)
    };
    is(vec![row(-60)], Confidence::Strong);
    is(vec![row(-60), ended(400)], Confidence::Strong);
    is(vec![row(-60), ended(290)], Confidence::Strong);
    is(vec![row(-60), ended(60), row(240)], Confidence::Strong);
    is(vec![row(-60), ended(60)], Confidence::Ambiguous);
}

#[test]
fn the_network_singles_out_one_of_several_vends() {
    let facts = DatabricksFacts {
        nodes: vec![host("c1", "10.0.1.10")],
        clusters: vec![dedicated("c1", BOB)],
        ..with(vec![
            vend("a", 1, ANN, "s3://lake/sales"),
            vend("b", 2, BOB, "s3://lake/sales"),
        ])
    };
    levels(
        &from("10.0.1.10"),
        &index(facts),
        &format!("workspace=w1:strong cluster=c1:strong principal={BOB}:strong"),
    );
}

#[test]
fn on_a_shared_cluster_a_vend_by_whoever_was_at_work_is_theirs_and_no_jobs() {
    let facts = DatabricksFacts {
        nodes: vec![host("c1", "10.0.1.10")],
        clusters: vec![cluster("c1", "UI")],
        jobs: vec![job("7", "1")],
        task_runs: vec![task("7", "901", "1", "c1", 0, 600)],
        commands: vec![command("x", 30, "c1", BOB)],
        ..with(vec![vend("v", 1, BOB, "s3://lake/sales")])
    };
    levels(
        &from("10.0.1.10"),
        &index(facts),
        &format!("workspace=w1:strong cluster=c1:strong principal={BOB}:strong"),
    );
}

#[test]
fn an_address_counts_for_the_node_that_had_it_then() {
    let run = |id: &str, instance: &str, seconds: i64| Ec2Instance {
        instance_id: instance.to_owned(),
        private_ip: some("10.0.1.10"),
        ..ec2(
            id,
            "RunInstances",
            seconds,
            &[("Vendor", "Databricks"), ("ClusterId", id)],
        )
    };
    let end = Ec2Instance {
        instance_id: "i-00000001".to_owned(),
        ..ec2("end", "TerminateInstances", 1000, &[])
    };
    let facts = DatabricksFacts {
        clusters: vec![dedicated("c1", ANN), dedicated("c2", BOB)],
        ..with(vec![vend("v", 1, "System-User", "s3://lake/sales")])
    };
    let launches = [
        run("c1", "i-00000001", 0),
        end,
        run("c2", "i-00000002", 1800),
    ];
    let index = configured(&[sales()], &launches).with_databricks(facts.clone());
    let of = |asked: Asked, index: &IdentityIndex| {
        let answer = asked.answer(index);
        (answer.cluster_id, answer.cluster_confidence.as_str())
    };
    assert_eq!(
        of(from("10.0.1.10").at(900), &index),
        (some("c1"), "strong")
    );
    assert_eq!(of(from("10.0.1.10").at(1200), &index), (None, "none"));
    assert_eq!(
        of(from("10.0.1.10").at(1900), &index),
        (some("c2"), "strong")
    );
    // Nobody saw the first one end.
    let [first, _, second] = launches;
    let both = configured(&[sales()], &[first, second]).with_databricks(facts);
    assert_eq!(of(from("10.0.1.10").at(1900), &both), (None, "ambiguous"));
}

#[test]
fn private_ip_counts_only_where_it_proved_to_be_the_hosts() {
    let timeline = ClusterNode {
        private_ip: some("10.0.1.10"),
        ..node("c1", 0, 600)
    };
    let facts = DatabricksFacts {
        nodes: vec![timeline],
        ..with(vec![vend("v", 1, ANN, "s3://lake/sales")])
    };
    let named = |index: &IdentityIndex| from("10.0.1.10").answer(index).cluster_id;
    let launch = |ip: &str| Ec2Instance {
        private_ip: some(ip),
        ..ec2("run", "RunInstances", -5, &[])
    };
    let with_launch =
        |ip: &str| configured(&[sales()], &[launch(ip)]).with_databricks(facts.clone());
    assert_eq!(
        named(&index(facts.clone())),
        None,
        "not known to be a host's"
    );
    assert_eq!(named(&with_launch("10.0.1.10")), some("c1"));
    assert_eq!(named(&with_launch("10.0.9.9")), None, "a container's");
    let later = configured(&[sales()], &[])
        .with_databricks(facts.clone())
        .with(vec![], vec![launch("10.0.1.10")]);
    assert_eq!(named(&later), some("c1"));
}

#[test]
fn an_address_of_another_network_says_nothing_where_endpoints_are_configured() {
    let settings = IdentitySettings {
        compute_vpc_endpoints: vec!["vpce-1".to_owned()],
        ..settings()
    };
    let index = IdentityIndex::new(settings)
        .with(vec![sales()], vec![])
        .with_databricks(DatabricksFacts {
            nodes: vec![host("c1", "10.0.1.10")],
            ..with(vec![vend("v", 1, ANN, "s3://lake/sales")])
        });
    let through = |endpoint: &str| {
        let mut asked = from("10.0.1.10");
        asked.client.vpc_endpoint_id = some(endpoint);
        asked.answer(&index).cluster_id
    };
    assert_eq!(through("vpce-1"), some("c1"));
    assert_eq!(through("vpce-2"), None);
}

#[test]
fn lineage_and_statement_together_name_whom_a_service_vended_for() {
    let row = |by: &str| {
        let mut row = lineage("l", 600, "s3://lake/sales/orders", by);
        row.statement_id = some("q1");
        row
    };
    let facts = |row, statements| DatabricksFacts {
        lineage: vec![row],
        statements,
        ..with(vec![vend("v", 1, "System-User", "s3://lake/sales")])
    };
    let under_way = statement("q1", 0, 120, ANN);
    let index_of = |row, statements| index(facts(row, statements));
    levels(
        &uc(),
        &index_of(row(ANN), vec![under_way.clone()]),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    // The statement was over before the access.
    levels(
        &uc(),
        &index_of(row(ANN), vec![statement("q1", -500, -100, ANN)]),
        "workspace=w1:strong service_vend",
    );
    // From five minutes before the access to an hour after, not before the key.
    for (access, seconds, is_named) in [
        (0, -60, true),
        (0, -61, false),
        (0, 3600, true),
        (0, 3601, false),
        (2000, 1700, true),
        (2000, 1699, false),
    ] {
        let row = lineage("l", seconds, "s3://lake/sales", ANN);
        let found = uc().at(access).answer(&index_of(row, vec![]));
        assert_eq!(found.principal.is_some(), is_named, "{access} {seconds}");
    }
    let other = uc()
        .key("stock/a")
        .answer(&index_of(row(ANN), vec![under_way]));
    assert_eq!(other.principal, None, "another path");
}

#[test]
fn lineage_names_whom_a_service_vended_for_if_it_leaves_one_without_a_key_of_his_own() {
    let service = || vend("v", 1, "System-User", "s3://lake/sales");
    let facts = |vends, lineage| {
        index(DatabricksFacts {
            lineage,
            ..with(vends)
        })
    };
    let row = |id: &str, by: &str| lineage(id, 600, "s3://lake/sales", by);
    levels(
        &uc(),
        &facts(vec![service()], vec![row("l", ANN), row("m", ANN)]),
        &format!("workspace=w1:strong principal={ANN}:strong"),
    );
    levels(
        &uc(),
        &facts(vec![service()], vec![row("l", ANN), row("m", BOB)]),
        &format!("workspace=w1:strong principal=?:ambiguous people{{{ANN} {BOB}}}"),
    );
    // Ann read with a key that she asked for herself.
    for (seconds, is_named) in [(200, false), (-3000, false), (-3061, true)] {
        let own = vend("a", seconds, ANN, "s3://lake");
        let found = uc().answer(&facts(vec![service(), own], vec![row("l", ANN)]));
        assert_eq!(found.principal.is_some(), is_named, "{seconds}");
    }
    // Of a key that nobody asked for, lineage alone proves nothing.
    levels(
        &uc(),
        &facts(vec![], vec![row("l", ANN)]),
        &format!("principal=?:ambiguous people{{{ANN}}}"),
    );
}

#[test]
fn lineage_or_statements_single_out_one_candidate_of_the_vends() {
    let two = || {
        with(vec![
            vend("a", 1, ANN, "s3://lake/sales"),
            vend("b", 2, BOB, "s3://lake/sales"),
        ])
    };
    let bob = format!("workspace=w1:strong principal={BOB}:strong");
    let by_lineage = DatabricksFacts {
        lineage: vec![lineage("l", 600, "s3://lake/sales", BOB)],
        ..two()
    };
    levels(&uc(), &index(by_lineage), &bob);
    let by_statements = |of_ann| DatabricksFacts {
        statements: vec![of_ann, statement("q2", 0, 90, BOB)],
        ..two()
    };
    levels(
        &uc(),
        &index(by_statements(statement("q1", 0, 30, ANN))),
        &bob,
    );
    let both = format!("workspace=w1:strong principal=?:ambiguous people{{{ANN} {BOB}}}");
    levels(
        &uc(),
        &index(by_statements(statement("q1", 0, 60, ANN))),
        &both,
    );
    // Of Ann no statement is known at all: she may work where none is recorded.
    levels(
        &uc(),
        &index(by_statements(statement("q1", 0, 90, ETL))),
        &both,
    );
}

#[test]
fn a_lineage_row_of_a_run_under_way_names_job_and_run_as() {
    let mut row = lineage("l", 600, "s3://lake/sales", "System-User");
    (row.job_id, row.job_run_id) = (some("7"), some("901"));
    let facts = DatabricksFacts {
        lineage: vec![row],
        jobs: vec![job("7", "3")],
        job_runs: vec![job_run("7", "901", 0, 600)],
        ..with(vec![vend("v", 1, "System-User", "s3://lake/sales")])
    };
    levels(
        &uc(),
        &index(facts),
        &format!("workspace=w1:strong job=7:strong run=901 principal={ETL}:strong"),
    );
}

#[test]
fn a_vend_to_a_recipient_of_a_share_is_someone_outside() {
    let mut shared = vend("v", 1, ANN, "s3://lake/sales");
    shared.recipient_name = some("partner");
    levels(
        &uc(),
        &index(with(vec![shared])),
        "workspace=w1:strong external",
    );
}

#[test]
fn a_presigned_read_rests_on_the_query_of_its_share() {
    let query = |path: &str| ShareQuery {
        source_id: "audit:q".to_owned(),
        at: at(0),
        path: some(path),
        recipient: some("partner"),
        ..ShareQuery::default()
    };
    let facts = |path: &str| DatabricksFacts {
        share_queries: vec![query(path)],
        ..with(vec![])
    };
    let asked = Asked {
        presigned: true,
        ..uc()
    };
    check(
        &asked,
        &index(facts("s3://lake/sales")),
        "unity_catalog session=sts:exact [M1_access_key P5_share_query] [sts audit:q] external",
    );
    check(
        &asked,
        &index(facts("s3://lake/stock")),
        "unity_catalog session=sts:exact [M1_access_key] [sts] external",
    );
}

#[test]
fn a_url_is_its_querys_by_the_time_of_its_signature_whenever_it_is_used() {
    let query = |id: &str, when: i64| ShareQuery {
        source_id: format!("audit:{id}"),
        at: at(when),
        path: some("s3://lake/sales"),
        ..ShareQuery::default()
    };
    let facts = DatabricksFacts {
        share_queries: vec![query("first", 0), query("next", 3000)],
        ..with(vec![])
    };
    let index = index(facts);
    let used = |when: i64, signed_at: Option<i64>| {
        let asked = Asked {
            presigned: true,
            signed_at: signed_at.map(at),
            ..uc().at(when)
        };
        let answer = asked.answer(&index);
        let queries = answer.evidence.into_iter();
        queries
            .filter(|id| id.starts_with("audit:"))
            .collect::<Vec<_>>()
    };
    // Signed at once, read at the end of its hour, beside another query.
    assert_eq!(used(3000, Some(2)), ["audit:first"]);
    assert_eq!(used(3000, None), ["audit:next"]);
    assert_eq!(used(1500, Some(299)), ["audit:first"]);
    // Signed when no query was answered, read right after one.
    assert_eq!(used(3005, Some(1500)), Vec::<String>::new());
    assert_eq!(used(1500, None), Vec::<String>::new());
}

#[test]
fn a_role_is_a_storage_credential_at_the_times_that_the_inventory_shows() {
    let credential = |role: &str, seen: i64| StorageCredential {
        id: "cred".to_owned(),
        name: "cred".to_owned(),
        role_arn: some(role),
        created_at: Some(at(-500)),
        updated_at: Some(at(seen)),
        seen_at: at(seen),
        ..StorageCredential::default()
    };
    let facts = DatabricksFacts {
        storage_credentials: vec![credential(UC_ROLE, 0), credential(APP_ROLE, 1000)],
        ..known()
    };
    let index = world(&[], &[]).with_databricks(facts);
    let path = |role: &str, seconds| {
        let asked = Asked::of(role_session(role, "databricks", "ASIA9")).at(seconds);
        asked.answer(&index).access_path.as_str()
    };
    assert_eq!(path(UC_ROLE, -600), "other_role");
    assert_eq!(path(UC_ROLE, 500), "unity_catalog");
    assert_eq!(path(UC_ROLE, 1001), "other_role");
    assert_eq!(path(APP_ROLE, 500), "other_role");
    assert_eq!(path(APP_ROLE, 1500), "unity_catalog");
}

#[test]
fn candidates_are_capped_and_their_number_is_known() {
    let vends = (0..70)
        .map(|n| {
            vend(
                &format!("v{n}"),
                1,
                &format!("u{n:02}@example.com"),
                "s3://lake/sales",
            )
        })
        .collect();
    let answer = uc().answer(&index(with(vends)));
    assert_eq!(answer.principal_candidates.len(), 50);
    assert_eq!(answer.principal_candidate_count, 70);
    assert_eq!(answer.principal_candidates[0], "u00@example.com");
}

#[test]
fn the_external_location_of_a_path_tells_its_fallback() {
    let location = |url: &str, fallback| ExternalLocation {
        name: url.to_owned(),
        url: url.to_owned(),
        fallback,
        ..ExternalLocation::default()
    };
    let index = index(DatabricksFacts {
        external_locations: vec![
            location("s3://lake/sales", true),
            location("s3://lake", false),
        ],
        ..known()
    });
    let of = |key: &str| {
        index
            .external_location("lake", key, at(0))
            .map(|l| l.fallback)
    };
    assert_eq!(of("sales/orders/a"), Some(true));
    assert_eq!(of("salesx/a"), Some(false));
    assert!(index.external_location("other", "sales", at(0)).is_none());
}
