//! Image extensions: how they take part in detection, what they are given, what they write, and where the build goes
//! on once the host has extended the images.

use crate::world::{World, groups};
use std::{fs, os::unix::fs::symlink};

/// The exit status by which the host learns that it has to extend images.
const TO_EXTEND: Option<i32> = Some(9);

fn provides(name: &str) -> String {
    format!("printf '[[provides]]\\nname = \"{name}\"\\n' >\"$CNB_BUILD_PLAN_PATH\"")
}

fn requires(name: &str) -> String {
    format!(
        "printf '[[requires]]\\nname = \"{name}\"\\n[requires.metadata]\\nv = 3\\n' >\"$CNB_BUILD_PLAN_PATH\""
    )
}

/// Extension `curl` before buildpack `a`, which wants curl, and an empty source.
fn world() -> World {
    let world = World::new();
    let folder = world.extension("x/curl");
    world.program(folder.join("bin/detect"), &provides("curl"));
    world.buildpack("a", "", &requires("curl"), "echo building >>$ROOT/ran");
    order(&world, "x/curl", "a");
    let tar = tar::Builder::new(Vec::new()).into_inner().expect("an archive");
    world.write("source.tar", tar);
    world
}

fn order(world: &World, extensions: &str, buildpacks: &str) {
    let order = groups("order-extensions", extensions) + &groups("order", buildpacks);
    world.write("order.toml", order);
}

fn members(world: &World, table: &str) -> Vec<String> {
    let group = world.toml("layers/group.toml");
    let all = group
        .get(table)
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten();
    all.map(|it| it["id"].as_str().expect("an ID").to_owned())
        .collect()
}

#[test]
fn one_takes_part_when_what_it_offers_is_wanted_and_never_hinders_a_group() {
    let world = world();
    let detect = "extensions/x_curl/1/bin/detect";
    let generate = "extensions/x_curl/1/bin/generate";
    world.program(generate, "");
    let run = world.run("detect").succeeded();
    assert!(
        run.out
            .starts_with("-----> Detecting buildpacks\n       x/curl 1 (image extension)\n       a 1\n"),
        "{}",
        run.out
    );
    assert_eq!(members(&world, "group-extensions"), ["x/curl"]);
    assert_eq!(members(&world, "group"), ["a"]);
    for (what, says) in [
        ("its offer is not wanted", provides("other")),
        (
            "it says no",
            "[ -n \"$CNB_EXTENSION_DIR\" ] || exit 1; exit 100".to_owned(),
        ),
        ("it goes wrong", "exit 1".to_owned()),
        ("it wants something", requires("curl")),
    ] {
        world.program(detect, &says);
        world.buildpack("a", "", "", "");
        let run = world.run("detect").succeeded();
        assert_eq!(
            members(&world, "group-extensions"),
            [""; 0],
            "{what}: {}",
            run.out
        );
        assert!(!world.exists("layers/generated"), "{what}");
    }
    assert!(world.run("detect").out.contains("may provide and not require"));
}

#[test]
fn without_a_detect_it_passes_with_the_plan_beside_it() {
    let world = world();
    fs::remove_dir_all(world.path("extensions/x_curl/1/bin")).expect("its programs");
    // It offers nothing: nobody has to want it.
    world.buildpack("a", "", "", "");
    world.run("detect").succeeded();
    assert_eq!(members(&world, "group-extensions"), ["x/curl"]);
    world.write(
        "extensions/x_curl/1/detect/plan.toml",
        "[[provides]]\nname = 'curl'\n",
    );
    world.run("detect").succeeded();
    assert_eq!(members(&world, "group-extensions"), [""; 0]);
    world.buildpack("a", "", &requires("curl"), "");
    world.run("detect").succeeded();
    assert_eq!(members(&world, "group-extensions"), ["x/curl"]);
}

#[test]
fn a_generate_is_given_what_it_needs_and_what_it_writes_stays() {
    let world = world();
    world.write("platform/env/COLOUR", "blue");
    world.program(
        "extensions/x_curl/1/bin/generate",
        "cat \"$CNB_BP_PLAN_PATH\" >$ROOT/plan; env | sort >$ROOT/env; pwd >>$ROOT/env; \
         [ \"$1 $2 $3\" = \"$CNB_OUTPUT_DIR $CNB_PLATFORM_DIR $CNB_BP_PLAN_PATH\" ] || exit 7; \
         echo 'writing'; printf 'FROM x\\n' >\"$CNB_OUTPUT_DIR/build.Dockerfile\"; \
         printf 'FROM y\\n' >\"$CNB_OUTPUT_DIR/run.Dockerfile\"; mkdir \"$CNB_OUTPUT_DIR/context.run\"",
    );
    // What an earlier generation left, and what a hostile build put in its place.
    world.write("layers/generated/old_one/build.Dockerfile", "FROM old");
    let run = world.run("create");
    let said = "pvdify-lifecycle: {\"code\":9}\n";
    assert_eq!((run.code, run.err.as_str()), (TO_EXTEND, said), "{run:?}");
    insta::assert_snapshot!(run.out, @r"
    -----> Detecting buildpacks
           x/curl 1 (image extension)
           a 1
    -----> Running image extensions
    writing
           x/curl 1 wrote build.Dockerfile and run.Dockerfile
    ");
    assert_eq!(
        world.tree("layers/generated"),
        [
            "x_curl/",
            "x_curl/build.Dockerfile",
            "x_curl/context.run/",
            "x_curl/run.Dockerfile"
        ]
    );
    assert_eq!(world.read("layers/generated/x_curl/build.Dockerfile"), "FROM x\n");
    let plan: toml::Table = world.read("plan").parse().expect("a plan");
    assert_eq!(plan["entries"][0]["metadata"]["v"].as_integer(), Some(3));
    let env = world.read("env");
    let root = world.path("");
    let root = root.to_str().expect("a plain path");
    for line in [
        "COLOUR=blue".to_owned(),
        format!("CNB_EXTENSION_DIR={root}extensions/x_curl/1"),
        format!("CNB_OUTPUT_DIR={root}layers/generated/x_curl"),
        format!("CNB_PLATFORM_DIR={root}platform"),
        "CNB_TARGET_OS=linux".to_owned(),
        format!("{root}app"),
    ] {
        assert!(env.lines().any(|it| it == line), "{line}: {env}");
    }
    assert!(
        !env.contains("CNB_LAYERS_DIR=") && !env.contains("CNB_BUILDPACK_DIR="),
        "{env}"
    );
    // What an extension provides, no buildpack is asked for any more.
    assert!(!world.read("layers/plan.toml").contains("curl"));
    assert!(!world.exists("ran"));
    // The images are extended now; the build goes on.
    world.run("resume").succeeded();
    assert_eq!(world.read("ran"), "building\n");
    assert!(world.exists("layers/config/metadata.toml"));
}

#[test]
fn an_extension_that_writes_no_dockerfile_keeps_nobody_waiting() {
    let world = world();
    world.program(
        "extensions/x_curl/1/bin/generate",
        "touch \"$CNB_OUTPUT_DIR/notes\"",
    );
    let run = world.run("create").succeeded();
    assert!(
        run.out.contains("x/curl 1 leaves the images as they are\n"),
        "{}",
        run.out
    );
    assert_eq!(world.read("ran"), "building\n");
}

#[test]
fn without_a_generate_what_is_beside_it_counts() {
    let world = world();
    let folder = "extensions/x_curl/1/generate";
    world.write(format!("{folder}/run.Dockerfile"), "FROM y\n");
    world.write(format!("{folder}/context/deep/file"), "f");
    symlink("/etc/passwd", world.path(format!("{folder}/build.Dockerfile"))).expect("a link");
    let run = world.run("create");
    assert_eq!(run.code, TO_EXTEND, "{run:?}");
    assert_eq!(world.read("layers/generated/x_curl/context/deep/file"), "f");
    // Whoever reads it sees that it is a link.
    let link = fs::symlink_metadata(world.path("layers/generated/x_curl/build.Dockerfile")).expect("a link");
    assert!(link.is_symlink());
}

#[test]
fn a_generate_that_fails_fails_the_build() {
    let world = world();
    world.program("extensions/x_curl/1/bin/generate", "echo no >&2; exit 3");
    let run = world.run("create");
    assert_eq!(
        (run.code, run.failure()["phase"].as_str()),
        (Some(91), Some("generate"))
    );
    assert_eq!(run.failure()["buildpack"].as_str(), Some("x/curl@1"));
    assert_eq!(run.message(), "bin/generate of x/curl@1 failed: exit status 3");
    world.write(
        "extensions/x_curl/1/extension.toml",
        "api = '0.99'\n[extension]\nid = 'x/curl'\nversion = '1'\n",
    );
    assert_eq!(world.run("create").code, Some(12));
}

#[test]
fn several_of_them_run_in_order() {
    let world = world();
    for id in ["one", "two"] {
        let folder = world.extension(id);
        world.program(folder.join("bin/generate"), &format!("echo {id} >>$ROOT/order"));
    }
    order(&world, "two,x/curl,one", "a");
    world.program("extensions/x_curl/1/bin/generate", "echo curl >>$ROOT/order");
    world.run("create").succeeded();
    assert_eq!(world.read("order"), "two\ncurl\none\n");
}
