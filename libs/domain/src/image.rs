/// The digest at the end of an image reference or of a container status's `imageID`: `sha256:` and 64 hexadecimal
/// digits. It may be that of an index, of a platform's manifest, or of an image configuration: whoever joins by it has to
/// expect each of them.
pub fn image_digest(reference: &str) -> Option<&str> {
    let digest = &reference[reference.rfind("sha256:")?..];
    let hex = &digest["sha256:".len()..];
    (hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::image_digest;

    #[test]
    fn digests_as_container_runtimes_spell_them() {
        let hex = "a".repeat(64);
        for id in [format!("sha256:{hex}"), format!("nginx@sha256:{hex}"), format!("docker://sha256:{hex}")] {
            assert_eq!(image_digest(&id), Some(&*format!("sha256:{hex}")));
        }
        for id in ["nginx:1.27", "sha256:abc", "", "sha256:"] {
            assert_eq!(image_digest(id), None, "{id}");
        }
    }
}
