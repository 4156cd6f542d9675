//! Starts a built app's web process and talks to it.

use buildpack_support::testing::App;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Stdio},
};

/// A running web process; killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Running {
    /// Starts `web` on a free port and waits until it listens.
    pub(crate) fn web(app: &App) -> Self {
        let mut child = app
            .start("web")
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // The second is what srvx says.
        let port_of = |line: &str| {
            let rest = line
                .strip_prefix("port ")
                .or_else(|| Some(line.split_once("http://localhost:")?.1))?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        let port = loop {
            line.clear();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "the app ended before it listened"
            );
            if let Some(port) = port_of(&line) {
                break port;
            }
        };
        Self { child, output, port }
    }

    /// The body of `GET /`.
    pub(crate) fn get(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Sends SIGTERM to the first process, and gives what the app says to that.
    pub(crate) fn terminate(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when it was terminated.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
