use serde_json::Value;

use super::subject::Subject;
use super::{error, error_at};
use crate::policy::rego::{self, Failure, Mode, Program, Sources};
use crate::policy::validation::{Dialect, Place, Validation};
use crate::policy::{Decision, LoadError, Needs, Prepared, Violation};

/// The engines that a template can have code for, the one that Gatekeeper prefers last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Engine {
    /// The one that Gatekeeper would use: CEL where a template has both.
    #[default]
    Preferred,
    /// Rego.
    Rego,
    /// CEL, which templates call `K8sNativeValidation`.
    Cel,
}

impl Engine {
    /// The engine of this name in a template.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "Rego" => Some(Self::Rego),
            "K8sNativeValidation" => Some(Self::Cel),
            _ => None,
        }
    }
}

/// A template's code, compiled for one engine.
#[derive(Debug)]
pub(super) enum Judge {
    Rego(Box<Program>),
    Cel(Validation),
}

/// Parameters of a constraint, in every form that an engine takes.
#[derive(Debug, Clone)]
pub(super) struct Parameters {
    pub(super) json: Value,
    pub(super) rego: regorus::Value,
}

impl Judge {
    /// Compiles `source` for `engine`.
    pub(super) fn compile(document: &str, field: &str, engine: Engine, source: &Value) -> Result<Self, LoadError> {
        match engine {
            Engine::Rego => Self::rego(document, field, source),
            Engine::Cel | Engine::Preferred => {
                Validation::compile(source, Dialect::Gatekeeper, Place { document, field }).map(Self::Cel)
            }
        }
    }

    /// Compiles Rego from `rego` and `libs`.
    pub(super) fn rego(document: &str, field: &str, source: &Value) -> Result<Self, LoadError> {
        let main = source["rego"].as_str().filter(|main| !main.is_empty());
        let main = main.ok_or_else(|| error(document, &format!("{field}.rego"), "is missing".to_owned()))?;
        let libraries = match &source["libs"] {
            Value::Null => Vec::new(),
            Value::Array(items) => {
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(|| {
                    error(document, &format!("{field}.libs"), "holds something other than strings".to_owned())
                })?
            }
            _ => return Err(error(document, &format!("{field}.libs"), "is not a list".to_owned())),
        };
        let declared_v1 = match source["version"].as_str().unwrap_or_default() {
            "" | "v0" => false,
            "v1" => true,
            other => {
                return Err(error(document, &format!("{field}.version"), format!("`{other}` is neither v0 nor v1")));
            }
        };
        let sources = Sources { main, libraries: &libraries, declared_v1 };
        Program::compile(&sources).map(|program| Self::Rego(Box::new(program))).map_err(|problem| {
            let part = match problem.module {
                0 => format!("{field}.rego"),
                library => format!("{field}.libs[{}]", library - 1),
            };
            error_at(document, &part, problem.position, problem.message)
        })
    }

    /// What running it takes: Rego counts steps and time, and no memory.
    pub(super) fn needs(&self) -> Needs {
        match self {
            Self::Rego(program) => Needs { inventory: program.uses_inventory, isolation: true },
            Self::Cel(_) => Needs::default(),
        }
    }

    /// Why the fast way is not taken.
    pub(super) fn slow(&self) -> Option<&str> {
        match self {
            Self::Rego(program) => program.slow.as_deref(),
            Self::Cel(_) => None,
        }
    }

    /// Judges what matched; `prepared` is the review where it comes without a request.
    pub(super) fn decide(
        &self,
        subject: &Subject<'_>,
        prepared: Option<&Prepared<'_>>,
        parameters: &Parameters,
        mode: Mode,
    ) -> Decision {
        match self {
            Self::Rego(program) => by_rego(program, subject, prepared, parameters, mode),
            Self::Cel(validation) => match (subject.request, prepared) {
                (Some(request), _) => validation.evaluate_request(subject.review, request, &parameters.json),
                (None, Some(prepared)) => validation.evaluate_prepared(prepared, &parameters.json),
                (None, None) => validation.evaluate(subject.review, &parameters.json),
            },
        }
    }
}

fn by_rego(
    program: &Program,
    subject: &Subject<'_>,
    prepared: Option<&Prepared<'_>>,
    parameters: &Parameters,
    mode: Mode,
) -> Decision {
    let review = match prepared {
        Some(prepared) => prepared.rego(|| subject.as_rego()),
        None => subject.as_rego(),
    };
    let Ok(review) = review else {
        return Decision::Unknown("the object is nested too deep".to_owned());
    };
    let mut input = rego::object([("review", review), ("parameters", parameters.rego.clone())]);
    if program.uses_inventory
        && let Ok(fields) = input.as_object_mut()
    {
        fields.insert("__inventory".into(), subject.review.inventory.rego());
    }
    match program.evaluate(&input, mode) {
        Ok(found) if found.is_empty() => Decision::Passed,
        Ok(found) => {
            Decision::Violated(found.into_iter().map(|(message, details)| Violation { message, details }).collect())
        }
        Err(Failure::Conflict(message)) => Decision::Violated(vec![Violation { message, details: None }]),
        Err(Failure::Unknown(why)) => Decision::Unknown(why),
    }
}
