use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rampart_batch::CollectorToken;
use rampart_domain::{Cloud, Kind};
use secrecy::SecretString;
use url::Url;

/// Options of `rampart collect`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Base URL of the Rampart API. Needed unless the cluster is written to a file.
    #[arg(long, env = "RAMPART_SERVER", value_name = "URL", required_unless_present = "output")]
    pub server: Option<Url>,
    /// Name or id of the connector to push to.
    #[arg(long, env = "RAMPART_CONNECTOR", required_unless_present = "output")]
    pub connector: Option<String>,
    /// File with the collector's token, as it was shown when the connector was made.
    #[arg(long, env = "RAMPART_COLLECTOR_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The token itself; better in the variable than on the command line, where others may read it.
    #[arg(long = "token", env = "RAMPART_COLLECTOR_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token_text: Option<SecretString>,
    /// Authorities that the API's certificate is checked against, in PEM, instead of the system's.
    #[arg(long, env = "RAMPART_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Kubeconfig of the cluster; certificates and tokens inlined, nothing in it is run.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one.
    #[arg(long)]
    pub context: Option<String>,
    /// Read the cluster that this process runs in, as its service account.
    #[arg(long)]
    pub in_cluster: bool,
    /// Where the cluster runs; on `aws` the map of IAM identities is read too.
    #[arg(long, env = "RAMPART_CLOUD", default_value = "on_premises", value_name = "CLOUD")]
    pub cloud: Cloud,
    /// Kinds to read, comma-separated, such as k8s.pod; all that are read by default when left out.
    #[arg(long, env = "RAMPART_KINDS", value_delimiter = ',', value_name = "KINDS")]
    pub kinds: Vec<Kind>,
    /// Minutes between runs; without it, one run.
    #[arg(long, env = "RAMPART_INTERVAL", value_name = "MINUTES", conflicts_with = "output",
        value_parser = clap::value_parser!(u32).range(1..=10_080))]
    pub interval: Option<u32>,
    /// Bytes at which a batch is cut; smaller ones for links that often break.
    #[arg(long, env = "RAMPART_BATCH_BYTES", value_name = "BYTES", default_value_t = 512 << 10,
        value_parser = clap::value_parser!(u32).range(4_096..=4_194_304))]
    pub batch_bytes: u32,
    /// Write the cluster to a file instead of pushing it, for networks that do not reach the API.
    #[arg(long, value_name = "FILE", conflicts_with = "upload")]
    pub output: Option<PathBuf>,
    /// Push a file that was written so; begins where an earlier upload of it ended.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["interval", "in_cluster"])]
    pub upload: Option<PathBuf>,
}

impl Args {
    /// The token, from where it was given.
    pub(crate) async fn token(&self) -> anyhow::Result<CollectorToken> {
        let text = match (&self.token_file, &self.token_text) {
            (Some(path), _) => {
                let text = tokio::fs::read_to_string(path).await;
                SecretString::from(text.with_context(|| format!("could not read {}", path.display()))?)
            }
            (None, Some(text)) => text.clone(),
            (None, None) => anyhow::bail!("give the collector's token: --token-file, or RAMPART_COLLECTOR_TOKEN"),
        };
        Ok(CollectorToken::parse(&text)?)
    }

    pub(crate) fn interval(&self) -> Option<Duration> {
        self.interval.map(|minutes| Duration::from_secs(60 * u64::from(minutes)))
    }
}
