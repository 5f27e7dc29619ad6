//! What lies between a process and Postgres: it reads the protocol, and can end the process at an exact place of it.
//!
//! ```text
//! process ──frames──▶ Tap ──▶ Postgres        what was done so far names each place: `before commit of insert resources`
//!    ▲                 └─ Places: is this one wanted? ─▶ SIGKILL, and nothing more passes in either direction
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rampart_store::testing::socket_file;
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::talk::{Step, Talk, claim};

/// Places at which processes are to be ended, and those that were come by. Shared by the taps of one run.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    seen: BTreeMap<String, u64>,
    wanted: BTreeSet<String>,
    struck: Vec<String>,
}

impl Places {
    /// From now on these are wanted, each once.
    pub fn want(&self, places: impl IntoIterator<Item = String>) {
        lock(&self.0).wanted = places.into_iter().collect();
    }

    /// How often each place was come by.
    pub fn seen(&self) -> BTreeMap<String, u64> {
        lock(&self.0).seen.clone()
    }

    /// Where processes were ended, in order.
    pub fn struck(&self) -> Vec<String> {
        lock(&self.0).struck.clone()
    }

    /// What is still wanted.
    pub fn wanted(&self) -> BTreeSet<String> {
        lock(&self.0).wanted.clone()
    }

    fn reached(&self, place: String) -> bool {
        let mut known = lock(&self.0);
        *known.seen.entry(place.clone()).or_default() += 1;
        let is_wanted = known.wanted.remove(&place);
        known.struck.extend(is_wanted.then_some(place));
        is_wanted
    }
}

/// A claim that was made through a tap: kind, subject and fence.
pub type Claim = (String, Uuid, i64);

/// One process's way to Postgres.
#[derive(Debug)]
pub struct Tap {
    /// What the process connects to.
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
    claims: Mutex<Vec<Claim>>,
    /// Ends the process and everything that passes.
    strike: CancellationToken,
}

#[derive(Debug)]
enum Server {
    Tcp(String),
    Unix(PathBuf),
}

impl Tap {
    /// Opens a way to the database of `database_url`.
    pub async fn open(database_url: &str, places: &Places) -> Self {
        let (server, url) = ends(database_url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port of the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared =
            Arc::new(Shared { places: places.clone(), claims: Mutex::default(), strike: CancellationToken::new() });
        let (passing, server) = (shared.clone(), Arc::new(server));
        tokio::spawn(async move {
            while let Some(Ok((client, _))) = passing.strike.run_until_cancelled(listener.accept()).await {
                tokio::spawn(pass(client, server.clone(), passing.clone()));
            }
        });
        Self { url: url(address), shared }
    }

    /// Waits until the process is to be ended.
    pub async fn struck(&self) {
        self.shared.strike.cancelled().await;
    }

    /// Every claim that passed.
    pub fn claims(&self) -> Vec<Claim> {
        lock(&self.shared.claims).clone()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.strike.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the server listens, and the URL of a tap at an address.
fn ends(database_url: &str) -> (Server, impl Fn(SocketAddr) -> String) {
    let parsed = Url::parse(database_url).expect("the test database has a URL");
    let server = match socket_file(database_url) {
        Some(file) => Server::Unix(file),
        None => Server::Tcp(format!("{}:{}", parsed.host_str().unwrap_or_default(), parsed.port().unwrap_or(5432))),
    };
    let login = parsed.username().to_owned();
    let password = parsed.password().unwrap_or_default().to_owned();
    let path = parsed.path().to_owned();
    (server, move |address| format!("postgres://{login}:{password}@{address}{path}?sslmode=disable"))
}

async fn pass(client: TcpStream, server: Arc<Server>, shared: Arc<Shared>) {
    let talk = Arc::new(Mutex::new(Talk::default()));
    client.set_nodelay(true).ok();
    let (from, to) = client.into_split();
    match &*server {
        Server::Tcp(address) => {
            let stream = TcpStream::connect(address).await.expect("Postgres accepts");
            stream.set_nodelay(true).ok();
            let (back, forth) = stream.into_split();
            both((from, to), (back, forth), &talk, &shared).await;
        }
        Server::Unix(path) => {
            let stream = UnixStream::connect(path).await.expect("Postgres accepts");
            let (back, forth) = stream.into_split();
            both((from, to), (back, forth), &talk, &shared).await;
        }
    }
}

async fn both<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    (mut from, mut to): (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
    (mut back, mut forth): (R, W),
    talk: &Mutex<Talk>,
    shared: &Shared,
) {
    // Whichever side ends first ends both, as does a strike: open transactions are rolled back by the server.
    tokio::select! {
        () = shared.strike.cancelled() => {}
        _ = asked(&mut from, &mut forth, talk, shared) => {}
        _ = answered(&mut back, &mut to, talk, shared) => {}
    }
}

/// From the process to the server.
async fn asked(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    talk: &Mutex<Talk>,
    shared: &Shared,
) -> std::io::Result<()> {
    // The first message has no type.
    let length = from.read_u32().await?;
    let mut start = vec![0; length.saturating_sub(4) as usize];
    from.read_exact(&mut start).await?;
    to.write_u32(length).await?;
    to.write_all(&start).await?;
    loop {
        let (sort, body) = read(from).await?;
        let step = lock(talk).hear(sort, &body);
        let is_reached = |place| shared.places.reached(place);
        match step {
            Step::Commit(shape) if is_reached(format!("before commit of {shape}")) => {
                shared.strike.cancel();
                return Ok(());
            }
            Step::Commit(shape) => lock(talk).is_last = is_reached(format!("after commit of {shape}")),
            Step::Statement(write) if is_reached(format!("inside after {write}")) => {
                write_frame(to, sort, &body).await?;
                shared.strike.cancel();
                return Ok(());
            }
            Step::Statement(_) | Step::Other => {}
        }
        write_frame(to, sort, &body).await?;
    }
}

/// From the server to the process.
async fn answered(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    talk: &Mutex<Talk>,
    shared: &Shared,
) -> std::io::Result<()> {
    loop {
        let (sort, body) = read(from).await?;
        let (is_claim, is_last) = {
            let mut talk = lock(talk);
            talk.is_claim &= sort != b'Z';
            (talk.is_claim, talk.is_last)
        };
        if is_claim && sort == b'D' {
            lock(&shared.claims).extend(claim(&body));
        }
        if is_last && sort == b'Z' {
            shared.strike.cancel();
        }
        if !is_last {
            write_frame(to, sort, &body).await?;
        }
    }
}

async fn read(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, Vec<u8>)> {
    let sort = from.read_u8().await?;
    let mut body = vec![0; from.read_u32().await?.saturating_sub(4) as usize];
    from.read_exact(&mut body).await?;
    Ok((sort, body))
}

async fn write_frame(to: &mut (impl AsyncWrite + Unpin), sort: u8, body: &[u8]) -> std::io::Result<()> {
    let mut frame = Vec::with_capacity(body.len() + 5);
    frame.push(sort);
    frame.extend((body.len() as u32 + 4).to_be_bytes());
    frame.extend(body);
    to.write_all(&frame).await
}
