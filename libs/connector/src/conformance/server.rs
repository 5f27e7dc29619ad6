//! A world's own HTTP server: it can cut and hang, which a well-kept server cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What was asked.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Request {
    /// The same for a repetition.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.method, self.target, self.body)
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    manner: Manner,
}

#[derive(Debug, PartialEq)]
enum Manner {
    Whole,
    /// Half of the body, then the connection closes.
    Cut,
    /// Nothing, ever.
    Hang,
}

impl Reply {
    /// A whole answer.
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned(), manner: Manner::Whole }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Another body.
    #[must_use]
    pub fn body(self, body: String) -> Self {
        Self { body, ..self }
    }

    /// Half of its body, then the connection closes.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { manner: Manner::Cut, ..self }
    }

    /// No answer, ever.
    pub fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::new(200, "") }
    }
}

/// Answers HTTP/1.1 on a free loopback port until the task is aborted.
///
/// # Panics
/// When the loopback has no port left.
pub async fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let answer = Arc::new(answer);
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            connections.spawn(async move { converse(stream, &*answer).await });
        }
    });
    (url, task)
}

/// One connection; ends when either side has had enough.
async fn converse(stream: TcpStream, answer: &(dyn Fn(&Request) -> Reply + Send + Sync)) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut stream = BufReader::new(stream);
    loop {
        let request = read(&mut stream).await?;
        let reply = answer(&request);
        if reply.manner == Manner::Hang {
            std::future::pending::<()>().await;
        }
        let mut head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            head.extend([*name, ": ", value, "\r\n"]);
        }
        head += "\r\n";
        let whole = reply.manner == Manner::Whole;
        let body = if whole { reply.body.as_str() } else { &reply.body[..reply.body.len() / 2] };
        stream.write_all((head + body).as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        if !whole {
            return None;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, target, headers, body: String::from_utf8(body).ok()? })
}
