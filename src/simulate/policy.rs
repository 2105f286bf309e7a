//! Writes the organisation's policy and configuration: datasets, the starter
//! rules, two rules of its own, its accounts and networks.

use super::SimulateError;
use super::exports::file;
use super::org::{LAKE_ACCOUNT, TEAM_ACCOUNT};
use super::text::put;
use super::write::World;
use crate::policy::STARTER;
use std::path::Path;

const OWN: &str = r#"// Northwind's own rules, beside bricktrail's starter rules.

@id("restricted-by-static-key")
@severity("critical")
@control("CC6.1, CC6.3")
@reason("a long-term access key was used on restricted data")
forbid (principal, action, resource)
when {
  resource has sensitivity && resource.sensitivity == "restricted" &&
  context.credential == "static"
};

@id("restricted-outside-unity-catalog")
@severity("high")
@control("CC6.1, CC6.3")
@reason("restricted data was read or written without Unity Catalog")
forbid (principal, action in [Action::"read", Action::"write"], resource)
when {
  resource has sensitivity && resource.sensitivity == "restricted" &&
  context.access_path != "unity_catalog" && context.outcome == "ok"
};
"#;

/// Domains of the tables, how sensitive they are, and whose.
const DATASETS: [(&str, &str, &str); 6] = [
    ("payroll", "restricted", "hr@northwind.example"),
    ("customers", "restricted", "crm@northwind.example"),
    ("finance", "confidential", "finance@northwind.example"),
    ("sales", "internal", "sales@northwind.example"),
    ("supply", "internal", "operations@northwind.example"),
    ("web", "public", "web@northwind.example"),
];

pub(super) fn write(world: &World<'_>, out: &Path) -> Result<(), SimulateError> {
    let mut datasets = String::from("# What lies where, and how sensitive it is.\n");
    for (name, sensitivity, owner) in DATASETS {
        put(
            &mut datasets,
            format_args!(
                "\n[[dataset]]\nname = \"{name}\"\nsensitivity = \"{sensitivity}\"\nowner = \"{owner}\"\nlocations = [\n"
            ),
        );
        for workspace in &world.org.workspaces {
            put(
                &mut datasets,
                format_args!("  \"s3://{}/{name}/\",\n", workspace.buckets.curated),
            );
        }
        datasets.push_str("]\n");
    }
    datasets.push_str("\n[[dataset]]\nname = \"raw\"\nsensitivity = \"internal\"\nlocations = [\n");
    for workspace in &world.org.workspaces {
        put(
            &mut datasets,
            format_args!("  \"s3://{}/feeds/\",\n", workspace.buckets.raw),
        );
    }
    datasets.push_str("]\n");
    let policy = out.join("policy");
    file(&policy.join("datasets.toml"), datasets.as_bytes())?;
    for (name, text) in STARTER {
        file(&policy.join(name), text.as_bytes())?;
    }
    file(&policy.join("northwind.cedar"), OWN.as_bytes())?;
    file(
        &out.join("bricktrail.toml"),
        configuration(world).as_bytes(),
    )
}

/// What an operator would tell bricktrail of this organisation.
fn configuration(world: &World<'_>) -> String {
    let mut deliverers = String::new();
    let mut endpoints = String::new();
    for workspace in &world.org.workspaces {
        put(
            &mut deliverers,
            format_args!("  \"{}\",\n", workspace.roles.log_delivery.arn()),
        );
        put(
            &mut endpoints,
            format_args!("  \"{}\",\n", workspace.vpc_endpoint),
        );
    }
    format!(
        "# Northwind, as its operator would describe it. Use it with --config.\n\n\
         [identity]\nlog_delivery_roles = [\n{deliverers}]\n\n\
         [network]\n\
         # Own networks, Databricks' serverless compute, an office with engines of its own.\n\
         known_networks = [\"10.0.0.0/8\", \"198.51.100.96/27\", \"198.51.100.128/27\", \"192.0.2.16/28\", \"203.0.113.0/24\"]\n\
         known_vpc_endpoints = [\n{endpoints}]\n\n\
         [accounts]\nown = [\"{LAKE_ACCOUNT}\", \"{TEAM_ACCOUNT}\"]\n"
    )
}
