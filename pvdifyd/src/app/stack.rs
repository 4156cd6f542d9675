//! Every app on the newest run image: a release of its code on other base layers, without a build.
//!
//! An app's release is made when nothing else of it is open, in its turn among its builds: then its image is that of
//! the code that serves, and neither undoes a deploy that is under way nor waits behind one. It goes the way of any
//! release, so an app that does not become ready on the new run image goes on serving on the old one.
//!
//! One such run is at work at a time, as a task that outlives whoever asked. A kill leaves each app on the one or
//! the other run image, and the next run does the rest: which apps are to be done is read from their images.

use super::{
    Acting, Action, App,
    authorise::Principal,
    error::{Error, Result},
    ports::ImageError,
    progress::{Feed, followed},
    releases::create,
};
use crate::store::{
    self, apps,
    releases::{self, Code, New, Release},
};
use futures_util::{Stream, StreamExt, future::join_all};
use pvdify_api::{
    releases::ReleaseEvent,
    stack::{StackEvent, StackOutcome},
};
use pvdify_types::{AppId, AppName, ReleaseCause, ReleaseStatus, ReleaseVersion};
use std::{pin::pin, sync::Arc};
use tokio::sync::{Mutex, Semaphore};

/// Apps whose releases start at a time: each has its instances twice for a moment.
const AT_A_TIME: usize = 4;
/// How often an app is looked at again because something was deployed meanwhile.
const TRIES: usize = 5;

/// The run under way.
#[derive(Default)]
pub(super) struct Rebases {
    turn: Arc<Mutex<()>>,
}

/// What serves, with nothing else on its way.
struct Serving {
    release: Release,
    code: Code,
}

impl Acting {
    /// Puts every app on the newest run image; what came of each, as it comes.
    ///
    /// # Errors
    /// When refused.
    pub fn rebase_stack(&self) -> Result<impl Stream<Item = StackEvent> + Send + use<>> {
        self.may(Action::RebaseStack)?;
        let user = match &self.principal {
            Principal::ControlPeer => "pvdifyd",
            _ => self.user(),
        };
        let feed = Arc::new(Feed::default());
        let (app, user, to) = (self.app.clone(), user.to_owned(), Arc::clone(&feed));
        tokio::spawn(async move {
            // A panic ends the run, not those who wait for it.
            let work = tokio::spawn({
                let to = Arc::clone(&to);
                async move { app.rebase_all(&user, &to).await }
            });
            let last = work.await.unwrap_or_else(|error| {
                tracing::error!(%error, "a rebase of all apps broke");
                let message = "the rebase broke; the server's log has the cause".to_owned();
                StackEvent::Failed { message }
            });
            to.push_last(last);
        });
        Ok(followed(feed, |event| {
            matches!(event, StackEvent::Done { .. } | StackEvent::Failed { .. })
        }))
    }
}

impl App {
    async fn rebase_all(&self, user: &str, feed: &Feed<StackEvent>) -> StackEvent {
        let turn = Arc::clone(&self.inner.rebases.turn);
        let _turn = turn.lock_owned().await;
        let run_image = match self.inner.images.publish_run_image().await {
            Ok(run_image) => run_image,
            Err(error) => {
                return StackEvent::Failed {
                    message: error.to_string(),
                };
            }
        };
        feed.push(StackEvent::Published {
            digest: run_image.digest.to_string(),
            changed: run_image.changed,
        });
        let listed = self
            .store()
            .read(|reader| Ok::<_, Error>(apps::list(reader)?))
            .await;
        let all = match listed {
            Ok(all) => all,
            Err(error) => {
                return StackEvent::Failed {
                    message: error.to_string(),
                };
            }
        };
        let slots = Semaphore::new(AT_A_TIME);
        let work = all.into_iter().filter(|app| !app.deleting).map(|app| {
            let slots = &slots;
            async move {
                let outcome = self.rebase_app(&app.id, &app.name, user, slots).await;
                let outcome = outcome.unwrap_or_else(|error| {
                    tracing::warn!(%error, app = %app.name, "an app stays on its older run image");
                    Some(StackOutcome::Failed {
                        reason: error.to_string(),
                    })
                })?;
                feed.push(StackEvent::App {
                    app: app.name,
                    outcome: outcome.clone(),
                });
                Some(outcome)
            }
        });
        let outcomes: Vec<StackOutcome> = join_all(work).await.into_iter().flatten().collect();
        let count = |is: fn(&StackOutcome) -> bool| {
            u32::try_from(outcomes.iter().filter(|outcome| is(outcome)).count()).unwrap_or(u32::MAX)
        };
        StackEvent::Done {
            released: count(|outcome| matches!(outcome, StackOutcome::Released { .. })),
            newest: count(|outcome| matches!(outcome, StackOutcome::Newest)),
            not_rebasable: count(|outcome| matches!(outcome, StackOutcome::NotRebasable { .. })),
            failed: count(|outcome| matches!(outcome, StackOutcome::Failed { .. })),
        }
    }

    /// What came of an app; `None` for one that does not serve.
    async fn rebase_app(
        &self,
        id: &AppId,
        name: &AppName,
        user: &str,
        slots: &Semaphore,
    ) -> Result<Option<StackOutcome>> {
        let ticket = self.queue_up(name, id)?;
        let _turn = Arc::clone(&ticket.turn).lock_owned().await;
        for _ in 0..TRIES {
            let Some(serving) = self.undisturbed(id).await? else {
                return Ok(None);
            };
            let _slot = slots.acquire().await.expect("the slots are never closed");
            let image = match self.inner.images.rebase(name, &serving.code.image).await {
                Ok(image) if image == serving.code.image => return Ok(Some(StackOutcome::Newest)),
                Ok(image) => image,
                Err(ImageError::Refused(reason)) => return Ok(Some(StackOutcome::NotRebasable { reason })),
                Err(error @ ImageError::Unavailable(_)) => {
                    return Ok(Some(StackOutcome::Failed {
                        reason: error.to_string(),
                    }));
                }
            };
            let code = Code {
                image,
                ..serving.code
            };
            if let Some(version) = self
                .release_rebased(id, serving.release.version, code, user)
                .await?
            {
                return Ok(Some(self.outcome(id, version).await));
            }
        }
        let reason = "it was deployed all the time".to_owned();
        Ok(Some(StackOutcome::Failed { reason }))
    }

    /// Waits until no release of the app is open, and gives the one that serves.
    async fn undisturbed(&self, id: &AppId) -> Result<Option<Serving>> {
        loop {
            let wanted = id.clone();
            let (open, current) = self
                .store()
                .read(move |reader| {
                    let open = releases::open(reader, &wanted)?.pop();
                    Ok::<_, Error>((open, releases::current(reader, &wanted)?))
                })
                .await?;
            let Some(open) = open else {
                return Ok(current.and_then(|release| {
                    let code = release.code.clone()?;
                    Some(Serving { release, code })
                }));
            };
            self.outcome(id, open.version).await;
        }
    }

    /// Releases it, unless something else was deployed meanwhile.
    async fn release_rebased(
        &self,
        id: &AppId,
        serving: ReleaseVersion,
        code: Code,
        user: &str,
    ) -> Result<Option<ReleaseVersion>> {
        let (wanted, user) = (id.clone(), user.to_owned());
        let released = self
            .store()
            .write(move |tx| {
                let app = apps::by_id(tx, &wanted)?.filter(|app| !app.deleting);
                let current = releases::current(tx, &wanted)?.filter(|current| current.version == serving);
                let (Some(app), Some(current)) = (app, current) else {
                    return Ok(None);
                };
                if !releases::open(tx, &wanted)?.is_empty() {
                    return Ok(None);
                }
                let new = New {
                    status: ReleaseStatus::Pending,
                    cause: ReleaseCause::Stack,
                    reference: current.reference,
                    code: Some(code),
                    config_version: app.config_version,
                    config_before: None,
                    description: "Stack update".to_owned(),
                    user,
                };
                create(tx, &app, &new, store::now()).map(Some)
            })
            .await?;
        let Some(release) = released else { return Ok(None) };
        self.announce(id, &release);
        self.inner.handle.wake();
        Ok(Some(release.version))
    }

    /// How a release ended.
    async fn outcome(&self, id: &AppId, version: ReleaseVersion) -> StackOutcome {
        let mut progress = pin!(self.release_progress(id.clone(), version));
        while let Some(event) = progress.next().await {
            match event {
                ReleaseEvent::Done { status, .. } if status.has_served() => {
                    return StackOutcome::Released { version: version.0 };
                }
                ReleaseEvent::Done { failure, .. } => {
                    let reason = failure.unwrap_or_else(|| "the release failed".to_owned());
                    return StackOutcome::Failed { reason };
                }
                ReleaseEvent::Line { .. } => {}
            }
        }
        let reason = "the release's end is not known".to_owned();
        StackOutcome::Failed { reason }
    }
}
