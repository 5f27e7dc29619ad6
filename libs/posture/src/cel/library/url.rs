use std::rc::Rc;

use super::{Call, Form, Native, Opaque, query};
use crate::cel::error::{ErrorKind, EvalError};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// An absolute URI or path, in parts, read as Kubernetes' own parser does: nothing is added or put in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    scheme: String,
    user: String,
    /// With its port.
    host: String,
    /// Escaped.
    path: String,
    query: String,
    fragment: String,
}

/// URLs.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    Some(match (form, name, args) {
        (Form::Function, "url", 1) => url,
        (Form::Function, "isURL", 1) => is_url,
        (Form::Method, "getScheme", 1) => |call, args| part(call, args, |url| &url.scheme),
        (Form::Method, "getHost", 1) => |call, args| part(call, args, |url| &url.host),
        (Form::Method, "getHostname", 1) => |call, args| part(call, args, |url| split_port(&url.host).0),
        (Form::Method, "getPort", 1) => |call, args| part(call, args, |url| split_port(&url.host).1),
        (Form::Method, "getEscapedPath", 1) => |call, args| part(call, args, |url| &url.path),
        (Form::Method, "getQuery", 1) => get_query,
        _ => return None,
    })
}

/// Who reads: a request's URI has to be absolute, and takes a fragment for part of the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Request,
    Reference,
}

impl Url {
    /// Reads an absolute URI or an absolute path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::read(text, As::Request)?;
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        query::unescape(fragment, false)?;
        Some(Self { fragment: fragment.to_owned(), ..Self::read(text, As::Reference)? })
    }

    /// Whether the text is what a request may name.
    pub(super) fn is_request(text: &str) -> bool {
        Self::read(text, As::Request).is_some()
    }

    fn read(text: &str, reader: As) -> Option<Self> {
        if text.is_empty() && reader == As::Request || text.bytes().any(|c| c < 0x20 || c == 0x7f) {
            return None;
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            user: String::new(),
            host: String::new(),
            path: String::new(),
            query: query.to_owned(),
            fragment: String::new(),
        };
        if !rest.starts_with('/') && rest != "*" {
            // What follows a scheme and no slash is not looked into.
            return (!scheme.is_empty() || reader == As::Reference).then_some(url);
        }
        let mut path = rest;
        let has_authority = !scheme.is_empty() || reader == As::Reference && !rest.starts_with("///");
        if let Some(rest) = rest.strip_prefix("//").filter(|_| has_authority) {
            let (authority, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
            if !user.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&c)) {
                return None;
            }
            query::unescape(user, false)?;
            (url.user, url.host, path) = (user.to_owned(), parse_host(host)?, rest);
        }
        url.path = query::escaped_path(path)?;
        Some(url)
    }
}

/// The scheme and the rest; `None` when there is a colon and nothing before it.
fn scheme(text: &str) -> Option<(&str, &str)> {
    for (at, c) in text.char_indices() {
        match c {
            ':' if at == 0 => return None,
            ':' => return Some((&text[..at], &text[at + 1..])),
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            _ => break,
        }
    }
    Some(("", text))
}

fn parse_host(host: &str) -> Option<String> {
    let port = match (host.starts_with('['), host.rfind(']'), host.rfind(':')) {
        (true, Some(end), _) => &host[end + 1..],
        (true, None, _) => return None,
        (false, _, Some(colon)) => &host[colon..],
        (false, _, None) => "",
    };
    let is_port = |port: &str| port.strip_prefix(':').is_some_and(|port| port.bytes().all(|c| c.is_ascii_digit()));
    if !port.is_empty() && !is_port(port) {
        return None;
    }
    let allowed = |c: u8| c >= 0x80 || c.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&c);
    if !host.bytes().all(allowed) {
        return None;
    }
    query::unescape(host, false)
}

/// Host without brackets, and port.
fn split_port(host: &str) -> (&str, &str) {
    let numeric = |port: &str| port.bytes().all(|c| c.is_ascii_digit());
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if numeric(port) => (name, port),
        _ => (host, ""),
    };
    (name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name), port)
}

fn url<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let url = Url::parse(call.text(&args[0])?).ok_or_else(|| call.fail(ErrorKind::Conversion))?;
    Ok(Val::Opaque(Opaque::Url(Rc::new(url))))
}

fn is_url<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(Val::Bool(Url::is_request(call.text(&args[0])?)))
}

fn this<'v>(call: &Call<'_, '_>, args: &'v [Val<'_>]) -> Result<&'v Url, EvalError> {
    match &args[0] {
        Val::Opaque(Opaque::Url(url)) => Ok(url),
        _ => Err(call.no_overload()),
    }
}

fn part<'a>(call: &Call<'_, 'a>, args: &[Val<'a>], part: fn(&Url) -> &str) -> Outcome<'a> {
    Ok(Val::owned(part(this(call, args)?)))
}

fn get_query<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let parameters = query::parse(&this(call, args)?.query);
    let entry = |(key, values): (String, Vec<String>)| {
        (Val::owned(key), Val::List(values.into_iter().map(Val::owned).collect()))
    };
    Ok(Val::Map(parameters.into_iter().map(entry).collect()))
}
