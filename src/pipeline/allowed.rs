//! What the worker may read, whatever a message says.
//!
//! INVARIANT (closed): a bucket that is not listed is never asked for anything, nor is a
//! key outside the prefixes, or one that names an account that is not listed.

use crate::trail::key::{self, KeyClass};

/// A bucket that may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedBucket {
    pub bucket: String,
    /// Account that must own it, or S3 refuses.
    pub owner: Option<String>,
    /// Beginnings of keys; all keys if there is none.
    pub prefixes: Vec<String>,
    /// Accounts whose logs are read; all if there is none.
    pub accounts: Vec<String>,
}

/// The buckets that may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(pub Vec<AllowedBucket>);

impl AllowList {
    /// The entry that allows the object, or why none does: a stable token, then a
    /// detail after a colon.
    ///
    /// # Errors
    /// When none does.
    pub fn check(&self, bucket: &str, key: &str) -> Result<&AllowedBucket, String> {
        let entries: Vec<&AllowedBucket> = self
            .0
            .iter()
            .filter(|entry| entry.bucket == bucket)
            .collect();
        if entries.is_empty() {
            return Err("not_allowed: the bucket is not listed".to_owned());
        }
        let in_prefix = |entry: &&&AllowedBucket| {
            entry.prefixes.is_empty() || entry.prefixes.iter().any(|p| key.starts_with(p.as_str()))
        };
        let entries: Vec<&&AllowedBucket> = entries.iter().filter(in_prefix).collect();
        if entries.is_empty() {
            return Err("not_allowed: the key lies under no listed prefix".to_owned());
        }
        let account = match key::classify(key) {
            KeyClass::Cloudtrail(key) => Some(key.account_id),
            _ => None,
        };
        let of_account = |entry: &&&&AllowedBucket| {
            entry.accounts.is_empty()
                || account
                    .as_ref()
                    .is_some_and(|account| entry.accounts.contains(account))
        };
        match entries.iter().find(of_account) {
            Some(entry) => Ok(entry),
            None => Err("not_allowed: the key names no listed account".to_owned()),
        }
    }

    /// Whether objects written under that prefix of the bucket would be announced and
    /// read: a lake there would feed itself.
    pub fn watches(&self, bucket: &str, prefix: &str) -> bool {
        self.0
            .iter()
            .filter(|entry| entry.bucket == bucket)
            .any(|entry| {
                entry.prefixes.is_empty()
                    || entry.prefixes.iter().any(|watched| {
                        prefix.starts_with(watched.as_str()) || watched.starts_with(prefix)
                    })
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> AllowList {
        AllowList(vec![
            AllowedBucket {
                bucket: "logs".to_owned(),
                prefixes: vec!["org/AWSLogs/".to_owned()],
                accounts: vec!["111122223333".to_owned()],
                ..AllowedBucket::default()
            },
            AllowedBucket {
                bucket: "open".to_owned(),
                ..AllowedBucket::default()
            },
        ])
    }

    fn log_key(account: &str) -> String {
        format!(
            "org/AWSLogs/{account}/CloudTrail/us-east-1/2026/03/27/\
             {account}_CloudTrail_us-east-1_20260327T1705Z_0123456789abcdef.json.gz"
        )
    }

    #[test]
    fn only_listed_buckets_prefixes_and_accounts_are_read() {
        let list = list();
        let refused = |bucket: &str, key: &str| list.check(bucket, key).unwrap_err();
        assert!(list.check("logs", &log_key("111122223333")).is_ok());
        assert!(list.check("open", "anything").is_ok());
        assert!(refused("logs2", &log_key("111122223333")).contains("bucket"));
        assert!(refused("logs", "AWSLogs/x").contains("prefix"));
        assert!(refused("logs", &log_key("444455556666")).contains("account"));
        assert!(refused("logs", "org/AWSLogs/../../secret").contains("account"));
    }

    #[test]
    fn a_lake_must_not_lie_where_it_is_watched() {
        let list = list();
        assert!(list.watches("open", "lake/"));
        assert!(list.watches("logs", "org/AWSLogs/lake/"));
        assert!(list.watches("logs", "org/"));
        assert!(!list.watches("logs", "lake/"));
        assert!(!list.watches("elsewhere", ""));
    }
}
