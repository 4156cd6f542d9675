//! Makes the planned moves. What is slow (starts, stops, removals) runs beside the loop and is entered as
//! busy until it ended, so that the loop never waits for one app's 30 seconds of grace.
//!
//! Every move may fail or be made twice: the next look shows what came of it, and the plan is made anew.

use super::{
    desired::{self, ControlState, OneOffEnd, Result},
    listening, narrate,
    plan::{Busy, Ended, Failure, Step, Why},
    relay::{self, Relays},
};
use crate::{
    engine::{EngineError, InstanceEngine, InstanceKey, InstanceSpec},
    logs::{Ingest, LogStore, SOURCE_PVDIFY},
};
use pvdify_api::logs::LogLine;
use pvdify_types::{AppId, InstanceId, OneOffStatus, ReleaseVersion};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc};

/// Log lines that a failed release keeps.
const TAIL_LINES: usize = 20;
/// Log lines that are kept of what ran once.
const OUTPUT_LINES: usize = 2000;
/// Heroku's words for what runs once.
const UP: &str = "State changed from starting to up";
const COMPLETE: &str = "State changed from up to complete";

/// How a slow move ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Started(InstanceKey),
    Prepared(InstanceKey),
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
    relays: Relays,
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

    /// The last lines that an instance wrote, as far as they are in the log.
    fn last_lines(&self, app: &AppId, instance: &InstanceId, count: usize) -> Vec<String> {
        match self.logs.tail_of_instance(app, instance, count) {
            Ok(lines) => lines.into_iter().map(|line| line.message).collect(),
            Err(error) => {
                tracing::warn!(%app, %instance, %error, "the last log lines of an instance could not be read");
                Vec::new()
            }
        }
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
            relays: Relays::default(),
        };
        (actor, receiver)
    }

    pub(super) fn busy(&self) -> &Busy {
        &self.busy
    }

    /// Takes a slow move off the list.
    pub(super) fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Started(key) => {
                self.busy.starting.remove(key);
            }
            Outcome::NotStarted(key, _) => {
                self.busy.starting.remove(key);
                self.busy.preparing.remove(key);
            }
            Outcome::Prepared(key) => {
                self.busy.preparing.remove(key);
                self.busy.prepared.insert(key.clone());
            }
            Outcome::Ended(instance) => {
                self.busy.ending.remove(instance);
            }
        }
    }

    /// What was prepared for a start that nobody wants any more need not be there when it is wanted again.
    pub(super) fn forget_prepared(&mut self, wanted: &[InstanceKey]) {
        self.busy.prepared.retain(|key| wanted.contains(key));
    }

    pub(super) async fn run(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Start(spec) => self.start(*spec).await,
            Step::Prepare(spec) => self.prepare(*spec),
            Step::Stop(instance, key) => self.stop(instance, key),
            Step::GiveWay(instance, key, to) => {
                let text = format!(
                    "Stopping {} of {}: it has a volume that {to} is to have. The app is without it until that is up",
                    key.dyno(),
                    key.release
                );
                self.state.progress(&key.app, to, text).await;
                self.stop(instance, key);
            }
            Step::Remove(instance, key, why) => self.remove(instance, &key, why),
            Step::Activate(app, version) => self.state.activate(&app, version).await?,
            Step::Fail(app, version, failure) => self.fail(&app, version, failure).await?,
            Step::Began(key, since) => {
                if let Some(name) = key.one_off() {
                    self.voice.say(&key, UP.to_owned());
                    self.state.one_off_began(&key.app, name, since).await?;
                }
            }
            Step::Halt(instance, key) => self.halt(instance, key),
            Step::End(instance, key, ended) => self.end_one_off(instance, key, ended).await?,
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

    fn prepare(&mut self, spec: InstanceSpec) {
        if !self.busy.preparing.insert(spec.key.clone()) {
            return;
        }
        let (engine, outcomes) = (Arc::clone(&self.engine), self.outcomes.clone());
        tokio::spawn(async move {
            let outcome = match engine.prepare(&spec).await {
                Ok(()) => Outcome::Prepared(spec.key),
                Err(error) => {
                    tracing::warn!(app = %spec.key.app_name, dyno = %spec.key.dyno(), %error, "can't be started");
                    Outcome::NotStarted(spec.key, error)
                }
            };
            // Without a receiver the loop has ended, and nobody needs to know.
            outcomes.send(outcome).ok();
        });
    }

    async fn start(&mut self, spec: InstanceSpec) {
        if !self.busy.starting.insert(spec.key.clone()) {
            return;
        }
        let key = &spec.key;
        if let Some(text) = announcement(&spec) {
            self.state.progress(&key.app, key.release, text).await;
        }
        self.relays.begin(&self.state, &self.voice.logs, key);
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
            voice.say(&spec.key, narrate::starting(&spec.command.text()));
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
            // One that can't be stopped is removed below, and killed if need be.
            if let Some(status) = end.stop(&voice, &instance, &key, grace).await {
                voice.say(&key, exited(status));
            }
            if let Some(name) = key.one_off() {
                end.ingest.flush().await;
                let output = voice.last_lines(&key.app, &instance, OUTPUT_LINES);
                if let Err(error) = end.state.one_off_output(&key.app, name, output).await {
                    tracing::warn!(%instance, %error, "what a process wrote that ran once was not kept");
                }
            }
            end.finish(instance).await;
        });
    }

    fn halt(&mut self, instance: InstanceId, key: InstanceKey) {
        if !self.busy.ending.insert(instance.clone()) {
            return;
        }
        let (end, voice, grace) = (self.end(), self.voice.clone(), self.stop_grace);
        tokio::spawn(async move {
            // The next look sees how it exited, and tells.
            end.stop(&voice, &instance, &key, grace).await;
            // Without a receiver the loop has ended, and nobody needs to know.
            end.outcomes.send(Outcome::Ended(instance)).ok();
        });
    }

    /// Its end is written down before it goes: a kill in between finds it once more.
    async fn end_one_off(
        &mut self,
        instance: Option<InstanceId>,
        key: InstanceKey,
        ended: Ended,
    ) -> Result<()> {
        let Some(name) = key.one_off() else { return Ok(()) };
        self.ingest.flush().await;
        self.relays.end(&key).await;
        let output = instance
            .as_ref()
            .map(|instance| self.voice.last_lines(&key.app, instance, OUTPUT_LINES));
        if let Some(status) = ended.exit_status {
            self.voice.say(&key, exited(status));
        }
        self.voice.say(&key, COMPLETE.to_owned());
        let end = OneOffEnd {
            status: match ended.failure {
                None => OneOffStatus::Succeeded,
                Some(_) => OneOffStatus::Failed,
            },
            exit_status: ended.exit_status,
            failure: ended.failure,
            output: output.unwrap_or_default(),
        };
        self.state.one_off_ended(&key.app, name, end).await?;
        if let Some(instance) = instance.filter(|instance| self.busy.ending.insert(instance.clone())) {
            let end = self.end();
            tokio::spawn(async move { end.finish(instance).await });
        }
        Ok(())
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
            state: Arc::clone(&self.state),
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
            tail = self.voice.last_lines(app, instance, TAIL_LINES);
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
    state: Arc<dyn ControlState>,
    ingest: Ingest,
    outcomes: mpsc::UnboundedSender<Outcome>,
}

impl End {
    /// SIGTERM, grace, SIGKILL, and what the app's log says of it. Gives the exit status, when there is one.
    async fn stop(
        &self,
        voice: &Voice,
        instance: &InstanceId,
        key: &InstanceKey,
        grace: Duration,
    ) -> Option<i64> {
        voice.say(key, "Stopping all processes with SIGTERM".to_owned());
        match self.engine.stop(instance, grace).await {
            Ok(stopped) => {
                if stopped.killed {
                    voice.say(key, exit_timeout(grace));
                    voice.say(key, "Stopping remaining processes with SIGKILL".to_owned());
                }
                stopped.status
            }
            Err(error) => {
                tracing::warn!(%instance, %error, "not stopped");
                None
            }
        }
    }

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

/// What whoever waits for the release is told of a start; nothing of one that has nothing to do with it.
fn announcement(spec: &InstanceSpec) -> Option<String> {
    match spec.key.one_off() {
        None => Some(format!("Starting {}", spec.key.dyno())),
        Some(name) if relay::is_waited_for(&spec.key) => {
            Some(format!("Running {name}: {}", spec.command.text()))
        }
        Some(_) => None,
    }
}

fn unreadable(error: &desired::Error) -> EngineError {
    EngineError::Unavailable(format!("what the app is bound to can't be read: {error}"))
}

fn exited(status: i64) -> String {
    format!("Process exited with status {status}")
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
