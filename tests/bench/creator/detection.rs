//! Detection with all our buildpacks, in the build container: the clock runs in there, so that the container's own start
//! is not in it.

use super::world::{World, fresh};
use crate::{Pairs, ROUNDS};
use std::{fs, path::Path, time::Duration};

/// A container that does nothing: the part of each build that is Podman's.
pub(super) fn empty_container(world: &World) -> Vec<f64> {
    let run = || {
        let began = std::time::Instant::now();
        let output = world.container(&[], &["true"]).output().expect("Podman starts");
        assert!(output.status.success(), "{output:?}");
        began.elapsed().as_secs_f64()
    };
    std::iter::repeat_with(run).take(ROUNDS).collect()
}

/// Runs a program and tells its nanoseconds.
const CLOCK: &str =
    r#"began=$(date +%s%N); "$@" >&2; status=$?; echo "$(($(date +%s%N) - began))"; exit $status"#;

pub(super) fn measure(world: &World) -> Pairs {
    let all = world.path("all-buildpacks");
    let program = world.programs.join("pvdify-buildpack");
    pvdify_tests::run(program, &["install", &all.display().to_string()]);
    // The reference wants an order to name versions.
    let order = fs::read_to_string(all.join("order.toml")).expect("the order is read");
    let version = format!("\", version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let versioned = |line: &str| {
        let line = line.replace("\" }", &format!("{version} }}"));
        line.replace("\", optional", &format!("{version}, optional"))
    };
    let order: Vec<String> = order.lines().map(versioned).collect();
    fs::write(world.path("all-order.toml"), order.join("\n")).expect("the order is written");
    fresh(&world.path("platform"));
    let app = world.path("detected-app");
    fresh(&app);
    fs::write(app.join("main.py"), "print('hello')\n").expect("a file");
    fs::write(app.join("requirements.txt"), "").expect("a file");
    let mut pairs = Vec::new();
    // The first one of each warms the disk's cache.
    for round in 0..=ROUNDS {
        let ours = detected(world, &world.programs, "pvdify-lifecycle", &["detect"]);
        let theirs = detected(world, &world.reference, "detector", &[]);
        if round > 0 {
            pairs.push((ours, theirs));
        }
    }
    Pairs(pairs)
}

fn detected(world: &World, folder: &Path, program: &str, arguments: &[&str]) -> Duration {
    let (all, layers) = (world.path("all-buildpacks"), world.path("detected-layers"));
    fresh(&layers);
    fs::write(layers.join("analyzed.toml"), "").expect("a file");
    let mounts = [
        (folder.to_owned(), "/cnb/lifecycle:ro"),
        (all, "/cnb/buildpacks:ro"),
        (world.path("all-order.toml"), "/cnb/order.toml:ro"),
        (world.path("platform"), "/platform:ro"),
        (world.path("detected-app"), "/workspace"),
        (layers, "/layers"),
    ];
    let program = format!("/cnb/lifecycle/{program}");
    let mut command = vec!["bash", "-c", CLOCK, "clock", &program];
    command.extend(arguments);
    let output = world
        .container(&mounts, &command)
        .output()
        .expect("Podman starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
    let nanoseconds = String::from_utf8_lossy(&output.stdout);
    Duration::from_nanos(nanoseconds.trim().parse().expect("a number"))
}
