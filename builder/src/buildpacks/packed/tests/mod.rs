//! Layers packed and unpacked, and found in every state that a kill may leave.

mod hostile;
mod idle;
mod kills;

use super::*;
use crate::{
    buildpacks::{
        folders::{self, Stood},
        owned::CNB,
    },
    export::walk::{Budget, walk},
};
use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, utimensat};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink},
    },
    path::PathBuf,
};

/// An app whose last build left a layer, which is known.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) app: AppFolder,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let app = AppFolder::open(dir.path(), &"demo".parse().unwrap()).unwrap();
        let world = Self { dir, app };
        let large = world.layer().join("large");
        fs::create_dir_all(large.parent().unwrap()).unwrap();
        fs::write(large, b"the same again and again\n".repeat(100_000)).unwrap();
        world.built();
        world
    }

    pub(super) fn work_dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn layer(&self) -> PathBuf {
        self.app.layers().join("a_b/layer")
    }

    fn fingerprint(&self) -> String {
        let tree = walk(
            Beneath::open(&self.layer()).unwrap(),
            &Budget::new(u64::MAX, u64::MAX),
        );
        tree.unwrap().fingerprint
    }

    /// As after a build that made an image of the layer as it is.
    pub(super) fn built(&self) {
        let known = format!(
            r#"{{"version":1,"under_way":false,"layers":{{"a_b/layer":{{"fingerprint":"{}"}}}}}}"#,
            self.fingerprint()
        );
        fs::write(self.path("known.json"), known).unwrap();
        let image = format!("sha256:{}", "0".repeat(64));
        self.app.remember(&image.parse().unwrap()).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.app.folder().join(name)
    }

    pub(super) fn pack(&self) -> Result<Option<Saved>, NotPacked> {
        self.app.pack(self.work_dir(), &|| Ok(()))
    }

    /// Why it was not packed; nothing changed, and nothing is left of it.
    pub(super) fn unfit(&self) -> String {
        let before = self.files();
        let Err(NotPacked::Unfit(reason)) = self.pack() else {
            panic!("it is packed")
        };
        assert_eq!(self.files(), before);
        assert_eq!(self.state(), "layers");
        reason
    }

    pub(super) fn unpack(&self) -> Found {
        self.app.unpack(self.work_dir()).unwrap()
    }

    /// Which of the four names are there.
    pub(super) fn state(&self) -> String {
        let names = ["layers", PACKED, PACKING, UNPACKING];
        let there = names.iter().filter(|name| self.path(name).exists());
        there.copied().collect::<Vec<_>>().join(" ")
    }

    /// Whether the next build keeps the layer, even if it compares, and finds it as the last one left it.
    pub(super) fn is_vouched_for(&self) -> bool {
        let text = fs::read_to_string(self.path("known.json")).unwrap();
        let dropped = Known::read(self.app.folder()).clean(&self.app.layers()).unwrap();
        dropped.is_empty() && text.contains(&self.fingerprint())
    }

    pub(super) fn files(&self) -> BTreeMap<PathBuf, File> {
        let mut files = BTreeMap::new();
        let mut open = vec![PathBuf::new()];
        while let Some(path) = open.pop() {
            let whole = self.app.layers().join(&path);
            let meta = fs::symlink_metadata(&whole).unwrap();
            if meta.is_dir() {
                for entry in fs::read_dir(&whole).unwrap() {
                    open.push(path.join(entry.unwrap().file_name()));
                }
            }
            let content = match (meta.is_file(), meta.is_symlink()) {
                (true, _) if meta.len() > 1 << 30 => meta.len().to_le_bytes().to_vec(),
                (true, _) => fs::read(&whole).unwrap(),
                (_, true) => fs::read_link(&whole).unwrap().as_os_str().as_bytes().to_vec(),
                _ => Vec::new(),
            };
            let file = File {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                time: (meta.mtime(), meta.mtime_nsec()),
                names: if meta.is_dir() { 1 } else { meta.nlink() },
                content,
            };
            files.insert(path, file);
        }
        files
    }
}

/// All of a file that is to come back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    mode: u32,
    owner: (u32, u32),
    time: (i64, i64),
    names: u64,
    content: Vec<u8>,
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn all_comes_back_as_it_was() {
    let world = World::new();
    let layer = world.layer();
    let file = |name: &OsStr, content: &[u8]| {
        let path = layer.join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let odd = OsStr::from_bytes(b"\xff\n9 uid=0\n");
    file(odd, b"odd");
    file(OsStr::new(&"n".repeat(255)), b"");
    fs::create_dir_all(layer.join("folders/empty")).unwrap();
    fs::hard_link(layer.join(odd), layer.join("folders/same")).unwrap();
    symlink("/etc/passwd", layer.join("folders/link")).unwrap();
    fs::hard_link(layer.join("folders/link"), layer.join("link too")).unwrap();
    let mut deep = layer.join("deep");
    while deep.as_os_str().len() < 3500 {
        deep.push("d".repeat(200));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    let holes = fs::File::create(layer.join("holes")).unwrap();
    holes.set_len(64 << 20).unwrap();
    let times = [
        ("large", 1, 999_999_999),
        ("folders", -7, 1),
        ("folders/link", 5, 5),
    ];
    for (name, seconds, nanoseconds) in times {
        set_time(&layer.join(name), seconds, nanoseconds);
    }
    if rustix::process::geteuid().is_root() {
        for name in ["large", "folders", "folders/link"] {
            lchown(layer.join(name), Some(10_001), Some(10_002)).unwrap();
        }
    }
    set_mode(&layer.join("large"), 0o6755);
    set_mode(&layer.join("folders/empty"), 0o1777);
    set_mode(&file(OsStr::new("read-only"), b"r"), 0o400);
    set_mode(&layer.join("folders"), 0o2511);
    fs::write(world.app.layers().join("a_b/layer.toml"), "[types]\n").unwrap();
    set_mode(&world.app.layers(), 0o711);
    world.built();
    let mut before = world.files();
    let saved = world.pack().unwrap().unwrap();
    assert_eq!(world.state(), PACKED);
    assert!(saved.before > 2_000_000 && saved.after < 1_100_000, "{saved:?}");
    let mode = fs::metadata(world.path(PACKED)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let Found::Unpacked { bytes, .. } = world.unpack() else {
        panic!("it is not unpacked")
    };
    assert_eq!(bytes, (64 << 20) + 2_500_000 + 3 + 4 + 1 + 8);
    let mut after = world.files();
    assert!(before.remove(Path::new("a_b/layer/holes")) == after.remove(Path::new("a_b/layer/holes")));
    assert_eq!(before, after);
    let of = |name: &str| fs::metadata(layer.join(name)).unwrap();
    assert!(of("holes").blocks() * 512 < 1 << 20, "holes take no disk");
    assert_eq!(
        of("folders/same").ino(),
        fs::metadata(layer.join(odd)).unwrap().ino()
    );
    assert!(world.is_vouched_for());
    assert!(matches!(world.unpack(), Found::Folders));
}

#[test]
fn what_the_next_build_would_remove_is_not_packed() {
    let world = World::new();
    fs::create_dir(world.app.layers().join("a_b/compiler")).unwrap();
    world.pack().unwrap().unwrap();
    world.unpack();
    assert!(!world.app.layers().join("a_b/compiler").exists());
    assert!(world.is_vouched_for());
}

#[test]
fn layers_that_are_not_as_known_stay_as_they_are() {
    const NOT_KNOWN: &str = "they are not those of a build that made an image";
    let world = World::new();
    let large = world.layer().join("large");
    set_time(&large, 1, 1);
    assert_eq!(world.unfit(), NOT_KNOWN);
    world.built();
    Known::read(world.app.folder())
        .clean(&world.app.layers())
        .unwrap();
    assert_eq!(world.unfit(), NOT_KNOWN);
    fs::remove_file(world.path("known.json")).unwrap();
    assert_eq!(world.unfit(), NOT_KNOWN);
    fs::write(large, "small").unwrap();
    world.built();
    assert_eq!(world.unfit(), "packing them would save little");
    // An app that was never built has none.
    fs::remove_dir_all(world.app.layers()).unwrap();
    assert_eq!(world.pack().unwrap(), None);
}

#[test]
fn packed_layers_of_another_ground_go_and_those_of_this_one_are_unpacked_for_the_build() {
    let world = World::new();
    let stand_on = |ground: &str| world.app.stand_on(world.work_dir(), ground, CNB).unwrap();
    world.pack().unwrap().unwrap();
    let stood = stand_on("");
    assert!(matches!(stood, Stood::Unpacked { .. }), "{stood:?}");
    assert!(world.is_vouched_for());
    world.built();
    world.pack().unwrap().unwrap();
    assert!(matches!(stand_on("a builder"), Stood::OnAnother));
    assert_eq!(world.state(), "layers");
    assert!(!world.layer().exists() && !world.path("known.json").exists());
}

#[test]
fn an_app_that_is_removed_takes_its_archive_along() {
    let world = World::new();
    world.pack().unwrap().unwrap();
    let app = "demo".parse().unwrap();
    assert_eq!(AppFolder::all(world.work_dir()), std::slice::from_ref(&app));
    AppFolder::remove(world.work_dir(), &app).unwrap();
    assert!(!world.path(PACKED).exists() && AppFolder::all(world.work_dir()).is_empty());
}

#[test]
fn the_build_log_says_what_was_unpacked() {
    let line = |bytes, millis| {
        let took = Duration::from_millis(millis);
        Stood::Unpacked { bytes, took }.line().unwrap()
    };
    insta::assert_snapshot!(line(211_400_000, 420), @"       Unpacked layers of the last build (211 MB in 0.4s)");
}
