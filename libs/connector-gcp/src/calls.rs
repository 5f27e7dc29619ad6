//! One function per API that a scan uses. Each returns the provider's JSON and is named by the permission that it needs.

use std::future::Future;
use std::sync::Arc;

use futures::Stream;
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind, Page, paginate};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::auth::Tokens;
use crate::http::{Ask, Body, Http, Service};

pub(crate) const GET_PROJECT: &str = "resourcemanager.projects.get";
pub(crate) const TEST_PERMISSIONS: &str = "resourcemanager.projects.testIamPermissions";
pub(crate) const LIST_PROJECTS: &str = "resourcemanager.projects.list";
pub(crate) const LIST_FOLDERS: &str = "resourcemanager.folders.list";
pub(crate) const GET_FOLDER: &str = "resourcemanager.folders.get";
pub(crate) const GET_ORGANIZATION: &str = "resourcemanager.organizations.get";
pub(crate) const LIST_CLUSTERS: &str = "container.clusters.list";
pub(crate) const LIST_LOCATIONS: &str = "artifactregistry.locations.list";
pub(crate) const LIST_REPOSITORIES: &str = "artifactregistry.repositories.list";
pub(crate) const GET_POLICY: &str = "artifactregistry.repositories.getIamPolicy";
pub(crate) const LIST_IMAGES: &str = "artifactregistry.dockerimages.list";
pub(crate) const GET_PROJECT_POLICY: &str = "resourcemanager.projects.getIamPolicy";
pub(crate) const LIST_SERVICES: &str = "serviceusage.services.list";
pub(crate) const LIST_SUBNETWORKS: &str = "compute.subnetworks.list";
pub(crate) const LIST_FIREWALLS: &str = "compute.firewalls.list";

/// Which page of a listing is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageOf {
    /// From the page before.
    pub(crate) token: Option<String>,
    /// Most items in it.
    pub(crate) size: usize,
}

impl PageOf {
    /// The smallest first page.
    pub(crate) fn one() -> Self {
        Self { token: None, size: 1 }
    }

    fn query(self) -> Vec<(&'static str, String)> {
        self.sized("pageSize")
    }

    /// In the words of Compute Engine.
    fn compute_query(self) -> Vec<(&'static str, String)> {
        self.sized("maxResults")
    }

    fn sized(self, size: &'static str) -> Vec<(&'static str, String)> {
        let token = self.token.map(|token| ("pageToken", token));
        std::iter::once((size, self.size.to_string())).chain(token).collect()
    }
}

/// The APIs as one identity asks them on behalf of one project or organisation.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) caller: Caller,
    http: Arc<Http>,
    /// What Google counts calls by: the project's id, or the organisation's name.
    account: Arc<str>,
}

impl Calls {
    pub(crate) fn new(tokens: Arc<Tokens>, http: Arc<Http>, caller: Caller, account: &str) -> Self {
        Self { tokens, caller, http, account: account.into() }
    }

    /// The same calls under another cancellation.
    pub(crate) fn until(&self, cancel: CancellationToken) -> Self {
        Self { caller: self.caller.with_cancel(cancel), ..self.clone() }
    }

    /// Gets a token if there is none, and says whether there is one now.
    pub(crate) async fn sign_in(&self) -> Result<(), ConnectorError> {
        let signed_in = self.caller.cancel().run_until_cancelled(self.tokens.token(None)).await;
        signed_in.unwrap_or_else(|| Err(stopped())).map(drop)
    }

    pub(crate) async fn project(&self, id: &str) -> Result<Value, ConnectorError> {
        self.get(GET_PROJECT, Service::ResourceManager, &format!("/v3/projects/{id}"), Vec::new()).await
    }

    /// Those of `permissions` that the identity has on the project.
    pub(crate) async fn test_permissions(&self, id: &str, permissions: &[&str]) -> Result<Value, ConnectorError> {
        let path = format!("/v3/projects/{id}:testIamPermissions");
        let body = Body::Json(json!({ "permissions": permissions }));
        let ask = Ask { service: Service::ResourceManager, path: &path, query: Vec::new(), body };
        self.send(TEST_PERMISSIONS, &ask).await
    }

    /// The IAM policy of a project. Version 3 is the one that has conditions.
    pub(crate) async fn project_policy(&self, id: &str) -> Result<Value, ConnectorError> {
        let path = format!("/v3/projects/{id}:getIamPolicy");
        let body = Body::Json(json!({ "options": { "requestedPolicyVersion": 3 } }));
        let ask = Ask { service: Service::ResourceManager, path: &path, query: Vec::new(), body };
        self.send(GET_PROJECT_POLICY, &ask).await
    }

    /// The APIs that are enabled in a project.
    pub(crate) async fn services(&self, project: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let mut query = page.query();
        query.push(("filter", "state:ENABLED".to_owned()));
        self.get(LIST_SERVICES, Service::ApiManagement, &format!("/v1/projects/{project}/services"), query).await
    }

    pub(crate) async fn organization(&self, name: &str) -> Result<Value, ConnectorError> {
        self.get(GET_ORGANIZATION, Service::ResourceManager, &format!("/v3/{name}"), Vec::new()).await
    }

    pub(crate) async fn folder(&self, name: &str) -> Result<Value, ConnectorError> {
        self.get(GET_FOLDER, Service::ResourceManager, &format!("/v3/{name}"), Vec::new()).await
    }

    pub(crate) async fn folders(&self, parent: &str, page: PageOf) -> Result<Value, ConnectorError> {
        self.below(LIST_FOLDERS, "/v3/folders", parent, page).await
    }

    pub(crate) async fn projects(&self, parent: &str, page: PageOf) -> Result<Value, ConnectorError> {
        self.below(LIST_PROJECTS, "/v3/projects", parent, page).await
    }

    /// What lies directly below an organisation or folder, marked for deletion or not.
    async fn below(&self, api: &str, path: &str, parent: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let mut query = page.query();
        query.extend([("parent", parent.to_owned()), ("showDeleted", "true".to_owned())]);
        self.get(api, Service::ResourceManager, path, query).await
    }

    /// Clusters of all locations with their node pools: one answer without pages. `fields` cuts it down.
    pub(crate) async fn clusters(&self, project: &str, fields: Option<&str>) -> Result<Value, ConnectorError> {
        let path = format!("/v1/projects/{project}/locations/-/clusters");
        let query = fields.map(|fields| ("fields", fields.to_owned())).into_iter().collect();
        self.get(LIST_CLUSTERS, Service::Container, &path, query).await
    }

    pub(crate) async fn locations(&self, project: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let path = format!("/v1/projects/{project}/locations");
        self.get(LIST_LOCATIONS, Service::ArtifactRegistry, &path, page.query()).await
    }

    /// `location` is `projects/<project>/locations/<location>`.
    pub(crate) async fn repositories(&self, location: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let path = format!("/v1/{location}/repositories");
        self.get(LIST_REPOSITORIES, Service::ArtifactRegistry, &path, page.query()).await
    }

    /// `repository` is its full name. Version 3 is the one that has conditions.
    pub(crate) async fn policy(&self, repository: &str) -> Result<Value, ConnectorError> {
        let query = vec![("options.requestedPolicyVersion", "3".to_owned())];
        self.get(GET_POLICY, Service::ArtifactRegistry, &format!("/v1/{repository}:getIamPolicy"), query).await
    }

    pub(crate) async fn images(&self, repository: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let path = format!("/v1/{repository}/dockerImages");
        self.get(LIST_IMAGES, Service::ArtifactRegistry, &path, page.query()).await
    }

    /// Subnetworks of all regions. Regions that do not respond are named in the answer.
    pub(crate) async fn subnetworks(&self, project: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let path = format!("/compute/v1/projects/{project}/aggregated/subnetworks");
        let mut query = page.compute_query();
        query.push(("returnPartialSuccess", "true".to_owned()));
        self.get(LIST_SUBNETWORKS, Service::Compute, &path, query).await
    }

    pub(crate) async fn firewalls(&self, project: &str, page: PageOf) -> Result<Value, ConnectorError> {
        let path = format!("/compute/v1/projects/{project}/global/firewalls");
        self.get(LIST_FIREWALLS, Service::Compute, &path, page.compute_query()).await
    }

    async fn get(
        &self,
        api: &str,
        service: Service,
        path: &str,
        query: Vec<(&'static str, String)>,
    ) -> Result<Value, ConnectorError> {
        self.send(api, &Ask { service, path, query, body: Body::None }).await
    }

    /// Sends with the current token, and once more with a new one when that was refused: it may have been revoked.
    async fn send(&self, api: &str, ask: &Ask<'_>) -> Result<Value, ConnectorError> {
        let both = async {
            let token = self.tokens.token(None).await?;
            let answer = self.attempt(api, ask, &token).await;
            if !matches!(&answer, Err(error) if error.kind == ErrorKind::Unauthorized) {
                return answer;
            }
            let fresh = self.tokens.token(Some(&token)).await?;
            self.attempt(api, ask, &fresh).await
        };
        self.caller.cancel().run_until_cancelled(both).await.unwrap_or_else(|| Err(stopped()))
    }

    async fn attempt(
        &self,
        api: &str,
        ask: &Ask<'_>,
        token: &rampart_connector::BearerToken,
    ) -> Result<Value, ConnectorError> {
        let family = match ask.service {
            Service::Container => "gke",
            Service::ArtifactRegistry => "artifactregistry",
            Service::ApiManagement => "serviceusage",
            Service::Compute => "compute",
            _ => "resourcemanager",
        };
        let bucket = Bucket::new(Arc::clone(&self.account), "", family);
        self.caller.call(&bucket, api, || self.http.send(api, ask, Some(&token.token))).await
    }

    /// All pages of a listing whose items are in `field`, `size` at a time.
    pub(crate) fn pages<'a, F, Fut>(
        &'a self,
        api: &'a str,
        field: &'a str,
        size: usize,
        fetch: F,
    ) -> impl Stream<Item = Result<Vec<Value>, ConnectorError>> + 'a
    where
        F: FnMut(PageOf) -> Fut + 'a,
        Fut: Future<Output = Result<Value, ConnectorError>> + 'a,
    {
        self.pages_as(api, size, fetch, move |answer: &mut Value| items(api, answer, field))
    }

    /// All pages of a listing as `read` takes each apart, `size` items at a time.
    pub(crate) fn pages_as<'a, T, F, Fut, R>(
        &'a self,
        api: &'a str,
        size: usize,
        mut fetch: F,
        read: R,
    ) -> impl Stream<Item = Result<T, ConnectorError>> + 'a
    where
        T: 'a,
        F: FnMut(PageOf) -> Fut + 'a,
        Fut: Future<Output = Result<Value, ConnectorError>> + 'a,
        R: Fn(&mut Value) -> Result<T, ConnectorError> + Copy + 'a,
    {
        let page = move |token| {
            let answer = fetch(PageOf { token, size });
            async move {
                let mut answer = answer.await?;
                let next = answer["nextPageToken"].as_str().map(str::to_owned);
                Ok(Page { items: read(&mut answer)?, next })
            }
        };
        paginate(api, self.caller.limits().max_pages, self.caller.cancel(), page)
    }
}

/// The list in `field`. Google's JSON leaves empty lists out, so that a missing one is empty; anything else but a list in
/// an object is an answer that cannot be used.
pub(crate) fn items(api: &str, answer: &mut Value, field: &str) -> Result<Vec<Value>, ConnectorError> {
    match (answer.is_object(), answer.get_mut(field).map(Value::take)) {
        (true, None) => Ok(Vec::new()),
        (true, Some(Value::Array(items))) => Ok(items),
        _ => Err(ConnectorError::new(ErrorKind::Permanent, api, format!("the answer has no list {field}"))),
    }
}

fn stopped() -> ConnectorError {
    ConnectorError::new(ErrorKind::Cancelled, "scan", "the scan was told to stop")
}
