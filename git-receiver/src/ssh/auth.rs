//! Who a key is. Only a key whose signature was verified is ever asked about.
//!
//! The trap (soft-serve fell into it): a client may *offer* any public key, also someone else's, before it
//! signs with its own. An identity taken at the offer would be the other person's. So the offer is answered
//! without looking the key up, and the identity is set in one place, from the verified key.

use pvdify_client::Client;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use std::net::SocketAddr;

/// Whose verified key this connection holds.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// A registered one.
    Known(Pusher),
    /// The control plane could not be asked. Let in only to be told so: a refusal here would read as a wrong
    /// key. It can do nothing: each command asks for [`Identity::Known`].
    Unasked,
}

/// A person (or machine) with a registered key.
#[derive(Clone, Debug)]
pub(crate) struct Pusher {
    /// The key's name.
    pub(crate) name: String,
    /// The key.
    pub(crate) fingerprint: String,
}

/// Asks the control plane about a **verified** key; `None` refuses it.
pub(crate) async fn identify(control: &Client, key: &PublicKey, peer: SocketAddr) -> Option<Identity> {
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    match control.identify_ssh_key(&fingerprint).await {
        Ok(Some(identity)) => {
            // The control plane's echo is not needed: what was verified is what counts.
            Some(Identity::Known(Pusher {
                name: identity.name,
                fingerprint,
            }))
        }
        Ok(None) => {
            tracing::info!(%peer, %fingerprint, "an unknown SSH key was refused; to allow it: pvdify keys:add FILE");
            None
        }
        Err(error) => {
            tracing::error!(%peer, %error, "the control plane can't be asked about a key");
            Some(Identity::Unasked)
        }
    }
}

/// Signatures over SHA-1 can be forged for a price; OpenSSH stopped making them in 2021.
pub(crate) fn is_acceptable(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_keys_are_taken_but_not_with_sha_1() {
        assert!(is_acceptable(&Algorithm::Ed25519));
        assert!(is_acceptable(&Algorithm::Rsa {
            hash: Some(HashAlg::Sha256)
        }));
        assert!(is_acceptable(&Algorithm::Rsa {
            hash: Some(HashAlg::Sha512)
        }));
        assert!(!is_acceptable(&Algorithm::Rsa { hash: None }));
    }
}
