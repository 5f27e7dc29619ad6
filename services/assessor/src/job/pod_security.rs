use serde_json::Value;

use super::{Desk, JobError};

pub(super) async fn run(desk: &Desk<'_>, request: Value) -> Result<Value, JobError> {
    desk.progress(0, 1).await?;
    Err(JobError::Refused(request.to_string()))
}
