//! Container registries in one subscription: registries, what each of them has, and what its data plane holds.
//!
//! The listings cover the subscription. A registry whose data plane cannot be reached makes the listings of repositories
//! and images incomplete and keeps no other registry from being read.

use std::pin::pin;

use futures::{StreamExt, stream};
use rampart_connector::{ErrorKind, Lister, Outcome, Sink};
use rampart_domain::{Kind, Resource};
use serde_json::Value;

use crate::aks::children;
use crate::arm_id::Located;
use crate::connector::{Run, lost};
use crate::draft::{ACR_VERSION, Acr};
use crate::errors::is_unregistered;
use crate::normalize::{self, text};
use crate::permissions::{REGISTRIES, REPLICATIONS, SCOPE_MAPS, TOKENS, WEBHOOKS};
use crate::registry;

const REGISTRIES_AT_ONCE: usize = 8;
/// The soft-delete policy and the one on tokens of Azure Resource Manager are told by previews only. Previews are withdrawn
/// one day: then the stable version tells the rest.
const VERSIONS: [&str; 2] = ["2025-05-01-preview", ACR_VERSION];

struct AcrScan<'a> {
    run: &'a Run,
    acr: Acr,
    registries: Lister<'a>,
    replications: Lister<'a>,
    webhooks: Lister<'a>,
    tokens: Lister<'a>,
    scope_maps: Lister<'a>,
    repositories: Lister<'a>,
    images: Lister<'a>,
}

/// Reads all kinds of container registries of the subscription.
pub(crate) async fn read(run: &Run, kinds: &[Kind], sink: &Sink) {
    let start = |kind| Lister::start(sink, run.place.scope(), kind, kinds, run.cancel().clone());
    let scan = AcrScan {
        run,
        acr: run.acr(),
        registries: start(Kind::AzureAcrRegistry).await,
        replications: start(Kind::AzureAcrReplication).await,
        webhooks: start(Kind::AzureAcrWebhook).await,
        tokens: start(Kind::AzureAcrToken).await,
        scope_maps: start(Kind::AzureAcrScopeMap).await,
        repositories: start(Kind::AzureAcrRepository).await,
        images: start(Kind::AzureAcrImage).await,
    };
    if scan.listers().iter().any(|lister| lister.is_wanted()) {
        scan.read().await;
    }
    let AcrScan { registries, replications, webhooks, tokens, scope_maps, repositories, images, .. } = scan;
    for lister in [registries, replications, webhooks, tokens, scope_maps, repositories, images] {
        lister.finish(Outcome::Complete).await;
    }
}

impl<'a> AcrScan<'a> {
    const fn listers(&self) -> [&Lister<'a>; 7] {
        [
            &self.registries,
            &self.replications,
            &self.webhooks,
            &self.tokens,
            &self.scope_maps,
            &self.repositories,
            &self.images,
        ]
    }

    async fn read(&self) {
        for (index, version) in VERSIONS.iter().enumerate() {
            if self.list(version, index + 1 == VERSIONS.len()).await {
                return;
            }
        }
    }

    /// Reads everything under a version of the API. False when the version is not served, and it was not the last to try.
    async fn list(&self, version: &str, is_last: bool) -> bool {
        let first = match self.acr.registries(REGISTRIES, version) {
            Ok(draft) => draft.url,
            Err(error) => {
                lost(&self.listers(), &error);
                return true;
            }
        };
        let mut pages = pin!(self.run.arm.pages(REGISTRIES, first).enumerate());
        while let Some((number, page)) = pages.next().await {
            match page {
                Ok(listed) => {
                    let each = |one| async move { Box::pin(self.registry(one)).await };
                    stream::iter(listed).for_each_concurrent(REGISTRIES_AT_ONCE, each).await;
                }
                Err(error) => {
                    let withdrawn = error.kind == ErrorKind::Unsupported && !is_unregistered(&error);
                    if withdrawn && number == 0 && !is_last {
                        return false;
                    }
                    lost(&self.listers(), &error);
                }
            }
        }
        true
    }

    async fn registry(&self, listed: Value) {
        let id = text(&listed, "id").unwrap_or_default().to_owned();
        let Some(registry) = normalize::registry(&self.run.place, listed) else {
            return self.registries.push(REGISTRIES, None).await;
        };
        if self.registries.is_wanted() {
            self.registries.push(REGISTRIES, Some(registry.clone())).await;
        }
        tokio::join!(self.children(&registry, &id), self.contents(&registry));
    }

    async fn children(&self, registry: &Resource, id: &str) {
        let at = match Located::parse(REGISTRIES, id) {
            Ok(at) => at,
            Err(error) => return lost(&self.listers()[1..5], &error),
        };
        let (run, place, acr) = (self.run, &self.run.place, &self.acr);
        tokio::join!(
            children(run, &self.replications, REPLICATIONS, acr.replications(REPLICATIONS, &at), |one| {
                normalize::replication(place, registry, one)
            }),
            children(run, &self.webhooks, WEBHOOKS, acr.webhooks(WEBHOOKS, &at), |one| {
                normalize::webhook(place, registry, one)
            }),
            children(run, &self.tokens, TOKENS, acr.tokens(TOKENS, &at), |one| normalize::token(place, registry, one)),
            children(run, &self.scope_maps, SCOPE_MAPS, acr.scope_maps(SCOPE_MAPS, &at), |one| {
                normalize::scope_map(place, registry, one)
            }),
        );
    }

    /// A registry that is being made or taken away holds nothing yet or any more.
    async fn contents(&self, registry: &Resource) {
        if registry.active && (self.repositories.is_open() || self.images.is_open()) {
            registry::read(self.run, registry, &self.repositories, &self.images).await;
        }
    }
}
