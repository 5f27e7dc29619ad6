use std::collections::VecDeque;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A receiver of webhooks, which answers as it is told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where it is.
    pub url: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<Received>>,
    replies: Mutex<VecDeque<Reply>>,
    open: AtomicUsize,
    most: AtomicUsize,
}

/// A message as it came.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: String,
}

/// An answer; without one the receiver answers 204.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with a header and a text.
    Status(u16, &'static str, String),
    /// 204 after a time.
    Late(Duration),
}

impl Received {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    /// Whether one of the signatures is made with the secret, as Python's standard library works it out.
    ///
    /// # Panics
    /// When Python does not run.
    pub fn is_signed_by(&self, secret: &str) -> bool {
        const PROGRAM: &str = "import base64, hashlib, hmac, sys
secret, signed = sys.argv[1], sys.stdin.buffer.read()
key = base64.b64decode(secret.removeprefix('whsec_'))
print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode(), end='')";
        let mut python = Command::new("python3")
            .args(["-c", PROGRAM, secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        python.stdin.take().expect("it is piped").write_all(signed.as_bytes()).expect("it reads");
        let output = python.wait_with_output().expect("it ends");
        let expected = String::from_utf8(output.stdout).expect("base64");
        self.signature.split(' ').any(|signature| signature == expected)
    }
}

impl Receiver {
    /// Listens on the loopback.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of the loopback");
        let url = format!("http://{}/in/T0K3N-of-the-url", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                tokio::spawn(async move {
                    // A sender that went away is no failure of the receiver.
                    drop(Box::pin(serve(stream, &state)).await);
                });
            }
        });
        Self { url, state }
    }

    /// Answers the next messages so, one after the other.
    ///
    /// # Panics
    /// When another thread panicked.
    pub fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.replies.lock().expect("no thread panics").extend(replies);
    }

    /// What came so far.
    ///
    /// # Panics
    /// When another thread panicked.
    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().expect("no thread panics").clone()
    }

    /// How many messages were under way at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }

    /// Waits until so many messages came.
    ///
    /// # Panics
    /// When they do not within half a minute.
    pub async fn wait_for(&self, messages: usize) -> Vec<Received> {
        for _ in 0..600 {
            let received = self.received();
            if received.len() >= messages {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} of {messages} messages came", self.received().len());
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    let (mut bytes, mut chunk) = (Vec::new(), [0_u8; 16 << 10]);
    let (head, length) = loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            bytes.drain(..end + 4);
            let length = header(&head, "content-length").parse().unwrap_or(0);
            break (head, length);
        }
    };
    while bytes.len() < length {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
    let received = Received {
        id: header(&head, "webhook-id"),
        timestamp: header(&head, "webhook-timestamp"),
        signature: header(&head, "webhook-signature"),
        body: String::from_utf8_lossy(&bytes).into_owned(),
    };
    let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
    state.most.fetch_max(open, Ordering::SeqCst);
    state.received.lock().expect("no thread panics").push(received);
    let reply = state.replies.lock().expect("no thread panics").pop_front();
    let answer = match reply {
        None => "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
        Some(Reply::Late(time)) => {
            tokio::time::sleep(time).await;
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()
        }
        Some(Reply::Status(status, extra, text)) => {
            let extra = if extra.is_empty() { String::new() } else { format!("{extra}\r\n") };
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{extra}content-length: {}\r\n\r\n{text}", text.len())
        }
    };
    state.open.fetch_sub(1, Ordering::SeqCst);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn header(head: &str, name: &str) -> String {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}
