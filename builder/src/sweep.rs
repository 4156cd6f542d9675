//! What a killed server's builds left behind, found again by what is on the disk.
//!
//! A build writes a folder of its own before it starts and removes it at its end, so a folder that is there at
//! start is a build that was interrupted. Buildah's build containers carry no labels; whose they are is read
//! from Buildah's own record beside each, which holds the control group we gave it. One whose record can't be
//! read, or names another group, is not ours and stays.

use crate::{
    cgroup::{self, Cgroup},
    podman::{Libpod, PodmanError, Query, percent_encode},
};
use pvdify_types::{BuildId, InstallationId};
use serde::Deserialize;
use std::{fs, io, path::Path};

/// What a sweep removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Interrupted builds, by their ids.
    pub builds: Vec<BuildId>,
    /// Build containers that they left.
    pub containers: usize,
}

/// Begins a build's folder. Its presence says that the build runs.
pub(crate) fn begin(work_dir: &Path, build: &BuildId, tag: &str) -> io::Result<std::path::PathBuf> {
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
    for build in names.filter_map(|name| name.parse::<BuildId>().ok()) {
        if let Some(cgroup) = Cgroup::of(installation, &build) {
            cgroup.kill();
            cgroup.remove();
        }
        swept.builds.push(build);
    }
    swept.containers = containers(podman, installation).await?;
    for build in &swept.builds {
        let folder = work_dir.join(build.as_str());
        if let Ok(tag) = fs::read_to_string(folder.join("tag")) {
            podman.remove_image(tag.trim(), false).await?;
        }
        // Last: until then the next sweep finds this build again.
        if let Err(error) = fs::remove_dir_all(&folder) {
            tracing::warn!(%error, %build, "an interrupted build's folder could not be removed");
        }
    }
    swept.builds.sort_unstable();
    Ok(swept)
}

async fn containers(podman: &Libpod, installation: &InstallationId) -> Result<usize, PodmanError> {
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
    let store = podman.info().await?.store;
    let records = store
        .graph_root
        .join(format!("{}-containers", store.graph_driver_name));
    let prefix = format!("{}/", cgroup::prefix(installation));
    let mut removed = 0;
    for container in containers.iter().filter(|container| container.state == "storage") {
        let record = records.join(&container.id).join("userdata/buildah.json");
        if cgroup_of(&record).is_some_and(|group| group.starts_with(&prefix)) {
            let path = format!("/libpod/containers/{}", percent_encode(&container.id));
            podman
                .delete(&Query::default().with("force", true).on(&path))
                .await?;
            removed += 1;
        }
    }
    Ok(removed)
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
