use std::cell::Cell;

use cel::Env;
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, SourceInfo};
use serde_json::Value;

use super::error::SyntaxError;
use super::ir::{Fact, Node, Op, Optional, Program, Reads, Variable};
use super::names::{Member, Names, Vocabulary};

/// Stack to parse on: the parser recurses per term and level, and overflows the usual two megabytes.
const STACK: usize = 64 << 20;
/// Types that an expression may compare `type(x)` with.
const TYPES: [&str; 9] = ["null_type", "bool", "int", "uint", "double", "string", "list", "map", "type"];
/// Types that only policies meet.
const POLICY_TYPES: [&str; 2] = ["bytes", "optional_type"];
/// Types with a dot in their name.
const DOTTED_TYPES: [&str; 7] = [
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "net.IP",
    "net.CIDR",
    "kubernetes.Quantity",
    "kubernetes.URL",
    "kubernetes.Semver",
];
/// Deepest nesting of the lowered tree, which is also the deepest recursion of a run.
pub(super) const MAX_DEPTH: u16 = 64;

/// Parses and lowers an expression.
pub(crate) fn compile(source: &str, names: &dyn Names) -> Result<Program, SyntaxError> {
    let longest = names.vocabulary().max_source();
    if source.len() > longest {
        return Err(SyntaxError::at(source, 0, format!("longer than {longest} bytes")));
    }
    on_deep_stack(|| lower(source, names)).unwrap_or_else(|error| Err(SyntaxError::at(source, 0, error)))
}

thread_local! {
    /// Whether this thread has the stack that parsing takes.
    static DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Does work that parses on a thread with the stack for it, once for all that is parsed in the course of it.
///
/// # Errors
/// No thread could be started, or the work panicked.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    if DEEP.get() {
        return Ok(work());
    }
    let deep = || {
        DEEP.set(true);
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, deep);
        let thread = thread.map_err(|error| format!("no thread to parse on: {error}"))?;
        thread.join().map_err(|_| "the parser failed".to_owned())
    })
}

/// Parses an expression; only for what runs on a deep stack.
pub(crate) fn parse(source: &str) -> Result<(IdedExpr, SourceInfo), SyntaxError> {
    // An environment without macros leaves `has`, `all` and the like as the calls they are written as.
    let parser = Env::default().parser();
    parser.parse_with_source_info(source).map_err(|errors| match errors.errors.first() {
        Some(error) => SyntaxError {
            line: usize::try_from(error.pos.0).unwrap_or(1),
            column: usize::try_from(error.pos.1).unwrap_or(1),
            message: error.msg.clone(),
        },
        None => SyntaxError::at(source, 0, "does not parse"),
    })
}

fn lower(source: &str, names: &dyn Names) -> Result<Program, SyntaxError> {
    let (ast, info) = parse(source)?;
    let mut lower =
        Lower { source, info: &info, names, locals: Vec::new(), depth: 0, reads: Reads::default(), lets: Vec::new() };
    let root = lower.node(&ast)?;
    Ok(Program { source: source.to_owned(), root, reads: lower.reads, lets: lower.lets })
}

pub(super) struct Lower<'s> {
    source: &'s str,
    info: &'s SourceInfo,
    names: &'s dyn Names,
    /// Enclosing iteration variables, outermost first.
    pub(super) locals: Vec<String>,
    depth: u16,
    reads: Reads,
    lets: Vec<u16>,
}

pub(super) type Lowered<T> = Result<T, SyntaxError>;

impl Lower<'_> {
    /// Byte offset of an expression.
    pub(super) fn at(&self, expr: &IdedExpr) -> u32 {
        u32::try_from(self.offset(expr)).unwrap_or(0)
    }

    fn offset(&self, expr: &IdedExpr) -> usize {
        self.info.offset_for(expr.id).map_or(0, |(start, _)| start as usize)
    }

    pub(super) fn is_policy(&self) -> bool {
        self.names.vocabulary() == Vocabulary::Policy
    }

    pub(super) fn refuse<T>(&self, expr: &IdedExpr, message: impl Into<String>) -> Lowered<T> {
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

    pub(super) fn boxed(&mut self, expr: &IdedExpr) -> Lowered<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    pub(super) fn node(&mut self, expr: &IdedExpr) -> Lowered<Node> {
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
                LiteralValue::Bytes(bytes) if self.is_policy() => Op::Bytes(bytes.inner().into()),
                LiteralValue::Bytes(_) => return self.refuse(expr, "bytes are not supported"),
            },
            Expr::Ident(name) => self.ident(name, expr)?,
            Expr::Select(_) if let Some(name) = self.dotted_type(expr) => Op::Type(name),
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
        Ok(Node { at: self.at(expr), op })
    }

    fn ident(&mut self, name: &str, expr: &IdedExpr) -> Lowered<Op> {
        if let Some(index) = self.locals.iter().rev().position(|local| local == name) {
            return Ok(Op::Local(index as u16));
        }
        let dotted: &[&str] = if self.is_policy() { &["variables"] } else { &["resource", "neighbours"] };
        let more = if self.is_policy() { &POLICY_TYPES[..] } else { &[] };
        match self.names.variable(name) {
            Some((variable, reads)) => self.read(variable, reads, expr).map(Op::Variable),
            None if dotted.contains(&name) => {
                self.refuse(expr, format!("`{name}` is used with a field: `{name}.<field>`"))
            }
            None => match TYPES.iter().chain(more).find(|known| **known == name) {
                Some(known) => Ok(Op::Type(known)),
                None => self.refuse(expr, format!("`{name}` is not declared")),
            },
        }
    }

    /// Notes what a variable reads.
    fn read(&mut self, variable: Variable, reads: Reads, expr: &IdedExpr) -> Lowered<Variable> {
        let depth = self.depth.saturating_add(reads.depth);
        if self.is_policy() {
            self.reads.depth = self.reads.depth.max(depth);
        } else {
            self.reach(depth, expr)?;
        }
        self.reads.element |= reads.element;
        self.reads.pod |= reads.pod;
        self.reads.neighbours |= reads.neighbours;
        if let Variable::Let(index) = variable {
            self.lets.push(index);
        }
        Ok(variable)
    }

    /// The type whose name is written with dots.
    fn dotted_type(&self, expr: &IdedExpr) -> Option<&'static str> {
        let mut name = String::new();
        let mut rest = &expr.expr;
        while let Expr::Select(select) = rest {
            name = format!(".{}{name}", select.field);
            rest = &select.operand.expr;
        }
        let Expr::Ident(root) = rest else { return None };
        let free = self.is_policy() && !self.locals.contains(root);
        DOTTED_TYPES.into_iter().find(|known| free && known.strip_prefix(root.as_str()) == Some(&name))
    }

    /// `resource.x` and `neighbours.x` are variables of their own; `params.x` must be declared.
    pub(super) fn qualified(&mut self, operand: &IdedExpr, field: &str, expr: &IdedExpr) -> Lowered<Option<Variable>> {
        let Expr::Ident(root) = &operand.expr else { return Ok(None) };
        if self.locals.iter().any(|local| local == root) {
            return Ok(None);
        }
        if self.is_policy() {
            return match self.names.member(root, field) {
                Member::Field => Ok(None),
                Member::Variable(variable, reads) => self.read(variable, reads, expr).map(Some),
                Member::Unknown(message) => self.refuse(expr, message),
            };
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
