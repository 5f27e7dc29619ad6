use serde_json::Value;

use super::{Decision, Inventory, Operation, Policy, Review};

/// An `AdmissionReview` that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It has no `request`.
    #[error("the admission review has no request")]
    NoRequest,
    /// The request has neither object.
    #[error("the admission request has neither an object nor an old object")]
    NoObject,
    /// A deletion without the object that goes.
    #[error("the admission request deletes something and does not say what")]
    NoOldObject,
    /// A word that is no operation.
    #[error("`{0}` is no operation of an admission request")]
    UnknownOperation(String),
}

impl<'a> Review<'a> {
    /// The review of the request in a document of kind `AdmissionReview`. The namespace is looked up in the inventory.
    pub fn of_admission_review(document: &'a Value, inventory: &'a Inventory) -> Result<Self, RequestError> {
        let request = document.get("request").filter(|request| request.is_object()).ok_or(RequestError::NoRequest)?;
        let part = |name: &str| request.get(name).filter(|part| !part.is_null());
        let operation = match request["operation"].as_str().unwrap_or_default() {
            "" => None,
            "CREATE" => Some(Operation::Create),
            "UPDATE" => Some(Operation::Update),
            "DELETE" => Some(Operation::Delete),
            "CONNECT" => Some(Operation::Connect),
            other => return Err(RequestError::UnknownOperation(other.to_owned())),
        };
        let old_object = part("oldObject");
        let object = match operation {
            Some(Operation::Delete) => old_object.ok_or(RequestError::NoOldObject)?,
            _ => part("object").or(old_object).ok_or(RequestError::NoObject)?,
        };
        let name = request["namespace"].as_str().or_else(|| object["metadata"]["namespace"].as_str());
        let namespace = name.and_then(|name| inventory.namespace(name));
        Ok(Self { object, old_object, operation, namespace, user: part("userInfo"), inventory })
    }
}

/// Judges the request in a document of kind `AdmissionReview`.
pub fn review_request(policy: &dyn Policy, document: &Value, inventory: &Inventory) -> Result<Decision, RequestError> {
    let review = Review::of_admission_review(document, inventory)?;
    Ok(policy.review_request(&review, &document["request"]))
}
