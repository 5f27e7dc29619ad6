use serde_json::Value;

use super::selector::Selector;

/// `spec.match` of a constraint.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Match {
    kinds: Vec<Kinds>,
    scope: Scope,
    namespaces: Vec<Wildcard>,
    excluded_namespaces: Vec<Wildcard>,
    label_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    name: Option<Wildcard>,
    /// Only of what a template generates: nothing that is reviewed here is.
    generated_only: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Kinds {
    groups: Vec<String>,
    kinds: Vec<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Scope {
    #[default]
    Any,
    Cluster,
    Namespaced,
}

/// A name, or a part of one between stars.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wildcard {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Within(String),
}

impl Wildcard {
    fn parse(text: &str) -> Self {
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), Some(_)) => Self::Within(rest.strip_suffix('*').unwrap_or(rest).to_owned()),
            (Some(suffix), None) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => name.ends_with(suffix.as_str()),
            Self::Within(part) => name.contains(part.as_str()),
        }
    }

    /// A generated name's end is not known.
    fn matches_generated(&self, name: &str) -> bool {
        matches!(self, Self::Prefix(_) | Self::Within(_)) && self.matches(name)
    }
}

/// Error of one field: its path below `spec.match`, and what is wrong.
type FieldError = (String, String);

impl Match {
    /// Reads `spec.match`.
    pub(super) fn parse(value: &Value) -> Result<Self, FieldError> {
        let error = |field: &str, message: &str| (field.to_owned(), message.to_owned());
        if value.is_null() {
            return Ok(Self::default());
        }
        if !value.is_object() {
            return Err(error("", "is not an object"));
        }
        let selector = |field: &str| match &value[field] {
            Value::Null => Ok(None),
            present => Selector::parse(present).map(Some).map_err(|(inner, why)| {
                (if inner.is_empty() { field.to_owned() } else { format!("{field}.{inner}") }, why)
            }),
        };
        let generated_only = match optional(value, "source")?.unwrap_or_default() {
            "" | "All" | "Original" => false,
            "Generated" => true,
            _ => return Err(error("source", "is none of All, Original and Generated")),
        };
        Ok(Self {
            kinds: kinds(&value["kinds"])?,
            scope: match optional(value, "scope")?.unwrap_or_default() {
                "Cluster" => Scope::Cluster,
                "Namespaced" => Scope::Namespaced,
                _ => Scope::Any,
            },
            namespaces: wildcards(value, "namespaces")?,
            excluded_namespaces: wildcards(value, "excludedNamespaces")?,
            label_selector: selector("labelSelector")?,
            namespace_selector: selector("namespaceSelector")?,
            name: optional(value, "name")?.filter(|name| !name.is_empty()).map(Wildcard::parse),
            generated_only,
        })
    }

    /// Whether objects of a group and kind can match.
    pub(super) fn may_match(&self, group: &str, kind: &str) -> bool {
        !self.generated_only && (self.kinds.is_empty() || self.kinds.iter().any(|kinds| kinds.match_kind(group, kind)))
    }

    /// Whether an object matches. `namespace` is its namespace object, where known. Fails where that is needed and missing.
    pub(super) fn matches(&self, object: &Value, namespace: Option<&Value>) -> Result<bool, String> {
        let (group, kind) = group_kind(object);
        let is_namespace = kind == "Namespace" && group.is_empty();
        let own = metadata(object, "namespace");
        let surrounding = namespace.map(|namespace| metadata(namespace, "name"));
        let has_namespace = !own.is_empty() || surrounding.is_some();
        let name_of_namespace = if is_namespace { Some(metadata(object, "name")) } else { surrounding };
        let name_of_namespace = name_of_namespace.or(if own.is_empty() { None } else { Some(own) });

        if !self.kinds.is_empty() && !self.kinds.iter().any(|kinds| kinds.match_kind(group, kind)) {
            return Ok(false);
        }
        let in_scope = match self.scope {
            Scope::Any => true,
            Scope::Cluster => is_namespace || !has_namespace,
            Scope::Namespaced => !is_namespace && has_namespace,
        };
        let listed =
            |list: &[Wildcard]| name_of_namespace.map(|name| list.iter().any(|wildcard| wildcard.matches(name)));
        let included = self.namespaces.is_empty() || listed(&self.namespaces) != Some(false);
        let excluded = listed(&self.excluded_namespaces) == Some(true);
        if !in_scope || !included || excluded {
            return Ok(false);
        }
        if self.label_selector.as_ref().is_some_and(|selector| !selector.matches(object)) {
            return Ok(false);
        }
        if let Some(selector) = &self.namespace_selector {
            let subject = match (is_namespace, namespace) {
                (true, _) => Some(object),
                (false, Some(namespace)) => Some(namespace),
                (false, None) if own.is_empty() => None,
                (false, None) => return Err(format!("the labels of namespace `{own}` are not known")),
            };
            if subject.is_some_and(|subject| !selector.matches(subject)) {
                return Ok(false);
            }
        }
        let named = self.name.as_ref().is_none_or(|wildcard| {
            wildcard.matches(metadata(object, "name")) || wildcard.matches_generated(metadata(object, "generateName"))
        });
        Ok(named && !self.generated_only)
    }
}

impl Kinds {
    fn match_kind(&self, group: &str, kind: &str) -> bool {
        let holds =
            |list: &[String], word: &str| list.is_empty() || list.iter().any(|item| item == "*" || item == word);
        holds(&self.kinds, kind) && holds(&self.groups, group)
    }
}

/// API group and kind of an object.
pub(super) fn group_kind(object: &Value) -> (&str, &str) {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    (group, object["kind"].as_str().unwrap_or_default())
}

/// A string in an object's metadata; empty where there is none.
pub(super) fn metadata<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

fn optional<'a>(value: &'a Value, field: &str) -> Result<Option<&'a str>, FieldError> {
    match &value[field] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err((field.to_owned(), "is not a string".to_owned())),
    }
}

fn strings(value: &Value, field: &str) -> Result<Vec<String>, FieldError> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str().map(str::to_owned).ok_or_else(|| (field.to_owned(), "holds no strings".to_owned()))
            })
            .collect(),
        _ => Err((field.to_owned(), "is not a list".to_owned())),
    }
}

fn wildcards(value: &Value, field: &str) -> Result<Vec<Wildcard>, FieldError> {
    Ok(strings(&value[field], field)?.iter().map(|text| Wildcard::parse(text)).collect())
}

fn kinds(value: &Value) -> Result<Vec<Kinds>, FieldError> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err(("kinds".to_owned(), "is not a list".to_owned())),
    };
    let parse = |(index, item): (usize, &Value)| {
        let field = |name: &str| format!("kinds[{index}].{name}");
        if !item.is_object() {
            return Err((format!("kinds[{index}]"), "is not an object".to_owned()));
        }
        Ok(Kinds {
            groups: strings(&item["apiGroups"], &field("apiGroups"))?,
            kinds: strings(&item["kinds"], &field("kinds"))?,
        })
    };
    items.iter().enumerate().map(parse).collect()
}
