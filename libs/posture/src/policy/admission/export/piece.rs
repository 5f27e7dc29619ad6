use std::fmt::Write;

/// How tightly the outermost operator of an expression binds.
pub(super) mod binds {
    pub(in super::super) const CHOICE: u8 = 0;
    pub(in super::super) const OR: u8 = 1;
    pub(in super::super) const AND: u8 = 2;
    pub(in super::super) const RELATION: u8 = 3;
    pub(in super::super) const SUM: u8 = 4;
    pub(in super::super) const PRODUCT: u8 = 5;
    pub(in super::super) const UNARY: u8 = 6;
    pub(in super::super) const MEMBER: u8 = 7;
}

/// What the API server's type checker knows of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Type {
    /// Nothing: fields of objects, and what is made of them.
    Dyn,
    Bool,
    Int,
    Uint,
    Double,
    Str,
    List(Box<Type>),
    Map,
    Optional(Box<Type>),
}

impl Type {
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// Whether values of both types may stand in each other's place.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _) | (_, Self::Dyn) => true,
            (Self::List(left), Self::List(right)) | (Self::Optional(left), Self::Optional(right)) => left.fits(right),
            (left, right) => left == right,
        }
    }

    /// The type of what is of either.
    pub(super) fn either(self, other: &Self) -> Self {
        if self == *other { self } else { Self::Dyn }
    }

    /// The type of what a macro visits.
    pub(super) fn item(&self) -> Self {
        match self {
            Self::List(item) => (**item).clone(),
            _ => Self::Dyn,
        }
    }
}

/// A value that is known when the policy is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Constant {
    Bool(bool),
    Int(i64),
    Str(String),
    /// A list of which the length is known.
    Length(usize),
}

/// A part of an expression as the API server reads it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) text: String,
    binds: u8,
    pub(super) r#type: Type,
    pub(super) constant: Option<Constant>,
    /// Of which this is the negation.
    opposite: Option<Box<Piece>>,
}

impl Piece {
    pub(super) fn new(text: String, binds: u8, r#type: Type) -> Self {
        Self { text, binds, r#type, constant: None, opposite: None }
    }

    /// A name, a call, or a field of something.
    pub(super) fn member(text: String, r#type: Type) -> Self {
        Self::new(text, binds::MEMBER, r#type)
    }

    pub(super) fn bool(flag: bool) -> Self {
        Self { constant: Some(Constant::Bool(flag)), ..Self::member(flag.to_string(), Type::Bool) }
    }

    pub(super) fn int(int: i64) -> Self {
        let binds = if int < 0 { binds::UNARY } else { binds::MEMBER };
        Self { constant: Some(Constant::Int(int)), ..Self::new(int.to_string(), binds, Type::Int) }
    }

    pub(super) fn str(text: &str) -> Self {
        Self { constant: Some(Constant::Str(text.to_owned())), ..Self::member(quote(text), Type::Str) }
    }

    /// A list whose length is known.
    pub(super) fn of_length(self, length: usize) -> Self {
        Self { constant: Some(Constant::Length(length)), ..self }
    }

    /// The text, in parentheses where it would fall apart among operators that bind as `binds` does.
    pub(super) fn at(&self, binds: u8) -> String {
        if self.binds >= binds { self.text.clone() } else { format!("({})", self.text) }
    }

    /// Whether it is known to hold, or not to.
    pub(super) fn flag(&self) -> Option<bool> {
        match self.constant {
            Some(Constant::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    pub(super) fn negated(&self) -> Self {
        match (self.flag(), &self.opposite) {
            (Some(flag), _) => Self::bool(!flag),
            (None, Some(opposite)) => (**opposite).clone(),
            (None, None) => {
                let negation = Self::new(format!("!{}", self.at(binds::MEMBER)), binds::UNARY, Type::Bool);
                Self { opposite: Some(Box::new(self.clone())), ..negation }
            }
        }
    }

    /// A text, whatever the type checker takes it for.
    pub(super) fn as_text(&self) -> String {
        if self.r#type == Type::Str { self.text.clone() } else { format!("string({})", self.text) }
    }
}

/// Any of them holds; `None` where that is known to be false.
pub(super) fn any(pieces: Vec<Piece>) -> Option<Piece> {
    let mut open: Vec<Piece> = pieces.into_iter().filter(|piece| piece.flag() != Some(false)).collect();
    if let Some(certain) = open.iter().position(|piece| piece.flag() == Some(true)) {
        return Some(open.swap_remove(certain));
    }
    match open.len() {
        0 | 1 => open.pop(),
        _ => {
            let parts: Vec<String> = open.iter().map(|piece| piece.at(binds::OR)).collect();
            Some(Piece::new(parts.join(" || "), binds::OR, Type::Bool))
        }
    }
}

/// A literal of CEL.
pub(super) fn quote(text: &str) -> String {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(mark);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\\' => quoted.push_str("\\\\"),
            c if c == mark => quoted.extend(['\\', c]),
            c if c.is_control() => {
                // Writing to a string cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push(mark);
    quoted
}
