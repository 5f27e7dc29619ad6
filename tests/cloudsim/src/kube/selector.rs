use serde_json::Value;

/// A label or field selector, as far as clients of read-only scanners use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    path: Vec<String>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Is(String),
    IsNot(String),
    Present,
    Absent,
}

impl Selector {
    /// `a=b,c!=d,e,!f` over labels.
    pub(crate) fn labels(text: &str) -> Option<Self> {
        Self::parse(text, |name| vec!["metadata".to_owned(), "labels".to_owned(), name.to_owned()])
    }

    /// `metadata.name=a,spec.nodeName!=b` over fields.
    pub(crate) fn fields(text: &str) -> Option<Self> {
        Self::parse(text, |name| name.split('.').map(ToOwned::to_owned).collect())
    }

    fn parse(text: &str, path: impl Fn(&str) -> Vec<String>) -> Option<Self> {
        let terms = text.split(',').filter(|part| !part.is_empty()).map(|part| {
            if part.contains(['(', ' ']) {
                return None;
            }
            let (name, check) = if let Some((name, value)) = part.split_once("!=") {
                (name, Test::IsNot(value.to_owned()))
            } else if let Some((name, value)) = part.split_once('=') {
                (name, Test::Is(value.trim_start_matches('=').to_owned()))
            } else if let Some(name) = part.strip_prefix('!') {
                (name, Test::Absent)
            } else {
                (part, Test::Present)
            };
            Some(Term { path: path(name), test: check })
        });
        terms.collect::<Option<_>>().map(Self)
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| {
            let value = term.path.iter().try_fold(object, |value, name| value.get(name)).and_then(Value::as_str);
            match &term.test {
                Test::Is(wanted) => value.unwrap_or_default() == wanted,
                Test::IsNot(other) => value.unwrap_or_default() != other,
                Test::Present => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn terms() {
        let object = json!({ "metadata": { "name": "a", "labels": { "team": "shop" } }, "spec": { "nodeName": "n" } });
        let label = |text: &str| Selector::labels(text).map(|selector| selector.matches(&object));
        assert_eq!(label("team=shop"), Some(true));
        assert_eq!(label("team==shop,!gone"), Some(true));
        assert_eq!(label("team!=shop"), Some(false));
        assert_eq!(label("gone"), Some(false));
        assert_eq!(label("team in (a, b)"), None);
        assert!(Selector::fields("metadata.name=a,spec.nodeName=n").unwrap().matches(&object));
    }
}
