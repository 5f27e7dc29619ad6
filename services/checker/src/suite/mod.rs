//! A run of `rampart policy test`.

mod controls;
mod format;
mod gatekeeper;

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rampart_content::Catalogue;
use serde_json::Value;

use crate::input::bytes;
use crate::{Exit, PolicyTestArgs, Terminal, document, find, parallel};

/// The groups of the score, which controls name.
const GROUPS: &str = "groups.yaml";

/// One case and what became of it.
struct Line {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped,
}

/// Cases of one file.
#[derive(Default)]
struct Ran {
    lines: Vec<Line>,
    problems: Vec<String>,
}

/// Runs suites and the examples of controls, a line per case.
pub fn policy_test(args: &PolicyTestArgs, terminal: &mut Terminal<'_>) -> Exit {
    let found = find::files(&args.paths);
    let mut problems: Vec<String> =
        found.problems.iter().map(|(path, message)| format!("{} {message}", path.display())).collect();
    let groups = match groups(&found.files) {
        Ok(groups) => groups,
        Err(error) => {
            terminal.say(&error);
            return Exit::Unusable;
        }
    };
    let ran = parallel::map(found.files, |file| self::file(&file, args, &groups));
    problems.extend(ran.iter().flat_map(|ran| ran.problems.iter().cloned()));
    let lines: Vec<Line> = ran.into_iter().flat_map(|ran| ran.lines).collect();
    if lines.is_empty() && problems.is_empty() {
        problems.push("found neither a suite nor a control with examples".to_owned());
    }
    for problem in &problems {
        terminal.say(problem);
    }
    let failed = lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_))).count();
    match write(&lines, failed, terminal) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal.say(&format!("the outcome could not be written: {error}"));
            return Exit::Unusable;
        }
        _ => {}
    }
    match (problems.is_empty(), failed) {
        (false, _) => Exit::Unusable,
        (true, 0) => Exit::Passed,
        (true, _) => Exit::Failed,
    }
}

fn write(lines: &[Line], failed: usize, terminal: &mut Terminal<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(&mut *terminal.stdout);
    let mut skipped = 0;
    for Line { name, outcome } in lines {
        match outcome {
            Outcome::Passed => writeln!(out, "ok    {name}")?,
            Outcome::Failed(reason) => writeln!(out, "FAIL  {name}: {}", reason.replace('\n', " "))?,
            Outcome::Skipped => {
                skipped += 1;
                writeln!(out, "skip  {name}")?;
            }
        }
    }
    if skipped > 0 {
        writeln!(out, "{skipped} skipped")?;
    }
    writeln!(out, "{} passed, {failed} failed", lines.len() - failed - skipped)?;
    out.flush()
}

/// The groups beside the controls, or the built-in ones.
fn groups(files: &[PathBuf]) -> Result<String, String> {
    if let Some(file) = files.iter().find(|file| file.file_name().is_some_and(|name| name == GROUPS)) {
        let text = bytes(file).and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        return text.map_err(|error| format!("{}: {error}", file.display()));
    }
    let catalogue = Catalogue::embedded().map_err(|error| error.to_string())?;
    // JSON is YAML.
    serde_json::to_string(catalogue.groups()).map_err(|error| error.to_string())
}

fn file(file: &Path, args: &PolicyTestArgs, groups: &str) -> Ran {
    let mut ran = Ran::default();
    let problem = |message: &str| format!("{}: {message}", file.display());
    let bytes = match bytes(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            ran.problems.push(problem(&error));
            return ran;
        }
    };
    // Other files lie beside suites; only of these must every one be readable.
    let suspect = bytes.windows(SUITE_GROUP.len()).any(|window| window == SUITE_GROUP.as_bytes());
    let documents = match document::read(bytes) {
        Ok(documents) => documents,
        Err(trouble) => {
            ran.problems.extend(suspect.then(|| problem(&trouble.message)));
            return ran;
        }
    };
    for document in documents {
        match &document.content {
            Ok(content) if is_suite(content) => match serde_json::from_value::<format::Suite>(content.clone()) {
                Ok(suite) => ran.lines.extend(gatekeeper::run(file, &suite, args.engine)),
                Err(error) => ran.problems.push(problem(&format!("is no suite: {error}"))),
            },
            Ok(content) if controls::is_control(content) => {
                match controls::run(file, &document.text, content, groups) {
                    Ok(lines) => ran.lines.extend(lines),
                    Err(error) => ran.problems.push(problem(&error)),
                }
            }
            Ok(_) => {}
            Err(trouble) => ran.problems.extend(suspect.then(|| problem(&trouble.message))),
        }
    }
    ran
}

const SUITE_GROUP: &str = "test.gatekeeper.sh";

fn is_suite(document: &Value) -> bool {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    group == SUITE_GROUP && text("kind") == "Suite"
}
