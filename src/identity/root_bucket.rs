//! Reads the workspace from a key of a Databricks root bucket.
//!
//! Source: databricks/terraform-databricks-sra, restrictive root bucket policy:
//! `<region>-prod/<workspace>/…`, `<region>-prod/<workspace>.<n>/…` and
//! `ephemeral/<region>-prod/<workspace>/…`. The region is not checked against a
//! list: Databricks writes it in more than one way.

/// Longest workspace id, in digits: it is a 64-bit number.
const WORKSPACE_DIGITS_MAX: usize = 19;

/// Returns the workspace whose data the key is; `None` for any other key.
pub(super) fn workspace_of_key(key: &str) -> Option<&str> {
    let (ephemeral, key) = match key.strip_prefix("ephemeral/") {
        Some(rest) => (true, rest),
        None => (false, key),
    };
    let (shard, rest) = key.split_once('/')?;
    let region = shard.strip_suffix("-prod")?;
    let is_region = !region.is_empty()
        && region
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let (folder, _) = rest.split_once('/')?;
    let workspace = match folder.split_once('.') {
        Some((workspace, _)) if !ephemeral => workspace,
        _ => folder,
    };
    let is_workspace = (1..=WORKSPACE_DIGITS_MAX).contains(&workspace.len())
        && workspace.bytes().all(|b| b.is_ascii_digit());
    (is_region && is_workspace).then_some(workspace)
}

#[cfg(test)]
mod tests {
    use super::workspace_of_key;

    #[test]
    fn each_key_layout_names_its_workspace_and_nothing_else_does() {
        for (key, workspace) in [
            (
                "us-west-2-prod/1234567890123456/user/hive/a",
                Some("1234567890123456"),
            ),
            ("oregon-prod/42/x", Some("42")),
            ("us-gov-west-1-prod/42/x", Some("42")),
            ("us-west-2-prod/42.1/jobs/x", Some("42")),
            ("us-west-2-prod/42.jobs/x", Some("42")),
            ("ephemeral/us-west-2-prod/42/x", Some("42")),
            ("ephemeral/us-west-2-prod/42.1/x", None),
            ("us-west-2-prod/0_databricks_dev/x", None),
            ("us-west-2-prod/42", None),
            ("us-west-2-prod/42x/y", None),
            ("us-west-2-prod//y", None),
            ("us-west-2-prod/.1/y", None),
            ("us-west-2-prod/12345678901234567890/y", None),
            ("-prod/42/y", None),
            ("us-west-2/42/y", None),
            ("data/us-west-2-prod/42/y", None),
            ("", None),
        ] {
            assert_eq!(workspace_of_key(key), workspace, "{key}");
        }
    }
}
