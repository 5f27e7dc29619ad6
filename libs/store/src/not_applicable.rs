//! What a control does not count for: it says nothing about the resource, or the finding is exempt.

use rampart_domain::{ExemptionCategory, ExemptionId};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::score::Reach;
use crate::{StoreError, TenantTx};

/// A resource that a control does not count for.
#[derive(Debug, Clone, PartialEq)]
pub struct NotApplicable {
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check.
    pub ordinal: i32,
    /// Kind of the resource.
    pub kind: String,
    /// Name of the resource.
    pub name: String,
    /// What the provider calls it.
    pub native_id: String,
    /// Account of the resource.
    pub account: Option<String>,
    /// Cluster of the resource.
    pub cluster_id: Option<Uuid>,
    /// Namespace of the resource.
    pub namespace: Option<String>,
    /// Why.
    pub cause: Cause,
}

/// Why a control does not count for a resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The control says nothing about it, by this one of the causes that it names for the kind; `None` when the reading by
    /// which that was found could not be repeated.
    Control(Option<usize>),
    /// The finding is exempt by this exemption; `None` when the exemption was removed a moment ago.
    Exempt(Option<Exempt>),
}

/// An exemption in short.
#[derive(Debug, Clone, PartialEq)]
pub struct Exempt {
    /// Its id.
    pub id: ExemptionId,
    /// Its name.
    pub name: String,
    /// Whether the risk is accepted, or taken care of otherwise.
    pub category: ExemptionCategory,
    /// Why.
    pub reason: String,
}

struct Row {
    resource_id: Uuid,
    ordinal: i32,
    kind: String,
    name: String,
    native_id: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    exempt: bool,
    cause: Option<i32>,
    exemption_id: Option<Uuid>,
    exemption: Option<String>,
    category: Option<String>,
    reason: Option<String>,
}

impl Row {
    fn parse(self) -> Result<NotApplicable, StoreError> {
        let exemption = match (self.exemption_id, self.exemption, self.category, self.reason) {
            (Some(id), Some(name), Some(category), Some(reason)) => {
                Some(Exempt { id: id.into(), name, category: category.parse()?, reason })
            }
            _ => None,
        };
        let number = self.cause.and_then(|number| usize::try_from(number).ok());
        Ok(NotApplicable {
            resource_id: self.resource_id,
            ordinal: self.ordinal,
            kind: self.kind,
            name: self.name,
            native_id: self.native_id,
            account: self.account,
            cluster_id: self.cluster_id,
            namespace: self.namespace,
            cause: if self.exempt { Cause::Exempt(exemption) } else { Cause::Control(number) },
        })
    }
}

/// The resources that a control does not count for, by id.
pub async fn list(
    tx: &mut TenantTx,
    reach: &Reach,
    control: &str,
    page: &Page,
) -> Result<Listed<NotApplicable>, StoreError> {
    let tenant = tx.tenant_uuid();
    let (resource, ordinal) = page.after::<(Uuid, i32)>()?.unzip();
    // A reason that is a number is that of the cause; the first one is left out, and lost readings are objects.
    let rows = sqlx::query_as!(
        Row,
        r#"with told as (
               (select v.resource_id, c.ordinal, false as exempt, null::uuid as exemption_id,
                       case jsonb_typeof(v.reasons -> c.ordinal::text)
                           when 'number' then (v.reasons ->> c.ordinal::text)::int
                           when 'object' then (v.reasons -> c.ordinal::text ->> 'cause')::int
                           else 0 end as cause
                from verdicts v
                join checks c on c.tenant_id = v.tenant_id and c.control_id = $2
                join resources r on r.tenant_id = v.tenant_id and r.resource_id = v.resource_id
                where v.tenant_id = $1
                  and get_bit(v.not_applicable || '\x00', least(c.ordinal, octet_length(v.not_applicable) * 8)) = 1
                  and ($3::uuid[] is null or r.unit_id = any($3)
                       or (r.unit_id, r.namespace) in (select * from unnest($4::uuid[], $5::text[])))
                  and ($6::uuid is null or (v.resource_id, c.ordinal) > ($6, $7))
                order by v.resource_id, c.ordinal limit $8)
               union all
               (select f.resource_id, f.ordinal, true, f.exemption_id, null
                from findings f
                join resources r on r.tenant_id = f.tenant_id and r.resource_id = f.resource_id
                where f.tenant_id = $1 and f.control_id = $2 and f.status = 'exempt'
                  and ($3::uuid[] is null or r.unit_id = any($3)
                       or (r.unit_id, r.namespace) in (select * from unnest($4::uuid[], $5::text[])))
                  and ($6::uuid is null or (f.resource_id, f.ordinal) > ($6, $7))
                order by f.resource_id, f.ordinal limit $8)
           )
           select t.resource_id as "resource_id!", t.ordinal as "ordinal!", r.kind, r.name, r.native_id, r.account,
                  r.cluster_id, r.namespace, t.exempt as "exempt!", t.cause, t.exemption_id,
                  x.name as "exemption?", x.category as "category?", x.reason as "reason?"
           from told t
           join resources r on r.tenant_id = $1 and r.resource_id = t.resource_id
           left join exemptions x on x.tenant_id = $1 and x.exemption_id = t.exemption_id
           order by t.resource_id, t.ordinal limit $8"#,
        tenant,
        control,
        reach.units.as_deref() as _,
        &reach.namespace_clusters,
        &reach.namespaces,
        resource,
        ordinal,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    let rows = rows.into_iter().map(Row::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(page.cut(rows, |row| (row.resource_id, row.ordinal)))
}
