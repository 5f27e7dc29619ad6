//! From documents to Kubernetes objects: lists are opened, and what is no object is told from what is a broken one.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::document::{self, Document, Trouble};

/// Lists in lists.
const MAX_LISTS: usize = 8;

/// Where something was found, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// File as it was named, `-` for standard input.
    pub file: Arc<str>,
    /// Document in the file, from 0.
    pub document: Option<usize>,
    /// Kind in Kubernetes' spelling.
    pub kind: String,
    /// Namespace as written; empty where none is.
    pub namespace: String,
    /// Name; the beginning of one where the API server is to find it.
    pub name: String,
    /// Line of the document, from 1.
    #[serde(skip)]
    pub line: Option<usize>,
    /// Template that Helm made it from.
    #[serde(skip)]
    pub source: Option<Arc<str>>,
}

/// An object with its place.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) place: Arc<Place>,
    pub(crate) value: Value,
}

/// Something that was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// File as it was named.
    pub file: Arc<str>,
    /// Document in the file, from 0; absent when it is the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
    /// Why.
    pub reason: String,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// File as it was named.
    pub file: Arc<str>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let (Some(_), Some(column)) = (self.line, self.column) {
            write!(f, ":{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) file: Arc<str>,
    pub(crate) documents: usize,
    pub(crate) objects: Vec<Object>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// Text of each document that holds an object, with the line that it begins on: findings are pointed at by it.
    pub(crate) texts: Vec<(usize, String)>,
}

/// Whether the text of documents is kept beside what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Texts {
    /// It is.
    Kept,
    /// It is not.
    Dropped,
}

/// Takes a file apart.
pub(crate) fn contents(file: &str, bytes: Result<Vec<u8>, String>, texts: Texts) -> Contents {
    let mut contents = Contents {
        file: file.into(),
        documents: 0,
        objects: Vec::new(),
        skipped: Vec::new(),
        problems: Vec::new(),
        warnings: Vec::new(),
        texts: Vec::new(),
    };
    match bytes.map_err(Trouble::new).and_then(document::read) {
        Ok(documents) => {
            contents.documents = documents.len();
            for document in documents {
                contents.document(document, texts);
            }
            if contents.objects.is_empty() && contents.skipped.is_empty() && contents.problems.is_empty() {
                contents.skipped.push(Skipped {
                    file: Arc::clone(&contents.file),
                    document: None,
                    reason: "holds no document".to_owned(),
                });
            }
        }
        Err(trouble) => contents.problem(&trouble, None),
    }
    contents
}

impl Contents {
    fn problem(&mut self, trouble: &Trouble, line: Option<usize>) {
        let (file, message) = (Arc::clone(&self.file), trouble.message.clone());
        self.problems.push(Problem { file, line: trouble.line.or(line), column: trouble.column, message });
    }

    fn document(&mut self, document: Document, texts: Texts) {
        if let Some((line, message)) = document.repeated_key {
            let message = format!("{message}: the last value counts");
            self.warnings.push(Problem { file: Arc::clone(&self.file), line: Some(line), column: None, message });
        }
        let at = At { document: document.index, line: document.line, source: document.source.map(Into::into) };
        match document.content {
            Ok(Value::Null) => {}
            Ok(value) => self.value(value, &at, 0),
            Err(trouble) => self.problem(&trouble, Some(at.line)),
        }
        let last = self.objects.last().and_then(|object| object.place.document);
        if texts == Texts::Kept && last == Some(at.document) {
            self.texts.resize_with(at.document, Default::default);
            // JSON and YAML begin on the line of their content; the markers before it are part of the text.
            let before = document.text.lines().position(document::is_content).unwrap_or(0);
            self.texts.push((at.line - before, document.text));
        }
    }

    fn value(&mut self, value: Value, at: &At, depth: usize) {
        if depth > MAX_LISTS {
            return self.problem(&Trouble::new("lists lie too deep in each other"), Some(at.line));
        }
        if let Value::Array(items) = value {
            if items.iter().any(is_manifest) {
                for item in items {
                    self.value(item, at, depth + 1);
                }
            } else {
                self.skip(at, "is a list of no Kubernetes objects");
            }
            return;
        }
        match classify(&value, Path::new(&*self.file)) {
            Class::Object => self.object(value, at, depth),
            Class::Other(reason) => self.skip(at, reason),
            Class::Broken(message) => self.problem(&Trouble::new(message), Some(at.line)),
        }
    }

    fn skip(&mut self, at: &At, reason: &str) {
        let reason = reason.to_owned();
        self.skipped.push(Skipped { file: Arc::clone(&self.file), document: Some(at.document), reason });
    }

    fn object(&mut self, mut value: Value, at: &At, depth: usize) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        if let Some(member) = kind.strip_suffix("List")
            && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
        {
            for mut item in items {
                if let Some(item) = item.as_object_mut().filter(|_| !member.is_empty()) {
                    item.entry("kind").or_insert_with(|| member.into());
                    item.entry("apiVersion").or_insert_with(|| api_version.as_str().into());
                }
                self.value(item, at, depth + 1);
            }
            return;
        }
        let metadata = |field: &str| {
            value.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let name = Some(metadata("name")).filter(|name| !name.is_empty()).unwrap_or_else(|| metadata("generateName"));
        let place = Place {
            file: Arc::clone(&self.file),
            document: Some(at.document),
            namespace: metadata("namespace"),
            kind,
            name,
            line: Some(at.line),
            source: at.source.clone(),
        };
        self.objects.push(Object { place: Arc::new(place), value });
    }
}

struct At {
    document: usize,
    line: usize,
    source: Option<Arc<str>>,
}

enum Class {
    Object,
    Other(&'static str),
    Broken(String),
}

fn is_manifest(value: &Value) -> bool {
    value.get("apiVersion").is_some() || value.get("kind").is_some()
}

fn classify(value: &Value, file: &Path) -> Class {
    let field = |name: &str| value.get(name).map(|value| value.as_str().unwrap_or_default());
    match (field("apiVersion"), field("kind")) {
        _ if !value.is_object() => Class::Other("is no object"),
        (None, None) => Class::Other("is no Kubernetes object: it has neither apiVersion nor kind"),
        (Some(version), Some(_)) if version.starts_with("kustomize.config.k8s.io/") => {
            Class::Other("is a kustomization: render it by `kustomize build`, or check what it lists")
        }
        (Some(version), Some(kind)) if !version.is_empty() && !kind.is_empty() => Class::Object,
        (Some(_), None) if file.file_name().is_some_and(|name| name == "Chart.yaml") => {
            Class::Other("describes a Helm chart: render it by `helm template`")
        }
        (Some(_), None) => Class::Broken("has an apiVersion and no kind".to_owned()),
        (None, Some(kind)) => Class::Broken(format!("has a kind, `{kind}`, and no apiVersion")),
        (Some(_), Some(_)) => Class::Broken("apiVersion and kind are not both words".to_owned()),
    }
}

#[cfg(test)]
mod tests;
