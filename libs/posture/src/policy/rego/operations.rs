//! Finds what a module computes by operators.

use std::collections::HashSet;
use std::ops::Range;

use super::expression::{self, Expression, Shape};
use super::lexer::{Class, Tokens};
use super::module::Module;
use super::operators;

/// Operators within one another. More are not followed: as calls they take more stack.
const MAX_OPERATORS: usize = 24;

/// The operations of a module; ranges are of tokens.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// Each before those that it holds.
    pub(super) list: Vec<Operation>,
    /// What `some … in` goes through.
    pub(super) items: Vec<Range<usize>>,
}

/// Two operands, with the sign between them.
#[derive(Debug)]
pub(super) struct Operation {
    /// The function that does the same.
    pub(super) function: &'static str,
    pub(super) left: Range<usize>,
    pub(super) right: Range<usize>,
}

impl Operations {
    /// Finds them; nothing where a part of the module cannot be read.
    pub(super) fn of(tokens: &Tokens<'_>, module: &Module) -> Option<Self> {
        let mut walk = Walk { tokens, bodies: bodies(module), found: Self::default(), failed: false };
        walk.range(0..tokens.len(), expression::ANY);
        (!walk.failed).then_some(walk.found)
    }
}

/// The braces that open bodies of rules.
pub(super) fn bodies(module: &Module) -> HashSet<usize> {
    let bodies = module.rules.iter().flat_map(|rule| &rule.bodies);
    bodies.filter_map(|body| body.start.checked_sub(1)).collect()
}

/// Whether a bracket looks into what stands before it.
pub(super) fn is_index(tokens: &Tokens<'_>, index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| tokens.list.get(before));
    tokens.is(index, "[")
        && tokens.list[index].adjacent
        && before.is_some_and(|before| before.class == Class::Word || matches!(tokens.text(index - 1), "]" | ")" | "}"))
}

/// Goes through a module.
struct Walk<'w, 'a> {
    tokens: &'w Tokens<'a>,
    bodies: HashSet<usize>,
    found: Operations,
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
        let (from, to) = (left.range.clone(), right.range.clone());
        self.found.list.push(Operation { function, left: from, right: to });
        self.expression(left, depth + 1);
        self.expression(right, depth + 1);
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
            self.found.items.push(items.range);
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
