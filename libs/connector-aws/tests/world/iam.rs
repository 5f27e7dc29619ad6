use rampart_connector::conformance::server::Reply;

use super::answers::ACCOUNT;

/// How requests of IAM are told from those of other services with forms.
pub(crate) const VERSION: &str = "2010-05-08";

/// `{"Statement":{"Effect":"Allow","Action":"ecr:*"}}`
const DOCUMENT: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ecr%3A%2A%22%7D%7D";

/// Two policies and three roles, one of which belongs to a service of AWS; one of them per page.
pub(crate) fn answer(form: &str, offset: usize) -> Reply {
    let (field, items) = if form.contains("Filter.member.1=Role") {
        let path = "/aws-service-role/eks.amazonaws.com/";
        ("RoleDetailList", vec![role("one", "/"), role("AWSServiceRoleForAmazonEKS", path), role("two", "/team/")])
    } else {
        ("Policies", vec![policy("push"), policy("unused")])
    };
    let more = offset + 1 < items.len();
    let marker = if more { format!("<Marker>{}</Marker>", offset + 1) } else { String::new() };
    let item = &items[offset];
    Reply::new(
        200,
        &format!(
            "<GetAccountAuthorizationDetailsResponse xmlns=\"https://iam.amazonaws.com/doc/{VERSION}/\">\
             <GetAccountAuthorizationDetailsResult><IsTruncated>{more}</IsTruncated>{marker}\
             <{field}><member>{item}</member></{field}></GetAccountAuthorizationDetailsResult>\
             </GetAccountAuthorizationDetailsResponse>"
        ),
    )
}

fn policy(name: &str) -> String {
    let version = |id: &str, default: bool, document: &str| {
        format!(
            "<member><VersionId>{id}</VersionId><IsDefaultVersion>{default}</IsDefaultVersion><Document>{document}</Document></member>"
        )
    };
    let versions = [version("v1", false, "%7B%7D"), version("v2", true, DOCUMENT)].concat();
    format!(
        "<PolicyName>{name}</PolicyName><Arn>arn:aws:iam::{ACCOUNT}:policy/{name}</Arn>\
         <PolicyVersionList>{versions}</PolicyVersionList>"
    )
}

fn role(name: &str, path: &str) -> String {
    let attached = |arn: &str| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>");
    let attached = [
        attached("arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"),
        attached(&format!("arn:aws:iam::{ACCOUNT}:policy/push")),
    ];
    let profile = format!(
        "<member><Path>{path}</Path><InstanceProfileName>{name}</InstanceProfileName><InstanceProfileId>AIPA{name}\
         </InstanceProfileId><Arn>arn:aws:iam::{ACCOUNT}:instance-profile{path}{name}</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles/></member>"
    );
    format!(
        "<Path>{path}</Path><RoleName>{name}</RoleName><Arn>arn:aws:iam::{ACCOUNT}:role{path}{name}</Arn>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>{DOCUMENT}</AssumeRolePolicyDocument>\
         <InstanceProfileList>{profile}</InstanceProfileList>\
         <RolePolicyList><member><PolicyName>inline</PolicyName><PolicyDocument>{DOCUMENT}</PolicyDocument></member></RolePolicyList>\
         <AttachedManagedPolicies>{}</AttachedManagedPolicies>\
         <Tags><member><Key>team</Key><Value>payments</Value></member></Tags>\
         <RoleLastUsed><LastUsedDate>2026-10-01T00:00:00Z</LastUsedDate></RoleLastUsed>",
        attached.concat()
    )
}
