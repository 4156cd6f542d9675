//! One push, as a state machine read top to bottom: authorise, wait, advertise, receive, judge, build, move.
//!
//! Why in this order: objects are checked in quarantine before the build reads them, and move only when the
//! control plane said `Released`, so that a refusal of any kind leaves nothing behind. The app's turn is held
//! from the advertisement to the end, so that what the client saw is what its commands are measured by.
//! From the build on a client that vanishes changes nothing: a release that came to be has its ref.
//! A kill after `Released` and before the move leaves the old ref; the next push of the same commit is
//! answered by the control plane from the release that exists.

use crate::{
    build::Built,
    policy::{self, Facts, Judgement, Verdict},
    progress::{Output, Writer},
    receive::{self, Command, Received, Refs},
    repo::{Quarantine, Queue},
    ssh::{Input, Pusher, Shared},
};
use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    prelude::HeaderExt,
};
use pvdify_client::wire::PushGrant;
use pvdify_types::AppName;
use russh::{Channel, ChannelReadHalf, server::Msg};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{sync::OwnedMutexGuard, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// What git prints behind a ref whose build failed: Heroku's words, that scripts look for.
const DECLINED: &str = "pre-receive hook declined";

/// Who pushes where.
pub(crate) struct Push<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) pusher: &'a Pusher,
    pub(crate) app: &'a AppName,
    pub(crate) gone: CancellationToken,
}

/// The exit status that the client's SSH sees. A refused ref is no failure of the program: git reads the
/// report.
const DONE: u32 = 0;
const FAILED: u32 = 1;

/// What a full disk is to a person, wherever it is met.
pub(crate) const DISK_FULL: &str =
    "the server's disk is full; nothing was changed: free space there, then push again";

/// What ended a push before there was anything to report on; each line is for the person.
pub(crate) struct Halt(pub(crate) Vec<String>);

impl Halt {
    fn line(line: impl Into<String>) -> Self {
        Self(vec![line.into()])
    }

    /// For the person the fact, for the log the cause.
    pub(crate) fn internal(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        Self::line(format!("{what}; nothing was changed: see the server's log"))
    }

    /// The same of the disk, whose being full is no secret of the log's.
    fn storage(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::line(DISK_FULL),
            _ => Self::internal(what, error),
        }
    }
}

impl Push<'_> {
    /// Serves the channel to its end and gives the exit status.
    pub(crate) async fn run(&self, channel: Channel<Msg>) -> u32 {
        let (input, output) = channel.split();
        let stdout: Writer = Box::pin(output.make_writer());
        let stderr: Writer = Box::pin(output.make_writer_ext(Some(1)));
        let mut output = Output::new(stdout, stderr, self.gone.clone());
        match self.serve(input, &mut output).await {
            Ok(()) => DONE,
            Err(Halt(lines)) => {
                for line in lines {
                    output.line(&format!(" !     {line}")).await;
                }
                FAILED
            }
        }
    }

    async fn serve(&self, input: ChannelReadHalf, output: &mut Output) -> Result<(), Halt> {
        let grant = self.authorise().await?;
        let _turn = self.wait_for_turn(&grant, output).await?;
        let (git_dir, refs, quarantine) = self.open(&grant).await?;
        output.raw(&receive::advertisement(&refs)).await;

        let received = self.receive(input, Arc::clone(&quarantine)).await?;
        let Received { request, unpacked } = received;
        if request.commands.is_empty() {
            return Ok(());
        }
        output.use_side_band(request.capabilities.side_band);
        let commands = request.commands;
        if let Err(reason) = unpacked {
            tracing::info!(app = %grant.app, key = %self.pusher.name, %reason, "a pack was refused");
            let fates = all(&commands, "unpacker error");
            self.report(request.capabilities.report_status, Err(&reason), &fates, output)
                .await;
            return Ok(());
        }

        let judgement = self
            .judge(
                &commands,
                &refs,
                &grant,
                request.capabilities.atomic,
                Arc::clone(&quarantine),
            )
            .await?;
        for note in &judgement.notes {
            output.line(note).await;
        }
        let built = match judgement.deploy() {
            Some(at) => {
                self.build(&grant, commands[at].new, Arc::clone(&quarantine), output)
                    .await
            }
            None => Built::Released(Vec::new()),
        };
        let fates = match built {
            Built::Failed(lines) => {
                for line in lines {
                    output.line(&format!(" !     {line}")).await;
                }
                output.line(" !     Push rejected.").await;
                all(&commands, DECLINED)
            }
            Built::Released(lines) if judgement.has_work() => {
                let fates = self
                    .accept(&git_dir, refs, quarantine, &commands, &judgement)
                    .await;
                for line in lines {
                    output.line(&format!("       {line}")).await;
                }
                fates
            }
            Built::Released(_) => fates(&commands, &judgement),
        };
        for (name, fate) in &fates {
            tracing::info!(app = %grant.app, key = %self.pusher.name, r#ref = %name, ok = fate.is_ok(), "pushed");
        }
        self.report(request.capabilities.report_status, Ok(()), &fates, output)
            .await;
        Ok(())
    }

    async fn authorise(&self) -> Result<PushGrant, Halt> {
        let asked = self
            .shared
            .control
            .authorise_push(&self.pusher.fingerprint, self.app.as_str())
            .await;
        asked.map_err(|error| Halt(explain(&error)))
    }

    /// The app's earlier pushes come first. A client that goes meanwhile gives its place up.
    async fn wait_for_turn(
        &self,
        grant: &PushGrant,
        output: &mut Output,
    ) -> Result<OwnedMutexGuard<()>, Halt> {
        let queue = self
            .shared
            .repositories
            .turn(&grant.app_id)
            .queue(self.shared.limits.waiting_pushes);
        let place = match queue {
            Queue::Now(guard) => return Ok(guard),
            Queue::Full => {
                return Err(Halt::line(format!(
                    "Too many pushes to {} are waiting: try again later.",
                    grant.app
                )));
            }
            Queue::Later(place) => place,
        };
        output
            .line(&format!(
                "Another push to {} is under way: waiting for it to end...",
                grant.app
            ))
            .await;
        tokio::select! {
            guard = place.wait() => Ok(guard),
            () = self.gone.cancelled() => Err(Halt(Vec::new())),
        }
    }

    async fn open(&self, grant: &PushGrant) -> Result<(PathBuf, Refs, Arc<Quarantine>), Halt> {
        let (shared, app) = (Arc::clone(self.shared), grant.app_id.clone());
        let opened = blocking(move || {
            let git_dir = shared.repositories.repository(&app)?;
            let refs = Refs::read(&git_dir)?;
            Ok((git_dir, refs, Arc::new(shared.repositories.quarantine(&app)?)))
        });
        opened
            .await
            .map_err(|error| Halt::storage("The repository can't be opened", &error))
    }

    /// Reads commands and pack. When the client goes, the unpacking stops with it.
    async fn receive(&self, channel: ChannelReadHalf, quarantine: Arc<Quarantine>) -> Result<Received, Halt> {
        let shared = Arc::clone(self.shared);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let total = shared.limits.receive_total;
        let input = Input::new(channel, shared.limits.receive_idle, total);
        let late = input.late();
        let mut received =
            spawn_blocking(move || receive::receive(input, &quarantine, &shared.limits, &stopped));
        let received = tokio::select! {
            received = &mut received => received,
            () = self.gone.cancelled() => {
                stop.store(true, Ordering::Relaxed);
                received.await
            }
        };
        let received = received.map_err(|error| Halt::internal("The push can't be received", &error))?;
        if !late.load(Ordering::Relaxed) {
            return received.map_err(|error| Halt::line(error.to_string()));
        }
        let reason = format!(
            "the push was not here after {} seconds; nothing was changed: push over a faster line, or in parts",
            total.as_secs()
        );
        match received {
            Ok(received) => Ok(Received {
                unpacked: Err(reason),
                ..received
            }),
            Err(_) => Err(Halt::line(reason)),
        }
    }

    async fn judge(
        &self,
        commands: &[Command],
        refs: &Refs,
        grant: &PushGrant,
        atomic: bool,
        quarantine: Arc<Quarantine>,
    ) -> Result<Judgement, Halt> {
        let (commands, refs, deploy_branches) =
            (commands.to_vec(), refs.clone(), grant.deploy_branches.clone());
        let judged = blocking(move || {
            let repository = receive::open(&quarantine).map_err(io::Error::other)?;
            let kind_of = |id: &ObjectId| repository.objects.header(id).ok().map(|header| header.kind());
            let facts = Facts {
                refs: &refs,
                deploy_branches: &deploy_branches,
                kind_of: &kind_of,
                atomic,
            };
            Ok(policy::judge(&commands, &facts))
        });
        judged
            .await
            .map_err(|error| Halt::storage("The pushed objects can't be read", &error))
    }

    /// The objects move, then the refs, each durably. After a release this can still fail (the disk breaks):
    /// then the ref is reported as not moved, which is the truth, and the release serves.
    async fn accept(
        &self,
        git_dir: &Path,
        mut refs: Refs,
        quarantine: Arc<Quarantine>,
        commands: &[Command],
        judgement: &Judgement,
    ) -> Vec<Fate> {
        let accepted = || {
            commands
                .iter()
                .zip(&judgement.verdicts)
                .filter(|(_, v)| !matches!(v, Verdict::Refuse(_)))
        };
        for (command, _) in accepted() {
            refs.set(command.name.as_bstr(), command.new);
        }
        let git_dir = git_dir.to_owned();
        let moved = blocking(move || {
            quarantine.migrate()?;
            refs.write(&git_dir)
        });
        match moved.await {
            Ok(()) => fates(commands, judgement),
            Err(error) => {
                tracing::error!(%error, app = %self.app, "the pushed refs can't be stored");
                all(
                    commands,
                    "failed to update ref: the server can't store it, see its log",
                )
            }
        }
    }

    async fn report(&self, wanted: bool, unpacked: Result<(), &str>, fates: &[Fate], output: &mut Output) {
        if wanted {
            output.report(unpacked, fates).await;
        }
    }
}

/// A ref and what became of it.
type Fate = (BString, Result<(), String>);

fn fates(commands: &[Command], judgement: &Judgement) -> Vec<Fate> {
    let fate = |verdict: &Verdict| match verdict {
        Verdict::Store | Verdict::Deploy => Ok(()),
        Verdict::Refuse(reason) => Err((*reason).to_owned()),
    };
    commands
        .iter()
        .zip(&judgement.verdicts)
        .map(|(c, verdict)| (c.name.clone(), fate(verdict)))
        .collect()
}

fn all(commands: &[Command], reason: &str) -> Vec<Fate> {
    commands
        .iter()
        .map(|command| (command.name.clone(), Err(reason.to_owned())))
        .collect()
}

/// The control plane's refusal in its own words, its absence in ours.
pub(crate) fn explain(error: &pvdify_client::Error) -> Vec<String> {
    match error {
        pvdify_client::Error::Refused { body, .. } => [&body.error, &body.hint]
            .into_iter()
            .filter(|line| !line.is_empty())
            .cloned()
            .collect(),
        error => {
            tracing::error!(%error, "the control plane can't be asked");
            vec![
                "Pvdify's control plane can't be reached; nothing was changed: try again in a moment."
                    .to_owned(),
            ]
        }
    }
}

/// Runs disk work where it may block; a panic there is an error here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
