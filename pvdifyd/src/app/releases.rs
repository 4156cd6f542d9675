//! Releases: list them, and make one of an image.

use super::{
    Acting, Action, App,
    authorise::{known_app, living_app},
    error::{Error, Result},
    ports::{BuiltImage, ImageError},
};
use crate::store::{
    self, Changed, Reader, Tx, apps, as_date, one_offs,
    releases::{self, Code, New, Release},
};
use futures_util::Stream;
use pvdify_api::{
    one_offs::OneOff,
    releases::{self as wire, ReleaseEvent},
};
use pvdify_types::{AppId, AppName, ImageName, OneOffStatus, ReleaseCause, ReleaseStatus, ReleaseVersion};

impl Acting {
    /// An app's releases, newest first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn releases(&self, name: &AppName) -> Result<Vec<wire::Release>> {
        self.may(Action::ReadReleases)?;
        let name = name.clone();
        self.app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let all = releases::list(reader, &app.id)?;
                Ok(all.into_iter().map(face).collect())
            })
            .await
    }

    /// One release; its number as the person gave it.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn release(&self, name: &AppName, version: &str) -> Result<wire::Release> {
        self.may(Action::ReadReleases)?;
        let (name, version) = (name.clone(), version.to_owned());
        self.app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                known_release(reader, &app, &version).map(face)
            })
            .await
    }

    /// A release's progress to its end.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn release_events(
        &self,
        name: &AppName,
        version: &str,
    ) -> Result<impl Stream<Item = ReleaseEvent> + Send + use<>> {
        self.may(Action::ReadReleases)?;
        let (name, version) = (name.clone(), version.to_owned());
        let (id, version) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let release = known_release(reader, &app, &version)?;
                Ok::<_, Error>((app.id, release.version))
            })
            .await?;
        Ok(self.app.release_progress(id, version))
    }

    /// What a release's command wrote, as far as it is known.
    ///
    /// # Errors
    /// When refused or unknown, or the release had no command.
    pub async fn release_output(&self, name: &AppName, version: &str) -> Result<OneOff> {
        self.may(Action::ReadReleases)?;
        let (wanted, version) = (name.clone(), version.to_owned());
        let (id, row) = self
            .app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &wanted)?;
                let release = known_release(reader, &app, &version)?;
                let row = one_offs::of_release(reader, &app.id, release.version)?;
                let row = row.ok_or(Error::NoReleaseCommand {
                    app: app.name,
                    version: release.version,
                })?;
                Ok::<_, Error>((app.id, row))
            })
            .await?;
        self.app.shown(id, row).await
    }

    /// Ends a release that is under way, as failed: what serves goes on serving.
    ///
    /// # Errors
    /// When refused or unknown, or it has ended.
    pub async fn cancel_release(&self, name: &AppName, version: &str) -> Result<wire::Release> {
        self.may(Action::Deploy)?;
        let (wanted, version) = (name.clone(), version.to_owned());
        let reason = format!("cancelled by {}", self.user());
        let (id, release) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                let release = known_release(tx, &app, &version)?;
                match fail(tx, &app.id, release.version, &reason, &[], store::now())? {
                    Changed::Refused(status) => Err(Error::ReleaseEnded {
                        app: app.name,
                        version: release.version,
                        status,
                    }),
                    Changed::Updated | Changed::NotFound => {
                        let release = known_release(tx, &app, &version)?;
                        Ok((app.id, release))
                    }
                }
            })
            .await?;
        self.app.note(
            &id,
            format!("Release {} cancelled by {}", release.version, self.user()),
        );
        self.app.inner.progress.feed(&id, release.version).touch();
        self.app.inner.handle.wake();
        Ok(face(release))
    }

    /// Releases an image. The release is there at once; the image is resolved and copied meanwhile, by a
    /// task that outlives the caller.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn deploy_image(&self, name: &AppName, image: ImageName) -> Result<wire::Release> {
        self.may(Action::Deploy)?;
        let (wanted, user) = (name.clone(), self.user().to_owned());
        let new = New {
            status: ReleaseStatus::Building,
            cause: ReleaseCause::Deploy,
            reference: image.to_string(),
            code: None,
            config_version: pvdify_types::ConfigVersion(0),
            config_before: None,
            description: format!("Deploy {}", image.short()),
            user,
        };
        let (id, release) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &wanted)?;
                let release = create(tx, &app, &new, store::now())?;
                Ok::<_, Error>((app.id, release))
            })
            .await?;
        self.app.announce(&id, &release);
        let (app, name, version) = (self.app.clone(), name.clone(), release.version);
        tokio::spawn(async move { app.import(id, name, version, image).await });
        // The interface promises `pending` for an accepted release; that the image is on its way is a detail.
        Ok(wire::Release {
            status: ReleaseStatus::Pending,
            ..face(release)
        })
    }
}

impl App {
    async fn import(&self, id: AppId, name: AppName, version: ReleaseVersion, image: ImageName) {
        let feed = self.inner.progress.feed(&id, version);
        feed.push(format!("Fetching {image}"));
        let limit = self.settings().limits.import_time;
        let fetched = tokio::time::timeout(limit, self.inner.images.import(&name, &image)).await;
        let outcome = match fetched {
            Ok(Ok(built)) => self.imported(&id, version, built).await,
            Ok(Err(error)) => {
                self.fail_release(&id, version, image_failure(&error), Vec::new())
                    .await
            }
            Err(_) => {
                let reason = format!("fetching {image} took longer than {} s", limit.as_secs());
                self.fail_release(&id, version, reason, Vec::new()).await
            }
        };
        if let Err(error) = outcome {
            // The reaper ends it at the next start.
            tracing::error!(%error, app = %name, %version, "can't record how an import ended");
        }
    }

    /// The image is there: the release waits for its turn, with the newest config vars.
    async fn imported(&self, id: &AppId, version: ReleaseVersion, built: BuiltImage) -> Result<()> {
        let fetched = format!("Fetched sha256:{}", built.image.digest.short());
        self.inner.progress.feed(id, version).push(fetched);
        let wanted = id.clone();
        let changed = self
            .store()
            .write(move |tx| {
                let Some(app) = apps::by_id(tx, &wanted)? else {
                    return Ok(Changed::NotFound);
                };
                releases::set_code(tx, &wanted, version, &code(built, None))?;
                releases::set_config(tx, &wanted, version, app.config_version)?;
                let changed = releases::change(tx, &wanted, version, ReleaseStatus::Pending, store::now())?;
                match changed {
                    // Failed meanwhile, as the app is being deleted: its image is nothing to keep.
                    Changed::Refused(_) => Err(Error::NoApp(app.name.to_string())),
                    other => Ok::<Changed<ReleaseStatus>, Error>(other),
                }
            })
            .await;
        match changed {
            Ok(_) => {
                self.inner.handle.wake();
                Ok(())
            }
            Err(Error::NoApp(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends a release in failure and tells those who wait. Nothing happens when it has ended.
    pub(super) async fn fail_release(
        &self,
        id: &AppId,
        version: ReleaseVersion,
        reason: String,
        tail: Vec<String>,
    ) -> Result<()> {
        let wanted = id.clone();
        let changed = self
            .store()
            .write(move |tx| fail(tx, &wanted, version, &reason, &tail, store::now()))
            .await?;
        if changed.is_updated() {
            self.note(id, format!("Release {version} failed"));
        }
        self.inner.progress.feed(id, version).touch();
        self.inner.handle.wake();
        Ok(())
    }

    /// Says in the app's log that a release was made.
    pub(super) fn announce(&self, id: &AppId, release: &Release) {
        self.note(id, release.description.clone());
        self.note(
            id,
            format!("Release {} created by {}", release.version, release.user),
        );
    }
}

/// Adds a release to an app.
pub(super) fn create(tx: &Tx<'_>, app: &apps::App, new: &New, now: i64) -> Result<Release> {
    let version = releases::insert(tx, &app.id, new, now)?;
    apps::touch(tx, &app.id, now)?;
    releases::find(tx, &app.id, version)?.ok_or_else(|| Error::NoRelease {
        app: app.name.clone(),
        version: version.to_string(),
    })
}

/// A release of the same code with the app's present settings and config; none when nothing was deployed yet.
pub(super) fn settings_release(
    tx: &Tx<'_>,
    app: &apps::App,
    description: String,
    user: String,
    now: i64,
) -> Result<Option<Release>> {
    let Some(base) = releases::newest_live(tx, &app.id)? else {
        return Ok(None);
    };
    let config_version = apps::by_id(tx, &app.id)?.map_or(app.config_version, |app| app.config_version);
    let new = New {
        status: ReleaseStatus::Pending,
        cause: ReleaseCause::Config,
        reference: base.reference,
        code: base.code,
        config_version,
        config_before: None,
        description,
        user,
    };
    create(tx, app, &new, now).map(Some)
}

/// Ends a release in failure. A rollback that failed gives the config vars back that it had replaced, also
/// to the releases that wait behind it.
pub(super) fn fail(
    tx: &Tx<'_>,
    app: &AppId,
    version: ReleaseVersion,
    reason: &str,
    tail: &[String],
    now: i64,
) -> Result<Changed<ReleaseStatus>> {
    let changed = releases::change(tx, app, version, ReleaseStatus::Failed, now)?;
    if !changed.is_updated() {
        return Ok(changed);
    }
    releases::set_failure(tx, app, version, reason, tail)?;
    cancel_command(tx, app, version, now)?;
    apps::touch(tx, app, now)?;
    let failed = releases::find(tx, app, version)?;
    let Some((taken, before)) = failed.and_then(|r| Some((r.config_version, r.config_before?))) else {
        return Ok(changed);
    };
    if apps::by_id(tx, app)?.is_some_and(|app| app.config_version == taken) {
        apps::set_config_version(tx, app, before)?;
    }
    for waiting in releases::open(tx, app)? {
        let inherits = !matches!(waiting.cause, ReleaseCause::Rollback { .. });
        if inherits && waiting.version > version && waiting.config_version == taken {
            releases::set_config(tx, app, waiting.version, before)?;
        }
    }
    Ok(changed)
}

/// A release command that still runs has nothing to run for any more.
fn cancel_command(tx: &Tx<'_>, app: &AppId, version: ReleaseVersion, now: i64) -> Result<()> {
    if let Some(command) = one_offs::of_release(tx, app, version)? {
        let cancelled = one_offs::End {
            status: OneOffStatus::Cancelled,
            exit_status: None,
            failure: None,
        };
        one_offs::end(tx, app, command.name, &cancelled, now)?;
    }
    Ok(())
}

/// The release of a number that a person gave.
pub(super) fn known_release(reader: &Reader, app: &apps::App, given: &str) -> Result<Release> {
    let unknown = || Error::NoRelease {
        app: app.name.clone(),
        version: given.chars().take(24).collect(),
    };
    let version: ReleaseVersion = given.parse().map_err(|_| unknown())?;
    if i64::try_from(version.0).is_err() {
        return Err(unknown());
    }
    releases::find(reader, &app.id, version)?.ok_or_else(unknown)
}

/// What an image or a build gave, as it is stored.
pub(super) fn code(built: BuiltImage, commit: Option<String>) -> Code {
    let timeout = built.healthcheck_timeout.map(|seconds| seconds.clamp(1, 3600));
    Code {
        image: built.image,
        processes: built.processes,
        exposed_port: built.exposed_port.filter(|port| *port != 0),
        healthcheck_path: built.healthcheck_path,
        healthcheck_timeout: timeout.and_then(|seconds| u32::try_from(seconds).ok()),
        launcher: built.launcher,
        postdeploy: built.setup.postdeploy,
        commit,
    }
}

pub(super) fn image_failure(error: &ImageError) -> String {
    error.to_string()
}

pub(super) fn face(release: Release) -> wire::Release {
    let image = release.code.as_ref().map(|code| code.image.to_string());
    let processes = release.code.as_ref().map(|code| &code.processes);
    wire::Release {
        processes: processes
            .into_iter()
            .flatten()
            .map(|(process, command)| (process.to_string(), command.clone()))
            .collect(),
        config_version: release.config_version.0,
        version: release.version,
        image: image.unwrap_or(release.reference),
        status: release.status,
        cause: release.cause,
        description: release.description,
        commit: release.code.and_then(|code| code.commit),
        user: release.user,
        failure: release.failure,
        created_at: as_date(release.created_at),
    }
}
