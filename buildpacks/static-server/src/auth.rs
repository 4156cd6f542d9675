//! `Authorization: Basic`, against passwords in the clear or as htpasswd's `$apr1$`.
//!
//! A site that asks for a password and has none that can be checked is not served at all.

use crate::{manifest::Manifest, site::Unusable};
use base64::{Engine, prelude::BASE64_STANDARD};
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq;

/// Who may see the site.
#[derive(Clone)]
pub(crate) struct Users(BTreeMap<String, String>);

// No password in a log.
impl std::fmt::Debug for Users {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl Users {
    /// Those of the environment (`BASIC_AUTH_USERNAME`, `BASIC_AUTH_PASSWORD`), else the site's; none if the site
    /// is for all.
    pub(crate) fn of(
        manifest: &Manifest,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Unusable> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let users = match (set("BASIC_AUTH_USERNAME"), set("BASIC_AUTH_PASSWORD")) {
            (Some(name), Some(password)) => BTreeMap::from([(name, password)]),
            (Some(_), None) | (None, Some(_)) => {
                return Err(Unusable(
                    "only one of BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD is set: set both, or neither"
                        .into(),
                ));
            }
            (None, None) if manifest.basic_auth => manifest.users.clone(),
            (None, None) => return Ok(None),
        };
        if users.is_empty() {
            return Err(Unusable(
                "the site asks for a password, but there is none: set BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD".into(),
            ));
        }
        if let Some(name) = users
            .iter()
            .find(|(_, password)| is_unknown(password))
            .map(|(name, _)| name)
        {
            return Err(Unusable(format!(
                "the password of {name:?} is in a form that can't be checked here: write it in the clear, or as \
                 `openssl passwd -apr1` gives it"
            )));
        }
        Ok(Some(Self(users)))
    }

    /// Whether the header names one of them with the right password.
    pub(crate) fn allow(&self, header: Option<&str>) -> bool {
        let Some(given) = header.and_then(credentials) else {
            return false;
        };
        let Some((name, password)) = given.split_once(':') else {
            return false;
        };
        let Some(known) = self.0.get(name) else {
            return false;
        };
        // Hashing takes the longer the longer a password is.
        if password.len() > 256 {
            return false;
        }
        let given = match salt(known) {
            Some(salt) => apr1(password.as_bytes(), salt),
            None => password.to_owned(),
        };
        bool::from(given.as_bytes().ct_eq(known.as_bytes()))
    }
}

fn is_unknown(password: &str) -> bool {
    (password.starts_with('$') || password.starts_with('{')) && salt(password).is_none()
}

fn credentials(header: &str) -> Option<String> {
    let (scheme, rest) = header.trim().split_once(' ')?;
    let bytes = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| BASE64_STANDARD.decode(rest.trim()))?
        .ok()?;
    String::from_utf8(bytes).ok()
}

fn salt(known: &str) -> Option<&str> {
    let (salt, hash) = known.strip_prefix("$apr1$")?.split_once('$')?;
    (salt.len() <= 8 && hash.len() == 22).then_some(salt)
}

/// Apache's variant of the MD5 crypt: `$apr1$salt$hash`. Slow by its thousand rounds.
fn apr1(password: &[u8], salt: &str) -> String {
    let salt_bytes = salt.as_bytes();
    let mixed = Md5::new()
        .chain_update(password)
        .chain_update(salt_bytes)
        .chain_update(password)
        .finalize();
    let mut hasher = Md5::new()
        .chain_update(password)
        .chain_update(b"$apr1$")
        .chain_update(salt_bytes);
    for at in (0..password.len()).step_by(16) {
        hasher.update(&mixed[..16.min(password.len() - at)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        hasher.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut state = hasher.finalize();
    for round in 0..1000 {
        let mut hasher = Md5::new();
        hasher.update(if round & 1 == 1 { password } else { &state[..] });
        if round % 3 != 0 {
            hasher.update(salt_bytes);
        }
        if round % 7 != 0 {
            hasher.update(password);
        }
        hasher.update(if round & 1 == 1 { &state[..] } else { password });
        state = hasher.finalize();
    }
    format!("$apr1${salt}${}", letters(&state))
}

fn letters(state: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = String::new();
    let mut add = |mut value: u32, count: usize| {
        for _ in 0..count {
            out.push(char::from(LETTERS[(value & 63) as usize]));
            value >>= 6;
        }
    };
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        add(
            u32::from(state[a]) << 16 | u32::from(state[b]) << 8 | u32::from(state[c]),
            4,
        );
    }
    add(u32::from(state[11]), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(json: &str) -> Manifest {
        serde_json::from_str(&format!(r#"{{"version":1,"files":{{}},{json}}}"#)).unwrap()
    }

    fn header(text: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn htpasswds_hash_is_computed() {
        for (password, salt, expected) in [
            ("myPassword", "r31.....", "HqJZimcKQFAMYayBlzkrA/"),
            (
                "a long password of 32 characters",
                "abcdefgh",
                "uMJsB/b6/fpR1v.vUShbI0",
            ),
            ("ä", "xy", "AA3Qae8QgA2JI1FfNMVd00"),
        ] {
            assert_eq!(
                apr1(password.as_bytes(), salt),
                format!("$apr1${salt}${expected}"),
                "{password}"
            );
        }
    }

    #[test]
    fn the_right_password_and_no_other_lets_in() {
        for known in ["secret", &apr1(b"secret", "abc")] {
            let site = manifest(&format!(r#""basic_auth":true,"users":{{"me":"{known}"}}"#));
            let users = Users::of(&site, |_| None).unwrap().unwrap();
            assert!(users.allow(Some(&header("me:secret"))));
            for wrong in ["me:Secret", "you:secret", "me:", "me", "me:secret:"] {
                assert!(!users.allow(Some(&header(wrong))), "{wrong}");
            }
            assert!(!users.allow(None) && !users.allow(Some("Basic ???")) && !users.allow(Some("Bearer x")));
        }
    }

    #[test]
    fn the_environment_asks_for_a_password_whatever_the_site_says() {
        let site = manifest(r#""clean_urls":true"#);
        assert!(Users::of(&site, |_| None).unwrap().is_none());
        let variable = |name: &str| Some(if name.ends_with("NAME") { "me" } else { "x" }.to_owned());
        assert!(
            Users::of(&site, variable)
                .unwrap()
                .unwrap()
                .allow(Some(&header("me:x")))
        );
    }

    #[test]
    fn a_password_that_can_not_be_checked_ends_the_start() {
        let why = |json: &str, name: &str| {
            Users::of(&manifest(json), |of| (of == name).then(|| "x".to_owned()))
                .unwrap_err()
                .0
        };
        insta::assert_snapshot!(why(r#""basic_auth":true"#, ""), @"the site asks for a password, but there is none: set BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD");
        insta::assert_snapshot!(why(r#""basic_auth":true,"users":{"me":"$2y$05$abc"}"#, ""), @r#"the password of "me" is in a form that can't be checked here: write it in the clear, or as `openssl passwd -apr1` gives it"#);
        insta::assert_snapshot!(why(r#""clean_urls":true"#, "BASIC_AUTH_USERNAME"), @"only one of BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD is set: set both, or neither");
    }
}
