//! Runs suites: each case reviews an object by one template and constraint, and holds the violations to assertions.

use std::path::{Path, PathBuf};

use rampart_posture::policy::{Decision, Inventory, Operation, Review};
use serde_json::Value;

use super::format::{Case, Suite, Test};
use super::{Line, Outcome};
use crate::EngineChoice;
use crate::check::bytes;
use crate::object::{Texts, contents};
use crate::policies::{Engined, engines_of};

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
        if let (Err(error), true) = (&loaded, test.cases.is_empty()) {
            lines.push(Line { name: name("load"), outcome: Outcome::Failed(error.clone()) });
        }
        for case in &test.cases {
            let outcome = match (&loaded, case.skip) {
                (_, true) => Outcome::Skipped,
                (Err(error), _) => Outcome::Failed(error.clone()),
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
    let engines = engines_of(&template, &constraint, choice).map_err(|error| error.to_string())?;
    if engines.is_empty() {
        return Err("the template has nothing for the engine that was asked for".to_owned());
    }
    Ok(engines)
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
    let request = Request::of(&object)?;
    for Engined { engine, policy } in policies {
        let messages = match policy.review(&request.review(&inventory)) {
            Decision::NotMatched | Decision::Passed => Vec::new(),
            Decision::Violated(violations) => violations.into_iter().map(|violation| violation.message).collect(),
            Decision::Unknown(reason) => return Err(format!("{engine}: could not be decided: {reason}")),
        };
        for assertion in &case.assertions {
            assertion.check(&messages).map_err(|reason| format!("{engine}: {reason}"))?;
        }
    }
    Ok(())
}

/// What is reviewed: an object as it stands, or an admission request.
struct Request<'o> {
    object: &'o Value,
    old_object: Option<&'o Value>,
    operation: Option<Operation>,
    user: Option<&'o Value>,
}

impl<'o> Request<'o> {
    fn of(object: &'o Value) -> Result<Self, String> {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        if text("kind") != "AdmissionReview" || !text("apiVersion").starts_with("admission.k8s.io/") {
            return Ok(Self { object, old_object: None, operation: None, user: None });
        }
        let request = object.get("request").ok_or("the admission review holds no request")?;
        let part = |field: &str| request.get(field).filter(|value| value.is_object());
        let operation = match request.get("operation").and_then(Value::as_str) {
            None | Some("") => None,
            Some("CREATE") => Some(Operation::Create),
            Some("UPDATE") => Some(Operation::Update),
            Some("DELETE") => Some(Operation::Delete),
            Some("CONNECT") => Some(Operation::Connect),
            Some(other) => return Err(format!("no operation `{other}`")),
        };
        let old_object = part("oldObject");
        let reviewed =
            if operation == Some(Operation::Delete) { old_object.or(part("object")) } else { part("object") };
        let object = reviewed.or(old_object).ok_or("the admission request holds neither object nor oldObject")?;
        Ok(Self { object, old_object, operation, user: part("userInfo") })
    }

    fn review<'r>(&self, inventory: &'r Inventory) -> Review<'r>
    where
        'o: 'r,
    {
        let namespace = self.object.pointer("/metadata/namespace").and_then(Value::as_str);
        let is = |object: &&Value| {
            object.get("kind").is_some_and(|kind| kind == "Namespace")
                && object.pointer("/metadata/name").and_then(Value::as_str) == namespace
        };
        Review {
            object: self.object,
            old_object: self.old_object,
            operation: self.operation,
            namespace: namespace.and_then(|_| inventory.objects().iter().find(is)),
            user: self.user,
            inventory,
        }
    }
}
