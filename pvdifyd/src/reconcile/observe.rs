//! What runs: the engine's list, joined with what the prober found.

use super::{
    desired::{DesiredApp, Result},
    handle::{InstanceState, Observation, ObservedInstance},
    probe::Prober,
};
use crate::engine::{EngineInstance, EngineNetwork, EngineState, InstanceEngine, InstanceKind};
use pvdify_types::{AppId, InstanceId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// A process that is not probed counts as ready once it ran this long.
const RAN_FOR_A_MOMENT: Duration = Duration::from_millis(1500);

/// One instance, as engine and prober see it.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) engine: EngineInstance,
    /// The prober's word, about this very start of it.
    pub(super) ready: bool,
    /// The status of its last exit, when it ever exited.
    pub(super) last_exit: Option<i64>,
}

impl Instance {
    /// Heroku's word for it.
    pub(super) fn state(&self) -> InstanceState {
        match self.engine.state {
            _ if self.engine.lost => InstanceState::Crashed,
            EngineState::Running if self.ready => InstanceState::Up,
            EngineState::Exited(_) => InstanceState::Crashed,
            EngineState::Running | EngineState::Created | EngineState::Changing => InstanceState::Starting,
        }
    }
}

/// Everything of this installation in the engine.
#[derive(Clone, Debug, Default)]
pub(super) struct Observed {
    /// Of process types.
    pub(super) instances: Vec<Instance>,
    /// Of what runs once.
    pub(super) one_offs: Vec<Instance>,
    /// `None` when they were not looked at this time.
    pub(super) networks: Option<Vec<EngineNetwork>>,
}

impl Observed {
    /// The instances that requests may be open to.
    pub(super) fn running_web(&self) -> Vec<InstanceId> {
        self.instances
            .iter()
            .map(|instance| &instance.engine)
            .filter(|engine| engine.key.process.is_web() && engine.state == EngineState::Running)
            .map(|engine| engine.id.clone())
            .collect()
    }

    /// Of both sorts.
    pub(super) fn all(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().chain(&self.one_offs)
    }

    /// For the rest of pvdifyd; instances that wait after a crash are in no engine, but people ask for them.
    pub(super) fn to_public<'a>(
        &self,
        waiting: impl Iterator<Item = (&'a crate::engine::InstanceKey, &'a InstanceId)>,
        at_rest: BTreeSet<AppId>,
    ) -> Observation {
        let mut instances: Vec<ObservedInstance> = self
            .all()
            .map(|instance| ObservedInstance {
                kind: instance.engine.key.kind,
                id: instance.engine.id.clone(),
                app: instance.engine.key.app.clone(),
                process: instance.engine.key.process.clone(),
                ordinal: instance.engine.key.ordinal,
                release: instance.engine.key.release,
                state: instance.state(),
                restarts: instance.engine.restarts,
                started_at: instance.engine.started_at,
            })
            .collect();
        for (key, last) in waiting {
            if self.instances.iter().any(|instance| instance.engine.key == *key) {
                continue;
            }
            instances.push(ObservedInstance {
                kind: key.kind,
                id: last.clone(),
                app: key.app.clone(),
                process: key.process.clone(),
                ordinal: key.ordinal,
                release: key.release,
                state: InstanceState::Crashed,
                restarts: 0,
                started_at: None,
            });
        }
        Observation { instances, at_rest }
    }
}

/// Looks at the engine, and keeps what is slow to ask for.
#[derive(Debug, Default)]
pub(super) struct Observer {
    /// How often an instance had been restarted when its last exit was asked for, and the answer.
    exits: BTreeMap<InstanceId, (u32, Option<i64>)>,
}

impl Observer {
    /// One look. Readiness of `web` is whatever the prober has found by now.
    pub(super) async fn observe(
        &mut self,
        engine: &dyn InstanceEngine,
        desired: &[DesiredApp],
        prober: &mut Prober,
        with_networks: bool,
    ) -> Result<Observed> {
        let mut list = engine.list().await?;
        list.sort_by(|one, other| (&one.key, &one.id).cmp(&(&other.key, &other.id)));
        let networks = if with_networks {
            Some(engine.networks().await?)
        } else {
            None
        };
        prober.follow(&list, desired);
        self.exits
            .retain(|id, _| list.iter().any(|instance| instance.id == *id));
        let mut observed = Observed {
            networks,
            ..Observed::default()
        };
        for instance in list {
            let last_exit = self.last_exit(engine, &instance).await?;
            let sort = match instance.key.kind {
                InstanceKind::Process => &mut observed.instances,
                InstanceKind::OneOff => &mut observed.one_offs,
                // The engine does not list them.
                InstanceKind::Session => continue,
            };
            sort.push(Instance {
                ready: is_ready(&instance, prober),
                engine: instance,
                last_exit,
            });
        }
        Ok(observed)
    }

    async fn last_exit(
        &mut self,
        engine: &dyn InstanceEngine,
        instance: &EngineInstance,
    ) -> Result<Option<i64>> {
        if let EngineState::Exited(status) = instance.state {
            return Ok(Some(status));
        }
        if instance.restarts == 0 {
            return Ok(None);
        }
        match self.exits.get(&instance.id) {
            Some((restarts, status)) if *restarts == instance.restarts => Ok(*status),
            _ => {
                let status = engine.last_exit(&instance.id).await?;
                self.exits
                    .insert(instance.id.clone(), (instance.restarts, status));
                Ok(status)
            }
        }
    }
}

fn is_ready(instance: &EngineInstance, prober: &Prober) -> bool {
    if instance.state != EngineState::Running {
        return false;
    }
    match instance.key.kind {
        // Nothing waits for it but its end.
        InstanceKind::OneOff | InstanceKind::Session => return true,
        InstanceKind::Process if instance.key.process.is_web() => return prober.found_ready(instance),
        InstanceKind::Process => {}
    }
    let ran = instance
        .started_at
        .and_then(|start| SystemTime::now().duration_since(start).ok());
    ran.is_some_and(|ran| ran >= RAN_FOR_A_MOMENT)
}
