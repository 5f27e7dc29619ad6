//! What the command line names, read and taken apart.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::document::MAX_BYTES;
use crate::object::{Contents, Problem, Texts, contents};
use crate::subject::{Reading, Subject};
use crate::{CheckArgs, Output, Terminal, find, parallel};

/// The name of standard input on a command line.
const STDIN: &str = "-";
/// Reads what the command line names.
pub(crate) fn input(
    args: &CheckArgs,
    reading: &Reading,
    terminal: &mut Terminal<'_>,
    errors: &mut Vec<Problem>,
) -> Vec<(Contents, Vec<Subject>)> {
    let (stdin, paths): (Vec<_>, Vec<_>) = args.paths.iter().cloned().partition(|path| path == Path::new(STDIN));
    let found = find::files(&paths);
    errors.extend(found.problems.into_iter().map(problem));
    let texts = if args.output == Output::Sarif { Texts::Kept } else { Texts::Dropped };
    let read = |file: &str, bytes: Result<Vec<u8>, String>| {
        let mut contents = contents(file, bytes, texts);
        let objects = std::mem::take(&mut contents.objects).into_iter();
        let subjects = objects.map(|object| reading.subject(object)).collect();
        (contents, subjects)
    };
    let mut files = parallel::map(found.files, |path| read(&path.display().to_string(), bytes(&path)));
    if !stdin.is_empty() {
        let mut bytes = Vec::new();
        let taken = terminal.stdin.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        let bytes = taken.map_err(|error| format!("could not be read: {error}")).and_then(|_| capped(bytes));
        files.push(read(STDIN, bytes));
    }
    files
}

pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("could not be read: {error}");
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    capped(bytes)
}

fn capped(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// A path that could not be used.
pub(crate) fn problem((path, message): (PathBuf, String)) -> Problem {
    Problem { file: path.display().to_string().into(), line: None, column: None, message }
}
