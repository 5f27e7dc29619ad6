use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Care, EksCluster, READER_ROLE, READER_USER, epoch, logs};
use crate::world::plan::{Access, Cluster};

/// The EKS side of a cluster.
pub(crate) fn cluster(cluster: &Cluster, care: Care) -> Option<EksCluster> {
    let (account, region, arn) = (cluster.account()?, cluster.region()?, cluster.arn()?);
    let site = Site { cluster, care, account, region, arn };
    Some(EksCluster {
        cluster: site.describe(),
        nodegroups: site.nodegroups(),
        fargate_profiles: site.fargate_profiles(),
        addons: site.addons(),
        access_entries: site.access_entries(),
        identity_providers: site.identity_providers(),
        pod_identities: site.pod_identities(),
        log_groups: logs::groups(cluster, account, region, care),
    })
}

struct Site<'a> {
    cluster: &'a Cluster,
    care: Care,
    account: &'a str,
    region: &'a str,
    arn: &'a str,
}

impl Site<'_> {
    /// Whether one setting is as it should be.
    fn good(&self, setting: &str) -> bool {
        match self.care {
            Care::Sound => true,
            Care::Weak => false,
            Care::Mixed => self.cluster.seed.child(setting).chance(50),
        }
    }

    fn part(&self, kind: &str, path: &str) -> String {
        format!("arn:aws:eks:{}:{}:{kind}/{}/{path}", self.region, self.account, self.cluster.name)
    }

    fn subnets(&self) -> Vec<String> {
        (0..3).map(|i| format!("subnet-{}", self.cluster.seed.child("subnet").nth(i).hex(17))).collect()
    }

    fn describe(&self) -> Value {
        let seed = self.cluster.seed;
        let private = self.cluster.access == Access::Unreachable;
        let cidrs = if self.good("cidrs") { json!(["198.51.100.0/24"]) } else { json!(["0.0.0.0/0"]) };
        let (on, off): (&[&str], &[&str]) = if self.good("logs") {
            (&["api", "audit", "authenticator", "controllerManager", "scheduler"], &[])
        } else {
            (&[], &["api", "audit", "authenticator", "controllerManager", "scheduler"])
        };
        let logging: Vec<Value> = [(on, true), (off, false)]
            .into_iter()
            .filter(|(types, _)| !types.is_empty())
            .map(|(types, enabled)| json!({ "types": types, "enabled": enabled }))
            .collect();
        let mut described = json!({
            "name": self.cluster.name,
            "arn": self.arn,
            "createdAt": epoch(seed.child("created"), 900),
            "version": self.cluster.version,
            "roleArn": format!("arn:aws:iam::{}:role/{}-control-plane", self.account, self.cluster.name),
            "resourcesVpcConfig": {
                "subnetIds": self.subnets(),
                "securityGroupIds": [format!("sg-{}", seed.child("sg").hex(17))],
                "clusterSecurityGroupId": format!("sg-{}", seed.child("cluster-sg").hex(17)),
                "vpcId": format!("vpc-{}", seed.child("vpc").hex(17)),
                "endpointPublicAccess": !private,
                "endpointPrivateAccess": private || self.good("private"),
                "publicAccessCidrs": if private { json!([]) } else { cidrs },
            },
            "kubernetesNetworkConfig": { "serviceIpv4Cidr": "172.20.0.0/16", "ipFamily": "ipv4", "elasticLoadBalancing": { "enabled": false } },
            "logging": { "clusterLogging": logging },
            "identity": { "oidc": { "issuer": format!("https://oidc.eks.{}.amazonaws.com/id/{}", self.region, seed.child("oidc").upper(32)) } },
            "status": "ACTIVE",
            "platformVersion": format!("eks.{}", seed.child("platform").below(20) + 1),
            "tags": { "environment": if self.cluster.name.contains("prod") { "production" } else { "other" }, "owner": "platform" },
            "health": { "issues": [] },
            "accessConfig": { "authenticationMode": self.cluster.authentication_mode() },
            "upgradePolicy": { "supportType": "EXTENDED" },
            "deletionProtection": self.good("protection"),
            "computeConfig": { "enabled": false, "nodePools": [] },
            "storageConfig": { "blockStorage": { "enabled": false } },
        });
        if self.good("kms") {
            described["encryptionConfig"] = json!([{ "resources": ["secrets"], "provider": {
                "keyArn": format!("arn:aws:kms:{}:{}:key/{}", self.region, self.account, seed.child("key").uuid()) } }]);
        }
        described
    }

    fn nodegroups(&self) -> BTreeMap<String, Value> {
        let seed = self.cluster.seed.child("nodegroups");
        let group = |name: &str, ami: &str, instance: &str, size: u64| {
            json!({
                "nodegroupName": name, "nodegroupArn": self.part("nodegroup", &format!("{name}/{}", seed.child(name).uuid())),
                "clusterName": self.cluster.name, "version": self.cluster.version,
                "releaseVersion": format!("{}.4-20250915", self.cluster.version), "createdAt": epoch(seed.child(name), 400),
                "modifiedAt": epoch(seed.child(name), 60), "status": "ACTIVE", "capacityType": "ON_DEMAND",
                "scalingConfig": { "minSize": 1, "maxSize": size * 2 + 1, "desiredSize": size }, "instanceTypes": [instance],
                "subnets": self.subnets(), "amiType": ami, "diskSize": 50, "labels": { "pool": name }, "taints": [],
                "nodeRole": format!("arn:aws:iam::{}:role/{}-workers", self.account, self.cluster.name),
                "resources": { "autoScalingGroups": [{ "name": format!("eks-{name}-{}", seed.child(name).hex(8)) }] },
                "health": { "issues": [] }, "updateConfig": { "maxUnavailable": 1 }, "tags": { "pool": name },
            })
        };
        let mut groups = BTreeMap::from([(
            "workers".to_owned(),
            group("workers", "AL2023_x86_64_STANDARD", "m6i.2xlarge", self.cluster.nodes),
        )]);
        if !self.good("remote-access") {
            let mut old = group("spot-old", "AL2_x86_64", "c5.large", 1);
            old["capacityType"] = json!("SPOT");
            old["remoteAccess"] = json!({ "ec2SshKey": "ops" });
            groups.insert("spot-old".to_owned(), old);
        }
        groups
    }

    fn fargate_profiles(&self) -> BTreeMap<String, Value> {
        if !self.cluster.seed.child("fargate").chance(40) {
            return BTreeMap::new();
        }
        let profile = json!({
            "fargateProfileName": "batch", "clusterName": self.cluster.name, "createdAt": epoch(self.cluster.seed, 300),
            "fargateProfileArn": self.part("fargateprofile", &format!("batch/{}", self.cluster.seed.child("fargate").uuid())),
            "podExecutionRoleArn": format!("arn:aws:iam::{}:role/{}-fargate", self.account, self.cluster.name),
            "subnets": self.subnets(), "selectors": [{ "namespace": "batch", "labels": { "compute": "fargate" } }],
            "status": "ACTIVE", "tags": {}, "health": { "issues": [] },
        });
        BTreeMap::from([("batch".to_owned(), profile)])
    }

    fn addons(&self) -> BTreeMap<String, Value> {
        let addon = |name: &str, version: &str| {
            let seed = self.cluster.seed.child("addon").child(name);
            let value = json!({
                "addonName": name, "clusterName": self.cluster.name, "status": "ACTIVE", "addonVersion": version,
                "health": { "issues": [] }, "addonArn": self.part("addon", &format!("{name}/{}", seed.uuid())),
                "createdAt": epoch(seed, 400), "modifiedAt": epoch(seed, 40), "tags": {}, "owner": "aws", "publisher": "eks",
            });
            (name.to_owned(), value)
        };
        let mut addons = BTreeMap::from([
            addon("vpc-cni", "v1.20.3-eksbuild.1"),
            addon("coredns", "v1.12.4-eksbuild.1"),
            addon("kube-proxy", "v1.33.3-eksbuild.6"),
        ]);
        if self.good("pod-identity") {
            addons.extend([
                addon("eks-pod-identity-agent", "v1.3.8-eksbuild.2"),
                addon("aws-ebs-csi-driver", "v1.48.0-eksbuild.2"),
            ]);
        }
        addons
    }

    fn access_entries(&self) -> BTreeMap<String, (Value, Vec<Value>)> {
        if self.cluster.authentication_mode() == "CONFIG_MAP" {
            return BTreeMap::new();
        }
        let iam = |path: &str| format!("arn:aws:iam::{}:{path}", self.account);
        let entry = |principal: String, kind: &str, username: &str, groups: &[&str]| {
            let seed = self.cluster.seed.child("entry").child(&principal);
            let (sort, name) =
                principal.rsplit_once(':').map_or(("", ""), |(_, path)| path.split_once('/').unwrap_or(("", path)));
            let value = json!({
                "clusterName": self.cluster.name, "principalArn": principal, "kubernetesGroups": groups, "username": username,
                "accessEntryArn": self.part("access-entry", &format!("{sort}/{}/{name}/{}", self.account, seed.uuid())),
                "createdAt": epoch(seed, 300), "modifiedAt": epoch(seed, 30), "tags": {}, "type": kind,
            });
            (principal, value)
        };
        let policy = |name: &str, scope: Value| {
            json!({ "policyArn": format!("arn:aws:eks::aws:cluster-access-policy/{name}"), "accessScope": scope,
                    "associatedAt": epoch(self.cluster.seed, 200), "modifiedAt": epoch(self.cluster.seed, 20) })
        };
        let whole = json!({ "type": "cluster", "namespaces": [] });
        let mut entries = Vec::new();
        let (arn, node) = entry(
            iam(&format!("role/{}-workers", self.cluster.name)),
            "EC2_LINUX",
            "system:node:{{EC2PrivateDNSName}}",
            &["system:nodes"],
        );
        entries.push((arn, (node, vec![])));
        let (arn, admin) = entry(iam("role/PlatformAdmin"), "STANDARD", &iam("role/PlatformAdmin"), &[]);
        entries.push((arn, (admin, vec![policy("AmazonEKSClusterAdminPolicy", whole)])));
        let (arn, developers) =
            entry(iam("role/Developers"), "STANDARD", &iam("role/Developers"), &["shop-developers"]);
        let scoped = json!({ "type": "namespace", "namespaces": ["shop-dev"] });
        entries.push((arn, (developers, vec![policy("AmazonEKSEditPolicy", scoped)])));
        if self.cluster.maps_reader() {
            for principal in [
                iam(&format!("role/{READER_ROLE}")),
                iam(&format!("role/{}", super::OPEN_ROLE)),
                iam(&format!("user/{READER_USER}")),
            ] {
                let (arn, reader) = entry(principal.clone(), "STANDARD", &principal, &["rampart-readers"]);
                entries.push((arn, (reader, vec![])));
            }
        }
        entries.into_iter().collect()
    }

    fn identity_providers(&self) -> BTreeMap<String, Value> {
        if !self.cluster.seed.child("idp").chance(40) {
            return BTreeMap::new();
        }
        let provider = json!({
            "identityProviderConfigName": "corporate", "clusterName": self.cluster.name, "clientId": "kubernetes", "status": "ACTIVE",
            "identityProviderConfigArn": self.part("identityproviderconfig", &format!("oidc/corporate/{}", self.cluster.seed.child("idp").uuid())),
            "issuerUrl": "https://login.corp.example", "usernameClaim": "email", "usernamePrefix": "corp:", "groupsClaim": "groups",
            "groupsPrefix": "corp:", "requiredClaims": {}, "tags": {},
        });
        BTreeMap::from([("corporate".to_owned(), provider)])
    }

    fn pod_identities(&self) -> BTreeMap<String, Value> {
        let association = |namespace: &str, account: &str| {
            let seed = self.cluster.seed.child("identity").child(namespace).child(account);
            let id = format!("a-{}", seed.hex(17));
            let value = json!({
                "clusterName": self.cluster.name, "namespace": namespace, "serviceAccount": account, "associationId": id,
                "roleArn": format!("arn:aws:iam::{}:role/{namespace}-{account}", self.account),
                "associationArn": self.part("podidentityassociation", &id), "tags": {},
                "createdAt": epoch(seed, 200), "modifiedAt": epoch(seed, 20), "disableSessionTags": false,
            });
            (id, value)
        };
        self.cluster.spaces.iter().take(2).map(|space| association(&space.name, "api-core")).collect()
    }
}
