//! A built site, served by the real server and asked over a real socket.

use buildpack_static::{DESCRIPTOR, StaticBuildpack};
use buildpack_support::{
    files,
    testing::{App, entry},
};
use pvdify_static_server::{Limits, Server, Site};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
};

entry!(StaticBuildpack, DESCRIPTOR);

/// An empty app, with the server's program where the buildpack has it.
pub(crate) fn site() -> App {
    let app = app();
    files::write(&app.buildpack_dir().join("bin/static-server"), "the program").unwrap();
    app
}

/// A server of what an app was built into.
pub(crate) struct Served {
    server: Option<Server>,
    port: u16,
    /// Of a site that nothing else holds.
    pub(crate) app: Option<App>,
}

/// A response: status, headers with small names, body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Serves the last build of `app`.
pub(crate) fn serve(app: &App, variables: &[(&str, &str)]) -> Served {
    let variable = |name: &str| {
        variables
            .iter()
            .find(|(of, _)| *of == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let site = Site::load(&app.layer("site"), variable).unwrap();
    let server = Server::start(site, 0, Limits::default()).unwrap();
    Served {
        port: server.address().port(),
        server: Some(server),
        app: None,
    }
}

impl Served {
    pub(crate) fn get(&self, target: &str, headers: &[&str]) -> Answer {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        write!(
            socket,
            "GET {target} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        Answer {
            status: lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// Status and body.
    pub(crate) fn page(&self, target: &str) -> (u16, String) {
        let answer = self.get(target, &[]);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Status and `Location`.
    pub(crate) fn redirect(&self, target: &str) -> (u16, String) {
        let answer = self.get(target, &[]);
        (
            answer.status,
            answer.header("location").unwrap_or_default().to_owned(),
        )
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(of, _)| of == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            // Every client has closed its connection.
            drop(server.stop());
        }
    }
}
