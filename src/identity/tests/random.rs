//! Properties over small random worlds, where ids, keys and times collide often.

use super::super::{Answer, attribute_within};
use super::*;
use crate::model::Method;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn pick(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

fn seconds() -> impl Strategy<Value = i64> {
    prop_oneof![
        -5_i64..30,
        -5_i64..30,
        Just(3600),
        Just(3660),
        Just(129_660),
        Just(129_661)
    ]
}

fn principal() -> impl Strategy<Value = Principal> {
    let session = (
        select(&[UC_ROLE, PROFILE_ROLE, APP_ROLE, LOG_ROLE][..]),
        select(&["databricks", "app", INSTANCE, "i-00000000"][..]),
        select(&["ASIA1", "ASIA2", "ASIA3", ""][..]),
        -3_i64..20,
        option::weighted(0.2, select(&[INSTANCE, "i-00000000"][..])),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(role, name, key, created, scope, invoked)| {
            let mut principal = role_session(role, name, key);
            principal.session_issued_at = Some(at(created));
            principal.invoked_by = invoked.then(|| "athena.amazonaws.com".to_owned());
            match scope {
                Some(instance_id) => in_scope(principal, instance_id),
                None => principal,
            }
        });
    prop_oneof![
        8 => session,
        1 => Just(account(DATABRICKS)),
        1 => Just(account("999988887777")),
        1 => Just(iam_user("AKIA1")),
        1 => Just(ec2_service()),
        1 => Just(Principal::default()),
    ]
}

fn sts() -> impl Strategy<Value = StsSession> {
    let ids = (
        pick(&["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8"]),
        option::weighted(0.4, pick(&["s1", "s2", "s3"])),
        pick(&["s3://a", "s3://b"]),
    );
    let session = (
        option::weighted(0.8, pick(&["ASIA1", "ASIA2", "ASIA3"])),
        select(&[UC_ROLE, PROFILE_ROLE, APP_ROLE, LOG_ROLE][..]),
        select(&["databricks", "app", INSTANCE][..]),
        0_i64..20,
        option::of(0_i64..40),
        prop::bool::weighted(0.1),
    );
    (ids, session, principal()).prop_map(|(ids, session, caller)| {
        let (event_id, shared_event_id, source_uri) = ids;
        let (key, role, name, issued_at, life, refused) = session;
        StsSession {
            access_key_id: key,
            issued_at: at(issued_at),
            expires_at: life.map(|life| at(issued_at + life)),
            shared_event_id,
            source_uri,
            error_code: refused.then(|| "AccessDenied".to_owned()),
            ..issued(&event_id, role, name, "", caller)
        }
    })
}

fn instance() -> impl Strategy<Value = Ec2Instance> {
    let tag = prop_oneof![
        3 => Just(("Vendor", "Databricks")),
        1 => Just(("Vendor", "Other")),
        2 => Just(("ClusterId", "c1")),
        2 => Just(("ClusterId", "c2")),
        1 => Just(("ClusterId", "")),
        2 => Just(("JobId", "7")),
        1 => Just(("JobId", "8")),
    ];
    (
        pick(&["r1", "r2", "r3", "r4", "r5"]),
        select(
            &[
                "RunInstances",
                "CreateTags",
                "DeleteTags",
                "CreateFleet",
                "TerminateInstances",
            ][..],
        ),
        -3_i64..25,
        vec(tag, 0..4),
        prop::bool::weighted(0.05),
        select(&[INSTANCE, "i-00000000"][..]),
    )
        .prop_map(|(event_id, name, seconds, mut tags, pool, instance_id)| {
            if pool {
                tags.push(("DatabricksInstancePoolId", "p"));
            }
            Ec2Instance {
                instance_id: instance_id.to_owned(),
                ..ec2(&event_id, name, seconds, &tags)
            }
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        principal(),
        seconds(),
        prop::bool::weighted(0.1),
        option::of(pick(&["us-west-2-prod/42/x", "plain"])),
    )
        .prop_map(|(principal, seconds, presigned, object_key)| Asked {
            presigned,
            object_key,
            ..Asked::of(principal).at(seconds)
        })
}

/// A world: its facts, and the same in another order.
type World = (Vec<StsSession>, Vec<Ec2Instance>);

fn facts() -> impl Strategy<Value = (World, World)> {
    (vec(sts(), 0..12), vec(instance(), 0..8)).prop_flat_map(|(sessions, instances)| {
        let shuffled = (
            Just(sessions.clone()).prop_shuffle(),
            Just(instances.clone()).prop_shuffle(),
        );
        (Just((sessions, instances)), shuffled)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_and_grouping_of_facts_change_nothing(
        (world, shuffled) in facts(),
        asked in vec(asked(), 1..6),
        cut in 0_usize..12,
        again in any::<bool>(),
    ) {
        let whole = configured(&world.0, &world.1);
        let (mut sessions, mut instances) = shuffled;
        let late = sessions.split_off(cut.min(sessions.len()));
        let late_instances = instances.split_off(cut.min(instances.len()));
        let mut parts = configured(&sessions, &instances).with(late, late_instances);
        if again {
            parts = parts.with(world.0, world.1);
        }
        prop_assert_eq!(whole.sessions(), parts.sessions());
        prop_assert_eq!(whole.instances(), parts.instances());
        for asked in &asked {
            prop_assert_eq!(asked.answer(&whole), asked.answer(&parts));
            prop_assert_eq!(
                whole.session_of(&asked.principal, asked.at),
                parts.session_of(&asked.principal, asked.at)
            );
        }
    }

    #[test]
    fn an_answer_holds_over_the_whole_span_it_names(
        (world, _) in facts(),
        asked in asked(),
        others in vec(seconds(), 20),
        other_key in option::of(pick(&["us-west-2-prod/43/x", "other"])),
    ) {
        let index = configured(&world.0, &world.1);
        let Answer { attribution: answer, span, place } = attribute_within(&asked.access(), &index);
        prop_assert!(span.contains(asked.at));
        let inside = others.into_iter().map(at).chain([span.from, span.until]);
        for time in inside.filter(|time| span.contains(*time)) {
            let mut then = Asked { at: time, ..asked.clone() };
            prop_assert_eq!(&answer, &then.answer(&index), "at {}", time);
            if place.is_none() {
                then.object_key.clone_from(&other_key);
                prop_assert_eq!(&answer, &then.answer(&index), "another key");
            }
        }
    }

    #[test]
    fn dropping_what_is_old_changes_no_later_answer_that_rests_on_keys(
        (world, _) in facts(),
        asked in asked(),
        before in seconds(),
    ) {
        let index = configured(&world.0, &world.1);
        let rest = index.clone().without_older_than(at(before));
        prop_assert!(rest.sessions() <= index.sessions());
        let answer = asked.answer(&index);
        if asked.at >= at(before) && !answer.methods.contains(&Method::M2SessionCreation) {
            prop_assert_eq!(answer, asked.answer(&rest));
        }
    }

    #[test]
    fn no_level_is_named_without_confidence_nor_evidence_repeated(
        (world, _) in facts(),
        asked in asked(),
    ) {
        let answer = asked.answer(&configured(&world.0, &world.1));
        for (id, confidence) in [
            (&answer.session_event_id, answer.session_confidence),
            (&answer.workspace_id, answer.workspace_confidence),
            (&answer.cluster_id, answer.cluster_confidence),
            (&answer.job_id, answer.job_confidence),
        ] {
            prop_assert_eq!(id.is_some(), matches!(confidence.as_str(), "exact" | "strong"));
        }
        let mut evidence = answer.evidence.clone();
        evidence.sort();
        evidence.dedup();
        prop_assert_eq!(evidence.len(), answer.evidence.len());
        prop_assert!(answer.session_event_id.is_none_or(|id| answer.evidence.first() == Some(&id)));
        prop_assert!(answer.job_confidence <= answer.cluster_confidence);
    }
}
