use std::fmt;

use serde_json::Value;

use super::secrets::{Arguments, is_secret_name};

/// Replaces literals that may be secret by a keyed hash: equal values stay recognisable, values cannot be guessed
/// without the key. The form is `hmac:` and 16 hexadecimal digits.
#[derive(Clone)]
pub(crate) struct Redactor(blake3::Hash);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(..)")
    }
}

/// Lists of a pod spec whose members are containers.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

impl Redactor {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(key))
    }

    pub(crate) fn hash(&self, text: &str) -> String {
        format!("hmac:{}", &blake3::keyed_hash(self.0.as_bytes(), text.as_bytes()).to_hex()[..16])
    }

    /// Redacts a pod spec in place: every literal environment value that could be secret, and what looks secret in commands, arguments,
    /// probes, hooks and volume attributes.
    pub(crate) fn pod_spec(&self, spec: &mut Value) {
        for list in CONTAINERS {
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                self.container(container);
            }
        }
        for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
            self.volume(volume);
        }
    }

    fn container(&self, container: &mut Value) {
        for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(value) = variable.get_mut("value").filter(|value| !is_harmless(value)) {
                self.replace(value);
            }
        }
        self.arguments(container.get_mut("command"));
        self.arguments(container.get_mut("args"));
        for handler in
            ["/livenessProbe", "/readinessProbe", "/startupProbe", "/lifecycle/postStart", "/lifecycle/preStop"]
        {
            let Some(handler) = container.pointer_mut(handler) else { continue };
            self.arguments(handler.pointer_mut("/exec/command"));
            let headers = handler.pointer_mut("/httpGet/httpHeaders").and_then(Value::as_array_mut);
            for header in headers.into_iter().flatten() {
                let name = header.get("name").and_then(Value::as_str).unwrap_or_default();
                if is_secret_name(name)
                    && let Some(value) = header.get_mut("value")
                {
                    self.replace(value);
                }
            }
        }
    }

    /// Redacts the free-form attributes of a volume's driver.
    pub(crate) fn volume(&self, volume: &mut Value) {
        for attributes in ["/csi/volumeAttributes", "/flexVolume/options"] {
            let attributes = volume.pointer_mut(attributes).and_then(Value::as_object_mut);
            for (name, value) in attributes.into_iter().flatten() {
                if is_secret_name(name) {
                    self.replace(value);
                }
            }
        }
    }

    fn replace(&self, value: &mut Value) {
        match value {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => *text = self.hash(text),
            Value::Null => {}
            other => *other = self.hash(&other.to_string()).into(),
        }
    }

    fn arguments(&self, list: Option<&mut Value>) {
        let mut arguments = Arguments::default();
        for argument in list.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Value::String(text) = argument
                && let Some(clean) = arguments.redact(text, |secret| self.hash(secret))
            {
                *text = clean;
            }
        }
    }
}

/// Whether an environment value holds nothing of its own: a switch, references to other variables, or where a mounted secret
/// lies.
fn is_harmless(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    let is_mounted = |path: &str| path.split('/').all(is_name);
    let mut rest = text;
    while let Some((name, after)) = rest.strip_prefix("$(").and_then(|rest| rest.split_once(')'))
        && is_name(name)
    {
        rest = after;
    }
    matches!(text, "true" | "false")
        || rest.is_empty()
        || ["/run/secrets/", "/var/run/secrets/"].iter().any(|root| text.strip_prefix(root).is_some_and(is_mounted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_harmless;

    #[test]
    fn what_says_nothing_by_itself_stays() {
        for harmless in ["", "true", "false", "$(HOST)", "$(A)$(B.c)", "/run/secrets/db/password", "/var/run/secrets/x"]
        {
            assert!(is_harmless(&json!(harmless)), "{harmless}");
        }
        for secret in
            ["True!", "hunter2", "$(HOST)hunter2", "$()", "$(a b)", "/run/secrets/", "/run/secrets/a//b", "/etc/x", "1"]
        {
            assert!(!is_harmless(&json!(secret)), "{secret}");
        }
        assert!(!is_harmless(&json!(true)));
    }
}
