//! What a killed server's builds left behind, found again by what is on the disk.
//!
//! A build writes a folder of its own before it starts and removes it at its end, so a folder that is there at
//! start is a build that was interrupted. Buildah's build containers carry no labels; whose they are is read
//! from Buildah's own record beside each, which holds the control group we gave it. One whose record can't be
//! read, or names another group, is not ours and stays.
//!
//! A Podman that outlived the server may still be at such a build: it ends when its processes are killed or its
//! container is gone, and cleans up at the same time as we do. So it is looked again until nothing is left.

use crate::{
    buildpacks::folders,
    cgroup::{self, Cgroup},
    podman::{Filters, Libpod, PodmanError, Query, percent_encode},
    sandbox,
};
use pvdify_types::{BuildId, InstallationId};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// How long Podman may take to end a build whose processes are killed.
const END_LIMIT: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Interrupted builds, by their ids.
    pub builds: Vec<BuildId>,
    /// Build containers that they left.
    pub containers: usize,
}

/// Begins a build's folder. Its presence says that the build runs.
pub(crate) fn begin(work_dir: &Path, build: &BuildId, tag: &str) -> io::Result<PathBuf> {
    let folder = work_dir.join(build.as_str());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("tag"), tag)?;
    Ok(folder)
}

/// Ends what interrupted builds left: processes, build containers, tags, folders.
pub(crate) async fn interrupted(
    podman: &Libpod,
    work_dir: &Path,
    installation: &InstallationId,
) -> Result<Swept, PodmanError> {
    let mut swept = Swept::default();
    let entries = fs::read_dir(work_dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    swept
        .builds
        .extend(names.filter_map(|name| name.parse::<BuildId>().ok()));
    swept.containers = end(podman, installation).await? + of_buildpacks(podman, installation).await?;
    for build in &swept.builds {
        let folder = work_dir.join(build.as_str());
        if let Ok(tag) = fs::read_to_string(folder.join("tag"))
            && !tag.trim().is_empty()
        {
            podman.remove_image(tag.trim(), false).await?;
        }
        // Last: until then the next sweep finds this build again.
        let removed = folders::put_away(work_dir, &folder).and_then(folders::PutAway::remove);
        if let Err(error) = removed {
            tracing::warn!(%error, %build, "an interrupted build's folder could not be removed");
        }
    }
    if let Err(error) = folders::empty_gone(work_dir) {
        tracing::warn!(%error, "what a killed server was removing could not be removed");
    }
    swept.builds.sort_unstable();
    Ok(swept)
}

/// Removes the containers of buildpack builds, and the [sandboxes](crate::sandbox) that they ran in, all of which carry
/// labels; how many there were of the first.
async fn of_buildpacks(podman: &Libpod, installation: &InstallationId) -> Result<usize, PodmanError> {
    let builds = remove_all(podman, installation, "build").await?;
    remove_all(podman, installation, sandbox::KIND).await?;
    let ours = Filters::label("pvdify.installation", installation);
    for network in podman.networks(&ours).await? {
        if network
            .labels
            .get("pvdify.kind")
            .is_some_and(|kind| kind == sandbox::KIND)
        {
            podman.remove_network(&network.name).await?;
        }
    }
    Ok(builds)
}

/// Removes all containers of a kind; how many there were.
async fn remove_all(
    podman: &Libpod,
    installation: &InstallationId,
    kind: &str,
) -> Result<usize, PodmanError> {
    let kind = format!("pvdify.kind={kind}");
    let ours = Filters::label("pvdify.installation", installation).with("label", kind);
    let containers = podman.containers(&ours).await?;
    let limit = Instant::now() + END_LIMIT;
    for container in &containers {
        // Podman may still be at its end, since its processes are killed.
        while let Err(error) = podman.remove_container(&container.id).await {
            if Instant::now() > limit {
                return Err(error);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
    Ok(containers.len())
}

/// Ends processes and build containers; how many of these there were.
async fn end(podman: &Libpod, installation: &InstallationId) -> Result<usize, PodmanError> {
    let group = Cgroup::of_all(installation);
    let store = podman.info().await?.store;
    let records = store
        .graph_root
        .join(format!("{}-containers", store.graph_driver_name));
    let limit = Instant::now() + END_LIMIT;
    let mut seen = BTreeSet::new();
    loop {
        let killed = group.as_ref().is_some_and(Cgroup::kill);
        let found = containers(podman, installation, &records).await?;
        let mut failed = None;
        for container in &found {
            let path = format!("/libpod/containers/{}", percent_encode(container));
            let path = Query::default().with("force", true).on(&path);
            // Podman may be removing it itself; the next look tells.
            failed = podman.delete(&path).await.err().or(failed);
        }
        let is_over = found.is_empty() && !killed;
        seen.extend(found);
        if is_over {
            break;
        }
        if Instant::now() > limit {
            if let Some(error) = failed {
                return Err(error);
            }
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    if let Some(group) = group {
        group.remove();
    }
    Ok(seen.len())
}

/// The build containers whose records name the installation's control group.
async fn containers(
    podman: &Libpod,
    installation: &InstallationId,
    records: &Path,
) -> Result<Vec<String>, PodmanError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Container {
        id: String,
        state: String,
    }
    let path = Query::default()
        .with("all", true)
        .with("external", true)
        .on("/libpod/containers/json");
    let containers: Vec<Container> = podman.get(&path).await?;
    let prefix = format!("{}/", cgroup::prefix(installation));
    let is_ours = |container: &Container| {
        let record = records.join(&container.id).join("userdata/buildah.json");
        container.state == "storage" && cgroup_of(&record).is_some_and(|group| group.starts_with(&prefix))
    };
    let ours = containers.into_iter().filter(is_ours);
    Ok(ours.map(|container| container.id).collect())
}

/// The control group in Buildah's record of a build container.
fn cgroup_of(record: &Path) -> Option<String> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    let options = record
        .as_object()?
        .values()
        .find(|value| value.get("CgroupParent").is_some())?;
    Some(options.get("CgroupParent")?.as_str()?.to_owned())
}
