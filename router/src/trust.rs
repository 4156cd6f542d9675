//! Which peers may speak for their clients: networks written as `10.0.0.0/8`, `::1` or `192.0.2.7`.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};
use thiserror::Error;

/// An IP network in CIDR notation (RFC 4632); an address alone is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no network: write an address or a range, as in 192.0.2.7 or 10.0.0.0/8")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || NetworkError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| error())?,
            None => bits,
        };
        if prefix > bits {
            return Err(error());
        }
        Ok(Self { address, prefix })
    }
}

impl Network {
    /// Whether an address lies in this network. IPv4 never lies in an IPv6 network: peers are compared after
    /// `to_canonical`, so a v4 client of a dual-stack socket is v4 here.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        if self.address.is_ipv4() != peer.is_ipv4() {
            return false;
        }
        let spare = (if peer.is_ipv4() { 32 } else { 128 }) - u32::from(self.prefix);
        let differing = bits(self.address) ^ bits(peer);
        differing.checked_shr(spare).unwrap_or(0) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => Ipv6Addr::to_bits(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_exactly_its_addresses() {
        let holds = |network: &str, peer: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(peer.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "8.8.8.8"));
        assert!(!holds("0.0.0.0/0", "::1"));
        assert!(holds("::/0", "2001:db8::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "10.0.0.0/", "localhost"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
