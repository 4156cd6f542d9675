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
mod narrate;
mod observe;
mod plan;
mod probe;
mod routes;
mod spec;
#[cfg(test)]
mod testing;

use crate::{
    engine::{EngineError, EngineState, InstanceEngine},
    logs::{Ingest, LogStore},
};
use act::{Actor, Outcome, Voice};
use crash::CrashHistory;
use desired::{ControlState, DesiredApp, Result};
use drain::{Departures, DrainLimits};
use futures_util::StreamExt;
use gc::Orphans;
use handle::{HandleEnds, InstanceState};
use narrate::Narrator;
use observe::{Observed, Observer};
use plan::{Input, Plan, Step, Why};
use probe::Prober;
use pvdify_types::{Generation, InstanceId, RouteTable};
use std::{
    collections::BTreeSet,
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
/// Between looks while something is about to change by itself.
const FAST: Duration = Duration::from_millis(250);
/// Between looks while something may change, and after a failure.
const SLOW: Duration = Duration::from_secs(1);
/// What started longer ago than this is looked at slowly.
const YOUNG: Duration = Duration::from_secs(10);
/// How long the first table waits for slow answers of what runs.
const FIRST_ROUND: Duration = Duration::from_secs(3);
/// Between looks at networks when nothing asks for one.
const NETWORKS: Duration = Duration::from_secs(60);

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
    /// The last generation that was saved; `None` when that is not known.
    generation: Option<Generation>,
    /// Whether a table of this run is shown.
    shown: bool,
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
            generation: None,
            shown: false,
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

    /// One look and all that follows from it; gives the time until the next.
    async fn turn(&mut self) -> Result<Duration> {
        let desired = self.state.load().await?;
        let mut observed = match self.look(&desired).await {
            Ok(observed) => observed,
            Err(error) => {
                self.fail_overdue(&desired, &error.to_string()).await?;
                return Err(error);
            }
        };
        if !self.shown {
            self.prober.first_round(FIRST_ROUND).await;
            observed = self.look(&desired).await?;
        }
        let now = SystemTime::now();
        self.remember(&desired, &observed, now);
        self.narrate(&desired, &observed).await;
        let plan = self.plan(&desired, &observed, now);
        self.publish(routes::build(&desired, &observed, &plan.retiring), &observed, now)
            .await?;
        self.ends
            .observation
            .send_replace(Arc::new(observed.to_public(self.crashes.waiting(now))));
        let pause = self.pace(&desired, &observed, &plan, now);
        let mut decided = false;
        for step in plan.steps {
            tracing::debug!(%step, "reconcile");
            if let Step::Remove(instance, key, Why::Looping) = &step {
                self.crashes.crashed(key, instance, now);
            }
            decided |= matches!(step, Step::Activate(..) | Step::Fail(..) | Step::RemoveNetwork(_));
            self.actor.run(step).await?;
        }
        Ok(if decided { Duration::ZERO } else { pause })
    }

    async fn look(&mut self, desired: &[DesiredApp]) -> Result<Observed> {
        let asked = desired.iter().any(|app| app.deleting) || !self.orphans.is_empty();
        let due = self.networks_looked.is_none_or(|last| last.elapsed() >= NETWORKS);
        let with_networks = asked || due;
        let observed = self
            .observer
            .observe(&*self.engine, desired, &mut self.prober, with_networks)
            .await?;
        if with_networks {
            self.networks_looked = Some(Instant::now());
        }
        let sources = observed
            .instances
            .iter()
            .filter_map(|instance| instance.engine.log_source());
        self.ingest.sync(sources.collect());
        Ok(observed)
    }

    /// No release waits for ever on an engine that does not answer.
    async fn fail_overdue(&self, desired: &[DesiredApp], error: &str) -> Result<()> {
        let now = SystemTime::now();
        for app in desired {
            let overdue = app
                .candidate
                .as_ref()
                .filter(|candidate| now >= candidate.deadline);
            if let Some(candidate) = overdue {
                let reason = format!("the container engine does not answer: {error}");
                self.state
                    .fail(&app.id, candidate.spec.version, reason, Vec::new())
                    .await?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, desired: &[DesiredApp], observed: &Observed, now: SystemTime) {
        let wanted: Vec<_> = desired
            .iter()
            .flat_map(|app| {
                let current = app.current.iter().map(|release| (release, &app.formation));
                let candidate = app
                    .candidate
                    .iter()
                    .map(|candidate| (&candidate.spec, &candidate.formation));
                current
                    .chain(candidate)
                    .flat_map(|(release, formation)| spec::wanted(app, release, formation))
            })
            .collect();
        self.crashes.observe(&observed.instances, &wanted, now);
        self.orphans.observe(desired, observed, now);
        let present: BTreeSet<InstanceId> = observed
            .instances
            .iter()
            .map(|instance| instance.engine.id.clone())
            .collect();
        self.departures.retain(&present);
    }

    async fn narrate(&mut self, desired: &[DesiredApp], observed: &Observed) {
        for told in self.narrator.look(&observed.instances, &self.actor.busy().ending) {
            let deploying = desired.iter().any(|app| {
                let candidate = app.candidate.as_ref().map(|candidate| candidate.spec.version);
                app.id == told.key.app && candidate == Some(told.key.release)
            });
            if deploying && told.up {
                let text = format!("{} is up", told.key.dyno());
                self.state.progress(&told.key.app, told.key.release, text).await;
            }
            self.voice.say(&told.key, told.line);
        }
    }

    fn plan(&self, desired: &[DesiredApp], observed: &Observed, now: SystemTime) -> Plan {
        plan::plan(&Input {
            desired,
            observed,
            now,
            crashes: &self.crashes,
            departures: &self.departures,
            limits: DrainLimits {
                longest: self.options.drain_limit,
                no_router: self.options.router_wait,
            },
            report: self.ends.report.borrow().as_ref(),
            orphans: &self.orphans,
            busy: self.actor.busy(),
        })
    }

    /// Shows a table that differs from the shown one, under the next generation.
    async fn publish(&mut self, mut table: RouteTable, observed: &Observed, now: SystemTime) -> Result<()> {
        {
            let shown = self.ends.routes.borrow();
            if self.shown && shown.hosts == table.hosts && shown.routes == table.routes {
                return Ok(());
            }
        }
        // Taken out while it is saved: after a failure nobody knows whether the number is used.
        let last = match self.generation.take() {
            Some(generation) => generation,
            None => self.state.last_generation().await?,
        };
        table.generation = last.next();
        self.state.save_generation(&table).await?;
        self.generation = Some(table.generation);
        let running_web: Vec<InstanceId> = observed
            .instances
            .iter()
            .map(|instance| &instance.engine)
            .filter(|engine| engine.key.process.is_web() && engine.state == EngineState::Running)
            .map(|engine| engine.id.clone())
            .collect();
        self.departures.show(&table, &running_web, now);
        self.shown = true;
        self.ends.routes.send_replace(Arc::new(table));
        Ok(())
    }

    fn pace(&self, desired: &[DesiredApp], observed: &Observed, plan: &Plan, now: SystemTime) -> Duration {
        let starting = || {
            let instances = observed.instances.iter();
            instances.filter(|instance| instance.state() != InstanceState::Up)
        };
        let is_young = |started: Option<SystemTime>| {
            started.is_none_or(|start| now.duration_since(start).is_ok_and(|age| age < YOUNG))
        };
        let busy = self.actor.busy();
        if !plan.retiring.is_empty()
            || !busy.starting.is_empty()
            || starting().any(|instance| is_young(instance.engine.started_at))
        {
            FAST
        } else if starting().next().is_some()
            || desired.iter().any(|app| app.deleting || app.candidate.is_some())
            || self.crashes.any_waits(now)
            || !self.orphans.is_empty()
        {
            SLOW.min(self.options.tick)
        } else {
            self.options.tick
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
