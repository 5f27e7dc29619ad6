//! What the inventory's parts have to do with one another: edges derived from resources. Pure: no IO, no clock.
//!
//! ```text
//! derive(node)             owner, contains, mounts, uses_service_account, binds, runs_image: the node alone tells
//! select(selector, nodes)  selects: a service or network policy and the workloads of its namespace tell together
//! source(delivered)        the chart, application, add-on, operator or manifest that a resource comes from
//! ```
//! An edge may point at what is not in the inventory: not read yet, not read at all, or missing. [`Edge::expects`] says
//! which kind must have been read completely before that means "missing".

mod bind;
mod chart;
mod derive;
mod edge;
mod mark;
mod node;
mod select;
mod source;
mod template;

pub use derive::derive;
pub use edge::{Edge, EdgeKind};
pub use node::Node;
pub use select::select;
pub use source::{Delivered, SOURCE_RULES, Source, has_source, source};
