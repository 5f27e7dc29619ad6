use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rampart_store::keyring::{Keyring, KeyringError, generate_key_file};
use secrecy::SecretString;
use tokio::process::Command;

/// The keys that seal stored credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The keys themselves: base64 of 32 bytes each, `id:base64` to name them, separated by commas, the active one first.
    #[arg(long, env = "RAMPART_KEY", value_name = "KEYS", group = "keys", hide_env_values = true)]
    pub(crate) key: Option<SecretString>,
    /// File with the keys, one a line. Without any of the three, `key` in the data directory, created at the first start.
    #[arg(long, env = "RAMPART_KEY_FILE", value_name = "FILE", group = "keys")]
    pub(crate) key_file: Option<PathBuf>,
    /// Command that prints the keys, run by `sh` at every start: the way to a key management service, such as
    /// `aws kms decrypt --ciphertext-blob fileb://key.enc --query Plaintext --output text | base64 -d`.
    #[arg(long, env = "RAMPART_KEY_COMMAND", value_name = "COMMAND", group = "keys")]
    pub(crate) key_command: Option<String>,
}

/// Longest time that a key management service may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

impl KeyArgs {
    /// The keys to seal and open with.
    pub(crate) async fn keyring(&self, data_dir: &Path) -> anyhow::Result<Arc<Keyring>> {
        let keyring = match (&self.key, &self.key_file, &self.key_command) {
            (Some(keys), ..) => Keyring::parse(keys),
            (_, Some(file), _) => Keyring::from_file(file),
            (.., Some(command)) => Keyring::parse(&printed_by(command).await.context("--key-command")?),
            (None, None, None) => load_or_create(&data_dir.join("key"))?,
        };
        Ok(Arc::new(keyring.context("the keys that seal credentials are not usable")?))
    }
}

/// What the command prints. Its complaints are shown, its output never.
async fn printed_by(command: &str) -> anyhow::Result<SecretString> {
    let mut child = Command::new("sh");
    child.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_TIMEOUT, child.output())
        .await
        .with_context(|| format!("the command did not end within {} s", COMMAND_TIMEOUT.as_secs()))?
        .context("the command could not be started")?;
    anyhow::ensure!(output.status.success(), "the command failed: {}", output.status);
    let keys = String::from_utf8(output.stdout)
        .map_err(|_| anyhow::anyhow!("the command printed something else than text"))?;
    Ok(SecretString::from(keys))
}

fn load_or_create(path: &Path) -> anyhow::Result<Result<Keyring, KeyringError>> {
    if let Some(dir) = path.parent() {
        let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        created.with_context(|| format!("could not create {}", dir.display()))?;
    }
    if !path.exists() {
        generate_key_file(path)?;
        tracing::info!(path = %path.display(), "generated the key that seals credentials: back it up");
    }
    Ok(Keyring::from_file(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/key");
        let first = load_or_create(&path).unwrap().unwrap();
        let second = load_or_create(&path).unwrap().unwrap();
        assert_eq!(first.active(), second.active());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_missing_key_file_is_named() {
        let args = KeyArgs { key: None, key_file: Some("/nowhere/key".into()), key_command: None };
        let error = args.keyring(Path::new("/nowhere")).await.unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/key"));
    }

    #[tokio::test]
    async fn a_command_hands_over_the_keys_or_says_why_not() {
        let keyring = async |command: &str| {
            let args = KeyArgs { key: None, key_file: None, key_command: Some(command.to_owned()) };
            args.keyring(Path::new("/nowhere")).await.map_err(|error| format!("{error:#}"))
        };
        let key = "A".repeat(43);
        assert_eq!(keyring(&format!("echo kms:{key}= | cat")).await.unwrap().active(), "kms");
        assert!(keyring("exit 3").await.unwrap_err().contains("the command failed: exit status: 3"));
        let said = keyring("echo not-a-key-but-secret").await.unwrap_err();
        assert!(said.contains("key 1 is not base64") && !said.contains("secret"), "{said}");
        assert!(keyring("true").await.unwrap_err().contains("no key"));
    }
}
