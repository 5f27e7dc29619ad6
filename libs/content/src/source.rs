use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use include_dir::{Dir, include_dir};

use crate::{ContentError, Problem};

/// Content files are small; a larger one is a mistake or an attack.
const MAX_FILE_BYTES: u64 = 256 * 1024;

static CONTROLS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/controls");
static FRAMEWORKS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/frameworks");
static INITIATIVES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/initiatives");
static GROUPS: &str = include_str!("../groups.yaml");

/// Content files by path below the content folder.
pub(crate) type Files = BTreeMap<String, String>;

pub(crate) fn embedded() -> Files {
    let mut files = Files::from([("groups.yaml".to_owned(), GROUPS.to_owned())]);
    collect("controls", &CONTROLS, &mut files);
    collect("frameworks", &FRAMEWORKS, &mut files);
    collect("initiatives", &INITIATIVES, &mut files);
    files
}

fn collect(folder: &str, dir: &Dir<'_>, files: &mut Files) {
    for file in dir.files() {
        if let (Some(path), Some(text)) = (file.path().to_str(), file.contents_utf8()) {
            let path = format!("{folder}/{}", path.replace('\\', "/"));
            if is_content(&path) {
                files.insert(path, text.to_owned());
            }
        }
    }
    for sub in dir.dirs() {
        collect(folder, sub, files);
    }
}

fn is_content(path: &str) -> bool {
    let yaml = Path::new(path).extension().is_some_and(|ext| ext == "yaml");
    let known = ["controls/", "frameworks/", "initiatives/"].iter().any(|folder| path.starts_with(folder));
    yaml && (known || path == "groups.yaml")
}

/// Reads every content file below `root` into `files`, replacing files of the same path.
pub(crate) fn overlay(root: &Path, files: &mut Files) -> Result<(), ContentError> {
    read_dir(root, root, files)
}

fn read_dir(root: &Path, dir: &Path, files: &mut Files) -> Result<(), ContentError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| ContentError::Read { path, source }
    };
    for entry in fs::read_dir(dir).map_err(failed(dir))? {
        let path = entry.map_err(failed(dir))?.path();
        let kind = fs::symlink_metadata(&path).map_err(failed(&path))?;
        if kind.is_dir() {
            read_dir(root, &path, files)?;
            continue;
        }
        let Some(relative) = path.strip_prefix(root).ok().and_then(Path::to_str).map(|p| p.replace('\\', "/")) else {
            continue;
        };
        if !is_content(&relative) {
            continue;
        }
        // Follows links: a mounted config map is made of them.
        let size = fs::metadata(&path).map_err(failed(&path))?.len();
        if size > MAX_FILE_BYTES {
            let message = format!("{size} bytes, more than the {MAX_FILE_BYTES} that a content file may have");
            return Err(ContentError::Invalid(vec![Problem { file: relative, field: String::new(), message }]));
        }
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        files.insert(relative, text);
    }
    Ok(())
}
