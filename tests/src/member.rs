use std::net::SocketAddr;
use std::process::Stdio;

use tokio::process::{Child, Command};

use crate::Platform;
use crate::platform::test_key;
use crate::replica::free_address;

/// One of several processes over a database, to be ended at any moment.
#[derive(Debug)]
pub struct Member {
    /// Where its API listens, when it has that role.
    pub api: SocketAddr,
    /// Where it tells whether it is ready.
    pub operations: SocketAddr,
    child: Child,
}

impl Member {
    /// Starts a production binary with these roles over a database, in the clouds of a platform.
    pub fn start(binary: &str, platform: &Platform, database_url: &str, roles: &str) -> Self {
        let (api, operations) = (free_address(), free_address());
        let keys = platform.simulator.operator_keys();
        let mut command = Command::new(binary);
        command
            .args(["serve", "--roles", roles])
            .env("DATABASE_URL", database_url)
            .env("RAMPART_DATABASE_CONNECTIONS", "8")
            .env("RAMPART_KEY", test_key())
            .env("RAMPART_LISTEN", api.to_string())
            .env("RAMPART_OPS_LISTEN", operations.to_string())
            .env("RAMPART_RATE_LIMIT", "100000")
            .env("RAMPART_EGRESS_ALLOW", "127.0.0.0/8")
            .env("RAMPART_AWS_ENDPOINT", platform.simulator.aws_endpoint())
            .env("RAMPART_AWS_ACCESS_KEY_ID", keys.access_key_id)
            .env("RAMPART_AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
            .env("RAMPART_AZURE_ENDPOINT", platform.simulator.azure_endpoint())
            .env("RAMPART_GCP_ENDPOINT", platform.simulator.gcp_endpoint())
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let child = command.spawn().expect("the binary starts");
        Self { api, operations, child }
    }

    /// Ends it with SIGKILL: it has no chance to say a word.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("the process is there");
    }

    /// Asks it to stop with SIGTERM and waits; whether it ended well.
    pub async fn terminate(mut self) -> bool {
        let id = self.child.id().expect("the process runs").to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill is there");
        assert!(told.success(), "the process could be told");
        self.child.wait().await.expect("the process ends").success()
    }
}

/// Whether a process whose operations endpoints are here takes requests and work.
pub async fn is_ready(operations: SocketAddr) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("http://{operations}/readyz")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
