//! How bin/detect and bin/build are called: their environment and arguments, as their Buildpack API has them
//! (buildpack.md, "Buildpack Interface", "Environment").

use crate::{files, settings::Settings};
use pvdify_cnb::{
    analyzed::Analyzed,
    descriptor::{Descriptor, Kind},
    env::Env,
    target::ImageTarget,
};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What all buildpacks of a build have in common, read once.
pub(crate) struct Environment<'a> {
    settings: &'a Settings,
    platform: Vec<(OsString, OsString)>,
    build_config: Vec<(OsString, OsString)>,
    /// What the images are.
    pub(crate) image: ImageTarget,
}

/// What one program is given beyond that.
pub(crate) struct Call<'a> {
    pub(crate) descriptor: &'a Descriptor,
    /// Its buildpack's folder.
    pub(crate) folder: &'a Path,
    /// `detect` or `build`.
    pub(crate) program: &'static str,
    /// Paths that are arguments and, in newer APIs, variables. The platform's is one of them.
    pub(crate) paths: &'a [(&'static str, &'a Path)],
}

pub(crate) const PLATFORM_DIR: &str = "CNB_PLATFORM_DIR";

impl<'a> Environment<'a> {
    pub(crate) fn read(settings: &'a Settings, analyzed: &Analyzed) -> Result<Self, String> {
        let image = analyzed
            .run_image
            .as_ref()
            .and_then(|it| it.target.clone())
            .unwrap_or_default();
        let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        Ok(Self {
            settings,
            platform: files::env_dir(&settings.platform.join("env"))?,
            build_config: files::env_dir(&settings.build_config.join("env"))?,
            image: image.or_here(&os_release, std::env::consts::ARCH),
        })
    }

    pub(crate) fn platform_dir(&self) -> &Path {
        &self.settings.platform
    }

    /// The program, ready to be started, in an environment made of `base`.
    pub(crate) fn command(&self, base: &Env, call: &Call<'_>) -> Command {
        let mut env = base.clone();
        if !call.descriptor.clear_env {
            env.apply_platform(self.platform.iter().cloned());
        }
        env.apply_build_config(self.build_config.iter().cloned());
        let folder = match call.descriptor.kind {
            Kind::Buildpack => "CNB_BUILDPACK_DIR",
            Kind::Extension => "CNB_EXTENSION_DIR",
        };
        env.set(folder, call.folder);
        let api = call.descriptor.api;
        if api.has_path_variables() {
            for (name, path) in call.paths {
                env.set(*name, *path);
            }
        }
        if api.has_targets() {
            for (name, value) in self.image.variables() {
                env.set(name, value);
            }
        }
        if let Some(exec_env) = self.settings.exec_env.as_ref().filter(|_| api.has_exec_env()) {
            env.set("CNB_EXEC_ENV", exec_env);
        }
        let program: PathBuf = call.folder.join("bin").join(call.program);
        let mut command = Command::new(program);
        command
            .args(call.paths.iter().map(|(_, path)| path))
            .current_dir(&self.settings.app)
            .env_clear()
            .envs(env)
            .stdin(Stdio::null());
        command
    }
}
