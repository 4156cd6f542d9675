//! `rake assets:precompile` of Rails. A build has neither the app's secrets nor a database: it gets stand-ins.

use crate::{gemfile::Lock, problems};
use buildpack_support::{Command, Result, env, files, layer, output};
use libcnb::{Env, build::BuildContext, data::layer_name};
use std::{fs, path::Path};

type Context = BuildContext<crate::RubyBuildpack>;

// Gems that have assets to make.
const MAKERS: [&str; 8] = [
    "sprockets",
    "sprockets-rails",
    "propshaft",
    "webpacker",
    "shakapacker",
    "vite_rails",
    "jsbundling-rails",
    "cssbundling-rails",
];

// What Sprockets keeps to be quick the next time.
const KEPT: &str = "tmp/cache/assets";

/// Makes the assets, unless the app has none or brings them made.
pub(crate) fn precompile(context: &Context, env: &Env, lock: &Lock) -> Result<()> {
    let app = &context.app_dir;
    if !MAKERS.iter().any(|gem| lock.has(gem)) || !files::exists(app, "Rakefile") {
        return Ok(());
    }
    if is_made(app) {
        output::detail("The assets are committed (public/assets has a manifest): not made anew");
        return Ok(());
    }
    let step = output::step("Precompiling assets");
    let cache = layer::cache(context, layer_name!("assets-cache"), 1_u32)?;
    let kept = app.join(KEPT);
    if cache.join("assets").is_dir() && !kept.exists() {
        copy(&cache.join("assets"), &kept)?;
    }
    output::detail("$ bundle exec rake assets:precompile");
    let mut command = Command::new("bundle")
        .args(["exec", "rake", "assets:precompile"])
        .envs(env)
        .dir(app);
    for (name, value) in stand_ins(env, lock) {
        command = command.env(name, value);
    }
    command.run().map_err(problems::assets)?;
    if kept.is_dir() {
        files::remove(&cache.join("assets"))?;
        copy(&kept, &cache.join("assets"))?;
        files::remove(&kept)?;
    }
    step.done();
    Ok(())
}

fn is_made(app: &Path) -> bool {
    let names = fs::read_dir(app.join("public/assets"))
        .into_iter()
        .flatten()
        .flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| {
            name.starts_with(".manifest")
                || name.starts_with("manifest-")
                || name.starts_with(".sprockets-manifest")
        })
}

fn stand_ins(env: &Env, lock: &Lock) -> Vec<(&'static str, String)> {
    let mut values = Vec::new();
    if env::value(env, "SECRET_KEY_BASE").is_none() {
        // Since Rails 7.1 the first is enough, and only for this command.
        values.push(("SECRET_KEY_BASE_DUMMY", "1".to_owned()));
        values.push(("SECRET_KEY_BASE", "0".repeat(64)));
    }
    if env::value(env, "DATABASE_URL").is_none() {
        let scheme = [("pg", "postgresql"), ("mysql2", "mysql2"), ("trilogy", "trilogy")]
            .iter()
            .find(|(gem, _)| lock.has(gem));
        if let Some((_, scheme)) = scheme {
            values.push((
                "DATABASE_URL",
                format!("{scheme}://user:password@127.0.0.1/no_database_in_a_build"),
            ));
        }
    }
    values
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        files::make_dir(folder)?;
    }
    Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .quiet()
        .run()
        .map_err(|error| {
            error.failure_with_tail(
                "The cache of assets can't be copied",
                "Is the server's disk full? Push again.",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_stand_ins_for_secrets_and_the_database() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("Gemfile.lock"), "GEM\n  specs:\n    pg (1.6)\n").unwrap();
        let lock = Lock::of(dir.path()).unwrap().unwrap();
        let names =
            |env: &Env| -> Vec<&str> { stand_ins(env, &lock).into_iter().map(|(name, _)| name).collect() };
        assert_eq!(
            names(&Env::new()),
            ["SECRET_KEY_BASE_DUMMY", "SECRET_KEY_BASE", "DATABASE_URL"]
        );
        let mut env = Env::new();
        env.insert("SECRET_KEY_BASE", "x").insert("DATABASE_URL", "y");
        assert!(names(&env).is_empty());
    }

    #[test]
    fn committed_assets_are_known_by_their_manifest() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_made(dir.path()));
        files::write(&dir.path().join("public/assets/.manifest.json"), "{}").unwrap();
        assert!(is_made(dir.path()));
    }
}
