//! `keys`, `keys:add`, `keys:remove`: the SSH keys that may push.

use super::{Context, Result};
use crate::{args::Json, error::CliError, output};
use clap::Args;
use pvdify_api::keys::{AddKey, SshKey};
use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// List the SSH keys that may push
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    json: Json,
}

impl List {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let keys = context.client.keys().await?;
        let none = "No SSH key may push yet; add yours with `pvdify keys:add`.";
        self.json.print_list(keys, none, |keys| {
            output::table(
                ["NAME", "FINGERPRINT", "ADDED"],
                keys.into_iter()
                    .map(|key| [key.name, key.fingerprint, output::utc(key.created_at)]),
            )
        })
    }
}

/// Allow an SSH key to push
#[derive(Args)]
pub(crate) struct Add {
    /// The public key; the first of ~/.ssh/id_ed25519.pub, id_ecdsa.pub and id_rsa.pub when left out
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// What to call it; the key's comment when left out
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    json: Json,
}

impl Add {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let file = match self.file {
            Some(file) => file,
            None => default_key()?,
        };
        let public_key = read_public_key(&file)?;
        let body = AddKey {
            public_key,
            name: self.name,
        };
        let key = context.client.add_key(&body).await?;
        self.json.print(key, |key| {
            output::line(&format!("Added {} {}", key.name, key.fingerprint))
        })
    }
}

fn default_key() -> Result<PathBuf> {
    let ssh = env::home_dir().unwrap_or_default().join(".ssh");
    ["id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub"]
        .map(|name| ssh.join(name))
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| {
            CliError::usage(format!("no public key in {}", ssh.display()))
                .hint("make one with `ssh-keygen -t ed25519`, or name the file")
        })
}

/// Reads the one line of a public key. A private key never leaves this function.
fn read_public_key(file: &Path) -> Result<String> {
    // The longest public key in use, RSA of 16384 bits, has under 3 KB.
    const MAX_BYTES: u64 = 16 * 1024;
    let failed = |cause: io::Error| CliError::usage(format!("can't read {}: {cause}", file.display()));
    let mut bytes = Vec::new();
    File::open(file)
        .map_err(failed)?
        .take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    public_key(&bytes).map_err(|what| {
        CliError::usage(format!("{} {what}", file.display())).hint("give the file that ends in .pub")
    })
}

fn public_key(bytes: &[u8]) -> std::result::Result<String, &'static str> {
    let text = str::from_utf8(bytes)
        .map_err(|_| "is no public key of OpenSSH")?
        .trim();
    if text.contains("PRIVATE KEY") || text.starts_with("PuTTY-User-Key-File") {
        return Err("is a private key, which must stay where it is");
    }
    if text.lines().count() > 1 {
        return Err("holds more than one line: add one key at a time");
    }
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) if key.starts_with("AAAA") && kind.contains('-') => Ok(text.to_owned()),
        _ => Err("is no public key of OpenSSH"),
    }
}

/// Forbid an SSH key to push
#[derive(Args)]
#[command(override_usage = "pvdify keys:remove [OPTIONS] FINGERPRINT")]
pub(crate) struct Remove {
    /// The key's fingerprint, as SHA256:..., or its name
    #[arg(value_name = "FINGERPRINT")]
    key: String,
}

impl Remove {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let fingerprint = if is_fingerprint(&self.key) {
            self.key
        } else {
            fingerprint_of(&self.key, &context.client.keys().await?)?
        };
        context.client.remove_key(&fingerprint).await?;
        output::line(&format!("Removed {fingerprint}"))
    }
}

/// `SHA256:` and the 43 characters that 32 bytes have in unpadded base64.
fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("SHA256:").is_some_and(|digest| {
        digest.len() == 43
            && digest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
    })
}

fn fingerprint_of(name: &str, keys: &[SshKey]) -> Result<String> {
    let mut found = keys.iter().filter(|key| key.name == name);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.fingerprint.clone()),
        (Some(_), Some(_)) => Err(CliError::failed(format!("several keys are called {name:?}"))
            .hint("name one by its fingerprint, which `pvdify keys` lists")),
        (None, _) => Err(
            CliError::failed(format!("no key has the fingerprint or the name {name:?}"))
                .hint("`pvdify keys` lists them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_public_key_is_taken() {
        assert_eq!(
            public_key(b"ssh-ed25519 AAAAC3Nz me@host\n").unwrap(),
            "ssh-ed25519 AAAAC3Nz me@host"
        );
        assert!(public_key(b"ecdsa-sha2-nistp256 AAAAE2Vj").is_ok());
        for bad in [
            &b""[..],
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
            b"PuTTY-User-Key-File-3: ssh-ed25519\n",
            b"ssh-ed25519 AAAA a\nssh-ed25519 AAAA b\n",
            b"ssh-ed25519",
            b"hello AAAA",
            b"\xff\xfe",
        ] {
            assert!(public_key(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_fingerprint_can_not_be_a_path() {
        assert!(is_fingerprint(
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
        ));
        for bad in [
            "..",
            "SHA256:..",
            "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSu?U",
            "MD5:aa",
        ] {
            assert!(!is_fingerprint(bad), "{bad}");
        }
    }
}
