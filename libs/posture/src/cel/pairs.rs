use std::cmp::Ordering;

use super::compare::order;
use super::error::{ErrorKind, EvalError};
use super::eval::{Outcome, Run, Scope, error};
use super::ir::{Node, Pairs};
use super::pending::Pending;
use super::value::Val;

impl<'a> Run<'a> {
    /// The macros of two variables: index and item of a list, key and value of a map.
    pub(super) fn pairs(
        &self,
        pairs: Pairs,
        range: &Val<'a>,
        bodies: &'a [Node],
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        let visited = self.visited(range, node)?;
        let run = |body: &'a Node, (key, value): &(Val<'a>, Val<'a>)| {
            self.eval(body, Some(&Scope::new(value, Some(&Scope::new(key, scope)))))
        };
        let test = |pair: &(Val<'a>, Val<'a>)| match run(&bodies[0], pair)? {
            Val::Bool(flag) => Ok(flag),
            _ => Err(error(&bodies[0], ErrorKind::NoSuchOverload)),
        };
        // With two bodies, the first is a filter.
        let (filter, body) = match bodies {
            [filter, body] => (Some(filter), body),
            _ => (None, &bodies[0]),
        };
        let transformed = |pair: &(Val<'a>, Val<'a>)| -> Result<Option<Val<'a>>, EvalError> {
            if filter.is_some() && !test(pair)? {
                return Ok(None);
            }
            run(body, pair).map(Some)
        };
        match pairs {
            Pairs::All | Pairs::Exists => {
                let decides = pairs == Pairs::Exists;
                let mut pending = Pending::default();
                for pair in &visited {
                    match test(pair) {
                        Ok(flag) if flag == decides => return Ok(Val::Bool(decides)),
                        Ok(_) => {}
                        Err(error) => pending.push(error)?,
                    }
                }
                pending.finish(Val::Bool(!decides))
            }
            Pairs::ExistsOne => {
                let mut count = 0_u32;
                for pair in &visited {
                    count += u32::from(test(pair)?);
                }
                Ok(Val::Bool(count == 1))
            }
            Pairs::TransformList => {
                let items = visited.iter().map(transformed).filter_map(Result::transpose);
                items.collect::<Result<_, _>>().map(Val::List)
            }
            Pairs::TransformMap => {
                let entry = |pair: &(Val<'a>, Val<'a>)| Ok(transformed(pair)?.map(|value| (pair.0.clone(), value)));
                let entries = visited.iter().map(entry).filter_map(Result::transpose);
                entries.collect::<Result<_, _>>().map(Val::Map)
            }
            Pairs::TransformMapEntry => {
                let mut entries: Vec<(Val<'a>, Val<'a>)> = Vec::new();
                for pair in &visited {
                    let Some(made) = transformed(pair)? else { continue };
                    for (key, value) in self.entries(&made, body)? {
                        for (known, _) in &entries {
                            if self.equal(known, &key, node)? {
                                return Err(error(body, ErrorKind::DuplicateKey));
                            }
                        }
                        entries.push((key, value));
                    }
                }
                Ok(Val::Map(entries.into()))
            }
        }
    }

    /// What the macros visit.
    fn visited(&self, range: &Val<'a>, node: &Node) -> Result<Vec<(Val<'a>, Val<'a>)>, EvalError> {
        let Some(length) = range.list_len() else { return self.entries(range, node) };
        self.charge(node, length)?;
        Ok((0..length).filter_map(|index| Some((Val::Int(index as i64), range.item(index)?))).collect())
    }

    /// Keys and values of a map.
    fn entries(&self, map: &Val<'a>, node: &Node) -> Result<Vec<(Val<'a>, Val<'a>)>, EvalError> {
        let keys = map.keys().ok_or_else(|| error(node, ErrorKind::NoSuchOverload))?;
        let mut entries = Vec::new();
        for key in keys {
            self.charge(node, 1)?;
            if let Some(value) = self.entry(map, &key, node)? {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    /// `sortBy`: the items in the order of what the body makes of them.
    pub(super) fn sort_by(
        &self,
        list: &Val<'a>,
        body: &'a Node,
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        let length = list.list_len().ok_or_else(|| error(node, ErrorKind::NoSuchOverload))?;
        self.charge(node, length * (usize::BITS - length.leading_zeros()) as usize)?;
        let mut keyed = Vec::with_capacity(length);
        for item in (0..length).filter_map(|index| list.item(index)) {
            keyed.push((self.eval(body, Some(&Scope::new(&item, scope)))?, item));
        }
        if let [(first, _), rest @ ..] = keyed.as_slice() {
            for (key, _) in rest {
                order(first, key, node)?;
            }
        }
        keyed.sort_by(|(a, _), (b, _)| order(a, b, node).unwrap_or(Ordering::Equal));
        Ok(Val::List(keyed.into_iter().map(|(_, item)| item).collect()))
    }
}
