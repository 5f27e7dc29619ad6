use std::sync::Arc;

use rampart_content::{Catalogue, SourceProblem};
use rampart_posture::custom::{self, Format, Layer, Source};
use rampart_store::TenantTx;
use rampart_store::custom::{self as stored, CustomSource};

use crate::App;
use crate::http::{ApiError, Code, FieldErrors};

impl App {
    /// The product's catalogue with what the caller's tenant wrote: everything that looks up a control of a tenant looks
    /// here.
    pub(crate) async fn catalogue_of(&self, tx: &mut TenantTx) -> Result<Arc<Catalogue>, ApiError> {
        let versions = stored::versions(tx).await?;
        if versions.is_empty() {
            return Ok(Arc::clone(self.shared_catalogue()));
        }
        let tenant = tx.tenant();
        if let Some(known) = self.tenants().get(tenant, &versions) {
            return Ok(known);
        }
        let sources: Vec<Source> = stored::all(tx).await?.into_iter().map(source).collect();
        let base = Arc::clone(self.shared_catalogue());
        let made = off_the_async_threads(move || {
            // What could be read when it was saved and cannot now, after an upgrade, the assessor tells in its log.
            let layers: Vec<Layer> = sources.iter().filter_map(|source| source.read(&base).ok()).collect();
            custom::catalogue(&base, &layers)
        });
        Ok(self.tenants().keep(tenant, versions, made.await?))
    }

    /// Reads a source as it would be saved.
    pub(crate) async fn read_source(&self, source: Source) -> Result<Layer, ApiError> {
        let base = Arc::clone(self.shared_catalogue());
        let read = off_the_async_threads(move || source.read(&base)).await?;
        read.map_err(|problems| refuse(&problems))
    }
}

async fn off_the_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a source could not be read");
        ApiError::new(Code::Internal, "the source could not be read")
    })
}

/// What is wrong with a source, line by line.
fn refuse(problems: &[SourceProblem]) -> ApiError {
    let mut errors = FieldErrors::default();
    for problem in problems {
        errors.add_in_source("/source", problem);
    }
    match errors.finish() {
        Err(error) => error,
        Ok(()) => ApiError::new(Code::InvalidBody, "the source does not fit"),
    }
}

fn source((format, row): (stored::Format, CustomSource)) -> Source {
    Source { format: read_format(format), name: row.name, text: row.source }
}

pub(crate) const fn read_format(format: stored::Format) -> Format {
    match format {
        stored::Format::Control => Format::Control,
        stored::Format::Policies => Format::Policies,
    }
}
