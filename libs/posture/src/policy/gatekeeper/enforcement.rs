use serde_json::Value;

/// What Gatekeeper does with a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Refuses the request.
    Deny,
    /// Lets it pass with a warning.
    Warn,
    /// Only records it.
    Dryrun,
    /// As the scoped actions say.
    Scoped,
    /// A word that Gatekeeper does not know.
    Other(String),
}

impl Action {
    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "" | "deny" => Self::Deny,
            "warn" => Self::Warn,
            "dryrun" => Self::Dryrun,
            "scoped" => Self::Scoped,
            _ => Self::Other(word.to_owned()),
        }
    }

    /// The word in a constraint.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Deny => "deny",
            Self::Warn => "warn",
            Self::Dryrun => "dryrun",
            Self::Scoped => "scoped",
            Self::Other(word) => word,
        }
    }
}

/// What a constraint says of its violations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// `spec.enforcementAction`; deny where it says nothing.
    pub action: Action,
    /// `spec.scopedEnforcementActions`: actions with the enforcement points at which they are taken.
    pub scoped: Vec<(Action, Vec<String>)>,
}

impl Enforcement {
    pub(super) fn parse(spec: &Value) -> Result<Self, (String, String)> {
        let action = match &spec["enforcementAction"] {
            Value::Null => Action::Deny,
            Value::String(word) => Action::parse(word),
            _ => return Err(("enforcementAction".to_owned(), "is not a string".to_owned())),
        };
        let items = match &spec["scopedEnforcementActions"] {
            Value::Null => &[],
            Value::Array(items) => items.as_slice(),
            _ => return Err(("scopedEnforcementActions".to_owned(), "is not a list".to_owned())),
        };
        let points = |item: &Value| {
            let points = item["enforcementPoints"].as_array().into_iter().flatten();
            points.filter_map(|point| point["name"].as_str()).map(str::to_owned).collect()
        };
        let scoped = items
            .iter()
            .map(|item| (Action::parse(item["action"].as_str().unwrap_or_default()), points(item)))
            .collect();
        Ok(Self { action, scoped })
    }

    /// The actions taken at an enforcement point, such as `validation.gatekeeper.sh` or `audit.gatekeeper.sh`.
    pub fn at(&self, point: &str) -> Vec<&Action> {
        if self.action != Action::Scoped {
            return vec![&self.action];
        }
        let names = |points: &[String]| points.iter().any(|name| name == "*" || name == point);
        self.scoped.iter().filter(|(_, points)| names(points)).map(|(action, _)| action).collect()
    }
}
