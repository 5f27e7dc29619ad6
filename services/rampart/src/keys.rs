use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rampart_store::keyring::{Keyring, generate_key_file};
use secrecy::SecretString;

/// The keys that seal stored credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The keys themselves, comma-separated: base64 of 32 bytes, or `id:base64`. The first seals, all open.
    #[arg(long, env = "RAMPART_KEYS", value_name = "KEYS", conflicts_with = "key_file")]
    pub(crate) keys: Option<SecretString>,
    /// File with the keys, one a line. Without either, `key` in the data directory, created at the first start.
    #[arg(long, env = "RAMPART_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys given, or the ones of this data directory.
    pub(crate) fn keyring(&self, data_dir: &Path) -> anyhow::Result<Keyring> {
        let keyring = match (&self.keys, &self.key_file) {
            (Some(keys), _) => Keyring::parse(keys),
            (None, Some(file)) => Keyring::from_file(file),
            (None, None) => return load_or_create(&data_dir.join("key")),
        };
        keyring.context("the keys that seal credentials are not usable")
    }
}

fn load_or_create(path: &Path) -> anyhow::Result<Keyring> {
    if !path.exists() {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("could not create {}", dir.display()))?;
        }
        generate_key_file(path)?;
        tracing::info!(path = %path.display(), "generated the key that seals credentials: back it up");
    }
    Ok(Keyring::from_file(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &KeyArgs, dir: &Path) -> anyhow::Result<String> {
        args.keyring(dir).map(|keyring| keyring.active().to_owned())
    }

    #[test]
    fn a_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("data");
        let args = KeyArgs { keys: None, key_file: None };
        assert_eq!(check(&args, &data_dir).unwrap(), check(&args, &data_dir).unwrap());
    }

    #[test]
    fn a_missing_key_file_is_named_and_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent");
        let args = KeyArgs { keys: None, key_file: Some(path.clone()) };
        let error = check(&args, dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("absent"), "{error:#}");
        assert!(!path.exists());
    }

    #[test]
    fn a_bad_key_is_not_repeated() {
        let args = KeyArgs { keys: Some("hunter2".into()), key_file: None };
        let error = check(&args, Path::new("/nowhere")).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"), "{error:#}");
    }
}
