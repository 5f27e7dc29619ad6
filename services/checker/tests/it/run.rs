//! Runs the commands as the command line does, over files of a temporary directory.

use std::fs;
use std::path::Path;

use clap::{Args as _, FromArgMatches as _};
use rampart_checker::{CheckArgs, Exit, PolicyTestArgs, Terminal};
use serde_json::Value;

/// What a run wrote, and how it ended.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Files of a temporary directory.
pub(crate) struct Files {
    root: tempfile::TempDir,
}

impl Files {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { root }
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.root.path().join(file).display().to_string()
    }

    /// Arguments, of which those that name something in the directory lead there.
    fn args(&self, args: &[&str]) -> Vec<String> {
        let place = |arg: &&str| {
            let named =
                *arg != "-" && !arg.starts_with("--") && (arg.contains(".yaml") || self.root.path().join(arg).exists());
            if named && !Path::new(arg).is_absolute() { self.path(arg) } else { (*arg).to_owned() }
        };
        ["rampart"].into_iter().map(str::to_owned).chain(args.iter().map(place)).collect()
    }

    pub(crate) fn check_stdin(&self, args: &[&str], stdin: &str) -> Ran {
        let matches = CheckArgs::augment_args(clap::Command::new("check")).get_matches_from(self.args(args));
        let args = CheckArgs::from_arg_matches(&matches).unwrap();
        run(stdin, |terminal| rampart_checker::check(&args, terminal))
    }

    pub(crate) fn policy_test(&self, args: &[&str]) -> Ran {
        let matches = PolicyTestArgs::augment_args(clap::Command::new("test")).get_matches_from(self.args(args));
        let args = PolicyTestArgs::from_arg_matches(&matches).unwrap();
        run("", |terminal| rampart_checker::policy_test(&args, terminal))
    }
}

/// `rampart check` with these arguments.
pub(crate) fn check(files: &Files, args: &[&str]) -> Ran {
    files.check_stdin(args, "")
}

fn run(stdin: &str, command: impl FnOnce(&mut Terminal<'_>) -> Exit) -> Ran {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut terminal =
        Terminal { stdin: &mut stdin.as_bytes(), stdout: &mut stdout, stderr: &mut stderr, colours: false };
    let code = command(&mut terminal).code();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code, stdout: text(stdout), stderr: text(stderr) }
}
