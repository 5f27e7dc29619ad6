use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};

/// The `webhook-signature` of a message as Standard Webhooks has it: one `v1` for each secret, separated by spaces. `None` when
/// a secret is not `whsec_` and base64.
pub(crate) fn signature(secrets: &[SecretString], id: &str, at: DateTime<Utc>, body: &str) -> Option<String> {
    let signed = format!("{id}.{}.{body}", at.timestamp());
    let each = secrets.iter().map(|secret| {
        let key = STANDARD.decode(secret.expose_secret().strip_prefix("whsec_")?).ok()?;
        let tag = sign(&Key::new(HMAC_SHA256, &key), signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
    });
    let all: Option<Vec<String>> = each.collect();
    all.map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_the_one_that_the_specification_gives() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let made =
            |secrets: &[SecretString]| signature(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, "{\"test\": 2432232314}");
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(made(std::slice::from_ref(&secret)).as_deref(), Some(expected));
        assert_eq!(made(&[secret.clone(), secret]), Some(format!("{expected} {expected}")));
        assert_eq!(made(&[SecretString::from("hunter2")]), None);
    }
}
