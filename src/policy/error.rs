//! Why a policy cannot be used, in words its author can act on.
//!
//! Every message names the file and line (or the setting) at fault and what to
//! do. The first fault is reported; a policy with a fault is never used in part.

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

/// The line, counted from 1, that holds the byte at `offset`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}
