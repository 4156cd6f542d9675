//! Folders as they are after each step, and after each step that was the last.

use super::*;
use rustix::fs::{CWD, Mode, XattrFlags, mkfifoat};
use std::os::unix::{
    fs::{FileExt, chown, symlink},
    net::UnixListener,
};

struct World {
    volumes: Volumes,
    app: AppId,
    volume: VolumeId,
    snapshots: [SnapshotId; 2],
    folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::open(&folder.path().join("volumes")).unwrap();
    let (app, volume): (AppId, VolumeId) = ("a1".parse().unwrap(), "v1".parse().unwrap());
    volumes.create(&app, &volume).unwrap();
    World {
        volumes,
        app,
        volume,
        snapshots: ["s1", "s2"].map(|id| id.parse().unwrap()),
        folder,
    }
}

impl World {
    fn data(&self) -> PathBuf {
        self.volumes.data(&self.app, &self.volume).unwrap()
    }

    fn snapshot(&self, index: usize) -> PathBuf {
        let id = &self.snapshots[index];
        self.volumes.snapshot_folder(&self.app, &self.volume, id)
    }

    fn take(&self, index: usize) {
        let copied = Copied::default();
        self.volumes.copy_data(&self.app, &self.volume, &copied).unwrap();
        let id = &self.snapshots[index];
        self.volumes.keep(&self.app, &self.volume, id).unwrap();
    }

    /// A snapshot of "one", the data "two", and the snapshot's copy ready to be swapped in.
    fn about_to_restore() -> Self {
        let world = world();
        fs::write(world.data().join("file"), "one").unwrap();
        world.take(0);
        fs::write(world.data().join("file"), "two").unwrap();
        let copied = Copied::default();
        let (app, volume, id) = (&world.app, &world.volume, &world.snapshots[0]);
        world.volumes.copy_snapshot(app, volume, id, &copied).unwrap();
        world
    }

    fn settle(&self) -> Restored {
        let before = Some(&self.snapshots[1]);
        self.volumes.settle(&self.app, &self.volume, before).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.data().join("file")).unwrap()
    }

    /// What is in the volume's folder beside data and snapshots.
    fn left_over(&self) -> Vec<String> {
        let names = fs::read_dir(self.volumes.folder(&self.app, &self.volume)).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != DATA && name != SNAPSHOTS).collect()
    }
}

/// All that a copy has to keep of a name.
fn face(path: &Path) -> String {
    let meta = path.symlink_metadata().unwrap();
    let mut names = vec![0_u8; 1024];
    let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    format!(
        "{:o} {}:{} {}.{} x{} {:?} {}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.mtime(),
        meta.mtime_nsec(),
        if meta.is_dir() { 0 } else { meta.nlink() },
        fs::read_link(path).ok(),
        String::from_utf8_lossy(&names[..length])
    )
}

#[test]
fn a_snapshot_keeps_owners_modes_times_attributes_links_pipes_and_holes() {
    let world = world();
    let data = world.data();
    fs::create_dir(data.join("folder")).unwrap();
    fs::write(data.join("folder/program"), "x").unwrap();
    fs::hard_link(data.join("folder/program"), data.join("again")).unwrap();
    fs::write(data.join("plain"), "x".repeat(100_000)).unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    mkfifoat(CWD, data.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
    let _socket = UnixListener::bind(data.join("socket")).unwrap();
    let holes = File::create(data.join("holes")).unwrap();
    holes.write_all_at(b"end", 50 << 20).unwrap();
    rustix::fs::setxattr(data.join("plain"), "user.kind", b"v", XattrFlags::empty()).unwrap();
    if rustix::process::geteuid().is_root() {
        for (index, name) in ["folder", "folder/program", "plain", "pipe"].iter().enumerate() {
            chown(
                data.join(name),
                Some(1000),
                Some(2000 + u32::try_from(index).unwrap()),
            )
            .unwrap();
        }
        std::os::unix::fs::lchown(data.join("link"), Some(1000), Some(7)).unwrap();
    }
    fs::set_permissions(data.join("folder/program"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::set_permissions(data.join("folder"), fs::Permissions::from_mode(0o2550)).unwrap();

    let copied = Copied::default();
    world
        .volumes
        .copy_data(&world.app, &world.volume, &copied)
        .unwrap();
    let bytes = world
        .volumes
        .keep(&world.app, &world.volume, &world.snapshots[0])
        .unwrap();
    for name in [
        "",
        "folder",
        "folder/program",
        "again",
        "plain",
        "link",
        "pipe",
        "holes",
    ] {
        assert_eq!(
            face(&world.snapshot(0).join(name)),
            face(&data.join(name)),
            "{name}"
        );
    }
    let number = |name: &str| world.snapshot(0).join(name).metadata().unwrap().ino();
    assert_eq!(number("again"), number("folder/program"));
    assert!(!world.snapshot(0).join("socket").exists());
    assert_eq!(
        fs::read(world.snapshot(0).join("holes")).unwrap().len(),
        (50 << 20) + 3
    );
    assert!(
        bytes < 1 << 20 && copied.bytes() < 51 << 20,
        "{bytes} {}",
        copied.bytes()
    );
    let measured = world
        .volumes
        .measure(&world.app, &world.volume, Duration::from_secs(60));
    assert!(measured.unwrap().unwrap() < 1 << 20);
    assert_eq!(world.left_over(), [] as [String; 0]);
}

#[test]
fn a_restore_that_is_broken_off_anywhere_leaves_the_old_or_the_new_data_whole() {
    let before = World::about_to_restore();
    assert_eq!((before.settle(), before.text().as_str()), (Restored::Not, "two"));
    assert_eq!(before.left_over(), [] as [String; 0]);

    let between = World::about_to_restore();
    between
        .volumes
        .put_aside(&between.app, &between.volume, &between.snapshots[1])
        .unwrap();
    assert!(
        between.volumes.data(&between.app, &between.volume).is_err(),
        "nothing can start with it"
    );
    assert_eq!(
        (between.settle(), between.text().as_str()),
        (Restored::Whole, "one")
    );
    assert_eq!(
        fs::read_to_string(between.snapshot(1).join("file")).unwrap(),
        "two"
    );

    let after = World::about_to_restore();
    after
        .volumes
        .swap(&after.app, &after.volume, &after.snapshots[1])
        .unwrap();
    for world in [after, between] {
        // However often.
        assert_eq!((world.settle(), world.text().as_str()), (Restored::Whole, "one"));
        assert_eq!(world.left_over(), [] as [String; 0]);
        assert_eq!(
            fs::read_to_string(world.snapshot(0).join("file")).unwrap(),
            "one",
            "the snapshot stays"
        );
    }
}

#[test]
fn a_copy_that_is_broken_off_is_no_snapshot_and_goes() {
    let world = world();
    fs::write(world.data().join("file"), "one").unwrap();
    world
        .volumes
        .copy_data(&world.app, &world.volume, &Copied::default())
        .unwrap();
    assert_eq!(world.left_over(), [COPYING]);
    assert_eq!(
        world.volumes.settle(&world.app, &world.volume, None).unwrap(),
        Restored::Not
    );
    assert_eq!((world.left_over().len(), world.text().as_str()), (0, "one"));
}

#[test]
fn a_copy_ends_when_it_is_told_to() {
    let world = world();
    fs::write(world.data().join("file"), "one").unwrap();
    let copied = Copied::default();
    copied.stop();
    let error = world
        .volumes
        .copy_data(&world.app, &world.volume, &copied)
        .unwrap_err();
    assert_eq!(error.to_string(), "file: the server is stopping");
    world.volumes.settle(&world.app, &world.volume, None).unwrap();
    assert_eq!(world.left_over(), [] as [String; 0]);
}

#[test]
fn what_is_no_folder_of_its_own_is_not_mounted() {
    let world = world();
    let data = world.data();
    fs::remove_dir(&data).unwrap();
    assert!(
        world.volumes.data(&world.app, &world.volume).is_err(),
        "and not made anew"
    );
    symlink("/etc", &data).unwrap();
    let error = world.volumes.data(&world.app, &world.volume).unwrap_err();
    assert!(error.to_string().contains("is no folder below"), "{error}");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "").unwrap();
    assert!(world.volumes.data(&world.app, &world.volume).is_err());
}

#[test]
fn a_link_in_a_volume_leads_a_copy_and_a_removal_nowhere() {
    let world = world();
    let outside = world.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "s").unwrap();
    symlink(&outside, world.data().join("out")).unwrap();
    world.take(0);
    assert!(world.snapshot(0).join("out").is_symlink());
    world
        .volumes
        .destroy_snapshot(&world.app, &world.volume, &world.snapshots[0])
        .unwrap();
    assert!(!world.snapshot(0).exists());
    world.volumes.destroy(&world.app, &world.volume).unwrap();
    world.volumes.destroy(&world.app, &world.volume).unwrap();
    assert!(!world.volumes.folder(&world.app, &world.volume).exists());
    let destroyed = world.volumes.root().join(DESTROYED);
    assert_eq!(fs::read_dir(&destroyed).unwrap().count(), 2);
    world.volumes.sweep().unwrap();
    assert_eq!(fs::read_dir(&destroyed).unwrap().count(), 0);
    assert!(outside.join("secret").exists());
}

#[test]
fn only_a_volume_that_nobody_used_is_given_to_a_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let world = world();
    let owner = || world.volumes.owner(&world.app, &world.volume).unwrap();
    let claim = |user| {
        world
            .volumes
            .claim(&world.app, &world.volume, (user, user))
            .unwrap();
    };
    claim(0);
    assert_eq!(owner(), (0, 0));
    claim(1000);
    claim(2000);
    assert_eq!(owner(), (1000, 1000), "the first one keeps it");
    let second: VolumeId = "v2".parse().unwrap();
    world.volumes.create(&world.app, &second).unwrap();
    fs::write(world.volumes.data(&world.app, &second).unwrap().join("file"), "").unwrap();
    world.volumes.claim(&world.app, &second, (1000, 1000)).unwrap();
    assert_eq!(
        world.volumes.owner(&world.app, &second).unwrap(),
        (0, 0),
        "it is used"
    );
    assert!(world.volumes.undo_create(&world.app, &second).is_err());
}
