//! IAM answers in XML, so that the SDK's typed output becomes JSON here, under the provider's field names.

use aws_config::SdkConfig;
use aws_sdk_iam::operation::get_account_authorization_details::GetAccountAuthorizationDetailsOutput;
use aws_sdk_iam::types::{
    AttachedPermissionsBoundary, AttachedPolicy, EntityType, InstanceProfile, ManagedPolicyDetail,
    PermissionsBoundaryAttachmentType, PolicyDetail, PolicyVersion, RoleDetail, Tag,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::{Value, json};

use super::{Line, PageOf};
use crate::errors;

pub(crate) const GET_ACCOUNT_AUTHORIZATION_DETAILS: &str = "iam:GetAccountAuthorizationDetails";

/// Which part of an account's details is asked for; users and groups never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Policies of the customer's own, with the documents of their versions.
    Policies,
    /// Roles with their inline policies and the names of those that are attached.
    Roles,
}

impl Part {
    /// The member of the answer that lists it.
    pub(crate) const fn field(self) -> &'static str {
        match self {
            Self::Policies => "Policies",
            Self::Roles => "RoleDetailList",
        }
    }

    const fn filter(self) -> EntityType {
        match self {
            Self::Policies => EntityType::LocalManagedPolicy,
            Self::Roles => EntityType::Role,
        }
    }
}

/// The IAM API of a partition.
#[derive(Debug)]
pub(crate) struct IamCalls {
    client: aws_sdk_iam::Client,
    pub(crate) line: Line,
}

impl IamCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { client: aws_sdk_iam::Client::new(config), line }
    }

    pub(crate) async fn details(&self, part: Part, page: PageOf) -> Result<Value, ConnectorError> {
        let api = GET_ACCOUNT_AUTHORIZATION_DETAILS;
        let request = || self.client.get_account_authorization_details().filter(part.filter());
        let request = || request().set_marker(page.token.clone()).set_max_items(page.size);
        let answer = self.line.caller.call(&self.line.bucket, api, || async {
            request().send().await.map_err(|error| errors::from_sdk(api, &error))
        });
        spelled(part, &answer.await?)
    }
}

/// The answer in JSON, with a marker only where there is more.
fn spelled(part: Part, answer: &GetAccountAuthorizationDetailsOutput) -> Result<Value, ConnectorError> {
    if answer.is_truncated && answer.marker.is_none() {
        let message = "the answer is cut and does not say where it goes on";
        return Err(ConnectorError::new(ErrorKind::Permanent, GET_ACCOUNT_AUTHORIZATION_DETAILS, message));
    }
    let items = match part {
        Part::Policies => each(answer.policies.as_deref(), policy),
        Part::Roles => each(answer.role_detail_list.as_deref(), role),
    };
    let marker = answer.marker.as_ref().filter(|_| answer.is_truncated);
    Ok(json!({ part.field(): items.unwrap_or_default(), "Marker": marker }))
}

fn policy(policy: &ManagedPolicyDetail) -> Value {
    let version = |version: &PolicyVersion| {
        json!({ "Document": version.document, "VersionId": version.version_id,
            "IsDefaultVersion": version.is_default_version })
    };
    json!({ "Arn": policy.arn, "PolicyVersionList": each(policy.policy_version_list.as_deref(), version) })
}

/// Without `RoleLastUsed`, which changes without a change of configuration.
fn role(role: &RoleDetail) -> Value {
    let inline = |one: &PolicyDetail| json!({ "PolicyName": one.policy_name, "PolicyDocument": one.policy_document });
    let attached = |one: &AttachedPolicy| json!({ "PolicyName": one.policy_name, "PolicyArn": one.policy_arn });
    let boundary = |one: &AttachedPermissionsBoundary| {
        let of_type = one.permissions_boundary_type.as_ref().map(PermissionsBoundaryAttachmentType::as_str);
        json!({ "PermissionsBoundaryType": of_type, "PermissionsBoundaryArn": one.permissions_boundary_arn })
    };
    let tag = |one: &Tag| json!({ "Key": one.key, "Value": one.value });
    json!({
        "Path": role.path,
        "RoleName": role.role_name,
        "RoleId": role.role_id,
        "Arn": role.arn,
        "CreateDate": role.create_date.as_ref().and_then(date),
        "AssumeRolePolicyDocument": role.assume_role_policy_document,
        "InstanceProfileList": each(role.instance_profile_list.as_deref(), instance_profile),
        "RolePolicyList": each(role.role_policy_list.as_deref(), inline),
        "AttachedManagedPolicies": each(role.attached_managed_policies.as_deref(), attached),
        "PermissionsBoundary": role.permissions_boundary.as_ref().map(boundary),
        "Tags": each(role.tags.as_deref(), tag),
    })
}

/// Without `Roles`, which repeats the role that it is part of.
fn instance_profile(profile: &InstanceProfile) -> Value {
    json!({
        "Path": profile.path,
        "InstanceProfileName": profile.instance_profile_name,
        "InstanceProfileId": profile.instance_profile_id,
        "Arn": profile.arn,
        "CreateDate": date(&profile.create_date),
    })
}

fn each<T>(items: Option<&[T]>, spell: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    Some(items?.iter().map(spell).collect())
}

fn date(date: &DateTime) -> Option<String> {
    date.fmt(Format::DateTime).ok()
}
