use std::collections::{BTreeMap, BTreeSet};

use rampart_content::Catalogue;
use rampart_domain::AssignmentId;
use rampart_domain::patch::Operation;
use rampart_store::{AccessScope, StoreError, TenantTx, Visible, assignment, initiative, resource, score};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::assignments::check_assigned;
use super::check_name;
use super::initiatives::{ChoiceView, check_choices};
use super::scope::Scope;
use crate::http::{ApiError, FieldErrors};

/// Operations in one patch.
const OPERATIONS: usize = 1_000;
/// Resources that one fix may name.
const RESOURCES: usize = 1_000;

/// One hypothetical change.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = HypotheticalChange)]
pub(super) enum ChangeSource {
    /// A JSON patch (RFC 6902) of a resource's configuration. Pods of a workload come as its new template makes them.
    Patch {
        resource_id: Uuid,
        /// 1 to 1000 operations.
        #[schema(value_type = Vec<Object>,
            example = json!([{"op": "replace", "path": "/spec/template/spec/hostNetwork", "value": false}]))]
        patch: Vec<Value>,
    },
    /// A merge patch (RFC 7386) of a resource's configuration.
    MergePatch {
        resource_id: Uuid,
        #[schema(value_type = Object, example = json!({"spec": {"template": {"spec": {"hostNetwork": null}}}}))]
        patch: Map<String, Value>,
    },
    /// A resource goes: with what it controls, and a namespace with all that lies in it.
    Delete { resource_id: Uuid },
    /// What a control recommends is done. A control without a patch is taken as healed, and the outcome says so.
    Fix {
        /// Id of the control.
        #[schema(example = "k8s.pod.privileged")]
        control: String,
        /// Where, 1 to 1000; everywhere in the scope that it is unhealthy when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resources: Option<Vec<Uuid>>,
    },
    /// An initiative is assigned.
    Assign {
        /// Id of a built-in initiative or name of a custom one.
        #[schema(example = "pss-restricted")]
        initiative: String,
        scope: Scope,
        /// Parameters by control id, as an assignment has them.
        #[serde(default)]
        params: BTreeMap<String, BTreeMap<String, Value>>,
        /// Namespaces to leave out.
        #[serde(default)]
        excluded_namespaces: Vec<String>,
    },
    /// An assignment says something else.
    Reassign {
        assignment_id: Uuid,
        /// Id of a built-in initiative or name of a custom one.
        #[schema(example = "pss-restricted")]
        initiative: String,
        scope: Scope,
        /// Parameters by control id, as an assignment has them.
        #[serde(default)]
        params: BTreeMap<String, BTreeMap<String, Value>>,
        /// Namespaces to leave out.
        #[serde(default)]
        excluded_namespaces: Vec<String>,
    },
    /// An assignment ends.
    Unassign { assignment_id: Uuid },
    /// A custom initiative is made, or selects something else.
    Initiative {
        /// Its name.
        #[schema(example = "payments")]
        name: String,
        /// What it selects; a later choice of the same control wins.
        controls: Vec<ChoiceView>,
    },
}

/// What changes are held against before a job is made of them.
pub(super) struct Checking<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) visible: &'a Visible,
}

impl Checking<'_> {
    /// Reads changes and notes every field that does not fit.
    pub(super) async fn changes(
        &self,
        tx: &mut TenantTx,
        errors: &mut FieldErrors,
        changes: Vec<Value>,
    ) -> Result<Vec<ChangeSource>, ApiError> {
        let mut read = Vec::with_capacity(changes.len());
        for (index, change) in changes.into_iter().enumerate() {
            match ChangeSource::deserialize(change) {
                Ok(change) => read.push((format!("/changes/{index}"), change)),
                Err(error) => errors.add(&format!("/changes/{index}"), error.to_string()),
            }
        }
        let made = |change: &ChangeSource| match change {
            ChangeSource::Initiative { name, .. } => Some(name.clone()),
            _ => None,
        };
        let made: BTreeSet<String> = read.iter().filter_map(|(_, change)| made(change)).collect();
        let mut named = Vec::new();
        for (at, change) in &read {
            self.change(tx, errors, (at, change), &made).await?;
            named.extend(resources(at, change));
        }
        let ids: Vec<Uuid> = named.iter().map(|(_, id)| *id).collect();
        let known = resource::known(tx, self.visible, &ids).await?;
        for (field, id) in named {
            errors.must_be_there(known.contains_key(&id), &field, "is no resource that the token sees");
        }
        Ok(read.into_iter().map(|(_, change)| change).collect())
    }

    async fn change(
        &self,
        tx: &mut TenantTx,
        errors: &mut FieldErrors,
        (at, change): (&str, &ChangeSource),
        made: &BTreeSet<String>,
    ) -> Result<(), ApiError> {
        match change {
            ChangeSource::Patch { patch, .. } => check_patch(errors, &format!("{at}/patch"), patch),
            ChangeSource::MergePatch { .. } | ChangeSource::Delete { .. } => {}
            ChangeSource::Fix { control, resources } => {
                let known = self.catalogue.control(control).is_some();
                errors.check(known, &format!("{at}/control"), "is no control");
                let fits = resources.as_ref().is_none_or(|ids| (1..=RESOURCES).contains(&ids.len()));
                errors.check(fits, &format!("{at}/resources"), "must be 1 to 1000 resources");
            }
            ChangeSource::Unassign { assignment_id } => self.assignment(tx, errors, at, *assignment_id).await?,
            ChangeSource::Assign { initiative, scope, params, excluded_namespaces } => {
                let said = (initiative.as_str(), scope, params, excluded_namespaces.len());
                self.assigned(tx, errors, at, said, made).await?;
            }
            ChangeSource::Reassign { assignment_id, initiative, scope, params, excluded_namespaces } => {
                self.assignment(tx, errors, at, *assignment_id).await?;
                let said = (initiative.as_str(), scope, params, excluded_namespaces.len());
                self.assigned(tx, errors, at, said, made).await?;
            }
            ChangeSource::Initiative { name, controls } => {
                let field = format!("{at}/name");
                check_name(errors, &field, name);
                let own = self.catalogue.initiative(name).is_none();
                errors.check(own, &field, "is the id of a built-in initiative");
                check_choices(errors, &format!("{at}/controls"), self.catalogue, controls);
            }
        }
        Ok(())
    }

    async fn assignment(
        &self,
        tx: &mut TenantTx,
        errors: &mut FieldErrors,
        at: &str,
        id: Uuid,
    ) -> Result<(), ApiError> {
        let seen = match assignment::get(tx, AssignmentId(id)).await {
            Ok(row) => assignment::is_visible(tx, self.visible, &row.scope).await?,
            Err(StoreError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        errors.must_be_there(seen, &format!("{at}/assignment_id"), "is no assignment that the token sees");
        Ok(())
    }

    async fn assigned(
        &self,
        tx: &mut TenantTx,
        errors: &mut FieldErrors,
        at: &str,
        (initiative, scope, params, excluded): (&str, &Scope, &BTreeMap<String, BTreeMap<String, Value>>, usize),
        made: &BTreeSet<String>,
    ) -> Result<(), ApiError> {
        let known = made.contains(initiative)
            || self.catalogue.initiative(initiative).is_some()
            || initiative::get(tx, initiative).await.is_ok();
        errors.check(known, &format!("{at}/initiative"), "is neither a built-in nor a custom initiative");
        let scope = AccessScope::from(scope.clone());
        let seen = match score::reach(tx, self.visible, &scope).await {
            Ok(_) => true,
            Err(StoreError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        errors.must_be_there(seen, &format!("{at}/scope"), "is no part of what the token sees");
        check_assigned(errors, at, self.catalogue, initiative, params, excluded);
        Ok(())
    }
}

/// The resources that a change names, each with its field.
fn resources(at: &str, change: &ChangeSource) -> Vec<(String, Uuid)> {
    match change {
        ChangeSource::Patch { resource_id, .. }
        | ChangeSource::MergePatch { resource_id, .. }
        | ChangeSource::Delete { resource_id } => vec![(format!("{at}/resource_id"), *resource_id)],
        ChangeSource::Fix { resources, .. } => {
            let named = resources.iter().flatten().enumerate();
            named.map(|(index, id)| (format!("{at}/resources/{index}"), *id)).collect()
        }
        ChangeSource::Assign { .. }
        | ChangeSource::Reassign { .. }
        | ChangeSource::Unassign { .. }
        | ChangeSource::Initiative { .. } => Vec::new(),
    }
}

fn check_patch(errors: &mut FieldErrors, at: &str, patch: &[Value]) {
    errors.check((1..=OPERATIONS).contains(&patch.len()), at, "must be 1 to 1000 operations");
    for (index, operation) in patch.iter().enumerate() {
        match Operation::deserialize(operation) {
            Err(error) => errors.add(&format!("{at}/{index}"), error.to_string()),
            Ok(operation) => {
                for field in operation.malformed() {
                    errors.add(&format!("{at}/{index}/{field}"), "is no JSON pointer");
                }
            }
        }
    }
}
