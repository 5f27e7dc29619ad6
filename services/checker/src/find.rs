//! Which files are meant by the paths on a command line.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files read in one run.
const MAX_FILES: usize = 100_000;
/// Nesting of directories.
const MAX_DEPTH: usize = 64;

/// Files in the order of the paths given, those of a directory by name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each once.
    pub(crate) files: Vec<PathBuf>,
    /// Paths that could not be looked at, with what went wrong.
    pub(crate) problems: Vec<(PathBuf, String)>,
}

/// Finds the manifests that `paths` mean: files as they are, and below directories what ends in `.yaml`, `.yml` or
/// `.json`. What begins with a dot is left out there. Links are followed, each directory is entered once.
pub(crate) fn files(paths: &[PathBuf]) -> Found {
    let mut walk = Walk::default();
    for path in paths {
        if path.is_dir() {
            let before = walk.found.files.len() + walk.found.problems.len();
            walk.entered.clear();
            walk.directory(path, 0);
            if walk.found.files.len() + walk.found.problems.len() == before {
                walk.problem(path, "holds no .yaml, .yml or .json file".to_owned());
            }
        } else {
            walk.file(path);
        }
    }
    walk.found
}

#[derive(Default)]
struct Walk {
    found: Found,
    seen: HashSet<PathBuf>,
    entered: HashSet<PathBuf>,
}

impl Walk {
    fn problem(&mut self, path: &Path, message: String) {
        self.found.problems.push((path.to_owned(), message));
    }

    fn file(&mut self, path: &Path) {
        if self.seen.insert(path.to_owned()) {
            self.found.files.push(path.to_owned());
        }
    }

    fn directory(&mut self, directory: &Path, depth: usize) {
        let real = match fs::canonicalize(directory) {
            Ok(real) => real,
            Err(error) => return self.problem(directory, format!("could not be read: {error}")),
        };
        if !self.entered.insert(real) {
            return;
        }
        if depth > MAX_DEPTH {
            return self.problem(directory, format!("lies more than {MAX_DEPTH} directories deep"));
        }
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.problem(directory, format!("could not be read: {error}")),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.directory(&path, depth + 1);
            } else if is_manifest(&path) {
                if self.found.files.len() >= MAX_FILES {
                    return self.problem(directory, format!("more than {MAX_FILES} files are not read in one run"));
                }
                self.file(&path);
            }
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}
