//! The functions that Kubernetes adds to CEL, one file per library. Only policies have them.

mod authorizer;
mod cidr;
mod convert;
mod format;
mod ip;
mod lists;
mod math;
mod names;
mod numbers;
mod quantity;
mod query;
mod regex;
mod semver;
mod sets;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod url;

use std::net::IpAddr;
use std::rc::Rc;

use super::error::{ErrorKind, EvalError};
use super::eval::{Outcome, Run, error};
use super::ir::{Function, Node};
use super::value::Val;

/// A function of a library: the receiver of a method is its first argument.
pub(super) type Native = for<'r, 'a> fn(&Call<'r, 'a>, &[Val<'a>]) -> Outcome<'a>;

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'n> {
    /// `function(a)`
    Function,
    /// `a.function()`
    Method,
    /// `namespace.function(a)`
    In(&'n str),
}

/// Whether functions are called by that name and a dot.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(name, "math" | "sets" | "format" | "ip" | "strings" | "lists" | "jsonpatch")
}

/// The function of that name; `args` counts the receiver.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    let libraries = [
        convert::find,
        text::find,
        time::find,
        lists::find,
        math::find,
        sets::find,
        regex::find,
        quantity::find,
        url::find,
        ip::find,
        cidr::find,
        semver::find,
        format::find,
        authorizer::find,
    ];
    libraries.into_iter().find_map(|library| library(form, name, args))
}

/// A value of a type that a library adds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Opaque {
    Quantity(Rc<quantity::Quantity>),
    Url(Rc<url::Url>),
    Ip(IpAddr),
    Cidr(Rc<cidr::Cidr>),
    Semver(Rc<semver::Semver>),
    Format(format::Format),
}

impl Opaque {
    pub(super) const fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Url(_) => "kubernetes.URL",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Format(_) => "kubernetes.NamedFormat",
        }
    }
}

/// A call of a function, while it runs.
pub(super) struct Call<'r, 'a> {
    pub(super) run: &'r Run<'a>,
    pub(super) node: &'a Node,
}

impl<'a> Call<'_, 'a> {
    /// Runs the function; the length of what it is given counts as steps.
    pub(super) fn apply(&self, function: Native, args: &[Val<'a>]) -> Outcome<'a> {
        let length = |value: &Val<'_>| match value {
            Val::Str(text) => text.as_str().len() / 16,
            Val::Bytes(bytes) => bytes.len() / 16,
            other => other.list_len().or_else(|| other.map_len()).unwrap_or(0),
        };
        self.charge(args.iter().map(length).sum())?;
        function(self, args)
    }

    fn charge(&self, steps: usize) -> Result<(), EvalError> {
        self.run.charge(self.node, steps)
    }

    fn fail(&self, kind: ErrorKind) -> EvalError {
        error(self.node, kind)
    }

    fn no_overload(&self) -> EvalError {
        self.fail(ErrorKind::NoSuchOverload)
    }

    fn equal(&self, left: &Val<'a>, right: &Val<'a>) -> Result<bool, EvalError> {
        self.run.equal(left, right, self.node)
    }

    /// The function of the same name that the language itself has.
    fn core(&self, function: Function, args: &[Val<'a>]) -> Outcome<'a> {
        self.run.apply(function, args, self.node)
    }

    fn text<'v>(&self, value: &'v Val<'a>) -> Result<&'v str, EvalError> {
        value.as_str().ok_or_else(|| self.no_overload())
    }

    /// The items of a list.
    fn items(&self, value: &Val<'a>) -> Result<Vec<Val<'a>>, EvalError> {
        let length = value.list_len().ok_or_else(|| self.no_overload())?;
        self.charge(length)?;
        Ok((0..length).filter_map(|index| value.item(index)).collect())
    }
}
