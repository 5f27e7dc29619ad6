//! Makes undefined what Gatekeeper's engine takes for undefined and the reference engine for an error: heads that look
//! into what is no collection, and operators between values that they do not know.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::ops::Range;

use super::edits::Edits;
use super::expression::{self, Expression, Shape};
use super::lexer::{Class, Tokens};
use super::module::{Module, Rule};
use super::operators;

/// Operators within one another. A source with more is left as it is: calls take more stack than operators.
const MAX_OPERATORS: usize = 24;

/// The changed source.
pub(super) fn rewrite(source: &str) -> String {
    let tokens = Tokens::read(source);
    let module = Module::of(&tokens);
    let mut edits = Edits::default();
    comprehensions(&tokens, &module, &mut edits);
    heads(&tokens, &module, &mut edits);
    let source = edits.apply(source);
    let tokens = Tokens::read(&source);
    let module = Module::of(&tokens);
    let mut walk = Walk { tokens: &tokens, bodies: bodies(&module), edits: Edits::default(), failed: false };
    walk.range(0..tokens.len(), expression::ANY);
    if walk.failed { source } else { walk.edits.apply(&source) }
}

/// The braces that open bodies of rules.
fn bodies(module: &Module) -> HashSet<usize> {
    let bodies = module.rules.iter().flat_map(|rule| &rule.bodies);
    bodies.filter_map(|body| body.start.checked_sub(1)).collect()
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

/// Whether a bracket looks into what stands before it.
fn is_index(tokens: &Tokens<'_>, index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| tokens.list.get(before));
    tokens.is(index, "[")
        && tokens.list[index].adjacent
        && before.is_some_and(|before| before.class == Class::Word || matches!(tokens.text(index - 1), "]" | ")" | "}"))
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

/// Puts functions in the place of operators.
struct Walk<'w, 'a> {
    tokens: &'w Tokens<'a>,
    bodies: HashSet<usize>,
    edits: Edits,
    /// Whether something cannot be read, so that the operands of an operator are not known.
    failed: bool,
}

impl Walk<'_, '_> {
    /// Goes through expressions, of operators that bind at least as strongly as those of a level.
    fn range(&mut self, range: Range<usize>, level: usize) {
        let tokens = self.tokens;
        let mut at = range.start;
        let mut every = false;
        while at < range.end {
            let body = tokens.is(at, "{") && (every || self.bodies.contains(&at));
            if body && let Some(close) = tokens.counterpart(at) {
                self.range(at + 1..close, expression::ANY);
                every = false;
                at = close + 1;
            } else if is_keyword(tokens, at) {
                every |= tokens.is(at, "every");
                if tokens.is(at, "some") {
                    self.some(at + 1);
                }
                at += 1;
            } else if let Some(found) = expression::read_from(tokens, at, level) {
                at = found.range.end;
                // An operator left over has an operand that was not read.
                self.failed |= at > range.end || at < range.end && operators::function(tokens.text(at)).is_some();
                self.expression(&found, 0);
            } else {
                self.failed |= tokens.list[at].class != Class::Sign || tokens.counterpart(at).is_some();
                at += 1;
            }
            if self.failed {
                return;
            }
        }
    }

    fn expression(&mut self, expression: &Expression, depth: usize) {
        let Shape::Infix(sign, sides) = &expression.shape else {
            return self.brackets(expression.range.clone());
        };
        let tokens = self.tokens;
        let [left, right] = &**sides;
        let Some(function) = operators::function(tokens.text(*sign)) else {
            self.expression(left, depth);
            return self.expression(right, depth);
        };
        self.failed |= depth >= MAX_OPERATORS;
        let bytes = tokens.bytes(expression.range.clone());
        self.edits.insert(bytes.start, format!("{function}("));
        self.expression(left, depth + 1);
        self.edits.replace(tokens.source, tokens.list[*sign].span.clone(), ",");
        self.expression(right, depth + 1);
        self.edits.insert(bytes.end, ")");
    }

    /// Goes through what stands in the brackets of a range.
    fn brackets(&mut self, range: Range<usize>) {
        let tokens = self.tokens;
        let mut at = range.start;
        while at < range.end {
            let Some(close) = tokens.counterpart(at).filter(|close| *close > at) else {
                at += 1;
                continue;
            };
            let query = !tokens.is(at, "(") && !is_index(tokens, at) && expression::is_comprehension(tokens, at);
            if query && let Some(bar) = bar(tokens, at + 1..close) {
                self.range(at + 1..bar, expression::TIGHT);
                self.range(bar + 1..close, expression::ANY);
            } else {
                self.range(at + 1..close, expression::ANY);
            }
            at = close + 1;
        }
    }

    /// What `some … in` goes through, if that is what begins here.
    fn some(&mut self, from: usize) {
        let tokens = self.tokens;
        let mut at = from;
        while let Some(name) = expression::read_from(tokens, at, expression::TERM) {
            at = name.range.end + 1;
            if !tokens.is(at - 1, ",") {
                break;
            }
        }
        if tokens.is(at - 1, "in")
            && at > from
            && let Some(items) = expression::read_from(tokens, at, expression::COMPARED)
        {
            let bytes = tokens.bytes(items.range);
            self.edits.insert(bytes.start, format!("{}(", operators::ITEMS));
            self.edits.insert(bytes.end, ")");
        }
    }
}

/// The bar that parts the head of a query from its statements.
fn bar(tokens: &Tokens<'_>, range: Range<usize>) -> Option<usize> {
    let mut at = range.start;
    while at < range.end {
        if tokens.is(at, "|") {
            return Some(at);
        }
        at = tokens.counterpart(at).filter(|close| *close > at).unwrap_or(at) + 1;
    }
    None
}

/// Whether a token is a word that is no part of an expression.
fn is_keyword(tokens: &Tokens<'_>, at: usize) -> bool {
    let called = tokens.is(at + 1, "(") && tokens.list[at + 1].adjacent;
    tokens.is_name(at)
        && match tokens.text(at) {
            "contains" => !called,
            word => matches!(
                word,
                "as" | "default" | "else" | "every" | "if" | "import" | "in" | "not" | "package" | "some" | "with"
            ),
        }
}
