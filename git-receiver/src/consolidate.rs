//! Many small packs become one: each push leaves one, and who looks for an object asks every pack's index.
//!
//! What always holds:
//! - It is done in the app's turn: nothing is received, built from or removed meanwhile. It never waits for the
//!   turn; a push under way leaves it to the next round.
//! - Every object of the packs that go is copied, whether or not a ref reaches it: what is reachable need not be
//!   known, and can't be got wrong.
//! - The new pack is made in a quarantine, indexed by hashing each of its objects, found to hold all that it
//!   replaces, synced and moved in, before any other goes. Killed after any line, each object is in some pack.
//! - Large packs stay: the bytes of one round are bounded, and with them the time for which a push waits.

use crate::{
    receive,
    repo::{Quarantine, Queue, Repositories},
};
use gix::{ObjectId, objs::Exists};
use gix_pack::{
    Bundle,
    data::output::{self, bytes::FromEntriesIter, count::PackLocation, entry},
    index,
};
use pvdify_types::AppId;
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};
use tokio_util::sync::CancellationToken;

const SHA1: gix::hash::Kind = gix::hash::Kind::Sha1;
/// Of the packs that one round takes together.
const ROUND_BYTES: u64 = 64 << 20;

/// Makes one of an app's small packs when it has more than `most` in all. Gives how many were replaced.
pub(crate) fn consolidate(
    repositories: &Repositories,
    app: &AppId,
    most: usize,
    stop: &CancellationToken,
) -> io::Result<usize> {
    let Queue::Now(_turn) = repositories.turn(app).queue(0) else {
        return Ok(0);
    };
    let folder = repositories.repository(app)?.join("objects/pack");
    sweep(&folder)?;
    let old = small_ones(packs(&folder)?, most);
    if old.is_empty() {
        return Ok(0);
    }
    let quarantine = repositories.quarantine(app)?;
    let mut objects = HashSet::new();
    for pack in &old {
        let index = index::File::at(&pack.index, SHA1).map_err(io::Error::other)?;
        objects.extend(index.iter().map(|entry| entry.oid));
    }
    let stream = copy(&quarantine, &objects, stop).map_err(io::Error::other)?;
    let new = index_pack(&quarantine, &stream).map_err(io::Error::other)?;
    let held = index::File::at(&new, SHA1).map_err(io::Error::other)?;
    if let Some(missing) = objects.iter().find(|id| held.lookup(id).is_none()) {
        return Err(io::Error::other(format!("the new pack lacks {missing}")));
    }
    quarantine.sync()?;
    quarantine.migrate()?;
    // The same objects in the same order make the same name: then that one is the new one.
    let gone: Vec<_> = old
        .iter()
        .filter(|pack| pack.index.file_name() != new.file_name())
        .collect();
    for pack in &gone {
        fs::remove_file(&pack.index)?;
    }
    // An index must not come back, by a power cut, without its pack.
    File::open(&folder)?.sync_all()?;
    for pack in &gone {
        fs::remove_file(pack.data())?;
    }
    Ok(gone.len())
}

/// A pack, by its index.
struct Pack {
    index: PathBuf,
    bytes: u64,
}

impl Pack {
    fn data(&self) -> PathBuf {
        self.index.with_extension("pack")
    }
}

fn with_extension(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let paths = paths.collect::<io::Result<Vec<_>>>()?;
    let fits = |path: &PathBuf| path.extension().and_then(OsStr::to_str) == Some(extension);
    Ok(paths.into_iter().filter(fits).collect())
}

/// Removes packs that no index names: a kill came between the two, in a move or in a removal.
fn sweep(folder: &Path) -> io::Result<()> {
    for data in with_extension(folder, "pack")? {
        if !data.with_extension("idx").exists() {
            fs::remove_file(data)?;
        }
    }
    Ok(())
}

fn packs(folder: &Path) -> io::Result<Vec<Pack>> {
    let pack = |index: PathBuf| {
        let bytes = fs::metadata(index.with_extension("pack"))?.len();
        Ok(Pack { index, bytes })
    };
    with_extension(folder, "idx")?.into_iter().map(pack).collect()
}

/// The smallest that fit into a round; none when that would not help.
fn small_ones(mut packs: Vec<Pack>, most: usize) -> Vec<Pack> {
    if packs.len() <= most {
        return Vec::new();
    }
    packs.sort_by_key(|pack| pack.bytes);
    let mut left = ROUND_BYTES;
    packs.retain(|pack| {
        let fits = pack.bytes <= left;
        left = if fits { left - pack.bytes } else { 0 };
        fits
    });
    // Else a few large ones would be copied again each hour.
    if packs.len() > most / 2 { packs } else { Vec::new() }
}

/// Writes a stream of these objects into the quarantine's folder. Deltas are copied as they are.
fn copy(
    quarantine: &Quarantine,
    objects: &HashSet<ObjectId>,
    stop: &CancellationToken,
) -> gix::Result<PathBuf> {
    let mut database = receive::open(quarantine)?.objects.clone().into_inner();
    database.prevent_pack_unload();
    // Loads all indices now: see `receive::check`.
    database.exists(&ObjectId::null(SHA1));
    let counts: Vec<_> = objects
        .iter()
        .map(|id| output::Count {
            id: *id,
            entry_pack_location: PackLocation::NotLookedUp,
        })
        .collect();
    let count = u32::try_from(counts.len()).map_err(gix::Error::from_error)?;
    let options = entry::iter_from_counts::Options {
        thread_limit: Some(1),
        ..Default::default()
    };
    let entries = entry::iter_from_counts(counts, database, Box::new(gix::progress::Discard), options)?;
    let path = quarantine.git_dir().join("stream");
    let file = BufWriter::new(File::create(&path).map_err(gix::Error::from_error)?);
    let entries = gix::parallel::InOrderIter::from(entries);
    for written in FromEntriesIter::new(entries, file, count, gix_pack::data::Version::V2, SHA1) {
        written?;
        if stop.is_cancelled() {
            return Err(gix::Error::from_error(io::Error::from(
                io::ErrorKind::Interrupted,
            )));
        }
    }
    Ok(path)
}

/// Makes a pack and its index of the stream, reading each object; gives the index.
fn index_pack(quarantine: &Quarantine, stream: &Path) -> gix::Result<PathBuf> {
    let mut input = BufReader::new(File::open(stream).map_err(gix::Error::from_error)?);
    let outcome = Bundle::write_to_directory(
        &mut input,
        Some(&quarantine.pack_dir()),
        &mut gix::progress::Discard,
        &AtomicBool::new(false),
        None::<gix::OdbHandle>,
        SHA1,
        gix_pack::bundle::write::Options {
            thread_limit: Some(1),
            ..Default::default()
        },
    )?;
    let missing = || gix::Error::from_error(io::Error::from(io::ErrorKind::NotFound));
    outcome.index_path.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    fn sizes(bytes: &[u64], most: usize) -> Vec<u64> {
        let pack = |bytes: &u64| Pack {
            index: PathBuf::new(),
            bytes: *bytes,
        };
        let taken = small_ones(bytes.iter().map(pack).collect(), most);
        taken.iter().map(|pack| pack.bytes).collect()
    }

    #[test]
    fn the_small_ones_are_taken_when_they_are_many() {
        assert_eq!(sizes(&[3, 1, 2], 3), [0; 0]);
        assert_eq!(sizes(&[3, 1, 2], 2), [1, 2, 3]);
        assert_eq!(sizes(&[1, ROUND_BYTES, 2, 3], 3), [1, 2, 3]);
        assert_eq!(sizes(&[ROUND_BYTES - 1, 1, 2], 2), [1, 2]);
        assert_eq!(
            sizes(&[ROUND_BYTES; 9], 4),
            [0; 0],
            "one of them would be copied each time"
        );
    }

    /// An app's repository with a pack for each of four commits, as pushes leave them.
    fn pushed() -> (tempfile::TempDir, Repositories, AppId, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(&root.path().join("repos")).unwrap();
        let app: AppId = "a".parse().unwrap();
        let folder = repositories.repository(&app).unwrap().join("objects/pack");
        let git = |args: &[&str], input: &str| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=A", "-c", "user.email=a@example.com", "-C"])
                .arg(root.path())
                .args(args)
                .env("GIT_CONFIG_NOSYSTEM", "1")
                .env("HOME", root.path());
            let git = git
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut git = git.spawn().unwrap();
            git.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            assert!(git.wait().unwrap().success(), "git {args:?}");
        };
        git(&["init", "-q", "-b", "main"], "");
        for number in 0..4 {
            git(&["commit", "-q", "--allow-empty", "-m", &number.to_string()], "");
            let prefix = folder.join("pack").display().to_string();
            let range = if number == 0 { "HEAD\n" } else { "HEAD\n^HEAD~1\n" };
            git(&["pack-objects", "-q", "--revs", &prefix], range);
        }
        (root, repositories, app, folder)
    }

    fn names(folder: &Path) -> Vec<PathBuf> {
        let listed = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_push_under_way_and_a_stop_leave_the_packs_to_another_round() {
        let (_root, repositories, app, folder) = pushed();
        let before = names(&folder);
        let stop = CancellationToken::new();
        let Queue::Now(turn) = repositories.turn(&app).queue(1) else {
            panic!("it is free")
        };
        assert_eq!(consolidate(&repositories, &app, 2, &stop).unwrap(), 0);
        drop(turn);
        let stopped = CancellationToken::new();
        stopped.cancel();
        assert!(consolidate(&repositories, &app, 2, &stopped).is_err());
        assert_eq!(names(&folder), before);

        assert_eq!(consolidate(&repositories, &app, 2, &stop).unwrap(), 4);
        assert_eq!(with_extension(&folder, "idx").unwrap().len(), 1);
        assert_eq!(consolidate(&repositories, &app, 2, &stop).unwrap(), 0);
        // Alone it becomes itself, and must not go as an old one.
        assert_eq!(consolidate(&repositories, &app, 0, &stop).unwrap(), 0);
        assert_eq!(packs(&folder).unwrap().len(), 1);
    }

    #[test]
    fn a_pack_that_can_not_be_read_stays_and_all_others_with_it() {
        let (_root, repositories, app, folder) = pushed();
        let damaged = with_extension(&folder, "pack").unwrap().remove(0);
        let mut bytes = fs::read(&damaged).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        fs::remove_file(&damaged).unwrap();
        fs::write(&damaged, bytes).unwrap();
        let before = names(&folder);
        let stop = CancellationToken::new();
        assert!(consolidate(&repositories, &app, 2, &stop).is_err());
        assert_eq!(names(&folder), before);
        let repos = folder.ancestors().nth(3).unwrap();
        assert!(names(&repos.join("quarantine")).is_empty());
    }

    #[test]
    fn a_pack_without_an_index_goes_and_an_index_keeps_its_pack() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.pack", "b.pack", "b.idx"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        sweep(dir.path()).unwrap();
        assert!(!dir.path().join("a.pack").exists());
        assert_eq!(packs(dir.path()).unwrap().len(), 1);
    }
}
