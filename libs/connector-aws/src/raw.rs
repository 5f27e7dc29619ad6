//! The SDK signs, sends and names errors; what is stored is the provider's own JSON, read beside the SDK's typed output.
//!
//! The typed models drop fields that are newer than the SDK, and fail whole answers for one unexpected value. Neither may
//! cost a resource.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

use crate::errors;

/// Catches the body of one successful answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawAnswer(Arc<Mutex<Option<Value>>>);

impl Intercept for RawAnswer {
    fn name(&self) -> &'static str {
        "RawAnswer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        if response.status().is_success() {
            let json = response.body().bytes().and_then(|body| serde_json::from_slice(body).ok());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = json;
        }
        Ok(())
    }
}

impl RawAnswer {
    /// The JSON of a call that was answered well, whatever the SDK made of it.
    pub(crate) fn settle<T, E>(
        self,
        api: &str,
        typed: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<Value, ConnectorError>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match (self.0.lock().unwrap_or_else(PoisonError::into_inner).take(), typed) {
            (Some(json), typed) => {
                if let Err(error) = typed {
                    tracing::warn!(api, %error, "the SDK could not read an answer; its JSON is used as it is");
                }
                Ok(json)
            }
            (None, Err(error)) => Err(errors::from_sdk(api, &error)),
            (None, Ok(_)) => Err(ConnectorError::new(ErrorKind::Permanent, api, "the answer is not JSON")),
        }
    }
}
