//! What bin/detect and bin/build are given: arguments, folder, environment, of each Buildpack API.

use crate::world::World;
use std::collections::BTreeMap;

const TARGET: &str = "[run-image]\nreference = 'x'\n[run-image.target]\nos = 'linux'\narch = 'amd64'\n\
                      arch-variant = 'v2'\n[run-image.target.distro]\nname = 'debian'\nversion = '13'\n";

/// Runs `detect` or `build` and gives the variables it saw, the world's path written as `$ROOT` and the temporary
/// files' as `$TMP`, and its arguments beneath `@`.
fn seen(world: &World, api: &str, more: &str, program: &str) -> BTreeMap<String, String> {
    let say = "env >$ROOT/env; echo \"@=$0 $*\" >>$ROOT/env; echo \"PWD_IS=$(pwd)\" >>$ROOT/env";
    let (detect, build) = if program == "detect" { (say, "") } else { ("", say) };
    world.buildpack_of(api, "a/b", more, detect, build);
    world.order("a/b");
    world.write("layers/analyzed.toml", TARGET);
    if program == "build" {
        world.group(&["a/b"]);
    }
    world.run(program).succeeded();
    let root = world.path("").display().to_string();
    let root = root.trim_end_matches('/');
    let text = world
        .read("env")
        .replace(&format!("{root}/tmp/"), "$TMP/")
        .replace(root, "$ROOT");
    let own = |name: &str| matches!(name, "PWD" | "OLDPWD" | "SHLVL" | "_");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn names(seen: &BTreeMap<String, String>) -> Vec<&str> {
    seen.keys()
        .map(String::as_str)
        .filter(|it| it.starts_with("CNB_"))
        .collect()
}

#[test]
fn variables_come_as_the_api_has_them() {
    let targets = [
        "CNB_TARGET_ARCH",
        "CNB_TARGET_ARCH_VARIANT",
        "CNB_TARGET_DISTRO_NAME",
        "CNB_TARGET_DISTRO_VERSION",
        "CNB_TARGET_OS",
    ];
    for (program, own) in [
        ("detect", &["CNB_BUILD_PLAN_PATH", "CNB_PLATFORM_DIR"][..]),
        (
            "build",
            &["CNB_BP_PLAN_PATH", "CNB_LAYERS_DIR", "CNB_PLATFORM_DIR"],
        ),
    ] {
        for (api, has_paths, has_targets, has_exec_env) in [
            ("0.7", false, false, false),
            ("0.8", true, false, false),
            ("0.9", true, false, false),
            ("0.10", true, true, false),
            ("0.11", true, true, false),
            ("0.12", true, true, true),
        ] {
            let mut expected = vec!["CNB_BUILDPACK_DIR"];
            expected.extend(own.iter().filter(|_| has_paths));
            expected.extend(targets.iter().filter(|_| has_targets));
            expected.extend(has_exec_env.then_some("CNB_EXEC_ENV"));
            expected.sort_unstable();
            let world = World::new();
            assert_eq!(
                names(&seen(&world, api, "", program)),
                expected,
                "bin/{program} of {api}"
            );
        }
    }
}

#[test]
fn paths_are_arguments_too() {
    let world = World::new();
    let detect = seen(&world, "0.10", "", "detect");
    assert_eq!(detect["CNB_BUILDPACK_DIR"], "$ROOT/buildpacks/a_b/1");
    assert_eq!(detect["CNB_PLATFORM_DIR"], "$ROOT/platform");
    let plan = &detect["CNB_BUILD_PLAN_PATH"];
    assert!(plan.starts_with("$TMP/") && plan.ends_with(".toml"), "{plan}");
    assert_eq!(
        detect["@"],
        format!("$ROOT/buildpacks/a_b/1/bin/detect $ROOT/platform {plan}")
    );
    assert_eq!(detect["PWD_IS"], "$ROOT/app");
    assert_eq!(
        (
            detect["CNB_TARGET_OS"].as_str(),
            detect["CNB_TARGET_DISTRO_NAME"].as_str()
        ),
        ("linux", "debian")
    );

    let build = seen(&world, "0.10", "", "build");
    let plan = &build["CNB_BP_PLAN_PATH"];
    assert_eq!(build["CNB_LAYERS_DIR"], "$ROOT/layers/a_b");
    assert_eq!(
        build["@"],
        format!("$ROOT/buildpacks/a_b/1/bin/build $ROOT/layers/a_b $ROOT/platform {plan}")
    );
    assert_eq!(build["PWD_IS"], "$ROOT/app");
}

#[test]
fn of_our_own_environment_only_what_is_listed_gets_through() {
    let mut world = World::new();
    for name in ["HOME", "http_proxy", "CNB_STACK_ID", "LD_LIBRARY_PATH"] {
        world.set(name, "kept");
    }
    for name in ["SECRET", "CNB_REGISTRY_AUTH", "PYTHONPATH"] {
        world.set(name, "dropped");
    }
    for program in ["detect", "build"] {
        let seen = seen(&world, "0.7", "", program);
        let expected = [
            "@",
            "CNB_BUILDPACK_DIR",
            "CNB_STACK_ID",
            "HOME",
            "LD_LIBRARY_PATH",
            "PATH",
            "PWD_IS",
            "http_proxy",
        ];
        assert_eq!(
            seen.keys().map(String::as_str).collect::<Vec<_>>(),
            expected,
            "bin/{program}"
        );
    }
}

#[test]
fn the_persons_variables_come_from_the_platforms_folder() {
    for program in ["detect", "build"] {
        let mut world = World::new();
        world.set("HOME", "/home");
        world.write("platform/env/HOME", "/persons");
        world.write("platform/env/PATH", "/persons/bin");
        world.write("platform/env/TOKEN", "two words");
        world.write("platform/env/folder/x", "");
        world.write("platform/other", "x");
        std::os::unix::fs::symlink("TOKEN", world.path("platform/env/LINKED")).expect("a link");
        world.write("config/env/SET", "by the operator");
        world.write("config/env/TOKEN", "not over the person");
        world.write("config/env/HOME.append", "/more");
        let seen = seen(&world, "0.10", "", program);
        assert_eq!(seen["HOME"], "/persons/more", "bin/{program}");
        assert_eq!(seen["PATH"], "/persons/bin:/usr/bin:/bin");
        assert_eq!(
            (seen["TOKEN"].as_str(), seen["LINKED"].as_str()),
            ("two words", "two words")
        );
        assert_eq!(seen["SET"], "by the operator");
    }
}

#[test]
fn clear_env_keeps_the_persons_variables_away_and_the_operators_not() {
    for program in ["detect", "build"] {
        let world = World::new();
        world.write("platform/env/TOKEN", "x");
        world.write("platform/env/PATH", "/x");
        world.write("config/env/SET", "by the operator");
        let seen = seen(&world, "0.10", "clear-env = true", program);
        assert_eq!(seen.get("TOKEN"), None, "bin/{program}");
        assert_eq!(seen["PATH"], "/usr/bin:/bin");
        assert_eq!(seen["SET"], "by the operator");
        assert_eq!(seen["CNB_PLATFORM_DIR"], "$ROOT/platform");
    }
}

#[test]
fn variables_that_can_not_be_read_are_an_error() {
    for (program, code) in [("detect", 22), ("build", 52)] {
        let world = World::new();
        world.buildpack("a", "", "", "");
        world.order("a");
        world.group(&["a"]);
        std::os::unix::fs::symlink("/nowhere", world.path("platform/env/BROKEN")).expect("a link");
        let run = world.run(program);
        assert_eq!(
            (run.code, run.message().contains("platform/env/BROKEN")),
            (Some(code), true),
            "{run:?}"
        );
        std::fs::remove_file(world.path("platform/env/BROKEN")).expect("the link");
        world.write("platform/env/NUL", b"a\0b");
        let run = world.run(program);
        assert_eq!(
            (run.code, run.message().contains("NUL byte")),
            (Some(code), true),
            "{run:?}"
        );
    }
}
