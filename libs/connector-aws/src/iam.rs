//! IAM of an account: its roles, each with the documents of its policies.
//!
//! ```text
//! GetAccountAuthorizationDetails (own policies) ─▶ document of each default version ─┐
//! GetAccountAuthorizationDetails (roles) ─▶ page by page ───────────────────────────▶ role
//! ```
//! Policies of AWS's own are known by their ARN. Roles that only a service of AWS can use are left out.

use std::collections::HashMap;
use std::pin::pin;

use futures::{Stream, StreamExt};
use rampart_connector::{ConnectorError, Lister, Outcome, Sink};
use rampart_domain::Kind;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::calls::iam::{GET_ACCOUNT_AUTHORIZATION_DETAILS, Part};
use crate::calls::{IamCalls, pages};
use crate::normalize::{self, Place};

/// Items per page. A role takes up to about 60 kilobytes, a policy with its versions likewise.
const PAGE: i32 = 100;

/// Reads the roles of an account.
pub(crate) async fn read(calls: IamCalls, place: &Place, kinds: &[Kind], sink: &Sink, cancel: CancellationToken) {
    let lister = Lister::start(sink, place.scope(), Kind::AwsIamRole, kinds, cancel).await;
    if lister.is_open() {
        match documents(&calls).await {
            Ok(documents) => roles(&calls, place, &documents, &lister).await,
            Err(error) => lister.fail(error),
        }
    }
    lister.finish(Outcome::Complete).await;
}

/// The document of each policy of the customer's own, by the policy's ARN, as IAM encodes it.
async fn documents(calls: &IamCalls) -> Result<HashMap<String, String>, ConnectorError> {
    let mut documents = HashMap::new();
    let mut pages = pin!(list(calls, Part::Policies));
    while let Some(policies) = pages.next().await {
        documents.extend(policies?.iter().filter_map(normalize::default_document));
    }
    Ok(documents)
}

async fn roles(calls: &IamCalls, place: &Place, documents: &HashMap<String, String>, lister: &Lister<'_>) {
    let mut pages = pin!(list(calls, Part::Roles));
    while let Some(page) = pages.next().await {
        match page {
            Ok(roles) => {
                for role in roles.into_iter().filter(|role| !normalize::is_service_linked(role)) {
                    let role = normalize::role(place, role, documents);
                    lister.push(GET_ACCOUNT_AUTHORIZATION_DETAILS, role).await;
                }
            }
            Err(error) => lister.fail(error),
        }
    }
}

fn list(calls: &IamCalls, part: Part) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> {
    let fetch = move |page| calls.details(part, page);
    pages(&calls.line, GET_ACCOUNT_AUTHORIZATION_DETAILS, part.field(), PAGE, fetch)
}
