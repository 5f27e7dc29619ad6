use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Subcommand;
use rampart_checker::{Exit, PolicyTestArgs, Terminal};

/// Options of `rampart policy`.
#[derive(Debug, clap::Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

/// What can be done with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Run suites of policies and the examples of controls, a line per case
    Test(PolicyTestArgs),
}

/// Runs a command of the checker on the process's own input and output.
pub(crate) fn run(command: impl FnOnce(&mut Terminal<'_>) -> Exit) -> ExitCode {
    let stdout = std::io::stdout();
    let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut terminal = Terminal {
        stdin: &mut std::io::stdin().lock(),
        stdout: &mut stdout.lock(),
        stderr: &mut std::io::stderr(),
        colours,
    };
    ExitCode::from(command(&mut terminal).code())
}
