use std::sync::Arc;

use rampart_posture::custom::{self, Format, Layer, Source};
use rampart_store::custom::{self as stored, CustomSource, Recent};
use rampart_store::worker::Failure;
use rampart_store::{TenantTx, custom::Versions};

use crate::Knowledge;
use crate::isolation::Host;

/// What was made of the sources of the tenants that were assessed last.
pub(crate) type Tenants = Recent<Knowledge>;

/// What a tenant is judged by: the product's knowledge, with what the tenant wrote laid over it. Made once per version of
/// the tenant's sources.
pub(crate) async fn knowledge(product: &Arc<Knowledge>, tx: &mut TenantTx) -> Result<Arc<Knowledge>, Failure> {
    let versions: Versions = stored::versions(tx).await?;
    if versions.is_empty() {
        return Ok(Arc::clone(product));
    }
    let tenant = tx.tenant();
    if let Some(known) = product.tenants.get(tenant, &versions) {
        return Ok(known);
    }
    let sources: Vec<Source> = stored::all(tx).await?.into_iter().map(|(format, row)| source(format, row)).collect();
    let base = Arc::clone(product);
    let layered = tokio::task::spawn_blocking(move || {
        let read = |source: &Source| match source.read(&base.catalogue) {
            Ok(layer) => Some(layer),
            Err(problems) => {
                // It could be read when it was saved; what it judged is not judged until it is saved anew.
                tracing::error!(tenant.id = %tenant, source = source.name, ?problems, "a custom source is left out");
                None
            }
        };
        let layers: Vec<Layer> = sources.iter().filter_map(read).collect();
        lay(&base, layers, &sources)
    })
    .await?;
    Ok(product.tenants.keep(tenant, versions, layered))
}

/// The product's knowledge with `layers`, which were read from `sources`.
pub(crate) fn lay(product: &Knowledge, layers: Vec<Layer>, sources: &[Source]) -> Knowledge {
    let bundles = sources.iter().filter(|source| source.format == Format::Policies);
    let bundles = bundles.map(|source| (source.name.clone(), source.text.clone())).collect();
    let host = Host::new(product.isolation.clone(), bundles);
    let base = (&product.catalogue, &product.engine);
    let (catalogue, engine) = custom::layered(base, layers, |id, policy| host.take(id, policy));
    Knowledge { catalogue, engine, isolation: product.isolation.clone(), tenants: Tenants::default() }
}

fn source(format: stored::Format, row: CustomSource) -> Source {
    Source { format: read_format(format), name: row.name, text: row.source }
}

pub(crate) const fn read_format(format: stored::Format) -> Format {
    match format {
        stored::Format::Control => Format::Control,
        stored::Format::Policies => Format::Policies,
    }
}
