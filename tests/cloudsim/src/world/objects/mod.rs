//! What clusters are made of. Each module makes a group of objects for one cluster from its seed.

pub(crate) mod addons;
pub(crate) mod base;
pub(crate) mod delivery;
pub(crate) mod gatekeeper;
pub(crate) mod images;
pub(crate) mod node;
pub(crate) mod operators;
pub(crate) mod plants;
pub(crate) mod pod;
pub(crate) mod rbac;
pub(crate) mod static_pods;
pub(crate) mod team;
pub(crate) mod weaknesses;
pub(crate) mod workload;
