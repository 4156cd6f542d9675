//! Apps: make, see, change, delete.

use super::{
    Acting, Action, App, VolumeError,
    authorise::{known_app, living_app},
    error::{Error, Result},
    releases::settings_release,
};
use crate::{
    reconcile::handle::{InstanceState, Observation},
    store::{self, Changed, Reader, as_date, formation, releases, volumes},
};
use pvdify_api::apps::{self as wire, Healthcheck};
use pvdify_types::{AppId, AppName, AppStatus, Environment, Resources, formation::quantities};

/// An app and what its face shows of other tables.
struct Shown {
    app: store::apps::App,
    current: Option<releases::Release>,
    any_failed: bool,
    scaled: pvdify_types::Formation,
}

fn shown(reader: &Reader, app: store::apps::App) -> Result<Shown> {
    Ok(Shown {
        current: releases::current(reader, &app.id)?,
        any_failed: releases::any_failed(reader, &app.id)?,
        scaled: formation::scaled(reader, &app.id)?,
        app,
    })
}

impl Acting {
    /// All apps, by name.
    ///
    /// # Errors
    /// When refused.
    pub async fn apps(&self) -> Result<Vec<wire::App>> {
        self.may(Action::ReadApps)?;
        let all = self
            .app
            .store()
            .read(|reader| {
                let apps = store::apps::list(reader)?;
                apps.into_iter()
                    .map(|app| shown(reader, app))
                    .collect::<Result<Vec<_>>>()
            })
            .await?;
        let observed = self.app.inner.handle.observation();
        Ok(all
            .into_iter()
            .map(|shown| self.app.face(shown, &observed))
            .collect())
    }

    /// One app.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn app(&self, name: &AppName) -> Result<wire::App> {
        self.may(Action::ReadApps)?;
        self.face_of(name.clone()).await
    }

    async fn face_of(&self, name: AppName) -> Result<wire::App> {
        let one = self
            .app
            .store()
            .read(move |reader| shown(reader, known_app(reader, &name)?))
            .await?;
        Ok(self.app.face(one, &self.app.inner.handle.observation()))
    }

    /// Makes an app. Its name is free only once an app of that name is wholly gone.
    ///
    /// # Errors
    /// When refused, or the name breaks a rule or is taken.
    pub async fn create_app(&self, body: wire::CreateApp) -> Result<wire::App> {
        self.may(Action::CreateApp)?;
        let name: AppName = body.name.parse().map_err(Error::invalid)?;
        let environment = parse_environment(body.environment.as_deref())?.unwrap_or_default();
        let wanted = name.clone();
        self.app
            .store()
            .write(move |tx| {
                if store::apps::insert(tx, &wanted, environment, store::now())?.is_some() {
                    return Ok(());
                }
                match store::apps::by_name(tx, &wanted)? {
                    Some(app) if app.deleting => Err(Error::Deleting(wanted)),
                    _ => Err(Error::NameTaken(wanted)),
                }
            })
            .await?;
        self.app.inner.handle.wake();
        self.face_of(name).await
    }

    /// Changes settings. What concerns how instances run makes a release, so that a setting that breaks the
    /// app fails like any release and the old one goes on serving.
    ///
    /// # Errors
    /// When refused, unknown, or a setting breaks a rule.
    pub async fn update_app(&self, name: &AppName, body: wire::UpdateApp) -> Result<wire::App> {
        self.may(Action::ChangeApp)?;
        let environment = parse_environment(body.environment.as_deref())?;
        check_settings(&body)?;
        let (wanted, user) = (name.clone(), self.user().to_owned());
        let released = self
            .app
            .store()
            .write(move |tx| {
                let before = living_app(tx, &wanted)?;
                let mut app = before.clone();
                app.environment = environment.unwrap_or(app.environment);
                app.bind_port = body.bind_port.or(app.bind_port);
                app.resources = body.resources.unwrap_or(app.resources);
                app.healthcheck = body.healthcheck.or(app.healthcheck);
                let now = store::now();
                store::apps::save_settings(tx, &app, now)?;
                let mut changed = Vec::new();
                if app.bind_port != before.bind_port {
                    changed.push("bind_port");
                }
                if app.resources != before.resources {
                    changed.push("resources");
                }
                if app.healthcheck != before.healthcheck {
                    changed.push("healthcheck");
                }
                if changed.is_empty() {
                    return Ok(None);
                }
                let description = format!("Set {}", changed.join(", "));
                let release = settings_release(tx, &app, description, user, now)?;
                Ok::<_, Error>(release.map(|release| (app.id, release)))
            })
            .await?;
        if let Some((id, release)) = released {
            self.app.announce(&id, &release);
        }
        self.app.inner.handle.wake();
        self.face_of(name.clone()).await
    }

    /// Deletes an app: marks it, and gives the reconciler a while to remove its containers. It is gone when
    /// the reconciler says so, also after a restart.
    ///
    /// # Errors
    /// When refused or unknown, or it has a volume: data goes by an act of its own.
    pub async fn delete_app(&self, name: &AppName) -> Result<()> {
        self.may(Action::DeleteApp)?;
        let wanted = name.clone();
        let (id, open) = self
            .app
            .store()
            .write(move |tx| {
                let app = known_app(tx, &wanted)?;
                let volumes = volumes::list(tx, &app.id)?;
                if !volumes.is_empty() {
                    let volumes = volumes.into_iter().map(|volume| volume.name).collect();
                    return Err(VolumeError::Left {
                        app: app.name,
                        volumes,
                    }
                    .into());
                }
                let now = store::now();
                if store::apps::mark_deleting(tx, &app.id, now)? == Changed::NotFound {
                    return Err(Error::NoApp(wanted.to_string()));
                }
                let open = releases::open(tx, &app.id)?;
                for release in &open {
                    super::releases::fail(tx, &app.id, release.version, "the app was deleted", &[], now)?;
                }
                Ok((app.id, open))
            })
            .await?;
        for release in open {
            self.app.inner.progress.feed(&id, release.version).touch();
        }
        self.app.inner.sessions.stop_all(&id);
        let gone = self.app.wait_until_forgotten(&id);
        self.app.inner.handle.wake();
        // Not gone in time is no failure: the app shows as deleting until it is.
        tokio::time::timeout(self.app.settings().limits.delete_time, gone)
            .await
            .ok();
        Ok(())
    }
}

impl App {
    async fn wait_until_forgotten(&self, id: &AppId) {
        loop {
            let next = self.inner.forgotten.notified();
            let wanted = id.clone();
            let found = self
                .store()
                .read(move |reader| store::apps::by_id(reader, &wanted))
                .await;
            if matches!(found, Ok(None)) {
                return;
            }
            next.await;
        }
    }

    fn face(&self, shown: Shown, observed: &Observation) -> wire::App {
        let Shown {
            app,
            current,
            any_failed,
            scaled,
        } = shown;
        let code = current.as_ref().and_then(|release| release.code.as_ref());
        let types = code
            .map(|code| code.processes.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default();
        let (mut wanted, mut ready) = (0, 0);
        for (process, quantity) in quantities(types, &scaled) {
            let up = observed.instances.iter().filter(|instance| {
                instance.app == app.id
                    && instance.process == process
                    && instance.state == InstanceState::Up
                    && current
                        .as_ref()
                        .is_some_and(|release| release.version == instance.release)
            });
            wanted += quantity;
            ready += u32::try_from(up.count()).unwrap_or(u32::MAX).min(quantity);
        }
        let healthcheck = app.healthcheck.clone().unwrap_or_else(|| Healthcheck {
            path: code.and_then(|code| code.healthcheck_path.clone()),
            timeout_seconds: code
                .and_then(|code| code.healthcheck_timeout)
                .unwrap_or(Healthcheck::default().timeout_seconds),
        });
        wire::App {
            status: AppStatus::decide(app.deleting, current.is_some(), any_failed, wanted, ready),
            image: code.map(|code| code.image.to_string()),
            release: current.as_ref().map(|release| release.version.0),
            environment: app.environment,
            bind_port: app.bind_port,
            resources: app.resources,
            healthcheck,
            web_url: self.web_url(&app.name),
            git_url: self.git_url(&app.name),
            created_at: as_date(app.created_at),
            updated_at: as_date(app.updated_at),
            name: app.name,
        }
    }
}

fn parse_environment(text: Option<&str>) -> Result<Option<Environment>> {
    text.map(|text| text.parse().map_err(Error::Invalid)).transpose()
}

/// Podman needs about 6 MiB to start a container at all.
const MEMORY: std::ops::RangeInclusive<u64> = (16 << 20)..=(1 << 40);
const CPU_MILLIS: std::ops::RangeInclusive<u32> = 10..=1_000_000;
const PIDS: std::ops::RangeInclusive<u32> = 16..=32_768;
const TIMEOUT: std::ops::RangeInclusive<u32> = 1..=3600;

fn check_settings(body: &wire::UpdateApp) -> Result<()> {
    if body.bind_port == Some(0) {
        return Err(Error::Invalid("bind_port is 1 to 65535, not 0".into()));
    }
    if let Some(Resources {
        memory_bytes,
        cpu_millis,
        pids,
    }) = &body.resources
    {
        within("resources.memory_bytes", memory_bytes, &MEMORY)?;
        within("resources.pids", pids, &PIDS)?;
        if let Some(cpu) = cpu_millis {
            within("resources.cpu_millis", cpu, &CPU_MILLIS)?;
        }
    }
    if let Some(Healthcheck {
        path,
        timeout_seconds,
    }) = &body.healthcheck
    {
        within("healthcheck.timeout_seconds", timeout_seconds, &TIMEOUT)?;
        if let Some(path) = path {
            check_path(path)?;
        }
    }
    Ok(())
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &str,
    value: &T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<()> {
    if range.contains(value) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{field} is {} to {}, not {value}",
        range.start(),
        range.end()
    )))
}

/// What may follow the method in a request line (RFC 9112 section 3.2.1), so that no path adds a header.
fn check_path(path: &str) -> Result<()> {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if path.starts_with('/') && path.len() <= 1024 && plain {
        Ok(())
    } else {
        Err(Error::Invalid(format!(
            "healthcheck.path starts with / and has at most 1024 printable ASCII characters without spaces, not {:?}",
            path.chars().take(40).collect::<String>()
        )))
    }
}
