use rampart_domain::{NativeId, ResourceId, TenantId};
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// Whom a binding names, or the role that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its id in the inventory, whether it is there or not.
    pub id: Uuid,
    native_id: String,
}

impl Subject {
    /// The end of a `binds` edge.
    pub fn new(tenant: TenantId, native_id: &NativeId) -> Self {
        Self { id: ResourceId::derive(tenant, native_id).0, native_id: native_id.as_str().to_owned() }
    }

    /// Kind, namespace and name, as Kubernetes native ids have them.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let mut parts = self.native_id.strip_prefix("k8s://")?.splitn(5, '/').skip(2);
        Some((parts.next()?, parts.next()?, parts.next()?))
    }

    /// The name of the group that it is.
    pub fn group(&self) -> Option<&str> {
        self.parts().filter(|(kind, ..)| *kind == "Group").map(|(.., name)| name)
    }

    /// The namespace that it lives in.
    pub fn namespace(&self) -> Option<&str> {
        self.parts().map(|(_, namespace, _)| namespace).filter(|namespace| !namespace.is_empty())
    }
}

/// Whom these bindings name, and whom the bindings to these roles name, as far as their edges were derived.
pub async fn subjects(tx: &mut TenantTx, bindings: &[Uuid], roles: &[Uuid]) -> Result<Vec<Subject>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select distinct to_id, to_native from edges
         where tenant_id = $1 and kind = 'binds' and from_id in (
             select unnest($2::uuid[])
             union select from_id from edges where tenant_id = $1 and kind = 'binds' and to_id = any($3))",
        tenant,
        bindings,
        roles
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| Subject { id: row.to_id, native_id: row.to_native }).collect())
}

/// The bindings that refer to one of these roles, as far as their edges were derived.
pub async fn binders(tx: &mut TenantTx, roles: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select distinct from_id from edges where tenant_id = $1 and kind = 'binds' and to_id = any($2)",
        tenant,
        roles
    )
    .fetch_all(tx.conn())
    .await?)
}

#[cfg(test)]
mod tests {
    use rampart_domain::{NativeId, TenantId};
    use uuid::Uuid;

    use super::Subject;

    #[test]
    fn groups_and_accounts_are_told_apart() {
        let subject = |id: &str| Subject::new(TenantId(Uuid::nil()), &NativeId::new(id));
        let account = subject("k8s://u-1//ServiceAccount/shop/default");
        assert_eq!((account.group(), account.namespace()), (None, Some("shop")));
        let group = subject("k8s://u-1/rbac.authorization.k8s.io/Group//system:serviceaccounts:shop");
        assert_eq!((group.group(), group.namespace()), (Some("system:serviceaccounts:shop"), None));
        let named = subject("k8s://u-1/rbac.authorization.k8s.io/Group//oidc:team/a");
        assert_eq!(named.group(), Some("oidc:team/a"));
    }
}
