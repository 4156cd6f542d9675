//! A candidate waits for its release command, takes over when all its instances are ready, fails as a whole when one can't be, and is kept as
//! its formation says until then.

use super::{Failure, Input, Plan, Step, exclusive, exit, plan_release};
use crate::{
    engine::{EngineState, InstanceKey},
    reconcile::{
        desired::{Candidate, DesiredApp, Readiness},
        handle::InstanceState,
        observe::Instance,
        spec,
    },
};

/// Refused starts after which a candidate will not start at all.
const REFUSALS: u32 = 3;

pub(super) fn plan_candidate(
    input: &Input<'_>,
    app: &DesiredApp,
    candidate: &Candidate,
    mine: &[&Instance],
    gives_way: bool,
    plan: &mut Plan,
) {
    if candidate.waits_for_command {
        return;
    }
    let version = candidate.spec.version;
    let wanted = spec::wanted(app, &candidate.spec, &candidate.formation);
    let found = |key: &InstanceKey| mine.iter().copied().find(|instance| instance.engine.key == *key);
    for key in &wanted {
        let failure = failure(input, candidate, key, found(key));
        if let Some(mut failure) = failure {
            if gives_way {
                failure.reason = exclusive::aftermath(app, &failure.reason);
            }
            plan.steps.push(Step::Fail(app.id.clone(), version, failure));
            return;
        }
    }
    if wanted
        .iter()
        .all(|key| found(key).is_some_and(|instance| instance.state() == InstanceState::Up))
    {
        plan.steps.push(Step::Activate(app.id.clone(), version));
        return;
    }
    if gives_way {
        plan_release(input, app, &candidate.spec, &candidate.formation, mine, plan);
    } else {
        exclusive::prepare(input, app, candidate, mine, plan);
        let formation = exclusive::others(&candidate.spec, &candidate.formation);
        plan_release(input, app, &candidate.spec, &formation, mine, plan);
    }
}

/// Whether, and why, one instance makes its candidate fail.
fn failure(
    input: &Input<'_>,
    candidate: &Candidate,
    key: &InstanceKey,
    instance: Option<&Instance>,
) -> Option<Failure> {
    let dyno = key.dyno();
    let whose = instance.map(|instance| (instance.engine.id.clone(), key.clone()));
    let failed = |reason: String| Failure {
        reason,
        instance: whose.clone(),
        platform_line: None,
        silent_port: None,
    };
    if let Some(instance) = instance
        && (instance.engine.restarts > 0 || matches!(instance.engine.state, EngineState::Exited(_)))
    {
        return Some(failed(match instance.last_exit {
            Some(status) => format!("{dyno} {}", exit::described(status, &candidate.spec.resources)),
            None => format!("{dyno} exited"),
        }));
    }
    let (refusals, error) = input.crashes.refusals(key);
    let error = error.unwrap_or("the engine gave no reason");
    if refusals >= REFUSALS {
        return Some(failed(format!("{dyno} could not be started: {error}")));
    }
    if instance.is_some_and(|instance| instance.state() == InstanceState::Up) {
        return None;
    }
    let start = instance.and_then(|instance| instance.engine.started_at);
    let is_late = start.is_some_and(|start| start + candidate.spec.start_timeout <= input.now);
    if input.now < candidate.deadline && !is_late {
        return None;
    }
    let Some(start) = start else {
        return Some(failed(match input.crashes.refusals(key) {
            (_, Some(error)) => format!("{dyno} could not be started in time: {error}"),
            (_, None) => format!("{dyno} was not started in time"),
        }));
    };
    let waited = input
        .now
        .duration_since(start)
        .unwrap_or_default()
        .as_secs_f64()
        .round();
    let port = candidate.spec.port;
    if !key.process.is_web() {
        return Some(failed(format!("{dyno} did not run in time")));
    }
    Some(match &candidate.spec.readiness {
        Readiness::Tcp => Failure {
            platform_line: Some(format!(
                "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {waited} seconds of launch"
            )),
            silent_port: Some(port),
            ..failed(format!(
                "{dyno} did not listen on port {port} within {waited} seconds"
            ))
        },
        Readiness::Http(path) => failed(format!(
            "{dyno} did not answer GET {path} on port {port} with a status of 200 to 399 within {waited} seconds"
        )),
    })
}
