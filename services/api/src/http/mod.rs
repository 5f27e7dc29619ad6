//! What all routes share: who calls, what is asked, how it is answered.

mod again;
mod answer;
mod body;
mod caller;
mod context;
mod envelope;
mod export;
mod lines;
mod past;
mod problem;
mod query;

pub(crate) use answer::{Answer, List, Wait, if_match};
pub(crate) use body::{NoBody, Octets, Payload, Repeatable, Submission};
pub(crate) use caller::{
    Bearer, Caller, ManageConnectors, ManageInitiatives, ManagePolicy, ManageTenant, ManageWebhooks, Permit,
    PushBatches, ReadAuditLog, ReadBatches, ReadFindings, ReadInventory,
};
pub(crate) use context::{RequestContext, note_before};
pub(crate) use envelope::{no_such_method, no_such_path, wrap};
pub(crate) use export::{Export, ExportParams, Pages, answer, answer_at_once};
pub(crate) use lines::{Form, Line, Writer, inert};
pub(crate) use past::{AsOf, At, moment, moments};
pub(crate) use problem::{ApiError, Code, FieldError, FieldErrors, Problem};
pub(crate) use query::{Listing, PageParams, Params, PathOf};
