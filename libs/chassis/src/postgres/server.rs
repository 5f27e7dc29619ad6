use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::Instant;

use super::account::Account;
use super::{Binaries, Place, PostgresError};

/// Replaying the log after a crash takes its time; an ordinary start takes a tenth of a second.
const START_TIMEOUT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(10);
/// How long an orphan gets to end its connections and write its checkpoint.
const ORPHAN_TIMEOUT: Duration = Duration::from_mins(1);
const LARGEST_LOG: u64 = 10 * 1024 * 1024;

/// The server process, its lock held for as long as it runs.
#[derive(Debug)]
pub(super) struct Server {
    /// Taken when the server has ended, so that the drop does not signal a process id that is someone else's by then.
    child: Option<Child>,
    pid: i32,
    _lock: File,
}

impl Server {
    pub(super) async fn start(
        place: &Place,
        account: &Account,
        binaries: &Binaries,
        lock: File,
    ) -> Result<Self, PostgresError> {
        let log = open_log(place)?;
        let errors = log.try_clone().map_err(PostgresError::io("open", &place.log()))?;
        let program = binaries.dir.join("postgres");
        let mut config = std::ffi::OsString::from("config_file=");
        config.push(place.root.join("postgresql.conf"));
        let mut command = account.command(&program);
        command.arg("-D").arg(place.data()).arg("-c").arg(config);
        // A process group of its own: Ctrl-C in the terminal must reach us first, so that running work can finish.
        command.process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(PostgresError::io("start", &program))?;
        let pid = child.id().map_or(0, |id| id as i32);
        let mut server = Self { child: Some(child), pid, _lock: lock };
        server.wait_ready(place).await?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) async fn ended(&mut self, place: &Place) -> PostgresError {
        let status = match self.child.as_mut() {
            Some(child) => child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string()),
            None => "it had ended before".to_owned(),
        };
        self.child = None;
        PostgresError::Program { program: "postgres", status, output: place.tail_of_log() }
    }

    pub(super) async fn stop(mut self, place: &Place, timeout: Duration) -> Result<(), PostgresError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        signal(self.pid, Signal::SIGINT);
        if tokio::time::timeout(timeout, child.wait()).await.is_ok() {
            return Ok(());
        }
        // Immediate stop: nothing committed is lost, the next start replays the log.
        signal(self.pid, Signal::SIGQUIT);
        let _ = tokio::time::timeout(Duration::from_secs(5), child.wait()).await;
        Err(PostgresError::Timeout { state: "stopped", waited: timeout, log: place.tail_of_log() })
    }

    async fn wait_ready(&mut self, place: &Place) -> Result<(), PostgresError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while !is_ready(place) || recorded_pid(place) != Some(self.pid) {
            let exited = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if exited {
                return Err(self.ended(place).await);
            }
            if Instant::now() > deadline {
                return Err(PostgresError::Timeout { state: "ready", waited: START_TIMEOUT, log: place.tail_of_log() });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Lets go of a running server without stopping it, as a killed owner does.
    #[cfg(test)]
    pub(super) fn abandon(mut self) {
        drop(self.child.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            signal(self.pid, Signal::SIGINT);
        }
    }
}

/// Whether the server at this place says that it takes connections.
pub(super) fn is_ready(place: &Place) -> bool {
    // The eighth line of the pid file is the server's own word on its state.
    pid_file(place).lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

/// Stops a server that still runs although no process holds the lock: its owner was killed.
pub(super) async fn stop_orphan(place: &Place) -> Result<(), PostgresError> {
    let socket = place.socket_dir.join(".s.PGSQL.5432");
    let listening = std::os::unix::net::UnixStream::connect(socket).is_ok();
    let Some(pid) = recorded_pid(place).filter(|_| listening) else { return Ok(()) };
    tracing::warn!(postgres.pid = pid, "stopping a private Postgres whose owner was killed");
    signal(pid, Signal::SIGINT);
    let deadline = Instant::now() + ORPHAN_TIMEOUT;
    while recorded_pid(place) == Some(pid) {
        if Instant::now() > deadline {
            return Err(PostgresError::Timeout { state: "stopped", waited: ORPHAN_TIMEOUT, log: place.tail_of_log() });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

pub(super) fn signal(pid: i32, signal: Signal) {
    // It may be gone already, which is what the signal asks for.
    let _ = kill(Pid::from_raw(pid), signal);
}

fn recorded_pid(place: &Place) -> Option<i32> {
    pid_file(place).lines().next()?.trim().parse().ok().filter(|pid| *pid > 1)
}

fn pid_file(place: &Place) -> String {
    fs::read_to_string(place.data().join("postmaster.pid")).unwrap_or_default()
}

fn open_log(place: &Place) -> Result<File, PostgresError> {
    let path = place.log();
    let large = fs::metadata(&path).is_ok_and(|meta| meta.len() > LARGEST_LOG);
    if large {
        let old = path.with_extension("log.old");
        fs::rename(&path, &old).map_err(PostgresError::io("rotate", &path))?;
    }
    File::options().create(true).append(true).open(&path).map_err(PostgresError::io("open", &path))
}
