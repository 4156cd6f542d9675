//! What of the last build's layers the next one finds on the disk.

use crate::world::World;
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
};

/// A disk as a build that succeeded left it: layers of these types with a file in each, their metadata `from = disk`.
fn disk(world: &World, id: &str, layers: &[(&str, &str)]) {
    for (name, types) in layers {
        let folder = format!("layers/{}", id.replace('/', "_"));
        world.write(format!("{folder}/{name}/file"), "contents");
        let has = |letter: char| types.contains(letter);
        let toml = format!(
            "[types]\nbuild = {}\nlaunch = {}\ncache = {}\n[metadata]\nfrom = 'disk'\n",
            has('b'),
            has('l'),
            has('c')
        );
        world.write(format!("{folder}/{name}.toml"), toml);
        world.write(format!("{folder}/{name}.sbom.cdx.json"), "{}");
    }
    world.write("layers/config/metadata.toml", "");
}

/// An analyzed.toml: the launch layers of an image, their metadata `from = image`.
fn image(world: &World, id: &str, layers: &[(&str, &str)]) {
    let mut text = format!(
        "[[metadata.buildpacks]]\nkey = '{id}'\nversion = '0'\n[metadata.buildpacks.store.metadata]\nkept = 1\n"
    );
    for (name, types) in layers {
        let has = |letter: char| types.contains(letter);
        text += &format!(
            "[metadata.buildpacks.layers.'{name}']\nsha = 'sha256:x'\nbuild = {}\nlaunch = {}\ncache = {}\n\
             [metadata.buildpacks.layers.'{name}'.metadata]\nfrom = 'image'\n",
            has('b'),
            has('l'),
            has('c')
        );
    }
    let before = if world.exists("layers/analyzed.toml") {
        world.read("layers/analyzed.toml")
    } else {
        String::new()
    };
    world.write("layers/analyzed.toml", before + &text);
}

fn with(ids: &[&str]) -> World {
    let world = World::new();
    for id in ids {
        world.buildpack(id, "", "", "");
    }
    world.group(ids);
    world
}

/// `name: metadata's origin, contents?, SBOM?` of each layer that is there.
fn found(world: &World, id: &str) -> String {
    let folder = format!("layers/{}", id.replace('/', "_"));
    let names = fs::read_dir(world.path(&folder)).expect("the buildpack's folder");
    let mut names: Vec<String> = names
        .map(|it| it.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.retain(|it| it != "store.toml");
    let mut layers: Vec<&str> = names
        .iter()
        .map(|it| it.trim_end_matches(".toml").trim_end_matches(".sbom.cdx.json"))
        .collect();
    layers.sort_unstable();
    layers.dedup();
    let layer = |name: &&str| {
        let toml = world.toml(&format!("{folder}/{name}.toml"));
        assert!(toml.get("types").is_none(), "{name} has types");
        let origin = toml["metadata"]["from"].as_str().unwrap_or_default().to_owned();
        let contents = if world.exists(format!("{folder}/{name}/file")) {
            "+contents"
        } else {
            ""
        };
        let sbom = if world.exists(format!("{folder}/{name}.sbom.cdx.json")) {
            "+sbom"
        } else {
            ""
        };
        format!("{name}:{origin}{contents}{sbom}")
    };
    layers.iter().map(layer).collect::<Vec<_>>().join(" ")
}

const ALL: [(&str, &str); 8] = [
    ("none", ""),
    ("b", "b"),
    ("c", "c"),
    ("l", "l"),
    ("bc", "bc"),
    ("bl", "bl"),
    ("lc", "lc"),
    ("blc", "blc"),
];

#[test]
fn the_table_of_layer_types_on_the_disk() {
    let world = with(&["a/b"]);
    disk(&world, "a/b", &ALL);
    image(
        &world,
        "a/b",
        &[("l", "l"), ("bl", "bl"), ("lc", "lc"), ("blc", "blc")],
    );
    let inode = |path: &str| fs::metadata(world.path(path)).expect("a folder").ino();
    let before = inode("layers/a_b/blc");
    world.run("restore").succeeded();
    assert_eq!(
        found(&world, "a/b"),
        "bc:disk+contents+sbom blc:image+contents+sbom c:disk+contents+sbom l:image+sbom lc:image+contents+sbom"
    );
    // It did not move.
    assert_eq!(inode("layers/a_b/blc"), before);
    let left: Vec<String> = world
        .tree("layers")
        .into_iter()
        .filter(|it| !it.contains("a_b"))
        .collect();
    assert_eq!(
        left,
        ["analyzed.toml", "group.toml", "plan.toml", "restored.toml"]
    );
}

#[test]
fn without_a_disk_the_image_tells_of_its_launch_layers() {
    let world = with(&["a"]);
    image(
        &world,
        "a",
        &[
            ("l", "l"),
            ("bl", "bl"),
            ("lc", "lc"),
            ("blc", "blc"),
            ("../x", "l"),
        ],
    );
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), "l:image");
    assert_eq!(
        world.toml("layers/a/store.toml")["metadata"]["kept"].as_integer(),
        Some(1)
    );
}

#[test]
fn without_an_image_the_disk_tells_of_its_cached_layers() {
    let world = with(&["a"]);
    disk(&world, "a", &ALL);
    world.write("layers/a/store.toml", "[metadata]\nof = 'no image'\n");
    world.run("restore").succeeded();
    assert_eq!(
        found(&world, "a"),
        "bc:disk+contents+sbom blc:disk+contents+sbom c:disk+contents+sbom lc:disk+contents+sbom"
    );
    assert!(!world.exists("layers/a/store.toml"));
}

#[test]
fn contents_come_with_their_metadata_or_neither_comes() {
    let world = with(&["a"]);
    disk(
        &world,
        "a",
        &[("c", "c"), ("lc", "lc"), ("bad", "c"), ("bare", "c")],
    );
    image(&world, "a", &[("lc", "lc")]);
    for name in ["c", "lc"] {
        fs::remove_dir_all(world.path(format!("layers/a/{name}"))).expect("the contents");
    }
    world.write("layers/a/bad.toml", "not TOML");
    fs::remove_file(world.path("layers/a/bare.toml")).expect("the metadata");
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), "");
}

#[test]
fn only_the_group_finds_anything() {
    let world = with(&["in", "new"]);
    disk(&world, "in", &[("c", "c")]);
    disk(&world, "out", &[("c", "c")]);
    image(&world, "in", &[]);
    image(&world, "out", &[("l", "l")]);
    world.run("restore").succeeded();
    assert_eq!(
        (found(&world, "in"), found(&world, "new")),
        ("c:disk+contents+sbom".into(), String::new())
    );
    assert!(!world.exists("layers/out") && world.exists("layers/in/store.toml"));
}

#[test]
fn what_is_no_layer_goes() {
    let world = with(&["a"]);
    disk(&world, "a", &[("c", "c")]);
    for name in [
        "launch.toml",
        "build.toml",
        "launch.sbom.cdx.json",
        "build.sbom.cdx.json",
        "c.sbom.other.json",
        "none.sbom.cdx.json",
        "stray",
        "old.ignore/x",
        "folder/x",
    ] {
        world.write(format!("layers/a/{name}"), "");
    }
    world.write("layers/sbom/launch/a/sbom.cdx.json", "");
    world.write("layers/.removed-0/x", "of a run that was killed");
    std::os::unix::fs::symlink("/etc", world.path("layers/a/link")).expect("a link");
    world.write("layers/a/link.toml", "[types]\ncache = true\n");
    std::os::unix::fs::symlink("/etc", world.path("layers/b")).expect("a link");
    world.run("restore").succeeded();
    assert_eq!(
        world.tree("layers"),
        [
            "a/",
            "a/c.sbom.cdx.json",
            "a/c.toml",
            "a/c/",
            "a/c/file",
            "group.toml",
            "plan.toml",
            "restored.toml"
        ]
    );
}

#[test]
fn folders_without_the_right_to_write_go_too() {
    let world = with(&["a"]);
    disk(&world, "a", &[("l", "l")]);
    world.write("layers/a/l/mod/pkg/file", "");
    for folder in ["layers/a/l/mod/pkg", "layers/a/l/mod", "layers/a/l"] {
        fs::set_permissions(world.path(folder), fs::Permissions::from_mode(0o555)).expect("a mode");
    }
    world.run("restore").succeeded();
    assert_eq!(world.tree("layers/a"), [""; 0]);
}

#[test]
fn a_build_that_failed_takes_nothing_from_the_next() {
    let world = with(&["a"]);
    disk(&world, "a", &[("c", "c"), ("blc", "blc"), ("dropped", "c")]);
    image(&world, "a", &[("blc", "blc")]);
    let all = "blc:image+contents+sbom c:disk+contents+sbom dropped:disk+contents+sbom";
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), all);
    // It failed before it named the types again, or after it had written other metadata.
    world.write(
        "layers/a/c.toml",
        "[types]\ncache = true\n[metadata]\nfrom = 'a failed build'\n",
    );
    for _ in 0..2 {
        world.run("restore").succeeded();
        assert_eq!(found(&world, "a"), all);
    }
    // What it made new and the host left alone counts by its own file.
    world.write("layers/a/new/file", "");
    world.write(
        "layers/a/new.toml",
        "[types]\ncache = true\n[metadata]\nfrom = 'a failed build'\n",
    );
    // And what the host removed is gone.
    fs::remove_dir_all(world.path("layers/a/c")).expect("the contents");
    world.run("restore").succeeded();
    assert_eq!(
        found(&world, "a"),
        "blc:image+contents+sbom dropped:disk+contents+sbom new:a failed build+contents"
    );
    // One that succeeds and names a layer no more drops it.
    world.write(
        "layers/a/blc.toml",
        "[types]\nbuild = true\nlaunch = true\ncache = true\n",
    );
    world.write("layers/config/metadata.toml", "");
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), "blc:image+contents+sbom");
}

#[test]
fn a_restore_that_was_killed_is_done_again() {
    // Killed after the note was written: the mark of success still stands.
    let world = with(&["a"]);
    disk(&world, "a", &[("c", "c")]);
    world.write(
        "layers/restored.toml",
        "[buildpacks.a.c.types]\ncache = true\n[buildpacks.a.c.metadata]\nfrom = 'old'\n",
    );
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), "c:disk+contents+sbom");
    // Killed after the mark went, before the files were written.
    let world = with(&["a"]);
    disk(&world, "a", &[("c", "c")]);
    fs::remove_dir_all(world.path("layers/config")).expect("the mark");
    world.write(
        "layers/restored.toml",
        "[buildpacks.a.c.types]\ncache = true\n[buildpacks.a.c.metadata]\nfrom = 'note'\n",
    );
    world.run("restore").succeeded();
    assert_eq!(found(&world, "a"), "c:note+contents+sbom");
}

#[test]
fn skipping_layers_leaves_the_store() {
    let mut world = with(&["a"]);
    disk(&world, "a", &ALL);
    image(&world, "a", &[("l", "l")]);
    world.set("CNB_SKIP_LAYERS", "true");
    world.run("restore").succeeded();
    assert_eq!(world.tree("layers/a"), ["store.toml"]);
}

#[test]
fn without_a_group_it_is_an_error() {
    let world = World::new();
    let run = world.run("restore");
    assert_eq!(
        (run.code, run.failure()["phase"].as_str()),
        (Some(42), Some("restore")),
        "{run:?}"
    );
    assert!(
        run.message().contains("group.toml is missing"),
        "{}",
        run.message()
    );
    let world = with(&["a"]);
    world.write("layers/analyzed.toml", "not TOML");
    assert_eq!(world.run("restore").code, Some(42));
}
