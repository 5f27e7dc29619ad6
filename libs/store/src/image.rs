//! Images by digest: where they are stored and where they run.

use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::resource::Summary;
use crate::{StoreError, TenantTx, Visible, resource};

/// An image, whatever names it.
#[derive(Debug, Clone, FromRow)]
pub struct Image {
    /// `sha256:…`.
    pub digest: String,
    /// What it is called in registries and by what runs it.
    pub names: Vec<String>,
    /// Resources of registries that hold it.
    pub stored_in: Vec<Uuid>,
    /// How many visible resources run it.
    pub running: i64,
}

/// Which images to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what runs (or does not).
    pub running: Option<bool>,
    /// Only what a registry that is read holds (or does not).
    pub stored: Option<bool>,
}

/// The digest in the id of an image; indexed for [`IMAGES`].
pub(crate) const DIGEST: &str = "substring(i.native_id from 'sha256:[0-9a-f]{64}')";
/// Kinds of images in registries.
const STORED: &str = "('aws.ecr.image', 'azure.acr.image', 'gcp.artifactregistry.image')";
/// Kinds of images, as the index of digests has them.
pub(crate) const IMAGES: &str = "('image.running', 'aws.ecr.image', 'azure.acr.image', 'gcp.artifactregistry.image')";

/// Images by digest.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    page: &Page,
) -> Result<Listed<Image>, StoreError> {
    let after = page.after::<String>()?;
    let mut query = select(tx.tenant_uuid(), visible);
    if let Some(after) = after {
        query.push(format!(" and {DIGEST} > ")).push_bind(after);
    }
    query.push(format!(" group by {DIGEST} having true"));
    if let Some(running) = filter.running {
        query.push(if running { " and sum(u.running) > 0" } else { " and coalesce(sum(u.running), 0) = 0" });
    }
    if let Some(stored) = filter.stored {
        query.push(format!(" and {} bool_or(i.kind in {STORED})", if stored { "" } else { "not" }));
    }
    query.push(format!(" order by {DIGEST} limit ")).push_bind(page.fetch());
    let rows = query.build_query_as::<Image>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| row.digest.clone()))
}

/// One image.
pub async fn get(tx: &mut TenantTx, visible: &Visible, digest: &str) -> Result<Image, StoreError> {
    let mut query = select(tx.tenant_uuid(), visible);
    query.push(format!(" and {DIGEST} = ")).push_bind(digest.to_owned()).push(format!(" group by {DIGEST}"));
    query.build_query_as::<Image>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "image" })
}

/// What runs an image.
pub async fn workloads(
    tx: &mut TenantTx,
    visible: &Visible,
    digest: &str,
    page: &Page,
) -> Result<Listed<Summary>, StoreError> {
    let filter = resource::Filter { image_digest: Some(digest.to_owned()), ..resource::Filter::default() };
    resource::list(tx, visible, &filter, resource::Sort::Name, page).await
}

/// Images grouped by digest, up to their conditions. An image that runs is seen by those who see what runs it.
fn select(tenant: Uuid, visible: &Visible) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(format!(
        "select {DIGEST} as digest, array_agg(distinct i.name order by i.name) as names,
                coalesce(array_agg(distinct i.resource_id) filter (where i.kind in {STORED}), '{{}}') as stored_in,
                coalesce(sum(u.running), 0)::bigint as running
         from resource_search i
         left join lateral (
             select count(*) as running from edges e
             join resources r on r.tenant_id = e.tenant_id and r.resource_id = e.from_id
             where e.tenant_id = i.tenant_id and e.to_id = i.resource_id and e.kind = 'runs_image'"
    ));
    visible.push(&mut query, "r");
    query.push(") u on true where i.tenant_id = ").push_bind(tenant);
    query.push(format!(" and i.kind in {IMAGES}"));
    query.push(format!(" and {DIGEST} is not null"));
    if !visible.all {
        query.push(" and (u.running > 0 or (true");
        visible.push(&mut query, "i");
        query.push("))");
    }
    query
}
