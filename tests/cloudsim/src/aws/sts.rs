use chrono::TimeDelta;
use http::StatusCode;

use super::error::AwsError;
use super::identity::{Identities, Principal, Session};

/// Answers an STS operation with XML.
pub(crate) fn answer(
    identities: &Identities,
    caller: &Principal,
    operation: &str,
    form: &[(String, String)],
) -> Result<String, AwsError> {
    let result = match operation {
        "GetCallerIdentity" => {
            format!("<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>", caller.arn, caller.user_id, caller.account)
        }
        "AssumeRole" => assume_role(identities, caller, form)?,
        _ => {
            let message = format!("Could not find operation {operation} for version 2011-06-15");
            return Err(AwsError::new(StatusCode::BAD_REQUEST, "InvalidAction", message));
        }
    };
    Ok(wrapped(operation, &result))
}

/// A result in the envelope of its operation.
pub(crate) fn wrapped(operation: &str, result: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
        uuid::Uuid::new_v4()
    )
}

fn assume_role(identities: &Identities, caller: &Principal, form: &[(String, String)]) -> Result<String, AwsError> {
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let invalid = |message: &str| AwsError::new(StatusCode::BAD_REQUEST, "ValidationError", message);
    let role = value("RoleArn").ok_or_else(|| invalid("RoleArn is required"))?;
    let session = value("RoleSessionName").ok_or_else(|| invalid("RoleSessionName is required"))?;
    let seconds = value("DurationSeconds")
        .map_or(Ok(3_600), str::parse)
        .map_err(|_| invalid("DurationSeconds is not a number"))?;
    if !(900..=43_200).contains(&seconds) {
        return Err(invalid("DurationSeconds must be between 900 and 43200"));
    }
    let session =
        identities.assume(role, session, value("ExternalId"), TimeDelta::seconds(seconds)).ok_or_else(|| {
            let message =
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role}", caller.arn);
            AwsError::new(StatusCode::FORBIDDEN, "AccessDenied", message)
        })?;
    Ok(credentials(session))
}

/// What every way of taking on a role answers.
pub(crate) fn credentials(session: Session) -> String {
    format!(
        "<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>{}</AssumedRoleId></AssumedRoleUser><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
         <Expiration>{}</Expiration></Credentials>",
        session.arn,
        session.id,
        session.keys.access_key_id,
        session.keys.secret_access_key,
        session.keys.session_token.unwrap_or_default(),
        session.expires_at.format("%Y-%m-%dT%H:%M:%SZ"),
    )
}
