//! From a release to the instances it should have running. Pure: the same release gives the same keys.

use super::desired::{DesiredApp, OneOff, ReleaseSpec};
use crate::engine::{Command, InstanceKey, InstanceKind, InstanceSpec};
use pvdify_types::{AppId, AppName, Formation, OneOffKind, ProcessType, VolumeMount, volume::is_exclusive};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Enters every hash: changing how a container is made from a release raises it, and all instances are replaced.
const SPEC_VERSION: &str = "2";

/// Every instance that a release should have running, in order of type and ordinal. Of a type that has a volume to itself
/// that is one, whatever the formation says.
pub(super) fn wanted(app: &DesiredApp, release: &ReleaseSpec, formation: &Formation) -> Vec<InstanceKey> {
    let mut keys = Vec::new();
    for (process, command) in &release.processes {
        let count = formation.get(process).copied().unwrap_or(0);
        if count == 0 {
            continue;
        }
        let spec_hash = hash(release, process, command);
        let exclusive = is_exclusive(&release.mounts, process);
        let count = if exclusive { 1 } else { count };
        keys.extend((1..=count).map(|ordinal| InstanceKey {
            kind: InstanceKind::Process,
            app: app.id.clone(),
            app_name: app.name.clone(),
            process: process.clone(),
            ordinal,
            release: release.version,
            restart_generation: app.restart_generation(process, ordinal),
            spec_hash: spec_hash.clone(),
            exclusive,
        }));
    }
    keys
}

/// The key of a one-off process.
pub(super) fn one_off_key(app: &DesiredApp, one_off: &OneOff) -> InstanceKey {
    InstanceKey {
        kind: InstanceKind::OneOff,
        app: app.id.clone(),
        app_name: app.name.clone(),
        process: one_off.name.kind.process(),
        ordinal: one_off.name.number,
        release: one_off.spec.version,
        // It is not replaced by a restart of the app, nor by a change of how containers are made.
        restart_generation: 0,
        spec_hash: String::new(),
        exclusive: false,
    }
}

/// All that makes the container of a one-off process.
pub(super) fn one_off(one_off: &OneOff, key: &InstanceKey) -> InstanceSpec {
    let command = match one_off.name.kind {
        OneOffKind::Release => Command::Process(key.process.clone(), one_off.command.clone()),
        OneOffKind::Postdeploy | OneOffKind::Cron | OneOffKind::Run => Command::Text(one_off.command.clone()),
    };
    beside(&one_off.spec, key, command)
}

/// All that makes the container of a session: a command of a person's who is at its streams.
pub(crate) fn session(
    (app, app_name): (AppId, AppName),
    release: &ReleaseSpec,
    ordinal: u32,
    command: Command,
) -> InstanceSpec {
    let key = InstanceKey {
        kind: InstanceKind::Session,
        app,
        app_name,
        process: OneOffKind::Run.process(),
        ordinal,
        release: release.version,
        restart_generation: 0,
        spec_hash: String::new(),
        exclusive: false,
    };
    beside(release, &key, command)
}

/// What runs beside the app's processes: what one of these has to itself it does not get.
fn beside(release: &ReleaseSpec, key: &InstanceKey, command: Command) -> InstanceSpec {
    let mut spec = make(release, key, command);
    spec.mounts.retain(|mount| !mount.is_exclusive());
    spec
}

/// All that makes the container of a key of [`wanted`].
pub(super) fn instance(release: &ReleaseSpec, key: &InstanceKey) -> InstanceSpec {
    let text = release.processes.get(&key.process).cloned().unwrap_or_default();
    make(release, key, Command::Process(key.process.clone(), text))
}

/// What the app is bound to is left out: that can be large, and is read when the container is started (`act.rs`).
fn make(release: &ReleaseSpec, key: &InstanceKey, command: Command) -> InstanceSpec {
    let mut own_env = BTreeMap::from([
        ("PORT", release.port.to_string()),
        ("DYNO", key.dyno()),
        ("PVDIFY_APP", key.app_name.to_string()),
        ("PVDIFY_RELEASE", release.version.to_string()),
        ("HEROKU_APP_ID", key.app.to_string()),
        ("HEROKU_APP_NAME", key.app_name.to_string()),
        ("HEROKU_APP_DEFAULT_DOMAIN_NAME", release.about.host.clone()),
        ("HEROKU_RELEASE_VERSION", release.version.to_string()),
        ("HEROKU_RELEASE_CREATED_AT", release.about.created_at.clone()),
        ("HEROKU_SLUG_DESCRIPTION", release.about.description.clone()),
    ]);
    if let Some(commit) = &release.commit {
        // Heroku's names for it, the older and the newer.
        own_env.insert("HEROKU_SLUG_COMMIT", commit.clone());
        own_env.insert("HEROKU_BUILD_COMMIT", commit.clone());
    }
    InstanceSpec {
        key: key.clone(),
        image: release.image.clone(),
        command,
        launcher: release.launcher,
        config: release.config.clone(),
        own_env,
        publish: key.process.is_web().then_some(release.port),
        resources: release.resources.clone(),
        bindings: Vec::new(),
        mounts: mounts(release, &key.process).cloned().collect(),
    }
}

fn mounts<'a>(release: &'a ReleaseSpec, process: &'a ProcessType) -> impl Iterator<Item = &'a VolumeMount> {
    release.mounts.iter().filter(|mount| mount.is_for(process))
}

/// Of all that can change while the release's number stays. The repository is left out: it is where the
/// content is found, not what it is.
fn hash(release: &ReleaseSpec, process: &ProcessType, command: &str) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(SPEC_VERSION.as_bytes());
    part(release.image.digest.as_str().as_bytes());
    part(command.as_bytes());
    part(&release.port.to_be_bytes());
    part(&release.resources.memory_bytes.to_be_bytes());
    part(&release.resources.cpu_millis.unwrap_or(0).to_be_bytes());
    part(&release.resources.pids.to_be_bytes());
    for (key, value) in &release.config {
        part(key.as_str().as_bytes());
        part(value.reveal().as_bytes());
    }
    // Nothing where there is none, so that containers of before there were volumes stay.
    for mount in mounts(release, process) {
        part(mount.id.as_str().as_bytes());
        part(mount.path.as_str().as_bytes());
        part(&[u8::from(mount.read_only), u8::from(mount.shared)]);
    }
    hex::encode(hash.finalize())[..16].to_owned()
}
