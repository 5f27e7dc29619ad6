//! CloudWatch Logs and IAM as clients see them.

use crate::aws::escaped;
use crate::support::{Aws, element, simulator};
use cloudsim::models::Model;
use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Simulator, Target};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";

/// The log groups of EKS in a region.
pub(crate) async fn read_logs(aws: &Aws) -> Vec<Value> {
    let (mut groups, mut request) = (Vec::new(), json!({ "logGroupNamePrefix": "/aws/eks/", "limit": 50 }));
    loop {
        assert_eq!(Model::Logs.check_input("DescribeLogGroups", &request), [] as [String; 0]);
        let (status, mut answer) = aws.log_groups(&request).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(Model::Logs.check_output("DescribeLogGroups", &answer), [] as [String; 0]);
        groups.append(answer["logGroups"].as_array_mut().unwrap());
        match answer["nextToken"].take() {
            Value::Null => return groups,
            next => request["nextToken"] = next,
        }
    }
}

/// What IAM of an account answers, before it becomes XML.
pub(crate) fn details_have_the_shape_of_the_model(simulator: &Simulator, account: usize) {
    let iam = simulator.world().iam(&simulator.accounts()[account].id).unwrap();
    let answer = json!({ "RoleDetailList": iam.roles, "Policies": iam.policies, "IsTruncated": false });
    assert_eq!(Model::Iam.check_output("GetAccountAuthorizationDetails", &answer), [] as [String; 0]);
}

#[tokio::test]
async fn log_groups_are_found_by_their_prefix() {
    let simulator = simulator(Preset::Clusters500).await;
    let aws = Aws::new(&simulator, 0, REGION);
    let clusters = simulator.world().clusters().filter(|cluster| cluster.region() == Some(REGION)).count();
    let groups = read_logs(&aws).await;
    let of_control_planes = groups.iter().filter(|group| group["logGroupName"].as_str().unwrap().ends_with("/cluster"));
    assert_eq!((groups.len(), of_control_planes.count()), (clusters * 2, clusters));
    assert_eq!(aws.log_groups(&json!({ "logGroupNamePrefix": "/aws/lambda/" })).await.1, json!({ "logGroups": [] }));
    assert_eq!(aws.log_groups(&json!({ "limit": 51 })).await.0, 400);
}

#[tokio::test]
async fn details_of_iam_come_in_pages_of_what_was_asked_for() {
    let simulator = simulator(Preset::Clusters500).await;
    let aws = Aws::new(&simulator, 0, "us-east-1");
    let iam = simulator.world().iam(&simulator.accounts()[0].id).unwrap();
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let (status, xml) = aws.iam(&format!("&Filter.member.1=Role&MaxItems=100{marker}")).await;
        assert_eq!(status, 200, "{xml}");
        let page: Vec<&str> = xml.split("<RoleName>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
        assert!(page.len() <= 100 && !xml.contains("<PolicyVersionList>"));
        names.extend(page.into_iter().map(str::to_owned));
        if element(&xml, "IsTruncated") == "false" {
            break;
        }
        marker = format!("&Marker={}", escaped(&element(&xml, "Marker")));
    }
    let all: Vec<_> = iam.roles.iter().map(|role| role["RoleName"].as_str().unwrap()).collect();
    assert!(all.len() > 1_000, "{}", all.len());
    assert_eq!(names, all);

    let (_, xml) = aws.iam("&Filter.member.1=LocalManagedPolicy").await;
    assert!(xml.contains("<IsTruncated>false</IsTruncated>") && !xml.contains("<RoleName>"), "{xml}");
    assert!(xml.contains("<Document>%7B%22") && xml.contains("%22ecr%3APutImage%22"), "{xml}");
    let target = Target::aws("iam", "GetAccountAuthorizationDetails");
    simulator.faults().inject(Fault { target, kind: FaultKind::Forbidden, times: Some(1) });
    let (status, xml) = aws.iam("").await;
    assert_eq!((status, element(&xml, "Code").as_str()), (403, "AccessDenied"));
}
