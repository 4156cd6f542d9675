//! Every state of the disk that a kill may leave between two steps.

use super::*;
use std::cell::Cell;

/// Folders that are whole, and their whole archive.
fn with_archive() -> World {
    let world = World::new();
    let saved = world.app.write_archive(&world.path(PACKED), &|| Ok(())).unwrap();
    assert!(saved.after > 0);
    assert_eq!(world.state(), format!("layers {PACKED}"));
    world
}

/// The next build finds the layers, and so does the one after a packing.
fn is_whole(world: &World, files: &BTreeMap<PathBuf, File>) {
    world.unpack();
    assert_eq!(world.state(), "layers");
    assert!(world.files() == *files && world.is_vouched_for());
    world.built();
    world.pack().unwrap().unwrap();
    assert_eq!(world.state(), PACKED);
    world.unpack();
    assert!(world.files() == *files && world.is_vouched_for());
}

#[test]
fn while_the_archive_is_written() {
    let world = World::new();
    let files = world.files();
    fs::write(world.path(PACKING), "half").unwrap();
    is_whole(&world, &files);
    world.built();
    fs::write(world.path(PACKING), "half").unwrap();
    world.pack().unwrap().unwrap();
    assert_eq!(world.state(), PACKED);
}

#[test]
fn when_the_archive_is_there_and_the_folders_are_still() {
    let world = with_archive();
    let files = world.files();
    is_whole(&world, &files);
    let world = with_archive();
    world.pack().unwrap().unwrap();
    assert_eq!(world.state(), PACKED);
}

#[test]
fn while_the_folders_are_removed() {
    let world = World::new();
    let files = world.files();
    world.app.write_archive(&world.path(PACKED), &|| Ok(())).unwrap();
    let _killed_before_it_removed = put_away(world.work_dir(), &world.app.layers()).unwrap();
    assert_eq!(world.state(), PACKED);
    is_whole(&world, &files);
    folders::empty_gone(world.work_dir()).unwrap();
    assert_eq!(world.state(), "layers");
}

#[test]
fn while_the_archive_is_unpacked() {
    let world = World::new();
    let files = world.files();
    world.pack().unwrap().unwrap();
    fs::create_dir_all(world.path(UNPACKING).join("a_b/layer")).unwrap();
    fs::write(world.path(UNPACKING).join("a_b/layer/large"), "half").unwrap();
    is_whole(&world, &files);
}

#[test]
fn when_the_new_folders_are_known_and_not_in_their_place() {
    let world = World::new();
    let files = world.files();
    world.pack().unwrap().unwrap();
    fs::create_dir(world.path(UNPACKING)).unwrap();
    read_archive(&world.path(PACKED), &world.path(UNPACKING)).unwrap();
    Known::read(world.app.folder())
        .renew(&world.path(UNPACKING))
        .unwrap();
    is_whole(&world, &files);
}

#[test]
fn when_the_new_folders_are_in_their_place_and_the_archive_is_still() {
    let world = World::new();
    let files = world.files();
    world.pack().unwrap().unwrap();
    fs::create_dir(world.path(UNPACKING)).unwrap();
    read_archive(&world.path(PACKED), &world.path(UNPACKING)).unwrap();
    Known::read(world.app.folder())
        .renew(&world.path(UNPACKING))
        .unwrap();
    fs::rename(world.path(UNPACKING), world.app.layers()).unwrap();
    is_whole(&world, &files);
}

#[test]
fn after_an_unpacking_what_a_power_cut_took_is_missed() {
    let world = World::new();
    world.pack().unwrap().unwrap();
    world.unpack();
    // The names were written through, the bytes were not.
    fs::File::create(world.layer().join("large")).unwrap();
    let dropped = Known::read(world.app.folder()).clean(&world.app.layers());
    assert_eq!(dropped.unwrap(), ["a_b/layer"]);
}

#[test]
fn a_packing_that_is_broken_off_anywhere_leaves_nothing() {
    let world = World::new();
    fs::write(world.layer().join("small"), "s").unwrap();
    world.built();
    let files = world.files();
    for steps in 0.. {
        let left = Cell::new(steps);
        let go_on = || match left.get() {
            0 => Err(NotPacked::BrokenOff),
            more => {
                left.set(more - 1);
                Ok(())
            }
        };
        match world.app.pack(world.work_dir(), &go_on) {
            Err(NotPacked::BrokenOff) => assert_eq!(world.state(), "layers"),
            other => {
                assert!(steps > 5 && other.unwrap().is_some());
                break;
            }
        }
        assert!(world.files() == files);
    }
    world.unpack();
    assert!(world.files() == files);
}
