use cel::common::ast::{EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr};
use indexmap::IndexMap;
use rampart_content::{Parameter, ParameterType};
use serde_json::{Map, Value};

use super::piece::{Piece, Type, quote};

/// Why an expression cannot be said to the API server.
#[derive(Debug, Clone)]
pub(super) enum Untold {
    /// It looks at an element, where there is none.
    Element,
    /// In words.
    Because(String),
}

pub(super) type Told<T = Piece> = Result<T, Untold>;

pub(super) fn because<T>(reason: impl Into<String>) -> Told<T> {
    Err(Untold::Because(reason.into()))
}

/// A named expression of the control.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) source: IdedExpr,
    /// As a variable of the policy; what looks at an element stands in place of its name.
    pub(super) variable: Told,
}

/// What the expressions of a control stand on.
pub(super) struct Ground<'c> {
    pub(super) declared: &'c IndexMap<String, Parameter>,
    pub(super) params: &'c Map<String, Value>,
    /// The word for the kind of the object.
    pub(super) kind: Piece,
    pub(super) lets: Vec<Named>,
}

/// The element that is judged.
pub(super) struct Place {
    /// Text for it.
    pub(super) it: String,
    pub(super) name: String,
    pub(super) level: &'static str,
}

/// Translates expressions.
pub(super) struct Translator<'c> {
    ground: &'c Ground<'c>,
    place: Option<&'c Place>,
    locals: Vec<(String, Type)>,
}

/// Words that CEL keeps for itself.
const KEPT: [&str; 24] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "object",
    "package",
    "return",
    "true",
    "var",
    "variables",
    "void",
    "while",
    "it",
];
const TYPES: [&str; 7] = ["bool", "int", "uint", "double", "string", "list", "map"];

impl<'c> Translator<'c> {
    pub(super) fn new(ground: &'c Ground<'c>, place: Option<&'c Place>) -> Self {
        Self { ground, place, locals: Vec::new() }
    }

    pub(super) fn piece(&mut self, expr: &IdedExpr) -> Told {
        match &expr.expr {
            Expr::Literal(literal) => literal_piece(literal),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::List(list) => self.list(list),
            Expr::Map(map) => self.map(map),
            Expr::Call(call) => self.call(call),
            Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => because("uses a message"),
        }
    }

    fn local(&self, name: &str) -> Option<&Type> {
        self.locals.iter().rev().find(|(known, _)| known == name).map(|(_, r#type)| r#type)
    }

    fn ident(&self, name: &str) -> Told {
        if let Some(r#type) = self.local(name) {
            return Ok(Piece::member(name.to_owned(), r#type.clone()));
        }
        match (name, self.place) {
            ("object", _) => Ok(Piece::member("object".into(), Type::Dyn)),
            ("pod" | "template", _) => Ok(Piece::member(format!("variables.{name}"), Type::Dyn)),
            ("now", _) => because("looks at the time, which a policy does not have"),
            ("it" | "name" | "level", None) => Err(Untold::Element),
            ("it", Some(place)) => Ok(Piece::member(place.it.clone(), Type::Dyn)),
            ("name", Some(place)) => Ok(Piece::member(place.name.clone(), Type::Dyn)),
            ("level", Some(place)) => Ok(Piece::str(place.level)),
            _ if TYPES.contains(&name) => Ok(Piece::member(name.to_owned(), Type::Dyn)),
            _ => self.named(name),
        }
    }

    fn named(&self, name: &str) -> Told {
        let Some(named) = self.ground.lets.iter().find(|named| named.name == name) else {
            return because(format!("uses `{name}` as a value"));
        };
        match (&named.variable, self.place) {
            (Ok(piece), _) if piece.constant.is_some() => Ok(piece.clone()),
            (Ok(piece), _) => Ok(Piece::member(format!("variables.{name}"), piece.r#type.clone())),
            (Err(Untold::Element), Some(_)) => Translator::new(self.ground, self.place).piece(&named.source),
            (Err(untold), _) => Err(untold.clone()),
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Told {
        match self.root(&select.operand) {
            Some("params") => self.param(&select.field),
            Some("resource") => self.fact(&select.field, "."),
            _ => {
                let operand = self.piece(&select.operand)?;
                Ok(Piece::member(format!("{}.{}", operand.at(7), select.field), Type::Dyn))
            }
        }
    }

    /// The plain name that is not what a macro visits.
    pub(super) fn root<'e>(&self, expr: &'e IdedExpr) -> Option<&'e str> {
        match &expr.expr {
            Expr::Ident(name) if self.local(name).is_none() => Some(name),
            _ => None,
        }
    }

    fn param(&self, name: &str) -> Told {
        let declared = self.ground.declared.get(name).map(|parameter| parameter.r#type);
        match (self.ground.params.get(name), declared) {
            (Some(Value::Bool(flag)), _) => Ok(Piece::bool(*flag)),
            (Some(Value::String(text)), _) => Ok(Piece::str(text)),
            (Some(Value::Number(number)), _) if let Some(int) = number.as_i64() => Ok(Piece::int(int)),
            (Some(Value::Array(items)), Some(ParameterType::Array)) => {
                let list = Piece::member(format!("variables.{}", param_name(name)), Type::list(Type::Str));
                Ok(list.of_length(items.len()))
            }
            _ => because(format!("uses the parameter `{name}` in a way that a policy has no word for")),
        }
    }

    /// A fact of the resource, after `.` or `.?`.
    pub(super) fn fact(&self, name: &str, dot: &str) -> Told {
        let optional = dot != ".";
        match name {
            "name" | "namespace" | "labels" => {
                let r#type = if optional { Type::Optional(Box::new(Type::Dyn)) } else { Type::Dyn };
                let text = match (name, optional) {
                    ("labels", false) => "object.metadata.?labels.orValue({})".to_owned(),
                    ("name", false) => "object.metadata.?name.orValue('')".to_owned(),
                    _ => format!("object.metadata{dot}{name}"),
                };
                Ok(Piece::member(text, r#type))
            }
            "kind" if !optional => Ok(self.ground.kind.clone()),
            "managed_by" => because("asks who manages the resource, which the object does not tell"),
            "active" => because("asks whether the resource is in use, which the object does not tell"),
            other => because(format!(
                "asks for the {} of the resource, which the object does not tell",
                other.replace('_', " ")
            )),
        }
    }

    fn list(&mut self, list: &ListExpr) -> Told {
        if !list.optional_indices.is_empty() {
            return because("lists optional items");
        }
        let pieces = list.elements.iter().map(|element| self.piece(element)).collect::<Told<Vec<_>>>()?;
        let items: Vec<String> = same(&pieces);
        let first = pieces.first().map(|piece| piece.r#type.clone());
        let item = pieces.iter().fold(first.unwrap_or(Type::Dyn), |all, piece| all.either(&piece.r#type));
        let literal = Piece::member(format!("[{}]", items.join(", ")), Type::list(item));
        Ok(literal.of_length(items.len()))
    }

    fn map(&mut self, map: &MapExpr) -> Told {
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { return because("uses a message") };
            if entry.optional {
                return because("maps optional entries");
            }
            keys.push(self.piece(&entry.key)?);
            values.push(self.piece(&entry.value)?);
        }
        let entries: Vec<String> =
            same(&keys).into_iter().zip(same(&values)).map(|(key, value)| format!("{key}: {value}")).collect();
        Ok(Piece::member(format!("{{{}}}", entries.join(", ")), Type::Map))
    }

    /// Translates what a macro does with each item, which `local` names.
    pub(super) fn each(&mut self, local: &str, item: Type, body: &IdedExpr) -> Told {
        if KEPT.contains(&local) {
            return because(format!("names an item `{local}`"));
        }
        self.locals.push((local.to_owned(), item));
        let piece = self.piece(body);
        self.locals.pop();
        piece
    }
}

/// The variable that holds a list of the parameters.
pub(super) fn param_name(name: &str) -> String {
    format!("param_{name}")
}

/// The items of a literal: the API server wants them of one type.
fn same(pieces: &[Piece]) -> Vec<String> {
    let plain = pieces.windows(2).all(|pair| pair[0].r#type == pair[1].r#type && pair[0].r#type != Type::Dyn);
    let item = |piece: &Piece| if plain { piece.text.clone() } else { format!("dyn({})", piece.text) };
    pieces.iter().map(item).collect()
}

fn literal_piece(literal: &LiteralValue) -> Told {
    Ok(match literal {
        LiteralValue::Boolean(flag) => Piece::bool(*flag.inner()),
        LiteralValue::Int(int) => Piece::int(*int.inner()),
        LiteralValue::UInt(uint) => Piece::member(format!("{}u", uint.inner()), Type::Uint),
        LiteralValue::Double(double) => Piece::member(format!("{:?}", double.inner()), Type::Double),
        LiteralValue::String(text) => Piece::str(text.inner()),
        LiteralValue::Null => Piece::member("null".into(), Type::Dyn),
        LiteralValue::Bytes(_) => return because("uses bytes"),
    })
}

/// A field of `owner` that may be absent, in the form that its name allows.
pub(super) fn optional_field(owner: &str, field: &str) -> String {
    let mut letters = field.chars();
    let plain = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { format!("{owner}.?{field}") } else { format!("{owner}[?{}]", quote(field)) }
}
