use serde_json::{Map, Value};

use super::kinds::{self, Versions};
use crate::policy::Review;
use crate::policy::validation::{Scope, Target};

/// The label that every namespace has: its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];
const OPERATIONS: [&str; 5] = ["*", "CREATE", "UPDATE", "DELETE", "CONNECT"];

/// Which objects are looked at: `matchConstraints` or `matchResources`.
#[derive(Debug)]
pub(super) struct Matching {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    namespaces: Value,
    objects: Value,
    exact: bool,
}

#[derive(Debug)]
struct Rule {
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    names: Vec<String>,
    scope: Option<Scope>,
}

/// Whether an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Matched {
    Yes,
    No,
    /// For want of a fact.
    Unknown(&'static str),
}

/// A field that cannot be used, and why.
pub(super) type Refused = (String, String);

impl Matching {
    pub(super) fn parse(source: &Value) -> Result<Self, Refused> {
        let exact = match source.get("matchPolicy").and_then(Value::as_str) {
            None | Some("Equivalent") => false,
            Some("Exact") => true,
            Some(_) => return Err(("matchPolicy".into(), "is neither `Exact` nor `Equivalent`".into())),
        };
        Ok(Self {
            rules: rules(source, "resourceRules")?,
            excluded: rules(source, "excludeResourceRules")?,
            namespaces: selector(source, "namespaceSelector")?,
            objects: selector(source, "objectSelector")?,
            exact,
        })
    }

    pub(super) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether objects of a group and kind can match.
    pub(super) fn may_match(&self, group: &str, kind: &str) -> bool {
        let resource = kinds::find(group, kind).resource;
        let is_named = |item: &String| {
            let (name, subresource) = item.split_once('/').unwrap_or((item, ""));
            (name == "*" || name == resource) && matches!(subresource, "" | "*")
        };
        let is_group = |item: &String| item == "*" || item == group;
        let may = |rule: &Rule| rule.groups.iter().any(is_group) && rule.resources.iter().any(is_named);
        self.rules.is_empty() || self.rules.iter().any(may)
    }

    pub(super) fn matches(&self, target: &Target<'_>, review: &Review<'_>) -> Matched {
        let namespace = self.matches_namespace(target, review);
        let matches = |rule: &Rule| rule.matches(target, self.exact);
        if namespace == Matched::No
            || !self.matches_object(review)
            || self.excluded.iter().any(matches)
            || !(self.rules.is_empty() || self.rules.iter().any(matches))
        {
            return Matched::No;
        }
        namespace
    }

    fn matches_object(&self, review: &Review<'_>) -> bool {
        is_everything(&self.objects)
            || [Some(review.object), review.old_object].into_iter().flatten().any(|object| {
                let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
                rampart_domain::selects(&self.objects, labels.unwrap_or(&Map::new()))
            })
    }

    /// Objects outside any namespace are matched by every selector of namespaces; a namespace is matched by its own
    /// labels.
    fn matches_namespace(&self, target: &Target<'_>, review: &Review<'_>) -> Matched {
        const UNREAD: Matched = Matched::Unknown("the namespace of the object is not known");
        if is_everything(&self.namespaces) {
            return Matched::Yes;
        }
        let namespace = if target.is_namespace() {
            Some(review.object)
        } else if target.scope == Scope::Cluster {
            return Matched::Yes;
        } else {
            review.namespace
        };
        let selects = |labels: &Map<String, Value>| {
            if rampart_domain::selects(&self.namespaces, labels) { Matched::Yes } else { Matched::No }
        };
        let name = target.namespace.map(|name| (NAMESPACE_NAME.to_owned(), Value::from(name)));
        match namespace {
            Some(namespace) => {
                let labels = namespace.pointer("/metadata/labels").and_then(Value::as_object);
                let mut labels = labels.cloned().unwrap_or_default();
                labels.extend(name);
                selects(&labels)
            }
            None if keys(&self.namespaces).all(|key| key == NAMESPACE_NAME) => {
                name.map_or(UNREAD, |name| selects(&Map::from_iter([name])))
            }
            None => UNREAD,
        }
    }
}

impl Rule {
    fn matches(&self, target: &Target<'_>, exact: bool) -> bool {
        let listed = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        listed(&self.groups, target.group)
            && self.matches_version(target, exact)
            && self.resources.iter().any(|resource| matches_resource(resource, target))
            && listed(&self.operations, target.operation.as_str())
            && self.matches_scope(target)
            && (self.names.is_empty() || target.name.is_some_and(|name| self.names.iter().any(|known| known == name)))
    }

    fn matches_version(&self, target: &Target<'_>, exact: bool) -> bool {
        let equivalent = |version: &str| match target.versions {
            _ if exact => false,
            Versions::Any => true,
            Versions::Known(versions) => versions.contains(&target.version) && versions.contains(&version),
        };
        self.versions.iter().any(|version| version == "*" || version == target.version || equivalent(version))
    }

    /// A namespace lives in no namespace, though requests about it name one.
    fn matches_scope(&self, target: &Target<'_>) -> bool {
        let in_namespace = !target.is_namespace() && target.namespace.is_some() || target.scope == Scope::Namespaced;
        match self.scope {
            None => true,
            Some(Scope::Namespaced) => in_namespace,
            Some(_) => !in_namespace,
        }
    }
}

/// `pods`, `pods/exec`, `pods/*`, `*/scale`, `*` (no subresources) or `*/*`.
fn matches_resource(wanted: &str, target: &Target<'_>) -> bool {
    let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
    (resource == "*" || resource == target.resource) && (subresource == "*" || subresource == target.subresource)
}

fn rules(source: &Value, field: &str) -> Result<Vec<Rule>, Refused> {
    let items = match source.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err((field.to_owned(), "is no list".to_owned())),
    };
    items
        .iter()
        .enumerate()
        .map(|(index, item)| rule(item).map_err(|(name, message)| (format!("{field}[{index}].{name}"), message)))
        .collect()
}

fn rule(item: &Value) -> Result<Rule, Refused> {
    let operations = texts(item, "operations")?;
    if let Some(unknown) = operations.iter().find(|operation| !OPERATIONS.contains(&operation.as_str())) {
        return Err(("operations".to_owned(), format!("`{unknown}` is no operation")));
    }
    let rule = Rule {
        groups: texts(item, "apiGroups")?,
        versions: texts(item, "apiVersions")?,
        resources: texts(item, "resources")?,
        operations,
        names: texts(item, "resourceNames")?,
        scope: match item.get("scope").and_then(Value::as_str) {
            None | Some("*") => None,
            Some("Namespaced") => Some(Scope::Namespaced),
            Some("Cluster") => Some(Scope::Cluster),
            Some(_) => return Err(("scope".to_owned(), "is none of `*`, `Namespaced` and `Cluster`".to_owned())),
        },
    };
    let required = [
        ("apiGroups", &rule.groups),
        ("apiVersions", &rule.versions),
        ("resources", &rule.resources),
        ("operations", &rule.operations),
    ];
    if let Some((name, _)) = required.into_iter().find(|(_, list)| list.is_empty()) {
        return Err((name.to_owned(), "is required".to_owned()));
    }
    Ok(rule)
}

fn texts(owner: &Value, field: &str) -> Result<Vec<String>, Refused> {
    let text = |item: &Value| item.as_str().map(str::to_owned);
    let texts = match owner.get(field) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(text).collect(),
        Some(_) => None,
    };
    texts.ok_or_else(|| (field.to_owned(), "is no list of texts".to_owned()))
}

/// A label selector; one that says nothing selects everything.
pub(super) fn selector(owner: &Value, field: &str) -> Result<Value, Refused> {
    let refuse = |message: &str| (field.to_owned(), message.to_owned());
    let selector = match owner.get(field) {
        None | Some(Value::Null) => return Ok(Value::Object(Map::new())),
        Some(selector @ Value::Object(_)) => selector,
        Some(_) => return Err(refuse("is no selector")),
    };
    for requirement in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let operator = requirement.get("operator").and_then(Value::as_str).unwrap_or_default();
        if requirement.get("key").and_then(Value::as_str).is_none() || !OPERATORS.contains(&operator) {
            return Err(refuse("has a requirement without a key or a known operator"));
        }
    }
    Ok(selector.clone())
}

fn is_everything(selector: &Value) -> bool {
    keys(selector).next().is_none()
}

/// The labels that a selector looks at.
fn keys(selector: &Value) -> impl Iterator<Item = &str> {
    let pairs = selector.get("matchLabels").and_then(Value::as_object).into_iter().flat_map(|pairs| pairs.keys());
    let requirements = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let keys = requirements.filter_map(|requirement| requirement.get("key")?.as_str());
    pairs.map(String::as_str).chain(keys)
}
