use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::{Served, succeed, tool};

/// What is the same in every run. Bodies that fit the document may still say what makes no sense, and are then refused:
/// that valid data is accepted is not asked.
const SETTINGS: &str = r#"
continue-on-failure = true
seed = 1
warnings = false
workers = 1
request-timeout = 45

[generation]
deterministic = true
database = "none"

[checks.positive_data_acceptance]
enabled = false

[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 406, 415, 422, 428]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429]
"#;

/// The run would take its own token away.
const KEEP_TOKEN: &str = "
[[operations]]
include-operation-id = \"revoke_token\"
enabled = false
";

/// Things that are there, for operations on one thing.
async fn known(served: &Served) -> String {
    let client = &served.client;
    let mut lines = String::from("\n[parameters]\n\"header.Prefer\" = \"wait=1\"\n");
    let listed = [
        ("assignment_id", "assignments", "id"),
        ("cluster_id", "clusters", "id"),
        ("digest", "images", "digest"),
        ("finding_id", "findings", "id"),
        ("fix_unit_id", "fix-units", "id"),
        ("resource_id", "resources", "id"),
        ("scan_id", "scans", "id"),
    ];
    for (parameter, list, field) in listed {
        let page: Value = client.get(&format!("/v1/{list}?limit=1")).await;
        let value = page["items"][0][field].as_str().unwrap_or_else(|| panic!("there is one of {list}: {page}"));
        let _ = writeln!(lines, "\"path.{parameter}\" = \"{value}\"");
    }
    for (parameter, value) in [
        ("cloud", "aws"),
        ("connector", "production"),
        ("control_id", "k8s.pod.privileged"),
        ("framework", "cis-eks-1.8.0"),
        ("plan", "posture"),
    ] {
        let _ = writeln!(lines, "\"path.{parameter}\" = \"{value}\"");
    }
    lines
}

/// One run over the operations; it ends well when nothing breaks what the document says.
async fn run(served: &Served, program: &Path, name: &str, settings: &str, token: Option<&str>, args: &[&str]) {
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/contracts/schemathesis_hooks.py");
    let file = served.dir.path().join(format!("{name}.toml"));
    std::fs::write(&file, format!("hooks = \"{}\"{SETTINGS}{settings}", hooks.display())).expect("a file");
    let mut command = Command::new(program);
    command.arg("--config-file").arg(&file).args(["--no-color", "run", &format!("{}/openapi.json", served.url)]);
    if let Some(token) = token {
        command.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    command.args(args).current_dir(served.dir.path()).env("NO_PROXY", "*");
    succeed(&mut command).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_sent_breaks_what_the_document_says() {
    let Some(program) = tool("RAMPART_TEST_SCHEMATHESIS", "schemathesis") else { return };
    let mut served = Served::start().await;
    let token = served.token.clone();
    // Nobody gets anywhere without a token; the two documents of the issuer are for everybody.
    let brief = ["--phases", "examples,coverage", "--mode", "positive", "--max-examples", "2", "--max-time", "20"];
    run(&served, &program, "stranger", "", None, &brief).await;
    // On what is there. What is deleted is deleted in the next run, where it does not take the ground away.
    let settings = known(&served).await;
    let there = ["--phases", "coverage,fuzzing", "--exclude-method", "DELETE", "--max-time", "60"];
    run(&served, &program, "there", &settings, Some(&token), &[&there[..], &["--max-examples", "10"]].concat()).await;
    // On anything, and one operation after the other.
    let settings = format!("\n[parameters]\n\"header.Prefer\" = \"wait=1\"\n{KEEP_TOKEN}");
    let anywhere = ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "5", "--max-time", "50"];
    run(&served, &program, "anywhere", &settings, Some(&token), &anywhere).await;
    served.is_sound().await;
    served.platform.settle().await;
}
