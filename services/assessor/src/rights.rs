//! Who is concerned by a change of service accounts, roles and bindings: workloads by way of their account, bindings by way
//! of their role.

use std::collections::{BTreeSet, HashMap};

use rampart_content::Through;
use rampart_domain::{Kind, UnitId};
use rampart_graph::EdgeKind;
use rampart_posture::Dependent;
use rampart_store::verdict::{self, DirtyRow, StoredResource, Subject};
use rampart_store::{StoreError, TenantTx};
use uuid::Uuid;

use crate::edges;

/// Groups of which every service account is a member; with a namespace behind the last, every account there.
const EVERYBODY: [&str; 2] = ["system:authenticated", "system:serviceaccounts"];
const ACCOUNTS_OF: &str = "system:serviceaccounts:";

/// Changed bindings that are still there, with the subjects that they name now.
pub(crate) type Bindings = HashMap<Uuid, Vec<Subject>>;

/// Reads the bindings among what changed; `impose` makes them what they are taken to be.
pub(crate) async fn bindings_of(
    tx: &mut TenantTx,
    unit: UnitId,
    dirty: &[DirtyRow],
    impose: impl FnOnce(&mut Vec<StoredResource>),
) -> Result<Bindings, StoreError> {
    let is_binding = |row: &&DirtyRow| matches!(row.kind, Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding);
    let ids: Vec<Uuid> = dirty.iter().filter(is_binding).map(|row| row.resource_id).collect();
    if ids.is_empty() {
        return Ok(Bindings::new());
    }
    let tenant = tx.tenant();
    let mut found = verdict::resources_by_id(tx, unit, &ids).await?;
    impose(&mut found);
    let subjects = |resource| {
        let edges = edges::of(resource, None).into_iter().filter(|edge| edge.kind == EdgeKind::Binds);
        edges.map(|edge| Subject::new(tenant, &edge.to)).collect()
    };
    Ok(found.iter().map(|resource| (resource.id, subjects(resource))).collect())
}

/// What changed, by how it reaches others.
#[derive(Default)]
pub(crate) struct Rights {
    accounts: BTreeSet<Uuid>,
    bindings: BTreeSet<Uuid>,
    /// Roles that workloads are judged by.
    granted: BTreeSet<Uuid>,
    /// Roles that bindings are judged by.
    referred: BTreeSet<Uuid>,
    users: BTreeSet<Kind>,
    /// Namespaces of the accounts.
    namespaces: BTreeSet<String>,
}

impl Rights {
    /// Notes a change for those that it reaches by way of rights; `false` when it must be looked for around it. So it must
    /// for a binding that is gone: nobody knows any more whom it named.
    pub(crate) fn take(&mut self, row: &DirtyRow, dependent: &Dependent<'_>, bindings: &Bindings) -> bool {
        let id = row.resource_id;
        match (dependent.through, row.kind) {
            (Some(Through::Account), Kind::K8sServiceAccount) => {
                self.accounts.insert(id);
                self.namespaces.extend(row.namespace.clone());
            }
            (Some(Through::Account), Kind::K8sRole | Kind::K8sClusterRole) => {
                self.granted.insert(id);
            }
            (Some(Through::Account), _) if bindings.contains_key(&id) => {
                self.bindings.insert(id);
            }
            (Some(Through::Binding), _) => {
                self.referred.insert(id);
                return true;
            }
            _ => return false,
        }
        self.users.extend(dependent.judged);
        true
    }

    /// Everybody who is concerned.
    pub(crate) async fn follow(
        mut self,
        tx: &mut TenantTx,
        unit: UnitId,
        bindings: &Bindings,
    ) -> Result<BTreeSet<Uuid>, StoreError> {
        let list = |ids: &BTreeSet<Uuid>| ids.iter().copied().collect::<Vec<Uuid>>();
        let users: Vec<Kind> = self.users.iter().copied().collect();
        let mut found = BTreeSet::new();
        if !self.referred.is_empty() {
            found.extend(verdict::binders(tx, &list(&self.referred)).await?);
        }
        if !self.bindings.is_empty() || !self.granted.is_empty() {
            // Those that a binding named before are in the graph until its edges are derived anew.
            let mut subjects = verdict::subjects(tx, &list(&self.bindings), &list(&self.granted)).await?;
            subjects.extend(self.bindings.iter().flat_map(|id| bindings[id].iter().cloned()));
            for subject in subjects {
                match subject.group() {
                    Some(group) if EVERYBODY.contains(&group) => {
                        found.extend(verdict::resource_page(tx, unit, &users, None, None).await?);
                    }
                    Some(group) => {
                        if let Some(namespace) = group.strip_prefix(ACCOUNTS_OF) {
                            found.extend(verdict::resource_page(tx, unit, &users, Some(namespace), None).await?);
                        }
                    }
                    None => {
                        self.namespaces.extend(subject.namespace().map(str::to_owned));
                        self.accounts.insert(subject.id);
                    }
                }
            }
        }
        let namespaces: Vec<&str> = self.namespaces.iter().map(String::as_str).collect();
        found.extend(verdict::users_of_accounts(tx, unit, &users, &list(&self.accounts), &namespaces).await?);
        Ok(found)
    }
}
