//! Connections: kept, pipelined, many, and ended in order.

use crate::harness::{connect, receive, send, site};
use std::{
    io::Read,
    net::{Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let running = site().page("index.html").start();
    let mut socket = running.connect();
    for _ in 0..100 {
        send(&mut socket, GET);
        let answer = receive(&mut socket, false);
        assert_eq!(
            (answer.status, answer.header("connection")),
            (200, Some("keep-alive"))
        );
    }
    send(
        &mut socket,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(receive(&mut socket, false).header("connection"), Some("close"));
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_old_client_is_kept_only_if_it_asks() {
    let running = site().page("index.html").start();
    let text = running.raw(b"GET / HTTP/1.0\r\n\r\n");
    assert!(text.contains("Connection: close") && text.ends_with("page index.html"));
    let mut socket = running.connect();
    for _ in 0..2 {
        send(&mut socket, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(
            receive(&mut socket, false).header("connection"),
            Some("keep-alive")
        );
    }
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let large = vec![b'x'; 300_000];
    let running = site()
        .page("index.html")
        .file("large", "text/plain", &large)
        .start();
    let mut socket = running.connect();
    let count = 200;
    send(
        &mut socket,
        &"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(count),
    );
    for _ in 0..count {
        assert_eq!(receive(&mut socket, false).text(), "page index.html");
        assert!(receive(&mut socket, false).body == large);
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_end_half_closed() {
    let running = site().page("index.html").start();
    let mut socket = running.connect();
    socket.set_nodelay(true).unwrap();
    for byte in GET.bytes() {
        send(&mut socket, &char::from(byte).to_string());
    }
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(receive(&mut socket, false).status, 200);
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

#[test]
fn both_families_of_addresses_are_served() {
    let running = site().page("index.html").start();
    let Ok(mut socket) = TcpStream::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, running.port()))) else {
        // A machine without IPv6 has the other only.
        assert!(!std::path::Path::new("/proc/net/if_inet6").exists());
        return;
    };
    send(&mut socket, GET);
    assert_eq!(receive(&mut socket, false).status, 200);
    assert_eq!(running.get("/", &[]).status, 200);
}

#[test]
fn many_clients_at_once_are_all_served() {
    let running = site().page("index.html").start();
    let mut sockets: Vec<TcpStream> = (0..400).map(|_| running.connect()).collect();
    for socket in &mut sockets {
        send(socket, GET);
    }
    for socket in &mut sockets {
        assert_eq!(receive(socket, false).status, 200);
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let running = site()
        .page("index.html")
        .limits(|limits| limits.idle = Duration::from_millis(300))
        .start();
    let mut socket = running.connect();
    send(&mut socket, GET);
    assert_eq!(receive(&mut socket, false).status, 200);
    assert_eq!(socket.read(&mut [0]).unwrap(), 0);
}

#[test]
fn at_the_end_what_is_under_way_is_finished_and_what_is_idle_closed() {
    let large = vec![b'x'; 20_000_000];
    let running = site()
        .page("index.html")
        .file("large", "text/plain", &large)
        .start();
    let mut idle = running.connect();
    send(&mut idle, GET);
    assert_eq!(receive(&mut idle, false).status, 200);
    let mut busy = running.connect();
    send(&mut busy, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut first = [0; 1];
    busy.read_exact(&mut first).unwrap();
    let (port, ended) = running.stopping();
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {}
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > large.len());
    ended.join().unwrap();
}

#[test]
fn what_had_connected_before_the_end_is_served() {
    let running = site()
        .page("index.html")
        .limits(|limits| limits.silence = Duration::from_secs(10))
        .start();
    let mut fresh: Vec<TcpStream> = (0..20).map(|_| running.connect()).collect();
    let (port, ended) = running.stopping();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {}
    for socket in &mut fresh {
        send(socket, GET);
        let answer = receive(socket, false);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
    drop(fresh);
    ended.join().unwrap();
}

#[test]
fn a_client_that_never_ends_does_not_hold_up_the_end() {
    let limits = |limits: &mut pvdify_static_server::Limits| limits.stop = Duration::from_millis(300);
    let running = site()
        .file("large", "text/plain", vec![0; 20_000_000])
        .limits(limits)
        .start();
    let mut socket = connect(running.port());
    send(&mut socket, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.read_exact(&mut [0]).unwrap();
    running.stop();
}

#[test]
fn a_client_that_says_nothing_does_not_hold_up_the_end() {
    let running = site().page("index.html").start();
    let mut silent = running.connect();
    let (_, ended) = running.stopping();
    // Before the time that it would have for a request.
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    ended.join().unwrap();
}

#[test]
fn who_goes_on_sending_after_the_end_of_his_request_holds_up_nobody() {
    let running = site().page("index.html").start();
    let mut senders: Vec<_> = (0..8)
        .map(|_| {
            let mut socket = running.connect();
            send(
                &mut socket,
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            );
            assert_eq!(receive(&mut socket, false).status, 405);
            socket
        })
        .collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for socket in &mut senders {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed)
                    && std::io::Write::write_all(socket, &[b'x'; 65536]).is_ok()
                {}
            });
        }
        for _ in 0..20 {
            assert_eq!(running.get("/", &[]).status, 200);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
