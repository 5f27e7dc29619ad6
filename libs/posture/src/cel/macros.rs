use super::error::ErrorKind;
use super::eval::{Outcome, Run, Scope, error};
use super::ir::{Iterate, Node};
use super::pending::Pending;
use super::value::Val;

impl<'a> Run<'a> {
    /// The macros over lists and maps (whose keys they visit), and over optionals.
    pub(super) fn iterate(
        &self,
        iterate: Iterate,
        range: &Val<'a>,
        bodies: &'a [Node],
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        if matches!(iterate, Iterate::OptMap | Iterate::OptFlatMap) {
            return self.optional(iterate, range, &bodies[0], node, scope);
        }
        if let Iterate::Pairs(pairs) = iterate {
            return self.pairs(pairs, range, bodies, node, scope);
        }
        if iterate == Iterate::SortBy {
            return self.sort_by(range, &bodies[0], node, scope);
        }
        let items: Box<dyn Iterator<Item = Val<'a>> + '_> = match (range.list_len(), range.keys()) {
            (Some(length), _) => Box::new((0..length).filter_map(|index| range.item(index))),
            (None, Some(keys)) => keys,
            (None, None) => return Err(error(node, ErrorKind::NoSuchOverload)),
        };
        let run = |index: usize, item: &Val<'a>| self.eval(&bodies[index], Some(&Scope::new(item, scope)));
        let test = |item: &Val<'a>| match run(0, item)? {
            Val::Bool(flag) => Ok(flag),
            _ => Err(error(&bodies[0], ErrorKind::NoSuchOverload)),
        };
        match iterate {
            Iterate::All | Iterate::Exists => {
                let decides = iterate == Iterate::Exists;
                let mut pending = Pending::default();
                for item in items {
                    match test(&item) {
                        Ok(flag) if flag == decides => return Ok(Val::Bool(decides)),
                        Ok(_) => {}
                        Err(error) => pending.push(error)?,
                    }
                }
                pending.finish(Val::Bool(!decides))
            }
            Iterate::ExistsOne => {
                let mut count = 0_u32;
                for item in items {
                    count += u32::from(test(&item)?);
                }
                Ok(Val::Bool(count == 1))
            }
            Iterate::Filter => {
                let mut kept = Vec::new();
                for item in items {
                    if test(&item)? {
                        kept.push(item);
                    }
                }
                Ok(Val::List(kept.into()))
            }
            Iterate::Map => items.map(|item| run(0, &item)).collect::<Result<_, _>>().map(Val::List),
            Iterate::FilterMap => {
                let mut kept = Vec::new();
                for item in items {
                    if test(&item)? {
                        kept.push(run(1, &item)?);
                    }
                }
                Ok(Val::List(kept.into()))
            }
            Iterate::OptMap | Iterate::OptFlatMap | Iterate::SortBy | Iterate::Pairs(_) => {
                Err(error(node, ErrorKind::NoSuchOverload))
            }
        }
    }

    fn optional(
        &self,
        iterate: Iterate,
        operand: &Val<'a>,
        body: &'a Node,
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Outcome<'a> {
        let Val::Optional(inner) = operand else { return Err(error(node, ErrorKind::NoSuchOverload)) };
        let Some(inner) = inner else { return Ok(Val::NONE) };
        let value = self.eval(body, Some(&Scope::new(inner, scope)))?;
        Ok(if iterate == Iterate::OptMap { value.some() } else { value })
    }
}
