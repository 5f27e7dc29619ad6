use std::net::IpAddr;

use ipnet::IpNet;

use super::error::ErrorKind;
use super::eval::{Outcome, error};
use super::ir::{Function, Node};
use super::value::Val;

/// The string extensions. Indices count code points.
pub(super) fn apply<'a>(function: Function, args: &[Val<'a>], node: &Node) -> Outcome<'a> {
    let overload = || error(node, ErrorKind::NoSuchOverload);
    let out_of_range = || error(node, ErrorKind::OutOfRange);
    let Some(Val::Str(this)) = args.first() else { return Err(overload()) };
    let this = this.as_str();
    Ok(match (function, &args[1..]) {
        (Function::LowerAscii, []) => Val::owned(this.to_ascii_lowercase()),
        (Function::UpperAscii, []) => Val::owned(this.to_ascii_uppercase()),
        (Function::Trim, []) => Val::owned(this.trim()),
        (Function::Split, [Val::Str(separator)]) => split(this, separator.as_str(), -1),
        (Function::Split, [Val::Str(separator), Val::Int(limit)]) => split(this, separator.as_str(), *limit),
        (Function::Replace, [Val::Str(from), Val::Str(to)]) => replace(this, from.as_str(), to.as_str(), node)?,
        (Function::Replace, [Val::Str(from), Val::Str(to), Val::Int(limit)]) => match usize::try_from(*limit) {
            Ok(limit) => Val::owned(this.replacen(from.as_str(), to.as_str(), limit)),
            Err(_) => replace(this, from.as_str(), to.as_str(), node)?,
        },
        (Function::CharAt, [Val::Int(index)]) => {
            let index = usize::try_from(*index).map_err(|_| out_of_range())?;
            match this.chars().nth(index) {
                Some(c) => Val::owned(c.to_string()),
                None if index == this.chars().count() => Val::text(""),
                None => return Err(out_of_range()),
            }
        }
        (Function::Substring, [Val::Int(start)]) => {
            let start = byte(this, *start).ok_or_else(out_of_range)?;
            Val::owned(&this[start..])
        }
        (Function::Substring, [Val::Int(start), Val::Int(end)]) => {
            let start = byte(this, *start).ok_or_else(out_of_range)?;
            let end = byte(this, *end).ok_or_else(out_of_range)?;
            Val::owned(this.get(start..end).ok_or_else(out_of_range)?)
        }
        (Function::IndexOf, [Val::Str(needle)]) => position(this, this.find(needle.as_str())),
        (Function::LastIndexOf, [Val::Str(needle)]) => position(this, this.rfind(needle.as_str())),
        _ => return Err(overload()),
    })
}

fn split<'a>(this: &str, separator: &str, limit: i64) -> Val<'a> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit == 0 {
        return Val::List([].into());
    }
    if !separator.is_empty() {
        return Val::List(this.splitn(limit, separator).map(Val::owned).collect());
    }
    let mut parts = Vec::new();
    let mut rest = this;
    while let Some(c) = rest.chars().next() {
        if parts.len() + 1 == limit {
            break;
        }
        let (head, tail) = rest.split_at(c.len_utf8());
        parts.push(Val::owned(head));
        rest = tail;
    }
    if !rest.is_empty() {
        parts.push(Val::owned(rest));
    }
    Val::List(parts.into())
}

/// Longest text that a replacement may make: an empty pattern with a long text grows quadratically when repeated.
const MAX_TEXT: usize = 1 << 20;

fn replace<'a>(this: &str, from: &str, to: &str, node: &Node) -> Outcome<'a> {
    let hits = if from.is_empty() { this.chars().count() + 1 } else { this.matches(from).count() };
    if hits.saturating_mul(to.len()).saturating_add(this.len()) > MAX_TEXT {
        return Err(error(node, ErrorKind::Budget));
    }
    Ok(Val::owned(this.replace(from, to)))
}

/// Byte offset of the `index`-th code point; the end counts as one.
fn byte(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn position<'a>(text: &str, at: Option<usize>) -> Val<'a> {
    Val::Int(at.map_or(-1, |at| text[..at].chars().count() as i64))
}

/// Whether the network contains the address or all of the other network. `None` when either text is malformed.
pub(super) fn cidr_contains(network: &str, inner: &str) -> Option<bool> {
    let network: IpNet = network.parse().ok()?;
    match inner.parse::<IpNet>() {
        Ok(inner) => Some(network.contains(&inner)),
        Err(_) => Some(network.contains(&inner.parse::<IpAddr>().ok()?)),
    }
}
