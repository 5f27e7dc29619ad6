use rampart_connector_azure::is_user_kubeconfig;
use rampart_connector_kube::{KubeconfigError, parse_kubeconfig};

/// A kubeconfig: what is read speaks TLS to a host, and a refusal never quotes a secret.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for context in [None, Some("other")] {
        match parse_kubeconfig(text, context) {
            Ok(access) => assert_eq!(access.endpoint().url.scheme(), "https", "{}", access.endpoint().url),
            Err(error) => told(&error),
        }
    }
    is_user_kubeconfig(text);
}

/// Every refusal can be shown, and is short enough to be.
fn told(error: &KubeconfigError) {
    assert!(!error.to_string().is_empty());
}
