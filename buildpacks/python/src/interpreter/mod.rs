//! The interpreter, in a layer: the run image has none.
//!
//! Debian's, when it will do: its files are copied from the build image, in a moment and without a network. It
//! finds its library beside itself, so it runs from a layer as from `/usr`. Other versions are the standalone
//! builds that uv knows (`UV_PYTHON_INSTALL_MIRROR` says where from); where those are out of reach, the one of the
//! Debian release before counts as well (`former`).

mod debian;
mod former;
mod standalone;

use crate::{
    PythonBuildpack,
    uv::Uv,
    version::{self, Wish},
};
use buildpack_support::{
    Command, Failure, Result, files,
    layer::Layer,
    output,
    version::{Fallback, Wanted, choose, compare},
};
use debian::debian;
pub(crate) use former::Former;
use libcnb::{Env, build::BuildContext};
use serde::{Deserialize, Serialize};
use standalone::{standalone, versions};
use std::{
    cmp::Ordering,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

const SYSTEM: &str = "/usr/bin/python3";

/// The interpreter.
#[derive(Debug)]
pub(crate) struct Python {
    pub(crate) layer: Layer,
    /// The program.
    pub(crate) program: PathBuf,
    pub(crate) version: String,
    /// The Debian packages that its layer has.
    pub(crate) packages: Vec<String>,
    /// A newer one than the app was written for, as it seems.
    pub(crate) is_newer: bool,
    /// The app's packages refuse it.
    pub(crate) is_refused: bool,
    /// What packages installed for it depend on.
    pub(crate) key: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
enum Key {
    /// Copied from the build image; name and version of each package.
    Debian { version: String, packages: Vec<String> },
    /// A standalone build.
    Standalone { version: String, arch: String },
}

/// The interpreter that the app asks for.
pub(crate) fn provide(context: &BuildContext<PythonBuildpack>, uv: &Uv, env: &Env) -> Result<Python> {
    let wish = version::wish(&context.app_dir)?;
    let python = choose_and_make(context, uv, env, wish.as_ref())?;
    judged(python, &context.app_dir, wish)
}

// With what the app thinks of it.
fn judged(mut python: Python, app_dir: &Path, wish: Option<Wish>) -> Result<Python> {
    python.is_refused = !version::is_allowed(app_dir, &python.version)?;
    python.is_newer = wish.is_some_and(|wish| {
        compare(&minor(&python.version), &minor(&wish.text)) == Ordering::Greater
            && wish
                .requirement
                .highest(std::slice::from_ref(&python.version))
                .is_none()
    });
    Ok(python)
}

/// The older one that may be used where the app's packages can't be built for `python`: unless the app asks for
/// the newer one, or wants no other than what it asks for.
pub(crate) fn older(
    context: &BuildContext<PythonBuildpack>,
    env: &Env,
    python: Option<&Python>,
) -> Result<Option<Former>> {
    if Fallback::of(env) == Fallback::Off {
        return Ok(None);
    }
    let Some(former) = former::find(context, env) else {
        return Ok(None);
    };
    let wish = version::wish(&context.app_dir)?;
    let fits = |version: &String| wish.as_ref().is_none_or(|wish| wish.requirement.matches(version));
    let is_older = |python: &Python| compare(&former.version, &python.version) == Ordering::Less;
    let is_better = fits(&former.version) || python.is_some_and(|python| !fits(&python.version));
    let is_older = python.is_none_or(is_older);
    Ok((is_older && is_better).then_some(former))
}

/// Fetches the older one.
pub(crate) fn provide_older(
    context: &BuildContext<PythonBuildpack>,
    env: &Env,
    former: &Former,
) -> Result<Python> {
    let python = former::provide(context, env, former)?;
    judged(python, &context.app_dir, version::wish(&context.app_dir)?)
}

fn choose_and_make(
    context: &BuildContext<PythonBuildpack>,
    uv: &Uv,
    env: &Env,
    wish: Option<&Wish>,
) -> Result<Python> {
    let system = system_version();
    let from = wish.map_or("nothing asks for another", |wish| wish.from);
    let fits = |version: &String| wish.is_none_or(|wish| wish.requirement.matches(version));
    if let Some(version) = system.clone().filter(fits) {
        output::detail(format!("Python {version} ({from})"));
        return debian(context, &version);
    }
    let listed = versions(uv, env);
    let best = match wish {
        Some(wish) => wish.requirement.highest(&listed),
        None => listed.first().map(String::as_str),
    };
    let failure = match best {
        Some(version) => {
            output::detail(format!("Python {version} ({from})"));
            match standalone(context, uv, env, version) {
                Ok(python) => return Ok(python),
                Err(failure) => Some(failure),
            }
        }
        None => None,
    };
    let Some(wish) = wish else {
        return Err(failure.unwrap_or_else(nothing));
    };
    let listed = if failure.is_some() { Vec::new() } else { listed };
    instead(context, uv, env, wish, &listed, failure)
}

// What was asked for can't be had (`failure`: it could not be downloaded): another of those `listed`, or the build
// image's own.
fn instead(
    context: &BuildContext<PythonBuildpack>,
    uv: &Uv,
    env: &Env,
    wish: &Wish,
    listed: &[String],
    failure: Option<Failure>,
) -> Result<Python> {
    let wanted = Wanted {
        name: "Python",
        text: &wish.text,
        from: wish.from,
    };
    let system = system_version();
    let former = Some(&wish.text)
        .filter(|text| former::may_do_for(text))
        .and_then(|_| former::find(context, env));
    let older = former.as_ref().map(|former| former.version.clone());
    let available: Vec<String> = listed.iter().chain(&older).chain(&system).cloned().collect();
    if let (Some(failure), true) = (&failure, Fallback::of(env) != Fallback::Off) {
        output::detail(format!("{}: {}", failure.what(), first_line(failure.why())));
    }
    let version = match choose(wanted, &wish.requirement, &available, env) {
        Ok(chosen) => chosen.version,
        Err(unavailable) => return Err(failure.unwrap_or(unavailable)),
    };
    if system.as_ref() == Some(&version) {
        return debian(context, &version);
    }
    if let Some(former) = former.filter(|former| former.version == version) {
        return former::provide(context, env, &former);
    }
    match standalone(context, uv, env, &version) {
        // What is listed can be out of reach too.
        Err(failure) => instead(context, uv, env, wish, &[], Some(failure)),
        made => made,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn nothing() -> Failure {
    Failure::new(
        "There is no Python",
        "The build image has none, and uv knows of none for this machine.",
        "Tell the server's administrator: the build image lacks the package python3.",
    )
}

fn system_version() -> Option<String> {
    let text = Command::new(SYSTEM)
        .args(["-I", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
        .output()
        .ok()?;
    Some(text.trim().to_owned())
}

// `bin/python3` and its other names; `bin` is on the PATH.
fn link(layer: &Path, program: &str, minor: &str) -> Result<()> {
    let bin = layer.join("bin");
    files::make_dir(&bin)?;
    for name in [
        "python".to_owned(),
        "python3".to_owned(),
        format!("python{minor}"),
    ] {
        let place = bin.join(name);
        symlink(Path::new("..").join(program), &place)
            .map_err(|error| Failure::io("write", &place, &error))?;
    }
    Ok(())
}

// `3.13` of `3.13.5`.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_python() {
        insta::assert_snapshot!(nothing().text(), @r"
        There is no Python

        The build image has none, and uv knows of none for this machine.

        Tell the server's administrator: the build image lacks the package python3.
        ");
    }
}
