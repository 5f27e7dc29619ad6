use bytes::Bytes;
use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind, PermissionCheck, PermissionState};
use rampart_domain::{CoverageState, Gap, NativeId};
use serde_json::{Value, json};

use crate::KubeConnector;
use crate::client::Api;
use crate::discover::parse;
use crate::kinds::{Access, Need, needs};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Reviews under way at once.
const CONCURRENCY: usize = 4;

/// Asks the API server about every permission. A review creates nothing that stays; it is the one POST that is made.
pub(crate) async fn run(connector: &KubeConnector, api: &Api) -> Vec<PermissionCheck> {
    let mut needs = needs(&connector.options, connector.aws());
    let identity = &connector.identity;
    let scope = identity.native_id.as_ref().map_or(identity.name.as_str(), NativeId::as_str);
    if needs.is_empty() {
        return Vec::new();
    }
    // What fails for the first for want of credentials or connection fails for all, after as many attempts each.
    let first = needs.remove(0);
    let answer = review(api, &first).await;
    let hopeless = answer
        .as_ref()
        .err()
        .filter(|error| matches!(error.kind, ErrorKind::Unauthorized | ErrorKind::Unreachable | ErrorKind::Cancelled));
    let rest: Vec<_> = if let Some(error) = hopeless {
        needs.iter().map(|need| check(need, scope, Err(error.clone()))).collect()
    } else {
        let reviews: Vec<_> =
            needs.iter().map(|need| async move { check(need, scope, review(api, need).await) }).collect();
        stream::iter(reviews).buffered(CONCURRENCY).collect().await
    };
    let mut checks = vec![check(&first, scope, answer)];
    checks.extend(rest);
    checks
}

/// Whether the API server would allow it, and its reason when not.
async fn review(api: &Api, need: &Need) -> Result<Result<(), String>, ConnectorError> {
    let spec = match need.access {
        Access::Path(path) => json!({"nonResourceAttributes": {"verb": "get", "path": path}}),
        Access::Resource { verb, group, resource, object } => {
            let (namespace, name) = object.unwrap_or_default();
            let attributes = json!({
                "verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name,
            });
            json!({ "resourceAttributes": attributes })
        }
    };
    let body = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let answer: Value = parse(REVIEWS, &api.post(REVIEWS, Bytes::from(body.to_string())).await?)?;
    let status = &answer["status"];
    if status["allowed"] == Value::Bool(true) {
        return Ok(Ok(()));
    }
    let reason = status["reason"].as_str().filter(|reason| !reason.is_empty());
    Ok(Err(reason.unwrap_or("the API server does not allow it").to_owned()))
}

fn check(need: &Need, scope: &str, answer: Result<Result<(), String>, ConnectorError>) -> PermissionCheck {
    let missing = |state, message| PermissionState::Missing(Gap { state, message, remedy: remedy(&need.access) });
    let state = match answer {
        Ok(Ok(())) => PermissionState::Granted,
        Ok(Err(reason)) => missing(CoverageState::Denied, reason),
        Err(error) if error.kind == ErrorKind::Unauthorized => PermissionState::Missing(Gap {
            state: CoverageState::Unauthorized,
            message: error.to_string(),
            remedy:
                "the cluster does not know this identity: renew its credentials or map it (on EKS by an access entry)"
                    .to_owned(),
        }),
        Err(error) => PermissionState::Unproven(error.to_string()),
    };
    PermissionCheck { permission: need.permission.clone(), scope: scope.to_owned(), state }
}

/// The rule that would allow it.
fn remedy(access: &Access) -> String {
    let rule = match access {
        Access::Path(path) => format!(r#"{{nonResourceURLs: ["{path}"], verbs: ["get"]}}"#),
        Access::Resource { verb, group, resource, object } => {
            let names = object.map(|(_, name)| format!(r#", resourceNames: ["{name}"]"#)).unwrap_or_default();
            format!(r#"{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]{names}}}"#)
        }
    };
    format!("add this rule to the ClusterRole that is bound to the identity: {rule}")
}

#[cfg(test)]
mod tests {
    use super::{Access, remedy};

    #[test]
    fn remedies_name_the_rule() {
        let list = Access::Resource { verb: "list", group: "apps", resource: "deployments", object: None };
        assert!(remedy(&list).ends_with(r#"{apiGroups: ["apps"], resources: ["deployments"], verbs: ["list"]}"#));
        let object = Some(("kube-system", "aws-auth"));
        let get = Access::Resource { verb: "get", group: "", resource: "configmaps", object };
        assert!(remedy(&get).contains(r#"verbs: ["get"], resourceNames: ["aws-auth"]"#));
        assert!(remedy(&Access::Path("/version")).contains("nonResourceURLs"));
    }
}
