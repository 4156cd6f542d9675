//! What the launch.toml files of all buildpacks become together: the `metadata.toml` that the launcher and the export
//! read (buildpack.md, "launch.toml").
//!
//! A later buildpack's process replaces an earlier one's of the same type; the last one named default is the image's
//! default, unless its type is redefined later by a process that is not.

use crate::{
    group::GroupElement,
    id::ProcessName,
    launch::{BuildMetadata, LaunchToml},
};

impl BuildMetadata {
    /// Adds the next buildpack. The answer is the default process that it redefined without naming it default
    /// again, so that the image is left with none.
    pub fn add(&mut self, buildpack: &GroupElement, launch: LaunchToml) -> Option<ProcessName> {
        let mut lost = None;
        for mut process in launch.processes {
            if std::mem::take(&mut process.default) {
                self.buildpack_default_process_type = Some(process.name.clone());
                lost = None;
            } else if self.buildpack_default_process_type.as_ref() == Some(&process.name) {
                lost = self.buildpack_default_process_type.take();
            }
            process.buildpack_id = Some(buildpack.id.clone());
            match self.processes.binary_search_by(|it| it.name.cmp(&process.name)) {
                Ok(at) => self.processes[at] = process,
                Err(at) => self.processes.insert(at, process),
            }
        }
        self.labels.extend(launch.labels);
        self.slices.extend(launch.slices);
        self.buildpacks.push(buildpack.clone());
        lost
    }
}
