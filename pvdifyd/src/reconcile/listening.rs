//! Where a process's network has listeners: tells why nobody answers at the port that an app was given.

use std::{
    fmt::Write as _,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A socket that listens, as proc_net_tcp(5) has it.
const LISTEN: &str = "0A";

/// The addresses that sockets in the network of `pid` listen at, sorted.
pub(super) fn addresses(pid: u32) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = ["tcp", "tcp6"]
        .iter()
        .filter_map(|name| fs::read_to_string(format!("/proc/{pid}/net/{name}")).ok())
        .flat_map(|text| text.lines().filter_map(listener).collect::<Vec<_>>())
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What they mean for who waits at `port`; nothing where that says nothing.
pub(super) fn explain(addresses: &[SocketAddr], port: u16) -> Option<String> {
    let at_port = |address: &&SocketAddr| address.port() == port;
    if let Some(local) = addresses.iter().find(at_port) {
        return local.ip().is_loopback().then(|| {
            format!("it listens at {local} only, where nobody else reaches it: it must listen on all addresses (0.0.0.0)")
        });
    }
    let (first, rest) = addresses.split_first()?;
    let mut others = first.to_string();
    for address in rest {
        write!(others, ", {address}").ok()?;
    }
    Some(format!(
        "it listens at {others} instead: it must listen on the port in the variable PORT"
    ))
}

fn listener(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace().skip(1);
    let (local, state) = (words.next()?, words.nth(1)?);
    let (address, port) = local.split_once(':')?;
    (state == LISTEN).then_some(())?;
    Some(SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?))
}

// Words of four bytes, each as the machine has it.
fn ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0_u8; 16];
    for part in 0..4 {
        bytes[part * 4..part * 4 + 4].copy_from_slice(&word(part * 8)?);
    }
    Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_found() {
        let here = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = std::net::TcpListener::bind("[::1]:0").unwrap();
        let found = addresses(std::process::id());
        assert!(found.contains(&here.local_addr().unwrap()), "{found:?}");
        assert!(found.contains(&there.local_addr().unwrap()), "{found:?}");
        assert!(addresses(0).is_empty());
    }

    #[test]
    fn only_what_listens_counts() {
        let line =
            |state: &str| format!("   0: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000");
        assert_eq!(listener(&line("0A")), Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(listener(&line("01")), None);
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn the_reason_names_what_the_app_does_instead() {
        let explain = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            explain(&addresses, 8080)
        };
        insta::assert_snapshot!(explain(&["127.0.0.1:8080"]).unwrap(), @"it listens at 127.0.0.1:8080 only, where nobody else reaches it: it must listen on all addresses (0.0.0.0)");
        insta::assert_snapshot!(explain(&["0.0.0.0:3000", "[::]:9229"]).unwrap(), @"it listens at 0.0.0.0:3000, [::]:9229 instead: it must listen on the port in the variable PORT");
        assert_eq!(explain(&["0.0.0.0:8080"]), None);
        assert_eq!(explain(&[]), None);
    }
}
