//! The way out belongs to the operator: a cluster that only the company's proxy knows is read through it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use platform_tests::{Collector, Platform};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";
const NAME: &str = "kube.corp.test";

/// A proxy that knows every name, and where each leads: to this machine.
struct Proxy {
    url: String,
    /// The first lines of what was asked, and who asked.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://corp:s%3Ft@{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, Arc::clone(&kept)));
            }
        });
        Self { url, seen }
    }
}

async fn tunnel(stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let port = head.first()?.split_whitespace().nth(1)?.rsplit_once(':')?.1.parse::<u16>().ok()?;
    seen.lock().expect("nobody panicked").push(head.join("\n"));
    let mut upstream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    copy_bidirectional(&mut stream, &mut upstream).await.ok()?;
    Some(())
}

/// The same cluster, by a name that no resolver of this machine knows.
fn rename(path: &Path) {
    let text = std::fs::read_to_string(path).expect("the kubeconfig is there");
    let mut config: Value = serde_json::from_str(&text).expect("the simulator writes JSON");
    let cluster = &mut config["clusters"][0]["cluster"];
    let server = cluster["server"].as_str().expect("a server");
    let port = server.rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    cluster["server"] = json!(format!("https://{NAME}:{port}"));
    cluster["tls-server-name"] = json!("localhost");
    std::fs::write(path, config.to_string()).expect("the kubeconfig is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_behind_the_operators_proxy_is_read_through_it() {
    let platform = Platform::start().await;
    let client = platform.tenant("proxied").await;
    let collector = Collector::onboard(BINARY, &client, &platform.simulator, "proxied", CLUSTER).await;
    rename(&collector.path("kubeconfig"));
    let proxy = Proxy::start().await;
    let output = collector.path("out.rampart").display().to_string();
    let [flag, kubeconfig] = collector.of_cluster();
    let command = || collector.command(&[&flag, &kubeconfig, "--output", &output]);

    let direct = command().output().await.expect("the binary starts");
    assert!(!direct.status.success());
    let said = String::from_utf8_lossy(&direct.stderr).into_owned();
    assert!(said.contains(&format!("the name {NAME} does not resolve")), "{said}");
    let exempt = command().env("HTTPS_PROXY", &proxy.url).env("NO_PROXY", ".corp.test").output().await;
    assert!(!exempt.expect("the binary starts").status.success());
    assert!(proxy.seen.lock().expect("nobody panicked").is_empty(), "an exempt name does not go through the proxy");

    let proxied = command().env("HTTPS_PROXY", &proxy.url).output().await.expect("the binary starts");
    let said = String::from_utf8_lossy(&proxied.stderr).into_owned();
    assert!(proxied.status.success(), "{said}");
    assert!(!said.contains("s%3Ft") && !said.contains("s?t"), "the proxy's password is in the log: {said}");
    {
        let seen = proxy.seen.lock().expect("nobody panicked");
        assert!(!seen.is_empty());
        for head in &*seen {
            assert!(head.starts_with(&format!("CONNECT {NAME}:")), "{head}");
            // corp:s?t
            assert!(head.to_lowercase().contains("proxy-authorization: basic y29ycdpzp3q="), "{head}");
        }
    }
    let uploaded = collector.upload(Path::new(&output)).await;
    assert!(uploaded.status.success(), "{}", String::from_utf8_lossy(&uploaded.stderr));
    platform.settle().await;
    assert!(!client.list("/v1/resources?kind=k8s.pod").await.is_empty());

    let socks = command().env("HTTPS_PROXY", "socks5://127.0.0.1:9").output().await.expect("the binary starts");
    let said = String::from_utf8_lossy(&socks.stderr).into_owned();
    assert!(!socks.status.success() && said.contains("is spoken to over http, not socks5"), "{said}");
}
