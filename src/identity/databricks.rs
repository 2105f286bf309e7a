//! The AWS identifiers that belong to Databricks: shipped data, parsed once.
//!
//! They tell Databricks' own platform (its accounts call S3 themselves) from a
//! session that Unity Catalog vended (its accounts assumed the customer's
//! role). A customer adds to them in the configuration, never takes away.

use serde::Deserialize;
use std::sync::LazyLock;

const SHIPPED: &str = include_str!("databricks.toml");

/// The shipped list, with the date it was last checked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabricksIds {
    pub version: String,
    #[serde(rename = "account")]
    pub accounts: Vec<DatabricksAccount>,
}

/// An AWS account of Databricks, and the roles in it that customers trust.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabricksAccount {
    pub id: String,
    pub partition: String,
    pub purpose: String,
    /// The role that assumes storage-credential roles for Unity Catalog.
    pub unity_catalog_role: Option<String>,
    /// The role that assumes the customer's audit and billing delivery role.
    pub log_delivery_role: Option<String>,
}

impl DatabricksIds {
    /// Returns the list that ships with bricktrail.
    pub fn shipped() -> &'static DatabricksIds {
        static IDS: LazyLock<DatabricksIds> = LazyLock::new(|| parse(SHIPPED).unwrap_or_default());
        &IDS
    }
}

fn parse(text: &str) -> Result<DatabricksIds, toml::de::Error> {
    toml::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_parses_and_its_roles_lie_in_their_accounts() {
        let ids = parse(SHIPPED).unwrap();
        assert!(!ids.version.is_empty());
        assert!(ids.accounts.iter().any(|a| a.id == "414351767826"));
        for account in &ids.accounts {
            assert!(account.id.len() == 12 && account.id.bytes().all(|b| b.is_ascii_digit()));
            assert!(!account.purpose.is_empty());
            let roles = [&account.unity_catalog_role, &account.log_delivery_role];
            for role in roles.into_iter().flatten() {
                let home = format!("arn:{}:iam::{}:role/", account.partition, account.id);
                assert!(role.starts_with(&home), "{role}");
            }
        }
        assert_eq!(DatabricksIds::shipped().accounts.len(), ids.accounts.len());
    }

    #[test]
    fn every_control_plane_has_its_two_roles() {
        let planes = DatabricksIds::shipped()
            .accounts
            .iter()
            .filter(|a| a.purpose.starts_with("control plane"));
        let mut count = 0;
        for plane in planes {
            count += 1;
            assert!(plane.unity_catalog_role.is_some() && plane.log_delivery_role.is_some());
        }
        assert_eq!(count, 3);
    }
}
