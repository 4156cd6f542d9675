//! Classic buildpacks (bin/detect, bin/compile, bin/release) as Cloud Native ones. The host puts each into a folder
//! with a `buildpack.toml` of its own and a bin/detect and bin/build that run this program as `classic-detect` and
//! `classic-build`.
//!
//! ```text
//! <buildpack>/classic/...          the classic buildpack as it came
//! <buildpack>/classic.toml         what the host says of it
//! <layers>/root/buildpack/...      a copy that it may write to; build layer, whose env.build is its `export`
//! <layers>/cache/...               CACHE_DIR; kept between builds
//! <layers>/dyno/...                profile scripts and config vars; launch layer
//! ```
//!
//! Its processes are those of Buildpack API 0.8: they run in a shell that the launcher starts after the profile
//! scripts, as Heroku's do, and so does what a person runs beside them.

mod build;
mod exports;
mod procfile;
mod release;

use crate::files;
use serde::Deserialize;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// bin/detect's word for "not mine" (buildpack.md, "Detection").
const NOT_MINE: u8 = 100;
/// What classic buildpacks ask for by the name of Heroku's stack.
const STACK: &str = "heroku-24";

/// `classic.toml`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wrapped {
    /// As the person named it.
    name: String,
    /// Whether it is the only buildpack: then what its bin/detect says counts.
    alone: bool,
    /// Whether it is the last classic one: then its process types count.
    last: bool,
}

/// A classic buildpack in its wrapping.
struct Classic {
    folder: PathBuf,
    wrapped: Wrapped,
    app: PathBuf,
}

impl Classic {
    fn open() -> Result<Self, String> {
        let folder = variable("CNB_BUILDPACK_DIR")?;
        let wrapped = files::toml(&folder.join("classic.toml"))?.unwrap_or_default();
        let app = std::env::current_dir().map_err(|error| format!("the app's folder: {error}"))?;
        Ok(Self { folder, wrapped, app })
    }

    /// One of its programs, from `root`; nothing if it has none of that name.
    fn program(&self, root: &Path, name: &str) -> Option<Command> {
        let path = root.join("bin").join(name);
        if !path.exists() {
            return None;
        }
        let mut command = Command::new(path);
        command.arg(&self.app).current_dir(&self.app).stdin(Stdio::null());
        if std::env::var_os("STACK").is_none() {
            command.env("STACK", STACK);
        }
        Some(command)
    }

    /// What its bin/detect says: the name of what it found, and whether it is its own.
    fn detect(&self) -> Result<(String, bool), String> {
        let Some(mut command) = self.program(&self.folder.join("classic"), "detect") else {
            return Ok((self.wrapped.name.clone(), true));
        };
        let output = command
            .output()
            .map_err(|error| format!("bin/detect of {} can't be run: {error}", self.wrapped.name))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty());
        let said = crate::log::quote(said.unwrap_or(&self.wrapped.name));
        Ok((said, output.status.success()))
    }
}

/// Runs a subcommand of this module, if the arguments name one.
pub(crate) fn asked(subcommand: &str) -> Option<ExitCode> {
    let ended = match subcommand {
        "classic-detect" => detect(),
        "classic-build" => build::run(),
        _ => return None,
    };
    Some(ended.unwrap_or_else(|message| {
        // If nobody listens, the exit status tells enough.
        drop(writeln!(std::io::stderr(), " !     {message}"));
        ExitCode::FAILURE
    }))
}

/// Among several that were asked for, each takes part: as on Heroku, what it would detect is only told.
fn detect() -> Result<ExitCode, String> {
    let classic = Classic::open()?;
    let (said, is_its_own) = classic.detect()?;
    let mut out = std::io::stdout();
    let told = if is_its_own {
        writeln!(out, "{said}")
    } else if classic.wrapped.alone {
        writeln!(out, "{} does not recognise this app", classic.wrapped.name)
    } else {
        writeln!(
            out,
            "asked for, though its bin/detect does not recognise this app"
        )
    };
    told.map_err(|error| error.to_string())?;
    Ok(if is_its_own || !classic.wrapped.alone {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_MINE)
    })
}

fn variable(name: &str) -> Result<PathBuf, String> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: the lifecycle sets it"))
}
