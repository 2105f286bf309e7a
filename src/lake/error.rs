//! What can go wrong with the lake, by what a caller would do about it.

use url::Url;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("`{location}` is no lake location: {detail}")]
    Location { location: String, detail: String },
    #[error(
        "open table `{table}` at `{url}`: {source}. If its folder `_delta_log` is damaged, \
         restore it from a backup; data files alone are no table"
    )]
    Open {
        table: &'static str,
        url: String,
        source: BoxError,
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
    #[error("read table `{table}` at `{url}`: {source}")]
    Read {
        table: &'static str,
        url: String,
        source: BoxError,
    },
    #[error(
        "write to table `{table}` at `{url}`: {source}. Nothing of this commit is visible; \
         run the command again once the place can be written"
    )]
    Write {
        table: &'static str,
        url: String,
        source: BoxError,
    },
    #[error(
        "commit to table `{table}` at `{url}`: {source}. Run the command again: it continues \
         after the last commit"
    )]
    Commit {
        table: &'static str,
        url: String,
        source: BoxError,
    },
    #[error("encode rows of table `{table}`: {source}")]
    Encode {
        table: &'static str,
        source: BoxError,
    },
}

impl LakeError {
    pub fn open(table: &'static str, url: &Url, source: impl Into<BoxError>) -> LakeError {
        LakeError::Open {
            table,
            url: place(url),
            source: source.into(),
        }
    }

    pub fn read(table: &'static str, url: &Url, source: impl Into<BoxError>) -> LakeError {
        LakeError::Read {
            table,
            url: place(url),
            source: source.into(),
        }
    }

    pub fn write(table: &'static str, url: &Url, source: impl Into<BoxError>) -> LakeError {
        LakeError::Write {
            table,
            url: place(url),
            source: source.into(),
        }
    }

    pub fn commit(table: &'static str, url: &Url, source: impl Into<BoxError>) -> LakeError {
        LakeError::Commit {
            table,
            url: place(url),
            source: source.into(),
        }
    }

    pub fn encode(table: &'static str, source: impl Into<BoxError>) -> LakeError {
        LakeError::Encode {
            table,
            source: source.into(),
        }
    }
}

/// A local path as the user knows it, any other place as its URL.
pub fn place(url: &Url) -> String {
    url.to_file_path()
        .map_or_else(|()| url.to_string(), |path| path.display().to_string())
}
