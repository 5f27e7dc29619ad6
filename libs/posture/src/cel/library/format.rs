use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate};

use super::names;
use super::url::Url;
use super::{Call, Form, Native, Opaque};
use crate::cel::eval::Outcome;
use crate::cel::value::Val;

/// A named format of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Dns1123Label,
    Dns1123Subdomain,
    Dns1035Label,
    QualifiedName,
    Dns1123LabelPrefix,
    Dns1123SubdomainPrefix,
    Dns1035LabelPrefix,
    LabelValue,
    Uri,
    Uuid,
    Byte,
    Date,
    Datetime,
}

const FORMATS: [(&str, Format); 13] = [
    ("dns1123Label", Format::Dns1123Label),
    ("dns1123Subdomain", Format::Dns1123Subdomain),
    ("dns1035Label", Format::Dns1035Label),
    ("qualifiedName", Format::QualifiedName),
    ("dns1123LabelPrefix", Format::Dns1123LabelPrefix),
    ("dns1123SubdomainPrefix", Format::Dns1123SubdomainPrefix),
    ("dns1035LabelPrefix", Format::Dns1035LabelPrefix),
    ("labelValue", Format::LabelValue),
    ("uri", Format::Uri),
    ("uuid", Format::Uuid),
    ("byte", Format::Byte),
    ("date", Format::Date),
    ("datetime", Format::Datetime),
];

/// Formats.
pub(super) fn find(form: Form<'_>, name: &str, args: usize) -> Option<Native> {
    let constant = |format: Format| -> Native {
        match format {
            Format::Dns1123Label => |_, _| Ok(value(Format::Dns1123Label)),
            Format::Dns1123Subdomain => |_, _| Ok(value(Format::Dns1123Subdomain)),
            Format::Dns1035Label => |_, _| Ok(value(Format::Dns1035Label)),
            Format::QualifiedName => |_, _| Ok(value(Format::QualifiedName)),
            Format::Dns1123LabelPrefix => |_, _| Ok(value(Format::Dns1123LabelPrefix)),
            Format::Dns1123SubdomainPrefix => |_, _| Ok(value(Format::Dns1123SubdomainPrefix)),
            Format::Dns1035LabelPrefix => |_, _| Ok(value(Format::Dns1035LabelPrefix)),
            Format::LabelValue => |_, _| Ok(value(Format::LabelValue)),
            Format::Uri => |_, _| Ok(value(Format::Uri)),
            Format::Uuid => |_, _| Ok(value(Format::Uuid)),
            Format::Byte => |_, _| Ok(value(Format::Byte)),
            Format::Date => |_, _| Ok(value(Format::Date)),
            Format::Datetime => |_, _| Ok(value(Format::Datetime)),
        }
    };
    match (form, name, args) {
        (Form::In("format"), "named", 1) => Some(named),
        (Form::In("format"), name, 0) => named_format(name).map(constant),
        (Form::Method, "validate", 2) => Some(validate),
        _ => None,
    }
}

fn named_format(name: &str) -> Option<Format> {
    FORMATS.into_iter().find(|(known, _)| *known == name).map(|(_, format)| format)
}

fn value<'a>(format: Format) -> Val<'a> {
    Val::Opaque(Opaque::Format(format))
}

fn named<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    Ok(named_format(call.text(&args[0])?).map_or(Val::NONE, |format| value(format).some()))
}

fn validate<'a>(call: &Call<'_, 'a>, args: &[Val<'a>]) -> Outcome<'a> {
    let Val::Opaque(Opaque::Format(format)) = &args[0] else { return Err(call.no_overload()) };
    let problems = format.problems(call.text(&args[1])?);
    if problems.is_empty() {
        return Ok(Val::NONE);
    }
    Ok(Val::List(problems.into_iter().map(Val::owned).collect()).some())
}

impl Format {
    /// What is wrong with a text; nothing when it has the format.
    fn problems(self, text: &str) -> Vec<String> {
        let unless = |holds: bool, problem: &str| if holds { Vec::new() } else { vec![problem.to_owned()] };
        match self {
            Self::Dns1123Label => names::dns1123_label(text),
            Self::Dns1123Subdomain => names::dns1123_subdomain(text),
            Self::Dns1035Label => names::dns1035_label(text),
            Self::QualifiedName => names::qualified_name(text),
            Self::Dns1123LabelPrefix => names::dns1123_label(&names::completed(text)),
            Self::Dns1123SubdomainPrefix => names::dns1123_subdomain(&names::completed(text)),
            Self::Dns1035LabelPrefix => names::dns1035_label(&names::completed(text)),
            Self::LabelValue => names::label_value(text),
            Self::Uri => unless(Url::is_request(text), "is no absolute URI or path"),
            Self::Uuid => unless(is_uuid(text), "does not match the UUID format"),
            Self::Byte => unless(STANDARD.decode(text).is_ok(), "invalid base64"),
            Self::Date => unless(is_date(text), "invalid date"),
            Self::Datetime => unless(is_datetime(text), "invalid datetime"),
        }
    }
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12; the hyphens may be left out.
fn is_uuid(text: &str) -> bool {
    let mut digits = 0_usize;
    for c in text.bytes() {
        match c {
            b'-' if matches!(digits, 8 | 12 | 16 | 20) => {}
            _ if c.is_ascii_hexdigit() => digits += 1,
            _ => return false,
        }
    }
    digits == 32 && !text.contains("--")
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_datetime(text: &str) -> bool {
    text.is_ascii() && DateTime::parse_from_rfc3339(text).is_ok()
}
