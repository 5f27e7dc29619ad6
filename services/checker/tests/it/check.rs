//! Whole runs of `rampart check` over files: findings, shapes of output, exit codes.

use serde_json::{Value, json};

use crate::run::{Files, check};

const PRIVILEGED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec:\n  containers:\n  \
                          - name: app\n    image: nginx:1\n    securityContext:\n      privileged: true\n";

fn statuses(report: &Value) -> Vec<(String, String)> {
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or("-").to_owned();
    findings.iter().map(|finding| (text(finding, "name"), text(finding, "status"))).collect()
}

#[test]
fn findings_name_file_document_object_and_field() {
    let files = Files::of(&[("a/pod.yaml", &format!("# none\n---\n---\n{PRIVILEGED}"))]);
    let ran = check(&files, &["a", "--control", "k8s.pod.privileged", "-o", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(
        report["findings"],
        json!([{
            "file": files.path("a/pod.yaml"), "document": 1, "kind": "Pod", "namespace": "shop", "name": "web",
            "control": "k8s.pod.privileged", "severity": "high", "status": "unhealthy",
            "evidence": {
                "message": "container 'app' is privileged".replace('\'', ""),
                "facts": [{"pointer": "/spec/containers/0/securityContext/privileged", "element": "container app", "value": true}],
                "elements": ["container app"],
            },
        }])
    );
    assert_eq!(report["summary"]["failed"], 1);
    assert_eq!(report["summary"]["documents"], 2);
    assert_eq!(report["summary"]["statuses"]["unhealthy"], 1);
    assert_eq!(
        report["summary"]["severities"],
        json!({"informational": 0, "low": 0, "medium": 0, "high": 1, "critical": 0})
    );
}

#[test]
fn the_exit_code_follows_the_severity_and_the_input() {
    let files = Files::of(&[
        ("bad.yaml", PRIVILEGED),
        ("good.yaml", &PRIVILEGED.replace("true", "false")),
        ("broken.yaml", "kind: [\n"),
        ("half.yaml", "kind: Pod\n"),
    ]);
    let code = |args: &[&str]| check(&files, &[args, &["--control", "k8s.pod.privileged", "-o", "json"]].concat()).code;
    assert_eq!(code(&["good.yaml"]), 0);
    assert_eq!(code(&["bad.yaml", "good.yaml"]), 1);
    assert_eq!(code(&["bad.yaml", "--fail-on", "critical"]), 0);
    assert_eq!(code(&["half.yaml"]), 2);
    assert_eq!(code(&["missing.yaml"]), 2);
    let both = check(&files, &["broken.yaml", "bad.yaml", "--control", "k8s.pod.privileged", "-o", "json"]);
    assert_eq!(both.code, 2);
    assert_eq!(both.json()["findings"].as_array().unwrap().len(), 1, "the rest is still evaluated");
    assert!(both.stderr.contains("broken.yaml:"), "{}", both.stderr);
    let unknown = check(&files, &["bad.yaml", "--control", "k8s.pod.priviledged"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (2, ""));
    assert!(unknown.stderr.contains("did you mean `k8s.pod.privileged`?"), "{}", unknown.stderr);
}

#[test]
fn with_all_every_file_appears() {
    let files = Files::of(&[
        ("chart/Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
        ("chart/values.yaml", "a: 1\n"),
        ("chart/templates/x.yaml", "a: {{ .Values.a }}\n"),
        ("chart/empty.yaml", "# nothing\n"),
        ("chart/.hidden/x.yaml", "kind: Pod\n"),
        ("chart/map.yml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n"),
        (
            "chart/pod.json",
            r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}}"#,
        ),
    ]);
    let ran = check(&files, &["chart", "--control", "k8s.pod.privileged", "--all", "-o", "json"]);
    assert_eq!(ran.code, 2);
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap();
    let of = |file: &str| -> Vec<&Value> { findings.iter().filter(|it| it["file"] == files.path(file)).collect() };
    for file in ["chart/Chart.yaml", "chart/values.yaml", "chart/empty.yaml", "chart/map.yml"] {
        assert_eq!(of(file).len(), 1, "{file}");
        assert_eq!(of(file)[0]["status"], "not_applicable");
        assert!(of(file)[0]["evidence"]["message"].is_string());
    }
    assert_eq!(of("chart/templates/x.yaml")[0]["status"], "unknown");
    assert_eq!(of("chart/pod.json")[0]["status"], "healthy");
    assert!(of("chart/.hidden/x.yaml").is_empty());
    assert_eq!(report["summary"]["skipped"].as_array().unwrap().len(), 3);
    assert!(ran.stderr.contains("templates/x.yaml:1") && ran.stderr.contains("helm template"), "{}", ran.stderr);
}

#[test]
fn standard_input_holds_lists_and_custom_resources() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: argoproj.io/v1alpha1\n  kind: Rollout\n  metadata: {name: r}\n  \
                spec: {template: {spec: {containers: [{name: a, image: a, securityContext: {privileged: yes}}]}}}\n\
                - apiVersion: ray.io/v1\n  kind: RayCluster\n  metadata: {name: ray}\n  spec:\n    headGroupSpec:\n      \
                template: {spec: {containers: [{name: h, image: h}]}}\n    workerGroupSpecs:\n    - template: {spec: {containers: \
                [{name: w, image: w, securityContext: {privileged: true}}]}}\n";
    let ran = Files::of(&[]).check_stdin(&["-", "--control", "k8s.pod.privileged", "-o", "json"], text);
    let report = ran.json();
    assert_eq!(statuses(&report), [("r".into(), "unhealthy".into()), ("ray".into(), "unhealthy".into())]);
    assert_eq!(report["findings"][0]["kind"], "Rollout");
    assert_eq!(
        report["findings"][1]["evidence"]["facts"][0]["pointer"],
        "/spec/workerGroupSpecs/0/template/spec/containers/0/securityContext/privileged"
    );
}

#[test]
fn absence_is_unknown_and_presence_decides() {
    let deployment = |name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{template: {{metadata: {{labels: \
             {{app: {name}}}}}, spec: {{containers: [{{name: a, image: a}}]}}}}}}\n---\n"
        )
    };
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: default}\nspec: \
                  {podSelector: {matchLabels: {app: covered}}}\n---\n";
    let binding = |role: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {role}}}\nroleRef: \
             {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects: [{{kind: Group, name: team}}]\n---\n"
        )
    };
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: reader}\nrules: [{apiGroups: \
                [''], resources: [secrets], verbs: [get]}]\n";
    let text =
        [deployment("covered"), deployment("bare"), policy.into(), binding("reader"), binding("unseen"), role.into()];
    let args =
        ["-", "--control", "k8s.net.no_policy_for_pod", "--control", "k8s.rbac.read_secrets", "--all", "-o", "json"];
    let report = Files::of(&[]).check_stdin(&args, &text.concat()).json();
    let judged = statuses(&report);
    for expected in [("covered", "healthy"), ("bare", "unknown"), ("reader", "unhealthy"), ("unseen", "unknown")] {
        assert!(judged.contains(&(expected.0.into(), expected.1.into())), "{expected:?} in {judged:?}");
    }
}

#[test]
fn literals_are_hidden() {
    let pod = PRIVILEGED
        .replace("    securityContext:\n      privileged: true\n", "    env: [{name: DB_PASSWORD, value: hunter2}]\n");
    let files = Files::of(&[("pod.yaml", &pod)]);
    let ran = check(&files, &["pod.yaml", "--control", "k8s.pod.credentials_in_env", "-o", "json"]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stdout.contains("hunter2") && !ran.stdout.contains("hmac:") && ran.stdout.contains("(hidden)"));
}

#[test]
fn parameters_and_explanations() {
    let pod = PRIVILEGED
        .replace("    securityContext:\n      privileged: true\n", "    ports: [{containerPort: 80, hostPort: 80}]\n");
    let files = Files::of(&[("pod.yaml", &pod)]);
    let args = ["pod.yaml", "--control", "k8s.pod.host_port", "-o", "json"];
    assert_eq!(check(&files, &args).code, 1);
    assert_eq!(check(&files, &[&args[..], &["--param", "k8s.pod.host_port.allowed=[80]"]].concat()).code, 0);
    let explained = check(&files, &[&args[..], &["--explain"]].concat()).json();
    let explanation = &explained["findings"][0]["explanation"];
    assert!(explanation["rationale"].is_string() && explanation["remediation"]["text"].is_string(), "{explained}");
    let table = check(&files, &["pod.yaml", "--control", "k8s.pod.host_port", "--explain"]);
    assert!(table.stdout.contains("Pod shop/web, line 1") && table.stdout.contains("Remedy: "), "{}", table.stdout);
    assert!(table.stdout.ends_with("1 file, 1 document, 1 object: 1 unhealthy (1 medium)\n"), "{}", table.stdout);
}

#[test]
fn a_repeated_key_is_warned_of() {
    let files = Files::of(&[("pod.yaml", &format!("{PRIVILEGED}kind: Pod\n"))]);
    let ran = check(&files, &["pod.yaml", "--control", "k8s.pod.privileged"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the last value counts"), "{}", ran.stderr);
}

#[test]
fn sarif_points_at_the_line_of_the_field() {
    let files = Files::of(&[("a b.yaml", &format!("---\n{PRIVILEGED}")), ("broken.yaml", "a: [\n")]);
    let ran = check(&files, &["a b.yaml", "broken.yaml", "--control", "k8s.pod.privileged", "-o", "sarif"]);
    assert_eq!(ran.code, 2);
    let log = ran.json();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rule = &run["tool"]["driver"]["rules"][0];
    assert_eq!(rule["id"], "k8s.pod.privileged");
    assert!(["shortDescription", "fullDescription", "help"].iter().all(|field| rule[*field]["text"].is_string()));
    let result = &run["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["ruleIndex"], &result["level"]),
        (&json!("k8s.pod.privileged"), &json!(0), &json!("error"))
    );
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["region"]["startLine"], 10);
    assert!(location["artifactLocation"]["uri"].as_str().unwrap().ends_with("/a%20b.yaml"));
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 1);
}

#[test]
fn junit_has_a_suite_per_file_and_a_case_per_verdict() {
    let files = Files::of(&[("bad.yaml", PRIVILEGED), ("broken.yaml", "a: [\n")]);
    let args =
        ["bad.yaml", "broken.yaml", "--control", "k8s.pod.privileged", "--control", "k8s.pod.host_pid", "-o", "junit"];
    let text = check(&files, &args).stdout;
    assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"rampart check\" tests=\"3\" failures=\"1\" errors=\"1\""));
    assert_eq!(text.matches("<testsuite ").count(), 2);
    assert!(text.contains("classname=\"Pod shop/web\" name=\"k8s.pod.host_pid\"/>"), "{text}");
    assert!(text.contains("<failure message=\"container app is privileged\" type=\"high\">"), "{text}");
    assert_eq!(text.matches("</testcase>").count(), 2);
}

#[test]
fn other_content_overrides_the_built_in() {
    let control = "id: acme.owner\nversion: 1\ntitle: No owner\nseverity: critical\ngroup: best_practices\ntype: data_plane\n\
                   kinds: [k8s.namespace]\nrationale: Somebody has to answer.\nviolation: \"!has(object.metadata.labels)\"\n\
                   message: \"'nobody owns ' + resource.name\"\nremediation: {text: Label it., manual: by hand}\nexamples:\n\
                   - {name: a, status: healthy, object: {metadata: {labels: {owner: x}}}}\n\
                   - {name: b, status: unhealthy, object: {metadata: {name: b}}}\n";
    let files = Files::of(&[
        ("content/controls/acme/owner.yaml", control),
        ("ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"),
    ]);
    let ran = check(&files, &["ns.yaml", "--content", "content", "--control", "acme.*", "-o", "json"]);
    assert_eq!(ran.json()["findings"][0]["evidence"]["message"], "nobody owns shop", "{}", ran.stderr);
    let tested = files.policy_test(&["content"]);
    assert_eq!((tested.code, tested.stdout.lines().last()), (0, Some("2 passed, 0 failed")), "{}", tested.stderr);
}
