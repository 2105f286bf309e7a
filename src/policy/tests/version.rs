//! The version tells policies apart, and nothing else.

use super::*;

const ANY: &str = "@id(\"any\") permit (principal, action, resource);";

fn version(files: &[(&str, &str)], settings: &PolicySettings) -> String {
    let files = files.iter().map(|(name, text)| file(name, text)).collect();
    Policy::parse(files, settings).unwrap().version().to_owned()
}

#[test]
fn the_order_of_files_does_not_matter_and_every_byte_of_them_does() {
    let settings = PolicySettings::default();
    let base = version(&[("a.cedar", ANY), ("tests.toml", "# x")], &settings);
    assert!(base.starts_with("sha256:") && base.len() == 71, "{base}");
    assert_eq!(
        base,
        version(&[("tests.toml", "# x"), ("a.cedar", ANY)], &settings)
    );
    assert_ne!(
        base,
        version(&[("b.cedar", ANY), ("tests.toml", "# x")], &settings)
    );
    assert_ne!(
        base,
        version(&[("a.cedar", ANY), ("tests.toml", "# y")], &settings)
    );
    assert_ne!(base, version(&[("a.cedar", ANY)], &settings));
    assert_ne!(
        version(&[("a.cedar", ANY), ("b.cedar", "//")], &settings),
        version(
            &[("a.cedar", &format!("{ANY}//")), ("b.cedar", "")],
            &settings
        ),
    );
}

#[test]
fn every_setting_is_part_of_the_version() {
    let files = [("a.cedar", ANY)];
    let with = |change: fn(&mut PolicySettings)| {
        let mut settings = PolicySettings::default();
        change(&mut settings);
        version(&files, &settings)
    };
    let mut versions = vec![
        with(|_| {}),
        with(|settings| settings.session_age_max_hours = 13),
        with(|settings| settings.known_networks = vec!["10.0.0.0/8".to_owned()]),
        with(|settings| settings.known_vpc_endpoints = vec!["vpce-1".to_owned()]),
        with(|settings| settings.own_account_ids = vec!["111122223333".to_owned()]),
    ];
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 5);
}

#[test]
fn a_policy_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Policy>();
}
