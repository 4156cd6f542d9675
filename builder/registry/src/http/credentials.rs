//! Reads `Authorization: Basic`.

use crate::access::Credentials;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};

/// The header's content, decoded. Neither shown nor logged: there is no `Debug`.
pub(super) struct Given {
    text: String,
    colon: usize,
}

impl Given {
    pub(super) fn as_credentials(&self) -> Credentials<'_> {
        Credentials {
            user: &self.text[..self.colon],
            password: &self.text[self.colon + 1..],
        }
    }
}

/// The credentials given, if there are any that can be read.
pub(super) fn read(headers: &HeaderMap) -> Option<Given> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let colon = text.find(':')?;
    Some(Given { text, colon })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_and_anything_else_is_none() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            read(&headers)
        };
        let given = with(&format!("basic {}", STANDARD.encode("me:a:b"))).unwrap();
        let credentials = given.as_credentials();
        assert_eq!((credentials.user, credentials.password), ("me", "a:b"));
        for bad in [
            "Basic",
            "Basic !",
            "Bearer abc",
            &format!("Basic {}", STANDARD.encode("nocolon")),
        ] {
            assert!(with(bad).is_none(), "{bad}");
        }
        assert!(read(&HeaderMap::new()).is_none());
    }
}
