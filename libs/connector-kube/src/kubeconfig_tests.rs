use base64::Engine;
use secrecy::ExposeSecret;

use super::{KUBECONFIG_LIMIT, KubeconfigError, parse_kubeconfig};
use crate::StaticAccess;

/// A certificate for `kube.test` and its key.
fn pair() -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(["kube.test".to_owned()]).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A kubeconfig with these lines in its cluster and its user.
fn config(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: main\n\
         contexts:\n- name: main\n  context: {{cluster: prod, user: bob, namespace: team-a}}\n\
         - name: other\n  context: {{cluster: gone, user: bob}}\n\
         clusters:\n- name: prod\n  cluster: {{{cluster}}}\n\
         users:\n- name: bob\n  user: {{{user}}}\n"
    )
}

const SERVER: &str = "server: 'https://kube.test:6443'";

#[track_caller]
fn refused(cluster: &str, user: &str) -> KubeconfigError {
    parse_kubeconfig(&config(cluster, user), None).unwrap_err()
}

#[test]
fn token_ca_name_and_proxy_are_taken() {
    let (certificate, _) = pair();
    let cluster = format!(
        "{SERVER}, certificate-authority-data: {}, tls-server-name: inner.test, proxy-url: 'http://proxy.test:3128'",
        base64(&certificate)
    );
    let access: StaticAccess = parse_kubeconfig(&config(&cluster, "token: t0ken"), Some("main")).unwrap();
    assert_eq!(access.endpoint.url.as_str(), "https://kube.test:6443/");
    assert_eq!(access.endpoint.ca_pem.as_deref(), Some(certificate.as_str()));
    assert_eq!(access.endpoint.tls_server_name.as_deref(), Some("inner.test"));
    assert_eq!(access.proxy.as_ref().map(url::Url::as_str), Some("http://proxy.test:3128/"));
    assert_eq!(access.token.as_ref().unwrap().expose_secret(), "t0ken");
    assert!(!format!("{access:?}").contains("t0ken"));
}

#[test]
fn client_certificates_are_taken_whole() {
    let (certificate, key) = pair();
    let user = format!("client-certificate-data: {}, client-key-data: {}", base64(&certificate), base64(&key));
    let access = parse_kubeconfig(&config(SERVER, &user), None).unwrap();
    let identity = access.identity_pem.unwrap();
    assert!(identity.expose_secret().contains("CERTIFICATE") && identity.expose_secret().contains("PRIVATE KEY"));

    let alone = format!("client-certificate-data: {}", base64(&certificate));
    assert!(matches!(refused(SERVER, &alone), KubeconfigError::Refused { field: "client-certificate-data", .. }));
    let wrong = format!("client-certificate-data: {}, client-key-data: {}", base64(&certificate), base64("no key"));
    assert!(matches!(refused(SERVER, &wrong), KubeconfigError::Refused { field: "client-key-data", .. }));
}

#[test]
fn what_would_open_a_file_or_skip_a_check_is_refused_by_its_name() {
    let user = "token: t";
    for (cluster, user, field) in [
        ("server: 'https://h', certificate-authority: /etc/shadow", user, "certificate-authority"),
        ("server: 'https://h', insecure-skip-tls-verify: true", user, "insecure-skip-tls-verify"),
        ("server: 'https://h', certificate-authority-data: '@@'", user, "certificate-authority-data"),
        ("server: 'https://h', certificate-authority-data: aGVsbG8=", user, "certificate-authority-data"),
        ("server: 'https://h', proxy-url: 'socks5://p:1080'", user, "proxy-url"),
        ("server: 'https://h', tls-server-name: 'a b'", user, "tls-server-name"),
        ("server: 'http://h:8080'", user, "server"),
        ("server: 'https://user:pass@h'", user, "server"),
        ("server: 'file:///etc/passwd'", user, "server"),
        ("{}", user, "server"),
        (SERVER, "tokenFile: /var/run/token", "tokenFile"),
        (SERVER, "client-certificate: /a, client-key: /b", "client-certificate"),
        (SERVER, "client-key: /b", "client-key"),
        (SERVER, "username: admin, password: secret", "username"),
        (SERVER, "token: t, as: 'system:admin'", "as"),
        (SERVER, "token: 'two words'", "token"),
        (SERVER, "token: ''", "token"),
    ] {
        let cluster = if cluster == "{}" { "" } else { cluster };
        match refused(cluster, user) {
            KubeconfigError::Refused { field: found, .. } => assert_eq!(found, field),
            other => panic!("{field}: {other}"),
        }
    }
    assert_eq!(refused(SERVER, ""), KubeconfigError::NoCredentials);
}

#[test]
fn plugins_are_recognised_and_never_run() {
    let check = |user: &str, command: &str, words: &[&str]| match refused(SERVER, user) {
        KubeconfigError::Exec { command: found, instead } => {
            assert_eq!(found, command);
            assert!(words.iter().all(|word| instead.contains(word)), "{instead}");
        }
        other => panic!("{command}: {other}"),
    };
    let aws =
        "exec: {command: /usr/bin/aws, args: [--region, eu-west-1, eks, get-token, --cluster-name, shop], env: null}";
    check(aws, "aws", &["onboard the AWS account", "shop", "eu-west-1"]);
    check("exec: {command: aws-iam-authenticator, args: [token, -i, shop]}", "aws-iam-authenticator", &["AWS", "shop"]);
    check("exec: {command: gke-gcloud-auth-plugin}", "gke-gcloud-auth-plugin", &["GKE"]);
    check("exec: {command: kubelogin, args: [get-token, --client-secret, hush]}", "kubelogin", &["AKS"]);
    check("exec: {command: /tmp/evil.sh}", "evil.sh", &["service account"]);
    check("auth-provider: {name: gcp}", "gcp", &["GKE"]);
    // A token beside the plugin does not make the plugin harmless to ignore: the owner has to say which is meant.
    check("token: t, exec: {command: evil}", "evil", &[]);
}

#[test]
fn contexts_are_found_by_name_or_reported() {
    let good = config(SERVER, "token: t");
    assert!(parse_kubeconfig(&good, Some("main")).is_ok());
    let unknown = parse_kubeconfig(&good, Some("nope")).unwrap_err();
    assert_eq!(unknown.to_string(), r#"the kubeconfig has no context named `nope`, only ["main", "other"]"#);
    assert!(matches!(parse_kubeconfig(&good, Some("other")), Err(KubeconfigError::Unknown { what: "cluster", .. })));
    let none = good.replace("current-context: main\n", "");
    assert!(matches!(parse_kubeconfig(&none, None), Err(KubeconfigError::NoContext { known }) if known.len() == 2));
}

#[test]
fn malformed_files_do_not_leak_into_the_error() {
    let secret = "users:\n- name: bob\n  user:\n    token: [s3cr3t]\n";
    let error = parse_kubeconfig(secret, Some("main")).unwrap_err();
    assert!(matches!(error, KubeconfigError::Malformed { line: 4, .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"));
    assert!(matches!(parse_kubeconfig("\tnot: yaml: at all", None), Err(KubeconfigError::Malformed { .. })));
    let large = " ".repeat(KUBECONFIG_LIMIT + 1);
    assert_eq!(parse_kubeconfig(&large, None).unwrap_err(), KubeconfigError::TooLarge);
}

#[test]
fn access_by_token_checks_its_parts() {
    let token = || secrecy::SecretString::from("t".to_owned());
    let (certificate, _) = pair();
    assert!(StaticAccess::from_token("https://10.0.0.1:6443", token(), Some(&certificate)).is_ok());
    assert!(StaticAccess::from_token("https://kube.test", token(), None).is_ok());
    assert!(StaticAccess::from_token("http://kube.test", token(), None).is_err());
    assert!(StaticAccess::from_token("https://kube.test", token(), Some("no pem")).is_err());
}
