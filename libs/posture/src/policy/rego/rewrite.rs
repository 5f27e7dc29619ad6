//! Makes sources readable for the engine that it would read otherwise than Gatekeeper's does. The lines stay.

use std::ops::Range;

use super::edits::Edits;
use super::expression;
use super::lexer::{Class, Tokens};
use super::module::{Module, Rule};
use super::{names, negation};

/// The changes that every engine needs. With `package`, the module gets that name.
pub(super) fn portable(tokens: &Tokens<'_>, module: &Module, package: Option<&str>) -> Edits {
    let mut edits = Edits::default();
    if let (Some(package), false) = (package, module.package.is_empty()) {
        edits.replace(tokens.source, tokens.bytes(module.package.clone()), package);
    }
    names::rewrite(tokens, module, &mut edits);
    walks(tokens, &mut edits);
    alternatives(tokens, module, &mut edits);
    chained_bodies(tokens, module, &mut edits);
    statements(tokens, &mut edits);
    negation::rewrite(tokens, module, &mut edits);
    edits
}

/// The parameters that a function does not look at.
pub(super) fn unused(tokens: &Tokens<'_>, rule: &Rule) -> Vec<usize> {
    let names = |range: Range<usize>| range.filter(|at| tokens.is_name(*at)).collect::<Vec<_>>();
    let parameters = rule.parameters.clone().map(names).unwrap_or_default();
    let everywhere = names(rule.range.clone());
    let is_unused = |at: &usize| {
        let name = tokens.text(*at);
        let used = everywhere.iter().filter(|other| tokens.text(**other) == name).count() > 1;
        name == "_" || !used && !matches!(name, "true" | "false" | "null")
    };
    parameters.into_iter().filter(is_unused).collect()
}

/// The changes that the fast engine needs as well: there an assignment of something undefined does not fail, nor does a
/// call with something undefined that the function does not look at.
pub(super) fn guards(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    for rule in &module.rules {
        for (index, parameter) in unused(tokens, rule).into_iter().enumerate() {
            let name = format!("__unused_{index}");
            edits.replace(tokens.source, tokens.list[parameter].span.clone(), name.clone());
            for body in rule.bodies.iter().filter(|body| !body.is_empty()) {
                edits.insert(tokens.list[body.start].span.start, format!("{name} == {name}; "));
            }
        }
    }
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

/// Pairs of paths and values are looked for by a second argument; what is assigned becomes that.
fn walks(tokens: &Tokens<'_>, edits: &mut Edits) {
    for index in 2..tokens.len() {
        let assigned = tokens.is(index - 1, "=") || tokens.is(index - 1, ":=");
        if !(tokens.is_name(index) && tokens.is(index, "walk") && tokens.is(index + 1, "(") && assigned) {
            continue;
        }
        let Some(end) = tokens.counterpart(index + 1) else { continue };
        let one = expression::list(tokens, index + 2, end).is_some_and(|arguments| arguments.len() == 1);
        let first = tokens.counterpart(index - 2).unwrap_or(index - 2);
        if one && first < index {
            let pattern = tokens.inline(first..index - 1);
            edits.replace(tokens.source, tokens.list[first].span.start..tokens.list[index].span.start, "");
            edits.insert(tokens.list[end].span.start, format!(", {pattern}"));
        }
    }
}

/// Where the value of a body is undefined, the next one is tried: the value becomes a part of its body.
fn alternatives(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    let mut made = 0;
    for rule in module.rules.iter().filter(|rule| rule.has_else) {
        for body in &rule.bodies {
            let Some(value) = value_of(tokens, rule.range.start, body.start) else { continue };
            let worked_out = value.len() > 1 && !value.clone().any(|index| tokens.is(index, "not"));
            if !worked_out || body.is_empty() || !tokens.is(body.start - 1, "{") {
                continue;
            }
            made += 1;
            let text = names::inline(tokens, value.clone());
            edits.replace_all(tokens.source, tokens.bytes(value), format!("__value_{made}"));
            edits.insert(tokens.list[body.end - 1].span.end, format!("; __value_{made} = {text}"));
        }
    }
}

/// The value that stands before a body, looked for back to the beginning of its rule.
fn value_of(tokens: &Tokens<'_>, start: usize, body: usize) -> Option<Range<usize>> {
    let end = (start..body).rev().find(|index| !tokens.is(*index, "{") && !tokens.is(*index, "if"))? + 1;
    let mut at = end;
    while at > start {
        at -= 1;
        if let Some(open) = tokens.counterpart(at).filter(|open| *open < at) {
            at = open;
        }
        if tokens.is(at, "=") || tokens.is(at, ":=") {
            let value = expression::read(tokens, at + 1)?.range;
            return (value.end == end).then_some(value);
        }
        if tokens.is(at, "else") || tokens.is(at, "}") {
            return None;
        }
    }
    None
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
pub(super) fn in_body(tokens: &Tokens<'_>, index: usize) -> bool {
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
