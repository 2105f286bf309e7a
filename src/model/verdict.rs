//! The answer to "may they", with the rules that said no.

use std::sync::Arc;

/// What the policy says of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    InPolicy,
    OutOfPolicy,
    /// Candidates disagree, a policy failed to evaluate, or nobody is found yet.
    Undetermined,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// A rule that an access violated, or (for `undetermined`) that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule's `@id`.
    pub rule: Arc<str>,
    pub severity: Severity,
    /// The rule's `@control`, for example `CC6.1`.
    pub control: Option<Arc<str>>,
    pub reason: Arc<str>,
    /// The approved exception that covers it: it stays visible and does not count.
    pub exception: Option<Arc<str>>,
}

impl Violation {
    /// What the reason of a rule begins with that failed to evaluate.
    pub const FAILED: &str = "evaluation failed: ";

    /// Whether it is a rule that failed, and not one that was violated.
    pub fn is_failure(&self) -> bool {
        self.reason.starts_with(Violation::FAILED)
    }
}

/// A named set of locations with a sensitivity and an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    pub name: String,
    pub sensitivity: Option<String>,
    pub owner: Option<String>,
}

impl Verdict {
    pub const ALL: [Verdict; 3] = [
        Verdict::InPolicy,
        Verdict::OutOfPolicy,
        Verdict::Undetermined,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::InPolicy => "in_policy",
            Verdict::OutOfPolicy => "out_of_policy",
            Verdict::Undetermined => "undetermined",
        }
    }
}

impl Severity {
    pub const ALL: [Severity; 4] = [
        Severity::Critical,
        Severity::High,
        Severity::Medium,
        Severity::Low,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    pub fn parse(text: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|s| s.as_str() == text)
    }
}
