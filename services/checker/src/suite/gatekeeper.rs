//! Runs suites: each case reviews an object by one template and constraint, and holds the violations to assertions.

use std::path::{Path, PathBuf};

use rampart_posture::policy::{Decision, Inventory};
use serde_json::Value;

use super::format::{Case, Suite, Test};
use super::{Line, Outcome};
use crate::EngineChoice;
use crate::input::bytes;
use crate::object::{Texts, contents};
use crate::policies::{Engined, engines_of, review};

/// Runs every test of a suite.
pub(super) fn run(file: &Path, suite: &Suite, choice: EngineChoice) -> Vec<Line> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut lines = Vec::new();
    for test in &suite.tests {
        let name = |case: &str| format!("{}: {} / {case}", file.display(), test.name);
        if suite.skip || test.skip {
            let cases = test.cases.iter().map(|case| case.name.as_str());
            lines.extend(cases.map(|case| Line { name: name(case), outcome: Outcome::Skipped }));
            continue;
        }
        let loaded = load(folder, test, choice);
        if test.invalid {
            let outcome = match loaded {
                Err(_) => Outcome::Passed,
                Ok(_) => Outcome::Failed("the constraint was to be refused and is not".to_owned()),
            };
            lines.push(Line { name: name("invalid constraint"), outcome });
            continue;
        }
        let loaded = match test.expansion.as_str() {
            "" => loaded,
            file => Err(format!("`expansion: {file}` is not supported: no objects are made of others")),
        };
        if let (Err(error), true) = (&loaded, test.cases.is_empty()) {
            lines.push(Line { name: name("load"), outcome: Outcome::Failed(error.clone()) });
        }
        for case in &test.cases {
            let outcome = match (&loaded, case.skip) {
                (_, true) => Outcome::Skipped,
                (Err(error), _) => Outcome::Failed(error.clone()),
                // The template has nothing for the engine that was asked for.
                (Ok(policies), _) if policies.is_empty() => Outcome::Skipped,
                (Ok(policies), _) => match try_case(folder, case, policies) {
                    Ok(()) => Outcome::Passed,
                    Err(reason) => Outcome::Failed(reason),
                },
            };
            lines.push(Line { name: name(&case.name), outcome });
        }
    }
    lines
}

fn load(folder: &Path, test: &Test, choice: EngineChoice) -> Result<Vec<Engined>, String> {
    if test.template.is_empty() || test.constraint.is_empty() {
        return Err("the test names no template or no constraint".to_owned());
    }
    let template = single(&folder.join(&test.template))?;
    let constraint = single(&folder.join(&test.constraint))?;
    engines_of(&template, &constraint, choice).map_err(|error| error.to_string())
}

fn objects(path: &Path) -> Result<Vec<Value>, String> {
    let contents = contents(&path.display().to_string(), bytes(path), Texts::Dropped);
    if let Some(problem) = contents.problems.first() {
        return Err(problem.to_string());
    }
    Ok(contents.objects.into_iter().map(|object| object.value).collect())
}

fn single(path: &Path) -> Result<Value, String> {
    let mut objects = objects(path)?;
    match (objects.pop(), objects.len()) {
        (Some(object), 0) => Ok(object),
        (None, _) => Err(format!("{} holds no object", path.display())),
        (Some(_), more) => Err(format!("{} holds {} objects, not one", path.display(), more + 1)),
    }
}

fn try_case(folder: &Path, case: &Case, policies: &[Engined]) -> Result<(), String> {
    if case.object.is_empty() {
        return Err("the case names no object".to_owned());
    }
    if case.assertions.is_empty() {
        return Err("the case asserts nothing".to_owned());
    }
    let mut others = Vec::new();
    let files: Vec<PathBuf> = case.inventory.iter().map(|file| folder.join(file)).collect();
    for file in &files {
        others.extend(objects(file)?);
    }
    let inventory = Inventory::new(others);
    let object = single(&folder.join(&case.object))?;
    for Engined { engine, policy, enforced } in policies {
        let messages = match review(policy.as_ref(), &object, &inventory).map_err(|error| error.to_string())? {
            Decision::NotMatched | Decision::Passed => Vec::new(),
            Decision::Violated(_) if !enforced => Vec::new(),
            Decision::Violated(violations) => violations.into_iter().map(|violation| violation.message).collect(),
            Decision::Unknown(reason) => return Err(format!("{engine}: could not be decided: {reason}")),
        };
        for assertion in &case.assertions {
            assertion.check(&messages).map_err(|reason| format!("{engine}: {reason}"))?;
        }
    }
    Ok(())
}
