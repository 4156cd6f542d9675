//! Sealing config vars and bindings: XChaCha20-Poly1305 with a key that is not in the database.
//!
//! The key file (0600, outside the database file) holds one key a line, `ID BASE64`; the first seals, all
//! open, so that a key can be replaced while rows of the old one remain. Each value has a random 192-bit
//! nonce and is bound to its place: app, key and config version (of an entry: app, binding, its number and the
//! entry's name) are authenticated with it, so a row copied to another place does not open. A lost key can't be made again: while sealed rows exist, Pvdify refuses
//! to start without it rather than make a new one.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use pvdify_types::{AppId, BindingName, ConfigKey, ConfigValue, ConfigVersion, EntryName};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};
use thiserror::Error;

/// The keys in memory.
pub struct Secrets {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl fmt::Debug for Secrets {
    /// Ids alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|(id, _)| id))
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

/// Why the key file can't be used. Each text says what to do.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum KeyFileError {
    #[error("can't read the key file {path}: {reason}")]
    Io { path: String, reason: String },
    #[error(
        "the key file {path} is missing, but the database holds sealed values: put it back from a backup; a new key can't open them"
    )]
    Missing { path: String },
    #[error("the key file {path} has mode {mode:03o}: others could read it; run chmod 600 {path}")]
    Mode { path: String, mode: u32 },
    #[error("the key file {path} has no key in line {line}: a line reads \"ID BASE64\"")]
    Line { path: String, line: usize },
}

impl Secrets {
    /// Reads the key file. Makes it when it is not there and nothing was sealed yet.
    ///
    /// # Errors
    /// [`KeyFileError`], whose text says what to do.
    pub fn open(path: &Path, sealed_rows_exist: bool) -> Result<Self, KeyFileError> {
        let name = || path.display().to_string();
        let failed = |error: io::Error| KeyFileError::Io {
            path: name(),
            reason: error.to_string(),
        };
        match fs::metadata(path) {
            Ok(meta) if meta.mode() & 0o077 != 0 => Err(KeyFileError::Mode {
                path: name(),
                mode: meta.mode() & 0o777,
            }),
            Ok(_) => parse(&fs::read_to_string(path).map_err(failed)?)
                .map_err(|line| KeyFileError::Line { path: name(), line }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            Err(_) if sealed_rows_exist => Err(KeyFileError::Missing { path: name() }),
            Err(_) => {
                let text = fresh_line().map_err(failed)?;
                create(path, &text).map_err(failed)?;
                parse(&text).map_err(|line| KeyFileError::Line { path: name(), line })
            }
        }
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
        let (key_id, cipher) = self.keys.first().expect("a key file with no key does not parse");
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
        let (_, cipher) = self
            .keys
            .iter()
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

/// Fails with the number of the line that is none.
fn parse(text: &str) -> Result<Secrets, usize> {
    let key = |(index, line): (usize, &str)| {
        let (id, encoded) = line.split_once(' ').ok_or(index + 1)?;
        let bytes = BASE64_STANDARD_NO_PAD
            .decode(encoded.trim())
            .map_err(|_| index + 1)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| index + 1)?;
        if id.is_empty() {
            return Err(index + 1);
        }
        Ok((id.to_owned(), XChaCha20Poly1305::new(&Key::from(bytes))))
    };
    let keys: Vec<_> = text.lines().enumerate().map(key).collect::<Result<_, usize>>()?;
    if keys.is_empty() {
        Err(1)
    } else {
        Ok(Secrets { keys })
    }
}

fn fresh_line() -> io::Result<String> {
    let (mut id, mut key) = ([0; 4], [0; 32]);
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    Ok(format!(
        "{} {}\n",
        hex::encode(id),
        BASE64_STANDARD_NO_PAD.encode(key)
    ))
}

/// Whole or not at all, and on disk before the first value is sealed with it.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

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
        let text = fresh_line().unwrap() + &fs::read_to_string(&path).unwrap();
        fs::write(&path, text).unwrap();
        let both = Secrets::open(&path, true).unwrap();
        assert_eq!(both.open_value(place, &sealed).unwrap(), value("x"));
        assert_ne!(both.seal(place, &value("x")).unwrap().key_id, sealed.key_id);
        let error = old
            .open_value(place, &both.seal(place, &value("x")).unwrap())
            .unwrap_err();
        assert!(matches!(error, SealError::UnknownKey { .. }));
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
