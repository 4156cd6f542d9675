//! All phases in one run, as the host starts it; the samples that everyone begins with; being told to stop.

use crate::world::{World, groups};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

pub(crate) fn source(world: &World, files: &[(&str, &str)]) {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes())
            .expect("an entry");
    }
    world.write("source.tar", tar.into_inner().expect("an archive"));
}

/// Between two builds the host takes the source away again.
pub(crate) fn next(world: &World) {
    fs::remove_dir_all(world.path("app")).expect("the app's folder");
    fs::create_dir(world.path("app")).expect("the app's folder");
}

/// A composite of a buildpack that moons, one that greets the world, and one that is not always there.
fn hello(world: &World) {
    world.buildpack(
        "samples/hello-moon",
        "",
        "printf '[[requires]]\\nname = \"some-world\"\\n[requires.metadata]\\nworld = \"Earth\"\\n' >\"$CNB_BUILD_PLAN_PATH\"",
        "echo '---> Hello Moon Buildpack'; env | grep '^GREETING=' || true",
    );
    world.buildpack(
        "samples/hello-world",
        "",
        "printf '[[provides]]\\nname = \"some-world\"\\n' >\"$CNB_BUILD_PLAN_PATH\"",
        "echo '---> Hello World Buildpack'; mkdir -p \"$CNB_LAYERS_DIR/world/env\"; \
         printf hello >\"$CNB_LAYERS_DIR/world/env/GREETING\"; printf '[types]\\nbuild = true\\nlaunch = true\\ncache = true\\n' \
         >\"$CNB_LAYERS_DIR/world.toml\"; grep world \"$CNB_BP_PLAN_PATH\"; \
         printf \"[[processes]]\\ntype = 'web'\\ncommand = ['cat', 'file']\\ndefault = true\\n\" >\"$CNB_LAYERS_DIR/launch.toml\"",
    );
    world.buildpack("samples/hello-processes", "", "[ -f Procfile ] || exit 100", "");
    let order = groups(
        "order",
        "samples/hello-world,samples/hello-moon,samples/hello-processes?",
    );
    world.buildpack("samples/hello-universe", &order, "", "");
    world.order("samples/hello-universe");
}

#[test]
fn hello_universe_is_built_twice() {
    let world = World::new();
    hello(&world);
    source(&world, &[("file", "x"), ("docs/secret", "x")]);
    world.write("files.toml", "exclude = ['docs']");
    let run = world.run("create").succeeded();
    assert!(
        run.out.starts_with(
            "-----> Detecting buildpacks\n       samples/hello-world 1\n       samples/hello-moon 1\n\
             ---> Hello World Buildpack\nname = \"some-world\"\n"
        ),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("---> Hello Moon Buildpack\nGREETING=hello\n"),
        "{}",
        run.out
    );
    assert_eq!(world.tree("app"), ["file"]);
    let metadata = world.toml("layers/config/metadata.toml");
    assert_eq!(metadata["buildpack-default-process-type"].as_str(), Some("web"));
    assert_eq!(metadata["buildpacks"].as_array().map(Vec::len), Some(2));
    for file in [
        "group.toml",
        "plan.toml",
        "samples_hello-world/world/env/GREETING",
    ] {
        assert!(world.exists(format!("layers/{file}")), "{file}");
    }
    // Again: the layer is there before bin/build runs.
    next(&world);
    world.buildpack(
        "samples/hello-world",
        "",
        "printf '[[provides]]\\nname = \"some-world\"\\n' >\"$2\"",
        "ls -R \"$1\"",
    );
    let run = world.run("create").succeeded();
    assert!(run.out.contains("GREETING\n"), "{}", run.out);
    assert!(
        run.out.contains("world.toml\n") && !run.out.contains("launch.toml\n"),
        "{}",
        run.out
    );
    // It did not name the types again, so it is for nothing.
    assert!(
        world.exists("layers/samples_hello-world/world.ignore")
            && !world.exists("layers/samples_hello-world/world")
    );
}

#[test]
fn a_failure_of_any_phase_is_that_of_all() {
    let world = World::new();
    hello(&world);
    let phase = |world: &World| world.run("create").failure()["phase"].as_str().map(str::to_owned);
    assert_eq!(phase(&world).as_deref(), Some("unpack"));
    source(&world, &[("file", "x")]);
    world.order("samples/hello-moon");
    assert_eq!(phase(&world).as_deref(), Some("detect"));
    next(&world);
    world.order("samples/hello-universe");
    world.write("layers/restored.toml/in-the-way", "");
    world.run("create").succeeded();
    next(&world);
    world.buildpack(
        "samples/hello-moon",
        "",
        "printf '[[requires]]\\nname = \"some-world\"\\n' >\"$2\"",
        "exit 9",
    );
    assert_eq!(phase(&world).as_deref(), Some("build"));
    assert!(!world.exists("layers/config/metadata.toml"));
}

#[test]
fn told_to_stop_it_ends_all_that_runs() {
    for (signal, phase) in [("TERM", "build"), ("INT", "build"), ("TERM", "detect")] {
        let world = World::new();
        // One that heeds the signal, one that does not, and their children.
        let heed = "echo running; echo $$ >$ROOT/first; sleep 600 & echo $! >$ROOT/second; mv $ROOT/second $ROOT/third; wait";
        let (detect, build) = if phase == "detect" { (heed, "") } else { ("", heed) };
        world.buildpack("a", "", detect, build);
        world.order("a");
        world.group(&["a"]);
        let mut child = world
            .command(&[phase])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        while !world.exists("third") {
            assert!(child.try_wait().expect("its state").is_none(), "it ended early");
            std::thread::yield_now();
        }
        let pid = child.id().to_string();
        std::process::Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status()
            .expect("the signal");
        let err = child.stderr.take().expect("a pipe");
        let lines: Vec<String> = BufReader::new(err).lines().map_while(Result::ok).collect();
        assert_eq!(
            child.wait().expect("its end").code(),
            Some(143),
            "{signal} {phase}: {lines:?}"
        );
        let last = lines.last().map(String::as_str).unwrap_or_default();
        assert!(
            last.contains("\"code\":143") && last.contains("stopped by a signal"),
            "{last}"
        );
        for file in ["first", "third"] {
            let left = world.read(file);
            let state = || fs::read_to_string(format!("/proc/{}/stat", left.trim())).unwrap_or_default();
            while !(state().is_empty() || state().contains(") Z ")) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn arguments_that_make_no_sense_end_it_at_once() {
    let world = World::new();
    for arguments in [&[][..], &["sing"], &["build", "-nothing", "x"]] {
        let output = world.command(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            err.starts_with("pvdify-lifecycle: {\"phase\":\"arguments\""),
            "{err}"
        );
    }
}
