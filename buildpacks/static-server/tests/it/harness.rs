//! A site in a temporary folder, a server on a free port, and a client that sees every byte.

use pvdify_static_server::{Limits, Server, Site};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// A site to be served.
pub(crate) struct Built {
    pub(crate) dir: tempfile::TempDir,
    manifest: Value,
    limits: Limits,
    variables: Vec<(String, String)>,
}

/// A site that is served.
pub(crate) struct Running {
    server: Option<Server>,
    dir: Option<tempfile::TempDir>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// An empty site.
pub(crate) fn site() -> Built {
    Built {
        dir: tempfile::tempdir().unwrap(),
        manifest: json!({ "version": 1, "files": {} }),
        limits: Limits::default(),
        variables: Vec::new(),
    }
}

impl Built {
    /// A file, whose etag is its path without what is no letter.
    pub(crate) fn file(self, path: &str, kind: &str, content: impl AsRef<[u8]>) -> Self {
        self.coded(path, kind, content, &[])
    }

    /// A page.
    pub(crate) fn page(self, path: &str) -> Self {
        self.file(path, "text/html; charset=utf-8", format!("page {path}"))
    }

    /// A file with compressed forms.
    pub(crate) fn coded(
        mut self,
        path: &str,
        kind: &str,
        content: impl AsRef<[u8]>,
        codings: &[(&str, &str)],
    ) -> Self {
        let write = |folder: &str, content: &[u8]| {
            let file = self.dir.path().join(folder).join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        };
        write("files", content.as_ref());
        let etag: String = path.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut entry = json!({ "size": content.as_ref().len(), "etag": etag, "type": kind, "codings": {} });
        for (coding, content) in codings {
            write(coding, content.as_bytes());
            entry["codings"][coding] = json!(content.len());
        }
        self.manifest["files"][path] = entry;
        self
    }

    /// Something else of the manifest.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.manifest[key] = value;
        self
    }

    /// The file `path` never changes.
    pub(crate) fn immutable(mut self, path: &str) -> Self {
        self.manifest["files"][path]["immutable"] = json!(true);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes `site.json` only.
    pub(crate) fn write(&self) {
        fs::write(self.dir.path().join("site.json"), self.manifest.to_string()).unwrap();
    }

    pub(crate) fn start(self) -> Running {
        self.write();
        let variable = |name: &str| {
            self.variables
                .iter()
                .find(|(of, _)| of == name)
                .map(|(_, value)| value.clone())
        };
        let site = Site::load(self.dir.path(), variable).unwrap();
        let server = Server::start(site, 0, self.limits).unwrap();
        Running {
            server: Some(server),
            dir: Some(self.dir),
        }
    }
}

impl Running {
    pub(crate) fn port(&self) -> u16 {
        self.server.as_ref().unwrap().address().port()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.port())
    }

    /// What `GET target` gives, with headers of one's own (`Name: value` lines).
    pub(crate) fn get(&self, target: &str, headers: &[&str]) -> Answer {
        self.ask("GET", target, headers)
    }

    pub(crate) fn ask(&self, method: &str, target: &str, headers: &[&str]) -> Answer {
        let mut socket = self.connect();
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        send(
            &mut socket,
            &format!("{method} {target} HTTP/1.1\r\nHost: site.example\r\n{headers}\r\n"),
        );
        receive(&mut socket, method == "HEAD")
    }

    /// What comes back for these bytes until the server closes.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect();
        socket.write_all(bytes).unwrap();
        let mut out = Vec::new();
        socket.read_to_end(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Ends it; returns when it has ended.
    pub(crate) fn stop(mut self) {
        self.server.take().unwrap().stop().unwrap();
    }

    /// Begins to end it; the handle returns when it has ended.
    pub(crate) fn stopping(mut self) -> (u16, std::thread::JoinHandle<()>) {
        let port = self.port();
        let (server, dir) = (self.server.take().unwrap(), self.dir.take());
        let stop = move || {
            server.stop().unwrap();
            drop(dir);
        };
        (port, std::thread::spawn(stop))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Its clients are gone when a test is over.
            drop(std::thread::spawn(move || server.stop()));
        }
    }
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket
}

pub(crate) fn send(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).unwrap();
}

/// Reads one response. A second one that is here already stays in the socket.
pub(crate) fn receive(socket: &mut TcpStream, is_head: bool) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&head));
        });
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if !is_head && let Some(length) = answer.header("content-length") {
        answer.body = vec![0; length.parse().unwrap()];
        socket.read_exact(&mut answer.body).unwrap();
    }
    answer
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self
            .headers
            .iter()
            .filter(|(of, _)| of.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Status and `Location`.
    pub(crate) fn redirect(&self) -> (u16, &str) {
        (self.status, self.header("location").unwrap_or_default())
    }

    /// Status and body.
    pub(crate) fn shown(&self) -> (u16, String) {
        (self.status, self.text())
    }
}
