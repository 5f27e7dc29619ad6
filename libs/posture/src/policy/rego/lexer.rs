use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Word,
    Number,
    Text,
    Sign,
}

/// One token of a module.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) class: Class,
    /// Bytes of the source.
    pub(super) span: Range<usize>,
    /// Whether it is the first on its line.
    pub(super) first_on_line: bool,
    /// Whether nothing stands between it and the token before.
    pub(super) adjacent: bool,
}

/// A module as tokens, comments left out. What no token can be is left to the parser to complain about.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    pub(super) source: &'a str,
    pub(super) list: Vec<Token>,
    /// For each bracket, the index of its counterpart.
    counterpart: Vec<Option<usize>>,
    /// Deepest nesting of brackets other than braces.
    pub(super) nesting: usize,
}

impl<'a> Tokens<'a> {
    /// Reads a module.
    pub(super) fn read(source: &'a str) -> Self {
        let bytes = source.as_bytes();
        let mut list: Vec<Token> = Vec::new();
        let mut at = 0;
        let mut first_on_line = true;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\n' => {
                    first_on_line = true;
                    at += 1;
                    continue;
                }
                b'#' => {
                    at += source[at..].find('\n').unwrap_or(source.len() - at);
                    continue;
                }
                byte if byte.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let (class, length) = token(&source[at..]);
            let adjacent = list.last().is_some_and(|last| last.span.end == at);
            list.push(Token { class, span: at..at + length, first_on_line, adjacent });
            first_on_line = false;
            at += length;
        }
        let (counterpart, nesting) = pair(source, &list);
        Self { source, list, counterpart, nesting }
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The text of a token; empty past the end.
    pub(super) fn text(&self, index: usize) -> &'a str {
        self.list.get(index).map_or("", |token| &self.source[token.span.clone()])
    }

    /// Whether a token is a word, with this text.
    pub(super) fn is(&self, index: usize, text: &str) -> bool {
        self.list.get(index).is_some_and(|token| token.class != Class::Text) && self.text(index) == text
    }

    /// Whether a token is a name: a word that follows no dot.
    pub(super) fn is_name(&self, index: usize) -> bool {
        self.list.get(index).is_some_and(|token| token.class == Class::Word)
            && !(index > 0 && self.is(index - 1, ".") && self.list[index].adjacent)
    }

    /// The closing bracket of an opening one, and the other way round.
    pub(super) fn counterpart(&self, index: usize) -> Option<usize> {
        self.counterpart.get(index).copied().flatten()
    }

    /// The bytes that a range of tokens covers.
    pub(super) fn bytes(&self, range: Range<usize>) -> Range<usize> {
        self.list[range.start].span.start..self.list[range.end - 1].span.end
    }

    /// A range of tokens on one line, comments left out.
    pub(super) fn inline(&self, range: Range<usize>) -> String {
        let mut line = String::new();
        for index in range {
            if !line.is_empty() && !self.list[index].adjacent {
                line.push(' ');
            }
            line.push_str(self.text(index));
        }
        line
    }

    /// What a string token stands for; `None` for other tokens and for what JSON does not know.
    pub(super) fn string(&self, index: usize) -> Option<String> {
        let token = self.list.get(index).filter(|token| token.class == Class::Text)?;
        let text = &self.source[token.span.clone()];
        match text.strip_prefix('`') {
            Some(raw) => Some(raw.trim_end_matches('`').to_owned()),
            None => serde_json::from_str(text).ok(),
        }
    }
}

fn token(rest: &str) -> (Class, usize) {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = rest.as_bytes()[0];
    if first == b'"' {
        return (Class::Text, quoted(rest));
    }
    if first == b'`' {
        return (Class::Text, rest[1..].find('`').map_or(rest.len(), |end| end + 2));
    }
    if first.is_ascii_digit() {
        let bytes = rest.as_bytes();
        let number = |at: &usize| {
            let signed = matches!(bytes[*at], b'+' | b'-') && matches!(bytes[*at - 1], b'e' | b'E');
            word(bytes[*at]) || bytes[*at] == b'.' || signed
        };
        return (Class::Number, 1 + (1..bytes.len()).take_while(number).count());
    }
    if word(first) {
        return (Class::Word, rest.bytes().take_while(|byte| word(*byte)).count());
    }
    let pair = rest.get(..2).is_some_and(|sign| matches!(sign, ":=" | "==" | "!=" | "<=" | ">="));
    (Class::Sign, if pair { 2 } else { rest.chars().next().map_or(1, char::len_utf8) })
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return index,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

fn pair(source: &str, list: &[Token]) -> (Vec<Option<usize>>, usize) {
    let mut counterpart = vec![None; list.len()];
    let mut open: Vec<usize> = Vec::new();
    let mut nesting = 0;
    for (index, token) in list.iter().enumerate().filter(|(_, token)| token.class == Class::Sign) {
        match &source[token.span.clone()] {
            "(" | "[" | "{" => {
                open.push(index);
                nesting = nesting.max(open.len());
            }
            ")" | "]" | "}" => {
                if let Some(start) = open.pop() {
                    counterpart[start] = Some(index);
                    counterpart[index] = Some(start);
                }
            }
            _ => {}
        }
    }
    (counterpart, nesting)
}
