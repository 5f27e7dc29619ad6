//! Rebuilds the crate when a content file appears or goes; changes inside known files are tracked by the compiler.

fn main() {
    for path in ["build.rs", "controls", "frameworks", "initiatives", "groups.yaml"] {
        println!("cargo::rerun-if-changed={path}");
    }
}
