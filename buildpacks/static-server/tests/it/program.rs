//! The program: its port, its signals, what it says when it can't start.

use crate::harness::{connect, receive, send, site};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
};

fn start(folder: &Path, port: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pvdify-static-server"))
        .arg(folder)
        .env_clear()
        .env("PORT", port)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn error(folder: &Path, port: &str) -> String {
    let output = start(folder, port).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_serves_at_its_port_until_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let built = site().page("index.html").with("access_log", true.into());
        built.write();
        let mut child = start(built.dir.path(), "0");
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        let mut socket = connect(port);
        send(&mut socket, "GET /?q HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(receive(&mut socket, false).text(), "page index.html");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        assert_eq!(socket.read(&mut [0]).unwrap(), 0);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "GET /?q 200 15\nStopping\n");
    }
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let built = site().page("index.html");
    let folder = built.dir.path().display().to_string();
    let told = |port: &str| error(built.dir.path(), port).replace(&folder, "[site]");
    insta::assert_snapshot!(told("0"), @"static-server: can't read [site]/site.json: No such file or directory (os error 2)");
    built.write();
    insta::assert_snapshot!(told("http"), @r#"static-server: PORT is "http", which is no port"#);
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    insta::assert_snapshot!(told(&port).replace(&port, "[port]"), @"static-server: can't listen at port [port]: Address already in use (os error 98)");
}
