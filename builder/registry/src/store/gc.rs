//! Mark and sweep, and the scrub that looks for spoilt blobs. Blocking.
//!
//! Roots are the manifests that the control plane keeps and those younger than the grace time. From a root
//! everything it names is live, and so are the manifests about it (signatures, SBOMs). Nothing is removed
//! when a live manifest can't be read: what it names is not known then. Dead blobs are moved out of reach
//! while nothing else writes, and removed after; a crash between leaves them in the trash.

use super::{StoreError, disk::Disk, durable};
use crate::{
    manifest::References,
    name::{Reference, Repository},
};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Manifests taken from a repository.
    pub manifests: usize,
    /// Blobs removed, manifests' bytes among them.
    pub blobs: usize,
    /// Their size together.
    pub bytes: u64,
    /// Kept manifests that are not stored here.
    pub missing: Vec<Digest>,
}

/// What a scrub found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The blob or manifest.
    pub digest: Digest,
    /// What is wrong with it.
    pub kind: DamageKind,
    /// The repositories, which bear their apps' names, that have it.
    pub repositories: Vec<String>,
}

/// What is wrong with a stored thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// The bytes are others than the digest says.
    Corrupt,
    /// A manifest or a repository names it and it is not there.
    Missing,
}

pub(super) fn collect(
    disk: &Disk,
    keep: &BTreeSet<Digest>,
    grace: Duration,
) -> Result<Collected, StoreError> {
    let gate = disk.alone();
    let mut collected = Collected::default();
    let repositories = disk.list_repositories()?;
    let live = mark(disk, &repositories, keep, grace, &mut collected)?;
    for repository in &repositories {
        for digest in links(disk, repository, "_manifests")? {
            if !live.contains(&digest) {
                disk.delete_manifest(repository, &digest)?;
                collected.manifests += 1;
            }
        }
    }
    let mut dead = BTreeSet::new();
    for digest in stored(disk)? {
        let path = disk.blob_path(&digest);
        if live.contains(&digest) || is_young(&path, grace)? {
            continue;
        }
        collected.bytes += fs::metadata(&path)?.len();
        fs::rename(&path, disk.trash().join(digest.hex()))?;
        dead.insert(digest);
    }
    collected.blobs = dead.len();
    for repository in &repositories {
        for digest in links(disk, repository, "_blobs")? {
            if dead.contains(&digest) {
                let folder = disk.repository_path(repository).join("_blobs");
                durable::remove_file(&folder.join(digest.hex()))?;
            }
        }
    }
    drop(gate);
    disk.empty_trash()?;
    Ok(collected)
}

/// Every digest that must stay.
fn mark(
    disk: &Disk,
    repositories: &[Repository],
    keep: &BTreeSet<Digest>,
    grace: Duration,
    collected: &mut Collected,
) -> Result<BTreeSet<Digest>, StoreError> {
    let mut open: Vec<Digest> = Vec::new();
    for digest in keep {
        if disk.blob_path(digest).exists() {
            open.push(digest.clone());
        } else {
            collected.missing.push(digest.clone());
        }
    }
    for repository in repositories {
        for digest in links(disk, repository, "_manifests")? {
            let link = disk
                .repository_path(repository)
                .join("_manifests")
                .join(digest.hex());
            if is_young(&link, grace)? {
                open.push(digest);
            }
        }
    }
    let mut live = BTreeSet::new();
    while let Some(digest) = open.pop() {
        if !live.insert(digest.clone()) {
            continue;
        }
        let Some(bytes) = disk.manifest_bytes(&digest)? else {
            continue;
        };
        let references = References::parse(&bytes, media_type(disk, repositories, &digest)?.as_deref())
            .map_err(|_| StoreError::Corrupt(digest.clone()))?;
        live.extend(references.blobs);
        open.extend(references.manifests);
        for repository in repositories {
            open.extend(links(disk, repository, &format!("_referrers/{}", digest.hex()))?);
        }
    }
    Ok(live)
}

/// The media type a manifest was pushed with, which its body need not repeat.
fn media_type(
    disk: &Disk,
    repositories: &[Repository],
    digest: &Digest,
) -> Result<Option<String>, StoreError> {
    for repository in repositories {
        if let Some(manifest) = disk.manifest(repository, &Reference::Digest(digest.clone()))? {
            return Ok(Some(manifest.media_type));
        }
    }
    Ok(None)
}

fn links(disk: &Disk, repository: &Repository, kind: &str) -> io::Result<Vec<Digest>> {
    let names = durable::names(&disk.repository_path(repository).join(kind))?;
    Ok(names.iter().filter_map(|name| digest_of_name(name)).collect())
}

fn digest_of_name(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

fn stored(disk: &Disk) -> io::Result<Vec<Digest>> {
    let mut digests = Vec::new();
    for shard in durable::names(&disk.shards())? {
        let names = durable::names(&disk.shards().join(shard))?;
        digests.extend(names.iter().filter_map(|name| digest_of_name(name)));
    }
    Ok(digests)
}

fn is_young(path: &Path, grace: Duration) -> io::Result<bool> {
    let modified = fs::metadata(path)?.modified()?;
    // A time in the future, as after the clock was set back, counts as young.
    Ok(SystemTime::now()
        .duration_since(modified)
        .map_or(true, |age| age < grace))
}

pub(super) fn scrub(disk: &Disk) -> Result<Vec<Damage>, StoreError> {
    let repositories = disk.list_repositories()?;
    let mut damages = Vec::new();
    let mut note = |digest: Digest, kind| -> io::Result<()> {
        let mut having = Vec::new();
        for repository in &repositories {
            let folder = disk.repository_path(repository);
            if ["_blobs", "_manifests"]
                .iter()
                .any(|kind| folder.join(kind).join(digest.hex()).exists())
            {
                having.push(repository.to_string());
            }
        }
        damages.push(Damage {
            digest,
            kind,
            repositories: having,
        });
        Ok(())
    };
    for digest in stored(disk)? {
        match fs::File::open(disk.blob_path(&digest)) {
            // Collected meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(file) => {
                if hash(file)? != digest {
                    note(digest, DamageKind::Corrupt)?;
                }
            }
        }
    }
    let mut missing = BTreeSet::new();
    for repository in &repositories {
        for digest in links(disk, repository, "_manifests")? {
            match disk.manifest(repository, &Reference::Digest(digest.clone())) {
                Ok(Some(manifest)) => {
                    let references = References::parse(&manifest.bytes, Some(&manifest.media_type))
                        .map_err(|_| StoreError::Corrupt(digest))?;
                    missing.extend(
                        references
                            .blobs
                            .into_iter()
                            .filter(|blob| !disk.blob_path(blob).exists()),
                    );
                }
                Ok(None) => {
                    missing.insert(digest);
                }
                // Noted above.
                Err(StoreError::Corrupt(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    for digest in missing {
        note(digest, DamageKind::Missing)?;
    }
    Ok(damages)
}

/// Hashes without holding the file in memory.
fn hash(mut file: fs::File) -> io::Result<Digest> {
    use io::Read;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(super::disk::digest_from(hasher));
        }
        hasher.update(&buffer[..count]);
    }
}
