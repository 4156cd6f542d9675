//! A request's id: the one thread through the client's, the router's and the app's logs.

use super::X_REQUEST_ID;
use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

/// Heroku's rule: a client's own request id is kept when it is 20 to 200 characters that can stand in any log.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_request_id(id.as_bytes()) => id.clone(),
        _ => HeaderValue::from_str(
            Uuid::now_v7()
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer()),
        )
        .expect("a UUID is hexadecimal digits and hyphens"),
    }
}

fn is_request_id(id: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-+/=_.".contains(b);
    (20..=200).contains(&id.len()) && id.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::headers;

    #[test]
    fn a_request_id_is_kept_only_when_it_is_harmless() {
        let kept = |id: &str| request_id(&headers(&[("x-request-id", id)])) == id;
        assert!(kept("abcdefghij0123456789"));
        assert!(kept(&"a/b+c=d-e_f.".repeat(10)));
        assert!(!kept("tooshort"));
        assert!(!kept(&"a".repeat(201)));
        assert!(!kept("abcdefghij 0123456789"));
        assert!(!kept("abcdefghij\"0123456789"));
        let two = headers(&[
            ("x-request-id", "abcdefghij0123456789"),
            ("x-request-id", "abcdefghij0123456789"),
        ]);
        assert_eq!(request_id(&two).len(), 36);
    }
}
