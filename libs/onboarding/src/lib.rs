//! Onboarding templates: least privilege, made from what the connectors' code says that it calls. Pure: permissions and
//! what is known of a connector in, text out.
//!
//! ```text
//! Connector::permissions() ─▶ Permissions ─┐
//!                                          ├─▶ render(Document) ─▶ CloudFormation, Terraform, Bicep, shell, manifests
//!            tenant, issuer, external id ─▶ Fill
//! ```
//! What is not known stays a parameter that the reader fills in. The texts are templates below `templates/`; what they
//! loop over comes from here, so that no list of permissions is written down twice.

mod document;
mod render;
mod right;

pub use document::{DOCUMENTS, Document, Permissions, find};
pub use render::{Fill, TemplateError, Trust, render};
pub use right::{MalformedPermission, Right, aks_data_action, gke_permission};
