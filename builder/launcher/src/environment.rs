//! The environment of a process, out of the image's layers: each buildpack's layers in the order of their names,
//! the buildpacks in the order in which they built.

use crate::{error::LaunchError, exec_d, files};
use pvdify_cnb::{
    env::{Env, Phase},
    group::GroupElement,
};
use rustix::fs::{Access, AtFlags, CWD};
use std::{
    env,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Folders that are in `PATH` for the launcher's sake.
const OWN_FOLDERS: [&str; 2] = ["/cnb/process", "/cnb/lifecycle"];

/// The environment, and the layers it was made of.
pub(crate) struct LaunchEnv {
    pub(crate) env: Env,
    layers: Vec<PathBuf>,
}

impl LaunchEnv {
    /// Reads the layers' files, then runs their exec.d programs, in the folder that the launcher stands in.
    pub(crate) fn make(
        layers: &Path,
        buildpacks: &[GroupElement],
        process_type: Option<&str>,
    ) -> Result<Self, LaunchError> {
        let mut env = Env::for_launch(env::vars_os(), &OWN_FOLDERS.map(Path::new));
        let mut all = Vec::new();
        for buildpack in buildpacks {
            let own = files::folders(&layers.join(buildpack.id.folder()))?;
            for layer in &own {
                env.apply_layer_root(Phase::Launch, layer, Path::exists);
            }
            for layer in &own {
                for folder in folders_for(layer, "env.launch", process_type, Some("env")) {
                    env.apply_env_dir(files::contents(&folder)?);
                }
            }
            all.extend(own);
        }
        for layer in &all {
            for folder in folders_for(layer, "exec.d", process_type, None) {
                for program in files::files(&folder)? {
                    exec_d::run(&program, &mut env)?;
                }
            }
        }
        Ok(Self { env, layers: all })
    }

    /// The scripts that a shell reads before the process: those of the layers, then the app's own.
    pub(crate) fn profiles(
        &self,
        app: &Path,
        process_type: Option<&str>,
    ) -> Result<Vec<PathBuf>, LaunchError> {
        let mut profiles = Vec::new();
        for layer in &self.layers {
            for folder in folders_for(layer, "profile.d", process_type, None) {
                profiles.extend(files::files(&folder)?);
            }
        }
        profiles.extend(Some(app.join(".profile")).filter(|path| path.exists() && !path.is_dir()));
        Ok(profiles)
    }

    /// Where a program is: a path is one already, a name is looked for in `PATH`.
    pub(crate) fn find(&self, name: &OsStr) -> Option<PathBuf> {
        let is_program = |path: &PathBuf| {
            !path.is_dir() && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
        };
        if name.as_bytes().contains(&b'/') {
            return Some(PathBuf::from(name)).filter(is_program);
        }
        let folders = env::split_paths(self.env.get("PATH")?);
        // A relative folder would be another one in each working directory.
        let mut programs = folders
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name));
        programs.find(is_program)
    }
}

/// A layer's folders of one kind: for all processes, then for the one.
fn folders_for(layer: &Path, kind: &str, process_type: Option<&str>, before: Option<&str>) -> Vec<PathBuf> {
    let kind = layer.join(kind);
    let own = process_type.map(|name| kind.join(name));
    before
        .map(|before| layer.join(before))
        .into_iter()
        .chain([kind])
        .chain(own)
        .collect()
}
