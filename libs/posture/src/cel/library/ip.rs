use std::net::{IpAddr, Ipv4Addr};

use super::{Call, Form, Native, Opaque, cidr};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// Addresses.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "ip", 1) => ip,
        (Form::Function, "isIP", 1) => is_ip,
        (Form::In("ip"), "isCanonical", 1) => is_canonical,
        (Form::Method, "ip", 1) => cidr::address,
        (Form::Method, "family", 1) => |call, args| Ok(Val::Int(if this(call, args)?.is_ipv4() { 4 } else { 6 })),
        (Form::Method, "isUnspecified", 1) => |call, args| Ok(Val::Bool(this(call, args)?.is_unspecified())),
        (Form::Method, "isLoopback", 1) => |call, args| Ok(Val::Bool(this(call, args)?.is_loopback())),
        (Form::Method, "isLinkLocalMulticast", 1) => {
            |call, args| Ok(Val::Bool(link_local_multicast(this(call, args)?)))
        }
        (Form::Method, "isLinkLocalUnicast", 1) => |call, args| Ok(Val::Bool(link_local_unicast(this(call, args)?))),
        (Form::Method, "isGlobalUnicast", 1) => |call, args| Ok(Val::Bool(global_unicast(this(call, args)?))),
        _ => return None,
    })
}

/// An address as Kubernetes takes it: no zone, no IPv4 address in IPv6 form.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    match address {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => None,
        _ => Some(address),
    }
}

fn ip<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let address = parse(call.text(&args[0])?).ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(Val::Opaque(Opaque::Ip(address)))
}

fn is_ip<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(parse(call.text(&args[0])?).is_some()))
}

fn is_canonical<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let text = call.text(&args[0])?;
    let address = parse(text).ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(Val::Bool(address.to_string() == text))
}

fn this(call: &Call<'_, '_>, args: &[Val<'_>]) -> Result<IpAddr, EvalError> {
    match args[0] {
        Val::Opaque(Opaque::Ip(address)) => Ok(address),
        _ => Err(call.no_overload()),
    }
}

fn link_local_multicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn link_local_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Whatever is none of the others, private addresses included.
fn global_unicast(address: IpAddr) -> bool {
    address != IpAddr::V4(Ipv4Addr::BROADCAST)
        && !address.is_unspecified()
        && !address.is_loopback()
        && !address.is_multicast()
        && !link_local_unicast(address)
}
