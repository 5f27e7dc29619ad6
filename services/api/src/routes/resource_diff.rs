use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, Kind};
use rampart_store::resource::{self, Change, Filter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::resources::check_kinds_of_the_past;
use crate::App;
use crate::http::{ApiError, Caller, List, Listing, PageParams, ReadInventory, moments};

/// Differences shown of one resource.
const DIFFERENCES: usize = 100;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(diff_resources))
}

/// What became of something between two moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeWord {
    /// It was not there at the first moment, or not within the filter or the caller's sight.
    Added,
    /// It is not there at the second moment, or not within the filter or the caller's sight.
    Removed,
    /// It is there at both, and differs.
    Changed,
}

impl ChangeWord {
    pub(super) fn of<T>(before: Option<&T>, after: Option<&T>) -> Self {
        match (before, after) {
            (None, _) => Self::Added,
            (_, None) => Self::Removed,
            _ => Self::Changed,
        }
    }
}

/// A resource that was not the same at both moments.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResourceChange)]
struct ResourceChangeView {
    id: Uuid,
    change: ChangeWord,
    /// What lists show of it; of what was removed, as it was.
    #[schema(example = json!({"native_id": "k8s://prod/shop/web", "kind": "k8s.deployment", "name": "web"}))]
    resource: Value,
    /// Where it differs, at most 100 places; empty for what was added or removed.
    differences: Vec<Difference>,
    /// Whether there are more.
    more_differences: bool,
}

/// A place where a resource differs.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
struct Difference {
    /// JSON pointer into the resource; what the provider said is below `/config`.
    #[schema(example = "/config/spec/replicas")]
    pointer: String,
    /// Left out when it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    /// Left out when it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
}

impl From<Change> for ResourceChangeView {
    fn from(row: Change) -> Self {
        let change = ChangeWord::of(row.before.as_ref(), row.after.as_ref());
        let mut differences = Vec::new();
        if let (Some(before), Some(after)) = (&row.before, &row.after) {
            differ("", before, after, &mut differences);
        }
        let more_differences = differences.len() > DIFFERENCES;
        differences.truncate(DIFFERENCES);
        let mut resource = row.after.or(row.before).unwrap_or_default();
        if let Some(fields) = resource.as_object_mut() {
            fields.remove("config");
        }
        Self { id: row.resource_id, change, resource, differences, more_differences }
    }
}

/// Notes where two documents differ, up to one place more than is shown. Lists of the same length are compared one by one.
fn differ(pointer: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after || found.len() > DIFFERENCES {
        return;
    }
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let pointer = format!("{pointer}/{}", escape(key));
                match after.get(key) {
                    Some(other) => differ(&pointer, value, other, found),
                    None => found.push(Difference { pointer, before: Some(value.clone()), after: None }),
                }
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                let pointer = format!("{pointer}/{}", escape(key));
                found.push(Difference { pointer, before: None, after: Some(value.clone()) });
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                differ(&format!("{pointer}/{index}"), before, after, found);
            }
        }
        _ => found.push(Difference {
            pointer: pointer.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

/// A key as RFC 6901 writes it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Which moments and resources to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResourceDiffFilter {
    /// The first moment.
    from: DateTime<Utc>,
    /// The second moment, not earlier than the first.
    to: DateTime<Utc>,
    /// Of one of these kinds.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    kind: Vec<Kind>,
    /// In this cloud.
    #[param(value_type = Option<String>)]
    cloud: Option<Cloud>,
    /// In this account.
    account: Option<String>,
    /// In this region.
    region: Option<String>,
    /// In this cluster, by id.
    cluster: Option<Uuid>,
    /// In this namespace.
    namespace: Option<String>,
}

/// List what differs between two moments: resources that were added, removed or changed, by id.
///
/// Pods, replica sets, endpoint slices and jobs have no past and are left out.
#[utoipa::path(get, path = "/v1/resources/diff", tag = "resources", params(PageParams, ResourceDiffFilter),
    responses((status = 200, body = List<ResourceChangeView>)))]
async fn diff_resources(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<ResourceDiffFilter>,
) -> Result<Json<List<ResourceChangeView>>, ApiError> {
    check_kinds_of_the_past(&filter.kind)?;
    let mut tx = app.tx(&caller).await?;
    let between = moments(&mut tx, filter.from, filter.to).await?;
    let filter = Filter {
        kinds: filter.kind.iter().map(ToString::to_string).collect(),
        cloud: filter.cloud.map(|cloud| cloud.to_string()),
        account: filter.account,
        region: filter.region,
        cluster: filter.cluster,
        namespace: filter.namespace,
        ..Filter::default()
    };
    let rows = resource::changes(&mut tx, &caller.visible(), &filter, &page, between).await?;
    Ok(List::of(rows, ResourceChangeView::from))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_the_places_that_differ() {
        let before = json!({"a": 1, "b": {"x/y": [1, 2]}, "gone": null, "list": [1]});
        let after = json!({"a": 1, "b": {"x/y": [1, 3]}, "new": true, "list": [1, 2]});
        let mut found = Vec::new();
        differ("", &before, &after, &mut found);
        let difference = |pointer: &str, before: Option<Value>, after: Option<Value>| Difference {
            pointer: pointer.to_owned(),
            before,
            after,
        };
        let expected = [
            difference("/b/x~1y/1", Some(json!(2)), Some(json!(3))),
            difference("/gone", Some(Value::Null), None),
            difference("/list", Some(json!([1])), Some(json!([1, 2]))),
            difference("/new", None, Some(json!(true))),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_many_differences_the_first_are_shown() {
        let list = |shift: usize| json!({"list": (shift..shift + 300).collect::<Vec<_>>(), "config": {}});
        let row = Change { resource_id: Uuid::nil(), before: Some(list(0)), after: Some(list(1)) };
        let view = ResourceChangeView::from(row);
        assert_eq!((view.differences.len(), view.more_differences), (DIFFERENCES, true));
        assert_eq!(view.resource.get("config"), None);
    }
}
