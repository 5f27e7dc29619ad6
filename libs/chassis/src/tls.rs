/// Makes aws-lc-rs the process's TLS provider. Safe to call more than once: two providers are in the dependency graph,
/// and the first connection would otherwise have to guess.
pub fn install_crypto_provider() {
    // An error means that one is installed already, by an earlier call of this function.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
