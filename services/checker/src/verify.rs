use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rampart_posture::bundle::envelope::{self, Jwk, Opened};
use rampart_posture::bundle::{Bundle, Form, Outcome};
use serde::Deserialize;

use crate::{Exit, Terminal};

/// Largest file that is read, in bytes: a bundle of 32 MiB in base64url, with room.
const LARGEST: u64 = 64 << 20;

/// Options of `rampart verify-finding`.
///
/// Exits with 0 when the verdict is reached again, 1 when another one is, and 2 when the bundle is refused: it was altered,
/// was signed by another key, or is of an unknown format.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// The signed bundle, or `-` for standard input
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,
    /// File with the public keys that are trusted: a JWK or a set of them, as `GET /v1/bundle-keys` gives
    #[arg(long, value_name = "FILE", required_unless_present = "key_id", conflicts_with = "key_id")]
    pub key: Option<PathBuf>,
    /// The one key that is trusted, by its thumbprint: the `kid` of `GET /v1/bundle-keys`. The key itself is in the bundle
    #[arg(long, value_name = "THUMBPRINT")]
    pub key_id: Option<String>,
}

/// Reaches a verdict once more from a bundle alone.
pub fn verify_finding(args: &VerifyArgs, terminal: &mut Terminal<'_>) -> Exit {
    let (bundle, key_id) = match read(args, terminal) {
        Ok(read) => read,
        Err(why) => {
            terminal.say(&format!("refused: {why}"));
            return Exit::Unusable;
        }
    };
    let told = describe(&bundle, &key_id);
    let (words, exit) = match bundle.judge() {
        Ok(again) if again == bundle.verdict => (format!("same verdict: {}", word(&again)), Exit::Passed),
        Ok(again) => (
            format!("another verdict: the bundle says {}, judged again it is {}", word(&bundle.verdict), word(&again)),
            Exit::Failed,
        ),
        Err(why) => {
            terminal.say(&format!("refused: {why}"));
            return Exit::Unusable;
        }
    };
    match writeln!(terminal.stdout, "{told}\n{words}") {
        Ok(()) => exit,
        Err(error) => {
            terminal.say(&format!("the result could not be written: {error}"));
            Exit::Unusable
        }
    }
}

/// The bundle, when a trusted key signed it, and the key's id.
fn read(args: &VerifyArgs, terminal: &mut Terminal<'_>) -> Result<(Bundle, String), String> {
    let text = if args.bundle == Path::new("-") {
        text_of("standard input", &mut terminal.stdin)?
    } else {
        text_of_file(&args.bundle)?
    };
    let opened = envelope::open(text.strip_suffix('\n').unwrap_or(&text))?;
    let key = trusted(args, &opened)?;
    let public = key.bytes().ok_or("the key is no Ed25519 key")?;
    let verified = UnparsedPublicKey::new(&ED25519, public).verify(opened.message.as_bytes(), &opened.signature);
    verified.map_err(|_| "the signature is not that of the key: the bundle was altered or is somebody else's")?;
    let bundle = serde_json::from_slice(&opened.payload).map_err(|error| format!("its payload: {error}"))?;
    Ok((bundle, thumbprint(&key)))
}

/// The key that must have signed. What the bundle says of its key counts only where the caller pinned that very key.
fn trusted(args: &VerifyArgs, opened: &Opened<'_>) -> Result<Jwk, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Keys {
        Set { keys: Vec<Jwk> },
        One(Jwk),
    }
    let own = thumbprint(&opened.key);
    let keys = match (&args.key, &args.key_id) {
        (_, Some(pinned)) if *pinned == own => vec![opened.key.clone()],
        (Some(path), None) => {
            let text = text_of_file(path)?;
            match serde_json::from_str(&text).map_err(|_| format!("{}: holds no JWK", path.display()))? {
                Keys::Set { keys } => keys,
                Keys::One(key) => vec![key],
            }
        }
        _ => Vec::new(),
    };
    keys.into_iter()
        .find(|key| thumbprint(key) == own)
        .ok_or_else(|| format!("it is signed by key {own}, which is not trusted"))
}

fn thumbprint(key: &Jwk) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, key.thumbprint_input().as_bytes()))
}

fn text_of_file(path: &Path) -> Result<String, String> {
    let name = path.display().to_string();
    let mut file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    text_of(&name, &mut file)
}

fn text_of(name: &str, from: &mut dyn std::io::Read) -> Result<String, String> {
    let mut text = String::new();
    let read = from.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| format!("{name}: {error}"))?;
    if read as u64 > LARGEST { Err(format!("{name}: is larger than 64 MiB")) } else { Ok(text) }
}

/// What was checked, for people.
fn describe(bundle: &Bundle, key_id: &str) -> String {
    let Bundle { finding, control, resource, reads, .. } = bundle;
    let form = match control.form {
        Form::Control => String::new(),
        Form::Policies => format!(" of the policies `{}`", control.name),
    };
    let beside = reads.iter().map(|read| {
        let whole = if read.incomplete.is_none() { "all there were" } else { "not all there were" };
        format!("\nbeside    {}: {} read, {whole}", read.label, read.items.len())
    });
    format!(
        "finding   {} ({})\nresource  {} {}\ncontrol   {}{form}, text {}\njudged    {} by content {}{}\nsigned by {key_id}",
        finding.id,
        finding.status,
        resource.kind,
        resource.native_id,
        control.id,
        control.digest,
        bundle.judged_at.to_rfc3339(),
        bundle.content_version,
        beside.collect::<String>(),
    )
}

fn word(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Unhealthy { evidence } => format!("unhealthy, {}", evidence.message),
        other => other.status().to_string(),
    }
}
