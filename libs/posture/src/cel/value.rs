use std::borrow::Cow;
use std::rc::Rc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::error::Missing;
use super::library::Opaque;
use crate::input::NeighbourItem;

/// A value while an expression runs. Borrows whatever it can from the input and the program.
#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Str(Text<'a>),
    /// A JSON array or object; scalars are unpacked by [`Val::of`].
    Json(&'a Value),
    /// The configurations of a neighbour.
    Neighbours(&'a [NeighbourItem<'a>]),
    List(Rc<[Val<'a>]>),
    /// Entries in the order written.
    Map(Rc<[(Val<'a>, Val<'a>)]>),
    Optional(Option<Rc<Val<'a>>>),
    Timestamp(DateTime<Utc>),
    Duration(TimeDelta),
    /// A type, by its CEL name.
    Type(&'static str),
    Bytes(Rc<[u8]>),
    /// A value of a library.
    Opaque(Opaque),
    /// A fact that is not known: reading it is an error.
    Missing(Missing),
}

/// Text, borrowed where possible.
#[derive(Debug, Clone)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Owned(Rc<str>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl<'a> Val<'a> {
    /// The value that a JSON node stands for.
    pub(crate) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(int), _) => Self::Int(int),
                (None, Some(uint)) => Self::Uint(uint),
                // Always present: serde_json's numbers are one of the three.
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::text(text),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    pub(crate) fn text(text: &'a str) -> Self {
        Self::Str(Text::Borrowed(text))
    }

    pub(super) fn owned(text: impl Into<Rc<str>>) -> Self {
        Self::Str(Text::Owned(text.into()))
    }

    pub(super) fn some(self) -> Self {
        Self::Optional(Some(Rc::new(self)))
    }

    pub(super) const NONE: Self = Self::Optional(None);

    pub(crate) fn is_list(&self) -> bool {
        self.list_len().is_some()
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Name of the value's type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Json(Value::Object(_)) | Self::Map(_) => "map",
            Self::Json(_) | Self::Neighbours(_) | Self::List(_) => "list",
            Self::Optional(_) => "optional_type",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
            Self::Bytes(_) => "bytes",
            Self::Opaque(opaque) => opaque.type_name(),
            Self::Missing(_) => "error",
        }
    }

    /// Number of items when this is a list.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Self::Json(Value::Array(items)) => Some(items.len()),
            Self::Neighbours(items) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    /// An item of a list.
    pub(super) fn item(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(Value::Array(items)) => items.get(index).map(Val::of),
            Self::Neighbours(items) => items.get(index).map(|item| Val::of(item.config)),
            Self::List(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// Number of entries when this is a map.
    pub(super) fn map_len(&self) -> Option<usize> {
        match self {
            Self::Json(Value::Object(map)) => Some(map.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    /// Every key of a map, in its order.
    pub(super) fn keys(&self) -> Option<Box<dyn Iterator<Item = Val<'a>> + 'a>> {
        match self {
            Self::Json(Value::Object(map)) => {
                let map: &'a serde_json::Map<String, Value> = map;
                Some(Box::new(map.keys().map(|key| Val::text(key))))
            }
            Self::Map(entries) => {
                let entries = Rc::clone(entries);
                Some(Box::new((0..entries.len()).map(move |index| entries[index].0.clone())))
            }
            _ => None,
        }
    }

    /// The value as JSON; `None` for what JSON cannot say.
    pub(super) fn to_json(&self) -> Option<Cow<'a, Value>> {
        Some(Cow::Owned(match self {
            Self::Json(value) => return Some(Cow::Borrowed(value)),
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Int(int) => Value::from(*int),
            Self::Uint(uint) => Value::from(*uint),
            Self::Double(double) => Value::from(*double),
            Self::Str(text) => Value::from(text.as_str()),
            Self::Neighbours(items) => items.iter().map(|item| item.config.clone()).collect(),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.to_json().map(Cow::into_owned)).collect::<Option<_>>()?)
            }
            Self::Map(entries) => {
                let entry =
                    |(key, value): &(Val<'a>, Val<'a>)| Some((key.as_str()?.to_owned(), value.to_json()?.into_owned()));
                Value::Object(entries.iter().map(entry).collect::<Option<_>>()?)
            }
            Self::Optional(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::Type(_)
            | Self::Bytes(_)
            | Self::Opaque(_)
            | Self::Missing(_) => return None,
        }))
    }
}
