//! The project itself, its IAM policy and the APIs that are enabled in it. None of them lies in a location.

use std::pin::pin;

use futures::StreamExt;
use rampart_connector::Outcome;
use rampart_domain::Kind;

use crate::calls::{GET_PROJECT, GET_PROJECT_POLICY, LIST_SERVICES};
use crate::connector::Run;
use crate::normalize;

/// The most that one page holds.
const SERVICES: usize = 200;

pub(crate) async fn read(run: &Run<'_>) {
    tokio::join!(project(run), policy(run), services(run));
}

async fn project(run: &Run<'_>) {
    let lister = run.start(Kind::GcpProject).await;
    if lister.is_open() {
        match run.calls.project(&run.config.project_id).await {
            Ok(answer) => lister.push(GET_PROJECT, normalize::project(&run.place, answer)).await,
            Err(error) => lister.fail(error),
        }
    }
    lister.finish(Outcome::Complete).await;
}

async fn policy(run: &Run<'_>) {
    let lister = run.start(Kind::GcpIamPolicy).await;
    if lister.is_open() {
        match run.calls.project_policy(&run.config.project_id).await {
            Ok(answer) => lister.push(GET_PROJECT_POLICY, normalize::policy(&run.place, answer)).await,
            Err(error) => lister.fail(error),
        }
    }
    lister.finish(Outcome::Complete).await;
}

async fn services(run: &Run<'_>) {
    let lister = run.start(Kind::GcpService).await;
    if lister.is_open() {
        let calls = &run.calls;
        let list = |page| calls.services(&run.config.project_id, page);
        let mut pages = pin!(calls.pages(LIST_SERVICES, "services", SERVICES, list));
        while let Some(page) = pages.next().await {
            match page {
                Ok(services) => {
                    for service in services {
                        lister.push(LIST_SERVICES, normalize::service(&run.place, &service)).await;
                    }
                }
                Err(error) => lister.fail(error),
            }
        }
    }
    lister.finish(Outcome::Complete).await;
}
