//! Why a policy cannot be used, in words its author can act on.
//!
//! Every message names the file and line (or the setting) at fault and what to
//! do. All faults are reported at once; a policy with a fault is never used in part.

use std::fmt;

/// Why policy files or settings were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A `*.cedar` file does not follow Cedar's grammar.
    #[error("policy file `{file}`, line {line}: {message}")]
    Syntax {
        file: String,
        line: usize,
        message: String,
    },
    /// A rule does not fit the schema, or never can match.
    #[error("policy file `{file}`, line {line}, rule `{rule}`: {message}")]
    Schema {
        file: String,
        line: usize,
        rule: String,
        message: String,
    },
    /// A rule's annotations are missing or wrong.
    #[error("policy file `{file}`, line {line}: {message}")]
    Annotation {
        file: String,
        line: usize,
        message: String,
    },
    /// `datasets.toml` cannot be used.
    #[error("policy file `{file}`, line {line}: {message}")]
    Datasets {
        file: String,
        line: usize,
        message: String,
    },
    /// `exceptions.toml` cannot be used.
    #[error("policy file `{file}`, line {line}: {message}")]
    Exceptions {
        file: String,
        line: usize,
        message: String,
    },
    /// `tests.toml` cannot be used.
    #[error("policy file `{file}`, line {line}: {message}")]
    Tests {
        file: String,
        line: usize,
        message: String,
    },
    /// A rule asks for a group that SCIM does not show.
    #[error("policy file `{file}`, line {line}, rule `{rule}`: {message}")]
    Group {
        file: String,
        line: usize,
        rule: String,
        message: String,
    },
    /// SCIM's groups cannot be used.
    #[error("{message}")]
    Groups { message: String },
    /// The set of files is wrong as a whole.
    #[error("{message}")]
    Files { message: String },
    /// A setting is not what it has to be.
    #[error("setting `{setting}`: `{value}` {message}")]
    Setting {
        setting: &'static str,
        value: String,
        message: &'static str,
    },
    /// What ships with bricktrail does not hold together; tests exclude it.
    #[error(
        "built-in policy vocabulary: {message}; this is a defect of bricktrail, please report it"
    )]
    BuiltIn { message: String },
}

/// Everything that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyErrors(Vec<PolicyError>);

impl PolicyErrors {
    /// The faults, in the order of the files and their lines.
    pub fn list(&self) -> &[PolicyError] {
        &self.0
    }

    /// `Ok` if there is none.
    pub(super) fn or_ok<T>(mut faults: Vec<PolicyError>, sound: T) -> Result<T, PolicyErrors> {
        if faults.is_empty() {
            return Ok(sound);
        }
        faults.sort_by(|a, b| a.place().cmp(&b.place()));
        faults.dedup();
        Err(PolicyErrors(faults))
    }
}

impl From<PolicyError> for PolicyErrors {
    fn from(error: PolicyError) -> PolicyErrors {
        PolicyErrors(vec![error])
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, more @ ..] = self.0.as_slice() else {
            return Ok(());
        };
        write!(f, "{first}")?;
        more.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl std::error::Error for PolicyErrors {}

impl PolicyError {
    /// File and line of the fault; what is wrong as a whole comes first.
    pub fn place(&self) -> Option<(&str, usize)> {
        match self {
            PolicyError::Syntax { file, line, .. }
            | PolicyError::Schema { file, line, .. }
            | PolicyError::Annotation { file, line, .. }
            | PolicyError::Datasets { file, line, .. }
            | PolicyError::Exceptions { file, line, .. }
            | PolicyError::Tests { file, line, .. }
            | PolicyError::Group { file, line, .. } => Some((file, *line)),
            PolicyError::Groups { .. }
            | PolicyError::Files { .. }
            | PolicyError::Setting { .. }
            | PolicyError::BuiltIn { .. } => None,
        }
    }
}

/// The line, counted from 1, that holds the byte at `offset`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}
