//! The source's way into the app's folder.

use crate::world::World;
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};
use tar::{Builder, EntryType, Header};

/// What an entry is.
enum Is<'a> {
    File(&'a str),
    Program(&'a str),
    Folder,
    Link(&'a str),
    Other(EntryType),
}

/// Writes an archive with paths as they are, however bad.
fn archive(world: &World, entries: &[(&str, Is<'_>)]) {
    let mut tar = Builder::new(Vec::new());
    for (path, is) in entries {
        let mut header = Header::new_gnu();
        let (kind, mode, text, target) = match is {
            Is::File(text) => (EntryType::Regular, 0o644, *text, ""),
            Is::Program(text) => (EntryType::Regular, 0o755, *text, ""),
            Is::Folder => (EntryType::Directory, 0o755, "", ""),
            Is::Link(target) => (EntryType::Symlink, 0o777, "", *target),
            Is::Other(kind) => (*kind, 0o644, "", "x"),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_700_000_000);
        header.set_size(text.len() as u64);
        let raw = header.as_old_mut();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        raw.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).expect("an entry");
    }
    world.write("source.tar", tar.into_inner().expect("an archive"));
}

#[test]
fn files_folders_and_links_come_out_as_they_are() {
    let world = World::new();
    archive(
        &world,
        &[
            ("pax_global_header", Is::Other(EntryType::XGlobalHeader)),
            ("./a.txt", Is::File("hello")),
            ("deep/er/", Is::Folder),
            ("bin/run", Is::Program("#!/bin/sh\n")),
            ("not/said/before", Is::File("")),
            ("link", Is::Link("../outside")),
            ("deep/link", Is::Link("er")),
            ("a.txt", Is::File("last one counts")),
        ],
    );
    world.run("unpack").succeeded();
    assert_eq!(
        world.tree("app"),
        [
            "a.txt",
            "bin/",
            "bin/run",
            "deep/",
            "deep/er/",
            "deep/link",
            "link",
            "not/",
            "not/said/",
            "not/said/before"
        ]
    );
    assert_eq!(world.read("app/a.txt"), "last one counts");
    let mode = |path: &str| {
        fs::metadata(world.path(path))
            .expect("a file")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("app/a.txt"), mode("app/bin/run")), (0o644, 0o755));
    assert_eq!(
        fs::read_link(world.path("app/link")).expect("a link").to_str(),
        Some("../outside")
    );
    for path in ["app/a.txt", "app/bin/run", "app/link"] {
        assert_eq!(
            fs::symlink_metadata(world.path(path)).expect("a file").mtime(),
            315_532_801,
            "{path}"
        );
    }
}

#[test]
fn nothing_gets_out_of_the_folder() {
    for (entries, expected) in [
        (
            vec![("../out", Is::File("x"))],
            "../out in the source is not allowed",
        ),
        (vec![("a/../../out", Is::File("x"))], "is not allowed"),
        (vec![("/out", Is::File("x"))], "/out in the source is not allowed"),
        (
            vec![("way", Is::Link("..")), ("way/out", Is::File("x"))],
            "way/out can't be unpacked",
        ),
        (
            vec![("way", Is::Link("..")), ("way/", Is::Folder)],
            "can't be unpacked",
        ),
        (
            vec![("a/way", Is::Link("/")), ("a/way/b/out", Is::File("x"))],
            "can't be unpacked",
        ),
        (
            vec![("out", Is::Other(EntryType::Link))],
            "is no file, folder or link",
        ),
        (
            vec![("out", Is::Other(EntryType::Fifo))],
            "is no file, folder or link",
        ),
        (
            vec![("out", Is::Other(EntryType::Char))],
            "is no file, folder or link",
        ),
    ] {
        let world = World::new();
        archive(&world, &entries);
        let run = world.run("unpack");
        assert_eq!(
            (run.code, run.failure()["phase"].as_str()),
            (Some(1), Some("unpack")),
            "{run:?}"
        );
        assert!(run.message().contains(expected), "{}", run.message());
        assert!(!world.exists("out") && !std::path::Path::new("/out").exists());
    }
    // A link that a file is to be written over is replaced, not followed.
    let world = World::new();
    world.write("victim", "untouched");
    archive(&world, &[("way", Is::Link("../victim")), ("way", Is::File("x"))]);
    world.run("unpack").succeeded();
    assert_eq!(
        (world.read("victim").as_str(), world.read("app/way").as_str()),
        ("untouched", "x")
    );
}

#[test]
fn project_toml_chooses_files_as_gitignore_does() {
    for (lists, expected) in [
        (
            "",
            "README.md cmd/ cmd/main.go docs/ docs/a.md docs/keep.md main.go web/ web/docs/ web/docs/x",
        ),
        ("exclude = ['docs/']", "README.md cmd/ cmd/main.go main.go web/"),
        (
            "exclude = ['/docs']",
            "README.md cmd/ cmd/main.go main.go web/ web/docs/ web/docs/x",
        ),
        (
            "exclude = ['*.md', '!keep.md']",
            "cmd/ cmd/main.go docs/ docs/keep.md main.go web/ web/docs/ web/docs/x",
        ),
        (
            "exclude = ['# a comment', '', 'cmd']",
            "README.md docs/ docs/a.md docs/keep.md main.go web/ web/docs/ web/docs/x",
        ),
        ("include = ['*.go']", "cmd/ cmd/main.go main.go"),
        ("include = ['cmd/']", "cmd/ cmd/main.go"),
        ("include = ['/docs/*', '!a.md']", "docs/ docs/keep.md"),
        (
            "include = []\nexclude = []",
            "README.md cmd/ cmd/main.go docs/ docs/a.md docs/keep.md main.go web/ web/docs/ web/docs/x",
        ),
    ] {
        let world = World::new();
        let file = || Is::File("x");
        archive(
            &world,
            &[
                ("README.md", file()),
                ("cmd/", Is::Folder),
                ("cmd/main.go", file()),
                ("docs/", Is::Folder),
                ("docs/a.md", file()),
                ("docs/keep.md", file()),
                ("main.go", file()),
                ("web/", Is::Folder),
                ("web/docs/x", file()),
            ],
        );
        world.write("files.toml", lists);
        let run = world.run("unpack").succeeded();
        let mut tree = world.tree("app");
        // A folder that is named itself stays when all in it is left out; nobody cares.
        if lists.starts_with("include") {
            tree.retain(|it| it != "web/" || expected.contains("web/"));
        }
        assert_eq!(tree.join(" "), expected, "{lists}: {run:?}");
    }
    let world = World::new();
    archive(&world, &[]);
    for lists in [
        "include = ['a']\nexclude = ['b']",
        "exclude = 1",
        "exclude = ['a{']",
    ] {
        world.write("files.toml", lists);
        assert_eq!(world.run("unpack").code, Some(1), "{lists}");
    }
}

#[test]
fn a_source_that_is_not_there_or_damaged_is_an_error() {
    let world = World::new();
    let run = world.run("unpack");
    assert_eq!(
        (run.code, run.message().contains("source.tar can't be opened")),
        (Some(1), true),
        "{run:?}"
    );
    archive(&world, &[("a", Is::File(&"x".repeat(2000)))]);
    let bytes = fs::read(world.path("source.tar")).expect("the archive");
    world.write("source.tar", &bytes[..1000]);
    assert_eq!(world.run("unpack").code, Some(1));
}
