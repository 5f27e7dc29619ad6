use serde_json::{Map, Value};

use super::request::admission;
use super::{Dialect, Failure, Rule, Subject, Validation};
use crate::cel::{ErrorKind, EvalError, Program, Run, Val};
use crate::policy::{Decision, Violation};

/// Steps that one policy may take on one object: some milliseconds, more than Kubernetes would give it.
const STEPS: u32 = 2_000_000;
/// Longest message in bytes that an expression may make.
const LONGEST_MESSAGE: usize = 5 * 1024;

pub(super) fn evaluate(validation: &Validation, subject: &Subject<'_>, fields: &Value, params: &Value) -> Decision {
    let run = Run::new(admission(validation, subject, fields, params), STEPS);
    let mut judge = Judge { validation, run: &run, violations: Vec::new(), unknown: None };
    match judge.conditions() {
        Some(false) => return Decision::NotMatched,
        Some(true) => {
            validation.rules.iter().for_each(|rule| judge.rule(rule));
            judge.annotations();
        }
        None => {}
    }
    match judge {
        Judge { violations, .. } if !violations.is_empty() => Decision::Violated(violations),
        Judge { unknown: Some(reason), .. } => Decision::Unknown(reason),
        Judge { .. } => Decision::Passed,
    }
}

struct Judge<'j, 'a> {
    validation: &'a Validation,
    run: &'j Run<'a>,
    violations: Vec<Violation>,
    unknown: Option<String>,
}

impl<'a> Judge<'_, 'a> {
    /// Whether every condition holds; `None` when that could not be told. One that does not hold outweighs others that
    /// failed.
    fn conditions(&mut self) -> Option<bool> {
        let mut failed = Vec::new();
        for condition in &self.validation.conditions {
            match self.run.holds(&condition.expression) {
                Ok(true) => {}
                Ok(false) => return Some(false),
                Err(error) => failed.push((error, condition)),
            }
        }
        if failed.is_empty() {
            return Some(true);
        }
        for (error, condition) in failed {
            let reason = format!("condition `{}`: {}", condition.name, self.render(error, &condition.expression));
            self.failed(error, reason);
        }
        None
    }

    fn rule(&mut self, rule: &'a Rule) {
        match self.run.holds(&rule.expression) {
            Ok(true) => {}
            Ok(false) => {
                let details = self.details(rule.reason.as_deref());
                self.violations.push(Violation { message: self.message(rule), details });
            }
            Err(error) => self.failed(error, self.render(error, &rule.expression)),
        }
    }

    /// An evaluation that gave nothing: a violation, unless failures are ignored or nobody could have decided.
    fn failed(&mut self, error: EvalError, reason: String) {
        let undecided = matches!(error.kind, ErrorKind::Missing(_) | ErrorKind::Budget);
        if undecided || self.validation.failure == Failure::Ignored {
            self.unknown.get_or_insert(reason);
        } else {
            let details = self.details(None);
            self.violations.push(Violation { message: reason, details });
        }
    }

    /// What the expression for it says, or else the fixed text, or else the expression that does not hold.
    fn message(&self, rule: &'a Rule) -> String {
        let made = rule.message_expression.as_ref().and_then(|program| self.run.value(program).ok());
        let made = made.as_ref().and_then(Val::as_str).map(str::trim);
        let usable = |text: &&str| !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
        match made.filter(usable).or(rule.message.as_deref()) {
            Some(message) => message.to_owned(),
            None => format!("failed expression: {}", rule.expression.source.trim()),
        }
    }

    fn details(&self, reason: Option<&str>) -> Option<Value> {
        let reason = match self.validation.dialect {
            Dialect::Kubernetes => reason.unwrap_or("Invalid"),
            Dialect::Gatekeeper => reason?,
        };
        Some(Value::Object(Map::from_iter([("reason".to_owned(), reason.into())])))
    }

    /// What is to be noted beside a decision, in the details of every violation.
    fn annotations(&mut self) {
        let mut noted = Map::new();
        for annotation in &self.validation.annotations {
            match self.run.value(&annotation.value) {
                Ok(Val::Null) => {}
                Ok(Val::Str(text)) => {
                    let text = text.as_str().trim();
                    if !text.is_empty() {
                        noted.insert(annotation.key.clone(), text.into());
                    }
                }
                Ok(_) if self.validation.failure == Failure::Violates => {
                    let message = format!("annotation `{}`: is neither a text nor null", annotation.key);
                    let details = self.details(None);
                    self.violations.push(Violation { message, details });
                }
                // What is noted does not decide.
                Ok(_) | Err(EvalError { kind: ErrorKind::Missing(_), .. }) => {}
                Err(_) if self.validation.failure == Failure::Ignored => {}
                Err(error) => {
                    let reason = self.render(error, &annotation.value);
                    self.failed(error, format!("annotation `{}`: {reason}", annotation.key));
                }
            }
        }
        if noted.is_empty() {
            return;
        }
        for violation in &mut self.violations {
            if let Some(Value::Object(details)) = &mut violation.details {
                details.insert("auditAnnotations".to_owned(), Value::Object(noted.clone()));
            }
        }
    }

    fn render(&self, error: EvalError, program: &Program) -> String {
        let expression = program.source.trim();
        match error.in_let.checked_sub(1).map(usize::from) {
            Some(index) => {
                let (name, source) = (&self.validation.variables[index], &self.validation.programs[index].source);
                format!("expression '{expression}' resulted in error: variables.{name}: {}", error.render(source))
            }
            None => format!("expression '{expression}' resulted in error: {}", error.render(&program.source)),
        }
    }
}
