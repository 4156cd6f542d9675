//! Builds by Cloud Native Buildpacks: from a source to an image in the own registry.
//!
//! ```text
//! fetch   take_out.rs   adopt        buildpacks from outside: got, and put where they are found
//!      \_______|_______/
//! selection   which buildpacks       bundle.rs   our programs      whole   builder images of others
//!          \                              |_________________________|
//!           \                        ground.rs   what a build runs in, and what its image stands on
//!            \                            |          platform.rs   its environment
//!             `---------------------- container ------------'      unpack, detect, restore, build: as nobody
//!                                          |
//!                                       extend      what image extensions want of the images; then a container again
//!                                          |
//!               watch.rs (disk)  failure.rs (why not)  downloads.rs (what all may share)  packed (layers at rest)
//!                                          |
//!                                    crate::export                 layers, labels, manifest
//! ```
//!
//! What always holds: what the container wrote is read once none of its processes is left, and is never trusted; a
//! build that fails leaves the app's layers such that the next one starts from what is whole.

mod adopt;
pub(crate) mod bundle;
pub(crate) mod container;
mod downloads;
mod extend;
mod extensions;
pub(crate) mod failure;
mod fetch;
pub(crate) mod folders;
mod given;
mod ground;
pub(crate) mod owned;
pub(crate) mod packed;
mod platform;
mod selection;
mod take_out;
pub(crate) mod turns;
mod watch;
pub(crate) mod whole;

use crate::{
    BuildError, Builder, Request,
    analyze::{analyze, analyzed_toml},
    choose::Wanted,
    export::{Compression, Export, Exported, Known, Limits, export},
    say,
    source::Source,
    trust,
};
use bundle::Bundle;
use container::{Mounts, Run, Work};
use extend::{Extender, Images};
use fetch::Fetcher;
use folders::{AppFolder, Stood};
use given::{Given, built_files, files_toml};
use ground::Ground;
use owned::write_new;
use pvdify_cnb::project::Project;
use pvdify_registry::Repository;
use pvdify_types::{AppName, ConfigKey};
use std::sync::Arc;
use tokio::{sync::mpsc, time::Instant};
use turns::Held;
use whole::Asked;

/// The execution environment that apps run in (Platform API 0.15).
const EXEC_ENV: &str = "production";
/// The lifecycle ended because the images are to be extended before it goes on.
const TO_EXTEND: i64 = 9;
impl Builder {
    /// Builds by buildpacks; the image is in the registry afterwards.
    pub(crate) async fn by_buildpacks(
        &self,
        request: &Request<'_>,
        source: &Source,
        project: &Project,
        wanted: &Wanted,
        held: &Held,
        output: &mpsc::Sender<String>,
    ) -> Result<Exported, BuildError> {
        let config = &self.config;
        let bundle = self.bundle().await?;
        let app = AppFolder::open(&config.work_dir, request.app)?;
        let asked = Asked {
            request,
            wanted,
            project,
            app: &app,
            output,
        };
        let whole = self.whole(&asked).await?;
        let ground = match &whole {
            Some(whole) => whole.ground.clone(),
            None => self.own_ground(&bundle).await?,
        };
        let stood = self.stand_on(&app, &ground).await?;
        if let Some(line) = stood.line() {
            say(output, &line).await;
        }
        self.keep_whole(request.app, whole.as_ref()).await?;
        let mut known = Known::read(app.folder());
        let ended_well = !known.is_under_way();
        let dropped = known.clean(&app.layers()).map_err(BuildError::disk)?;
        // Layers for the build alone go after each build.
        if !dropped.is_empty() && !ended_well {
            say(output, "       Dropped layers of a build that did not end well").await;
        }
        let repository = Repository::from(request.app);
        let previous = analyze(&self.store, &repository, app.image().as_ref(), EXEC_ENV).await?;
        let below = ground.run_image.read(&self.store).await?;
        let analyzed = analyzed_toml(
            previous.as_ref().map(|one| (&repository, one)),
            &ground.run_image,
            &below,
        );

        let folder = &held.folder.path;
        let own = folder.join("buildpacks");
        let fetcher = Fetcher {
            builder: self,
            request,
            programs: &bundle.lifecycle,
            folder: folder.join("fetched"),
            held,
        };
        let selection = match &whole {
            Some(whole) => selection::of_whole(&whole.order),
            None => {
                let came = selection::gather(wanted, project, request.source, &fetcher, &own).await?;
                selection::select(&bundle, wanted, project, &came, &own)?
            }
        };
        for one in &selection.came {
            say(output, &format!("       {one}")).await;
        }
        let ca = trust::of_build(config.build_ca.as_deref(), request.bindings)?;
        let (mut env, refused) = platform::environment(
            &config.build_env,
            ca.is_some(),
            !request.bindings.is_empty(),
            &project.env,
            request.config,
        );
        if !request.config.is_empty() {
            let keys: Vec<&str> = request.config.keys().map(ConfigKey::as_str).collect();
            say(
                output,
                &format!("       Config vars in the build: {}", keys.join(", ")),
            )
            .await;
        }
        for what in refused {
            say(output, &format!(" !     {what}")).await;
        }
        if selection.has_classic {
            let heroku = [
                ("STACK", "heroku-24"),
                ("SOURCE_VERSION", request.commit.unwrap_or_default()),
                ("REQUEST_ID", request.build.as_str()),
            ];
            for (name, value) in heroku {
                env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        let given = Given {
            order: toml::to_string(&selection.order).map_err(BuildError::unavailable)?,
            files: files_toml(&built_files(&project.files, source.slugignore.as_deref())),
            analyzed,
            bindings: request.bindings,
            ca,
        };
        let with_ca = given.ca.is_some();
        let mounts = self.mounts(request, &bundle, &app, &selection, folder, with_ca);
        given
            .write(&mounts, ground.owner, &env)
            .map_err(BuildError::disk)?;

        let run = Run {
            podman: &self.podman,
            config,
            app: request.app,
            build: request.build,
            mounts,
            ground: &ground,
            sandboxes: &self.sandboxes,
            held,
        };
        let deadline = Instant::now() + config.limits.timeout;
        let mut work = Work {
            phase: "create",
            image: None,
            time: config.limits.timeout,
        };
        let mut ended = run.run(&work, output).await?;
        let mut images = Images::default();
        if selection.has_extensions() && ended.has_code(TO_EXTEND) {
            let extender = Extender {
                builder: self,
                request,
                source,
                held,
                app: &app,
                base: ground.run_image.pinned(&below.digest),
                ca: given.ca.as_deref(),
                deadline,
                output,
            };
            images = extender.extend().await?;
            let below = match &images.run {
                Some(extended) => extended.read(&self.store, &repository).await?,
                None => below,
            };
            let analyzed = analyzed_toml(
                previous.as_ref().map(|one| (&repository, one)),
                &ground.run_image,
                &below,
            );
            let path = run.mounts.layers.join("analyzed.toml");
            write_new(&path, analyzed.as_bytes(), 0o644).map_err(BuildError::disk)?;
            work = Work {
                phase: "resume",
                image: images.build.clone(),
                time: deadline.saturating_duration_since(Instant::now()),
            };
            ended = run.run(&work, output).await?;
        } else {
            extend::forget(self, &app, request).await?;
        }
        let top: Vec<&str> = source.top.iter().map(String::as_str).collect();
        self.share_downloads(&run.mounts).await;
        failure::explain(&ended, &config.limits, &selection.looks_for, &top)?;

        say(output, "-----> Making the image").await;
        let exported = export(
            Export {
                repository,
                layers: run.mounts.layers.clone(),
                workspace: run.mounts.workspace.clone(),
                layers_dir: "/layers".to_owned(),
                app_dir: run.mounts.app_dir.to_owned(),
                owner: ground.owner,
                platform_api: ground.api,
                run_image: ground.run_image,
                extended: images.run,
                previous: previous.map(Arc::new),
                launcher: ground.launcher,
                launcher_version: ground.launcher_version,
                default_process: None,
                exec_env: EXEC_ENV.to_owned(),
                project: project_metadata(request.commit),
                compression: Compression::default(),
                limits: Limits {
                    bytes: config.limits.image_bytes,
                    ..Limits::default()
                },
            },
            &self.store,
            &mut known,
        )
        .await?;
        app.remember(&exported.digest).map_err(BuildError::disk)?;
        for line in exported.report.lines() {
            say(output, &line).await;
        }
        Ok(exported)
    }

    /// Forgets all that was kept of an app for its next build, once a build of it that is under way has ended.
    ///
    /// # Errors
    /// When the files can't be removed.
    pub async fn forget(&self, app: &AppName) -> Result<(), BuildError> {
        let _turn = self.turns.wait(app).await;
        self.keep_whole(app, None).await?;
        let (work_dir, app) = (self.config.work_dir.clone(), app.clone());
        tokio::task::spawn_blocking(move || AppFolder::remove(&work_dir, &app))
            .await
            .map_err(BuildError::unavailable)?
            .map_err(BuildError::disk)
    }

    async fn stand_on(&self, app: &AppFolder, ground: &Ground) -> Result<Stood, BuildError> {
        let (work_dir, folder) = (self.config.work_dir.clone(), app.clone());
        let (note, owner) = (ground.note.clone(), ground.owner);
        let stood = tokio::task::spawn_blocking(move || folder.stand_on(&work_dir, &note, owner))
            .await
            .map_err(BuildError::unavailable)?
            .map_err(BuildError::disk)?;
        if let Stood::Lost(error) = &stood {
            tracing::warn!(%error, folder = %app.folder().display(), "an app's packed layers are lost");
        }
        Ok(stood)
    }

    /// The apps of which something is kept for their next build.
    #[must_use]
    pub fn remembered(&self) -> Vec<AppName> {
        AppFolder::all(&self.config.work_dir)
    }

    /// Our programs, laid out once.
    async fn bundle(&self) -> Result<Arc<Bundle>, BuildError> {
        let (programs, work_dir) = (self.config.programs.clone(), self.config.work_dir.clone());
        let install = || async {
            let bundle = tokio::task::spawn_blocking(move || Bundle::install(&programs, &work_dir)).await;
            bundle.map_err(BuildError::unavailable)?.map(Arc::new)
        };
        self.bundle.get_or_try_init(install).await.cloned()
    }

    /// What the build fetched, and what it says it is, is there for all from now on.
    async fn share_downloads(&self, mounts: &Mounts) {
        let (new, shared) = (mounts.downloads_new.clone(), mounts.downloads_shared.clone());
        let shared = tokio::task::spawn_blocking(move || {
            downloads::promote(&new, &shared)?;
            downloads::trim(&shared, downloads::MAX_BYTES)
        });
        if let Ok(Err(error)) = shared.await {
            // The next build fetches it again.
            tracing::warn!(%error, "a build's downloads could not be kept");
        }
    }
}

/// Where the source came from (platform.md, "project-metadata.toml").
fn project_metadata(commit: Option<&str>) -> serde_json::Value {
    match commit {
        Some(commit) => serde_json::json!({"source": {"type": "git", "version": {"commit": commit}}}),
        None => serde_json::json!({}),
    }
}
