//! The data plane of one registry: repositories, their manifests and tags.

mod calls;

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind, Lister};
use rampart_domain::Resource;
use serde_json::{Value, json};

pub(crate) use calls::{DataPlane, Grant};

use crate::connector::Run;
use crate::normalize::{self, text};
use crate::permissions::{CATALOG, METADATA};

const REPOSITORIES_AT_ONCE: usize = 8;
/// Failures in one registry after which nothing more is asked of it.
const ENOUGH: u32 = 3;
/// What is not known of a repository whose attributes could not be read.
const ATTRIBUTES: [&str; 3] = ["changeableAttributes", "manifestCount", "tagCount"];

struct RegistryScan<'a> {
    run: &'a Run,
    registry: &'a Resource,
    plane: DataPlane,
    repositories: &'a Lister<'a>,
    images: &'a Lister<'a>,
    failures: AtomicU32,
    /// The failure after which nothing more is asked of the registry: what it kept from being read is missing because of it.
    last: OnceLock<ConnectorError>,
}

/// Reads repositories and images. What fails here is missing from the listings, and says nothing about other registries.
pub(crate) async fn read(run: &Run, registry: &Resource, repositories: &Lister<'_>, images: &Lister<'_>) {
    let missed = |error: ConnectorError| {
        repositories.miss(error.clone());
        images.miss(error);
    };
    let plane = match DataPlane::of(run, registry).await {
        Ok(plane) => plane,
        Err(error) => return missed(error),
    };
    let scan =
        RegistryScan { run, registry, plane, repositories, images, failures: AtomicU32::new(0), last: OnceLock::new() };
    let grant = Grant::catalog();
    let mut pages = pin!(scan.plane.pages(CATALOG, &grant, "/acr/v1/_catalog", "repositories"));
    while let Some(page) = pages.next().await {
        match page {
            Ok(names) => {
                stream::iter(names).for_each_concurrent(REPOSITORIES_AT_ONCE, |name| scan.repository(name)).await;
            }
            Err(error) => missed(error),
        }
    }
}

impl RegistryScan<'_> {
    async fn repository(&self, name: Value) {
        let Some(name) = name.as_str().filter(|name| is_repository(name)) else {
            let error =
                ConnectorError::new(ErrorKind::Permanent, CATALOG, "a repository without a usable name was listed");
            self.repositories.miss(error.clone());
            return self.images.miss(error);
        };
        let grant = Grant::metadata(name);
        tokio::join!(self.attributes(name, &grant), self.contents(name, &grant));
    }

    async fn attributes(&self, name: &str, grant: &Grant) {
        if !self.repositories.is_open() {
            return;
        }
        let place = &self.run.place;
        let of = |attributes| normalize::repository(place, self.registry, name, attributes);
        let answer = match self.closed_by() {
            Some(error) => Err(error.clone()),
            None => self.plane.get(METADATA, grant, &format!("/acr/v1/{name}")).await.inspect_err(|e| self.failed(e)),
        };
        let resource = match answer {
            Ok(attributes) => of(attributes),
            // Deleted since it was listed.
            Err(error) if error.kind == ErrorKind::NotFound => return,
            // That it exists is known; how it is set is not, and must not look as if nothing were set.
            Err(error) => {
                self.repositories.miss(error);
                normalize::without(of(json!({})), &ATTRIBUTES)
            }
        };
        self.repositories.push(METADATA, Some(resource)).await;
    }

    async fn contents(&self, name: &str, grant: &Grant) {
        if !self.images.is_open() {
            return;
        }
        if let Some(error) = self.closed_by() {
            return self.images.miss(error.clone());
        }
        let tags = self.plane.pages(METADATA, grant, &format!("/acr/v1/{name}/_tags"), "tags").try_concat().await;
        let tags = match tags {
            Ok(tags) => Some(tags),
            Err(error) if error.kind == ErrorKind::NotFound => return,
            Err(error) => {
                self.failed(&error);
                self.images.miss(error);
                None
            }
        };
        let path = format!("/acr/v1/{name}/_manifests");
        let mut pages = pin!(self.plane.pages(METADATA, grant, &path, "manifests"));
        while let Some(page) = pages.next().await {
            match page {
                Ok(manifests) => {
                    for manifest in manifests {
                        let image = normalize::image(&self.run.place, self.registry, name, manifest, tags.as_deref());
                        let image = match tags {
                            Some(_) => image,
                            None => image.map(|image| normalize::without(image, &["tagDetails"])),
                        };
                        self.images.push(METADATA, image).await;
                    }
                }
                Err(error) if error.kind == ErrorKind::NotFound => return,
                Err(error) => {
                    self.failed(&error);
                    return self.images.miss(error);
                }
            }
        }
    }

    /// The failure that closed the registry, if one did.
    fn closed_by(&self) -> Option<&ConnectorError> {
        self.last.get()
    }

    fn failed(&self, error: &ConnectorError) {
        let of_registry =
            matches!(error.kind, ErrorKind::Throttled { .. } | ErrorKind::Unauthorized | ErrorKind::Unreachable);
        let counts = u32::from(error.kind != ErrorKind::NotFound);
        let before = self.failures.fetch_add(if of_registry { ENOUGH } else { counts }, Ordering::Relaxed);
        if of_registry || before + counts >= ENOUGH {
            self.last.get_or_init(|| error.clone());
        }
    }
}

/// The first repository of a registry, for trying rights on.
pub(crate) async fn first_repository(plane: &DataPlane) -> Result<Option<String>, ConnectorError> {
    let grant = Grant::catalog();
    let mut pages = pin!(plane.pages(CATALOG, &grant, "/acr/v1/_catalog", "repositories"));
    let names = pages.try_next().await?.unwrap_or_default();
    Ok(names.iter().filter_map(Value::as_str).find(|name| is_repository(name)).map(str::to_owned))
}

/// Where the registry's data plane answers, when it says so.
pub(crate) fn login_server(registry: &Resource) -> Option<&str> {
    text(&registry.config["properties"], "loginServer")
}

/// Names become parts of paths: nothing passes that a registry would not take.
fn is_repository(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    !name.is_empty() && name.len() <= 256 && name.chars().all(plain) && name.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_a_path_are_no_repositories() {
        assert!(is_repository("team/api") && is_repository("a-b_c.d/e/f0"));
        for name in ["", "a//b", "../x", "a?b", "a/../b", "a%2fb", "/a", "A"] {
            assert!(!is_repository(name), "{name}");
        }
    }
}
