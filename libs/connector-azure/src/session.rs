use std::fmt;
use std::sync::Arc;

use rampart_connector::{Caller, Egress};

use crate::config::{AzureConfigError, AzureIdentity};
use crate::credentials::Credentials;
use crate::http::Http;

/// Credentials and transport of one connector, shared by its scans and by the token sources of its clusters.
pub(crate) struct Session {
    pub(crate) http: Http,
    pub(crate) credentials: Credentials,
}

impl Session {
    /// Makes no call: tokens are fetched when first used.
    pub(crate) fn open(
        identity: AzureIdentity,
        egress: Egress,
        caller: &Caller,
    ) -> Result<Arc<Self>, AzureConfigError> {
        let http = Http::new(identity.endpoint_override.clone(), egress, caller.limits())?;
        let credentials = Credentials::new(identity, http.clone())?;
        Ok(Arc::new(Self { http, credentials }))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("identity", self.credentials.identity()).finish_non_exhaustive()
    }
}
