use std::borrow::Cow;

use serde_json::Value;

use crate::policy::admission::kinds;
use crate::policy::{Operation, Review};

/// What of an object decides which policies look at it.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Target<'a> {
    pub(in crate::policy) group: &'a str,
    pub(in crate::policy) version: &'a str,
    pub(in crate::policy) kind: &'a str,
    pub(in crate::policy) resource: Cow<'a, str>,
    /// Empty for the object itself.
    pub(in crate::policy) subresource: &'a str,
    /// Versions of the same resource that an API server gives too.
    pub(in crate::policy) versions: kinds::Versions,
    pub(in crate::policy) name: Option<&'a str>,
    pub(in crate::policy) namespace: Option<&'a str>,
    pub(in crate::policy) scope: Scope,
    /// An object that is audited counts as one that is created.
    pub(in crate::policy) operation: Operation,
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum Scope {
    Cluster,
    Namespaced,
    /// The kind is not known, and the object names no namespace.
    Unknown,
}

impl<'a> Target<'a> {
    pub(in crate::policy) fn of(review: &Review<'a>) -> Self {
        let object = review.object;
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let api_version = text("/apiVersion").unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = text("/kind").unwrap_or_default();
        let known = kinds::find(group, kind);
        let name = text("/metadata/name");
        let named = text("/metadata/namespace");
        let scope = match (known.scope, named) {
            (Scope::Unknown, Some(_)) => Scope::Namespaced,
            (scope, _) => scope,
        };
        let is_namespace = group.is_empty() && kind == "Namespace";
        let given = || review.namespace?.pointer("/metadata/name")?.as_str();
        // A namespace is asked about as if it lived in itself.
        let namespace = match scope {
            _ if is_namespace => name,
            Scope::Cluster => None,
            Scope::Namespaced | Scope::Unknown => named.or_else(given),
        };
        Self {
            group,
            version,
            kind,
            resource: known.resource.into(),
            subresource: known.subresource,
            versions: known.versions,
            name,
            namespace,
            scope: if scope == Scope::Unknown && namespace.is_some() { Scope::Namespaced } else { scope },
            operation: review.operation.unwrap_or(Operation::Create),
        }
    }

    /// What a whole request says of itself outweighs what its object says.
    pub(in crate::policy) fn of_request(review: &Review<'a>, request: &'a Value) -> Self {
        let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
        let some = |pointer: &str| text(pointer).filter(|text| !text.is_empty());
        let mut target = Self::of(review);
        if let (Some(version), Some(resource)) = (some("/resource/version"), some("/resource/resource")) {
            target.group = text("/resource/group").unwrap_or_default();
            (target.version, target.resource) = (version, resource.into());
            target.subresource = text("/subResource").unwrap_or_default();
        }
        target.kind = some("/kind/kind").unwrap_or(target.kind);
        target.name = some("/name").or(target.name);
        if let Some(namespace) = some("/namespace") {
            target.namespace = Some(namespace);
            target.scope = if target.is_namespace() { Scope::Cluster } else { Scope::Namespaced };
        } else if request.get("operation").is_some() && target.scope == Scope::Unknown {
            // A request about what lives in a namespace names it.
            target.scope = Scope::Cluster;
        }
        target
    }

    pub(in crate::policy) fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }
}
