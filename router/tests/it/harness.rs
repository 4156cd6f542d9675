//! A router on a free port, tables, raw clients, scripted backends.

use crate::control::Control;
use pvdify_types::{Endpoint, Generation, Route, RouteTable};
use router::{Config, Limits, Server};
use std::{
    future::Future,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// Nothing here takes long; what does is stuck.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    in_time(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) ended: JoinHandle<Result<(), router::Error>>,
}

pub(crate) fn config(folder: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        state_file: folder.join("routes.json"),
        threads: 2,
        limits: Limits {
            shutdown: Duration::from_secs(20),
            ..Limits::default()
        },
        trusted_proxies: Vec::new(),
    }
}

pub(crate) async fn run(config: Config, folder: &Path) -> Running {
    let server = Server::bind(config, Control::client(folder)).await.unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = tokio::spawn(server.run(async move { drop(stopped.await) }));
    Running { address, stop, ended }
}

/// A router with its control plane; gone when dropped.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) control: Control,
    pub(crate) router: Running,
}

impl World {
    /// Serves `table`, which is in force on return.
    pub(crate) async fn new(table: RouteTable) -> Self {
        Self::with(table, |_| {}).await
    }

    pub(crate) async fn with(table: RouteTable, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::start(folder.path(), Some(table.clone()));
        let mut config = config(folder.path());
        change(&mut config);
        let router = run(config, folder.path()).await;
        control.applied(table.generation.0).await;
        Self {
            folder,
            control,
            router,
        }
    }

    /// One app, `demo.test`, with these backends.
    pub(crate) async fn demo(backends: &[SocketAddr]) -> Self {
        Self::new(demo(1, backends)).await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        send(self.router.address, request.as_bytes()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&get(path, "")).await
    }
}

/// A request whose answer ends the connection.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\n{headers}\r\n")
}

/// The table of one app; instance `i1` is the first backend, and so on.
pub(crate) fn demo(generation: u64, backends: &[SocketAddr]) -> RouteTable {
    let named: Vec<_> = backends
        .iter()
        .enumerate()
        .map(|(n, address)| (format!("i{}", n + 1), *address))
        .collect();
    table(generation, &[("demo.test", &named)])
}

pub(crate) fn table(generation: u64, apps: &[(&str, &[(String, SocketAddr)])]) -> RouteTable {
    let route = |(host, backends): &(&str, &[(String, SocketAddr)])| Route {
        app: host.split('.').next().unwrap().parse().unwrap(),
        endpoints: backends
            .iter()
            .map(|(id, address)| Endpoint {
                address: *address,
                instance: id.parse().unwrap(),
            })
            .collect(),
        maintenance: false,
    };
    RouteTable {
        generation: Generation(generation),
        hosts: apps
            .iter()
            .enumerate()
            .map(|(index, (host, _))| ((*host).to_owned(), index))
            .collect(),
        routes: apps.iter().map(route).collect(),
    }
}

/// What came back, to the connection's end.
#[derive(Debug)]
pub(crate) struct Answer(pub(crate) String);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0
            .get(9..12)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status in {:?}", self.0))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    /// Of all the answers, one after the other.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let after = self.0.split("HTTP/1.1 ").skip(1);
        after.filter_map(|answer| answer.get(..3)?.parse().ok()).collect()
    }

    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

/// Writes the bytes and reads until the router closes.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    Answer(read_to_end(&mut stream).await)
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    in_time("the end of an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until `text` was seen; gives all that came.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = Vec::new();
    in_time(text, async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert!(
                count > 0,
                "the end came before {text:?}: {:?}",
                String::from_utf8_lossy(&seen)
            );
            seen.extend_from_slice(&buffer[..count]);
        }
    })
    .await;
    String::from_utf8_lossy(&seen).into_owned()
}

/// A backend that is handed each connection; it counts them.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start<F: Future<Output = ()> + Send + 'static>(
        serve: impl Fn(TcpStream, usize) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let nth = count.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, nth));
            }
        });
        Self {
            address,
            connections,
            task,
        }
    }

    /// Answers each connection's first head with these bytes, then closes.
    pub(crate) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            // A router that has had enough may be gone already.
            drop(stream.write_all(answer.as_bytes()).await);
        })
        .await
    }

    /// Answers every request of a connection with `text`.
    pub(crate) async fn saying(text: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            while next_head(&mut stream).await.is_some() {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// Answers every request with the head that it got.
    pub(crate) async fn echoing() -> Self {
        Self::start(|mut stream, _| async move {
            while let Some(head) = next_head(&mut stream).await {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    pub(crate) fn count(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The next request's head, when it has no body; none at the connection's end.
pub(crate) async fn next_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// A backend that answers anything and remembers every byte it was sent.
pub(crate) struct Recorder {
    pub(crate) backend: Backend,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        Self::recording(true).await
    }

    /// Remembers, and never answers.
    pub(crate) async fn silent() -> Self {
        Self::recording(false).await
    }

    async fn recording(answers: bool) -> Self {
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let record = Arc::clone(&seen);
        let backend = Backend::start(move |mut stream, _| {
            let record = Arc::clone(&record);
            async move {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    record.lock().unwrap().extend_from_slice(&buffer[..count]);
                    if answers && buffer[..count].windows(4).any(|four| four == b"\r\n\r\n") {
                        drop(
                            stream
                                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                                .await,
                        );
                    }
                }
            }
        })
        .await;
        Self { backend, seen }
    }

    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

/// An address where nothing listens.
pub(crate) async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}
