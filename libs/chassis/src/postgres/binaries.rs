use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, PostgresError};

/// The oldest major version that the schema works on.
pub const OLDEST_MAJOR: u32 = 15;

/// The parents under which packagers put one directory per major version, and what follows it.
const VERSIONED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// A directory with `initdb` and `postgres` of one major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Where they are.
    pub dir: PathBuf,
    /// Their major version.
    pub major: u32,
}

impl Binaries {
    /// The newest installed version, or exactly `major` when a cluster of that version exists already.
    pub fn find(major: Option<u32>) -> Result<Self, PostgresError> {
        let found = candidates().into_iter().filter_map(|dir| probe(&dir)).filter(|found| found.major >= OLDEST_MAJOR);
        let mut found: Vec<_> = found.filter(|found| major.is_none_or(|major| major == found.major)).collect();
        found.sort_by_key(|binaries| binaries.major);
        found.pop().ok_or(PostgresError::NotInstalled)
    }

    /// The version that can run the cluster at `place`, by what wrote it.
    pub(super) fn for_place(place: &Place) -> Result<Self, PostgresError> {
        let Some(needed) = place.existing_major()? else { return Self::find(None) };
        Self::find(Some(needed)).map_err(|_| PostgresError::OtherMajor { path: place.root.clone(), needed })
    }
}

/// What to type on this machine to get the server.
pub(super) fn install_hint() -> String {
    format!(
        "no PostgreSQL server binaries (version {OLDEST_MAJOR} or newer) were found; either set DATABASE_URL, or install them:\n  \
         Debian, Ubuntu:  apt-get install postgresql\n  \
         Fedora, RHEL:    dnf install postgresql-server postgresql-contrib\n  \
         macOS:           brew install postgresql@17"
    )
}

fn candidates() -> Vec<PathBuf> {
    let versioned = VERSIONED.iter().flat_map(|(parent, prefix, bin)| {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.map(move |entry| entry.path().join(bin))
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    versioned.chain(std::env::split_paths(&path)).filter(|dir| holds_server(dir)).collect()
}

fn holds_server(dir: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| dir.join(name).is_file())
}

fn probe(dir: &Path) -> Option<Binaries> {
    let output = Command::new(dir.join("postgres")).arg("--version").output().ok()?;
    let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
    Some(Binaries { dir: dir.to_owned(), major })
}

/// `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`, or `17beta2` before a release.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(version: &str, major: Option<u32>) {
        assert_eq!(parse_major(version), major, "{version}");
    }

    #[test]
    fn majors_are_read_from_what_the_server_says() {
        check("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 18beta2\n", Some(18));
        check("postgres (PostgreSQL) 9.6.24", Some(9));
        check("not a version", None);
    }

    #[test]
    fn the_hint_names_every_packager() {
        for line in ["DATABASE_URL", "apt-get install postgresql", "dnf install", "brew install"] {
            assert!(install_hint().contains(line), "{line}");
        }
    }
}
