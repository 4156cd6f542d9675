//! A request's target to the path it means, and a path back to what may stand in a header.

/// Why a target is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The path and query of a target: `/a%20b?x` or `http://host/a%20b?x`. The path is decoded, has one `/` where
/// more were written, and no `.` or `..`.
pub(crate) fn target(target: &str) -> Result<(String, Option<&str>), Malformed> {
    let origin = if target.starts_with('/') {
        target
    } else {
        let (scheme, rest) = target.split_once("://").ok_or(Malformed)?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(Malformed);
        }
        let path = rest.find(['/', '?']).map_or("/", |at| &rest[at..]);
        if path.starts_with('?') { "/" } else { path }
    };
    let (path, query) = match origin.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (origin, None),
    };
    Ok((normal(&decode(path)?)?, query))
}

fn decode(path: &str) -> Result<String, Malformed> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let high = hex(bytes.next().ok_or(Malformed)?)?;
                let low = hex(bytes.next().ok_or(Malformed)?)?;
                high << 4 | low
            }
            b'#' => return Err(Malformed),
            byte => byte,
        };
        if byte.is_ascii_control() {
            return Err(Malformed);
        }
        out.push(byte);
    }
    String::from_utf8(out).map_err(|_| Malformed)
}

fn hex(byte: u8) -> Result<u8, Malformed> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        b'A'..=b'F' => Ok(byte - b'A' + 10),
        _ => Err(Malformed),
    }
}

fn normal(path: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if segment == "." || segment == ".." {
            return Err(Malformed);
        }
        if index > 0 && !out.ends_with('/') {
            out.push('/');
        }
        out.push_str(segment);
    }
    Ok(out)
}

/// A path as it may stand in `Location`: what is not plainly a part of a path is escaped.
pub(crate) fn encode(path: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_decoded_and_made_normal() {
        for (given, path, query) in [
            ("/", "/", None),
            ("/a%20b/%C3%A4?x=%41", "/a b/ä", Some("x=%41")),
            ("//evil.example//x", "/evil.example/x", None),
            ("/x/%2Fevil.example", "/x/evil.example", None),
            ("/...", "/...", None),
            ("http://host:80/a?b", "/a", Some("b")),
            ("http://host", "/", None),
            ("http://host?b", "/", None),
            ("/a?", "/a", Some("")),
        ] {
            assert_eq!(target(given), Ok((path.to_owned(), query)), "{given}");
        }
    }

    #[test]
    fn what_could_mean_another_file_is_refused() {
        for given in [
            "",
            "a",
            "*",
            "ftp://x/",
            "/%",
            "/%4",
            "/%zz",
            "/%00",
            "/a%0d%0ab",
            "/#a",
            "/../x",
            "/a/..",
            "/./a",
            "/%2e%2e/x",
            "/a/%2E%2E%2Fb",
            "/%ff",
            "/%c0%ae%c0%ae/x",
        ] {
            assert_eq!(target(given), Err(Malformed), "{given}");
        }
    }

    #[test]
    fn a_location_can_not_be_split_or_point_elsewhere() {
        let mut out = String::new();
        encode("/a b\r\n/\\evil?x#y/ä", &mut out);
        assert_eq!(out, "/a%20b%0D%0A/%5Cevil%3Fx%23y/%C3%A4");
    }
}
