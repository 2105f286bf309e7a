//! Finds the objects of a scan, in the order in which they were delivered.
//!
//! Sessions are issued before they are used, and CloudTrail delivers both
//! within minutes, but into folders of different regions and accounts. So the
//! tree is not walked folder by folder: the day folders of all accounts and
//! regions are read together, and their files go out by delivery minute.
//!
//! Bounded: folders are remembered, files only of one day at a time.
//!
//! What cannot be listed is an object too, with its reason: nothing in the tree
//! is passed over in silence.

use super::process::unreadable;
use crate::model::{DigestSignature, UtcMicros};
use crate::trail::key::delivery_label;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use url::Url;

/// An object to be read, not yet fetched.
#[derive(Clone, Debug)]
pub struct SourceObject {
    pub uri: String,
    pub path: PathBuf,
    /// The key: the path below the scanned folder, with `/`.
    pub key: String,
    /// For a local file, its modification time and size; `None` if unknown.
    pub etag: Option<String>,
    /// In a bucket that keeps versions.
    pub version_id: Option<String>,
    /// When the notification of it was sent, where one was.
    pub notified_at: Option<UtcMicros>,
    pub bytes: u64,
    /// What signs it, if it is a digest in S3: files have no place for it.
    pub signature: Option<DigestSignature>,
    /// Why it cannot be read, where that is known already: a stable token, then a
    /// detail after a colon.
    pub unreadable: Option<String>,
}

/// What a scan will go through, for its progress bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceTotals {
    pub objects: u64,
    pub bytes: u64,
}

/// A folder that holds files, with its day if it is a day folder.
struct Folder {
    day: Option<(u16, u8, u8)>,
    path: PathBuf,
    root: usize,
}

/// A listing of local sources.
pub struct LocalListing {
    roots: Vec<PathBuf>,
    folders: Vec<Folder>,
    files: Vec<(usize, PathBuf)>,
    unlisted: Vec<SourceObject>,
    pub totals: SourceTotals,
}

/// Why a source cannot be scanned at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("source `{place}` does not exist; give a directory or file of CloudTrail logs")]
    Missing { place: String },
    #[error("source `{place}` holds no objects; give a prefix under which CloudTrail logs are")]
    Empty { place: String },
    #[error("source `{place}` is neither a directory, a file, nor `s3://bucket/prefix`")]
    Unsupported { place: String },
    #[error("read source `{place}`")]
    Unreadable {
        place: String,
        source: std::io::Error,
    },
}

impl LocalListing {
    /// Lists the folders of the sources and counts their files.
    ///
    /// # Errors
    /// When a source itself is missing or unreadable; what lies below one and
    /// cannot be read is listed as an unreadable object instead.
    pub fn of(sources: &[String]) -> Result<LocalListing, SourceError> {
        let mut listing = LocalListing {
            roots: Vec::new(),
            folders: Vec::new(),
            files: Vec::new(),
            unlisted: Vec::new(),
            totals: SourceTotals::default(),
        };
        for place in sources {
            listing.add_source(place)?;
        }
        listing
            .folders
            .sort_by(|a, b| (a.day, &a.path).cmp(&(b.day, &b.path)));
        listing.folders.dedup_by(|a, b| a.path == b.path);
        Ok(listing)
    }

    fn add_source(&mut self, place: &str) -> Result<(), SourceError> {
        let path = match place.strip_prefix("file://") {
            Some(path) => PathBuf::from(path),
            None if place.contains("://") => {
                return Err(SourceError::Unsupported {
                    place: place.to_owned(),
                });
            }
            None => PathBuf::from(place),
        };
        let path = std::fs::canonicalize(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SourceError::Missing {
                place: place.to_owned(),
            },
            _ => SourceError::Unreadable {
                place: place.to_owned(),
                source,
            },
        })?;
        let metadata = path.metadata().map_err(|source| SourceError::Unreadable {
            place: place.to_owned(),
            source,
        })?;
        let root = self.roots.len();
        if metadata.is_dir() {
            self.roots.push(path.clone());
            self.add_folder(path, root);
        } else {
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
            self.roots.push(folder);
            self.totals.objects += 1;
            self.totals.bytes += metadata.len();
            self.files.push((root, path));
        }
        Ok(())
    }

    /// Walks a folder and those below it; depth is bounded by the paths' length.
    fn add_folder(&mut self, path: PathBuf, root: usize) {
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            let entries = match std::fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) => {
                    self.add_unlisted(&path, root, &error.to_string());
                    continue;
                }
            };
            let mut files = 0_u64;
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        self.add_unlisted(&path, root, &error.to_string());
                        continue;
                    }
                };
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                    _ => {
                        files += 1;
                        self.totals.bytes += entry.metadata().map_or(0, |m| m.len());
                    }
                }
            }
            self.totals.objects += files;
            if files > 0 {
                self.folders.push(Folder {
                    day: day_of(&path),
                    path,
                    root,
                });
            }
        }
    }

    fn add_unlisted(&mut self, path: &Path, root: usize, error: &str) {
        self.totals.objects += 1;
        let object = self.unreadable(path, root, error);
        self.unlisted.push(object);
    }

    fn key_of(&self, path: &Path, root: usize) -> String {
        let below = self
            .roots
            .get(root)
            .and_then(|root| path.strip_prefix(root).ok())
            .unwrap_or(path);
        below
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Hands out every object in delivery order; stops early when `take` says so.
    pub fn each(mut self, mut take: impl FnMut(SourceObject) -> bool) {
        for object in std::mem::take(&mut self.unlisted) {
            if !take(object) {
                return;
            }
        }
        let files = std::mem::take(&mut self.files);
        let folders = std::mem::take(&mut self.folders);
        let mut day: Vec<SourceObject> = files
            .into_iter()
            .map(|(root, path)| self.object(&path, root))
            .collect();
        let mut rest = folders.as_slice();
        loop {
            day.sort_by_cached_key(|object| (label_of(&object.path), object.uri.clone()));
            day.dedup_by(|a, b| a.uri == b.uri);
            for object in day.drain(..) {
                if !take(object) {
                    return;
                }
            }
            let Some(first) = rest.first() else { return };
            // Folders without a day have no common order; one after another.
            let together = match first.day {
                Some(_) => rest.iter().take_while(|f| f.day == first.day).count(),
                None => 1,
            };
            let (now, later) = rest.split_at_checked(together).unwrap_or((rest, &[]));
            rest = later;
            for folder in now {
                day.extend(self.files_of(folder));
            }
        }
    }

    fn files_of(&self, folder: &Folder) -> Vec<SourceObject> {
        match std::fs::read_dir(&folder.path) {
            Ok(entries) => {
                let entries = entries.map(|entry| {
                    entry.map(|entry| {
                        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                        (entry.path(), is_folder)
                    })
                });
                self.of_entries(folder, entries)
            }
            // It was readable a moment ago; say so instead of dropping it.
            Err(error) => vec![self.unreadable(&folder.path, folder.root, &error.to_string())],
        }
    }

    /// The files among a folder's entries, each with whether it is a folder. An
    /// entry that cannot be told stands as its folder, with the reason.
    fn of_entries(
        &self,
        folder: &Folder,
        entries: impl Iterator<Item = std::io::Result<(PathBuf, bool)>>,
    ) -> Vec<SourceObject> {
        entries
            .filter_map(|entry| match entry {
                Ok((_, true)) => None,
                Ok((path, false)) => Some(self.object(&path, folder.root)),
                Err(error) => Some(self.unreadable(&folder.path, folder.root, &error.to_string())),
            })
            .collect()
    }

    fn unreadable(&self, path: &Path, root: usize, error: &str) -> SourceObject {
        SourceObject {
            uri: uri_of(path),
            path: path.to_path_buf(),
            key: self.key_of(path, root),
            etag: None,
            version_id: None,
            notified_at: None,
            bytes: 0,
            signature: None,
            unreadable: Some(unreadable(&error)),
        }
    }

    fn object(&self, path: &Path, root: usize) -> SourceObject {
        let (etag, bytes, unreadable) = match path.metadata() {
            Ok(metadata) if metadata.is_file() => (Some(etag_of(&metadata)), metadata.len(), None),
            Ok(_) => (None, 0, Some(unreadable(&"not a regular file"))),
            Err(error) => (None, 0, Some(unreadable(&error))),
        };
        SourceObject {
            uri: uri_of(path),
            path: path.to_path_buf(),
            key: self.key_of(path, root),
            etag,
            version_id: None,
            notified_at: None,
            bytes,
            signature: None,
            unreadable,
        }
    }
}

/// Changes when the file's content is written again.
fn etag_of(metadata: &Metadata) -> String {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    format!("{modified:x}-{:x}", metadata.len())
}

fn uri_of(path: &Path) -> String {
    Url::from_file_path(path).map_or_else(|()| path.display().to_string(), String::from)
}

fn label_of(path: &Path) -> u64 {
    path.file_name()
        .and_then(|name| delivery_label(&name.to_string_lossy()))
        .unwrap_or(0)
}

/// The day of a folder `…/YYYY/MM/DD`.
fn day_of(path: &Path) -> Option<(u16, u8, u8)> {
    let mut parts = path.components().rev().map(|part| part.as_os_str());
    let mut number = |digits: usize| {
        let text = parts.next()?.to_str()?;
        (text.len() == digits).then_some(text)?.parse::<u16>().ok()
    };
    let (day, month, year) = (number(2)?, number(2)?, number(4)?);
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_is_an_object_with_its_reason() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("a.json"), b"{}").unwrap();
        let listing = LocalListing::of(&[tree.path().display().to_string()]).unwrap();
        let folder = &listing.folders[0];
        let entries = [
            Ok((folder.path.join("a.json"), false)),
            Err(std::io::Error::other("lost")),
            Ok((folder.path.join("below"), true)),
        ];
        let objects = listing.of_entries(folder, entries.into_iter());
        let told: Vec<_> = objects
            .iter()
            .map(|object| (object.path.as_path(), object.unreadable.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (folder.path.join("a.json").as_path(), None),
                (folder.path.as_path(), Some("unreadable: lost"))
            ]
        );
        assert!(objects[1].etag.is_none());
    }

    #[test]
    fn a_folder_that_disappears_is_an_object_with_its_reason() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("2026/03/27");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a.json"), b"{}").unwrap();
        let listing = LocalListing::of(&[tree.path().display().to_string()]).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let mut found = Vec::new();
        listing.each(|object| {
            found.push((object.path, object.unreadable.is_some()));
            true
        });
        assert_eq!(found, [(folder.canonicalize().unwrap_or(folder), true)]);
    }
}
