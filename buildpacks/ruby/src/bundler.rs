//! `bundle install` into a layer of the image, as Heroku: by the lockfile, without development and test.
//!
//! The layer is kept as long as the lockfile and Ruby stay; else all is installed anew, from the gems that were
//! fetched before. `vendor/cache` is used where it is. Libraries of the system that gems with native code are
//! linked with, and that the run image lacks, are a layer besides.

use crate::{gemfile::Lock, problems, version::Ruby};
use buildpack_support::{
    Command, Result, env, files,
    layer::{self, Spec},
    output,
    toolchain::libraries,
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::RubyBuildpack>;

/// Installs the app's gems; gives the environment with them. `present` are packages that Ruby's layer has.
pub(crate) fn install(
    context: &Context,
    env: &Env,
    lock: Option<&Lock>,
    ruby: &Ruby,
    present: &[String],
) -> Result<Env> {
    let app = &context.app_dir;
    if lock.is_none() {
        output::warning(
            "The app has no Gemfile.lock: each build may get other versions of its gems.\n\
             Run `bundle lock --add-platform x86_64-linux` on your machine and commit Gemfile.lock.",
        );
    }
    let without = env::value(env, "BUNDLE_WITHOUT").unwrap_or_else(|| "development:test".to_owned());
    let text = |name: &str| files::read(app, name).map(Option::unwrap_or_default);
    let cached = files::list(&app.join("vendor/cache"));
    let cached = cached
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let key = files::fingerprint(
        [
            text("Gemfile")?,
            text("Gemfile.lock")?,
            text(".bundle/config")?,
            without.clone(),
            ruby.version.clone(),
        ]
        .into_iter()
        .chain(cached),
    );
    let step = output::step("Installing gems");
    let cache = layer::cache(context, layer_name!("bundler-cache"), ruby.line())?;
    let spec = Spec {
        name: layer_name!("gems"),
        title: &lock.map_or_else(
            || "The app's gems".to_owned(),
            |lock| output::count(lock.len(), "gem"),
        ),
        build: true,
        launch: true,
        key,
    };
    let gems = layer::keyed(context, &spec, |path| {
        let layer_env = environment(app, path, &without, lock.is_some());
        let mut env = layer_env.apply(Scope::Build, env);
        env.insert("BUNDLE_GLOBAL_GEM_CACHE", "true");
        env.insert("BUNDLE_USER_CACHE", &cache);
        env.insert("BUNDLE_JOBS", "4");
        env.insert("BUNDLE_RETRY", "3");
        if lock.is_some_and(|lock| is_foreign(&lock.platforms)) {
            add_platform(app, &env, ruby)?;
        }
        let local = if app.join("vendor/cache").is_dir() {
            Some("--local")
        } else {
            None
        };
        let command = Command::new("bundle").arg("install").args(local);
        output::detail(format!("$ {}", command.shown()));
        command
            .envs(&env)
            .dir(app)
            .run()
            .map_err(|error| problems::bundler(error, ruby))?;
        Ok(layer_env)
    })?;
    step.done();
    let env = gems.apply(env);
    let mut objects = Vec::new();
    shared_objects(&gems.path, &mut objects);
    libraries::provide(context, &libraries::needed(&objects), present)?;
    Ok(env)
}

fn environment(app: &Path, layer: &Path, without: &str, has_lock: bool) -> LayerEnv {
    let mut env = LayerEnv::new();
    let gemfile = app.join("Gemfile").display().to_string();
    let path = layer.display().to_string();
    let mut values = vec![
        ("BUNDLE_GEMFILE", gemfile.as_str()),
        ("BUNDLE_PATH", &path),
        ("BUNDLE_WITHOUT", without),
        // The Bundler that is there: another one, which the lockfile may name, would have to be fetched.
        ("BUNDLE_VERSION", "system"),
        ("BUNDLE_SILENCE_ROOT_WARNING", "1"),
        ("BUNDLE_APP_CONFIG", &path),
    ];
    if has_lock {
        values.push(("BUNDLE_DEPLOYMENT", "1"));
    }
    for (name, value) in values {
        env.insert(Scope::All, ModificationBehavior::Override, name, value);
    }
    env
}

fn add_platform(app: &Path, env: &Env, ruby: &Ruby) -> Result<()> {
    output::warning(
        "Gemfile.lock is for other machines only: this one is added for the build.\n\
         Run `bundle lock --add-platform x86_64-linux` on your machine and commit Gemfile.lock.",
    );
    Command::new("bundle")
        .args([
            "lock",
            "--add-platform",
            &format!("{}-linux", std::env::consts::ARCH),
        ])
        .envs(env)
        .env_remove("BUNDLE_DEPLOYMENT")
        .dir(app)
        .run()
        .map_err(|error| problems::bundler(error, ruby))
}

// A lockfile that was made on a Mac and never told of another machine.
fn is_foreign(platforms: &[String]) -> bool {
    let fits = |platform: &String| platform == "ruby" || platform.contains("linux");
    !platforms.is_empty() && !platforms.iter().any(fits)
}

fn shared_objects(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            shared_objects(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "so") {
            found.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lockfile_of_a_mac_alone_is_foreign() {
        let of = |platforms: &[&str]| {
            let platforms: Vec<String> = platforms.iter().map(|platform| (*platform).to_owned()).collect();
            is_foreign(&platforms)
        };
        assert!(of(&["arm64-darwin-23"]));
        assert!(!of(&["arm64-darwin-23", "x86_64-linux"]));
        assert!(!of(&["ruby"]) && !of(&[]));
    }
}
