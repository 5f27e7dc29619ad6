//! The templates grant what is declared and nothing else, and every one of them is well-formed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rampart_connector::Permission;
use rampart_onboarding::{DOCUMENTS, Fill, Permissions, TemplateError, Trust, find, render};
use serde_json::Value;

fn list(names: &[&str]) -> Vec<Permission> {
    names.iter().map(|name| Permission { name: (*name).to_owned(), kinds: Vec::new() }).collect()
}

const INSIDE: [&str; 6] = [
    "get namespaces/kube-system",
    "get /version",
    "get /apis",
    "list pods",
    "list deployments.apps",
    "list validatingadmissionpolicies.admissionregistration.k8s.io",
];

fn sample() -> Permissions {
    Permissions {
        aws: list(&["sts:GetCallerIdentity", "eks:ListClusters", "ecr:DescribeImages"]),
        aws_organization: list(&["organizations:ListAccounts"]),
        azure: list(&[
            "Microsoft.ContainerService/managedClusters/read",
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
        ]),
        azure_organization: list(&["Microsoft.Management/managementGroups/read"]),
        gcp: list(&["container.clusters.list", "artifactregistry.repositories.list"]),
        gcp_organization: list(&["resourcemanager.projects.list", "container.clusters.list"]),
        kubernetes: list(&INSIDE),
        eks: list(&[&INSIDE[..], &["get configmaps/aws-auth"]].concat()),
    }
}

fn filled() -> Fill {
    Fill {
        trust: Trust::WebIdentity,
        aws_principal: Some("arn:aws:iam::999900001111:role/rampart".into()),
        external_id: Some("rampart-0123".into()),
        issuer_url: Some("https://rampart.example".into()),
        subject: Some("t:c".into()),
    }
}

fn text(cloud: &str, format: &str, fill: &Fill) -> String {
    render(find(cloud, format).unwrap(), &sample(), fill).unwrap()
}

/// A `CloudFormation` template without its tags, which only its own reader knows.
fn yaml(text: &str) -> Value {
    let tags = ["Ref", "Sub", "Equals", "Not", "And", "If", "GetAtt"];
    let plain = tags.iter().fold(text.to_owned(), |text, tag| text.replace(&format!("!{tag} "), ""));
    serde_saphyr::from_str(&plain).unwrap_or_else(|error| panic!("{error}\n{plain}"))
}

fn strings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(found.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}

fn actions(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    strings(value, &mut found);
    found
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_document_is_complete_text_filled_or_not() {
    for document in &DOCUMENTS {
        for fill in [Fill::default(), filled()] {
            let text = render(document, &sample(), &fill).unwrap();
            let name = format!("{}/{}", document.cloud, document.file);
            for leftover in ["{%", "%}", "{{", "}}", "undefined", "none,"] {
                // The braces of a nested structure may close together.
                let nested = leftover == "}}" && document.file.rsplit('.').next() == Some("yaml");
                assert!(nested || !text.contains(leftover), "{name} holds {leftover}:\n{text}");
            }
            for (open, close) in [('{', '}'), ('[', ']'), ('(', ')')] {
                let count = |c| text.matches(c).count();
                assert_eq!(count(open), count(close), "{name} is not balanced in {open}{close}");
            }
            assert!(text.ends_with('\n') && !text.contains("secrets"), "{name}");
            if document.file.rsplit('.').next() == Some("sh") {
                let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().unwrap();
                bash.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
                assert!(bash.wait().unwrap().success(), "{name} is no shell script:\n{text}");
            }
        }
    }
}

#[test]
fn cloudformation_grants_exactly_what_is_declared() {
    let account = yaml(&text("aws", "cloudformation", &Fill::default()));
    let granted = &account["Resources"]["Read"]["Properties"]["PolicyDocument"]["Statement"];
    let declared = set(&["sts:GetCallerIdentity", "eks:ListClusters", "ecr:DescribeImages"]);
    assert_eq!(granted.as_array().unwrap().len(), 1);
    assert_eq!(actions(&granted[0]["Action"]), declared);
    let trust = &account["Resources"]["RoleByWebIdentity"]["Properties"]["AssumeRolePolicyDocument"];
    let trust: Value = serde_json::from_str(trust.as_str().unwrap()).unwrap();
    let condition = &trust["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(
        (&condition["${Issuer}:sub"], &condition["${Issuer}:aud"]),
        (&"${Subject}".into(), &"sts.amazonaws.com".into())
    );

    let organization = yaml(&text("aws", "stackset", &filled()));
    let management = &organization["Resources"]["ManagementRole"]["Properties"]["Policies"][0]["PolicyDocument"];
    assert_eq!(actions(&management["Statement"][0]["Action"]), declared);
    assert_eq!(actions(&management["Statement"][1]["Action"]), set(&["organizations:ListAccounts"]));
    let member = &organization["Resources"]["MemberRoles"]["Properties"]["TemplateBody"];
    let member = yaml(member.as_str().unwrap());
    let granted = &member["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    assert_eq!(actions(&granted[0]["Action"]), declared, "members do not read the organisation");
}

#[test]
fn what_is_known_is_filled_in_and_the_rest_is_asked_for() {
    let parameters = |fill: &Fill| yaml(&text("aws", "cloudformation", fill))["Parameters"].clone();
    let open = parameters(&Fill::default());
    assert_eq!((&open["ExternalId"]["Default"], &open["Trust"]["Default"]), (&"".into(), &"external_id".into()));
    let known = parameters(&filled());
    let default = |name: &str| known[name]["Default"].as_str().unwrap().to_owned();
    assert_eq!(
        [default("ExternalId"), default("Issuer"), default("Subject"), default("Trust"), default("RampartPrincipal")],
        ["rampart-0123", "rampart.example", "t:c", "web_identity", "arn:aws:iam::999900001111:role/rampart"]
    );
    for (cloud, format) in
        [("azure", "terraform"), ("azure", "identity_bicep"), ("gcp", "terraform"), ("gcp", "script")]
    {
        assert!(text(cloud, format, &filled()).contains("https://rampart.example"), "{cloud} {format}");
        assert!(text(cloud, format, &filled()).contains("t:c"), "{cloud} {format}");
    }
    for evil in ["x\" }\nresource \"y\" {", "$(reboot)", "a'b", "${var.x}"] {
        let fill = Fill { subject: Some(evil.to_owned()), ..Fill::default() };
        let refused = render(find("gcp", "script").unwrap(), &sample(), &fill);
        assert!(matches!(refused, Err(TemplateError::Value(_))), "{evil}");
    }
}

#[test]
fn azure_tells_data_actions_apart() {
    for format in ["bicep", "terraform"] {
        let text = text("azure", format, &Fill::default());
        let (before, after) = text.split_once(if format == "bicep" { "dataActions" } else { "data_actions" }).unwrap();
        assert!(before.contains("managedClusters/read") && before.contains("registries/read"), "{format}");
        assert!(!before.contains("metadata/read") && after.contains("metadata/read"), "{format}");
    }
    let fleet = text("azure", "fleet_terraform", &Fill::default());
    assert!(fleet.contains("\"Microsoft.ContainerService/managedClusters/apps/deployments/read\""));
    assert!(!fleet.contains("metadata/read") && !fleet.contains("configmaps"));
}

#[test]
fn gke_gets_what_iam_governs_and_names_the_rest() {
    let fleet = text("gcp", "fleet_terraform", &Fill::default());
    assert!(fleet.contains("\"container.deployments.list\""));
    assert!(fleet.contains("#   list validatingadmissionpolicies.admissionregistration.k8s.io"));
    assert!(fleet.contains("\"container.clusters.connect\""), "rights inside are for those who are let in");
    let organization = text("gcp", "organization_terraform", &Fill::default());
    assert_eq!(organization.matches("\"container.clusters.list\"").count(), 1, "what is needed twice is granted once");
    assert!(organization.contains("\"resourcemanager.projects.list\""));
    let script = text("gcp", "script", &Fill::default());
    assert!(script.contains("\nartifactregistry.repositories.list,\ncontainer.clusters.list\nLIST"), "{script}");
}

#[test]
fn manifests_grant_reads_of_what_is_declared_and_no_secret() {
    for (cloud, subject, roles) in [("kubernetes", "ServiceAccount", 1), ("aws", "Group", 2)] {
        let text = text(cloud, "manifest", &Fill::default());
        let objects: Vec<Value> = text.split("\n---\n").map(|part| serde_saphyr::from_str(part).unwrap()).collect();
        let of = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("ClusterRole").len() + of("Role").len(), roles, "{text}");
        let mut verbs = BTreeSet::new();
        for role in of("ClusterRole").into_iter().chain(of("Role")) {
            for rule in role["rules"].as_array().unwrap() {
                strings(&rule["verbs"], &mut verbs);
            }
        }
        assert_eq!(verbs, set(&["get", "list"]));
        let rules = of("ClusterRole")[0]["rules"].as_array().unwrap().clone();
        let listed: BTreeSet<String> = rules
            .iter()
            .filter(|rule| rule["verbs"][0] == "list")
            .flat_map(|rule| {
                let group = rule["apiGroups"][0].as_str().unwrap().to_owned();
                let resources = rule["resources"].as_array().unwrap().clone();
                resources.into_iter().map(move |it| format!("{}/{group}", it.as_str().unwrap()))
            })
            .collect();
        let admission = "validatingadmissionpolicies/admissionregistration.k8s.io";
        assert_eq!(listed, set(&["pods/", "deployments/apps", admission]));
        for binding in of("ClusterRoleBinding").into_iter().chain(of("RoleBinding")) {
            assert_eq!(binding["subjects"][0]["kind"], subject);
        }
        let wide = rules.iter().filter(|rule| rule["resources"][0] == "configmaps").count();
        assert_eq!(wide, 0, "config maps are read in one namespace only");
    }
}

#[test]
fn a_cloud_without_permissions_has_no_templates() {
    let only_aws = Permissions { azure: Vec::new(), gcp: Vec::new(), ..sample() };
    for document in &DOCUMENTS {
        let made = render(document, &only_aws, &Fill::default());
        assert_eq!(made.is_ok(), only_aws.has(document.cloud), "{}/{}", document.cloud, document.file);
    }
    let malformed = Permissions { kubernetes: list(&["create pods"]), ..sample() };
    assert!(render(find("kubernetes", "manifest").unwrap(), &malformed, &Fill::default()).is_err());
}
