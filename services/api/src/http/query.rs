use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use rampart_store::page::{Cursor, Page};
use rampart_store::token;
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{ApiError, Code};

/// What every list takes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; they are read one by one, for the sake of their error codes")]
pub(crate) struct PageParams {
    /// Rows at most, 1 to 500.
    #[param(minimum = 1, maximum = 500, example = 100)]
    limit: u16,
    /// `next_cursor` of the page before; only with the same filters and sort.
    cursor: Option<String>,
}

/// The query of a list: filters, and which page.
#[derive(Debug)]
pub(crate) struct Listing<F> {
    pub filter: F,
    pub page: Page,
}

/// The query of anything else.
#[derive(Debug)]
pub(crate) struct Params<F>(pub F);

/// The variable parts of the path. What does not parse is not there.
#[derive(Debug)]
pub(crate) struct PathOf<T>(pub T);

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Listing<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut pairs = pairs(parts)?;
        let limit = limit(pairs.remove("limit"))?;
        let cursor = pairs.remove("cursor").map(|given| given.values.join(""));
        let filters = fingerprint(parts.uri.path(), &pairs);
        let after = cursor.map(|text| Cursor::decode(&text, &filters)).transpose()?;
        Ok(Self { filter: read(pairs)?, page: Page { limit, filters, after } })
    }
}

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Params<F> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        read(pairs(parts)?).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found("what the path names was");
        // Nothing has a NUL in its name, and the database cannot be asked for one.
        if parts.uri.path().contains("%00") {
            return Err(missing());
        }
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(path)| Self(path)).map_err(|_| missing())
    }
}

fn limit(given: Option<Given>) -> Result<u16, ApiError> {
    let given = given.ok_or_else(|| ApiError::new(Code::LimitRequired, "give `limit`, 1 to 500"))?;
    let limit = u16::deserialize(given).map_err(|error| ApiError::new(Code::InvalidQuery, error.to_string()))?;
    if (1..=500).contains(&limit) {
        Ok(limit)
    } else {
        Err(ApiError::new(Code::InvalidQuery, "`limit` must be 1 to 500"))
    }
}

pub(super) fn pairs(parts: &Parts) -> Result<BTreeMap<String, Given>, ApiError> {
    let mut pairs: BTreeMap<String, Given> = BTreeMap::new();
    for (key, value) in url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        if value.contains('\0') {
            return Err(ApiError::new(Code::InvalidQuery, "texts must not contain NUL (`%00`)"));
        }
        let given = pairs
            .entry(key.clone().into_owned())
            .or_insert_with(|| Given { key: key.into_owned(), values: Vec::new() });
        given.values.push(value.into_owned());
    }
    Ok(pairs)
}

pub(super) fn read<F: DeserializeOwned>(pairs: BTreeMap<String, Given>) -> Result<F, ApiError> {
    F::deserialize(MapDeserializer::new(pairs.into_iter()))
        .map_err(|error| ApiError::new(Code::InvalidQuery, error.to_string()))
}

/// Tells lists and their filters apart, so that a cursor works only where it was given out.
fn fingerprint(path: &str, pairs: &BTreeMap<String, Given>) -> String {
    let mut text = url::form_urlencoded::Serializer::new(format!("{path}?"));
    for given in pairs.values() {
        for value in &given.values {
            text.append_pair(&given.key, value);
        }
    }
    token::hex(&token::hash(&text.finish())[..8])
}

/// The values of one parameter; read as one or as many, as the field wants.
#[derive(Debug)]
pub(super) struct Given {
    key: String,
    values: Vec<String>,
}

impl Given {
    fn error(key: &str, error: impl std::fmt::Display) -> Error {
        Error::custom(format!("`{key}`: {error}"))
    }

    fn one(self) -> Result<(String, String), Error> {
        match <[String; 1]>::try_from(self.values) {
            Ok([value]) => Ok((self.key, value)),
            Err(_) => Err(Self::error(&self.key, "given more than once")),
        }
    }

    fn parse<T: std::str::FromStr>(self, expected: &str) -> Result<T, Error> {
        let (key, value) = self.one()?;
        value.parse().map_err(|_| Self::error(&key, format!("must be {expected}")))
    }
}

impl IntoDeserializer<'_> for Given {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, value) = self.one()?;
        visitor.visit_string(value).map_err(|error: Error| Self::error(&key, error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let key = self.key;
        visitor
            .visit_seq(SeqDeserializer::new(self.values.into_iter()))
            .map_err(|error: Error| Self::error(&key, error))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (key, value) = self.one()?;
        let value: serde::de::value::StringDeserializer<Error> = value.into_deserializer();
        value.deserialize_enum(name, variants, visitor).map_err(|error| Self::error(&key, error))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(self.parse("true or false")?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u16(self.parse("a whole number")?)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct
        map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        #[serde(default)]
        kind: Vec<rampart_domain::Kind>,
        stale: Option<bool>,
        cluster: Option<uuid::Uuid>,
    }

    async fn check(query: &str) -> Result<Listing<Filter>, String> {
        let request = axum::http::Request::builder().uri(format!("/v1/x?{query}")).body(()).unwrap();
        let (mut parts, ()) = request.into_parts();
        Listing::from_request_parts(&mut parts, &()).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn queries_are_read_strictly() {
        let listing = check("limit=5&kind=k8s.pod&kind=k8s.node&stale=true").await.unwrap();
        assert_eq!((listing.page.limit, listing.filter.kind.len(), listing.filter.stale), (5, 2, Some(true)));
        for (query, part) in [
            ("stale=true", "limit"),
            ("limit=0", "1 to 500"),
            ("limit=501", "1 to 500"),
            ("limit=x", "whole number"),
            ("limit=5&stale=maybe", "`stale`: must be true or false"),
            ("limit=5&stale=true&stale=true", "more than once"),
            ("limit=5&kind=pod", "unknown kind"),
            ("limit=5&cluster=7", "`cluster`"),
            ("limit=5&colour=red", "unknown field `colour`"),
            ("limit=5&cursor=abc", "cursor"),
        ] {
            let error = check(query).await.unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }
}
