//! The peer: the reference's `creator` in a container of the same build image.

use super::{Build, world};
use std::path::PathBuf;
use world::{World, fresh};

pub(super) struct Peer<'a> {
    world: &'a World,
    name: String,
}

impl<'a> Peer<'a> {
    /// An app that was never built.
    pub(super) fn new(world: &'a World, round: usize) -> Self {
        let peer = Self {
            world,
            name: format!("peer{round}"),
        };
        fresh(&peer.cache());
        peer
    }

    pub(super) fn cache(&self) -> PathBuf {
        self.world.path(&format!("{}-cache", self.name))
    }

    pub(super) async fn build(&self) -> Build {
        // New volumes for each build, as the reference's platforms do it; laid out while no clock runs.
        let (app, layers) = (self.world.path("peer-app"), self.world.path("peer-layers"));
        fresh(&app);
        fresh(&layers);
        fresh(&self.world.path("platform"));
        let (from, to) = (self.world.path("source"), app.display().to_string());
        pvdify_tests::run("cp", &["-r", &format!("{}/.", from.display()), &to]);
        pvdify_tests::run("chown", &["-R", &format!("{0}:{0}", world::CNB), &to]);
        Build::run(self.output()).await
    }

    async fn output(&self) -> String {
        let world = self.world;
        let mounts = [
            (world.reference.clone(), "/cnb/lifecycle:ro"),
            (world.path("buildpacks"), "/cnb/buildpacks:ro"),
            (world.path("order.toml"), "/cnb/order.toml:ro"),
            (world.path("platform"), "/platform:ro"),
            (world.path("peer-app"), "/workspace"),
            (world.path("peer-layers"), "/layers"),
            (self.cache(), "/cache"),
        ];
        let run_image = format!("-run-image={}/pvdify/run:trixie", world.registry);
        let image = format!("{}/{}", world.registry, self.name);
        let command = [
            "/cnb/lifecycle/creator",
            "-app=/workspace",
            "-cache-dir=/cache",
            "-parallel",
            &run_image,
            &image,
        ];
        let output = tokio::process::Command::from(world.container(&mounts, &command))
            .output()
            .await
            .expect("Podman starts");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{text}");
        text
    }
}
