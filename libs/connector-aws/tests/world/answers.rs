use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Value, json};
use url::Url;

use super::{iam, organizations};
use rampart_connector::conformance::server::{Reply, Request};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGIONS: [&str; 2] = ["eu-central-1", "eu-west-1"];
pub(crate) const EXTERNAL_ID: &str = "rampart-4711";
/// `alpha` has everything twice; `beta` is in `CONFIG_MAP` mode and has nothing.
const CLUSTERS: [&str; 2] = ["alpha", "beta"];
const PAIR: [&str; 2] = ["one", "two"];

/// A request in AWS's words.
pub(crate) struct Call {
    pub(crate) api: String,
    pub(crate) region: String,
    /// Path segments or body fields, whichever the protocol uses.
    path: Vec<String>,
    body: Value,
    /// Offset of the page.
    offset: usize,
}

/// What a request asks for; `None` for a path that does not exist.
pub(crate) fn route(request: &Request) -> Option<Call> {
    let url = Url::parse("http://world").unwrap().join(&request.target).ok()?;
    // Credential=<key>/<date>/<region>/<service>/aws4_request
    let region = request.headers.get("authorization")?.split('/').nth(2)?.to_owned();
    let query: HashMap<_, _> = url.query_pairs().collect();
    let path: Vec<String> = url.path_segments()?.map(decoded).collect();
    // A form, as STS and IAM have it, stays a text.
    let body = serde_json::from_str(&request.body).unwrap_or_else(|_| Value::from(request.body.as_str()));
    let token = query.get("nextToken").cloned();
    let token = token.or_else(|| body["nextToken"].as_str().map(Cow::from));
    let token = token.or_else(|| body["NextToken"].as_str().map(Cow::from));
    let form: HashMap<String, String> = url::form_urlencoded::parse(request.body.as_bytes()).into_owned().collect();
    let token = token.or_else(|| form.get("Marker").map(Cow::from));
    let offset = token.map_or(0, |token| token.parse().unwrap());
    let api = match request.headers.get("x-amz-target") {
        Some(target) if target.starts_with(organizations::TARGET) => {
            format!("organizations:{}", target.rsplit_once('.')?.1)
        }
        Some(target) if target.starts_with("Logs_") => format!("logs:{}", target.rsplit_once('.')?.1),
        Some(target) => format!("ecr:{}", target.rsplit_once('.')?.1),
        None if let Some(action) = form.get("Action") => {
            let service = if form["Version"] == iam::VERSION { "iam" } else { "sts" };
            format!("{service}:{action}")
        }
        None => rest_api(&path.iter().map(String::as_str).collect::<Vec<_>>())?.to_owned(),
    };
    Some(Call { api, region, path, body, offset })
}

fn rest_api(path: &[&str]) -> Option<&'static str> {
    Some(match path {
        ["listRegions"] => "account:ListRegions",
        ["clusters"] => "eks:ListClusters",
        ["clusters", _] => "eks:DescribeCluster",
        ["clusters", _, "node-groups"] => "eks:ListNodegroups",
        ["clusters", _, "node-groups", _] => "eks:DescribeNodegroup",
        ["clusters", _, "fargate-profiles"] => "eks:ListFargateProfiles",
        ["clusters", _, "fargate-profiles", _] => "eks:DescribeFargateProfile",
        ["clusters", _, "addons"] => "eks:ListAddons",
        ["clusters", _, "addons", _] => "eks:DescribeAddon",
        ["clusters", _, "access-entries"] => "eks:ListAccessEntries",
        ["clusters", _, "access-entries", _] => "eks:DescribeAccessEntry",
        ["clusters", _, "access-entries", _, "access-policies"] => "eks:ListAssociatedAccessPolicies",
        ["clusters", _, "identity-provider-configs"] => "eks:ListIdentityProviderConfigs",
        ["clusters", _, "identity-provider-configs", "describe"] => "eks:DescribeIdentityProviderConfig",
        ["clusters", _, "pod-identity-associations"] => "eks:ListPodIdentityAssociations",
        ["clusters", _, "pod-identity-associations", _] => "eks:DescribePodIdentityAssociation",
        _ => return None,
    })
}

fn decoded(segment: &str) -> String {
    let pair = format!("x={}", segment.replace('+', "%2B"));
    let url = Url::parse(&format!("http://x/?{pair}")).unwrap();
    url.query_pairs().next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A sound answer.
pub(crate) fn answer(call: &Call) -> Reply {
    let cluster = call.path.get(1).map_or("", String::as_str);
    let item = call.path.get(3).map_or("", String::as_str);
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{}:{ACCOUNT}:{rest}", call.region);
    let child = |kind: &str| arn("eks", &format!("{kind}/{cluster}/{item}"));
    let json = match call.api.as_str() {
        "sts:GetCallerIdentity" => return identity(),
        "sts:AssumeRole" if call.body.as_str().is_some_and(|form| form.contains(EXTERNAL_ID)) => return credentials(),
        "sts:AssumeRole" => return error(call, 403, "AccessDenied"),
        "iam:GetAccountAuthorizationDetails" => {
            return iam::answer(call.body.as_str().unwrap_or_default(), call.offset);
        }
        "account:ListRegions" => {
            let all = REGIONS.map(|name| json!({"RegionName": name, "RegionOptStatus": "ENABLED_BY_DEFAULT"}));
            page(call, "Regions", "NextToken", &all)
        }
        "eks:ListClusters" => page(call, "clusters", "nextToken", &CLUSTERS.map(Value::from)),
        "eks:DescribeCluster" => {
            let mode = if cluster == CLUSTERS[1] { "CONFIG_MAP" } else { "API_AND_CONFIG_MAP" };
            json!({"cluster": {"name": cluster, "arn": arn("eks", &format!("cluster/{cluster}")), "status": "ACTIVE",
                "endpoint": "https://127.0.0.1:1", "accessConfig": {"authenticationMode": mode},
                "certificateAuthority": {"data": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="},
                "newerThanTheSdk": {"kept": true}, "createdAt": {"not": "what the SDK expects"}, "tags": {"team": "payments"}}})
        }
        "eks:ListNodegroups" => of_cluster(call, "nodegroups", &PAIR.map(Value::from)),
        "eks:DescribeNodegroup" => json!({"nodegroup": {"nodegroupName": item, "nodegroupArn": child("nodegroup")}}),
        "eks:ListFargateProfiles" => of_cluster(call, "fargateProfileNames", &PAIR.map(Value::from)),
        "eks:DescribeFargateProfile" => {
            json!({"fargateProfile": {"fargateProfileName": item, "fargateProfileArn": child("fargateprofile")}})
        }
        "eks:ListAddons" => of_cluster(call, "addons", &PAIR.map(Value::from)),
        "eks:DescribeAddon" => json!({"addon": {"addonName": item, "addonArn": child("addon")}}),
        "eks:ListAccessEntries" if cluster == CLUSTERS[1] => {
            return error(call, 400, "InvalidRequestException")
                .body(json!({ "message": "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP]" }).to_string());
        }
        "eks:ListAccessEntries" => {
            let principals = PAIR.map(|name| Value::from(format!("arn:aws:iam::{ACCOUNT}:role/{name}")));
            of_cluster(call, "accessEntries", &principals)
        }
        "eks:DescribeAccessEntry" => {
            json!({"accessEntry": {"principalArn": item, "accessEntryArn": child("access-entry")}})
        }
        "eks:ListAssociatedAccessPolicies" => {
            let policies =
                PAIR.map(|name| json!({"policyArn": format!("arn:aws:eks::aws:cluster-access-policy/{name}")}));
            page(call, "associatedAccessPolicies", "nextToken", &policies)
        }
        "eks:ListIdentityProviderConfigs" => {
            of_cluster(call, "identityProviderConfigs", &PAIR.map(|name| json!({"type": "oidc", "name": name})))
        }
        "eks:DescribeIdentityProviderConfig" => {
            let name = &call.body["identityProviderConfig"]["name"];
            let id = arn("eks", &format!("identityproviderconfig/{cluster}/oidc/{name}"));
            let oidc = json!({"identityProviderConfigName": name, "identityProviderConfigArn": id});
            json!({"identityProviderConfig": {"oidc": oidc}})
        }
        "eks:ListPodIdentityAssociations" => {
            of_cluster(call, "associations", &PAIR.map(|id| json!({"associationId": id, "clusterName": cluster})))
        }
        "eks:DescribePodIdentityAssociation" => {
            json!({"association": {"associationId": item, "associationArn": child("podidentityassociation")}})
        }
        "ecr:GetRegistryScanningConfiguration" => {
            json!({"registryId": ACCOUNT, "scanningConfiguration": {"scanType": "BASIC", "rules": []}})
        }
        "ecr:DescribeRepositories" => {
            let of = |name| json!({"repositoryName": name, "repositoryArn": arn("ecr", &format!("repository/{name}"))});
            page(call, "repositories", "nextToken", &PAIR.map(of))
        }
        "ecr:GetRepositoryPolicy" => json!({"policyText": "{\"Statement\":{\"Effect\":\"Allow\"}}"}),
        "ecr:GetLifecyclePolicy" => return error(call, 400, "LifecyclePolicyNotFoundException"),
        "ecr:DescribeImages" => {
            let of =
                |name| json!({"repositoryName": call.body["repositoryName"], "imageDigest": format!("sha256:{name}")});
            page(call, "imageDetails", "nextToken", &PAIR.map(of))
        }
        "logs:DescribeLogGroups" => {
            let group = |name: &str| {
                let arn = arn("logs", &format!("log-group:{name}"));
                json!({"logGroupName": name, "logGroupArn": arn, "arn": format!("{arn}:*"), "retentionInDays": 30, "newerThanTheSdk": {"kept": true}})
            };
            // What a customer called alike is not a control plane's.
            let groups = ["/aws/eks/alpha/cluster", "/aws/eks/alpha/application", "/aws/eks/beta/cluster"];
            page(call, "logGroups", "nextToken", &groups.map(group))
        }
        api if api.starts_with("organizations:") => {
            let Some((token, items)) = organizations::answer(api, call.body["ParentId"].as_str()) else {
                return unknown(call);
            };
            match token {
                Some(field) => page(call, field, "NextToken", &items),
                None => items.into_iter().next().unwrap_or_default(),
            }
        }
        _ => return unknown(call),
    };
    Reply::new(200, &json.to_string())
}

fn identity() -> Reply {
    let result = format!("<Account>{ACCOUNT}</Account><Arn>arn:aws:iam::{ACCOUNT}:user/x</Arn><UserId>x</UserId>");
    Reply::new(
        200,
        &format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <GetCallerIdentityResult>{result}</GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
    )
}

/// Near their end, so that they are renewed for every use.
fn credentials() -> Reply {
    let soon = chrono::Utc::now() + chrono::Duration::minutes(2);
    let expiration = soon.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let keys = format!(
        "<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
         <SessionToken>t</SessionToken><Expiration>{expiration}</Expiration>"
    );
    Reply::new(
        200,
        &format!(
            "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
             <Credentials>{keys}</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ),
    )
}

/// The error in the form of the call's protocol.
pub(crate) fn error(call: &Call, status: u16, code: &str) -> Reply {
    match call.api.split_once(':') {
        Some(("sts" | "iam", _)) => {
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>m</Message></Error>");
            Reply::new(status, &format!("<ErrorResponse>{error}</ErrorResponse>"))
        }
        Some(("ecr" | "logs" | "organizations", _)) => {
            Reply::new(status, &json!({"__type": code, "message": "m"}).to_string())
        }
        _ => Reply::new(status, "{\"message\":\"m\"}").header("x-amzn-errortype", code),
    }
}

/// What a service says that does not have this API.
pub(crate) fn unknown(call: &Call) -> Reply {
    match call.api.split_once(':') {
        Some(("ecr" | "logs" | "organizations", _)) => error(call, 400, "UnknownOperationException"),
        Some(("sts" | "iam", _)) => error(call, 400, "InvalidAction"),
        _ => Reply::new(404, "<html>not found</html>"),
    }
}

/// A list that only the first cluster has.
fn of_cluster(call: &Call, field: &str, items: &[Value]) -> Value {
    let items = if call.path[1] == CLUSTERS[0] { items } else { &[] };
    page(call, field, "nextToken", items)
}

/// One item per page.
fn page(call: &Call, field: &str, token: &str, items: &[Value]) -> Value {
    let items_here: Vec<_> = items.iter().skip(call.offset).take(1).collect();
    let mut answer = json!({ field: items_here });
    if call.offset + 1 < items.len() {
        answer[token] = Value::from((call.offset + 1).to_string());
    }
    answer
}
