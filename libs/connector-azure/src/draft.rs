//! What the SDK would send.
//!
//! The SDK's crates know every operation by name, method and path. Their models do not keep up: they drop fields that are
//! newer, and one unexpected value loses a whole page; the api-versions that they carry are withdrawn, and their transport
//! logs the token. So an operation is run against a transport that notes the request and answers with an empty list, and
//! [`crate::arm::Arm`] sends what was noted, with an api-version that is served, and keeps the raw body.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_mgmt_containerregistry::package_2023_07 as containerregistry;
use futures::{FutureExt, StreamExt};
use http::Method;
use rampart_connector::{ConnectorError, ErrorKind};
use url::Url;

use crate::arm_id::Located;

/// The stable version of the AKS API whose answers controls are written for.
const AKS_VERSION: &str = "2025-10-01";
/// The stable version of the container registry API.
pub(crate) const ACR_VERSION: &str = "2025-11-01";

/// An operation: what is called, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) url: Url,
}

/// What a transport was asked to send.
#[derive(Debug, Default)]
struct Noted(Mutex<Option<(String, Url)>>);

impl Noted {
    fn note(&self, method: &str, url: &Url) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((method.to_owned(), url.clone()));
    }

    /// The operation under the version that is wanted.
    fn draft(&self, api: &str, version: &str) -> Result<Draft, ConnectorError> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (method, mut url) = noted.ok_or_else(|| {
            ConnectorError::new(ErrorKind::Permanent, api, "the operation cannot be put into a request")
        })?;
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| ConnectorError::new(ErrorKind::Permanent, api, "the operation has no method"))?;
        url.query_pairs_mut().clear().append_pair("api-version", version);
        Ok(Draft { method, url })
    }
}

/// A transport for one version of the SDK's core: notes what it is asked to send.
macro_rules! noting {
    ($module:ident, $core:ident) => {
        mod $module {
            use std::sync::Arc;

            use async_trait::async_trait;
            use bytes::Bytes;
            use futures::stream;
            use $core as core;

            use super::Noted;

            #[derive(Debug)]
            struct Transport(Arc<Noted>);

            #[async_trait]
            impl core::HttpClient for Transport {
                async fn execute_request(&self, request: &core::Request) -> core::Result<core::Response> {
                    self.0.note(request.method().as_ref(), request.url());
                    let empty = stream::once(std::future::ready(Ok(Bytes::from_static(b"{\"value\":[]}"))));
                    Ok(core::Response::new(core::StatusCode::Ok, core::headers::Headers::new(), Box::pin(empty)))
                }
            }

            pub(super) fn transport(noted: &Arc<Noted>) -> core::TransportOptions {
                core::TransportOptions::new(Arc::new(Transport(Arc::clone(noted))))
            }
        }
    };
}

noting!(service, azure_core_containerservice);
noting!(registry, azure_core_containerregistry);

/// Nothing that opens anything: the request that it signs is never sent.
#[derive(Debug)]
struct NoCredential;

/// An end of life that the SDK demands to be told.
const LATER: &str = "2100-01-01T00:00:00Z";

#[async_trait]
impl azure_core_containerservice::auth::TokenCredential for NoCredential {
    async fn get_token(
        &self,
        _resource: &str,
    ) -> azure_core_containerservice::Result<azure_core_containerservice::auth::TokenResponse> {
        use azure_core_containerservice::auth::{AccessToken, TokenResponse};
        use azure_core_containerservice::date::parse_rfc3339;

        Ok(TokenResponse::new(AccessToken::new(""), parse_rfc3339(LATER)?))
    }
}

#[async_trait]
impl azure_core_containerregistry::auth::TokenCredential for NoCredential {
    async fn get_token(
        &self,
        _scopes: &[&str],
    ) -> azure_core_containerregistry::Result<azure_core_containerregistry::auth::AccessToken> {
        use azure_core_containerregistry::auth::AccessToken;
        use azure_core_containerregistry::date::parse_rfc3339;

        Ok(AccessToken::new("", parse_rfc3339(LATER)?))
    }

    async fn clear_cache(&self) -> azure_core_containerregistry::Result<()> {
        Ok(())
    }
}

/// Operations of AKS in a subscription.
#[derive(Debug, Clone)]
pub(crate) struct Aks {
    pub(crate) endpoint: Url,
    pub(crate) subscription: String,
}

/// Runs a listing's first page, or a single call, of which everything is ready at once.
macro_rules! first {
    (list $operation:expr) => {
        drop($operation.into_stream().next().now_or_never())
    };
    (call $operation:expr) => {
        drop($operation.send().now_or_never())
    };
}

impl Aks {
    fn draft(&self, api: &str, run: impl FnOnce(azure_mgmt_containerservice::Client)) -> Result<Draft, ConnectorError> {
        let noted = Arc::new(Noted::default());
        let client = azure_mgmt_containerservice::Client::builder(Arc::new(NoCredential))
            .endpoint(self.endpoint.as_str().trim_end_matches('/'))
            .retry(azure_core_containerservice::RetryOptions::none())
            .transport(service::transport(&noted))
            .build();
        run(client);
        noted.draft(api, AKS_VERSION)
    }

    pub(crate) fn clusters(&self, api: &str) -> Result<Draft, ConnectorError> {
        self.draft(api, |client| first!(list client.managed_clusters_client().list(&self.subscription)))
    }

    pub(crate) fn agent_pools(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, |client| first!(list client.agent_pools_client().list(&self.subscription, group, name)))
    }

    pub(crate) fn maintenance_configurations(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, |client| {
            let client = client.maintenance_configurations_client();
            first!(list client.list_by_managed_cluster(&self.subscription, group, name));
        })
    }

    pub(crate) fn trusted_access_role_bindings(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, |client| {
            first!(list client.trusted_access_role_bindings_client().list(&self.subscription, group, name));
        })
    }

    /// Never the administrator's: those are another operation.
    pub(crate) fn user_credentials(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, |client| {
            let client = client.managed_clusters_client();
            first!(call client.list_cluster_user_credentials(&self.subscription, group, name));
        })
    }
}

/// Operations of container registries in a subscription.
#[derive(Debug, Clone)]
pub(crate) struct Acr {
    pub(crate) endpoint: Url,
    pub(crate) subscription: String,
}

impl Acr {
    fn draft(
        &self,
        api: &str,
        version: &str,
        run: impl FnOnce(containerregistry::Client),
    ) -> Result<Draft, ConnectorError> {
        let noted = Arc::new(Noted::default());
        let client = containerregistry::Client::builder(Arc::new(NoCredential))
            .endpoint(self.endpoint.clone())
            .retry(azure_core_containerregistry::RetryOptions::none())
            .transport(registry::transport(&noted))
            .build();
        let failed = |error: azure_core_containerregistry::Error| {
            ConnectorError::new(ErrorKind::Permanent, api, error.to_string())
        };
        run(client.map_err(failed)?);
        noted.draft(api, version)
    }

    /// Under a version of the caller's choice: some policies are in previews only.
    pub(crate) fn registries(&self, api: &str, version: &str) -> Result<Draft, ConnectorError> {
        self.draft(api, version, |client| first!(list client.registries_client().list(&self.subscription)))
    }

    pub(crate) fn replications(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, ACR_VERSION, |client| {
            first!(list client.replications_client().list(&self.subscription, group, name));
        })
    }

    pub(crate) fn webhooks(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, ACR_VERSION, |client| {
            first!(list client.webhooks_client().list(&self.subscription, group, name));
        })
    }

    pub(crate) fn tokens(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, ACR_VERSION, |client| {
            first!(list client.tokens_client().list(&self.subscription, group, name));
        })
    }

    pub(crate) fn scope_maps(&self, api: &str, at: &Located) -> Result<Draft, ConnectorError> {
        let Located { group, name } = at;
        self.draft(api, ACR_VERSION, |client| {
            first!(list client.scope_maps_client().list(&self.subscription, group, name));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(draft: Result<Draft, ConnectorError>, method: &Method, path: &str) {
        let draft = draft.unwrap();
        let want = format!("https://management.azure.com/subscriptions/sub/{path}");
        assert_eq!((&draft.method, draft.url.as_str()), (method, want.as_str()));
    }

    #[test]
    fn operations_come_from_the_sdk_under_a_version_that_is_served() {
        let endpoint: Url = "https://management.azure.com/".parse().unwrap();
        let at = Located { group: "rg".into(), name: "one".into() };
        let aks = Aks { endpoint: endpoint.clone(), subscription: "sub".into() };
        let cluster = "resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/one";
        let version = "api-version=2025-10-01";
        let (get, post) = (&Method::GET, &Method::POST);
        check(aks.clusters("a"), get, &format!("providers/Microsoft.ContainerService/managedClusters?{version}"));
        check(aks.agent_pools("a", &at), get, &format!("{cluster}/agentPools?{version}"));
        let maintenance = aks.maintenance_configurations("a", &at);
        check(maintenance, get, &format!("{cluster}/maintenanceConfigurations?{version}"));
        let trusted = aks.trusted_access_role_bindings("a", &at);
        check(trusted, get, &format!("{cluster}/trustedAccessRoleBindings?{version}"));
        check(aks.user_credentials("a", &at), post, &format!("{cluster}/listClusterUserCredential?{version}"));

        let acr = Acr { endpoint, subscription: "sub".into() };
        let registry = "resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/one";
        let version = "api-version=2025-11-01";
        let all = acr.registries("a", ACR_VERSION);
        check(all, get, &format!("providers/Microsoft.ContainerRegistry/registries?{version}"));
        check(acr.replications("a", &at), get, &format!("{registry}/replications?{version}"));
        check(acr.webhooks("a", &at), get, &format!("{registry}/webhooks?{version}"));
        check(acr.tokens("a", &at), get, &format!("{registry}/tokens?{version}"));
        check(acr.scope_maps("a", &at), get, &format!("{registry}/scopeMaps?{version}"));
    }
}
