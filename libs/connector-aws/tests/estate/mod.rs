use aws_config::SdkConfig;
use aws_sdk_ecr::types::{
    ImageTagMutability, RegistryScanningRule, ScanFrequency, ScanType, ScanningRepositoryFilter,
    ScanningRepositoryFilterType,
};
use aws_sdk_eks::types::{FargateProfileSelector, NodegroupScalingConfig, VpcConfigRequest};

const ROLE: &str = "arn:aws:iam::123456789012:role/eks";
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:GetDownloadUrlForLayer"}}"#;
const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}"#;

/// Clusters with a node group, a Fargate profile and a log group each, two repositories, two images, enhanced scanning.
pub(crate) async fn build(sdk: &SdkConfig, clusters: &[&str]) {
    let eks = aws_sdk_eks::Client::new(sdk);
    for name in clusters {
        let vpc = VpcConfigRequest::builder().subnet_ids("subnet-1").endpoint_public_access(true).build();
        let cluster =
            eks.create_cluster().name(*name).role_arn(ROLE).resources_vpc_config(vpc).tags("team", "payments");
        cluster.send().await.unwrap();
        let size = NodegroupScalingConfig::builder().min_size(1).max_size(3).desired_size(2).build();
        let nodegroup = eks.create_nodegroup().cluster_name(*name).nodegroup_name(format!("{name}-nodes"));
        nodegroup.node_role(ROLE).subnets("subnet-1").scaling_config(size).send().await.unwrap();
        let selector = FargateProfileSelector::builder().namespace("jobs").build();
        let profile = eks.create_fargate_profile().cluster_name(*name).fargate_profile_name(format!("{name}-jobs"));
        profile.pod_execution_role_arn(ROLE).selectors(selector).subnets("subnet-1").send().await.unwrap();
    }
    registry(&aws_sdk_ecr::Client::new(sdk)).await;
    let logs = aws_sdk_cloudwatchlogs::Client::new(sdk);
    for name in clusters {
        let group = format!("/aws/eks/{name}/cluster");
        logs.create_log_group().log_group_name(&group).send().await.unwrap();
        logs.put_retention_policy().log_group_name(&group).retention_in_days(30).send().await.unwrap();
    }
    logs.create_log_group().log_group_name("/aws/eks/other").send().await.unwrap();
}

/// A role with an inline policy and one that is attached, which has two versions.
pub(crate) async fn build_role(sdk: &SdkConfig) {
    let iam = aws_sdk_iam::Client::new(sdk);
    let role = || "nodes".to_owned();
    let trust =
        r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}"#;
    iam.create_role().role_name(role()).path("/eks/").assume_role_policy_document(trust).send().await.unwrap();
    let inline = iam.put_role_policy().role_name(role()).policy_name("inline");
    inline.policy_document(document("s3:GetObject")).send().await.unwrap();
    let own = iam.create_policy().policy_name("push").policy_document(document("ecr:PutImage"));
    let own = own.send().await.unwrap().policy.unwrap().arn.unwrap();
    let next = iam.create_policy_version().policy_arn(&own).policy_document(document("ecr:Put*"));
    next.set_as_default(true).send().await.unwrap();
    iam.attach_role_policy().role_name(role()).policy_arn(own).send().await.unwrap();
}

fn document(action: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#)
}

async fn registry(ecr: &aws_sdk_ecr::Client) {
    let public = ecr.create_repository().repository_name("team/public");
    public.image_tag_mutability(ImageTagMutability::Immutable).send().await.unwrap();
    ecr.set_repository_policy().repository_name("team/public").policy_text(POLICY).send().await.unwrap();
    ecr.put_lifecycle_policy().repository_name("team/public").lifecycle_policy_text(LIFECYCLE).send().await.unwrap();

    ecr.create_repository().repository_name("plain").send().await.unwrap();
    for tag in ["v1", "v2"] {
        let config =
            format!(r#"{{"mediaType":"application/vnd.docker.container.image.v1+json","size":1,"digest":"{tag}"}}"#);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{config},"layers":[{{"digest":"{tag}"}}]}}"#
        );
        ecr.put_image().repository_name("plain").image_tag(tag).image_manifest(manifest).send().await.unwrap();
    }
    let all = ScanningRepositoryFilter::builder().filter("*").filter_type(ScanningRepositoryFilterType::Wildcard);
    let rule = RegistryScanningRule::builder()
        .scan_frequency(ScanFrequency::ContinuousScan)
        .repository_filters(all.build().unwrap())
        .build()
        .unwrap();
    let configuration = ecr.put_registry_scanning_configuration().scan_type(ScanType::Enhanced).rules(rule);
    configuration.send().await.unwrap();
}
