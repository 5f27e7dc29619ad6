//! What others wrote, let loose on the production binary over a filled database: schemathesis, and clients that are generated
//! from the API document on the spot. `cargo xtask test` installs them; without them the tests say so and pass, unless
//! `RAMPART_REQUIRE_CONTRACT=1`.

mod clients;
mod schemathesis;

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;

use platform_tests::{Client, Platform};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");

/// Where a tool is, by the variable that names it; `None` when its tests are skipped.
fn tool(variable: &str, what: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        let why = format!("{variable} does not say where {what} is");
        assert!(std::env::var("RAMPART_REQUIRE_CONTRACT").as_deref() != Ok("1"), "{why}");
        eprintln!("skipped: {why}; `cargo xtask test` installs it");
    }
    found
}

/// `rampart serve` as the API of a platform whose accounts and clusters have been read and judged.
struct Served {
    platform: Platform,
    client: Client,
    /// Of an owner.
    token: String,
    /// Base URL of the process.
    url: String,
    /// What the test may write to.
    dir: TempDir,
    process: Child,
}

impl Served {
    async fn start() -> Self {
        let platform = Platform::start().await;
        let client = platform.tenant("acme").await;
        client.onboard_cluster(&platform.simulator, "factory", "factory-floor").await;
        let account = platform.simulator.accounts().remove(1).id;
        client.onboard_account(&platform.simulator, "production", &account).await;
        platform.scan(&client, &["factory", "production"]).await;
        let grants = json!([{ "role": "owner", "scope": { "type": "tenant" } }]);
        let made = client.post("/v1/tokens", &json!({ "name": "contracts", "grants": grants })).await;
        let token = made["secret"].as_str().expect("a secret is shown").to_owned();

        let dir = tempfile::tempdir().expect("a directory");
        let [listen, operations] = [free_address(), free_address()];
        let mut command = Command::new(BINARY);
        command.env_clear().args(["serve", "--roles", "api", "--listen", &listen, "--ops-listen", &operations]);
        command.arg("--data-dir").arg(dir.path().join("rampart"));
        command.env("DATABASE_URL", &platform.database.app_url).env("RAMPART_KEY", format!("test:{}=", "A".repeat(43)));
        command
            .env("RAMPART_RATE_LIMIT", "100000")
            .env("RAMPART_ADDRESS_RATE_LIMIT", "100000")
            .env("RAMPART_ISSUER_URL", "https://rampart.example");
        command.env("RUST_LOG", "warn").kill_on_drop(true).stdin(Stdio::null());
        let process = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("the binary starts");
        let url = format!("http://{listen}");
        let mut served = Self { client: client.at(&url), platform, token, url, dir, process };
        served.wait().await;
        served
    }

    async fn wait(&mut self) {
        let probe = reqwest::Client::builder().no_proxy().build().expect("a client");
        for _ in 0..600 {
            if probe.get(format!("{}/v1/tenant", self.url)).send().await.is_ok() {
                return;
            }
            assert_eq!(self.process.try_wait().unwrap(), None, "rampart ended");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("rampart does not answer after 60 s");
    }

    /// The process runs and answers: whatever was sent, it has not come to harm.
    async fn is_sound(&mut self) {
        assert_eq!(self.process.try_wait().unwrap(), None, "rampart ended");
        let (status, answer) = self.client.request(Method::GET, "/v1/tenant", None).await;
        assert!(status.is_success(), "{status}: {answer}");
    }

    /// The document that the process gives out.
    async fn document(&self) -> Value {
        self.client.get("/openapi.json").await
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
    listener.local_addr().expect("a bound listener has an address").to_string()
}

/// Runs a command to its end, which must be a good one.
async fn succeed(command: &mut Command) {
    let output = command.kill_on_drop(true).stdin(Stdio::null()).output().await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut told = String::new();
    for stream in [&output.stdout, &output.stderr] {
        let _ = writeln!(told, "{}", String::from_utf8_lossy(stream));
    }
    assert!(output.status.success(), "{command:?} ended with {}\n{told}", output.status);
}
