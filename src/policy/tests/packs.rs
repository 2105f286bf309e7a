//! The packs hold their own examples, alone and together, and say nothing by halves.

use super::*;
use crate::model::KnownGroups;
use crate::policy::{PACKS, pack_files};

/// Every choice of packs.
fn choices() -> Vec<Vec<String>> {
    (1..1_usize << PACKS.len())
        .map(|bits| {
            let chosen = PACKS.iter().enumerate();
            let chosen = chosen.filter(|(place, _)| bits >> place & 1 == 1);
            chosen.map(|(_, pack)| pack.name.to_owned()).collect()
        })
        .collect()
}

#[test]
fn every_choice_of_packs_loads_passes_its_examples_and_leaves_nothing_to_find() {
    for names in choices() {
        let policy = Policy::parse(pack_files(&names).unwrap(), &PolicySettings::default())
            .unwrap_or_else(|errors| panic!("{names:?}: {errors}"));
        assert!(!policy.examples().is_empty());
        for example in policy.examples() {
            let tested = policy.test(example);
            assert!(
                tested.passed,
                "{names:?}: {}: {:?}",
                example.name, tested.judgement
            );
        }
        let groups = KnownGroups {
            names: policy.interest().groups.clone(),
            ..KnownGroups::default()
        };
        policy.check_groups(&groups).unwrap();
        let findings = policy.findings(Some(&groups), at("2026-03-27T12:00:00Z"));
        assert_eq!(findings, [], "{names:?}");
        for rule in policy.rules() {
            let says = rule.control.is_some() || &*rule.id == "baseline";
            assert!(says && *rule.reason != *rule.id, "{}", rule.id);
        }
    }
}

#[test]
fn a_pack_that_there_is_not_is_told_with_the_nearest() {
    let error = pack_files(&["guardrail".to_owned()]).unwrap_err();
    assert_eq!(
        error,
        "there is no policy pack `guardrail`; did you mean `guardrails`?"
    );
}
