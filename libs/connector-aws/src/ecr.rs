//! ECR in one region: the registry's scanning configuration, repositories with their policies, images.

use std::pin::pin;

use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind, Lister, Outcome, Sink};
use rampart_domain::{Kind, NativeId};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::calls::{EcrCalls, ecr as api, pages, take};
use crate::normalize::{self, Place};

const REPOSITORIES: i32 = 100;
const IMAGES: i32 = 500;
const REPOSITORIES_AT_ONCE: usize = 8;
/// The code of a repository that was deleted since it was listed; a policy that does not exist has another.
const NO_REPOSITORY: &str = "RepositoryNotFound";

struct EcrScan<'a> {
    calls: EcrCalls,
    place: &'a Place,
    registry: Lister<'a>,
    repositories: Lister<'a>,
    images: Lister<'a>,
}

/// Reads all ECR kinds of a region.
pub(crate) async fn read(calls: EcrCalls, place: &Place, kinds: &[Kind], sink: &Sink, cancel: &CancellationToken) {
    let start = |kind| Lister::start(sink, place.scope(), kind, kinds, cancel.clone());
    let scan = EcrScan {
        calls,
        place,
        registry: start(Kind::AwsEcrRegistry).await,
        repositories: start(Kind::AwsEcrRepository).await,
        images: start(Kind::AwsEcrImage).await,
    };
    tokio::join!(scan.registry(), scan.repositories());
    for lister in [scan.registry, scan.repositories, scan.images] {
        lister.finish(Outcome::Complete).await;
    }
}

impl EcrScan<'_> {
    async fn registry(&self) {
        if !self.registry.is_open() {
            return;
        }
        match self.calls.scanning_configuration().await {
            Ok(answer) => {
                let api = api::GET_REGISTRY_SCANNING_CONFIGURATION;
                self.registry.push(api, normalize::registry(self.place, answer)).await;
            }
            Err(error) => self.registry.fail(error),
        }
    }

    async fn repositories(&self) {
        if !self.repositories.is_open() && !self.images.is_open() {
            return;
        }
        let line = &self.calls.line;
        let list = |page| self.calls.repositories(page);
        let mut pages = pin!(pages(line, api::DESCRIBE_REPOSITORIES, "repositories", REPOSITORIES, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(repositories) => {
                    stream::iter(repositories)
                        .for_each_concurrent(REPOSITORIES_AT_ONCE, |repository| self.repository(repository))
                        .await;
                }
                Err(error) => {
                    self.repositories.fail(error.clone());
                    self.images.fail(error);
                }
            }
        }
    }

    async fn repository(&self, described: Value) {
        let (Some(name), Some(id)) = (described["repositoryName"].as_str(), described["repositoryArn"].as_str()) else {
            let message = "a repository without a name or ARN was returned";
            let error = ConnectorError::new(ErrorKind::Permanent, api::DESCRIBE_REPOSITORIES, message);
            self.repositories.fail(error.clone());
            return self.images.fail(error);
        };
        let (name, id) = (name.to_owned(), NativeId::new(id));
        tokio::join!(self.with_policies(&name, described), self.images(&name, &id));
    }

    /// A repository whose policies could not be read says so: it must not look like one that has none.
    async fn with_policies(&self, name: &str, described: Value) {
        if !self.repositories.is_wanted() {
            return;
        }
        if !self.repositories.is_open() {
            // Enough refusals: nothing more is asked, and what is known without asking is kept.
            let repository = normalize::repository(self.place, described, None, None);
            let repository = repository.map(|it| normalize::without(it, &["policyText", "lifecyclePolicyText"]));
            return self.repositories.push(api::DESCRIBE_REPOSITORIES, repository).await;
        }
        let policy = async {
            let answer = self.calls.repository_policy(name).await;
            self.policy_text(api::GET_REPOSITORY_POLICY, "policyText", answer)
        };
        let lifecycle = async {
            let answer = self.calls.lifecycle_policy(name).await;
            self.policy_text(api::GET_LIFECYCLE_POLICY, "lifecyclePolicyText", answer)
        };
        let (policy, lifecycle) = tokio::join!(policy, lifecycle);
        let gone = |answer: &Result<_, ConnectorError>| matches!(answer, Err(e) if e.kind == ErrorKind::NotFound);
        if gone(&policy) || gone(&lifecycle) {
            return;
        }
        let mut unread = Vec::new();
        let mut read = |field, answer: Result<Option<String>, ConnectorError>| {
            answer.unwrap_or_else(|error| {
                unread.push(field);
                self.repositories.fail(error);
                None
            })
        };
        let (policy, lifecycle) = (read("policyText", policy), read("lifecyclePolicyText", lifecycle));
        let repository = normalize::repository(self.place, described, policy, lifecycle);
        let repository = repository.map(|it| if unread.is_empty() { it } else { normalize::without(it, &unread) });
        self.repositories.push(api::DESCRIBE_REPOSITORIES, repository).await;
    }

    /// The text of a policy, `None` when there is none. Not found is an error only when the repository itself is gone.
    fn policy_text(
        &self,
        api: &str,
        field: &str,
        answer: Result<Value, ConnectorError>,
    ) -> Result<Option<String>, ConnectorError> {
        match answer {
            Ok(mut answer) => {
                self.repositories.succeed(api);
                match take(&mut answer, field) {
                    Value::String(text) => Ok(Some(text)),
                    _ => Err(ConnectorError::new(ErrorKind::Permanent, api, format!("the answer has no {field}"))),
                }
            }
            Err(error) if error.kind == ErrorKind::NotFound && !error.message.starts_with(NO_REPOSITORY) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn images(&self, name: &str, repository: &NativeId) {
        if !self.images.is_open() {
            return;
        }
        let list = |page| self.calls.images(name, page);
        let mut pages = pin!(pages(&self.calls.line, api::DESCRIBE_IMAGES, "imageDetails", IMAGES, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(images) => {
                    self.images.succeed(api::DESCRIBE_IMAGES);
                    for image in images {
                        let image = normalize::image(self.place, repository, image);
                        self.images.push(api::DESCRIBE_IMAGES, image).await;
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(error) => return self.images.fail(error),
            }
        }
    }
}
