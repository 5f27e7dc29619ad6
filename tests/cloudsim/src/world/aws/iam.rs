use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Account, Care, OPEN_ROLE, READER_ROLE, epoch};
use crate::world::plan::Cluster;
use crate::world::seed::Seed;

/// A role that may push to every repository, and one that may not.
pub(crate) const PIPELINE: &str = "ImageBuilder";
pub(crate) const DEVELOPERS: &str = "Developers";

/// IAM of an account, as far as `GetAccountAuthorizationDetails` tells it.
#[derive(Debug, Clone, Default)]
pub struct Iam {
    /// Roles, as `RoleDetailList` holds them.
    pub roles: Vec<Value>,
    /// Policies of the customer's own, as `Policies` holds them.
    pub policies: Vec<Value>,
}

/// Roles and policies that an account with these clusters has.
pub(crate) fn of<'a>(world: Seed, account: &Account, clusters: impl Iterator<Item = &'a Cluster>) -> Iam {
    let site = Site { seed: world.child("iam").child(&account.id), account: &account.id };
    let mut roles: BTreeMap<String, Value> = BTreeMap::new();
    let mut add = |role: Value| {
        roles.insert(role["RoleName"].as_str().unwrap_or_default().to_owned(), role);
    };
    for cluster in clusters {
        site.of_cluster(cluster).into_iter().for_each(&mut add);
    }
    add(site.role("PlatformAdmin", &site.people(), &["AdministratorAccess"]));
    add(site.role(DEVELOPERS, &site.people(), &["AmazonEC2ContainerRegistryReadOnly"]));
    add(site.role(PIPELINE, &service("codebuild.amazonaws.com"), &["AmazonEC2ContainerRegistryPowerUser"]));
    for reader in [READER_ROLE, OPEN_ROLE] {
        add(site.role(reader, &site.people(), &["SecurityAudit"]));
    }
    let mut linked = site.role("AWSServiceRoleForAmazonEKS", &service("eks.amazonaws.com"), &[]);
    linked["Path"] = json!("/aws-service-role/eks.amazonaws.com/");
    linked["Arn"] = json!(format!(
        "arn:aws:iam::{}:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS",
        account.id
    ));
    add(linked);
    Iam { roles: roles.into_values().collect(), policies: vec![site.policy("push-images"), site.policy("unused")] }
}

struct Site<'a> {
    seed: Seed,
    account: &'a str,
}

impl Site<'_> {
    /// Roles of a control plane, of nodes, of Fargate and of service accounts.
    fn of_cluster(&self, cluster: &Cluster) -> Vec<Value> {
        let weak = match cluster.care {
            Care::Sound => false,
            Care::Weak => true,
            Care::Mixed => cluster.seed.child("node-role").chance(30),
        };
        let name = &cluster.name;
        let mut nodes = self.role(
            &format!("{name}-workers"),
            &service("ec2.amazonaws.com"),
            &["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly"],
        );
        if weak {
            let own = json!({ "PolicyName": "push-images", "PolicyArn": self.arn("policy/push-images") });
            nodes["AttachedManagedPolicies"].as_array_mut().expect("a role has a list").push(own);
        }
        let pods = service("eks-fargate-pods.amazonaws.com");
        let mut roles = vec![
            self.role(&format!("{name}-control-plane"), &service("eks.amazonaws.com"), &["AmazonEKSClusterPolicy"]),
            nodes,
            self.role(&format!("{name}-fargate"), &pods, &["AmazonEKSFargatePodExecutionRolePolicy"]),
        ];
        for space in cluster.spaces.iter().take(2) {
            let mut role = self.role(&format!("{}-api-core", space.name), &service("pods.eks.amazonaws.com"), &[]);
            let read = document(&["s3:GetObject"], &format!("arn:aws:s3:::{}/*", space.name));
            role["RolePolicyList"] = json!([{ "PolicyName": "read", "PolicyDocument": read }]);
            roles.push(role);
        }
        roles
    }

    fn role(&self, name: &str, trust: &Value, attached: &[&str]) -> Value {
        let seed = self.seed.child(name);
        let attached: Vec<Value> = attached
            .iter()
            .map(|name| json!({ "PolicyName": name, "PolicyArn": format!("arn:aws:iam::aws:policy/{name}") }))
            .collect();
        json!({
            "Path": "/", "RoleName": name, "RoleId": format!("AROA{}", seed.upper(17)), "Arn": self.arn(&format!("role/{name}")),
            "CreateDate": epoch(seed, 900), "AssumeRolePolicyDocument": encoded(&trust.to_string()),
            "InstanceProfileList": [], "RolePolicyList": [], "AttachedManagedPolicies": attached,
            "Tags": [{ "Key": "owner", "Value": "platform" }],
            "RoleLastUsed": { "LastUsedDate": epoch(seed.child("used"), 20), "Region": "eu-west-1" },
        })
    }

    /// A policy with an older version that allowed everything.
    fn policy(&self, name: &str) -> Value {
        let seed = self.seed.child("policy").child(name);
        let version = |id: &str, default: bool, document: String| json!({ "Document": document, "VersionId": id, "IsDefaultVersion": default, "CreateDate": epoch(seed.child(id), 400) });
        let actions =
            ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"].as_slice();
        json!({
            "PolicyName": name, "PolicyId": format!("ANPA{}", seed.upper(17)), "Arn": self.arn(&format!("policy/{name}")),
            "Path": "/", "DefaultVersionId": "v2", "AttachmentCount": 1, "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": true, "CreateDate": epoch(seed, 900), "UpdateDate": epoch(seed, 300),
            "PolicyVersionList": [version("v2", true, document(actions, "*")), version("v1", false, document(&["*"], "*"))],
        })
    }

    fn people(&self) -> Value {
        trust(&json!({ "AWS": self.arn("root") }))
    }

    fn arn(&self, rest: &str) -> String {
        format!("arn:aws:iam::{}:{rest}", self.account)
    }
}

fn service(name: &str) -> Value {
    trust(&json!({ "Service": name }))
}

fn trust(principal: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" }] })
}

fn document(actions: &[&str], resource: &str) -> String {
    let statement = json!({ "Effect": "Allow", "Action": actions, "Resource": resource });
    encoded(&json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string())
}

/// As RFC 3986 has it: a space is no plus.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
