//! Another lifecycle's detector and builder in place of ours, between our unpacking and restoring.

use crate::{
    create::{next, source},
    world::World,
};

/// A lifecycle of two scripts, and what they are told.
fn world(detector: &str, builder: &str) -> World {
    let mut world = World::new();
    world.program("other/detector", detector);
    world.program("other/builder", builder);
    let folder = world.path("other");
    world.set("PVDIFY_PHASES", folder.to_str().expect("a plain path"));
    world.set("CNB_PLATFORM_API", "0.13");
    world.order("");
    source(&world, &[("file", "x")]);
    world
}

const DETECTOR: &str = r#"echo "detects $CNB_PLATFORM_API $(ls $CNB_APP_DIR)"
cat $CNB_GROUP_PATH 2>/dev/null
printf '[[group]]\nid = "a/b"\nversion = "1"\napi = "0.10"\n' > $CNB_GROUP_PATH
: > $CNB_PLAN_PATH"#;
/// Counts its runs in a cached layer, and leaves one that is not kept.
const BUILDER: &str = r#"mkdir -p $CNB_LAYERS_DIR/a_b/kept $CNB_LAYERS_DIR/a_b/other $CNB_LAYERS_DIR/config
echo x >> $CNB_LAYERS_DIR/a_b/kept/runs
printf '[types]\ncache = true\n' > $CNB_LAYERS_DIR/a_b/kept.toml
printf '[types]\nbuild = true\n' > $CNB_LAYERS_DIR/a_b/other.toml
echo "builds $(wc -l < $CNB_LAYERS_DIR/a_b/kept/runs) $CNB_PLAN_PATH"
: > $CNB_LAYERS_DIR/config/metadata.toml"#;

#[test]
fn the_others_phases_run_and_what_they_cached_is_restored_for_them() {
    let world = world(DETECTOR, BUILDER);
    let first = world.run("create").succeeded();
    let plan = world.path("layers/plan.toml");
    let expected = |runs| {
        format!(
            "-----> Detecting buildpacks\ndetects 0.13 file\n-----> Building\nbuilds {runs} {}\n",
            plan.display()
        )
    };
    assert_eq!(first.out, expected(1));
    next(&world);
    world.program("other/builder", &format!("ls $CNB_LAYERS_DIR/a_b\n{BUILDER}"));
    let second = world.run("create").succeeded();
    assert!(
        second.out.contains("kept\nkept.toml\nbuilds 2 "),
        "{}",
        second.out
    );
}

#[test]
fn its_failures_are_told_by_their_statuses() {
    let table = [
        ("exit 20", "", 20, "no group of the builder's buildpacks passed"),
        ("exit 21", "", 21, "a buildpack's bin/detect went wrong"),
        ("exit 7", "", 7, "detector ended: exit status 7"),
        ("kill -9 $$", "", 22, "detector ended: killed (signal 9)"),
        (DETECTOR, "exit 51", 51, "a buildpack of the builder failed"),
        (
            DETECTOR,
            "kill -9 $$",
            51,
            "builder ended: killed (signal 9), as when memory runs out",
        ),
    ];
    for (detector, builder, code, words) in table {
        let run = world(detector, builder).run("create");
        assert_eq!(run.code, Some(code), "{run:?}");
        assert!(run.message().contains(words), "{run:?}");
    }
    let world = world(DETECTOR, BUILDER);
    std::fs::remove_file(world.path("other/detector")).expect("the program goes");
    let message = world.run("create").message();
    assert!(
        message.contains("other/detector can't be started: No such file"),
        "{message}"
    );
}
