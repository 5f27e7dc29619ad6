//! `AssumeRoleWithWebIdentity`: the one call that is not signed, because the statement is the credential.

use chrono::TimeDelta;
use http::StatusCode;

use super::error::AwsError;
use super::identity::Identities;
use super::sts;
use crate::federation::{self, Disbelief};

/// The client id that customers give the identity provider of the issuer.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Answers the call with XML.
pub(crate) async fn answer(identities: &Identities, form: &[(String, String)]) -> Result<String, AwsError> {
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let missing = |name: &str| AwsError::new(StatusCode::BAD_REQUEST, "ValidationError", format!("{name} is required"));
    let role = value("RoleArn").ok_or_else(|| missing("RoleArn"))?;
    let session = value("RoleSessionName").ok_or_else(|| missing("RoleSessionName"))?;
    let token = value("WebIdentityToken").ok_or_else(|| missing("WebIdentityToken"))?;
    let refused = || {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        AwsError::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    };
    let mut trusted = Vec::new();
    for issuer in identities.issuers_of(role) {
        match federation::subject(token, &issuer, AUDIENCE).await {
            Ok(subject) => trusted.push((issuer, subject)),
            Err(Disbelief::Invalid) => {}
            Err(Disbelief::Expired) => {
                let message = "Token expired: current date/time must be before the expiration date/time";
                return Err(AwsError::new(StatusCode::BAD_REQUEST, "ExpiredTokenException", message));
            }
            Err(Disbelief::Unreachable) => {
                let message = "Couldn't retrieve verification key from your identity provider";
                return Err(AwsError::new(StatusCode::BAD_REQUEST, "IDPCommunicationError", message));
            }
        }
    }
    let Some((issuer, subject)) = trusted.pop() else {
        let message = "The web identity token that was passed is not valid for any provider that the role trusts";
        return Err(AwsError::new(StatusCode::BAD_REQUEST, "InvalidIdentityToken", message));
    };
    let session = identities.assume_by_statement(role, session, (&issuer, &subject), TimeDelta::hours(1));
    Ok(sts::wrapped("AssumeRoleWithWebIdentity", &sts::credentials(session.ok_or_else(refused)?)))
}
