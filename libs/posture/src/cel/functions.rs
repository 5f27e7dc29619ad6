use std::cmp::Ordering;

use super::compare::order;
use super::error::{ErrorKind, EvalError};
use super::eval::{Outcome, Run, Scope, error};
use super::ir::{Function, Node};
use super::patterns::{self, Syntax};
use super::value::Val;
use super::{quantity, strings, time};

impl<'a> Run<'a> {
    pub(super) fn call(
        &self,
        function: Function,
        args: &'a [Node],
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        match args {
            [] => self.apply(function, &[], node),
            [a] => self.apply(function, &[self.eval(a, scope)?], node),
            [a, b] => self.apply(function, &[self.eval(a, scope)?, self.eval(b, scope)?], node),
            [a, b, rest @ ..] => {
                let mut values = vec![self.eval(a, scope)?, self.eval(b, scope)?];
                for arg in rest {
                    values.push(self.eval(arg, scope)?);
                }
                self.apply(function, &values, node)
            }
        }
    }

    /// How the patterns of this run are meant.
    pub(super) fn syntax(&self) -> Syntax {
        if self.is_policy() { Syntax::Re2 } else { Syntax::Own }
    }

    pub(super) fn apply(&self, function: Function, args: &[Val<'a>], node: &'a Node) -> Outcome<'a> {
        let overload = || error(node, ErrorKind::NoSuchOverload);
        let text: usize = args.iter().filter_map(Val::as_str).map(str::len).sum();
        self.charge(node, text / 16)?;
        let pair = || match args {
            [Val::Str(a), Val::Str(b)] => Ok((a.as_str(), b.as_str())),
            _ => Err(overload()),
        };
        match function {
            Function::Size => size(&args[0]).ok_or_else(overload),
            Function::StartsWith => pair().map(|(a, b)| Val::Bool(a.starts_with(b))),
            Function::EndsWith => pair().map(|(a, b)| Val::Bool(a.ends_with(b))),
            Function::Contains => pair().map(|(a, b)| Val::Bool(a.contains(b))),
            Function::Matches => {
                let (text, pattern) = pair()?;
                self.charge(node, 200 + pattern.len())?;
                let matches = patterns::with(pattern, self.syntax(), |regex| regex.is_match(text));
                matches.map(Val::Bool).ok_or_else(|| error(node, ErrorKind::Pattern))
            }
            Function::String | Function::Int | Function::Uint | Function::Double | Function::Bool => {
                convert(function, &args[0], node)
            }
            Function::Type => Ok(Val::Type(args[0].type_name())),
            Function::Dyn => Ok(args[0].clone()),
            Function::Timestamp | Function::Duration => time::convert(function, &args[0], node),
            Function::Value | Function::HasValue | Function::Or | Function::OrValue => optional(function, args, node),
            Function::OptionalOf => Ok(args[0].clone().some()),
            Function::OptionalNone => Ok(Val::NONE),
            Function::OptionalOfNonZero => Ok(if is_zero(&args[0]) { Val::NONE } else { args[0].clone().some() }),
            Function::Distinct => self.distinct(&args[0], node),
            Function::Sort => self.sort(&args[0], node),
            Function::Selects => selects(&args[0], &args[1]).ok_or_else(overload),
            Function::CidrContains => {
                let (network, inner) = pair()?;
                strings::cidr_contains(network, inner).map(Val::Bool).ok_or_else(|| error(node, ErrorKind::Conversion))
            }
            Function::Minor => {
                let version = args[0].as_str().ok_or_else(overload)?;
                let minor =
                    rampart_content::minor_version(version).ok_or_else(|| error(node, ErrorKind::Conversion))?;
                Ok(Val::Int(i64::from(minor)))
            }
            Function::Quantity => quantity::convert(&args[0], node),
            Function::Join => self.join(args, node),
            _ => strings::apply(function, args, node),
        }
    }

    fn join(&self, args: &[Val<'a>], node: &'a Node) -> Outcome<'a> {
        let overload = || error(node, ErrorKind::NoSuchOverload);
        let length = args[0].list_len().ok_or_else(overload)?;
        let separator = args.get(1).map_or(Some(""), Val::as_str).ok_or_else(overload)?;
        let mut joined = String::new();
        for index in 0..length {
            let item = args[0].item(index).ok_or_else(overload)?;
            let item = item.as_str().ok_or_else(overload)?;
            self.charge(node, 1 + item.len() / 16)?;
            if index > 0 {
                joined.push_str(separator);
            }
            joined.push_str(item);
        }
        Ok(Val::owned(joined))
    }

    fn distinct(&self, list: &Val<'a>, node: &'a Node) -> Outcome<'a> {
        let length = list.list_len().ok_or_else(|| error(node, ErrorKind::NoSuchOverload))?;
        let mut kept: Vec<Val<'a>> = Vec::new();
        'items: for item in (0..length).filter_map(|index| list.item(index)) {
            for known in &kept {
                if self.equal(known, &item, node)? {
                    continue 'items;
                }
            }
            kept.push(item);
        }
        Ok(Val::List(kept.into()))
    }

    fn sort(&self, list: &Val<'a>, node: &'a Node) -> Outcome<'a> {
        let length = list.list_len().ok_or_else(|| error(node, ErrorKind::NoSuchOverload))?;
        self.charge(node, length * (usize::BITS - length.leading_zeros()) as usize)?;
        let mut items: Vec<Val<'a>> = (0..length).filter_map(|index| list.item(index)).collect();
        if let [first, rest @ ..] = items.as_slice() {
            for item in rest {
                order(first, item, node)?;
            }
        }
        let mut failed = None;
        items.sort_by(|a, b| {
            order(a, b, node).unwrap_or_else(|error| {
                failed = Some(error);
                Ordering::Equal
            })
        });
        failed.map_or(Ok(Val::List(items.into())), Err)
    }
}

fn size<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    let size = match value {
        Val::Str(text) => text.as_str().chars().count(),
        Val::Bytes(bytes) => bytes.len(),
        _ => value.list_len().or_else(|| value.map_len())?,
    };
    i64::try_from(size).ok().map(Val::Int)
}

fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Int(0) | Val::Uint(0) => true,
        Val::Double(double) => *double == 0.0,
        Val::Str(text) => text.as_str().is_empty(),
        Val::Duration(duration) => duration.is_zero(),
        Val::Optional(inner) => inner.is_none(),
        _ => value.list_len().or_else(|| value.map_len()) == Some(0),
    }
}

fn optional<'a>(function: Function, args: &[Val<'a>], node: &Node) -> Outcome<'a> {
    let Val::Optional(inner) = &args[0] else { return Err(error(node, ErrorKind::NoSuchOverload)) };
    match (function, inner, args.get(1)) {
        (Function::HasValue, inner, _) => Ok(Val::Bool(inner.is_some())),
        (Function::Value, None, _) => Err(error(node, ErrorKind::EmptyOptional)),
        (Function::Or, _, Some(other)) if !matches!(other, Val::Optional(_)) => {
            Err(error(node, ErrorKind::NoSuchOverload))
        }
        (Function::Or, Some(_), _) => Ok(args[0].clone()),
        (_, Some(inner), _) => Ok((**inner).clone()),
        (_, None, Some(other)) => Ok(other.clone()),
        (_, None, None) => Err(error(node, ErrorKind::NoSuchOverload)),
    }
}

pub(super) fn convert<'a>(function: Function, value: &Val<'a>, node: &Node) -> Outcome<'a> {
    let overflow = || error(node, ErrorKind::Overflow);
    let conversion = || error(node, ErrorKind::Conversion);
    Ok(match (function, value) {
        (Function::String, Val::Str(_))
        | (Function::Int, Val::Int(_))
        | (Function::Uint, Val::Uint(_))
        | (Function::Double, Val::Double(_))
        | (Function::Bool, Val::Bool(_)) => value.clone(),
        (Function::String, Val::Bool(flag)) => Val::text(if *flag { "true" } else { "false" }),
        (Function::String, Val::Int(int)) => Val::owned(int.to_string()),
        (Function::String, Val::Uint(uint)) => Val::owned(uint.to_string()),
        (Function::String, Val::Double(double)) => Val::owned(double.to_string()),
        (Function::String, Val::Timestamp(_) | Val::Duration(_)) => time::render(value),
        (Function::Int, Val::Uint(uint)) => Val::Int(i64::try_from(*uint).map_err(|_| overflow())?),
        (Function::Int, Val::Double(double)) => Val::Int(whole(*double, node)?),
        (Function::Int, Val::Str(text)) => Val::Int(text.as_str().parse().map_err(|_| conversion())?),
        (Function::Int, Val::Timestamp(at)) => Val::Int(at.timestamp()),
        (Function::Uint, Val::Int(int)) => Val::Uint(u64::try_from(*int).map_err(|_| overflow())?),
        (Function::Uint, Val::Str(text)) => Val::Uint(text.as_str().parse().map_err(|_| conversion())?),
        (Function::Double, Val::Int(int)) => Val::Double(*int as f64),
        (Function::Double, Val::Uint(uint)) => Val::Double(*uint as f64),
        (Function::Double, Val::Str(text)) => Val::Double(text.as_str().parse().map_err(|_| conversion())?),
        (Function::Bool, Val::Str(text)) => Val::Bool(match text.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "false" | "FALSE" | "False" => false,
            _ => return Err(conversion()),
        }),
        _ => return Err(error(node, ErrorKind::NoSuchOverload)),
    })
}

fn whole(double: f64, node: &Node) -> Result<i64, EvalError> {
    // The bounds are powers of two, so they are exact; i64::MAX itself is not a double.
    let fits = double > i64::MIN as f64 && double < i64::MAX as f64;
    if fits { Ok(double as i64) } else { Err(error(node, ErrorKind::Overflow)) }
}

fn selects<'a>(selector: &Val<'a>, labels: &Val<'a>) -> Option<Val<'a>> {
    let (selector, labels) = (selector.to_json()?, labels.to_json()?);
    Some(Val::Bool(rampart_domain::selects(&selector, labels.as_object()?)))
}
