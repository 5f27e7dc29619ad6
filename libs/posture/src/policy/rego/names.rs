use std::ops::Range;

use super::edits::Edits;
use super::lexer::Tokens;
use super::module::Module;

/// The name under which the inventory is handed over: as a part of the input it needs no preparation.
pub(super) const INVENTORY: &str = "input.__inventory";

/// Puts names in the place of others, and leaves out what prints.
pub(super) fn rewrite(tokens: &Tokens<'_>, module: &Module, edits: &mut Edits) {
    let own = |name: &str| module.rules.iter().any(|rule| tokens.is(rule.name, name));
    let (prints, matches) = (own("print"), own("re_match"));
    for index in 0..tokens.len() {
        if let Some((length, name)) = other_name(tokens, index).filter(|(_, name)| *name == INVENTORY || !matches) {
            edits.replace(tokens.source, tokens.bytes(index..index + length), name);
        }
        if tokens.is_name(index)
            && tokens.is(index, "print")
            && !prints
            && let Some(end) = tokens.counterpart(index + 1).filter(|end| *end > index + 1 && tokens.is(*end, ")"))
        {
            edits.replace_all(tokens.source, tokens.bytes(index..end + 1), "true");
        }
    }
}

/// A range of tokens on one line, with the other names.
pub(super) fn inline(tokens: &Tokens<'_>, range: Range<usize>) -> String {
    let mut line = String::new();
    let mut at = range.start;
    while at < range.end {
        if !line.is_empty() && !tokens.list[at].adjacent {
            line.push(' ');
        }
        let (length, text) = other_name(tokens, at).unwrap_or((1, tokens.text(at)));
        line.push_str(text);
        at += length;
    }
    line
}

/// The name to write for the tokens from `index`, and how many of them go.
fn other_name(tokens: &Tokens<'_>, index: usize) -> Option<(usize, &'static str)> {
    if !tokens.is_name(index) {
        return None;
    }
    if tokens.is(index, "re_match") && tokens.is(index + 1, "(") {
        return Some((1, "regex.match"));
    }
    if !tokens.is(index, "data") {
        return None;
    }
    if tokens.is(index + 1, ".") && tokens.is(index + 2, "inventory") {
        return Some((3, INVENTORY));
    }
    let bracketed = tokens.is(index + 1, "[") && tokens.string(index + 2).as_deref() == Some("inventory");
    bracketed.then_some((4, INVENTORY))
}
