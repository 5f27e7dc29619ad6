//! Why a template cannot be left to the fast engine, which may lose violations where the reference engine does not.
//!
//! The fast engine knows no conflict between definitions, takes undefined arguments that a function never looks at for
//! defined ones, has only the functions that it was built with, reads some patterns otherwise, and leaves a body at an
//! operator between values that do not go together.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::builtins;
use super::checks::Unit;
use super::expression::{self, Shape};
use super::kinds;
use super::lexer::{Class, Tokens};
use super::module::{Output, Rule};
use super::patterns;
use super::rewrite::unused;

/// The first reason found; `None` where both engines agree.
pub(super) fn of(unit: &Unit<'_>) -> Option<String> {
    if patterns::need_reference(&unit.tokens) {
        return Some("a pattern is read differently".to_owned());
    }
    if !kinds::go_together(unit) {
        return Some("it computes with values that may not go together".to_owned());
    }
    let mut by_name: HashMap<&str, Vec<&Rule>> = HashMap::new();
    for rule in &unit.module.rules {
        if let Some(reason) = of_rule(unit, rule) {
            return Some(format!("`{}` {reason}", unit.tokens.text(rule.name)));
        }
        by_name.entry(unit.tokens.text(rule.name)).or_default().push(rule);
    }
    let mut conflicting: Vec<&str> =
        by_name.iter().filter(|(_, rules)| may_conflict(unit, rules)).map(|(name, _)| *name).collect();
    conflicting.sort_unstable();
    conflicting.first().map(|name| format!("`{name}` may have several values at once"))
}

fn of_rule(unit: &Unit<'_>, rule: &Rule) -> Option<&'static str> {
    let tokens = &unit.tokens;
    if rule.output == Output::Entries {
        return Some("makes an object");
    }
    if rule.bodies.is_empty() && !unused(tokens, rule).is_empty() {
        return Some("does not look at a parameter");
    }
    if rule.bodies.iter().any(|body| body.start > 0 && !tokens.is(body.start - 1, "{")) {
        return Some("has a body without braces");
    }
    for index in rule.range.clone() {
        if tokens.is_name(index) && matches!(tokens.text(index), "with" | "every" | "walk") {
            return Some("uses `with`, `every` or `walk`");
        }
        match added(tokens, index).as_deref() {
            // Patterns are looked at by themselves.
            None | Some("regex.match") => {}
            Some("sprintf") if plain_format(tokens, index) => {}
            Some("sprintf") => return Some("formats in ways that the engines do differently"),
            Some(_) => return Some("calls a function that only the reference engine has"),
        }
        if tokens.is(index, "{") && expression::is_comprehension(tokens, index) && !plain_object(tokens, index) {
            return Some("makes an object of values that may be undefined");
        }
    }
    None
}

/// The function that is called at a token, where only the reference engine has it.
fn added(tokens: &Tokens<'_>, index: usize) -> Option<String> {
    if !tokens.is_name(index) {
        return None;
    }
    let mut end = index + 1;
    while tokens.is(end, ".") && tokens.list.get(end + 1).is_some_and(|next| next.class == Class::Word) {
        end += 2;
    }
    let name = tokens.is(end, "(").then(|| tokens.inline(index..end))?;
    builtins::is_added(&name).then_some(name)
}

/// Whether a call of `sprintf` has a literal pattern of plain verbs, and as many arguments.
fn plain_format(tokens: &Tokens<'_>, index: usize) -> bool {
    let Some(end) = tokens.counterpart(index + 1) else { return false };
    let Some(arguments) = expression::list(tokens, index + 2, end) else { return false };
    let [pattern, given] = arguments.as_slice() else { return false };
    let (Some(text), Shape::Collection) = (tokens.string(pattern.range.start), &given.shape) else { return false };
    let verbs: Vec<char> = text.split('%').skip(1).map(|rest| rest.chars().next().unwrap_or(' ')).collect();
    let plain = pattern.range.len() == 1 && verbs.iter().all(|verb| matches!(verb, 'v' | 's'));
    let items = expression::list(tokens, given.range.start + 1, given.range.end - 1);
    plain && tokens.is(given.range.start, "[") && items.is_some_and(|items| items.len() == verbs.len())
}

/// Whether a comprehension in braces makes a set, or an object of bare names.
fn plain_object(tokens: &Tokens<'_>, open: usize) -> bool {
    let Some(key) = expression::read(tokens, open + 1) else {
        return true;
    };
    let bar = key.range.end;
    if !tokens.is(bar, ":") {
        return true;
    }
    tokens.list.get(bar + 1).is_some_and(|value| value.class != Class::Sign) && tokens.is(bar + 2, "|")
}

/// Whether the definitions of one name can give different values for the same arguments.
fn may_conflict(unit: &Unit<'_>, rules: &[&Rule]) -> bool {
    let tokens = &unit.tokens;
    let values: HashSet<Option<String>> = rules.iter().map(|rule| constant(tokens, rule)).collect();
    if rules.iter().all(|rule| rule.output == Output::Members) || values.len() == 1 && !values.contains(&None) {
        return false;
    }
    let own: HashSet<&str> = unit.module.rules.iter().map(|rule| tokens.text(rule.name)).collect();
    let iterating = rules.iter().any(|rule| constant(tokens, rule).is_none() && iterates(unit, rule, &own));
    let defaults = |rule: &&&Rule| !tokens.is(rule.range.start, "default");
    let definitions: Vec<&&Rule> = rules.iter().filter(defaults).collect();
    let apart = |(index, left): (usize, &&&Rule)| {
        definitions[index + 1..].iter().all(|right| {
            let same = constant(tokens, left).is_some() && constant(tokens, left) == constant(tokens, right);
            same || exclude(tokens, left, right)
        })
    };
    iterating || !definitions.iter().enumerate().all(apart)
}

/// The constant that a rule gives; `None` where its value is worked out.
fn constant(tokens: &Tokens<'_>, rule: &Rule) -> Option<String> {
    match &rule.output {
        Output::True if rule.has_else => None,
        Output::True => Some("true".to_owned()),
        Output::Value(value) if value.len() == 1 && !rule.has_else => {
            let name = tokens.list[value.start].class == Class::Word;
            let text = tokens.text(value.start);
            (!name || matches!(text, "true" | "false" | "null")).then(|| text.to_owned())
        }
        _ => None,
    }
}

/// Whether a rule may find its value more than once.
fn iterates(unit: &Unit<'_>, rule: &Rule, own: &HashSet<&str>) -> bool {
    let tokens = &unit.tokens;
    let locals = unit.locals(rule);
    let mut at = rule.range.start;
    while at < rule.range.end {
        if expression::is_comprehension(tokens, at) {
            at = tokens.counterpart(at).unwrap_or(at) + 1;
            continue;
        }
        let text = tokens.text(at);
        let bracketed = at > 0 && tokens.is(at - 1, "[") && tokens.is(at + 1, "]") && tokens.list[at - 1].adjacent;
        let member = bracketed && !locals.contains(text) || own.contains(text) && tokens.is(at + 1, "[");
        if tokens.is_name(at) && (matches!(text, "_" | "some") || member) {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether two definitions can never both hold: a parameter has two different constants, or one asks for what the other
/// denies.
fn exclude(tokens: &Tokens<'_>, left: &Rule, right: &Rule) -> bool {
    let parameters = |rule: &Rule| {
        let range = rule.parameters.clone()?;
        expression::list(tokens, range.start, range.end)
    };
    if let (Some(left), Some(right)) = (parameters(left), parameters(right)) {
        let differ = left.iter().zip(&right).any(|(left, right)| {
            let literal = matches!((&left.shape, &right.shape), (Shape::Literal, Shape::Literal));
            literal && tokens.text(left.range.start) != tokens.text(right.range.start)
        });
        if differ {
            return true;
        }
    }
    let ([left_body], [right_body]) = (left.bodies.as_slice(), right.bodies.as_slice()) else { return false };
    let same_names = left.parameters.clone().map(|range| tokens.inline(range))
        == right.parameters.clone().map(|range| tokens.inline(range));
    let (left, right) = (statements(tokens, left_body), statements(tokens, right_body));
    let denies = |one: &[String], other: &[String]| {
        one.iter().any(|statement| {
            let denied = match statement.split_once(" != ") {
                Some((left, right)) => Some(format!("{left} == {right}")),
                None => statement.strip_prefix("not ").map(str::to_owned),
            };
            denied.is_some_and(|denied| other.contains(&denied))
        })
    };
    same_names && (denies(&left, &right) || denies(&right, &left))
}

/// The statements of a body that stand on lines of their own.
fn statements(tokens: &Tokens<'_>, body: &Range<usize>) -> Vec<String> {
    let mut list = Vec::new();
    let mut start = body.start;
    let mut at = body.start;
    while at < body.end {
        if at > start && (tokens.list[at].first_on_line || tokens.is(at, ";")) {
            list.push(tokens.inline(start..at));
            start = if tokens.is(at, ";") { at + 1 } else { at };
        }
        at = match tokens.counterpart(at) {
            Some(close) if close > at => close + 1,
            _ => at + 1,
        };
    }
    if start < body.end {
        list.push(tokens.inline(start..body.end));
    }
    list
}
