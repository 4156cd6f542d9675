//! Which addresses a build may have files fetched from: public ones alone.
//!
//! `ADD` is done by Podman, outside of the build's network: it would reach this host, its neighbours, and the
//! metadata service of its cloud. A name that leads there by DNS is found out just before the build (`remote`).

use super::super::remote;
use crate::address::is_public;
use std::net::IpAddr;

/// Why a file may not be fetched from there.
pub(super) fn address_refusal(word: &str) -> Option<String> {
    let Some(host) = remote::authority(&word.to_ascii_lowercase()) else {
        return hidden_address(word);
    };
    (host.contains(['$', '\\']) || host_is_private(&host)).then(|| {
        format!("ADD {word} is not allowed: files are fetched from public addresses only; use RUN with curl instead")
    })
}

/// A variable that could make an address of what is none yet.
fn hidden_address(word: &str) -> Option<String> {
    let (before, _) = word.split_once('$')?;
    let before = before.to_ascii_lowercase();
    ["http://", "https://", "git://", "git@", "ssh://"]
        .iter()
        .any(|scheme| scheme.starts_with(&before))
        .then(|| format!("ADD {word} may be any address: write it out, or use COPY for a file of the source"))
}

/// Whether a host, perhaps with a port, is this machine, its private network or its cloud's metadata service.
pub(super) fn host_is_private(host: &str) -> bool {
    let name = remote::name(host);
    match name.parse::<IpAddr>() {
        Ok(address) => !is_public(address),
        // 0x7f.1, 2130706433: other spellings of an address, which no name of a host is.
        Err(_) => {
            let last = name.rsplit('.').next().unwrap_or_default();
            let numeric =
                last.starts_with("0x") || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
            numeric
                || name == "localhost"
                || [".localhost", ".internal", ".local"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::check;

    #[test]
    fn files_are_added_from_public_addresses_only() {
        for source in [
            "git://10.0.0.1/x",
            "git@localhost:x/y",
            "ssh://git@127.0.0.1/x",
            "$URL",
            "${A}tp://10.0.0.1/",
            "http:/$A",
            "http://localh\\ost/",
        ] {
            assert!(check(&format!("FROM x\nADD {source} /b")).is_err(), "{source}");
        }
        assert_eq!(check("FROM x\nADD dist/$V.tar $HOME/x"), Ok(()));
        for host in [
            "169.254.169.254",
            "127.0.0.1:9443",
            "10.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "0x7f.1",
            "2130706433",
            "me@192.168.1.1",
            "metadata.google.internal",
            "$H",
            "0.0.0.0",
        ] {
            assert!(
                check(&format!("FROM x\nADD http://{host}/a /b")).is_err(),
                "{host}"
            );
            assert!(
                check(&format!("FROM x\nADD [\"HTTPS://{host}/a\",\"/b\"]")).is_err(),
                "{host}"
            );
        }
    }
}
