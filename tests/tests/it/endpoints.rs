//! What a tenant names as an endpoint must not lead into the operator's network, however it is spelled; what a tenant gives
//! as a kubeconfig must not run a program, open a file or grow without end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloudsim::world::Preset;
use platform_tests::{Client, Platform};
use rampart_store::testing::database;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Counts who comes, on every address of the loopback.
async fn canary() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, seen)
}

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

/// Onboards, waits for the permission check that comes with it, and returns all that is told of it; of what is refused at
/// once, the refusal.
async fn onboard(client: &Client, name: &str, source: Value) -> String {
    let body = json!({ "name": name, "source": source });
    let (status, made) = client.request(reqwest::Method::POST, "/v1/connectors", Some(&body)).await;
    if status == 422 {
        return made.to_string();
    }
    assert!(status.is_success(), "{status} {made}");
    client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
    let place = made["preflight"]["location"].as_str().unwrap().to_owned();
    let begun = Instant::now();
    loop {
        let preflight = client.get(&place).await;
        if !matches!(preflight["status"].as_str(), Some("queued" | "running")) {
            let told = preflight.to_string();
            assert!(!told.contains("\"granted\""), "{name}: {told}");
            return told;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{name}: {preflight}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_an_inner_address_is_dialled() {
    let platform = Platform::on(database().await, Preset::Demo, &[]).await;
    let client = platform.tenant("demo").await;
    let (port, seen) = canary().await;
    let mut hosts: Vec<String> = [
        "127.0.0.1",
        "127.1",
        "127.0.0.2",
        "localhost",
        "LOCALHOST",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "127.0.0.1.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "100.64.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "[fe80::1]",
        "[fd12::1]",
        "①②⑦.0.0.1",
    ]
    .map(str::to_owned)
    .to_vec();
    // The name that this machine has for itself.
    let own = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    hosts.extend((!own.trim().is_empty()).then(|| own.trim().to_owned()));
    for (nth, host) in hosts.iter().enumerate() {
        let server = format!("https://{host}:{port}");
        let told = onboard(
            &client,
            &format!("direct-{nth}"),
            json!({ "provider": "kubernetes", "server": server, "token": "t" }),
        )
        .await;
        let refused = ["are not allowed", "does not resolve", "/source/server"].iter().any(|word| told.contains(word));
        assert!(refused, "{host}: {told}");
        let proxy =
            kubeconfig(&format!("server: 'https://93.184.216.34', proxy-url: 'http://{host}:{port}'"), "token: t");
        let source = json!({ "provider": "kubernetes", "kubeconfig": proxy });
        let told = onboard(&client, &format!("proxy-{nth}"), source).await;
        let refused = ["are not allowed", "does not resolve", "proxy-url"].iter().any(|word| told.contains(word));
        assert!(refused, "a proxy at {host}: {told}");
    }
    eprintln!("{} spellings of inner addresses, as endpoint and as proxy: none dialled", hosts.len());
    assert_eq!(seen.load(Ordering::Relaxed), 0, "somebody connected");
}

/// Nine levels of ten references each.
fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "a{level}: &a{level} [{list}]");
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_runs_nothing_and_opens_no_file() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let (port, seen) = canary().await;
    let dir = tempfile::tempdir().unwrap();
    let proof = dir.path().join("ran").display().to_string();
    let server = "server: 'https://127.0.0.1:1'";
    let here = format!("server: 'https://127.0.0.1:{port}'");
    let exec = format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: ['{proof}']}}");
    let provider = format!("auth-provider: {{name: gcp, config: {{cmd-path: /usr/bin/touch, cmd-args: '{proof}'}}}}");
    let secret = dir.path().join("secret").display().to_string();
    std::fs::write(dir.path().join("secret"), "read-from-the-file").unwrap();
    let mut cases = vec![
        (kubeconfig(server, &exec), "never run"),
        (kubeconfig(server, &format!("token: t, {exec}")), "never run"),
        (kubeconfig(server, &provider), "never run"),
        (kubeconfig(&here, &format!("tokenFile: '{secret}'")), "tokenFile"),
        (kubeconfig(&here, &format!("client-certificate: '{secret}', client-key: '{secret}'")), "client-certificate"),
        (kubeconfig(&format!("{here}, certificate-authority: '{secret}'"), "token: t"), "certificate-authority"),
        (kubeconfig(&format!("{here}, insecure-skip-tls-verify: true"), "token: t"), "insecure-skip-tls-verify"),
        (kubeconfig(&format!("{here}, proxy-url: 'file://{secret}'"), "token: t"), "proxy-url"),
        (kubeconfig(&format!("{here}, proxy-url: 'socks5://127.0.0.1:{port}'"), "token: t"), "proxy-url"),
        (kubeconfig(&format!("server: 'file://{secret}'"), "token: t"), "server"),
        (kubeconfig(&format!("server: 'http://127.0.0.1:{port}'"), "token: t"), "server"),
        (kubeconfig("server: 'https://user:hunter2-planted@127.0.0.1'", "token: t"), "server"),
        (kubeconfig(&here, "username: admin, password: hunter2-planted"), "username"),
        (kubeconfig(&here, "token: \"a\\r\\nX-Injected: 1\""), "token"),
    ];
    cases.push((kubeconfig(&here, "token: t") + &alias_bomb(), ""));
    cases.push(("[".repeat(200_000), ""));
    cases.push(("a: &a [*a]\n".to_owned(), ""));
    for (nth, (config, word)) in cases.iter().enumerate() {
        let begun = Instant::now();
        let source = json!({ "provider": "kubernetes", "kubeconfig": config });
        let told = onboard(&client, &format!("case-{nth}"), source).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "case {nth} took {:?}", begun.elapsed());
        assert!(told.contains(word), "{word}: {told}");
        assert!(!told.contains("hunter2-planted") && !told.contains("read-from-the-file"), "{told}");
    }
    assert!(!dir.path().join("ran").exists(), "the program of a kubeconfig ran");
    // Only the bomb may be taken for what it is around it, a cluster that does not answer.
    assert!(seen.load(Ordering::Relaxed) <= 8, "{} connections", seen.load(Ordering::Relaxed));
    assert!(platform.replicas[0].is_alive());
}
