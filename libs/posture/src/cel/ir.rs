use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::library::Native;

/// A lowered expression.
#[derive(Debug)]
pub(crate) struct Program {
    /// The text, for messages.
    pub(crate) source: String,
    pub(super) root: Node,
    /// Variables that the expression reads, itself or through a `let`.
    pub(crate) reads: Reads,
    /// The named expressions that it names itself.
    pub(super) lets: Vec<u16>,
}

impl Program {
    /// Whether the expression may give `true` or `false`: not when it is plain that it gives something else.
    pub(crate) fn may_hold(&self) -> bool {
        self.root.may_hold()
    }
}

impl Node {
    fn may_hold(&self) -> bool {
        match &self.op {
            Op::Cond(parts) => parts.1.may_hold() && parts.2.may_hold(),
            Op::Bind(parts) => parts.1.may_hold(),
            Op::Null
            | Op::Int(_)
            | Op::Uint(_)
            | Op::Double(_)
            | Op::Str(_)
            | Op::Bytes(_)
            | Op::Type(_)
            | Op::Json(_)
            | Op::List(_)
            | Op::Map(_)
            | Op::Negate(_)
            | Op::OptSelect(..)
            | Op::OptIndex(..) => false,
            Op::Binary(binary, _) => !matches!(
                binary,
                Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder
            ),
            Op::Iterate(iterate, ..) => {
                !matches!(iterate, Iterate::Map | Iterate::FilterMap | Iterate::Filter | Iterate::SortBy)
            }
            Op::Call(function, _) => !matches!(
                function,
                Function::Size | Function::String | Function::Int | Function::Uint | Function::Double | Function::Join
            ),
            _ => true,
        }
    }
}

/// Which variables an expression reads.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reads {
    /// `it`, `level` or `name`.
    pub(crate) element: bool,
    /// `pod` or `template`.
    pub(crate) pod: bool,
    /// `neighbours`.
    pub(crate) neighbours: bool,
    /// Deepest nesting, through the `let`s that are named.
    pub(crate) depth: u16,
}

#[derive(Debug)]
pub(super) struct Node {
    /// Byte offset in the source.
    pub(super) at: u32,
    pub(super) op: Op,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The configuration.
    Object,
    /// The pod spec.
    Pod,
    /// The pod template's metadata.
    Template,
    /// The element.
    It,
    /// The element's level.
    Level,
    /// The element's name.
    Name,
    /// The parameters.
    Params,
    /// The evaluation time.
    Now,
    /// A field of `resource`.
    Fact(Fact),
    /// The configurations of a neighbour.
    Neighbour(u16),
    /// A named expression.
    Let(u16),
    /// What an admission request holds.
    Admission(Slot),
}

/// What a policy's expression may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Object,
    OldObject,
    Request,
    Params,
    NamespaceObject,
    Authorizer,
    /// The object, or the one that goes.
    AnyObject,
    /// What a constraint sets.
    Parameters,
}

/// A field of the `resource` variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    Kind,
    Name,
    Namespace,
    Cloud,
    Account,
    Region,
    Labels,
    ManagedBy,
    Active,
    NativeId,
}

impl Fact {
    pub(crate) const ALL: [(Self, &'static str); 10] = [
        (Self::Kind, "kind"),
        (Self::Name, "name"),
        (Self::Namespace, "namespace"),
        (Self::Cloud, "cloud"),
        (Self::Account, "account"),
        (Self::Region, "region"),
        (Self::Labels, "labels"),
        (Self::ManagedBy, "managed_by"),
        (Self::Active, "active"),
        (Self::NativeId, "native_id"),
    ];
}

#[derive(Debug)]
pub(super) enum Op {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(Box<str>),
    Type(&'static str),
    Bytes(Box<[u8]>),
    /// A list or map literal of constants.
    Json(Value),
    Variable(Variable),
    /// The n-th enclosing iteration variable, innermost = 0.
    Local(u16),
    Select(Box<Node>, Box<str>),
    OptSelect(Box<Node>, Box<str>),
    /// `has(operand.field)`.
    Has(Box<Node>, Box<str>),
    /// `has(resource.field)`.
    HasFact(Fact),
    OptFact(Fact),
    Index(Box<Node>, Box<Node>),
    OptIndex(Box<Node>, Box<Node>),
    List(Vec<(Node, Optional)>),
    Map(Vec<(Node, Node, Optional)>),
    Cond(Box<(Node, Node, Node)>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Binary, Box<(Node, Node)>),
    Iterate(Iterate, Box<Node>, Vec<Node>),
    Matches(Box<Node>, Arc<Regex>),
    Call(Function, Vec<Node>),
    /// A function of a library.
    Library(Native, Vec<Node>),
    /// `cel.bind`: the value, and the expression that names it.
    Bind(Box<(Node, Node)>),
    /// `has` of a name that is declared.
    Declared(Box<Node>),
}

/// Whether an entry of a literal is written with `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Iterate {
    All,
    Exists,
    ExistsOne,
    Map,
    /// `map` with a filter before the transformation.
    FilterMap,
    Filter,
    /// `optMap`: the body runs on the value of a full optional.
    OptMap,
    /// `optFlatMap`: likewise, the body gives the optional.
    OptFlatMap,
    /// `sortBy`: the body gives what to order by.
    SortBy,
    /// The macros of two variables.
    Pairs(Pairs),
}

/// Macros that visit index and item of a list, or key and value of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pairs {
    All,
    Exists,
    ExistsOne,
    /// With two bodies, the first is a filter; so below.
    TransformList,
    TransformMap,
    /// The body gives a map of the entries.
    TransformMapEntry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    StartsWith,
    EndsWith,
    Contains,
    Matches,
    String,
    Int,
    Uint,
    Double,
    Bool,
    Dyn,
    Type,
    Timestamp,
    Duration,
    Value,
    HasValue,
    Or,
    OrValue,
    OptionalOf,
    OptionalNone,
    OptionalOfNonZero,
    Split,
    Join,
    LowerAscii,
    UpperAscii,
    Replace,
    Substring,
    Trim,
    IndexOf,
    LastIndexOf,
    CharAt,
    Distinct,
    Sort,
    Selects,
    CidrContains,
    Minor,
    Quantity,
}
