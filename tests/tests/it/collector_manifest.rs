//! The manifest of the collector gives it what its calls need and nothing else.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rampart_connector::{Caller, Connector as _, Egress, Limits};
use rampart_connector_kube::{KubeConnector, KubeIdentity, Options, StaticAccess};
use rampart_domain::Cloud;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const BEGIN: &str = "# rules: generated";
const END: &str = "# rules: end";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("infra/onboarding/kubernetes/collector.yaml")
}

/// Names of everything that a collector calls, on whatever cloud.
fn permissions() -> Vec<String> {
    let access = StaticAccess::from_token("https://192.0.2.1", SecretString::from("t"), None).unwrap();
    let identity = KubeIdentity { native_id: None, name: "c".into(), cloud: Cloud::Aws, account: None, region: None };
    let caller = Caller::new(Limits::default(), CancellationToken::new());
    let connector = KubeConnector::new(identity, Arc::new(access), Egress::default(), Options::new([0; 32]), caller);
    connector.permissions().into_iter().map(|permission| permission.name).collect()
}

/// The rules of a `ClusterRole` that allow `permissions`: lists by group, single objects by name, paths.
fn rules(permissions: &[String]) -> String {
    let mut lists: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let (mut objects, mut paths) = (Vec::new(), Vec::new());
    for permission in permissions {
        match permission.split_once(' ').unwrap() {
            ("list", resource) => {
                let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
                lists.entry(group).or_default().insert(plural);
            }
            ("get", path) if path.starts_with('/') => paths.push(path),
            ("get", object) => objects.push(object.split_once('/').unwrap()),
            (verb, _) => panic!("{permission}: nothing is declared for {verb}"),
        }
    }
    let mut text = String::new();
    for (group, resources) in lists {
        writeln!(text, "  - apiGroups: [\"{group}\"]\n    resources:").unwrap();
        for resource in resources {
            let quote = if resource == "*" { "\"" } else { "" };
            writeln!(text, "      - {quote}{resource}{quote}").unwrap();
        }
        writeln!(text, "    verbs: [list]").unwrap();
    }
    for (resource, name) in objects {
        writeln!(text, "  - apiGroups: [\"\"]\n    resources: [{resource}]").unwrap();
        writeln!(text, "    resourceNames: [{name}]\n    verbs: [get]").unwrap();
    }
    writeln!(text, "  - nonResourceURLs: [{}]\n    verbs: [get]", paths.join(", ")).unwrap();
    text
}

fn documents() -> Vec<Value> {
    let text = fs::read_to_string(path()).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn document(kind: &str) -> Value {
    documents().into_iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn the_role_is_what_the_calls_declare() {
    let text = fs::read_to_string(path()).unwrap();
    let (head, rest) = text.split_at(text.find(BEGIN).unwrap());
    let (line, rest) = rest.split_once('\n').unwrap();
    let (written, tail) = rest.split_at(rest.find(END).unwrap());
    let made = rules(&permissions());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path(), format!("{head}{line}\n{made}{tail}")).unwrap();
        return;
    }
    assert!(written == made, "the ClusterRole lags: run this test with UPDATE=1 and commit the file\n{made}");
    for rule in document("ClusterRole")["rules"].as_array().unwrap() {
        let verbs = &rule["verbs"];
        assert!(*verbs == json!(["get"]) || *verbs == json!(["list"]), "{rule}");
        let resources = rule["resources"].as_array().cloned().unwrap_or_default();
        let open = rule["resourceNames"].is_null();
        let grants = |name: &str| open && resources.iter().any(|resource| resource == name);
        // The kinds of constraints are made by templates; nothing else is of their group.
        let everything = grants("*") && rule["apiGroups"] != json!(["constraints.gatekeeper.sh"]);
        assert!(!grants("secrets") && !grants("configmaps") && !everything, "{rule}");
    }
}

#[test]
fn the_pod_is_restricted() {
    assert_eq!(document("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let job = document("CronJob");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    let container = &containers[0];
    let context = &container["securityContext"];
    assert_eq!(
        (&context["allowPrivilegeEscalation"], &context["readOnlyRootFilesystem"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
    for kind in ["requests", "limits"] {
        let amounts = &container["resources"][kind];
        assert!(amounts["cpu"].is_string() && amounts["memory"].is_string(), "{kind}");
    }
    let image = container["image"].as_str().unwrap();
    let tag = image.rsplit_once(':').unwrap().1;
    assert_eq!(tag, env!("CARGO_PKG_VERSION"), "the manifest runs the version that it came with");
}

#[test]
fn the_arguments_are_ones_that_the_binary_takes() {
    let job = document("CronJob");
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let args = pod["containers"][0]["args"].as_array().unwrap();
    let help =
        std::process::Command::new(env!("CARGO_BIN_EXE_rampart-under-test")).args(["collect", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    for arg in args.iter().filter_map(Value::as_str).filter(|arg| arg.starts_with("--")) {
        assert!(help.contains(&format!("{arg} ")) || help.contains(&format!("{arg}\n")), "{arg}");
    }
    for variable in pod["containers"][0]["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert!(help.contains(&format!("[env: {name}")), "{name}");
    }
}
