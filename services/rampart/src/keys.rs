use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rampart_store::keyring::{Keyring, KeyringError, generate_key_file};
use secrecy::SecretString;

/// The keys that seal stored credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The keys themselves: base64 of 32 bytes each, `id:base64` to name them, separated by commas, the active one first.
    #[arg(long, env = "RAMPART_KEY", value_name = "KEYS", conflicts_with = "key_file", hide_env_values = true)]
    pub(crate) key: Option<SecretString>,
    /// File with the keys, one a line. Without either, `key` in the data directory, created at the first start.
    #[arg(long, env = "RAMPART_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys to seal and open with.
    pub(crate) fn keyring(&self, data_dir: &Path) -> anyhow::Result<Arc<Keyring>> {
        let keyring = match (&self.key, &self.key_file) {
            (Some(keys), _) => Keyring::parse(keys),
            (None, Some(file)) => Keyring::from_file(file),
            (None, None) => load_or_create(&data_dir.join("key"))?,
        };
        Ok(Arc::new(keyring.context("the keys that seal credentials are not usable")?))
    }
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

    #[test]
    fn a_missing_key_file_is_named() {
        let args = KeyArgs { key: None, key_file: Some("/nowhere/key".into()) };
        let error = args.keyring(Path::new("/nowhere")).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/key"));
    }
}
