//! What the operator tells of the organisation's own roles, merged with what
//! ships about Databricks.

use super::databricks::DatabricksIds;
use crate::model::Client;
use crate::model::network::{Cidr, KnownNetworks, Place, Source};
use hashbrown::HashSet;

/// The identity part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentitySettings {
    /// AWS accounts of Databricks beside the shipped ones.
    pub databricks_account_ids: Vec<String>,
    /// ARNs of the roles that Databricks assumes to deliver audit and billing logs.
    pub log_delivery_roles: Vec<String>,
    /// ARNs of the roles behind Unity Catalog storage credentials.
    pub storage_credential_roles: Vec<String>,
    /// VPC endpoints of the networks that hold Databricks compute. With none, every
    /// private source address is looked up.
    pub compute_vpc_endpoints: Vec<String>,
    /// Ranges that requests come from: own networks and NAT addresses, serverless
    /// compute. With none, nothing counts as used from outside.
    pub known_networks: Vec<Cidr>,
}

/// The same as sets; roles are compared by their full ARN, path included.
#[derive(Debug)]
pub(super) struct Known {
    databricks_accounts: HashSet<String>,
    log_delivery_roles: HashSet<String>,
    storage_credential_roles: HashSet<String>,
    networks: KnownNetworks,
}

impl Known {
    pub fn new(settings: IdentitySettings) -> Known {
        let shipped = &DatabricksIds::shipped().accounts;
        let accounts = shipped.iter().map(|account| account.id.clone());
        let deliverers = shipped
            .iter()
            .filter_map(|account| account.log_delivery_role.clone());
        Known {
            databricks_accounts: accounts.chain(settings.databricks_account_ids).collect(),
            log_delivery_roles: deliverers.chain(settings.log_delivery_roles).collect(),
            storage_credential_roles: settings.storage_credential_roles.into_iter().collect(),
            networks: KnownNetworks {
                networks: settings.known_networks,
                vpc_endpoints: settings.compute_vpc_endpoints,
            },
        }
    }

    pub fn is_databricks_account(&self, account_id: &str) -> bool {
        self.databricks_accounts.contains(account_id)
    }

    /// Whether the role delivers logs: the customer's, or Databricks' own.
    pub fn is_log_delivery(&self, role_arn: &str) -> bool {
        self.log_delivery_roles.contains(role_arn)
    }

    pub fn is_storage_credential(&self, role_arn: &str) -> bool {
        self.storage_credential_roles.contains(role_arn)
    }

    /// Whether a private address seen through this endpoint can be a node's:
    /// networks apart use the same addresses.
    pub fn is_compute_endpoint(&self, vpc_endpoint_id: Option<&str>) -> bool {
        let known = &self.networks.vpc_endpoints;
        known.is_empty() || vpc_endpoint_id.is_some_and(|id| known.iter().any(|known| known == id))
    }

    /// Whether a request came from none of the known networks; never if none is known.
    pub fn is_outside(&self, client: &Client) -> bool {
        let source = client.source_ip.as_deref().map(Source::parse);
        let vpc_endpoint_id = client.vpc_endpoint_id.as_deref();
        !self.networks.networks.is_empty()
            && self.networks.place(source, vpc_endpoint_id) == Place::Outside
    }
}
