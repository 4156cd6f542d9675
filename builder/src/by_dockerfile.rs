//! Builds by a Dockerfile: checked, run with Podman within limits, pushed into the own registry, and its digest read
//! back from there.

use crate::{
    BuildError, Builder, Built, Folder, LOCAL_PREFIX, NEWEST, Request, address,
    build::Run,
    cgroup::Cgroup,
    description::Description,
    dockerfile::{Additions, CA_SECRET, Dockerfile, DockerfileError, Foreign, secret_id},
    podman::RegistryAuth,
    say,
    secrets::Secrets,
    source::Source,
    trust,
};
use pvdify_registry::{Reference, Repository};
use pvdify_types::{AppName, BuildId, BuildVars, ConfigKey, Digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use tokio::{sync::mpsc, time::Instant};

/// Names that one Dockerfile's ADDs may have looked up.
const MAX_HOSTS: usize = 100;

/// What Podman makes an image of.
pub(crate) struct Input<'a> {
    pub(crate) app: &'a AppName,
    pub(crate) build: &'a BuildId,
    /// A tar file.
    pub(crate) source: &'a Path,
    pub(crate) dockerfile: &'a Dockerfile,
    /// The CA bundle that its steps trust; without one what the image does.
    pub(crate) ca: Option<&'a [u8]>,
    /// The config vars that its steps may mount.
    pub(crate) config: &'a BuildVars,
    /// Build arguments.
    pub(crate) args: &'a BTreeMap<String, String>,
    /// When it has to be made.
    pub(crate) deadline: Instant,
    /// The build's own.
    pub(crate) folder: &'a Folder,
    /// The name that the image gets.
    pub(crate) tag: &'a str,
}

impl Builder {
    /// Builds by the source's Dockerfile.
    pub(crate) async fn by_dockerfile(
        &self,
        request: &Request<'_>,
        scanned: &Source,
        description: Description,
        output: &mpsc::Sender<String>,
    ) -> Result<Built, BuildError> {
        let (app, build) = (request.app, request.build);
        let dockerfile = self.dockerfile(scanned)?;
        self.check_remotes(&dockerfile).await?;
        let tag = format!("{LOCAL_PREFIX}{app}:{build}");
        let folder = self.begin(build, &tag)?;
        for line in description.lines() {
            say(output, &line).await;
        }
        say(output, "-----> Building with Dockerfile").await;
        for line in secret_lines(app, &dockerfile, request.config) {
            say(output, &line).await;
        }
        let ca = trust::of_build(self.config.build_ca.as_deref(), request.bindings)?;
        let input = Input {
            app,
            build,
            source: request.source,
            dockerfile: &dockerfile,
            ca: ca.as_deref(),
            config: request.config,
            args: &BTreeMap::new(),
            deadline: Instant::now() + self.config.limits.timeout,
            folder: &folder,
            tag: &tag,
        };
        self.make(&input, output).await?;
        say(output, "-----> Storing the image").await;
        let pushed = tokio::time::timeout(self.config.limits.timeout, self.push(app, build, &tag))
            .await
            .unwrap_or_else(|_| {
                Err(BuildError::unavailable(
                    "storing the image took too long: push again",
                ))
            });
        self.keep(app, &tag, NEWEST).await;
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

    /// Has Podman make an image, once more if others disturbed it; it has the tag afterwards.
    pub(crate) async fn make(
        &self,
        input: &Input<'_>,
        output: &mpsc::Sender<String>,
    ) -> Result<(), BuildError> {
        let mut result = self.prepare(input).await?.build(output).await;
        if result.as_ref().is_err_and(|failed| failed.again) {
            let line = "       Podman's storage changed during the build; building again";
            say(output, line).await;
            result = self.prepare(input).await?.build(output).await;
        }
        if let Err(failed) = result {
            self.remove_tag(input.tag).await;
            return Err(self.ran_full().unwrap_or(failed.error));
        }
        Ok(())
    }

    fn dockerfile(&self, source: &Source) -> Result<Dockerfile, BuildError> {
        let bytes = source.dockerfile.as_deref().unwrap_or_default();
        let dockerfile = Dockerfile::parse(bytes).map_err(BuildError::refused)?;
        dockerfile
            .check(&source.links, &self.foreign())
            .map_err(BuildError::refused)?;
        Ok(dockerfile)
    }

    /// What no Dockerfile may start from.
    pub(crate) fn foreign(&self) -> Foreign<'_> {
        Foreign {
            registry: &self.config.registry_address,
            local_prefix: LOCAL_PREFIX,
        }
    }

    /// Refuses an ADD from a name whose address is not public.
    pub(crate) async fn check_remotes(&self, dockerfile: &Dockerfile) -> Result<(), BuildError> {
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

    async fn prepare<'a>(&'a self, input: &Input<'a>) -> Result<Run<'a>, BuildError> {
        let config = &self.config;
        let additions = Additions {
            app: input.app,
            with_ca: input.ca.is_some(),
            config: input.config,
        };
        let ca = input.ca.map(|ca| (CA_SECRET.to_owned(), ca.to_vec()));
        let vars = input.config.iter();
        let vars = vars.map(|(key, var)| (secret_id(key, var), var.value.reveal().as_bytes().to_vec()));
        // Podman is another process: it may have another working folder.
        let dockerfile_path =
            std::path::absolute(input.folder.path.join("Dockerfile")).map_err(BuildError::disk)?;
        tokio::fs::write(&dockerfile_path, input.dockerfile.render(additions))
            .await
            .map_err(BuildError::disk)?;
        let cgroup = Cgroup::of(&config.installation, input.build);
        if let Some(Err(error)) = cgroup.as_ref().map(|group| group.create(config.limits.pids)) {
            tracing::warn!(%error, "builds run without a limit of processes");
        }
        Ok(Run {
            podman: &self.podman,
            additions,
            installation: &config.installation,
            limits: &config.limits,
            deadline: input.deadline,
            dockerfile: input.dockerfile,
            dockerfile_path,
            source: input.source,
            secrets: Secrets::new(ca.into_iter().chain(vars).collect()).map_err(BuildError::disk)?,
            tag: input.tag,
            args: input.args,
            cgroup,
        })
    }

    /// Pushes under the build's id as tag, and reads back which digest that tag now has.
    pub(crate) async fn push(&self, app: &AppName, build: &BuildId, tag: &str) -> Result<Digest, BuildError> {
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

    /// Keeps an app's newest image of a kind under one name, for its layers' sake, and lets the one before it go.
    pub(crate) async fn keep(&self, app: &AppName, tag: &str, kind: &str) {
        let newest = format!("{LOCAL_PREFIX}{app}:{kind}");
        let before = self.podman.image_id(&newest).await.ok().flatten();
        let repository = format!("{LOCAL_PREFIX}{app}");
        if let Err(error) = self.podman.tag(tag, &repository, kind).await {
            tracing::warn!(%error, %app, "the built image could not be kept for the next build");
        }
        self.remove_tag(tag).await;
        let now = self.podman.image_id(&newest).await.ok().flatten();
        if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
            // Refused, rightly, while a container or another name uses it.
            self.podman.remove_image(&before, false).await.ok();
        }
    }

    pub(crate) async fn remove_tag(&self, tag: &str) {
        if let Err(error) = self.podman.remove_image(tag, false).await {
            tracing::warn!(%error, tag, "a build's image could not be removed from Podman");
        }
    }
}

/// Which config vars the build has as secrets, and which it asks for and has not.
fn secret_lines(app: &AppName, dockerfile: &Dockerfile, config: &BuildVars) -> Vec<String> {
    let mut lines = Vec::new();
    if !config.is_empty() {
        let keys: Vec<&str> = config.keys().map(ConfigKey::as_str).collect();
        lines.push(format!("       Config vars as secrets: {}", keys.join(", ")));
    }
    let mut named = BTreeSet::new();
    for (line, id) in dockerfile.secrets() {
        let missing = id
            .parse()
            .ok()
            .filter(|key: &ConfigKey| !config.contains_key(key));
        if let Some(key) = missing.filter(|_| named.insert(id)) {
            lines.push(format!(
                " !     Dockerfile line {line}: the build has no secret {key}; give it one: pvdify config:set {app} --build {key}=..."
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::{BuildVar, ConfigValue, ConfigVersion};

    #[test]
    fn the_secrets_of_a_build_are_named_and_one_that_is_missing_at_its_line() {
        let text = "FROM a\nRUN --mount=type=secret,id=A x\nRUN --mount=type=secret,id=B x\n\
                    RUN --mount=type=secret,id=B --mount=type=secret,id=a.b x\n";
        let dockerfile = Dockerfile::parse(text.as_bytes()).unwrap();
        let app = "demo".parse().unwrap();
        let var = BuildVar {
            value: ConfigValue::new("s3cret".to_owned()).unwrap(),
            since: ConfigVersion(1),
        };
        let config = ["A", "C"].map(|key| (key.parse().unwrap(), var.clone())).into();
        assert_eq!(
            secret_lines(&app, &dockerfile, &config),
            [
                "       Config vars as secrets: A, C",
                " !     Dockerfile line 3: the build has no secret B; give it one: pvdify config:set demo --build B=..."
            ]
        );
        let plain = Dockerfile::parse(b"FROM a\n").unwrap();
        assert!(secret_lines(&app, &plain, &BuildVars::new()).is_empty());
    }
}
