use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cloudsim::Simulator;
use rampart_store::testing::TestDatabase;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::Client;
use crate::replica::free_address;

const PATIENCE: Duration = Duration::from_mins(1);

/// `rampart serve` as a process of its own, with all that it says kept.
#[derive(Debug)]
pub struct Process {
    /// Base URL of its API.
    pub url: String,
    /// Base URL of its operations endpoints.
    pub operations: String,
    child: Child,
    dir: TempDir,
}

impl Process {
    /// The command, for the clouds of the simulator.
    fn command(binary: &str, database: &TestDatabase, simulator: &Simulator, variables: &[(&str, &str)]) -> Command {
        let keys = simulator.operator_keys();
        let mut command = Command::new(binary);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("DATABASE_URL", &database.app_url)
            .env("RAMPART_EGRESS_ALLOW", "127.0.0.0/8")
            .env("RAMPART_RATE_LIMIT", "100000")
            .env("RAMPART_AWS_ENDPOINT", simulator.aws_endpoint())
            .env("RAMPART_AZURE_ENDPOINT", simulator.azure_endpoint())
            .env("RAMPART_GCP_ENDPOINT", simulator.gcp_endpoint())
            .env("RAMPART_AWS_ACCESS_KEY_ID", keys.access_key_id)
            .env("RAMPART_AWS_SECRET_ACCESS_KEY", keys.secret_access_key)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts it and waits until it is ready. `binary` is the production binary.
    pub async fn serve(
        binary: &str,
        database: &TestDatabase,
        simulator: &Simulator,
        variables: &[(&str, &str)],
    ) -> Self {
        let (api, operations) = (free_address(), free_address());
        let dir = tempfile::tempdir().expect("a directory");
        let said = File::create(dir.path().join("said")).expect("a file");
        let mut command = Self::command(binary, database, simulator, variables);
        command.arg("serve").env("RAMPART_DATA_DIR", dir.path()).env("RAMPART_LISTEN", api.to_string());
        command.env("RAMPART_OPS_LISTEN", operations.to_string());
        command.stdout(said.try_clone().expect("a file")).stderr(said);
        let child = command.spawn().expect("the binary starts");
        let (url, operations) = (format!("http://{api}"), format!("http://{operations}"));
        let mut process = Self { url, operations, child, dir };
        let probe = reqwest::Client::builder().no_proxy().build().expect("a client");
        let begun = Instant::now();
        loop {
            let ready = probe.get(format!("{}/readyz", process.operations)).send().await;
            let answers = probe.get(format!("{}/v1/tenant", process.url)).send().await.is_ok();
            if ready.is_ok_and(|answer| answer.status().is_success()) && answers {
                return process;
            }
            let ended = process.child.try_wait().expect("a child of ours");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "{ended:?}: {}", process.said());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a command of the binary to its end; whether it went well, and what it said.
    pub async fn run(
        binary: &str,
        database: &TestDatabase,
        simulator: &Simulator,
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> (bool, String) {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Self::command(binary, database, simulator, variables);
        command.env("RAMPART_DATA_DIR", dir.path()).env("RAMPART_OPS_LISTEN", free_address().to_string());
        command.env("RAMPART_LISTEN", free_address().to_string()).args(arguments);
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// A caller of this process.
    pub fn client(&self, token: SecretString) -> Client {
        Client::new(&self.url, token)
    }

    /// Everything it wrote to its output so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("said")).unwrap_or_default()).into_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Asks it to stop and waits; what it said.
    pub async fn stop(mut self) -> String {
        let id = self.child.id().expect("it runs").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill is there");
        assert!(asked.success());
        let ended =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it stops").expect("a child of ours");
        assert!(ended.success(), "{}", self.said());
        self.said()
    }
}
