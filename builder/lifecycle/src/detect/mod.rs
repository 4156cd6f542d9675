//! Detection: which buildpacks build, and the plan they agree on.
//!
//! All bin/detect of a group run at once, each one once in a build. When an order leads to few buildpacks, all of them
//! run with the first group: the groups that would come one after the other then cost what the slowest one costs.

mod programs;
mod words;

use crate::{
    children::Children,
    environment::Environment,
    failure::{Failure, code},
    files::{self, Scratch},
    log,
    settings::Settings,
    store::Store,
};
use programs::{Runs, Stop};
use pvdify_cnb::{
    analyzed::Analyzed,
    catalog::{Catalog, Key, components},
    descriptor::{Descriptor, Kind},
    env::Env,
    exec_env,
    group::{Order, System},
    resolve::{Setting, resolve},
};
use std::collections::{BTreeMap, BTreeSet};

/// An order that leads to more of them runs group by group.
const ALL_AT_ONCE: usize = 24;

/// Detects; `group.toml` and `plan.toml` are there afterwards.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let failure = |message: String| Failure::new("detect", code::DETECT, message);
    log::step("Detecting buildpacks");
    let order: Order = files::toml(&settings.order)
        .and_then(|it| it.ok_or_else(|| format!("there is no order: {}", settings.order.display())))
        .map_err(failure)?;
    let order = if settings.platform_api.is_platform_with_exec_env() {
        let system: System = files::toml(&settings.system)
            .map_err(failure)?
            .unwrap_or_default();
        order.with_system(&system)
    } else {
        order
    };
    let analyzed: Analyzed = files::toml(&settings.analyzed)
        .map_err(failure)?
        .unwrap_or_default();
    let store = Store::new(settings);
    let catalog = store.catalog(&order).map_err(failure)?;
    check_apis(&order, &catalog)?;
    let environment = Environment::read(settings, &analyzed).map_err(failure)?;
    let scratch = Scratch::new().map_err(|error| failure(format!("no temporary folder: {error}")))?;
    let mut runs = Runs {
        store,
        catalog: &catalog,
        environment: &environment,
        base: Env::for_build(std::env::vars_os()),
        children,
        scratch,
        reports: BTreeMap::new(),
    };
    let mut ahead = components(&order, &catalog).map_err(|error| failure(error.to_string()))?;
    if ahead.len() > ALL_AT_ONCE {
        ahead.clear();
    }
    // Those that no group will ask for are not run.
    let exec_env = settings.exec_env.as_deref();
    ahead.retain(|key| {
        let counts = |it: &Descriptor| exec_env.is_none_or(|env| exec_env::applies(&it.exec_env, env));
        catalog
            .get(key)
            .is_ok_and(|it| it.runs_on(&environment.image) && counts(it))
    });
    let setting = Setting {
        order: &order,
        catalog: &catalog,
        image: &environment.image,
        exec_env,
    };
    let mut wanted = BTreeSet::new();
    let detected = resolve::<Stop>(setting, |keys| {
        wanted.extend(keys.iter().cloned());
        runs.run(keys, &std::mem::take(&mut ahead))
    });
    let detected = detected.map_err(|stop| match stop {
        Stop::Failure(failure) => failure,
        Stop::Order(error) => failure(error.to_string()),
    })?;
    for key in &wanted {
        runs.tell_errors(key);
    }
    let detected = match detected {
        Ok(detected) => detected,
        Err(undetected) => return Err(runs.tell_undetected(&undetected)),
    };
    for key in &detected.members {
        runs.tell_passed(key);
    }
    let group = detected
        .group(&catalog)
        .map_err(|error| failure(error.to_string()))?;
    files::write_toml(&settings.group, &group).map_err(failure)?;
    files::write_toml(&settings.plan, &detected.plan).map_err(failure)
}

/// The buildpacks that the order itself names must be of an API that is spoken, whether they are come to or not; those
/// within composites are looked at when they are.
fn check_apis(order: &Order, catalog: &Catalog) -> Result<(), Failure> {
    let extensions = order.order_extensions.iter().map(|it| (Kind::Extension, it));
    for (kind, group) in extensions.chain(order.order.iter().map(|it| (Kind::Buildpack, it))) {
        for element in &group.group {
            if let Ok(descriptor) = catalog.find(kind, &element.id, element.version.as_ref()) {
                check_api(descriptor, "detect")?;
            }
        }
    }
    Ok(())
}

/// Whether a buildpack's API is spoken.
pub(crate) fn check_api(descriptor: &Descriptor, phase: &'static str) -> Result<(), Failure> {
    if descriptor.api.is_supported_buildpack() {
        return Ok(());
    }
    let key = Key::of(descriptor);
    let (oldest, newest) = (
        pvdify_cnb::api::OLDEST_BUILDPACK,
        pvdify_cnb::api::NEWEST_BUILDPACK,
    );
    let message = format!(
        "{key} is written for Buildpack API {}; {oldest} to {newest} are run. Another version of it may be",
        descriptor.api
    );
    Err(Failure::new(phase, code::BUILDPACK_API, message).of(&key))
}

/// The end of a phase that was told to stop.
pub(crate) fn stopped(phase: &'static str) -> Failure {
    Failure::new(phase, code::STOPPED, "stopped by a signal")
}
