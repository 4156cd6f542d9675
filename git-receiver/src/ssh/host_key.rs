//! The server's own key: made once, kept private, told by its fingerprint.

use crate::error::Error;
use russh::keys::{Algorithm, HashAlg, PrivateKey, key::safe_rng, ssh_key::LineEnding};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Reads the key, or makes one where none is. A key that others can read is refused, as OpenSSH does.
pub(crate) fn load_or_create(path: &Path) -> Result<PrivateKey, Error> {
    let refuse = |reason: String| Error::HostKey {
        path: path.to_owned(),
        reason,
    };
    match fs::read(path) {
        Ok(text) => {
            let mode = fs::metadata(path)
                .map_err(Error::storage(path))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(refuse(format!(
                    "its mode is {:o}, others can read it: chmod 600",
                    mode & 0o777
                )));
            }
            let key = PrivateKey::from_openssh(text).map_err(|error| refuse(error.to_string()))?;
            // An RSA key would bring private RSA operations in, whose timing has leaked before.
            if key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted() {
                Ok(key)
            } else {
                Err(refuse("it must be an ed25519 key without passphrase".to_owned()))
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path),
        Err(error) => Err(Error::Storage {
            path: path.to_owned(),
            cause: error,
        }),
    }
}

/// `SHA256:...`, as clients show it at the first connection.
pub(crate) fn fingerprint(key: &PrivateKey) -> String {
    key.public_key().fingerprint(HashAlg::Sha256).to_string()
}

fn create(path: &Path) -> Result<PrivateKey, Error> {
    let refuse = |error: russh::keys::ssh_key::Error| Error::HostKey {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(refuse)?;
    let text = key.to_openssh(LineEnding::LF).map_err(refuse)?;
    store(path, text.as_bytes()).map_err(Error::storage(path))?;
    Ok(key)
}

/// Beside first, then renamed: a crash leaves no half key, which the next start would refuse.
fn store(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let half = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&half)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys/host");
        let made = load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = load_or_create(&path).unwrap();
        assert_eq!(fingerprint(&made), fingerprint(&read));
        assert!(fingerprint(&read).starts_with("SHA256:"));
    }

    #[test]
    fn a_readable_or_broken_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host");
        load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(load_or_create(&path), Err(Error::HostKey { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"no key");
    }
}
