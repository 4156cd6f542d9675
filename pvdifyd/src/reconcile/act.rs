//! Makes the planned moves. What is slow (starts, stops, removals) runs beside the loop and is entered as
//! busy until it ended, so that the loop never waits for one app's 30 seconds of grace.
//!
//! Every move may fail or be made twice: the next look shows what came of it, and the plan is made anew.

use super::{
    desired::{self, ControlState, Result},
    listening, narrate,
    plan::{Busy, Failure, Step, Why},
};
use crate::{
    engine::{EngineError, InstanceEngine, InstanceKey, InstanceSpec},
    logs::{Ingest, LogStore, SOURCE_PVDIFY},
};
use pvdify_api::logs::LogLine;
use pvdify_types::{AppId, InstanceId, ReleaseVersion};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};

/// Log lines that a failed release keeps.
const TAIL_LINES: usize = 20;

/// How a slow move ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Started(InstanceKey),
    NotStarted(InstanceKey, EngineError),
    Ended(InstanceId),
}

/// Makes moves, and knows which are under way.
pub(super) struct Actor {
    engine: Arc<dyn InstanceEngine>,
    state: Arc<dyn ControlState>,
    voice: Voice,
    ingest: Ingest,
    stop_grace: Duration,
    starts: Arc<Semaphore>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    busy: Busy,
}

/// Pvdify's own lines in an app's log.
#[derive(Clone, Debug)]
pub(super) struct Voice {
    logs: LogStore,
}

impl Voice {
    pub(super) fn new(logs: LogStore) -> Self {
        Self { logs }
    }

    pub(super) fn say(&self, key: &InstanceKey, message: String) {
        let line = LogLine {
            time: OffsetDateTime::now_utc(),
            source: SOURCE_PVDIFY.to_owned(),
            process: key.dyno(),
            message,
        };
        self.logs.append(&key.app, line);
    }
}

impl Actor {
    pub(super) fn new(
        engine: Arc<dyn InstanceEngine>,
        state: Arc<dyn ControlState>,
        voice: Voice,
        ingest: Ingest,
        stop_grace: Duration,
        starts_at_once: usize,
    ) -> (Self, mpsc::UnboundedReceiver<Outcome>) {
        let (outcomes, receiver) = mpsc::unbounded_channel();
        let actor = Self {
            engine,
            state,
            voice,
            ingest,
            stop_grace,
            starts: Arc::new(Semaphore::new(starts_at_once)),
            outcomes,
            busy: Busy::default(),
        };
        (actor, receiver)
    }

    pub(super) fn busy(&self) -> &Busy {
        &self.busy
    }

    /// Takes a slow move off the list.
    pub(super) fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Started(key) | Outcome::NotStarted(key, _) => self.busy.starting.remove(key),
            Outcome::Ended(instance) => self.busy.ending.remove(instance),
        };
    }

    pub(super) async fn run(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Start(spec) => self.start(*spec).await,
            Step::Stop(instance, key) => self.stop(instance, key),
            Step::Remove(instance, key, why) => self.remove(instance, &key, why),
            Step::Activate(app, version) => self.state.activate(&app, version).await?,
            Step::Fail(app, version, failure) => self.fail(&app, version, failure).await?,
            Step::RemoveNetwork(name) => self.engine.remove_network(&name).await?,
            Step::Forget(app) => {
                self.state.forget(&app).await?;
                // What is still being read would make the app's log anew.
                self.ingest.flush().await;
                self.voice.logs.remove(&app);
            }
        }
        Ok(())
    }

    async fn start(&mut self, spec: InstanceSpec) {
        if !self.busy.starting.insert(spec.key.clone()) {
            return;
        }
        let key = &spec.key;
        self.state
            .progress(&key.app, key.release, format!("Starting {}", key.dyno()))
            .await;
        let (engine, starts, outcomes) = (
            Arc::clone(&self.engine),
            Arc::clone(&self.starts),
            self.outcomes.clone(),
        );
        let state = Arc::clone(&self.state);
        let voice = self.voice.clone();
        tokio::spawn(async move {
            // The semaphore is never closed; without a permit the start would merely not wait its turn.
            let _turn = starts.acquire().await.ok();
            voice.say(&spec.key, narrate::starting(&spec.command));
            let key = spec.key.clone();
            let started = async {
                let bindings = state.bindings(&key.app, key.release).await;
                let bindings = bindings.map_err(|error| unreadable(&error))?;
                engine.start(&InstanceSpec { bindings, ..spec }).await
            };
            let outcome = match started.await {
                Ok(_) => Outcome::Started(key),
                Err(error) => {
                    tracing::warn!(app = %key.app_name, dyno = %key.dyno(), %error, "not started");
                    voice.say(&key, format!("Process could not be started: {error}"));
                    Outcome::NotStarted(key, error)
                }
            };
            // Without a receiver the loop has ended, and nobody needs to know.
            outcomes.send(outcome).ok();
        });
    }

    fn stop(&mut self, instance: InstanceId, key: InstanceKey) {
        if !self.busy.ending.insert(instance.clone()) {
            return;
        }
        let (end, voice, grace) = (self.end(), self.voice.clone(), self.stop_grace);
        tokio::spawn(async move {
            voice.say(&key, "Stopping all processes with SIGTERM".to_owned());
            match end.engine.stop(&instance, grace).await {
                Ok(stopped) => {
                    if stopped.killed {
                        voice.say(&key, exit_timeout(grace));
                        voice.say(&key, "Stopping remaining processes with SIGKILL".to_owned());
                    }
                    if let Some(status) = stopped.status {
                        voice.say(&key, format!("Process exited with status {status}"));
                    }
                }
                // It is removed below, and killed if need be.
                Err(error) => tracing::warn!(%instance, %error, "not stopped"),
            }
            end.finish(instance).await;
        });
    }

    fn remove(&mut self, instance: InstanceId, key: &InstanceKey, why: Why) {
        if !self.busy.ending.insert(instance.clone()) {
            return;
        }
        self.voice.say(key, farewell(why).to_owned());
        let end = self.end();
        tokio::spawn(async move { end.finish(instance).await });
    }

    fn end(&self) -> End {
        End {
            engine: Arc::clone(&self.engine),
            ingest: self.ingest.clone(),
            outcomes: self.outcomes.clone(),
        }
    }

    async fn fail(&self, app: &AppId, version: ReleaseVersion, failure: Failure) -> Result<()> {
        let mut reason = failure.reason;
        let mut tail = Vec::new();
        if let Some((instance, key)) = &failure.instance {
            if let Some(line) = failure.platform_line {
                self.voice.say(key, line);
            }
            if let Some(port) = failure.silent_port
                && let Some(more) = self.where_it_listens(instance, port).await
            {
                reason = format!("{reason}: {more}");
            }
            self.ingest.flush().await;
            tail = match self.voice.logs.tail_of_instance(app, instance, TAIL_LINES) {
                Ok(lines) => lines.into_iter().map(|line| line.message).collect(),
                Err(error) => {
                    tracing::warn!(%app, %error, "the last log lines of a failed release could not be read");
                    Vec::new()
                }
            };
        }
        self.state.fail(app, version, reason, tail).await
    }

    // Of an engine that can't tell, or a process of which nothing may be read, there is no more to say.
    async fn where_it_listens(&self, instance: &InstanceId, port: u16) -> Option<String> {
        let pid = self.engine.inspect(instance).await.ok()??.pid?;
        listening::explain(&listening::addresses(pid), port)
    }
}

/// What the end of an instance needs.
struct End {
    engine: Arc<dyn InstanceEngine>,
    ingest: Ingest,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl End {
    /// Removes it once its last words are read: they go with it.
    async fn finish(self, instance: InstanceId) {
        self.ingest.flush().await;
        if let Err(error) = self.engine.remove(&instance).await {
            tracing::warn!(%instance, %error, "not removed; tried again");
        }
        // Without a receiver the loop has ended, and nobody needs to know.
        self.outcomes.send(Outcome::Ended(instance)).ok();
    }
}

fn unreadable(error: &desired::Error) -> EngineError {
    EngineError::Unavailable(format!("what the app is bound to can't be read: {error}"))
}

fn exit_timeout(grace: Duration) -> String {
    format!(
        "Error R12 (Exit timeout) -> At least one process failed to exit within {} seconds of SIGTERM",
        grace.as_secs()
    )
}

fn farewell(why: Why) -> &'static str {
    match why {
        Why::Lost => "Process lost its monitor and is replaced",
        Why::Dead => "Process does not run and is replaced",
        Why::Looping => "Process crashes again and again: it is left alone for a while before the next start",
    }
}
