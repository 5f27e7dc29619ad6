use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What was asked.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    /// The same for a repetition.
    pub(crate) fn key(&self) -> String {
        format!("{} {} {}", self.method, self.target, self.body)
    }
}

/// What is answered.
pub(crate) struct Reply {
    status: u16,
    body: String,
    manner: Manner,
}

#[derive(PartialEq)]
enum Manner {
    Whole,
    /// Half of the body, then the connection closes.
    Cut,
    /// Nothing, ever.
    Hang,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), manner: Manner::Whole }
    }

    pub(crate) fn cut(self) -> Self {
        Self { manner: Manner::Cut, ..self }
    }

    pub(crate) fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::new(200, "") }
    }
}

/// Answers HTTP/1.1 on a free loopback port until the task is aborted.
pub(crate) async fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
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
        let head = format!("HTTP/1.1 {} x\r\ncontent-length: {}\r\n\r\n", reply.status, reply.body.len());
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
