use std::cmp::Ordering;

use serde_json::Value;

use super::compare::order;
use super::error::{ErrorKind, EvalError};
use super::eval::{Outcome, Run, error};
use super::ir::{Binary, Node};
use super::value::Val;

impl<'a> Run<'a> {
    pub(super) fn select(&self, operand: &Val<'a>, field: &'a str, node: &Node) -> Outcome<'a> {
        match operand {
            Val::Json(Value::Object(map)) => map.get(field).map(Val::of),
            Val::Map(_) => self.entry(operand, &Val::text(field), node)?,
            _ => return Err(error(node, ErrorKind::NoSuchOverload)),
        }
        .ok_or_else(|| error(node, ErrorKind::NoSuchKey))
    }

    pub(super) fn has(&self, operand: &Val<'a>, field: &'a str, node: &Node) -> Result<bool, EvalError> {
        match self.select(operand, field, node) {
            Ok(_) => Ok(true),
            Err(EvalError { kind: ErrorKind::NoSuchKey, .. }) => Ok(false),
            // Kubernetes asks whether a value has the field, and no list is asked so.
            Err(EvalError { kind: ErrorKind::NoSuchOverload, .. }) if self.is_policy() && !operand.is_list() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn index(&self, operand: &Val<'a>, index: &Val<'a>, node: &Node) -> Outcome<'a> {
        if operand.map_len().is_some() {
            key(index, node)?;
            return self.entry(operand, index, node)?.ok_or_else(|| error(node, ErrorKind::NoSuchKey));
        }
        if operand.list_len().is_none() {
            return Err(error(node, ErrorKind::NoSuchOverload));
        }
        let position = match index {
            Val::Int(int) => usize::try_from(*int).ok(),
            Val::Uint(uint) => usize::try_from(*uint).ok(),
            Val::Double(double) if double.fract() == 0.0 && *double >= 0.0 => Some(*double as usize),
            _ => return Err(error(node, ErrorKind::NoSuchOverload)),
        };
        position.and_then(|position| operand.item(position)).ok_or_else(|| error(node, ErrorKind::OutOfRange))
    }

    pub(super) fn binary(&self, binary: Binary, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Outcome<'a> {
        let ordered = |holds: fn(Ordering) -> bool| order(left, right, node).map(|order| Val::Bool(holds(order)));
        match binary {
            Binary::Equal => self.equal(left, right, node).map(Val::Bool),
            Binary::NotEqual => self.equal(left, right, node).map(|equal| Val::Bool(!equal)),
            Binary::Less => ordered(Ordering::is_lt),
            Binary::LessEqual => ordered(Ordering::is_le),
            Binary::Greater => ordered(Ordering::is_gt),
            Binary::GreaterEqual => ordered(Ordering::is_ge),
            Binary::In => self.contains(right, left, node).map(Val::Bool),
            Binary::Add => self.add(left, right, node),
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                arithmetic(binary, left, right, node)
            }
        }
    }

    /// `item in container`.
    fn contains(&self, container: &Val<'a>, item: &Val<'a>, node: &Node) -> Result<bool, EvalError> {
        if container.map_len().is_some() {
            key(item, node)?;
            return Ok(self.entry(container, item, node)?.is_some());
        }
        let length = container.list_len().ok_or_else(|| error(node, ErrorKind::NoSuchOverload))?;
        for index in 0..length {
            if let Some(known) = container.item(index)
                && self.equal(&known, item, node)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn add(&self, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Outcome<'a> {
        let overflow = || error(node, ErrorKind::Overflow);
        Ok(match (left, right) {
            (Val::Int(a), Val::Int(b)) => Val::Int(a.checked_add(*b).ok_or_else(overflow)?),
            (Val::Uint(a), Val::Uint(b)) => Val::Uint(a.checked_add(*b).ok_or_else(overflow)?),
            (Val::Double(a), Val::Double(b)) => Val::Double(a + b),
            (Val::Str(a), Val::Str(b)) => {
                self.charge(node, (a.as_str().len() + b.as_str().len()) / 16)?;
                Val::owned([a.as_str(), b.as_str()].concat())
            }
            (Val::Timestamp(a), Val::Duration(b)) | (Val::Duration(b), Val::Timestamp(a)) => {
                Val::Timestamp(a.checked_add_signed(*b).ok_or_else(overflow)?)
            }
            (Val::Duration(a), Val::Duration(b)) => Val::Duration(a.checked_add(b).ok_or_else(overflow)?),
            _ => {
                let (Some(a), Some(b)) = (left.list_len(), right.list_len()) else {
                    return Err(error(node, ErrorKind::NoSuchOverload));
                };
                self.charge(node, a + b)?;
                let items = (0..a).filter_map(|index| left.item(index));
                Val::List(items.chain((0..b).filter_map(|index| right.item(index))).collect())
            }
        })
    }
}

/// Fails on what cannot be a key of a map.
fn key(value: &Val<'_>, node: &Node) -> Result<(), EvalError> {
    match value {
        Val::Str(_) | Val::Int(_) | Val::Uint(_) | Val::Double(_) | Val::Bool(_) => Ok(()),
        _ => Err(error(node, ErrorKind::NoSuchOverload)),
    }
}

fn arithmetic<'a>(binary: Binary, left: &Val<'a>, right: &Val<'a>, node: &Node) -> Outcome<'a> {
    let zero = matches!(right, Val::Int(0) | Val::Uint(0)) && matches!(binary, Binary::Divide | Binary::Remainder);
    let same = matches!((left, right), (Val::Int(_), Val::Int(_)) | (Val::Uint(_), Val::Uint(_)));
    if zero && same {
        return Err(error(node, ErrorKind::DivisionByZero));
    }
    let overflow = || error(node, ErrorKind::Overflow);
    Ok(match (left, right) {
        (Val::Int(a), Val::Int(b)) => Val::Int(
            match binary {
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .ok_or_else(overflow)?,
        ),
        (Val::Uint(a), Val::Uint(b)) => Val::Uint(
            match binary {
                Binary::Subtract => a.checked_sub(*b),
                Binary::Multiply => a.checked_mul(*b),
                Binary::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            }
            .ok_or_else(overflow)?,
        ),
        (Val::Double(a), Val::Double(b)) if binary != Binary::Remainder => Val::Double(match binary {
            Binary::Subtract => a - b,
            Binary::Multiply => a * b,
            _ => a / b,
        }),
        (Val::Timestamp(a), Val::Timestamp(b)) if binary == Binary::Subtract => {
            Val::Duration(a.signed_duration_since(*b))
        }
        (Val::Timestamp(a), Val::Duration(b)) if binary == Binary::Subtract => {
            Val::Timestamp(a.checked_sub_signed(*b).ok_or_else(overflow)?)
        }
        (Val::Duration(a), Val::Duration(b)) if binary == Binary::Subtract => {
            Val::Duration(a.checked_sub(b).ok_or_else(overflow)?)
        }
        _ => return Err(error(node, ErrorKind::NoSuchOverload)),
    })
}
