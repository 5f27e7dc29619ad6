//! What must not be stored. The APIs hide most secrets themselves; these have been seen, or are accepted on write.

use serde_json::Value;
use url::Url;

/// Fields whose value is a secret wherever they are.
const SECRET: &[&str] =
    &["secret", "adminPassword", "serverAppSecret", "configurationProtectedSettings", "encodedPrivateKey", "password"];

/// Takes secrets out of an object: secret fields whole, and the user out of addresses of proxies.
pub(super) fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(name)));
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(text) if name.to_ascii_lowercase().ends_with("proxy") => without_user(text),
                    nested => strip(nested),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn without_user(text: &mut String) {
    let Ok(mut url) = Url::parse(text) else { return };
    if url.password().is_some() || !url.username().is_empty() {
        // Both fail only for addresses that cannot have a user, and this one has.
        let _ = (url.set_username(""), url.set_password(None));
        *text = url.into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let mut object = json!({
            "servicePrincipalProfile": {"clientId": "c", "secret": "hush"},
            "windowsProfile": {"adminUsername": "a", "adminPassword": "hush"},
            "httpProxyConfig": {"httpProxy": "http://u:hush@proxy:3128/", "noProxy": ["localhost"], "trustedCa": "x"},
            "list": [{"password": "hush", "name": "n"}],
        });
        strip(&mut object);
        assert!(!object.to_string().contains("hush"), "{object}");
        assert_eq!(object["httpProxyConfig"]["httpProxy"], "http://proxy:3128/");
        assert_eq!(object["list"], json!([{"name": "n"}]));
        assert_eq!(object["servicePrincipalProfile"]["clientId"], "c");
    }
}
