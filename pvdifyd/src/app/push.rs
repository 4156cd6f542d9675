//! A push comes in: may it, is there room, and where the source tree waits until it is built.

use super::{
    Acting, Action, App,
    authorise::living_app,
    builds::Job,
    error::{Error, Result},
};
use futures_util::Stream;
use pvdify_api::control::{BuildEvent, BuildQuery, PushGrant};
use pvdify_types::{AppName, BuildId};
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// Of spooled sources; what bears it in the build folder is ours to remove.
pub(super) const EXTENSION: &str = "tar";
/// The branches whose push deploys, as on Heroku.
const DEPLOY_BRANCHES: [&str; 2] = ["main", "master"];
/// The disk is looked at again after that much of a source was written.
const LOOK_EVERY: u64 = 64 << 20;
const MIB: u64 = 1 << 20;

/// A file that goes with its owner.
pub(super) struct Spool(pub(super) PathBuf);

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "can't remove a source");
        }
    }
}

/// A source tree on its way in. Dropped before [`Source::build`], it was never there.
pub struct Source {
    job: Job,
    file: tokio::fs::File,
    written: u64,
}

impl Acting {
    /// May this key push to this app? The same answer for an app that is not there, is going, or is no name.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn authorise_push(&self, fingerprint: &str, app: &str) -> Result<PushGrant> {
        self.may(Action::Push)?;
        self.registered(fingerprint).await?;
        let unknown = || Error::NoApp(app.chars().take(64).collect());
        let name: AppName = app.parse().map_err(|_| unknown())?;
        let found = self
            .app
            .store()
            .read(move |reader| living_app(reader, &name))
            .await;
        let found = found.map_err(|error| match error {
            Error::Deleting(_) => unknown(),
            other => other,
        })?;
        Ok(PushGrant {
            app_id: found.id,
            app: found.name,
            deploy_branches: DEPLOY_BRANCHES.map(str::to_owned).to_vec(),
        })
    }

    /// Prepares to take a source tree in. Refuses early what could not be built.
    ///
    /// # Errors
    /// When refused, unknown, the queue is full, or the disk is.
    pub async fn receive_source(&self, name: &str, query: &BuildQuery) -> Result<Source> {
        let grant = self.authorise_push(&query.fingerprint, name).await?;
        let user = self.registered(&query.fingerprint).await?.name;
        let hex = query
            .commit
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if query.commit.len() != 40 || !hex {
            return Err(Error::Invalid("a commit is 40 lower-case hex digits".into()));
        }
        let ticket = self.app.queue_up(&grant.app, &grant.app_id)?;
        let dir = &self.app.settings().build_dir;
        self.app.check_disk(dir)?;
        let id = uuid::Uuid::now_v7().to_string();
        let path = dir.join(&id).with_extension(EXTENSION);
        let build: BuildId = id.parse().map_err(Error::invalid)?;
        let mut options = tokio::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).await.map_err(Error::io("save the source"))?;
        Ok(Source {
            job: Job {
                ticket,
                name: grant.app,
                user,
                commit: query.commit.clone(),
                build,
                spool: Spool(path),
            },
            file,
            written: 0,
        })
    }
}

impl App {
    fn check_disk(&self, dir: &Path) -> Result<()> {
        let need = self.settings().limits.free_bytes;
        let disk = rustix::fs::statvfs(dir).map_err(|error| Error::io("look at the disk")(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= need {
            return Ok(());
        }
        Err(Error::DiskFull {
            dir: dir.display().to_string(),
            need_mib: need / MIB,
            free_mib: free / MIB,
        })
    }
}

impl Source {
    /// Takes the next piece.
    ///
    /// # Errors
    /// When it is too much for the limit or the disk.
    pub async fn write(&mut self, piece: &[u8]) -> Result<()> {
        let app = &self.job.ticket.app;
        let limit = app.settings().limits.source_bytes;
        let before = self.written / LOOK_EVERY;
        self.written += piece.len() as u64;
        if self.written > limit {
            return Err(Error::SourceTooLarge {
                limit_mib: limit / MIB,
            });
        }
        if self.written / LOOK_EVERY != before {
            app.check_disk(&app.settings().build_dir)?;
        }
        self.file
            .write_all(piece)
            .await
            .map_err(Error::io("save the source"))
    }

    /// The source is whole: records the build, starts it, and gives its events. Dropping them stops nothing.
    ///
    /// # Errors
    /// When it can't be recorded.
    pub async fn build(mut self) -> Result<impl Stream<Item = BuildEvent> + Send + use<>> {
        self.file.flush().await.map_err(Error::io("save the source"))?;
        drop(self.file);
        let app = self.job.ticket.app.clone();
        app.start_build(self.job).await
    }
}
