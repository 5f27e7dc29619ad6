use std::collections::HashSet;
use std::fmt::Write as _;

use super::edits::Edits;
use super::expression::{self, Expression, Shape};
use super::lexer::Tokens;
use super::module::{Module, Output};
use super::names;
use super::rewrite::in_body;

/// What a negated call is given is looked up before it: where it is undefined, so is the negation.
pub(super) fn rewrite(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
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
            let text = names::inline(tokens, operand.range.clone());
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
