use serde_json::{Value, json};

use super::Care;

/// APIs with their titles.
const SERVICES: [(&str, &str); 8] = [
    ("artifactregistry", "Artifact Registry API"),
    ("cloudresourcemanager", "Cloud Resource Manager API"),
    ("compute", "Compute Engine API"),
    ("container", "Kubernetes Engine API"),
    ("iam", "Identity and Access Management (IAM) API"),
    ("iamcredentials", "IAM Service Account Credentials API"),
    ("logging", "Cloud Logging API"),
    ("serviceusage", "Service Usage API"),
];

/// Who may do what in a project. Anybody with an account may look at a weak one.
pub(crate) fn policy(project: &str, care: Care) -> Value {
    let scanner = format!("serviceAccount:rampart-scanner@{project}.iam.gserviceaccount.com");
    let nodes = "serviceAccount:nodes@shop.iam.gserviceaccount.com";
    let end = "request.time < timestamp('2027-01-01T00:00:00Z')";
    let until = json!({ "title": "until the end of the year", "expression": end });
    let mut bindings = vec![
        json!({ "role": "roles/owner", "members": ["user:olivia@shop.example"] }),
        json!({ "role": "roles/artifactregistry.reader", "members": [nodes] }),
        json!({ "role": "roles/container.developer", "members": ["group:platform@shop.example"] }),
        json!({ "role": "roles/container.admin", "members": ["user:contractor@agency.example"], "condition": until }),
        json!({ "role": format!("projects/{project}/roles/rampartReader"), "members": [scanner] }),
    ];
    if care == Care::Weak {
        bindings.push(json!({ "role": "roles/viewer", "members": ["allAuthenticatedUsers"] }));
    }
    let logged = json!([{ "logType": "ADMIN_READ" }, { "logType": "DATA_READ" }, { "logType": "DATA_WRITE" }]);
    json!({ "version": 3, "etag": "BwYqVJtzS5s=", "bindings": bindings,
        "auditConfigs": [{ "service": "container.googleapis.com", "auditLogConfigs": logged }] })
}

/// APIs of the project with this number: those that are enabled, and one that is not.
pub(crate) fn services(number: u64) -> Vec<Value> {
    let enabled = SERVICES.iter().map(|(name, title)| service(number, name, title, "ENABLED"));
    enabled.chain([service(number, "dns", "Cloud DNS API", "DISABLED")]).collect()
}

fn service(number: u64, name: &str, title: &str, state: &str) -> Value {
    let name = format!("{name}.googleapis.com");
    let parent = format!("projects/{number}");
    json!({ "name": format!("{parent}/services/{name}"), "parent": parent, "state": state,
        "config": { "name": name, "title": title, "documentation": { "summary": title }, "quota": {},
            "authentication": {}, "usage": { "requirements": ["serviceusage.googleapis.com/tos/cloud"] } } })
}
