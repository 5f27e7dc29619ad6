use std::sync::Arc;

use cel::Env;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SourceInfo, operators};
use regex::Regex;
use serde_json::Value;

use super::error::SyntaxError;
use super::ir::{Binary, Fact, Function, Iterate, Node, Op, Optional, Program, Reads, Variable};

/// Longest expression in bytes; together with the depth it bounds what parsing and lowering may cost.
const MAX_SOURCE: usize = 4096;
/// Longest expression that is parsed on the caller's stack.
const MAX_SHORT: usize = 512;
/// Stack for longer ones: the parser recurses per term, so that a sum of two thousand overflows the usual two megabytes.
const STACK: usize = 64 << 20;
/// Types that an expression may compare `type(x)` with.
const TYPES: [&str; 9] = ["null_type", "bool", "int", "uint", "double", "string", "list", "map", "type"];
/// Deepest nesting of the lowered tree, which is also the deepest recursion of a run.
const MAX_DEPTH: u16 = 96;

/// The names that an expression may use.
pub(crate) trait Names: Sync {
    /// What a plain name stands for, and what it reads.
    fn variable(&self, name: &str) -> Option<(Variable, Reads)>;
    /// The neighbour of that name.
    fn neighbour(&self, name: &str) -> Option<u16>;
    /// Whether the control declares that parameter.
    fn parameter(&self, name: &str) -> bool;
}

/// Parses and lowers an expression.
pub(crate) fn compile(source: &str, names: &dyn Names) -> Result<Program, SyntaxError> {
    if source.len() > MAX_SOURCE {
        return Err(SyntaxError::at(source, 0, format!("longer than {MAX_SOURCE} bytes")));
    }
    if source.len() <= MAX_SHORT {
        return parse(source, names);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse(source, names));
        let parsed = thread.map(|thread| thread.join());
        match parsed {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(_)) => Err(SyntaxError::at(source, 0, "the parser failed")),
            Err(error) => Err(SyntaxError::at(source, 0, format!("no thread to parse on: {error}"))),
        }
    })
}

fn parse(source: &str, names: &dyn Names) -> Result<Program, SyntaxError> {
    // An environment without macros leaves `has`, `all` and the like as the calls they are written as.
    let parser = Env::default().parser();
    let (ast, info) = parser.parse_with_source_info(source).map_err(|errors| match errors.errors.first() {
        Some(error) => SyntaxError {
            line: usize::try_from(error.pos.0).unwrap_or(1),
            column: usize::try_from(error.pos.1).unwrap_or(0) + 1,
            message: error.msg.clone(),
        },
        None => SyntaxError::at(source, 0, "does not parse"),
    })?;
    let mut lower = Lower { source, info: &info, names, locals: Vec::new(), depth: 0, reads: Reads::default() };
    let root = lower.node(&ast)?;
    Ok(Program { source: source.to_owned(), root, reads: lower.reads })
}

struct Lower<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    names: &'s dyn Names,
    /// Enclosing iteration variables, outermost first.
    locals: Vec<String>,
    depth: u16,
    reads: Reads,
}

type Lowered<T> = Result<T, SyntaxError>;

impl Lower<'_> {
    fn offset(&self, expr: &IdedExpr) -> usize {
        self.info.offset_for(expr.id).map_or(0, |(start, _)| start as usize)
    }

    fn refuse<T>(&self, expr: &IdedExpr, message: impl Into<String>) -> Lowered<T> {
        Err(SyntaxError::at(self.source, self.offset(expr), message))
    }

    /// Notes how deep a run gets; a `let` runs on top of the expression that names it.
    fn reach(&mut self, depth: u16, expr: &IdedExpr) -> Lowered<()> {
        if depth > MAX_DEPTH {
            return self.refuse(expr, format!("nested deeper than {MAX_DEPTH} levels, `let`s included"));
        }
        self.reads.depth = self.reads.depth.max(depth);
        Ok(())
    }

    fn boxed(&mut self, expr: &IdedExpr) -> Lowered<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    fn node(&mut self, expr: &IdedExpr) -> Lowered<Node> {
        self.depth += 1;
        self.reach(self.depth, expr)?;
        let op = match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Null => Op::Null,
                LiteralValue::Boolean(flag) => Op::Bool(*flag.inner()),
                LiteralValue::Int(int) => Op::Int(*int.inner()),
                LiteralValue::UInt(uint) => Op::Uint(*uint.inner()),
                LiteralValue::Double(double) => Op::Double(*double.inner()),
                LiteralValue::String(text) => Op::Str(text.inner().into()),
                LiteralValue::Bytes(_) => return self.refuse(expr, "bytes are not supported"),
            },
            Expr::Ident(name) => self.ident(name, expr)?,
            Expr::Select(select) => match self.qualified(&select.operand, &select.field, expr)? {
                Some(variable) => Op::Variable(variable),
                None => Op::Select(self.boxed(&select.operand)?, select.field.as_str().into()),
            },
            Expr::List(list) => self.list(&list.elements, &list.optional_indices)?,
            Expr::Map(map) => self.map(&map.entries, expr)?,
            Expr::Call(call) => self.call(call, expr)?,
            Expr::Struct(_) => return self.refuse(expr, "messages are not supported"),
            Expr::Comprehension(_) | Expr::Unspecified => return self.refuse(expr, "not supported"),
        };
        self.depth -= 1;
        Ok(Node { at: u32::try_from(self.offset(expr)).unwrap_or(0), op })
    }

    fn ident(&mut self, name: &str, expr: &IdedExpr) -> Lowered<Op> {
        if let Some(index) = self.locals.iter().rev().position(|local| local == name) {
            return Ok(Op::Local(index as u16));
        }
        match self.names.variable(name) {
            Some((variable, reads)) => {
                self.reach(self.depth + reads.depth, expr)?;
                self.reads.element |= reads.element;
                self.reads.pod |= reads.pod;
                self.reads.neighbours |= reads.neighbours;
                Ok(Op::Variable(variable))
            }
            None if matches!(name, "resource" | "neighbours") => {
                self.refuse(expr, format!("`{name}` is used with a field: `{name}.<field>`"))
            }
            None => match TYPES.into_iter().find(|known| *known == name) {
                Some(known) => Ok(Op::Type(known)),
                None => self.refuse(expr, format!("`{name}` is not declared")),
            },
        }
    }

    /// `resource.x` and `neighbours.x` are variables of their own; `params.x` must be declared.
    fn qualified(&mut self, operand: &IdedExpr, field: &str, expr: &IdedExpr) -> Lowered<Option<Variable>> {
        let Expr::Ident(root) = &operand.expr else { return Ok(None) };
        if self.locals.iter().any(|local| local == root) {
            return Ok(None);
        }
        match root.as_str() {
            "resource" => self.fact(field, expr).map(|fact| Some(Variable::Fact(fact))),
            "neighbours" => match self.names.neighbour(field) {
                Some(index) => {
                    self.reads.neighbours = true;
                    Ok(Some(Variable::Neighbour(index)))
                }
                None => self.refuse(expr, format!("no neighbour `{field}` is declared here")),
            },
            "params" if !self.names.parameter(field) => {
                self.refuse(expr, format!("no parameter `{field}` is declared"))
            }
            _ => Ok(None),
        }
    }

    fn fact(&self, field: &str, expr: &IdedExpr) -> Lowered<Fact> {
        match Fact::ALL.iter().find(|(_, name)| *name == field) {
            Some((fact, _)) => Ok(*fact),
            None => self.refuse(expr, format!("`resource` has no field `{field}`")),
        }
    }

    fn list(&mut self, elements: &[IdedExpr], optional: &[usize]) -> Lowered<Op> {
        let mut items = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let optional = if optional.contains(&index) { Optional::Yes } else { Optional::No };
            items.push((self.node(element)?, optional));
        }
        let constants: Option<Vec<Value>> =
            items.iter().map(|(node, optional)| constant(node).filter(|_| *optional == Optional::No)).collect();
        Ok(constants.map_or(Op::List(items), |items| Op::Json(Value::Array(items))))
    }

    fn map(&mut self, entries: &[IdedEntryExpr], expr: &IdedExpr) -> Lowered<Op> {
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else {
                return self.refuse(expr, "messages are not supported");
            };
            let optional = if entry.optional { Optional::Yes } else { Optional::No };
            items.push((self.node(&entry.key)?, self.node(&entry.value)?, optional));
        }
        let mut constants = serde_json::Map::new();
        for (key, value, optional) in &items {
            let (Op::Str(key), Some(value), Optional::No) = (&key.op, constant(value), optional) else {
                return Ok(Op::Map(items));
            };
            if constants.insert(key.to_string(), value).is_some() {
                return self.refuse(expr, format!("key `{key}` is repeated"));
            }
        }
        Ok(Op::Json(Value::Object(constants)))
    }

    fn call(&mut self, call: &CallExpr, expr: &IdedExpr) -> Lowered<Op> {
        let name = call.func_name.as_str();
        match (&call.target, call.args.as_slice()) {
            (None, [operand, field]) if name == operators::OPT_SELECT => self.opt_select(operand, field, expr),
            (None, args) if operator(name) => self.operator(name, args, expr),
            (None, [arg]) if name == "has" => self.has(arg, expr),
            (Some(target), args) if iterate(name, args.len()).is_some() => self.iterate(target, name, args, expr),
            (Some(target), args) if matches!(&target.expr, Expr::Ident(root) if root == "optional") => {
                let function = match (name, args.len()) {
                    ("of", 1) => Function::OptionalOf,
                    ("none", 0) => Function::OptionalNone,
                    ("ofNonZeroValue", 1) => Function::OptionalOfNonZero,
                    _ => return self.refuse(expr, format!("unknown function `optional.{name}`")),
                };
                Ok(Op::Call(function, args.iter().map(|arg| self.node(arg)).collect::<Lowered<_>>()?))
            }
            (target, args) => {
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
                    let regex = match Regex::new(pattern) {
                        Ok(regex) => Arc::new(regex),
                        Err(error) => return self.refuse(expr, format!("invalid regular expression: {error}")),
                    };
                    return Ok(Op::Matches(Box::new(nodes.swap_remove(0)), regex));
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
}

/// The value of a constant that JSON can say without losing its type.
fn constant(node: &Node) -> Option<Value> {
    match &node.op {
        Op::Null => Some(Value::Null),
        Op::Bool(flag) => Some(Value::Bool(*flag)),
        Op::Int(int) => Some(Value::from(*int)),
        Op::Str(text) => Some(Value::from(&**text)),
        Op::Json(value) => Some(value.clone()),
        _ => None,
    }
}

fn operator(name: &str) -> bool {
    matches!(
        name,
        operators::CONDITIONAL
            | operators::LOGICAL_AND
            | operators::LOGICAL_OR
            | operators::LOGICAL_NOT
            | operators::NEGATE
            | operators::INDEX
            | operators::OPT_INDEX
    ) || binary(name).is_some()
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterEqual,
        operators::IN => Binary::In,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        _ => return None,
    })
}

fn iterate(name: &str, args: usize) -> Option<Iterate> {
    Some(match (name, args) {
        ("all", 2) => Iterate::All,
        ("exists", 2) => Iterate::Exists,
        ("exists_one" | "existsOne", 2) => Iterate::ExistsOne,
        ("filter", 2) => Iterate::Filter,
        ("map", 2) => Iterate::Map,
        ("map", 3) => Iterate::FilterMap,
        ("optMap", 2) => Iterate::OptMap,
        ("optFlatMap", 2) => Iterate::OptFlatMap,
        _ => return None,
    })
}

/// The function of that name; `args` counts the receiver.
fn function(name: &str, method: bool, args: usize) -> Option<Function> {
    Some(match (name, method, args) {
        ("size", _, 1) => Function::Size,
        ("startsWith", true, 2) => Function::StartsWith,
        ("endsWith", true, 2) => Function::EndsWith,
        ("contains", true, 2) => Function::Contains,
        ("matches", _, 2) => Function::Matches,
        ("string", false, 1) => Function::String,
        ("int", false, 1) => Function::Int,
        ("uint", false, 1) => Function::Uint,
        ("double", false, 1) => Function::Double,
        ("bool", false, 1) => Function::Bool,
        ("dyn", false, 1) => Function::Dyn,
        ("type", false, 1) => Function::Type,
        ("timestamp", false, 1) => Function::Timestamp,
        ("duration", false, 1) => Function::Duration,
        ("value", true, 1) => Function::Value,
        ("hasValue", true, 1) => Function::HasValue,
        ("or", true, 2) => Function::Or,
        ("orValue", true, 2) => Function::OrValue,
        ("split", true, 2 | 3) => Function::Split,
        ("join", true, 1 | 2) => Function::Join,
        ("lowerAscii", true, 1) => Function::LowerAscii,
        ("upperAscii", true, 1) => Function::UpperAscii,
        ("replace", true, 3 | 4) => Function::Replace,
        ("substring", true, 2 | 3) => Function::Substring,
        ("trim", true, 1) => Function::Trim,
        ("indexOf", true, 2) => Function::IndexOf,
        ("lastIndexOf", true, 2) => Function::LastIndexOf,
        ("charAt", true, 2) => Function::CharAt,
        ("distinct", true, 1) => Function::Distinct,
        ("sort", true, 1) => Function::Sort,
        ("selects", false, 2) => Function::Selects,
        ("cidrContains", false, 2) => Function::CidrContains,
        _ => return None,
    })
}
