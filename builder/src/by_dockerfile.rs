//! Builds by a Dockerfile: checked, run with Podman within limits, pushed into the own registry, and its digest read
//! back from there.

use crate::{
    BuildError, Builder, Built, Folder, LOCAL_PREFIX, Request, address,
    build::Run,
    cgroup::Cgroup,
    description::Description,
    dockerfile::{Dockerfile, DockerfileError, Foreign},
    podman::RegistryAuth,
    say,
    source::Source,
};
use pvdify_registry::{Reference, Repository};
use pvdify_types::{AppName, BuildId, Digest};
use std::{collections::BTreeSet, path::Path};
use tokio::sync::mpsc;

/// Names that one Dockerfile's ADDs may have looked up.
const MAX_HOSTS: usize = 100;

impl Builder {
    /// Builds by the source's Dockerfile.
    pub(crate) async fn by_dockerfile(
        &self,
        request: &Request<'_>,
        scanned: &Source,
        description: Description,
        output: &mpsc::Sender<String>,
    ) -> Result<Built, BuildError> {
        let (app, build, source) = (request.app, request.build, request.source);
        let dockerfile = self.dockerfile(scanned)?;
        self.check_remotes(&dockerfile).await?;
        let tag = format!("{LOCAL_PREFIX}{app}:{build}");
        let folder = self.begin(build, &tag)?;
        for line in description.lines() {
            say(output, &line).await;
        }
        say(output, "-----> Building with Dockerfile").await;
        let prepare = || self.prepare(app, build, source, &dockerfile, &folder, &tag);
        let mut result = prepare().await?.build(output).await;
        if result.as_ref().is_err_and(|failed| failed.again) {
            let line = "       Podman's storage changed during the build; building again";
            say(output, line).await;
            result = prepare().await?.build(output).await;
        }
        if let Err(failed) = result {
            self.remove_tag(&tag).await;
            return Err(self.ran_full().unwrap_or(failed.error));
        }
        say(output, "-----> Storing the image").await;
        let pushed = tokio::time::timeout(self.config.limits.timeout, self.push(app, build, &tag))
            .await
            .unwrap_or_else(|_| {
                Err(BuildError::unavailable(
                    "storing the image took too long: push again",
                ))
            });
        self.retire(app, &tag).await;
        let digest = pushed?;
        let (image, facts) = self.stored(app, &digest).await?;
        if description.needs_own_command() && !facts.has_command {
            return Err(BuildError::refused(
                "the image says nothing to run: add CMD to the Dockerfile, or a Procfile beside it",
            ));
        }
        say(output, &format!("       {}", image.digest)).await;
        Ok(description.with(image, &facts))
    }

    fn dockerfile(&self, source: &Source) -> Result<Dockerfile, BuildError> {
        let bytes = source.dockerfile.as_deref().unwrap_or_default();
        let dockerfile = Dockerfile::parse(bytes).map_err(BuildError::refused)?;
        let foreign = Foreign {
            registry: &self.config.registry_address,
            local_prefix: LOCAL_PREFIX,
        };
        dockerfile
            .check(&source.links, &foreign)
            .map_err(BuildError::refused)?;
        Ok(dockerfile)
    }

    /// Refuses an ADD from a name whose address is not public.
    async fn check_remotes(&self, dockerfile: &Dockerfile) -> Result<(), BuildError> {
        let hosts: BTreeSet<String> = dockerfile.remotes().map(|remote| remote.host).collect();
        if hosts.len() > MAX_HOSTS {
            return Err(BuildError::Refused(format!(
                "the Dockerfile has ADD from {} hosts, at most {MAX_HOSTS} are allowed",
                hosts.len()
            )));
        }
        let Some((host, address)) = address::first_refused(&self.resolver, hosts, address::is_public).await
        else {
            return Ok(());
        };
        let (line, word) = dockerfile
            .remotes()
            .find(|remote| remote.host == host)
            .map_or((1, ""), |remote| (remote.line, remote.word));
        Err(BuildError::refused(DockerfileError::new(
            line,
            format!(
                "ADD {word} is not allowed: {host} is {address}, and files are fetched from public addresses only; use RUN with curl instead"
            ),
        )))
    }

    async fn prepare<'a>(
        &'a self,
        app: &'a AppName,
        build: &BuildId,
        source: &'a Path,
        dockerfile: &'a Dockerfile,
        folder: &Folder,
        tag: &'a str,
    ) -> Result<Run<'a>, BuildError> {
        let config = &self.config;
        let ca = match &config.build_ca {
            None => None,
            Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
                BuildError::unavailable(format!("the build CA {} can't be read: {error}", path.display()))
            })?),
        };
        // Podman is another process: it may have another working folder.
        let dockerfile_path =
            std::path::absolute(folder.path.join("Dockerfile")).map_err(BuildError::disk)?;
        tokio::fs::write(&dockerfile_path, dockerfile.render(app, ca.is_some()))
            .await
            .map_err(BuildError::disk)?;
        let cgroup = Cgroup::of(&config.installation, build);
        if let Some(Err(error)) = cgroup.as_ref().map(|group| group.create(config.limits.pids)) {
            tracing::warn!(%error, "builds run without a limit of processes");
        }
        Ok(Run {
            podman: &self.podman,
            app,
            installation: &config.installation,
            limits: &config.limits,
            dockerfile,
            dockerfile_path,
            source,
            ca,
            tag,
            cgroup,
        })
    }

    /// Pushes under the build's id as tag, and reads back which digest that tag now has.
    async fn push(&self, app: &AppName, build: &BuildId, tag: &str) -> Result<Digest, BuildError> {
        let config = &self.config;
        let (username, password) = config.registry_credentials.clone();
        let auth = RegistryAuth { username, password };
        let destination = format!("{}/{app}:{build}", config.registry_address);
        let said = self
            .podman
            .push_image(tag, &destination, Some(&auth), false)
            .await?;
        let repository = Repository::from(app);
        let reference: Reference = build
            .as_str()
            .parse()
            .map_err(|error| BuildError::unavailable(format!("the build's id is no tag: {error}")))?;
        let manifest = self.store.manifest(&repository, &reference).await?;
        let missing =
            || BuildError::unavailable("the image was pushed but is not in the registry: push again");
        let digest = manifest.ok_or_else(missing)?.digest;
        match said {
            Some(said) if said != digest => Err(missing()),
            _ => Ok(digest),
        }
    }

    /// Keeps the app's newest image under one name, for its layers' sake, and lets the one before it go.
    async fn retire(&self, app: &AppName, tag: &str) {
        let newest = format!("{LOCAL_PREFIX}{app}:latest");
        let before = self.podman.image_id(&newest).await.ok().flatten();
        let repository = format!("{LOCAL_PREFIX}{app}");
        if let Err(error) = self.podman.tag(tag, &repository, "latest").await {
            tracing::warn!(%error, %app, "the built image could not be kept for the next build");
        }
        self.remove_tag(tag).await;
        let now = self.podman.image_id(&newest).await.ok().flatten();
        if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
            // Refused, rightly, while a container or another name uses it.
            self.podman.remove_image(&before, false).await.ok();
        }
    }

    async fn remove_tag(&self, tag: &str) {
        if let Err(error) = self.podman.remove_image(tag, false).await {
            tracing::warn!(%error, tag, "a build's image could not be removed from Podman");
        }
    }
}
