//! What every process of Rampart needs, and nothing that knows the product: telemetry, health, metrics, shutdown,
//! supervision of the roles, TLS set-up and a private Postgres.
//!
//! ```text
//!            signals ──► Shutdown ──► ctx.cancel ──► roles drain ──► tasks drain ──► exit code
//!   roles ──► supervise ────┘ a role that ends before it was asked to brings the process down
//!   checks ─► Health ──► /readyz     Metrics ──► /metrics      (the operations listener outlives the drain)
//! ```

mod context;
mod health;
mod memory;
mod metrics;
mod operations;
pub mod postgres;
mod shutdown;
mod supervise;
mod telemetry;
mod tls;

pub use context::Ctx;
pub use health::{Health, Readiness};
pub use memory::decline_huge_pages;
pub use metrics::{Metrics, MetricsError};
pub use operations::{Operations, OperationsArgs, OperationsError};
pub use shutdown::{ShutdownArgs, Signals};
pub use supervise::{Role, SuperviseError, supervise};
pub use telemetry::{LogFormat, Telemetry, TelemetryArgs, TelemetryError};
pub use tls::install_crypto_provider;
