//! How often who may ask.

mod address;
mod caller;

pub(crate) use address::{Addresses, client_address};
pub(crate) use caller::{Admission, CallerLimits};
