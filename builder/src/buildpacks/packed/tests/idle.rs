//! When layers are packed.

use super::*;
use crate::{Builder, Config, Limits, Packed};
use pvdify_registry::Store;
use pvdify_types::AppName;
use std::time::SystemTime;

const HOUR: Duration = Duration::from_secs(3600);

fn builder(world: &World, limits: Limits) -> Builder {
    let config = Config {
        podman_socket: world.dir.path().join("none.sock"),
        registry_address: "127.0.0.1:1".to_owned(),
        registry_credentials: (String::new(), String::new()),
        work_dir: world.work_dir().to_owned(),
        programs: world.dir.path().to_owned(),
        limits,
        build_ca: None,
        build_env: BTreeMap::new(),
        build_image: "none".to_owned(),
        oci_runtime: None,
        installation: "test".parse().unwrap(),
    };
    Builder::new(config, Store::open(&world.dir.path().join("registry")).unwrap())
}

/// As if the last build had ended before.
fn was_built(world: &World, ago: Duration) {
    set_built(world, SystemTime::now().checked_sub(ago).unwrap());
}

fn set_built(world: &World, time: SystemTime) {
    let file = fs::File::options().append(true).open(world.path("known.json"));
    file.unwrap().set_modified(time).unwrap();
}

#[tokio::test]
async fn only_apps_at_rest_are_packed_and_only_once() {
    let world = World::new();
    let builder = builder(&world, Limits::default());
    assert_eq!(builder.pack_idle(HOUR, HOUR).await, Packed::default());
    was_built(&world, HOUR);
    let packed = builder.pack_idle(HOUR, HOUR).await;
    assert!(packed.apps == 1 && packed.before > 2_000_000 && packed.after < 100_000);
    assert_eq!(world.state(), PACKED);
    assert_eq!(builder.pack_idle(HOUR, HOUR).await, Packed::default());
    assert!(matches!(world.unpack(), Found::Unpacked { .. }));
    // Its build is under way, or did not end well.
    was_built(&world, HOUR);
    assert_eq!(builder.pack_idle(HOUR, HOUR).await, Packed::default());
    assert_eq!(world.state(), "layers");
}

#[tokio::test]
async fn an_app_that_is_being_built_is_passed_over() {
    let world = World::new();
    let builder = builder(&world, Limits::default());
    let app: AppName = "demo".parse().unwrap();
    let turn = builder.turns.wait(&app).await;
    assert_eq!(builder.pack_idle(Duration::ZERO, HOUR).await.apps, 0);
    assert_eq!(world.state(), "layers");
    drop(turn);
    assert_eq!(builder.pack_idle(Duration::ZERO, HOUR).await.apps, 1);
}

#[tokio::test]
async fn a_full_disk_is_left_as_it_is() {
    let world = World::new();
    let limits = Limits {
        free_bytes: u64::MAX,
        ..Limits::default()
    };
    assert_eq!(
        builder(&world, limits).pack_idle(Duration::ZERO, HOUR).await.apps,
        0
    );
    assert_eq!(world.state(), "layers");
}

#[tokio::test]
async fn what_is_not_to_be_packed_is_looked_at_once_until_it_is_built_again() {
    let world = World::new();
    let builder = builder(&world, Limits::default());
    let pipe = world.layer().join("pipe");
    rustix::fs::mkfifoat(CWD, &pipe, Mode::RUSR).unwrap();
    world.built();
    was_built(&world, HOUR);
    assert_eq!(builder.pack_idle(HOUR, HOUR).await.apps, 0);
    let looked_at = fs::metadata(world.path("known.json"))
        .unwrap()
        .modified()
        .unwrap();
    fs::remove_file(pipe).unwrap();
    world.built();
    set_built(&world, looked_at);
    assert_eq!(builder.pack_idle(HOUR, HOUR).await.apps, 0);
    was_built(&world, 2 * HOUR);
    assert_eq!(builder.pack_idle(HOUR, HOUR).await.apps, 1);
}
