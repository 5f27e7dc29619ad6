//! Clients as customers generate them, on the onboarding journey against the simulated clouds.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Served, succeed, tool};

/// A journey's source beside this file.
fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/contracts").join(name)
}

/// A folder with the API document, the journey and the kubeconfig of a cluster.
async fn lay_out(served: &Served, journey: &str) -> PathBuf {
    let dir = served.dir.path().join("client");
    std::fs::create_dir(&dir).expect("a directory");
    let document = served.document().await.to_string();
    std::fs::write(dir.join("v1.json"), document).expect("a file");
    std::fs::copy(source(journey), dir.join(journey)).expect("a file");
    let kubeconfig = served.platform.simulator.kubeconfig("factory-floor").expect("the cluster has a kubeconfig");
    std::fs::write(dir.join("kubeconfig"), kubeconfig).expect("a file");
    dir
}

/// A command in the folder that knows the platform.
fn command(served: &Served, program: &Path, dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(dir).args(args).env("NO_PROXY", "*");
    command.env("RAMPART_URL", &served.url).env("RAMPART_TOKEN", &served.token).env("KUBECONFIG", "kubeconfig");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_client_goes_the_journey() {
    let Some(bin) = tool("RAMPART_TEST_PYTHON_CLIENT", "openapi-python-client") else { return };
    let mut served = Served::start().await;
    let dir = lay_out(&served, "journey.py").await;
    let generate = ["generate", "--path", "v1.json", "--meta", "none", "--output-path", "rampart_client"];
    succeed(&mut command(&served, &bin.join("openapi-python-client"), &dir, &generate)).await;
    let check = ["--strict", "--follow-imports", "silent", "journey.py"];
    succeed(&mut command(&served, &bin.join("mypy"), &dir, &check)).await;
    succeed(&mut command(&served, &bin.join("python"), &dir, &["journey.py"])).await;
    served.is_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typescript_client_goes_the_journey() {
    let Some(tools) = tool("RAMPART_TEST_TYPESCRIPT_CLIENT", "openapi-typescript") else { return };
    let mut served = Served::start().await;
    let dir = lay_out(&served, "journey.ts").await;
    let modules = tools.join("node_modules");
    std::os::unix::fs::symlink(&modules, dir.join("node_modules")).expect("a link");
    std::fs::write(dir.join("package.json"), r#"{"type": "module"}"#).expect("a file");
    let bin = modules.join(".bin");
    // What has a default may be left out.
    let generate = ["v1.json", "--default-non-nullable=false", "--output", "api.d.ts"];
    succeed(&mut command(&served, &bin.join("openapi-typescript"), &dir, &generate)).await;
    let strict = ["--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "journey.ts"];
    succeed(&mut command(&served, &bin.join("tsc"), &dir, &[&strict[..], &["--noEmit"]].concat())).await;
    succeed(&mut command(&served, &bin.join("tsc"), &dir, &strict)).await;
    succeed(&mut command(&served, Path::new("node"), &dir, &["journey.js"])).await;
    served.is_sound().await;
}
