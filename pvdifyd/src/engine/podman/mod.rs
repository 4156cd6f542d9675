//! Podman behind the engine seam, by the builder's client of its API.
//!
//! Containers are created with `restart=always`, so that conmon restarts them and `podman-restart.service`
//! brings them back after a boot, with or without pvdifyd. What should not run is therefore removed, never
//! left stopped.

mod bindings;
mod create;
mod image;
mod inspect;
mod network;
mod not_started;
mod process;
mod session;
mod stop;
mod volumes;

pub use image::RegistryAccess;

use super::{
    EngineError, EngineInstance, EngineNetwork, EngineState, ExecOutput, INSTALLATION, InstanceEngine,
    InstanceSpec, Result, Stopped, container_name, labels, probe::Limits, service::PodmanService,
};
use crate::volumes::Volumes;
use async_trait::async_trait;
use futures_util::{StreamExt, future, stream::BoxStream};
use image::Images;
use pvdify_builder::podman::{self, ContainerSpec, Filters, Libpod, ListedContainer, PodmanError};
use pvdify_types::{AppId, AppName, ImageRef, InstallationId, InstanceId};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What the host gives and where images come from.
#[derive(Clone, Debug)]
pub struct PodmanOptions {
    /// Given to each container, always explicitly.
    pub limits: Limits,
    /// Whether an init process (catatonit) reaps zombies and passes signals on.
    pub init: bool,
    /// Our own registry.
    pub registry: Option<RegistryAccess>,
}

/// Podman, over its API socket.
pub struct PodmanEngine {
    installation: InstallationId,
    options: PodmanOptions,
    volumes: Volumes,
    service: Arc<PodmanService>,
    libpod: Libpod,
    images: Images,
    inspected: Mutex<HashMap<String, (ListedContainer, EngineInstance)>>,
}

impl PodmanEngine {
    /// An engine on the service's socket.
    #[must_use]
    pub fn new(
        installation: InstallationId,
        service: Arc<PodmanService>,
        options: PodmanOptions,
        volumes: Volumes,
    ) -> Self {
        let libpod = Libpod::new(service.socket().to_owned());
        let images = Images::new(libpod.clone(), options.registry.clone());
        Self {
            installation,
            options,
            volumes,
            images,
            libpod,
            service,
            inspected: Mutex::default(),
        }
    }

    /// Of a list or of events: this installation's.
    fn filters(&self) -> Filters {
        Filters::label(INSTALLATION, &self.installation)
    }

    async fn inspect_one(&self, reference: &str) -> Result<Option<EngineInstance>> {
        let container = self.libpod.inspect_container(reference).await;
        Ok(container
            .map_err(during("inspect container"))?
            .filter(|container| self.owns(&container.labels))
            .and_then(inspect::instance))
    }

    fn owns(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(INSTALLATION).map(String::as_str) == Some(self.installation.as_str())
    }

    async fn create(&self, container: &ContainerSpec, dyno: &str) -> Result<InstanceId> {
        let what = format!("create {dyno}");
        let id = self.libpod.create_container(container).await;
        let id = id.map_err(during(&what))?;
        id.parse()
            .map_err(|error| EngineError::Refused(format!("{what}: the id {id}: {error}")))
    }

    fn inspected(&self) -> MutexGuard<'_, HashMap<String, (ListedContainer, EngineInstance)>> {
        self.inspected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failure of Podman's means for the engine's caller, in Podman's own words.
pub(super) fn during(what: &str) -> impl FnOnce(PodmanError) -> EngineError {
    move |error| match error {
        PodmanError::Refused { message, .. } => EngineError::Refused(format!("{what}: {message}")),
        PodmanError::Answer(_) => EngineError::Refused(format!("{what}: {error}")),
        PodmanError::Connect { .. }
        | PodmanError::Broken(_)
        | PodmanError::Hijacked(_)
        | PodmanError::TimedOut { .. } => EngineError::Unavailable(format!("{what}: {error}")),
    }
}

#[async_trait]
impl InstanceEngine for PodmanEngine {
    async fn ensure_network(&self, app: &AppId, name: &AppName) -> Result<String> {
        network::ensure(&self.libpod, &self.installation, app, name).await
    }

    async fn networks(&self) -> Result<Vec<EngineNetwork>> {
        network::list(&self.libpod, &self.installation).await
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        let removed = self.libpod.remove_network(name).await;
        removed.map_err(during("remove network"))
    }

    async fn ensure_image(&self, image: &ImageRef) -> Result<String> {
        self.images.ensure(image).await
    }

    async fn prepare(&self, spec: &InstanceSpec) -> Result<()> {
        volumes::mounts(&self.volumes, spec)?;
        self.ensure_image(&spec.image).await.map(drop)
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        let image = self.ensure_image(&spec.image).await?;
        let network = self.ensure_network(&spec.key.app, &spec.key.app_name).await?;
        let name = container_name(&self.installation, &spec.key);
        if let Some(there) = self.inspect_one(&name).await? {
            if there.state == EngineState::Running && !there.lost {
                return Ok(there.id);
            }
            self.remove(&there.id).await?;
        }
        let mounts = volumes::mounts(&self.volumes, spec)?;
        let (installation, options) = (&self.installation, &self.options);
        let container = create::container(installation, options, spec, &image, &network, mounts);
        let id = self.create(&container, &spec.key.dyno()).await?;
        let what = format!("start {}", spec.key.dyno());
        let started = async {
            bindings::put(&self.libpod, &id, spec).await?;
            volumes::claim(&self.libpod, &self.volumes, &id, &image, spec).await?;
            let started = self.libpod.start_container(id.as_str()).await;
            started.map_err(during(&what))
        };
        match started.await {
            Ok(()) => Ok(id),
            Err(error) => {
                // Left behind it would hold its name and port; the start's own failure is what to tell.
                if let Err(leftover) = self.remove(&id).await {
                    tracing::warn!(%id, error = %leftover, "a container that did not start was not removed");
                }
                Err(error)
            }
        }
    }

    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<Stopped> {
        stop::stop(&self.libpod, instance, grace).await
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        let removed = self.libpod.remove_container(instance.as_str()).await;
        removed.map_err(during("remove container"))?;
        self.inspected().remove(instance.as_str());
        Ok(())
    }

    async fn list(&self) -> Result<Vec<EngineInstance>> {
        let list = async || {
            let listed = self.libpod.containers(&self.filters()).await;
            listed.map_err(during("list containers"))
        };
        let listed = match list().await {
            Err(EngineError::Unavailable(_)) => {
                self.service.revive().await?;
                list().await?
            }
            listed => listed?,
        };
        let mut instances = Vec::with_capacity(listed.len());
        let mut seen = HashMap::with_capacity(listed.len());
        for container in listed {
            if !self.owns(&container.labels) || labels::holder(&container.labels).is_some() {
                continue;
            }
            let known = self
                .inspected()
                .get(&container.id)
                .filter(|(before, _)| *before == container)
                .map(|(_, instance)| instance.clone());
            // What can change without the list showing it is conmon alone, so that is looked at each time.
            let instance = match known {
                Some(mut instance) => {
                    instance.lost = inspect::is_lost(&instance);
                    instance
                }
                None => match self.inspect_one(&container.id).await? {
                    Some(instance) => instance,
                    None => continue,
                },
            };
            // Of what ended a moment ago the list says for a while that it runs; asked about it alone, Podman looks.
            let instance = match instance.lost {
                false => instance,
                true => match self.inspect_one(&container.id).await? {
                    Some(instance) => instance,
                    None => continue,
                },
            };
            seen.insert(container.id.clone(), (container, instance.clone()));
            instances.push(instance);
        }
        *self.inspected() = seen;
        Ok(instances)
    }

    async fn inspect(&self, instance: &InstanceId) -> Result<Option<EngineInstance>> {
        self.inspect_one(instance.as_str()).await
    }

    async fn last_exit(&self, instance: &InstanceId) -> Result<Option<i64>> {
        inspect::last_exit(&self.libpod, instance).await
    }

    async fn exec(&self, instance: &InstanceId, command: &[String]) -> Result<ExecOutput> {
        let ran = self.libpod.exec(instance.as_str(), command).await;
        let podman::ExecOutput {
            status,
            stdout,
            stderr,
        } = ran.map_err(during("exec"))?;
        Ok(ExecOutput {
            status,
            stdout,
            stderr,
        })
    }

    fn events(&self) -> BoxStream<'static, ()> {
        self.libpod
            .events(&self.filters())
            .take_while(|event| future::ready(event.is_ok()))
            .filter_map(|event| {
                // Exec and health check events are frequent and change nothing that is looked at.
                let exec = event.is_ok_and(|event| event.action.starts_with("exec"));
                future::ready((!exec).then_some(()))
            })
            .boxed()
    }
}
