//! Whether the operands of operators are sure to go together: at others the fast engine leaves the whole body, with what it
//! would have found further on.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::checks::Unit;
use super::expression::{self, Shape};
use super::lexer::{Class, Tokens};
use super::module::{Output, Rule};
use super::operations::{Operation, Operations, is_index};

/// Names that stand for one another in a row are followed so far.
const MAX_DEPTH: usize = 16;
/// A module with more operations is not looked into.
const MAX_OPERATIONS: usize = 500;

/// What a value is sure to be, if it is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Number,
    Set,
}

/// Whether all operators of a module have operands that they know.
pub(super) fn go_together(unit: &Unit<'_>) -> bool {
    let Some(operations) = Operations::of(&unit.tokens, &unit.module) else { return false };
    if operations.list.len() > MAX_OPERATIONS {
        return false;
    }
    let names = Names::of(&unit.tokens);
    let mut reader = Reader { unit, operations: &operations, names, known: HashMap::new() };
    operations.list.iter().all(|operation| {
        // What the fast engine has as functions does not fail.
        matches!(operation.function, "__unite" | "__intersect") || reader.result(operation, 0).is_some()
    })
}

struct Reader<'r, 'a> {
    unit: &'r Unit<'a>,
    operations: &'r Operations,
    names: Names<'a>,
    /// By the rule and the name.
    known: HashMap<(usize, &'a str), Option<Kind>>,
}

impl<'r> Reader<'r, '_> {
    fn result(&mut self, operation: &Operation, depth: usize) -> Option<Kind> {
        let left = self.kind(&operation.left, depth)?;
        let right = self.kind(&operation.right, depth)?;
        match (operation.function, left, right) {
            ("__unite" | "__intersect" | "__subtract", Kind::Set, Kind::Set) => Some(Kind::Set),
            ("__unite" | "__intersect", ..) | (_, Kind::Set, _) | (_, _, Kind::Set) => None,
            ("__modulo", left, right) => (left == Kind::Count && right == Kind::Count).then_some(Kind::Count),
            _ => Some(Kind::Number),
        }
    }

    fn kind(&mut self, range: &Range<usize>, depth: usize) -> Option<Kind> {
        let unit = self.unit;
        let tokens = &unit.tokens;
        let depth = depth + 1;
        let term = expression::read_from(tokens, range.start, expression::TERM).filter(|_| depth <= MAX_DEPTH)?;
        if term.range != *range {
            let is_it = |one: &&Operation| one.left.start == range.start && one.right.end == range.end;
            let operations: &'r Operations = self.operations;
            return self.result(operations.list.iter().find(is_it)?, depth);
        }
        let braces = tokens.is(range.start, "{") && !self.has_colon(range);
        match &term.shape {
            Shape::Literal if tokens.list[range.end - 1].class != Class::Number => None,
            Shape::Literal if tokens.text(range.end - 1).bytes().all(|byte| byte.is_ascii_digit()) => Some(Kind::Count),
            Shape::Literal => Some(Kind::Number),
            Shape::Group(inner) => self.kind(&inner.range, depth),
            Shape::Comprehension => braces.then_some(Kind::Set),
            Shape::Collection => (braces && range.len() > 2).then_some(Kind::Set),
            Shape::Call(_) => self.called(range),
            Shape::Name => self.named(range.start, depth),
            Shape::Path(_) | Shape::Infix(..) => None,
        }
    }

    /// Whether what stands in braces is an object.
    fn has_colon(&self, range: &Range<usize>) -> bool {
        let tokens = &self.unit.tokens;
        let mut at = range.start + 1;
        while at + 1 < range.end {
            if tokens.is(at, "|") {
                return false;
            }
            if tokens.is(at, ":") {
                return true;
            }
            at = tokens.counterpart(at).filter(|close| *close > at).unwrap_or(at) + 1;
        }
        false
    }

    fn called(&self, range: &Range<usize>) -> Option<Kind> {
        let tokens = &self.unit.tokens;
        let open = tokens.counterpart(range.end - 1)?;
        let name = tokens.inline(range.start..open);
        let own = |rule: &&Rule| tokens.text(rule.name) == name;
        let mut rules = self.unit.module.rules.iter().filter(own).peekable();
        if rules.peek().is_some() {
            let number = |rule: &Rule| match &rule.output {
                Output::Value(value) => {
                    !rule.has_else && value.len() == 1 && tokens.list[value.start].class == Class::Number
                }
                _ => false,
            };
            return rules.all(number).then_some(Kind::Number);
        }
        Some(match name.as_str() {
            "count" | "ceil" | "floor" | "round" => Kind::Count,
            "abs" | "to_number" | "sum" | "product" | "units.parse" | "units.parse_bytes" => Kind::Number,
            "set" | "union" | "intersection" => Kind::Set,
            _ => return None,
        })
    }

    /// What a name stands for, where everything that its rule says of it is of one kind.
    fn named(&mut self, at: usize, depth: usize) -> Option<Kind> {
        let unit = self.unit;
        let tokens = &unit.tokens;
        let name = tokens.text(at);
        let position = unit.module.rules.iter().position(|rule| rule.range.contains(&at))?;
        if let Some(known) = self.known.get(&(position, name)) {
            return *known;
        }
        // Until it is known, it is not sure to be anything.
        self.known.insert((position, name), None);
        let rule = &unit.module.rules[position];
        let is_name = |index: usize| tokens.is_name(index) && tokens.is(index, name);
        if self.names.other.contains(name) || rule.parameters.clone().is_some_and(|mut range| range.any(is_name)) {
            return None;
        }
        let within = |sign: &usize| rule.range.contains(sign);
        let signs: Vec<usize> = self.names.assigned.get(name).into_iter().flatten().copied().filter(within).collect();
        let kinds: Vec<Option<Kind>> = signs
            .iter()
            .map(|sign| {
                let unsure = tokens.is(*sign, "=") && self.names.loose.contains(name);
                self.kind(&expression::read(tokens, sign + 1).filter(|_| !unsure)?.range, depth)
            })
            .collect();
        let kind = kinds.first().copied().flatten().filter(|kind| kinds.iter().all(|other| *other == Some(*kind)));
        self.known.insert((position, name), kind);
        kind
    }
}

/// How the names of a module get their values.
#[derive(Default)]
struct Names<'a> {
    /// Signs after which their values stand.
    assigned: HashMap<&'a str, Vec<usize>>,
    /// Those that stand alone in brackets after a path, or on the right of an equation: where their values are not
    /// assigned but found, they may be found there.
    loose: HashSet<&'a str>,
    /// Those of patterns, `some` and `every`.
    other: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(tokens: &Tokens<'a>) -> Self {
        let mut names = Self::default();
        let assigns = |index: usize| tokens.is(index, "=") || tokens.is(index, ":=");
        for index in 0..tokens.len() {
            let text = tokens.text(index);
            let pattern = matches!(text, "[" | "{") && !is_index(tokens, index);
            if let Some(close) = tokens.counterpart(index).filter(|close| pattern && *close > index) {
                let bound = assigns(close + 1) || tokens.is(close + 1, "in");
                let inner = (index + 1..close).filter(|at| bound && tokens.is_name(*at));
                names.other.extend(inner.map(|at| tokens.text(at)));
            } else if tokens.is_name(index) && matches!(text, "some" | "every") {
                let declared = |at: &usize| tokens.is(*at, ",") || tokens.is_name(*at) && !tokens.is(*at, "in");
                names.other.extend((index + 1..tokens.len()).take_while(declared).map(|at| tokens.text(at)));
            } else if tokens.is_name(index) && assigns(index + 1) {
                names.assigned.entry(text).or_default().push(index + 1);
            } else if tokens.is_name(index) && index > 0 {
                let alone = tokens.is(index + 1, "]") && is_index(tokens, index - 1);
                if alone || tokens.is(index - 1, "=") {
                    names.loose.insert(text);
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &str, expected: bool) {
        let source = format!("package a\n{rules}");
        let unit = Unit::read(&source).unwrap();
        assert_eq!(go_together(&unit), expected, "{rules}");
    }

    #[test]
    fn what_is_made_in_sight_is_known() {
        check("v[m] { p := {l | input.o[l]}; r := {l | l := input.r[_].key}; m := r - p; count(m) > 0; f([m]) }", true);
        check("v[m] { m = {x | input[x]} - {\"a\"} | {\"b\"}; count(m) - 1 > 0 }", true);
        check("v { (count(input.a) + 2) * 3 / 1.5 > to_number(input.b) }", true);
        check("f(\"k\") = 1000 { true }\nf(\"M\") = 1e6 { true }\nv { to_number(input.a) * f(input.b) > 1 }", true);
        check("v { count(input.a) % 2 == 0 }", true);
        check("v { a := b | {1}; a[1] }", true);
    }

    #[test]
    fn what_comes_from_elsewhere_is_not() {
        check("v { input.a - 1 > 0 }", false);
        check("f(x) = x + 1 { true }", false);
        check("v { x := {\"k\": 1}; x - {1} }", false);
        check("v { x := {}; x - {1} }", false);
        check("v { x := [1]; x[_] + 1 > 0 }", false);
        check("v { x := {1}; some x in input.a; x - {1} }", false);
        check("v { x := {1}; [x, y] := input.a; x - {1} }", false);
        check("v { x := {1}; y := [z | x := input.a; z := x - {1}] }", false);
        check("v { x = {1}; input.a[x]; x - {1} }", false);
        check("v { input.a[_] = x; x = {1}; x - {1} }", false);
        check("v { to_number(input.a) % 2 == 0 }", false);
        check("count(x) = x { true }\nv { count(input.a) - 1 > 0 }", false);
        check("v { {1} - 1 }", false);
        check("v { x := y - 1; y := x - 1 }", false);
    }
}
