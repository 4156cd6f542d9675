//! What the app imports, in a layer that Deno reads at run time (`DENO_DIR`).
//!
//! Downloads go into a cache that is kept from build to build; what the image needs of it is copied into the
//! layer, and only if that is another than before: packages of the lockfile, and modules by address. Deno's
//! databases and compiled sources stay behind: they differ from run to run, and it makes do without.

use crate::{DenoBuildpack, config::Config, process};
use buildpack_support::{
    Command, Failure, Result, command::CommandError, files, layer, output, procfile::Procfile,
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const CACHE_LIMIT: u64 = 2_000_000_000;
/// What the app reads of a cache: packages, and modules by address (the second name is Deno 1's).
const PARTS: [&str; 3] = ["npm", "remote", "deps"];

/// The cache for downloads; `env` gets it as `DENO_DIR`.
pub(crate) fn cache(context: &BuildContext<DenoBuildpack>, version: &str, env: &mut Env) -> Result<PathBuf> {
    let major = version.split('.').next().unwrap_or_default();
    let what = ("The download cache", CACHE_LIMIT);
    let folder = layer::bounded_cache(context, layer_name!("downloads"), format!("deno {major}"), what)?;
    env.insert("DENO_DIR", &folder);
    Ok(folder)
}

/// Downloads all that the app imports.
pub(crate) fn install(app: &Path, config: &Config, version: &str, env: &Env) -> Result<()> {
    let has_lock = files::exists(app, "deno.lock");
    let step = output::step("Installing dependencies");
    if !has_lock {
        output::warning(
            "The app has no deno.lock: each build may get other versions of what it imports.\n\
             Run `deno install` on your machine and commit deno.lock.",
        );
    }
    let lock = files::read(app, "deno.lock")?.unwrap_or_default();
    let is_older = has_lock && is_of_older_deno(&lock, version);
    if is_older {
        output::warning(format!(
            "deno.lock was written by an older Deno than {version}: what it lists is used, but not held to be all.\n\
             Run `deno install` with Deno {version} on your machine and commit deno.lock."
        ));
    }
    let deno = || Command::new("deno").envs(env).dir(app);
    // Without `--quiet`, a line for each download.
    let frozen = |command: Command| {
        let command = command.hidden_arg("--quiet");
        if has_lock && !is_older {
            command.arg("--frozen")
        } else {
            command
        }
    };
    // Deno 1 has no dependencies but those that files import.
    if config.has_dependencies_to_install() && !version.starts_with("1.") {
        frozen(deno().arg("install"))
            .run()
            .map_err(|error| failed(error, has_lock))?;
    }
    let entries = entries(app, config)?;
    if !entries.is_empty() {
        let command = frozen(deno().arg("cache")).args(&entries);
        command.run().map_err(|error| failed(error, has_lock))?;
    }
    step.done();
    Ok(())
}

// Deno reads the older forms of its lockfile and writes its own: to `--frozen` that alone is a change.
fn is_of_older_deno(lock: &str, version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u64>().ok());
    let writes = match (numbers.next(), numbers.next()) {
        (Some(0 | 1) | None, _) => return false,
        (Some(2), Some(0..=2)) => 4,
        _ => 5,
    };
    let form = lock
        .split_once("\"version\"")
        .and_then(|(_, rest)| rest.split('"').nth(1))
        .and_then(|text| text.parse::<u64>().ok());
    form.is_some_and(|form| form < writes)
}

fn entries(app: &Path, config: &Config) -> Result<Vec<String>> {
    // A Procfile that can't be read is told by its own buildpack.
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    let web = process::web(app, config)?.map(|web| web.command.join(" "));
    let commands = procfile
        .entries
        .iter()
        .map(|entry| entry.command.as_str())
        .chain(web.as_deref())
        .chain(config.task("start"));
    Ok(process::files_of(app, commands))
}

fn failed(error: CommandError, has_lock: bool) -> Failure {
    if has_lock && error.says("lockfile is out of date") {
        return error.failure(
            "deno.lock is not up to date",
            "Something is imported that it does not list (see above). Run `deno install` (and `deno cache` of what \
             starts the app) on your machine, commit deno.lock and push again.",
        );
    }
    if error.says("integrity check failed") || error.says("Integrity check failed") {
        return error.failure(
            "A download is not what deno.lock promises",
            "It was changed after deno.lock was written. If you trust it, run `deno install --reload` on your machine, \
             commit deno.lock and push again.",
        );
    }
    error.failure(
        "The app's dependencies can't be installed",
        "Read above which one it is. If its server did not answer, push again; if it stays, this server can't reach \
         it: its administrator sets a mirror or proxy (JSR_URL, NPM_CONFIG_REGISTRY, HTTPS_PROXY) and a CA \
         (DENO_CERT) for builds.",
    )
}

/// Runs the task `build`, if there is one.
pub(crate) fn build(app: &Path, config: &Config, env: &Env) -> Result<()> {
    let Some(task) = config.task("build") else {
        return Ok(());
    };
    let step = output::step("Running the task `build`");
    output::detail(task);
    Command::new("deno").envs(env).dir(app).args(["task", "build"]).run().map_err(|error| {
        error.failure(
            "The task `build` failed",
            "Its output is above. Run `deno task build` on your machine; when it works there, commit and push again.",
        )
    })?;
    step.done();
    Ok(())
}

/// Copies what the app needs of the cache into the layer for the image.
pub(crate) fn keep(context: &BuildContext<DenoBuildpack>, cache: &Path) -> Result<()> {
    let mut listing = Vec::new();
    for part in PARTS {
        list(&cache.join(part), part, &mut listing).map_err(|error| Failure::io("read", cache, &error))?;
    }
    listing.sort();
    let spec = layer::Spec {
        name: layer_name!("dependencies"),
        title: "Dependencies",
        build: false,
        launch: true,
        key: files::fingerprint(&listing),
    };
    layer::keyed(context, &spec, |layer| {
        for part in PARTS
            .iter()
            .map(|part| cache.join(part))
            .filter(|part| part.exists())
        {
            Command::new("cp")
                .arg("--archive")
                .arg(part)
                .arg(layer)
                .quiet()
                .run()
                .map_err(|error| {
                    error.failure_with_tail(
                        "The dependencies can't be copied",
                        "Is the server's disk full? Push again.",
                    )
                })?;
        }
        output::detail(format!(
            "{} of packages and modules",
            output::size(files::size(layer))
        ));
        let mut env = LayerEnv::new();
        env.insert(Scope::Launch, ModificationBehavior::Override, "DENO_DIR", layer);
        Ok(env)
    })?;
    Ok(())
}

// Names and sizes: what is downloaded once under a name does not change.
fn list(folder: &Path, name: &str, out: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{name}/{}", entry.file_name().display());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &name, out)?;
        } else {
            out.push(format!("{name} {}", entry.metadata()?.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    #[test]
    fn a_lockfile_of_an_older_form_is_not_held_to_be_all() {
        for (lock, version, expected) in [
            (r#"{"version":"4","specifiers":{}}"#, "2.9.1", true),
            (r#"{ "version": "3" }"#, "2.2.2", true),
            (r#"{ "version": "4" }"#, "2.2.2", false),
            (r#"{ "version": "5" }"#, "2.3.0", false),
            (r#"{ "version": "2" }"#, "1.46.3", false),
            ("{}", "2.9.1", false),
        ] {
            assert_eq!(is_of_older_deno(lock, version), expected, "{lock} {version}");
        }
    }

    fn text(tail: &str, has_lock: bool) -> String {
        let error = CommandError {
            command: "deno install --frozen".into(),
            cause: Cause::Status(1),
            tail: vec![tail.into()],
        };
        failed(error, has_lock).text()
    }

    #[test]
    fn what_failed_is_told_by_what_deno_says() {
        insta::assert_snapshot!(text("error: The lockfile is out of date. Run ...", true), @r"
        deno.lock is not up to date

        `deno install --frozen` ended with status 1.

        Something is imported that it does not list (see above). Run `deno install` (and `deno cache` of what starts the app) on your machine, commit deno.lock and push again.
        ");
        insta::assert_snapshot!(text("error: Integrity check failed for ...", true), @r"
        A download is not what deno.lock promises

        `deno install --frozen` ended with status 1.

        It was changed after deno.lock was written. If you trust it, run `deno install --reload` on your machine, commit deno.lock and push again.
        ");
        insta::assert_snapshot!(text("error: Import 'https://modules.example/x' failed.", false), @r"
        The app's dependencies can't be installed

        `deno install --frozen` ended with status 1.

        Read above which one it is. If its server did not answer, push again; if it stays, this server can't reach it: its administrator sets a mirror or proxy (JSR_URL, NPM_CONFIG_REGISTRY, HTTPS_PROXY) and a CA (DENO_CERT) for builds.
        ");
    }
}
