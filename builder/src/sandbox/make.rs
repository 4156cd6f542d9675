//! How a sandbox is made, and how it goes.

use super::{KIND, Sandbox};
use crate::{
    Config,
    export::beneath::unused_name,
    podman::{
        ContainerSpec, Libpod, LogConfiguration, Namespace, NetworkAttachment, NetworkSpec, PodmanError,
        Rlimit,
    },
};
use std::{collections::BTreeMap, io};

/// An image of one empty folder, as there is no container without one. The number changes when its content does.
const IMAGE: &str = "localhost/pvdify/sandbox:1";

pub(super) struct Making<'a> {
    podman: &'a Libpod,
    config: &'a Config,
    name: String,
}

impl<'a> Making<'a> {
    pub(super) fn new(podman: &'a Libpod, config: &'a Config) -> Self {
        let name = format!("pvdify-sandbox-{}", unused_name());
        Self { podman, config, name }
    }

    pub(super) async fn run(self) -> Result<Sandbox, PodmanError> {
        let made = self.make().await;
        if made.is_err() {
            // Why it failed says more than why its remains stay; the next start removes them.
            remove(self.podman, &self.name).await.ok();
        }
        made
    }

    async fn make(&self) -> Result<Sandbox, PodmanError> {
        let (podman, name) = (self.podman, &self.name);
        if !podman.image_exists(IMAGE).await? {
            podman
                .import_image(
                    IMAGE,
                    empty().map_err(|error| PodmanError::Answer(error.to_string()))?,
                )
                .await?;
        }
        let network = NetworkSpec {
            name: name.clone(),
            labels: self.labels(),
            options: BTreeMap::new(),
            dns_enabled: false,
        };
        podman.create_isolated_network(network).await?;
        podman.isolate_network(name).await?;
        let container = podman.create_container(&self.spec()).await?;
        podman.prepare_container(&container).await?;
        let container = podman.inspect_container(&container).await?;
        Ok(Sandbox {
            name: name.clone(),
            namespace: container
                .map(|container| container.network_namespace.into())
                .unwrap_or_default(),
            has_rules: podman.is_isolated(name).await?,
        })
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let installation = self.config.installation.to_string();
        BTreeMap::from([
            ("pvdify.installation".to_owned(), installation),
            ("pvdify.kind".to_owned(), KIND.to_owned()),
        ])
    }

    fn spec(&self) -> ContainerSpec {
        let limits = &self.config.limits;
        ContainerSpec {
            name: self.name.clone(),
            image: IMAGE.to_owned(),
            labels: self.labels(),
            read_only_filesystem: true,
            cap_drop: vec!["ALL".to_owned()],
            no_new_privileges: true,
            // The one program there is, which is never run: what starts containers looks for one when it prepares it.
            init: true,
            command: Some(vec!["nothing".to_owned()]),
            netns: Some(Namespace::bridge()),
            networks: BTreeMap::from([(self.name.clone(), NetworkAttachment::default())]),
            r_limits: vec![
                Rlimit::new("nofile", limits.nofile),
                Rlimit::new("nproc", limits.nproc),
            ],
            log_configuration: Some(LogConfiguration {
                driver: "none".to_owned(),
                size: None,
            }),
            oci_runtime: self.config.oci_runtime.clone(),
            ..ContainerSpec::default()
        }
    }
}

/// Removes a sandbox, or what there is of one.
pub(super) async fn remove(podman: &Libpod, name: &str) -> Result<(), PodmanError> {
    let removed = podman.remove_container(name).await;
    removed.and(podman.remove_network(name).await)
}

fn empty() -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o555);
    header.set_size(0);
    tar.append_data(&mut header, "empty", io::empty())?;
    tar.into_inner()
}
