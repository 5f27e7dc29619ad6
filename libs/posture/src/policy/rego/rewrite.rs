//! Makes sources readable for the engine that it would read otherwise than Gatekeeper's does. The lines stay.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::edits::Edits;
use super::expression::{self, Expression, Shape};
use super::lexer::{Class, Tokens};
use super::module::{Module, Output};

/// The name under which the inventory is handed over: as a part of the input it needs no preparation.
pub(super) const INVENTORY: &str = "input.__inventory";

/// The changes that every engine needs. With `package`, the module gets that name.
pub(super) fn portable(tokens: &Tokens<'_>, module: &Module, package: Option<&str>) -> Edits {
    let mut edits = Edits::default();
    if let (Some(package), false) = (package, module.package.is_empty()) {
        edits.replace(tokens.source, tokens.bytes(module.package.clone()), package);
    }
    inventory(tokens, &mut edits);
    older_names(tokens, module, &mut edits);
    chained_bodies(tokens, module, &mut edits);
    statements(tokens, &mut edits);
    negations(tokens, module, &mut edits);
    edits
}

/// The changes that the fast engine needs as well: there an assignment of something undefined does not fail.
pub(super) fn guards(tokens: &Tokens<'_>, edits: &mut Edits) {
    let mut open: Vec<usize> = Vec::new();
    for index in 0..tokens.len() {
        match tokens.counterpart(index) {
            Some(close) if close > index => open.push(index),
            Some(_) => {
                open.pop();
            }
            None => {}
        }
        if !tokens.is(index, ":=") {
            continue;
        }
        let Some(close) = open.last().and_then(|open| tokens.counterpart(*open)) else { continue };
        for name in assigned(tokens, index) {
            let name = tokens.text(name);
            edits.insert(tokens.list[close].span.start, format!("\n{name} == {name}\n"));
        }
    }
}

/// The names on the left of an assignment.
pub(super) fn assigned(tokens: &Tokens<'_>, sign: usize) -> Vec<usize> {
    let Some(last) = sign.checked_sub(1) else { return Vec::new() };
    let first = tokens.counterpart(last).unwrap_or(last);
    let name = |index: &usize| {
        tokens.is_name(*index) && !matches!(tokens.text(*index), "_" | "true" | "false" | "null" | "set")
    };
    (first..=last).filter(name).collect()
}

fn inventory(tokens: &Tokens<'_>, edits: &mut Edits) {
    for index in 0..tokens.len() {
        if !tokens.is_name(index) || !tokens.is(index, "data") {
            continue;
        }
        if tokens.is(index + 1, ".") && tokens.is(index + 2, "inventory") {
            edits.replace(tokens.source, tokens.bytes(index..index + 3), INVENTORY);
        } else if tokens.is(index + 1, "[") && tokens.string(index + 2).as_deref() == Some("inventory") {
            edits.replace(tokens.source, tokens.bytes(index..index + 4), INVENTORY);
        }
    }
}

/// The older name of a function that both engines have.
fn older_names(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    if module.rules.iter().any(|rule| tokens.is(rule.name, "re_match")) {
        return;
    }
    for index in (0..tokens.len()).filter(|index| tokens.is_name(*index) && tokens.is(*index, "re_match")) {
        if tokens.is(index + 1, "(") {
            edits.replace(tokens.source, tokens.list[index].span.clone(), "regex.match");
        }
    }
}

/// Bodies that follow one another are rules of the same head.
fn chained_bodies(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    for rule in &module.rules {
        for body in rule.bodies.iter().skip(1) {
            if body.start >= 2 && tokens.is(body.start - 1, "{") && tokens.is(body.start - 2, "}") && !rule.has_else {
                let head = tokens.inline(rule.range.start..rule.head_end);
                edits.insert(tokens.list[body.start - 1].span.start, format!("{head} "));
            }
        }
    }
}

/// A line that begins with a round bracket is a statement, not the arguments of a call on the line before. A semicolon
/// after the last statement ends nothing.
fn statements(tokens: &Tokens<'_>, edits: &mut Edits) {
    for index in 1..tokens.len() {
        let before = &tokens.list[index - 1];
        let ended = before.class != Class::Sign || matches!(tokens.text(index - 1), "]" | ")");
        let ended = ended && !(before.class == Class::Word && matches!(tokens.text(index - 1), "not" | "in" | "if"));
        if tokens.is(index, "(") && tokens.list[index].first_on_line && ended && in_body(tokens, index) {
            edits.insert(before.span.end, ";");
        }
        if tokens.is(index, "}") && tokens.is(index - 1, ";") {
            edits.replace(tokens.source, before.span.clone(), " ");
        }
    }
}

/// Whether the innermost bracket around a token is a brace.
fn in_body(tokens: &Tokens<'_>, index: usize) -> bool {
    let mut at = index;
    while let Some(before) = at.checked_sub(1) {
        match tokens.counterpart(before) {
            Some(open) if open < before => at = open,
            Some(_) => return tokens.is(before, "{"),
            None => at = before,
        }
    }
    false
}

/// What a negated call is given is looked up before it: where it is undefined, so is the negation.
fn negations(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    let global = globals(tokens, module);
    let mut made = 0;
    for index in 0..tokens.len() {
        if !tokens.is_name(index) || !tokens.is(index, "not") || !in_query(tokens, index) {
            continue;
        }
        let Some(negated) = expression::read(tokens, index + 1) else { continue };
        let with = modifiers(tokens, negated.range.end);
        let mut operands = Vec::new();
        of_statement(tokens, &negated, &global, &mut operands);
        let mut lines = String::new();
        for operand in operands {
            let bytes = tokens.bytes(operand.range.clone());
            made += 1;
            let text = tokens.inline(operand.range.clone());
            let text = text.replace("data.inventory", INVENTORY).replace("re_match(", "regex.match(");
            let _ = write!(lines, "__operand_{made} = {text}{with}; ");
            edits.replace_all(tokens.source, bytes, format!("__operand_{made}"));
        }
        edits.insert(tokens.list[index].span.start, lines);
    }
}

/// Whether a token stands where a statement can be put before it.
fn in_query(tokens: &Tokens<'_>, index: usize) -> bool {
    let Some(before) = index.checked_sub(1) else { return false };
    tokens.list[index].first_on_line && in_body(tokens, index)
        || tokens.is(before, "{")
        || tokens.is(before, ";")
        || tokens.is(before, "|")
}

/// The `with` clauses that follow a statement.
fn modifiers(tokens: &Tokens<'_>, from: usize) -> String {
    let mut end = from;
    while tokens.is(end, "with") {
        let Some(value) = expression::read(tokens, end + 1).and_then(|target| {
            tokens.is(target.range.end, "as").then(|| expression::read(tokens, target.range.end + 1)).flatten()
        }) else {
            break;
        };
        end = value.range.end;
    }
    if end == from { String::new() } else { format!(" {}", tokens.inline(from..end)) }
}

/// Names that stand for a document outside the rule: they can be undefined.
fn globals<'a>(tokens: &Tokens<'a>, module: &Module) -> HashSet<&'a str> {
    let rules = module.rules.iter().filter(|rule| rule.parameters.is_none() && rule.output != Output::Members);
    let imports = module.imports.iter().map(|import| import.name);
    rules.map(|rule| rule.name).chain(imports).map(|name| tokens.text(name)).collect()
}

/// What has to be looked up before the negated statement.
fn of_statement<'e>(
    tokens: &Tokens<'_>,
    negated: &'e Expression,
    global: &HashSet<&str>,
    found: &mut Vec<&'e Expression>,
) {
    match &negated.shape {
        Shape::Group(inner) => of_statement(tokens, inner, global, found),
        Shape::Path(brackets) => found.extend(brackets.iter().filter(|inner| may_be_undefined(tokens, inner, global))),
        Shape::Call(arguments) => found.extend(arguments.iter().filter(|one| may_be_undefined(tokens, one, global))),
        Shape::Infix(sign, sides) if matches!(tokens.text(*sign), "=" | "==" | ":=") => {
            for side in sides.iter() {
                match &side.shape {
                    Shape::Path(_) => of_statement(tokens, side, global, found),
                    Shape::Name => {}
                    _ if may_be_undefined(tokens, side, global) => found.push(side),
                    _ => {}
                }
            }
        }
        Shape::Infix(_, sides) => found.extend(sides.iter().filter(|side| may_be_undefined(tokens, side, global))),
        _ => {}
    }
}

fn may_be_undefined(tokens: &Tokens<'_>, expression: &Expression, global: &HashSet<&str>) -> bool {
    match &expression.shape {
        Shape::Literal | Shape::Comprehension => false,
        Shape::Name => global.contains(tokens.text(expression.range.start)),
        Shape::Path(_) | Shape::Call(_) | Shape::Infix(..) => !holds_negation(tokens, expression),
        Shape::Group(inner) => may_be_undefined(tokens, inner, global),
        Shape::Collection => {
            let path = |index: usize| tokens.is(index, ".") || tokens.is(index, "(") || tokens.is(index, "input");
            expression.range.clone().any(path) && !holds_negation(tokens, expression)
        }
    }
}

fn holds_negation(tokens: &Tokens<'_>, expression: &Expression) -> bool {
    expression.range.clone().any(|index| tokens.is(index, "not"))
}
