use std::fmt;

/// Why an expression was refused when it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Line in the expression, from 1.
    pub(crate) line: usize,
    /// Column in the line, from 1, in characters.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
}

impl SyntaxError {
    pub(super) fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(source, offset);
        Self { line, column, message: message.into() }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// Line and column, both from 1, of a byte offset.
pub(super) fn position(source: &str, offset: usize) -> (usize, usize) {
    let mut line = 1;
    let mut column = 1;
    for (_, c) in source.char_indices().take_while(|(at, _)| *at < offset) {
        if c == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
    (line, column)
}

/// Why an expression gave no value. Cheap to make: `&&` and `||` absorb errors as a matter of course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EvalError {
    /// Byte offset of the failing node in its expression.
    pub(crate) at: u32,
    /// Which expression of the control `at` is in: `0` the one that was run, `n + 1` the `n`-th `let`.
    pub(crate) in_let: u16,
    /// What went wrong.
    pub(crate) kind: ErrorKind,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// A map has no such key, an object no such field.
    NoSuchKey,
    /// No overload of the operator or function takes these types.
    NoSuchOverload,
    /// An index outside the list or string.
    OutOfRange,
    /// Division or remainder by zero.
    DivisionByZero,
    /// The result does not fit.
    Overflow,
    /// Values without an order were compared.
    NotComparable,
    /// A text that does not spell the wanted value.
    Conversion,
    /// A pattern that is no regular expression.
    Pattern,
    /// The value of an empty optional was taken.
    EmptyOptional,
    /// A key was given twice.
    DuplicateKey,
    /// The step budget ran out. Never absorbed.
    Budget,
    /// The neighbours of this index were not listed completely.
    Unread(u16),
    /// A fact of the request is not known.
    Missing(Missing),
}

/// What of an admission request may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The object before the change.
    OldObject,
    /// Who asks.
    User,
    /// The options of the request.
    Options,
    /// The object's namespace.
    Namespace,
    /// Who may do what.
    Authorizer,
}

impl Missing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::OldObject => "the object before the change is not known",
            Self::User => "the user of the request is not known",
            Self::Options => "the options of the request are not known",
            Self::Namespace => "the namespace of the object is not known",
            Self::Authorizer => "there is no authorizer to ask",
        }
    }
}

impl ErrorKind {
    /// The kind in words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchKey => "no such key",
            Self::NoSuchOverload => "no matching overload",
            Self::OutOfRange => "index out of range",
            Self::DivisionByZero => "division by zero",
            Self::Overflow => "overflow",
            Self::NotComparable => "values are not comparable",
            Self::Conversion => "conversion failed",
            Self::Pattern => "invalid regular expression",
            Self::EmptyOptional => "value of an empty optional",
            Self::DuplicateKey => "repeated key",
            Self::Budget => "step budget exhausted",
            Self::Unread(_) => "neighbours were not read",
            Self::Missing(missing) => missing.as_str(),
        }
    }

    /// Whether a fact is missing, rather than a mistake made: it outweighs other errors, and no optional hides it.
    pub(super) const fn is_missing(self) -> bool {
        matches!(self, Self::Unread(_) | Self::Missing(_))
    }
}

/// Text around `offset`, for messages.
pub(super) fn excerpt(source: &str, offset: usize) -> String {
    let rest = source.get(offset..).unwrap_or_default();
    rest.chars().take_while(|c| *c != '\n').take(40).collect()
}

impl EvalError {
    /// The error in words, with position and the text found there.
    pub(crate) fn render(self, source: &str) -> String {
        let (line, column) = position(source, self.at as usize);
        format!("{} at {line}:{column} (`{}`)", self.kind.as_str(), excerpt(source, self.at as usize))
    }
}
