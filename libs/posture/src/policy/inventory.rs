use serde_json::Value;

/// The other objects that referential policies look at: whole Kubernetes objects, with `apiVersion` and `kind`.
#[derive(Debug, Default)]
pub struct Inventory {
    objects: Vec<Value>,
}

impl Inventory {
    /// An inventory of `objects`.
    pub fn new(objects: Vec<Value>) -> Self {
        Self { objects }
    }

    /// The objects.
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }
}
