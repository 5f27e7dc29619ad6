//! Artifact Registry: the container repositories of every location with their policies, and their images.
//!
//! Repositories of packages in other formats hold no images and are left out.

use std::pin::pin;

use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind, Lister, Outcome};
use rampart_domain::Kind;
use serde_json::Value;

use crate::calls as api;
use crate::config::{is_location, is_word};
use crate::connector::Run;
use crate::normalize;

const LOCATIONS: usize = 100;
const REPOSITORIES: usize = 100;
const IMAGES: usize = 500;
const LOCATIONS_AT_ONCE: usize = 4;
const REPOSITORIES_AT_ONCE: usize = 4;

struct Registry<'a> {
    run: &'a Run<'a>,
    repositories: Lister<'a>,
    images: Lister<'a>,
}

pub(crate) async fn read(run: &Run<'_>) {
    let start = |kind| Lister::start(run.sink, run.place.scope(), kind, run.kinds, run.cancel.clone());
    let registry = Registry {
        run,
        repositories: start(Kind::GcpArtifactRegistryRepository).await,
        images: start(Kind::GcpArtifactRegistryImage).await,
    };
    if registry.is_open() {
        registry.read().await;
    }
    registry.repositories.finish(Outcome::Complete).await;
    registry.images.finish(Outcome::Complete).await;
}

impl Registry<'_> {
    fn is_open(&self) -> bool {
        self.repositories.is_open() || self.images.is_open()
    }

    fn fail(&self, error: &ConnectorError) {
        self.repositories.fail(error.clone());
        self.images.fail(error.clone());
    }

    async fn read(&self) {
        let locations = match self.run.config.regions() {
            Some(chosen) => chosen,
            None => self.locations().await,
        };
        stream::iter(locations)
            .for_each_concurrent(LOCATIONS_AT_ONCE, |location| async move {
                // Deep and wide: too large to stand inline in every slot.
                Box::pin(self.location(&location)).await;
            })
            .await;
    }

    async fn locations(&self) -> Vec<String> {
        let calls = &self.run.calls;
        let list = |page| calls.locations(&self.run.config.project_id, page);
        let mut pages = pin!(calls.pages(api::LIST_LOCATIONS, "locations", LOCATIONS, list));
        let mut locations = Vec::new();
        while let Some(page) = pages.next().await {
            match page {
                Ok(page) => {
                    for location in page {
                        match location["locationId"].as_str().filter(|id| is_location(id)) {
                            Some(id) => locations.push(id.to_owned()),
                            None => self.fail(&unusable(api::LIST_LOCATIONS, "a location without a usable id")),
                        }
                    }
                }
                Err(error) => self.fail(&error),
            }
        }
        locations
    }

    async fn location(&self, location: &str) {
        if !self.is_open() {
            return;
        }
        let parent = format!("projects/{}/locations/{location}", self.run.config.project_id);
        let calls = &self.run.calls;
        let list = |page| calls.repositories(&parent, page);
        let mut pages = pin!(calls.pages(api::LIST_REPOSITORIES, "repositories", REPOSITORIES, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(repositories) => {
                    self.repositories.succeed(api::LIST_REPOSITORIES);
                    self.images.succeed(api::LIST_REPOSITORIES);
                    stream::iter(repositories)
                        .for_each_concurrent(REPOSITORIES_AT_ONCE, |repository| {
                            self.repository(&parent, location, repository)
                        })
                        .await;
                }
                Err(error) => self.fail(&error),
            }
        }
    }

    async fn repository(&self, parent: &str, location: &str, described: Value) {
        if described["format"].as_str().is_some_and(|format| format != "DOCKER") {
            return;
        }
        let id = described["name"].as_str().and_then(|name| name.rsplit('/').next()).filter(|id| is_word(id, "-._"));
        let Some(id) = id else {
            return self.fail(&unusable(api::LIST_REPOSITORIES, "a repository without a usable name"));
        };
        let name = format!("{parent}/repositories/{id}");
        // What a virtual repository serves lies in those behind it.
        let own = described["mode"] != "VIRTUAL_REPOSITORY";
        let images = async {
            if own {
                self.images(&name, location).await;
            }
        };
        tokio::join!(self.with_policy(&name, location, described), images);
    }

    /// A repository whose policy could not be read says so: it must not look like one that nobody may pull from.
    async fn with_policy(&self, name: &str, location: &str, described: Value) {
        if !self.repositories.is_wanted() {
            return;
        }
        let policy = if self.repositories.is_open() {
            match self.run.calls.policy(name).await {
                Ok(policy) => {
                    self.repositories.succeed(api::GET_POLICY);
                    Some(policy)
                }
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(error) => {
                    self.repositories.fail(error);
                    None
                }
            }
        } else {
            // Enough refusals: nothing more is asked, and what is known without asking is kept.
            None
        };
        let repository = normalize::repository(&self.run.place.at(location), name, described, policy);
        self.repositories.push(api::LIST_REPOSITORIES, repository).await;
    }

    async fn images(&self, repository: &str, location: &str) {
        if !self.images.is_open() {
            return;
        }
        let place = self.run.place.at(location);
        let calls = &self.run.calls;
        let list = |page| calls.images(repository, page);
        let mut pages = pin!(calls.pages(api::LIST_IMAGES, "dockerImages", IMAGES, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(images) => {
                    self.images.succeed(api::LIST_IMAGES);
                    for image in images {
                        self.images.push(api::LIST_IMAGES, normalize::image(&place, repository, image)).await;
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(error) => return self.images.fail(error),
            }
        }
    }
}

fn unusable(api: &str, what: &str) -> ConnectorError {
    ConnectorError::new(ErrorKind::Permanent, api, format!("{what} was returned"))
}
