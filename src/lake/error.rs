//! What can go wrong with the lake, by what a caller would do about it.

use std::fmt::Display;
use url::Url;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("`{location}` is no lake location: {detail}")]
    Location { location: String, detail: String },
    #[error(
        "open table `{table}` at `{url}`: {detail}. If its folder `_delta_log` is damaged, \
         restore it from a backup; data files alone are no table"
    )]
    Open {
        table: &'static str,
        url: String,
        detail: String,
    },
    #[error(
        "table `{table}` at `{url}` has no column `{column}` of the expected type: it was not \
         written by this version of bricktrail; use another `--lake`"
    )]
    Schema {
        table: &'static str,
        url: String,
        column: String,
    },
    #[error("read table `{table}` at `{url}`: {detail}")]
    Read {
        table: &'static str,
        url: String,
        detail: String,
    },
    #[error(
        "write to table `{table}` at `{url}`: {detail}. Nothing of this commit is visible; \
         run the command again once the place can be written"
    )]
    Write {
        table: &'static str,
        url: String,
        detail: String,
    },
    #[error(
        "commit to table `{table}` at `{url}`: {detail}. Run the command again: it continues \
         after the last commit"
    )]
    Commit {
        table: &'static str,
        url: String,
        detail: String,
    },
    #[error(
        "commit to table `{table}` at `{url}`: other writers came first {attempts} times in a \
         row. Nothing of this commit is visible; run the command again when fewer scans write \
         this lake"
    )]
    Contended {
        table: &'static str,
        url: String,
        attempts: u32,
    },
    #[error("encode rows of table `{table}`: {detail}")]
    Encode { table: &'static str, detail: String },
}

impl LakeError {
    pub fn open(table: &'static str, url: &Url, cause: impl Display) -> LakeError {
        LakeError::Open {
            table,
            url: place(url),
            detail: first_lines(&cause),
        }
    }

    pub fn read(table: &'static str, url: &Url, cause: impl Display) -> LakeError {
        LakeError::Read {
            table,
            url: place(url),
            detail: first_lines(&cause),
        }
    }

    pub fn write(table: &'static str, url: &Url, cause: impl Display) -> LakeError {
        LakeError::Write {
            table,
            url: place(url),
            detail: first_lines(&cause),
        }
    }

    pub fn commit(table: &'static str, url: &Url, cause: impl Display) -> LakeError {
        LakeError::Commit {
            table,
            url: place(url),
            detail: first_lines(&cause),
        }
    }

    pub fn contended(table: &'static str, url: &Url, attempts: u32) -> LakeError {
        LakeError::Contended {
            table,
            url: place(url),
            attempts,
        }
    }

    pub fn encode(table: &'static str, cause: impl Display) -> LakeError {
        LakeError::Encode {
            table,
            detail: first_lines(&cause),
        }
    }
}

/// A local path as the user knows it, any other place as its URL.
pub fn place(url: &Url) -> String {
    url.to_file_path()
        .map_or_else(|()| url.to_string(), |path| path.display().to_string())
}

/// What went wrong, without the backtrace that some libraries write into it.
fn first_lines(cause: &impl Display) -> String {
    let text = cause.to_string();
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.trim_start().starts_with("0: ") && *line != "stack backtrace:")
        .collect();
    lines.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::first_lines;

    #[test]
    fn a_backtrace_is_no_part_of_a_message() {
        let text = "Json error: unexpected 'g'\n   0: <unknown>\n   1: clone3\n: Json error";
        assert_eq!(first_lines(&text), "Json error: unexpected 'g'");
    }
}
