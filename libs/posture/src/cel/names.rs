use super::ir::{Reads, Variable};

/// Which names and functions an expression has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// Those of our controls.
    Control,
    /// Those of admission policies: Kubernetes' libraries too.
    Policy,
}

impl Vocabulary {
    /// Longest expression in bytes; together with the depth it bounds what parsing and lowering may cost.
    pub(super) const fn max_source(self) -> usize {
        match self {
            Self::Control => 4096,
            Self::Policy => 16384,
        }
    }
}

/// What `root.field` stands for.
pub(crate) enum Member {
    /// The field of a value.
    Field,
    /// A variable of its own.
    Variable(Variable, Reads),
    /// Nothing: there is no such field.
    Unknown(String),
}

/// The names that an expression may use.
pub(crate) trait Names: Sync {
    /// What a plain name stands for, and what it reads.
    fn variable(&self, name: &str) -> Option<(Variable, Reads)>;
    /// The neighbour of that name.
    fn neighbour(&self, name: &str) -> Option<u16>;
    /// Whether the control declares that parameter.
    fn parameter(&self, name: &str) -> bool;
    /// The names and functions there are.
    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::Control
    }
    /// What a field of a plain name stands for, in a policy.
    fn member(&self, _root: &str, _field: &str) -> Member {
        Member::Field
    }
}
