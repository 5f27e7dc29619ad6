use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How the process ends.
#[derive(Debug, Clone, clap::Args)]
pub struct ShutdownArgs {
    /// Seconds that running requests and jobs get to finish after SIGTERM or Ctrl-C; a second signal ends at once.
    #[arg(long, env = "RAMPART_SHUTDOWN_TIMEOUT", default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    pub shutdown_timeout: Duration,
}

/// The signals that ask a process to stop.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts listening: from now on SIGTERM and SIGINT no longer kill the process by themselves.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and says which it was.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}
