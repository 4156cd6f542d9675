//! SSH public keys: who may push.

use super::{
    Acting, Action,
    error::{Error, Result},
};
use crate::store::{self, as_date, ssh_keys};
use pvdify_api::{control::SshIdentity, keys as wire};
use russh::keys::ssh_key::{HashAlg, PublicKey, public::RsaPublicKey};

/// An RSA key below this can be factored (NIST SP 800-57 part 1, table 2).
const MIN_RSA_BITS: u32 = 2048;
/// The longest line: a 16,384 bit RSA key has about 2,800 characters.
const MAX_KEY_BYTES: usize = 8 * 1024;
const MAX_NAME_CHARS: usize = 100;

impl Acting {
    /// All keys.
    ///
    /// # Errors
    /// When refused.
    pub async fn keys(&self) -> Result<Vec<wire::SshKey>> {
        self.may(Action::ReadKeys)?;
        let keys = self.app.store().read(ssh_keys::list).await.map_err(Error::from)?;
        Ok(keys.into_iter().map(face).collect())
    }

    /// Adds one.
    ///
    /// # Errors
    /// When refused, no public key, too weak, or registered already.
    pub async fn add_key(&self, body: &wire::AddKey) -> Result<wire::SshKey> {
        self.may(Action::ChangeKeys)?;
        let key = parse(&body.public_key, body.name.as_deref())?;
        let added = key.clone();
        self.app
            .store()
            .write(move |tx| {
                if ssh_keys::insert(tx, &added)? {
                    return Ok(());
                }
                let name = ssh_keys::find(tx, &added.fingerprint)?.map(|key| key.name);
                Err(Error::KeyTaken(name.unwrap_or_default()))
            })
            .await?;
        Ok(face(key))
    }

    /// Removes one.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn remove_key(&self, fingerprint: &str) -> Result<()> {
        self.may(Action::ChangeKeys)?;
        let fingerprint = fingerprint.to_owned();
        self.app
            .store()
            .write(move |tx| {
                if ssh_keys::remove(tx, &fingerprint)? {
                    Ok(())
                } else {
                    Err(Error::NoKey(fingerprint.chars().take(64).collect()))
                }
            })
            .await
    }

    /// Who a verified key is.
    ///
    /// # Errors
    /// When refused or not registered.
    pub async fn identify_key(&self, fingerprint: &str) -> Result<SshIdentity> {
        self.may(Action::IdentifyKey)?;
        self.registered(fingerprint).await
    }

    pub(super) async fn registered(&self, fingerprint: &str) -> Result<SshIdentity> {
        let wanted = fingerprint.to_owned();
        let found = self
            .app
            .store()
            .read(move |reader| ssh_keys::find(reader, &wanted));
        let found = found.await.map_err(Error::from)?;
        let key = found.ok_or_else(|| Error::NoKey(fingerprint.chars().take(64).collect()))?;
        Ok(SshIdentity {
            name: key.name,
            fingerprint: key.fingerprint,
        })
    }
}

fn face(key: ssh_keys::SshKey) -> wire::SshKey {
    wire::SshKey {
        fingerprint: key.fingerprint,
        name: key.name,
        public_key: key.public_key,
        created_at: as_date(key.created_at),
    }
}

fn parse(text: &str, name: Option<&str>) -> Result<ssh_keys::SshKey> {
    let refused = |message: &str, hint: &str| Error::InvalidWithHint {
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    let no_key = |reason: &str| {
        refused(
            &format!("this is no OpenSSH public key: {reason}"),
            "give the one line of the .pub file, as in ~/.ssh/id_ed25519.pub",
        )
    };
    if text.contains("PRIVATE KEY") {
        return Err(refused(
            "this is a private key; it was not stored",
            "it has left your machine: make a new pair with ssh-keygen, and give the .pub file",
        ));
    }
    let line = text.trim();
    if line.is_empty() {
        return Err(no_key("it is empty"));
    }
    if line.len() > MAX_KEY_BYTES {
        return Err(no_key("it is too long"));
    }
    if line.lines().count() > 1 {
        return Err(no_key("it has more than one line"));
    }
    let mut key = PublicKey::from_openssh(line).map_err(|_| no_key("it can't be read"))?;
    let data = key.key_data();
    if data.is_dsa() {
        return Err(refused(
            "DSA keys are too weak",
            "make one with ssh-keygen -t ed25519",
        ));
    }
    if let Some(bits) = data
        .rsa()
        .map(RsaPublicKey::key_size)
        .filter(|bits| *bits < MIN_RSA_BITS)
    {
        return Err(refused(
            &format!("an RSA key has at least {MIN_RSA_BITS} bits, this one has {bits}"),
            "make one with ssh-keygen -t ed25519",
        ));
    }
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let comment = key.comment().to_string();
    let name = name.unwrap_or(&comment).trim();
    let name = if name.is_empty() {
        fingerprint.as_str()
    } else {
        name
    };
    check_name(name)?;
    let name = name.to_owned();
    key.set_comment("");
    let public_key = key.to_openssh().map_err(|_| no_key("it can't be written back"))?;
    Ok(ssh_keys::SshKey {
        fingerprint,
        name,
        public_key: public_key.trim().to_owned(),
        created_at: store::now(),
    })
}

/// A name is shown in lists, logs and releases.
pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "a name has 1 to {MAX_NAME_CHARS} characters and no control characters"
        )));
    }
    Ok(())
}
