use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::image::{DIGEST, IMAGES};
use crate::moment::Rows;
use crate::page::{Page, prefix_end};
use crate::{StoreError, TenantTx, Visible};

/// So many matches of a search are looked up by id and sorted; where there are more, a walk in order meets them early.
const FEW: usize = 2_000;

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Name, ascending.
    #[default]
    Name,
    /// Kind and name, ascending.
    Kind,
    /// Latest change first.
    ChangedAt,
}

impl Sort {
    pub(super) const fn order(self) -> &'static str {
        match self {
            Self::Name => " order by r.name, r.resource_id",
            Self::Kind => " order by r.kind, r.name, r.resource_id",
            Self::ChangedAt => " order by r.changed_at desc, r.resource_id desc",
        }
    }

    pub(super) fn push_after(self, query: &mut QueryBuilder<Postgres>, page: &Page) -> Result<(), StoreError> {
        match self {
            Self::Name => {
                if let Some((name, id)) = page.after::<(String, Uuid)>()? {
                    query.push(" and (r.name, r.resource_id) > (").push_bind(name).push(", ").push_bind(id).push(")");
                }
            }
            Self::Kind => {
                if let Some((kind, name, id)) = page.after::<(String, String, Uuid)>()? {
                    query.push(" and (r.kind, r.name, r.resource_id) > (").push_bind(kind);
                    query.push(", ").push_bind(name).push(", ").push_bind(id).push(")");
                }
            }
            Self::ChangedAt => {
                if let Some((at, id)) = page.after::<(DateTime<Utc>, Uuid)>()? {
                    query.push(" and (r.changed_at, r.resource_id) < (").push_bind(at);
                    query.push(", ").push_bind(id).push(")");
                }
            }
        }
        Ok(())
    }
}

/// What resources can be counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// What they are.
    Kind,
    /// Where they run.
    Cloud,
    /// Account.
    Account,
    /// Region.
    Region,
    /// Id of their cluster.
    Cluster,
    /// Kubernetes namespace.
    Namespace,
    /// Who manages them.
    ManagedBy,
}

impl Facet {
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Kind => "r.kind",
            Self::Cloud => "r.cloud",
            Self::Account => "r.account",
            Self::Region => "r.region",
            Self::Cluster => "r.cluster_id",
            Self::Namespace => "r.namespace",
            Self::ManagedBy => "r.managed_by",
        }
    }
}

/// Health of a resource as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Some verdict is unhealthy.
    Unhealthy,
    /// None is unhealthy, and some verdict is healthy and none unknown.
    Healthy,
    /// None is unhealthy, and some verdict is unknown or the resource was not assessed yet.
    Unknown,
    /// No control says anything about it.
    NotApplicable,
}

/// Which resources to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<String>,
    /// In this cloud.
    pub cloud: Option<String>,
    /// In this account.
    pub account: Option<String>,
    /// In this region.
    pub region: Option<String>,
    /// In this cluster.
    pub cluster: Option<Uuid>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// With all of these labels or tags.
    pub labels: Vec<(String, String)>,
    /// Whose name contains this, in any case; three characters or more.
    pub name_contains: Option<String>,
    /// Whose name begins with this.
    pub name_prefix: Option<String>,
    /// Managed by this.
    pub managed_by: Option<String>,
    /// With this health.
    pub health: Option<Health>,
    /// With this native id.
    pub native_id: Option<String>,
    /// That run the image with this digest, `sha256:…`.
    pub image_digest: Option<String>,
    /// Controlled by this resource.
    pub owner: Option<Uuid>,
}

impl Filter {
    /// Whether labels or parts of names are looked for: their operators use indexes only through the view.
    const fn searches(&self) -> bool {
        !self.labels.is_empty() || self.name_contains.is_some()
    }

    /// Resources of the tenant that a search matches, where they are few. The planner cannot tell how many there are, and
    /// walks the whole inventory in order where it guesses too high.
    pub(super) async fn few_found(&self, tx: &mut TenantTx) -> Result<Option<Vec<Uuid>>, StoreError> {
        if !self.searches() {
            return Ok(None);
        }
        let mut query = QueryBuilder::new("select r.resource_id from resource_search r where r.tenant_id = ");
        query.push_bind(tx.tenant_uuid());
        self.push_search(&mut query);
        query.push(format!(" limit {}", FEW + 1));
        let found: Vec<Uuid> = query.build_query_scalar().fetch_all(tx.conn()).await?;
        Ok((found.len() <= FEW).then_some(found))
    }

    /// Appends `<table> r where …`.
    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible, rows: Rows) {
        let current = if self.searches() { "resource_search r" } else { "resources r" };
        query.push(rows.of(current, "resource_history r"));
        query.push(" where r.tenant_id = ").push_bind(tenant);
        rows.push(query, "r");
        if let Rows::Standing(_) = rows {
            query.push(" and not is_short_lived(r.kind)");
        }
        self.push_columns(query);
        self.push_search(query);
        match rows {
            Rows::Now => self.push_health(query),
            Rows::Standing(at) | Rows::Closed(at) => self.push_health_at(query, at),
        }
        if let Some(digest) = &self.image_digest {
            query.push(format!(
                " and exists (select from edges e
                  join resource_search i on i.tenant_id = e.tenant_id and i.resource_id = e.to_id
                  where e.tenant_id = r.tenant_id and e.from_id = r.resource_id and e.kind = 'runs_image'
                    and i.kind in {IMAGES} and {DIGEST} = "
            ));
            query.push_bind(digest.clone()).push(")");
        }
        visible.push(query, "r");
    }

    fn push_columns(&self, query: &mut QueryBuilder<Postgres>) {
        let equal = [
            ("r.cloud", &self.cloud),
            ("r.account", &self.account),
            ("r.region", &self.region),
            ("r.namespace", &self.namespace),
            ("r.managed_by", &self.managed_by),
            ("r.native_id", &self.native_id),
        ];
        for (column, value) in equal {
            if let Some(value) = value {
                query.push(format!(" and {column} = ")).push_bind(value.clone());
            }
        }
        match self.kinds.as_slice() {
            [] => {}
            // Equality, not a set: it keeps the order of the index on kind and name.
            [kind] => {
                query.push(" and r.kind = ").push_bind(kind.clone());
            }
            kinds => {
                query.push(" and r.kind = any(").push_bind(kinds.to_vec()).push(")");
            }
        }
        if let Some(cluster) = self.cluster {
            query.push(" and r.cluster_id = ").push_bind(cluster);
        }
        if let Some(owner) = self.owner {
            query.push(" and r.owner_id = ").push_bind(owner);
        }
    }

    fn push_search(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(prefix) = &self.name_prefix {
            query.push(" and r.name >= ").push_bind(prefix.clone());
            if let Some(end) = prefix_end(prefix) {
                query.push(" and r.name < ").push_bind(end);
            }
        }
        if let Some(part) = &self.name_contains {
            query.push(" and r.name_lower like ").push_bind(format!("%{}%", escape_like(&part.to_lowercase())));
        }
        for (key, value) in &self.labels {
            query.push(" and r.labels @> ").push_bind(serde_json::json!({ key: value }));
        }
    }

    fn push_health(&self, query: &mut QueryBuilder<Postgres>) {
        // Resource by resource: a join would first bring together all that there is.
        const UNHEALTHY: &str = "exists (select from findings f where f.tenant_id = r.tenant_id
            and f.resource_id = r.resource_id and f.status = 'unhealthy' offset 0)";
        const VERDICTS: &str =
            "exists (select from verdicts v where v.tenant_id = r.tenant_id and v.resource_id = r.resource_id";
        let Some(health) = self.health else { return };
        query.push(" and ").push(match health {
            Health::Unhealthy => UNHEALTHY.to_owned(),
            Health::Healthy => {
                format!(
                    "not {UNHEALTHY} and {VERDICTS} and bit_count(v.unknown) = 0 and bit_count(v.healthy) > 0 offset 0)"
                )
            }
            Health::NotApplicable => {
                format!(
                    "not {UNHEALTHY} and {VERDICTS} and bit_count(v.unknown) = 0 and bit_count(v.healthy) = 0 offset 0)"
                )
            }
            Health::Unknown => format!("not {UNHEALTHY} and not {VERDICTS} and bit_count(v.unknown) = 0 offset 0)"),
        });
    }
}

impl Filter {
    fn push_health_at(&self, query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
        let Some(health) = self.health else { return };
        query.push(match health {
            Health::Unhealthy => " and ",
            Health::Healthy | Health::Unknown | Health::NotApplicable => " and not ",
        });
        for rows in Rows::at(at) {
            query.push(rows.of("(exists (select from findings f", " or exists (select from finding_history f"));
            query.push(" where f.tenant_id = r.tenant_id and f.resource_id = r.resource_id and f.status = 'unhealthy'");
            rows.push(query, "f");
            query.push(")");
        }
        query.push(")");
        let word = match health {
            Health::Unhealthy => return,
            Health::Healthy => "healthy",
            Health::Unknown => "unknown",
            Health::NotApplicable => "not_applicable",
        };
        query.push(" and ");
        push_verdict_at(query, at);
        query.push(format!(" = '{word}'"));
    }
}

/// Appends what the packed verdicts made of the resource `r` at a moment: `healthy`, `unknown` or `not_applicable`.
pub(super) fn push_verdict_at(query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
    query.push("coalesce((select verdict_health(v.healthy, v.unknown) from verdicts v");
    for rows in Rows::at(at) {
        query.push(rows.of("", " union all select v.health from verdict_history v"));
        query.push(" where v.tenant_id = r.tenant_id and v.resource_id = r.resource_id");
        rows.push(query, "v");
    }
    query.push(" limit 1), 'unknown')");
}

/// Text as itself inside a LIKE pattern.
fn escape_like(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards_stand_for_themselves() {
        assert_eq!(super::escape_like(r"50%_a\"), r"50\%\_a\\");
    }
}
