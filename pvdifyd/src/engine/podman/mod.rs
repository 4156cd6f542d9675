//! Podman behind the engine seam.
//!
//! The Docker-compatible API (bollard) for what it does well: events, exec, networks. The libpod API where
//! the compatible one falls short: choosing the OCI runtime, conmon's process id, pulls over plain HTTP.
//!
//! Containers are created with `restart=always`, so that conmon restarts them and `podman-restart.service`
//! brings them back after a boot, with or without pvdifyd. What should not run is therefore removed, never
//! left stopped.

mod create;
mod image;
mod inspect;
mod libpod;
mod stop;

pub use image::RegistryAccess;
pub(crate) use libpod::Libpod;

use super::{
    EngineError, EngineInstance, EngineNetwork, EngineState, ExecOutput, INSTALLATION, InstanceEngine,
    InstanceSpec, Result, Stopped, container_name, labels, network_name, probe::Limits,
    service::PodmanService,
};
use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION, Docker,
    container::LogOutput,
    exec::StartExecResults,
    models::{ExecConfig, NetworkCreateRequest},
    query_parameters::{EventsOptions, ListNetworksOptions},
};
use futures_util::{StreamExt, future, stream::BoxStream};
use image::Images;
use pvdify_types::{AppId, AppName, ImageRef, InstallationId, InstanceId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// For calls that wait for something inside a container.
const SLOW_CALL_SECONDS: u64 = 120;

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
    service: Arc<PodmanService>,
    docker: Docker,
    libpod: Libpod,
    images: Images,
    inspected: Mutex<HashMap<InstanceId, (inspect::Listed, EngineInstance)>>,
}

impl PodmanEngine {
    /// An engine on a socket that answers.
    ///
    /// # Errors
    /// When the socket's path can't be used.
    pub fn new(
        installation: InstallationId,
        service: Arc<PodmanService>,
        options: PodmanOptions,
    ) -> Result<Self> {
        let socket = service.socket();
        let docker =
            Docker::connect_with_unix(&socket.to_string_lossy(), SLOW_CALL_SECONDS, API_DEFAULT_VERSION)
                .map_err(|error| EngineError::Unavailable(format!("{}: {error}", socket.display())))?;
        let libpod = Libpod::new(socket);
        let images = Images::new(libpod.clone(), options.registry.clone());
        Ok(Self {
            installation,
            options,
            docker,
            images,
            libpod,
            service,
            inspected: Mutex::default(),
        })
    }

    /// `filters` of a list call: this installation's label.
    fn filters(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([(
            "label".to_owned(),
            vec![format!("{INSTALLATION}={}", self.installation)],
        )])
    }

    async fn inspect_one(&self, reference: &str) -> Result<Option<EngineInstance>> {
        let path = format!("/containers/{reference}/json");
        let Some(reply) = self.libpod.get(&path).await?.found("inspect container")? else {
            return Ok(None);
        };
        let container: inspect::Container = reply.json("inspect container")?;
        if container.installation() != Some(self.installation.as_str()) {
            return Ok(None);
        }
        Ok(container.into_instance())
    }

    async fn create(&self, spec: &InstanceSpec, image: &str, network: &str) -> Result<InstanceId> {
        #[derive(serde::Deserialize)]
        struct Created {
            #[serde(rename = "Id")]
            id: InstanceId,
        }
        let body = create::body(&self.installation, &self.options, spec, image, network);
        let what = format!("create {}", spec.key.dyno());
        let reply = self
            .libpod
            .post("/containers/create", Some(&body))
            .await?
            .done(&what)?;
        Ok(reply.json::<Created>(&what)?.id)
    }

    async fn create_network(
        &self,
        app: &AppId,
        name: &str,
        isolate: bool,
    ) -> std::result::Result<(), bollard::errors::Error> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            options: isolate.then(|| HashMap::from([("isolate".to_owned(), "true".to_owned())])),
            labels: Some(HashMap::from([
                (INSTALLATION.to_owned(), self.installation.to_string()),
                (labels::APP.to_owned(), app.to_string()),
            ])),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.map(|_| ())
    }
}

fn docker_error(what: &str, error: &bollard::errors::Error) -> EngineError {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => {
            EngineError::Refused(format!("{what}: {message}"))
        }
        other => EngineError::Unavailable(format!("{what}: {other}")),
    }
}

fn status_of(error: &bollard::errors::Error) -> Option<u16> {
    match error {
        bollard::errors::Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

#[async_trait]
impl InstanceEngine for PodmanEngine {
    async fn ensure_network(&self, app: &AppId, name: &AppName) -> Result<String> {
        let network = network_name(&self.installation, app, name);
        let path = format!("/networks/{network}/exists");
        if self.libpod.get(&path).await?.found("look for network")?.is_some() {
            return Ok(network);
        }
        let made = match self.create_network(app, &network, true).await {
            // Older network backends do not know the option; the network is still the app's own.
            Err(error) if error.to_string().contains("isolate") => {
                self.create_network(app, &network, false).await
            }
            made => made,
        };
        match made {
            Ok(()) => Ok(network),
            Err(error) if status_of(&error) == Some(409) => Ok(network),
            Err(error) => Err(docker_error("create network", &error)),
        }
    }

    async fn networks(&self) -> Result<Vec<EngineNetwork>> {
        let options = ListNetworksOptions {
            filters: Some(self.filters()),
        };
        let networks = self
            .docker
            .list_networks(Some(options))
            .await
            .map_err(|error| docker_error("list networks", &error))?;
        Ok(networks
            .into_iter()
            .filter(|network| {
                let labels = network.labels.as_ref();
                let ours = labels.and_then(|labels| labels.get(INSTALLATION));
                ours.map(String::as_str) == Some(self.installation.as_str())
            })
            .filter_map(|network| {
                let app = network.labels.as_ref().and_then(|labels| labels.get(labels::APP));
                Some(EngineNetwork {
                    name: network.name?,
                    app: app.and_then(|app| app.parse().ok()),
                })
            })
            .collect())
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        match self.docker.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(error) if status_of(&error) == Some(404) => Ok(()),
            Err(error) => Err(docker_error("remove network", &error)),
        }
    }

    async fn ensure_image(&self, image: &ImageRef) -> Result<String> {
        self.images.ensure(image).await
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
        let id = self.create(spec, &image, &network).await?;
        let what = format!("start {}", spec.key.dyno());
        let started = self.libpod.post(&format!("/containers/{id}/start"), None).await;
        match started.and_then(|reply| reply.done(&what)) {
            Ok(_) => Ok(id),
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
        let path = format!("/containers/{instance}?force=true&timeout=0&v=true");
        self.libpod.delete(&path).await?.found("remove container")?;
        self.inspected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(instance);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<EngineInstance>> {
        let filters = serde_json::to_string(&self.filters()).unwrap_or_default();
        let path = format!("/containers/json?all=true&filters={}", percent_encode(&filters));
        let reply = match self.libpod.get(&path).await {
            Err(EngineError::Unavailable(_)) => {
                self.service.revive().await?;
                self.libpod.get(&path).await?
            }
            reply => reply?,
        };
        let listed: Vec<inspect::Listed> = reply.done("list containers")?.json("list containers")?;
        let mut instances = Vec::with_capacity(listed.len());
        let mut seen = HashMap::with_capacity(listed.len());
        for container in listed {
            if container.installation() != Some(self.installation.as_str()) {
                continue;
            }
            let known = self
                .inspected
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&container.id)
                .filter(|(before, _)| *before == container)
                .map(|(_, instance)| instance.clone());
            // What can change without the list showing it is conmon alone, so that is looked at each time.
            let instance = match known {
                Some(mut instance) => {
                    instance.lost = inspect::is_lost(&instance);
                    instance
                }
                None => match self.inspect_one(container.id.as_str()).await? {
                    Some(instance) => instance,
                    None => continue,
                },
            };
            seen.insert(container.id.clone(), (container, instance.clone()));
            instances.push(instance);
        }
        *self.inspected.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(instances)
    }

    async fn inspect(&self, instance: &InstanceId) -> Result<Option<EngineInstance>> {
        self.inspect_one(instance.as_str()).await
    }

    async fn last_exit(&self, instance: &InstanceId) -> Result<Option<i64>> {
        inspect::last_exit(&self.libpod, instance).await
    }

    async fn exec(&self, instance: &InstanceId, command: &[String]) -> Result<ExecOutput> {
        let failed = |error: bollard::errors::Error| docker_error("exec", &error);
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self
            .docker
            .create_exec(instance.as_str(), config)
            .await
            .map_err(failed)?
            .id;
        let mut output = ExecOutput::default();
        if let StartExecResults::Attached {
            output: mut stream, ..
        } = self.docker.start_exec(&exec, None).await.map_err(failed)?
        {
            while let Some(part) = stream.next().await {
                match part.map_err(failed)? {
                    LogOutput::StdErr { message } => output.stderr.extend_from_slice(&message),
                    LogOutput::StdOut { message }
                    | LogOutput::StdIn { message }
                    | LogOutput::Console { message } => output.stdout.extend_from_slice(&message),
                }
            }
        }
        let ended = self.docker.inspect_exec(&exec).await.map_err(failed)?;
        output.status = ended.exit_code.unwrap_or(-1);
        Ok(output)
    }

    fn events(&self) -> BoxStream<'static, ()> {
        let options = EventsOptions {
            filters: Some(self.filters()),
            ..EventsOptions::default()
        };
        self.docker
            .events(Some(options))
            .take_while(|event| future::ready(event.is_ok()))
            .filter_map(|event| {
                // Exec and health check events are frequent and change nothing that is looked at.
                let exec =
                    event.is_ok_and(|event| event.action.is_some_and(|action| action.starts_with("exec")));
                future::ready((!exec).then_some(()))
            })
            .boxed()
    }
}

/// Percent-encodes a query value (RFC 3986 section 2.3).
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
