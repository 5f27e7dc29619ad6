use rampart_domain::{Kind, NativeId, Resource};
use serde_json::{Value, json};

use super::{Place, drop_fields, labels, text};

const SERVICE: &str = "//artifactregistry.googleapis.com";
/// Every push changes these.
const CHURN: [&str; 2] = ["sizeBytes", "updateTime"];

/// An item of `repositories.list` with the answer of `repositories.getIamPolicy`; `None` means that it was not read.
///
/// Added: `iamPolicy`, whose `bindings` are always there: no bindings and an unread policy are two things.
pub(crate) fn repository(place: &Place, path: &str, mut described: Value, policy: Option<Value>) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    let partial = policy.is_none();
    let fields = described.as_object_mut()?;
    match policy {
        Some(mut policy) => {
            drop_fields(&mut policy, &["etag"]);
            let policy_fields = policy.as_object_mut()?;
            policy_fields.entry("bindings").or_insert_with(|| json!([]));
            fields.insert("iamPolicy".to_owned(), policy);
        }
        None => drop(fields.insert("unread".to_owned(), json!(["iamPolicy"]))),
    }
    let labels = labels(&described["labels"]);
    let id = NativeId::new(format!("{SERVICE}/{path}"));
    let resource = place.resource(Kind::GcpArtifactRegistryRepository, id, name, described);
    Some(Resource { labels, partial, ..resource })
}

/// An item of `dockerImages.list`. The name is `image:tag`, or `image@digest` for an image without tags.
pub(crate) fn image(place: &Place, repository: &str, described: Value) -> Option<Resource> {
    let (_, path) = text(&described, "name")?.rsplit_once("/dockerImages/")?;
    let (image, digest) = path.rsplit_once('@')?;
    if image.is_empty() || !digest.contains(':') {
        return None;
    }
    // An image in a folder of its repository has its slashes escaped.
    let shown = image.replace("%2F", "/");
    let name = match described["tags"].get(0).and_then(Value::as_str) {
        Some(tag) => format!("{shown}:{tag}"),
        None => format!("{shown}@{digest}"),
    };
    let owner = NativeId::new(format!("{SERVICE}/{repository}"));
    let id = NativeId::new(format!("{owner}/dockerImages/{path}"));
    let resource = place.resource(Kind::GcpArtifactRegistryImage, id, &name, described);
    Some(Resource { owner: Some(owner), ..resource })
}
