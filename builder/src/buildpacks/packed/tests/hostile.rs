//! Layers that are not to be packed, and archives that are none.

use super::*;
use archive::{Entry, Kind, MAGIC, Meta};
use rustix::fs::{XattrFlags, mkfifoat, setxattr};

#[test]
fn what_an_archive_can_not_hold_stays_as_it_is() {
    let world = World::new();
    let pipe = world.layer().join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
    world.built();
    assert_eq!(
        world.unfit(),
        "a_b/layer/pipe is neither a file, a folder nor a link"
    );
    fs::remove_file(pipe).unwrap();
    let large = world.layer().join("large");
    match setxattr(&large, "user.note", b"n", XattrFlags::empty()) {
        Ok(()) => {
            world.built();
            assert_eq!(world.unfit(), "a_b/layer/large has extended attributes");
            rustix::fs::removexattr(&large, "user.note").unwrap();
        }
        Err(rustix::io::Errno::NOTSUP) => {}
        Err(error) => panic!("{error}"),
    }
    let endless = world.layer().join("endless");
    fs::File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    world.built();
    assert_eq!(world.unfit(), "a_b/layer/endless makes them too large");
    fs::remove_file(endless).unwrap();
    // A cache of ours needs no fingerprint, so that nothing has failed at its depth before.
    let cache = world.app.layers().join("pvdify_x/cache");
    folders::tests::deep(&cache);
    fs::write(cache.with_extension("toml"), "[types]\ncache = true\n").unwrap();
    world.built();
    let Err(NotPacked::Unfit(reason)) = world.pack() else {
        panic!("it is packed")
    };
    assert_eq!(
        (reason.as_str(), world.state().as_str()),
        ("a path in them is too long", "layers")
    );
    put_away(world.work_dir(), &cache).unwrap().remove().unwrap();
    world.pack().unwrap().unwrap();
}

#[test]
fn a_link_is_packed_as_a_link_and_what_it_leads_to_is_not_touched() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "s").unwrap();
    set_mode(&outside, 0o750);
    symlink(&outside, world.layer().join("link")).unwrap();
    world.built();
    world.pack().unwrap().unwrap();
    assert!(outside.join("secret").exists());
    world.unpack();
    assert_eq!(fs::read_link(world.layer().join("link")).unwrap(), outside);
    assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o7777, 0o750);
}

/// Done to an archive's bytes.
type Damage = fn(&mut Vec<u8>);

#[test]
fn an_archive_that_can_not_be_read_is_lost_and_the_app_starts_anew() {
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() / 2);
    let flip = |bytes: &mut Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
    };
    let end = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 1);
    let other = |bytes: &mut Vec<u8>| *bytes = zstd::encode_all(&b"something else, long"[..], 1).unwrap();
    let damages: [(&str, Damage); 5] = [
        ("half", cut),
        ("a bit", flip),
        ("the end", end),
        ("another", other),
        ("nothing", Vec::clear),
    ];
    for (what, damage) in damages {
        let world = World::new();
        world.pack().unwrap().unwrap();
        let mut bytes = fs::read(world.path(PACKED)).unwrap();
        damage(&mut bytes);
        fs::write(world.path(PACKED), bytes).unwrap();
        let stood = world.app.stand_on(world.work_dir(), "", CNB).unwrap();
        assert!(matches!(stood, Stood::Lost(_)), "{what}: {stood:?}");
        assert_eq!(world.state(), "layers", "{what}");
        assert_eq!(fs::read_dir(world.app.layers()).unwrap().count(), 0, "{what}");
        assert!(!world.path("known.json").exists() && world.app.image().is_none());
    }
}

#[test]
fn what_the_disk_had_no_room_for_waits_for_it_and_takes_none_meanwhile() {
    let world = World::new();
    let files = world.files();
    world.pack().unwrap().unwrap();
    fs::create_dir(world.path(UNPACKING)).unwrap();
    fs::write(world.path(UNPACKING).join("half"), "h").unwrap();
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = world.app.not_unpacked(world.work_dir(), full).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(world.state(), PACKED);
    world.unpack();
    assert!(world.files() == files && world.is_vouched_for());
}

#[test]
fn no_archive_leads_outside() {
    let file = || Kind::File { size: 1 };
    let link = |to: &str| Kind::Link { target: to.into() };
    let same = |as_file: &str| Kind::Same { file: as_file.into() };
    let table: [&[(&str, Kind)]; 10] = [
        &[("../out", file())],
        &[("/out", file())],
        &[("a/../../out", file())],
        &[("..", Kind::Folder)],
        &[("..", file())],
        &[("link", link("..")), ("link/out", file())],
        &[("link", link("..")), ("link", file())],
        &[("link", link("../out")), ("link", file())],
        &[("link", link("..")), ("same", same("link/secret"))],
        &[("same", same("../secret"))],
    ];
    for entries in table {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("inside");
        fs::create_dir(&inside).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let mut bytes = MAGIC.to_vec();
        let root = [("", Kind::Folder)];
        for (path, kind) in root.iter().chain(entries) {
            let entry = Entry {
                path: path.into(),
                kind: kind.clone(),
                meta: Meta {
                    mode: 0o777,
                    uid: 0,
                    gid: 0,
                    seconds: 0,
                    nanoseconds: 0,
                },
            };
            entry.write(&mut bytes).unwrap();
            if *kind == file() {
                bytes.push(b'x');
            }
        }
        archive::end(&mut bytes).unwrap();
        assert!(read::read(&bytes[..], &inside).is_err(), "{entries:?}");
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["inside", "secret"], "{entries:?}");
        assert_eq!(fs::metadata(dir.path().join("secret")).unwrap().nlink(), 1);
    }
}
