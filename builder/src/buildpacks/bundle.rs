//! Our own programs as a build container sees them: the lifecycle, the launcher and our buildpacks.
//!
//! They come from the folder that the server's own program lies in and are laid out once under the work folder,
//! named by their content: a build goes on with the ones it began with while a newer server is installed.
//! What a build container mounts belongs to root and is read-only to it.

use super::owned::write_new;
use crate::BuildError;
use pvdify_cnb::group::Order;
use sha2::{Digest as _, Sha256};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The programs, as they are called beside the server's own.
const PROGRAMS: [&str; 4] = [
    "pvdify-lifecycle",
    "pvdify-launcher",
    "pvdify-buildpack",
    "pvdify-static-server",
];

/// The programs, laid out.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    /// `lifecycle` and `launcher`; `/cnb/lifecycle` in a build container.
    pub(crate) lifecycle: PathBuf,
    /// `ID/VERSION/...`; `/cnb/buildpacks` in a build container.
    pub(crate) buildpacks: PathBuf,
    /// In which order ours are tried.
    pub(crate) order: Order,
}

impl Bundle {
    /// Lays the programs of a folder out below `work_dir`, unless they are. Blocking.
    pub(crate) fn install(programs: &Path, work_dir: &Path) -> Result<Self, BuildError> {
        let name = fingerprint(programs).map_err(|error| missing(programs, &error))?;
        let root = work_dir.join("_cnb/programs");
        let folder = root.join(&name);
        if !folder.join("order.toml").is_file() {
            let fresh = root.join(format!("{name}.new"));
            lay_out(programs, &fresh).map_err(|error| missing(programs, &error))?;
            fs::remove_dir_all(&folder).ok();
            fs::rename(&fresh, &folder).map_err(BuildError::disk)?;
        }
        let text = fs::read_to_string(folder.join("order.toml")).map_err(BuildError::disk)?;
        let order = toml::from_str(&text).map_err(BuildError::unavailable)?;
        Ok(Self {
            lifecycle: folder.join("lifecycle"),
            buildpacks: folder.join("buildpacks"),
            order,
        })
    }

    /// The launcher that goes into images.
    pub(crate) fn launcher(&self) -> PathBuf {
        self.lifecycle.join("launcher")
    }
}

fn missing(programs: &Path, error: &io::Error) -> BuildError {
    BuildError::unavailable(format!(
        "the programs that build with buildpacks can't be had from {}: {error}. Install Pvdify whole, or set PVDIFY_PROGRAMS_DIR",
        programs.display()
    ))
}

fn lay_out(programs: &Path, folder: &Path) -> io::Result<()> {
    fs::remove_dir_all(folder).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let lifecycle = folder.join("lifecycle");
    fs::create_dir_all(&lifecycle)?;
    for name in ["lifecycle", "launcher"] {
        let to = lifecycle.join(name);
        fs::copy(programs.join(format!("pvdify-{name}")), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755))?;
    }
    let buildpacks = folder.join("buildpacks");
    let said = Command::new(programs.join("pvdify-buildpack"))
        .arg("install")
        .arg(&buildpacks)
        .stdin(Stdio::null())
        .output()?;
    if !said.status.success() {
        let text = String::from_utf8_lossy(&said.stderr);
        return Err(io::Error::other(text.trim().to_owned()));
    }
    // Last, and so what says that all is there.
    let order = fs::read(buildpacks.join("order.toml"))?;
    write_new(&folder.join("order.toml"), &order, 0o644)
}

/// A name for the programs' content.
fn fingerprint(programs: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for name in PROGRAMS {
        let path = programs.join(name);
        let content =
            fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        hash.update(content);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}
