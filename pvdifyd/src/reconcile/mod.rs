//! Makes what runs what should run.
//!
//! One loop: look, plan, show the routes, act. It takes no input but what it reads itself, from the database
//! through [`desired::ControlState`] and from the engine; a wake, an event of the engine or the clock only
//! says *when* to look. So a deploy, a scale, a crash, a restart of pvdifyd and a reboot of the host are one
//! path, and being killed at any place costs one more look.
//!
//! What always holds:
//! - activating a candidate in the database is the only point at which a release takes over: killed before
//!   it, the next start goes on with the candidate; killed after it, the old release is drained;
//! - a route table's generation is saved before it is shown, and grows;
//! - no table is shown before everything that runs was probed once: until then the router serves its last;
//! - nothing is stopped while the shown table holds it.

mod act;
mod crash;
pub mod desired;
mod drain;
mod gc;
pub mod handle;
mod listening;
mod narrate;
mod observe;
mod pace;
mod plan;
mod probe;
mod publish;
mod relay;
mod rest;
mod routes;
mod spec;
#[cfg(test)]
mod testing;
mod turn;

pub(crate) use narrate::starting;
pub(crate) use spec::session;

use crate::{
    engine::{EngineError, InstanceEngine},
    logs::{Ingest, LogStore},
};
use act::{Actor, Outcome, Voice};
use crash::CrashHistory;
use desired::{ControlState, Result};
use drain::Departures;
use futures_util::StreamExt;
use gc::Orphans;
use handle::HandleEnds;
use narrate::Narrator;
use observe::Observer;
use pace::SLOW;
use probe::Prober;
use publish::Publisher;
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Events come in bursts: one look for all.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Times and limits; the default is what an installation uses.
#[derive(Clone, Debug)]
pub struct ReconcileOptions {
    /// Between looks when nothing happens.
    pub tick: Duration,
    /// How long an instance that left the route table may finish its requests.
    pub drain_limit: Duration,
    /// How long to wait for a router that never said a word.
    pub router_wait: Duration,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// Starts that run side by side.
    pub starts_at_once: usize,
}

impl Default for ReconcileOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(5),
            drain_limit: Duration::from_secs(30),
            router_wait: Duration::from_secs(3),
            stop_grace: Duration::from_secs(30),
            starts_at_once: 4,
        }
    }
}

/// The loop, and what it remembers between two looks; all of it may be lost.
pub struct Reconciler {
    state: Arc<dyn ControlState>,
    engine: Arc<dyn InstanceEngine>,
    ends: HandleEnds,
    options: ReconcileOptions,
    actor: Actor,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    ingest: Ingest,
    voice: Voice,
    observer: Observer,
    prober: Prober,
    narrator: Narrator,
    crashes: CrashHistory,
    departures: Departures,
    orphans: Orphans,
    publisher: Publisher,
    networks_looked: Option<Instant>,
    last_error: Option<String>,
}

impl Reconciler {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// When the system gives no thread for log ingestion.
    pub fn new(
        state: Arc<dyn ControlState>,
        engine: Arc<dyn InstanceEngine>,
        logs: LogStore,
        ends: HandleEnds,
        options: ReconcileOptions,
    ) -> io::Result<Self> {
        let ingest = Ingest::start(logs.clone())?;
        let voice = Voice::new(logs);
        let (actor, outcomes) = Actor::new(
            Arc::clone(&engine),
            Arc::clone(&state),
            voice.clone(),
            ingest.clone(),
            options.stop_grace,
            options.starts_at_once,
        );
        let prober = Prober::new(Arc::clone(&ends.wake));
        Ok(Self {
            state,
            engine,
            ends,
            options,
            actor,
            outcomes,
            ingest,
            voice,
            observer: Observer::default(),
            prober,
            narrator: Narrator::default(),
            crashes: CrashHistory::default(),
            departures: Departures::default(),
            orphans: Orphans::default(),
            publisher: Publisher::default(),
            networks_looked: None,
            last_error: None,
        })
    }

    /// Runs until `shutdown`. Being dropped at any await is as good as a shutdown: no container minds.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let events = tokio::spawn(follow_events(
            Arc::clone(&self.engine),
            Arc::clone(&self.ends.wake),
        ));
        loop {
            let turn = tokio::select! {
                turn = self.turn() => turn,
                () = shutdown.cancelled() => break,
            };
            let pause = self.pause_after(turn);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.ends.wake.notified() => sleep(DEBOUNCE).await,
                () = sleep(pause) => {}
                Some(outcome) = self.outcomes.recv() => self.take(outcome),
            }
            while let Ok(outcome) = self.outcomes.try_recv() {
                self.take(outcome);
            }
        }
        events.abort();
    }

    /// A failure is told once, not at each turn.
    fn pause_after(&mut self, turn: Result<Duration>) -> Duration {
        match turn {
            Ok(pause) => {
                if self.last_error.take().is_some() {
                    tracing::info!("reconciling again");
                }
                pause
            }
            Err(error) => {
                let text = error.to_string();
                if self.last_error.as_ref() != Some(&text) {
                    tracing::warn!(error = %text, "reconciling waits");
                    self.last_error = Some(text);
                }
                SLOW
            }
        }
    }

    fn take(&mut self, outcome: Outcome) {
        self.actor.ended(&outcome);
        if let Outcome::NotStarted(key, error) = outcome {
            let refused = matches!(error, EngineError::Refused(_));
            self.crashes
                .start_failed(&key, refused, error.to_string(), SystemTime::now());
        }
    }
}

/// Wakes the loop at each event; the engine's silence is no news, and its end is followed by a new try.
async fn follow_events(engine: Arc<dyn InstanceEngine>, wake: Arc<Notify>) {
    loop {
        let mut events = engine.events();
        while events.next().await.is_some() {
            wake.notify_one();
        }
        sleep(SLOW).await;
        wake.notify_one();
    }
}
