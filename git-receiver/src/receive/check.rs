//! What must hold of a quarantine before anything else looks at it.
//!
//! Two rules, each over every object of the new pack. **Connectivity**: an object names only objects that
//! are in the pack or in the app's repository. The repository is closed under that rule already, so it
//! stays closed, and the walk costs the pack's size, not the history's. **Safe trees**: no entry that some
//! file system would take for `.git`, for a parent folder or for a path; none twice.
//! A message or a mode of odd form passes, as in git's own default: old histories are full of them.

use super::pack::{self, PackError};
use crate::{config::Limits, repo::Quarantine};
use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    objs::{CommitRefIter, Exists, Kind, TagRefIter, TreeRefIter},
};
use gix_pack::index::traverse;
use std::{
    fs,
    sync::{Arc, OnceLock, atomic::AtomicBool},
};
use thiserror::Error;

const SHA1: gix::hash::Kind = gix::hash::Kind::Sha1;

/// Why a pack's objects are refused: the text goes to the person.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Violation {
    #[error("{kind} {object} needs {missing}, which was not sent")]
    Missing {
        kind: Kind,
        object: ObjectId,
        missing: ObjectId,
    },
    #[error("{kind} {object} is malformed")]
    Malformed { kind: Kind, object: ObjectId },
    #[error("tree {object} has an entry {name:?}: {rule}")]
    Entry {
        object: ObjectId,
        name: BString,
        rule: String,
    },
    #[error("tree {object} has the entry {name:?} twice, or out of order")]
    Order { object: ObjectId, name: BString },
}

/// Either of the two ways a quarantine is refused.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Walks all objects of the quarantine's pack; there is none when the push needed no new object.
pub(crate) fn check(quarantine: &Quarantine, limits: &Limits, stop: &AtomicBool) -> Result<(), CheckError> {
    let entries = fs::read_dir(quarantine.pack_dir()).map_err(|error| PackError::from(&error))?;
    let index = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "idx"));
    let Some(index) = index else { return Ok(()) };
    let objects = pack::open_objects(quarantine)?;
    // The database loads its indices one by one as it looks for objects, and a thread that looks while another
    // one loads can miss what is there. So the pack's own objects are found in its own index, and all other
    // indices are loaded here, by looking for what no repository has, before there is more than one thread.
    objects.exists(&ObjectId::null(SHA1));
    let own = gix_pack::index::File::at(&index, SHA1).map_err(|error| pack::explain(&error, limits))?;
    let own = Arc::new(own);
    let found: Arc<OnceLock<Violation>> = Arc::default();
    let report = Arc::clone(&found);
    let walked = gix_pack::Bundle::at(&index, SHA1).and_then(|bundle| {
        bundle.index.traverse(
            &bundle.pack,
            &mut gix::progress::Discard,
            stop,
            move |kind, data, entry, _progress| {
                let exists = |id: &gix::hash::oid| own.lookup(id).is_some() || objects.exists(id);
                check_object(kind, data, entry.oid, exists).map_err(|violation| {
                    // Another thread's finding is as good as this one's.
                    report.get_or_init(|| violation.clone());
                    gix::Error::from_error(violation)
                })
            },
            traverse::Options {
                traversal: traverse::Algorithm::DeltaTreeLookup,
                thread_limit: Some(2),
                // The pack was hashed object by object when its index was written, a moment ago.
                check: traverse::SafetyCheck::SkipFileAndObjectChecksumVerification,
                alloc_limit_bytes: Some(limits.object_bytes),
                make_pack_lookup_cache: || gix_pack::cache::Never,
            },
        )
    });
    match (found.get(), walked) {
        (Some(violation), _) => Err(violation.clone().into()),
        (None, Ok(_)) => Ok(()),
        (None, Err(error)) => Err(pack::explain(&error, limits).into()),
    }
}

fn check_object(
    kind: Kind,
    data: &[u8],
    object: ObjectId,
    exists: impl Fn(&gix::hash::oid) -> bool,
) -> Result<(), Violation> {
    let needs = |id: &gix::hash::oid| {
        if exists(id) {
            Ok(())
        } else {
            Err(Violation::Missing {
                kind,
                object,
                missing: id.to_owned(),
            })
        }
    };
    let malformed = || Violation::Malformed { kind, object };
    match kind {
        Kind::Blob => Ok(()),
        Kind::Tag => needs(
            &TagRefIter::from_bytes(data, SHA1)
                .target_id()
                .map_err(|_| malformed())?,
        ),
        Kind::Commit => {
            for token in CommitRefIter::from_bytes(data, SHA1) {
                if let Some(id) = token.map_err(|_| malformed())?.id() {
                    needs(id)?;
                }
            }
            // An empty commit has no token to fail on.
            CommitRefIter::from_bytes(data, SHA1)
                .tree_id()
                .map(drop)
                .map_err(|_| malformed())
        }
        Kind::Tree => {
            let mut order = Order::default();
            for entry in TreeRefIter::from_bytes(data, SHA1) {
                let entry = entry.map_err(|_| malformed())?;
                check_name(entry.filename, entry.mode.is_link()).map_err(|rule| Violation::Entry {
                    object,
                    name: entry.filename.to_owned(),
                    rule,
                })?;
                if !order.admits(entry.filename, entry.mode.is_tree()) {
                    return Err(Violation::Order {
                        object,
                        name: entry.filename.to_owned(),
                    });
                }
                // A submodule's commit is in another repository.
                if !entry.mode.is_commit() {
                    needs(entry.oid)?;
                }
            }
            Ok(())
        }
    }
}

/// Refuses what git's fsck calls `hasDot`, `hasDotdot`, `hasDotgit`, `fullPathname`, `emptyName` and
/// `gitmodulesSymlink`, in the spellings of HFS+ and NTFS too. Names that only Windows dislikes pass.
fn check_name(name: &BStr, is_link: bool) -> Result<(), String> {
    use gix::validate::path::{component, component::Mode, component::Options};
    let options = Options {
        protect_windows: false,
        protect_hfs: true,
        protect_ntfs: true,
    };
    component(name, is_link.then_some(Mode::Symlink), options)
        .map(drop)
        .map_err(|error| error.to_string())
}

/// git's order of tree entries, in which a folder's name ends with `/`; and no name twice, though a file
/// `a` and a folder `a` may have names between them (`a`, `a.b`, `a/`).
#[derive(Default)]
struct Order {
    last: Option<Vec<u8>>,
    /// Files whose name begins all names since: only a folder of that very name would collide.
    files: Vec<Vec<u8>>,
}

impl Order {
    fn admits(&mut self, name: &BStr, is_tree: bool) -> bool {
        let mut key = name.to_vec();
        if is_tree {
            key.push(b'/');
        }
        if self.last.as_ref().is_some_and(|last| *last >= key) {
            return false;
        }
        while self.files.last().is_some_and(|file| !name.starts_with(file)) {
            self.files.pop();
        }
        let collides = self.files.last().is_some_and(|file| name.as_bytes() == &file[..]);
        if !is_tree {
            self.files.push(name.to_vec());
        }
        self.last = Some(key);
        !collides
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_dot_git_or_of_a_path_passes() {
        for name in [
            ".git",
            ".GIT",
            ".Git",
            "git~1",
            "GIT~1",
            ".g\u{200c}it",
            "\u{200b}.git",
            ".git ",
            ".git.",
            ".git::$INDEX_ALLOCATION",
            "..",
            ".",
            "",
            "a/b",
            "/",
        ] {
            // U+200B is no ignorable of HFS+; it is here to show that the table is not all refusals.
            assert_eq!(
                check_name(name.into(), false).is_err(),
                name != "\u{200b}.git",
                "{name:?}"
            );
        }
        for name in [
            ".gitignore",
            ".github",
            ".gitmodules",
            "git",
            "a:b",
            "con",
            "a b",
            "-rf",
            "\u{e9}",
        ] {
            assert_eq!(check_name(name.into(), false), Ok(()), "{name:?}");
        }
        assert!(check_name(".gitmodules".into(), true).is_err());
    }

    fn ordered(entries: &[(&str, bool)]) -> bool {
        let mut order = Order::default();
        entries
            .iter()
            .all(|(name, is_tree)| order.admits((*name).into(), *is_tree))
    }

    #[test]
    fn entries_come_in_gits_order_and_once() {
        assert!(ordered(&[
            ("a", false),
            ("a.b", false),
            ("ab", false),
            ("b", true)
        ]));
        assert!(ordered(&[("a.b", false), ("a", true), ("a0", false)]));
        assert!(!ordered(&[("a", true), ("a.b", false)]));
        assert!(!ordered(&[("b", false), ("a", false)]));
        assert!(!ordered(&[("a", false), ("a", false)]));
        assert!(!ordered(&[("a", false), ("a", true)]));
        assert!(!ordered(&[("a", false), ("a.b", false), ("a", true)]));
        assert!(!ordered(&[
            ("a", false),
            ("a-", false),
            ("a-b", false),
            ("a.b", true),
            ("a", true)
        ]));
    }

    #[test]
    fn a_commit_needs_its_tree_and_parents() {
        let tree = ObjectId::empty_tree(SHA1);
        let parent = ObjectId::empty_blob(SHA1);
        let text =
            format!("tree {tree}\nparent {parent}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nm\n");
        let check = |exists: &dyn Fn(&gix::hash::oid) -> bool| {
            check_object(Kind::Commit, text.as_bytes(), tree, exists)
        };
        assert_eq!(check(&|_| true), Ok(()));
        assert!(
            matches!(check(&|id| id == tree), Err(Violation::Missing { missing, .. }) if missing == parent)
        );
        assert!(
            matches!(check(&|id| id == parent), Err(Violation::Missing { missing, .. }) if missing == tree)
        );
        for bad in ["", "tree", "tree x\n"] {
            let checked = check_object(Kind::Commit, bad.as_bytes(), tree, |_| true);
            assert!(matches!(checked, Err(Violation::Malformed { .. })), "{bad:?}");
        }
    }

    /// Runs stock git, which only makes what is checked here.
    fn git(dir: &std::path::Path, args: &[&str]) {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
            .args(args);
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", dir)
            .current_dir(dir);
        let output = git.output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn an_object_is_found_while_indices_are_still_being_loaded() {
        let root = tempfile::tempdir().unwrap();
        let repos = crate::repo::Repositories::open(root.path()).unwrap();
        let app = "a".parse().unwrap();
        let main = repos.repository(&app).unwrap();
        let work = root.path().join("work");
        fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q", "."]);
        let store = main.join("objects/pack/pack");
        for number in 0..30 {
            for file in 0..4 {
                fs::create_dir_all(work.join(format!("d{file}"))).unwrap();
                fs::write(work.join(format!("d{file}/{number}")), format!("{number} {file}")).unwrap();
            }
            git(&work, &["add", "-A"]);
            git(&work, &["commit", "-q", "-m", "x"]);
            // A pack for each change, as pushes leave them; the last one is what is checked.
            let range = if number == 0 {
                "HEAD".to_owned()
            } else {
                "HEAD~1..HEAD".to_owned()
            };
            git(&work, &["update-ref", "refs/heads/new", "HEAD"]);
            let quarantine = repos.quarantine(&app).unwrap();
            let target = if number < 29 {
                store.clone()
            } else {
                quarantine.pack_dir().join("pack")
            };
            let list = work.join(".git/list");
            fs::write(
                &list,
                format!("{}\n", range.replace("HEAD~1..HEAD", "HEAD\n^HEAD~1")),
            )
            .unwrap();
            let mut pack = std::process::Command::new("git");
            pack.args(["pack-objects", "-q", "--revs"])
                .arg(&target)
                .current_dir(&work);
            let status = pack
                .stdin(fs::File::open(&list).unwrap())
                .stdout(std::process::Stdio::null())
                .status();
            assert!(status.unwrap().success());
            if number == 29 {
                let limits = Limits::default();
                for _ in 0..300 {
                    check(&quarantine, &limits, &AtomicBool::new(false)).unwrap();
                }
            }
        }
    }
}
