//! Classic buildpacks in their wrapping: detect, compile, release, export, one after another.

use crate::world::World;
use std::{fs, path::Path};

/// A classic buildpack, wrapped as the host does it.
fn classic(world: &World, name: &str, says: &str, programs: &[(&str, &str)]) {
    let lifecycle = env!("CARGO_BIN_EXE_pvdify-lifecycle");
    let (detect, build) = (
        format!("exec '{lifecycle}' classic-detect"),
        format!("exec '{lifecycle}' classic-build"),
    );
    world.buildpack_of("0.8", &format!("classic/{name}"), "", &detect, &build);
    let folder = Path::new("buildpacks").join(format!("classic_{name}/1"));
    world.write(
        folder.join("classic.toml"),
        format!("name = 'https://h/{name}.git'\n{says}\n"),
    );
    for (program, script) in programs {
        world.program(folder.join("classic/bin").join(program), script);
    }
}

const RELEASE: &str = "cat <<'END'\n---\nconfig_vars:\n  GREETING: hi\ndefault_process_types:\n  web: from-release $PORT\n  console: irb\nEND";

fn two(world: &World) {
    classic(
        world,
        "one",
        "",
        &[
            ("detect", "echo One; exit 1"),
            (
                "compile",
                "echo \"-----> One in $1 with $STACK and $(cat $3/SETTING)\"\n\
                 cat \"$2/count\" 2>/dev/null\necho x >> \"$2/count\"\n\
                 mkdir -p \"$1/.profile.d\"; echo 'export ONE=1' > \"$1/.profile.d/one.sh\"\n\
                 echo \"export PATH=$1/bin:\\$PATH ONE_HOME='a b'; echo noise\" > \"$(dirname \"$0\")/../export\"",
            ),
            ("release", "echo '---'; echo 'default_process_types: {}'"),
        ],
    );
    classic(
        world,
        "two",
        "last = true",
        &[
            ("detect", "echo Two"),
            (
                "compile",
                "echo \"two sees $ONE_HOME and ${PATH%%:*}\"; echo 'worker: work' > Procfile; rm -f gone",
            ),
            ("release", RELEASE),
        ],
    );
    world.write("app/gone", "");
    world.write("platform/env/SETTING", "a setting");
    world.order("classic/one,classic/two");
}

#[test]
fn several_run_in_order_and_the_last_one_names_the_processes() {
    let world = World::new();
    two(&world);
    let run = world.run("detect").succeeded();
    assert!(
        run.out
            .contains("asked for, though its bin/detect does not recognise this app"),
        "{}",
        run.out
    );
    let run = world.run("build").succeeded();
    let app = world.path("app").display().to_string();
    for line in [
        "-----> Using https://h/one.git".to_owned(),
        format!("-----> One in {app} with heroku-24 and a setting"),
        "-----> Two app detected".to_owned(),
        format!("two sees a b and {app}/bin"),
    ] {
        assert!(run.out.contains(&line), "{line}: {}", run.out);
    }
    assert!(!world.exists("app/gone"));
    let layers = |name: &str| format!("layers/classic_{name}");
    assert!(
        world.toml(&format!("{}/cache.toml", layers("one")))["types"]["cache"]
            .as_bool()
            .unwrap()
    );
    assert!(!world.exists(format!("{}/launch.toml", layers("one"))));
    let dyno = format!("{}/dyno", layers("two"));
    assert_eq!(world.read(format!("{dyno}/env.launch/GREETING.default")), "hi");
    assert_eq!(world.read(format!("{dyno}/env.launch/HOME.override")), app);
    assert!(
        world
            .read(format!("{dyno}/profile.d/classic.sh"))
            .contains(".profile.d/*.sh")
    );
    let metadata = world.toml("layers/config/metadata.toml");
    let processes: Vec<_> = metadata["processes"].as_array().unwrap().iter().collect();
    let found: Vec<String> = processes
        .iter()
        .map(|it| format!("{} {} {}", it["type"], it["command"], it["direct"]))
        .collect();
    assert_eq!(
        found,
        [
            r#""console" ["irb"] false"#,
            r#""web" ["from-release $PORT"] false"#,
            r#""worker" ["work"] false"#
        ]
    );
    // What one wrote to its cache is there for the next build.
    world.run("build").succeeded();
    assert_eq!(world.read(format!("{}/cache/count", layers("one"))), "x\nx\n");
}

#[test]
fn alone_it_must_recognise_the_app_and_a_failure_is_the_builds() {
    let world = World::new();
    let programs = [
        ("detect", "test -f wanted && echo Mine"),
        ("compile", "echo broken; exit 3"),
    ];
    classic(&world, "one", "alone = true\nlast = true", &programs);
    world.order("classic/one");
    let run = world.run("detect");
    assert_eq!(run.code, Some(20), "{run:?}");
    world.write("app/wanted", "");
    world.run("detect").succeeded();
    let run = world.run("build");
    assert_eq!(run.code, Some(51), "{run:?}");
    assert!(
        run.out
            .contains(" !     bin/compile of https://h/one.git failed: exit status: 3"),
        "{}",
        run.out
    );
}

#[test]
fn what_it_writes_to_itself_is_a_copy() {
    let world = World::new();
    let compile = "touch \"$(dirname \"$0\")/../written\"";
    classic(&world, "one", "alone = true", &[("compile", compile)]);
    let folder = world.path("buildpacks/classic_one/1");
    std::os::unix::fs::symlink("bin/compile", folder.join("classic/link")).unwrap();
    world.order("classic/one");
    world.run("detect").succeeded();
    world.run("build").succeeded();
    assert!(!folder.join("classic/written").exists());
    assert!(world.exists("layers/classic_one/root/buildpack/written"));
    let link = fs::read_link(world.path("layers/classic_one/root/buildpack/link")).unwrap();
    assert_eq!(link, Path::new("bin/compile"));
}
