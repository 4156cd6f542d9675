//! The peer: the reference's `creator` in a container of the same build image.

use super::{Build, now, world};
use std::{path::PathBuf, process::Stdio};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
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

    async fn output(&self) -> (String, u128) {
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
        let mut child = tokio::process::Command::from(world.container(&mounts, &command))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Podman starts");
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = tokio::join!(lines(out.expect("a pipe")), lines(err.expect("a pipe")));
        let text = out.0 + &err.0;
        let status = child.wait().await.expect("Podman ends");
        assert!(status.success(), "{text}");
        (text, out.1.max(err.1))
    }
}

/// All lines, and when the last one came.
async fn lines(stream: impl AsyncRead + Unpin) -> (String, u128) {
    let mut lines = BufReader::new(stream).lines();
    let (mut text, mut last) = (String::new(), 0);
    while let Some(line) = lines.next_line().await.expect("the output is text") {
        last = now();
        text.push_str(&line);
        text.push('\n');
    }
    (text, last)
}
