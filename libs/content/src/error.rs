use std::fmt;

/// What is wrong with a content file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Path below the content folder, such as `controls/k8s/pod/privileged.yaml`.
    pub file: String,
    /// Dotted path of the field inside the file; empty when the whole file is meant.
    pub field: String,
    /// What is wrong, with line and column where the reader knows them.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "{}: {}", self.file, self.message),
            field => write!(f, "{}: {field}: {}", self.file, self.message),
        }
    }
}

/// Content that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The override folder could not be read.
    #[error("cannot read {path}")]
    Read {
        /// The folder or file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Files that break the format; all of them, not the first one only.
    #[error("{} content problem(s):\n{}", .0.len(), .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}
