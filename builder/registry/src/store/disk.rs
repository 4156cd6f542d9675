//! The folder's layout and the small steps on it. Blocking; [`super::Store`] is the async face.
//!
//! ```text
//! blobs/sha256/ab/<64 hex>             the bytes: layers, configs and manifests
//! repositories/<name>/_blobs/<hex>     empty: the repository may read that blob
//! repositories/<name>/_manifests/<hex> the media type: the repository has that manifest
//! repositories/<name>/_tags/<tag>      the digest it stands for
//! repositories/<name>/_referrers/<subject hex>/<hex>   empty: a manifest about another one
//! uploads/<id>/{data,repository}       an upload under way
//! temporary/, trash/                   files on their way in and out
//! ```
//!
//! Everything that reads before it writes (a push relying on a blob that is there) holds `gate` shared;
//! garbage collection holds it alone while it decides and moves blobs out of reach.

use super::{StoreError, durable};
use crate::{
    manifest::References,
    name::{Reference, Repository, Tag},
};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::SystemTime,
};

/// A manifest as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Of `bytes`.
    pub digest: Digest,
    /// What it was pushed as.
    pub media_type: String,
    /// The very bytes that were pushed.
    pub bytes: Vec<u8>,
}

pub(super) struct Disk {
    root: PathBuf,
    gate: RwLock<()>,
}

impl Disk {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let disk = Self {
            root: root.to_owned(),
            gate: RwLock::new(()),
        };
        for folder in ["repositories", "uploads", "temporary", "trash"] {
            durable::create_dirs(root, &root.join(folder))?;
        }
        // Made once and for all, so that a blob's arrival flushes one folder and not three.
        let shards = root.join("blobs/sha256");
        durable::create_dirs(root, &shards)?;
        for shard in 0..=u8::MAX {
            fs::create_dir_all(shards.join(format!("{shard:02x}")))?;
        }
        File::open(&shards)?.sync_all()?;
        disk.empty_trash()?;
        Ok(disk)
    }

    // A panic while the gate was held left the files in one of the states that a crash may leave.
    pub(super) fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.shards().join(&digest.hex()[..2]).join(digest.hex())
    }

    pub(super) fn shards(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    pub(super) fn repositories(&self) -> PathBuf {
        self.root.join("repositories")
    }

    pub(super) fn repository_path(&self, repository: &Repository) -> PathBuf {
        self.repositories().join(repository.as_str())
    }

    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    pub(super) fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Removes what was moved out of reach.
    pub(super) fn empty_trash(&self) -> io::Result<()> {
        for name in durable::names(&self.trash())? {
            let path = self.trash().join(name);
            let removed = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            match removed {
                // Another call emptied it first.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn link(&self, repository: &Repository, kind: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let folder = self.repository_path(repository).join(kind);
        durable::create_dirs(&self.root, &folder)?;
        durable::write(&self.temporary(), &folder.join(name), content)
    }

    /// Whether a repository may read a blob that is stored. Makes the blob young again, because a push that
    /// was told "it is here" relies on it until its manifest arrives.
    pub(super) fn touch_blob(&self, repository: &Repository, digest: &Digest) -> io::Result<bool> {
        let _gate = self.shared();
        if !self.is_linked(repository, digest) {
            return Ok(false);
        }
        match File::open(self.blob_path(digest)) {
            Ok(blob) => blob.set_modified(SystemTime::now()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn is_linked(&self, repository: &Repository, digest: &Digest) -> bool {
        let folder = self.repository_path(repository);
        folder.join("_blobs").join(digest.hex()).exists()
            || folder.join("_manifests").join(digest.hex()).exists()
    }

    /// Opens a blob for reading; it stays readable even if it is collected meanwhile.
    pub(super) fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(File, u64), StoreError> {
        let unknown = || StoreError::BlobUnknown(digest.clone());
        if !self.is_linked(repository, digest) {
            return Err(unknown());
        }
        let file = File::open(self.blob_path(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown(),
            _ => error.into(),
        })?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    /// Gives a finished, flushed file its digest's name and lets the repository read it.
    ///
    /// An existing blob is replaced: the bytes are the same, unless a disk error spoilt the old ones.
    pub(super) fn keep_blob(&self, repository: &Repository, digest: &Digest, from: &Path) -> io::Result<()> {
        let _gate = self.shared();
        File::open(from)?.set_modified(SystemTime::now())?;
        durable::place(from, &self.blob_path(digest))?;
        self.link(repository, "_blobs", digest.hex(), b"")
    }

    /// Lets `repository` read a blob of `from`; false when `from` does not have it.
    pub(super) fn mount_blob(
        &self,
        from: &Repository,
        repository: &Repository,
        digest: &Digest,
    ) -> io::Result<bool> {
        if !self.touch_blob(from, digest)? {
            return Ok(false);
        }
        let _gate = self.shared();
        if !self.blob_path(digest).exists() {
            return Ok(false);
        }
        self.link(repository, "_blobs", digest.hex(), b"").map(|()| true)
    }

    /// Takes a blob from a repository; the bytes go with the next garbage collection.
    pub(super) fn unlink_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        let path = self.repository_path(repository).join("_blobs").join(digest.hex());
        if !path.exists() {
            return Err(StoreError::BlobUnknown(digest.clone()));
        }
        Ok(durable::remove_file(&path)?)
    }

    pub(super) fn put_manifest(
        &self,
        repository: &Repository,
        tags: &[Tag],
        manifest: &Manifest,
        references: &References,
    ) -> Result<(), StoreError> {
        let _gate = self.shared();
        let digest = &manifest.digest;
        for blob in &references.blobs {
            if !self.is_linked(repository, blob) || !self.blob_path(blob).exists() {
                return Err(StoreError::BlobUnknown(blob.clone()));
            }
        }
        durable::write(&self.temporary(), &self.blob_path(digest), &manifest.bytes)?;
        self.link(
            repository,
            "_manifests",
            digest.hex(),
            manifest.media_type.as_bytes(),
        )?;
        if let Some(subject) = &references.subject {
            self.link(
                repository,
                &format!("_referrers/{}", subject.hex()),
                digest.hex(),
                b"",
            )?;
        }
        for tag in tags {
            self.link(repository, "_tags", tag.as_str(), digest.as_str().as_bytes())?;
        }
        Ok(())
    }

    /// Reads a manifest and checks its bytes against its digest.
    pub(super) fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Manifest>, StoreError> {
        let folder = self.repository_path(repository);
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => match read_if_there(&folder.join("_tags").join(tag.as_str()))? {
                None => return Ok(None),
                Some(text) => parse_stored_digest(&text)?,
            },
        };
        let Some(media_type) = read_if_there(&folder.join("_manifests").join(digest.hex()))? else {
            return Ok(None);
        };
        Ok(self.manifest_bytes(&digest)?.map(|bytes| Manifest {
            digest,
            media_type: String::from_utf8_lossy(&media_type).into_owned(),
            bytes,
        }))
    }

    /// A manifest's checked bytes, whichever repository it is in.
    pub(super) fn manifest_bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(bytes) = read_if_there(&self.blob_path(digest))? else {
            return Ok(None);
        };
        if digest_of(&bytes) == *digest {
            Ok(Some(bytes))
        } else {
            Err(StoreError::Corrupt(digest.clone()))
        }
    }

    /// The tags that stand for `digest`, or all.
    pub(super) fn tags(&self, repository: &Repository, digest: Option<&Digest>) -> io::Result<Vec<String>> {
        let folder = self.repository_path(repository).join("_tags");
        let mut tags = durable::names(&folder)?;
        if let Some(digest) = digest {
            tags.retain(|tag| {
                fs::read(folder.join(tag)).is_ok_and(|text| text == digest.as_str().as_bytes())
            });
        }
        tags.sort_unstable();
        Ok(tags)
    }

    pub(super) fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<(), StoreError> {
        let path = self.repository_path(repository).join("_tags").join(tag.as_str());
        if !path.exists() {
            return Err(StoreError::ManifestUnknown);
        }
        Ok(durable::remove_file(&path)?)
    }

    /// Takes a manifest from a repository, tags and referrer entry first, so that none is ever left dangling.
    pub(super) fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        let folder = self.repository_path(repository);
        let link = folder.join("_manifests").join(digest.hex());
        if !link.exists() {
            return Err(StoreError::ManifestUnknown);
        }
        for tag in self.tags(repository, Some(digest))? {
            durable::remove_file(&folder.join("_tags").join(tag))?;
        }
        for subject in durable::names(&folder.join("_referrers"))? {
            durable::remove_file(&folder.join("_referrers").join(subject).join(digest.hex()))?;
        }
        Ok(durable::remove_file(&link)?)
    }

    /// The manifests of a repository that are about `subject`, by digest.
    pub(super) fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Manifest>, StoreError> {
        let folder = self
            .repository_path(repository)
            .join("_referrers")
            .join(subject.hex());
        let mut names = durable::names(&folder)?;
        names.sort_unstable();
        let mut manifests = Vec::new();
        for name in names {
            let digest = parse_stored_digest(format!("sha256:{name}").as_bytes())?;
            manifests.extend(self.manifest(repository, &Reference::Digest(digest))?);
        }
        Ok(manifests)
    }

    pub(super) fn has_repository(&self, repository: &Repository) -> io::Result<bool> {
        let names = durable::names(&self.repository_path(repository))?;
        Ok(names.iter().any(|name| name.starts_with('_')))
    }

    /// Every repository that was pushed to, in order.
    pub(super) fn list_repositories(&self) -> io::Result<Vec<Repository>> {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        while let Some(name) = open.pop() {
            let children = durable::names(&self.repositories().join(&name))?;
            if children.iter().any(|child| child.starts_with('_')) {
                found.extend(name.parse::<Repository>());
            }
            for child in children.iter().filter(|child| !child.starts_with('_')) {
                open.push(if name.is_empty() {
                    child.clone()
                } else {
                    format!("{name}/{child}")
                });
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Moves a repository's own folders out of reach; repositories below its name stay.
    pub(super) fn delete_repository(&self, repository: &Repository) -> io::Result<()> {
        let gate = self.alone();
        let folder = self.repository_path(repository);
        for name in durable::names(&folder)? {
            if name.starts_with('_') {
                let away = self.trash().join(uuid::Uuid::now_v7().to_string());
                fs::rename(folder.join(name), away)?;
            }
        }
        // Fails, rightly, while there are repositories below.
        fs::remove_dir(&folder).ok();
        drop(gate);
        self.empty_trash()
    }
}

pub(super) fn digest_of(bytes: &[u8]) -> Digest {
    digest_from(Sha256::new_with_prefix(bytes))
}

pub(super) fn digest_from(hasher: Sha256) -> Digest {
    format!("sha256:{}", hex::encode(hasher.finalize()))
        .parse()
        .expect("a SHA-256 in hex is a digest")
}

fn parse_stored_digest(text: &[u8]) -> Result<Digest, StoreError> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a stored link holds no digest").into())
}

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
