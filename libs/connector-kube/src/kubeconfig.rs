//! Reads a kubeconfig that somebody else wrote: nothing in it is ever run, and no file that it names is ever opened.

use base64::Engine;
use rampart_connector::ClusterEndpoint;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::StaticAccess;
use crate::access::{certificates, check_token, server_url};

/// Largest kubeconfig that is read, in bytes. Real ones with dozens of clusters stay below 200 kB.
pub const KUBECONFIG_LIMIT: usize = 512 * 1024;

/// Why a kubeconfig or its parts cannot be used. Safe to show: no variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// The text is larger than [`KUBECONFIG_LIMIT`].
    #[error("the kubeconfig is larger than {KUBECONFIG_LIMIT} bytes")]
    TooLarge,
    /// It is not YAML of the expected shape. The parser's own message is withheld: it may quote a secret.
    #[error("the kubeconfig is malformed at line {line}, column {column}")]
    Malformed {
        /// One-based; 0 when unknown.
        line: u64,
        /// One-based; 0 when unknown.
        column: u64,
    },
    /// No context was named and the file has no `current-context`.
    #[error("the kubeconfig has no current-context: name one of {known:?}")]
    NoContext {
        /// The contexts that it has.
        known: Vec<String>,
    },
    /// A context, cluster or user is referred to and not there.
    #[error("the kubeconfig has no {what} named `{name}`, only {known:?}")]
    Unknown {
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// What was looked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A field whose presence or value is not accepted.
    #[error("`{field}` is refused: {reason}")]
    Refused {
        /// Name of the field in the kubeconfig.
        field: &'static str,
        /// Why, and what to supply instead.
        reason: &'static str,
    },
    /// The user authenticates by running a program.
    #[error("`exec` is never run ({command}): {instead}")]
    Exec {
        /// Name of the program, without its path.
        command: String,
        /// How to give access without it.
        instead: String,
    },
    /// The user has neither a token nor a client certificate.
    #[error("the user has no credentials: supply `token`, or `client-certificate-data` with `client-key-data`")]
    NoCredentials,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    #[serde(default)]
    current_context: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    #[serde(default)]
    server: String,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<String>,
    insecure_skip_tls_verify: Option<bool>,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct User {
    token: Option<SecretString>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    username: Option<String>,
    password: Option<SecretString>,
    exec: Option<Exec>,
    auth_provider: Option<AuthProvider>,
    #[serde(rename = "as")]
    impersonate: Option<String>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    command: String,
    #[serde(default)]
    args: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct AuthProvider {
    #[serde(default)]
    name: String,
}

/// Reads the credentials of `context`, or of the current context when none is named.
///
/// # Errors
/// The file cannot be parsed, refers to what it does not hold, or authenticates in a way that would make Rampart run a
/// program, open a file or send a password.
pub fn parse_kubeconfig(text: &str, context: Option<&str>) -> Result<StaticAccess, KubeconfigError> {
    if text.len() > KUBECONFIG_LIMIT {
        return Err(KubeconfigError::TooLarge);
    }
    let document: Document = serde_saphyr::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        KubeconfigError::Malformed { line, column }
    })?;
    let contexts = document.contexts.unwrap_or_default();
    let clusters = document.clusters.unwrap_or_default();
    let users = document.users.unwrap_or_default();

    let current = document.current_context.filter(|name| !name.is_empty());
    let Some(wanted) = context.map(str::to_owned).or(current) else {
        return Err(KubeconfigError::NoContext { known: contexts.into_iter().map(|it| it.name).collect() });
    };
    let context = find("context", &wanted, contexts.into_iter().map(|it| (it.name, it.context)))?;
    let cluster = find("cluster", &context.cluster, clusters.into_iter().map(|it| (it.name, it.cluster)))?;
    let user = find("user", &context.user, users.into_iter().map(|it| (it.name, it.user)))?.unwrap_or_default();

    let (endpoint, proxy) = read_cluster(cluster)?;
    let (token, identity_pem) = read_user(user)?;
    Ok(StaticAccess { endpoint, token, identity_pem, proxy })
}

fn find<T>(what: &'static str, name: &str, all: impl Iterator<Item = (String, T)>) -> Result<T, KubeconfigError> {
    let mut known = Vec::new();
    for (candidate, value) in all {
        if candidate == name {
            return Ok(value);
        }
        known.push(candidate);
    }
    Err(KubeconfigError::Unknown { what, name: name.to_owned(), known })
}

fn read_cluster(cluster: Cluster) -> Result<(ClusterEndpoint, Option<Url>), KubeconfigError> {
    if cluster.certificate_authority.is_some_and(|path| !path.is_empty()) {
        return Err(file("certificate-authority", "supply its content as certificate-authority-data"));
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(KubeconfigError::Refused {
            field: "insecure-skip-tls-verify",
            reason: "the server's certificate is always checked; supply certificate-authority-data",
        });
    }
    let ca_pem = match cluster.certificate_authority_data.filter(|data| !data.is_empty()) {
        Some(data) => {
            let pem = decode("certificate-authority-data", &data)?;
            Some(certificates(&pem, "certificate-authority-data")?)
        }
        None => None,
    };
    let proxy = cluster.proxy_url.filter(|url| !url.is_empty()).map(|url| proxy_url(&url)).transpose()?;
    let tls_server_name = cluster.tls_server_name.filter(|name| !name.is_empty());
    if let Some(name) = &tls_server_name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        return Err(KubeconfigError::Refused { field: "tls-server-name", reason: "it is not a host name" });
    }
    Ok((ClusterEndpoint { url: server_url(&cluster.server)?, ca_pem, tls_server_name }, proxy))
}

fn proxy_url(text: &str) -> Result<Url, KubeconfigError> {
    let refused = |reason| KubeconfigError::Refused { field: "proxy-url", reason };
    let url = Url::parse(text).map_err(|_| refused("it is not a URL"))?;
    if url.scheme() != "http" {
        return Err(refused("only http:// proxies are supported"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(refused("it names no host"));
    }
    Ok(url)
}

fn read_user(user: User) -> Result<(Option<SecretString>, Option<SecretString>), KubeconfigError> {
    if let Some(exec) = user.exec {
        return Err(explain_exec(&exec));
    }
    if let Some(provider) = user.auth_provider {
        return Err(KubeconfigError::Exec { instead: instead_of(&provider.name, &[]), command: provider.name });
    }
    for (path, field, reason) in [
        (user.token_file, "tokenFile", "supply its content as token"),
        (user.client_certificate, "client-certificate", "supply its content as client-certificate-data"),
        (user.client_key, "client-key", "supply its content as client-key-data"),
    ] {
        if path.is_some_and(|path| !path.is_empty()) {
            return Err(file(field, reason));
        }
    }
    if user.username.is_some_and(|name| !name.is_empty()) || user.password.is_some() {
        return Err(KubeconfigError::Refused {
            field: "username",
            reason: "basic authentication was removed from Kubernetes; supply a service account token",
        });
    }
    if user.impersonate.is_some_and(|name| !name.is_empty()) {
        return Err(KubeconfigError::Refused {
            field: "as",
            reason: "impersonation is not supported; supply credentials of the identity itself",
        });
    }
    if let Some(token) = &user.token {
        check_token(token)?;
    }
    let identity = match (user.client_certificate_data, user.client_key_data) {
        (Some(certificate), Some(key)) => Some(identity(&certificate, &key)?),
        (None, None) => None,
        (Some(_), None) => {
            return Err(KubeconfigError::Refused {
                field: "client-certificate-data",
                reason: "it comes without client-key-data",
            });
        }
        (None, Some(_)) => {
            return Err(KubeconfigError::Refused {
                field: "client-key-data",
                reason: "it comes without client-certificate-data",
            });
        }
    };
    if user.token.is_none() && identity.is_none() {
        return Err(KubeconfigError::NoCredentials);
    }
    Ok((user.token, identity))
}

fn identity(certificate: &str, key: &SecretString) -> Result<SecretString, KubeconfigError> {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use secrecy::ExposeSecret;

    let chain = certificates(&decode("client-certificate-data", certificate)?, "client-certificate-data")?;
    let key = SecretString::from(decode("client-key-data", key.expose_secret())?);
    if PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).is_err() {
        return Err(KubeconfigError::Refused { field: "client-key-data", reason: "it holds no PEM private key" });
    }
    Ok(SecretString::from(format!("{chain}\n{}", key.expose_secret())))
}

fn file(field: &'static str, reason: &'static str) -> KubeconfigError {
    KubeconfigError::Refused { field, reason }
}

fn decode(field: &'static str, data: &str) -> Result<String, KubeconfigError> {
    let refused = KubeconfigError::Refused { field, reason: "it is not base64 of a PEM text" };
    let compact: String = data.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact).map_err(|_| refused.clone())?;
    String::from_utf8(bytes).map_err(|_| refused)
}

fn explain_exec(exec: &Exec) -> KubeconfigError {
    let command = exec.command.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".exe").to_owned();
    let args = exec.args.as_deref().unwrap_or_default();
    KubeconfigError::Exec { instead: instead_of(&command, args), command }
}

/// What to do instead of running a known credential plugin. Only the cluster's name and region are taken from the
/// arguments; others may be secret.
fn instead_of(command: &str, args: &[String]) -> String {
    let after = |flags: &[&str]| {
        args.iter().enumerate().find_map(|(at, arg)| match arg.split_once('=') {
            Some((flag, value)) if flags.contains(&flag) => Some(value.to_owned()),
            _ if flags.contains(&arg.as_str()) => args.get(at + 1).cloned(),
            _ => None,
        })
    };
    match command {
        "aws" | "aws-iam-authenticator" => {
            let cluster = after(&["--cluster-name", "--cluster-id", "-i"]).map(|it| format!(" {it}"));
            let region = after(&["--region"]).map(|it| format!(" in {it}"));
            format!(
                "onboard the AWS account of the EKS cluster{}{}, Rampart mints the token itself",
                cluster.unwrap_or_default(),
                region.unwrap_or_default()
            )
        }
        "gke-gcloud-auth-plugin" | "gcloud" | "gcp" => {
            "supply the token of a service account in the GKE cluster with the cluster's CA".to_owned()
        }
        "kubelogin" | "az" | "azure" => {
            "supply the token of a service account in the AKS cluster with the cluster's CA".to_owned()
        }
        _ => "supply the token of a service account with the cluster's CA".to_owned(),
    }
}

#[cfg(test)]
#[path = "kubeconfig_tests.rs"]
mod tests;
