use serde_json::{Map, Value};

use super::kinds;
use super::matching::{Refused, selector};
use crate::policy::validation::{Scope, Target};

/// The objects that may be parameters.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub(super) objects: Vec<Value>,
}

/// Which parameters a binding wants: `paramRef`.
#[derive(Debug)]
pub(super) struct ParamRef {
    wanted: Wanted,
    namespace: Option<String>,
    not_found: NotFound,
}

#[derive(Debug)]
enum Wanted {
    Name(String),
    Selector(Value),
}

/// What it comes to when there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotFound {
    Allow,
    Deny,
}

impl ParamRef {
    pub(super) fn parse(source: &Value) -> Result<Self, Refused> {
        let refuse = |field: &str, message: &str| Err((field.to_owned(), message.to_owned()));
        let text = |field: &str| source.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let wanted = match (text("name"), source.get("selector").filter(|selector| !selector.is_null())) {
            (Some(name), None) => Wanted::Name(name.to_owned()),
            (None, Some(_)) => Wanted::Selector(selector(source, "selector")?),
            (Some(_), Some(_)) => return refuse("selector", "is given beside a name"),
            (None, None) => return refuse("name", "neither a name nor a selector is given"),
        };
        let not_found = match text("parameterNotFoundAction") {
            Some("Allow") => NotFound::Allow,
            None | Some("Deny") => NotFound::Deny,
            Some(_) => return refuse("parameterNotFoundAction", "is neither `Allow` nor `Deny`"),
        };
        Ok(Self { wanted, namespace: text("namespace").map(str::to_owned), not_found })
    }

    /// The parameters for an object; none where that is allowed.
    pub(super) fn find<'p>(
        &self,
        params: &'p Params,
        group: &str,
        kind: &str,
        target: &Target<'_>,
    ) -> Result<Vec<&'p Value>, &'static str> {
        let of_kind = || params.objects.iter().filter(|object| is_kind(object, group, kind));
        let namespaced = match kinds::find(group, kind).scope {
            Scope::Namespaced => true,
            Scope::Cluster => false,
            Scope::Unknown => of_kind().any(|object| namespace_of(object).is_some()),
        };
        let wanted = match (namespaced, self.namespace.as_deref()) {
            (false, Some(_)) if of_kind().next().is_some() => {
                return Err("paramRef.namespace is given for parameters that live in no namespace");
            }
            (false, _) => None,
            (true, Some(namespace)) => Some(namespace),
            (true, None) => match target.namespace {
                Some(namespace) => Some(namespace),
                None if target.scope == Scope::Namespaced => Some("default"),
                None => return Err("parameters live in namespaces, and the object in none"),
            },
        };
        // A document that names no namespace is applied to the default one.
        let in_namespace = |object: &Value| match wanted {
            Some(wanted) => namespace_of(object).unwrap_or("default") == wanted,
            None => true,
        };
        let found: Vec<_> = of_kind().filter(|object| in_namespace(object) && self.wants(object)).collect();
        if found.is_empty() && self.not_found == NotFound::Deny {
            return Err("no params found for policy binding with `Deny` parameterNotFoundAction");
        }
        Ok(found)
    }

    fn wants(&self, object: &Value) -> bool {
        match &self.wanted {
            Wanted::Name(name) => object.pointer("/metadata/name").and_then(Value::as_str) == Some(name),
            Wanted::Selector(selector) => {
                let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
                rampart_domain::selects(selector, labels.unwrap_or(&Map::new()))
            }
        }
    }
}

fn namespace_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty())
}

/// Whether the object is of a group and kind; its version does not tell parameters apart.
pub(super) fn is_kind(object: &Value, group: &str, kind: &str) -> bool {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    text("kind") == kind && group_of(text("apiVersion")) == group
}

pub(super) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}
