use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::Instant;

const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A `rampart serve` of our own, on free ports of the loopback and a data directory of its own.
#[derive(Debug)]
pub(crate) struct Rampart {
    child: Child,
    binary: PathBuf,
    data_dir: PathBuf,
    /// Base URL of the API.
    pub(crate) url: String,
    operations_url: String,
}

/// `rampart collect`, as it runs beside a cluster that nobody reaches from outside.
#[derive(Debug)]
pub(crate) struct CollectorRun {
    binary: PathBuf,
    url: String,
}

impl CollectorRun {
    /// Reads the cluster of `kubeconfig` once and pushes it to the connector.
    pub(crate) async fn push(&self, connector: &str, token: &str, kubeconfig: &str) -> anyhow::Result<()> {
        let file = tempfile::NamedTempFile::new().context("no temporary file")?;
        fs::write(file.path(), kubeconfig).context("could not write the kubeconfig")?;
        let mut command = Command::new(&self.binary);
        command.args(["collect", "--server", &self.url, "--connector", connector, "--kubeconfig"]).arg(file.path());
        let output = command.env("RAMPART_COLLECTOR_TOKEN", token).output().await;
        let output = output.context("could not run `rampart collect`")?;
        ensure!(output.status.success(), "`rampart collect` failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Rampart {
    /// Starts the process and waits until it is ready. `settings` are what its operator sets, as variables.
    pub(crate) async fn start(
        binary: &Path,
        data_dir: &Path,
        listen: u16,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(data_dir).with_context(|| format!("could not create {}", data_dir.display()))?;
        let log_path = data_dir.join("rampart.log");
        let log = File::create(&log_path).context("could not create the log file")?;
        let errors = log.try_clone().context("could not open the log file twice")?;
        let (api, operations) = (free_port(listen).await?, free_port(0).await?);
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data_dir);
        command.args(["--listen", &format!("127.0.0.1:{api}"), "--ops-listen", &format!("127.0.0.1:{operations}")]);
        // Its own process group: Ctrl-C comes to us, and we stop it.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        command.env_remove("DATABASE_URL").envs(settings.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().with_context(|| format!("could not start {}", binary.display()))?;
        let mut rampart = Self {
            child,
            binary: binary.to_owned(),
            data_dir: data_dir.to_owned(),
            url: format!("http://127.0.0.1:{api}"),
            operations_url: format!("http://127.0.0.1:{operations}"),
        };
        rampart.wait_ready(&log_path).await?;
        Ok(rampart)
    }

    /// The process id, for measuring.
    pub(crate) fn pid(&self) -> anyhow::Result<i32> {
        Ok(i32::try_from(self.child.id().context("rampart has ended")?)?)
    }

    /// Runs `rampart admin …` beside the running process and returns what it printed.
    pub(crate) async fn admin(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.binary);
        command.arg("admin").args(args).arg("--data-dir").arg(&self.data_dir).args(["--log", "warn"]);
        let output = command.env_remove("DATABASE_URL").output().await.context("could not run `rampart admin`")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`rampart admin {}` failed: {errors}", args.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// How `rampart collect` is run against this process.
    pub(crate) fn collector(&self) -> CollectorRun {
        CollectorRun { binary: self.binary.clone(), url: self.url.clone() }
    }

    /// Waits for the process to end, which it should not.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        anyhow::anyhow!("rampart ended by itself ({status}), see {}", self.data_dir.join("rampart.log").display())
    }

    /// Stops the process as an orchestrator does and waits for it.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(self.pid()?), Signal::SIGTERM).context("could not signal rampart")?;
        let ended = tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await;
        let status = ended.context("rampart does not stop")?.context("could not wait for rampart")?;
        ensure!(status.success(), "rampart ended with {status}");
        Ok(())
    }

    async fn wait_ready(&mut self, log: &Path) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let probe = format!("{}/readyz", self.operations_url);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let ready = http.get(&probe).send().await.is_ok_and(|response| response.status().is_success());
            // The API binds its port a moment after the database is there.
            if ready && http.get(format!("{}/v1/connectors", self.url)).send().await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait().context("could not look at rampart")? {
                bail!("rampart did not start ({status}):\n{}", fs::read_to_string(log).unwrap_or_default());
            }
            ensure!(Instant::now() < deadline, "rampart is not ready, see {}", log.display());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Rampart {
    fn drop(&mut self) {
        // An error on the way here must not leave the process behind; it stops its own Postgres.
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// A token of the data directory: made once, then read from a file only its owner may read.
pub(crate) async fn owner_token(rampart: &Rampart, tenant: &str) -> anyhow::Result<SecretString> {
    let file = rampart.data_dir.join("token");
    if let Ok(token) = fs::read_to_string(&file) {
        return Ok(SecretString::from(token.trim()));
    }
    let id = rampart.admin(&["create-tenant", "--name", tenant]).await?;
    let token = rampart.admin(&["create-token", "--tenant", &id, "--name", tenant]).await?;
    write_private(&file, &token).context("could not keep the token")?;
    Ok(SecretString::from(token))
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// `wanted` where it is free, else any free port.
async fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let listener = match TcpListener::bind(("127.0.0.1", wanted)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on the loopback")?,
    };
    Ok(listener.local_addr()?.port())
}
