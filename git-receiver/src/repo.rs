//! The bare repositories on disk, the quarantines beside them, and each app's turn.
//!
//! A quarantine is a bare repository of its own whose alternate is the app's: what a push brings is read
//! through it as if it were there already, and is not. Only [`Quarantine::migrate`] moves objects over; a
//! quarantine that is dropped takes them along, and those that a crash left are swept at the next start.
//! One process serves a folder (a lock file says so), so sweeping can't hit a living push.

use crate::error::Error;
use pvdify_types::AppId;
use std::{
    collections::HashMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::sync::OwnedMutexGuard;

const QUARANTINES: &str = "quarantine";

/// All repositories of one server.
#[derive(Debug)]
pub(crate) struct Repositories {
    root: PathBuf,
    turns: Mutex<HashMap<AppId, Arc<Turn>>>,
    quarantines_made: AtomicU64,
    /// Held, not read: its lock ends with the process, however that ends.
    _in_use: fs::File,
}

/// One app's pushes, one after another.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    lock: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicUsize,
}

impl Repositories {
    /// Takes the folder for this process and removes what an earlier one left half-way.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(Error::storage(root))?;
        let lock = root.join(".lock");
        let in_use = fs::File::create(&lock).map_err(Error::storage(&lock))?;
        match in_use.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::InUse {
                    path: root.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(cause)) => return Err(Error::Storage { path: lock, cause }),
        }
        let quarantines = root.join(QUARANTINES);
        if quarantines.exists() {
            fs::remove_dir_all(&quarantines).map_err(Error::storage(&quarantines))?;
        }
        fs::create_dir(&quarantines).map_err(Error::storage(&quarantines))?;
        Ok(Self {
            root: root.to_owned(),
            turns: Mutex::default(),
            quarantines_made: AtomicU64::default(),
            _in_use: in_use,
        })
    }

    /// Where an app's repository is, whether or not it exists.
    fn git_dir(&self, app: &AppId) -> PathBuf {
        self.root.join(format!("{app}.git"))
    }

    /// The app's repository; an empty one is made, whole or not at all, at the app's first push.
    pub(crate) fn repository(&self, app: &AppId) -> io::Result<PathBuf> {
        let git_dir = self.git_dir(app);
        if !git_dir.exists() {
            let half = self.quarantine_path(app);
            let made = make_bare(&half, None).and_then(|()| fs::rename(&half, &git_dir));
            if made.is_err() && half.exists() {
                fs::remove_dir_all(&half)?;
            }
            made?;
            sync(&self.root)?;
        }
        Ok(git_dir)
    }

    /// A fresh quarantine for a push to the app.
    pub(crate) fn quarantine(&self, app: &AppId) -> io::Result<Quarantine> {
        // Before there is anything of it, so that one that is half made goes too.
        let quarantine = Quarantine {
            path: self.quarantine_path(app),
            objects: self.git_dir(app).join("objects"),
        };
        // Relative to the quarantine's own `objects`, so that no root's name needs quoting.
        make_bare(&quarantine.path, Some(&format!("../../../{app}.git/objects\n")))?;
        Ok(quarantine)
    }

    fn quarantine_path(&self, app: &AppId) -> PathBuf {
        let number = self.quarantines_made.fetch_add(1, Ordering::Relaxed);
        self.root.join(QUARANTINES).join(format!("{app}-{number}"))
    }

    /// The app's turn. Kept while anyone holds it; [`Self::remove_dead`] forgets the idle ones.
    pub(crate) fn turn(&self, app: &AppId) -> Arc<Turn> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(app.clone()).or_default())
    }

    /// The apps that have a repository. Take this list **before** asking which apps live: then an app that
    /// is created in between is in neither list, and its repository stays.
    pub(crate) fn apps(&self) -> io::Result<Vec<AppId>> {
        let mut apps = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".git"));
            apps.extend(id.and_then(|id| id.parse::<AppId>().ok()));
        }
        Ok(apps)
    }

    /// Removes the repositories of those `candidates` that are not `living`, but for one that is being pushed
    /// to: the next round gets it. Gives the ids that are gone.
    pub(crate) fn remove_dead(&self, candidates: Vec<AppId>, living: &[AppId]) -> io::Result<Vec<AppId>> {
        let mut removed = Vec::new();
        for app in candidates.into_iter().filter(|app| !living.contains(app)) {
            let turn = self.turn(&app);
            let Ok(_held) = Arc::clone(&turn.lock).try_lock_owned() else {
                continue;
            };
            // Away in one step first, so that a crash leaves no half repository under the app's id.
            let aside = self.quarantine_path(&app);
            fs::rename(self.git_dir(&app), &aside)?;
            fs::remove_dir_all(&aside)?;
            removed.push(app);
        }
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Ok(removed)
    }
}

/// What a push gets when it asks for its turn.
#[derive(Debug)]
pub(crate) enum Queue {
    /// It is its turn, until the guard goes.
    Now(OwnedMutexGuard<()>),
    /// Another push is under way; [`Waiting::wait`].
    Later(Waiting),
    /// So many wait already.
    Full,
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Turn>);

impl Turn {
    pub(crate) fn queue(self: &Arc<Self>, most_waiting: usize) -> Queue {
        if let Ok(guard) = Arc::clone(&self.lock).try_lock_owned() {
            return Queue::Now(guard);
        }
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= most_waiting {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            return Queue::Full;
        }
        Queue::Later(Waiting(Arc::clone(self)))
    }
}

impl Waiting {
    /// First come, first served.
    pub(crate) async fn wait(self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.0.lock).lock_owned().await
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One push's objects, apart until they are accepted.
#[derive(Debug)]
pub(crate) struct Quarantine {
    path: PathBuf,
    objects: PathBuf,
}

impl Quarantine {
    /// The bare repository that sees the app's objects and its own.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.path
    }

    /// Where the pack and its index go.
    pub(crate) fn pack_dir(&self) -> PathBuf {
        self.path.join("objects/pack")
    }

    /// Writes what was received through to the disk: a full or failing one is found out here, before the
    /// build, and not after its release.
    pub(crate) fn sync(&self) -> io::Result<()> {
        for file in self.packs()? {
            fs::File::open(file)?.sync_all()?;
        }
        Ok(())
    }

    /// Moves the objects into the app's repository, durably. An index comes after its pack: readers find
    /// packs by their indices.
    pub(crate) fn migrate(&self) -> io::Result<()> {
        let target = self.objects.join("pack");
        let mut files = self.packs()?;
        files.sort_by_key(|file| file.extension().is_some_and(|e| e == "idx"));
        for file in &files {
            if let Some(name) = file.file_name() {
                fs::rename(file, target.join(name))?;
            }
        }
        if files.is_empty() { Ok(()) } else { sync(&target) }
    }

    fn packs(&self) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.pack_dir())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "pack" || e == "idx") {
                files.push(path);
            }
        }
        Ok(files)
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a quarantine stays until the next start");
        }
    }
}

/// A bare repository with nothing in it. No hooks, no templates: nothing of a person's git set-up gets in.
fn make_bare(path: &Path, alternates: Option<&str>) -> io::Result<()> {
    for folder in ["objects/pack", "objects/info", "refs/heads", "refs/tags"] {
        fs::create_dir_all(path.join(folder))?;
    }
    let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
    let mut files = vec![("HEAD", "ref: refs/heads/main\n"), ("config", config)];
    files.extend(alternates.map(|line| ("objects/info/alternates", line)));
    for (name, text) in files {
        let mut file = fs::File::create(path.join(name))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    sync(path)
}

fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(id: &str) -> AppId {
        id.parse().unwrap()
    }

    #[test]
    fn one_server_holds_a_folder_and_the_next_sweeps_its_quarantines() {
        let dir = tempfile::tempdir().unwrap();
        let first = Repositories::open(dir.path()).unwrap();
        first.repository(&app("a1")).unwrap();
        let left = first.quarantine(&app("a1")).unwrap();
        assert!(matches!(Repositories::open(dir.path()), Err(Error::InUse { .. })));
        let path = left.git_dir().to_owned();
        std::mem::forget(left);
        drop(first);
        // A program that another test starts at this moment holds the lock too, until it runs.
        let second = (0..1000).find_map(|_| match Repositories::open(dir.path()) {
            Err(Error::InUse { .. }) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
                None
            }
            other => Some(other.unwrap()),
        });
        let second = second.expect("the lock goes with its holder");
        assert!(!path.exists());
        assert_eq!(second.apps().unwrap(), [app("a1")]);
    }

    #[test]
    fn a_dead_apps_repository_goes_unless_it_is_being_pushed_to() {
        let dir = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(dir.path()).unwrap();
        for id in ["alive", "dead", "busy"] {
            repositories.repository(&app(id)).unwrap();
        }
        let Queue::Now(_guard) = repositories.turn(&app("busy")).queue(1) else {
            panic!("it is free")
        };
        let removed = repositories
            .remove_dead(repositories.apps().unwrap(), &[app("alive")])
            .unwrap();
        assert_eq!(removed, [app("dead")]);
        let mut left = repositories.apps().unwrap();
        left.sort();
        assert_eq!(left, [app("alive"), app("busy")]);
    }

    #[test]
    fn the_queue_for_a_turn_is_bounded_and_a_place_given_up_is_free_again() {
        let turn = Arc::new(Turn::default());
        let Queue::Now(_guard) = turn.queue(1) else {
            panic!("it is free")
        };
        let Queue::Later(place) = turn.queue(1) else {
            panic!("one may wait")
        };
        assert!(matches!(turn.queue(1), Queue::Full));
        drop(place);
        assert!(matches!(turn.queue(1), Queue::Later(_)));
    }

    #[test]
    fn a_dropped_quarantine_leaves_nothing_and_a_migrated_one_its_packs() {
        let dir = tempfile::tempdir().unwrap();
        let repositories = Repositories::open(dir.path()).unwrap();
        let git_dir = repositories.repository(&app("a")).unwrap();
        let quarantine = repositories.quarantine(&app("a")).unwrap();
        for name in ["pack-1.idx", "pack-1.pack", "pack-1.keep"] {
            fs::write(quarantine.pack_dir().join(name), name).unwrap();
        }
        quarantine.sync().unwrap();
        quarantine.migrate().unwrap();
        let path = quarantine.git_dir().to_owned();
        drop(quarantine);
        assert!(!path.exists());
        let mut moved: Vec<_> = fs::read_dir(git_dir.join("objects/pack"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        moved.sort();
        assert_eq!(moved, ["pack-1.idx", "pack-1.pack"]);
    }
}
