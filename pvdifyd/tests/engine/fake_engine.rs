//! An engine in memory: containers are listening sockets, commands are words, calls can fail.
//!
//! Commands: `serve` listens; `deaf` runs and never listens; `exit` ends at once with status 7; `migrate` ends with
//! status 0 once it was seen running.

use crate::harness::Faults;
use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use pvdify_types::{AppId, AppName, ImageRef, InstallationId, InstanceId};
use pvdifyd::engine::{
    EngineError, EngineInstance, EngineNetwork, EngineState, ExecOutput, InstanceEngine, InstanceKey,
    InstanceKind, InstanceSpec, Result, Stopped, container_name, network_name,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

#[derive(Default)]
pub(crate) struct World {
    pub(crate) containers: BTreeMap<InstanceId, Container>,
    pub(crate) networks: BTreeSet<String>,
    made: u32,
    /// Each container that was ever made to run once, as `release.1001 v2`.
    pub(crate) ran_once: Vec<String>,
}

pub(crate) struct Container {
    pub(crate) instance: EngineInstance,
    pub(crate) command: String,
    /// It was listed as running.
    seen: bool,
    name: String,
    listener: Option<TcpListener>,
}

pub(crate) struct FakeEngine {
    installation: InstallationId,
    world: Mutex<World>,
    faults: Arc<Faults>,
}

impl FakeEngine {
    pub(crate) fn new(installation: &str, faults: &Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            installation: installation.parse().unwrap(),
            world: Mutex::default(),
            faults: Arc::clone(faults),
        })
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// `web.1 v2` of each that runs, in order.
    pub(crate) fn running(&self) -> Vec<String> {
        let world = self.world();
        let mut names: Vec<String> = world
            .containers
            .values()
            .filter(|container| container.instance.state == EngineState::Running)
            .map(|container| {
                format!(
                    "{} {}",
                    container.instance.key.dyno(),
                    container.instance.key.release
                )
            })
            .collect();
        names.sort();
        names
    }

    async fn pass(&self, call: &'static str) -> Result<()> {
        self.faults
            .pass(call)
            .await
            .map_err(|error| EngineError::Unavailable(error.to_string()))
    }

    fn start_once(&self, spec: &InstanceSpec) -> InstanceId {
        let mut world = self.world();
        let name = container_name(&self.installation, &spec.key);
        world.networks.insert(network_name(
            &self.installation,
            &spec.key.app,
            &spec.key.app_name,
        ));
        let there = world.containers.values().find(|container| container.name == name);
        if let Some(there) = there.filter(|there| there.instance.state == EngineState::Running) {
            return there.instance.id.clone();
        }
        world.containers.retain(|_, container| container.name != name);
        // Two that have a volume to themselves are never there at one time.
        let alone = |other: &InstanceKey| {
            !(other.exclusive && spec.key.exclusive) || other.release == spec.key.release
        };
        let mut there = world.containers.values();
        self.faults.check(
            there.all(|container| alone(&container.instance.key)),
            "what has a volume to itself is gone before its successor starts",
        );
        world.made += 1;
        if spec.key.kind == InstanceKind::OneOff {
            let name = format!("{} {}", spec.key.dyno(), spec.key.release);
            world.ran_once.push(name);
        }
        let id: InstanceId = format!("c{}", world.made).parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = spec.publish.map(|_| listener.local_addr().unwrap());
        let state = match spec.command.text().as_str() {
            "exit" => EngineState::Exited(7),
            _ => EngineState::Running,
        };
        let container = Container {
            instance: EngineInstance {
                id: id.clone(),
                key: spec.key.clone(),
                state,
                pid: Some(1),
                conmon_pid: Some(2),
                lost: false,
                restarts: 0,
                started_at: Some(SystemTime::now()),
                finished_at: Some(SystemTime::now()).filter(|_| state != EngineState::Running),
                endpoint,
                log_path: None,
            },
            command: spec.command.text(),
            seen: false,
            name,
            listener: Some(listener).filter(|_| spec.command.text() == "serve"),
        };
        world.containers.insert(id.clone(), container);
        id
    }

    fn stop_once(&self, instance: &InstanceId) -> Stopped {
        let mut world = self.world();
        let Some(container) = world.containers.get_mut(instance) else {
            return Stopped {
                status: None,
                killed: false,
            };
        };
        container.listener = None;
        container.instance.state = EngineState::Exited(143);
        container.instance.finished_at = Some(SystemTime::now());
        Stopped {
            status: Some(143),
            killed: false,
        }
    }

    fn serves(&self, instance: &InstanceId) -> bool {
        let world = self.world();
        world.containers.get(instance).is_some_and(|container| {
            container.instance.state == EngineState::Running && container.command == "serve"
        })
    }

    /// Whether a request sent there now is answered.
    pub(crate) fn answers(&self, address: SocketAddr) -> bool {
        let world = self.world();
        world
            .containers
            .values()
            .any(|container| container.instance.endpoint == Some(address) && container.listener.is_some())
    }
}

#[async_trait]
impl InstanceEngine for FakeEngine {
    async fn ensure_network(&self, app: &AppId, name: &AppName) -> Result<String> {
        Ok(network_name(&self.installation, app, name))
    }

    async fn networks(&self) -> Result<Vec<EngineNetwork>> {
        self.pass("networks").await?;
        let networks = self.world().networks.clone();
        Ok(networks
            .into_iter()
            .map(|name| EngineNetwork {
                name,
                app: Some("a1".parse().unwrap()),
            })
            .collect())
    }

    async fn remove_network(&self, name: &str) -> Result<()> {
        self.pass("remove_network").await?;
        self.world().networks.remove(name);
        self.faults.after("remove_network").await;
        Ok(())
    }

    async fn ensure_image(&self, _: &ImageRef) -> Result<String> {
        Ok("image".to_owned())
    }

    async fn prepare(&self, _: &InstanceSpec) -> Result<()> {
        self.pass("prepare").await
    }

    async fn start(&self, spec: &InstanceSpec) -> Result<InstanceId> {
        self.pass("start").await?;
        let id = self.start_once(spec);
        if self.faults.twice() {
            self.faults
                .check(self.start_once(spec) == id, "a second start takes the first's");
        }
        self.faults.after("start").await;
        Ok(id)
    }

    async fn stop(&self, instance: &InstanceId, _: Duration) -> Result<Stopped> {
        self.pass("stop").await?;
        let routed = self.serves(instance) && self.faults.is_routed(instance);
        self.faults
            .check(!routed, "what the router serves is not stopped");
        let stopped = self.stop_once(instance);
        if self.faults.twice() {
            self.stop_once(instance);
        }
        self.faults.after("stop").await;
        Ok(stopped)
    }

    async fn remove(&self, instance: &InstanceId) -> Result<()> {
        self.pass("remove").await?;
        self.world().containers.remove(instance);
        self.faults.after("remove").await;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<EngineInstance>> {
        self.pass("list").await?;
        let mut world = self.world();
        let mut list = Vec::new();
        for container in world.containers.values_mut() {
            let runs = container.instance.state == EngineState::Running;
            if runs && container.command == "migrate" && std::mem::replace(&mut container.seen, true) {
                container.instance.state = EngineState::Exited(0);
                container.instance.finished_at = Some(SystemTime::now());
            }
            list.push(container.instance.clone());
        }
        Ok(list)
    }

    async fn inspect(&self, instance: &InstanceId) -> Result<Option<EngineInstance>> {
        let world = self.world();
        Ok(world
            .containers
            .get(instance)
            .map(|container| container.instance.clone()))
    }

    async fn last_exit(&self, _: &InstanceId) -> Result<Option<i64>> {
        self.pass("last_exit").await?;
        Ok(Some(7))
    }

    async fn exec(&self, _: &InstanceId, _: &[String]) -> Result<ExecOutput> {
        Ok(ExecOutput::default())
    }

    fn events(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}
