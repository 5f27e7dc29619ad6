use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Health, Metrics};

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Where the operations endpoints listen.
#[derive(Debug, Clone, clap::Args)]
pub struct OperationsArgs {
    /// Address for /healthz, /readyz and /metrics. Not for the internet: it asks for no token.
    #[arg(long, env = "RAMPART_OPS_LISTEN", default_value = "127.0.0.1:9464", value_name = "ADDRESS")]
    pub ops_listen: SocketAddr,
}

/// The operations listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OperationsError {
    /// The address is taken or not ours.
    #[error("could not listen on {address} (--ops-listen)")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The three endpoints that an orchestrator and a monitoring system read.
#[derive(Debug, Clone)]
pub struct Operations {
    health: Health,
    metrics: Metrics,
}

impl Operations {
    /// Endpoints over this register and this recorder.
    pub fn new(health: Health, metrics: Metrics) -> Self {
        Self { health, metrics }
    }

    /// `/healthz` (the process answers), `/readyz` (every check passes; 503 otherwise) and `/metrics`.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// Opens the listener and serves until `stop` is cancelled. Returns the address bound (port 0 picks one).
    pub async fn listen(&self, args: &OperationsArgs, stop: CancellationToken) -> Result<SocketAddr, OperationsError> {
        let bind = |source| OperationsError::Bind { address: args.ops_listen, source };
        let listener = TcpListener::bind(args.ops_listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let router = self.router();
        let metrics = self.metrics.clone();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned()).await;
            if let Err(error) = served {
                tracing::error!(error = %error, "operations listener failed");
            }
        });
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                metrics.run_upkeep();
            }
        });
        tracing::info!(ops.address = %address, "operations endpoints listening");
        Ok(address)
    }
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(operations): State<Operations>) -> impl IntoResponse {
    let readiness = operations.health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

async fn metrics(State(operations): State<Operations>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], operations.metrics.render())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn check(health: Health, path: &str, expected: StatusCode) {
        let operations = Operations::new(health, Metrics::detached().unwrap());
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = operations.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected, "{path}");
    }

    #[tokio::test]
    async fn liveness_ignores_readiness() {
        let health = Health::default();
        health.drain();
        check(health.clone(), "/healthz", StatusCode::OK).await;
        check(health, "/readyz", StatusCode::SERVICE_UNAVAILABLE).await;
    }

    #[tokio::test]
    async fn ready_and_measured() {
        check(Health::default(), "/readyz", StatusCode::OK).await;
        check(Health::default(), "/metrics", StatusCode::OK).await;
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let args = OperationsArgs { ops_listen: taken.local_addr().unwrap() };
        let operations = Operations::new(Health::default(), Metrics::detached().unwrap());
        let error = operations.listen(&args, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(&args.ops_listen.to_string()));
    }
}
