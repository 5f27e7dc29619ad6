use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use cloudsim::Simulator;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Client;

/// A connector that is pushed to, and what its collector needs on the machine that it runs on.
#[derive(Debug)]
pub struct Collector {
    /// Name of the connector.
    pub connector: String,
    /// The token as it was shown.
    pub token: String,
    binary: PathBuf,
    server: String,
    dir: TempDir,
}

impl Collector {
    /// Onboards a simulated cluster that nobody reaches from outside. `binary` is the production binary.
    pub async fn onboard(binary: &str, client: &Client, simulator: &Simulator, name: &str, cluster: &str) -> Self {
        let source = json!({ "provider": "kubernetes", "delivery": "push", "cluster_name": cluster });
        let made = client.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
        let dir = tempfile::tempdir().expect("a directory");
        let kubeconfig = simulator.kubeconfig(cluster).expect("the cluster has a kubeconfig");
        std::fs::write(dir.path().join("kubeconfig"), kubeconfig).expect("a file");
        let token = made["collector_token"].as_str().expect("a token is shown").to_owned();
        Self { connector: name.to_owned(), token, binary: binary.into(), server: client.base().to_owned(), dir }
    }

    /// A path beside the collector.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `rampart collect` with these arguments, and the batches cut small.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear().arg("collect").args(args);
        command.env("RAMPART_COLLECTOR_TOKEN", &self.token).env("RAMPART_BATCH_BYTES", "4096");
        command.env("RUST_LOG", "info,rampart_collector=debug");
        command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Arguments that name the cluster.
    pub fn of_cluster(&self) -> [String; 2] {
        ["--kubeconfig".to_owned(), self.path("kubeconfig").display().to_string()]
    }

    /// Arguments that name the platform.
    pub fn to_platform(&self) -> [String; 4] {
        ["--server".to_owned(), self.server.clone(), "--connector".to_owned(), self.connector.clone()]
    }

    /// Runs to the end.
    pub async fn run(&self, args: &[String]) -> Output {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        self.command(&args).output().await.expect("the binary starts")
    }

    /// Reads the cluster and pushes it.
    pub async fn push(&self) {
        let output = self.run(&[self.of_cluster().to_vec(), self.to_platform().to_vec()].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Reads the cluster into a file.
    pub async fn write(&self, file: &Path) {
        let output = ["--output".to_owned(), file.display().to_string()];
        let output = self.run(&[self.of_cluster().to_vec(), output.to_vec()].concat()).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Pushes a file.
    pub async fn upload(&self, file: &Path) -> Output {
        let upload = ["--upload".to_owned(), file.display().to_string()];
        self.run(&[upload.to_vec(), self.to_platform().to_vec()].concat()).await
    }

    /// Sends bytes as a batch.
    pub async fn send(&self, client: &Client, bytes: &[u8]) -> (u16, Value) {
        let (status, answer) = client.send(&format!("/v1/connectors/{}/batches", self.connector), bytes.to_vec()).await;
        (status.as_u16(), answer)
    }
}
