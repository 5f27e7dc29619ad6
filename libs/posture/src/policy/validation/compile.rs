use serde_json::Value;

use super::names::PolicyNames;
use super::{Annotation, Condition, Dialect, Failure, Place, Rule, Validation};
use crate::cel::{self, Program, SyntaxError};
use crate::policy::LoadError;

/// Most variables of one policy; what they cost is bounded by the steps.
const MOST_VARIABLES: usize = 512;
/// Most validations, conditions or annotations.
const MOST: usize = 512;

pub(super) fn compile(source: &Value, dialect: Dialect, place: Place<'_>) -> Result<Validation, LoadError> {
    let compiler = Compiler { source, place };
    let failure = match compiler.text("failurePolicy", source)? {
        None | Some("Fail") => Failure::Violates,
        Some("Ignore") => Failure::Ignored,
        Some(_) => return Err(compiler.refuse("failurePolicy", "is neither `Fail` nor `Ignore`")),
    };
    let params = dialect == Dialect::Gatekeeper || source.get("paramKind").is_some_and(|kind| !kind.is_null());
    let gatekeeper = dialect == Dialect::Gatekeeper;
    let mut names = PolicyNames { dialect, params, variables: gatekeeper, authorizer: true, lets: Vec::new() };
    let conditions = compiler.conditions(&names)?;
    names.variables = true;
    let programs = compiler.variables(&mut names)?;
    let (rules, annotations) = (compiler.rules(&mut names)?, compiler.annotations(&names)?);
    if rules.is_empty() && annotations.is_empty() {
        return Err(compiler.refuse("validations", "states nothing"));
    }
    let variables = names.lets.into_iter().map(|(name, _)| name).collect();
    Ok(Validation { dialect, failure, variables, programs, conditions, rules, annotations })
}

struct Compiler<'s> {
    source: &'s Value,
    place: Place<'s>,
}

type Compiled<T> = Result<T, LoadError>;

impl<'s> Compiler<'s> {
    fn refuse(&self, field: &str, message: impl Into<String>) -> LoadError {
        let (document, field) = (self.place.document.to_owned(), format!("{}.{field}", self.place.field));
        LoadError { document, field, position: None, message: message.into() }
    }

    fn refuse_at(&self, field: &str, error: SyntaxError) -> LoadError {
        LoadError { position: Some((error.line, error.column)), ..self.refuse(field, error.message) }
    }

    /// A text of `owner`, which the last part of `field` names; `None` when it is absent.
    fn text(&self, field: &str, owner: &'s Value) -> Compiled<Option<&'s str>> {
        let name = field.rsplit('.').next().unwrap_or(field);
        match owner.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(field, "is no text")),
        }
    }

    /// A text that must be there and say something.
    fn required(&self, field: &str, owner: &'s Value) -> Compiled<&'s str> {
        let text = self.text(field, owner)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| self.refuse(field, "is required"))
    }

    fn list(&self, field: &str, most: usize) -> Compiled<&'s [Value]> {
        match self.source.get(field) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(items)) if items.len() <= most => Ok(items),
            Some(Value::Array(_)) => Err(self.refuse(field, format!("has more than {most} entries"))),
            Some(_) => Err(self.refuse(field, "is no list")),
        }
    }

    fn expression(&self, field: &str, owner: &'s Value, names: &PolicyNames) -> Compiled<Program> {
        cel::compile(self.required(field, owner)?, names).map_err(|error| self.refuse_at(field, error))
    }

    /// An expression that holds or does not.
    fn condition(&self, field: &str, owner: &'s Value, names: &PolicyNames) -> Compiled<Program> {
        let program = self.expression(field, owner, names)?;
        if program.may_hold() { Ok(program) } else { Err(self.refuse(field, "gives no bool")) }
    }

    fn conditions(&self, names: &PolicyNames) -> Compiled<Vec<Condition>> {
        let mut conditions: Vec<Condition> = Vec::new();
        for (index, item) in self.list("matchConditions", MOST)?.iter().enumerate() {
            let field = format!("matchConditions[{index}]");
            let name = self.required(&format!("{field}.name"), item)?.to_owned();
            if conditions.iter().any(|known| known.name == name) {
                return Err(self.refuse(&format!("{field}.name"), format!("`{name}` is given twice")));
            }
            let expression = self.condition(&format!("{field}.expression"), item, names)?;
            conditions.push(Condition { name, expression });
        }
        Ok(conditions)
    }

    fn variables(&self, names: &mut PolicyNames) -> Compiled<Vec<Program>> {
        let mut programs = Vec::new();
        for (index, item) in self.list("variables", MOST_VARIABLES)?.iter().enumerate() {
            let field = format!("variables[{index}]");
            let name = self.required(&format!("{field}.name"), item)?;
            if !is_identifier(name) {
                return Err(self.refuse(&format!("{field}.name"), format!("`{name}` is no identifier")));
            }
            if names.lets.iter().any(|(known, _)| known == name) {
                return Err(self.refuse(&format!("{field}.name"), format!("`{name}` is declared twice")));
            }
            let program = self.expression(&format!("{field}.expression"), item, names)?;
            names.lets.push((name.to_owned(), program.reads));
            programs.push(program);
        }
        Ok(programs)
    }

    fn rules(&self, names: &mut PolicyNames) -> Compiled<Vec<Rule>> {
        let mut rules = Vec::new();
        for (index, item) in self.list("validations", MOST)?.iter().enumerate() {
            let field = format!("validations[{index}]");
            let expression = self.condition(&format!("{field}.expression"), item, names)?;
            let own = |name: &str| format!("{field}.{name}");
            let message = self.text(&own("message"), item)?.map(str::trim).filter(|text| !text.is_empty());
            // Messages are made after the decision, where nobody is asked any more.
            names.authorizer = false;
            let message_expression = match self.text(&own("messageExpression"), item)?.map(str::trim) {
                None | Some("") => None,
                Some(_) => Some(self.expression(&own("messageExpression"), item, names)?),
            };
            names.authorizer = true;
            let (message, reason) = (message.map(str::to_owned), self.text(&own("reason"), item)?.map(str::to_owned));
            rules.push(Rule { expression, message, message_expression, reason });
        }
        Ok(rules)
    }

    fn annotations(&self, names: &PolicyNames) -> Compiled<Vec<Annotation>> {
        let mut annotations: Vec<Annotation> = Vec::new();
        for (index, item) in self.list("auditAnnotations", MOST)?.iter().enumerate() {
            let field = format!("auditAnnotations[{index}]");
            let key = self.required(&format!("{field}.key"), item)?.to_owned();
            if !is_qualified_name(&key) {
                return Err(self.refuse(&format!("{field}.key"), format!("`{key}` is no name of an annotation")));
            }
            if annotations.iter().any(|known| known.key == key) {
                return Err(self.refuse(&format!("{field}.key"), format!("`{key}` is given twice")));
            }
            let value = self.expression(&format!("{field}.valueExpression"), item, names)?;
            annotations.push(Annotation { key, value });
        }
        Ok(annotations)
    }
}

/// Whether an annotation may have the key: letters, digits, `-`, `_` and `.`, letters or digits at the ends.
fn is_qualified_name(key: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let ends = [key.chars().next(), key.chars().next_back()];
    key.len() <= 63 && key.chars().all(inner) && ends.iter().flatten().all(char::is_ascii_alphanumeric)
}

fn is_identifier(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(rest)
}
