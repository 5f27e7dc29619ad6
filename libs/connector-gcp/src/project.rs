//! The project itself.

use rampart_connector::{Lister, Outcome};
use rampart_domain::Kind;

use crate::calls::GET_PROJECT;
use crate::connector::Run;
use crate::normalize;

pub(crate) async fn read(run: &Run<'_>) {
    let start = Lister::start(run.sink, run.place.scope(), Kind::GcpProject, run.kinds, run.cancel.clone());
    let lister = start.await;
    if lister.is_open() {
        match run.calls.project(&run.config.project_id).await {
            Ok(answer) => lister.push(GET_PROJECT, normalize::project(&run.place, answer)).await,
            Err(error) => lister.fail(error),
        }
    }
    lister.finish(Outcome::Complete).await;
}
