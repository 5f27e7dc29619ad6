use serde_json::Value;

use super::matching::{group_kind, metadata};
use crate::policy::rego::{self, TooDeep};
use crate::policy::{Operation, Review};

/// What is judged: a review, with its admission request where one was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) review: &'a Review<'a>,
    pub(super) request: Option<&'a Value>,
}

impl<'a> Subject<'a> {
    /// The namespace's object: as given, or as the inventory has it.
    pub(super) fn namespace(&self) -> Option<&'a Value> {
        let inventory = self.review.inventory;
        self.review.namespace.or_else(|| {
            Some(self.namespace_name()).filter(|name| !name.is_empty()).and_then(|name| inventory.namespace(name))
        })
    }

    fn namespace_name(&self) -> &'a str {
        let requested = self.request.and_then(|request| request["namespace"].as_str());
        let own = metadata(self.review.object, "namespace");
        match (requested, self.review.namespace) {
            (Some(name), _) => name,
            (None, Some(namespace)) if self.request.is_none() => metadata(namespace, "name"),
            (None, _) => own,
        }
    }

    /// The objects that can match: the new one and the old one.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a Value> {
        let new = Some(self.review.object);
        new.into_iter().chain(self.review.old_object).filter(|object| !object.is_null())
    }

    /// `input.review`, as Gatekeeper writes an admission request. For a deletion the object is the one that goes.
    pub(super) fn as_rego(&self) -> Result<regorus::Value, TooDeep> {
        let mut review = match self.request {
            Some(request) => rego::convert(request)?,
            None => self.described()?,
        };
        let object = rego::convert(self.review.object)?;
        let old_object = match (self.review.old_object, self.review.operation) {
            (Some(old), _) => rego::convert(old)?,
            (None, Some(Operation::Delete)) => object.clone(),
            (None, _) => regorus::Value::Null,
        };
        let is_old = self.request.is_some_and(|request| request["object"].is_null())
            && self.review.operation != Some(Operation::Delete);
        if let Ok(fields) = review.as_object_mut() {
            fields.insert("object".into(), if is_old { regorus::Value::Null } else { object });
            fields.insert("oldObject".into(), old_object);
            if let Some(namespace) = self.namespace() {
                fields.insert("namespaceObject".into(), rego::convert(namespace)?);
            }
            for (name, value) in blanks() {
                fields.get_or_insert_with(name.into(), || value);
            }
        }
        Ok(review)
    }

    /// The request that would have been made for the object.
    fn described(&self) -> Result<regorus::Value, TooDeep> {
        let (group, kind) = group_kind(self.review.object);
        let version = self.review.object["apiVersion"].as_str().unwrap_or_default();
        let version = version.rsplit('/').next().unwrap_or_default();
        let kind = [("group", group), ("version", version), ("kind", kind)];
        let operation = self.review.operation.map_or("", Operation::as_str);
        let mut review = rego::object([
            ("kind", rego::object(kind.map(|(name, value)| (name, value.into())))),
            ("operation", operation.into()),
        ]);
        if let Ok(fields) = review.as_object_mut() {
            for (field, text) in [("name", metadata(self.review.object, "name")), ("namespace", self.namespace_name())]
            {
                if !text.is_empty() {
                    fields.insert(field.into(), text.into());
                }
            }
            if let Some(user) = self.review.user {
                fields.insert("userInfo".into(), rego::convert(user)?);
            }
        }
        Ok(review)
    }
}

/// What stands in a request even when it says nothing of it.
fn blanks() -> [(&'static str, regorus::Value); 6] {
    let empty = |names: [&'static str; 3]| rego::object(names.map(|name| (name, "".into())));
    [
        ("uid", "".into()),
        ("kind", empty(["group", "version", "kind"])),
        ("resource", empty(["group", "version", "resource"])),
        ("operation", "".into()),
        ("userInfo", regorus::Value::new_object()),
        ("options", regorus::Value::Null),
    ]
}
