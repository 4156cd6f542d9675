//! A push's build, done by the control plane: the source goes there, its words come back.
//!
//! The build is believed in one case only: when it said `Released`. Whatever else ends it, a refusal, a
//! broken connection, a tree that can't be read to its end, is a failure in which nothing changed.

use crate::{
    progress::Output,
    push::{Halt, Push, blocking, explain},
    receive,
    repo::Quarantine,
    source::{self, Source},
};
use gix::ObjectId;
use pvdify_client::{
    Body,
    wire::{BuildEvent, BuildQuery, PushGrant},
};
use std::{io, sync::Arc};
use tokio::task::spawn_blocking;

/// How a build ended.
pub(crate) enum Built {
    /// Lines for the person; none where nothing was deployed.
    Released(Vec<String>),
    /// Lines for the person.
    Failed(Vec<String>),
}

impl Push<'_> {
    /// Streams the commit's tree to the control plane and its words back, to the build's end.
    pub(crate) async fn build(
        &self,
        grant: &PushGrant,
        commit: ObjectId,
        quarantine: Arc<Quarantine>,
        output: &mut Output,
    ) -> Built {
        let limits = self.shared.limits.clone();
        let surveyed = blocking(move || {
            let repository = receive::open(&quarantine).map_err(io::Error::other)?;
            Ok((
                Source::survey(&repository, commit, &limits),
                repository.into_sync(),
                quarantine,
            ))
        });
        let (source, repository, quarantine) = match output.alive_while(surveyed).await {
            Ok((Ok(source), repository, quarantine)) => (source, repository, quarantine),
            Ok((Err(refusal), ..)) => return Built::Failed(vec![refusal.to_string()]),
            Err(error) => return Built::Failed(Halt::internal("The commit can't be read", &error).0),
        };
        for warning in &source.warnings {
            output.line(warning).await;
        }

        let (mut writer, chunks) = source::pipe();
        // Holds the quarantine: it must not go while the tree is read from it.
        let sending = spawn_blocking(move || {
            let _quarantine = quarantine;
            match source.write_tar(&repository.to_thread_local(), &mut writer) {
                // A side that stopped reading says why itself.
                Ok(()) => writer.finish().or(Ok(())),
                Err(_) if writer.is_unread() => Ok(()),
                Err(error) => Err(error.probable_cause().to_string()),
            }
        });
        let query = BuildQuery {
            commit: commit.to_string(),
            fingerprint: self.pusher.fingerprint.clone(),
        };
        let built = self
            .follow_build(grant, &query, Body::wrap_stream(chunks), output)
            .await;
        match (built, sending.await) {
            (built, Ok(Ok(()))) => built,
            // The control plane released what it can't have read to its end: it is the one to be believed.
            (Built::Released(lines), _) => Built::Released(lines),
            (Built::Failed(_), Ok(Err(cause))) => {
                Built::Failed(vec![format!("The commit can't be read: {cause}")])
            }
            (Built::Failed(_), Err(error)) => {
                Built::Failed(Halt::internal("The commit can't be read", &error).0)
            }
        }
    }

    async fn follow_build(
        &self,
        grant: &PushGrant,
        query: &BuildQuery,
        source: Body,
        output: &mut Output,
    ) -> Built {
        let lost = |error: Option<pvdify_client::Error>| {
            tracing::error!(app = %grant.app, ?error, "the build's answer ended early");
            Built::Failed(vec![
                "Pvdify's control plane stopped during the build; nothing was changed: push again."
                    .to_owned(),
            ])
        };
        let started = output
            .alive_while(self.shared.control.build(&grant.app, query, source))
            .await;
        let mut events = match started {
            Ok(events) => events,
            Err(error) => return Built::Failed(explain(&error)),
        };
        loop {
            match output.alive_while(events.next()).await {
                Ok(Some(BuildEvent::Line { text })) => output.line(&text).await,
                Ok(Some(BuildEvent::KeepAlive)) => output.keep_alive().await,
                Ok(Some(BuildEvent::Released { version, url })) => {
                    tracing::info!(app = %grant.app, version, "released");
                    return Built::Released(vec![
                        format!("Released v{version}"),
                        format!("{url} deployed to Pvdify"),
                    ]);
                }
                Ok(Some(BuildEvent::Failed { message })) => {
                    return Built::Failed(message.lines().map(str::to_owned).collect());
                }
                Ok(None) => return lost(None),
                Err(error) => return lost(Some(error)),
            }
        }
    }
}
