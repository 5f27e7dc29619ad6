use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds for everything measured in seconds: a cached read is below a millisecond, a large scan takes minutes.
const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

/// The recorder could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// Another recorder is installed already, or the buckets are refused.
    #[error("could not install the metrics recorder")]
    Install(#[source] BuildError),
}

/// The process-wide recorder behind the `metrics` macros, readable as Prometheus text.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder. Call once, before the first role starts.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = builder()?.install_recorder().map_err(MetricsError::Install)?;
        metrics::gauge!("rampart_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle })
    }

    /// A recorder that is not the process's own: what a test of the routes needs.
    pub fn detached() -> Result<Self, MetricsError> {
        Ok(Self { handle: builder()?.build_recorder().handle() })
    }

    /// Everything recorded so far in the Prometheus text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded samples into their buckets; without it histograms grow between two scrapes.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, MetricsError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .map_err(MetricsError::Install)
}
