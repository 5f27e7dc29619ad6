use std::cell::{Cell, RefCell};

use serde_json::Value;

use super::error::{ErrorKind, EvalError};
use super::inputs::Inputs;
use super::ir::{Function, Node, Op, Optional, Program, Variable};
use super::library::Call;
use super::lower::MAX_DEPTH;
use super::pending::Pending;
use super::value::{Text, Val};

pub(super) type Outcome<'a> = Result<Val<'a>, EvalError>;

/// One run of the expressions of a control on one element, or of a policy on one object: what they may name, values of
/// named expressions, and the step budget.
pub(crate) struct Run<'a> {
    inputs: Inputs<'a>,
    memo: RefCell<Vec<Option<Outcome<'a>>>>,
    steps: Cell<u32>,
}

/// Iteration variables, innermost first.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'a> {
    value: &'s Val<'a>,
    outer: Option<&'s Scope<'s, 'a>>,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) const fn new(value: &'s Val<'a>, outer: Option<&'s Self>) -> Self {
        Self { value, outer }
    }

    fn get(&self, index: u16) -> Val<'a> {
        let mut scope = self;
        for _ in 0..index {
            scope = scope.outer.expect("lowering counted the enclosing scopes");
        }
        scope.value.clone()
    }
}

impl<'a> Run<'a> {
    /// A run that may take `steps` steps.
    pub(crate) fn new(inputs: impl Into<Inputs<'a>>, steps: u32) -> Self {
        Self { inputs: inputs.into(), memo: RefCell::new(Vec::new()), steps: Cell::new(steps) }
    }

    /// Whether a policy runs, by the rules of Kubernetes where they differ from ours.
    pub(super) fn is_policy(&self) -> bool {
        matches!(self.inputs, Inputs::Admission(_))
    }

    /// Turns to another element: what was computed from the last one is forgotten.
    pub(crate) fn set_element(&mut self, element: (&'a Value, &'static str, Text<'a>)) {
        let lets = self.inputs.lets();
        if let Inputs::Control(variables) = &mut self.inputs {
            variables.it = Some(element);
        }
        for (slot, program) in self.memo.get_mut().iter_mut().zip(lets) {
            if program.reads.element {
                *slot = None;
            }
        }
    }

    /// The value of an expression.
    pub(crate) fn value(&self, program: &'a Program) -> Outcome<'a> {
        self.prepare(program)?;
        let value = self.eval(&program.root, None)?;
        // An optional may have swallowed the error that the budget ran out.
        if self.steps.get() == 0 { Err(error(&program.root, ErrorKind::Budget)) } else { Ok(value) }
    }

    /// Where an expression and the named ones below it nest deeper than one may, computes those first and in their
    /// order: no stack holds more than one expression then.
    fn prepare(&self, program: &Program) -> Result<(), EvalError> {
        if program.reads.depth <= MAX_DEPTH {
            return Ok(());
        }
        let lets = self.inputs.lets();
        let mut needed = vec![false; lets.len()];
        program.lets.iter().for_each(|index| needed[usize::from(*index)] = true);
        // Each names only those above it.
        for (index, program) in lets.iter().enumerate().rev() {
            if needed[index] {
                program.lets.iter().for_each(|index| needed[usize::from(*index)] = true);
            }
        }
        for index in (0_u16..).zip(&needed).filter(|(_, needed)| **needed).map(|(index, _)| index) {
            if let Err(error @ EvalError { kind: ErrorKind::Budget, .. }) = self.named(index) {
                return Err(error);
            }
        }
        Ok(())
    }

    /// The value of a condition.
    pub(crate) fn holds(&self, program: &'a Program) -> Result<bool, EvalError> {
        match self.value(program)? {
            Val::Bool(flag) => Ok(flag),
            _ => Err(error(&program.root, ErrorKind::NoSuchOverload)),
        }
    }

    /// Takes `count` steps from the budget.
    pub(super) fn charge(&self, node: &Node, count: usize) -> Result<(), EvalError> {
        let left = u32::try_from(count).ok().and_then(|count| self.steps.get().checked_sub(count));
        self.steps.set(left.unwrap_or(0));
        left.map(drop).ok_or_else(|| error(node, ErrorKind::Budget))
    }

    pub(super) fn eval(&self, node: &'a Node, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        self.charge(node, 1)?;
        let eval = |node: &'a Node| self.eval(node, scope);
        Ok(match &node.op {
            Op::Null => Val::Null,
            Op::Bool(flag) => Val::Bool(*flag),
            Op::Int(int) => Val::Int(*int),
            Op::Uint(uint) => Val::Uint(*uint),
            Op::Double(double) => Val::Double(*double),
            Op::Str(text) => Val::text(text),
            Op::Type(name) => Val::Type(name),
            Op::Bytes(bytes) => Val::Bytes((**bytes).into()),
            Op::Json(value) => Val::Json(value),
            Op::Variable(Variable::Let(index)) => return self.named(*index),
            Op::Variable(variable) => return self.inputs.value(*variable).map_err(|kind| error(node, kind)),
            Op::Local(index) => scope.expect("lowering declared the variable").get(*index),
            Op::Select(operand, field) => match eval(operand)? {
                Val::Optional(None) => Val::NONE,
                Val::Optional(Some(inner)) => match self.select(&inner, field, node) {
                    Err(error) if error.kind.is_missing() => return Err(error),
                    Err(_) if inner.list_len().is_some() || inner.map_len().is_some() => Val::NONE,
                    selected => selected?.some(),
                },
                value => self.select(&value, field, node)?,
            },
            Op::OptSelect(operand, field) => self.looked_up(operand, field, node, scope)?.map_or(Val::NONE, Val::some),
            Op::Has(operand, field) => match eval(operand)? {
                Val::Optional(None) => Val::Bool(false),
                Val::Optional(Some(inner)) if inner.list_len().is_some() => Val::Bool(false),
                Val::Optional(Some(inner)) => Val::Bool(self.has(&inner, field, node)?),
                value => Val::Bool(self.has(&value, field, node)?),
            },
            Op::HasFact(fact) => Val::Bool(self.inputs.fact(*fact).is_some()),
            Op::OptFact(fact) => self.inputs.fact(*fact).map_or(Val::NONE, Val::some),
            Op::Declared(name) => eval(name).map(|_| Val::Bool(true))?,
            Op::Index(operand, index) => match eval(operand)? {
                Val::Optional(None) => Val::NONE,
                Val::Optional(Some(inner)) => found(self.index(&inner, &eval(index)?, node))?,
                value => self.index(&value, &eval(index)?, node)?,
            },
            Op::OptIndex(operand, index) => match eval(operand)? {
                Val::Optional(None) => Val::NONE,
                Val::Optional(Some(inner)) => found(self.index(&inner, &eval(index)?, node))?,
                value => found(self.index(&value, &eval(index)?, node))?,
            },
            Op::List(items) => self.list(items, scope)?,
            Op::Map(entries) => self.map(entries, node, scope)?,
            Op::Cond(parts) => match eval(&parts.0)? {
                Val::Bool(true) => eval(&parts.1)?,
                Val::Bool(false) => eval(&parts.2)?,
                _ => return Err(error(&parts.0, ErrorKind::NoSuchOverload)),
            },
            Op::And(parts) => self.logic(parts, scope, Absorbing::False)?,
            Op::Or(parts) => self.logic(parts, scope, Absorbing::True)?,
            Op::Not(operand) => match eval(operand)? {
                Val::Bool(flag) => Val::Bool(!flag),
                _ => return Err(error(node, ErrorKind::NoSuchOverload)),
            },
            Op::Negate(operand) => match eval(operand)? {
                Val::Int(int) => Val::Int(int.checked_neg().ok_or_else(|| error(node, ErrorKind::Overflow))?),
                Val::Double(double) => Val::Double(-double),
                _ => return Err(error(node, ErrorKind::NoSuchOverload)),
            },
            Op::Binary(binary, sides) => {
                let (left, right) = (eval(&sides.0)?, eval(&sides.1)?);
                return self.binary(*binary, &left, &right, node);
            }
            Op::Iterate(iterate, range, bodies) => {
                let range = eval(range)?;
                return self.iterate(*iterate, &range, bodies, node, scope);
            }
            Op::Matches(text, pattern) => match eval(text)?.as_str() {
                Some(text) => {
                    self.charge(node, text.len() / 16)?;
                    Val::Bool(pattern.is_match(text))
                }
                None => return Err(error(node, ErrorKind::NoSuchOverload)),
            },
            Op::Call(Function::OrValue, args)
                if let [found, other] = &**args
                    && let Op::OptSelect(operand, field) = &found.op =>
            {
                self.charge(found, 1)?;
                let found = self.looked_up(operand, field, found, scope)?;
                let other = eval(other)?;
                self.charge(node, other.as_str().map_or(0, str::len) / 16)?;
                found.unwrap_or(other)
            }
            Op::Call(function, args) => return self.call(*function, args, node, scope),
            Op::Library(function, args) => {
                let args = args.iter().map(eval).collect::<Result<Vec<_>, _>>()?;
                return Call { run: self, node }.apply(*function, &args);
            }
            Op::Bind(parts) => {
                let value = eval(&parts.0)?;
                return self.eval(&parts.1, Some(&Scope::new(&value, scope)));
            }
        })
    }

    /// What `operand.?field` finds, without the optional around it: a chain of such makes none on its way.
    fn looked_up(
        &self,
        operand: &'a Node,
        field: &'a str,
        node: &'a Node,
        scope: Option<&Scope<'_, 'a>>,
    ) -> Result<Option<Val<'a>>, EvalError> {
        let owner = if let Op::OptSelect(inner, above) = &operand.op {
            self.charge(operand, 1)?;
            self.looked_up(inner, above, operand, scope)?
        } else {
            match self.eval(operand, scope)? {
                Val::Optional(inner) => inner.map(|inner| (*inner).clone()),
                value => Some(value),
            }
        };
        let Some(owner) = owner else { return Ok(None) };
        match self.select(&owner, field, node) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind.is_missing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The value of the `index`-th `let`, computed on first use.
    fn named(&self, index: u16) -> Outcome<'a> {
        let slot = usize::from(index);
        if let Some(Some(known)) = self.memo.borrow().get(slot) {
            return known.clone();
        }
        let lets = self.inputs.lets();
        let outcome = self.eval(&lets[slot].root, None).map_err(|mut error| {
            if error.in_let == 0 {
                error.in_let = index + 1;
            }
            error
        });
        let mut memo = self.memo.borrow_mut();
        if memo.len() < lets.len() {
            memo.resize(lets.len(), None);
        }
        memo[slot] = Some(outcome.clone());
        outcome
    }

    /// `&&` and `||`: a deciding operand absorbs errors beside it; an unread neighbour outweighs other errors.
    fn logic(&self, parts: &'a [Node], scope: Option<&Scope<'_, 'a>>, absorbing: Absorbing) -> Outcome<'a> {
        let decides = absorbing == Absorbing::True;
        let mut pending = Pending::default();
        for part in parts {
            match self.eval(part, scope) {
                Ok(Val::Bool(flag)) if flag == decides => return Ok(Val::Bool(decides)),
                Ok(Val::Bool(_)) => {}
                Ok(_) => pending.push(error(part, ErrorKind::NoSuchOverload))?,
                Err(error) => pending.push(error)?,
            }
        }
        pending.finish(Val::Bool(!decides))
    }

    fn list(&self, items: &'a [(Node, Optional)], scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        let mut list = Vec::with_capacity(items.len());
        for (item, optional) in items {
            match (self.eval(item, scope)?, optional) {
                (Val::Optional(inner), Optional::Yes) => list.extend(inner.map(|value| (*value).clone())),
                (value, _) => list.push(value),
            }
        }
        Ok(Val::List(list.into()))
    }

    fn map(&self, entries: &'a [(Node, Node, Optional)], node: &Node, scope: Option<&Scope<'_, 'a>>) -> Outcome<'a> {
        let mut map: Vec<(Val<'a>, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key_node, value_node, optional) in entries {
            let key = self.eval(key_node, scope)?;
            if !matches!(key, Val::Str(_) | Val::Int(_) | Val::Uint(_) | Val::Bool(_)) {
                return Err(error(key_node, ErrorKind::NoSuchOverload));
            }
            let value = match (self.eval(value_node, scope)?, optional) {
                (Val::Optional(None), Optional::Yes) => continue,
                (Val::Optional(Some(inner)), Optional::Yes) => (*inner).clone(),
                (value, _) => value,
            };
            for (known, _) in &map {
                if self.equal(known, &key, node)? {
                    return Err(error(key_node, ErrorKind::DuplicateKey));
                }
            }
            map.push((key, value));
        }
        Ok(Val::Map(map.into()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Absorbing {
    False,
    True,
}

/// What was looked up, as an optional.
fn found(looked_up: Outcome<'_>) -> Outcome<'_> {
    match looked_up {
        Ok(value) => Ok(value.some()),
        Err(error) if error.kind.is_missing() => Err(error),
        Err(_) => Ok(Val::NONE),
    }
}

pub(super) fn error(node: &Node, kind: ErrorKind) -> EvalError {
    EvalError { at: node.at, in_let: 0, kind }
}
