//! Builds: a source tree that came in waits for its turn, is built, released, and waited for.
//!
//! The work is a task of its own that outlives the connection: a client that vanishes changes nothing.
//! Builds of one app follow each other to the very end of the release, so that two pushes at once give
//! both releases in order. What the process can't finish, the reaper ends at the next start.

use super::{
    App,
    authorise::living_app,
    error::{Error, Result},
    ports::{BuildRequest, BuiltImage},
    progress::Feed,
    push::Spool,
    releases::{code, create, image_failure},
    setup,
    turns::Ticket,
};
use crate::store::{
    self, apps, bindings, buildpacks,
    builds::{self, Outcome},
    config_vars,
    releases::{self, New},
};
use futures_util::{Stream, StreamExt, stream};
use pvdify_api::{control::BuildEvent, releases::ReleaseEvent};
use pvdify_types::{AppName, BuildId, ConfigVersion, ReleaseCause, ReleaseStatus, ReleaseVersion};
use std::{collections::VecDeque, pin::pin, sync::Arc};
use tokio::sync::mpsc;

/// All that a build needs.
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) name: AppName,
    pub(super) user: String,
    pub(super) commit: String,
    pub(super) build: BuildId,
    pub(super) spool: Spool,
}

/// Where a build's lines go.
#[derive(Clone)]
struct Output(Arc<Feed<BuildEvent>>);

impl Output {
    fn line(&self, text: impl Into<String>) {
        self.0.push(BuildEvent::Line { text: text.into() });
    }
}

impl App {
    /// Records a build, starts it, and gives its events.
    pub(super) async fn start_build(
        &self,
        job: Job,
    ) -> Result<impl Stream<Item = BuildEvent> + Send + use<>> {
        let (id, build) = (job.ticket.id.clone(), job.build.clone());
        let (name, commit, user) = (job.name.clone(), job.commit.clone(), job.user.clone());
        self.store()
            .write(move |tx| {
                living_app(tx, &name)?;
                Ok::<_, Error>(builds::insert(tx, &id, &build, &commit, &user, store::now())?)
            })
            .await?;
        let feed = Arc::new(Feed::default());
        let output = Output(Arc::clone(&feed));
        let app = self.clone();
        tokio::spawn(async move { app.run_build(job, output).await });
        Ok(events(feed))
    }

    /// Runs a build to its end, whatever that is, and says how it ended.
    async fn run_build(self, job: Job, output: Output) {
        let build = job.build.clone();
        let work = tokio::spawn({
            let (app, output) = (self.clone(), output.clone());
            async move { app.build_and_release(&job, &output).await }
        });
        // A panic of the builder ends its build, not the server.
        let outcome = work.await.unwrap_or_else(|error| {
            tracing::error!(%error, build = %build, "a build broke");
            Err("the build broke; the server's log has the cause".to_owned())
        });
        let event = match outcome {
            Ok((version, url)) => BuildEvent::Released {
                version: version.0,
                url,
            },
            Err(message) => {
                let (failure, now) = (Outcome::Failed(message.clone()), store::now());
                let ended = self
                    .store()
                    .write(move |tx| builds::end(tx, &build, &failure, now))
                    .await;
                if let Err(error) = ended {
                    tracing::error!(%error, "can't record how a build ended");
                }
                BuildEvent::Failed { message }
            }
        };
        output.0.push_last(event);
    }

    async fn build_and_release(
        &self,
        job: &Job,
        output: &Output,
    ) -> std::result::Result<(ReleaseVersion, String), String> {
        let log = |error: Error| {
            tracing::error!(error = %Causes(&error), app = %job.name, "a build failed");
            error.to_string()
        };
        let turn = Arc::clone(&job.ticket.turn);
        let _turn = match Arc::clone(&turn).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                output.line("-----> Waiting for the build before this one");
                turn.lock_owned().await
            }
        };
        if let Some(version) = self.released_already(job).await.map_err(log)? {
            return Ok((version, self.web_url(&job.name)));
        }
        let built = self.build_image(job, output).await?;
        let release = self.release_build(job, built, output).await.map_err(log)?;
        output.line("-----> Launching...");
        let mut progress = pin!(self.release_progress(job.ticket.id.clone(), release));
        let mut lines = 0;
        while let Some(event) = progress.next().await {
            match event {
                ReleaseEvent::Line { text } => {
                    lines += 1;
                    output.line(format!("       {text}"));
                }
                ReleaseEvent::Done { status, .. } if status.has_served() => {
                    let show = |text| output.line(format!("       {text}"));
                    let postdeploy = self.follow_postdeploy(&job.ticket.id, release, lines, show).await;
                    // It serves, whatever came after it.
                    if let Err(failure) = postdeploy.map_err(log)? {
                        output.line(format!(" !     {failure}; {release} serves all the same"));
                    }
                    return Ok((release, self.web_url(&job.name)));
                }
                ReleaseEvent::Done { failure, .. } => {
                    return Err(self.release_failure(job, failure).await);
                }
            }
        }
        Err("the release's end is not known".to_owned())
    }

    /// A push of what serves already changes nothing: a client that lost the answer asks again like this.
    async fn released_already(&self, job: &Job) -> Result<Option<ReleaseVersion>> {
        let (id, commit, build) = (job.ticket.id.clone(), job.commit.clone(), job.build.clone());
        self.store()
            .write(move |tx| {
                let current = releases::current(tx, &id)?;
                let same = current.filter(|current| {
                    current
                        .code
                        .as_ref()
                        .is_some_and(|code| code.commit.as_ref() == Some(&commit))
                });
                let Some(current) = same else { return Ok(None) };
                builds::end(tx, &build, &Outcome::Succeeded(current.version), store::now())?;
                Ok(Some(current.version))
            })
            .await
    }

    async fn build_image(&self, job: &Job, output: &Output) -> std::result::Result<BuiltImage, String> {
        let slots = Arc::clone(&self.inner.builds.slots);
        let _slot = match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => Ok(slot),
            Err(_) => {
                output.line("-----> Waiting for builds of other apps");
                slots.acquire_owned().await
            }
        }
        .expect("the slots are never closed");
        let id = job.ticket.id.clone();
        // Those of now: the turn may have been long in coming.
        let secrets = Arc::clone(&self.inner.secrets);
        let (buildpacks, bindings, config, first_config) = self
            .store()
            .read(move |reader| {
                let first = setup::first_config(reader, &id)?;
                let bindings = bindings::of_app(reader, &secrets, &id)?;
                let app = apps::by_id(reader, &id)?;
                let version = app.map_or(ConfigVersion(0), |app| app.config_version);
                let config = config_vars::for_build(reader, &secrets, &id, version)?;
                Ok::<_, Error>((buildpacks::list(reader, &id)?, bindings, config, first))
            })
            .await
            .map_err(|error| error.to_string())?;
        let request = BuildRequest {
            app: job.name.clone(),
            build: job.build.clone(),
            source: job.spool.0.clone(),
            commit: job.commit.clone(),
            buildpacks,
            first_config,
            config,
            bindings,
        };
        let (sender, mut lines) = mpsc::channel(256);
        let limit = self.settings().limits.build_time;
        let mut work = pin!(tokio::time::timeout(
            limit,
            self.inner.images.build(request, sender)
        ));
        let mut truncated = false;
        let mut show = |text: String| {
            if !output.0.push(BuildEvent::Line { text }) && !truncated {
                truncated = true;
                let text = "[more output is left out]".to_owned();
                output.0.push_last(BuildEvent::Line { text });
            }
        };
        let result = loop {
            tokio::select! {
                Some(line) = lines.recv() => show(line),
                result = &mut work => break result,
            }
        };
        lines.close();
        while let Ok(line) = lines.try_recv() {
            show(line);
        }
        match result {
            Ok(Ok(built)) => Ok(built),
            Ok(Err(error)) => {
                let text = image_failure(&error);
                let mut all = text.lines();
                let first = all.next().unwrap_or("the build failed").to_owned();
                all.for_each(|line| show(line.to_owned()));
                Err(first)
            }
            Err(_) => Err(format!("the build took longer than {} s", limit.as_secs())),
        }
    }

    async fn release_build(&self, job: &Job, built: BuiltImage, output: &Output) -> Result<ReleaseVersion> {
        let (id, build, commit, user) = (
            job.ticket.id.clone(),
            job.build.clone(),
            job.commit.clone(),
            job.user.clone(),
        );
        let (name, secrets) = (job.name.clone(), Arc::clone(&self.inner.secrets));
        let (release, told) = self
            .store()
            .write(move |tx| {
                let app = apps::by_id(tx, &id)?.filter(|app| !app.deleting);
                let app = app.ok_or_else(|| Error::NoApp(name.to_string()))?;
                let (config_version, told) = match releases::current(tx, &id)? {
                    None => setup::begin(tx, &secrets, &app, &built.setup, &user)?,
                    Some(_) => (app.config_version, Vec::new()),
                };
                let new = New {
                    status: ReleaseStatus::Pending,
                    cause: ReleaseCause::Deploy,
                    reference: commit.clone(),
                    description: format!("Deploy {}", &commit[..8]),
                    code: Some(code(built, Some(commit))),
                    config_version,
                    config_before: None,
                    user,
                };
                let now = store::now();
                let release = create(tx, &app, &new, now)?;
                builds::end(tx, &build, &Outcome::Succeeded(release.version), now)?;
                Ok::<_, Error>((release, told))
            })
            .await?;
        told.into_iter().for_each(|line| output.line(line));
        self.announce(&job.ticket.id, &release);
        self.inner.handle.wake();
        Ok(release.version)
    }

    /// Why it failed, and what serves instead.
    async fn release_failure(&self, job: &Job, failure: Option<String>) -> String {
        let failure = failure.unwrap_or_else(|| "the release failed".to_owned());
        let id = job.ticket.id.clone();
        match self
            .store()
            .read(move |reader| releases::current(reader, &id))
            .await
        {
            Ok(Some(current)) => format!("{failure}; {} goes on serving", current.version),
            Ok(None) | Err(_) => failure,
        }
    }
}

/// An error with all its causes, for the log.
struct Causes<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// All events so far, then new ones, to the last.
fn events(feed: Arc<Feed<BuildEvent>>) -> impl Stream<Item = BuildEvent> + Send + use<> {
    struct State {
        changes: tokio::sync::watch::Receiver<()>,
        feed: Arc<Feed<BuildEvent>>,
        next: usize,
        queue: VecDeque<BuildEvent>,
        ended: bool,
    }
    let state = State {
        changes: feed.changes(),
        feed,
        next: 0,
        queue: VecDeque::new(),
        ended: false,
    };
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(event) = state.queue.pop_front() {
                state.ended = matches!(event, BuildEvent::Released { .. } | BuildEvent::Failed { .. });
                return Some((event, state));
            }
            if state.ended {
                return None;
            }
            state.changes.mark_unchanged();
            let new = state.feed.since(state.next);
            state.next += new.len();
            state.queue.extend(new);
            if state.queue.is_empty() {
                // The feed is held here, so its sender lives.
                state.changes.changed().await.ok()?;
            }
        }
    })
}
