//! The reconciler's door: what should run, and what came of it.
//!
//! An app deploys one release at a time, in the order of their numbers. A release is fixed when its turn
//! comes: a change of config takes the code that serves then, so that it neither undoes a deploy that went
//! before it nor rests on one that failed.

use super::{
    App, Limits,
    error::{Error, Result},
};
use crate::{
    reconcile::desired::{
        self, About, Candidate, ControlState, DesiredApp, OneOffEnd, Readiness, ReleaseSpec,
    },
    store::{
        self, Reader, Secrets, Tx, apps, bindings, config_vars, domains, formation, installation, one_offs,
        process_orders,
        releases::{self, Code, Fixed, Release},
        volumes,
    },
};
use async_trait::async_trait;
use pvdify_types::{
    AppId, AppName, Binding, Generation, InstallationId, OneOffKind, OneOffName, ReleaseCause, ReleaseStatus,
    ReleaseVersion, RouteTable, VolumeMount, formation::quantities,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// What `web` listens on when neither app nor image say.
const DEFAULT_PORT: u16 = 8080;
const DEFAULT_TIMEOUT: u32 = 60;
/// What a release's instances may have to wait for those before them, which have a volume to themselves: open requests,
/// then SIGTERM's grace, each 30 s, and what removing a container takes.
const HANDOVER: Duration = Duration::from_secs(90);

#[async_trait]
impl ControlState for App {
    fn installation(&self) -> &InstallationId {
        self.store().installation()
    }

    async fn load(&self) -> desired::Result<Vec<DesiredApp>> {
        let due = self.store().read(releases::due).await?;
        if !due.is_empty() {
            let limits = self.settings().limits.clone();
            // Asked again inside: between both, a release may have failed.
            let promoted = self.store().write(move |tx| promote(tx, &limits)).await?;
            for (id, version) in promoted {
                self.inner.progress.feed(&id, version).touch();
            }
        }
        let (secrets, app) = (Arc::clone(&self.inner.secrets), self.clone());
        let loaded = self.store().read(move |reader| {
            let all = apps::list(reader)?.into_iter();
            all.map(|row| desired_app(reader, &secrets, &app, row)).collect()
        });
        Ok(loaded.await.map_err(|error: Error| error)?)
    }

    async fn bindings(&self, app: &AppId, version: ReleaseVersion) -> desired::Result<Vec<Binding>> {
        let (secrets, app) = (Arc::clone(&self.inner.secrets), app.clone());
        let read = self.store().read(move |reader| {
            let bindings = bindings::of_release(reader, &secrets, &app, version)?;
            Ok::<_, Error>(bindings)
        });
        Ok(read.await?)
    }

    async fn activate(&self, app: &AppId, version: ReleaseVersion) -> desired::Result<()> {
        let (id, limit) = (app.clone(), self.settings().limits.command_time);
        let activated = self
            .store()
            .write(move |tx| activate(tx, &id, version, limit))
            .await?;
        if activated {
            self.note(app, format!("Release {version} is current"));
        }
        self.inner.progress.feed(app, version).touch();
        Ok(())
    }

    async fn fail(
        &self,
        app: &AppId,
        version: ReleaseVersion,
        reason: String,
        log_tail: Vec<String>,
    ) -> desired::Result<()> {
        Ok(self.fail_release(app, version, reason, log_tail).await?)
    }

    async fn progress(&self, app: &AppId, version: ReleaseVersion, text: String) {
        self.inner.progress.feed(app, version).push(text);
    }

    async fn one_off_began(
        &self,
        app: &AppId,
        name: OneOffName,
        started_at: SystemTime,
    ) -> desired::Result<()> {
        Ok(self.record_begin(app, name, started_at).await?)
    }

    async fn one_off_ended(&self, app: &AppId, name: OneOffName, end: OneOffEnd) -> desired::Result<()> {
        Ok(self.record_end(app, name, end).await?)
    }

    async fn one_off_output(
        &self,
        app: &AppId,
        name: OneOffName,
        output: Vec<String>,
    ) -> desired::Result<()> {
        Ok(self.record_output(app, name, output).await?)
    }

    async fn forget(&self, app: &AppId) -> desired::Result<()> {
        let id = app.clone();
        let (removed, name) = self
            .store()
            .write(move |tx| {
                let name = apps::by_id(tx, &id)?.map(|app| app.name);
                Ok::<_, store::Error>((apps::remove(tx, &id)?, name))
            })
            .await?;
        if removed.is_updated() {
            self.inner.logs.remove(app);
            if let Some(name) = name {
                self.forget_builds(name);
            }
        }
        self.inner.forgotten.notify_waiters();
        Ok(())
    }

    async fn save_generation(&self, table: &RouteTable) -> desired::Result<()> {
        let generation = table.generation;
        let saved = self
            .store()
            .write(move |tx| installation::save_generation(tx, generation));
        Ok(saved.await?)
    }

    async fn last_generation(&self) -> desired::Result<Generation> {
        Ok(self.store().read(installation::generation).await?)
    }
}

impl App {
    /// In its own time: a build may still be under way. A new app of the name waits for it with its first build.
    fn forget_builds(&self, name: AppName) {
        let images = Arc::clone(&self.inner.images);
        tokio::spawn(async move {
            if let Err(error) = images.forget(&name).await {
                tracing::warn!(app = %name, %error, "what builds of a deleted app left was not removed");
            }
        });
    }
}

/// Starts every release whose turn it is; that of an app with whose volume something is being done waits.
fn promote(tx: &Tx<'_>, limits: &Limits) -> Result<Vec<(AppId, ReleaseVersion)>> {
    let due = releases::due(tx)?;
    let now = store::now();
    let mut promoted = Vec::new();
    for (id, version) in due {
        if !volumes::held(tx, &id)?.is_empty() {
            continue;
        }
        let (id, version) = (&id, &version);
        let Some(app) = apps::by_id(tx, id)? else { continue };
        let Some(release) = releases::find(tx, id, *version)? else {
            continue;
        };
        let Some(code) = code_of(tx, id, &release)? else {
            continue;
        };
        releases::set_code(tx, id, *version, &code)?;
        let mounts = volumes::mounts::of_app(tx, id)?;
        releases::set_fixed(
            tx,
            id,
            *version,
            &fix(&app, &code, mounts, limits.start_time, now),
        )?;
        releases::change(tx, id, *version, ReleaseStatus::Deploying, now)?;
        super::one_offs::begin_release(tx, id, &release, &code, limits.command_time, now)?;
        promoted.push((id.clone(), *version));
    }
    Ok(promoted)
}

/// What a release runs once its turn has come.
fn code_of(reader: &Reader, app: &AppId, release: &Release) -> Result<Option<Code>> {
    let serving = match release.cause {
        ReleaseCause::Config => releases::current(reader, app)?.and_then(|current| current.code),
        ReleaseCause::Deploy
        | ReleaseCause::Rollback { .. }
        | ReleaseCause::Promote
        | ReleaseCause::Stack => None,
    };
    Ok(serving.or_else(|| release.code.clone()))
}

/// How a release runs: what the person set, else what the image says, else the defaults. Volumes are as they are mounted
/// now, of a rollback too: they hold data, which no release brings back.
pub(super) fn fix(
    app: &apps::App,
    code: &Code,
    mounts: Vec<VolumeMount>,
    start_time: Duration,
    now: i64,
) -> Fixed {
    let (readiness, timeout) = match &app.healthcheck {
        Some(set) => (set.path.clone(), set.timeout_seconds),
        None => (
            code.healthcheck_path.clone(),
            code.healthcheck_timeout.unwrap_or(DEFAULT_TIMEOUT),
        ),
    };
    let mut time = Duration::from_secs(timeout.into()) + start_time;
    if mounts.iter().any(VolumeMount::is_exclusive) {
        time += HANDOVER;
    }
    Fixed {
        port: app.bind_port.or(code.exposed_port).unwrap_or(DEFAULT_PORT),
        readiness,
        resources: app.resources.clone(),
        start_timeout: timeout,
        deadline: now.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)),
        mounts,
    }
}

/// The candidate takes over. The one before it goes first, as only one can be current.
fn activate(tx: &Tx<'_>, app: &AppId, version: ReleaseVersion, limit: Duration) -> Result<bool> {
    let Some(candidate) = releases::find(tx, app, version)? else {
        return Ok(false);
    };
    if candidate.status != ReleaseStatus::Deploying {
        return Ok(false);
    }
    let now = store::now();
    super::one_offs::begin_postdeploy(tx, app, &candidate, limit, now)?;
    if let Some(current) = releases::current(tx, app)? {
        let left = match candidate.cause {
            ReleaseCause::Rollback { .. } => ReleaseStatus::RolledBack,
            ReleaseCause::Deploy | ReleaseCause::Config | ReleaseCause::Promote | ReleaseCause::Stack => {
                ReleaseStatus::Superseded
            }
        };
        releases::change(tx, app, current.version, left, now)?;
    }
    releases::change(tx, app, version, ReleaseStatus::Current, now)?;
    bindings::sweep(tx, app)?;
    apps::touch(tx, app, now)?;
    Ok(true)
}

fn desired_app(reader: &Reader, secrets: &Secrets, app: &App, row: apps::App) -> Result<DesiredApp> {
    let scaled = formation::scaled(reader, &row.id)?;
    let formation_of = |spec: &ReleaseSpec| quantities(spec.processes.keys().cloned(), &scaled);
    let mut hosts = vec![app.default_host(&row.name)];
    hosts.extend(
        domains::list(reader, &row.id)?
            .into_iter()
            .map(|domain| domain.host.to_string()),
    );
    let spec_of = |release: Option<Release>| match release {
        Some(release) => spec(reader, secrets, &row.id, &app.default_host(&row.name), release),
        None => Ok(None),
    };
    let start_time = app.settings().limits.start_time;
    let open = one_offs::open(reader, &row.id)?;
    let mut running = Vec::with_capacity(open.len());
    for one_off in &open {
        // Without its release's spec it can't run; the release was deleted with the app.
        if let Some((spec, _)) = spec_of(releases::find(reader, &row.id, one_off.version)?)? {
            running.push(super::one_offs::desired(one_off, spec, start_time));
        }
    }
    let command_of = |version: ReleaseVersion| {
        running.iter().find(|one_off: &&desired::OneOff| {
            one_off.name.kind == OneOffKind::Release && one_off.spec.version == version
        })
    };
    let current = spec_of(releases::current(reader, &row.id)?)?;
    let candidate = spec_of(releases::with_status(reader, &row.id, ReleaseStatus::Deploying)?)?;
    let held = volumes::held(reader, &row.id)?;
    let may_run = |spec: &ReleaseSpec| {
        let mut formation = formation_of(spec);
        formation.retain(|process, _| {
            let mut mounts = spec.mounts.iter().filter(|mount| mount.is_for(process));
            !mounts.any(|mount| held.contains(&mount.id))
        });
        formation
    };
    Ok(DesiredApp {
        deleting: row.deleting,
        formation: current
            .as_ref()
            .map(|(spec, _)| may_run(spec))
            .unwrap_or_default(),
        held: !held.is_empty(),
        current: current.map(|(spec, _)| spec),
        candidate: candidate.map(|(spec, deadline)| {
            let command = command_of(spec.version);
            Candidate {
                formation: formation_of(&spec),
                waits_for_command: command.is_some(),
                deadline: command.map_or_else(|| store::as_time(deadline), |command| command.deadline),
                spec,
            }
        }),
        one_offs: running,
        orders: process_orders::list(reader, &row.id)?
            .into_iter()
            .map(|order| desired::Order {
                reach: order.reach,
                restart_generation: order.restart_generation,
                stopped_at: order.stopped_at.map(store::as_time),
            })
            .collect(),
        hosts,
        id: row.id,
        name: row.name,
    })
}

/// The release that serves; `None` before the first. `host` is what the app has from its name.
pub(super) fn current_spec(
    reader: &Reader,
    secrets: &Secrets,
    app: &AppId,
    host: &str,
) -> Result<Option<ReleaseSpec>> {
    match releases::current(reader, app)? {
        Some(release) => Ok(spec(reader, secrets, app, host, release)?.map(|(spec, _)| spec)),
        None => Ok(None),
    }
}

/// The spec of a release that was fixed, and its deadline.
fn spec(
    reader: &Reader,
    secrets: &Secrets,
    app: &AppId,
    host: &str,
    release: Release,
) -> Result<Option<(ReleaseSpec, i64)>> {
    let (Some(code), Some(fixed)) = (release.code, release.fixed) else {
        return Ok(None);
    };
    let spec = ReleaseSpec {
        version: release.version,
        image: code.image,
        processes: code.processes,
        launcher: code.launcher,
        config: config_vars::for_run(reader, secrets, app, release.config_version)?,
        port: fixed.port,
        start_timeout: Duration::from_secs(fixed.start_timeout.into()),
        readiness: fixed.readiness.map_or(Readiness::Tcp, Readiness::Http),
        resources: fixed.resources,
        commit: code.commit,
        about: About {
            created_at: store::as_text(release.created_at),
            description: release.description,
            host: host.to_owned(),
        },
        mounts: fixed.mounts,
    };
    Ok(Some((spec, fixed.deadline)))
}
