use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid};
use tokio::process::Command;

use super::PostgresError;

/// Who the server runs as. PostgreSQL refuses root, so root hands it to the `postgres` user.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) name: String,
    /// The account of this process, when it is another one.
    pub(super) started_by: Option<String>,
}

impl Account {
    pub(super) fn for_server() -> Result<Self, PostgresError> {
        let own = User::from_uid(geteuid()).ok().flatten().ok_or(PostgresError::NoAccount)?;
        if !geteuid().is_root() {
            return Ok(Self { uid: own.uid, gid: own.gid, name: own.name, started_by: None });
        }
        let user = User::from_name("postgres").ok().flatten().ok_or(PostgresError::NoAccount)?;
        Ok(Self { uid: user.uid, gid: user.gid, name: user.name, started_by: Some(own.name) })
    }

    /// Whether the server has to drop the rights of this process.
    pub(super) fn is_other(&self) -> bool {
        self.started_by.is_some()
    }

    /// A command that runs as this account, away from any directory it may not enter.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").env_remove("PGDATA").env_remove("PGPORT").env("LC_MESSAGES", "C");
        if self.is_other() {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }
}
