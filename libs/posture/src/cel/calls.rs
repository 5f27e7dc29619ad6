use std::sync::Arc;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::ir::{Function, Iterate, Node, Op, Variable};
use super::library::{self, Form};
use super::lower::{Lower, Lowered};
use super::patterns::{self, Syntax};
use super::time;
use super::vocabulary::{binary, function, iterate, operator, pairs};

impl Lower<'_> {
    pub(super) fn call(&mut self, call: &CallExpr, expr: &IdedExpr) -> Lowered<Op> {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [operand, field]) if name == operators::OPT_SELECT => self.opt_select(operand, field, expr),
            (None, args) if operator(name) => self.operator(name, args, expr),
            (None, [arg]) if name == "has" => self.has(arg, expr),
            (Some(target), args) if iterate(name, args.len()).is_some() && self.has_macro(name) => {
                self.iterate(target, name, args, expr)
            }
            (Some(target), args) if self.is_policy() && pairs(name, args.len()).is_some() => {
                self.pairs(target, name, args, expr)
            }
            (Some(target), [name, value, body]) if self.is_policy() && is_bind(target, call) => {
                self.bind(name, value, body)
            }
            (Some(target), args) if matches!(&target.expr, Expr::Ident(root) if root == "optional") => {
                let function = match (name, args.len()) {
                    ("of", 1) => Function::OptionalOf,
                    ("none", 0) => Function::OptionalNone,
                    ("ofNonZeroValue", 1) => Function::OptionalOfNonZero,
                    ("unwrap", 1) if self.is_policy() => return self.unwrap(&args[0], expr),
                    _ => return self.refuse(expr, format!("unknown function `optional.{name}`")),
                };
                Ok(Op::Call(function, args.iter().map(|arg| self.node(arg)).collect::<Lowered<_>>()?))
            }
            (target, args) => {
                if let Some(op) = self.library(target.as_deref(), name, args, expr)? {
                    return Ok(op);
                }
                let count = args.len() + usize::from(target.is_some());
                let Some(function) = function(name, target.is_some(), count) else {
                    let form = if target.is_some() { "method" } else { "function" };
                    return self.refuse(expr, format!("unknown {form} `{name}` with {} arguments", args.len()));
                };
                let all = target.as_deref().into_iter().chain(args);
                let mut nodes = all.map(|arg| self.node(arg)).collect::<Lowered<Vec<_>>>()?;
                if function == Function::Matches
                    && let Op::Str(pattern) = &nodes[1].op
                {
                    let regex = match patterns::compile(pattern, self.syntax()) {
                        Ok(regex) => Arc::new(regex),
                        Err(error) => return self.refuse(expr, format!("invalid regular expression: {error}")),
                    };
                    return Ok(Op::Matches(Box::new(nodes.swap_remove(0)), regex));
                }
                let (time, text) = match nodes.as_slice() {
                    [Node { op: Op::Str(text), .. }] => {
                        (matches!(function, Function::Timestamp | Function::Duration), text)
                    }
                    _ => return Ok(Op::Call(function, nodes)),
                };
                if self.is_policy() && time && !time::spells(function, text) {
                    return self.refuse(expr, format!("`{text}` is no {name}"));
                }
                Ok(Op::Call(function, nodes))
            }
        }
    }

    fn opt_select(&mut self, operand: &IdedExpr, field: &IdedExpr, expr: &IdedExpr) -> Lowered<Op> {
        let Expr::Literal(LiteralValue::String(field)) = &field.expr else {
            return self.refuse(expr, "`.?` wants a field name");
        };
        Ok(match self.qualified(operand, field.inner(), expr)? {
            Some(Variable::Fact(fact)) => Op::OptFact(fact),
            Some(_) => return self.refuse(expr, "declared names are always present: use `.`"),
            None => Op::OptSelect(self.boxed(operand)?, field.inner().into()),
        })
    }

    fn has(&mut self, arg: &IdedExpr, expr: &IdedExpr) -> Lowered<Op> {
        match &arg.expr {
            Expr::Select(select) => Ok(match self.qualified(&select.operand, &select.field, expr)? {
                Some(Variable::Fact(fact)) => Op::HasFact(fact),
                Some(variable) if self.is_policy() => {
                    Op::Declared(Box::new(Node { at: self.at(arg), op: Op::Variable(variable) }))
                }
                Some(_) => return self.refuse(expr, "declared names are always present"),
                None => Op::Has(self.boxed(&select.operand)?, select.field.as_str().into()),
            }),
            _ => self.refuse(expr, "`has` wants a field selection"),
        }
    }

    fn iterate(&mut self, target: &IdedExpr, name: &str, args: &[IdedExpr], expr: &IdedExpr) -> Lowered<Op> {
        let Some((iterate, (Expr::Ident(local), bodies))) =
            iterate(name, args.len()).zip(args.split_first().map(|(local, bodies)| (&local.expr, bodies)))
        else {
            return self.refuse(expr, format!("`{name}` wants a simple name as its first argument"));
        };
        let range = self.boxed(target)?;
        self.locals.push(local.clone());
        let bodies = bodies.iter().map(|body| self.node(body)).collect::<Lowered<Vec<_>>>()?;
        self.locals.pop();
        Ok(Op::Iterate(iterate, range, bodies))
    }

    fn operator(&mut self, name: &str, args: &[IdedExpr], expr: &IdedExpr) -> Lowered<Op> {
        let nodes = args.iter().map(|arg| self.node(arg)).collect::<Lowered<Vec<_>>>()?;
        if matches!(name, operators::LOGICAL_AND | operators::LOGICAL_OR) {
            let and = name == operators::LOGICAL_AND;
            let mut parts = Vec::new();
            for node in nodes {
                match node.op {
                    Op::And(inner) if and => parts.extend(inner),
                    Op::Or(inner) if !and => parts.extend(inner),
                    _ => parts.push(node),
                }
            }
            return Ok(if and { Op::And(parts) } else { Op::Or(parts) });
        }
        let mut nodes = nodes.into_iter();
        let (first, second, third) = (nodes.next(), nodes.next(), nodes.next());
        Ok(match (name, first, second, third) {
            (operators::CONDITIONAL, Some(a), Some(b), Some(c)) => Op::Cond(Box::new((a, b, c))),
            (operators::LOGICAL_NOT, Some(a), None, None) => Op::Not(Box::new(a)),
            (operators::NEGATE, Some(a), None, None) => Op::Negate(Box::new(a)),
            (operators::INDEX, Some(a), Some(b), None) => Op::Index(Box::new(a), Box::new(b)),
            (operators::OPT_INDEX, Some(a), Some(b), None) => Op::OptIndex(Box::new(a), Box::new(b)),
            (name, Some(a), Some(b), None) => match binary(name) {
                Some(binary) => Op::Binary(binary, Box::new((a, b))),
                None => return self.refuse(expr, format!("operator `{name}` is not supported")),
            },
            _ => return self.refuse(expr, format!("operator `{name}` is not supported")),
        })
    }

    fn syntax(&self) -> Syntax {
        if self.is_policy() { Syntax::Re2 } else { Syntax::Own }
    }

    /// A call of a function of Kubernetes' libraries.
    fn library(
        &mut self,
        target: Option<&IdedExpr>,
        name: &str,
        args: &[IdedExpr],
        expr: &IdedExpr,
    ) -> Lowered<Option<Op>> {
        if !self.is_policy() {
            return Ok(None);
        }
        if let Some(IdedExpr { expr: Expr::Ident(root), .. }) = target
            && !self.locals.contains(root)
            && library::is_namespace(root)
        {
            let Some(function) = library::find(Form::In(root), name, args.len()) else {
                return self.refuse(expr, format!("unknown function `{root}.{name}` with {} arguments", args.len()));
            };
            let nodes = args.iter().map(|arg| self.node(arg)).collect::<Lowered<_>>()?;
            return Ok(Some(Op::Library(function, nodes)));
        }
        let form = if target.is_some() { Form::Method } else { Form::Function };
        let all = || target.into_iter().chain(args);
        let Some(function) = library::find(form, name, all().count()) else { return Ok(None) };
        let nodes = all().map(|arg| self.node(arg)).collect::<Lowered<Vec<_>>>()?;
        if matches!(name, "find" | "findAll")
            && let Some(Op::Str(pattern)) = nodes.get(1).map(|node| &node.op)
            && let Err(error) = patterns::compile(pattern, self.syntax())
        {
            return self.refuse(expr, format!("invalid regular expression: {error}"));
        }
        Ok(Some(Op::Library(function, nodes)))
    }

    /// `optional.unwrap(list)`: the method `unwrapOpt` in another form.
    fn unwrap(&mut self, list: &IdedExpr, expr: &IdedExpr) -> Lowered<Op> {
        match self.library(Some(list), "unwrapOpt", &[], expr)? {
            Some(op) => Ok(op),
            None => self.refuse(expr, "unknown function `optional.unwrap`"),
        }
    }

    /// `sortBy` is a macro that only policies have.
    fn has_macro(&self, name: &str) -> bool {
        name != "sortBy" || self.is_policy()
    }

    fn bind(&mut self, name: &IdedExpr, value: &IdedExpr, body: &IdedExpr) -> Lowered<Op> {
        let Expr::Ident(local) = &name.expr else {
            return self.refuse(name, "`cel.bind` wants a simple name as its first argument");
        };
        let value = self.node(value)?;
        self.locals.push(local.clone());
        let body = self.node(body)?;
        self.locals.pop();
        Ok(Op::Bind(Box::new((value, body))))
    }

    fn pairs(&mut self, target: &IdedExpr, name: &str, args: &[IdedExpr], expr: &IdedExpr) -> Lowered<Op> {
        let (Some(pairs), [key, value, bodies @ ..]) = (pairs(name, args.len()), args) else {
            return self.refuse(expr, format!("`{name}` wants two simple names as its first arguments"));
        };
        let (Expr::Ident(key), Expr::Ident(value)) = (&key.expr, &value.expr) else {
            return self.refuse(expr, format!("`{name}` wants two simple names as its first arguments"));
        };
        let range = self.boxed(target)?;
        self.locals.extend([key.clone(), value.clone()]);
        let bodies = bodies.iter().map(|body| self.node(body)).collect::<Lowered<Vec<_>>>()?;
        self.locals.truncate(self.locals.len() - 2);
        Ok(Op::Iterate(Iterate::Pairs(pairs), range, bodies))
    }
}

fn is_bind(target: &IdedExpr, call: &CallExpr) -> bool {
    call.func_name == "bind" && matches!(&target.expr, Expr::Ident(root) if root == "cel")
}
