use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::{Call, Form, Native, Opaque, ip};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// A network, with the address that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    net: IpNet,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)
    }
}

/// Networks.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "cidr", 1) => cidr,
        (Form::Function, "isCIDR", 1) => is_cidr,
        (Form::Method, "containsIP", 2) => contains_ip,
        (Form::Method, "containsCIDR", 2) => contains_cidr,
        (Form::Method, "masked", 1) => masked,
        (Form::Method, "prefixLength", 1) => prefix_length,
        _ => return None,
    })
}

fn parse(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    // A sign or a leading zero is no length.
    let plain = length == "0" || (!length.starts_with('0') && length.bytes().all(|c| c.is_ascii_digit()));
    let net = IpNet::new(ip::parse(address)?, length.parse().ok().filter(|_| plain)?).ok()?;
    Some(Cidr { net })
}

fn value<'a>(net: IpNet) -> Val<'a> {
    Val::Opaque(Opaque::Cidr(Rc::new(Cidr { net })))
}

fn cidr<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let cidr = parse(call.text(&args[0])?).ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(value(cidr.net))
}

fn is_cidr<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(parse(call.text(&args[0])?).is_some()))
}

fn this(call: &Call<'_, '_>, args: &[Val<'_>]) -> Result<IpNet, EvalError> {
    match &args[0] {
        Val::Opaque(Opaque::Cidr(cidr)) => Ok(cidr.net),
        _ => Err(call.no_overload()),
    }
}

fn contains_ip<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let address: IpAddr = match &args[1] {
        Val::Opaque(Opaque::Ip(address)) => *address,
        Val::Str(text) => ip::parse(text.as_str()).ok_or_else(|| call.fail(ErrorKind::Conversion))?,
        _ => return Err(call.no_overload()),
    };
    Ok(Val::Bool(this(call, args)?.contains(&address)))
}

fn contains_cidr<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let inner = match &args[1] {
        Val::Opaque(Opaque::Cidr(cidr)) => cidr.net,
        Val::Str(text) => parse(text.as_str()).ok_or_else(|| call.fail(ErrorKind::Conversion))?.net,
        _ => return Err(call.no_overload()),
    };
    let outer = this(call, args)?;
    let within = outer.prefix_len() <= inner.prefix_len() && outer.contains(&inner.addr());
    Ok(Val::Bool(within))
}

/// `ip()` of a network: the address that it was written with.
pub(super) fn address<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Opaque(Opaque::Ip(this(call, args)?.addr())))
}

fn masked<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(value(this(call, args)?.trunc()))
}

fn prefix_length<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Int(i64::from(this(call, args)?.prefix_len())))
}
