//! What all routes share: who calls, what is asked, how it is answered.

mod answer;
mod body;
mod caller;
mod envelope;
mod problem;
mod query;

pub(crate) use answer::{Answer, List, Wait, if_match};
pub(crate) use body::{NoBody, Octets, Payload, Repeatable, Submission};
pub(crate) use caller::{
    Bearer, Caller, ManageConnectors, ManageInitiatives, ManagePolicy, ManageTenant, ManageWebhooks, Permit,
    PushBatches, ReadBatches, ReadFindings, ReadInventory,
};
pub(crate) use envelope::{no_such_method, no_such_path, wrap};
pub(crate) use problem::{ApiError, Code, FieldError, FieldErrors, Problem};
pub(crate) use query::{Listing, PageParams, Params, PathOf};
