use std::collections::{BTreeSet, HashMap};

use axum::Json;
use axum::extract::State;
use rampart_domain::FixUnitId;
use rampart_store::fix_unit::{self, Outlier};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{ApiError, Caller, Listing, PageParams, PathOf, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_fix_unit_outliers))
}

/// What of a fix unit is not as it is in most places.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitOutliers)]
struct OutliersView {
    /// In one sentence.
    #[schema(example = "7 of 96 clusters differ.")]
    summary: String,
    /// Clusters that have anything of the unit.
    clusters: i64,
    /// Of them, those with an object that differs.
    differing_clusters: i64,
    /// The objects that differ, by kind and name within the source.
    items: Vec<OutlierView>,
    /// Give it as `cursor` to get the next page; null at the end.
    next_cursor: Option<String>,
}

/// An object that differs from more than half of those of its kind and name within the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitOutlier)]
struct OutlierView {
    resource_id: Uuid,
    resource_name: String,
    kind: String,
    /// Its name within the source, the same in every release.
    #[schema(example = "controller")]
    part: String,
    cluster_id: Option<Uuid>,
    cluster_name: Option<String>,
    namespace: Option<String>,
    /// Release, application, kustomization or custom resource.
    instance: Option<String>,
    /// Objects that it was compared with, itself included.
    compared: i64,
    /// In what it differs: `version`, `verdicts`, `configuration`.
    differs_in: Vec<&'static str>,
    version: Option<String>,
    /// The version that more than half have; null when none has.
    typical_version: Option<String>,
    /// Controls that it is unhealthy by and most are not.
    worse_by: Vec<DifferenceView>,
    /// Controls that most are unhealthy by and it is not.
    better_by: Vec<String>,
}

/// A control that an object alone is unhealthy by.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FixUnitDifference)]
struct DifferenceView {
    control_id: String,
    /// JSON pointers of the fields that decided.
    fields: BTreeSet<String>,
}

/// Pointers of the facts by resource and control.
type Fields = HashMap<(Uuid, String), BTreeSet<String>>;

impl OutlierView {
    fn of(row: Outlier, fields: &Fields) -> Self {
        let typical = row.typical_controls.as_ref();
        let lacks = |list: &[String], control: &String| !list.contains(control);
        let worse = row.controls.iter().filter(|control| typical.is_some_and(|typical| lacks(typical, control)));
        let worse_by = worse.map(|control| DifferenceView {
            control_id: control.clone(),
            fields: fields.get(&(row.resource_id, control.clone())).cloned().unwrap_or_default(),
        });
        let worse_by: Vec<DifferenceView> = worse_by.collect();
        let better = typical.into_iter().flatten().filter(|control| lacks(&row.controls, control));
        let better_by: Vec<String> = better.cloned().collect();
        let differs_in = [
            ("version", row.typical_version.is_some() && row.version != row.typical_version),
            ("verdicts", !worse_by.is_empty() || !better_by.is_empty()),
            ("configuration", row.configuration_differs),
        ];
        Self {
            resource_id: row.resource_id,
            resource_name: row.name,
            kind: row.kind,
            part: row.part,
            cluster_id: row.cluster_id,
            cluster_name: row.cluster_name,
            namespace: row.namespace,
            instance: row.instance,
            compared: row.compared,
            differs_in: differs_in.into_iter().filter(|(_, differs)| *differs).map(|(word, _)| word).collect(),
            version: row.version,
            typical_version: row.typical_version,
            worse_by,
            better_by,
        }
    }
}

fn fields(facts: Vec<(Uuid, String, Value)>) -> Fields {
    let mut fields = Fields::new();
    for (resource, control, facts) in facts {
        let pointers = facts.as_array().into_iter().flatten().filter_map(|fact| fact.get("pointer")?.as_str());
        fields.entry((resource, control)).or_default().extend(pointers.map(str::to_owned));
    }
    fields
}

/// Nothing but the page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List what of a fix unit differs from place to place.
///
/// Each object is compared with those of the same kind and name within the source, where there are at least three: by
/// version, by the controls that it is unhealthy by, and by configuration as far as installations do not decide it. Where no
/// more than half agree, nothing is typical and nothing differs.
#[utoipa::path(get, path = "/v1/fix-units/{fix_unit_id}/outliers", tag = "fix-units",
    params(("fix_unit_id" = Uuid, Path), PageParams), responses((status = 200, body = OutliersView)))]
async fn list_fix_unit_outliers(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
    Listing { page, .. }: Listing<NoFilter>,
) -> Result<Json<OutliersView>, ApiError> {
    let (visible, id) = (caller.visible(), FixUnitId(id));
    let mut tx = app.tx(&caller).await?;
    fix_unit::known(&mut tx, &visible, id).await?;
    let count = fix_unit::outliers_count(&mut tx, &visible, id).await?;
    let listed = fix_unit::outliers(&mut tx, &visible, id, &page).await?;
    let ids: Vec<Uuid> = listed.items.iter().map(|row| row.resource_id).collect();
    let fields = fields(fix_unit::facts(&mut tx, &ids).await?);
    Ok(Json(OutliersView {
        summary: format!("{} of {} clusters differ.", count.differing, count.clusters),
        clusters: count.clusters,
        differing_clusters: count.differing,
        items: listed.items.into_iter().map(|row| OutlierView::of(row, &fields)).collect(),
        next_cursor: listed.next,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_typical_can_be_differed_from() {
        let id = Uuid::new_v4();
        let row = |typical_version: Option<&str>, typical: Option<&[&str]>| Outlier {
            resource_id: id,
            kind: "k8s.deployment".into(),
            part: "controller".into(),
            name: "edge-controller".into(),
            namespace: None,
            cluster_id: None,
            cluster_name: None,
            instance: None,
            compared: 9,
            version: Some("4.9.0".into()),
            typical_version: typical_version.map(str::to_owned),
            controls: vec!["a".into(), "b".into()],
            typical_controls: typical.map(|list| list.iter().map(|it| (*it).to_owned()).collect()),
            configuration_differs: false,
        };
        let facts = json!([{"pointer": "/spec/x", "value": 1}, {"pointer": "/spec/x"}, {"value": 2}]);
        let fields = fields(vec![(id, "a".into(), facts)]);
        let view = OutlierView::of(row(Some("4.11.3"), Some(&["b", "c"])), &fields);
        assert_eq!(view.differs_in, ["version", "verdicts"]);
        let worse = DifferenceView { control_id: "a".into(), fields: ["/spec/x".to_owned()].into() };
        assert_eq!((view.worse_by, view.better_by), (vec![worse], vec!["c".to_owned()]));
        let view = OutlierView::of(row(None, None), &fields);
        assert!(view.differs_in.is_empty() && view.worse_by.is_empty() && view.better_by.is_empty());
    }
}
