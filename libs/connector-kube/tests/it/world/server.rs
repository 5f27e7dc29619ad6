use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use rampart_connector::conformance::Fault;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Script, TOKEN, World, status};

/// The API's certificate, which is its own authority.
pub(crate) struct Certificate {
    pub(crate) pem: String,
    config: Arc<ServerConfig>,
}

impl Certificate {
    /// A fresh certificate for `localhost` and `kube.test`.
    pub(crate) fn fresh() -> Self {
        let names = ["localhost".to_owned(), "kube.test".to_owned()];
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let pem = pair.cert.pem();
        let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.signing_key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self { pem, config: Arc::new(config) }
    }

    /// One certificate for all tests of a process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Certificate> = LazyLock::new(Certificate::fresh);
        &SHARED
    }
}

/// Stops the server when dropped.
pub(crate) struct Guard {
    pub(crate) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves the world on a free port of the loopback interface.
pub(crate) async fn serve(world: Arc<World>, certificate: &Certificate) -> Guard {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::clone(&certificate.config));
    let calls = Arc::new(Mutex::new(HashMap::new()));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, world, calls) = (acceptor.clone(), Arc::clone(&world), Arc::clone(&calls));
            // Answers are written in pieces; waiting for acknowledgements between them would take longer than the test.
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    // The client may go away whenever it likes.
                    let _ = converse(stream, &world, &calls).await;
                }
            });
        }
    });
    Guard { port, task }
}

/// How an answer goes out.
enum Reply {
    Json(u16, Value, Option<&'static str>),
    Bytes(Vec<u8>),
    Cut(Vec<u8>),
    /// A body in chunks, whole or broken off.
    Chunks(String, bool),
    Never,
}

async fn converse(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    world: &World,
    calls: &Mutex<HashMap<String, usize>>,
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
        };
        let length: usize = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        while buffer.len() < end + length {
            stream.read_buf(&mut buffer).await?;
        }
        let body: Value = serde_json::from_slice(&buffer[end..end + length]).unwrap_or_default();
        buffer.drain(..end + length);
        let line = head.lines().next().unwrap_or_default();
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        world.seen.lock().unwrap().push(format!("{method} {target}"));
        let authorization = header("authorization").unwrap_or_default();
        world.tokens.lock().unwrap().push(authorization.clone());
        let reply = if authorization == format!("Bearer {TOKEN}") {
            answer(world, calls, method, target, &body)
        } else {
            Reply::Json(401, status(401, "Unauthorized", "Unauthorized"), None)
        };
        send(&mut stream, reply).await?;
    }
}

async fn send(stream: &mut (impl AsyncWriteExt + Unpin), reply: Reply) -> std::io::Result<()> {
    let (code, body, extra, cut) = match reply {
        Reply::Json(code, body, extra) => (code, serde_json::to_vec(&body)?, extra.unwrap_or_default(), false),
        Reply::Bytes(body) => (200, body, "", false),
        Reply::Cut(body) => (200, body, "", true),
        Reply::Chunks(body, whole) => {
            let head = "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let end = if whole { "0\r\n\r\n" } else { "" };
            stream.write_all(format!("{head}{:x}\r\n{body}\r\n{end}", body.len()).as_bytes()).await?;
            stream.flush().await?;
            return if whole { Ok(()) } else { Err(std::io::ErrorKind::ConnectionAborted.into()) };
        }
        Reply::Never => {
            tokio::time::sleep(Duration::from_hours(1)).await;
            return Ok(());
        }
    };
    let head =
        format!("HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{extra}\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(if cut { &body[..body.len() / 2] } else { &body }).await?;
    stream.flush().await?;
    if cut { Err(std::io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}

fn answer(world: &World, calls: &Mutex<HashMap<String, usize>>, method: &str, target: &str, body: &Value) -> Reply {
    let url = url::Url::parse("https://x").unwrap().join(target).unwrap();
    let path = url.path();
    if method == "POST" {
        return review(world, body);
    }
    if url.query_pairs().any(|(name, value)| name == "watch" && value == "true") {
        return watch(world, path);
    }
    let mut once = world.once.lock().unwrap();
    if let Some(at) = once.iter().position(|(wanted, _, _)| wanted == path) {
        let (_, code, body) = once.remove(at);
        let extra = (code == 302).then_some("location: https://elsewhere.test/\r\n");
        return Reply::Json(code, body, extra);
    }
    drop(once);
    let whole = page(world, &url);
    let Some((_, fault)) = world.broken.as_ref().filter(|(name, _)| *name == permission(path)) else { return whole };
    let call = {
        let mut calls = calls.lock().unwrap();
        let count = calls.entry(path.to_owned()).or_insert(0);
        *count += 1;
        *count
    };
    let paged = world.lists.get(path).is_some_and(|items| items.len() > 500);
    let throttled = Reply::Json(429, status(429, "TooManyRequests", "slow down"), Some("retry-after: 0\r\n"));
    match fault {
        Fault::ThrottledOnce if call == 1 => throttled,
        Fault::ThrottledOnce => whole,
        Fault::Throttled => throttled,
        Fault::Forbidden => Reply::Json(403, status(403, "Forbidden", "forbidden: cannot do that"), None),
        Fault::ServerError | Fault::Cut if call == 1 && paged => whole,
        Fault::ServerError => Reply::Json(500, status(500, "InternalError", "boom"), None),
        Fault::Cut => Reply::Cut(serde_json::to_vec(&json!({"items": ["x".repeat(1000)]})).unwrap()),
        Fault::Oversized => Reply::Bytes(vec![b' '; (2 << 20) + 1]),
        Fault::Unsupported => Reply::Json(404, status(404, "NotFound", "the server could not find the resource"), None),
        Fault::Hang => Reply::Never,
    }
}

fn watch(world: &World, path: &str) -> Reply {
    let mut scripts = world.watches.lock().unwrap();
    let Some(at) = scripts.iter().position(|(wanted, _)| *wanted == path) else { return Reply::Never };
    match scripts.remove(at).1 {
        Script::Ends(body) => Reply::Chunks(body, true),
        Script::Breaks(body) => Reply::Chunks(body, false),
        Script::Refused(code, body) => Reply::Json(code, body, None),
    }
}

/// The answer of a sound API.
fn page(world: &World, url: &url::Url) -> Reply {
    let path = url.path();
    if let Some(single) = world.single.get(path) {
        return Reply::Json(200, single.clone(), None);
    }
    let Some(items) = world.lists.get(path) else {
        return Reply::Json(404, status(404, "NotFound", "the server could not find the requested resource"), None);
    };
    let query: HashMap<_, _> = url.query_pairs().collect();
    let number = |name: &str| query.get(name).and_then(|value| value.parse::<usize>().ok());
    let (begin, limit) = (number("continue").unwrap_or(0), number("limit").unwrap_or(usize::MAX));
    if world.longest_page.is_some_and(|longest| limit > longest) {
        return Reply::Bytes(vec![b' '; (2 << 20) + 1]);
    }
    let end = items.len().min(begin.saturating_add(limit));
    let mut metadata = json!({"resourceVersion": "42"});
    if end < items.len() {
        metadata["continue"] = end.to_string().into();
        metadata["remainingItemCount"] = (items.len() - end).into();
    }
    Reply::Json(200, json!({"kind": "List", "metadata": metadata, "items": items[begin..end]}), None)
}

fn review(world: &World, body: &Value) -> Reply {
    let attributes = &body["spec"]["resourceAttributes"];
    let is = |(verb, resource): &(&str, &str)| attributes["verb"] == *verb && attributes["resource"] == *resource;
    let allowed = !world.denied.iter().any(is);
    Reply::Json(
        201,
        json!({"status": {"allowed": allowed, "reason": if allowed { "" } else { "no rule allows it" }}}),
        None,
    )
}

/// The name of the permission that a path needs.
fn permission(path: &str) -> String {
    match path {
        "/version" | "/apis" => format!("get {path}"),
        "/api/v1/namespaces/kube-system" => "get namespaces/kube-system".to_owned(),
        path if path.ends_with("/configmaps/aws-auth") => "get configmaps/aws-auth".to_owned(),
        path => {
            let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
            match parts[..] {
                ["api", _, plural] => format!("list {plural}"),
                ["apis", group @ "constraints.gatekeeper.sh", ..] => format!("list *.{group}"),
                ["apis", group, _, plural] => format!("list {plural}.{group}"),
                _ => String::new(),
            }
        }
    }
}
