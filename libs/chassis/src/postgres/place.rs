use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::account::Account;
use super::{PostgresError, cluster};

/// The port in the socket's name; nothing listens on the network.
const PORT: u16 = 5432;
/// The kernel's limit for a socket path is 108 bytes with the terminating zero on Linux and 104 on macOS.
const LONGEST_SOCKET_DIR: usize = 103 - "/.s.PGSQL.5432".len();
/// Where root keeps clusters whose data directory the server's account may not enter (below `/root`, for one).
const ROOT_FALLBACK: &str = "/var/lib/rampart";

/// Where a private Postgres keeps its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Configuration, log and lock; belongs to this process.
    pub root: PathBuf,
    /// The directory of the Unix socket.
    pub socket_dir: PathBuf,
}

impl Place {
    pub(super) fn prepare(data_dir: &Path, account: &Account) -> Result<Self, PostgresError> {
        let data_dir = std::path::absolute(data_dir).map_err(PostgresError::io("resolve", data_dir))?;
        create_dir(&data_dir, 0o755)?;
        let base = if account.is_other() && !may_enter(&data_dir, account) { fallback(&data_dir) } else { data_dir };
        let root = base.join("postgres");
        create_dir(&root, 0o755)?;
        let inside = root.join("socket");
        let socket_dir = if inside.as_os_str().len() > LONGEST_SOCKET_DIR { short_socket_dir(&root) } else { inside };
        give(&socket_dir, account)?;
        Ok(Self { root, socket_dir })
    }

    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// The lock that the owner of the server holds for as long as it lives; the kernel releases it with the process.
    pub(super) fn lock(&self) -> Result<File, PostgresError> {
        let path = self.root.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(PostgresError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(PostgresError::Busy { path: self.root.clone() }),
            Err(TryLockError::Error(source)) => Err(PostgresError::io("lock", &path)(source)),
        }
    }

    /// The major version that wrote the cluster; `None` before the first start.
    pub(super) fn existing_major(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.data().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PostgresError::io("read", &path)(error)),
        }
    }

    /// URL of `database` for `login` through the socket. It holds no password: the kernel says who connects.
    pub fn url(&self, login: &str, database: &str) -> SecretString {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("host", &self.socket_dir.to_string_lossy());
        SecretString::from(format!("postgres://{login}@localhost:{PORT}/{database}?{}", query.finish()))
    }

    pub(super) fn tail_of_log(&self) -> String {
        cluster::tail(&fs::read(self.log()).unwrap_or_default())
    }
}

/// Creates a directory that only the server's account may enter.
pub(super) fn give(dir: &Path, account: &Account) -> Result<(), PostgresError> {
    create_dir(dir, 0o700)?;
    let owner = fs::symlink_metadata(dir).map_err(PostgresError::io("inspect", dir))?;
    let ours = nix::unistd::geteuid().as_raw();
    let expected = owner.is_dir() && (owner.uid() == account.uid.as_raw() || owner.uid() == ours);
    if !expected || owner.mode() & 0o077 != 0 {
        let refused = std::io::Error::other("it belongs to another user, or others may enter it");
        return Err(PostgresError::io("use", dir)(refused));
    }
    if account.is_other() {
        let (uid, gid) = (account.uid.as_raw(), account.gid.as_raw());
        chown(dir, Some(uid), Some(gid)).map_err(PostgresError::io("give away", dir))?;
    }
    Ok(())
}

fn create_dir(dir: &Path, mode: u32) -> Result<(), PostgresError> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(PostgresError::io("create", dir))?;
    // The creation mode is cut by the umask; the server's account must be able to pass through.
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).map_err(PostgresError::io("set the mode of", dir))
}

fn may_enter(dir: &Path, account: &Account) -> bool {
    dir.ancestors().all(|ancestor| {
        let Ok(meta) = fs::metadata(ancestor) else { return false };
        let bit = if meta.uid() == account.uid.as_raw() {
            0o100
        } else if meta.gid() == account.gid.as_raw() {
            0o010
        } else {
            0o001
        };
        meta.mode() & bit != 0
    })
}

fn fallback(data_dir: &Path) -> PathBuf {
    Path::new(ROOT_FALLBACK).join(flat_name(data_dir))
}

fn short_socket_dir(root: &Path) -> PathBuf {
    let mut name = flat_name(root);
    let keep = name.len().saturating_sub(48);
    name = name.chars().skip(keep).collect();
    std::env::temp_dir().join(format!("rampart-{}-{name}", nix::unistd::geteuid()))
}

/// A path as one file name: `/srv/rampart` becomes `srv-rampart`.
fn flat_name(path: &Path) -> String {
    path.to_string_lossy().trim_matches('/').replace('/', "-")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_url_names_the_socket_and_no_port_of_the_network() {
        let place = Place { root: "/srv/r/postgres".into(), socket_dir: "/srv/r/postgres/socket".into() };
        assert_eq!(
            place.url("rampart_owner", "rampart").expose_secret(),
            "postgres://rampart_owner@localhost:5432/rampart?host=%2Fsrv%2Fr%2Fpostgres%2Fsocket"
        );
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let root = PathBuf::from(format!("/{}", "deep/".repeat(40)));
        assert!(short_socket_dir(&root).as_os_str().len() <= LONGEST_SOCKET_DIR);
        assert_ne!(short_socket_dir(&root.join("a")), short_socket_dir(&root.join("b")));
    }

    #[test]
    fn a_directory_closed_to_the_server_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let nobody = Account { uid: 54321.into(), gid: 54321.into(), name: "n".into(), started_by: Some("m".into()) };
        assert!(!may_enter(dir.path(), &nobody));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(may_enter(dir.path(), &nobody));
    }
}
