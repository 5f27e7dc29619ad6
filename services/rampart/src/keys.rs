use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rampart_store::admin::Keyring;
use secrecy::SecretString;

/// AES-256.
const KEY_BYTES: usize = 32;

/// The key that encrypts stored credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct KeyArgs {
    /// The key itself: 64 hexadecimal digits.
    #[arg(long, env = "RAMPART_KEY", value_name = "HEX", conflicts_with = "key_file")]
    pub(crate) key: Option<SecretString>,
    /// File with the key. Without either, `key` in the data directory, created at the first start.
    #[arg(long, env = "RAMPART_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the key before the last change; still decrypts what `rampart admin rotate-key` has not reached.
    #[arg(long, env = "RAMPART_PREVIOUS_KEY_FILE", value_name = "FILE")]
    pub(crate) previous_key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The keys to encrypt and decrypt with.
    pub(crate) fn keyring(&self, data_dir: &Path) -> anyhow::Result<Keyring> {
        let current = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => load_or_create(&data_dir.join("key"))?,
        };
        let previous = self.previous_key_file.as_deref().map(read).transpose()?;
        Keyring::new(&current, previous.as_ref()).context("the key that encrypts credentials is not usable")
    }
}

fn load_or_create(path: &Path) -> anyhow::Result<SecretString> {
    if let Some(dir) = path.parent() {
        let created = fs::DirBuilder::new().recursive(true).mode(0o755).create(dir);
        created.with_context(|| format!("could not create {}", dir.display()))?;
    }
    let opened = File::options().write(true).create_new(true).mode(0o600).open(path);
    match opened {
        Ok(mut file) => {
            let hex = generate()?;
            file.write_all(format!("{hex}\n").as_bytes())
                .and_then(|()| file.sync_all())
                .context("could not write the key")?;
            tracing::info!(path = %path.display(), "generated the key that encrypts credentials: back it up");
            Ok(SecretString::from(hex))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error).with_context(|| format!("could not create {}", path.display())),
    }
}

fn read(path: &Path) -> anyhow::Result<SecretString> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read the key file {}", path.display()))?;
    Ok(SecretString::from(text.trim()))
}

/// 256 random bits as hexadecimal digits.
fn generate() -> anyhow::Result<String> {
    let mut bytes = [0_u8; KEY_BYTES];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).ok().context("the system gives no random numbers")?;
    Ok(bytes.iter().fold(String::with_capacity(2 * KEY_BYTES), |mut hex, byte| {
        hex.push(digit(byte >> 4));
        hex.push(digit(byte & 0x0f));
        hex
    }))
}

fn digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).expect("four bits are a hexadecimal digit")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data/key");
        let first = load_or_create(&path).unwrap();
        let second = load_or_create(&path).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        assert_eq!(first.expose_secret().len(), 2 * KEY_BYTES);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_missing_key_file_is_named() {
        let error = read(Path::new("/nowhere/key")).unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/key"));
    }
}
