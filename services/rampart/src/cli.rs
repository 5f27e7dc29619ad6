use clap::{CommandFactory, Parser, Subcommand};

use rampart_checker::{CheckArgs, VerifyArgs};

use crate::{admin, check, collect, migrate, serve};

/// Rampart: container security across clouds and clusters.
#[derive(Debug, Parser)]
#[command(name = "rampart", version, max_term_width = 110, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands of the binary.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the API and the workers
    Serve(Box<serve::ServeArgs>),
    /// Read one cluster from beside it, and push what was read or write it to a file
    Collect(Box<collect::CollectArgs>),
    /// Judge manifests as a cluster's objects are judged, without a server; for build pipelines
    Check(Box<CheckArgs>),
    /// Policies that are code: their tests
    Policy(check::PolicyArgs),
    /// Reach the verdict of a finding once more, from its signed bundle alone
    VerifyFinding(VerifyArgs),
    /// Bring the database schema up to date, then exit
    Migrate(migrate::MigrateArgs),
    /// Print the OpenAPI document of the REST API; needs no database and no configuration
    Openapi,
    /// The process that the assessor judges by customers' policies in; it reads what to judge from standard input
    #[command(hide = true)]
    JudgePolicies,
    /// Tenants, first tokens and keys: what has to exist before the API can be called
    Admin(admin::AdminArgs),
}

/// The command line as clap sees it. Help names environment variables but never shows their values: some are secret.
pub(crate) fn command() -> clap::Command {
    hide_values(Cli::command())
}

fn hide_values(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide_values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(path: &[&str]) -> String {
        let mut command = command().term_width(110);
        command.build();
        let found = path.iter().fold(&mut command, |command, name| command.find_subcommand_mut(name).unwrap());
        found.render_long_help().to_string()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn help_is_the_documentation() {
        let commands: [&[&str]; 12] = [
            &[],
            &["serve"],
            &["collect"],
            &["check"],
            &["policy", "test"],
            &["verify-finding"],
            &["migrate"],
            &["admin", "create-tenant"],
            &["admin", "create-token"],
            &["admin", "rotate-key"],
            &["admin", "rotate-issuer-key"],
            &["admin", "rotate-bundle-key"],
        ];
        let text: Vec<_> =
            commands.iter().map(|path| format!("$ rampart {} --help\n{}", path.join(" "), help(path))).collect();
        insta::assert_snapshot!("help", text.join("\n"));
    }
}
