use std::path::PathBuf;

use clap::ValueEnum;
use rampart_domain::Severity;

/// Options of `rampart check`.
///
/// Exits with 0 when nothing failed, 1 when something at or above `--fail-on` did, and 2 when the command line, a file or
/// a policy could not be used; everything else is judged all the same.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// Files, directories with .yaml, .yml and .json files, or `-` for standard input
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Initiative whose controls are judged; may be given more than once. `rampart-default` when no initiative, control
    /// or policy is named
    #[arg(long = "initiative", value_name = "ID")]
    pub initiatives: Vec<String>,
    /// Control that is judged, or `prefix.*` for all below a prefix; may be given more than once
    #[arg(long = "control", value_name = "ID")]
    pub controls: Vec<String>,
    /// Parameter of a control or an initiative, such as `k8s.pod.host_port.allowed=[80,443]`; the value is YAML
    #[arg(long = "param", value_name = "ID.PARAMETER=VALUE")]
    pub params: Vec<String>,
    /// Directory or file with Gatekeeper constraint templates and constraints, or validating admission policies and their
    /// bindings; may be given more than once
    #[arg(long = "policy", value_name = "DIR")]
    pub policies: Vec<PathBuf>,
    /// Folder with controls and initiatives that override or add to the built-in ones
    #[arg(long = "content", value_name = "DIR")]
    pub content: Option<PathBuf>,
    /// Kubeconfig of the cluster that the manifests are for: what verdicts need to know of it is read, nothing is written
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one
    #[arg(long, requires = "kubeconfig")]
    pub context: Option<String>,
    /// Shape of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Least severity at which an unhealthy verdict fails the run
    #[arg(long, value_name = "SEVERITY", default_value = "low", value_parser = severity)]
    pub fail_on: Severity,
    /// Give every verdict, not only the unhealthy ones; each file then appears at least once
    #[arg(long)]
    pub all: bool,
    /// Say with every finding why it matters, what to do, and which catalogues know it
    #[arg(long)]
    pub explain: bool,
}

/// Shapes of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// `JUnit` XML, for test reports
    #[value(help = "JUnit XML, for test reports")]
    Junit,
}

/// Options of `rampart policy test`.
///
/// Exits with 0 when every case passed, 1 when one failed, and 2 when a path could not be used.
#[derive(Debug, Clone, clap::Args)]
pub struct PolicyTestArgs {
    /// Directories or files with suites in Gatekeeper's format, or with controls, whose examples are run
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// Engine that runs constraint templates
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
}

/// Engines for constraint templates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// Rego where a template has it
    Rego,
    /// CEL where a template has it
    Cel,
    /// Every engine that a template has; they must agree with the case
    #[default]
    Both,
}

fn severity(word: &str) -> Result<Severity, String> {
    word.parse().map_err(|_| {
        let known: Vec<_> = Severity::ALL.iter().map(|severity| severity.as_str()).collect();
        format!("one of {}", known.join(", "))
    })
}
