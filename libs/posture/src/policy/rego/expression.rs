use std::ops::Range;

use super::lexer::{Class, Tokens};

/// An expression, as far as the rewriter needs to know it: ranges are of tokens.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) range: Range<usize>,
    pub(super) shape: Shape,
}

/// What an expression is.
#[derive(Debug)]
pub(super) enum Shape {
    /// A string, number, boolean or null.
    Literal,
    /// A bare name.
    Name,
    /// A path into a name or a result, with the expressions in its brackets.
    Path(Vec<Expression>),
    /// A call, with its arguments; what follows its closing bracket makes it a path instead.
    Call(Vec<Expression>),
    /// Two operands.
    Infix(usize, Box<[Expression; 2]>),
    /// In round brackets.
    Group(Box<Expression>),
    /// An array, set or object.
    Collection,
    /// An array, set or object made by a query.
    Comprehension,
}

/// An expression with more operators in a row is not looked into.
const MAX_OPERATORS: usize = 64;

/// Binding strength of the operators, weakest first.
const LEVELS: [&[&str]; 7] =
    [&["=", ":="], &["in"], &["==", "!=", "<", "<=", ">", ">="], &["|"], &["&"], &["+", "-"], &["*", "/", "%"]];

/// The level of any expression.
pub(super) const ANY: usize = 0;
/// The level of comparisons.
pub(super) const COMPARED: usize = 2;
/// The level of what binds more strongly than a bar.
pub(super) const TIGHT: usize = 4;
/// The level of what has no operator outside brackets.
pub(super) const TERM: usize = LEVELS.len();

/// Reads the expression that starts at token `at`; `None` where there is none.
pub(super) fn read(tokens: &Tokens<'_>, at: usize) -> Option<Expression> {
    infix(tokens, at, ANY)
}

/// As [`read`], with operators that bind at least as strongly as those of a level.
pub(super) fn read_from(tokens: &Tokens<'_>, at: usize, level: usize) -> Option<Expression> {
    infix(tokens, at, level)
}

fn infix(tokens: &Tokens<'_>, at: usize, level: usize) -> Option<Expression> {
    let Some(signs) = LEVELS.get(level) else { return term(tokens, at) };
    let mut left = infix(tokens, at, level + 1)?;
    let mut operators = 0;
    while signs.iter().any(|sign| tokens.is(left.range.end, sign)) {
        operators += 1;
        if operators > MAX_OPERATORS {
            return None;
        }
        let sign = left.range.end;
        let right = infix(tokens, sign + 1, level + 1)?;
        let range = left.range.start..right.range.end;
        left = Expression { range, shape: Shape::Infix(sign, Box::new([left, right])) };
    }
    Some(left)
}

fn term(tokens: &Tokens<'_>, at: usize) -> Option<Expression> {
    let class = tokens.list.get(at)?.class;
    match class {
        Class::Number | Class::Text => return Some(Expression { range: at..at + 1, shape: Shape::Literal }),
        Class::Word => return postfix(tokens, at),
        Class::Sign => {}
    }
    match tokens.text(at) {
        "-" => {
            let inner = term(tokens, at + 1)?;
            Some(Expression { range: at..inner.range.end, ..inner })
        }
        "(" => {
            let inner = read(tokens, at + 1)?;
            let end = tokens.counterpart(at)?;
            (inner.range.end == end).then(|| Expression { range: at..end + 1, shape: Shape::Group(Box::new(inner)) })
        }
        "[" | "{" => {
            let end = tokens.counterpart(at)?;
            let shape = if is_comprehension(tokens, at) { Shape::Comprehension } else { Shape::Collection };
            path(tokens, Expression { range: at..end + 1, shape })
        }
        _ => None,
    }
}

fn postfix(tokens: &Tokens<'_>, at: usize) -> Option<Expression> {
    let shape = match tokens.text(at) {
        "true" | "false" | "null" => Shape::Literal,
        _ => Shape::Name,
    };
    path(tokens, Expression { range: at..at + 1, shape })
}

/// Follows dots, brackets and calls. A bracket on a line of its own begins something else.
fn path(tokens: &Tokens<'_>, start: Expression) -> Option<Expression> {
    let mut expression = start;
    let mut brackets = Vec::new();
    loop {
        let at = expression.range.end;
        if tokens.is(at, ".") && tokens.list.get(at + 1).is_some_and(|next| next.class == Class::Word) {
            expression = Expression { range: expression.range.start..at + 2, shape: Shape::Path(Vec::new()) };
            continue;
        }
        if tokens.list.get(at).is_none_or(|next| next.first_on_line) {
            break;
        }
        if tokens.is(at, "[") {
            let end = tokens.counterpart(at)?;
            brackets.push(read(tokens, at + 1)?);
            expression = Expression { range: expression.range.start..end + 1, shape: Shape::Path(Vec::new()) };
        } else if tokens.is(at, "(") && matches!(expression.shape, Shape::Name | Shape::Path(_)) {
            let end = tokens.counterpart(at)?;
            let arguments = list(tokens, at + 1, end)?;
            expression = Expression { range: expression.range.start..end + 1, shape: Shape::Call(arguments) };
        } else {
            break;
        }
    }
    if let Shape::Path(inner) = &mut expression.shape {
        *inner = brackets;
    }
    Some(expression)
}

/// Reads expressions parted by commas.
pub(super) fn list(tokens: &Tokens<'_>, at: usize, end: usize) -> Option<Vec<Expression>> {
    let mut items = Vec::new();
    let mut at = at;
    while at < end {
        let item = read(tokens, at)?;
        at = item.range.end;
        items.push(item);
        if at < end {
            if !tokens.is(at, ",") {
                return None;
            }
            at += 1;
        }
    }
    Some(items)
}

/// Whether an opening bracket begins a comprehension: it has a bar that belongs to no inner bracket.
pub(super) fn is_comprehension(tokens: &Tokens<'_>, open: usize) -> bool {
    let Some(end) = tokens.counterpart(open) else { return false };
    let mut at = open + 1;
    while at < end {
        if tokens.is(at, "|") {
            return true;
        }
        at = match tokens.counterpart(at) {
            Some(close) if close > at => close + 1,
            _ => at + 1,
        };
    }
    false
}
