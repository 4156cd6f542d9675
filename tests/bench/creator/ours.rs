//! Our side: the builder, as the server calls it.

use super::{Build, buildpack, now, world::World};
use pvdify_builder::Request;
use pvdify_types::{AppName, BuildId, BuildpackName};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;

pub(super) struct Ours<'a> {
    world: &'a World,
    app: AppName,
    builds: AtomicU32,
}

impl<'a> Ours<'a> {
    /// An app that was never built.
    pub(super) fn new(world: &'a World, round: usize) -> Self {
        Self {
            world,
            app: format!("ours{round}").parse().expect("an app's name"),
            builds: AtomicU32::new(0),
        }
    }

    pub(super) async fn build(&self) -> Build {
        Build::run(self.output()).await
    }

    async fn output(&self) -> (String, u128) {
        let number = self.builds.fetch_add(1, Ordering::Relaxed);
        let build: BuildId = format!("{}-{number}", self.app).parse().expect("a build's id");
        let folder = self.world.path("buildpacks").join(buildpack::FOLDER);
        let buildpack: BuildpackName = folder.display().to_string().parse().expect("a buildpack's name");
        let source = self.world.path("source.tar");
        let request = Request {
            app: &self.app,
            build: &build,
            source: &source,
            commit: None,
            buildpacks: &[buildpack],
            first_config: None,
            config: pvdify_types::config_vars::NO_BUILD_VARS,
            bindings: &[],
        };
        let (sender, mut lines) = mpsc::channel::<String>(64);
        let reading = tokio::spawn(async move {
            let mut output = String::new();
            while let Some(line) = lines.recv().await {
                output.push_str(&line);
                output.push('\n');
            }
            output
        });
        let built = self.world.builder.build(request, sender).await;
        let ended = now();
        let output = reading.await.expect("the output is read");
        assert!(built.is_ok(), "{built:?}\n{output}");
        (output, ended)
    }

    /// As long after a build as it takes for the app to be at rest.
    pub(super) async fn rest(&self) {
        let rest = async {
            // Podman may still be removing the build's container.
            while self
                .world
                .builder
                .pack_idle(Duration::ZERO, Duration::MAX)
                .await
                .apps
                == 0
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let rested = tokio::time::timeout(Duration::from_secs(30), rest).await;
        rested.expect("the layers are packed");
    }

    /// What stays of the app for its next build.
    pub(super) fn cache(&self) -> PathBuf {
        self.world.path("work").join("_cnb/apps").join(self.app.as_str())
    }
}
