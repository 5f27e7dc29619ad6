use std::ops::Range;

use super::expression;
use super::lexer::{Class, Tokens};

/// A module's rules and imports; ranges are of tokens.
#[derive(Debug)]
pub(super) struct Module {
    /// The path after `package`.
    pub(super) package: Range<usize>,
    pub(super) imports: Vec<Import>,
    pub(super) rules: Vec<Rule>,
}

/// One import.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) path: Range<usize>,
    /// Token of the name that the module uses.
    pub(super) name: usize,
}

/// One rule, with all its bodies.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) range: Range<usize>,
    /// Token of its name.
    pub(super) name: usize,
    /// Parameters of a function.
    pub(super) parameters: Option<Range<usize>>,
    pub(super) output: Output,
    /// Where the head ends.
    pub(super) head_end: usize,
    /// Its bodies, brackets left out.
    pub(super) bodies: Vec<Range<usize>>,
    pub(super) has_else: bool,
}

/// What a rule makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Output {
    /// True.
    True,
    /// The value of an expression.
    Value(Range<usize>),
    /// Members of a set.
    Members,
    /// Entries of an object.
    Entries,
}

impl Module {
    /// Finds the parts of a module.
    pub(super) fn of(tokens: &Tokens<'_>) -> Self {
        let mut module = Self { package: 0..0, imports: Vec::new(), rules: Vec::new() };
        let starts = starts(tokens);
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(tokens.len());
            match tokens.text(*start) {
                "package" => module.package = package(tokens, *start + 1..end),
                "import" => module.imports.extend(import(tokens, *start + 1..end)),
                _ => module.rules.extend(rule(tokens, *start..end).or_else(|| unread(tokens, *start..end))),
            }
        }
        module
    }
}

/// The tokens at which something begins.
fn starts(tokens: &Tokens<'_>) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if begins(tokens, at) {
            starts.push(at);
        }
        at = match tokens.counterpart(at) {
            Some(close) if close > at => close + 1,
            _ => at + 1,
        };
    }
    starts
}

fn begins(tokens: &Tokens<'_>, at: usize) -> bool {
    let token = &tokens.list[at];
    let called = token.first_on_line && tokens.is(at + 1, "(") && tokens.list[at + 1].adjacent;
    let continues = match tokens.text(at) {
        // A function may have the keyword's name.
        "contains" => !called,
        word => matches!(word, "else" | "if" | "in" | "with" | "as"),
    };
    if token.class != Class::Word || continues {
        return false;
    }
    let Some(before) = at.checked_sub(1) else { return true };
    let closed = tokens.is(before, "}") || tokens.is(before, ";");
    let open = tokens.list[before].class == Class::Sign && !matches!(tokens.text(before), "}" | "]" | ")" | ";");
    // The last part of a path is no keyword, as in `import future.keywords.if`.
    let unfinished = tokens.is_name(before)
        && matches!(tokens.text(before), "else" | "if" | "contains" | "in" | "with" | "as" | "default" | "not");
    (token.first_on_line || closed) && !open && !unfinished
}

/// The path after `package`, which the first token that does not continue it ends.
fn package(tokens: &Tokens<'_>, range: Range<usize>) -> Range<usize> {
    let path = expression::read_from(tokens, range.start, expression::TERM);
    range.start..path.map_or(range.end, |path| path.range.end.min(range.end))
}

fn import(tokens: &Tokens<'_>, range: Range<usize>) -> Option<Import> {
    let name = range.end.checked_sub(1).filter(|last| range.contains(last))?;
    let renamed = name > range.start && tokens.is(name - 1, "as");
    Some(Import { path: range.start..if renamed { name - 1 } else { range.end }, name })
}

/// A rule that cannot be taken apart: known by its name, with everything in it.
fn unread(tokens: &Tokens<'_>, range: Range<usize>) -> Option<Rule> {
    let name = range.start + usize::from(tokens.is(range.start, "default"));
    let (head_end, output) = (range.start, Output::Entries);
    let rule = Rule { range, name, parameters: None, output, head_end, bodies: Vec::new(), has_else: false };
    tokens.list.get(name).is_some().then_some(rule)
}

fn rule(tokens: &Tokens<'_>, range: Range<usize>) -> Option<Rule> {
    let mut name = range.start;
    if tokens.is(name, "default") {
        name += 1;
    }
    if tokens.list.get(name)?.class != Class::Word {
        return None;
    }
    let mut at = name + 1;
    while tokens.is(at, ".") {
        at += 2;
    }
    let mut parameters = None;
    let mut output = Output::True;
    if tokens.is(at, "(") {
        let end = tokens.counterpart(at)?;
        parameters = Some(at + 1..end);
        at = end + 1;
    } else if tokens.is(at, "[") {
        at = tokens.counterpart(at)? + 1;
        // Before `if`, what stands in the brackets is the key of an entry whose value is true.
        output = if tokens.is(at, "if") { Output::Entries } else { Output::Members };
    } else if tokens.is(at, "contains") {
        at = expression::read(tokens, at + 1)?.range.end;
        output = Output::Members;
    }
    if tokens.is(at, "=") || tokens.is(at, ":=") {
        let value = expression::read(tokens, at + 1)?.range;
        at = value.end;
        output = if output == Output::Members { Output::Entries } else { Output::Value(value) };
    }
    let mut rule = Rule { range, name, parameters, output, head_end: at, bodies: Vec::new(), has_else: false };
    bodies(tokens, &mut rule, at);
    Some(rule)
}

fn bodies(tokens: &Tokens<'_>, rule: &mut Rule, from: usize) {
    let mut at = from;
    while at < rule.range.end {
        if tokens.is(at, "if") || tokens.is(at, ";") {
            at += 1;
        } else if tokens.is(at, "else") {
            rule.has_else = true;
            at += 1;
            if tokens.is(at, "=") || tokens.is(at, ":=") {
                at = expression::read(tokens, at + 1).map_or(rule.range.end, |value| value.range.end);
            }
        } else if tokens.is(at, "{") {
            let Some(end) = tokens.counterpart(at) else { return };
            rule.bodies.push(at + 1..end);
            at = end + 1;
        } else {
            rule.bodies.push(at..rule.range.end);
            return;
        }
    }
}
