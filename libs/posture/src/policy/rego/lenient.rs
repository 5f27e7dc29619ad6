//! Makes undefined what Gatekeeper's engine takes for undefined and the reference engine for an error: heads that look
//! into what is no collection, and operators between values that they do not know.

use std::fmt::Write as _;
use std::ops::Range;

use super::edits::Edits;
use super::expression;
use super::lexer::{Class, Tokens};
use super::module::{Module, Rule};
use super::operations::{Operations, bodies, is_index};
use super::operators;

/// The changed source.
pub(super) fn rewrite(source: &str) -> String {
    let tokens = Tokens::read(source);
    let module = Module::of(&tokens);
    let mut edits = Edits::default();
    comprehensions(&tokens, &module, &mut edits);
    heads(&tokens, &module, &mut edits);
    operators(edits.apply(source))
}

/// Puts functions in the place of operators.
fn operators(source: String) -> String {
    let tokens = Tokens::read(&source);
    let Some(operations) = Operations::of(&tokens, &Module::of(&tokens)) else { return source };
    let mut edits = Edits::default();
    let mut call = |function: &str, range: &Range<usize>| {
        let bytes = tokens.bytes(range.clone());
        edits.insert(bytes.start, format!("{function}("));
        edits.insert(bytes.end, ")");
    };
    operations.items.iter().for_each(|items| call(operators::ITEMS, items));
    for operation in &operations.list {
        call(operation.function, &(operation.left.start..operation.right.end));
    }
    for operation in &operations.list {
        edits.replace(&source, tokens.list[operation.left.end].span.clone(), ",");
    }
    edits.apply(&source)
}

/// What a head looks up becomes the last statement of its body.
fn heads(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    let newer = (0..tokens.len()).any(|index| tokens.is_name(index) && tokens.is(index, "if"));
    for (index, rule) in module.rules.iter().enumerate() {
        let default = tokens.is(rule.range.start, "default");
        if rule.has_else || rule.bodies.len() > 1 || default || rule.bodies.first().is_some_and(Range::is_empty) {
            continue;
        }
        let mut lines = Vec::new();
        for part in parts(tokens, rule).into_iter().filter(|part| looks_up(tokens, part)) {
            let name = format!("__head_{index}_{}", lines.len());
            lines.push(format!("{name} := {}", tokens.inline(part.clone())));
            edits.replace_all(tokens.source, tokens.bytes(part), name);
        }
        if lines.is_empty() {
            continue;
        }
        let lines = lines.join("; ");
        match &rule.bodies[..] {
            [body] if tokens.is(body.start - 1, "{") => {
                edits.insert(tokens.list[body.end - 1].span.end, format!("; {lines}"));
            }
            [body] => {
                edits.insert(tokens.list[body.start].span.start, "{ ");
                edits.insert(tokens.list[body.end - 1].span.end, format!("; {lines} }}"));
            }
            _ => {
                let keyword = if newer { " if" } else { "" };
                edits.insert(tokens.list[rule.head_end - 1].span.end, format!("{keyword} {{ {lines} }}"));
            }
        }
    }
}

/// The key and the value in the head of a rule; none where the head cannot be read.
fn parts(tokens: &Tokens<'_>, rule: &Rule) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut at = rule.name + 1;
    while tokens.is(at, ".") {
        at += 2;
    }
    if tokens.is(at, "contains") {
        let Some(key) = expression::read(tokens, at + 1) else { return Vec::new() };
        at = key.range.end;
        parts.push(key.range);
    } else if tokens.is(at, "[") || tokens.is(at, "(") {
        let Some(end) = tokens.counterpart(at) else { return Vec::new() };
        if tokens.is(at, "[") {
            parts.push(at + 1..end);
        }
        at = end + 1;
    }
    if tokens.is(at, "=") || tokens.is(at, ":=") {
        let Some(value) = expression::read(tokens, at + 1) else { return Vec::new() };
        at = value.range.end;
        parts.push(value.range);
    }
    if at == rule.head_end { parts } else { Vec::new() }
}

/// Whether an expression may go through a collection.
fn looks_up(tokens: &Tokens<'_>, range: &Range<usize>) -> bool {
    range.clone().any(|index| {
        let literal = tokens.list.get(index + 1).is_some_and(|next| matches!(next.class, Class::Text | Class::Number));
        is_index(tokens, index) && !(literal && tokens.is(index + 2, "]"))
    })
}

/// What the head of a query within brackets looks up becomes the last statement of the query.
fn comprehensions(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    let bodies = bodies(module);
    let mut done = 0;
    for open in 0..tokens.len() {
        let bracket = tokens.is(open, "[") && !is_index(tokens, open) || tokens.is(open, "{");
        if open < done || !bracket || bodies.contains(&open) || !expression::is_comprehension(tokens, open) {
            continue;
        }
        let Some(close) = tokens.counterpart(open) else { continue };
        let mut parts = Vec::new();
        let mut at = open + 1;
        while let Some(part) = expression::read_from(tokens, at, expression::TERM) {
            at = part.range.end + 1;
            parts.push(part.range);
            if !tokens.is(at - 1, ":") {
                break;
            }
        }
        if !tokens.is(at - 1, "|") {
            continue;
        }
        let mut lines = String::new();
        for part in parts.into_iter().filter(|part| looks_up(tokens, part)) {
            let name = format!("__head_of_{}", part.start);
            let _ = write!(lines, "; {name} := {}", tokens.inline(part.clone()));
            done = part.end;
            edits.replace(tokens.source, tokens.bytes(part), name);
        }
        if !lines.is_empty() {
            edits.insert(tokens.list[close - 1].span.end, lines);
        }
    }
}
