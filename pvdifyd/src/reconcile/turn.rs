//! One turn of the loop: look, remember, tell, plan, show the routes, act.

use super::{
    Reconciler,
    desired::{DesiredApp, Result},
    drain::DrainLimits,
    observe::Observed,
    pace,
    plan::{self, Input, Plan, Step, Why},
    rest, routes, spec,
};
use pvdify_types::InstanceId;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// How long the first table waits for slow answers of what runs.
const FIRST_ROUND: Duration = Duration::from_secs(3);
/// Between looks at networks when nothing asks for one.
const NETWORKS: Duration = Duration::from_secs(60);

impl Reconciler {
    /// One look and all that follows from it; gives the time until the next.
    pub(super) async fn turn(&mut self) -> Result<Duration> {
        let desired = self.state.load().await?;
        let mut observed = match self.look(&desired).await {
            Ok(observed) => observed,
            Err(error) => {
                self.fail_overdue(&desired, &error.to_string()).await?;
                return Err(error);
            }
        };
        if !self.publisher.has_shown() {
            self.prober.first_round(FIRST_ROUND).await;
            observed = self.look(&desired).await?;
        }
        let now = SystemTime::now();
        self.remember(&desired, &observed, now);
        self.narrate(&desired, &observed).await;
        let (plan, pause) = self.plan(&desired, &observed, now);
        let table = routes::build(&desired, &observed, &plan.retiring);
        self.publisher
            .publish(&*self.state, &self.ends.routes, table, |table| {
                self.departures.show(table, &observed.running_web(), now);
            })
            .await?;
        let at_rest = rest::at_rest(&desired, &observed, self.actor.busy());
        self.ends
            .observation
            .send_replace(Arc::new(observed.to_public(self.crashes.waiting(now), at_rest)));
        let mut decided = false;
        for step in plan.steps {
            tracing::debug!(%step, "reconcile");
            if let Step::Remove(instance, key, Why::Looping) = &step {
                self.crashes.crashed(key, instance, now);
            }
            decided |= matches!(
                step,
                Step::Activate(..) | Step::Fail(..) | Step::End(..) | Step::RemoveNetwork(_)
            );
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
        let sources = observed.all().filter_map(|instance| instance.engine.log_source());
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
                let one_offs = app.one_offs.iter();
                current
                    .chain(candidate)
                    .flat_map(|(release, formation)| spec::wanted(app, release, formation))
                    .chain(one_offs.map(|one_off| spec::one_off_key(app, one_off)))
            })
            .collect();
        self.actor.forget_prepared(&wanted);
        self.crashes.observe(&observed.instances, &wanted, now);
        self.orphans.observe(desired, observed, now);
        let present: BTreeSet<InstanceId> = observed
            .all()
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

    /// The next moves, and the time until the next look.
    fn plan(&self, desired: &[DesiredApp], observed: &Observed, now: SystemTime) -> (Plan, Duration) {
        let report = self.ends.report.borrow();
        let input = Input {
            desired,
            observed,
            now,
            crashes: &self.crashes,
            departures: &self.departures,
            limits: DrainLimits {
                longest: self.options.drain_limit,
                no_router: self.options.router_wait,
            },
            report: report.as_ref(),
            orphans: &self.orphans,
            busy: self.actor.busy(),
        };
        let plan = plan::plan(&input);
        let pause = pace::pause(&input, &plan, self.options.tick);
        (plan, pause)
    }
}
