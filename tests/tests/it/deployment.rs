//! What is shipped beside the binary, read as files: there may be no Docker engine where the tests run.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn compose() -> Value {
    serde_saphyr::from_str(&read("docker-compose.yml")).unwrap()
}

/// Instructions of the Dockerfile with continued lines joined and comments dropped.
fn dockerfile() -> Vec<(String, String)> {
    let text = read("infra/Dockerfile");
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = code.join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.trim().to_owned()))
        .collect()
}

fn arguments<'a>(instructions: &'a [(String, String)], word: &str) -> Vec<&'a str> {
    instructions.iter().filter(|(found, _)| found == word).map(|(_, rest)| rest.as_str()).collect()
}

/// Whether an image reference names one version.
fn pinned(image: &str) -> bool {
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    tag.is_some_and(|tag| tag != "latest" && tag.starts_with(|first: char| first.is_ascii_digit()))
}

fn variables(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| variables(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| variables(item, found)),
        _ => {}
    }
}

#[test]
fn the_image_is_built_in_stages_and_runs_without_root() {
    let instructions = dockerfile();
    let stages = arguments(&instructions, "FROM");
    assert_eq!(stages.len(), 2, "{stages:?}");
    for stage in &stages {
        let image = stage.split_whitespace().next().unwrap();
        assert!(pinned(image), "{image} names no version");
        assert!(stage.contains(" AS "), "{stage} has no name");
    }
    let last = instructions.iter().rposition(|(word, _)| word == "FROM").unwrap();
    let users = arguments(&instructions[last..], "USER");
    let user = users.last().expect("the last stage sets a user");
    let uid: u32 = user.split(':').next().unwrap().parse().expect("by number, so that an orchestrator can check it");
    assert!(uid >= 1000, "{user}");
    let copies = arguments(&instructions[last..], "COPY");
    assert!(copies.iter().any(|copy| copy.starts_with("--from=build ")), "{copies:?}");
    assert!(!copies.contains(&". ."), "the sources stay in the first stage");
}

#[test]
fn the_image_is_built_from_the_lock_file_as_one_workspace() {
    let instructions = dockerfile();
    let builds: Vec<_> =
        arguments(&instructions, "RUN").into_iter().filter(|run| run.contains("cargo build")).collect();
    assert_eq!(builds.len(), 1);
    for flag in ["--release", "--locked", "--workspace"] {
        assert!(builds[0].contains(flag), "{flag} is missing: {}", builds[0]);
    }
    let toolchain = arguments(&instructions, "FROM")[0].to_owned();
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(toolchain.starts_with(&format!("rust:{version}-")), "{toolchain} is not Rust {version}");
}

#[test]
fn what_the_build_reads_is_sent_to_it() {
    let ignore = read(".dockerignore");
    assert!(ignore.lines().any(|line| line == "*"), "nothing is sent unless it is named");
    for path in [".cargo", ".sqlx", "Cargo.lock", "Cargo.toml", "LICENSE", "libs", "migrations", "services", "tests"] {
        assert!(ignore.lines().any(|line| line == format!("!{path}")), "{path} is not sent to the build");
    }
}

#[test]
fn compose_starts_in_order_and_says_when_it_is_ready() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for name in ["postgres", "rampart"] {
        assert!(services[name]["healthcheck"]["test"].is_array(), "{name} has no health check");
    }
    assert_eq!(services["migrate"]["depends_on"]["postgres"]["condition"], "service_healthy");
    assert_eq!(services["rampart"]["depends_on"]["migrate"]["condition"], "service_completed_successfully");
    assert_eq!(services["migrate"]["command"], serde_json::json!(["migrate"]));
    assert_eq!(compose["networks"]["data"]["internal"], true, "Postgres is not reachable from outside");
    assert!(services["postgres"]["ports"].is_null());
}

#[test]
fn compose_pins_images_and_runs_a_supported_postgres() {
    let compose = compose();
    let postgres = compose["services"]["postgres"]["image"].as_str().unwrap();
    assert!(pinned(postgres), "{postgres}");
    let tag = postgres.split_once(':').unwrap().1;
    let major: u32 = tag.split(['.', '-']).next().unwrap().parse().unwrap();
    assert!(major >= rampart_chassis::postgres::OLDEST_MAJOR, "{postgres}");
    assert!(!read("docker-compose.yml").contains(":latest"));
}

#[test]
fn the_service_gets_no_more_rights_than_it_needs() {
    let compose = compose();
    let rampart = &compose["services"]["rampart"];
    assert!(rampart["environment"]["RAMPART_OWNER_DATABASE_URL"].is_null(), "only migrate speaks as the owner");
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(service["privileged"].is_null(), "{name}");
        let ports = service["ports"].as_array().cloned().unwrap_or_default();
        assert!(ports.iter().all(|port| port.as_str().unwrap().starts_with("127.0.0.1:")), "{name}: {ports:?}");
    }
    assert!(read("docker-compose.yml").contains("cap_drop: [ALL]"));
}

#[test]
fn every_secret_comes_from_outside_and_must_be_set() {
    let compose = compose();
    let mut texts = Vec::new();
    variables(&compose["services"], &mut texts);
    let secrets: Vec<_> = texts.iter().filter(|text| text.contains("${")).collect();
    assert!(secrets.len() >= 6, "{secrets:?}");
    for text in secrets {
        assert!(text.contains(":?set "), "{text} starts without its value");
    }
    for (name, service) in compose["services"].as_object().unwrap() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let secret = ["PASSWORD", "KEY", "DATABASE_URL"].iter().any(|word| variable.contains(word));
            let value = value.as_str().unwrap_or_default();
            assert!(!secret || value.contains("${"), "{name}: {variable} is written down");
        }
    }
}

#[test]
fn the_first_start_makes_the_two_roles_that_the_urls_name() {
    let script = read("infra/postgres/10-roles.sh");
    for role in [rampart_chassis::postgres::OWNER_LOGIN, rampart_chassis::postgres::APP_LOGIN] {
        assert!(script.contains(&format!("create role {role} login nosuperuser nobypassrls")), "{role}");
        assert!(read("docker-compose.yml").contains(&format!("postgres://{role}:")), "{role}");
    }
    let mode = fs::metadata(root().join("infra/postgres/10-roles.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "the entry point runs only executable scripts");
}

#[test]
fn the_build_server_runs_every_check() {
    let script = read(".ci/run");
    assert!(script.contains("set -euo pipefail"));
    let steps = [
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets --locked -- -D warnings",
        "cargo xtask sqlx --check",
        "cargo xtask openapi --check",
        "cargo xtask templates --check",
        "cargo xtask test --require-contract",
    ];
    let places: Vec<_> =
        steps.iter().map(|step| script.find(step).unwrap_or_else(|| panic!("{step} is missing"))).collect();
    assert!(places.is_sorted(), "the tests come last, so that their summary is the last thing printed");
}
