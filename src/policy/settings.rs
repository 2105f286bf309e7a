//! The settings that verdicts depend on, checked once where they enter.

use super::error::PolicyError;
use crate::model::network::{Cidr, KnownNetworks};

/// What the configuration tells a policy about the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySettings {
    /// Whole hours that a session may be old before policies see it as too old.
    pub session_age_max_hours: u32,
    /// CIDR ranges that requests are expected from.
    pub known_networks: Vec<String>,
    /// VPC endpoints that requests are expected through.
    pub known_vpc_endpoints: Vec<String>,
    /// The organisation's AWS accounts.
    pub own_account_ids: Vec<String>,
}

impl Default for PolicySettings {
    fn default() -> Self {
        PolicySettings {
            // The longest session that AssumeRole gives; an older one was made otherwise.
            session_age_max_hours: 12,
            known_networks: Vec::new(),
            known_vpc_endpoints: Vec::new(),
            own_account_ids: Vec::new(),
        }
    }
}

/// Settings that are known to be sound, in one order whatever they came in.
#[derive(Debug)]
pub(super) struct Settings {
    pub session_age_max_hours: u32,
    pub networks: KnownNetworks,
    pub own_account_ids: Vec<String>,
}

impl Settings {
    /// Checks the settings; what is wrong is told, and left out.
    pub(super) fn check(settings: &PolicySettings, faults: &mut Vec<PolicyError>) -> Settings {
        let mut wrong = |setting, value: &str, message| {
            faults.push(PolicyError::Setting {
                setting,
                value: value.to_owned(),
                message,
            });
        };
        let mut networks = Vec::new();
        for text in &settings.known_networks {
            match Cidr::parse(text) {
                Some(network) => networks.push(network),
                None => wrong(
                    "known_networks",
                    text,
                    "is no address range; write it like `10.0.0.0/8`",
                ),
            }
        }
        for id in &settings.known_vpc_endpoints {
            if !id.starts_with("vpce-") {
                wrong(
                    "known_vpc_endpoints",
                    id,
                    "is no VPC endpoint id; write it like `vpce-0123456789abcdef0`",
                );
            }
        }
        for id in &settings.own_account_ids {
            if !is_account_id(id) {
                wrong(
                    "own_account_ids",
                    id,
                    "is no AWS account; write its 12 digits as text",
                );
            }
        }
        Settings {
            session_age_max_hours: settings.session_age_max_hours,
            networks: KnownNetworks {
                networks: sorted(networks),
                vpc_endpoints: sorted(settings.known_vpc_endpoints.clone()),
            },
            own_account_ids: sorted(settings.own_account_ids.clone()),
        }
    }

    /// The settings as text, for the version of a policy.
    pub(super) fn canonical(&self) -> String {
        let networks: Vec<String> = self.networks.networks.iter().map(Cidr::to_string).collect();
        format!(
            "session_age_max_hours={}\nknown_networks={}\nknown_vpc_endpoints={}\nown_account_ids={}\n",
            self.session_age_max_hours,
            networks.join(","),
            self.networks.vpc_endpoints.join(","),
            self.own_account_ids.join(","),
        )
    }

    /// Whether an account is known to be none of the own ones.
    pub(super) fn is_foreign(&self, account_id: &str) -> bool {
        !self.own_account_ids.is_empty()
            && !self.own_account_ids.iter().any(|own| own == account_id)
    }
}

/// Whether a text is an AWS account id: records also hold `anonymous` there.
pub(super) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_order_of_settings_does_not_matter() {
        let of = |networks: [&str; 2], accounts: [&str; 2]| {
            let settings = PolicySettings {
                known_networks: networks.map(str::to_owned).to_vec(),
                own_account_ids: accounts.map(str::to_owned).to_vec(),
                ..PolicySettings::default()
            };
            Settings::check(&settings, &mut Vec::new()).canonical()
        };
        assert_eq!(
            of(
                ["10.0.0.0/8", "192.0.2.1"],
                ["111122223333", "444455556666"]
            ),
            of(
                ["192.0.2.1/32", "10.1.0.0/8"],
                ["444455556666", "111122223333"]
            ),
        );
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_its_form() {
        let error = |settings: PolicySettings| {
            let mut faults = Vec::new();
            Settings::check(&settings, &mut faults);
            assert_eq!(faults.len(), 1);
            faults[0].to_string()
        };
        expect!["setting `known_networks`: `10.0.0.0/40` is no address range; write it like `10.0.0.0/8`"]
            .assert_eq(&error(PolicySettings {
                known_networks: vec!["10.0.0.0/40".to_owned()],
                ..PolicySettings::default()
            }));
        expect!["setting `known_vpc_endpoints`: `vpc-1` is no VPC endpoint id; write it like `vpce-0123456789abcdef0`"]
            .assert_eq(&error(PolicySettings {
                known_vpc_endpoints: vec!["vpc-1".to_owned()],
                ..PolicySettings::default()
            }));
        expect!["setting `own_account_ids`: `11112222333` is no AWS account; write its 12 digits as text"]
            .assert_eq(&error(PolicySettings {
                own_account_ids: vec!["11112222333".to_owned()],
                ..PolicySettings::default()
            }));
    }
}
