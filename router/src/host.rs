//! What a `Host` may look like. Stricter than RFC 3986's reg-name: nothing that a backend could read as a
//! path, a user or a second host.

/// Whether `value` is a DNS-like name or an IP literal, with or without a port.
pub(crate) fn is_valid(value: &[u8]) -> bool {
    let (name, port) = match value.iter().rposition(|b| *b == b':') {
        // The last colon of `[::1]` belongs to the address.
        Some(at) if !value[at..].contains(&b']') => (&value[..at], Some(&value[at + 1..])),
        _ => (value, None),
    };
    let name_fits = match name {
        [b'[', inner @ .., b']'] => inner
            .iter()
            .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.')),
        _ => name
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    let port_fits = port.is_none_or(|port| port.len() <= 5 && port.iter().all(u8::is_ascii_digit));
    !name.is_empty() && name.len() <= 255 && name_fits && port_fits
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for good in [
            "a",
            "demo.localhost:8080",
            "a_b.example.com",
            "127.0.0.1",
            "[::1]",
            "[::1]:80",
            "x.",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "a:80:80",
            "a:x",
            "a:123456",
            "[::1",
            "a\tb",
            "\u{e9}.com",
            "a?b",
            "a#b",
            "a\\b",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
