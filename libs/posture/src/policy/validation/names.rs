use super::Dialect;
use crate::cel::{Member, Names, Reads, Slot, Variable, Vocabulary};

/// Fields of `request`.
pub(super) const REQUEST: [&str; 12] = [
    "kind",
    "resource",
    "subResource",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "name",
    "namespace",
    "operation",
    "userInfo",
    "dryRun",
    "options",
];

/// What the expressions of one policy may name.
pub(super) struct PolicyNames {
    pub(super) dialect: Dialect,
    /// Whether there are parameters.
    pub(super) params: bool,
    /// Whether `variables` may be named here.
    pub(super) variables: bool,
    /// Whether `authorizer` may be named here.
    pub(super) authorizer: bool,
    /// The variables above, with what they read.
    pub(super) lets: Vec<(String, Reads)>,
}

impl PolicyNames {
    fn of_variables(&self, field: &str) -> Member {
        if !self.variables {
            return Member::Unknown("`variables` cannot be named here".to_owned());
        }
        if let Some(index) = self.lets.iter().position(|(known, _)| known == field) {
            return Member::Variable(Variable::Let(index as u16), self.lets[index].1);
        }
        let slot = match field {
            "anyObject" => Slot::AnyObject,
            "params" => Slot::Parameters,
            _ => return Member::Unknown(format!("no variable `{field}` is declared above")),
        };
        match self.dialect {
            Dialect::Gatekeeper => Member::Variable(Variable::Admission(slot), Reads::default()),
            Dialect::Kubernetes => Member::Unknown(format!("no variable `{field}` is declared above")),
        }
    }
}

impl Names for PolicyNames {
    fn variable(&self, name: &str) -> Option<(Variable, Reads)> {
        let slot = match name {
            "object" => Slot::Object,
            "oldObject" => Slot::OldObject,
            "request" => Slot::Request,
            "namespaceObject" => Slot::NamespaceObject,
            "params" if self.params => Slot::Params,
            "authorizer" if self.authorizer => Slot::Authorizer,
            _ => return None,
        };
        Some((Variable::Admission(slot), Reads::default()))
    }

    fn neighbour(&self, _: &str) -> Option<u16> {
        None
    }

    fn parameter(&self, _: &str) -> bool {
        false
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::Policy
    }

    fn member(&self, root: &str, field: &str) -> Member {
        match root {
            "variables" => self.of_variables(field),
            "request" if !REQUEST.contains(&field) => Member::Unknown(format!("`request` has no field `{field}`")),
            _ => Member::Field,
        }
    }
}
