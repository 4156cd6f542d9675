//! Where the builder's own fetches may go: `ADD` of a Dockerfile to public addresses, an import to any but those
//! of the network link, where clouds keep a server's credentials.
//!
//! The decisions are functions of an address. Names are resolved here just before they are used, and all of a
//! name's addresses must pass. Whoever fetches resolves once more: a name that changes its address in between, or
//! redirects, is not caught by this. A name that does not resolve passes: then the fetch itself says so, or a
//! proxy knows the name.

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

/// Gives a host's addresses.
pub type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// A name that takes longer counts as one that does not resolve.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names resolved at once.
const AT_ONCE: usize = 8;

/// Clouds' metadata services outside the link-local range: Azure, Oracle, Alibaba.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// AWS.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// As the host's programs resolve.
pub(crate) fn system() -> Resolver {
    Arc::new(|host| {
        async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    })
}

/// The first of `hosts` that has an address which does not pass, with that address.
pub(crate) async fn first_refused(
    resolver: &Resolver,
    hosts: BTreeSet<String>,
    passes: fn(IpAddr) -> bool,
) -> Option<(String, IpAddr)> {
    let looked_up = hosts.into_iter().map(|host| async move {
        let found = tokio::time::timeout(PATIENCE, resolver(host.clone())).await;
        let addresses = match found {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let refused = addresses.into_iter().find(|address| !passes(*address))?;
        Some((host, refused))
    });
    let mut looked_up = stream::iter(looked_up).buffered(AT_ONCE);
    while let Some(answer) = looked_up.next().await {
        if answer.is_some() {
            return answer;
        }
    }
    None
}

/// Whether an address is of the Internet rather than of this host, its networks or its cloud.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match v4_of(address) {
        Ok(v4) => is_public_v4(v4),
        Err(v6) => {
            let site_local = v6.segments()[0] & 0xffc0 == 0xfec0;
            !(v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
                || site_local)
        }
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let this_network = a == 0;
    let shared = a == 100 && (64..128).contains(&b);
    let protocols = (a, b, c) == (192, 0, 0);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    let multicast_and_reserved = a >= 224;
    !(v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || this_network
        || shared
        || protocols
        || benchmarks
        || multicast_and_reserved
        || METADATA_V4.contains(&v4))
}

/// Whether an address may be a registry's: this host and private networks have some, a network link has none.
pub(crate) fn may_be_registry(address: IpAddr) -> bool {
    match v4_of(address) {
        Ok(v4) => !(v4.is_link_local() || METADATA_V4.contains(&v4)),
        Err(v6) => !(v6.is_unicast_link_local() || v6 == METADATA_V6),
    }
}

/// The IPv4 address to which packets for this one go in the end, if one does.
fn v4_of(address: IpAddr) -> Result<Ipv4Addr, Ipv6Addr> {
    let v6 = match address {
        IpAddr::V4(v4) => return Ok(v4),
        IpAddr::V6(v6) => v6,
    };
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        // ::1 and :: are no embedded 0.0.0.1 and 0.0.0.0.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Err(v6),
        // Mapped, compatible (RFC 4291 section 2.5.5), and translated (RFC 6052 section 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Ok(join(high, low)),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => Ok(join(high, low)),
        _ => Err(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_range_has_its_answer() {
        // Address, public, may be a registry's.
        let table = [
            ("93.184.216.34", true, true),
            ("100.63.255.255", true, true),
            ("172.32.0.1", true, true),
            ("2606:2800:220:1::1", true, true),
            ("64:ff9b::5db8:d822", true, true),
            ("127.0.0.1", false, true),
            ("127.9.9.9", false, true),
            ("10.0.0.1", false, true),
            ("172.16.0.1", false, true),
            ("192.168.1.1", false, true),
            ("100.64.0.1", false, true),
            ("0.0.0.0", false, true),
            ("0.1.2.3", false, true),
            ("198.18.0.1", false, true),
            ("224.0.0.1", false, true),
            ("255.255.255.255", false, true),
            ("::1", false, true),
            ("::", false, true),
            ("fd00::1", false, true),
            ("fec0::1", false, true),
            ("ff02::1", false, true),
            ("::ffff:10.0.0.1", false, true),
            ("::127.0.0.1", false, true),
            ("64:ff9b::a00:1", false, true),
            ("2002:7f00:1::1", false, true),
            ("169.254.169.254", false, false),
            ("169.254.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("64:ff9b::a9fe:a9fe", false, false),
            ("2002:a9fe:a9fe::1", false, false),
            ("fe80::1", false, false),
            ("febf::1", false, false),
            ("fd00:ec2::254", false, false),
            ("168.63.129.16", false, false),
            ("192.0.0.192", false, false),
            ("100.100.100.200", false, false),
        ];
        for (text, public, registry) in table {
            assert_eq!(is_public(address(text)), public, "{text}");
            assert_eq!(may_be_registry(address(text)), registry, "{text}");
        }
    }

    #[tokio::test]
    async fn all_addresses_of_all_names_must_pass_and_a_name_without_any_does() {
        let resolver: Resolver = Arc::new(|host| {
            async move {
                match host.as_str() {
                    "good" => Ok(vec![address("93.184.216.34")]),
                    "both" => Ok(vec![address("93.184.216.34"), address("169.254.169.254")]),
                    _ => Err(io::ErrorKind::NotFound.into()),
                }
            }
            .boxed()
        });
        let refused = async |hosts: &[&str]| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            first_refused(&resolver, hosts, is_public).await
        };
        assert_eq!(refused(&["good", "nowhere"]).await, None);
        assert_eq!(
            refused(&["good", "both"]).await,
            Some(("both".to_owned(), address("169.254.169.254")))
        );
    }
}
