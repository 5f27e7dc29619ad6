//! Known secrets are planted wherever customers have some, and then looked for in everything that leaves or rests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use cloudsim::world::{Preset, Subject, WorldSpec, kinds};
use cloudsim::{Fault, FaultKind, Simulator, Target};
use platform_tests::{Client, Process, eventually};
use rampart_store::testing::database;
use rampart_store::{AccessScope, Role, admin};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";
/// Everything of ours and of what speaks to clouds; of what only moves bytes, what people read.
const LOG: &str = "trace,h2=info,hyper=info,hyper_util=info,mio=info,tower=info,tokio_util=info,rustls=info,\
                   antlr4rust=info,want=info,tokio_tungstenite=info";
const KEY: &str = "planted:UExBTlRFRC1rZXktb2YtdGhlLWluc3RhbGxhdGlvbiE=";

/// Secrets by what they are.
#[derive(Default)]
struct Planted(BTreeMap<&'static str, String>);

impl Planted {
    fn make(&mut self, what: &'static str) -> String {
        let secret = format!("planted{}", Uuid::new_v4().simple());
        self.keep(what, &secret)
    }

    fn keep(&mut self, what: &'static str, secret: &str) -> String {
        assert!(secret.len() >= 16, "{what} is too short to be told apart");
        self.0.insert(what, secret.to_owned());
        secret.to_owned()
    }

    /// What of it is in a text: as it is, in hexadecimal, or in base64 at any offset.
    fn leaks(&self, place: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for (what, secret) in &self.0 {
            let mut forms = vec![secret.clone()];
            forms.push(secret.bytes().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }));
            forms.extend((0..3).map(|offset| base64_inside(secret.as_bytes(), offset)));
            for form in forms {
                if let Some(at) = text.find(&form) {
                    let mut begin = at.saturating_sub(200);
                    while !text.is_char_boundary(begin) {
                        begin -= 1;
                    }
                    found.push(format!("{what} in {place}, behind …{}", text[begin..at].replace('\n', " ")));
                }
            }
        }
        found
    }
}

/// The part of the base64 of a text that holds `bytes` after `offset` others which depends on nothing but `bytes`.
fn base64_inside(bytes: &[u8], offset: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = &bytes[(3 - offset) % 3..];
    let triples = bytes.chunks_exact(3).flat_map(|part| {
        let bits = u32::from_be_bytes([0, part[0], part[1], part[2]]);
        [18, 12, 6, 0].map(|shift| DIGITS[((bits >> shift) & 63) as usize] as char)
    });
    triples.collect()
}

/// A deployment and a pod with secrets where people put them, and objects that are nothing but secret.
fn plant_objects(simulator: &Simulator, planted: &mut Planted) {
    let world = simulator.world();
    let cluster = world.cluster(CLUSTER).unwrap();
    let (_, template) = world.kube_objects(cluster).find(|(kind, _)| *kind == kinds::DEPLOYMENT).unwrap();
    let namespace = template["metadata"]["namespace"].clone();
    let env = planted.make("the value of an environment variable");
    let spec = json!({
        "containers": [{
            "name": "app", "image": "registry.example/app:1",
            "command": ["app", "--db-password", planted.make("a password in a command")],
            "args": [format!("--api-token={}", planted.make("a token in an argument")),
                format!("postgres://app:{}@db.example/app", planted.make("a password in a URL of an argument"))],
            "env": [{"name": "DATABASE_PASSWORD", "value": env},
                {"name": "GREETING", "value": planted.make("the value of a variable with a harmless name")}],
            "livenessProbe": {"httpGet": {"path": "/", "port": 80, "httpHeaders": [
                {"name": "Authorization", "value": format!("Bearer {}", planted.make("a header of a probe"))}]}},
        }],
        "volumes": [{"name": "v", "csi": {"driver": "d.example", "volumeAttributes":
            {"secretKey": planted.make("an attribute of a volume")}}}],
    });
    let applied = json!({"spec": {"env": env, "note": planted.make("what kubectl applied last")}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let metadata = |name: &str| json!({"name": name, "namespace": namespace, "annotations": annotations});
    let labels = json!({"app": "planted"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("planted"),
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels, "annotations": annotations},
            "spec": spec}}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("planted-pod"), "spec": spec,
        "status": {"phase": "Running"}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("planted-secret"),
        "stringData": {"password": planted.make("the content of a Secret")}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("planted-map"),
        "data": {"settings": planted.make("the content of a ConfigMap")}});
    let objects =
        [(kinds::DEPLOYMENT, deployment), (kinds::POD, pod), (kinds::SECRET, secret), (kinds::CONFIG_MAP, map)];
    for (kind, object) in objects {
        let put: Option<Subject> = simulator.put(CLUSTER, kind, object);
        put.expect("the cluster is there");
    }
}

fn kubeconfig(server: &str, more: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{server}'{more}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

/// Connectors of every cloud, with credentials that are right, wrong, and not taken at all.
fn sources(simulator: &Simulator, planted: &mut Planted) -> Vec<(&'static str, Value)> {
    let subscription = simulator.subscriptions().remove(0);
    let project = simulator.world().projects()[0].clone();
    let gcp_key = simulator.gcp_key(&project.scanner).unwrap();
    let lines = serde_json::from_str::<Value>(&gcp_key).unwrap()["private_key"].as_str().unwrap().to_owned();
    planted.keep("the private key of a service account", lines.lines().nth(2).unwrap());
    planted.keep("the secret of an application", &subscription.client_secret);
    planted.keep("the bearer token of a cluster", &simulator.bearer_token(CLUSTER).unwrap());
    let azure = |secret: &str| {
        json!({"provider": "azure", "subscription_id": subscription.id, "tenant_id": subscription.tenant_id,
            "client_id": subscription.client_id, "client_secret": secret})
    };
    let aws = json!({"provider": "aws", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "regions": ["eu-west-1"],
        "secret_access_key": planted.make("a secret access key"), "session_token": planted.make("a session token")});
    let kube = |config: String| json!({"provider": "kubernetes", "kubeconfig": config});
    let wrong_key = gcp_key.replace(&project.scanner, "nobody@x.iam.gserviceaccount.com");
    let proxy = format!(", proxy-url: 'http://user:{}@127.0.0.1:9'", planted.make("the password of a proxy"));
    let token = |planted: &mut Planted, what| format!("token: {}", planted.make(what));
    let here = simulator.cluster_url(CLUSTER).unwrap();
    vec![
        ("cluster", kube(simulator.kubeconfig(CLUSTER).unwrap())),
        ("azure", azure(&subscription.client_secret)),
        ("gcp", json!({"provider": "gcp", "project_id": project.id, "service_account_key": gcp_key})),
        ("aws-wrong", aws),
        ("azure-wrong", azure(&planted.make("a wrong secret of an application"))),
        ("gcp-wrong", json!({"provider": "gcp", "project_id": project.id, "service_account_key": wrong_key})),
        (
            "cluster-wrong",
            json!({"provider": "kubernetes", "server": here, "ca_pem": simulator.ca_pem(),
            "token": planted.make("a wrong token of a cluster")}),
        ),
        ("cluster-away", kube(kubeconfig("https://127.0.0.1:1", "", &token(planted, "the token of a cluster away")))),
        (
            "cluster-proxy",
            kube(kubeconfig("https://93.184.216.34", &proxy, &token(planted, "a token through a proxy"))),
        ),
        (
            "password",
            kube(kubeconfig(
                "https://127.0.0.1:1",
                "",
                &format!("username: admin, password: {}", planted.make("the password of a user")),
            )),
        ),
        (
            "in-url",
            kube(kubeconfig(
                &format!("https://u:{}@127.0.0.1:1", planted.make("a password in a server's URL")),
                "",
                "token: t",
            )),
        ),
        (
            "exec",
            kube(kubeconfig(
                "https://127.0.0.1:1",
                "",
                &format!(
                    "exec: {{command: login, args: ['--client-secret', '{}'], env: [{{name: S, value: '{}'}}]}}",
                    planted.make("an argument of a plugin"),
                    planted.make("a variable of a plugin")
                ),
            )),
        ),
        (
            "url-given",
            json!({"provider": "kubernetes", "token": "t",
            "server": format!("https://h.example/{}?sig={}", Uuid::new_v4().simple(), planted.make("a signature in a URL"))}),
        ),
        ("malformed", kube(format!("a: [{}", planted.make("a text that is no kubeconfig")))),
        (
            "malformed-key",
            json!({"provider": "gcp", "project_id": project.id,
            "service_account_key": format!("{{\"private_key\": {}", planted.make("a text that is no key"))}),
        ),
    ]
}

/// Everything that the API tells, each answer with its path: lists, what they list, and what lies below that.
async fn read_all(client: &Client) -> Vec<(String, String)> {
    let document = client.get("/openapi.json").await;
    let mut answers = Vec::new();
    let mut get = async |path: String| {
        let (status, answer) = client.request_text(&path).await;
        assert!(!status.is_server_error(), "{path}: {status} {answer}");
        answers.push((path, answer.clone()));
        serde_json::from_str::<Value>(&answer).unwrap_or_default()
    };
    let paths: Vec<(&String, bool)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, item)| item["get"].is_object())
        .map(|(path, item)| {
            let parameters = item["get"]["parameters"].as_array().cloned().unwrap_or_default();
            (path, parameters.iter().any(|parameter| parameter["name"] == "limit"))
        })
        .collect();
    let limit = |is_list: bool| if is_list { "?limit=500" } else { "" };
    for (path, is_list) in &paths {
        if path.contains('{') {
            continue;
        }
        let listed = get(format!("{path}{}", limit(*is_list))).await;
        for item in listed["items"].as_array().into_iter().flatten() {
            let id = ["id", "control_id", "name"].iter().find_map(|key| item[*key].as_str());
            let Some(id) = id else { continue };
            let is_planted = item.to_string().contains("planted");
            for (below, is_list) in paths.iter().filter(|(below, _)| below.starts_with(&format!("{path}/{{"))) {
                // Of thousands of resources, those that matter; of everything else, all.
                let many = ["/v1/resources", "/v1/findings", "/v1/controls", "/v1/recommendations"];
                if below.matches('{').count() > 1 || (many.contains(&path.as_str()) && !is_planted) {
                    continue;
                }
                let begin = below.find('{').unwrap();
                let end = below.find('}').unwrap() + 1;
                get(format!("{}{id}{}{}", &below[..begin], &below[end..], limit(*is_list))).await;
            }
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_leaves_or_rests_in_the_clear() {
    rampart_chassis::install_crypto_provider();
    let simulator = Simulator::start(WorldSpec { seed: 7, preset: Preset::Estate }).await.unwrap();
    let database = database().await;
    let mut planted = Planted::default();
    plant_objects(&simulator, &mut planted);
    planted.keep("the operator's key of AWS", &simulator.operator_keys().secret_access_key);
    planted.keep("the key that seals", KEY.split_once(':').unwrap().1);
    let tenant = admin::create_tenant(&database.store, "demo").await.unwrap();
    let token =
        admin::create_token(&database.store, tenant, "demo", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    planted.keep("a token of the API", token.expose_secret());
    let process = Process::serve(BINARY, &database, &simulator, &[("RAMPART_KEY", KEY), ("RUST_LOG", LOG)]).await;
    let client = process.client(token.clone());
    let mut answers = Vec::new();

    let mut connectors = Vec::new();
    for (name, source) in sources(&simulator, &mut planted) {
        let body = json!({ "name": name, "source": source });
        let (status, answer) = client.request(Method::POST, "/v1/connectors", Some(&body)).await;
        answers.push((format!("POST connector {name}: {status}"), answer.to_string()));
        if status.is_success() {
            client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
            connectors.push(name);
        }
    }
    for required in
        ["cluster", "azure", "gcp", "aws-wrong", "azure-wrong", "gcp-wrong", "cluster-wrong", "cluster-away"]
    {
        assert!(connectors.contains(&required), "{required}: {answers:?}");
    }
    let account = simulator.accounts().remove(0).id;
    client.onboard_account(&simulator, "aws", &account).await;
    connectors.push("aws");
    let wrong = client.with_token(format!("rmp_{}", planted.make("a token that is none")).into());
    answers.push(("a wrong token".to_owned(), wrong.request(Method::GET, "/v1/tenant", None).await.1.to_string()));
    let made = json!({"name": "other", "grants": [{"role": "owner", "scope": {"type": "tenant"}}]});
    let made = client.post("/v1/tokens", &made).await;
    planted.keep("a token that was made by the API", made["secret"].as_str().unwrap());
    let pushed = json!({"name": "pushed", "source": {"provider": "kubernetes", "delivery": "push"}});
    let made = client.post("/v1/connectors", &pushed).await;
    planted.keep("the token of a collector", made["collector_token"].as_str().unwrap());

    for name in &connectors {
        client.post(&format!("/v1/connectors/{name}/test"), &json!({})).await;
        client.start_scan(name).await;
    }
    let idle = async || database.is_idle().await.then_some(());
    eventually("the end of all work", Duration::from_mins(5), idle).await;
    // Once more, with a cloud that breaks off in the middle.
    simulator.faults().inject(Fault { target: Target::kube(CLUSTER, "*"), kind: FaultKind::CutBody, times: Some(20) });
    client.start_scan("cluster").await;
    eventually("the end of all work", Duration::from_mins(5), idle).await;

    answers.extend(read_all(&client).await);
    let readings = answers.len();
    assert!(answers.iter().any(|(_, answer)| answer.contains("planted-pod")), "the planted objects were not read");
    assert!(answers.iter().any(|(_, answer)| answer.contains("hmac:")), "no value stands hashed for what was read");
    let metrics = client.at(&process.operations).request_text("/metrics").await.1;
    assert!(metrics.contains("rampart_http_requests_total"));
    let stored = database.texts().await;
    let said = process.stop().await;
    assert!(said.contains("TRACE") && said.contains("scan ended"), "the log is not whole");

    let mut leaks = Vec::new();
    for (path, answer) in &answers {
        leaks.extend(planted.leaks(path, answer));
    }
    for (place, text) in [("the metrics", &metrics), ("the database", &stored), ("the log", &said)] {
        leaks.extend(planted.leaks(place, text));
    }
    eprintln!(
        "{} secrets planted; looked for in {readings} answers, {} KiB of log, {} KiB of database and {} KiB of metrics",
        planted.0.len(),
        said.len() >> 10,
        stored.len() >> 10,
        metrics.len() >> 10
    );
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.join("\n"));
}
