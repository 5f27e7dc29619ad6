//! The rules that keep the workspace's shape: who may depend on whom, what the pure crates may not know, how large a
//! file may grow, what lies at the top.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Outside crates that only some of ours may name; a trailing `*` stands for any ending.
const RESERVED: &[(&str, &[&str])] = &[
    // The task runner applies migrations for the query cache and cannot depend on the store, whose macros need it.
    ("sqlx", &["rampart-store", "xtask"]),
    ("aws-config", &["rampart-connector-aws"]),
    ("aws-credential-types", &["rampart-connector-aws"]),
    ("aws-sdk-*", &["rampart-connector-aws"]),
    ("aws-sigv4", &["rampart-connector-aws"]),
    ("aws-smithy-*", &["rampart-connector-aws"]),
    ("azure_*", &["rampart-connector-azure"]),
    // The connector says why it speaks to Google without them.
    ("google-cloud-*", &[]),
    ("kube", &["rampart-connector-kube"]),
    // The simulator is held to the providers' own models, and its tests speak to it over HTTP.
    ("k8s-openapi", &["rampart-connector-kube", "cloudsim"]),
    ("axum", &["rampart-api", "rampart-chassis", "cloudsim"]),
    ("axum-server", &["cloudsim", "rampart-api"]),
    ("utoipa*", &["rampart-api"]),
    ("cel", &["rampart-posture"]),
    ("rcgen", &["cloudsim", "rampart-api", "rampart-connector", "rampart-connector-azure", "rampart-connector-kube"]),
    ("metrics-exporter-prometheus", &["rampart-chassis"]),
    ("opentelemetry*", &["rampart-chassis"]),
    ("tracing-opentelemetry", &["rampart-chassis"]),
    // Production code reaches the outside through its connectors' own guarded clients; the API reads the keys of identity
    // providers and the notifier tells webhooks behind the same guard, the chassis exports traces, the collector hands
    // over what it read.
    (
        "reqwest",
        &[
            "rampart-api",
            "rampart-chassis",
            "rampart-collector",
            "rampart-connector-azure",
            "rampart-connector-gcp",
            "rampart-notifier",
            "cloudsim",
            "platform-tests",
            "xtask",
        ],
    ),
    ("insta", &["*"]),
];

/// Crates that do no IO and read no clock, and what they therefore may not name.
const PURE: &[&str] = &[
    "rampart-domain",
    "rampart-content",
    "rampart-graph",
    "rampart-onboarding",
    "rampart-posture",
    "rampart-threat",
    "rampart-vuln",
];
const IMPURE: &[&str] = &[
    "async-trait",
    "axum",
    "futures",
    "hyper",
    "hyper-util",
    "kube",
    "metrics",
    "reqwest",
    "rustls",
    "sqlx",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tower",
    "tower-http",
    "tracing",
];

/// Where a pure crate may do what it otherwise may not: content overrides are a folder of files.
const DOORS: &[(&str, &str)] = &[("libs/content/src/source.rs", "std::fs")];

const LONGEST_FILE: usize = 500;

/// What may lie at the top of the checkout; anything else has a better place.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".dockerignore",
    ".editorconfig",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".sqlx",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docker-compose.yml",
    "docs",
    "infra",
    "libs",
    "migrations",
    "openapi",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "tests",
];

struct Package {
    name: String,
    manifest: PathBuf,
    level: Option<u64>,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// `normal`, `build` or `dev`.
    kind: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn packages() -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).current_dir(root());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: Vec<_> = metadata["packages"].as_array().unwrap().iter().map(package).collect();
    assert!(packages.len() >= 10, "cargo metadata lists the workspace");
    packages
}

fn package(json: &Value) -> Package {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dependencies = json["dependencies"].as_array().unwrap();
    Package {
        name: text(&json["name"]),
        manifest: PathBuf::from(text(&json["manifest_path"])),
        level: json["metadata"]["layer"]["level"].as_u64(),
        dependencies: dependencies
            .iter()
            .map(|dependency| Dependency {
                name: text(&dependency["name"]),
                kind: dependency["kind"].as_str().unwrap_or("normal").to_owned(),
            })
            .collect(),
    }
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

/// Edges that do not go to a strictly lower level.
fn level_problems(packages: &[Package]) -> Vec<String> {
    let levels: BTreeMap<_, _> = packages.iter().map(|p| (p.name.as_str(), p.level)).collect();
    let mut problems = Vec::new();
    for package in packages {
        let Some(own) = package.level else {
            problems.push(format!("{} states no [package.metadata.layer] level", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind != "dev") {
            if let Some(Some(below)) = levels.get(dependency.name.as_str())
                && *below >= own
            {
                problems.push(format!("{} (level {own}) depends on {} (level {below})", package.name, dependency.name));
            }
        }
    }
    problems
}

/// Outside crates named where they are not allowed; test code counts too.
fn reserved_problems(packages: &[Package]) -> Vec<String> {
    let named = packages.iter().flat_map(|p| p.dependencies.iter().map(|d| (p.name.as_str(), d.name.as_str())));
    let refused = named.filter(|(package, dependency)| {
        let rule = RESERVED.iter().find(|(pattern, _)| matches(pattern, dependency));
        rule.is_some_and(|(_, allowed)| !allowed.iter().any(|pattern| matches(pattern, package)))
    });
    refused.map(|(package, dependency)| format!("{package} may not name {dependency}")).collect()
}

fn pure_problems(packages: &[Package]) -> Vec<String> {
    let pure = packages.iter().filter(|package| PURE.contains(&package.name.as_str()));
    let named = pure.flat_map(|p| p.dependencies.iter().filter(|d| d.kind != "dev").map(move |d| (p, d)));
    let refused = named.filter(|(_, dependency)| IMPURE.contains(&dependency.name.as_str()));
    refused
        .map(|(package, dependency)| format!("{} is pure and may not name {}", package.name, dependency.name))
        .collect()
}

fn is_service(package: &Package) -> bool {
    package.manifest.starts_with(root().join("services"))
}

fn service_problems(packages: &[Package]) -> Vec<String> {
    let services: BTreeSet<_> = packages.iter().filter(|p| is_service(p)).map(|p| p.name.as_str()).collect();
    let others = packages.iter().filter(|package| is_service(package) && package.name != "rampart");
    let edges = others.flat_map(|p| p.dependencies.iter().map(|d| (p.name.as_str(), d.name.as_str())));
    let refused = edges.filter(|(_, dependency)| services.contains(dependency));
    refused.map(|(package, dependency)| format!("service {package} names service {dependency}")).collect()
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for dir in ["libs", "services", "tests"] {
        rust_files(&root().join(dir), &mut files);
    }
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn an_edge_goes_only_to_a_lower_level() {
    report(&level_problems(&packages()));
}

#[test]
fn reserved_crates_stay_in_their_place() {
    report(&reserved_problems(&packages()));
}

#[test]
fn pure_crates_name_nothing_impure() {
    report(&pure_problems(&packages()));
}

#[test]
fn services_never_depend_on_services() {
    report(&service_problems(&packages()));
}

#[test]
fn pure_crates_read_no_clock_and_no_files() {
    let forbidden = [
        "SystemTime::now",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "TcpStream",
        "UdpSocket",
        "std::env::var",
    ];
    let pure = ["libs/domain/src", "libs/content/src", "libs/graph/src", "libs/onboarding/src", "libs/posture/src"];
    let mut problems = Vec::new();
    for (name, text) in sources() {
        let production = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = production.lines().filter(|line| !line.trim_start().starts_with("//"));
        if pure.iter().any(|dir| name.starts_with(dir)) && !name.contains("/tests") {
            let code: Vec<_> = code.collect();
            let used = forbidden.iter().filter(|word| code.iter().any(|line| line.contains(**word)));
            let used = used.filter(|word| !DOORS.contains(&(name.as_str(), **word)));
            problems.extend(used.map(|word| format!("{name} uses {word}")));
        }
    }
    report(&problems);
}

#[test]
fn only_the_production_binary_is_production() {
    let simulated = packages();
    let binary = simulated.iter().find(|package| package.name == "rampart").unwrap();
    let mut reached = BTreeSet::from([binary.name.clone()]);
    let mut left = vec![binary];
    while let Some(package) = left.pop() {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind != "dev") {
            let ours = simulated.iter().find(|package| package.name == dependency.name);
            if let Some(ours) = ours.filter(|ours| reached.insert(ours.name.clone())) {
                left.push(ours);
            }
        }
    }
    assert!(!reached.contains("cloudsim"), "no simulator code in the production binary");
}

#[test]
fn files_stay_readable() {
    let long = sources().into_iter().map(|(name, text)| (name, text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > LONGEST_FILE);
    report(
        &long.map(|(name, lines)| format!("{name} has {lines} lines, more than {LONGEST_FILE}")).collect::<Vec<_>>(),
    );
}

#[test]
fn names_say_what_a_file_is_about() {
    let vague = ["utils", "util", "common", "helpers", "helper", "manager", "misc"];
    let stem = |name: &str| Path::new(name).file_stem().unwrap().to_string_lossy().into_owned();
    let found = sources().into_iter().filter(|(name, _)| vague.contains(&stem(name).as_str()));
    report(&found.map(|(name, _)| format!("{name} says nothing about its content")).collect::<Vec<_>>());
}

#[test]
fn nothing_new_at_the_top() {
    let output = Command::new("git").args(["ls-files", "--cached"]).current_dir(root()).output();
    let Ok(output) = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()) else { return };
    let tops: BTreeSet<_> = output.lines().filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
    let strange = tops.iter().filter(|name| !TOP_LEVEL.contains(&name.as_str()));
    report(&strange.map(|name| format!("{name} is not part of the layout")).collect::<Vec<_>>());
}

mod rules {
    //! The rules themselves, tried on a workspace that breaks them.

    use super::{Dependency, Package, level_problems, pure_problems, reserved_problems};

    fn check(rule: fn(&[Package]) -> Vec<String>, from: (&str, u64), kind: &str, to: (&str, u64), refused: bool) {
        let package = |(name, level): (&str, u64), dependencies| Package {
            name: name.to_owned(),
            manifest: "/x/Cargo.toml".into(),
            level: Some(level),
            dependencies,
        };
        let edge = Dependency { name: to.0.to_owned(), kind: kind.to_owned() };
        let problems = rule(&[package(from, vec![edge]), package(to, Vec::new())]);
        assert_eq!(!problems.is_empty(), refused, "{} -> {}: {problems:?}", from.0, to.0);
    }

    #[test]
    fn sideways_and_upward_edges_are_refused() {
        check(level_problems, ("a", 2), "normal", ("b", 1), false);
        check(level_problems, ("a", 2), "normal", ("b", 2), true);
        check(level_problems, ("a", 2), "build", ("b", 3), true);
        check(level_problems, ("a", 2), "dev", ("b", 3), false);
    }

    #[test]
    fn reserved_crates_are_refused_elsewhere() {
        check(reserved_problems, ("rampart-store", 3), "normal", ("sqlx", 0), false);
        check(reserved_problems, ("rampart-api", 4), "normal", ("sqlx", 0), true);
        check(reserved_problems, ("rampart-discovery", 4), "dev", ("aws-sdk-eks", 0), true);
        check(reserved_problems, ("rampart-posture", 2), "normal", ("cel", 0), false);
    }

    #[test]
    fn the_pure_crates_stay_pure() {
        check(pure_problems, ("rampart-domain", 0), "normal", ("tokio", 0), true);
        check(pure_problems, ("rampart-store", 3), "normal", ("tokio", 0), false);
    }
}

#[test]
fn what_is_read_under_a_lease_is_dated_by_the_clock_of_the_database() {
    let sources = root().join("services/discovery/src");
    for file in
        ["pipeline.rs", "organization.rs", "scan/mod.rs", "scan/reading.rs", "watch/session.rs", "watch/write.rs"]
    {
        let text = fs::read_to_string(sources.join(file)).unwrap();
        assert!(!text.contains("Utc::now"), "{file} asks the machine's clock: replicas differ in that; ask the lease");
    }
}
