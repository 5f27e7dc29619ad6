use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};
use rampart_content::minor_version;

use super::piece::{Constant, Piece, Type, any, binds};
use super::translate::{Told, Translator, because, optional_field};

/// Operators that have a counterpart of their own.
const OPERATORS: [&str; 12] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::CONDITIONAL,
    operators::NEGATE,
    operators::INDEX,
    operators::OPT_INDEX,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
];

/// Methods that the API server has too, with the type that they give.
fn method(name: &str, args: usize) -> Option<Type> {
    Some(match (name, args) {
        ("startsWith" | "endsWith" | "contains" | "matches", 1) | ("hasValue", 0) => Type::Bool,
        ("size", 0) | ("indexOf" | "lastIndexOf", 1) => Type::Int,
        ("lowerAscii" | "upperAscii" | "trim", 0)
        | ("charAt", 1)
        | ("join", 0 | 1)
        | ("substring", 1 | 2)
        | ("replace", 2 | 3) => Type::Str,
        ("split", 1 | 2) => Type::list(Type::Str),
        ("value", 0) => Type::Dyn,
        _ => return None,
    })
}

/// Functions likewise.
fn function(name: &str, args: usize) -> Option<Type> {
    Some(match (name, args) {
        ("size" | "int", 1) => Type::Int,
        ("string", 1) => Type::Str,
        ("double", 1) => Type::Double,
        ("bool", 1) | ("matches", 2) => Type::Bool,
        ("dyn" | "type", 1) => Type::Dyn,
        _ => return None,
    })
}

impl Translator<'_> {
    pub(super) fn call(&mut self, call: &CallExpr) -> Told {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [operand, field]) if name == operators::OPT_SELECT => self.optional(operand, field),
            (None, [arg]) if name == "has" => self.has(arg),
            (None, [arg]) if name == "minor" => match self.piece(arg)?.constant {
                Some(Constant::Str(version)) if let Some(minor) = minor_version(&version) => {
                    Ok(Piece::int(i64::from(minor)))
                }
                _ => because("takes apart a version that only the object tells"),
            },
            (None, [left, right]) if let Some((word, level)) = relation(name) => self.relate(word, level, left, right),
            (None, args) if let Some(piece) = self.operator(name, args)? => Ok(piece),
            (Some(target), [local, bodies @ ..]) if is_macro(name, bodies.len()) => {
                self.visit(target, name, local, bodies)
            }
            (Some(target), [other]) if name == "orValue" => {
                let (target, other) = (self.piece(target)?, self.piece(other)?);
                let r#type = if let Type::Optional(of) = &target.r#type { (**of).clone() } else { Type::Dyn };
                Ok(Piece::member(format!("{}.orValue({})", target.at(binds::MEMBER), other.text), r#type))
            }
            (Some(target), [other]) if name == "or" => {
                let (target, other) = (self.piece(target)?, self.piece(other)?);
                Ok(Piece::member(format!("{}.or({})", target.at(binds::MEMBER), other.text), target.r#type))
            }
            (target, args) => self.plain(target.as_deref(), name, args),
        }
    }

    fn plain(&mut self, target: Option<&IdedExpr>, name: &str, args: &[IdedExpr]) -> Told {
        let found = if target.is_some() { method(name, args.len()) } else { function(name, args.len()) };
        let Some(r#type) = found else {
            return because(format!("uses the function `{name}`, which the API server does not have"));
        };
        let target = target.map(|target| self.piece(target)).transpose()?;
        let args = args.iter().map(|arg| self.piece(arg)).collect::<Told<Vec<_>>>()?;
        if let ("size", [Piece { constant: Some(Constant::Length(length)), .. }]) = (name, args.as_slice()) {
            return Ok(Piece::int(i64::try_from(*length).unwrap_or(i64::MAX)));
        }
        let args: Vec<String> = args.into_iter().map(|arg| arg.text).collect();
        let owner = target.map(|target| format!("{}.", target.at(binds::MEMBER))).unwrap_or_default();
        Ok(Piece::member(format!("{owner}{name}({})", args.join(", ")), r#type))
    }

    fn optional(&mut self, operand: &IdedExpr, field: &IdedExpr) -> Told {
        let Expr::Literal(LiteralValue::String(field)) = &field.expr else { return because("selects no name") };
        if self.root(operand) == Some("resource") {
            return self.fact(field.inner(), ".?");
        }
        let operand = self.piece(operand)?;
        let text = optional_field(&operand.at(binds::MEMBER), field.inner());
        Ok(Piece::member(text, Type::Optional(Box::new(Type::Dyn))))
    }

    fn has(&mut self, arg: &IdedExpr) -> Told {
        let Expr::Select(select) = &arg.expr else { return because("asks for no field") };
        let owner = match self.root(&select.operand) {
            Some("resource") => match select.field.as_str() {
                "name" | "namespace" | "labels" => "object.metadata".to_owned(),
                other => return self.fact(other, ".?"),
            },
            _ => self.piece(&select.operand)?.at(binds::MEMBER),
        };
        Ok(Piece::member(format!("has({owner}.{})", select.field), Type::Bool))
    }

    fn visit(&mut self, target: &IdedExpr, name: &str, local: &IdedExpr, bodies: &[IdedExpr]) -> Told {
        let Expr::Ident(local) = &local.expr else { return because("visits items without a name") };
        let range = self.piece(target)?;
        let item = range.r#type.item();
        let mut texts = vec![local.clone()];
        let mut last = Type::Dyn;
        for body in bodies {
            let piece = self.each(local, item.clone(), body)?;
            texts.push(piece.text);
            last = piece.r#type;
        }
        let r#type = match name {
            "all" | "exists" | "exists_one" | "existsOne" => Type::Bool,
            "filter" => Type::list(item),
            "map" => Type::list(last),
            _ => Type::Dyn,
        };
        let name = if name == "existsOne" { "exists_one" } else { name };
        Ok(Piece::member(format!("{}.{name}({})", range.at(binds::MEMBER), texts.join(", ")), r#type))
    }

    fn operator(&mut self, name: &str, args: &[IdedExpr]) -> Told<Option<Piece>> {
        if !OPERATORS.contains(&name) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        for (index, arg) in args.iter().enumerate() {
            // What is known not to be evaluated needs no words.
            let decided = pieces.first().and_then(Piece::flag);
            let skipped = match (name, index, decided) {
                (operators::CONDITIONAL, 1, Some(flag)) | (operators::LOGICAL_AND, 1.., Some(flag)) => !flag,
                (operators::CONDITIONAL, 2, Some(flag)) | (operators::LOGICAL_OR, 1.., Some(flag)) => flag,
                _ => false,
            };
            pieces.push(if skipped { Piece::bool(false) } else { self.piece(arg)? });
        }
        let piece = match (name, pieces.as_slice()) {
            (operators::LOGICAL_NOT, [flag]) => flag.negated(),
            (operators::LOGICAL_OR, _) => any(pieces).unwrap_or_else(|| Piece::bool(false)),
            (operators::LOGICAL_AND, _) => all(pieces),
            (operators::CONDITIONAL, [condition, yes, no]) => match condition.flag() {
                Some(true) => yes.clone(),
                Some(false) => no.clone(),
                None if !yes.r#type.fits(&no.r#type) => return because("gives values of different types"),
                None => {
                    let text =
                        format!("{} ? {} : {}", condition.at(binds::OR), yes.at(binds::OR), no.at(binds::CHOICE));
                    Piece::new(text, binds::CHOICE, yes.r#type.clone().either(&no.r#type))
                }
            },
            (operators::NEGATE, [Piece { constant: Some(Constant::Int(int)), .. }]) => Piece::int(-int),
            (operators::NEGATE, [value]) => {
                Piece::new(format!("-{}", value.at(binds::MEMBER)), binds::UNARY, value.r#type.clone())
            }
            (operators::INDEX, [owner, index]) => {
                let item = if let Type::List(item) = &owner.r#type { (**item).clone() } else { Type::Dyn };
                Piece::member(format!("{}[{}]", owner.at(binds::MEMBER), index.text), item)
            }
            (operators::OPT_INDEX, [owner, index]) => {
                let r#type = Type::Optional(Box::new(Type::Dyn));
                Piece::member(format!("{}[?{}]", owner.at(binds::MEMBER), index.text), r#type)
            }
            (_, [left, right]) => arithmetic(name, left, right)?,
            _ => return Ok(None),
        };
        Ok(Some(piece))
    }

    fn relate(&mut self, word: &str, level: u8, left: &IdedExpr, right: &IdedExpr) -> Told {
        if let (Some(left), Some(right)) = (quantity(left), quantity(right)) {
            let (left, right) = (self.piece(left)?.as_text(), self.piece(right)?.as_text());
            let text = format!("quantity({left}).compareTo(quantity({right})) {word} 0");
            return Ok(Piece::new(text, level, Type::Bool));
        }
        let (left, right) = (self.piece(left)?, self.piece(right)?);
        let ordering = match (&left.constant, &right.constant) {
            (Some(Constant::Int(left)), Some(Constant::Int(right))) => Some(left.cmp(right)),
            (Some(Constant::Str(left)), Some(Constant::Str(right))) => Some(left.cmp(right)),
            (Some(Constant::Bool(left)), Some(Constant::Bool(right))) => Some(left.cmp(right)),
            _ => None,
        };
        let decided = ordering.and_then(|ordering| {
            Some(match word {
                "==" => ordering.is_eq(),
                "!=" => ordering.is_ne(),
                "<" => ordering.is_lt(),
                "<=" => ordering.is_le(),
                ">" => ordering.is_gt(),
                ">=" => ordering.is_ge(),
                _ => return None,
            })
        });
        if let Some(flag) = decided {
            return Ok(Piece::bool(flag));
        }
        let fits = if word == "in" { right.r#type.item().fits(&left.r#type) } else { left.r#type.fits(&right.r#type) };
        if !fits {
            return because("compares values of different types");
        }
        Ok(Piece::new(format!("{} {word} {}", left.at(level + 1), right.at(level + 1)), level, Type::Bool))
    }
}

fn all(pieces: Vec<Piece>) -> Piece {
    if pieces.iter().any(|piece| piece.flag() == Some(false)) {
        return Piece::bool(false);
    }
    let mut open: Vec<Piece> = pieces.into_iter().filter(|piece| piece.flag().is_none()).collect();
    match open.len() {
        0 => Piece::bool(true),
        1 => open.remove(0),
        _ => {
            let parts: Vec<String> = open.iter().map(|piece| piece.at(binds::AND)).collect();
            Piece::new(parts.join(" && "), binds::AND, Type::Bool)
        }
    }
}

fn arithmetic(name: &str, left: &Piece, right: &Piece) -> Told {
    let (word, level) = match name {
        operators::ADD => ("+", binds::SUM),
        operators::SUBSTRACT => ("-", binds::SUM),
        operators::MULTIPLY => ("*", binds::PRODUCT),
        operators::DIVIDE => ("/", binds::PRODUCT),
        _ => ("%", binds::PRODUCT),
    };
    if !left.r#type.fits(&right.r#type) {
        return because("adds values of different types");
    }
    // A text can only be added to a text.
    let r#type = match (&left.r#type, &right.r#type) {
        (Type::Str, Type::Dyn) | (Type::Dyn, Type::Str) => Type::Str,
        (left, right) => left.clone().either(right),
    };
    Ok(Piece::new(format!("{} {word} {}", left.at(level), right.at(level + 1)), level, r#type))
}

fn is_macro(name: &str, bodies: usize) -> bool {
    match name {
        "all" | "exists" | "exists_one" | "existsOne" | "filter" | "optMap" | "optFlatMap" => bodies == 1,
        "map" => matches!(bodies, 1 | 2),
        _ => false,
    }
}

fn relation(name: &str) -> Option<(&'static str, u8)> {
    let word = match name {
        operators::EQUALS => "==",
        operators::NOT_EQUALS => "!=",
        operators::LESS => "<",
        operators::LESS_EQUALS => "<=",
        operators::GREATER => ">",
        operators::GREATER_EQUALS => ">=",
        operators::IN => "in",
        _ => return None,
    };
    Some((word, binds::RELATION))
}

/// What `quantity` is asked about.
fn quantity(expr: &IdedExpr) -> Option<&IdedExpr> {
    match &expr.expr {
        Expr::Call(call) if call.func_name == "quantity" && call.target.is_none() => call.args.first(),
        _ => None,
    }
}
