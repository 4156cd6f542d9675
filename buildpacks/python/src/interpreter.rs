//! The interpreter, in a layer: the run image has none.
//!
//! Debian's, when it will do: its files are copied from the build image, in a moment and without a network. It
//! finds its library beside itself, so it runs from a layer as from `/usr`. Other versions are the standalone
//! builds that uv knows (`UV_PYTHON_INSTALL_MIRROR` says where from).

use crate::{
    PythonBuildpack, bytecode,
    uv::Uv,
    version::{self, Wish},
};
use buildpack_support::{
    Command, Failure, Result, env as settings, files,
    layer::{self, Layer},
    output,
    toolchain::{installed, multiarch},
    version::{Wanted, choose, compare},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    cmp::Ordering,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const SYSTEM: &str = "/usr/bin/python3";
// How long a version that could not be downloaded is not tried again.
const UNREACHABLE: Duration = Duration::from_secs(6 * 60 * 60);

/// The interpreter.
#[derive(Debug)]
pub(crate) struct Python {
    pub(crate) layer: Layer,
    /// The program.
    pub(crate) program: PathBuf,
    version: String,
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
    let mut python = choose_and_make(context, uv, env, wish.as_ref())?;
    python.is_refused = !version::is_allowed(&context.app_dir, &python.version)?;
    python.is_newer = wish.is_some_and(|wish| {
        compare(&minor(&python.version), &minor(&wish.text)) == Ordering::Greater
            && wish
                .requirement
                .highest(std::slice::from_ref(&python.version))
                .is_none()
    });
    Ok(python)
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
    let listed = standalone_versions(uv, env);
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
    let available: Vec<String> = if failure.is_some() {
        system.iter().cloned().collect()
    } else {
        listed.iter().chain(&system).cloned().collect()
    };
    instead(context, uv, env, wish, &available, failure)
}

// What was asked for can't be had: the nearest, where the setting allows it, else the failure.
fn instead(
    context: &BuildContext<PythonBuildpack>,
    uv: &Uv,
    env: &Env,
    wish: &Wish,
    available: &[String],
    failure: Option<Failure>,
) -> Result<Python> {
    let wanted = Wanted {
        name: "Python",
        text: &wish.text,
        from: wish.from,
    };
    let chosen = choose(wanted, &wish.requirement, available, env);
    let version = match (chosen, failure) {
        (Ok(chosen), _) => chosen.version,
        (Err(_), Some(failure)) => return Err(failure),
        (Err(unavailable), None) => return Err(unavailable),
    };
    if system_version().as_ref() == Some(&version) {
        debian(context, &version)
    } else {
        standalone(context, uv, env, &version)
    }
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

fn debian(context: &BuildContext<PythonBuildpack>, version: &str) -> Result<Python> {
    let minor = minor(version);
    let names = [
        format!("python{minor}"),
        format!("python{minor}-minimal"),
        format!("libpython{minor}-stdlib"),
        format!("libpython{minor}-minimal"),
    ];
    let packages = installed::missing_at_launch(&names)?;
    let is_copied = packages.iter().any(|package| package.name == names[1]);
    let key = Key::Debian {
        version: version.to_owned(),
        packages: packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect(),
    };
    let spec = layer::Spec {
        name: layer_name!("python"),
        title: &format!("Python {version}"),
        build: true,
        launch: true,
        key,
    };
    let layer = layer::keyed(context, &spec, |path| {
        installed::copy(&packages, path, &is_unused)?;
        if is_copied {
            bytecode::adopt(path, &format!("usr/lib/python{minor}"))?;
            link(path, &format!("usr/bin/python{minor}"), &minor)?;
            // Packages in C are compiled here only, with the build image's headers.
            let headers = format!("usr/include/python{minor}");
            files::make_dir(&path.join("usr/include"))?;
            symlink(Path::new("/").join(&headers), path.join(&headers))
                .map_err(|error| Failure::io("write", path, &error))?;
        }
        Ok(libraries(path))
    })?;
    let program = if is_copied {
        layer.path.join(format!("usr/bin/python{minor}"))
    } else {
        PathBuf::from(format!("/usr/bin/python{minor}"))
    };
    Ok(Python {
        layer,
        program,
        is_newer: false,
        is_refused: false,
        version: version.to_owned(),
        packages: packages.into_iter().map(|package| package.name).collect(),
        key: format!("debian {version}"),
    })
}

// Only the libraries: programs are in `bin`, which comes after the virtual environment's on the PATH.
fn libraries(layer: &Path) -> LayerEnv {
    let arch = multiarch();
    let folders: Vec<String> = [format!("usr/lib/{arch}"), format!("lib/{arch}")]
        .iter()
        .map(|folder| layer.join(folder))
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect();
    let mut env = LayerEnv::new();
    if !folders.is_empty() {
        env.insert(
            Scope::All,
            ModificationBehavior::Prepend,
            "LD_LIBRARY_PATH",
            folders.join(":"),
        );
        env.insert(
            Scope::All,
            ModificationBehavior::Delimiter,
            "LD_LIBRARY_PATH",
            ":",
        );
    }
    env
}

// Tests, an editor, what links programs to Python, bytecode (made anew).
fn is_unused(path: &str) -> bool {
    [
        "/__pycache__",
        "/test/",
        "/idlelib/",
        "/turtledemo/",
        "/ensurepip/",
        "/config-3",
        "/binfmts/",
    ]
    .iter()
    .any(|part| path.contains(part))
}

fn standalone_versions(uv: &Uv, env: &Env) -> Vec<String> {
    let text = uv
        .command(env)
        .args([
            "python",
            "list",
            "--only-downloads",
            "--all-versions",
            "--output-format",
            "json",
        ])
        .env("UV_PYTHON_DOWNLOADS", "automatic")
        .output()
        .unwrap_or_default();
    read_versions(&text)
}

fn read_versions(text: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(text).unwrap_or_default();
    let version = |entry: &Value| {
        let is_plain = entry["implementation"] == "cpython"
            && entry["variant"].as_str().unwrap_or("default") == "default";
        let version = entry["version"].as_str()?;
        let is_release = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_plain && is_release).then(|| version.to_owned())
    };
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(version)
        .collect()
}

fn standalone(context: &BuildContext<PythonBuildpack>, uv: &Uv, env: &Env, version: &str) -> Result<Python> {
    let mark = layer::cache(context, layer_name!("index"), "1".to_owned())?
        .join(format!("unreachable-python-{version}"));
    if was_tried(&mark) && settings::value(env, "UV_PYTHON_INSTALL_MIRROR").is_none() {
        return Err(unreachable(version, "It could not be downloaded some hours ago."));
    }
    // Not the layer of Debian's: what is tried in vain must not cost that one.
    let name = layer_name!("python-standalone");
    let spec = layer::Spec {
        name: name.clone(),
        title: &format!("Python {version}"),
        build: true,
        launch: true,
        key: Key::Standalone {
            version: version.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        },
    };
    let made = layer::keyed(context, &spec, |path| install_standalone(uv, env, version, path));
    let layer = match made {
        Ok(layer) => layer,
        Err(failure) => {
            files::write(&mark, "")?;
            files::remove(&context.layers_dir.join(name.as_str()))?;
            files::remove(&context.layers_dir.join(format!("{}.toml", name.as_str())))?;
            return Err(failure);
        }
    };
    let program = layer.path.join("bin").join(format!("python{}", minor(version)));
    let program = program
        .canonicalize()
        .map_err(|error| Failure::io("find", &program, &error))?;
    Ok(Python {
        layer,
        program,
        version: version.to_owned(),
        packages: Vec::new(),
        is_newer: false,
        is_refused: false,
        key: format!("standalone {version}"),
    })
}

fn install_standalone(uv: &Uv, env: &Env, version: &str, path: &Path) -> Result<LayerEnv> {
    uv.command(env)
        .args(["python", "install", version, "--no-bin"])
        .hidden_arg("--install-dir")
        .hidden_arg(path)
        .env("UV_PYTHON_DOWNLOADS", "automatic")
        .env("UV_HTTP_RETRIES", "1")
        .quiet()
        .run()
        .map_err(|error| unreachable(version, error.tail.last().map_or("", String::as_str)))?;
    let minor = minor(version);
    let folder = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find(|entry| entry.path().join(format!("bin/python{minor}")).is_file())
        .ok_or_else(|| unreachable(version, "The download has no Python in it."))?;
    let name = folder.file_name();
    let lib = folder.path().join(format!("lib/python{minor}"));
    for unused in ["test", "idlelib", "turtledemo"] {
        files::remove(&lib.join(unused))?;
    }
    for of_uv in [".temp", ".lock", ".gitignore"] {
        files::remove(&path.join(of_uv))?;
    }
    link(
        path,
        &format!("{}/bin/python{minor}", name.to_string_lossy()),
        &minor,
    )?;
    Ok(LayerEnv::new())
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

fn unreachable(version: &str, why: &str) -> Failure {
    let system = system_version().unwrap_or_else(|| "none".to_owned());
    Failure::new(
        format!("Python {version} can't be downloaded"),
        format!("{}\nThe build image itself has {system}.", why.trim()),
        format!(
            "Ask for {} instead (in .python-version) and push again; or set PVDIFY_RUNTIME_FALLBACK=nearest to build \
             with it. The server's administrator can set a mirror for other versions: UV_PYTHON_INSTALL_MIRROR.",
            minor(&system)
        ),
    )
}

fn was_tried(mark: &Path) -> bool {
    fs::metadata(mark)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| {
            SystemTime::now()
                .duration_since(time)
                .is_ok_and(|age| age < UNREACHABLE)
        })
}

// `3.13` of `3.13.5`.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_releases_of_cpython_count() {
        let text = r#"[
            {"version":"3.15.0a1","implementation":"cpython","variant":"default"},
            {"version":"3.14.2","implementation":"cpython","variant":"default"},
            {"version":"3.14.2","implementation":"cpython","variant":"freethreaded"},
            {"version":"3.11.15","implementation":"pypy","variant":"default"},
            {"version":"3.12.9","implementation":"cpython"}
        ]"#;
        assert_eq!(read_versions(text), ["3.14.2", "3.12.9"]);
        assert!(read_versions("").is_empty());
    }

    #[test]
    fn a_version_that_can_not_be_downloaded_is_told() {
        let text = unreachable("3.12.9", "  cause: dns error").text();
        assert!(text.starts_with(
            "Python 3.12.9 can't be downloaded\n\ncause: dns error\nThe build image itself has 3."
        ));
        assert!(text.contains("UV_PYTHON_INSTALL_MIRROR"));
        insta::assert_snapshot!(nothing().text(), @r"
        There is no Python

        The build image has none, and uv knows of none for this machine.

        Tell the server's administrator: the build image lacks the package python3.
        ");
    }
}
