//! What strangers may hand to Rampart, each as a function of bytes that must neither fail nor take long: the fuzz targets of
//! `tests/fuzz`, and what the tests replay their corpus through.
//!
//! A function panics when what it read breaks a promise; what cannot be read is no failure.

mod controls;
mod cursor;
mod expression;
mod kubeconfig;
mod providers;

/// A way in, by the name of its fuzz target and of its corpus.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Name of the target: `tests/fuzz/fuzz_targets/<name>.rs`, `tests/fuzz/seeds/<name>/`.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
}

/// Every way in.
pub const TARGETS: [Target; 8] = [
    Target { name: "aws", run: providers::aws },
    Target { name: "azure", run: providers::azure },
    Target { name: "gcp", run: providers::gcp },
    Target { name: "kube", run: providers::kube },
    Target { name: "kubeconfig", run: kubeconfig::run },
    Target { name: "cursor", run: cursor::run },
    Target { name: "control", run: controls::run },
    Target { name: "cel", run: expression::run },
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or when the target finds a promise broken.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).run)(bytes);
}
