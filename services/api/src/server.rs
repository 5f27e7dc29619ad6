//! The listener of the API.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::{HeaderValue, header};
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsAcceptor;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::tls::Tls;

/// Time that a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A year: browsers speak TLS to this host and nothing else.
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Serves until `notice` after `cancel` fires, then finishes what runs.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    (cancel, notice): (CancellationToken, Duration),
) -> anyhow::Result<()> {
    let handle = Handle::new();
    let stopping = handle.clone();
    let stop = cancel.clone();
    tokio::spawn(async move {
        stop.cancelled().await;
        tokio::time::sleep(notice).await;
        stopping.graceful_shutdown(None);
    });
    let bound = axum_server::from_tcp(listener).context("could not listen")?.handle(handle);
    let served = if let Some(tls) = tls {
        let acceptor = RustlsAcceptor::new(tls.config()).handshake_timeout(HANDSHAKE);
        let hangup = signal(SignalKind::hangup()).context("could not listen for SIGHUP")?;
        tokio::spawn(tls.follow(hangup, cancel));
        let router = router.layer(SetResponseHeaderLayer::overriding(header::STRICT_TRANSPORT_SECURITY, STRICT));
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        bound.acceptor(acceptor.acceptor(NoDelayAcceptor::new())).serve(service).await
    } else {
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        bound.acceptor(NoDelayAcceptor::new()).serve(service).await
    };
    served.context("could not serve")
}
