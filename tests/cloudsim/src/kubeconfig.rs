use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A kubeconfig with one context and this user. YAML's subset JSON, as kubectl reads it.
pub(crate) fn kubeconfig(cluster: &str, url: &str, ca_pem: &str, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": cluster, "preferences": {},
        "clusters": [{ "name": cluster, "cluster": { "server": url, "certificate-authority-data": STANDARD.encode(ca_pem) } }],
        "users": [{ "name": "rampart", "user": user }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": "rampart" } }],
    });
    format!("{config:#}\n")
}

/// A user with a bearer token.
pub(crate) fn token(token: &str) -> Value {
    json!({ "token": token })
}

/// A user of Entra ID, as AKS writes it: its credentials come from a program, which nobody should run.
pub(crate) fn kubelogin() -> Value {
    json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "args": ["get-token",
        "--environment", "AzurePublicCloud", "--server-id", "6dae42f8-4368-4678-94ff-3960e28e3630"] } })
}

/// A user whose credentials come from a program, which nobody should run.
pub(crate) fn exec(cluster: &str, region: &str) -> Value {
    json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "aws", "interactiveMode": "IfAvailable",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", cluster] } })
}
