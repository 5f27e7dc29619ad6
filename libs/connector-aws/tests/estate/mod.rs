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

/// Clusters with a node group and a Fargate profile each, two repositories, two images, enhanced scanning.
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
