use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};
use url::Url;

/// How the process speaks about itself.
#[derive(Debug, Clone, clap::Args)]
pub struct TelemetryArgs {
    /// Shape of the log lines on standard error.
    #[arg(long, env = "RAMPART_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log, as `level` or `target=level`, comma-separated.
    #[arg(long, env = "RUST_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// OTLP/HTTP collector that receives the traces, e.g. `http://127.0.0.1:4318`. None are sent without it.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    pub otlp_endpoint: Option<Url>,
}

/// Shape of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter does not parse.
    #[error("log filter {filter:?} is not valid (--log, RUST_LOG)")]
    Filter {
        /// The text given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// The HTTP client for the collector could not be built.
    #[error("could not build the HTTP client for the trace collector")]
    Client(#[source] reqwest::Error),
    /// The collector's address is not usable.
    #[error("could not set up trace export (--otlp-endpoint)")]
    Exporter(#[source] ExporterBuildError),
    /// A subscriber is installed already.
    #[error("could not install the log subscriber")]
    Install(#[source] TryInitError),
}

/// Holds the trace pipeline; call [`Telemetry::shutdown`] before the process ends, or the last spans are lost.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Installs logging and, where an endpoint is given, trace export. Call once, inside the Tokio runtime.
    pub fn install(args: &TelemetryArgs, service: &'static str) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&args.log)
            .map_err(|source| TelemetryError::Filter { filter: args.log.clone(), source })?;
        let traces = args.otlp_endpoint.as_ref().map(|endpoint| trace_provider(endpoint, service)).transpose()?;
        let export =
            traces.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(service)));
        tracing_subscriber::registry()
            .with(log_layer(args.log_format))
            .with(export)
            .with(filter)
            .try_init()
            .map_err(TelemetryError::Install)?;
        Ok(Self { traces })
    }

    /// Sends what is still buffered.
    pub async fn shutdown(self) {
        let Some(traces) = self.traces else { return };
        // The pipeline's own shutdown blocks its caller while the exporter needs this runtime.
        let flushed = tokio::task::spawn_blocking(move || traces.shutdown()).await;
        if let Ok(Err(error)) = flushed {
            tracing::warn!(error = %error, "the last traces could not be sent");
        }
    }
}

fn log_layer(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    }
}

fn trace_provider(endpoint: &Url, service: &'static str) -> Result<SdkTracerProvider, TelemetryError> {
    let client = reqwest::Client::builder().build().map_err(TelemetryError::Client)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces_url(endpoint))
        .build()
        .map_err(TelemetryError::Exporter)?;
    let resource = Resource::builder().with_service_name(service).build();
    let processor = BatchSpanProcessor::builder(exporter, Tokio).build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_span_processor(processor).build())
}

/// The variable names the collector's base address; its signal path is appended unless it is there already.
fn traces_url(endpoint: &Url) -> String {
    let base = endpoint.as_str().trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str, expected: &str) {
        assert_eq!(traces_url(&endpoint.parse().unwrap()), expected);
    }

    #[test]
    fn the_signal_path_is_appended_once() {
        check("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces");
        check("https://collector/base/", "https://collector/base/v1/traces");
        check("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let args = TelemetryArgs { log_format: LogFormat::Text, log: "a=b=c".to_owned(), otlp_endpoint: None };
        let error = Telemetry::install(&args, "test").unwrap_err();
        assert!(matches!(error, TelemetryError::Filter { ref filter, .. } if filter == "a=b=c"), "{error}");
    }
}
