//! Sealing config vars and bindings: XChaCha20-Poly1305 with a key that is not in the database.
//!
//! The key file (0600, outside the database file) holds one key a line; the first seals, all open, so that a key can be
//! replaced while rows of the old one remain. Each value has a random 192-bit nonce and is bound to its place: app, key
//! and config version (of an entry: app, binding, its number and the entry's name) are authenticated with it, so a row
//! copied to another place does not open. A lost key can't be made again: while sealed rows exist, Pvdify refuses to
//! start without it rather than make a new one.
//!
//! A key is replaced in steps that a kill may fall between: [`Secrets::add_key`], then every row is sealed anew
//! ([`super::reseal`]), then [`Secrets::drop_old_keys`]. More than one key in the file says that this is under way.

mod key_file;

pub use key_file::KeyFileError;

use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use key_file::FileKey;
use pvdify_types::{AppId, BindingName, ConfigKey, ConfigValue, ConfigVersion, EntryName};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};
use thiserror::Error;

/// The keys in memory, and where they are from.
pub struct Secrets {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

/// The first seals, all open.
type Keys = Vec<(String, XChaCha20Poly1305)>;

impl fmt::Debug for Secrets {
    /// Ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys().iter().map(|(id, _)| id))
            .finish()
    }
}

/// A sealed value as it is stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Sealed {
    pub key_id: String,
    pub nonce: [u8; 24],
    pub bytes: Vec<u8>,
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Place<'a> {
    pub app: &'a AppId,
    pub version: ConfigVersion,
    pub key: &'a ConfigKey,
}

impl Place<'_> {
    /// None of the parts can hold a slash, so no two places give the same bytes.
    fn bytes(self) -> Vec<u8> {
        format!("pvdify/config/{}/{}/{}", self.app, self.version.0, self.key).into_bytes()
    }
}

/// Where an entry of a binding belongs.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct EntryPlace<'a> {
    pub app: &'a AppId,
    pub binding: &'a BindingName,
    pub since: u64,
    pub entry: &'a EntryName,
}

impl EntryPlace<'_> {
    /// As [`Place::bytes`], and none that is one of a config var.
    fn bytes(self) -> Vec<u8> {
        let Self {
            app,
            binding,
            since,
            entry,
        } = self;
        format!("pvdify/binding/{app}/{since}/{binding}/{entry}").into_bytes()
    }

    fn name(self) -> String {
        format!("{} of the binding {}", self.entry, self.binding)
    }
}

/// Why a value could not be sealed or opened. Names places and keys, never values.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum SealError {
    #[error("{what} is sealed with the key {key_id:?}, which the key file does not hold")]
    UnknownKey { what: String, key_id: String },
    #[error("{what} does not open: its row was altered or belongs to another place")]
    Altered { what: String },
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

impl Secrets {
    /// Reads the key file. Makes it when it is not there and nothing was sealed yet.
    ///
    /// # Errors
    /// [`KeyFileError`], whose text says what to do.
    pub fn open(path: &Path, sealed_rows_exist: bool) -> Result<Self, KeyFileError> {
        let keys = match key_file::read(path)? {
            Some(keys) => keys,
            None if sealed_rows_exist => {
                let path = path.display().to_string();
                return Err(KeyFileError::Missing { path });
            }
            None => {
                let keys = vec![fresh_key(path)?];
                key_file::write(path, &keys)?;
                keys
            }
        };
        Ok(Self {
            path: path.to_owned(),
            keys: RwLock::new(Arc::new(ciphers(&keys))),
        })
    }

    /// The name of the key that seals.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.keys()[0].0.clone()
    }

    /// Whether the key file holds an old key still.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn is_rotating(&self) -> Result<bool, KeyFileError> {
        Ok(self.file()?.len() > 1)
    }

    /// Makes a new key, which seals from now on; those there are go on opening. Called by the writer's thread alone, so
    /// that what is being sealed with the old one is committed before.
    ///
    /// # Errors
    /// When the key file can't be written; then it is as it was.
    pub fn add_key(&self) -> Result<(), KeyFileError> {
        let mut keys = vec![fresh_key(&self.path)?];
        keys.extend(self.file()?);
        key_file::write(&self.path, &keys)?;
        self.take(&keys);
        Ok(())
    }

    /// Takes the file as it is, which another process may have changed, and leaves the first key alone in it. Called once
    /// no row is sealed with another, by the writer's thread.
    ///
    /// # Errors
    /// As [`Secrets::add_key`].
    pub fn drop_old_keys(&self) -> Result<(), KeyFileError> {
        let keys = self.file()?;
        key_file::write(&self.path, &keys[..1])?;
        self.take(&keys[..1]);
        Ok(())
    }

    fn file(&self) -> Result<Vec<FileKey>, KeyFileError> {
        key_file::read(&self.path)?.ok_or_else(|| KeyFileError::Missing {
            path: self.path.display().to_string(),
        })
    }

    /// Those of the file first. The others stay in memory for reads that began before their rows were sealed anew.
    fn take(&self, keys: &[FileKey]) {
        let mut all = ciphers(keys);
        let mut held = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let old = held.iter().filter(|(id, _)| keys.iter().all(|key| key.id != *id));
        all.extend(old.cloned());
        *held = Arc::new(all);
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals a value for its place.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn seal(&self, place: Place<'_>, value: &ConfigValue) -> Result<Sealed, SealError> {
        self.seal_at(&place.bytes(), value.reveal().as_bytes())
    }

    /// Opens a value at its place.
    ///
    /// # Errors
    /// When its key is unknown or it was altered.
    pub fn open_value(&self, place: Place<'_>, sealed: &Sealed) -> Result<ConfigValue, SealError> {
        let what = format!("config var {}", place.key);
        let plain = self.open_at(&place.bytes(), &what, sealed)?;
        let value = String::from_utf8(plain).ok();
        value
            .and_then(|text| ConfigValue::new(text).ok())
            .ok_or(SealError::Altered { what })
    }

    /// Seals an entry of a binding for its place.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn seal_entry(&self, place: EntryPlace<'_>, bytes: &[u8]) -> Result<Sealed, SealError> {
        self.seal_at(&place.bytes(), bytes)
    }

    /// Opens an entry at its place.
    ///
    /// # Errors
    /// When its key is unknown or it was altered.
    pub fn open_entry(&self, place: EntryPlace<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        self.open_at(&place.bytes(), &place.name(), sealed)
    }

    fn seal_at(&self, place: &[u8], plain: &[u8]) -> Result<Sealed, SealError> {
        let mut nonce = [0; 24];
        getrandom::fill(&mut nonce).map_err(|error| SealError::Random(error.to_string()))?;
        let keys = self.keys();
        let (key_id, cipher) = keys.first().expect("a key file with no key does not parse");
        let payload = Payload {
            msg: plain,
            aad: place,
        };
        let bytes = cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a value of 1 MiB is far below the cipher's limit of 256 GiB");
        Ok(Sealed {
            key_id: key_id.clone(),
            nonce,
            bytes,
        })
    }

    fn open_at(&self, place: &[u8], what: &str, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let keys = self.keys();
        let (_, cipher) =
            keys.iter()
                .find(|(id, _)| *id == sealed.key_id)
                .ok_or_else(|| SealError::UnknownKey {
                    what: what.to_owned(),
                    key_id: sealed.key_id.clone(),
                })?;
        let payload = Payload {
            msg: &sealed.bytes,
            aad: place,
        };
        cipher
            .decrypt(&XNonce::from(sealed.nonce), payload)
            .map_err(|_| SealError::Altered {
                what: what.to_owned(),
            })
    }
}

/// How many keys a key file holds; none when it is not there.
///
/// # Errors
/// When it can't be used.
pub fn keys_in(path: &Path) -> Result<usize, KeyFileError> {
    Ok(key_file::read(path)?.map_or(0, |keys| keys.len()))
}

fn fresh_key(path: &Path) -> Result<FileKey, KeyFileError> {
    key_file::fresh().map_err(|error| KeyFileError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn ciphers(keys: &[FileKey]) -> Keys {
    let cipher = |key: &FileKey| (key.id.clone(), XChaCha20Poly1305::new(&Key::from(key.bytes)));
    keys.iter().map(cipher).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn value(text: &str) -> ConfigValue {
        ConfigValue::new(text.to_owned()).unwrap()
    }

    #[test]
    fn a_value_opens_at_its_place_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&dir.path().join("key"), false).unwrap();
        let (app, other_app): (AppId, AppId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (key, other_key): (ConfigKey, ConfigKey) = ("K".parse().unwrap(), "L".parse().unwrap());
        let place = Place {
            app: &app,
            version: ConfigVersion(1),
            key: &key,
        };
        let sealed = secrets.seal(place, &value("s3cret")).unwrap();
        assert_eq!(secrets.open_value(place, &sealed).unwrap(), value("s3cret"));
        assert_ne!(secrets.seal(place, &value("s3cret")).unwrap().bytes, sealed.bytes);
        for elsewhere in [
            Place {
                app: &other_app,
                ..place
            },
            Place {
                key: &other_key,
                ..place
            },
            Place {
                version: ConfigVersion(2),
                ..place
            },
        ] {
            let error = secrets.open_value(elsewhere, &sealed).unwrap_err();
            assert!(matches!(error, SealError::Altered { .. }), "{error}");
        }
    }

    #[test]
    fn a_key_added_in_front_seals_and_the_old_one_still_opens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let place_app: AppId = "a".parse().unwrap();
        let key: ConfigKey = "K".parse().unwrap();
        let place = Place {
            app: &place_app,
            version: ConfigVersion(1),
            key: &key,
        };
        let old = Secrets::open(&path, false).unwrap();
        let sealed = old.seal(place, &value("x")).unwrap();
        let both = Secrets::open(&path, true).unwrap();
        both.add_key().unwrap();
        assert!(both.is_rotating().unwrap() && keys_in(&path).unwrap() == 2);
        assert_eq!(both.open_value(place, &sealed).unwrap(), value("x"));
        let new = both.seal(place, &value("x")).unwrap();
        assert!(new.key_id != sealed.key_id && new.key_id == both.key_id());
        let error = old.open_value(place, &new).unwrap_err();
        assert!(matches!(error, SealError::UnknownKey { .. }));

        both.drop_old_keys().unwrap();
        assert!(!both.is_rotating().unwrap() && keys_in(&path).unwrap() == 1);
        // A read that began before still opens what it finds; a start from the file does not.
        assert_eq!(both.open_value(place, &sealed).unwrap(), value("x"));
        let later = Secrets::open(&path, true).unwrap();
        assert_eq!(later.open_value(place, &new).unwrap(), value("x"));
        assert!(later.open_value(place, &sealed).is_err());
    }

    #[test]
    fn a_key_file_that_is_missing_open_to_others_or_unreadable_is_refused_plainly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(
            Secrets::open(&path, true),
            Err(KeyFileError::Missing { .. })
        ));
        Secrets::open(&path, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Secrets::open(&path, true).unwrap_err().to_string();
        assert!(error.contains("has mode 640"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nonsense\n").unwrap();
        assert!(matches!(
            Secrets::open(&path, true),
            Err(KeyFileError::Line { line: 1, .. })
        ));
        fs::write(&path, "").unwrap();
        assert!(Secrets::open(&path, true).is_err());
    }
}
