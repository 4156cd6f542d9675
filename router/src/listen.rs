//! Listening sockets: one for each thread on one port, the kernel shares connections out (SO_REUSEPORT).

use std::{
    io,
    net::{SocketAddr, TcpListener},
};
use tokio::net::TcpSocket;

/// Connections that wait to be accepted, for each thread.
const BACKLOG: u32 = 1024;

/// Binds `count` sockets to one address. Must be called within a runtime.
pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second router of the same user join in silence and take half of the
    // connections. A socket without it finds that out.
    let probe = socket(address)?;
    probe.bind(address)?;
    let taken = probe.local_addr()?;
    let first = if address.port() == 0 {
        None
    } else {
        Some(probe.listen(BACKLOG)?)
    };
    drop(first);

    let mut address = address;
    let mut listeners = Vec::with_capacity(count);
    // For port 0 the kernel has just named a free one.
    address.set_port(taken.port());
    for _ in 0..count {
        let socket = socket(address)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        listeners.push(socket.listen(BACKLOG)?.into_std()?);
    }
    Ok(listeners)
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threads_share_a_port_but_routers_do_not() {
        let first = bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert!(
            first
                .iter()
                .all(|listener| listener.local_addr().unwrap() == address)
        );
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(bind(address, 1).is_ok());
    }
}
