//! What looks like a secret in a command line. It errs towards redacting: an argument that is hidden for nothing costs
//! little, one that is stored costs a credential.

/// Words that make a name secret.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "credentials",
    "auth",
    "authorization",
    "cookie",
    "bearer",
    "sas",
];
/// Ends of run-together words that make a name secret: `PGPASSWORD`, `requirepass`, `authtoken`.
const SECRET_ENDS: &[&str] =
    &["password", "passwd", "passphrase", "secret", "token", "apikey", "requirepass", "masterauth"];
/// Pairs of words that make a name secret.
const SECRET_PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("secret", "key"),
    ("encryption", "key"),
    ("signing", "key"),
    ("account", "key"),
    ("license", "key"),
    ("connection", "string"),
];
/// Last words of names that speak about a secret without holding it.
const HARMLESS_ENDS: &[&str] = &[
    "file",
    "files",
    "path",
    "dir",
    "directory",
    "name",
    "names",
    "ref",
    "ttl",
    "url",
    "uri",
    "endpoint",
    "enabled",
    "enable",
    "namespace",
    "namespaces",
    "issuer",
    "audience",
    "audiences",
    "lifetime",
    "expiration",
    "expiry",
    "duration",
    "timeout",
    "provider",
    "type",
    "policy",
    "review",
    "webhook",
    "cache",
    "id",
    "class",
    "version",
    "size",
    "length",
    "interval",
    "mode",
    "rotation",
    "mount",
    "config",
];
/// Beginnings of credentials whose issuers mark them.
const MARKED: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxs-",
    "sk_live_",
    "rk_live_",
    "sk-ant-",
    "sk-proj-",
    "AIza",
    "npm_",
    "pypi-",
    "dop_v1_",
    "hvs.",
    "SG.",
    "ya29.",
];

/// Whether something of this name holds a secret: a flag, a variable, a header, an attribute.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let Some(last) = words.last() else { return false };
    if HARMLESS_ENDS.contains(&last.as_str()) {
        return false;
    }
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || SECRET_ENDS.iter().any(|end| word.ends_with(end)))
        || words.windows(2).any(|pair| SECRET_PAIRS.contains(&(pair[0].as_str(), pair[1].as_str())))
}

/// `--dbPassword` → `db`, `password`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut after_lower = false;
    let mut begin = true;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() {
            begin = true;
            continue;
        }
        if begin || (letter.is_ascii_uppercase() && after_lower) {
            words.push(String::new());
        }
        begin = false;
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words
}

/// Reads a command line from left to right: a flag may name the secret that the next argument holds.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The word before named a secret and held none.
    expects: bool,
    /// The word before is a secret's name; a colon or an equals sign makes the next word its value.
    named: bool,
    /// The word before was `-u` or the like: a user and a password follow.
    expects_pair: bool,
}

impl Arguments {
    /// The argument with its secrets hashed; `None` when it has none.
    pub(crate) fn redact(&mut self, argument: &str, hash: impl Fn(&str) -> String) -> Option<String> {
        if argument.contains("PRIVATE KEY-----") {
            return Some(hash(argument));
        }
        let mut clean = String::with_capacity(argument.len());
        let mut changed = false;
        for piece in argument.split_inclusive(is_delimiter) {
            let word = piece.trim_end_matches(is_delimiter);
            match self.word(word, &hash) {
                Some(redacted) => {
                    clean.push_str(&redacted);
                    changed = true;
                }
                None => clean.push_str(word),
            }
            clean.push_str(&piece[word.len()..]);
        }
        changed.then_some(clean)
    }

    fn word(&mut self, word: &str, hash: &impl Fn(&str) -> String) -> Option<String> {
        if matches!(word, ":" | "=") {
            self.expects |= self.named;
            return None;
        }
        if word.is_empty() || (self.expects && is_scheme(word)) {
            return None;
        }
        self.named = is_secret_name(word);
        let (expects, expects_pair) = (std::mem::take(&mut self.expects), std::mem::take(&mut self.expects_pair));
        if expects && !word.starts_with('-') {
            return (!is_harmless(word)).then(|| hash(word));
        }
        if expects_pair && let Some((user, password)) = word.split_once(':') {
            return (!is_harmless(password)).then(|| format!("{user}:{}", hash(password)));
        }
        if let Some((before, value)) = split_named(word) {
            self.expects = value.is_empty();
            return (!is_harmless(value)).then(|| format!("{before}{}", hash(value)));
        }
        self.expects = word.starts_with("--") && self.named;
        self.expects_pair = matches!(word, "-u" | "--user");
        if let Some((before, password, after)) = split_url(word) {
            return (!is_harmless(password)).then(|| format!("{before}{}{after}", hash(password)));
        }
        is_marked(word).then(|| hash(word))
    }
}

const fn is_delimiter(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | ';' | ',' | '|' | '&' | '(' | ')' | '{' | '}')
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Splits `name=value` or `name:value` behind the first name that is secret; `a.b.password=x` and `--set=password=x` too.
fn split_named(word: &str) -> Option<(&str, &str)> {
    let mut begin = 0;
    for (at, letter) in word.char_indices() {
        if letter != '=' && letter != ':' {
            continue;
        }
        if letter == ':' && word[at..].starts_with("://") {
            return None;
        }
        if is_secret_name(&word[begin..at]) {
            return Some(word.split_at(at + 1));
        }
        begin = at + 1;
    }
    None
}

/// Splits `scheme://user:password@rest` around the password.
fn split_url(word: &str) -> Option<(&str, &str, &str)> {
    let authority = word.find("://")? + 3;
    let end = word[authority..].find(['/', '?', '#']).map_or(word.len(), |at| authority + at);
    let at = authority + word[authority..end].rfind('@')?;
    let colon = authority + word[authority..at].find(':')?;
    Some((&word[..=colon], &word[colon + 1..at], &word[at..]))
}

fn is_marked(word: &str) -> bool {
    let long = word.len() >= 16;
    let jwt = word.starts_with("eyJ") && word.matches('.').count() == 2;
    long && (jwt || MARKED.iter().any(|mark| word.starts_with(mark)))
}

/// Values that stand for a secret without being one: paths, references, switches.
fn is_harmless(value: &str) -> bool {
    value.is_empty()
        || value.starts_with(['/', '$', '<'])
        || value.starts_with("hmac:")
        || ["true", "false", "null", "none"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::{Arguments, is_secret_name};

    #[track_caller]
    fn check(arguments: &[&str], expected: &[&str]) {
        let mut reader = Arguments::default();
        let clean: Vec<String> = arguments
            .iter()
            .map(|it| reader.redact(it, |_| "#".to_owned()).unwrap_or_else(|| (*it).to_owned()))
            .collect();
        assert_eq!(clean, expected);
    }

    #[test]
    fn names() {
        for secret in
            ["--password", "DB_PASSWORD", "dbPassword", "api-key", "X-Auth-Token", "clientSecret", "awsAccessKey"]
        {
            assert!(is_secret_name(secret), "{secret}");
        }
        for plain in ["--token-file", "secretName", "--client-id", "tls-private-key-file", "compass", "keyspace", ""] {
            assert!(!is_secret_name(plain), "{plain}");
        }
    }

    #[test]
    fn flags_with_their_values() {
        check(&["--password=hunter2", "--user=bob"], &["--password=#", "--user=bob"]);
        check(&["--token", "abc", "--verbose", "abc"], &["--token", "#", "--verbose", "abc"]);
        check(&["--token", "--verbose", "x"], &["--token", "--verbose", "x"]);
        check(&["--set=db.password=a=b"], &["--set=db.password=#"]);
        check(&["-u", "bob:hunter2"], &["-u", "bob:#"]);
    }

    #[test]
    fn words_inside_scripts() {
        check(
            &["sh", "-c", "export API_KEY='k1'; curl -H \"Authorization: Bearer t0\" https://u:p@host/x"],
            &["sh", "-c", "export API_KEY='#'; curl -H \"Authorization: Bearer #\" https://u:#@host/x"],
        );
        check(&["{\"password\": \"p1\", \"user\": \"bob\"}"], &["{\"password\": \"#\", \"user\": \"bob\"}"]);
    }

    #[test]
    fn marked_credentials_and_keys() {
        check(&["AKIAIOSFODNN7EXAMPLE"], &["#"]);
        check(&["eyJhbGciOi.eyJzdWIi.c2ln"], &["#"]);
        check(&["-----BEGIN RSA PRIVATE KEY-----\nabc"], &["#"]);
    }

    #[test]
    fn references_stay() {
        check(
            &["--password=$(DB_PASSWORD)", "--tls-private-key-file=/etc/k"],
            &["--password=$(DB_PASSWORD)", "--tls-private-key-file=/etc/k"],
        );
        check(&["--automount-token=false", "--port=8080"], &["--automount-token=false", "--port=8080"]);
    }
}
